use super::*;
use crate::fixture::{defaults, draft, name};
use crate::store::Patch;

fn rules() -> Rules {
    Rules {
        defaults: defaults(),
        naming: Naming::new(vec![name("docker")]),
    }
}

fn put(id: &str, draft: Draft, condition: Condition) -> Write {
    Write::Put {
        id: id.into(),
        draft,
        condition,
    }
}

fn remove(id: &str) -> Write {
    Write::Remove {
        id: id.into(),
        condition: Condition::Always,
    }
}

/// Decides `writes` in one batch and takes in what was decided; gives what became of each.
fn batch(book: &mut Book, now: Now, writes: Vec<Write>) -> Vec<Result<Done, Refusal>> {
    let rules = rules();
    let mut pages = Pages::over(book, &rules, now);
    let results = writes.into_iter().map(|write| pages.decide(write)).collect();
    let (changed, revision) = pages.into_changed();
    book.turn(changed, revision);
    results
}

fn revision(done: &Result<Done, Refusal>) -> u64 {
    done.as_ref()
        .unwrap()
        .entry
        .as_ref()
        .unwrap()
        .registration
        .revision
}

#[test]
fn the_second_of_two_in_one_batch_sees_the_first() {
    let (mut book, now) = (Book::default(), Now::read());
    let twice = vec![
        put("1001", draft(30), Condition::Absent),
        put("1001", draft(30), Condition::Absent),
        remove("1001"),
        remove("1001"),
        put("1001", draft(30), Condition::Absent),
    ];
    let results = batch(&mut book, now, twice);
    let is_done: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(is_done, [true, false, true, false, true]);
    assert!(matches!(results[1], Err(Refusal::Condition { .. })));
    assert!(matches!(results[3], Err(Refusal::NotFound(_))));
    assert_eq!(book.len(), 1);
}

#[test]
fn a_write_may_depend_on_what_its_sender_saw() {
    let (mut book, now) = (Book::default(), Now::read());
    let first = revision(&batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)])[0]);
    let on = |revision| put("1001", draft(60), Condition::Revision(vec![revision]));
    assert!(batch(&mut book, now, vec![on(first + 1)])[0].is_err());
    let second = batch(&mut book, now, vec![on(first)]);
    assert!(revision(&second[0]) > first && !second[0].as_ref().unwrap().is_new);
    assert!(
        batch(&mut book, now, vec![on(first)])[0].is_err(),
        "it was seen before the change"
    );
    let absent = put("1002", draft(30), Condition::Present);
    assert!(batch(&mut book, now, vec![absent])[0].is_err());
}

#[test]
fn revisions_grow_also_over_a_removal_and_a_restart() {
    let (mut book, now) = (Book::default(), Now::read());
    let first = revision(&batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)])[0]);
    batch(&mut book, now, vec![remove("1001")]);
    let mut anew = Book::of(vec![], now.later(1));
    let second = batch(
        &mut anew,
        now.later(1),
        vec![put("1001", draft(30), Condition::Always)],
    );
    assert!(revision(&second[0]) > first);
}

#[test]
fn a_heartbeat_gives_time_and_no_new_revision() {
    let (mut book, now) = (Book::default(), Now::read());
    let first = revision(&batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)])[0]);
    let beat = |ttl| Write::Beat {
        id: "1001".into(),
        ttl,
    };
    let now = now.later(20);
    let beaten = batch(&mut book, now, vec![beat(None)]);
    assert_eq!(revision(&beaten[0]), first);
    assert_eq!(book.get("1001").unwrap().remaining_seconds(now.instant), 30);
    batch(&mut book, now, vec![beat(Some(7))]);
    assert_eq!(book.get("1001").unwrap().remaining_seconds(now.instant), 7);
}

#[test]
fn what_is_over_is_not_there_for_anybody() {
    let (mut book, now) = (Book::default(), Now::read());
    batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)]);
    let over = now.later(30);
    let beat = Write::Beat {
        id: "1001".into(),
        ttl: None,
    };
    assert!(matches!(
        batch(&mut book, over, vec![beat])[0],
        Err(Refusal::NotFound(_))
    ));
    assert!(batch(&mut book, over, vec![put("1001", draft(30), Condition::Absent)])[0].is_ok());
    assert_eq!(book.len(), 1);
}

#[test]
fn a_permanent_one_has_no_end() {
    let (mut book, now) = (Book::default(), Now::read());
    let mut draft = draft(30);
    draft.permanent = true;
    batch(&mut book, now, vec![put("1001", draft, Condition::Always)]);
    let entry = book.get("1001").unwrap();
    assert!(!entry.is_over(now.later(1 << 40).instant));
    assert_eq!(entry.remaining_seconds(now.later(3600).instant), 30);
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let (mut book, now) = (Book::default(), Now::read());
    let mut draft = draft(30);
    draft.priority = Some(5);
    batch(
        &mut book,
        now,
        vec![put("1001", draft.clone(), Condition::Always)],
    );
    let patch = |patch| Write::Patch {
        id: "1001".into(),
        patch: Box::new(patch),
        condition: Condition::Always,
    };
    let moved = Patch {
        host: Some((vec!["10.0.0.8".parse().unwrap()], None)),
        priority: Some(None),
        ..Patch::default()
    };
    assert!(batch(&mut book, now, vec![patch(moved)])[0].is_ok());
    draft.addresses = vec!["10.0.0.8".parse().unwrap()];
    draft.priority = None;
    assert_eq!(book.get("1001").unwrap().registration.draft, draft);

    let nowhere = Patch {
        host: Some((vec![], None)),
        ..Patch::default()
    };
    let refused = batch(&mut book, now, vec![patch(nowhere)]);
    assert!(matches!(&refused[0], Err(Refusal::Invalid(invalid)) if invalid.field == "addresses"));
    assert_eq!(book.get("1001").unwrap().registration.draft, draft);
}

#[test]
fn a_callback_is_attached_to_all_that_its_words_mean() {
    let (mut book, now) = (Book::default(), Now::read());
    let with = |instance: &str| Draft {
        instance: instance.to_owned(),
        ..draft(30)
    };
    let writes = vec![
        put("1001", with("1.0.0"), Condition::Always),
        put("1002", with("1.0.0"), Condition::Always),
        put("1003", with("2.0.0"), Condition::Always),
    ];
    batch(&mut book, now, writes);
    let call = |instance: &str| Write::Call {
        words: Words {
            service: "WEB".to_owned(),
            instance: instance.to_owned(),
            ..Words::default()
        },
        callback: Callback {
            id: "c1".into(),
            reply: "10.0.0.9".into(),
            port: 80,
        },
    };
    assert!(
        batch(&mut book, now, vec![call("1-0-0"), call("1.0.0")])
            .iter()
            .all(Result::is_ok)
    );
    let callbacks = |id: &str| book.get(id).unwrap().registration.callbacks.len();
    assert_eq!(["1001", "1002", "1003"].map(callbacks), [1, 1, 0]);
    assert!(matches!(
        batch(&mut book, now, vec![call("3")])[0],
        Err(Refusal::NotFound(_))
    ));
}

#[test]
fn time_that_passed_while_we_were_away_counts() {
    let (mut book, now) = (Book::default(), Now::read());
    batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)]);
    let stored = vec![Registration::clone(&book.get("1001").unwrap().registration)];
    let remaining = |now: Now| {
        let book = Book::of(stored.clone(), now);
        book.get("1001").unwrap().remaining_seconds(now.instant)
    };
    assert_eq!(remaining(now.later(10)), 20);
    assert_eq!(remaining(now.later(10).rebooted()), 20);
    assert_eq!(remaining(now.later(3600)), 0);
}

#[test]
fn one_more_than_there_is_room_for_is_refused_and_the_others_can_be_changed() {
    let now = Now::read();
    let all = (0..REGISTRATIONS_MAX).map(|number| Registration {
        id: format!("w{number}").into(),
        draft: Draft::default(),
        expires_unix_ms: None,
        expires_uptime: None,
        revision: 1,
        callbacks: vec![],
    });
    let mut book = Book::of(all.collect(), now);
    let more = |id: &str| put(id, draft(30), Condition::Always);
    let results = batch(
        &mut book,
        now,
        vec![more("one"), more("w7"), remove("w8"), more("one"), more("two")],
    );
    let is_refused: Vec<_> = results
        .iter()
        .map(|result| matches!(result, Err(Refusal::TooMany)))
        .collect();
    assert_eq!(is_refused, [true, false, false, false, true]);
    assert_eq!(book.len(), REGISTRATIONS_MAX);
}
