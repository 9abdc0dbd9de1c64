//! Who waits, for how long at most, and how many.

use super::*;

#[test]
fn a_crowd_before_one_question_has_its_bound() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(0));
    for _ in 1..CROWD_MAX {
        assert_eq!(bench.submit(&query(1)), Ok(Submitted::Joined));
    }
    assert_eq!(bench.submit(&query(1)), Err(Refusal::Crowd));
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0.len(), CROWD_MAX);
}

// RFC 8767, section 5: the client response timer.
#[test]
fn who_has_something_older_waits_for_so_long_only_and_the_exchange_goes_on_for_others() {
    let mut bench = Bench::new(1);
    bench.patience = Some(Duration::from_millis(1800));
    let (first, _, question) = bench.ask(&query(1));
    bench.later(800);
    bench.asked();
    bench.later(400);
    assert_eq!(bench.submit(&query(2)), Ok(Submitted::Joined));
    bench.later(400);
    bench.asked();
    let asked = asked_of(&query(0));
    let is_slow = |bench: &Bench| {
        bench
            .forwarder
            .is_slow(&asked, Duration::from_millis(1800), bench.now)
    };
    bench.later(199);
    assert!(bench.steps.is_empty() && !is_slow(&bench));
    bench.later(1);
    assert_eq!(bench.step(), Some(Step::Late(vec![1, 2])));
    assert!(is_slow(&bench) && bench.forwarder.waiting() == 0);
    // Whoever has nothing older still may wait for it.
    bench.patience = None;
    assert_eq!(bench.submit(&query(3)), Ok(Submitted::Joined));
    bench.reply(first, &reply(&question));
    assert_eq!(bench.ended(), (vec![3], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
}

#[test]
fn an_answer_in_time_and_a_failure_at_once_leave_nobody_to_be_told_late() {
    let mut bench = Bench::new(1);
    bench.patience = Some(Duration::from_millis(1800));
    let (place, _, question) = bench.ask(&query(1));
    bench.later(700);
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [1]);
    let (place, ..) = bench.ask(&query(2));
    bench.error(place);
    assert_eq!(bench.ended().0, [2]);
    bench.later(5000);
    bench.assert_idle();
}

#[test]
fn streams_have_their_bound_and_past_it_the_next_upstream_is_asked() {
    let mut bench = Bench::new(1);
    for number in 0..=UPSTREAM_STREAMS_MAX as u8 {
        let name = [1, number, 0];
        let (place, _, question) = bench.ask(&query_about(number.into(), &name));
        let mut cut = question[..12 + 3 + 4].to_vec();
        (cut[2], cut[11]) = (0x83, 0);
        bench.reply(place, &cut);
        if usize::from(number) < UPSTREAM_STREAMS_MAX {
            assert!(bench.asked().0.is_stream());
        }
    }
    assert_eq!(bench.step(), Some(Step::NoStream));
    assert_eq!(bench.ended().1, Err((Rcode::SERV_FAIL, 23)));
}

#[test]
fn what_cannot_be_forwarded_is_refused_at_once() {
    let mut bench = Bench::new(0);
    assert_eq!(bench.submit(&query(7)), Err(Refusal::Nobody(Nobody::NoRoute)));
    bench.forwarder.set_config(&Config {
        routes: vec![Route {
            domain: "com".parse().unwrap(),
            upstreams: Vec::new(),
        }],
        policy: Policy::Sequential,
    });
    assert_eq!(bench.submit(&query(7)), Err(Refusal::Nobody(Nobody::Nowhere)));
    bench.assert_idle();
}

#[test]
fn a_hanging_upstream_leaves_room_for_the_names_of_others() {
    let mut bench = Bench::new(1);
    let route = |domain: &str, hosts| Route {
        domain: domain.parse().unwrap(),
        upstreams: addresses(hosts).into_iter().map(Into::into).collect(),
    };
    bench.forwarder.set_config(&Config {
        routes: vec![route(".", 1..=1), route("com", 2..=2)],
        policy: Policy::Sequential,
    });
    let mut refusals = Vec::new();
    for number in 0..PENDING_MAX as u16 {
        let peer = format!("10.0.{}.{}:53", number >> 8, number & 0xff);
        if let Err(refusal) = bench.submit_from(&peer, &query_about(number, &numbered(number))) {
            refusals.push(refusal);
        }
    }
    assert!(refusals.iter().all(|&it| it == Refusal::Nobody(Nobody::Overrun)));
    assert_eq!(refusals.len(), PENDING_MAX / 4);
    bench.steps.clear();
    let (place, upstream, question) = bench.ask(&query(7));
    assert_eq!(upstream, 2);
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [7]);
}

#[test]
fn a_client_has_its_share_and_a_stop_ends_all_that_waits() {
    let mut bench = Bench::new(8);
    let mut number = 0;
    let refusal = loop {
        if let Err(refusal) = bench.submit(&query_about(number, &numbered(number))) {
            break refusal;
        }
        number += 1;
    };
    assert!(matches!(
        refusal,
        Refusal::Share | Refusal::Nobody(Nobody::Overrun)
    ));
    assert_eq!(bench.forwarder.waiting(), PENDING_MAX / 4 * 3);
    bench.steps.clear();
    bench.forwarder.give_up(&mut note(&mut bench.steps));
    assert_eq!(bench.steps.len(), PENDING_MAX / 4 * 3);
    assert!(bench.steps.iter().all(|step| matches!(
        step,
        Step::Ended {
            result: Err((Rcode::SERV_FAIL, _)),
            cause: Cause::Failed,
            ..
        }
    )));
    bench.assert_idle();
}
