//! Services registered over HTTP: how many a second the disk takes from many clients, how long each waits, and what the
//! daemon costs when all are registered and nobody asks anything.
//!
//! ```text
//!  cargo bench --bench durable -- /var/tmp      64 clients, 100 000 services, on the disk of that directory
//! ```
//!
//! It takes minutes and writes to a disk that somebody has to choose, so it does nothing in a plain `cargo bench`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Clients that write at the same time, each waiting for its answer.
const CLIENTS: usize = 64;
/// Services registered in all.
const SERVICES: usize = 100_000;
/// How long the daemon is left alone.
const REST: Duration = Duration::from_secs(30);
/// What `/proc/<pid>/stat` counts in, a second; Linux has had no other for user space.
const TICKS_PER_SECOND: f64 = 100.0;

#[expect(clippy::print_stdout, reason = "what was measured is what it is for")]
fn main() {
    let directory = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let parent = directory.as_deref().map_or_else(std::env::temp_dir, Into::into);
    let data = tempfile::tempdir_in(parent).expect("a directory");
    let http = free();
    let mut daemon = Daemon(start(http, data.path()));
    while TcpStream::connect(http).is_err() {
        thread::sleep(Duration::from_millis(20));
    }

    let (next, waits) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (next, waits) = (next.clone(), waits.clone());
            thread::spawn(move || {
                let own = write_until_done(http, &next);
                waits.lock().expect("no client failed").extend(own);
            })
        })
        .collect();
    for client in clients {
        client.join().expect("a client does not fail");
    }
    let took = began.elapsed().as_secs_f64();
    let mut waits = std::mem::take(&mut *waits.lock().expect("no client failed"));
    waits.sort_unstable();
    let at = |part: f64| {
        waits
            .get((waits.len() as f64 * part) as usize)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{SERVICES} durable writes by {CLIENTS} clients: {:.0} a second; p50 {:?}, p99 {:?}, last {:?}",
        SERVICES as f64 / took,
        at(0.5),
        at(0.99),
        waits.last().copied().unwrap_or_default(),
    );

    let before = ticks(daemon.0.id());
    thread::sleep(REST);
    let used = (ticks(daemon.0.id()) - before) / TICKS_PER_SECOND;
    println!(
        "{SERVICES} registered and at rest: {:.2} % of a core",
        100.0 * used / REST.as_secs_f64()
    );
    daemon.0.kill().expect("our own child");
}

struct Daemon(Child);

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

fn start(http: SocketAddr, data: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_skydock"))
        .args([
            "--docker",
            "/nonexistent/docker.sock",
            "--listen",
            &free().to_string(),
        ])
        .args(["--http", &http.to_string(), "--data-dir"])
        .arg(data)
        // A line for each of a hundred thousand services is no part of what is measured.
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .spawn()
        .expect("the daemon starts")
}

/// Registers services, one after the other on one connection, until all numbers are taken. How long each took.
fn write_until_done(http: SocketAddr, next: &AtomicUsize) -> Vec<Duration> {
    let stream = TcpStream::connect(http).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(stream);
    let mut waits = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= SERVICES {
            return waits;
        }
        let [_, b, c, d] = u32::try_from(number).expect("it is small").to_be_bytes();
        let body = format!(
            r#"{{"service":"s{}","instance":"i{number}","addresses":["10.{b}.{c}.{d}"],"ports":[{{"number":80}}],"ttl":3600}}"#,
            number % 1000
        );
        let request = format!(
            "PUT /v1/services/i{number} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = Instant::now();
        reader
            .get_mut()
            .write_all(request.as_bytes())
            .expect("it is sent");
        assert_eq!(status(&mut reader), "201");
        waits.push(began.elapsed());
    }
}

/// Reads one reply and gives its status.
fn status(reader: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a reply");
    let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut octets = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        if line.trim().is_empty() {
            break;
        }
        if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            octets = length.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; octets];
    reader.read_exact(&mut body).expect("a body");
    status
}

/// CPU time of a process so far, in ticks.
fn ticks(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after_name = stat.rsplit_once(')').expect("its name").1;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let number = |place: usize| {
        fields
            .get(place)
            .and_then(|field| field.parse::<f64>().ok())
            .expect("a number")
    };
    number(11) + number(12)
}
