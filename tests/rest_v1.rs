//! Our own HTTP interface, its description, and the client of it: against the running daemon.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, binary, words};
use support::http::{Reply, at, exchange, request, try_request};
use support::{SOON, eventually, expect};

/// No engine listens here.
const NO_ENGINE: &str = "--docker /nonexistent/docker.sock";
const JSON: &str = "Content-Type: application/json";
/// What is served about itself.
const DOCUMENT: &str = include_str!("../controlplane/src/api/openapi.json");

fn daemon() -> Daemon {
    Daemon::start(NO_ENGINE)
}

fn web(address: &str) -> Value {
    json!({ "service": "web", "instance": "web1", "addresses": [address], "ports": [{ "number": 80 }], "ttl": 60 })
}

fn put(to: SocketAddr, id: &str, headers: &[&str], body: &Value) -> Reply {
    let headers = [&[JSON][..], headers].concat();
    request(to, &format!("PUT /v1/services/{id}"), &headers, &body.to_string())
}

fn patch(to: SocketAddr, id: &str, headers: &[&str], body: &Value) -> Reply {
    let headers = [&[JSON][..], headers].concat();
    request(
        to,
        &format!("PATCH /v1/services/{id}"),
        &headers,
        &body.to_string(),
    )
}

/// It is a problem with this status that names `field`.
fn check_problem(reply: &Reply, status: u16, field: Option<&str>) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json"),
        "{reply:?}"
    );
    let problem = reply.json();
    assert_eq!(at(&problem, "/status"), status, "{problem}");
    assert!(
        !at(&problem, "/detail").as_str().unwrap_or_default().is_empty(),
        "{problem}"
    );
    assert_eq!(at(&problem, "/field").as_str(), field, "{problem}");
}

#[test]
fn a_service_is_moved_without_a_moment_in_which_it_is_not_there() {
    let daemon = daemon();
    let http = daemon.http();
    let made = put(http, "w1", &[], &web("10.0.0.7"));
    assert_eq!(made.status, 201);
    assert_eq!(daemon.dig("web1.web.dev.docker A").sorted_answers(), ["10.0.0.7"]);
    let tag = made.header("etag").expect("a tag").to_owned();

    let moved = json!({ "addresses": ["10.0.0.8", "fd00::8"], "ports": [{ "number": 8080, "name": "http" }, { "number": 53, "protocol": "udp" }], "priority": 5, "weight": 7, "texts": ["v=2"] });
    let reply = patch(http, "w1", &[&format!("If-Match: {tag}")], &moved);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(daemon.dig("web1.web.dev.docker A").sorted_answers(), ["10.0.0.8"]);
    assert_eq!(
        daemon.dig("web1.web.dev.docker AAAA").sorted_answers(),
        ["fd00::8"]
    );
    assert_eq!(
        daemon.dig("web1.web.dev.docker SRV").sorted_answers(),
        ["5 100 8080 w1.docker."]
    );
    assert_eq!(
        daemon.dig("web1.web.dev.docker TXT").sorted_answers(),
        ["\"v=2\""]
    );

    // Who acts on what it saw before is told so.
    check_problem(
        &patch(http, "w1", &[&format!("If-Match: {tag}")], &moved),
        412,
        None,
    );
    check_problem(
        &put(http, "w1", &["If-None-Match: *"], &web("10.0.0.9")),
        412,
        None,
    );
    assert_eq!(daemon.dig("web1.web.dev.docker A").sorted_answers(), ["10.0.0.8"]);

    assert_eq!(request(http, "DELETE /v1/services/w1", &[], "").status, 204);
    assert_eq!(daemon.dig("web1.web.dev.docker A").status, "NXDOMAIN");
    check_problem(&request(http, "DELETE /v1/services/w1", &[], ""), 404, None);
}

#[test]
fn a_service_whose_host_is_a_name_is_an_alias() {
    let daemon = daemon();
    let alias = json!({ "service": "db", "instance": "db1", "alias": "db.example.com", "ttl": 60 });
    assert_eq!(put(daemon.http(), "d1", &[], &alias).status, 201);
    let reply = daemon.dig("db1.db.dev.docker CNAME");
    assert_eq!(reply.sorted_answers(), ["db.example.com."], "{reply:?}");
}

#[test]
fn a_heartbeat_keeps_the_tag_and_who_knows_it_is_sent_nothing() {
    let daemon = daemon();
    let http = daemon.http();
    let tag = put(http, "w1", &[], &web("10.0.0.7"))
        .header("etag")
        .expect("a tag")
        .to_owned();
    let beat = request(http, "POST /v1/services/w1/heartbeat", &[JSON], r#"{"ttl":600}"#);
    assert_eq!((beat.status, beat.header("etag")), (200, Some(tag.as_str())));
    assert!(beat.json()["remaining"].as_u64() > Some(500), "{beat:?}");
    assert_eq!(
        request(http, "POST /v1/services/w1/heartbeat", &[], "").status,
        200
    );
    let known = request(
        http,
        "GET /v1/services/w1",
        &[&format!("If-None-Match: {tag}")],
        "",
    );
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    check_problem(
        &request(http, "POST /v1/services/none/heartbeat", &[], ""),
        404,
        None,
    );
}

#[test]
fn lists_come_in_pages_and_by_what_is_asked_for() {
    let daemon = daemon();
    let http = daemon.http();
    for number in 0..25 {
        let mut body = web(&format!("10.0.1.{number}"));
        body["instance"] = json!(format!("web{number}"));
        body["environment"] = json!(if number % 5 == 0 { "prod" } else { "dev" });
        assert_eq!(put(http, &format!("w{number:02}"), &[], &body).status, 201);
    }
    let page = |query: &str| request(http, &format!("GET /v1/services?{query}"), &[], "").json();
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let page = page(&format!("limit=7{after}"));
        let services = page["services"].as_array().expect("a list").clone();
        ids.extend(
            services
                .iter()
                .map(|service| service["id"].as_str().expect("an id").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace(' ', "%20")),
            None => break,
        }
    }
    let expected: Vec<_> = (0..25).map(|number| format!("w{number:02}")).collect();
    assert_eq!(ids, expected);
    let count = |query: &str| page(query)["services"].as_array().expect("a list").len();
    let counts = [
        "environment=prod",
        "query=web.prod",
        "instance=web3",
        "source=rest",
        "source=engine",
        "health=healthy",
    ];
    assert_eq!(counts.map(count), [5, 5, 1, 25, 0, 0]);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=x", "after"),
        ("query=a..b", "query"),
        ("health=well", "health"),
    ] {
        let reply = request(http, &format!("GET /v1/services?{query}"), &[], "");
        check_problem(&reply, 400, Some(field));
    }
}

/// A watcher: the lines that it is sent.
fn watcher(to: SocketAddr, last: Option<&str>) -> impl Iterator<Item = String> {
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    let last = last
        .map(|last| format!("Last-Event-ID: {last}\r\n"))
        .unwrap_or_default();
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{last}\r\n").expect("it is sent");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    // Until its head is there, nothing is told to it.
    lines.find(|line| line.starts_with("retry:")).expect("a head");
    lines
}

/// The next event: its id, what happened, and to whom.
fn next(lines: &mut impl Iterator<Item = String>) -> (String, String, String) {
    let mut field = |name: &str| {
        let line = lines.find(|line| line.starts_with(name)).expect("an event");
        line.trim_start_matches(name).trim().to_owned()
    };
    let (id, what) = (field("id:"), field("event:"));
    let data: Value = serde_json::from_str(&field("data:")).expect("JSON");
    (id, what, at(&data, "/id").as_str().unwrap_or_default().to_owned())
}

#[test]
fn every_change_is_told_and_who_was_away_reads_on() {
    let daemon = daemon();
    let http = daemon.http();
    let mut lines = watcher(http, None);
    put(http, "w1", &[], &web("10.0.0.7"));
    let (first, what, id) = next(&mut lines);
    assert_eq!((what.as_str(), id.as_str()), ("added", "w1"));
    patch(http, "w1", &[], &json!({ "addresses": ["10.0.0.8"] }));
    request(http, "POST /v1/services/w1/heartbeat", &[], "");
    request(http, "DELETE /v1/services/w1", &[], "");
    assert_eq!(next(&mut lines).1, "changed");
    assert_eq!(next(&mut lines).1, "removed");

    let mut later = watcher(http, Some(&first));
    assert_eq!(next(&mut later).1, "changed");
    assert_eq!(next(&mut later).1, "removed");
    for forgotten in ["1-1", "what", &first.replace('-', "-9999")] {
        assert_eq!(
            next(&mut watcher(http, Some(forgotten))).1,
            "reset",
            "{forgotten}"
        );
    }
}

#[test]
fn what_is_wrong_is_named_by_its_field_and_changes_nothing() {
    let daemon = daemon();
    let http = daemon.http();
    let deep = format!("{{\"service\":{}1{}}}", "[".repeat(300), "]".repeat(300));
    for (body, field) in [
        ("", "body"),
        ("{", "body"),
        ("null", "body"),
        (deep.as_str(), "service"),
        (
            "{\"service\":\"\u{fffd}\",\"ttl\":1,\"addresses\":[\"10.0.0.7\"]}",
            "service",
        ),
        (r#"{"ttl":60,"addresses":["10.0.0.7"]}"#, "service"),
        (r#"{"service":"web","service":"web"}"#, "service"),
        (r#"{"service":"web","colour":1}"#, "colour"),
        (r#"{"service":"web","addresses":["10.0.0.7"]}"#, "ttl"),
        (r#"{"service":"web","addresses":["10.0.0.7"],"ttl":-1}"#, "ttl"),
        (
            r#"{"service":"web","addresses":["10.0.0.7"],"ttl":4294967296}"#,
            "ttl",
        ),
        (r#"{"service":"web","addresses":["10.0.0.7"],"ttl":1e99}"#, "ttl"),
        (
            r#"{"service":"web","addresses":["10.0.0.7","fe80::1%eth0"],"ttl":1}"#,
            "addresses[1]",
        ),
        (r#"{"service":"web","addresses":[],"ttl":1}"#, "addresses"),
        (r#"{"service":"web","alias":"300.1.1.1","ttl":1}"#, "alias"),
        (
            r#"{"service":"web","addresses":["10.0.0.7"],"ttl":1,"ports":[{"number":70000}]}"#,
            "ports[0].number",
        ),
        (
            r#"{"service":"web","addresses":["10.0.0.7"],"ttl":1,"ports":[{"number":0}]}"#,
            "ports[0].number",
        ),
        (
            r#"{"service":"web","addresses":["10.0.0.7"],"ttl":1,"ports":[{"number":1,"x":1}]}"#,
            "ports[0].x",
        ),
        (
            r#"{"service":"web","addresses":["10.0.0.7"],"ttl":1,"names":["a..b"]}"#,
            "names[0]",
        ),
    ] {
        let reply = request(http, "PUT /v1/services/w1", &[JSON], body);
        check_problem(&reply, 400, Some(field));
    }
    let long = "x".repeat(64);
    for id in ["a%20b", &long, "%ff", "*"] {
        assert_eq!(put(http, id, &[], &web("10.0.0.7")).status, 400, "{id}");
    }
    let untyped = request(http, "PUT /v1/services/w1", &[], &web("10.0.0.7").to_string());
    check_problem(&untyped, 415, Some("Content-Type"));
    check_problem(
        &put(http, "w1", &["If-Match: 7"], &web("10.0.0.7")),
        400,
        Some("if-match"),
    );
    check_problem(
        &put(http, "w1", &["Origin: http://evil.example"], &web("10.0.0.7")),
        403,
        Some("Origin"),
    );
    check_problem(&request(http, "GET /v1/nothing", &[], ""), 404, None);
    check_problem(&request(http, "POST /v1/services", &[], ""), 405, None);
    assert_eq!(
        request(http, "GET /v1/services", &[], "").json()["services"],
        json!([])
    );
}

#[test]
fn hostile_requests_are_answered_within_bounds() {
    let daemon = daemon();
    let http = daemon.http();
    let large = format!("{{\"service\":\"{}\"}}", "x".repeat(200_000));
    check_problem(&request(http, "PUT /v1/services/w1", &[JSON], &large), 413, None);
    // A length that is told, and a body that never comes.
    let head = "PUT /v1/services/w1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n";
    assert_eq!(exchange(http, head.as_bytes()).expect("a reply").status, 413);
    let slow = head.replace("1000000000", "10");
    assert_eq!(exchange(http, slow.as_bytes()).expect("a reply").status, 408);
    let many: Vec<_> = (0..10_000).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    // It may hang up before all of them are sent.
    if let Ok(reply) = try_request(http, "GET /v1/services", &many, "") {
        assert_eq!(reply.status, 431);
    }
    let rebound = request(http, "GET /v1/services", &["Host: evil.example:8053"], "");
    check_problem(&rebound, 421, Some("Host"));
    let plain = request(http, "GET /v1/services", &[], "");
    assert_eq!(
        (plain.status, plain.header("access-control-allow-origin")),
        (200, None)
    );
    let preflight = request(
        http,
        "OPTIONS /v1/services/w1",
        &["Origin: http://evil.example"],
        "",
    );
    assert!(preflight.status >= 400 && preflight.header("access-control-allow-origin").is_none());
}

/// The operations of the description: method in upper case, path, and what it says.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods");
        let each = methods
            .iter()
            .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()));
        each.collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn the_description_has_each_route_and_method_and_no_other() {
    let daemon = daemon();
    let served = request(daemon.http(), "GET /v1/openapi.json", &[], "").json();
    assert_eq!(served, serde_json::from_str::<Value>(DOCUMENT).expect("JSON"));
    assert_eq!(served["openapi"], "3.1.0");

    let source = include_str!("../controlplane/src/api/v1/mod.rs");
    let routes = source
        .split('"')
        .filter(|text| text.starts_with("/v1/") && !text.contains('*'));
    let routes: BTreeSet<_> = routes.collect();
    let described: BTreeSet<_> = served["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(described, routes);

    for path in described {
        let refused = request(
            daemon.http(),
            &format!("TRACE {}", path.replace("{id}", "w1")),
            &[],
            "",
        );
        assert_eq!(refused.status, 405, "{path}");
        let allowed = refused.header("allow").expect("the methods").to_owned();
        let allowed: BTreeSet<_> = allowed
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_lowercase)
            .collect();
        let methods = served["paths"][path]
            .as_object()
            .expect("methods")
            .keys()
            .cloned()
            .collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[test]
fn the_examples_of_the_description_do_what_it_says() {
    let daemon = daemon();
    let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let mut operations = operations(&document);
    // What is registered first is there for the others, and what is removed last.
    let order = ["PUT", "GET", "PATCH", "POST", "DELETE"];
    operations.sort_by_key(|(method, ..)| order.iter().position(|other| other == method));
    for (method, path, operation) in operations {
        if path == "/v1/events" {
            assert!(watcher(daemon.http(), None).size_hint().1.is_none());
            continue;
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let resolved = parameters
            .iter()
            .map(|parameter| match parameter["$ref"].as_str() {
                Some(place) => document
                    .pointer(place.trim_start_matches('#'))
                    .expect("it is there"),
                None => parameter,
            });
        let mut line = path.clone();
        let mut query = Vec::new();
        for parameter in resolved {
            let (name, example) = (parameter["name"].as_str().expect("a name"), &parameter["example"]);
            let example = example
                .as_str()
                .map_or_else(|| example.to_string(), str::to_owned);
            match parameter["in"].as_str() {
                Some("path") => line = line.replace(&format!("{{{name}}}"), &example),
                Some("query") if example != "null" => query.push(format!("{name}={example}")),
                _ => {}
            }
        }
        if !query.is_empty() {
            line = format!("{line}?{}", query.join("&"));
        }
        let contents = operation["requestBody"]["content"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let with_example = contents
            .iter()
            .find(|(_, content)| content.get("example").is_some());
        let (headers, body) = match with_example {
            Some((kind, content)) => (
                vec![format!("Content-Type: {kind}")],
                content["example"].to_string(),
            ),
            None => (vec![], String::new()),
        };
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let reply = request(daemon.http(), &format!("{method} {line}"), &headers, &body);
        assert!((200..300).contains(&reply.status), "{method} {line}: {reply:?}");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(
            responses.contains_key(&reply.status.to_string()),
            "{method} {line}: {reply:?}"
        );
        if path == "/v1/services" {
            assert_eq!(
                reply.json()["services"].as_array().map(Vec::len),
                Some(1),
                "{reply:?}"
            );
        }
    }
}

/// Runs `skydock services` against `daemon`.
fn client(daemon: &Daemon, arguments: &str) -> Output {
    let url = format!("http://{}", daemon.http());
    let mut command = binary();
    command
        .args(words(&format!("services {arguments}")))
        .env("SKYDOCK_URL", url);
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_client_registers_changes_lists_and_removes() {
    let daemon = daemon();
    let run = |arguments: &str| client(&daemon, arguments);
    let code = |arguments: &str| run(arguments).status.code();
    assert_eq!(said(&run("")), "no services\n");
    let added = run("add db1 --service db --address 10.0.0.7 --port postgres=5432,53/udp --ttl 60");
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    assert_eq!(daemon.dig("db.dev.docker A").sorted_answers(), ["10.0.0.7"]);
    assert_eq!(code("add db1 --service db --address 10.0.0.7 --ttl 60"), Some(4));
    let shown = said(&run("list"));
    let row: Vec<_> = shown.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(
        row[..4],
        ["db1.db.dev", "db1", "10.0.0.7", "postgres=5432,53/udp"],
        "{shown}"
    );
    let list: Value = serde_json::from_str(&said(&run("-json list --service db"))).expect("JSON");
    let revision = list[0]["revision"].to_string();
    assert_eq!(
        code(&format!("update db1 --address 10.0.0.8 --if-revision {revision}")),
        Some(0)
    );
    assert_eq!(
        code(&format!("update db1 --address 10.0.0.9 --if-revision {revision}")),
        Some(4)
    );
    assert_eq!(daemon.dig("db.dev.docker A").sorted_answers(), ["10.0.0.8"]);
    assert_eq!(code("heartbeat db1 --ttl 90"), Some(0));
    assert!(said(&run("get db1")).contains("ttl        90\n"));
    assert_eq!(
        (code("rm db1"), code("rm db1"), code("get db1")),
        (Some(0), Some(3), Some(3))
    );

    let refused = run("add db1 --service any --address 10.0.0.7 --ttl 60");
    assert_eq!(refused.status.code(), Some(2));
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        sentence.starts_with("skydock: service: ") && sentence.lines().count() == 1,
        "{sentence}"
    );
    assert_eq!(code("--url http://127.0.0.1:1 list"), Some(1));
    assert_eq!(code("--url ftp://x list"), Some(2));
}

#[test]
fn the_client_shows_changes_as_they_happen() {
    let daemon = daemon();
    let mut command = binary();
    command
        .args(["services", "watch"])
        .env("SKYDOCK_URL", format!("http://{}", daemon.http()));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    // It says nothing when it has begun to listen.
    let id = "w1";
    eventually("a watcher", SOON, || {
        let open = std::fs::read_to_string(format!("/proc/{}/net/tcp", daemon.pid())).unwrap_or_default();
        let port = format!(":{:04X} ", daemon.http().port());
        expect(|count: &usize| *count >= 3, open.matches(&port).count())
    });
    std::thread::sleep(Duration::from_millis(300));
    put(daemon.http(), id, &[], &web("10.0.0.7"));
    let line = lines.next().expect("a line").expect("text");
    assert!(line.starts_with("+ web1.web.dev  10.0.0.7"), "{line}");
    child.kill().expect("our own child");
    child.wait().expect("it ends");
}

#[test]
fn over_tls_the_client_trusts_whom_it_is_told_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (
        directory.path().join("cert.pem"),
        directory.path().join("key.pem"),
    );
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} --http-cert {} --http-key {} --secret s3cret",
        certificate.display(),
        key.display()
    ));
    let run = |arguments: &str, secret: &str| {
        let mut command = binary();
        command
            .args(words(&format!(
                "services --url https://{} {arguments}",
                daemon.http()
            )))
            .env("SKYDOCK_SECRET", secret);
        command.output().expect("it runs")
    };
    let trusted = format!("--ca-cert {}", certificate.display());
    let heard = run(&trusted, "s3cret");
    assert_eq!(said(&heard), "no services\n", "{heard:?}");
    assert_eq!(run(&trusted, "wrong").status.code(), Some(5));
    assert_eq!(run("", "s3cret").status.code(), Some(1));
}

#[test]
fn a_listener_that_others_can_reach_needs_a_secret() {
    let refused = binary()
        .args(words(&format!("{NO_ENGINE} --http 0.0.0.0:18053")))
        .output()
        .expect("it runs");
    assert_eq!(refused.status.code(), Some(2));
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        sentence.contains("--insecure-http") && sentence.contains("SKYDOCK_SECRET"),
        "{sentence}"
    );
}
