//! What an operator sees of a real engine's containers: the log, `skydock services` and `skydock explain`.

mod support;

use support::container::{Container, Network};
use support::daemon::{self, Daemon, binary, run_command, world};
use support::engine::BUSYBOX;
use support::{SOON, eventually, expect, unique};

/// What a command of ours prints when it asks the daemon.
fn says(daemon: &Daemon, line: &str) -> String {
    let url = format!("http://{}", daemon.http());
    let mut command = binary();
    command.args(daemon::words(line)).args(["--url", &url]);
    let (code, out, error) = run_command(&mut command);
    assert_eq!(code, Some(0), "{line}: {error}");
    out
}

#[test]
fn the_table_of_services_tells_addresses_ports_health_networks_and_where_they_come_from() {
    let Some((engine, daemon)) = world("") else { return };
    let network = unique("net");
    let Some(_network) = Network::make(&engine, &network) else {
        return;
    };
    let image = unique("shown");
    engine.tag(&image);
    let check = [
        "--health-cmd",
        "test -e /bin/sh",
        "--health-interval",
        "1s",
        "--expose",
        "53/udp",
    ];
    let container = Container::run_image(&engine, &unique("one"), &image, &check);
    container.connect(&network);
    let second = container.address_on(&network).to_string();
    let name = format!("{}.{image}.dev", container.name());
    let row = eventually("the row of a healthy container on two networks", SOON, || {
        let table = says(&daemon, &format!("services list --service {image}"));
        let row = table
            .lines()
            .find(|line| line.contains(&name))
            .unwrap_or_default()
            .to_owned();
        expect(
            |row: &String| row.contains(" healthy ") && row.contains(&second),
            row,
        )
    });
    let address = container.address().to_string();
    for word in [
        address.as_str(),
        "6379",
        "53/udp",
        "bridge",
        network.as_str(),
        container.uuid(),
        engine.host(),
    ] {
        assert!(row.contains(word), "{word}: {row}");
    }
}

/// What `explain` says of a name, once it has `word` in it.
fn explained(daemon: &Daemon, question: &str, word: &str) -> String {
    eventually(&format!("{question} explained with {word:?}"), SOON, || {
        expect(
            |text: &String| text.contains(word),
            says(daemon, &format!("explain {question}")),
        )
    })
}

#[test]
fn explain_tells_which_container_and_network_answer_or_why_none_does() {
    let Some((engine, daemon)) = world("--opt-in") else {
        return;
    };
    let network = unique("net");
    let Some(made) = Network::make(&engine, &network) else {
        return;
    };
    let image = unique("told");
    engine.tag(&image);
    let enabled = ["--label", "skydock.enable=true"];
    let run = |stem: &str, more: &[&str]| {
        let arguments = [&enabled[..], more].concat();
        Container::run_image(&engine, &unique(stem), &image, &arguments)
    };
    let of = |container: &Container| format!("{}.docker", container.name());
    let container = run("answers", &[]);
    container.connect(&network);
    let second = container.address_on(&network).to_string();

    // Which container, rule and network: the client's own.
    let question = format!("{} --from {}", of(&container), made.gateway());
    let text = explained(&daemon, &question, &second);
    for word in [
        "NOERROR",
        container.name(),
        container.uuid(),
        &format!("on network {network} of {}", engine.host()),
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let text = explained(&daemon, &of(&container), &container.address().to_string());
    assert!(
        text.contains("on no network of an engine") && !text.contains(&second),
        "{text}"
    );

    // Stopped, never started, paused, not opted in, without a network, a label that cannot be read, not healthy.
    container.docker("stop");
    explained(&daemon, &of(&container), "it does not run");
    let made = unique("made");
    engine.docker(&["create", "--name", &made, &image]);
    explained(&daemon, &format!("{made}.docker"), "it does not run");
    engine.docker(&["rm", &made]);
    let text = says(&daemon, &format!("explain {made}.docker"));
    assert!(!text.contains(&format!("{made} (")), "it is gone: {text}");
    let paused = run("paused", &[]);
    paused.docker("pause");
    explained(&daemon, &of(&paused), "it is paused");
    paused.docker("unpause");
    let silent = Container::run_image(&engine, &unique("silent"), BUSYBOX, &[]);
    explained(&daemon, &of(&silent), "--opt-in is set");
    let alone = run("alone", &["--network", "none"]);
    explained(&daemon, &of(&alone), "it has no network");
    let broken = run("broken", &["--network", "none", "--label", "skydock.ip=nonsense"]);
    let text = explained(&daemon, &of(&broken), "skydock.ip");
    assert!(text.contains("nonsense"), "{text}");
    let ill = run(
        "ill",
        &[
            "--health-cmd",
            "false",
            "--health-interval",
            "1s",
            "--health-retries",
            "1",
        ],
    );
    let text = explained(&daemon, &format!("{image}.dev.docker"), "does not answer");
    assert!(text.contains(ill.name()), "{text}");
}

#[test]
fn each_name_that_comes_or_goes_is_one_line_at_info() {
    let Some((engine, daemon)) = world("") else { return };
    let mut container = Container::run(&engine, "logged");
    let before = format!("{}.redis.dev.docker", container.name());
    let lines = |name: &str| {
        let log = daemon.log();
        let lines = log.lines().filter(|line| line.contains(name));
        // The sign and all that follows; what stands before it is the time.
        lines
            .map(|line| {
                assert!(line.contains("INFO"), "{line}");
                line.split_once("INFO")
                    .map_or(line, |(_, said)| said.trim())
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let await_lines = |name: &str, count: usize| {
        eventually(&format!("{count} lines of {name}"), SOON, || {
            expect(|lines: &Vec<String>| lines.len() == count, lines(name))
        })
    };
    let came = await_lines(&before, 1);
    let address = container.address().to_string();
    assert!(came[0].contains(&format!("+ {before} -> {address}")), "{came:?}");
    container.rename(&unique("renamed"));
    let after = format!("{}.redis.dev.docker", container.name());
    await_lines(&after, 1);
    let went = await_lines(&before, 2);
    assert!(went[1].contains(&format!("- {before}")), "{went:?}");
    container.docker("stop");
    let went = await_lines(&after, 2);
    assert!(went[1].contains(&format!("- {after}")), "{went:?}");
}
