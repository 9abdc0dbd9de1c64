use arcstr::ArcStr;

use super::rows::{META, SCHEMA, SCHEMA_KEY};
use super::*;
use crate::fixture::draft;
use crate::store::callbacks::tests::call;

pub(super) fn registration(id: &str) -> Registration {
    Registration {
        id: id.into(),
        draft: draft(30),
        expires_unix_ms: Some(1),
        expires_uptime: None,
        revision: 1,
        callbacks: vec![],
    }
}

fn nothing<'r>() -> All<'r> {
    All::default()
}

/// Stores one service for each of `ids`, a commit each.
fn store(disk: &mut Disk, ids: &[&str]) {
    for id in ids {
        disk.commit(&[(id, Some(&registration(id)))], &[], nothing)
            .unwrap();
    }
}

/// What is found in `directory`, by id.
fn found(directory: &Path) -> (Vec<String>, Found) {
    let (_, found) = Disk::open(Some(directory));
    let mut ids: Vec<_> = found.registrations.iter().map(|it| it.id.to_string()).collect();
    ids.sort();
    (ids, found)
}

#[test]
fn what_was_committed_is_found_and_what_was_removed_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (mut disk, first) = Disk::open(Some(directory.path()));
    assert!(first.registrations.is_empty() && first.failure.is_none());
    store(&mut disk, &["a", "b", "c"]);
    disk.commit(&[("b", None)], &[], nothing).unwrap();
    drop(disk);
    assert_eq!(found(directory.path()).0, ["a", "c"]);
}

#[test]
fn nothing_is_made_before_there_is_something_to_keep() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, _) = Disk::open(Some(&directory.path().join("skydock")));
    drop(disk);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_second_one_at_the_same_file_is_told_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(Some(directory.path()));
    store(&mut disk, &["a"]);
    let (mut second, found) = Disk::open(Some(directory.path()));
    let reason = found.failure.unwrap().reason;
    assert!(reason.contains("another skydock has it"), "{reason}");
    assert!(
        second
            .commit(&[("b", Some(&registration("b")))], &[], nothing)
            .is_err()
    );
    store(&mut disk, &["c"]);
}

#[test]
fn a_file_that_is_none_of_ours_is_kept_aside_and_a_new_one_is_made() {
    for content in [&b""[..], b"not a database at all", &[0; 8192], &[0xff; 100_000]] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, content).unwrap();
        let (mut disk, found) = Disk::open(Some(directory.path()));
        let aside = found.quarantined.expect("it is told where it is");
        assert_eq!(fs::read(aside).unwrap(), content);
        assert_eq!(found.failure, None);
        store(&mut disk, &["a"]);
        drop(disk);
        assert_eq!(self::found(directory.path()).0, ["a"]);
    }
}

#[test]
fn a_file_of_a_later_skydock_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let database = create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut meta = transaction.open_table(META).unwrap();
    meta.insert(SCHEMA_KEY, SCHEMA + 1).unwrap();
    drop(meta);
    transaction.commit().unwrap();
    drop(database);
    let (mut disk, found) = Disk::open(Some(directory.path()));
    let reason = found.failure.unwrap().reason;
    assert!(reason.contains("a later skydock wrote it"), "{reason}");
    assert!(found.quarantined.is_none() && path.exists());
    assert!(
        disk.commit(&[("b", Some(&registration("b")))], &[], nothing)
            .is_err()
    );
}

/// A cut or damaged file gives either all that was stored, or is kept aside whole; it never ends the process, and what
/// follows can be stored.
fn check_damage(damage: impl Fn(&mut Vec<u8>, usize)) {
    let directory = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(Some(directory.path()));
    store(&mut disk, &["a", "b", "c"]);
    drop(disk);
    let path = directory.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    // Everywhere in what says how the rest is to be read, and here and there in the rest.
    let places = (0..512)
        .step_by(7)
        .chain((512..whole.len()).step_by(whole.len() / 97));
    for place in places {
        let mut damaged = whole.clone();
        damage(&mut damaged, place);
        fs::write(&path, &damaged).unwrap();
        let (mut disk, found) = Disk::open(Some(directory.path()));
        match &found.quarantined {
            Some(aside) => {
                assert_eq!(found.registrations, [], "{place}");
                fs::remove_file(aside).unwrap();
            }
            None => {
                let count = found.registrations.len();
                assert!(
                    count == 3 || found.failure.is_some(),
                    "{place}: {count} {:?}",
                    found.failure
                );
            }
        }
        if found.failure.is_none() {
            disk.commit(&[("d", Some(&registration("d")))], &[], nothing)
                .unwrap_or_else(|failure| panic!("{place}: {failure}"));
        }
    }
}

#[test]
fn a_file_that_was_cut_anywhere_ends_nothing() {
    check_damage(Vec::truncate);
}

#[test]
fn a_file_that_was_damaged_anywhere_ends_nothing() {
    check_damage(|octets, place| octets[place] ^= 0x55);
}

#[test]
fn a_directory_that_cannot_be_written_is_told_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let (mut disk, _) = Disk::open(Some(&file.join("below")));
    let failure = disk
        .commit(&[("a", Some(&registration("a")))], &[], nothing)
        .unwrap_err();
    assert!(
        failure.reason.contains("--data-dir") && !failure.is_full,
        "{failure}"
    );
}

#[test]
fn after_a_failure_everything_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("data");
    let (mut disk, _) = Disk::open(Some(&blocked));
    store(&mut disk, &["a"]);
    let Disk::File(file) = &mut disk else { panic!() };
    file.state = State::Failing {
        failure: Failure {
            reason: "the disk was away".to_owned(),
            is_full: false,
        },
        since: Instant::now(),
    };
    // What the disk has and what is known differ: only what is known counts.
    let known = [registration("b")];
    let kept = call(1, "10.0.0.9");
    let all = || All {
        registrations: [(ArcStr::from("b"), &known[0])].into(),
        calls: vec![&kept],
    };
    let write = [("c", Some(&known[0]))];
    assert!(disk.commit(&write, &[], all).is_err(), "not tried again at once");
    std::thread::sleep(RETRY_AFTER);
    let c = registration("c");
    disk.commit(&[("c", Some(&c))], &[], all).unwrap();
    drop(disk);
    let (ids, found) = found(&blocked);
    assert_eq!(
        (ids, found.calls),
        (vec!["b".to_owned(), "c".to_owned()], vec![kept])
    );
}

#[test]
fn what_is_owed_is_stored_with_what_causes_it_and_is_gone_when_it_was_made() {
    let directory = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(Some(directory.path()));
    store(&mut disk, &["a", "b"]);
    let [first, second] = [1, 2].map(|key| call(key, "10.0.0.9"));
    let calls = [(1, Some(&first)), (2, Some(&second))];
    disk.commit(&[("a", None)], &calls, nothing).unwrap();
    drop(disk);
    let (mut disk, found) = Disk::open(Some(directory.path()));
    assert_eq!(found.calls, [first, second.clone()]);
    // One that the file does not have is none to remove.
    disk.commit(&[], &[(1, None), (7, None)], nothing).unwrap();
    drop(disk);
    let (ids, found) = self::found(directory.path());
    assert_eq!((ids, found.calls), (vec!["b".to_owned()], vec![second]));
}

#[test]
fn what_could_not_be_read_at_the_start_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, _) = Disk::open(Some(directory.path()));
    store(&mut first, &["a"]);
    // Another one starts before the first has ended.
    let (mut second, found_then) = Disk::open(Some(directory.path()));
    assert!(found_then.failure.is_some() && found_then.registrations.is_empty());
    store(&mut first, &["b"]);
    drop(first);
    std::thread::sleep(RETRY_AFTER);
    store(&mut second, &["c", "d"]);
    drop(second);
    assert_eq!(found(directory.path()).0, ["a", "b", "c", "d"]);
}

#[test]
fn a_directory_that_comes_after_the_start_keeps_what_is_in_it() {
    let parent = tempfile::tempdir().unwrap();
    let [there, away] = ["there", "away"].map(|name| parent.path().join(name));
    let (mut disk, _) = Disk::open(Some(&there));
    store(&mut disk, &["a"]);
    drop(disk);
    fs::rename(&there, &away).unwrap();
    let (mut early, _) = Disk::open(Some(&there));
    fs::rename(&away, &there).unwrap();
    store(&mut early, &["b"]);
    drop(early);
    assert_eq!(found(&there).0, ["a", "b"]);
}
