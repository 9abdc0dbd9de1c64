//! Which upstream is asked, and how places are shared.

use std::net::SocketAddr;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

use super::super::config::Route;
use super::*;
use crate::limits::UPSTREAM_STREAMS_MAX;

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 53))
}

fn upstreams(routes: &[(&str, &[u8])], policy: Policy) -> Upstreams {
    let mut upstreams = Upstreams::new();
    upstreams.set(&config(routes, policy));
    upstreams
}

fn config(routes: &[(&str, &[u8])], policy: Policy) -> Config {
    let route = |(domain, hosts): &(&str, &[u8])| Route {
        domain: domain.parse().unwrap(),
        upstreams: hosts.iter().map(|&host| address(host).into()).collect(),
    };
    Config {
        routes: routes.iter().map(route).collect(),
        policy,
    }
}

fn random() -> ChaCha12Rng {
    ChaCha12Rng::from_seed([0; 32])
}

/// The hosts asked first for `count` queries about `name`.
fn firsts(upstreams: &mut Upstreams, name: &str, count: usize) -> Vec<u8> {
    let (name, mut random): (Name, _) = (name.parse().unwrap(), random());
    (0..count)
        .map(|_| {
            let first = upstreams.first(name.as_ref(), 9, &mut random);
            host(upstreams, first.unwrap())
        })
        .collect()
}

fn host(upstreams: &Upstreams, index: UpstreamIndex) -> u8 {
    let Some(SocketAddr::V4(address)) = upstreams.server(index).map(|server| server.address) else {
        panic!("{index} is no upstream");
    };
    address.ip().octets()[3]
}

#[test]
fn the_longest_domain_that_a_name_lies_in_decides() {
    let routes: [(&str, &[u8]); 4] = [
        (".", &[1]),
        ("example", &[2]),
        ("corp.Example", &[3]),
        ("gone.corp.example", &[]),
    ];
    let mut upstreams = upstreams(&routes, Policy::Sequential);
    for (name, host) in [
        ("example.org", 1),
        ("notexample", 1),
        ("EXAMPLE", 2),
        ("a.corp.example", 3),
        ("xcorp.example", 2),
    ] {
        assert_eq!(firsts(&mut upstreams, name, 1), [host], "{name}");
    }
    let gone: Name = "a.gone.corp.example".parse().unwrap();
    assert_eq!(
        upstreams.first(gone.as_ref(), 9, &mut random()),
        Err(Nobody::Nowhere)
    );
    upstreams.set(&config(&[("example", &[2])], Policy::Sequential));
    let other: Name = "example.org".parse().unwrap();
    assert_eq!(
        upstreams.first(other.as_ref(), 9, &mut random()),
        Err(Nobody::NoRoute)
    );
}

#[test]
fn in_sequence_the_first_that_is_well_is_asked() {
    let (mut upstreams, now) = (
        upstreams(&[(".", &[1, 2, 3])], Policy::Sequential),
        Instant::now(),
    );
    assert_eq!(firsts(&mut upstreams, "a", 3), [1, 1, 1]);
    upstreams.refused(0, Trouble::Unreachable, now);
    assert_eq!(firsts(&mut upstreams, "a", 3), [2, 2, 2]);
    upstreams.refused(1, Trouble::Unreachable, now);
    upstreams.refused(2, Trouble::Unreachable, now);
    let mut all = firsts(&mut upstreams, "a", 3);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3], "all are down, and each is tried");
    upstreams.succeeded(0, None);
    assert_eq!(firsts(&mut upstreams, "a", 3), [1, 1, 1]);
}

#[test]
fn in_turn_each_that_is_well_is_asked_equally_often() {
    let (mut upstreams, now) = (
        upstreams(&[(".", &[1, 2, 3])], Policy::RoundRobin),
        Instant::now(),
    );
    upstreams.refused(1, Trouble::Unreachable, now);
    let asked = firsts(&mut upstreams, "a", 100);
    let count = |host| asked.iter().filter(|&&it| it == host).count();
    assert_eq!((count(1), count(2), count(3)), (50, 0, 50));
}

#[test]
fn the_fastest_is_asked_and_now_and_then_another() {
    let mut upstreams = upstreams(&[(".", &[1, 2, 3])], Policy::Fastest);
    for (upstream, milliseconds) in [(0, 20), (1, 2), (2, 30)] {
        upstreams.succeeded(upstream, Some(Duration::from_millis(milliseconds)));
    }
    let asked = firsts(&mut upstreams, "a", 1000);
    let count = |host| asked.iter().filter(|&&it| it == host).count();
    assert!(count(2) > 900 && count(1) > 5 && count(3) > 5, "{}", count(2));
}

#[test]
fn the_next_upstream_is_one_that_did_not_refuse_and_may_be_the_same() {
    let (mut upstreams, now) = (
        upstreams(&[(".", &[1, 2, 3])], Policy::Sequential),
        Instant::now(),
    );
    let after = |upstreams: &Upstreams, last, refused| upstreams.after(NameRef::ROOT, last, refused, 9);
    let mut refused = Set::default();
    assert_eq!(after(&upstreams, Some(2), refused), Some(0));
    refused.insert(0);
    assert_eq!(after(&upstreams, Some(2), refused), Some(1));
    refused.insert(1);
    assert_eq!(after(&upstreams, Some(2), refused), Some(2));
    refused.insert(2);
    assert_eq!(after(&upstreams, Some(2), refused), None);
    upstreams.refused(1, Trouble::Unreachable, now);
    assert_eq!(after(&upstreams, Some(0), Set::default()), Some(2), "one is down");
    refused = Set::default();
    refused.insert(0);
    refused.insert(2);
    assert_eq!(after(&upstreams, Some(0), refused), Some(1), "and the only one");
}

#[test]
fn an_upstream_that_hangs_leaves_room_for_others() {
    let routes: [(&str, &[u8]); 2] = [(".", &[1]), ("good", &[2])];
    let (mut upstreams, mut random) = (upstreams(&routes, Policy::Sequential), random());
    let name = |text: &str| text.parse::<Name>().unwrap();
    let mut waiting = 0;
    while upstreams
        .first(name("a").as_ref(), 1000 - waiting, &mut random)
        .is_ok()
    {
        upstreams.take(0, &mut random).unwrap();
        waiting += 1;
    }
    assert_eq!(waiting, 750);
    assert_eq!(
        upstreams.first(name("a").as_ref(), 250, &mut random),
        Err(Nobody::Overrun)
    );
    assert_eq!(
        upstreams.after(name("a").as_ref(), None, Set::default(), 250),
        None
    );
    assert_eq!(upstreams.first(name("a.good").as_ref(), 250, &mut random), Ok(1));
}

#[test]
fn streams_are_few_and_never_shared() {
    let mut upstreams = upstreams(&[(".", &[1, 2])], Policy::Sequential);
    let places: Vec<_> = (0..UPSTREAM_STREAMS_MAX)
        .map(|number| upstreams.take_stream(number as u8 % 2).unwrap())
        .collect();
    assert!(places.iter().all(|place| place.is_stream()));
    assert_eq!(upstreams.take_stream(0), None);
    upstreams.release(places[5]);
    assert!(upstreams.is_free(places[5]));
    assert_eq!(upstreams.take_stream(0), Some(places[5]));
}

#[test]
fn each_query_has_a_fresh_socket_until_all_places_are_taken() {
    let (mut upstreams, mut random) = (upstreams(&[(".", &[1, 2, 3])], Policy::Sequential), random());
    for _ in 0..UPSTREAM_SOCKETS_EACH_MAX {
        assert!(upstreams.take(1, &mut random).unwrap().1);
    }
    let (shared, fresh) = upstreams.take(1, &mut random).unwrap();
    assert!(!fresh && !upstreams.is_free(shared));
    upstreams.release(shared);
    assert!(!upstreams.is_free(shared));
    upstreams.release(shared);
    assert!(upstreams.is_free(shared));
    assert!(upstreams.take(1, &mut random).unwrap().1);
    assert!(upstreams.take(0, &mut random).unwrap().1, "others have theirs");
}

#[test]
fn every_upstream_gets_a_socket_however_many_there_are() {
    let hosts: Vec<u8> = (0..UPSTREAMS_IN_ALL_MAX as u8).collect();
    let routes: Vec<(String, &[u8])> = hosts
        .chunks(8)
        .enumerate()
        .map(|(number, hosts)| (format!("d{number}"), hosts))
        .collect();
    let routes: Vec<(&str, &[u8])> = routes
        .iter()
        .map(|(domain, hosts)| (domain.as_str(), *hosts))
        .collect();
    let (mut upstreams, mut random) = (upstreams(&routes, Policy::Sequential), random());
    for _ in 0..UPSTREAM_SOCKETS_MAX {
        for upstream in 0..hosts.len() as u8 {
            assert!(upstreams.take(upstream, &mut random).is_some());
        }
    }
}

#[test]
fn a_new_configuration_keeps_what_is_known_of_those_that_stay() {
    let (mut upstreams, now, mut random) = (
        upstreams(&[(".", &[1, 2])], Policy::Sequential),
        Instant::now(),
        random(),
    );
    upstreams.refused(0, Trouble::Unreachable, now);
    let (of_first, _) = upstreams.take(0, &mut random).unwrap();
    let (of_second, _) = upstreams.take(1, &mut random).unwrap();
    upstreams.set(&config(&[("corp", &[3]), (".", &[1])], Policy::Sequential));
    assert_eq!(firsts(&mut upstreams, "a", 2), [1, 1]);
    assert!(!upstreams.is_well(0), "still down, though there is no other");
    assert_eq!(firsts(&mut upstreams, "a.corp", 1), [3]);
    assert_eq!(
        (upstreams.owner(of_first), upstreams.owner(of_second)),
        (Some(0), None)
    );
    assert!(
        !upstreams.is_free(of_second),
        "what waits there may still be answered"
    );
    upstreams.release(of_second);
    assert!(upstreams.is_free(of_second));
    let (of_third, fresh) = upstreams.take(1, &mut random).unwrap();
    assert!(fresh, "no socket of a former upstream is shared");
    assert_eq!(upstreams.owner(of_third), Some(1));
}
