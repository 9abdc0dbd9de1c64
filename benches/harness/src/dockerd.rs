//! A true container engine, private to this process: the one that the tests have, started by the same script.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::cli::Outcome;

/// The script, from the repository's root.
const SCRIPT: &str = "tests/support/engine.sh";
/// How long one order of the docker client may take.
const CLIENT_SECONDS_MAX: &str = "30";
/// The image of its containers: busybox, asleep.
const IMAGE: &str = "bench";

/// The engine, ended when dropped, and its containers with it.
pub(crate) struct Dockerd {
    directory: tempfile::TempDir,
    script: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Dockerd {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// It takes root, dockerd, containerd, the docker client, a static busybox and iproute2; and this must be run where
    /// the repository's root is.
    pub(crate) fn start() -> Outcome<Self> {
        if !Path::new(SCRIPT).is_file() {
            return Err(format!("there is no {SCRIPT} here: run it in the repository's root").into());
        }
        // A unix socket's path is short, so not below some deep TMPDIR.
        let directory = tempfile::Builder::new().prefix("skb.").tempdir_in("/tmp")?;
        let mut script = Command::new("unshare")
            .args([
                "--pid",
                "--mount",
                "--mount-proc",
                "--fork",
                "--kill-child",
                "bash",
                SCRIPT,
            ])
            .arg(directory.path())
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(script.stdout.take().ok_or("it has an output")?);
        let mut engine = Self {
            directory,
            orders: script.stdin.take(),
            script,
            answers,
        };
        engine.expect("ready ")?;
        writeln!(engine.orders.as_mut().ok_or("it has an input")?, "start ")?;
        engine.expect("ok")?;
        engine.make_image()?;
        Ok(engine)
    }

    fn expect(&mut self, beginning: &str) -> Outcome<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.starts_with(beginning) {
            return Ok(());
        }
        Err(format!("no engine of our own: {}", line.trim_end()).into())
    }

    fn make_image(&self) -> Outcome<()> {
        let bin = self.directory.path().join("image/bin");
        std::fs::create_dir_all(&bin)?;
        let found = Command::new("sh").args(["-c", "command -v busybox"]).output()?;
        std::fs::copy(String::from_utf8(found.stdout)?.trim(), bin.join("sleep"))?;
        let archive = self.directory.path().join("image.tar");
        let root = self.directory.path().join("image");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(root)
            .arg("-cf")
            .arg(&archive)
            .arg(".")
            .status()?;
        if !packed.success() {
            return Err("tar packs no image".into());
        }
        let archive = archive.to_string_lossy();
        self.docker(&[
            "import",
            "--change",
            r#"CMD ["/bin/sleep","3600"]"#,
            &archive,
            IMAGE,
        ])?;
        Ok(())
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("d.sock")
    }

    /// Makes a container of this name that is not started.
    ///
    /// # Errors
    ///
    /// What docker says.
    pub(crate) fn create(&self, name: &str) -> Outcome<()> {
        self.docker(&["create", "--name", name, "--stop-signal", "KILL", IMAGE])
            .map(drop)
    }

    /// Runs the docker client, and gives what it printed.
    ///
    /// # Errors
    ///
    /// What it said when it failed.
    pub(crate) fn docker(&self, words: &[&str]) -> Outcome<String> {
        let output = Command::new("timeout")
            .args([CLIENT_SECONDS_MAX, "docker"])
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.directory.path().join("docker"))
            .args(words)
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?.trim_end().to_owned());
        }
        let said = match output.status.code() {
            // `timeout` says so.
            Some(124) => format!("not done within {CLIENT_SECONDS_MAX} s").into(),
            _ => String::from_utf8_lossy(&output.stderr),
        };
        Err(format!("docker {}: {}", words.join(" "), said.trim_end()).into())
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // The end of its input is the order to clean up.
        drop(self.orders.take());
        let _ = self.script.wait();
    }
}
