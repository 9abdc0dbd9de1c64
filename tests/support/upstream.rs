//! A scripted upstream resolver on loopback.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::engine::lock;

/// The address in every answer of [`Upstream::start`].
pub(crate) const ANSWER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// Its time to live, which no local record has.
pub(crate) const ANSWER_TTL: u32 = 77;

/// An upstream that answers every question with one A record, and remembers what it was asked.
pub(crate) struct Upstream {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    state: Arc<State>,
    worker: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    is_silent: AtomicBool,
    asked: AtomicU32,
    /// The last question's datagram, and who sent it.
    last: Mutex<Option<(Vec<u8>, SocketAddr)>>,
}

impl Upstream {
    /// Starts one on a free loopback port.
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = socket.local_addr().expect("its address");
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a timeout above zero");
        let (socket, state) = (Arc::new(socket), Arc::new(State::default()));
        let shared = (Arc::clone(&socket), Arc::clone(&state));
        let worker = std::thread::spawn(move || serve(&shared.0, &shared.1));
        Self {
            address,
            socket,
            state,
            worker: Some(worker),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions have come.
    pub(crate) fn asked(&self) -> u32 {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// The last question's datagram; empty: there was none.
    pub(crate) fn last(&self) -> Vec<u8> {
        self.last_asked()
            .map(|(question, _)| question)
            .unwrap_or_default()
    }

    /// The last question's datagram, and who sent it. One that is not answered comes again soon, from elsewhere and with
    /// another id.
    pub(crate) fn last_asked(&self) -> Option<(Vec<u8>, SocketAddr)> {
        lock(&self.state.last).clone()
    }

    /// The reply it would give to `question`, after `change`.
    pub(crate) fn answer_with(&self, question: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut reply = answer(question).expect("a whole question");
        change(&mut reply);
        reply
    }

    /// Sends octets to whoever asked last.
    pub(crate) fn send_to_last(&self, octets: &[u8]) {
        let (_, client) = self.last_asked().expect("somebody asked");
        self.send_to(client, octets);
    }

    /// Sends octets to `client`, from the address that was asked.
    pub(crate) fn send_to(&self, client: SocketAddr, octets: &[u8]) {
        self.socket.send_to(octets, client).expect("loopback takes it");
    }

    /// Whether to say nothing from now on.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.state.is_silent.store(silent, Ordering::SeqCst);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn serve(socket: &UdpSocket, state: &State) {
    let mut buffer = vec![0; 4096];
    while !state.stop.load(Ordering::SeqCst) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let question = buffer.get(..length).expect("what was received");
        *lock(&state.last) = Some((question.to_vec(), client));
        state.asked.fetch_add(1, Ordering::SeqCst);
        if state.is_silent.load(Ordering::SeqCst) {
            continue;
        }
        if let Some(reply) = answer(question) {
            let _ = socket.send_to(&reply, client);
        }
    }
}

/// The question, and [`ANSWER`] to it whatever its type; an OPT record where one came.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let name_end = 12 + question.get(12..)?.iter().position(|&octet| octet == 0)? + 1;
    let has_opt = question.get(10..12)? != [0, 0];
    let mut reply = question.get(..name_end + 4)?.to_vec();
    // QR, RD copied; RA; one answer, no authority, one additional record where the OPT is.
    reply.splice(
        2..12,
        [
            0x80 | (question.get(2)? & 1),
            0x80,
            0,
            1,
            0,
            1,
            0,
            0,
            0,
            u8::from(has_opt),
        ],
    );
    reply.extend([0xc0, 12, 0, 1, 0, 1]);
    reply.extend(ANSWER_TTL.to_be_bytes());
    reply.extend([0, 4]);
    reply.extend(ANSWER.octets());
    if has_opt {
        reply.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    Some(reply)
}
