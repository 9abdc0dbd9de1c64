//! Which of an address's sockets a datagram goes to: a few instructions that the kernel runs for each one.
//!
//! Without them it goes by a hash of the client's address and port. Both spread the clients; they differ in which core
//! has to be woken.
//!
//! Measured with two workers on two cores, in turns, against the hash; CPU is the server's for each query:
//!
//! | clients | CPU | CPU of both sides | latency, median | answers a second |
//! |---|---|---|---|---|
//! | one that asks now and then, over loopback, through a bridge | 0.38, 0.47 | 0.72, 0.73 | 0.67, 0.65 | |
//! | eight such | 0.52, 0.63 | 0.74, 0.80 | 0.64, 0.71 | |
//! | sixteen, each asks again at once | 0.65, 0.70 | 0.66, 0.71 | 0.79, 0.79 | 1.4 |
//! | `dnsperf`, 5 000 a second from one thread | 0.51 | | 0.48 | |
//! | `dnsperf`, as fast as it can, one thread, two threads | 0.65, 0.79 | | 2.4, 0.94 | 0.93, 1.25 |
//! | clients that keep both cores busy and never sleep | 1.55 | | | 0.54 |
//!
//! So containers, which sleep until the answer comes, gain: nobody is woken on another core, which takes an interrupt
//! between processors. One client that keeps its core busy loses, for its worker has to share that core with it while
//! another worker would be free. And a network card with fewer queues than there are workers leaves some of them idle. Hence the
//! user's choice, and the hash without one.

use std::io;
use std::os::fd::AsFd;

use libc::{sock_filter, sock_fprog};
use nix::sys::socket::{setsockopt, sockopt};

/// Instructions of classic BPF, as `linux/filter.h` puts them together from their parts.
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Where a program finds the number of the core that it runs on.
const CORE_NUMBER: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;

/// What is no socket's place: the kernel falls back to its hash.
const NOBODY: u32 = u32::MAX;

/// Has a datagram that arrives on one of `cores` go to the socket at the same place, in the order in which the sockets of the
/// group of `socket` were bound. The rest goes by the hash.
///
/// # Errors
///
/// What the kernel says; EINVAL where `socket` is alone.
pub(crate) fn by_core(socket: &impl AsFd, cores: &[usize]) -> io::Result<()> {
    let mut program = program(cores);
    let program = sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        // Copied by the kernel during the call, and only read.
        filter: program.as_mut_ptr(),
    };
    Ok(setsockopt(socket, sockopt::AttachReusePortCbpf, &program)?)
}

/// Two instructions for each core, one before them and one after.
fn program(cores: &[usize]) -> Vec<sock_filter> {
    let step = |code, otherwise_skip, value| sock_filter {
        code,
        jt: 0,
        jf: otherwise_skip,
        k: value,
    };
    let mut program = vec![step(LOAD_WORD, 0, CORE_NUMBER)];
    for (place, &core) in (0..).zip(cores) {
        // No core has a number that does not fit.
        program.push(step(JUMP_IF_EQUAL, 1, u32::try_from(core).unwrap_or(NOBODY)));
        program.push(step(RETURN, 0, place));
    }
    program.push(step(RETURN, 0, NOBODY));
    program
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use crate::cores;
    use crate::io::bind::{BoundAddress, bind};
    use crate::io::pin;
    use crate::io::udp::Batch;

    /// Clients, each on a port of its own: that a hash sends all of them to the same of two sockets is a chance of one in
    /// 2^63.
    const CLIENTS: usize = 64;

    /// How many of [`CLIENTS`] queries, sent from `core`, each socket of `bound` got.
    fn spread(bound: &BoundAddress, core: usize) -> Vec<usize> {
        let to = bound.address();
        let ask = move || {
            pin(core).unwrap();
            for _ in 0..CLIENTS {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.send_to(b"x", to).unwrap();
            }
        };
        std::thread::spawn(ask).join().unwrap();
        let mut batch = Batch::new();
        let listeners = bound.listeners().iter();
        listeners
            .map(|listener| {
                let mut count = 0;
                loop {
                    match batch.receive(listener).unwrap() {
                        0 => break count,
                        received => count += received,
                    }
                }
            })
            .collect()
    }

    #[test]
    fn a_datagram_goes_to_the_worker_on_the_core_that_it_arrives_on() {
        let cores = cores::select(None).unwrap();
        // A machine with one core alone has a second worker on one that there is not.
        let [first, second] = [cores[0], cores.get(1).copied().unwrap_or(4_000)];
        let bound = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        bound.steer_by_core(&[first, second]).unwrap();
        assert_eq!(spread(&bound, first), [CLIENTS, 0]);
        if cores.contains(&second) {
            assert_eq!(spread(&bound, second), [0, CLIENTS]);
        }
    }

    #[test]
    fn what_arrives_on_a_core_without_a_worker_is_spread_over_all() {
        let core = cores::select(None).unwrap()[0];
        let bound = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        bound.steer_by_core(&[4_000, 4_001]).unwrap();
        let [one, other] = spread(&bound, core)[..] else {
            panic!("two sockets");
        };
        assert_eq!(one + other, CLIENTS);
        assert!(one > 0 && other > 0, "{one} and {other}");
    }

    #[test]
    fn a_worker_that_is_alone_gets_everything() {
        let core = cores::select(None).unwrap()[0];
        let bound = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        bound.steer_by_core(&[core]).unwrap();
        assert_eq!(spread(&bound, core), [CLIENTS]);
    }
}
