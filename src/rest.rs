//! What the HTTP interface is told: who may ask, and where what they register is kept.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use controlplane::{Secret, SecretError, Tls};

use crate::cli::{Cli, Flags};
use crate::failure::Failure;

/// What the HTTP interface is told, checked.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    /// What has to be known to ask for services.
    pub(crate) secret: Option<Secret>,
    /// Whether others than this host may ask without one.
    pub(crate) is_insecure: bool,
    /// With what connections are encrypted, if they are.
    pub(crate) tls: Option<Tls>,
    /// Where services are kept; nowhere, if nothing.
    pub(crate) data_dir: Option<PathBuf>,
}

/// Checks what the command line and the environment say of it, for a listener on `address`.
///
/// # Errors
///
/// [`Failure::Usage`]: a secret that cannot be one or cannot be read, two of them, or others can reach the listener and
/// there is none; a certificate or key that cannot be used. No sentence holds a secret.
pub(crate) fn from(cli: &Cli, address: SocketAddr) -> Result<Rest, Failure> {
    let flags = &cli.flags;
    let secret = secret(cli)?;
    if secret.is_none() && !flags.insecure_http && !address.ip().is_loopback() {
        let origin = cli.origin("http");
        return Err(Failure::Usage(format!(
            "{origin} {address}: others than this host could change names there; give SKYDOCK_SECRET or --secret-file, \
             or --insecure-http if that is meant"
        )));
    }
    if flags.ephemeral && cli.is_on_line("ephemeral") && cli.is_on_line("data-dir") {
        let sentence = "--ephemeral keeps nothing, and --data-dir says where; give one of them";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let is_kept = !flags.ephemeral || cli.is_on_line("data-dir");
    Ok(Rest {
        secret,
        is_insecure: flags.insecure_http,
        tls: tls(flags)?,
        data_dir: is_kept.then(|| data_dir(flags)),
    })
}

fn secret(cli: &Cli) -> Result<Option<Secret>, Failure> {
    let usage = |error: SecretError| Failure::Usage(error.to_string());
    match (&cli.flags.secret, &cli.flags.secret_file) {
        (None, None) => Ok(None),
        (Some(text), None) => {
            let unfit = || SecretError::Unfit {
                origin: cli.origin("secret"),
            };
            Secret::new(text).ok_or_else(unfit).map(Some).map_err(usage)
        }
        (None, Some(path)) => Secret::from_file(path).map(Some).map_err(usage),
        (Some(_), Some(_)) => {
            let (secret, file) = (cli.origin("secret"), cli.origin("secret-file"));
            Err(Failure::Usage(format!(
                "{secret} and {file} are both set; give one of them"
            )))
        }
    }
}

/// The first line of a file that holds a secret.
///
/// # Errors
///
/// [`Failure::Usage`]: it cannot be read.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    Secret::text_of(path).map_err(|error| Failure::Usage(error.to_string()))
}

/// The certificate and its key; clap wants both or none.
fn tls(flags: &Flags) -> Result<Option<Tls>, Failure> {
    let (Some(certificate), Some(key)) = (&flags.http_cert, &flags.http_key) else {
        return Ok(None);
    };
    match Tls::load(certificate, key) {
        Ok(tls) => Ok(Some(tls)),
        Err(error) => Err(Failure::Usage(format!("--http-cert, --http-key: {error}"))),
    }
}

/// Where services are kept if nobody says it: where this user keeps such things.
fn data_dir(flags: &Flags) -> PathBuf {
    if let Some(given) = &flags.data_dir {
        return given.clone();
    }
    let of = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let own = || of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")));
    match nix::unistd::geteuid().is_root() {
        true => PathBuf::from("/var/lib/skydock"),
        // Without a home it can only be told that this one cannot be written.
        false => own().unwrap_or_else(|| PathBuf::from("/var/lib")).join("skydock"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::Write;

    use super::*;
    use crate::cli::{self, Asked};

    fn rest(line: &str, address: &str) -> Result<Rest, Failure> {
        match cli::read(line.split_whitespace().map(OsString::from))? {
            Asked::Run(cli) => from(&cli, address.parse().unwrap()),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str, address: &str) -> String {
        rest(line, address).unwrap_err().to_string()
    }

    #[test]
    fn others_need_a_secret_unless_that_is_not_meant() {
        assert!(rest("", "127.0.0.1:8053").is_ok() && rest("", "[::1]:8053").is_ok());
        for address in ["0.0.0.0:8053", "10.0.0.7:8053", "[::]:8053"] {
            let sentence = refusal("", address);
            assert!(sentence.contains("--insecure-http"), "{sentence}");
            assert!(rest("--secret x", address).is_ok() && rest("--insecure-http", address).is_ok());
        }
    }

    #[test]
    fn a_secret_is_never_in_what_is_said() {
        for line in [
            "-secret s3cr\u{fc}t",
            "--secret s3cret --secret-file /nonexistent",
        ] {
            let sentence = refusal(line, "127.0.0.1:8053");
            assert!(!sentence.contains("s3cr"), "{sentence}");
        }
        let shown = format!("{:?}", rest("--secret s3cret", "127.0.0.1:8053").unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"s3cret\nand a comment\n").unwrap();
        assert_eq!(read(file.path()).unwrap(), "s3cret");
        let line = format!("--secret-file {}", file.path().display());
        assert!(rest(&line, "10.0.0.7:8053").unwrap().secret.is_some());
        let sentence = refusal("--secret-file /nonexistent", "127.0.0.1:8053");
        assert!(sentence.contains("/nonexistent"), "{sentence}");
    }

    #[test]
    fn where_services_are_kept_is_as_told() {
        let kept = |line: &str| rest(line, "127.0.0.1:8053").unwrap().data_dir;
        assert_eq!(kept("--data-dir /x"), Some(PathBuf::from("/x")));
        assert_eq!(kept("--ephemeral"), None);
        assert!(kept("").unwrap().ends_with("skydock"));
        let both = refusal("--ephemeral --data-dir /x", "127.0.0.1:8053");
        assert!(both.starts_with("--ephemeral keeps nothing"), "{both}");
    }
}
