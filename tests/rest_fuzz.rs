//! The HTTP interface under a fuzzer that makes requests from its description: whatever is asked, the answer is one that
//! the description has, and never a 5xx.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::daemon::Daemon;
use support::skip;

/// Requests of each kind.
const EXAMPLES: &str = "50";

/// Schemathesis, where `tests/run` puts it, or on the path.
fn schemathesis() -> Option<PathBuf> {
    let ours = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/schemathesis/bin/schemathesis"
    );
    let candidates = [PathBuf::from(ours), PathBuf::from("schemathesis")];
    candidates.into_iter().find(|program| {
        let mut asked = Command::new(program);
        asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    })
}

#[test]
fn whatever_is_asked_the_answer_is_one_of_the_description() {
    let Some(program) = schemathesis() else {
        skip("schemathesis is not there; tests/run installs it from PyPI");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(&format!(
        "--docker /nonexistent/docker.sock --data-dir {}",
        directory.path().display()
    ));
    let output = Command::new(program)
        .arg("run")
        .arg(format!("http://{}/v1/openapi.json", daemon.http()))
        // A stream of events has no end that it could wait for, and what has no engine is never ready.
        .args(["--exclude-path", "/v1/events", "--exclude-path", "/ready"])
        .args(["--seed", "1", "-n", EXAMPLES])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .current_dir(directory.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(daemon.get("/health").0, 200);
}
