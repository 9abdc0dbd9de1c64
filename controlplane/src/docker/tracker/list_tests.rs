//! The tracker's promises about lists and complete states.

use super::bench::*;
use super::*;

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
    bench.tracker.listed(asked, &[listed("a", 1)], bench.now);
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
    bench
        .tracker
        .listed(asked, &[listed("a", 1), listed("dead", 1)], bench.now);
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
        assert!(!bench.tracker.has_change(), "only some are renamed before {id}");
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
