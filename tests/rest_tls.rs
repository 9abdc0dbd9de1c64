//! HTTPS, and certificates and secrets that are renewed while the daemon runs.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use nix::sys::signal::Signal;
use support::daemon::{Daemon, NO_ENGINE, binary, words};
use support::http::request;
use support::{SOON, eventually, expect};

/// A certificate for this host and its key, in files.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Self { directory };
        files.renew();
        files
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Puts others in their place, as tools for certificates do: one after the other.
    fn renew(&self) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        for (path, text) in [
            (self.certificate(), made.cert.pem()),
            (self.key(), made.signing_key.serialize_pem()),
        ] {
            let aside = path.with_extension("new");
            fs::write(&aside, text).expect("a file");
            fs::rename(&aside, &path).expect("a file");
        }
    }

    /// Keeps the certificate that is there now, to trust it later.
    fn keep(&self, name: &str) -> PathBuf {
        let kept = self.directory.path().join(name);
        fs::copy(self.certificate(), &kept).expect("a file");
        kept
    }

    fn serve(&self, more: &str) -> Daemon {
        Daemon::start(&format!(
            "{NO_ENGINE} --http-cert {} --http-key {} {more}",
            self.certificate().display(),
            self.key().display()
        ))
    }
}

/// Runs `skydock services list` over HTTPS.
fn list(daemon: &Daemon, ca_cert: Option<&PathBuf>, secret: &str) -> Output {
    let mut command = binary();
    command.args(words(&format!("services --url https://{}", daemon.http())));
    command.env("SKYDOCK_SECRET", secret);
    if let Some(path) = ca_cert {
        command.env("SKYDOCK_CA_CERT", path);
    }
    command.output().expect("it runs")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn the_client_trusts_whom_it_is_told_to() {
    let files = Files::new();
    let daemon = files.serve("--secret s3cret");
    let certificate = files.certificate();
    let heard = list(&daemon, Some(&certificate), "s3cret");
    assert_eq!(
        String::from_utf8_lossy(&heard.stdout),
        "no services\n",
        "{heard:?}"
    );
    assert_eq!(code(&list(&daemon, Some(&certificate), "wrong")), Some(5));
    let untrusted = list(&daemon, None, "s3cret");
    let sentence = String::from_utf8_lossy(&untrusted.stderr).into_owned();
    assert!(
        code(&untrusted) == Some(1) && sentence.contains("give --ca-cert"),
        "{sentence}"
    );
    let mut plain = binary();
    plain.args(words(&format!("services --url http://{}", daemon.http())));
    let plain = plain.output().expect("it runs");
    let sentence = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert!(
        code(&plain) == Some(1) && sentence.contains("write https://"),
        "{sentence}"
    );
}

#[test]
fn a_renewed_certificate_is_used_and_a_wrong_one_is_told_and_not() {
    let files = Files::new();
    let daemon = files.serve("--secret s3cret");
    let first = files.keep("first.pem");
    assert_eq!(code(&list(&daemon, Some(&first), "s3cret")), Some(0));

    files.renew();
    let second = files.keep("second.pem");
    eventually("the new certificate", SOON, || {
        expect(
            |code| *code == Some(0),
            code(&list(&daemon, Some(&second), "s3cret")),
        )
    });
    assert_eq!(code(&list(&daemon, Some(&first), "s3cret")), Some(1));
    daemon.await_log("--http-cert and --http-key were read again");

    fs::write(files.key(), "no key at all").expect("a file");
    daemon.await_log("the ones that were in use stay");
    assert_eq!(code(&list(&daemon, Some(&second), "s3cret")), Some(0));
    // The key of another certificate.
    let other = Files::new();
    fs::copy(other.key(), files.key()).expect("a file");
    daemon.await_log("cannot be used together");
    assert_eq!(code(&list(&daemon, Some(&second), "s3cret")), Some(0));

    files.renew();
    let third = files.keep("third.pem");
    daemon.signal(Signal::SIGHUP);
    eventually("the third certificate", SOON, || {
        expect(
            |code| *code == Some(0),
            code(&list(&daemon, Some(&third), "s3cret")),
        )
    });
    daemon.await_log("SIGHUP: reading certificate and secret again");
}

#[test]
fn a_renewed_secret_is_asked_for_and_one_that_is_none_is_told_and_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    fs::write(&file, "first-word\n").expect("a file");
    let daemon = Daemon::start(&format!("{NO_ENGINE} --secret-file {}", file.display()));
    let status = |secret: &str| {
        let header = format!("Authorization: {secret}");
        request(daemon.http(), "GET /v1/services", &[&header], "").status
    };
    assert_eq!((status("first-word"), status("second-word")), (200, 401));
    fs::write(&file, "second-word\n").expect("a file");
    eventually("the new secret", SOON, || {
        expect(|status| *status == 200, status("second-word"))
    });
    assert_eq!(status("first-word"), 401);
    fs::write(&file, "").expect("a file");
    daemon.await_log("the secret that was in force stays");
    assert_eq!(status("second-word"), 200);
    fs::remove_file(&file).expect("a file");
    daemon.signal(Signal::SIGHUP);
    daemon.await_log("cannot be read from");
    assert_eq!(status("second-word"), 200);
    let log = daemon.log();
    assert!(
        !log.contains("first-word") && !log.contains("second-word"),
        "{log}"
    );
}
