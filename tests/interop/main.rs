//! The same records, served by us and by a server that others trust: both answer every question alike, but for the
//! differences that we want.
//!
//! ```text
//! world ─┬─▶ snapshot ──▶ workers on loopback ──┐
//!        ├─▶ zone files ─▶ knotd, nsd ──────────┼─▶ seen ─▶ pairs ─▶ differences, each of them in `deliberate`
//!        └─▶ every owner, parent, sibling, child; every type; UDP and TCP; EDNS of several sizes
//! ```

#[path = "../support/mod.rs"]
mod support;

mod ask;
mod deliberate;
mod seen;
mod world;

use std::collections::BTreeMap;

use ask::{Question, ask_all, questions};
use dataplane::Engine;
use deliberate::{DELIBERATE, Pair, Part};
use seen::Seen;
use support::served::Served;
use support::trusted::{Kind, Trusted};
use world::World;

/// Differences that are shown when there are more than none.
const SHOWN_MAX: usize = 40;

/// What we say to each question, by whichever engine works here: both share everything that decides.
fn ours(world: &World, questions: &[Question]) -> Vec<Seen> {
    let engine = match dataplane::probe(Engine::Glommio) {
        Ok(()) => Engine::Glommio,
        Err(_) => Engine::Threads,
    };
    let served = Served::start(engine, world.snapshot(), |_| ());
    ask_all(served.address(), questions)
}

/// Compares us with `kind`.
fn compare(kind: Kind) {
    if let Err(missing) = kind.executable() {
        return support::skip(&missing);
    }
    let world = World::new();
    let questions = questions(&world);
    let trusted = Trusted::start(kind, &world.zone_files()).expect("it was there a moment ago");
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| ask_all(trusted.address(), &questions));
        (ours(&world, &questions), theirs.join().expect("it answers"))
    });
    for (question, ours) in questions.iter().zip(&ours) {
        assert!(
            ours.octets <= question.octets_max(),
            "{question}: {}",
            ours.show()
        );
        assert!(ours.repeats_question, "{question}: {}", ours.show());
    }
    let pairs = questions.iter().zip(&ours).zip(&theirs);
    let report = judge(
        kind,
        pairs.map(|((question, ours), theirs)| Pair {
            world: &world,
            question,
            ours,
            theirs,
        }),
    );
    assert!(report.is_empty(), "{} questions:{report}", questions.len());
}

/// What is not as it should be: differences that nobody wants, and those that are wanted and are none.
fn judge<'a>(kind: Kind, pairs: impl Iterator<Item = Pair<'a>>) -> String {
    let expected = DELIBERATE.iter().filter(|it| it.with.contains(&kind));
    let mut expected: Vec<_> = expected.map(|deliberate| (deliberate, 0_u32)).collect();
    let mut unexplained: BTreeMap<Vec<Part>, Vec<String>> = BTreeMap::new();
    for pair in pairs {
        let all = pair.differences();
        let mut rest = all.clone();
        for (deliberate, count) in &mut expected {
            if all.iter().any(|part| deliberate.parts.contains(part)) && (deliberate.is)(&pair) {
                rest.retain(|part| !deliberate.parts.contains(part));
                *count += 1;
            }
        }
        if !rest.is_empty() {
            let (ours, theirs) = (pair.ours.show(), pair.theirs.show());
            let text = format!("{}\n    ours: {ours}\n    {kind:?}: {theirs}", pair.question);
            unexplained.entry(rest).or_default().push(text);
        }
    }
    let mut report = String::new();
    let shown = (SHOWN_MAX / unexplained.len().max(1)).max(1);
    for (parts, texts) in &unexplained {
        report.push_str(&format!("\n== {parts:?}: {} times", texts.len()));
        for text in texts.iter().take(shown) {
            report.push_str(&format!("\n  {text}"));
        }
    }
    for (deliberate, _) in expected.iter().filter(|(_, count)| *count == 0) {
        report.push_str(&format!(
            "\n== no longer: {} ({})",
            deliberate.what, deliberate.why
        ));
    }
    report
}

#[test]
fn knot_and_we_answer_every_question_alike() {
    compare(Kind::Knot);
}

#[test]
fn nsd_and_we_answer_every_question_alike() {
    compare(Kind::Nsd);
}

#[test]
fn a_difference_that_nobody_explains_is_noticed() {
    let world = World::new();
    let questions: Vec<_> = questions(&world)
        .into_iter()
        .filter(|question| question.to_string() == "web.dev.docker A over UDP rd edns=1232 do")
        .collect();
    let [question] = questions.as_slice() else {
        unreachable!("it is one of the questions");
    };
    let seen = ours(&world, &questions).remove(0);
    let judge = |change: fn(&mut Seen)| {
        let mut theirs = seen.clone();
        change(&mut theirs);
        let pair = Pair {
            world: &world,
            question,
            ours: &seen,
            theirs: &theirs,
        };
        judge(Kind::Knot, std::iter::once(pair))
    };
    let is_unexplained = |report: &str| report.contains(" times\n");
    let same = judge(|_| {});
    assert!(!is_unexplained(&same), "{same}");
    for it in DELIBERATE.iter().filter(|it| it.with.contains(&Kind::Knot)) {
        assert!(
            same.contains(it.what),
            "{}: it does not occur, and nobody says so",
            it.what
        );
    }
    let changes: [fn(&mut Seen); 11] = [
        |seen| seen.rcode = "NXDOMAIN".to_owned(),
        |seen| seen.is_authoritative = false,
        |seen| seen.is_truncated = true,
        |seen| seen.offers_recursion = true,
        |seen| seen.other_flags = [false; 4],
        |seen| seen.doubles = 1,
        |seen| seen.opt = None,
        |seen| seen.repeats_question = false,
        |seen| seen.answer.clear(),
        |seen| {
            let later = seen
                .answer
                .iter()
                .map(|line| seen::Line {
                    ttl_seconds: 31,
                    ..line.clone()
                })
                .collect();
            seen.answer = later;
        },
        |seen| seen.authority = seen.answer.clone(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let report = judge(change);
        assert!(
            is_unexplained(&report),
            "change {number} goes unnoticed: {report}"
        );
    }
}
