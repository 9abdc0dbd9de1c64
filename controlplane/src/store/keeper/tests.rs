use super::super::counts::Called;
use super::super::disk::Disk;
use super::super::registration::{Callback, Registration};
use super::super::told::BEATS_TOLD_PER_SECOND_MAX;
use super::super::write::{Condition, Words};
use super::super::{Parts, Store};
use super::*;
use crate::fixture::{defaults, draft, name};
use crate::naming::Naming;

fn rules() -> Rules {
    Rules {
        defaults: defaults(),
        naming: Naming::new(vec![name("docker")]),
    }
}

fn put(id: &str, ttl: u32) -> Write {
    Write::Put {
        id: id.into(),
        draft: draft(ttl),
        condition: Condition::Always,
    }
}

fn remove(id: &str) -> Write {
    Write::Remove {
        id: id.into(),
        condition: Condition::Always,
    }
}

/// Has whoever listens on port `port` called when `web` goes.
fn call(port: u16) -> Write {
    Write::Call {
        words: Words {
            service: "web".to_owned(),
            instance: "*".to_owned(),
            ..Words::default()
        },
        callback: Callback {
            id: "c1".into(),
            reply: "10.0.0.9".into(),
            port,
        },
    }
}

/// What the pipeline is told when `writes` are one batch, and what callbacks there are then.
fn told(writes: Vec<Write>) -> (Vec<String>, Vec<String>) {
    let (changes, mut queue) = mpsc::channel(1024);
    let (_store, parts, _) = Store::open(None, rules(), changes);
    let Parts {
        mut keeper,
        mut calls,
        answers: _answers,
        ..
    } = parts;
    let messages = writes
        .into_iter()
        .map(|write| Message::Write(Box::new(write), oneshot::channel().0));
    assert!(keeper.write(messages, Now::read(), Instant::now()).is_ok());
    let changes = std::iter::from_fn(|| queue.try_recv().ok()).filter_map(|change| match change {
        Change::Put(services) => {
            let service = &services.as_slice()[0];
            Some(format!("{} {}", service.id.id, service.ttl_seconds))
        }
        Change::Remove(id) => Some(format!("-{}", id.id)),
        _ => None,
    });
    let changes = changes.collect();
    let calls = std::iter::from_fn(|| calls.waiting());
    (changes, calls.map(|call| call.body.to_string()).collect())
}

#[test]
fn two_writes_of_one_id_in_one_batch_are_two_for_whoever_follows() {
    for (writes, expected, bodies) in [
        (vec![put("a", 30), call(80), remove("a")], vec!["a 30", "-a"], 1),
        (
            vec![put("a", 30), call(80), remove("a"), put("a", 40)],
            vec!["a 30", "-a", "a 40"],
            1,
        ),
        (
            vec![
                put("a", 30),
                put("a", 40),
                call(80),
                remove("a"),
                put("a", 30),
                remove("a"),
            ],
            vec!["a 30", "a 40", "-a", "a 30", "-a"],
            1,
        ),
        // Back to what it was: told, for the change before was.
        (
            vec![put("a", 30), put("a", 40), put("a", 30)],
            vec!["a 30", "a 40", "a 30"],
            0,
        ),
        (
            vec![
                put("a", 30),
                put("a", 30),
                put("b", 30),
                call(80),
                call(81),
                remove("b"),
            ],
            vec!["a 30", "b 30", "-b"],
            1,
        ),
    ] {
        let (changes, calls) = told(writes);
        assert_eq!(changes, expected);
        assert_eq!(calls.len(), bodies, "{calls:?}");
    }
}

/// A store in `directory`, at work on what it needs.
fn opened(directory: &std::path::Path) -> (Store, Parts, mpsc::Receiver<Change>) {
    let (changes, queue) = mpsc::channel(1024);
    let (store, parts, _) = Store::open(Some(directory.to_path_buf()), rules(), changes);
    (store, parts, queue)
}

#[test]
fn a_callback_is_owed_from_its_cause_on_until_it_was_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (store, parts, _changes) = opened(path);
    let Parts {
        mut keeper,
        answers: _answers,
        ..
    } = parts;
    let message = |write| Message::Write(Box::new(write), oneshot::channel().0);
    let writes = [put("a", 30), put("b", 30), call(80)].map(message);
    let now = Now::read();
    assert!(keeper.write(writes.into_iter(), now, now.instant).is_ok());
    assert!(
        keeper
            .write([message(remove("a"))].into_iter(), now, now.instant)
            .is_ok()
    );
    // One by its end, and we end before anybody was told.
    let over = now.later(31);
    assert!(keeper.take_due(over, over.instant).is_ok());
    drop((keeper, store));

    let (store, parts, _changes) = opened(path);
    let Parts {
        mut keeper,
        mut calls,
        ..
    } = parts;
    let owed = [calls.waiting().unwrap(), calls.waiting().unwrap()];
    assert!(
        owed[0].body.contains("\"a\"") && owed[1].body.contains("\"b\""),
        "{owed:?}"
    );
    assert!(calls.waiting().is_none());
    calls.over(&owed[0], Called::Heard);
    keeper.forget_calls();
    drop((keeper, store, calls));

    let (_store, parts, _changes) = opened(path);
    let mut calls = parts.calls;
    assert_eq!(calls.waiting().as_ref(), Some(&owed[1]));
    assert!(calls.waiting().is_none());
}

#[test]
fn what_a_restart_of_the_host_left_is_stored_by_both_clocks_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(Some(directory.path()));
    let now = Now::read();
    let before = now.rebooted();
    let ids: Vec<_> = (0..=ANEW_MAX).map(|number| format!("w{number}")).collect();
    let stored: Vec<_> = ids
        .iter()
        .map(|id| {
            let mut registration = Registration {
                id: id.as_str().into(),
                draft: draft(600),
                expires_unix_ms: None,
                expires_uptime: None,
                revision: 1,
                callbacks: vec![],
            };
            registration.set_ends(Some(before.ends(600)));
            registration
        })
        .collect();
    let rows: Vec<_> = stored.iter().map(|row| (&*row.id, Some(row))).collect();
    disk.commit(&rows, &[], All::default).unwrap();
    drop(disk);

    let (changes, _queue) = mpsc::channel(1024);
    let (store, parts, kept) = Store::open(Some(directory.path().to_path_buf()), rules(), changes);
    assert_eq!(kept.services, ids.len());
    store.stop();
    let (keep, _, _) = parts.split();
    std::thread::spawn(keep).join().unwrap();
    drop(store);

    let (_, found) = Disk::open(Some(directory.path()));
    assert_eq!(found.registrations.len(), ids.len());
    let is_known = |row: &Registration| now.knows(row.ends().unwrap());
    assert!(found.registrations.iter().all(is_known));
}

/// How many answers change when the last `beating` of `count` registrations, of 60 seconds each, are heard of so many seconds
/// after they were all made.
fn beats_told(count: usize, beating: usize, after: &[u64]) -> Vec<usize> {
    let (changes, mut queue) = mpsc::channel(2 * count + 16);
    let (_store, parts, _) = Store::open(None, rules(), changes);
    let Parts {
        mut keeper,
        answers: _answers,
        ..
    } = parts;
    let now = Now::read();
    let mut write = |writes: Vec<Write>, now: Now| {
        let messages = writes
            .into_iter()
            .map(|write| Message::Write(Box::new(write), oneshot::channel().0));
        assert!(keeper.write(messages, now, now.instant).is_ok());
        let changes = std::iter::from_fn(|| queue.try_recv().ok());
        changes.filter(|change| matches!(change, Change::Put(_))).count()
    };
    let all = (0..count).map(|number| put(&number.to_string(), 60));
    assert_eq!(write(all.collect(), now), count);
    let beat = |number: usize| Write::Beat {
        id: number.to_string().into(),
        ttl: None,
        condition: Condition::Always,
    };
    let beats = || (count - beating..count).map(beat).collect();
    let mut told = |after: &u64| write(beats(), now.later(*after));
    after.iter().map(&mut told).collect()
}

#[test]
fn every_heartbeat_of_a_few_is_told_and_of_many_as_often_as_can_be_borne() {
    const MANY: usize = BEATS_TOLD_PER_SECOND_MAX;
    assert_eq!(beats_told(MANY - 1, 1, &[1, 2, 3]), [1, 1, 1]);
    assert_eq!(
        beats_told(3 * MANY + 1, 1, &[1, 3, 4, 7, 8]),
        [0, 0, 1, 0, 1],
        "each once in three seconds"
    );
    assert_eq!(
        beats_told(2 * MANY, 2 * MANY - 1, &[10, 50]),
        [MANY, 2 * MANY - 1],
        "no more, unless less than half of its time were told"
    );
}

#[test]
fn a_heartbeat_that_waited_for_the_disk_came_in_time() {
    let (changes, mut queue) = mpsc::channel(16);
    let (_store, parts, _) = Store::open(None, rules(), changes);
    let Parts {
        mut keeper,
        answers: _answers,
        ..
    } = parts;
    let message = |write| Message::Write(Box::new(write), oneshot::channel().0);
    let beat = || Write::Beat {
        id: "a".into(),
        ttl: None,
        condition: Condition::Always,
    };
    let now = Now::read();
    let put = [message(put("a", 30))].into_iter();
    assert!(keeper.write(put, now, now.instant).is_ok());
    // It came after 29 seconds, and the disk is done after 40.
    let (lived, late) = (now.later(29).instant, now.later(40));
    assert!(keeper.take_due(late, lived).is_ok());
    assert!(keeper.write([message(beat())].into_iter(), late, lived).is_ok());
    assert!(keeper.take_due(late, late.instant).is_ok());
    let removed = std::iter::from_fn(|| queue.try_recv().ok()).any(|it| matches!(it, Change::Remove(_)));
    assert!(!removed);
    let deadline = keeper.entry("a").and_then(|entry| entry.deadline);
    assert_eq!(deadline, Some(late.instant + Duration::from_secs(30)));
    // Nobody is heard of any more.
    let over = now.later(71);
    assert!(keeper.take_due(over, over.instant).is_ok());
    assert!(std::iter::from_fn(|| queue.try_recv().ok()).any(|it| matches!(it, Change::Remove(_))));
}
