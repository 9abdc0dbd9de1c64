//! The tracker's promises about one container, one by one; `model` then tries them together.

use super::bench::*;
use super::*;

#[test]
fn who_has_an_address_takes_it_from_whom_we_thought_to_be_there_who_goes_first() {
    let mut bench = Bench::synced(&[]);
    for id in ["a", "b"] {
        bench.event(id, Effect::Inspect).begin();
    }
    bench.end("a", alone("a", 1));
    bench.expect("+a1");
    bench.end("b", alone("b", 1));
    bench.expect("-a +b1");
    // It is looked at, and found elsewhere.
    assert_eq!(bench.begin(), "a");
    bench.end("a", alone("a", 2));
    bench.expect("+a2");
    // Where it was before, it is not looked for any more.
    for (id, version) in [("b", 3), ("c", 1)] {
        bench.event(id, Effect::Inspect).begin();
        bench.end(id, alone(id, version));
    }
    bench.expect("+b3 +c1");
}

#[test]
fn one_that_is_made_and_then_started_is_inspected_once_and_one_that_is_not_started_a_second_later() {
    let mut bench = Bench::synced(&[("runs", 1)]);
    bench
        .event("a", Effect::Hint)
        .event("b", Effect::Hint)
        .event("b", Effect::Inspect);
    assert_eq!(bench.begin(), "b");
    // Joining a network counts at once for one that is being looked at, and for one that runs.
    bench.event("b", Effect::Hint);
    bench.end("b", running("b", 1));
    bench.event("runs", Effect::Hint);
    assert_eq!(bench.begin(), "b,runs");
    bench.end("b", running("b", 2));
    bench.end("runs", running("runs", 1));
    bench.expect("+b2");
    bench.pass(CONFIRM_AFTER);
    assert_eq!(bench.begin(), "a");
    bench.end("a", Inspection::Absent);
    bench.drain();
    assert!(
        !bench.tracker.entries.contains_key("a"),
        "nothing is remembered of it"
    );
}

#[test]
fn a_health_that_is_known_asks_the_engine_nothing_unless_something_else_has_happened() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Health(Health::Healthy));
    assert_eq!(bench.begin(), "");
    bench.event("a", Effect::Health(Health::Unhealthy));
    assert_eq!(bench.begin(), "a");
    // What is being looked at may have been seen before its check said so.
    bench.event("a", Effect::Health(Health::Healthy));
    bench.end("a", running("a", 1));
    assert_eq!(bench.begin(), "a");
    bench.end("a", running("a", 1));
    bench.event("b", Effect::Health(Health::Healthy));
    assert_eq!(bench.begin(), "b", "nothing is known of it");
}

#[test]
fn two_that_are_at_one_address_as_the_engine_says_are_both_told() {
    let mut bench = Bench::synced(&[]);
    for id in ["a", "b"] {
        bench.event(id, Effect::Inspect).begin();
    }
    bench.end("a", alone("a", 1));
    bench.end("b", alone("b", 1));
    bench.begin();
    bench.end("a", alone("a", 1));
    bench.drain();
    assert_eq!(bench.begin(), "", "nobody is in doubt any more");
    assert_eq!(bench.held.len(), 2);
}

#[test]
fn a_started_container_is_put_once_it_was_inspected() {
    let mut bench = Bench::synced(&[]);
    bench.event("a", Effect::Inspect).expect("");
    bench.runs("a", 1).expect("+a1");
}

#[test]
fn an_inspect_that_gives_what_was_last_sent_changes_nothing() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Inspect).runs("a", 1).expect("");
    bench.event("a", Effect::Inspect).runs("a", 2).expect("+a2");
}

#[test]
fn a_dying_container_is_removed_at_once_and_the_inspect_under_way_is_void() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Inspect).begin();
    bench.event("a", Effect::Withdraw).expect("-a");
    bench.end("a", running("a", 1));
    bench.expect("");
    assert_eq!(bench.begin(), "", "it is looked at again only later");
    bench.pass(CONFIRM_AFTER);
    assert_eq!(bench.begin(), "a");
    bench.end("a", Inspection::Absent);
    bench.expect("");
    assert!(bench.tracker.entries.is_empty());
}

#[test]
fn a_container_is_removed_at_its_stop_signal_and_put_back_if_it_runs_on() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Signal(1)).expect("");
    bench.event("a", Effect::Signal(15)).expect("-a");
    bench.event("a", Effect::Inspect).runs("a", 1).expect("");
    bench.list(&[("a", 1)]).runs("a", 1).expect("");
    bench.pass(Stop::default().grace()).runs("a", 1).expect("+a1");
}

#[test]
fn a_restart_begins_anew_whatever_time_the_stop_still_had() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench
        .event("a", Effect::Signal(15))
        .event("a", Effect::Signal(9))
        .expect("-a");
    bench
        .event("a", Effect::Withdraw)
        .event("a", Effect::Inspect)
        .expect("");
    bench.runs("a", 2).expect("+a2");
}

#[test]
fn a_container_that_an_engine_stopped_as_it_went_and_started_as_it_came_is_back_at_once() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Signal(15)).expect("-a");
    bench.tracker.disconnected();
    bench.list(&[("a", 2)]).runs("a", 2).expect("=a2");
}

#[test]
fn an_inspect_that_began_before_the_last_event_is_done_again() {
    let mut bench = Bench::synced(&[]);
    bench.event("a", Effect::Inspect).begin();
    bench.event("a", Effect::Inspect).event("a", Effect::Inspect);
    assert_eq!(bench.begin(), "a", "never two at once");
    bench.end("a", running("a", 1));
    bench.expect("").runs("a", 2).expect("+a2");
    assert_eq!(bench.begin(), "");
}

#[test]
fn a_destroyed_container_leaves_nothing_behind() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench
        .event("a", Effect::Withdraw)
        .event("a", Effect::Forget)
        .expect("-a");
    assert!(bench.tracker.entries.is_empty() && bench.tracker.planned.is_empty());
}

#[test]
fn events_that_withdraw_an_unknown_container_make_no_entry() {
    let mut bench = Bench::synced(&[]);
    bench
        .event("ghost", Effect::Withdraw)
        .event("ghost", Effect::Forget)
        .expect("");
    assert!(bench.tracker.entries.is_empty() && bench.tracker.wake_at().is_none());
}

#[test]
fn a_death_that_came_late_is_found_out() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench
        .event("a", Effect::Inspect)
        .runs("a", 2)
        .event("a", Effect::Withdraw)
        .expect("-a");
    bench.pass(CONFIRM_AFTER).runs("a", 2).expect("+a2");
}

#[test]
fn a_removed_container_goes_before_the_one_that_got_its_address() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench
        .event("b", Effect::Inspect)
        .runs("b", 1)
        .event("a", Effect::Withdraw)
        .expect("-a +b1");
}

#[test]
fn changes_that_were_not_taken_yet_are_merged() {
    let mut bench = Bench::synced(&[("a", 1)]);
    for version in 2..9 {
        bench.event("a", Effect::Inspect).runs("a", version);
    }
    assert_eq!(bench.tracker.outbox.len(), 1, "`once-queued`");
    bench.expect("+a8");
    bench
        .event("b", Effect::Inspect)
        .runs("b", 1)
        .event("b", Effect::Withdraw)
        .expect("");
}

#[test]
fn a_failed_inspect_is_repeated_ever_later_and_given_up_with_the_last_record_kept() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Inspect);
    for wait_ms in [100, 400, 1600, 6400] {
        assert_eq!(bench.begin(), "a");
        assert_eq!(bench.end("a", Inspection::Failed), Verdict::Again);
        bench.pass(Duration::from_millis(wait_ms - 1));
        assert_eq!(bench.begin(), "");
        bench.pass(Duration::from_millis(1));
    }
    bench.begin();
    assert_eq!(bench.end("a", Inspection::Failed), Verdict::GivenUp);
    bench.expect("").pass(Duration::from_secs(3600));
    assert_eq!(bench.begin(), "");
    bench.event("a", Effect::Inspect).runs("a", 2).expect("+a2");
}

#[test]
fn inspects_are_bounded_and_the_rest_wait_their_turn() {
    let ids: Vec<String> = (0..3 * INSPECTS_MAX).map(|n| format!("c{n:03}")).collect();
    let mut bench = Bench::synced(&[]);
    for id in &ids {
        bench.event(id, Effect::Inspect);
    }
    bench.begin();
    assert_eq!(bench.open.len(), INSPECTS_MAX);
    assert_eq!(bench.tracker.wake_at(), None, "a result comes first");
    while let Some(id) = bench.open.first().cloned() {
        bench.end(&id, running(&id, 1));
        bench.begin();
    }
    bench.drain();
    assert_eq!(bench.held.len(), ids.len());
}

#[test]
fn a_flood_of_events_costs_one_entry_for_each_container() {
    let mut bench = Bench::synced(&[("a", 1)]);
    for round in 0..10_000 {
        bench.event(
            "a",
            if round % 3 == 0 {
                Effect::Withdraw
            } else {
                Effect::Inspect
            },
        );
        bench.event("b", Effect::Inspect);
    }
    assert_eq!(bench.tracker.entries.len(), 2);
    assert!(
        bench.tracker.planned.len() <= 2 && bench.tracker.outbox.len() <= 2,
        "`once-queued`"
    );
    bench.event("a", Effect::Inspect);
    assert_eq!(bench.begin(), "a,b");
}

#[test]
fn containers_beyond_the_bound_are_passed_over_until_others_have_gone() {
    let mut bench = Bench::synced(&[]);
    for n in 0..CONTAINERS_MAX {
        bench.event(&n.to_string(), Effect::Inspect);
    }
    bench.event("one more", Effect::Inspect);
    assert_eq!(
        (bench.tracker.entries.len(), bench.tracker.overflowed()),
        (CONTAINERS_MAX, 1)
    );
    bench
        .event("7", Effect::Forget)
        .event("one more", Effect::Inspect);
    assert_eq!(
        (bench.tracker.entries.len(), bench.tracker.overflowed()),
        (CONTAINERS_MAX, 1)
    );
}

#[test]
fn many_that_start_at_once_are_told_of_together_and_who_leaves_meanwhile_at_once() {
    let ids: Vec<String> = (0..3 * INSPECTS_MAX).map(|n| format!("c{n:03}")).collect();
    let mut bench = Bench::synced(&[("a", 1)]);
    for id in &ids {
        bench.event(id, Effect::Inspect);
    }
    for id in &ids[..INSPECTS_MAX] {
        bench.begin();
        bench.end(id, running(id, 1));
    }
    bench.begin();
    bench.expect("").event("a", Effect::Withdraw).expect("-a");
    assert!(
        bench
            .tracker
            .wake_at()
            .is_some_and(|at| at <= bench.now + Duration::from_millis(25))
    );
    bench.pass(Duration::from_millis(25)).drain();
    assert_eq!(bench.told.len(), INSPECTS_MAX, "they do not wait for ever");
    bench.told.clear();
    for id in &ids[INSPECTS_MAX..] {
        bench.begin();
        bench.end(id, running(id, 1));
    }
    bench.drain();
    assert_eq!(bench.told.len(), 2 * INSPECTS_MAX);
}
