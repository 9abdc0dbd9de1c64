//! Listening sockets of streams.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::{TCP_BACKLOG, TCP_KERNEL_QUEUE_OCTETS};

/// Listens on `address`.
///
/// # Errors
///
/// What the kernel says.
pub(crate) fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of the run before may linger for a minute, and must not keep the address from us. Unlike
    // SO_REUSEPORT this shares it with no other listener.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit both; the window that clients may fill is settled by the time they are accepted.
    socket.set_send_buffer_size(TCP_KERNEL_QUEUE_OCTETS)?;
    socket.set_recv_buffer_size(TCP_KERNEL_QUEUE_OCTETS)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}
