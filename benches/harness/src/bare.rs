//! Responders that know one answer: the speed of light of each engine.
//!
//! They move and wait for datagrams as the data plane does: the same batches, the same order of calls, the same lingering
//! before glommio parks. All that is missing is DNS. What a server reaches of it is what its own work leaves.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use dataplane::limits::{BATCH_DATAGRAMS_MAX, BATCHES_PER_TURN_MAX, LINGER};
use glommio::{LocalExecutorBuilder, Placement};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use crate::load::pin;
use crate::world::TTL_SECONDS;

/// Octets that a query may have; what the generator sends has fewer.
const QUERY_OCTETS: usize = 512;
/// Octets of an answer: a pointer to the question, type, class, time to live, length, address.
const ANSWER_OCTETS: usize = 16;
/// Octets of the OPT that ends a query which has one.
const OPT_OCTETS: usize = 11;
/// Entries of each ring; nothing but one wait for each socket is ever in them.
const RING_DEPTH: usize = 16;

/// Answers everyone on `listen` with `address`, from `core`, until the process ends.
///
/// Each socket has a thread of its own: a run measures one of them while the others sleep.
///
/// # Errors
///
/// A socket or an executor cannot be had.
pub fn run(
    engine: dataplane::Engine,
    core: usize,
    listen: &[SocketAddr],
    address: Ipv4Addr,
) -> io::Result<()> {
    let sockets: io::Result<Vec<_>> = listen.iter().map(UdpSocket::bind).collect();
    let threads = sockets?.into_iter().map(|socket| {
        std::thread::spawn(move || match engine {
            dataplane::Engine::Threads => run_threads(core, Bare::new(socket, address)),
            dataplane::Engine::Glommio => run_glommio(core, Bare::new(socket, address)),
        })
    });
    // All of them first: an iterator alone would start one after another.
    let threads: Vec<_> = threads.collect();
    let mut ended = threads
        .into_iter()
        .map(|thread| thread.join().expect("a responder does not panic"));
    ended.try_for_each(|ended| ended)
}

fn run_threads(core: usize, mut bare: Bare) -> io::Result<()> {
    pin(core)?;
    loop {
        bare.turn(PollTimeout::NONE)?;
    }
}

fn run_glommio(core: usize, mut bare: Bare) -> io::Result<()> {
    let waiter = bare.socket.try_clone()?;
    let linger = PollTimeout::try_from(LINGER).map_err(io::Error::other)?;
    let executor = LocalExecutorBuilder::new(Placement::Fixed(core))
        .io_memory(0)
        .ring_depth(RING_DEPTH)
        .make()
        .map_err(io::Error::from)?;
    executor.run(async move {
        let waiter = glommio::net::UdpSocket::from(socket2_0_4::Socket::from(waiter));
        loop {
            if bare.turn(linger)? {
                glommio::yield_if_needed().await;
            } else {
                waiter.peek_from(&mut [0]).await.map_err(io::Error::from)?;
            }
        }
    })
}

struct Bare {
    socket: UdpSocket,
    address: Ipv4Addr,
    // Apart, for each call leaves its own pointers in them.
    receive_headers: MultiHeaders<SockaddrIn>,
    send_headers: MultiHeaders<SockaddrIn>,
    buffers: Vec<[u8; QUERY_OCTETS + ANSWER_OCTETS]>,
    lengths: Vec<usize>,
    peers: Vec<Option<SockaddrIn>>,
}

impl Bare {
    fn new(socket: UdpSocket, address: Ipv4Addr) -> Self {
        Self {
            socket,
            address,
            receive_headers: MultiHeaders::preallocate(BATCH_DATAGRAMS_MAX, None),
            send_headers: MultiHeaders::preallocate(BATCH_DATAGRAMS_MAX, None),
            buffers: vec![[0; QUERY_OCTETS + ANSWER_OCTETS]; BATCH_DATAGRAMS_MAX],
            lengths: Vec::with_capacity(BATCH_DATAGRAMS_MAX),
            peers: Vec::with_capacity(BATCH_DATAGRAMS_MAX),
        }
    }

    /// Waits, then answers what has come. Whether something had.
    fn turn(&mut self, patience: PollTimeout) -> io::Result<bool> {
        let wait = PollFd::new(self.socket.as_fd(), PollFlags::POLLIN);
        if poll(&mut [wait], patience)? == 0 {
            return Ok(false);
        }
        for _ in 0..BATCHES_PER_TURN_MAX {
            let received = self.receive();
            if received > 0 {
                self.answer();
            }
            if received <= 1 {
                break;
            }
        }
        Ok(true)
    }

    fn receive(&mut self) -> usize {
        self.lengths.clear();
        self.peers.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(&mut buffer[..QUERY_OCTETS])])
            .collect();
        let received = recvmmsg(
            self.socket.as_raw_fd(),
            &mut self.receive_headers,
            &mut slices,
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        // Nothing is there, or a client has gone.
        for message in received.into_iter().flatten() {
            self.lengths.push(message.bytes);
            self.peers.push(message.address);
        }
        self.lengths.len()
    }

    fn answer(&mut self) {
        let address = self.address;
        let answered = self.buffers.iter_mut().zip(&self.lengths);
        let slices: Vec<[IoSlice<'_>; 1]> = answered
            .map(|(buffer, length)| [IoSlice::new(reply(buffer, *length, address))])
            .collect();
        // What the kernel does not take is lost, and the generator counts it.
        let _ = sendmmsg(
            self.socket.as_raw_fd(),
            &mut self.send_headers,
            &slices,
            self.peers.as_slice(),
            [],
            MsgFlags::MSG_DONTWAIT,
        );
    }
}

/// Makes the query in the first `length` octets its own reply: one address, and the OPT it came with.
fn reply(buffer: &mut [u8; QUERY_OCTETS + ANSWER_OCTETS], length: usize, address: Ipv4Addr) -> &[u8] {
    let opt = if buffer[11] == 1 { OPT_OCTETS } else { 0 };
    let question_end = length.saturating_sub(opt).max(12);
    buffer.copy_within(
        question_end..length.max(question_end),
        question_end + ANSWER_OCTETS,
    );
    buffer[2] = 0x85;
    buffer[7] = 1;
    let [a, b, c, d] = address.octets();
    let ttl = TTL_SECONDS as u8;
    buffer[question_end..question_end + ANSWER_OCTETS]
        .copy_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, a, b, c, d]);
    &buffer[..length.max(question_end) + ANSWER_OCTETS]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Question;

    #[test]
    fn the_one_answer_is_a_right_one_with_edns_and_without() {
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let question = Question::addresses("hot.web.dev.docker", [address]);
        for edns in [false, true] {
            let mut query = Vec::new();
            question.write(7, edns, &mut query);
            let mut buffer = [0; QUERY_OCTETS + ANSWER_OCTETS];
            buffer[..query.len()].copy_from_slice(&query);
            let reply = reply(&mut buffer, query.len(), address);
            assert_eq!(question.check(reply), Ok(()));
            assert_eq!(reply.len(), query.len() + ANSWER_OCTETS);
            assert_eq!(reply.ends_with(&[0, 0, 0, 0, 0, 0]), edns);
        }
    }
}
