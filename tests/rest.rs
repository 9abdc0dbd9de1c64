//! The interface of SkyDNS v1, and our own beside it: the running daemon, over HTTP and over DNS.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::daemon::{Daemon, NO_ENGINE};
use support::go::Go;
use support::http::request;
use support::predecessor::{put, web};

/// How old the time may be that a worker goes by.
const CLOCK_TICK: Duration = Duration::from_millis(20);

fn daemon() -> Daemon {
    Daemon::start(NO_ENGINE)
}

/// The addresses that a name has now.
fn addresses(daemon: &Daemon, name: &str) -> Vec<String> {
    let reply = daemon.dig(&format!("{name} A"));
    reply.sorted_answers()
}

#[test]
fn a_containers_life_as_the_predecessor_told_it_is_answered_at_every_step() {
    let daemon = Daemon::start(&format!("{NO_ENGINE} --secret s3cret"));
    let mut skydock = Go::skydock(daemon.http());
    let add = |host: &str| {
        format!(
            r#"{{"UUID":"","Name":"redis","Version":"redis1","Environment":"dev","Region":"","Host":"{host}","Port":6379,"TTL":60,"Expires":"0001-01-01T00:00:00Z","NoExpire":false}}"#
        )
    };
    let (created, fine) = ("HTTP/1.1 201 Created", "HTTP/1.1 200 OK");
    let nothing = String::new();

    // The container starts.
    let start = skydock.send("PUT /skydns/services/c3085e93e4", &add("172.17.0.5"));
    assert_eq!(start, (created.to_owned(), nothing.clone()));
    for name in [
        "redis1.redis.dev.docker",
        "redis.dev.docker",
        "dev.docker",
        "c3085e93e4.docker",
        "*.redis1.redis.dev.docker",
    ] {
        assert_eq!(addresses(&daemon, name), ["172.17.0.5"], "{name}");
    }
    let srv = daemon.dig("redis.dev.docker SRV").sorted_answers();
    assert_eq!(srv, ["10 100 6379 c3085e93e4.docker."]);

    // The predecessor is started anew: it adds again, is told 409, and goes on with a heartbeat.
    let again = skydock.send("PUT /skydns/services/c3085e93e4", &add("172.17.0.5"));
    assert_eq!(again.0, "HTTP/1.1 409 Conflict");
    for _ in 0..3 {
        let beat = skydock.send("PATCH /skydns/services/c3085e93e4", r#"{"TTL":60}"#);
        assert_eq!(beat, (fine.to_owned(), nothing.clone()));
        assert_eq!(addresses(&daemon, "redis1.redis.dev.docker"), ["172.17.0.5"]);
    }

    // It stops: kill, die and stop are three events, and were three deletes.
    let gone = skydock.send("DELETE /skydns/services/c3085e93e4", "");
    assert_eq!(gone, (fine.to_owned(), nothing.clone()));
    daemon.await_status("redis1.redis.dev.docker A", "NXDOMAIN");
    for _ in 0..2 {
        let late = skydock.send("DELETE /skydns/services/c3085e93e4", "");
        assert_eq!(late.0, "HTTP/1.1 404 Not Found");
    }
    // Its heartbeat was never stopped.
    let late = skydock.send("PATCH /skydns/services/c3085e93e4", r#"{"TTL":60}"#);
    assert_eq!(late.0, "HTTP/1.1 404 Not Found");

    // It starts again, elsewhere, under the id that it had.
    let back = skydock.send("PUT /skydns/services/c3085e93e4", &add("172.17.0.9"));
    assert_eq!(back, (created.to_owned(), nothing));
    assert_eq!(addresses(&daemon, "redis1.redis.dev.docker"), ["172.17.0.9"]);
}

#[test]
fn skydns_own_client_adds_reads_updates_lists_and_deletes() {
    let daemon = Daemon::start(&format!("{NO_ENGINE} --secret s3cret"));
    let mut skydnsctl = Go::skydnsctl(daemon.http());
    let fine = ("HTTP/1.1 200 OK".to_owned(), String::new());
    // `skydnsctl list` before there is anything: 404, which it reads as no services.
    assert_eq!(
        skydnsctl.send("GET /skydns/services/", "").0,
        "HTTP/1.1 404 Not Found"
    );

    // Go's encoder ends what it writes with a new line.
    let body = "{\"UUID\":\"\",\"Name\":\"TestService\",\"Version\":\"1.0.0\",\"Environment\":\"Production\",\"Region\":\"Test\",\"Host\":\"web1.site.com\",\"Port\":9000,\"TTL\":1000,\"Expires\":\"0001-01-01T00:00:00Z\",\"NoExpire\":false}\n";
    let added = skydnsctl.send("PUT /skydns/services/1001", body);
    assert_eq!(added, ("HTTP/1.1 201 Created".to_owned(), String::new()));
    let srv = daemon.dig("testservice.production.docker SRV").sorted_answers();
    assert_eq!(srv, ["10 100 9000 web1.site.com."]);

    // Each field as Go's types have it: one of another type would end the client.
    let check = |said: &Value, ttl: u64| {
        let fields = ["UUID", "Name", "Version", "Environment", "Region", "Host"];
        let words = fields.map(|field| said[field].as_str().expect(field));
        let expected = [
            "1001",
            "TestService",
            "1.0.0",
            "Production",
            "Test",
            "web1.site.com",
        ];
        assert_eq!(words, expected);
        assert_eq!((&said["Port"], &said["NoExpire"]), (&json!(9000), &json!(false)));
        let left = said["TTL"].as_u64().expect("TTL");
        assert!((ttl - 30..=ttl).contains(&left), "{said}");
        // RFC 3339, which is what Go reads into a time.
        let expires = said["Expires"].as_str().expect("Expires");
        assert!(
            expires.len() == 24 && expires.ends_with('Z') && expires.contains('T'),
            "{said}"
        );
    };
    let read = |said: &str| serde_json::from_str::<Value>(said).expect("JSON");
    let (status, one) = skydnsctl.send("GET /skydns/services/1001", "");
    assert_eq!(status, fine.0);
    check(&read(&one), 1000);
    assert_eq!(
        skydnsctl.send("PATCH /skydns/services/1001", r#"{"TTL":100}"#),
        fine
    );
    let (status, all) = skydnsctl.send("GET /skydns/services/", "");
    assert_eq!(status, fine.0);
    let all = read(&all);
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    check(&all[0], 100);

    assert_eq!(skydnsctl.send("DELETE /skydns/services/1001", ""), fine);
    // It is told of what is not there, and says that it is removed all the same.
    for line in ["GET", "DELETE"] {
        let gone = skydnsctl.send(&format!("{line} /skydns/services/1001"), "");
        assert_eq!(gone.0, "HTTP/1.1 404 Not Found", "{line}");
    }
}

#[test]
fn a_ttl_of_nothing_is_taken_and_is_over_within_a_second() {
    let daemon = daemon();
    let http = daemon.http();
    assert_eq!(put(http, "1001", &web("web1", "10.0.0.7", 0)).status, 201);
    daemon.await_status("web1.web.dev.docker A", "NXDOMAIN");
    assert_eq!(request(http, "GET /skydns/services/1001", &[], "").status, 404);
    // Its uuid is free again at once.
    assert_eq!(put(http, "1001", &web("web1", "10.0.0.8", 60)).status, 201);
    daemon.await_answers("web1.web.dev.docker A", &["10.0.0.8"]);
}

#[test]
fn bodies_are_read_as_go_read_them() {
    let daemon = daemon();
    let http = daemon.http();
    // Whatever the case, unknown fields, null for nothing, and what follows the first value.
    let body = r#"{"nAME":"web","version":null,"HOST":"10.0.0.7","port":80,"ttl":60,"Colour":[1,{"a":2}],"uuid":"other","Expires":7}{"Name":"db"}"#;
    assert_eq!(put(http, "1001", body).status, 201);
    assert_eq!(addresses(&daemon, "1001.web.dev.docker"), ["10.0.0.7"]);
    let beat = request(http, "PATCH /skydns/services/1001", &[], "{\"ttl\":0}");
    assert_eq!(beat.status, 200, "and is gone within a second");
    daemon.await_status("1001.web.dev.docker A", "NXDOMAIN");
}

#[test]
fn a_service_reads_back_as_skydns_wrote_it() {
    let daemon = daemon();
    put(daemon.http(), "1001", &web("1.0.0", "10.0.0.7", 60));
    let one = request(daemon.http(), "GET /skydns/services/1001", &[], "");
    assert_eq!(one.status, 200);
    assert_eq!(one.header("content-type"), Some("text/plain; charset=utf-8"));
    let shape = one.body.split("\"TTL\"").next().unwrap();
    assert_eq!(
        shape,
        r#"{"UUID":"1001","Name":"web","Version":"1.0.0","Environment":"dev","Region":"","Host":"10.0.0.7","Port":8080,"#
    );
    assert!(one.body.ends_with("}\n"), "as Go's encoder ended it");
    let json = one.json();
    assert!((58..=60).contains(&json["TTL"].as_u64().unwrap()), "{json}");
    assert!(json["Expires"].as_str().unwrap().ends_with('Z'));
    assert_eq!(json["NoExpire"], false);
}

#[test]
fn lists_and_counts_follow_the_grammar() {
    let daemon = daemon();
    let http = daemon.http();
    let get = |path: &str| request(http, &format!("GET {path}"), &[], "");
    assert_eq!(get("/skydns/services/").status, 404);
    assert_eq!(get("/skydns/regions/").body, "{}");
    for (uuid, name, environment, region) in [
        ("1001", "web", "production", "east"),
        ("1002", "web", "production", "west"),
        ("1003", "db", "testing", "east"),
    ] {
        let body = format!(
            r#"{{"name":"{name}","version":"1.0.0","environment":"{environment}","region":"{region}","host":"10.0.0.7","port":80,"ttl":60,"Unknown":[1]}}"#
        );
        assert_eq!(put(http, uuid, &body).status, 201, "{uuid}");
    }
    let count = |query: &str| match get(&format!("/skydns/services/?query={query}")) {
        reply if reply.status == 200 => reply.json().as_array().unwrap().len(),
        reply => usize::from(reply.status != 404) * 1000,
    };
    let counts = [
        "",
        "*",
        "production",
        "web.production",
        "east.*.*.production",
        "any.db.testing",
        "none",
    ];
    assert_eq!(counts.map(count), [3, 3, 2, 2, 1, 1, 0]);
    assert_eq!(get("/skydns/regions/").body, "{\"east\":2,\"west\":1}\n");
    assert_eq!(
        get("/skydns/environments/").body,
        "{\"production\":2,\"testing\":1}\n"
    );
    assert_eq!(get("/skydns/services").status, 404, "the slash is required");
}

#[test]
fn what_cannot_be_served_is_refused_with_the_reason_and_changes_nothing() {
    let daemon = daemon();
    let http = daemon.http();
    for (body, part) in [
        ("", "body"),
        ("{", "body"),
        ("[]", "body"),
        ("{\"Host\":\"10.0.0.7\",\"Port\":70000}", "Port"),
        ("{\"Host\":\"10.0.0.7\",\"Port\":-1}", "Port"),
        ("{\"Host\":\"10.0.0.7\"}", "Port"),
        ("{\"Port\":80}", "Host"),
        (
            "{\"Name\":\"web\",\"Host\":\"10.0.0.7\",\"Port\":80,\"TTL\":4294967296}",
            "TTL",
        ),
        (
            "{\"Name\":\"web\",\"Host\":\"10.0.0.7\",\"Port\":80,\"TTL\":-1}",
            "TTL",
        ),
        (
            "{\"Name\":\"web\",\"Host\":\"10.0.0.7\",\"Port\":80,\"TTL\":1.5}",
            "TTL",
        ),
        ("{\"Name\":\"\",\"Host\":\"10.0.0.7\",\"Port\":80}", "Name"),
        ("{\"Name\":\"a b\",\"Host\":\"10.0.0.7\",\"Port\":80}", "Name"),
        ("{\"Name\":\"web\",\"Host\":\"fe80::1%eth0\",\"Port\":80}", "Host"),
        ("{\"Name\":\"web\",\"Host\":\"0.0.0.0\",\"Port\":80}", "Host"),
        ("{\"Name\":7,\"Host\":\"10.0.0.7\",\"Port\":80}", "Name"),
    ] {
        let reply = put(http, "1001", body);
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        assert!(reply.body.contains(part), "{body}: {reply:?}");
    }
    for uuid in ["a%20b", "*", &"x".repeat(64), "a%2fb", "%ff", "any"] {
        let reply = put(http, uuid, &web("", "10.0.0.7", 60));
        assert_eq!(reply.status, 400, "{uuid}: {reply:?}");
    }
    assert_eq!(request(http, "GET /skydns/services/", &[], "").status, 404);
}

#[test]
fn a_service_without_heartbeats_ends_with_its_ttl() {
    let daemon = daemon();
    let started = Instant::now();
    put(daemon.http(), "1001", &web("web1", "10.0.0.7", 2));
    assert_eq!(addresses(&daemon, "web1.web.dev.docker"), ["10.0.0.7"]);
    daemon.await_status("web1.web.dev.docker A", "NXDOMAIN");
    let lived = started.elapsed();
    assert!(
        (Duration::from_millis(1900)..Duration::from_secs(4)).contains(&lived),
        "{lived:?}"
    );
    assert_eq!(
        request(daemon.http(), "GET /skydns/services/1001", &[], "").status,
        404
    );
    daemon.await_log("\\\"1001\\\" expired");
}

#[test]
fn answers_tell_the_seconds_that_are_left() {
    let daemon = daemon();
    let ttl = |question: &str| daemon.dig(question).answer.first().map(|record| record.ttl);
    // What is told lies between what is left at the latest and at the soonest that it may have been asked.
    let assert_left = |seconds: u64, before: Instant, heard: Instant| {
        for question in ["web1.web.dev.docker A", "*.web.dev.docker A"] {
            let left = |since: Duration| {
                Duration::from_secs(seconds)
                    .saturating_sub(since)
                    .as_secs()
                    .max(1)
            };
            let most = left(heard.elapsed());
            let told = ttl(question).map(u64::from);
            let least = left(before.elapsed() + CLOCK_TICK);
            assert!(
                told.is_some_and(|told| (least..=most).contains(&told)),
                "{told:?} {least} {most}"
            );
        }
    };
    let before = Instant::now();
    put(daemon.http(), "1001", &web("web1", "10.0.0.7", 60));
    let heard = Instant::now();
    for _ in 0..12 {
        assert_left(60, before, heard);
        std::thread::sleep(Duration::from_millis(250));
    }
    let before = Instant::now();
    let beat = request(daemon.http(), "PATCH /skydns/services/1001", &[], r#"{"TTL":40}"#);
    assert_eq!(beat.status, 200);
    assert_left(40, before, Instant::now());
    let forever = web("web2", "10.0.0.8", 50).replace("\"NoExpire\":false", "\"NoExpire\":true");
    put(daemon.http(), "1002", &forever);
    assert_eq!(ttl("web2.web.dev.docker"), Some(50));
}

#[test]
fn raft_is_gone_and_names_what_is_there_instead() {
    let daemon = Daemon::start(&format!("{NO_ENGINE} --secret s3cret"));
    for line in ["POST /raft/join", "GET /raft/leader", "POST /raft"] {
        let reply = request(daemon.http(), line, &[], "");
        assert_eq!(reply.status, 410, "{line}");
        assert!(reply.body.contains("etcd"), "{reply:?}");
    }
}

#[test]
fn the_secret_is_asked_for_and_never_told() {
    let daemon = Daemon::start(&format!("{NO_ENGINE} --secret s3cret-word"));
    let http = daemon.http();
    let get = |path: &str, headers: &[&str]| request(http, &format!("GET {path}"), headers, "");
    for path in [
        "/skydns/services/",
        "/v1/services",
        "/v1/settings",
        "/v1/events",
        "/v1/openapi.json",
    ] {
        for wrong in [
            &[][..],
            &["Authorization: wrong"],
            &["Authorization: Bearer s3cret-wor"],
        ] {
            assert_eq!(get(path, wrong).status, 401, "{path} {wrong:?}");
        }
    }
    assert_eq!(get("/skydns/services/", &[]).body, "Unauthorized\n");
    assert_eq!(
        get("/skydns/regions/", &["Authorization: s3cret-word"]).status,
        200
    );
    let settings = get("/v1/settings", &["Authorization: Bearer s3cret-word"]);
    assert_eq!(settings.status, 200);
    assert!(
        settings.body.contains("\"rate-limit\"") && !settings.body.contains("s3cret-word"),
        "{settings:?}"
    );
    assert_eq!(get("/health", &[]).status, 200);
    assert!(!daemon.log().contains("s3cret-word"));
}
