//! Upstreams that are asked over TLS.

use super::*;

/// A forwarder that asks 192.0.2.1 over TLS, and then, if so, 192.0.2.2 in the clear.
fn over_tls(with_another: bool) -> Bench {
    let mut bench = Bench::new(1);
    let mut upstreams: Vec<Upstream> = addresses(1..=2).into_iter().map(Upstream::from).collect();
    upstreams[0].tls = Some("dns.example".try_into().unwrap());
    upstreams.truncate(1 + usize::from(with_another));
    bench.forwarder.set_config(&Config {
        routes: vec![Route {
            domain: dns::Name::root(),
            upstreams,
        }],
        policy: Policy::Sequential,
    });
    bench
}

#[test]
fn over_tls_all_questions_share_one_connection_and_are_told_apart_by_id() {
    let mut bench = over_tls(false);
    let asked: Vec<_> = (0..50_u16)
        .map(|number| bench.ask(&query_about(number, &numbered(number))))
        .collect();
    let (place, ..) = asked[0];
    assert!(place.is_kept() && !place.is_stream());
    assert!(
        asked
            .iter()
            .all(|(other, _, question)| *other == place && question.len() == 128)
    );
    let ids: std::collections::HashSet<_> = asked
        .iter()
        .map(|(_, _, question)| question[..2].to_vec())
        .collect();
    assert_eq!(ids.len(), 50);
    let end = 12 + 6 + 4;
    for (number, (_, _, question)) in (0..50).zip(&asked).rev() {
        let mut reply = [&question[..end], RECORD].concat();
        reply[2] |= 0x80;
        (reply[7], reply[11]) = (1, 0);
        bench.reply(place, &reply);
        assert_eq!(
            bench.ended(),
            (vec![number], Ok(RECORD.to_vec()), Cause::Answered)
        );
    }
    assert!(bench.forwarder.is_free(place));
    bench.assert_idle();
}

#[test]
fn a_server_asked_over_tls_is_asked_in_the_clear_neither_for_a_cut_reply_nor_by_a_probe() {
    let mut bench = over_tls(false);
    let (place, _, question) = bench.ask(&query(1));
    let mut cut = error(&question, 0);
    cut[2] |= 2;
    bench.reply(place, &cut);
    assert_eq!(
        bench.ended(),
        (vec![1], Err((Rcode::SERV_FAIL, 23)), Cause::Failed)
    );
    let (place, ..) = bench.ask(&query(2));
    bench.error(place);
    assert_eq!(bench.ended().1, Err((Rcode::SERV_FAIL, 23)));
    bench.later(1500);
    bench.ask(&query(3));
    let (probe, _, octets) = bench.asked();
    assert!(probe.is_kept() && octets.len() < 30, "a probe");
}

#[test]
fn a_connection_that_ends_costs_its_questions_nothing_and_one_that_fails_leads_to_the_next_upstream() {
    let mut bench = over_tls(true);
    let (place, upstream, _) = bench.ask(&query(1));
    let (other, ..) = bench.ask(&query_about(2, &numbered(2)));
    assert_eq!((upstream, place), (1, other));
    let now = bench.now;
    bench.forwarder.on_end(place, now, &mut note(&mut bench.steps));
    // There is another, but nobody is to hear of it in the clear what could be asked over TLS.
    let again = [bench.asked(), bench.asked()];
    assert!(
        again
            .iter()
            .all(|&(again, upstream, _)| again == place && upstream == 1)
    );
    assert_eq!(bench.steps, []);
    for (place, _, question) in &again {
        bench.reply(*place, &error(question, 3));
    }
    let mut bench = over_tls(false);
    let (place, ..) = bench.ask(&query(1));
    let now = bench.now;
    bench.forwarder.on_end(place, now, &mut note(&mut bench.steps));
    let (again, _, question) = bench.asked();
    assert_eq!(place, again, "by a new connection");
    bench.reply(again, &reply(&question));
    assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
    let mut bench = over_tls(true);
    let (place, ..) = bench.ask(&query(1));
    bench.error(place);
    let (place, upstream, question) = bench.asked();
    assert_eq!((place.is_kept(), upstream), (false, 2));
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [1]);
    assert_eq!(bench.ask(&query(2)).1, 2, "the first is passed over");
}

/// A question that was asked over TLS and, as there was no answer in time, of another server too. Returns both tries.
fn asked_of_both(bench: &mut Bench) -> [(Place, u8, Vec<u8>); 2] {
    let first = bench.ask(&query(1));
    bench.later(800);
    let second = bench.asked();
    assert_eq!((first.1, second.1), (1, 2));
    [first, second]
}

fn end(bench: &mut Bench, place: Place) {
    bench
        .forwarder
        .on_end(place, bench.now, &mut note(&mut bench.steps));
}

#[test]
fn a_connection_that_ends_says_nothing_of_a_server_that_was_asked_since() {
    let mut bench = over_tls(true);
    // As often as it would take for the other server to be passed over.
    for _ in 0..crate::limits::UPSTREAM_FAILURES_MAX {
        let [(place, ..), (other, _, question)] = asked_of_both(&mut bench);
        bench.later(400);
        end(&mut bench, place);
        assert_eq!(bench.steps, [], "the other server still has its time");
        bench.reply(other, &reply(&question));
        assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    }
    bench.assert_idle();
    // The one over TLS never answered, and is down by now. Were both, each would have its turn.
    for id in 2..6 {
        assert_eq!(bench.ask(&query_about(id, &numbered(id))).1, 2);
        bench.steps.clear();
    }
}

#[test]
fn a_connection_that_ends_does_not_end_what_another_server_is_asked_after_an_error() {
    let mut bench = over_tls(true);
    let [(place, _, question), (other, _, question_of_other)] = asked_of_both(&mut bench);
    // The other says that it has no answer, so only the connection is waited for.
    bench.reply(other, &error(&question_of_other, 2));
    assert_eq!(bench.steps, []);
    end(&mut bench, place);
    let (again, upstream, asked_again) = bench.asked();
    assert_eq!((again, upstream), (place, 1), "the one that might still answer");
    assert_ne!(question[..2], asked_again[..2]);
    bench.reply(again, &reply(&asked_again));
    assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
}

#[test]
fn an_error_waits_for_another_server_although_the_connection_that_brought_it_ends() {
    let mut bench = over_tls(true);
    let [(place, ..), (other, _, question_of_other)] = asked_of_both(&mut bench);
    bench.later(800);
    let (third, _, question) = bench.asked();
    assert_eq!(third, place, "by the same connection");
    bench.reply(place, &error(&question, 2));
    end(&mut bench, place);
    assert_eq!(bench.steps, []);
    bench.reply(other, &reply(&question_of_other));
    assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
}

#[test]
fn connections_that_end_again_and_again_do_not_keep_a_question_going_for_ever() {
    let mut bench = over_tls(false);
    let (place, ..) = bench.ask(&query(1));
    let mut asks = 1;
    while bench.forwarder.under_way() > 0 {
        end(&mut bench, place);
        asks += 1;
        assert!(asks <= crate::limits::ASKS_MAX + 1, "it goes on");
    }
    bench.steps.retain(|step| matches!(step, Step::Ended { .. }));
    assert_eq!(
        bench.ended(),
        (vec![1], Err((Rcode::SERV_FAIL, 22)), Cause::TimedOut),
        "at once, as nobody is asked any more"
    );
    assert!(bench.forwarder.is_free(place));
    bench.assert_idle();
}

/// What is asked of whom: all of the one over TLS at 192.0.2.1 and of `others`, but names in `corp` of 192.0.2.`corp`.
fn routes(others: &[u8], corp: u8) -> Config {
    let server = |host: u8| Upstream {
        address: addresses(host..=host)[0],
        tls: (host == 1).then(|| "dns.example".try_into().unwrap()),
    };
    let route = |domain: &str, hosts: &[u8]| Route {
        domain: domain.parse().unwrap(),
        upstreams: hosts.iter().copied().map(server).collect(),
    };
    Config {
        routes: vec![route("corp", &[corp]), route(".", others)],
        policy: Policy::Sequential,
    }
}

#[test]
fn a_server_that_is_to_be_asked_again_is_forgotten_with_its_configuration() {
    let mut bench = over_tls(true);
    bench.forwarder.set_config(&routes(&[1, 2], 3));
    let [(place, ..), _] = asked_of_both(&mut bench);
    // The first is to be asked again by a new connection, once the second has had its time.
    end(&mut bench, place);
    assert_eq!(bench.steps, []);
    // Its number is that of another one now, which is for other names.
    bench.forwarder.set_config(&routes(&[2, 5], 4));
    bench.later(800);
    let (other, upstream, question) = bench.asked();
    assert_eq!(upstream, 5, "one that is for this name");
    bench.reply(other, &reply(&question));
    assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
}

#[test]
fn what_was_found_out_of_a_server_is_not_held_against_the_one_in_its_place() {
    let mut bench = Bench::new(2);
    let (place, upstream, question) = bench.ask(&query(1));
    bench.reply(place, &error(&question, 2));
    assert_eq!((upstream, bench.asked().1), (1, 2));
    bench.forwarder.set_config(&Config::all_to(addresses(2..=3)));
    bench.later(800);
    let (place, upstream, question) = bench.asked();
    assert_eq!(upstream, 3, "it has refused nothing");
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().1, Ok(RECORD.to_vec()));
    bench.assert_idle();
}

#[test]
fn what_waits_for_a_connection_to_a_server_that_is_no_longer_asked_is_asked_of_another_at_once() {
    let mut bench = over_tls(false);
    let (place, ..) = bench.ask(&query(1));
    bench.forwarder.set_config(&Config::all_to(addresses(3..=3)));
    assert!(bench.forwarder.is_free(place), "another may have that place");
    bench.later(0);
    let (other, upstream, question) = bench.asked();
    assert_eq!(upstream, 3);
    bench.reply(other, &reply(&question));
    assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
    // Nobody else is to be asked.
    let mut bench = over_tls(false);
    bench.ask(&query(1));
    bench.forwarder.set_config(&Config::default());
    bench.later(0);
    assert_eq!(
        bench.ended(),
        (vec![1], Err((Rcode::SERV_FAIL, 22)), Cause::TimedOut)
    );
    bench.assert_idle();
}
