//! Clients that write over HTTP, each on one connection and waiting for each answer.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::asker::{addresses, question};
use crate::{CLIENTS, SERVICES, Service};

/// How long writes took, in order.
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        Self(waits)
    }

    fn at(&self, part: f64) -> Duration {
        let place = (self.0.len() as f64 * part) as usize;
        self.0.get(place).copied().unwrap_or_default()
    }

    pub(crate) fn per_second(&self, within: Duration) -> f64 {
        self.0.len() as f64 / within.as_secs_f64()
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.last().copied().unwrap_or_default();
        write!(
            f,
            "p50 {:?}, p99 {:?}, last {last:?}",
            self.at(0.5),
            self.at(0.99)
        )
    }
}

/// One write: what is sent, what is answered, and what DNS says of it from then on.
pub(crate) type One = fn(usize, usize) -> (String, &'static str, Option<(Service, [u8; 4])>);

/// A heartbeat of the service whose turn it is.
pub(crate) fn beat(number: usize, _: usize) -> (String, &'static str, Option<(Service, [u8; 4])>) {
    let id = Service(number % SERVICES).id();
    let request =
        format!("POST /v1/services/{id}/heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    (request, "200", None)
}

/// Another address for a service that moves, one of the client's own.
pub(crate) fn move_one(number: usize, client: usize) -> (String, &'static str, Option<(Service, [u8; 4])>) {
    let round = number / CLIENTS;
    let own = round * CLIENTS + client;
    let service = Service(own * 10 % SERVICES);
    let turn = u8::from(round.is_multiple_of(2));
    let address = service.address(turn);
    (put(service, address), "200", Some((service, address)))
}

fn put(service: Service, [a, b, c, d]: [u8; 4]) -> String {
    let (id, word) = (service.id(), service.word());
    let body = format!(
        r#"{{"service":"{word}","instance":"{id}","addresses":["{a}.{b}.{c}.{d}"],"ports":[{{"number":80}}],"ttl":3600}}"#,
    );
    format!(
        "PUT /v1/services/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Registers so many services, as fast as [`CLIENTS`] do it.
pub(crate) fn each_once(http: SocketAddr, services: usize) -> Waits {
    let next = AtomicUsize::new(0);
    of_all(|_| {
        let mut connection = Connection::to(http);
        let mut waits = Vec::new();
        loop {
            let service = Service(next.fetch_add(1, Ordering::Relaxed));
            if service.0 >= services {
                return waits;
            }
            let began = Instant::now();
            assert_eq!(connection.ask(&put(service, service.address(0))).0, "201");
            waits.push(began.elapsed());
        }
    })
}

/// So many writes a second for so long; each waits from the moment at which it was due. What was written is asked for.
pub(crate) fn paced(http: SocketAddr, dns: SocketAddr, rate: f64, within: Duration, one: One) -> Waits {
    let (next, began) = (AtomicUsize::new(0), Instant::now());
    of_all(|client| {
        let mut connection = Connection::to(http);
        let mut resolver = Resolver::of(dns);
        let mut waits = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = began + Duration::from_secs_f64(number as f64 / rate);
            if due.duration_since(began) >= within {
                return waits;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (request, status, seen) = one(number, client);
            assert_eq!(connection.ask(&request).0, status);
            waits.push(due.elapsed());
            if let Some((service, address)) = seen {
                assert_eq!(
                    resolver.address(service),
                    address,
                    "a write that was answered is served"
                );
            }
        }
    })
}

fn of_all(one: impl Fn(usize) -> Vec<Duration> + Sync) -> Waits {
    let waits = thread::scope(|scope| {
        let one = &one;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || one(client)))
            .collect();
        let each = clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client does not fail"));
        each.collect()
    });
    Waits::of(waits)
}

/// GETs a path.
pub(crate) fn get(http: SocketAddr, path: &str) -> String {
    Connection::to(http)
        .ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        .1
}

struct Connection {
    http: SocketAddr,
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn to(http: SocketAddr) -> Self {
        let stream = TcpStream::connect(http).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let reader = BufReader::new(stream);
        Self { http, reader }
    }

    /// Status and body. A connection that the daemon ended is made anew: it does so after some minutes.
    fn ask(&mut self, request: &str) -> (String, String) {
        let sent = self.reader.get_mut().write_all(request.as_bytes());
        if let (Ok(()), Some(reply)) = (sent, self.reply()) {
            return reply;
        }
        *self = Self::to(self.http);
        self.reader
            .get_mut()
            .write_all(request.as_bytes())
            .expect("it is sent");
        self.reply().expect("a reply")
    }

    fn reply(&mut self) -> Option<(String, String)> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.to_owned();
        let mut octets = 0;
        loop {
            line.clear();
            self.reader.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                octets = length.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; octets];
        self.reader.read_exact(&mut body).ok()?;
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Asks one question at a time.
struct Resolver(UdpSocket);

impl Resolver {
    fn of(dns: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(dns).expect("an address");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a socket");
        Self(socket)
    }

    fn address(&mut self, service: Service) -> [u8; 4] {
        let asked = question(1, service);
        self.0.send(&asked).expect("it is sent");
        let mut reply = [0; 512];
        let octets = self.0.recv(&mut reply).expect("an answer");
        addresses(&asked, reply.get(..octets).expect("it fits")).expect("an address")
    }
}
