//! Starting and stopping: what it says, with what it ends, and what it does without what it would like to have.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::daemon::{self, Daemon, NO_ENGINE, binary, run, run_command, words};
use support::dig::{self, Reply};
use support::upstream::Upstream;
use support::{SOON, eventually, ports, raw, skip};

/// It ends with `code`, after one sentence on standard error that holds all of `parts`.
fn check_refusal(command: &mut Command, code: i32, parts: &[&str]) {
    let (exit, out, error) = run_command(command);
    assert_eq!(exit, Some(code), "{out}{error}");
    let lines: Vec<_> = error.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one sentence: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
}

#[test]
fn whoever_answers_goes_before_whoever_watches_engines() {
    let daemon = Daemon::start(NO_ENGINE);
    daemon.await_log("/nonexistent/docker.sock");
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let mut niceness: Vec<(String, i32)> = threads
        .map(|thread| {
            let thread = thread.expect("an entry").path();
            let stat = std::fs::read_to_string(thread.join("stat")).expect("it lives");
            // proc(5): the name stands in brackets, and nice is field 19.
            let (head, tail) = stat.rsplit_once(')').expect("a name");
            let nice = tail.split_whitespace().nth(16).expect("field 19");
            let (_, name) = head.split_once('(').expect("a name");
            (name.to_owned(), nice.parse().expect("a number"))
        })
        .collect();
    niceness.sort();
    let of = |wanted: &str| niceness.iter().find(|(name, _)| name == wanted).expect(wanted).1;
    let workers = niceness.iter().filter(|(name, _)| name.starts_with("skydock-"));
    assert!(workers.clone().count() > 1, "{niceness:?}");
    for (name, nice) in workers {
        assert!(*nice < of("skydock"), "{name}: {niceness:?}");
    }
    daemon.stop();
}

#[test]
fn without_an_engine_it_starts_answers_and_says_what_is_missing() {
    let daemon = Daemon::start(NO_ENGINE);
    assert_eq!(daemon.get("/health").0, 200);
    let (status, body) = daemon.get("/ready");
    assert_eq!(status, 503);
    assert!(body.contains("/nonexistent/docker.sock"), "{body}");

    let reply = daemon.dig("redis1.redis.dev.docker A");
    assert_eq!(reply.status, "NXDOMAIN", "{reply:?}");
    assert!(reply.has("aa") && reply.soa().is_some(), "{reply:?}");
    let apex = daemon.dig("docker SOA");
    assert_eq!(
        (apex.status.as_str(), apex.answer.len()),
        ("NOERROR", 1),
        "{apex:?}"
    );

    daemon.await_log("/nonexistent/docker.sock");
    daemon.stop();
}

#[test]
fn the_report_names_zone_listener_upstream_and_engine_and_gives_a_dig_line() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} --domain corp.test --nameserver {}",
        upstream.address()
    ));
    daemon.await_log("  use ");
    let log = daemon.log();
    let (dns, upstream) = (daemon.dns().to_string(), upstream.address().to_string());
    for part in [
        "corp.test",
        &dns,
        &upstream,
        "/nonexistent/docker.sock",
        "dig @127.0.0.1 -p",
    ] {
        assert!(log.contains(part), "{part:?} is missing in:\n{log}");
    }
}

/// What `the_report_...` promises is more than words.
#[test]
fn the_dig_line_of_the_report_works_as_it_stands() {
    let daemon = Daemon::start(NO_ENGINE);
    daemon.await_log("  use ");
    let log = daemon.log();
    let line = log
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("try "))
        .expect("a line to try");
    let line = line
        .split('#')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_start_matches("dig ");
    let line = line.replace("+short", "+noall +comments +time=2 +tries=1");
    let reply = dig::read(Command::new("dig").args(words(&line)));
    assert_eq!(reply.status, "NXDOMAIN", "{line}");
}

#[test]
fn a_taken_port_ends_it_with_a_sentence_that_names_address_port_and_holder() {
    let holder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = holder.local_addr().expect("its address").to_string();
    let pid = format!("pid {}", std::process::id());
    let line = format!("--listen {address} --http {} {NO_ENGINE}", ports::free());
    check_refusal(binary().args(words(&line)), 1, &[&address, &pid]);
}

#[test]
fn a_second_skydock_on_the_same_port_is_told_who_has_it() {
    let first = Daemon::start(NO_ENGINE);
    let address = first.dns().to_string();
    let line = format!("--listen {address} --http {} {NO_ENGINE}", ports::free());
    check_refusal(
        binary().args(words(&line)),
        1,
        &[&address, "skydock", &format!("pid {}", first.pid())],
    );
}

#[test]
fn a_taken_admin_port_that_was_asked_for_ends_it_with_a_sentence() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = holder.local_addr().expect("its address").to_string();
    let line = format!("--listen {} --http {address} {NO_ENGINE}", ports::free());
    check_refusal(
        binary().args(words(&line)),
        1,
        &[&address, &format!("pid {}", std::process::id())],
    );
}

#[test]
fn an_address_of_another_host_ends_it_with_a_sentence() {
    let listen = "--listen 198.51.100.1:5300".to_owned();
    let http = format!(
        "--listen {} --http 198.51.100.1:5300 --insecure-http",
        ports::free()
    );
    for flags in [listen, http] {
        check_refusal(
            binary().args(words(&format!("{flags} {NO_ENGINE}"))),
            1,
            &["198.51.100.1:5300 is not an address of this host"],
        );
    }
}

#[test]
fn a_wrong_flag_or_value_ends_it_with_one_sentence_and_exit_code_2() {
    for (line, part) in [
        ("--domian docker", "--domian"),
        ("--ttl soon", "--ttl"),
        ("-ttl -1", "ttl"),
        ("--listen nowhere", "--listen"),
        ("--cores 0-", "--cores"),
        ("--cores 9999", "--cores"),
        ("--engine steam", "--engine"),
        ("--allow everybody", "--allow"),
        ("--domain a..b", "--domain"),
        ("stray", "stray"),
        (
            "--listen 0.0.0.0:5391,127.0.0.1:5391",
            "0.0.0.0:5391 covers it already",
        ),
        ("--nameserver 8.8.8.8:0", "port 0"),
        (
            "--nameserver 9.0.0.1,9.0.0.2,9.0.0.3,9.0.0.4,9.0.0.5,9.0.0.6,9.0.0.7,9.0.0.8,9.0.0.9",
            "--nameserver",
        ),
    ] {
        check_refusal(binary().args(words(line)), 2, &[part]);
    }
    check_refusal(binary().env("SKYDOCK_TTL", "soon"), 2, &["SKYDOCK_TTL", "soon"]);
}

#[test]
fn help_and_version_end_well() {
    let (code, out, _) = run("--help");
    assert!(code == Some(0) && out.contains("--nameserver"), "{out}");
    let (code, out, _) = run("--version");
    assert!(
        code == Some(0) && out.contains(env!("CARGO_PKG_VERSION")),
        "{out}"
    );
}

#[test]
fn an_old_command_line_works() {
    let (dns, http) = (ports::free(), ports::free());
    let mut command = binary();
    let line = format!(
        "-ttl 30 -environment dev -s /nonexistent/docker.sock -domain docker -listen {dns} -http={http}"
    );
    command.args(words(&line));
    let daemon = Daemon::spawn(command, dns, http);
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    assert!(daemon.get("/ready").1.contains("/nonexistent/docker.sock"));
}

#[test]
fn flags_of_old_command_lines_that_do_nothing_now_are_said_to() {
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} -workers 3 -beat 20 -skydns http://127.0.0.1:8080"
    ));
    for flag in ["-workers", "-beat", "-skydns"] {
        daemon.await_log(flag);
    }
}

#[test]
fn settings_come_from_the_environment_and_flags_win() {
    let (dns, http) = (ports::free(), ports::free());
    let mut command = binary();
    command
        .env("SKYDOCK_DOMAIN", "fromenv.test")
        .env("SKYDOCK_LISTEN", "127.0.0.1:1")
        .env("SKYDOCK_HTTP", http.to_string());
    command.args(words(&format!("{NO_ENGINE} --listen {dns}")));
    let daemon = Daemon::spawn(command, dns, http);
    assert_eq!(daemon.dig("fromenv.test SOA").status, "NOERROR");
}

#[test]
fn a_missing_socket_is_one_sentence_with_the_remedy_however_often_it_is_tried() {
    let daemon = Daemon::start(NO_ENGINE);
    daemon.await_log("/nonexistent/docker.sock");
    // Long enough for several tries.
    std::thread::sleep(Duration::from_secs(2));
    let log = daemon.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("/nonexistent/docker.sock"))
        .count();
    assert_eq!(lines, 1, "in the report, and nowhere else: {log}");
}

#[test]
fn sigterm_and_sigint_end_it_well_and_within_a_second() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        Daemon::start(NO_ENGINE).stop_by(signal);
    }
}

#[test]
fn what_was_asked_before_sigterm_is_answered() {
    let daemon = Daemon::start(NO_ENGINE);
    let asker = raw::Asker::of(daemon.dns());
    let packet = raw::query(1, "docker", 6);
    // All of it is still in the kernel's queue when the order to end comes.
    daemon.signal(Signal::SIGSTOP);
    for _ in 0..200 {
        asker.send(&packet);
    }
    daemon.signal(Signal::SIGTERM);
    daemon.stop_by(Signal::SIGCONT);
    let answered = std::iter::from_fn(|| asker.receive()).count();
    assert_eq!(answered, 200);
}

#[test]
fn sigterm_ends_it_in_time_also_while_an_upstream_owes_an_answer() {
    let upstream = Upstream::start();
    upstream.set_silent(true);
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    let asker = raw::Asker::of(daemon.dns());
    asker.send(&raw::query(1, "example.com", 1));
    eventually("the upstream was asked", SOON, || {
        support::expect(|asked| *asked > 0, upstream.asked())
    });
    daemon.stop();
}

#[test]
fn cores_may_be_a_count_or_a_list_and_each_has_its_counters() {
    for cores in ["1", "0,"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --cores {cores}"));
        assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
        let text = daemon.get("/metrics").1;
        assert_eq!(
            daemon::samples(&text, "skydock_dns_requests_total", "proto=\"udp\"").len(),
            1,
            "{text}"
        );
    }
    let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).expect("our own mask");
    let has_two = (0..2).all(|core| allowed.is_set(core).unwrap_or(false));
    if !has_two {
        return skip("cores 0 and 1 are not both allowed here");
    }
    let daemon = Daemon::start(&format!("{NO_ENGINE} --cores 0-1"));
    let text = daemon.get("/metrics").1;
    assert_eq!(
        daemon::samples(&text, "skydock_dns_requests_total", "proto=\"udp\"").len(),
        2,
        "{text}"
    );
}

#[test]
fn with_spread_core_each_client_is_answered_on_the_core_that_it_runs_on() {
    const CLIENTS: u16 = 40;
    let ourselves = nix::unistd::Pid::from_raw(0);
    let allowed = nix::sched::sched_getaffinity(ourselves).expect("our own mask");
    if !(0..2).all(|core| allowed.is_set(core).unwrap_or(false)) {
        return skip("cores 0 and 1 are not both allowed here");
    }
    let daemon = Daemon::start(&format!("{NO_ENGINE} --cores 0-1 --spread core"));
    let counted = || {
        let text = daemon.get("/metrics").1;
        [0, 1].map(|core| {
            let labels = format!("core=\"{core}\",proto=\"udp\"");
            daemon::samples(&text, "skydock_dns_requests_total", &labels)[0]
        })
    };
    let mut expected = counted();
    for core in 0..2 {
        // For this thread alone, which is this test's own.
        let mut one = nix::sched::CpuSet::new();
        one.set(core).expect("there is such a core");
        nix::sched::sched_setaffinity(ourselves, &one).expect("it is allowed");
        for id in 0..CLIENTS {
            let client = raw::Asker::of(daemon.dns());
            client.expect_reply(&raw::query(id, "docker", 6));
        }
        expected[core] += f64::from(CLIENTS);
        assert_eq!(counted(), expected);
    }
}

/// What the status file of each thread of a worker says of where it may run.
#[test]
fn each_worker_is_pinned_to_its_core() {
    let daemon = Daemon::start(&format!("{NO_ENGINE} --cores 0,"));
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("our child's threads");
    let pinned = tasks.flatten().filter(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| {
            line.split_once("Cpus_allowed_list:")
                .is_some_and(|(_, list)| list.trim() == "0")
        })
    });
    assert!(pinned.count() >= 1);
}

#[test]
fn sighup_ends_nothing_and_is_answered_in_the_log() {
    let daemon = Daemon::start(NO_ENGINE);
    for _ in 0..2 {
        daemon.signal(Signal::SIGHUP);
    }
    daemon.await_log("nothing to reload");
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    daemon.stop();
}

#[test]
fn half_a_request_to_the_admin_listener_does_not_delay_the_stop() {
    let daemon = Daemon::start(NO_ENGINE);
    let mut half = TcpStream::connect(daemon.http()).expect("the admin listener");
    half.write_all(b"GET /health HTTP/1.1\r\nHo")
        .expect("loopback takes it");
    // It is served by now, for this one came later.
    assert_eq!(daemon.get("/health").0, 200);
    daemon.stop();
}

#[test]
fn however_many_idle_connections_the_admin_listener_has_health_is_told_at_once() {
    let daemon = Daemon::start(NO_ENGINE);
    let _idle: Vec<_> = (0..70)
        .map(|_| TcpStream::connect(daemon.http()).expect("the admin listener"))
        .collect();
    let started = Instant::now();
    assert_eq!(daemon.get("/health").0, 200);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// The engines that work here; the absence of io_uring is said aloud.
fn engines() -> Vec<&'static str> {
    match dataplane::probe(dataplane::Engine::Glommio) {
        Ok(()) => vec!["glommio", "threads"],
        Err(reason) => {
            skip(&format!("glommio is left out: {reason}"));
            vec!["threads"]
        }
    }
}

#[test]
fn as_many_files_may_be_open_as_this_host_allows() {
    let (dns, http) = (ports::free(), ports::free());
    let mut command = Command::new("prlimit");
    command.args(["--nofile=64:256", env!("CARGO_BIN_EXE_skydock")]);
    command.args(words(&format!(
        "{NO_ENGINE} --cores 1 --listen {dns} --http {http}"
    )));
    let daemon = Daemon::spawn(command, dns, http);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("our own child");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let line: Vec<_> = line.unwrap_or_default().split_whitespace().skip(3).collect();
    assert_eq!(line, ["256", "256", "files"]);
}

/// From too few for anything up to the first number that is enough: whatever fails first, that is the sentence.
#[test]
fn where_too_few_files_may_be_open_the_sentence_names_the_limit() {
    for engine in engines() {
        let is_enough = |limit: u32| {
            let (dns, http) = (ports::free(), ports::free());
            let mut command = Command::new("prlimit");
            command.arg(format!("--nofile={limit}:{limit}"));
            command.arg(env!("CARGO_BIN_EXE_skydock"));
            command.args(words(&format!(
                "{NO_ENGINE} --engine {engine} --cores 1 --listen {dns} --http {http}"
            )));
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("prlimit starts");
            let report = BufReader::new(child.stdout.take().expect("it is piped"));
            let runs = report
                .lines()
                .map_while(Result::ok)
                .any(|line| line.starts_with("  use "));
            if runs {
                child.kill().expect("our own child");
            }
            let output = child.wait_with_output().expect("its output");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                runs || output.status.code() == Some(1)
                    && said.lines().count() == 1
                    && said.contains("raise the limit of open files (ulimit -n"),
                "{engine}, {limit}: {:?} {said}",
                output.status
            );
            runs
        };
        let enough = (6..200).find(|limit| is_enough(*limit));
        assert!(enough.is_some_and(|limit| limit > 8), "{engine}: {enough:?}");
    }
}

#[test]
fn both_engines_answer_alike() {
    for engine in engines() {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        assert_eq!(daemon.dig("docker SOA").status, "NOERROR", "{engine}");
        assert_eq!(daemon.dig("nobody.docker A").status, "NXDOMAIN", "{engine}");
        daemon.stop();
    }
}

#[test]
fn metrics_count_queries_and_replies_by_rcode() {
    let daemon = Daemon::start(NO_ENGINE);
    for _ in 0..3 {
        assert_eq!(daemon.dig("nobody.docker A").status, "NXDOMAIN");
    }
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    assert_eq!(daemon.dig("docker SOA CH").status, "REFUSED");
    let counted = |rcode: &str| daemon.metric("skydock_dns_responses_total", &format!("rcode=\"{rcode}\""));
    // Counters are flushed by the workers themselves, maybe a moment after the reply.
    eventually("counters", SOON, || {
        let seen = [
            counted("NXDOMAIN"),
            counted("NOERROR"),
            counted("REFUSED"),
            daemon.metric("skydock_dns_requests_total", ""),
        ];
        support::expect(|seen| *seen == [3.0, 1.0, 1.0, 5.0], seen)
    });
    let text = daemon.get("/metrics").1;
    for name in [
        "skydock_snapshot_serial",
        "skydock_snapshot_names",
        "skydock_engine_connected",
    ] {
        assert_eq!(daemon::samples(&text, name, "").len(), 1, "{name} in:\n{text}");
    }
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
}

#[test]
fn an_unknown_path_of_the_admin_listener_lists_those_there_are() {
    let daemon = Daemon::start(NO_ENGINE);
    let (status, body) = daemon.get("/nothing");
    assert!(status == 404 && body.contains("/metrics"), "{status} {body}");
}

/// A skydock without `--listen` in a network namespace of its own, where no port is taken.
struct Alone {
    child: Child,
    log: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl Alone {
    /// `None`, and the reason was printed, where namespaces are not for us. `before`: words in front of the binary.
    fn start(before: &str) -> Option<Self> {
        Self::start_after("true", before)
    }

    /// `set_up`: a command in the new namespace, first of all.
    fn start_after(set_up: &str, before: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip("a network namespace of its own needs root");
            return None;
        }
        let directory = tempfile::tempdir_in("/tmp").expect("a directory in /tmp");
        // Another user may not be able to reach the build directory.
        let program = directory.path().join("skydock");
        std::fs::copy(env!("CARGO_BIN_EXE_skydock"), &program).expect("a copy of the binary");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))
            .expect("our own directory");
        let log = directory.path().join("log");
        let output = std::fs::File::create(&log).expect("a log");
        let line = format!(
            "ip link set lo up && {set_up} && exec {before} {} {NO_ENGINE}",
            program.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &line]).stdin(Stdio::null());
        let child = command
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn();
        let alone = Self {
            child: child.expect("unshare starts"),
            log,
            _directory: directory,
        };
        eventually("the report", SOON, || {
            support::expect(|log| log.contains("  use "), alone.log())
        });
        Some(alone)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("our own file")
    }

    fn dig(&self, port: u16, question: &str) -> Reply {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.child.id().to_string(), "dig"]);
        dig::read(command.args(dig::arguments(server, question)))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_flags_root_answers_on_port_53() {
    let Some(alone) = Alone::start("") else { return };
    assert_eq!(alone.dig(53, "docker SOA").status, "NOERROR", "{}", alone.log());
    assert!(
        alone.log().contains("docker0 is not there yet"),
        "{}",
        alone.log()
    );
}

/// Docker's masquerading gives what the host sends to a bridge the host's public address.
#[test]
fn the_host_may_ask_from_each_of_its_own_addresses() {
    let Some(alone) = Alone::start_after("ip address add 198.51.100.7/32 dev lo", "") else {
        return;
    };
    let reply = alone.dig(53, "docker SOA -b 198.51.100.7");
    assert_eq!(reply.status, "NOERROR", "{}", alone.log());
}

#[test]
fn without_flags_and_root_it_answers_on_port_5300_and_says_why() {
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all";
    let Some(alone) = Alone::start(nobody) else { return };
    let log = alone.log();
    assert!(
        log.contains("127.0.0.1:5300") && log.contains("port 53 needs root or CAP_NET_BIND_SERVICE"),
        "{log}"
    );
    assert_eq!(alone.dig(5300, "docker SOA").status, "NOERROR", "{log}");
}

#[test]
fn it_starts_within_two_seconds() {
    let started = Instant::now();
    let daemon = Daemon::start(NO_ENGINE);
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
