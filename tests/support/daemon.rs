//! The skydock binary at work.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::dig::{Reply, dig};
use super::engine::{self, Engine, lock};
use super::{SOON, eventually, expect, ports};

/// No engine listens here.
pub(crate) const NO_ENGINE: &str = "--docker /nonexistent/docker.sock";

/// How long it may take to end after SIGTERM.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// A running skydock. Dropping it stops it with SIGTERM and checks that it ended well and in time.
pub(crate) struct Daemon {
    child: Child,
    said: Said,
    dns: SocketAddr,
    http: SocketAddr,
    stopped: bool,
}

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skydock"));
    clear(&mut command);
    command
}

/// Takes from `command` what the environment of whoever runs the tests would change in the daemon.
fn clear(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SKYDOCK_") {
            command.env_remove(name);
        }
    }
    for variable in ["DOCKER_HOST", "DOCKER_CONTEXT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    // No test may leave anything on this host, or find what another left; one that keeps something says where.
    command.env("SKYDOCK_EPHEMERAL", "1");
}

/// `command`, killed by the kernel when the thread that starts it ends, be it by SIGKILL.
fn bound_to_us(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound
        .args(["--pdeathsig", "KILL"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    bound
}

/// Arguments, as `Command` takes them.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The engine that the tests share, and a daemon that watches it; `None`, and the reason was printed, where there is none.
pub(crate) fn world(arguments: &str) -> Option<(Arc<Engine>, Daemon)> {
    let engine = engine::shared()?;
    let daemon = Daemon::for_engine(&engine, arguments);
    Some((engine, daemon))
}

impl Daemon {
    /// Starts it for `engine` on free loopback ports, with more arguments, and waits until it is ready.
    pub(crate) fn for_engine(engine: &Engine, arguments: &str) -> Self {
        let daemon = Self::start(&format!("--docker {} {arguments}", engine.host()));
        daemon.await_ready();
        daemon
    }

    /// Starts it on free loopback ports, with more arguments, and waits until it answers.
    ///
    /// `SKYDOCK_TEST_ENGINE=threads` has every such daemon wait for packets without io_uring.
    pub(crate) fn start(arguments: &str) -> Self {
        let (dns, http) = (ports::free(), ports::free());
        let engine = std::env::var("SKYDOCK_TEST_ENGINE").unwrap_or_else(|_| "auto".to_owned());
        let mut command = binary();
        // First, so that a test that names an engine gets it.
        command.args(words(&format!(
            "--engine {engine} --listen {dns} --http {http} {arguments}"
        )));
        Self::spawn(command, dns, http)
    }

    /// Starts `command`, which serves on `dns` and `http`, and waits until its admin listener answers.
    pub(crate) fn spawn(command: Command, dns: SocketAddr, http: SocketAddr) -> Self {
        let mut command = bound_to_us(&command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let said = Said::listen(&mut child);
        let mut daemon = Self {
            child,
            said,
            dns,
            http,
            stopped: false,
        };
        eventually("the admin listener", SOON, || {
            daemon.assert_alive();
            TcpStream::connect(http).map_err(|error| error.to_string())
        });
        daemon
    }

    fn assert_alive(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        if ended.is_some() {
            self.stopped = true;
        }
        assert!(ended.is_none(), "skydock ended with {ended:?}");
    }

    /// Waits until `/ready` is 200.
    pub(crate) fn await_ready(&self) {
        eventually("/ready", SOON, || {
            expect(|(status, _)| *status == 200, self.get("/ready"))
        });
    }

    /// Where it answers DNS.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Where its admin listener is.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far, both streams in the order they came.
    pub(crate) fn log(&self) -> String {
        lock(&self.said.text).clone()
    }

    /// Waits until it has printed `text`.
    pub(crate) fn await_log(&self, text: &str) {
        eventually("its log", SOON, || {
            expect(|log: &String| log.contains(text), self.log()).map(drop)
        });
    }

    /// Asks it with dig: a name, a type, further words of dig.
    pub(crate) fn dig(&self, question: &str) -> Reply {
        dig(self.dns, question)
    }

    /// Asks it until the answers to `question` are these, in any order.
    pub(crate) fn await_answers(&self, question: &str, answers: &[&str]) {
        let mut wanted: Vec<_> = answers.iter().map(ToString::to_string).collect();
        wanted.sort();
        eventually(question, SOON, || {
            expect(
                |reply: &Reply| reply.status == "NOERROR" && reply.sorted_answers() == wanted,
                self.dig(question),
            )
        });
    }

    /// Asks it until `question` is answered with this status and no answers.
    pub(crate) fn await_status(&self, question: &str, status: &str) {
        eventually(question, SOON, || {
            expect(
                |reply: &Reply| reply.status == status && reply.answer.is_empty(),
                self.dig(question),
            )
        });
    }

    /// GETs a path of its admin listener: status code and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(self.http, path).expect("the admin listener answers")
    }

    /// Sums the samples of `/metrics` whose name is `name` and whose labels contain `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> f64 {
        samples(&self.get("/metrics").1, name, labels).iter().sum()
    }

    /// Sends it a signal that does not end it at once.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("our own child");
    }

    /// Sends SIGTERM, and checks that it ends with exit code 0 and in time.
    pub(crate) fn stop(self) {
        self.stop_by(Signal::SIGTERM);
    }

    /// Sends it a signal that ends it, and checks that it ends with exit code 0 and in time.
    pub(crate) fn stop_by(mut self, signal: Signal) {
        self.end(signal);
    }

    /// Ends it with SIGKILL, as a crash would.
    pub(crate) fn kill(mut self) {
        self.stopped = true;
        self.child.kill().expect("our own child");
        self.child.wait().expect("it ends");
    }

    fn end(&mut self, signal: Signal) {
        self.stopped = true;
        let started = Instant::now();
        self.signal(signal);
        let status = wait(&mut self.child, STOP_TIME_MAX + SOON);
        let took = started.elapsed();
        assert!(
            status.is_some_and(|status| status.success()),
            "after {signal} it ended with {status:?}"
        );
        assert!(took < STOP_TIME_MAX, "it took {took:?} to stop");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.stopped && !std::thread::panicking() {
            self.end(Signal::SIGTERM);
        }
        if std::thread::panicking() {
            let ended = self.child.try_wait();
            let _ = self.child.kill();
            let _ = self.child.wait();
            show_log(ended.ok().flatten(), &self.log());
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the test runner shows it with the failed test"
)]
fn show_log(ended: Option<ExitStatus>, log: &str) {
    let state = ended.map_or("it runs".to_owned(), |status| {
        format!("it ended by itself: {status}")
    });
    eprintln!("--- what skydock said ({state}) ---\n{log}-------------------------");
}

/// Runs the binary to its end with these arguments: exit code, standard output, standard error.
pub(crate) fn run(arguments: &str) -> (Option<i32>, String, String) {
    let mut command = binary();
    run_command(command.args(words(arguments)))
}

/// Runs a command to its end.
///
/// # Panics
///
/// When it has not ended after [`SOON`]; it is killed.
pub(crate) fn run_command(command: &mut Command) -> (Option<i32>, String, String) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    if wait(&mut child, SOON).is_none() {
        let _ = child.kill();
        let output = child.wait_with_output().expect("its output");
        unreachable!("it did not end: {}", String::from_utf8_lossy(&output.stderr));
    }
    let output = child.wait_with_output().expect("its output");
    let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < within {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

/// What a child prints.
struct Said {
    text: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Said {
    fn listen(child: &mut Child) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        let readers = streams.into_iter().flatten().map(|stream| {
            let text = Arc::clone(&text);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut text = lock(&text);
                    text.push_str(&line);
                    text.push('\n');
                }
            })
        });
        let readers = readers.collect();
        Self { text, readers }
    }
}

/// GETs `path` by HTTP/1.1: status code and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Ok((status, body.to_owned()))
}

/// The values of the samples named `name` whose labels contain `labels`, from Prometheus text.
pub(crate) fn samples(text: &str, name: &str, labels: &str) -> Vec<f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let matching = lines.filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, found_labels) = series.split_once('{').unwrap_or((series, ""));
        (found == name && found_labels.contains(labels))
            .then(|| value.parse().ok())
            .flatten()
    });
    matching.collect()
}
