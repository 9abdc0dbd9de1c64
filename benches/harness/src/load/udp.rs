//! A lane of datagrams: a connected socket, batches by `sendmmsg` and `recvmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg, setsockopt, sockopt};

use super::drive::{self, BATCH};

/// Octets of the longest reply that we look at: more than any of our questions has.
const REPLY_OCTETS: usize = 2048;
/// Octets that may wait for us: the generator must not be where datagrams are lost.
const RECEIVE_BUFFER_OCTETS: usize = 1 << 20;

pub(super) struct Lane {
    socket: UdpSocket,
    headers: MultiHeaders<()>,
    replies: Vec<Vec<u8>>,
}

impl Lane {
    pub(super) fn connect(to: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        // As much as the system lets us have.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_OCTETS);
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            headers: MultiHeaders::preallocate(BATCH, None),
            replies: vec![vec![0; REPLY_OCTETS]; BATCH],
        })
    }
}

impl drive::Lane for Lane {
    fn send(&mut self, queries: &[Vec<u8>]) -> io::Result<usize> {
        if queries.is_empty() {
            return Ok(0);
        }
        let slices: Vec<[IoSlice<'_>; 1]> = queries.iter().map(|query| [IoSlice::new(query)]).collect();
        let nowhere = [None::<()>; BATCH];
        let sent = sendmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            &slices,
            nowhere,
            [],
            MsgFlags::MSG_DONTWAIT,
        );
        match sent {
            Ok(sent) => Ok(sent.count()),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .replies
            .iter_mut()
            .map(|reply| [IoSliceMut::new(reply)])
            .collect();
        let received = recvmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            &mut slices,
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        // Nobody is there, or nothing: what was sent is lost and counted so.
        let Ok(received) = received else {
            return Ok(());
        };
        for message in received {
            message.iovs().for_each(&mut each);
        }
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        Ok(())
    }
}
