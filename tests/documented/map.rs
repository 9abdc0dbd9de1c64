//! What `ARCHITECTURE.md` says of files is so: each path is there, with what is named behind it, and no module of a crate is
//! left out.

use std::collections::BTreeSet;
use std::path::Path;

use crate::gather;

/// Where the modules of each crate lie.
const CRATES: [&str; 4] = ["dns/src", "dataplane/src", "controlplane/src", "src"];

/// A word in backticks, and what stands between it and the one before.
struct Word<'p> {
    before: &'p str,
    text: &'p str,
}

/// The words in backticks of `page`, its pictures left out.
fn words(page: &str) -> Vec<Word<'_>> {
    let prose = page.split("```").step_by(2);
    prose
        .flat_map(|prose| {
            let mut parts = prose.split('`');
            std::iter::from_fn(move || {
                let (before, text) = (parts.next()?, parts.next()?);
                Some(Word { before, text })
            })
        })
        .collect()
}

/// `text` as paths, if it is one: `a/{b,c}.rs` are two. What begins with `/` is none of ours.
fn paths(text: &str) -> Vec<String> {
    let is_file = [".rs", ".md", ".txt"].iter().any(|end| text.ends_with(end));
    let is_path = (is_file || text.contains('/')) && !text.starts_with('/') && !text.contains([' ', ':']);
    if !is_path {
        return Vec::new();
    }
    let text = text.trim_end_matches('/');
    match text.split_once('{').zip(text.split_once('}')) {
        Some(((start, _), (inside, end))) => inside
            .trim_start_matches(start)
            .trim_start_matches('{')
            .split(',')
            .map(|part| format!("{start}{part}{end}"))
            .collect(),
        None => vec![text.to_owned()],
    }
}

/// What the page says that is not so.
fn wrong(page: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    for top in [
        "benches",
        "controlplane",
        "dataplane",
        "dns",
        "docs",
        "fuzz",
        "src",
        "tests",
    ] {
        gather(&root.join(top), &mut known);
    }
    known.insert(root.join("README.md"));
    let words = words(page);
    let mut wrong = Vec::new();
    let mut last = Vec::new();
    for word in &words {
        let symbol = word.text.rsplit("::").next().unwrap_or_default();
        if word.before == " " && !last.is_empty() && paths(word.text).is_empty() {
            let declares = |text: &str| {
                let kinds = ["fn", "struct", "enum", "trait"];
                kinds
                    .iter()
                    .any(|kind| text.contains(&format!("{kind} {symbol}")))
            };
            let mut files = last.iter().filter_map(|file| std::fs::read_to_string(file).ok());
            if !files.any(|text| declares(&text)) {
                wrong.push(format!("{last:?} has no {symbol}"));
            }
        }
        last.clear();
        for path in paths(word.text) {
            let mut found = known.iter().filter(|file| file.ends_with(&path)).peekable();
            if found.peek().is_none() {
                wrong.push(format!("there is no {path}"));
            }
            last.extend(found.cloned());
        }
    }
    let named: BTreeSet<_> = words
        .iter()
        .flat_map(|word| {
            word.text
                .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        })
        .collect();
    for source in CRATES {
        for entry in std::fs::read_dir(root.join(source)).expect("it is there") {
            let path = entry.expect("an entry").path();
            let module = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
            // Roots of crates, and what only their unit tests see.
            if !["lib", "main", "tests", "fixture"].contains(&module) && !named.contains(module) {
                wrong.push(format!("{source}/{module} is not in the map"));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

fn architecture() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    std::fs::read_to_string(page).expect("it is there")
}

#[test]
fn every_path_of_the_architecture_is_there_and_every_module_is_in_its_map() {
    let wrong = wrong(&architecture());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_path_or_a_name_that_is_not_there_is_noticed() {
    let page = architecture();
    for (right, planted, expected) in [
        (
            "`dns/src/publish.rs`",
            "`dns/src/published.rs`",
            "there is no dns/src/published.rs",
        ),
        (
            "{zone,view,alias}",
            "{zone,views,alias}",
            "there is no snapshot/views.rs",
        ),
        ("`Query::parse`", "`Query::read_all`", "has no read_all"),
        ("`conditions`", "conditions", "src/conditions is not in the map"),
    ] {
        let planted = page.replace(right, planted);
        assert_ne!(planted, page, "{right} is not in the page");
        let wrong = wrong(&planted);
        assert!(
            wrong.iter().any(|wrong| wrong.contains(expected)),
            "{expected}: {wrong:?}"
        );
    }
}
