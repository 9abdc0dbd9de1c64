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
    let Decided {
        changed, revision, ..
    } = pages.into_decided();
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
    let (mut anew, _) = Book::of(vec![], now.later(1));
    let second = batch(
        &mut anew,
        now.later(1),
        vec![put("1001", draft(30), Condition::Always)],
    );
    assert!(revision(&second[0]) > first);
}

#[test]
fn a_heartbeat_gives_time_and_a_new_revision_only_with_another_ttl() {
    let (mut book, now) = (Book::default(), Now::read());
    let first = revision(&batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)])[0]);
    let beat = |ttl| Write::Beat {
        id: "1001".into(),
        ttl,
        condition: Condition::Always,
    };
    let now = now.later(20);
    let beaten = batch(&mut book, now, vec![beat(None)]);
    assert_eq!(revision(&beaten[0]), first);
    assert_eq!(book.get("1001").unwrap().remaining_seconds(now.instant), 30);
    let same = batch(&mut book, now, vec![beat(Some(30))]);
    assert_eq!(revision(&same[0]), first);
    let shorter = batch(&mut book, now, vec![beat(Some(7))]);
    assert_eq!(book.get("1001").unwrap().remaining_seconds(now.instant), 7);
    assert!(
        revision(&shorter[0]) > first,
        "whoever knows the old one has to see it"
    );
}

#[test]
fn what_is_over_is_not_there_for_anybody() {
    let (mut book, now) = (Book::default(), Now::read());
    batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)]);
    let over = now.later(30);
    let beat = Write::Beat {
        id: "1001".into(),
        ttl: None,
        condition: Condition::Always,
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

/// Asks for a callback by the words of `region.instance.service.environment`.
fn call(words: &str) -> Write {
    let words: Vec<_> = words.split('/').collect();
    let [region, instance, service, environment] = <[&str; 4]>::try_from(words).unwrap().map(str::to_owned);
    Write::Call {
        words: Words {
            service,
            instance,
            environment,
            region,
        },
        callback: Callback {
            id: "c1".into(),
            reply: "10.0.0.9".into(),
            port: 80,
        },
    }
}

#[test]
fn a_callback_is_attached_to_what_its_words_mean_and_no_word_is_not_any_word() {
    let now = Now::read();
    let with = |instance: &str, environment: &str, region: &str| Draft {
        instance: instance.to_owned(),
        environment: environment.to_owned(),
        region: region.to_owned(),
        ..draft(30)
    };
    let check = |words: &str, expected: &[&str]| {
        let mut book = Book::default();
        let writes = vec![
            put("1001", with("1.0.0", "prod", "east"), Condition::Always),
            put("1002", with("1.0.0", "prod", ""), Condition::Always),
            put("1003", with("2.0.0", "", "west"), Condition::Always),
            put("1004", with("", "", ""), Condition::Always),
        ];
        batch(&mut book, now, writes);
        let called = batch(&mut book, now, vec![call(words), call(words)]);
        let mut ids: Vec<_> = book
            .iter()
            .filter(|entry| entry.registration.callbacks.len() == 1)
            .map(|entry| entry.registration.id.to_string())
            .collect();
        ids.sort();
        assert_eq!(ids, expected, "{words}");
        let is_found = called.iter().all(Result::is_ok);
        assert_eq!(is_found, !expected.is_empty(), "{words}: {called:?}");
    };
    check("east/1-0-0/WEB/prod", &["1001"]);
    check("*/1.0.0/web/prod", &["1001", "1002"]);
    check("/1.0.0/web/prod", &["1002"]);
    // Those of the daemon are what a registration without has.
    check("here/1.0.0/web/prod", &["1002"]);
    check("west/2.0.0/web/dev", &["1003"]);
    check("//web/", &["1004"]);
    check("///", &[]);
    check("*/*/*/*", &["1001", "1002", "1003", "1004"]);
    check("*/3/web/*", &[]);
    check("*/\u{fc}/web/*", &[]);
}

#[test]
fn a_callback_for_too_many_is_for_none() {
    let now = Now::read();
    let all = (0..=CALLED_MAX).map(|number| Registration {
        draft: draft(30),
        ..bare(&format!("w{number}"))
    });
    let (mut book, _) = Book::of(all.collect(), now);
    let refused = batch(&mut book, now, vec![call("*/*/*/*")]);
    assert!(matches!(&refused[0], Err(Refusal::Invalid(_))), "{refused:?}");
    assert!(book.iter().all(|entry| entry.registration.callbacks.is_empty()));
}

/// A registration of nothing, which does not end.
fn bare(id: &str) -> Registration {
    Registration {
        id: id.into(),
        draft: Draft::default(),
        expires_unix_ms: None,
        expires_uptime: None,
        revision: 1,
        callbacks: vec![],
    }
}

#[test]
fn time_that_passed_while_we_were_away_counts() {
    let (mut book, now) = (Book::default(), Now::read());
    batch(&mut book, now, vec![put("1001", draft(30), Condition::Always)]);
    let stored = vec![Registration::clone(&book.get("1001").unwrap().registration)];
    let remaining = |now: Now| {
        let (book, _) = Book::of(stored.clone(), now);
        book.get("1001").unwrap().remaining_seconds(now.instant)
    };
    assert_eq!(remaining(now.later(10)), 20);
    assert_eq!(remaining(now.later(10).rebooted()), 20);
    assert_eq!(remaining(now.later(3600)), 0);
}

#[test]
fn one_more_than_there_is_room_for_is_refused_and_the_others_can_be_changed() {
    let now = Now::read();
    let all = (0..REGISTRATIONS_MAX).map(|number| bare(&format!("w{number}")));
    let (mut book, _) = Book::of(all.collect(), now);
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

#[test]
fn many_large_ones_take_no_more_than_there_is_room_for_and_can_become_smaller() {
    let now = Now::read();
    let large = || Draft {
        texts: vec!["x".repeat(1024); 16],
        ..draft(30)
    };
    let each = Registration {
        draft: large(),
        ..bare("w0000")
    };
    let count = REGISTRATIONS_OCTETS_MAX / each.octets();
    let all = (0..count).map(|number| Registration {
        id: format!("w{number:04}").into(),
        ..each.clone()
    });
    let (mut book, _) = Book::of(all.collect(), now);
    let beat = Write::Beat {
        id: "w0002".into(),
        ttl: None,
        condition: Condition::Always,
    };
    let writes = vec![
        put("w9999", large(), Condition::Always),
        put("w0001", large(), Condition::Always),
        beat,
        put("w0001", draft(30), Condition::Always),
        put("w9999", large(), Condition::Always),
        put("w9998", large(), Condition::Always),
        remove("w0002"),
        put("w9998", large(), Condition::Always),
        call("/*/web/"),
    ];
    let results = batch(&mut book, now, writes);
    let is_refused: Vec<_> = results
        .iter()
        .map(|result| matches!(result, Err(Refusal::TooLarge)))
        .collect();
    assert_eq!(
        is_refused[..8],
        [true, false, false, false, false, true, false, false]
    );
    assert!(results[8].is_err(), "it is for more than may be");
    let sum: usize = book.iter().map(|entry| entry.registration.octets()).sum();
    assert_eq!(book.octets, sum);
    assert!(sum <= REGISTRATIONS_OCTETS_MAX);
}

#[test]
fn each_step_of_a_batch_is_told_in_order_with_what_was_there_before() {
    let (mut book, now) = (Book::default(), Now::read());
    batch(&mut book, now, vec![put("old", draft(30), Condition::Always)]);
    let beat = Write::Beat {
        id: "new".into(),
        ttl: None,
        condition: Condition::Always,
    };
    let rules = rules();
    let mut pages = Pages::over(&book, &rules, now);
    for write in [
        call("//web/"),
        remove("old"),
        put("old", draft(40), Condition::Always),
        put("new", draft(0), Condition::Always),
        put("new", draft(50), Condition::Absent),
        beat,
        remove("new"),
    ] {
        pages.decide(write).unwrap();
    }
    let decided = pages.into_decided();
    let told = |entry: &Entry| {
        let Registration {
            id, draft, callbacks, ..
        } = &*entry.registration;
        format!("{id}:{}:{}", draft.ttl, callbacks.len())
    };
    let steps: Vec<_> = decided
        .steps
        .iter()
        .map(|step| match step {
            Step::Put { entry, before } => {
                let before = before.as_ref().map(told).unwrap_or_default();
                format!("{before}>{}", told(entry))
            }
            Step::Went(entry) => format!("-{}", told(entry)),
        })
        .collect();
    let expected = [
        "-old:30:1",
        ">old:40:0",
        ">new:0:0",
        // It was over before anybody could see it.
        "-new:0:0",
        ">new:50:0",
        "new:50:0>new:50:0",
        "-new:50:0",
    ];
    assert_eq!(steps, expected);
    let mut last: Vec<_> = decided
        .changed
        .iter()
        .map(|(id, entry)| (&**id, entry.is_some()))
        .collect();
    last.sort_unstable();
    assert_eq!(last, [("new", false), ("old", true)]);
}

#[test]
fn after_a_new_start_of_the_host_the_clock_that_nobody_sets_counts_again() {
    let (mut book, now) = (Book::default(), Now::read());
    batch(&mut book, now, vec![put("1001", draft(600), Condition::Always)]);
    let stored = |book: &Book| vec![Registration::clone(&book.get("1001").unwrap().registration)];
    let (same, anew) = Book::of(stored(&book), now.later(10));
    assert_eq!((stored(&same), anew), (stored(&book), vec![]), "nothing to store");

    let first = now.later(100).rebooted();
    let (second, anew) = Book::of(stored(&book), first);
    assert_eq!(anew, ["1001"]);
    // Somebody sets the clock of day, and skydock is started once more.
    let mut later = first.later(100);
    later.wall += std::time::Duration::from_secs(1 << 30);
    let (third, anew) = Book::of(stored(&second), later);
    assert!(anew.is_empty());
    assert_eq!(third.get("1001").unwrap().remaining_seconds(later.instant), 400);
}
