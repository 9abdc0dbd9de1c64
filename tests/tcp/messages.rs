//! What comes in and goes out on one connection.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{AT_ONCE, BIG_RECORDS, NO_ENGINE, big, id, ids, on_each_engine, web};
use crate::support::daemon::Daemon;
use crate::support::stream::{Stream, framed};
use crate::support::upstream::Upstream;
use crate::support::{SOON, eventually, expect, raw};

#[test]
fn dig_is_answered_over_tcp_as_over_udp() {
    let upstream = Upstream::start();
    for engine in ["auto", "threads"] {
        let arguments = format!(
            "{NO_ENGINE} --engine {engine} --nameserver {}",
            upstream.address()
        );
        let daemon = Daemon::start(&arguments);
        for question in [
            "docker SOA",
            "nobody.docker A",
            "docker A +dnssec",
            "docker SOA CH",
        ] {
            let over_udp = daemon.dig(question);
            assert_ne!(over_udp.status, "silence");
            assert_eq!(daemon.dig(&format!("{question} +tcp")), over_udp, "{question}");
        }
        let forwarded = daemon.dig("example.com A +tcp");
        assert_eq!(
            (forwarded.status.as_str(), forwarded.answer.len()),
            ("NOERROR", 1),
            "{forwarded:?}"
        );
        assert_eq!(daemon.metric("skydock_dns_requests_total", "proto=\"tcp\""), 5.0);
        assert_eq!(daemon.metric("skydock_dns_requests_total", "proto=\"udp\""), 4.0);
        assert_eq!(daemon.metric("skydock_tcp_connections_accepted_total", ""), 5.0);
        eventually("all closed", SOON, || {
            let finished = daemon.metric("skydock_tcp_connections_closed_total", "reason=\"finished\"");
            expect(
                |counts| *counts == (5.0, 0.0),
                (finished, daemon.metric("skydock_tcp_connections_open", "")),
            )
        });
        daemon.await_log("UDP and TCP");
    }
}

// RFC 7766, section 6.2.1: "clients SHOULD pipeline their queries"; section 8: "a single segment".
#[test]
fn queries_in_one_segment_are_all_answered() {
    on_each_engine(|world| {
        let mut client = world.client();
        client.send(&[framed(&web(1)), framed(&web(2))].concat());
        assert_eq!(ids(&mut client, 2), [1, 2]);
        let all: Vec<u8> = (0..200).flat_map(|id| framed(&web(id))).collect();
        client.send(&all);
        assert_eq!(ids(&mut client, 200), (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn a_query_that_comes_octet_by_octet_is_answered() {
    on_each_engine(|world| {
        let mut client = world.client();
        for octet in framed(&web(5)) {
            client.send(&[octet]);
            std::thread::sleep(Duration::from_millis(3));
        }
        assert_eq!(ids(&mut client, 1), [5]);
    });
}

#[test]
fn two_hundred_forwarded_queries_are_all_answered_though_few_wait_at_once() {
    on_each_engine(|world| {
        let mut client = world.client();
        let all: Vec<u8> = (0..200)
            .flat_map(|id| framed(&raw::query(id, "example.com", 1)))
            .collect();
        client.send(&all);
        assert_eq!(ids(&mut client, 200), (0..200).collect::<Vec<_>>());
    });
}

// RFC 7766, section 6.2.1.1: "a server MAY send responses out of order".
#[test]
fn a_fast_answer_does_not_wait_for_a_slow_one() {
    on_each_engine(|world| {
        world.upstream.set_silent(true);
        let mut client = world.client();
        client.send(&[framed(&raw::query(1, "example.com", 1)), framed(&web(2))].concat());
        assert_eq!(ids(&mut client, 1), [2]);
        eventually("the upstream was asked", SOON, || {
            expect(|asked| *asked > 0, world.upstream.asked())
        });
        let question = world.upstream.last();
        world
            .upstream
            .send_to_last(&world.upstream.answer_with(&question, |_| ()));
        assert_eq!(ids(&mut client, 1), [1]);
    });
}

// RFC 7766, section 8: "the two-octet length field and the message ... at the same time (e.g., in a single write)".
#[test]
fn length_and_message_leave_in_one_write() {
    on_each_engine(|world| {
        let mut client = world.client();
        for id in 0..50 {
            client.send(&framed(&web(id)));
            let octets = client.read_once();
            let length = u16::from_be_bytes([octets[0], octets[1]]);
            assert_eq!(octets.len(), usize::from(length) + 2);
        }
    });
}

#[test]
fn an_answer_of_almost_64_kib_comes_whole() {
    on_each_engine(|world| {
        let mut client = world.client();
        client.send(&framed(&big(1)).repeat(10));
        for _ in 0..10 {
            let reply = client.receive().expect("a reply");
            assert_eq!(u32::from(raw::answers(&reply)), BIG_RECORDS);
            assert!(reply.len() > 64_000, "{}", reply.len());
        }
        // A query may be as large.
        let mut padded = web(2);
        padded.resize(65_535, 0);
        assert_eq!(client.ask(&padded).map(|reply| id(&reply)), Some(2));
    });
}

#[test]
fn what_is_no_query_ends_the_connection_after_the_answers_before_it() {
    on_each_engine(|world| {
        let mut response = web(9);
        response[2] |= 0x80;
        let short = (0..12).map(|length| vec![0; length]);
        for (number, message) in short.chain([response]).enumerate() {
            let mut client = world.client();
            client.send(&[framed(&web(1)), framed(&message), framed(&web(2))].concat());
            assert_eq!(ids(&mut client, 1), [1], "{message:?}");
            assert!(client.time_to_end() < AT_ONCE, "{message:?}");
            world.await_closed("malformed", number as u64 + 1);
        }
        // An ill-formed query is still a query.
        let mut client = world.client();
        let header_alone = &web(3)[..12];
        assert_eq!(client.ask(header_alone).as_deref().and_then(raw::rcode), Some(1));
        assert_eq!(client.ask(&web(4)).map(|reply| id(&reply)), Some(4));
    });
}

// RFC 7766, section 6.2.4: a server answers what came before the client's half was closed.
#[test]
fn a_client_that_has_closed_its_half_is_answered_and_let_go() {
    on_each_engine(|world| {
        let mut client = world.client();
        client.send(&[framed(&web(1)), framed(&raw::query(2, "example.com", 1))].concat());
        client.end();
        assert_eq!(ids(&mut client, 2), [1, 2]);
        assert!(client.time_to_end() < AT_ONCE);
        world.await_closed("finished", 1);

        let mut client = world.client();
        client.send(&framed(&web(1))[..9]);
        client.end();
        assert!(client.time_to_end() < AT_ONCE);
    });
}

#[test]
fn who_may_ask_is_the_same_as_over_udp() {
    on_each_engine(|world| {
        let mut stranger = Stream::from(Ipv4Addr::new(127, 0, 0, 2), world.address());
        let refused = stranger.ask(&web(1));
        assert_eq!(refused.as_deref().and_then(raw::rcode), Some(5));
    });
}
