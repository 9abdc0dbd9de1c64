//! The tracker's promises one by one; `model` then tries them together.

use super::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::docker::attachment::Attachment;
use crate::docker::container::Life;
use crate::service::{Change, Health, Service, ServiceId};

fn source() -> Source {
    Source::Engine("unix:///test.sock".into())
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn service(id: &str, version: u8) -> Service {
    Service {
        id: ServiceId {
            source: source(),
            id: id.into(),
            part: 0,
        },
        environment: "dev".into(),
        service: "web".into(),
        instance: id.into(),
        region: "r".into(),
        host: address(version).to_string().into(),
        uuid: id.into(),
        compose: None,
        addresses: vec![address(version).into()],
        ports: Vec::new(),
        health: Health::None,
        ttl_seconds: 30,
        wishes: None,
    }
}

pub(super) fn running(id: &str, version: u8) -> Inspection {
    Inspection::Running(Running {
        services: Some(service(id, version).into()),
        seen: seen(id, version),
        health: Health::Healthy,
        stop: Stop::default(),
        claims: Vec::new(),
    })
}

/// The same, and nobody else can be at its address.
fn alone(id: &str, version: u8) -> Inspection {
    match running(id, version) {
        Inspection::Running(running) => Inspection::Running(Running {
            claims: vec![address(version).into()],
            ..running
        }),
        other => other,
    }
}

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

fn seen(id: &str, version: u8) -> Fingerprint {
    let place = Attachment {
        ipv4: Some(Ipv4Addr::new(10, 0, 0, version)),
        ..Attachment::default()
    };
    Fingerprint::of(id, &[place], Health::None)
}

pub(super) fn listed(id: &str, version: u8) -> Listed {
    Listed {
        id: id.into(),
        name: id.to_owned(),
        image: "web".to_owned(),
        life: Life::Running,
        fingerprint: seen(id, version),
    }
}

/// A tracker, its clock, and what the pipeline would hold.
pub(super) struct Bench {
    pub(super) tracker: Tracker,
    pub(super) now: Instant,
    /// Inspects under way.
    pub(super) open: Vec<Arc<str>>,
    /// Every change, in short: `+a1`, `-a`, `=a1,b1`.
    told: Vec<String>,
    pub(super) held: BTreeMap<String, u8>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let (tracker, now) = (Tracker::new(source()), Instant::now());
        Self {
            tracker,
            now,
            open: Vec::new(),
            told: Vec::new(),
            held: BTreeMap::new(),
        }
    }

    /// Connected, with these containers known.
    pub(super) fn synced(containers: &[(&str, u8)]) -> Self {
        let mut bench = Self::new();
        bench.list(containers);
        for (id, version) in containers {
            bench.begin();
            bench.end(id, running(id, *version));
        }
        bench.drain();
        bench.told.clear();
        bench
    }

    pub(super) fn event(&mut self, id: &str, effect: Effect) -> &mut Self {
        self.tracker.event(
            &Event {
                effect,
                ..Event::look_at(id.into())
            },
            self.now,
        );
        self
    }

    pub(super) fn list(&mut self, containers: &[(&str, u8)]) -> &mut Self {
        let asked = self.tracker.list_began();
        let containers: Vec<Listed> = containers
            .iter()
            .map(|(id, version)| listed(id, *version))
            .collect();
        self.tracker.listed(asked, &containers, self.now);
        self
    }

    /// Begins all inspects that may begin; gives the ids of those under way.
    pub(super) fn begin(&mut self) -> String {
        while let Some(id) = self.tracker.next_inspect(self.now) {
            assert!(!self.open.contains(&id), "`one-inspect`: {id} has one under way");
            self.open.push(id);
        }
        assert!(self.open.len() <= INSPECTS_MAX, "`one-inspect`");
        let mut ids: Vec<&str> = self.open.iter().map(|id| &**id).collect();
        ids.sort_unstable();
        ids.join(",")
    }

    pub(super) fn end(&mut self, id: &str, outcome: Inspection) -> Verdict {
        let index = self
            .open
            .iter()
            .position(|open| &**open == id)
            .expect("an inspect under way");
        let id = self.open.swap_remove(index);
        self.tracker.inspected(&id, outcome, self.now)
    }

    pub(super) fn runs(&mut self, id: &str, version: u8) -> &mut Self {
        self.begin();
        self.end(id, running(id, version));
        self
    }

    pub(super) fn pass(&mut self, wait: Duration) -> &mut Self {
        self.now += wait;
        self.tracker.tick(self.now);
        self
    }

    /// Takes one change; whether there was one.
    pub(super) fn take(&mut self) -> bool {
        let change = self
            .tracker
            .has_change()
            .then(|| self.tracker.next_change())
            .flatten();
        let version = |service: &Service| match service.addresses[0].ip {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(_) => unreachable!("all are IPv4 here"),
        };
        match change {
            None => return false,
            Some(Change::Networks { .. } | Change::Mark(_)) => unreachable!("a tracker knows containers"),
            Some(Change::Put(services)) => {
                let s = services.first();
                self.told.push(format!("+{}{}", s.id.id, version(s)));
                self.held.insert(s.id.id.to_string(), version(s));
            }
            Some(Change::Remove(id)) => {
                self.told.push(format!("-{}", id.id));
                assert!(
                    self.held.remove(&*id.id).is_some(),
                    "{} was removed and not held",
                    id.id
                );
            }
            Some(Change::Reset { services, .. }) => {
                self.held = services
                    .iter()
                    .map(|s| (s.id.id.to_string(), version(s)))
                    .collect();
                let all: Vec<String> = self
                    .held
                    .iter()
                    .map(|(id, version)| format!("{id}{version}"))
                    .collect();
                self.told.push(format!("={}", all.join(",")));
            }
        }
        true
    }

    pub(super) fn drain(&mut self) -> &mut Self {
        while self.take() {}
        self
    }

    #[track_caller]
    fn expect(&mut self, told: &str) -> &mut Self {
        self.drain();
        assert_eq!(std::mem::take(&mut self.told).join(" "), told);
        self
    }
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
    bench.pass(Stop::default().grace).runs("a", 1).expect("+a1");
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
fn a_missing_container_is_removed() {
    let mut bench = Bench::synced(&[("a", 1)]);
    bench.event("a", Effect::Inspect).begin();
    bench.end("a", Inspection::Absent);
    bench.expect("-a");
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
fn a_list_has_inspected_only_what_differs() {
    let mut bench = Bench::synced(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.list(&[("a", 1), ("b", 2), ("d", 1)]).expect("-c");
    assert_eq!(bench.begin(), "b,d");
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
