//! Responders that know one answer: the speed of light of each engine.
//!
//! Their sockets are opened, read and written, and waited for, by the data plane's own code: the same options and queues, the same
//! batches without an allocation, the same order of calls, the same lingering before glommio parks. All that is missing is
//! DNS. What a server reaches of it is what its own work leaves.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use dataplane::io::udp::{Batch, Listener, PollSet, waiter};
use dataplane::limits::{BATCHES_PER_TURN_MAX, LINGER};
use dataplane::respond::Outcome;
use dns::Rcode;
use glommio::{LocalExecutorBuilder, Placement};

use crate::load::pin;
use crate::world::TTL_SECONDS;

/// Octets of an answer: a pointer to the question, type, class, time to live, length, address.
const ANSWER_OCTETS: usize = 16;
/// Octets of the OPT that ends a query which has one.
const OPT_OCTETS: usize = 11;
/// Octets before the question.
const HEADER_OCTETS: usize = 12;
/// Entries of each ring, as the data plane has them; nothing but one wait for each socket is ever in them.
const RING_DEPTH: usize = 32;

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
    let mut threads = Vec::new();
    for bound in listen.iter().map(|address| dataplane::bind(*address, 1)) {
        let (listeners, _) = bound.map_err(io::Error::other)?.into_parts();
        for listener in listeners {
            threads.push(std::thread::spawn(move || match engine {
                dataplane::Engine::Threads => run_threads(core, Bare::new(listener, address)),
                dataplane::Engine::Glommio => run_glommio(core, Bare::new(listener, address)),
            }));
        }
    }
    let mut ended = threads
        .into_iter()
        .map(|thread| thread.join().expect("a responder does not panic"));
    ended.try_for_each(|ended| ended)
}

fn run_threads(core: usize, mut bare: Bare) -> io::Result<()> {
    pin(core)?;
    loop {
        bare.turn(None);
    }
}

fn run_glommio(core: usize, mut bare: Bare) -> io::Result<()> {
    let executor = LocalExecutorBuilder::new(Placement::Fixed(core))
        .io_memory(0)
        .ring_depth(RING_DEPTH)
        .make()
        .map_err(io::Error::from)?;
    executor.run(async move {
        let waiter = waiter(&bare.listener)?;
        loop {
            if bare.turn(Some(LINGER)) {
                glommio::yield_if_needed().await;
            } else {
                waiter.peek_from(&mut [0]).await.map_err(io::Error::from)?;
            }
        }
    })
}

struct Bare {
    listener: Listener,
    address: Ipv4Addr,
    batch: Batch,
    set: PollSet,
}

impl Bare {
    fn new(listener: Listener, address: Ipv4Addr) -> Self {
        Self {
            listener,
            address,
            batch: Batch::new(),
            set: PollSet::with_capacity(1),
        }
    }

    /// Waits, then answers what has come. Whether something had.
    fn turn(&mut self, patience: Option<Duration>) -> bool {
        self.set.truncate(0);
        self.set.push(self.listener.as_fd());
        if !self.set.wait(patience) {
            return false;
        }
        for _ in 0..BATCHES_PER_TURN_MAX {
            // An error that was waiting on the socket is taken off it by being told.
            let received = self.batch.receive(&self.listener).unwrap_or(0);
            if received == 0 {
                break;
            }
            for datagram in self.batch.datagrams() {
                if let Some(length) = reply(datagram.buffer, datagram.len, self.address) {
                    *datagram.outcome = Outcome::Reply {
                        length,
                        rcode: Rcode::NO_ERROR,
                        truncated: false,
                    };
                }
            }
            // What the kernel does not take is lost, and the generator counts it.
            self.batch.send(&self.listener);
            if received == 1 {
                break;
            }
        }
        true
    }
}

/// Makes the query in the first `length` octets its own reply, of one address and the OPT it came with, and gives its length; `None`:
/// it is none, or has no room for that.
fn reply(buffer: &mut [u8], length: usize, address: Ipv4Addr) -> Option<usize> {
    let end = length + ANSWER_OCTETS;
    if length < HEADER_OCTETS || end > buffer.len() {
        return None;
    }
    let opt = if buffer[11] == 1 { OPT_OCTETS } else { 0 };
    let question_end = length.saturating_sub(opt).max(HEADER_OCTETS);
    buffer.copy_within(question_end..length, question_end + ANSWER_OCTETS);
    buffer[2] = 0x85;
    buffer[7] = 1;
    let [a, b, c, d] = address.octets();
    let ttl = TTL_SECONDS as u8;
    buffer[question_end..question_end + ANSWER_OCTETS]
        .copy_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, a, b, c, d]);
    Some(end)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::question::Question;

    #[test]
    fn the_one_answer_is_a_right_one_with_edns_and_without() {
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let question = Question::addresses("hot.web.dev.docker", [address]);
        for edns in [false, true] {
            let mut query = Vec::new();
            question.write(7, edns, &mut query);
            let mut buffer = [0; 512];
            buffer[..query.len()].copy_from_slice(&query);
            let length = reply(&mut buffer, query.len(), address).unwrap();
            assert_eq!(question.check(&buffer[..length]), Ok(()));
            assert_eq!(length, query.len() + ANSWER_OCTETS);
            assert_eq!(buffer[..length].ends_with(&[0, 0, 0, 0, 0, 0]), edns);
        }
        assert_eq!(reply(&mut [0; 40], 11, address), None);
        assert_eq!(reply(&mut [0; 40], 30, address), None);
    }

    #[test]
    fn it_answers_over_a_socket_that_was_opened_as_the_data_plane_opens_them() {
        let bound = dataplane::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let to = bound.address();
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let (mut listeners, _) = bound.into_parts();
        let mut bare = Bare::new(listeners.remove(0), address);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let question = Question::addresses("hot.web.dev.docker", [address]);
        let mut query = Vec::new();
        question.write(7, true, &mut query);
        for _ in 0..3 {
            client.send_to(&query, to).unwrap();
        }
        client.send_to(b"short", to).unwrap();
        assert!(bare.turn(Some(Duration::from_secs(20))));
        for _ in 0..3 {
            let mut reply = [0; 512];
            let length = client.recv(&mut reply).unwrap();
            assert_eq!(question.check(&reply[..length]), Ok(()));
        }
        assert!(!bare.turn(Some(Duration::ZERO)), "all of it was taken");
    }
}
