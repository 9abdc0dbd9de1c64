//! The plugin files: read all or none of them.

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::fault::{Fault, LoadError, PluginError};
use super::helpers::Defaults;
use super::limits::{FILES_MAX, STUCK_AFTER, THREAD_STACK_OCTETS};
use super::script::Script;

/// Reads `files`, in order.
///
/// # Errors
///
/// [`LoadError`]: one of them is no plugin, was given twice, or there are too many.
pub(super) fn load(files: &[PathBuf], defaults: &Defaults) -> Result<Vec<Script>, LoadError> {
    if files.len() > FILES_MAX {
        return Err(LoadError::TooMany {
            given: files.len(),
            most: FILES_MAX,
        });
    }
    for (place, file) in files.iter().enumerate() {
        if files.iter().take(place).any(|before| before == file) {
            return Err(LoadError::Twice(file.clone()));
        }
    }
    let read = files.iter().map(|file| script(file, defaults));
    read.collect()
}

/// Reads one file in a thread of its own: evaluating it may not end.
fn script(file: &Path, defaults: &Defaults) -> Result<Script, LoadError> {
    let (sender, receiver) = mpsc::channel();
    let (path, its_defaults) = (file.to_owned(), defaults.clone());
    std::thread::Builder::new()
        .name("plugin-file".to_owned())
        .stack_size(THREAD_STACK_OCTETS)
        .spawn(move || {
            // Nobody listens any more where it took too long.
            let _ = sender.send(Script::load(&path, &its_defaults));
        })
        .map_err(LoadError::Thread)?;
    match receiver.recv_timeout(STUCK_AFTER) {
        Ok(read) => Ok(read?),
        Err(_) => Err(LoadError::Plugin(PluginError {
            file: file.to_string_lossy().into(),
            place: None,
            container: None,
            fault: Fault::Time,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            ttl_seconds: 30,
            environment: "dev".to_owned(),
        }
    }

    fn error(contents: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("p.js");
        std::fs::write(&file, contents).unwrap();
        let error = load(&[file], &defaults()).unwrap_err().to_string();
        error.replace(&directory.path().display().to_string(), "")
    }

    #[test]
    fn a_file_that_is_no_plugin_is_named_with_its_line() {
        for (contents, expected) in [
            (
                &b"function createService( {\n"[..],
                "plugin /p.js:2:1: SyntaxError: ",
            ),
            (b"var a = 1;\nvar b = ;\n", "plugin /p.js:2:9: SyntaxError: "),
            (b"\n\nthrow new Error('early');", "plugin /p.js:3:"),
            (b"nothing.here;\n", "ReferenceError: "),
            (b"", "plugin /p.js: it has no function createService(container)"),
            (b"var createService = 1;", "it has no function"),
            (b"import fs from 'fs';", "SyntaxError"),
            (b"for (;;) {}", "it ran longer than 50 ms"),
            (b"\xff\xfe", "it is no UTF-8 text"),
            (b"a\0b", "zero octet"),
            (&[b' '; 1 << 20 | 1], "more than 1048576 octets"),
        ] {
            let error = error(contents);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let read = |file: &str| load(&[file.into()], &defaults()).unwrap_err().to_string();
        assert_eq!(
            read("/nowhere/p.js"),
            "plugin /nowhere/p.js: it cannot be read: No such file or directory (os error 2)"
        );
        assert_eq!(read("/dev/zero"), "plugin /dev/zero: it is no regular file");
        assert_eq!(read("/tmp"), "plugin /tmp: it is no regular file");
    }

    #[test]
    fn a_mark_before_the_text_is_no_part_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("p.js");
        std::fs::write(&file, "\u{feff}function createService() {}").unwrap();
        assert_eq!(load(&[file], &defaults()).unwrap().len(), 1);
    }

    #[test]
    fn one_file_twice_and_too_many_are_refused() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let error = load(&files(&["/a.js", "/b.js", "/a.js"]), &defaults()).unwrap_err();
        assert_eq!(error.to_string(), "/a.js was given twice; give each plugin once");
        let many: Vec<_> = (0..=FILES_MAX)
            .map(|n| PathBuf::from(format!("/{n}.js")))
            .collect();
        let error = load(&many, &defaults()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "of 17 plugins that were given there is room for 16; leave some out"
        );
    }
}
