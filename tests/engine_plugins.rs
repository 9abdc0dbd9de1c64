//! Plugins on a real engine: what containers are called is for a script to say.

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::signal::Signal;
use support::container::Container;
use support::daemon::{Daemon, run};
use support::engine::{self, Engine};
use support::unique;

/// A plugin file that can be changed.
struct File(tempfile::TempDir);

impl File {
    fn with(source: &str) -> Self {
        let file = Self(tempfile::tempdir().expect("a directory"));
        file.write(source);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("plugin.js")
    }

    /// As careful writers do, so that nobody reads half of it.
    fn write(&self, source: &str) {
        let other = self.0.path().join("other");
        std::fs::write(&other, source).expect("it is written");
        std::fs::rename(&other, self.path()).expect("it is renamed");
    }
}

fn daemon(engine: &Arc<Engine>, file: &File) -> Daemon {
    Daemon::for_engine(engine, &format!("-plugins {}", file.path().display()))
}

/// As skydock's users wrote them, but for the service, which is the test's own.
fn of_2014(service: &str) -> String {
    format!(
        r#"function createService(container) {{
            var ports = container.NetworkSettings.Ports;
            var port = 80;
            for (var key in ports) {{
                port = key.split("/")[0];
            }}
            return {{
                Port: port,
                Environment: defaultEnvironment,
                TTL: 7,
                Service: "{service}",
                Instance: removeSlash(container.Name) + "-" + cleanImageName(container.Image),
                Host: container.NetworkSettings.IpAddress
            }};
        }}"#
    )
}

#[test]
fn a_plugin_of_2014_renames_containers_and_a_changed_one_renames_all() {
    let Some(engine) = engine::shared() else { return };
    let image = unique("plugged");
    engine.tag(&image);
    let (old, new) = (unique("old"), unique("new"));
    let file = File::with(&of_2014(&old));
    let daemon = daemon(&engine, &file);
    let run = |stem: &str| Container::run_image(&engine, &unique(stem), &image, &["--expose", "8080"]);
    let (first, second) = (run("first"), run("second"));
    let [one, two] = [&first, &second].map(|container| container.address().to_string());

    daemon.await_answers(&format!("{old}.dev.docker A"), &[&one, &two]);
    let own = format!("{}-{image}.{old}.dev.docker", first.name());
    let reply = daemon.dig(&format!("{own} A"));
    assert_eq!(reply.sorted_answers(), std::slice::from_ref(&one));
    assert_eq!(reply.answer[0].ttl, 7, "{reply:?}");
    let srv = daemon.dig(&format!("{own} SRV")).sorted_answers();
    assert_eq!(srv, [format!("10 100 8080 {}.docker.", first.uuid())]);
    daemon.await_status(&format!("{image}.dev.docker A"), "NXDOMAIN");

    // A file that is no plugin changes nothing.
    file.write("function createService(container) {\n  return {;\n}");
    daemon.await_log("plugin.js:2:");
    daemon.await_answers(&format!("{old}.dev.docker A"), &[&one, &two]);

    file.write(&of_2014(&new));
    daemon.await_answers(&format!("{new}.dev.docker A"), &[&one, &two]);
    daemon.await_status(&format!("{old}.dev.docker A"), "NXDOMAIN");

    file.write("function createService(c) { return c.Config.Image ? null : undefined; }");
    daemon.signal(Signal::SIGHUP);
    daemon.await_status(&format!("{new}.dev.docker A"), "NXDOMAIN");
    daemon.await_status(&format!("{}.docker A", first.uuid()), "NXDOMAIN");
}

#[test]
fn however_many_containers_a_changed_plugin_renames_it_is_one_publication() {
    const CONTAINERS: usize = 12;
    // An engine of its own: what others start and stop is published, too.
    let Some(engine) = engine::private(&[]) else {
        return;
    };
    let engine = Arc::new(engine);
    let (old, new) = (unique("old"), unique("new"));
    let file = File::with(&of_2014(&old));
    let daemon = daemon(&engine, &file);
    let containers: Vec<_> = (0..CONTAINERS).map(|_| Container::run(&engine, "many")).collect();
    let addresses: Vec<_> = containers.iter().map(|it| it.address().to_string()).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    // A list follows the first one after a second, and a plugin is read again a second after it changed.
    daemon.await_answers(&format!("{old}.dev.docker A"), &addresses);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let publishes = || daemon.metric("skydock_snapshot_publishes_total", "");
    let before = publishes();
    file.write(&of_2014(&new));
    daemon.await_answers(&format!("{new}.dev.docker A"), &addresses);
    daemon.await_status(&format!("{old}.dev.docker A"), "NXDOMAIN");
    assert!(
        (publishes() - before - 1.0).abs() < f64::EPSILON,
        "{} publications",
        publishes() - before
    );
}

/// Peers need not ask a container that has been told to go, whatever plugins are busy with.
#[test]
fn a_container_leaves_at_its_stop_signal_though_a_plugin_is_busy_with_all_the_others() {
    const OTHERS: usize = 10;
    // An engine of its own: plugins of other tests would name these, too.
    let Some(engine) = engine::private(&[]) else {
        return;
    };
    let engine = Arc::new(engine);
    // Every container takes it all the time it is given.
    let file = File::with("function createService(container) { for (;;) {} }");
    let daemon = daemon(&engine, &file);
    let others: Vec<_> = (0..OTHERS).map(|_| Container::run(&engine, "other")).collect();
    let stubborn = Container::run_image(
        &engine,
        &unique("slow"),
        engine::BUSYBOX,
        &["--stop-signal", "TERM"],
    );
    let question = format!("{}.docker A", stubborn.name());
    daemon.await_answers(&question, &[&stubborn.address().to_string()]);
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| others.iter().for_each(|other| other.docker("restart")));
        let stop = scope.spawn(|| stubborn.docker("stop --time 8"));
        daemon.await_status(&question, "NXDOMAIN");
        assert!(
            stubborn.is_running() && !stop.is_finished(),
            "the name went with the process"
        );
        restart.join().expect("they are restarted");
    });
}

#[test]
fn a_plugin_that_never_ends_leaves_containers_their_names_and_their_ends() {
    let Some(engine) = engine::shared() else { return };
    let image = unique("endless");
    engine.tag(&image);
    let file = File::with("function createService(container) { for (;;) {} }");
    let daemon = daemon(&engine, &file);
    let container = Container::run_image(&engine, &unique("looped"), &image, &[]);
    let question = format!("{image}.dev.docker A");
    daemon.await_answers(&question, &[&container.address().to_string()]);
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("it ran longer than 50 ms"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("plugin.js") && line.contains("container "),
        "{line}"
    );
    container.docker("stop");
    daemon.await_status(&question, "NXDOMAIN");
}

#[test]
fn one_container_can_be_several_services() {
    let Some(engine) = engine::shared() else { return };
    let (image, web, admin) = (unique("both"), unique("web"), unique("admin"));
    engine.tag(&image);
    let file = File::with(&format!(
        "function createService(c) {{
            if (cleanImageName(c.Image) !== '{image}') return;
            return [{{Service: '{web}', Port: 80}}, {{Service: '{admin}', Port: 9000, Names: '{admin}.example'}}];
        }}"
    ));
    let daemon = daemon(&engine, &file);
    let container = Container::run_image(&engine, &unique("one"), &image, &[]);
    let address = container.address().to_string();
    for name in [
        format!("{web}.dev.docker"),
        format!("{admin}.dev.docker"),
        format!("{admin}.example"),
        format!("{}.docker", container.uuid()),
        format!("{}.docker", container.name()),
    ] {
        daemon.await_answers(&format!("{name} A"), &[&address]);
    }
    container.docker("stop");
    for name in [&web, &admin] {
        daemon.await_status(&format!("{name}.dev.docker A"), "NXDOMAIN");
    }
}

#[test]
fn plugin_run_shows_what_a_plugin_makes_of_a_container_of_the_engine() {
    let Some(engine) = engine::shared() else { return };
    let (image, service) = (unique("tried"), unique("shown"));
    engine.tag(&image);
    let container = Container::run_image(&engine, &unique("one"), &image, &[]);
    let file = File::with(&of_2014(&service));
    let line = |rest: &str| format!("plugin run {} -s {} {rest}", file.path().display(), engine.host());
    for what in [container.name(), container.uuid(), ""] {
        let (code, out, error) = run(&line(what));
        assert_eq!(code, Some(0), "{error}");
        let expected = format!("+ {}-{image}.{service}.dev.docker\n", container.name());
        assert!(out.contains(&expected), "{what}: {out}");
        assert!(
            out.contains(&format!("addresses {}", container.address())),
            "{out}"
        );
    }
    let (code, _, error) = run(&line("nobody"));
    assert_eq!(code, Some(1));
    assert!(error.contains("has no container \"nobody\""), "{error}");
}

#[test]
fn a_broken_plugin_at_the_start_is_an_error_with_file_and_line() {
    let file = File::with("var fine = 1;\nfunction createService(container) {\n  return {;\n}\n");
    let path = file.path();
    let (code, _, error) = run(&format!("--docker /nowhere.sock --plugins {}", path.display()));
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains(&format!("skydock: --plugins: plugin {}:3:", path.display())),
        "{error}"
    );
}
