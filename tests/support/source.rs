//! Rust sources, taken apart as far as the test of the import rules needs: which paths a file mentions, and where.

use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A path of a file, such as `std::net::UdpSocket`, and the line it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The path as it is written, groups of a `use` multiplied out; words alone, such as `unsafe`, as well.
    pub(crate) path: Vec<String>,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// A source file that ships.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the repository, `/` between its parts.
    pub(crate) file: String,
    /// Everything it mentions outside its tests.
    pub(crate) mentions: Vec<Mention>,
}

impl Source {
    /// Takes `text` apart. What stands under `#[cfg(test)]` does not count.
    ///
    /// # Panics
    ///
    /// When it is no Rust.
    pub(crate) fn read(file: &str, text: &str) -> Self {
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| unreachable!("{file} is no Rust: {error}"));
        let mut mentions = Vec::new();
        gather(tokens, &[], &mut mentions);
        Self {
            file: file.to_owned(),
            mentions,
        }
    }

    /// All `.rs` files below `root`/`directory`. What is not there has none.
    pub(crate) fn below(root: &Path, directory: &str) -> Vec<Self> {
        let mut sources = Vec::new();
        let Ok(entries) = std::fs::read_dir(root.join(directory)) else {
            return sources;
        };
        for entry in entries.flatten() {
            let name = entry
                .file_name()
                .into_string()
                .expect("our files have names in UTF-8");
            let file = format!("{directory}/{name}");
            if entry.path().is_dir() {
                sources.extend(Self::below(root, &file));
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(entry.path()).expect("a source is text");
                sources.push(Self::read(&file, &text));
            }
        }
        sources.sort_by(|one, other| one.file.cmp(&other.file));
        sources
    }
}

impl Mention {
    /// Whether it is `path`, or something inside it.
    pub(crate) fn is_within(&self, path: &str) -> bool {
        let mut parts = self.path.iter().map(String::as_str);
        path.split("::").all(|part| parts.next() == Some(part))
    }

    /// Whether `word` is a part of it.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.path.iter().any(|part| part == word)
    }
}

/// Adds what `tokens` mention, each path behind `prefix`.
fn gather(tokens: TokenStream, prefix: &[String], into: &mut Vec<Mention>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut path: Vec<String> = prefix.to_vec();
    let mut line = 0;
    let mut skip = false;
    while let Some(token) = tokens.next() {
        if skip {
            // Past the item's attributes and name to its body, or to the semicolon of one without.
            match &token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => skip = false,
                TokenTree::Punct(punct) if punct.as_char() == ';' => skip = false,
                _ => {}
            }
            continue;
        }
        match token {
            TokenTree::Ident(word) => {
                line = word.span().start().line;
                path.push(word.to_string());
                if !is_joint(tokens.peek()) {
                    note(&mut path, prefix, line, into);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && is_colon(tokens.peek()) => {
                tokens.next();
                match tokens.peek() {
                    // `a::{b, c}` of a use, with everything before it as their prefix.
                    Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                        gather(group.stream(), &path, into);
                        tokens.next();
                        path = prefix.to_vec();
                    }
                    Some(TokenTree::Ident(_)) => {}
                    // `a::*`, `a::<T>`
                    _ => note(&mut path, prefix, line, into),
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                skip = matches!(tokens.peek(), Some(TokenTree::Group(group)) if is_test(group));
                if skip {
                    tokens.next();
                }
            }
            TokenTree::Group(group) => gather(group.stream(), &[], into),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn note(path: &mut Vec<String>, prefix: &[String], line: usize, into: &mut Vec<Mention>) {
    if path.len() > prefix.len() || !prefix.is_empty() {
        into.push(Mention {
            path: std::mem::replace(path, prefix.to_vec()),
            line,
        });
    }
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

/// Whether a path may go on: the first of two colons follows.
fn is_joint(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct))
        if punct.as_char() == ':' && punct.spacing() == proc_macro2::Spacing::Joint)
}

/// `[cfg(test)]`, and what else needs `test`.
fn is_test(group: &Group) -> bool {
    let text = group.stream().to_string().replace(' ', "");
    text.starts_with("cfg(")
        && (text.contains("(test)") || text.contains("(test,"))
        && !text.contains("not(test")
}

#[test]
fn paths_are_found_in_uses_code_and_macros_but_not_in_comments_texts_and_tests() {
    let text = r#"
        //! std::fs is not mentioned here.
        use std::{net::{IpAddr, UdpSocket as Socket}, fs};
        use a::b::*;
        #[derive(Debug)]
        struct S { field: tokio::net::TcpStream }
        fn f() -> Result<(), std::time::Instant> { g!("std::env", libc::read(1)); unsafe { h::<x::Y>() } }
        #[cfg(test)]
        mod tests { use std::process; }
        #[cfg(test)]
        mod more;
        fn after() { last::word() }
    "#;
    let source = Source::read("a.rs", text);
    let paths: Vec<_> = source
        .mentions
        .iter()
        .map(|mention| mention.path.join("::"))
        .collect();
    for path in [
        "std::net::IpAddr",
        "std::net::UdpSocket",
        "std::fs",
        "a::b",
        "tokio::net::TcpStream",
        "std::time::Instant",
        "libc::read",
        "unsafe",
        "x::Y",
        "last::word",
    ] {
        assert!(paths.iter().any(|found| found == path), "{path} in {paths:?}");
    }
    for path in ["std::process", "std::env", "more"] {
        assert!(!paths.iter().any(|found| found == path), "{path} in {paths:?}");
    }
    let line = source
        .mentions
        .iter()
        .find(|mention| mention.is_within("libc"))
        .map(|mention| mention.line);
    assert_eq!(line, Some(7));
}
