//! The scripts in `tests/scripts`, asked of the pure line and of real workers behind real sockets.

mod support;

use std::net::{IpAddr, Ipv4Addr};

use dataplane::Engine;
use dataplane::access::{Access, default_networks};
use dataplane::forward;
use dataplane::respond::{Client, Message, Outcome, Policy, Transport, respond};
use support::raw::Asker;
use support::script::{Answer, Case, Script};
use support::served::Served;
use support::skip;
use support::stream::Stream;
use support::upstream::Upstream;

/// Runs every script; `ask` is made anew for each.
fn check_all<A: FnMut(&Case) -> Answer>(mut asker: impl FnMut(&Script) -> A) {
    let mut wrong = Vec::new();
    let mut asked = 0;
    for script in Script::all().values() {
        let (found, queries) = script.run(asker(script));
        wrong.extend(found);
        asked += queries;
    }
    assert!(
        wrong.is_empty(),
        "{} of {asked} queries were not answered as they should:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(asked > 0);
}

/// `respond` alone: no socket.
fn pure(script: &Script) -> impl FnMut(&Case) -> Answer + use<> {
    let mut answer = pure_over(script);
    move |case| {
        let transport = if case.is_tcp {
            Transport::Tcp
        } else {
            Transport::Udp
        };
        answer(case, transport)
    }
}

/// `respond` alone, for whatever transport.
fn pure_over(script: &Script) -> impl FnMut(&Case, Transport) -> Answer + use<> {
    let snapshot = script.snapshot();
    let policy = Policy {
        cookies: Some(dns::wire::CookieJar::new([0; 16])),
        ..Policy::new(true, Access::of(default_networks()))
    };
    move |case, transport| {
        let address = case.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        // What was in the buffer before must not come out of it.
        let mut buffer = vec![0xee; 65_535];
        let room = buffer.get_mut(..case.query.len());
        room.expect("a query of a script is short")
            .copy_from_slice(&case.query);
        let mut message = Message::new(&mut buffer, case.query.len());
        match respond(&snapshot, &policy, Client { address, transport }, &mut message) {
            Outcome::Reply { length, .. } => {
                buffer.truncate(length);
                Answer::Reply(buffer)
            }
            Outcome::Forward | Outcome::Follow => Answer::Forward,
            Outcome::Drop => Answer::Silence,
        }
    }
}

/// A worker on a loopback port, with an upstream behind it.
struct World {
    served: Served,
    upstream: Upstream,
    asker: Asker,
}

impl World {
    fn start(script: &Script, engine: Engine) -> Self {
        let upstream = Upstream::start();
        let served = Served::start(engine, script.snapshot(), |config| {
            config.upstreams = forward::Config::all_to(vec![upstream.address()]);
        });
        Self {
            asker: Asker::of(served.address()),
            served,
            upstream,
        }
    }

    fn ask(&self, case: &Case) -> Answer {
        let asked = self.upstream.asked();
        let reply = if case.expects_silence() {
            // What comes first is the reply to the second packet, unless there is one to the first.
            let marker = support::raw::query(0xffff, "marker.docker", 1);
            self.asker.send(&case.query);
            let reply = self.asker.ask(&marker).expect("the marker is answered");
            if reply.get(..2) == marker.get(..2) {
                return Answer::Silence;
            }
            Some(reply)
        } else {
            self.asker.ask(&case.query)
        };
        match reply {
            _ if self.upstream.asked() > asked => Answer::Forward,
            Some(reply) => Answer::Reply(reply),
            None => Answer::Silence,
        }
    }
}

impl World {
    /// Asks by a connection of its own. Silence is its end.
    fn ask_over_tcp(&self, case: &Case) -> Answer {
        let asked = self.upstream.asked();
        let reply = Stream::to(self.served.address()).ask(&case.query);
        match reply {
            _ if self.upstream.asked() > asked => Answer::Forward,
            Some(reply) => Answer::Reply(reply),
            None => Answer::Silence,
        }
    }
}

/// A worker behind a connection, which is asked everything over TCP. Where that makes a difference and the script asks
/// over UDP, the pure line says what is right.
fn served_over_tcp(script: &Script, engine: Engine) -> impl FnMut(&Case) -> Answer + use<> {
    let served = World::start(script, engine);
    let mut alone = pure_over(script);
    move |case| {
        let [over_udp, over_tcp] = [Transport::Udp, Transport::Tcp].map(|transport| alone(case, transport));
        if case.from.is_some() {
            return if case.is_tcp { over_tcp } else { over_udp };
        }
        let answer = served.ask_over_tcp(case);
        if case.is_tcp || over_udp == over_tcp {
            return answer;
        }
        // A cookie is another each time, of one length.
        let shape = |answer: &Answer| match answer {
            Answer::Reply(octets) => {
                Some((octets.len(), octets.iter().take(12).copied().collect::<Vec<_>>()))
            }
            Answer::Forward | Answer::Silence => None,
        };
        assert_eq!(shape(&answer), shape(&over_tcp), "{case:?}");
        over_udp
    }
}

/// A worker behind a socket; what only the pure line can be asked, by any address or transport, goes there.
fn served(script: &Script, engine: Engine) -> impl FnMut(&Case) -> Answer + use<> {
    let served = World::start(script, engine);
    let mut alone = pure(script);
    move |case| {
        if case.is_tcp || case.from.is_some() {
            alone(case)
        } else {
            served.ask(case)
        }
    }
}

#[test]
fn the_pure_line_answers_every_script() {
    check_all(pure);
}

#[test]
fn workers_on_io_uring_answer_every_script() {
    if let Err(error) = dataplane::probe(Engine::Glommio) {
        return skip(&error.to_string());
    }
    check_all(|script| served(script, Engine::Glommio));
}

#[test]
fn workers_on_threads_answer_every_script() {
    check_all(|script| served(script, Engine::Threads));
}

#[test]
fn connections_on_io_uring_answer_every_script() {
    if let Err(error) = dataplane::probe(Engine::Glommio) {
        return skip(&error.to_string());
    }
    check_all(|script| served_over_tcp(script, Engine::Glommio));
}

#[test]
fn connections_on_threads_answer_every_script() {
    check_all(|script| served_over_tcp(script, Engine::Threads));
}

#[test]
fn a_script_that_expects_something_else_is_noticed() {
    let world = "zone docker\nservice one web dev 10.0.0.1\n";
    let question = "? one.web.dev.docker A";
    let right = "answer one.web.dev.docker 30 A 10.0.0.1";
    let check = |text: &str| {
        let script = Script::read("planted", &format!("{world}{text}"));
        let (wrong, asked) = script.run(pure(&script));
        assert_eq!(asked, 1);
        wrong
    };
    assert_eq!(
        check(&format!("{question}\n= NOERROR aa rd ra\n{right}")),
        [""; 0]
    );
    for wrong in [
        format!("{question}\n= silence"),
        format!("{question}\n= forward"),
        format!("{question}\n= NXDOMAIN aa rd ra\n{right}"),
        format!("{question}\n= NOERROR aa rd\n{right}"),
        format!("{question}\n= NOERROR aa rd ra"),
        format!("{question}\n= NOERROR aa rd ra\n{right}\nanswer one.web.dev.docker 30 A 10.0.0.2"),
        format!("{question}\n= NOERROR aa rd ra\nanswer one.web.dev.docker 31 A 10.0.0.1"),
        format!("{question}\n= NOERROR aa rd ra\n{right}\nedns 1232"),
        format!("{question}\n= NOERROR aa rd ra\n{right}\nquestion none"),
        format!("{question}\n= NOERROR aa rd ra\n{right}\noctets 12"),
        format!("{question} edns=1232\n= NOERROR aa rd ra\n{right}"),
    ] {
        let found = check(&wrong);
        assert!(
            matches!(found.as_slice(), [found] if found.starts_with("planted:3")),
            "{wrong}: {found:?}"
        );
    }
}
