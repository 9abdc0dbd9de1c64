//! The smaller calls: options of sockets, second handles for glommio, and what io_uring needs to be known before it is used.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use socket2::Socket;

use super::Listener;

/// Keeps no path-MTU state for `socket` and never sets DF, so that forged ICMP cannot shrink what we send (RFC 9715).
///
/// # Errors
///
/// What the kernel says.
pub(crate) fn ignore_path_mtu(socket: &Socket, ipv6: bool) -> io::Result<()> {
    let (level, option, value) = if ipv6 {
        (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
        )
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    };
    // SAFETY: the kernel reads one integer, of the length given, from a variable that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A second handle on `listener`'s socket for glommio to wait on, to be used in the executor that it belongs to.
///
/// # Errors
///
/// No descriptor is left.
pub fn waiter(listener: &Listener) -> io::Result<glommio::net::UdpSocket> {
    let descriptor = listener.socket.try_clone()?.into_raw_fd();
    // SAFETY: `into_raw_fd` gave up the only owner of this open descriptor, so glommio becomes it.
    Ok(unsafe { glommio::net::UdpSocket::from_raw_fd(descriptor) })
}

/// A second handle on `descriptor`, whatever it is, for glommio to poll as it does a stream, to be used in the executor
/// that it belongs to. Reading from it tells when the first one can be read, and no more.
///
/// # Errors
///
/// No descriptor is left.
pub(crate) fn poller(descriptor: BorrowedFd<'_>) -> io::Result<glommio::net::TcpStream> {
    let descriptor = descriptor.try_clone_to_owned()?.into_raw_fd();
    // SAFETY: `into_raw_fd` gave up the only owner of this open descriptor, so glommio becomes it. Polling, reading
    // and closing are defined for every descriptor; reading one that is no socket is an error.
    Ok(unsafe { glommio::net::TcpStream::from_raw_fd(descriptor) })
}

/// Tells the kernel that this process will use private expedited memory barriers, as glommio does before each sleep.
///
/// Done before any thread exists it is free; done by the first sleep of one thread among several, as
/// glommio 0.9 does by itself, it stalls that sleep for 30 to 80 ms on kernels from 6.8 on. Where the call is
/// unknown glommio has other means.
pub(crate) fn register_barrier() {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: takes two integers, no memory; the result only says whether it is supported.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0) };
}

/// Finds out whether io_uring may be used here, by trying each of its three system calls once.
///
/// Glommio 0.9 panics where it is forbidden and ends the process where an operation is missing, so it must not
/// be the one that finds out.
///
/// # Errors
///
/// What the kernel says: EPERM or EACCES where a seccomp profile or sysctl forbids it, ENOSYS where there is none.
/// [`io::ErrorKind::Unsupported`]: it lacks an operation that glommio asks for.
pub(crate) fn try_io_uring() -> io::Result<()> {
    const REGISTER_PROBE: libc::c_uint = 8;
    const OPERATIONS: usize = 256;
    // `struct io_uring_params` has 120 octets, all of which may be zero.
    let mut params = [0_u64; 15];
    // SAFETY: the kernel reads and writes the 120 octets of `params`, and returns a new descriptor or an error.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above made this descriptor and nobody else has it.
    let ring = unsafe { OwnedFd::from_raw_fd(ring as libc::c_int) };
    // `struct io_uring_probe`: 16 octets, then 8 for each operation, whose second 16 bits are its flags.
    let mut probe = [[0_u16; 4]; 2 + OPERATIONS];
    // SAFETY: `probe` is as long as a probe of OPERATIONS operations, which is what the kernel is told it may write.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_PROBE,
            probe.as_mut_ptr(),
            OPERATIONS,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: submits nothing, waits for nothing, and passes no memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring.as_raw_fd(),
            0,
            0,
            0,
            std::ptr::null::<libc::sigset_t>(),
            0,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // Glommio's operations all lie between NOP (0) and RECV (27), as Linux 5.8 had them.
    let supported = |operation: &[u16; 4]| matches!(operation, [_, flags, ..] if flags & 1 == 1);
    if probe.iter().skip(2).take(28).all(supported) {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}
