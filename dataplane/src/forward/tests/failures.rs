//! Upstreams that are silent, not there, or have no answer.

use super::*;

#[test]
fn silence_is_tried_again_elsewhere_and_ends_in_servfail_in_time() {
    let mut bench = Bench::new(2);
    let first = bench.ask(&query(7));
    bench.later(799);
    assert_eq!(bench.steps, []);
    bench.later(1);
    let second = bench.asked();
    bench.later(800);
    let third = bench.asked();
    assert_eq!((first.1, second.1, third.1), (1, 2, 1));
    assert!(
        first.2[..2] != second.2[..2] && second.2[..2] != third.2[..2],
        "each try has an id of its own"
    );
    bench.later(899);
    assert_eq!(bench.steps, []);
    bench.later(1);
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::SERV_FAIL, 22)), Cause::TimedOut)
    );
    bench.assert_idle();
    assert!(
        [first.0, second.0, third.0]
            .iter()
            .all(|&it| bench.forwarder.is_free(it))
    );
}

#[test]
fn an_answer_to_an_earlier_try_is_as_good_as_one_to_the_last() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    bench.later(800);
    bench.asked();
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().2, Cause::Answered);
    bench.assert_idle();
}

#[test]
fn nobody_there_moves_on_at_once_and_fails_once_nobody_is_anywhere() {
    let mut bench = Bench::new(2);
    let (place, _, _) = bench.ask(&query(7));
    bench.ask(&query_about(8, b"\x01b\x00"));
    bench.error(place);
    let (next, upstream, _) = bench.asked();
    assert_eq!(upstream, 2);
    assert_eq!(bench.steps, [], "the other query has a socket of its own");
    bench.error(place);
    assert_eq!(bench.steps, []);
    bench.error(next);
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::SERV_FAIL, 23)), Cause::Failed)
    );
    assert_eq!(bench.forwarder.waiting(), 1);
}

#[test]
fn all_who_wait_at_a_socket_that_fails_are_moved_on() {
    let mut bench = Bench::new(2);
    let names: Vec<_> = (0..200).map(numbered).collect();
    let mut places = Vec::new();
    for (id, name) in (0..).zip(&names) {
        places.push(bench.ask(&query_about(id, name)).0);
    }
    places.sort_by_key(|place| place.index());
    places.dedup();
    for place in places {
        bench.error(place);
    }
    let asked: Vec<_> = (0..200).map(|_| bench.asked().1).collect();
    assert_eq!((asked, bench.step()), (vec![2; 200], None));
}

#[test]
fn later_queries_pass_over_an_upstream_that_is_down_until_a_probe_finds_it_back() {
    let mut bench = Bench::new(2);
    let (place, _, _) = bench.ask(&query(7));
    bench.error(place);
    let (place, _, question) = bench.asked();
    bench.reply(place, &reply(&question));
    let _ = bench.ended();
    assert_eq!(bench.ask(&query(7)).1, 2);
    bench.later(UPSTREAM_REST_MIN.as_millis() as u64);
    bench.steps.clear();
    // The next query takes a probe along.
    let (_, upstream, _) = bench.ask(&query_about(8, b"\x01b\x00"));
    let (probed, down, probe) = bench.asked();
    assert_eq!((upstream, down), (2, 1));
    assert_eq!(
        probe[2..],
        *b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
    );
    let mut back = probe.clone();
    (back[2], back[3]) = (0x81, 0x85);
    assert_eq!(bench.reply(probed, &back), Heard::Reply);
    assert_eq!(bench.step(), None, "a probe is told to nobody");
    assert_eq!(bench.ask(&query_about(9, b"\x01c\x00")).1, 1);
}

#[test]
fn with_all_upstreams_down_each_query_is_a_probe() {
    let mut bench = Bench::new(2);
    for _ in 0..3 {
        let (place, _, _) = bench.ask(&query(7));
        bench.error(place);
        let (place, _, _) = bench.asked();
        bench.error(place);
        assert_eq!(bench.ended().2, Cause::Failed);
    }
    let (place, upstream, question) = bench.ask(&query(7));
    bench.reply(place, &reply(&question));
    let _ = bench.ended();
    assert_eq!(bench.ask(&query(7)).1, upstream);
}

#[test]
fn an_error_of_one_upstream_is_not_the_last_word() {
    let mut bench = Bench::new(3);
    let (place, _, question) = bench.ask(&query(7));
    bench.reply(place, &error(&question, 2));
    let (place, upstream, question) = bench.asked();
    assert_eq!(upstream, 2);
    bench.reply(place, &error(&question, 5));
    let (place, upstream, question) = bench.asked();
    assert_eq!(upstream, 3);
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().1, Ok(RECORD.to_vec()));
    bench.assert_idle();
}

#[test]
fn the_last_error_is_told_once_all_upstreams_had_one_with_its_reason() {
    let mut bench = Bench::new(2);
    let (place, _, question) = bench.ask(&query(7));
    bench.reply(place, &error(&question, 2));
    let (place, _, question) = bench.asked();
    let mut refused = error(&question, 5);
    refused[11] = 1;
    refused.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0, 18]);
    bench.reply(place, &refused);
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::REFUSED, 18)), Cause::Answered)
    );
    bench.assert_idle();
}

#[test]
fn an_error_waits_for_what_another_upstream_was_asked_before() {
    let mut bench = Bench::new(2);
    let (slow, _, question_of_slow) = bench.ask(&query(7));
    bench.later(800);
    let (place, _, question) = bench.asked();
    bench.reply(place, &error(&question, 2));
    assert_eq!(bench.steps, []);
    bench.reply(slow, &reply(&question_of_slow));
    assert_eq!(bench.ended().1, Ok(RECORD.to_vec()));
}

#[test]
fn new_upstreams_are_asked_by_retries_too_and_old_ones_may_still_answer() {
    let mut bench = Bench::new(1);
    let (old, _, question) = bench.ask(&query(7));
    let (other, _, _) = bench.ask(&query_about(8, b"\x01b\x00"));
    bench.forwarder.set_config(&Config::all_to(addresses(9..=9)));
    bench.later(800);
    assert_eq!([bench.asked().1, bench.asked().1], [9, 9]);
    bench.reply(old, &reply(&question));
    assert_eq!(bench.ended().0, [7]);
    bench.error(other);
    bench.later(1700);
    assert!(bench.steps.iter().any(|step| matches!(step, Step::Ended { .. })));
    bench.assert_idle();
}

/// What is told of upstreams while `act` is done.
fn turned(
    bench: &mut Bench,
    act: impl FnOnce(&mut Forwarder, Instant, &mut dyn FnMut(Action<'_>)),
) -> Vec<Option<Trouble>> {
    let mut told = Vec::new();
    act(&mut bench.forwarder, bench.now, &mut |action| {
        if let Action::Turned(turned) = action {
            told.push(turned.trouble);
        }
    });
    told
}

#[test]
fn that_an_upstream_is_no_longer_as_it_was_is_told_once_each_time_and_with_the_reason() {
    let mut bench = Bench::new(1);
    for _ in 0..3 {
        for (trouble, is_news) in [
            (Trouble::Expired, true),
            (Trouble::Expired, false),
            (Trouble::Unreachable, true),
        ] {
            let (place, ..) = bench.ask(&query(1));
            let told = turned(&mut bench, |forwarder, now, mut sink| {
                forwarder.on_error(place, trouble, now, &mut sink);
            });
            assert_eq!(told, Vec::from_iter(is_news.then_some(Some(trouble))));
        }
        for is_news in [true, false] {
            let (place, _, question) = bench.ask(&query(2));
            let told = turned(&mut bench, |forwarder, now, mut sink| {
                forwarder.on_reply(place, &reply(&question), now, &mut sink);
            });
            assert_eq!(told, Vec::from_iter(is_news.then_some(None)));
        }
        // One try without a reply is nothing. Several in a row are.
        for number in 1..=crate::limits::UPSTREAM_FAILURES_MAX {
            bench.ask(&query(3));
            bench.now += FORWARD_TIMEOUT;
            let told = turned(&mut bench, |forwarder, now, mut sink| {
                forwarder.on_timeout(now, &mut sink);
            });
            let is_news = number == crate::limits::UPSTREAM_FAILURES_MAX;
            assert_eq!(told, Vec::from_iter(is_news.then_some(Some(Trouble::Silent))));
        }
    }
}

#[test]
fn an_error_that_comes_late_is_held_against_the_server_that_sent_it_and_no_other() {
    let mut bench = Bench::new(2);
    let (place, _, question) = bench.ask(&query(7));
    bench.later(800);
    assert_eq!(bench.asked().1, 2);
    bench.reply(place, &error(&question, 2));
    assert_eq!(
        bench.steps,
        [],
        "the first has said what it has to say, and the second still has its time"
    );
    bench.later(800);
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::SERV_FAIL, 22)), Cause::Answered),
        "an error is waited for no longer than that"
    );
    bench.assert_idle();
}
