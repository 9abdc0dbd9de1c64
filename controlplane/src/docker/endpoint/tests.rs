//! Who names the engine, and what that comes to.

use std::path::Path;

use super::*;

/// Variables as `NAME=value` words, and files with what is in them: `-` for a socket that is not for us.
struct Elsewhere<'e> {
    environment: &'e str,
    files: &'e [(&'e str, &'e str)],
}

impl Surroundings for Elsewhere<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }

    fn exists(&self, path: &Path) -> bool {
        self.read(path).is_some()
    }

    fn may_write(&self, path: &Path) -> bool {
        self.read(path).is_some_and(|text| text != "-")
    }

    fn read(&self, path: &Path) -> Option<String> {
        let file = self.files.iter().find(|(name, _)| Path::new(name) == path);
        file.map(|(_, text)| (*text).to_owned())
    }

    fn list(&self, path: &Path) -> Vec<PathBuf> {
        let below = |(name, _): &(&str, &str)| {
            let rest = Path::new(name).strip_prefix(path).ok()?;
            Some(path.join(rest.components().next()?))
        };
        self.files.iter().filter_map(below).collect()
    }
}

/// `present` are paths that exist; the result is the endpoint's text and origin, with the certificates behind an `https`
/// one, or the error's text.
fn find(flag: Option<&str>, environment: &str, present: &[&str]) -> String {
    let files: Vec<_> = present.iter().map(|path| (*path, "")).collect();
    find_among(flag, environment, &files)
}

fn find_among(flag: Option<&str>, environment: &str, files: &[(&str, &str)]) -> String {
    match Endpoint::find(flag, &Elsewhere { environment, files }) {
        Ok(endpoint) => match &endpoint.address {
            Address::Https { certificates, .. } => {
                format!("{endpoint} {:?} {}", endpoint.origin, certificates.display())
            }
            Address::Unix(_) | Address::Http { .. } => format!("{endpoint} {:?}", endpoint.origin),
        },
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(flag: Option<&str>, environment: &str, present: &[&str], expected: &str) {
    assert_eq!(find(flag, environment, present), expected);
}

#[test]
fn the_flag_takes_a_path_and_every_scheme() {
    for (flag, expected) in [
        ("/docker.sock", "unix:///docker.sock Flag"),
        ("docker.sock", "unix://docker.sock Flag"),
        ("./docker.sock", "unix://./docker.sock Flag"),
        ("unix:///run/docker.sock", "unix:///run/docker.sock Flag"),
        ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375 Flag"),
        ("tcp://10.0.0.1:2375/", "tcp://10.0.0.1:2375 Flag"),
        ("tcp://engine", "tcp://engine:2375 Flag"),
        ("TCP://engine", "tcp://engine:2375 Flag"),
        ("tcp://[::1]", "tcp://[::1]:2375 Flag"),
        ("tcp://[fd00::7]:99", "tcp://[fd00::7]:99 Flag"),
        ("http://engine:80", "tcp://engine:80 Flag"),
        ("127.0.0.1:2375", "tcp://127.0.0.1:2375 Flag"),
        ("https://engine", "https://engine:2376 Flag /root/.docker"),
    ] {
        check(Some(flag), "HOME=/root", &[], expected);
    }
}

#[test]
fn tcp_is_tls_where_docker_tls_verify_says_so() {
    check(
        Some("tcp://engine"),
        "DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/certs HOME=/root",
        &[],
        "https://engine:2376 Flag /certs",
    );
    check(
        None,
        "DOCKER_HOST=tcp://e DOCKER_TLS_VERIFY=1 HOME=/h",
        &[],
        "https://e:2376 DockerHost /h/.docker",
    );
    check(
        None,
        "DOCKER_HOST=tcp://e DOCKER_TLS_VERIFY= HOME=/h",
        &[],
        "tcp://e:2375 DockerHost",
    );
    check(
        None,
        "DOCKER_HOST=tcp://e DOCKER_CERT_PATH=/certs",
        &[],
        "tcp://e:2375 DockerHost",
    );
    check(
        None,
        "DOCKER_HOST=unix:///s DOCKER_TLS_VERIFY=1",
        &[],
        "unix:///s DockerHost",
    );
}

#[test]
fn the_flag_beats_docker_host_and_docker_host_beats_what_exists() {
    check(
        Some("/a"),
        "DOCKER_HOST=unix:///b",
        &[DOCKER_SOCKET],
        "unix:///a Flag",
    );
    check(
        None,
        "DOCKER_HOST=unix:///b",
        &[DOCKER_SOCKET],
        "unix:///b DockerHost",
    );
    check(
        Some(""),
        "DOCKER_HOST=",
        &[DOCKER_SOCKET],
        "unix:///var/run/docker.sock Found",
    );
}

#[test]
fn the_first_well_known_socket_that_exists_is_taken() {
    let all = [
        DOCKER_SOCKET,
        "/run/user/7/docker.sock",
        "/run/user/7/podman/podman.sock",
        "/h/.docker/run/docker.sock",
        "/h/.docker/desktop/docker.sock",
        "/run/podman/podman.sock",
    ];
    let environment = "XDG_RUNTIME_DIR=/run/user/7 HOME=/h";
    for first in 0..all.len() {
        check(
            None,
            environment,
            &all[first..],
            &format!("unix://{} Found", all[first]),
        );
    }
    check(None, environment, &[], "unix:///var/run/docker.sock Default");
    check(None, "", &all[1..3], "unix:///var/run/docker.sock Default");
}

#[test]
fn an_error_names_the_input_and_the_remedy() {
    check(
        Some("ssh://me@host"),
        "",
        &[],
        "--docker is \"ssh://me@host\": ssh:// is not supported; give a socket path, or a unix://, tcp://, \
         http:// or https:// address",
    );
    let authority = "expected tcp://HOST:PORT, for example tcp://192.0.2.7:2376";
    for input in [
        "tcp://",
        "tcp://:1",
        "tcp://h:0",
        "tcp://h:70000",
        "tcp://h:1/x",
        "tcp://[z]",
        "tcp://a b",
    ] {
        check(
            Some(input),
            "",
            &[],
            &format!("--docker is {input:?}: {authority}"),
        );
    }
    check(
        None,
        "DOCKER_HOST=unix://",
        &[],
        "DOCKER_HOST is \"unix://\": expected unix:///PATH, for example unix:///var/run/docker.sock",
    );
    check(
        Some("https://h"),
        "",
        &[],
        "--docker is \"https://h\", which needs TLS, but neither DOCKER_CERT_PATH nor HOME is set; set \
         DOCKER_CERT_PATH to the directory that holds ca.pem, cert.pem and key.pem",
    );
}

#[test]
fn a_socket_that_is_for_us_goes_before_one_that_is_not() {
    let rootless = "/run/user/7/docker.sock";
    let environment = "XDG_RUNTIME_DIR=/run/user/7";
    let found = |files: &[(&str, &str)]| find_among(None, environment, files);
    assert_eq!(
        found(&[(DOCKER_SOCKET, "-"), (rootless, "")]),
        format!("unix://{rootless} Found")
    );
    assert_eq!(
        found(&[(DOCKER_SOCKET, "-")]),
        format!("unix://{DOCKER_SOCKET} Found")
    );
}

/// Contexts as `docker context create` leaves them: `far` over TLS, `near`, `shell` over ssh, `loose`, and `empty`.
const CONTEXTS: [(&str, &str); 6] = [
    (
        "/h/.docker/contexts/meta/a1/meta.json",
        r#"{"Name":"far","Metadata":{"Description":"d"},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#,
    ),
    ("/h/.docker/contexts/tls/a1/docker/ca.pem", "..."),
    (
        "/h/.docker/contexts/meta/b2/meta.json",
        r#"{"Name":"near","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/near.sock"}}}"#,
    ),
    (
        "/h/.docker/contexts/meta/c3/meta.json",
        r#"{"Name":"shell","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://me@far"}}}"#,
    ),
    (
        "/h/.docker/contexts/meta/d4/meta.json",
        r#"{"Name":"loose","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}"#,
    ),
    (
        "/h/.docker/contexts/meta/e5/meta.json",
        r#"{"Name":"empty","Endpoints":{}}"#,
    ),
];

#[test]
fn without_flag_and_docker_host_the_context_in_use_decides_as_it_does_for_the_docker_client() {
    let home = "HOME=/h";
    let with = |config: &'static str, environment: &str, flag: Option<&str>| {
        let files = [&CONTEXTS[..], &[("/h/.docker/config.json", config)]].concat();
        find_among(flag, environment, &files)
    };
    let far = "https://far:2376 Context /h/.docker/contexts/tls/a1/docker";
    let near = "unix:///run/near.sock Context";
    let nobody = "unix:///var/run/docker.sock Default";
    let uses_far = r#"{"auths": {}, "currentContext": "far"}"#;
    for (config, environment, expected) in [
        (uses_far, home, far),
        (uses_far, "HOME=/h DOCKER_CONTEXT=near", near),
        (uses_far, "HOME=/h DOCKER_CONTEXT=", far),
        (uses_far, "HOME=/h DOCKER_CONTEXT=default", nobody),
        (
            uses_far,
            "HOME=/h DOCKER_HOST=tcp://e DOCKER_CONTEXT=near",
            "tcp://e:2375 DockerHost",
        ),
        (uses_far, "HOME=/elsewhere", nobody),
        (uses_far, "HOME=/elsewhere DOCKER_CONFIG=/h/.docker", far),
        // The environment's certificates are not the context's.
        (
            r#"{"currentContext": "near"}"#,
            "HOME=/h DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/c",
            near,
        ),
        (r#"{"currentContext": "empty"}"#, home, nobody),
        (r#"{"currentContext": "default"}"#, home, nobody),
        (r#"{"currentContext": ""}"#, home, nobody),
        (r#"{"auths": {}}"#, home, nobody),
        ("not JSON", home, nobody),
    ] {
        assert_eq!(
            with(config, environment, None),
            expected,
            "{config} {environment}"
        );
    }
    assert_eq!(with(uses_far, home, Some("/d.sock")), "unix:///d.sock Flag");
}

#[test]
fn a_context_that_cannot_be_used_is_named_with_the_remedy() {
    let with = |environment: &str| find_among(None, environment, &CONTEXTS);
    let gone = "DOCKER_CONTEXT names the Docker context \"gone\", which is not there; `docker context ls`";
    assert!(with("HOME=/h DOCKER_CONTEXT=gone").starts_with(gone));
    assert!(with("DOCKER_CONTEXT=gone").starts_with(gone));
    let files = [("/h/.docker/config.json", r#"{"currentContext": "gone"}"#)];
    let said = find_among(None, "HOME=/h", &files);
    assert!(
        said.starts_with("/h/.docker/config.json names the Docker context \"gone\""),
        "{said}"
    );
    let said = with("HOME=/h DOCKER_CONTEXT=shell");
    assert!(
        said.starts_with("the Docker context \"shell\" is \"ssh://me@far\": ssh:// is not supported"),
        "{said}"
    );
    let said = with("HOME=/h DOCKER_CONTEXT=loose");
    assert!(
        said.starts_with("the Docker context \"loose\" wants TLS without verification"),
        "{said}"
    );
}

#[test]
fn this_hosts_files_are_read_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("contexts/meta/a1");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("meta.json"), "{}").unwrap();
    let this = ThisHost;
    assert_eq!(
        this.list(&directory.path().join("contexts/meta")),
        std::slice::from_ref(&place)
    );
    assert_eq!(this.read(&place.join("meta.json")).as_deref(), Some("{}"));
    assert!(this.may_write(&place.join("meta.json")) && this.exists(&place));
    assert!(this.list(&place.join("none")).is_empty() && this.read(&place).is_none());
    assert!(!this.may_write(&place.join("none")));
}
