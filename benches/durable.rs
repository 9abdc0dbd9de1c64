//! Services registered over HTTP: how many a second the disk takes from many clients, how long each waits, what becomes of
//! DNS answers meanwhile, and what heartbeats and mere rest cost.
//!
//! ```text
//!  cargo bench --bench durable -- /var/tmp          64 clients, 100 000 services, on the disk of that directory
//!  cargo bench --bench durable -- /var/tmp 50000    and 50 000 questions a second; 0: as many as it answers
//! ```
//!
//! It takes minutes and writes to a disk that somebody has to choose, so it does nothing in a plain `cargo bench`.

#[path = "durable/asker.rs"]
mod asker;
#[path = "durable/writer.rs"]
mod writer;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use asker::{Asked, ask_until};
use writer::{Waits, each_once, paced};

/// Clients that write at the same time, each waiting for its answer.
const CLIENTS: usize = 64;
/// Services registered in all.
const SERVICES: usize = 100_000;
/// Writes a second that DNS answers have to bear.
const WRITES_PER_SECOND: f64 = 2000.0;
/// Heartbeats a second: of all services, each with a TTL of 30 seconds.
const BEATS_PER_SECOND: f64 = SERVICES as f64 / 30.0;
/// Questions a second, unless the command line says another number.
const QUESTIONS_PER_SECOND: f64 = 20_000.0;
/// How long the daemon is left alone, or given heartbeats.
const REST: Duration = Duration::from_secs(30);
/// How long questions are asked with writes, and without.
const TURN: Duration = Duration::from_secs(10);
/// What `/proc/<pid>/stat` counts in, a second; Linux has had no other for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// One service of those that are registered, by its number.
#[derive(Clone, Copy)]
struct Service(usize);

impl Service {
    fn id(self) -> String {
        format!("i{}", self.0)
    }

    fn word(self) -> String {
        format!("s{}", self.0 % 1000)
    }

    /// Its address; `turn` tells those apart that it has one after the other.
    fn address(self, turn: u8) -> [u8; 4] {
        let [_, b, c, d] = u32::try_from(self.0).expect("it is small").to_be_bytes();
        [10 + turn, b, c, d]
    }

    /// Whether writes give it another address now and then.
    fn moves(self) -> bool {
        self.0.is_multiple_of(10)
    }
}

#[expect(clippy::print_stdout, reason = "what was measured is what it is for")]
fn main() {
    let mut given = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let Some(parent) = given.next() else {
        println!("nothing is measured: name a directory on the disk that is to be measured");
        return;
    };
    let rate = given.next().map_or(QUESTIONS_PER_SECOND, |rate| {
        rate.parse().expect("questions a second are a number")
    });
    let data = tempfile::tempdir_in(parent).expect("a directory");
    let (http, dns) = (free(), free());
    let daemon = Daemon(start(http, dns, data.path()));
    while TcpStream::connect(http).is_err() {
        thread::sleep(Duration::from_millis(20));
    }

    let began = Instant::now();
    let waits = each_once(http, SERVICES);
    let took = began.elapsed().as_secs_f64();
    println!(
        "{SERVICES} durable writes by {CLIENTS} clients: {:.0} a second; {waits}",
        SERVICES as f64 / took
    );

    let (before, publications) = (daemon.ticks(), daemon.publications(http));
    thread::sleep(REST);
    println!(
        "{SERVICES} registered and at rest: {:.2} % of a core, {} publications",
        daemon.percent_since(before, REST),
        daemon.publications(http) - publications
    );

    let (before, publications) = (daemon.ticks(), daemon.publications(http));
    let waits = paced(http, dns, BEATS_PER_SECOND, REST, writer::beat);
    println!(
        "{BEATS_PER_SECOND:.0} heartbeats a second: {:.0} taken; {waits}; {:.1} % of a core, {} publications",
        waits.per_second(REST),
        daemon.percent_since(before, REST),
        daemon.publications(http) - publications
    );

    let mut turns = Vec::new();
    for turn in 0..4 {
        let (asked, waits) = questions(http, dns, rate, turn % 2 == 1);
        let writes = waits.map_or("alone".to_owned(), |waits| {
            format!("{:.0} writes a second; {waits}", waits.per_second(TURN))
        });
        println!("questions, {writes}: {asked}");
        turns.push(asked);
    }
    if let [one, with_one, other, with_other] = turns.as_slice() {
        let kept = (with_one.answered + with_other.answered) as f64 / (one.answered + other.answered) as f64;
        println!("with writes {:.1} % of the answers are left", 100.0 * kept);
    }
    assert!(turns.iter().all(|asked| asked.wrong == 0), "an answer was wrong");
}

/// Asks for a turn, while services move or not.
fn questions(http: SocketAddr, dns: SocketAddr, rate: f64, with_writes: bool) -> (Asked, Option<Waits>) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(&stop, dns, rate));
        let waits = if with_writes {
            Some(paced(http, dns, WRITES_PER_SECOND, TURN, writer::move_one))
        } else {
            thread::sleep(TURN);
            None
        };
        stop.store(true, Ordering::Relaxed);
        (asking.join().expect("asking does not fail"), waits)
    })
}

struct Daemon(Child);

impl Daemon {
    /// CPU time so far, in ticks.
    fn ticks(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
        let after_name = stat.rsplit_once(')').expect("its name").1;
        let mut fields = after_name.split_whitespace().skip(11);
        let mut number = || fields.next().and_then(|field| field.parse::<f64>().ok());
        number().expect("user time") + number().expect("system time")
    }

    fn percent_since(&self, before: f64, passed: Duration) -> f64 {
        100.0 * (self.ticks() - before) / TICKS_PER_SECOND / passed.as_secs_f64()
    }

    fn publications(&self, http: SocketAddr) -> u64 {
        let metrics = writer::get(http, "/metrics");
        let line = metrics
            .lines()
            .find(|line| line.starts_with("skydock_snapshot_publishes_total "));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
            .expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound")
}

fn start(http: SocketAddr, dns: SocketAddr, data: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_skydock"))
        .args([
            "--docker",
            "/nonexistent/docker.sock",
            "--listen",
            &dns.to_string(),
        ])
        .args(["--http", &http.to_string(), "--rate-limit", "0", "--data-dir"])
        .arg(data)
        // A line for each of a hundred thousand services is no part of what is measured.
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .spawn()
        .expect("the daemon starts")
}
