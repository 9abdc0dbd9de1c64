//! Aliases of ours that lead to names which are not: what clients get whose question is completed by others.

mod support;

use std::time::Instant;

use dataplane::cache::{Rules, Settings};
use dataplane::forward::{Config, Route};
use dataplane::limits::TRY_TIMEOUT;
use dns::Name;
use support::dig::{Reply, dig};
use support::plane::{World, all_to, on_each_engine};
use support::ports;
use support::resolver::{Over, Resolver, name, reply};

const NX_DOMAIN: u8 = 3;

fn well(_: Over, question: &[u8]) -> Vec<Vec<u8>> {
    vec![reply(question, 0, 2)]
}

fn names_asked(resolver: &Resolver) -> Vec<String> {
    resolver
        .asked()
        .iter()
        .map(|(_, question)| name(question))
        .collect()
}

/// Each record of the answer as `owner TYPE data`, in order.
fn answers(reply: &Reply) -> Vec<String> {
    let records = reply.answer.iter();
    records
        .map(|record| format!("{} {} {}", record.owner, record.rtype, record.data))
        .collect()
}

/// One chain, one link or more long, and what `db.example.com` has.
fn completed(links: &[&str]) -> Vec<String> {
    let records = ["db.example.com A 192.0.2.0", "db.example.com A 192.0.2.1"];
    links
        .iter()
        .chain(&records)
        .map(|&record| record.to_owned())
        .collect()
}

/// The answers with addresses sorted, whose order is any.
fn sorted(reply: &Reply) -> Vec<String> {
    let mut answers = answers(reply);
    let links = answers.iter().filter(|record| record.contains(" CNAME ")).count();
    let mut addresses = answers.split_off(links);
    addresses.sort();
    answers.extend(addresses);
    answers
}

#[test]
fn an_alias_that_leads_out_of_our_names_is_completed_by_an_upstream_over_udp_and_tcp() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(well);
        let world = World::start(engine, all_to(&[&resolver]));
        for how in ["", "+tcp", "+noedns", "+dnssec"] {
            let reply = dig(world.address, &format!("DB.docker A {how}"));
            assert_eq!(reply.status, "NOERROR");
            assert_eq!(reply.flags, ["qr", "aa", "rd", "ra"], "the first owner is ours");
            assert_eq!(
                sorted(&reply),
                completed(&["DB.docker CNAME db.example.com."]),
                "{how}"
            );
            let reply = dig(world.address, &format!("near.docker A {how}"));
            let links = ["near.docker CNAME db.docker.", "db.docker CNAME db.example.com."];
            assert_eq!(sorted(&reply), completed(&links), "{how}");
        }
        assert_eq!(names_asked(&resolver), vec!["db.example.com"; 8]);
        // Who wants no recursion, or the alias itself, is told by us alone.
        for question in ["db.docker A +norecurse", "db.docker CNAME"] {
            assert_eq!(
                answers(&dig(world.address, question)),
                ["db.docker CNAME db.example.com."]
            );
        }
        assert_eq!(resolver.asked().len(), 8);
    });
}

#[test]
fn what_an_alias_leads_to_is_kept_like_any_foreign_name_and_told_behind_every_alias_of_it() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(well);
        let settings = Settings {
            octets: 2 << 20,
            rules: Rules::default(),
        };
        let world = World::keeping(engine, all_to(&[&resolver]), settings);
        let direct = dig(world.address, "db.example.com A");
        for _ in 0..3 {
            let reply = dig(world.address, "db.docker A");
            assert_eq!(sorted(&reply), completed(&["db.docker CNAME db.example.com."]));
            let reply = dig(world.address, "near.docker A");
            let links = ["near.docker CNAME db.docker.", "db.docker CNAME db.example.com."];
            assert_eq!(sorted(&reply), completed(&links));
            assert!(reply.answer[2].ttl <= direct.answer[0].ttl);
        }
        assert_eq!(resolver.asked().len(), 1, "{engine:?}");
        assert_eq!(world.totals().cache_hits, 6);
    });
}

// RFC 6604, section 3: the response code is that of the last name.
#[test]
fn an_alias_of_a_name_that_does_not_exist_or_cannot_be_asked_for_says_so_behind_the_alias() {
    let gone = Resolver::start(|_, question| vec![reply(question, NX_DOMAIN, 0)]);
    let nobody = ports::free();
    let nowhere = Config {
        routes: vec![Route {
            domain: Name::root(),
            upstreams: Vec::new(),
        }],
        ..Config::default()
    };
    let elsewhere = Config {
        routes: vec![Route {
            domain: "other.example".parse().expect("a name"),
            upstreams: vec![nobody.into()],
        }],
        ..Config::default()
    };
    let start = Instant::now();
    for (upstreams, status) in [
        (all_to(&[&gone]), "NXDOMAIN"),
        (Config::all_to(vec![nobody]), "SERVFAIL"),
        // Nobody is to be asked about it: the client sees where it leads.
        (elsewhere, "NOERROR"),
    ] {
        on_each_engine(|engine| {
            let world = World::start(engine, upstreams.clone());
            let reply = dig(world.address, "db.docker A");
            assert_eq!(reply.status, status, "{engine:?}");
            assert_eq!(answers(&reply), ["db.docker CNAME db.example.com."], "{status}");
            world.assert_local_names_work();
        });
    }
    assert!(start.elapsed() < 4 * TRY_TIMEOUT, "each is told at once");
    on_each_engine(|engine| {
        // Without anybody to ask at all there is no recursion, and nothing to complete.
        let world = World::start(engine, nowhere.clone());
        assert_eq!(dig(world.address, "db.docker A").status, "NOERROR");
    });
}

#[test]
fn an_answer_that_leads_back_into_our_names_ends_there() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|_, question| {
            let target = match name(question).as_str() {
                "round.example.com" => b"\x05round\x06docker\x00".as_slice(),
                _ => b"\x03web\x06docker\x00",
            };
            let mut reply = reply(question, 0, 0);
            reply[7] = 1;
            reply.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0]);
            reply.push(u8::try_from(target.len()).expect("a short name"));
            reply.extend(target);
            vec![reply]
        });
        let world = World::start(engine, all_to(&[&resolver]));
        let round = dig(world.address, "round.docker A");
        assert_eq!(
            answers(&round),
            [
                "round.docker CNAME round.example.com.",
                "round.example.com CNAME round.docker."
            ]
        );
        let into = dig(world.address, "into.docker A");
        assert_eq!(
            answers(&into),
            [
                "into.docker CNAME into.example.com.",
                "into.example.com CNAME web.docker."
            ]
        );
        assert_eq!(resolver.asked().len(), 2, "nothing goes round");
    });
}

#[test]
fn an_answer_that_does_not_fit_behind_the_alias_is_cut_whole_and_comes_over_tcp() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|_, question| vec![reply(question, 0, 30)]);
        let world = World::start(engine, all_to(&[&resolver]));
        let cut = dig(world.address, "db.docker A +noedns +ignore");
        assert!(cut.has("tc") && cut.answer.is_empty(), "{cut:?}");
        let whole = dig(world.address, "db.docker A +tcp");
        assert_eq!(whole.answer.len(), 31);
    });
}

#[test]
fn direct_and_aliased_questions_about_one_name_are_one_for_the_upstream() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|over, question| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            well(over, question)
        });
        let world = World::start(engine, all_to(&[&resolver]));
        let address = world.address;
        let asking = ["db.docker A", "near.docker A", "db.example.com A", "db.docker A"]
            .map(|question| std::thread::spawn(move || dig(address, &format!("{question} +time=5"))));
        let counts = asking.map(|reply| reply.join().expect("dig runs").answer.len());
        assert_eq!(counts, [3, 4, 2, 3]);
        assert_eq!(resolver.asked().len(), 1, "{engine:?}");
    });
}
