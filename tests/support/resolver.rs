//! An upstream that does as a test says, over UDP and TCP on one port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::engine::lock;
use super::{SOON, eventually, ports};

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// What is sent back for a question, one message after the other.
type Script = dyn Fn(Over, &[u8]) -> Vec<Vec<u8>> + Send + Sync;

/// How a question came, and its octets.
type Asked = (Over, Vec<u8>);

/// A running upstream. Dropped, nobody listens there any more.
pub(crate) struct Resolver {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Resolver {
    /// One on a free loopback port.
    pub(crate) fn start(script: impl Fn(Over, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::at(ports::free(), script)
    }

    /// One at `address`, where nobody listens.
    pub(crate) fn at(
        address: SocketAddr,
        script: impl Fn(Over, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let bound = eventually("a port that was free a moment before", SOON, || {
            let datagrams = UdpSocket::bind(address).map_err(|error| error.to_string())?;
            let streams = TcpListener::bind(address).map_err(|error| error.to_string())?;
            Ok((datagrams, streams))
        });
        let (datagrams, streams) = bound;
        let script: Arc<Script> = Arc::new(script);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let shared = || (Arc::clone(&script), Arc::clone(&asked), Arc::clone(&stop));
        let (for_datagrams, for_streams) = (shared(), shared());
        let threads = vec![
            std::thread::spawn(move || {
                let (script, asked, stop) = for_datagrams;
                serve_datagrams(&datagrams, &*script, &asked, &stop);
            }),
            std::thread::spawn(move || {
                let (script, asked, stop) = for_streams;
                serve_streams(&streams, &*script, &asked, &stop);
            }),
        ];
        Self {
            address,
            asked,
            stop,
            threads,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<(Over, Vec<u8>)> {
        lock(&self.asked).clone()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve_datagrams(
    socket: &UdpSocket,
    script: &Script,
    asked: &Mutex<Vec<(Over, Vec<u8>)>>,
    stop: &AtomicBool,
) {
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout above zero");
    let mut buffer = vec![0; 4096];
    while !stop.load(Ordering::SeqCst) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let question = buffer.get(..length).expect("what was received");
        lock(asked).push((Over::Udp, question.to_vec()));
        for reply in script(Over::Udp, question) {
            let _ = socket.send_to(&reply, client);
        }
    }
}

fn serve_streams(
    listener: &TcpListener,
    script: &Script,
    asked: &Mutex<Vec<(Over, Vec<u8>)>>,
    stop: &AtomicBool,
) {
    listener.set_nonblocking(true).expect("it can be");
    while !stop.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        // What a client breaks off is not the next one's business.
        let _ = answer_stream(stream, script, asked);
    }
}

fn answer_stream(
    mut stream: TcpStream,
    script: &Script,
    asked: &Mutex<Vec<(Over, Vec<u8>)>>,
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    lock(asked).push((Over::Tcp, question.clone()));
    for reply in script(Over::Tcp, &question) {
        let length = u16::try_from(reply.len()).expect("a message of 64 KiB at most");
        // In pieces, as networks do it.
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&reply)?;
    }
    Ok(())
}

/// The name asked for, in small letters and without the last dot.
pub(crate) fn name(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = question.get(12..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first() {
        let Some((label, after)) = after.split_at_checked(length.into()).filter(|_| length > 0) else {
            break;
        };
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = after;
    }
    labels.join(".")
}

/// Where the records of a reply to `question` begin.
pub(crate) fn question_end(question: &[u8]) -> usize {
    let name = question.get(12..).unwrap_or_default();
    12 + name.iter().position(|&octet| octet == 0).expect("a whole name") + 1 + 4
}

/// A reply to `question` with `rcode` and `addresses` A records, 192.0.2.0 upwards, without OPT.
pub(crate) fn reply(question: &[u8], rcode: u8, addresses: u8) -> Vec<u8> {
    let mut reply = question
        .get(..question_end(question))
        .expect("a whole question")
        .to_vec();
    let flags = [0x80 | question.get(2).expect("a header") & 1, 0x80 | rcode];
    reply.splice(2..12, flags.into_iter().chain([0, 1, 0, addresses, 0, 0, 0, 0]));
    for last in 0..addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]);
    }
    reply
}
