//! What is registered ends, and every answer that tells of it says when.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::daemon::{Daemon, NO_ENGINE};
use support::dig::{Record, Reply};
use support::http::request;
use support::predecessor::{put, web};
use support::resolver::{Resolver, reply};

/// What the sooner of two has left when it is registered; enough for a slow machine to ask everything.
const SOONER: u32 = 60;
const LATER: u32 = 600;
/// How long is waited before anything is asked, so that no answer may tell a TTL as it was registered.
const PAUSE: Duration = Duration::from_millis(3_100);

/// Whoever is asked waits first, and is then told that no more than this is left.
fn most(registered: Instant) -> u32 {
    let left = Duration::from_secs(SOONER.into()).saturating_sub(registered.elapsed());
    u32::try_from(left.as_secs()).expect("a minute at most")
}

/// Every record in `reply`, which has an answer.
fn records(reply: &Reply) -> impl Iterator<Item = &Record> {
    assert_eq!(reply.status, "NOERROR", "{reply:?}");
    assert!(!reply.answer.is_empty(), "{reply:?}");
    reply.answer.iter().chain(&reply.additional)
}

#[test]
fn every_record_that_two_share_is_told_with_what_the_sooner_has_left() {
    let daemon = Daemon::start(NO_ENGINE);
    let register = |instance: &str, last: u8, ttl: u32| {
        let body = json!({
            "service": "web",
            "instance": instance,
            "addresses": ["10.0.0.9", format!("10.0.0.{last}"), "fd00::9", format!("fd00::{last}")],
            "ports": [{ "number": 80 }],
            "texts": [format!("instance={instance}")],
            "ttl": ttl,
        });
        let line = format!("PUT /v1/services/{instance}");
        let made = request(
            daemon.http(),
            &line,
            &["Content-Type: application/json"],
            &body.to_string(),
        );
        assert_eq!(made.status, 201, "{made:?}");
    };
    register("web1", 1, SOONER);
    let registered = Instant::now();
    register("web2", 2, LATER);
    std::thread::sleep(PAUSE);
    for question in [
        "web.dev.docker A",
        "web.dev.docker AAAA",
        "web.dev.docker SRV",
        "web.dev.docker TXT",
        "web.dev.docker ANY +notcp",
        "_80._tcp.web.dev.docker SRV",
        "*.web.dev.docker A",
        "*.web.dev.docker SRV",
        "web1.web.dev.docker SRV",
        "_80._tcp.web1.web.dev.docker SRV",
        "9.0.0.10.in-addr.arpa PTR",
        "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa PTR",
    ] {
        let most = most(registered);
        let reply = daemon.dig(question);
        for record in records(&reply) {
            assert!((1..=most).contains(&record.ttl), "{question}: {record:?}, {most}");
        }
        let has_additional = question.ends_with(" SRV");
        assert_eq!(
            !reply.additional.is_empty(),
            has_additional,
            "{question}: {reply:?}"
        );
    }
    // Who is there for longer says so where it speaks for itself.
    let alone = daemon.dig("web2.web.dev.docker SRV");
    assert!(
        records(&alone).all(|record| record.ttl > LATER - 100),
        "{alone:?}"
    );
}

#[test]
fn an_alias_that_ends_is_told_with_what_it_has_left_by_whichever_way_it_is_answered() {
    let resolver = Resolver::start(|_, question| vec![reply(question, 0, 1)]);
    // Each core has a cache of its own.
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} --cores 1 --nameserver {}",
        resolver.address()
    ));
    assert_eq!(
        put(daemon.http(), "1001", &web("web1", "db.example.com", SOONER)).status,
        201
    );
    let registered = Instant::now();
    std::thread::sleep(PAUSE);
    // From us alone; from an upstream; from the cache.
    for (question, others) in [
        ("1001.docker CNAME", 0),
        ("1001.docker A +norecurse", 0),
        ("1001.docker A", 1),
        ("1001.docker A", 1),
    ] {
        let most = most(registered);
        let reply = daemon.dig(question);
        let cname = records(&reply).next().expect("an answer");
        assert_eq!(
            (cname.rtype.as_str(), cname.data.as_str()),
            ("CNAME", "db.example.com."),
            "{question}"
        );
        assert!((1..=most).contains(&cname.ttl), "{question}: {cname:?}, {most}");
        assert_eq!(reply.answer.len(), 1 + others, "{question}: {reply:?}");
    }
    assert_eq!(resolver.asked().len(), 1, "the second came from the cache");
}

// SkyDNS hid a service with NoExpire once its TTL had run down.
#[test]
fn a_service_without_expiry_is_there_when_its_ttl_has_long_run_down() {
    let daemon = Daemon::start(NO_ENGINE);
    let forever = web("web1", "10.0.0.7", 1).replace("\"NoExpire\":false", "\"NoExpire\":true");
    assert_eq!(put(daemon.http(), "1001", &forever).status, 201);
    // One that ends, to see that what does is gone by then.
    assert_eq!(
        put(daemon.http(), "1002", &web("web2", "10.0.0.8", 1)).status,
        201
    );
    daemon.await_status("web2.web.dev.docker A", "NXDOMAIN");
    std::thread::sleep(Duration::from_secs(3));
    for question in [
        "web1.web.dev.docker A",
        "web.dev.docker A",
        "1001.docker A",
        "*.web.dev.docker A",
    ] {
        let reply = daemon.dig(question);
        let told: Vec<_> = records(&reply)
            .map(|record| (record.ttl, record.data.as_str()))
            .collect();
        assert_eq!(told, [(1, "10.0.0.7")], "{question}");
    }
}
