//! What `docs/behaviour.md` and `docs/engine.md` promise has a test behind each line, by a name that is there.
//!
//! ```text
//! | input | what is said | test |
//! |---|---|---|
//! | ...   | ...          | rfc1035-4.1.1 "no reply to a reply"; `respond` cd_is_copied_only... |
//!                          script, and words of a heading       a test, whole or by its first words
//! ```

#[path = "documented/map.rs"]
mod map;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A line of a table that has a column for tests.
struct Row {
    /// Counted from 1.
    line: usize,
    tests: String,
}

/// What the repository has that a line can name.
struct Known {
    root: PathBuf,
    /// Names of all functions that are tests.
    tests: BTreeSet<String>,
    /// Scripts: the part of each one's name before its subject, and its headings in one text.
    scripts: Vec<(String, String)>,
    /// Paths of all sources, and of their directories.
    sources: BTreeSet<PathBuf>,
    /// What the name servers for comparison serve.
    compared: String,
}

impl Known {
    fn here() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut sources = BTreeSet::new();
        for top in ["src", "dns", "dataplane", "controlplane", "tests", "fuzz"] {
            gather(&root.join(top), &mut sources);
        }
        let mut tests = BTreeSet::new();
        for file in sources
            .iter()
            .filter(|file| file.extension().is_some_and(|it| it == "rs"))
        {
            let text = std::fs::read_to_string(file).expect("a source is text");
            tests.extend(tests_of(&text));
        }
        let scripts = sources.iter().filter_map(|file| {
            let name = file.file_name()?.to_str()?.strip_suffix(".txt")?;
            // The subject begins with the first word that is no number, as in `rfc1035-4.1.1-header`.
            let (end, _) = name.match_indices('-').find(|(at, _)| {
                let subject = name.get(at + 1..).unwrap_or_default();
                !subject.starts_with(|it: char| it.is_ascii_digit())
            })?;
            let text = std::fs::read_to_string(file).expect("a script is text");
            let headings = text.lines().filter(|line| line.starts_with("== "));
            Some((
                name.get(..end)?.to_owned(),
                headings.collect::<Vec<_>>().join("\n"),
            ))
        });
        Self {
            tests,
            scripts: scripts.collect(),
            compared: std::fs::read_to_string(root.join("tests/interop/world.rs")).expect("it is there"),
            sources: sources.clone(),
            root,
        }
    }

    /// What is wrong with the tests that a line names.
    fn wrong(&self, row: &Row) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut named = 0;
        let mut script = None;
        let mut rest = row.tests.as_str();
        // What is quoted is words of a heading; what is not are names, one behind the other.
        while let Some((before, after)) = rest.split_once('"').or((!rest.is_empty()).then_some((rest, ""))) {
            for word in before.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
                match self.names(word) {
                    Named::Nothing => {}
                    Named::Script => {
                        script = Some(word);
                        named += 1;
                    }
                    Named::There => named += 1,
                    Named::Missing => wrong.push(format!("there is no {word}")),
                }
            }
            let Some((heading, after)) = after.split_once('"') else {
                break;
            };
            let mut scripts = self
                .scripts
                .iter()
                .filter(|(number, _)| Some(number.as_str()) == script);
            if !scripts.any(|(_, headings)| headings.contains(heading)) {
                wrong.push(format!("no heading of {script:?} says {heading:?}"));
            }
            rest = after;
        }
        if named == 0 {
            wrong.push("it names no test".to_owned());
        }
        wrong
    }

    fn names(&self, word: &str) -> Named {
        if let Some(path) = word.strip_prefix('`').and_then(|word| word.strip_suffix('`')) {
            return self.names_file(path);
        }
        if let Some(domain) = word.strip_suffix(".docker") {
            return Named::of(self.compared.contains(domain));
        }
        if word.starts_with("rfc") {
            let is_there = self.scripts.iter().any(|(number, _)| number == word);
            return if is_there { Named::Script } else { Named::Missing };
        }
        match word.strip_suffix("...") {
            Some(start) => Named::of(self.tests.iter().any(|test| test.starts_with(start))),
            None if word.matches('_').count() > 1 => Named::of(self.tests.contains(word)),
            None => Named::Nothing,
        }
    }

    /// A file or directory, by the end of its path.
    fn names_file(&self, path: &str) -> Named {
        let wanted = [Path::new(path).to_owned(), Path::new(path).with_extension("rs")];
        let mut sources = self
            .sources
            .iter()
            .filter_map(|file| file.strip_prefix(&self.root).ok());
        Named::of(sources.any(|file| wanted.iter().any(|wanted| file.ends_with(wanted))))
    }
}

/// What a word of a line stands for.
enum Named {
    Nothing,
    Script,
    There,
    Missing,
}

impl Named {
    fn of(is_there: bool) -> Self {
        if is_there { Self::There } else { Self::Missing }
    }
}

/// Adds every path below `directory`, its own included.
fn gather(directory: &Path, paths: &mut BTreeSet<PathBuf>) {
    paths.insert(directory.to_owned());
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, paths);
        } else {
            paths.insert(path);
        }
    }
}

/// The functions in `text` that are marked as tests.
fn tests_of(text: &str) -> Vec<String> {
    let mut is_marked = false;
    let mut tests = Vec::new();
    for line in text.lines().map(str::trim_start) {
        is_marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some((name, _)) = function.and_then(|function| function.split_once('(')) {
            if is_marked {
                tests.push(name.to_owned());
            }
            is_marked = false;
        }
    }
    tests
}

/// The lines of all tables in `page` whose last column is `test`.
fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut has_tests = false;
    for (number, line) in page.lines().enumerate() {
        let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            has_tests = false;
            continue;
        };
        let last = cells.rsplit('|').next().unwrap_or_default().trim();
        match last {
            "test" => has_tests = true,
            _ if last.starts_with("---") => {}
            _ if has_tests => rows.push(Row {
                line: number + 1,
                tests: last.to_owned(),
            }),
            _ => {}
        }
    }
    rows
}

/// Every table of the page has a column for tests, with those that are there; at least so many lines.
fn check(page: &str, lines_min: usize) {
    let known = Known::here();
    let text = std::fs::read_to_string(known.root.join(page)).expect("it is there");
    let rows = rows(&text);
    let tables = text.lines().filter(|line| line.starts_with("|---")).count();
    let with_tests = text.lines().filter(|line| line.ends_with("| test |")).count();
    assert_eq!(tables, with_tests, "every table has a column for tests");
    let wrong: Vec<_> = rows
        .iter()
        .flat_map(|row| known.wrong(row).into_iter().map(move |wrong| (row, wrong)))
        .map(|(row, wrong)| format!("{page}:{}: {wrong}\n    {}", row.line, row.tests))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} lines:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    assert!(rows.len() >= lines_min, "{}", rows.len());
}

#[test]
fn every_line_of_the_page_about_behaviour_names_a_test_that_is_there() {
    check("docs/behaviour.md", 100);
}

#[test]
fn every_line_of_the_page_about_engines_names_a_test_that_is_there() {
    check("docs/engine.md", 25);
}

#[test]
fn a_line_without_a_test_or_with_one_that_is_not_there_is_noticed() {
    let known = Known::here();
    let wrong = |tests: &str| {
        let page = format!("| input | test |\n|---|---|\n| something | {tests} |");
        let rows = rows(&page);
        known.wrong(rows.first().expect("one line"))
    };
    for right in [
        "every_line_of_the_page...",
        "`tests/documented.rs` a_line_without_a_test_or_with_one_that_is_not_there_is_noticed",
        "rfc1035-4.1.1 \"RFC 9619\"",
        "rfc1035-4.1.1 \"RFC 9619\", \"CVE-2024-2169\"; fuzz `query`",
        "`tests/interop` now.docker",
    ] {
        assert_eq!(wrong(right), [""; 0], "{right}");
    }
    for planted in [
        "",
        "it is obvious",
        "no_such_test_is_there",
        "no_such_test...",
        "rfc1035-4.1.1 \"RFC 99619\"",
        "rfc1035-4.1.1 \"RFC 9619\", \"CVE-2023-2169\"",
        "rfc99999-1 \"RFC 9619\"",
        "`tests/nowhere.rs`",
        "`tests/interop` planted.docker",
    ] {
        assert!(!wrong(planted).is_empty(), "{planted}");
    }
}
