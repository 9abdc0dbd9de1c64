//! Our own HTTP interface: the running daemon, over HTTP and over DNS.

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::daemon::{Daemon, NO_ENGINE};
use support::http::{Reply, at, check_problem, request, watcher};

const JSON: &str = "Content-Type: application/json";

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

fn tag(reply: &Reply) -> String {
    reply.header("etag").expect("a tag").to_owned()
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

#[test]
fn a_service_is_moved_without_a_moment_in_which_it_is_not_there() {
    let daemon = daemon();
    let http = daemon.http();
    let made = put(http, "w1", &[], &web("10.0.0.7"));
    assert_eq!(made.status, 201);
    assert_eq!(daemon.dig("web1.web.dev.docker A").sorted_answers(), ["10.0.0.7"]);
    let tag = tag(&made);

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

// RFC 9110, section 13.1.1: If-Match compares strongly, so that a weak tag equals none.
#[test]
fn conditions_hold_for_every_method_and_a_weak_tag_is_none_to_act_on() {
    let daemon = daemon();
    let http = daemon.http();
    let tag = tag(&put(http, "w1", &[], &web("10.0.0.7")));
    let ask = |line: &str, header: &str| {
        let body = if line.starts_with("PUT") {
            web("10.0.0.8").to_string()
        } else {
            String::new()
        };
        let body = if line.starts_with("PATCH") {
            "{}".to_owned()
        } else {
            body
        };
        request(http, &format!("{line} /v1/services/w1"), &[JSON, header], &body)
    };
    let beat = |header: &str| request(http, "POST /v1/services/w1/heartbeat", &[header], "");
    for condition in [
        format!("If-Match: W/{tag}"),
        "If-Match: \"0\"".to_owned(),
        "If-Match: \"0\", W/\"1\"".to_owned(),
    ] {
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            check_problem(&ask(method, &condition), 412, None);
        }
        check_problem(&beat(&condition), 412, None);
    }
    for method in ["PUT", "PATCH", "DELETE"] {
        let refused = ask(method, &format!("If-None-Match: \"0\", W/{tag}"));
        check_problem(&refused, 412, None);
    }
    for (name, wrong) in [("If-Match", "7"), ("If-None-Match", "*, \"7\""), ("If-Match", "")] {
        let condition = format!("{name}: {wrong}");
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            check_problem(&ask(method, &condition), 400, Some(name));
        }
        check_problem(&beat(&condition), 400, Some(name));
    }
    assert_eq!(ask("GET", &format!("If-None-Match: W/{tag}")).status, 304);
    assert_eq!(ask("HEAD", &format!("If-Match: {tag}")).status, 200);
    assert_eq!(daemon.dig("web1.web.dev.docker A").sorted_answers(), ["10.0.0.7"]);
    assert_eq!(beat(&format!("If-Match: {tag}")).status, 200);
    assert_eq!(ask("DELETE", &format!("If-Match: \"0\", {tag}")).status, 204);
    check_problem(&ask("PATCH", "If-Match: *"), 412, None);
}

#[test]
fn a_list_of_large_services_comes_in_pages_that_can_be_held() {
    let daemon = daemon();
    let http = daemon.http();
    let mut body = web("10.0.0.7");
    body["texts"] = json!(vec!["x".repeat(1024); 16]);
    for number in 0..70 {
        assert_eq!(put(http, &format!("w{number:02}"), &[], &body).status, 201);
    }
    let page = request(http, "GET /v1/services?limit=1000", &[], "").json();
    let next = page["next"].as_str().expect("there are more").replace(' ', "%20");
    let rest = request(
        http,
        &format!("GET /v1/services?limit=1000&after={next}"),
        &[],
        "",
    )
    .json();
    let count = |page: &Value| page["services"].as_array().map_or(0, Vec::len);
    assert!(count(&page) < 70, "{}", count(&page));
    assert_eq!(count(&page) + count(&rest), 70);
    assert_eq!(rest["next"], Value::Null);
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
    let tag = tag(&put(http, "w1", &[], &web("10.0.0.7")));
    let beat = |ttl: u32| {
        let body = json!({ "ttl": ttl }).to_string();
        request(http, "POST /v1/services/w1/heartbeat", &[JSON], &body)
    };
    let same = beat(60);
    assert_eq!((same.status, same.header("etag")), (200, Some(tag.as_str())));
    let longer = beat(600);
    assert!(longer.json()["remaining"].as_u64() > Some(500), "{longer:?}");
    let tag = longer.header("etag").filter(|other| *other != tag);
    let tag = tag.expect("another tag, for another TTL").to_owned();
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

// RFC 7396, section 1: "Null values in the merge patch are given special meaning to indicate the removal".
#[test]
fn null_takes_away_what_need_not_be_there_and_is_refused_for_the_rest() {
    let daemon = daemon();
    let http = daemon.http();
    let mut body = web("10.0.0.7");
    body["permanent"] = json!(true);
    body["texts"] = json!(["v=1"]);
    assert_eq!(put(http, "w1", &[], &body).status, 201);
    for field in ["service", "ttl"] {
        let refused = patch(http, "w1", &[], &json!({ field: null, "priority": 7 }));
        check_problem(&refused, 400, Some(field));
    }
    check_problem(
        &patch(http, "w1", &[], &json!({ "addresses": null })),
        400,
        Some("addresses"),
    );
    let gone = json!({ "instance": null, "texts": null, "permanent": null, "priority": null });
    let reply = patch(http, "w1", &[], &gone);
    assert_eq!(reply.status, 200, "{reply:?}");
    let now = reply.json();
    assert_eq!(now["instance"], "w1", "{now}");
    assert_eq!(
        (&now["permanent"], &now["texts"], &now["priority"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert!(now["remaining"].as_u64().is_some(), "{now}");
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
        ("limit=ten", "limit"),
        ("limit=-1", "limit"),
        ("colour=red", "colour"),
        ("limit=5&limit=6", "limit"),
    ] {
        let reply = request(http, &format!("GET /v1/services?{query}"), &[], "");
        check_problem(&reply, 400, Some(field));
    }
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
fn another_lease_is_a_change_and_a_heartbeat_is_none() {
    let daemon = daemon();
    let http = daemon.http();
    let mut lines = watcher(http, None);
    let mut next = || {
        let mut field = |name: &str| {
            let line = lines.find(|line| line.starts_with(name)).expect("an event");
            line.trim_start_matches(name).trim().to_owned()
        };
        let what = field("event:");
        drop(field("data:"));
        what
    };
    let beat = |body: &str| request(http, "POST /v1/services/w1/heartbeat", &[JSON], body).status;
    put(http, "w1", &[], &web("10.0.0.7"));
    assert_eq!((beat(""), beat(r#"{"ttl":60}"#)), (200, 200));
    assert_eq!(patch(http, "w1", &[], &json!({ "ttl": 90 })).status, 200);
    assert_eq!(put(http, "w1", &[], &web("10.0.0.7")).status, 200);
    assert_eq!(beat(r#"{"ttl":70}"#), 200);
    assert_eq!(patch(http, "w1", &[], &json!({ "permanent": true })).status, 200);
    assert_eq!(patch(http, "w1", &[], &json!({ "permanent": false })).status, 200);
    assert_eq!(
        request(http, "PATCH /skydns/services/w1", &[], r#"{"TTL":70}"#).status,
        200
    );
    assert_eq!(
        request(http, "PATCH /skydns/services/w1", &[], r#"{"TTL":80}"#).status,
        200
    );
    request(http, "DELETE /v1/services/w1", &[], "");
    let told: Vec<_> = std::iter::from_fn(|| Some(next()).filter(|what| what != "removed")).collect();
    assert_eq!(
        told,
        [
            "added", "changed", "changed", "changed", "changed", "changed", "changed"
        ]
    );
}

#[test]
fn whoever_is_cut_off_before_the_first_event_reads_on_as_well() {
    let daemon = daemon();
    let http = daemon.http();
    // As a client keeps it: the last id that it was sent.
    let mut stream = std::net::TcpStream::connect(http).expect("a connection");
    std::io::Write::write_all(&mut stream, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is sent");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(stream));
    let mut ids = lines
        .map_while(Result::ok)
        .filter_map(|line| Some(line.strip_prefix("id: ")?.to_owned()));
    let place = ids.next().expect("a place before the first event");
    drop(ids);
    put(http, "w1", &[], &web("10.0.0.7"));
    let mut later = watcher(http, Some(&place));
    assert_eq!(next(&mut later).1, "added");
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
    for (id, field) in [("a%20b", "id"), (&long, "id"), ("%ff", "path"), ("*", "id")] {
        check_problem(&put(http, id, &[], &web("10.0.0.7")), 400, Some(field));
    }
    check_problem(&request(http, "GET /v1/services/%ff", &[], ""), 400, Some("path"));
    check_problem(
        &request(http, "GET /v1/explain?type=A", &[], ""),
        400,
        Some("name"),
    );
    check_problem(
        &request(http, "POST /v1/cache/flush?nam=a", &[], ""),
        400,
        Some("nam"),
    );
    check_problem(
        &request(http, "GET /v1/events?since=1", &[], ""),
        400,
        Some("since"),
    );
    let untyped = request(http, "PUT /v1/services/w1", &[], &web("10.0.0.7").to_string());
    check_problem(&untyped, 415, Some("Content-Type"));
    check_problem(
        &put(http, "w1", &["If-Match: 7"], &web("10.0.0.7")),
        400,
        Some("If-Match"),
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
