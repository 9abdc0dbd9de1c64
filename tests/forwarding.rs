//! What becomes of foreign names, with real sockets on both engines: upstreams that are well, dead, silent, old-fashioned
//! or malicious.

mod support;

use std::time::{Duration, Instant};

use dataplane::forward::{Config, Policy, Route};
use dataplane::limits::{FORWARD_TIMEOUT, TRY_TIMEOUT};
use support::plane::{Reply, World, all_to, on_each_engine};
use support::resolver::{Over, Resolver, name, question_end, reply};
use support::stream::Stream;
use support::{SOON, eventually, expect, ports, raw};

const A: u16 = 1;
const SERV_FAIL: u8 = 2;
const NX_DOMAIN: u8 = 3;
const REFUSED: u8 = 5;

fn well(_: Over, question: &[u8]) -> Vec<Vec<u8>> {
    vec![reply(question, 0, 1)]
}

#[test]
fn fifty_equal_questions_at_once_are_one_for_the_upstream_and_fifty_answers() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|over, question| {
            std::thread::sleep(Duration::from_millis(300));
            well(over, question)
        });
        let world = World::start(engine, all_to(&[&resolver]));
        let clients: Vec<_> = (0..50).map(|_| raw::Asker::of(world.address)).collect();
        let mut packets = Vec::new();
        for (id, client) in (100..).zip(&clients) {
            let mut packet = raw::query(id, "equal.example", A);
            if id % 2 == 0 {
                packet[13..18].make_ascii_uppercase();
            }
            client.send(&packet);
            packets.push(packet);
        }
        for (client, packet) in clients.iter().zip(&packets) {
            let reply = eventually("an answer", SOON, || client.receive().ok_or("silence".to_owned()));
            assert_eq!(reply[..2], packet[..2], "its own id");
            assert_eq!(reply[12..packet.len()], packet[12..], "its own spelling");
            assert_eq!(Reply(reply).addresses(), 1);
        }
        assert_eq!(resolver.asked().len(), 1, "{engine:?}");
    });
}

#[test]
fn what_is_asked_is_our_own_message_and_the_clients_options_stay_here() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(well);
        let world = World::start(engine, all_to(&[&resolver]));
        // A subnet (RFC 7871), a cookie (RFC 7873) and a request for NSID; 4096 octets, DO.
        let options = [
            [0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100].as_slice(),
            &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0, 3, 0, 0],
        ]
        .concat();
        let mut packet = raw::query(7, "private.example", A);
        packet[11] = 1;
        packet.extend([0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0]);
        packet.push(u8::try_from(options.len()).expect("few"));
        packet.extend(options);
        let answer = world.ask_with(&packet);
        let (_, asked) = resolver.asked().remove(0);
        assert_eq!(
            asked[question_end(&asked)..],
            [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]
        );
        assert!(
            asked[12..]
                .to_ascii_lowercase()
                .starts_with(b"\x07private\x07example\x00")
        );
        // The record, our OPT, and in it the client's cookie with one of ours behind it.
        assert_eq!(answer.addresses(), 1);
        let opt = &answer.opt()[16..];
        assert_eq!(opt[..11], [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 28]);
        assert_eq!(opt[11..23], [0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(opt.len(), 11 + 4 + 24);
        // Whoever does not speak EDNS is not spoken to in it.
        assert_eq!(world.ask("plain.example").opt().len(), 16);
    });
}

#[test]
fn nobody_at_a_port_is_the_next_upstream_or_servfail_at_once() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(well);
        let nobody = ports::free();
        let world = World::start(engine, Config::all_to(vec![nobody, resolver.address()]));
        let start = Instant::now();
        assert_eq!(world.ask("first.example").addresses(), 1);
        let world = World::start(engine, Config::all_to(vec![nobody]));
        assert_eq!(world.ask("second.example").rcode(), SERV_FAIL);
        assert!(start.elapsed() < TRY_TIMEOUT, "{engine:?}: {:?}", start.elapsed());
    });
}

#[test]
fn silence_is_servfail_while_the_client_still_waits_for_it() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|_, _| Vec::new());
        let world = World::start(engine, all_to(&[&resolver]));
        let start = Instant::now();
        assert_eq!(world.ask("silent.example").rcode(), SERV_FAIL);
        // Stub resolvers wait for five seconds.
        let waited = start.elapsed();
        assert!(
            waited >= FORWARD_TIMEOUT && waited < Duration::from_secs(5),
            "{waited:?}"
        );
        let asked = resolver.asked();
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|(_, question)| question[..2] != [0, 7]));
    });
}

#[test]
fn a_cut_reply_is_asked_for_over_tcp_and_handed_on_whole_to_whoever_takes_it() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|over, question| {
            let records = if name(question).starts_with("big") {
                100
            } else {
                20
            };
            let mut reply = reply(question, 0, records);
            if over == Over::Udp {
                reply[2] |= 2;
                reply.truncate(question_end(question) + 5);
            }
            vec![reply]
        });
        let world = World::start(engine, all_to(&[&resolver]));
        let small = world.ask("small.example");
        assert_eq!((small.addresses(), small.is_cut()), (20, false));
        let big = world.ask("big.example");
        assert_eq!((big.addresses(), big.is_cut(), big.rcode()), (0, true, 0));
        let big = Stream::to(world.address).ask(&raw::query(7, "big.example", A));
        assert_eq!(Reply(big.expect("an answer")).addresses(), 100);
        assert!(resolver.asked().iter().any(|(over, _)| *over == Over::Tcp));
        assert!(world.totals().forward_streams >= 2, "{engine:?}");
    });
}

#[test]
fn an_upstream_whose_tcp_does_not_work_gives_way_to_the_next() {
    on_each_engine(|engine| {
        let cut = |over: Over, question: &[u8]| {
            let mut reply = reply(question, 0, 0);
            reply[2] |= 2;
            // Over TCP not a word.
            if over == Over::Udp {
                vec![reply]
            } else {
                Vec::new()
            }
        };
        let (first, second) = (Resolver::start(cut), Resolver::start(well));
        let world = World::start(engine, all_to(&[&first, &second]));
        assert_eq!(world.ask("cut.example").addresses(), 1);
    });
}

#[test]
fn the_names_of_a_domain_go_to_its_own_upstreams() {
    on_each_engine(|engine| {
        let [rest, corp, lan] = [1, 2, 3]
            .map(|addresses| Resolver::start(move |_, question| vec![reply(question, 0, addresses)]));
        let route = |domain: &str, upstreams: &[&Resolver]| Route {
            domain: domain.parse().expect("a name"),
            upstreams: upstreams
                .iter()
                .map(|resolver| resolver.address().into())
                .collect(),
        };
        let routes = vec![
            route(".", &[&rest]),
            route("corp.example", &[&corp]),
            route("lan.corp.example", &[&lan]),
            route("gone.corp.example", &[]),
            route("office.local", &[&lan]),
        ];
        let policy = Policy::Sequential;
        let world = World::start(engine, Config { routes, policy });
        for (name, addresses) in [
            ("example", 1),
            ("xcorp.example", 1),
            ("corp.example", 2),
            ("a.b.CORP.example", 2),
            ("a.lan.corp.example", 3),
            ("printer.office.local", 3),
        ] {
            assert_eq!(world.ask(name).addresses(), addresses, "{name}");
        }
        assert_eq!(world.ask("a.gone.corp.example").rcode(), NX_DOMAIN);
        assert_eq!(world.ask("printer.local").rcode(), NX_DOMAIN);
        // Without a route for the rest it is refused.
        let routes = vec![route("corp.example", &[&corp])];
        let world = World::start(engine, Config { routes, policy });
        assert_eq!(world.ask("other.example").rcode(), REFUSED);
        assert_eq!(world.ask("b.corp.example").addresses(), 2);
    });
}

#[test]
fn an_upstream_that_dies_is_passed_over_and_found_back() {
    on_each_engine(|engine| {
        let [first, second] =
            [1, 2].map(|addresses| move |_: Over, question: &[u8]| vec![reply(question, 0, addresses)]);
        let (preferred, spare) = (Resolver::start(first), Resolver::start(second));
        let address = preferred.address();
        let world = World::start(engine, all_to(&[&preferred, &spare]));
        let mut number = 0;
        let mut ask = || {
            number += 1;
            world.ask(&format!("name{number}.example")).addresses()
        };
        assert_eq!(ask(), 1);
        drop(preferred);
        for _ in 0..5 {
            assert_eq!(ask(), 2);
        }
        let preferred = Resolver::at(address, first);
        eventually("the preferred upstream again", SOON, || {
            expect(|addresses| *addresses == 1, ask())
        });
        assert!(!preferred.asked().is_empty());
    });
}

#[test]
fn three_thousand_names_that_hang_hold_up_neither_ours_nor_those_of_another_upstream() {
    on_each_engine(|engine| {
        let (silent, good) = (Resolver::start(|_, _| Vec::new()), Resolver::start(well));
        let route = |domain: &str, upstream: &Resolver| Route {
            domain: domain.parse().expect("a name"),
            upstreams: vec![upstream.address().into()],
        };
        let routes = vec![route(".", &silent), route("good.example", &good)];
        let policy = Policy::Sequential;
        let world = World::start(engine, Config { routes, policy });
        let client = raw::Asker::of(world.address);
        for number in 0..3000_u16 {
            client.send(&raw::query(number, &format!("hang{number}.example"), A));
            // Loopback drops what a receive queue has no room for.
            if number % 100 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        for number in 0..20 {
            world.assert_local_names_work();
            assert_eq!(world.ask(&format!("a{number}.good.example")).addresses(), 1);
        }
        let answered = || {
            let totals = world.totals();
            expect(
                |answered| *answered == totals.queries,
                totals.replies().map(|(_, count)| count).sum::<u64>(),
            )
        };
        eventually("an answer to each", SOON, answered);
    });
}

// RFC 6891, section 7; "fwd_no_edns" of Unbound's tests.
#[test]
fn an_upstream_without_edns_is_asked_once_more_without() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|_, question| match question[11] {
            0 => vec![reply(question, 0, 1)],
            _ => vec![reply(question, 1, 0)],
        });
        let world = World::start(engine, all_to(&[&resolver]));
        assert_eq!(world.ask("old.example").addresses(), 1);
        assert_eq!(world.ask("older.example").addresses(), 1);
        let with_opt: Vec<_> = resolver
            .asked()
            .iter()
            .map(|(_, question)| question[11])
            .collect();
        assert_eq!(with_opt, [1, 0, 0], "it is remembered");
    });
}

// "fwd_zero" and "fwd_malformed" of Unbound's tests; CVE-2023-28452.
#[test]
fn what_is_no_reply_is_passed_over_and_the_reply_behind_it_counts() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|_, question| {
            let right = reply(question, 0, 1);
            let end = question_end(question);
            let changed = |at: usize, to: u8| {
                let mut reply = right.clone();
                reply[at] = to;
                reply
            };
            vec![
                Vec::new(),
                vec![0],
                b"garbage that is longer than a header".to_vec(),
                right[..end].to_vec(),
                right[..right.len() - 1].to_vec(),
                // A query; another question; a record too few; an owner that points at itself, and past the end.
                changed(2, 1),
                changed(end - 3, 28),
                changed(7, 2),
                changed(end + 1, u8::try_from(end).expect("a short name")),
                changed(end, 0xff),
                vec![0xff; 4096],
                right,
            ]
        });
        let world = World::start(engine, all_to(&[&resolver]));
        assert_eq!(world.ask("malformed.example").addresses(), 1);
        assert_eq!(world.ask("again.example").addresses(), 1);
        assert_eq!(resolver.asked().len(), 2, "and nothing was asked twice");
        assert_eq!(world.totals().forward_mismatches, 22);
    });
}

// "fwd_three" of Unbound's tests, and one more.
#[test]
fn errors_and_silence_of_some_upstreams_are_not_the_last_word() {
    on_each_engine(|engine| {
        let failing = Resolver::start(|_, question| vec![reply(question, SERV_FAIL, 0)]);
        let refusing = Resolver::start(|_, question| vec![reply(question, REFUSED, 0)]);
        let silent = Resolver::start(|_, _| Vec::new());
        let good = Resolver::start(well);
        let world = World::start(engine, all_to(&[&failing, &refusing, &silent, &good]));
        assert_eq!(world.ask("three.example").addresses(), 1);
        let world = World::start(engine, all_to(&[&failing, &refusing]));
        let mut packet = raw::query(7, "none.example", A);
        packet[11] = 1;
        packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        let answer = world.ask_with(&packet);
        assert_eq!(answer.rcode(), REFUSED, "the last that was said");
        assert_eq!(answer.opt()[11..], [0, 15, 0, 2, 0, 22]);
    });
}

#[test]
fn an_upstream_that_writes_names_in_small_letters_is_understood() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|_, question| {
            let mut reply = reply(question, 0, 1);
            let end = question_end(question) - 4;
            reply[12..end].make_ascii_lowercase();
            vec![reply]
        });
        let world = World::start(engine, all_to(&[&resolver]));
        for number in 0..10 {
            assert_eq!(world.ask(&format!("Mangled{number}.Example")).addresses(), 1);
        }
        let asked = resolver.asked().len();
        assert!(
            asked <= 13,
            "{asked}: once that is known each name is asked for once"
        );
    });
}
