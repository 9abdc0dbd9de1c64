//! How an engine is reached: through a proxy that lets only reading through, over TLS, and beside others.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use support::authority::Authority;
use support::container::Container;
use support::daemon::{self, Daemon};
use support::engine::{self, Engine};
use support::gate::Gate;
use support::{SOON, eventually, expect, ports, unique};

/// The question for a container's own name.
fn own(container: &Container) -> String {
    format!("{}.docker A", container.name())
}

#[test]
fn five_paths_that_only_read_are_all_that_an_engine_is_asked_for() {
    let Some(engine) = engine::shared() else { return };
    if !engine.is_private() {
        return support::skip("the requests of an engine elsewhere cannot be seen");
    }
    let gate = Gate::before(engine.host());
    let daemon = Daemon::start(&format!("--docker {}", gate.host()));
    daemon.await_ready();
    let container = Container::run(&engine, "read");
    daemon.await_answers(&own(&container), &[&container.address().to_string()]);
    container.docker("restart");
    container.docker("pause");
    daemon.await_status(&own(&container), "NXDOMAIN");
    container.docker("unpause");
    daemon.await_answers(&own(&container), &[&container.address().to_string()]);
    let asked: BTreeSet<String> = gate.asked().into_iter().collect();
    let expected = [
        "/containers/ID/json",
        "/containers/json",
        "/events",
        "/networks",
        "/version",
    ];
    assert_eq!(asked, expected.map(|path| format!("GET {path}")).into());
}

#[test]
fn a_container_that_changes_costs_its_own_inspects_and_no_list() {
    let Some(engine) = engine::shared() else { return };
    if !engine.is_private() {
        return support::skip("the requests of an engine elsewhere cannot be seen");
    }
    let _others: Vec<_> = (0..4).map(|_| Container::run(&engine, "other")).collect();
    let gate = Gate::before(engine.host());
    let daemon = Daemon::start(&format!("--docker {}", gate.host()));
    daemon.await_ready();
    let lists = |gate: &Gate| {
        gate.asked()
            .iter()
            .filter(|asked| *asked == "GET /containers/json")
            .count()
    };
    // There are three at the start, the second after a second, the third twelve seconds on; the next one comes minutes later.
    eventually("the third list", 3 * SOON, || {
        expect(|lists| *lists == 3, lists(&gate))
    });
    std::thread::sleep(Duration::from_millis(300));
    let before = gate.asked().len();
    let container = Container::run(&engine, "one");
    daemon.await_answers(&own(&container), &[&container.address().to_string()]);
    container.docker("stop");
    daemon.await_status(&own(&container), "NXDOMAIN");
    // The look that makes sure that it has ended comes after a second.
    std::thread::sleep(Duration::from_millis(1300));
    let asked = gate.asked().split_off(before);
    // Other tests of this file use the engine, too; a handful of inspects is no inspect of everything.
    assert!(
        asked.iter().all(|asked| asked == "GET /containers/ID/json"),
        "{asked:?}"
    );
    assert_eq!(lists(&gate), 3);
}

/// Makes a CA, and certificates of an engine at 127.0.0.1 and of a client.
fn make_certificates(server: &Path, client: &Path) {
    let authority = Authority::new();
    for (directory, names, usage) in [
        (
            server,
            vec!["127.0.0.1".to_owned()],
            ExtendedKeyUsagePurpose::ServerAuth,
        ),
        (client, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut params = CertificateParams::new(names).expect("a certificate");
        params.extended_key_usages = vec![usage];
        authority.sign(&params, directory);
    }
}

fn daemon_with(environment: &[(&str, &str)], arguments: &str) -> Daemon {
    let (dns, http) = (ports::free(), ports::free());
    let mut command: Command = daemon::binary();
    command.args(daemon::words(&format!(
        "--listen {dns} --http {http} {arguments}"
    )));
    command.envs(environment.iter().copied());
    Daemon::spawn(command, dns, http)
}

#[test]
fn an_engine_behind_mutual_tls_is_watched_beside_another_each_with_its_region() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, client, stranger) = (
        directory.path().join("server"),
        directory.path().join("client"),
        directory.path().join("stranger"),
    );
    for made in [&server, &client, &stranger] {
        std::fs::create_dir(made).expect("a directory");
    }
    make_certificates(&server, &client);
    make_certificates(&stranger, &stranger);
    let address = ports::free();
    let arguments = format!(
        "--host tcp://{address} --tlsverify --tlscacert {0}/ca.pem --tlscert {0}/cert.pem --tlskey {0}/key.pem",
        server.display()
    );
    let Some(far) = engine::private(&daemon::words(&arguments)) else {
        return;
    };
    let far = Arc::new(far);
    let Some(near) = engine::shared() else { return };
    let certificates = client.to_str().expect("text");
    let tcp = format!("tcp://{address}");
    let verified = |path| [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", path)];

    // As the Docker client would find it.
    let environment = [
        ("DOCKER_HOST", tcp.as_str()),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", certificates),
    ];
    let alone = daemon_with(&environment, "");
    alone.await_ready();

    let arguments = format!("-s near={} -s far={tcp}", near.host());
    let both = daemon_with(&verified(certificates), &arguments);
    both.await_ready();
    let image = unique("app");
    for engine in [&near, &far] {
        engine.tag(&image);
    }
    let run = |engine: &Arc<Engine>, stem| Container::run_image(engine, &unique(stem), &image, &[]);
    let (here, there) = (run(&near, "here"), run(&far, "there"));
    let (first, second) = (here.address().to_string(), there.address().to_string());
    both.await_answers(&format!("{image}.dev.docker A"), &[&first, &second]);
    both.await_answers(&format!("near.*.{image}.dev.docker A"), &[&first]);
    both.await_answers(&format!("far.*.{image}.dev.docker A"), &[&second]);
    alone.await_answers(&own(&there), &[&second]);
    assert_eq!(alone.dig(&own(&here)).status, "NXDOMAIN");
    there.docker("stop");
    both.await_answers(&format!("{image}.dev.docker A"), &[&first]);
    alone.await_status(&own(&there), "NXDOMAIN");

    // Whoever does not belong is told what is missing.
    let plain = daemon_with(&[], &format!("-s {tcp}"));
    plain.await_log("DOCKER_TLS_VERIFY=1");
    let unknown = daemon_with(&verified(stranger.to_str().expect("text")), &format!("-s {tcp}"));
    unknown.await_log("ca.pem, cert.pem and key.pem");
    assert_eq!(unknown.get("/ready").0, 503);
    // What is not there at all holds up nobody.
    let half = daemon_with(&[], &format!("-s {} -s tcp://127.0.0.1:1", near.host()));
    half.await_answers(&own(&here), &[&first]);
    assert_eq!(half.metric("skydock_engine_connected", ""), 1.0);
    drop((here, there));
}
