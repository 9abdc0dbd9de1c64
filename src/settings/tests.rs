use std::ffi::OsString;

use dataplane::cache::Rules;
use dataplane::forward::Route;
use dataplane::limits::{LISTENERS_MAX, ROUTES_MAX, UPSTREAMS_MAX};

use super::*;
use crate::cli::{self, Asked};
use crate::report;

fn settings(line: &str) -> Result<Settings, Failure> {
    match cli::read(line.split_whitespace().map(OsString::from))? {
        Asked::Run(cli) => from(&cli),
        other => panic!("{line}: {other:?}"),
    }
}

/// The sentence that `line` ends with, and that it is a usage error.
fn check(line: &str, expected: &str) {
    match settings(line) {
        Err(Failure::Usage(sentence)) => assert!(sentence.starts_with(expected), "{line}: {sentence}"),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_cache_is_as_it_was_asked_for() {
    let caching = settings("--cores 1").unwrap().caching;
    assert_eq!((caching.octets, caching.rules), (32 << 20, Rules::default()));
    let line = "--cores 1 --cache-size 64 --cache-max-ttl 3600 --cache-min-ttl 5 --serve-stale 86400 \
                --serve-stale-client-timeout 500 --rebind-protection --rebind-allow Corp.Example,lan --fallthrough docker";
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| name.parse().unwrap())
            .collect::<Vec<Name>>()
    };
    let rules = Rules {
        max_ttl: 3600,
        min_ttl: 5,
        stale_seconds: 86_400,
        stale_patience: std::time::Duration::from_millis(500),
        rebind_protection: true,
        rebind_allow: names(&["corp.example", "lan"]),
    };
    let caching = settings(line).unwrap().caching;
    assert_eq!((caching.octets, caching.rules), (64 << 20, rules));
    assert_eq!(caching.fallthrough, names(&["docker"]));
    assert_eq!(settings("--cache-size 0").unwrap().caching.octets, 0);
}

#[test]
fn a_cache_that_cannot_be_is_refused_with_the_remedy() {
    check(
        "--cores 1 --cache-size lots",
        "--cache-size \"lots\": give mebibytes: for one core from 1 to 32768, or 0 for no cache",
    );
    check("--cache-size -1", "--cache-size \"-1\": give mebibytes");
    check(
        "--cache-max-ttl 0",
        "--cache-max-ttl \"0\": give whole seconds from 1 to 604800",
    );
    check(
        "--cache-min-ttl 3601",
        "--cache-min-ttl \"3601\": give whole seconds from 0 to 3600",
    );
    check(
        "--cache-min-ttl 60 --cache-max-ttl 30",
        "--cache-min-ttl \"60\": no answer can be kept as long",
    );
    check(
        "--serve-stale 259201",
        "--serve-stale \"259201\": give whole seconds from 0 to 259200",
    );
    check(
        "--serve-stale-client-timeout 2501",
        "--serve-stale-client-timeout \"2501\": give whole milliseconds from 0 to 2500",
    );
    check("--rebind-allow a..b", "--rebind-allow \"a..b\": ");
    check(
        "--fallthrough example.org",
        "--fallthrough \"example.org\": lies in no domain of ours",
    );
}

#[test]
fn no_flags_are_enough() {
    let settings = settings("").unwrap();
    assert_eq!(settings.zones, ["docker".parse().unwrap()]);
    assert_eq!((settings.environment.as_str(), settings.ttl_seconds), ("dev", 30));
    assert!(!settings.region.is_empty() && !settings.region.contains('.'));
    assert!(!settings.cores.is_empty() && settings.notes.is_empty() && !settings.http.is_given);
}

#[test]
fn several_domains_are_several_zones() {
    let zones = settings("--domain docker,Corp.Example. --domain docker")
        .unwrap()
        .zones;
    assert_eq!(
        zones,
        ["docker".parse().unwrap(), "corp.example".parse().unwrap()]
    );
}

#[test]
fn a_domain_inside_another_is_refused_either_way_round() {
    check(
        "--domain corp,dev.corp",
        "--domain \"dev.corp\": overlaps with corp",
    );
    check(
        "--domain dev.corp,corp",
        "--domain \"corp\": overlaps with dev.corp",
    );
    assert!(settings("--domain corp,xcorp").is_ok());
}

#[test]
fn a_domain_that_no_pasted_line_could_hold_is_refused() {
    for domain in ["a\\032b", "it's", "b\u{fc}cher", "a$b", "a;b"] {
        check(
            &format!("--domain {domain}"),
            &format!("--domain {domain:?}: resolvers and shells"),
        );
    }
    assert!(settings("--domain _corp-1.Example").is_ok());
}

#[test]
fn a_label_with_dots_is_told_what_it_becomes() {
    let settings = settings("--environment Prod.1 --region eu.west").unwrap();
    assert_eq!(
        (settings.environment.as_str(), settings.region.as_str()),
        ("prod-1", "eu-west")
    );
    assert_eq!(
        settings.notes,
        [
            "--environment \"Prod.1\" is no DNS label; ask for \"prod-1\"",
            "--region \"eu.west\" is no DNS label; ask for \"eu-west\"",
        ]
    );
}

#[test]
fn an_address_that_is_listened_on_already_is_refused() {
    check(
        "--listen 0.0.0.0:5391,127.0.0.1:5391",
        "--listen \"127.0.0.1:5391\": 0.0.0.0:5391 covers it already",
    );
    check(
        "--listen [::1]:53 --listen [::]",
        "--listen \"[::1]:53\": [::]:53 covers it already",
    );
    check(
        "--listen 127.0.0.1,127.0.0.1:53",
        "--listen \"127.0.0.1:53\": was given twice; give it once",
    );
    // The IPv6 wildcard is for IPv6 alone.
    assert!(settings("--listen 0.0.0.0:5391,[::]:5391,127.0.0.1:5392").is_ok());
}

#[test]
fn more_addresses_than_there_is_room_for_are_refused() {
    let list = |count: usize| {
        let addresses: Vec<_> = (1..=count).map(|last| format!("127.0.1.{last}")).collect();
        addresses.join(",")
    };
    assert!(settings(&format!("--nameserver {}", list(UPSTREAMS_MAX))).is_ok());
    assert!(settings(&format!("--listen {}", list(LISTENERS_MAX))).is_ok());
    check(
        &format!("--nameserver {}", list(9)),
        "--nameserver \"127.0.1.9\": of 9 that were given there is room for 8",
    );
    check(
        &format!("--listen {}", list(65)),
        "--listen \"127.0.1.65\": of 65 that were given there is room for 64",
    );
}

#[test]
fn a_domain_may_have_servers_of_its_own_or_none() {
    let routes = |line: &str| {
        let routes = settings(line).unwrap().upstreams.routes;
        let shown = |route: &Route| format!("{}={}", route.domain, report::join(&route.upstreams));
        routes.iter().map(shown).collect::<Vec<_>>()
    };
    let expected = [
        "corp.example=10.0.0.2:53, [::1]:5300",
        "lan=192.168.1.1:53",
        "gone.lan=",
    ];
    assert_eq!(
        routes(
            "--forward Corp.Example=10.0.0.2,[::1]:5300 --forward lan=192.168.1.1 --forward gone.lan=none"
        ),
        expected
    );
    assert_eq!(
        routes("--forward corp.example=10.0.0.2,[::1]:5300,lan=192.168.1.1,gone.lan=none"),
        expected,
        "as it is written in the environment"
    );
    assert_eq!(routes("--forward corp.local=10.0.0.2").len(), 1);
}

#[test]
fn a_route_that_cannot_be_is_refused() {
    for (route, remedy) in [
        ("corp.example", "names no domain"),
        ("10.0.0.2", "names no domain"),
        ("corp.example=", "no IP address"),
        ("corp.example=dns.example", "no IP address"),
        ("corp.example=10.0.0.2,10.0.0.2", "was given twice"),
        ("corp.example=10.0.0.2:0", "nobody can be asked on port 0"),
        ("a..b=10.0.0.2", ""),
        (".=10.0.0.2", "the root is everything"),
        ("web.docker=10.0.0.2", "lies in docker"),
        ("localhost=10.0.0.2", "means this host"),
        ("a=10.0.0.2,b=10.0.0.3,A=10.0.0.4", "a was given before"),
    ] {
        let Err(Failure::Usage(sentence)) = settings(&format!("--forward {route}")) else {
            panic!("{route} was taken");
        };
        assert!(
            sentence.starts_with("--forward \"") && sentence.contains(remedy),
            "{route}: {sentence}"
        );
    }
    let many: Vec<_> = (0..=ROUTES_MAX)
        .map(|number| format!("d{number}=10.0.0.2"))
        .collect();
    check(
        &format!("--forward {}", many.join(",")),
        &format!("--forward \"{}\": there is room for 64", many.join(",")),
    );
    check("--policy random", "--policy \"random\": no such policy");
}

#[test]
fn a_port_that_is_none_is_named_as_what_is_wrong() {
    check(
        "--listen 127.0.0.1:99999",
        "--listen \"127.0.0.1:99999\": its port",
    );
    check("--listen [::1]:dns", "--listen \"[::1]:dns\": its port");
    check(
        "--nameserver 8.8.8.8:0",
        "--nameserver \"8.8.8.8:0\": nobody can be asked on port 0",
    );
    check("--http 127.0.0.1:99999", "--http \"127.0.0.1:99999\": its port");
}

#[test]
fn what_is_no_domain_is_refused() {
    check("--domain .", "--domain \".\": the root is not ours");
    check("--domain a..b", "--domain \"a..b\": ");
    check(
        "--domain=",
        "--domain \"\": an empty domain holds no names; give one",
    );
}

#[test]
fn a_ttl_is_seconds_up_to_a_week() {
    assert_eq!(settings("--ttl 0").unwrap().ttl_seconds, 0);
    assert_eq!(settings("--ttl 604800").unwrap().ttl_seconds, 604_800);
    for bad in ["604801", "-5", "30s", "4294967296"] {
        check(
            &format!("--ttl {bad}"),
            &format!("--ttl {bad:?}: give whole seconds from 0 to 604800"),
        );
    }
}

#[test]
fn who_may_ask_is_as_told_and_always_this_host() {
    let shown = |line: &str| report::join(&settings(line).unwrap().allow);
    assert_eq!(
        shown("--allow 203.0.113.0/24,2001:db8::7"),
        "203.0.113.0/24, 2001:db8::7/128, 127.0.0.0/8, ::1/128"
    );
    assert!(shown("").contains("192.168.0.0/16"));
}

#[test]
fn labels_that_questions_use_for_every_one_are_refused() {
    check(
        "--environment any",
        "--environment \"any\": questions use this word",
    );
    check("--region *", "--region \"*\": questions use this word");
    check("--environment=", "--environment \"\": an empty label");
    check(&format!("--region {}", "r".repeat(64)), "--region ");
}

#[test]
fn addresses_and_networks_that_are_none_are_refused() {
    check("--listen localhost", "--listen \"localhost\": no IP address");
    check(
        "--nameserver 9.9.9.9,dns.example",
        "--nameserver \"dns.example\": no IP address",
    );
    check(
        "--http 127.0.0.1",
        "--http \"127.0.0.1\": no IP address with a port",
    );
    check("--allow private", "--allow \"private\": no network");
    check("--engine uring", "--engine \"uring\": no such engine");
    check("--cores none", "--cores \"none\": ");
    check("--spread cpu", "--spread \"cpu\": give hash or core");
    check("--rate-limit -1", "--rate-limit \"-1\": give replies a second");
    check("--rate-limit 1000001", "--rate-limit \"1000001\": give replies");
    check(&format!("--nsid {}", "n".repeat(64)), "--nsid ");
    check(
        "--private-reverse no",
        "--private-reverse \"no\": give answer or forward",
    );
    check("-s=", "--docker \"\": names no engine");
    check("--only =x", "--only \"=x\": names no label");
    check("--label-prefix=", "--label-prefix \"\": ");
    check(
        "--published-address host",
        "--published-address \"host\": no IP address",
    );
}

#[test]
fn plugins_are_files_in_order() {
    let files = settings("-plugins /a.js,/b.js --plugins /c.js").unwrap().plugins;
    assert_eq!(files, ["/a.js", "/b.js", "/c.js"].map(PathBuf::from));
    check("--plugins=", "--plugins \"\": names no file");
}

#[test]
fn flags_of_old_command_lines_that_do_nothing_say_so() {
    let line = "-skydns http://h -name skydns -workers 3 -beat 20";
    let notes = settings(line).unwrap().notes;
    assert_eq!(notes.len(), 4);
    for (flag, note) in ["-skydns ", "-name ", "-workers ", "-beat "].iter().zip(&notes) {
        assert!(note.starts_with(flag), "{note}");
    }
}
