//! Replays what the fuzzers found worth keeping, and every entry once more with octets changed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states what must hold by panicking"
)]

use std::fs;
use std::path::PathBuf;

/// Calls `target` with each file of its corpus as it is, and with mutations under a fixed seed.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut replayed = 0;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for entry in entries {
        let octets = fs::read(entry.unwrap().path()).unwrap();
        target(&octets);
        for _ in 0..4 {
            let mut mutated = octets.clone();
            for _ in 0..1 + next() % 4 {
                let at = next() % (mutated.len() + 1);
                match next() % 3 {
                    0 if at < mutated.len() => mutated[at] = next() as u8,
                    1 if at < mutated.len() => drop(mutated.remove(at)),
                    _ => mutated.insert(at, next() as u8),
                }
            }
            target(&mutated);
        }
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus of {name} is empty");
}

#[test]
fn no_packet_in_the_corpus_breaks_a_promise() {
    replay("query", skydock_fuzz::query);
}

#[test]
fn no_rrset_in_the_corpus_is_written_otherwise_than_the_domain_crate_writes_it() {
    replay("write", skydock_fuzz::write);
}

#[test]
fn no_history_in_the_corpus_parts_the_snapshot_from_its_model() {
    replay("snapshot", skydock_fuzz::snapshot);
}

#[test]
fn no_history_in_the_corpus_has_the_cache_tell_what_nobody_said() {
    replay("cache", skydock_fuzz::cache);
}

#[test]
fn no_reply_in_the_corpus_is_taken_for_what_it_is_not() {
    replay("reply", skydock_fuzz::reply);
}
