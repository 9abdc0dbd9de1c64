//! The tracker's promises about lists and complete states.

use super::bench::*;
use super::*;
use crate::service::{Change, NetworkAlias, Service, Wishes};

#[test]
fn a_missing_container_is_removed() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Inspect).begin();
    bench.end("a", Inspection::Absent);
    bench.expect("-a");
}

#[test]
fn a_list_does_not_undo_an_event_that_came_after_it_was_asked_for() {
    let mut bench = Bench::synced(&[("a", 1)]);
    let asked = bench.tracker.list_began();
    bench
        .event("b", Effect::Inspect)
        .runs("b", 1)
        .event("a", Effect::Withdraw)
        .expect("-a +b1");
    bench.take_list(asked, [listed("a", 1)].into_iter());
    assert_eq!(bench.begin(), "");
    bench.expect("");
}

#[test]
fn a_list_has_inspected_only_what_differs() {
    let mut bench = Bench::synced(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.list(&[("a", 1), ("b", 2), ("d", 1)]).expect("-c");
    assert_eq!(bench.begin(), "b,d");
}

#[test]
fn a_list_brings_back_what_was_given_up() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Inspect);
    for _ in 0..=RETRIES_MAX {
        bench.begin();
        bench.end("a", Inspection::Failed);
        bench.pass(Duration::from_secs(10));
    }
    bench.list(&[("a", 1)]).runs("a", 2).expect("+a2");
}

#[test]
fn the_first_complete_state_is_one_reset() {
    let mut bench = Bench::new();
    bench
        .list(&[("a", 1), ("b", 1)])
        .runs("a", 1)
        .expect("")
        .runs("b", 1)
        .expect("=a1,b1");
    let mut empty = Bench::new();
    empty.list(&[]).expect("=");
}

#[test]
fn events_before_the_list_and_during_the_inspects_are_part_of_the_first_state() {
    let mut bench = Bench::new();
    let asked = bench.tracker.list_began();
    bench.event("new", Effect::Inspect).runs("new", 1);
    bench.take_list(asked, [listed("a", 1), listed("dead", 1)].into_iter());
    bench.begin();
    bench.event("dead", Effect::Withdraw);
    bench.end("a", running("a", 1));
    bench.expect("=a1,new1");
}

#[test]
fn a_container_whose_inspect_hangs_does_not_hold_up_the_others() {
    let mut bench = Bench::new();
    bench.list(&[("a", 1), ("hung", 1)]).runs("a", 1).expect("");
    bench.pass(Duration::ZERO);
    assert_eq!(bench.tracker.wake_at(), Some(bench.now + SYNC_STALL));
    bench.pass(SYNC_STALL).expect("=a1");
    bench.runs("hung", 1).expect("+hung1");
}

#[test]
fn time_that_we_took_ourselves_is_no_stall_of_the_engine() {
    let mut bench = Bench::new();
    bench.list(&[("a", 1), ("b", 1)]);
    // Taking in a long list, or one answer, took this long.
    bench.pass(SYNC_STALL * 3).runs("a", 1).expect("");
    bench.pass(SYNC_STALL * 3).expect("");
    bench.runs("b", 1).expect("=a1,b1");
}

#[test]
fn a_container_whose_inspect_fails_does_not_hold_up_the_others() {
    let mut bench = Bench::new();
    bench.list(&[("a", 1), ("bad", 1)]).runs("a", 1);
    bench.end("bad", Inspection::Failed);
    bench
        .expect("=a1")
        .pass(RETRY_AFTER)
        .runs("bad", 1)
        .expect("+bad1");
}

#[test]
fn while_the_engine_is_away_nothing_is_told_and_then_all_at_once() {
    let mut bench = Bench::synced(&[("a", 1), ("b", 1), ("c", 1)]);
    bench
        .event("a", Effect::Withdraw)
        .event("d", Effect::Inspect)
        .begin();
    bench.open.clear();
    bench.tracker.disconnected();
    bench.pass(Duration::from_secs(60)).expect("");
    assert_eq!(bench.begin(), "");
    bench
        .list(&[("b", 1), ("c", 2)])
        .runs("b", 1)
        .runs("c", 2)
        .expect("=b1,c2");
    bench.event("b", Effect::Inspect).runs("b", 1).expect("");
}

#[test]
fn after_a_reconnection_an_inspect_that_fails_leaves_the_record_it_had() {
    let mut bench = Bench::synced(&[("a", 1), ("b", 1)]);
    bench.tracker.disconnected();
    bench.list(&[("a", 1), ("b", 2)]).runs("b", 2);
    bench.end("a", Inspection::Failed);
    bench.expect("=a1,b2");
}

#[test]
fn when_names_are_decided_otherwise_all_are_told_of_in_one_reset() {
    let mut bench = Bench::synced(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.tracker.renew(bench.now);
    for (id, version) in [("a", 2), ("b", 2), ("c", 1)] {
        assert!(
            !bench.tracker.has_change(bench.now),
            "only some are renamed before {id}"
        );
        bench.begin();
        bench.end(id, running(id, version));
    }
    bench.drain();
    assert_eq!(bench.told, ["=a2,b2,c1"]);
}

#[test]
fn who_leaves_while_all_are_asked_about_anew_is_told_of_at_once() {
    let mut bench = Bench::synced(&[("a", 1), ("b", 1), ("c", 1)]);
    // Not told of yet when it begins: it is told of with all others.
    bench.event("c", Effect::Inspect).begin();
    bench.end("c", running("c", 7));
    bench.tracker.renew(bench.now);
    bench.event("a", Effect::Withdraw).drain();
    assert_eq!(bench.told, ["-a"]);
    // It comes back before that is told.
    bench.event("b", Effect::Withdraw);
    bench.event("b", Effect::Inspect);
    for (id, version) in [("b", 2), ("c", 8)] {
        bench.begin();
        bench.end(id, running(id, version));
    }
    bench.drain();
    assert_eq!(bench.told, ["-a", "=b2,c8"]);
}

#[test]
fn an_answer_from_before_all_are_asked_about_anew_is_void() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Inspect).begin();
    bench.tracker.renew(bench.now);
    bench.end("a", running("a", 5));
    bench.drain();
    assert_eq!(bench.told, [""; 0]);
    bench.begin();
    bench.end("a", running("a", 6));
    bench.drain();
    assert_eq!(bench.told, ["=a6"]);
}

#[test]
fn what_the_list_tells_is_served_before_anything_is_inspected() {
    let mut bench = Bench::new();
    bench.tell(&[("a", 1), ("b", 1)]).expect("=a1,b1");
    assert_eq!(bench.begin(), "", "they have time");
    bench.pass(LATER_AFTER);
    assert_eq!(bench.begin(), "a,b");
    bench.end("a", running("a", 1));
    bench.end("b", running("b", 2));
    bench.expect("+b2");
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.begin(), "", "each once");
}

#[test]
fn what_no_list_shows_is_kept_over_a_lost_connection_and_asked_about_again() {
    let alias = NetworkAlias {
        network: "shop".into(),
        word: "db".into(),
    };
    let wishes = Wishes {
        network_aliases: vec![alias],
        ..Wishes::default()
    };
    let called = Service {
        wishes: Some(Box::new(wishes)),
        ..service("a", 1)
    };
    let inspected = match running("a", 1) {
        Inspection::Running(running) => Inspection::Running(Running {
            services: Some(called.clone().into()),
            ..running
        }),
        other => other,
    };
    let mut bench = Bench::new();
    bench.tell(&[("a", 1)]).expect("=a1").pass(LATER_AFTER).begin();
    bench.end("a", inspected);
    bench.expect("+a1").tracker.disconnected();
    bench.tell(&[("a", 1)]);
    let Some(Change::Reset { services, .. }) = bench.tracker.next_change() else {
        panic!("nothing is told of a new connection");
    };
    assert_eq!(*services[0], called);
    bench.pass(LATER_AFTER);
    assert_eq!(bench.begin(), "a", "it may be called otherwise by now");
    bench.end("a", running("a", 1));
    bench.expect("+a1");
}

#[test]
fn who_is_not_told_by_the_list_is_waited_for_and_goes_first() {
    let mut bench = Bench::new();
    let asked = bench.tracker.list_began();
    bench.take_list(asked, [told("a", 1), listed("b", 1)].into_iter());
    assert_eq!(bench.expect("").begin(), "b");
    bench.end("b", running("b", 1));
    bench.expect("=a1,b1");
}

#[test]
fn a_container_that_has_an_event_is_inspected_before_all_that_only_were_listed() {
    let ids: Vec<String> = (0..10 * INSPECTS_MAX).map(|n| format!("c{n:03}")).collect();
    let mut bench = Bench::new();
    let lines: Vec<_> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    bench.tell(&lines).drain().pass(LATER_AFTER).begin();
    assert_eq!(bench.open.len(), LATER_MAX, "the engine has other work");
    bench
        .event("c159", Effect::Inspect)
        .event("new", Effect::Inspect)
        .begin();
    let begun: Vec<&str> = bench.open.iter().skip(LATER_MAX).map(|id| &**id).collect();
    assert_eq!(begun, ["c159", "new"]);
}

#[test]
fn the_list_is_not_believed_about_who_had_an_event_since_the_connection() {
    for effect in [
        Effect::Withdraw,
        Effect::Forget,
        Effect::Signal(15),
        Effect::Inspect,
    ] {
        let mut bench = Bench::new();
        let asked = bench.tracker.list_began();
        bench.event("ended", effect);
        bench.take_list(asked, [told("a", 1), told("ended", 1)].into_iter());
        if matches!(effect, Effect::Withdraw | Effect::Forget) {
            bench.expect("=a1").pass(CONFIRM_AFTER);
        }
        // It is looked at in time, and that counts.
        assert!(bench.begin().contains("ended"), "{effect:?}");
        bench.end("ended", Inspection::Absent);
        bench.drain();
        assert_eq!(bench.held.keys().collect::<Vec<_>>(), ["a"], "{effect:?}");
        assert!(!bench.tracker.entries.contains_key("ended"), "{effect:?}");
    }
}

#[test]
fn a_second_list_has_inspected_what_it_shows_otherwise() {
    let mut bench = Bench::new();
    bench.tell(&[("a", 1)]).expect("=a1");
    bench.event("a", Effect::Withdraw).expect("-a");
    // An engine lists as running what it has just told the end of.
    bench.tell(&[("a", 1)]).expect("");
    assert_eq!(bench.begin(), "a");
    bench.end("a", Inspection::Absent);
    bench.expect("");
}

#[test]
fn after_a_reconnection_only_what_the_list_shows_otherwise_is_inspected() {
    let mut bench = Bench::synced(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.tracker.disconnected();
    bench.tell(&[("a", 1), ("b", 2), ("d", 1)]).expect("=a1,b2,d1");
    bench.pass(LATER_AFTER);
    assert_eq!(bench.begin(), "b,d");
}

#[test]
fn whether_a_signal_is_the_end_of_one_that_was_only_listed_an_inspect_tells() {
    let quits = |version| match running("a", version) {
        Inspection::Running(running) => Inspection::Running(Running {
            stop: Some(Stop::of("SIGQUIT", Some(30))),
            ..running
        }),
        other => other,
    };
    let mut bench = Bench::new();
    bench.tell(&[("a", 1)]).expect("=a1");
    bench.event("a", Effect::Signal(15)).expect("");
    assert_eq!(bench.begin(), "a", "at once");
    bench.end("a", quits(1));
    bench.expect("");
    let mut bench = Bench::new();
    bench.tell(&[("a", 1)]).expect("=a1");
    bench.event("a", Effect::Signal(3)).begin();
    let signalled_at = bench.now;
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.end("a", quits(1)), Verdict::Stopping);
    bench.expect("-a");
    bench.now = signalled_at + Duration::from_secs(31);
    assert_eq!(bench.begin(), "a");
    bench.end("a", quits(1));
    bench.expect("+a1");
    let mut bench = Bench::new();
    bench.tell(&[("a", 1)]).expect("=a1");
    bench.event("a", Effect::Signal(9)).expect("-a");
    // One that means nothing hides none that does, whichever came first.
    for signals in [[1, 3], [3, 1]] {
        let mut bench = Bench::new();
        bench.tell(&[("a", 1)]).expect("=a1");
        for signal in signals {
            bench.event("a", Effect::Signal(signal));
        }
        bench.begin();
        assert_eq!(bench.end("a", quits(1)), Verdict::Stopping, "{signals:?}");
        bench.expect("-a");
    }
}

#[test]
fn the_first_complete_state_waits_for_a_container_that_events_have_inspected_twice() {
    let mut bench = Bench::new();
    bench.event("a", Effect::Inspect).begin();
    bench.event("a", Effect::Inspect).list(&[("a", 1)]);
    bench.end("a", Inspection::Absent);
    bench.expect("");
    bench.runs("a", 1).expect("=a1");
}
