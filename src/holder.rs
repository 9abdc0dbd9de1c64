//! Who holds a port that we could not have.
//!
//! ```text
//!  /proc/net/udp ──address, port──▶ inode, uid ──/proc/*/fd──▶ pid ──/proc/PID/comm──▶ name
//! ```
//!
//! The kernel shows the inode of every socket to everyone, but whose descriptor it is only to its user and to root.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use dataplane::Protocol;
use nix::unistd::{Uid, User};

/// Who holds a port, as far as we may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// This process.
    Process { name: String, pid: u32 },
    /// A process of this user, which does not let us look.
    User(Uid),
    /// Nobody in our tables: it let go meanwhile, or sits in a place that we cannot see.
    Unseen,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { name, pid } => write!(f, "held by {name} (pid {pid})"),
            Self::User(uid) => match User::from_uid(*uid) {
                Ok(Some(user)) => write!(f, "held by a process of user {}", user.name),
                _ => write!(f, "held by a process of user id {uid}"),
            },
            Self::Unseen => write!(f, "held by a process that we cannot see"),
        }
    }
}

/// Looks for who holds `address`, or a wildcard address that covers it.
pub(crate) fn of(address: SocketAddr, protocol: Protocol) -> Holder {
    let tables = match protocol {
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let held = tables.iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table
            .lines()
            .skip(1)
            .filter_map(Entry::read)
            .find(|entry| entry.holds(address, protocol))
    });
    let Some(entry) = held else { return Holder::Unseen };
    match process(entry.inode) {
        Some((name, pid)) => Holder::Process { name, pid },
        None => Holder::User(Uid::from_raw(entry.uid)),
    }
}

/// One socket of /proc/net/udp or its siblings.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    local: SocketAddr,
    state: u8,
    uid: u32,
    inode: u64,
}

impl Entry {
    /// Reads one line: `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode ...`.
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().skip(1);
        let local = socket(fields.next()?)?;
        let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
        let uid = fields.nth(3)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        Some(Self {
            local,
            state,
            uid,
            inode,
        })
    }

    /// Whether this socket is why `address` could not be bound.
    fn holds(&self, address: SocketAddr, protocol: Protocol) -> bool {
        /// `TCP_LISTEN` of the kernel's include/net/tcp_states.h.
        const LISTEN: u8 = 0x0a;
        let (ours, theirs) = (address.ip().to_canonical(), self.local.ip().to_canonical());
        // `::` holds the port for IPv4 too, unless told otherwise, which this table does not show.
        let covers = theirs == ours
            || theirs.is_unspecified() && (ours.is_ipv4() == theirs.is_ipv4() || theirs.is_ipv6())
            || ours.is_unspecified() && (ours.is_ipv4() == theirs.is_ipv4() || ours.is_ipv6());
        covers && self.local.port() == address.port() && (protocol == Protocol::Udp || self.state == LISTEN)
    }
}

/// Reads `0100007F:0035`: words of four octets in the host's order, then the port as a number.
fn socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        Some(
            u32::from_str_radix(address.get(at..at + 8)?, 16)
                .ok()?
                .to_ne_bytes(),
        )
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let octets: Vec<u8> = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The name and id of the process that has a descriptor of socket `inode`.
fn process(inode: u64) -> Option<(String, u32)> {
    let link = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        has_descriptor(&entry.path(), &link).then_some(())?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((name.trim_end().to_owned(), pid))
    })
}

fn has_descriptor(process: &Path, link: &str) -> bool {
    fs::read_dir(process.join("fd")).is_ok_and(|descriptors| {
        descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == link))
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    // As Linux 6.1 on a little-endian machine writes it.
    const UDP: &str = "  431: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 21407 2 00000000b5a2a4ae 0";
    const UDP6: &str = "  431: 00000000000000000000000001000000:14B4 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 30112 2 0000000000000000 0";

    #[test]
    fn a_line_of_the_table_is_read() {
        if cfg!(target_endian = "big") {
            return;
        }
        let entry = Entry {
            local: "127.0.0.53:53".parse().unwrap(),
            state: 7,
            uid: 101,
            inode: 21_407,
        };
        assert_eq!(Entry::read(UDP), Some(entry));
        let entry = Entry {
            local: "[::1]:5300".parse().unwrap(),
            state: 7,
            uid: 0,
            inode: 30_112,
        };
        assert_eq!(Entry::read(UDP6), Some(entry));
    }

    #[test]
    fn lines_that_are_not_understood_are_passed_over() {
        for line in [
            "",
            "sl local_address rem_address st",
            "0: 0100007F:0035",
            "0: 7F:0035 0:0 07 0 0 0 0 0 1",
        ] {
            assert_eq!(Entry::read(line), None, "{line}");
        }
    }

    #[test]
    fn a_wildcard_address_holds_the_port_of_every_address() {
        let check = |held: &str, asked: &str| {
            let entry = Entry {
                local: held.parse().unwrap(),
                state: 7,
                uid: 0,
                inode: 1,
            };
            entry.holds(asked.parse().unwrap(), Protocol::Udp)
        };
        assert!(check("0.0.0.0:53", "127.0.0.1:53") && check("[::]:53", "127.0.0.1:53"));
        assert!(check("127.0.0.53:53", "0.0.0.0:53"));
        assert!(!check("127.0.0.53:53", "127.0.0.1:53") && !check("127.0.0.1:54", "127.0.0.1:53"));
        assert!(!check("0.0.0.0:53", "[::1]:53"));
    }

    #[test]
    fn our_own_sockets_are_found_with_name_and_pid() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = [
            of(udp.local_addr().unwrap(), Protocol::Udp),
            of(tcp.local_addr().unwrap(), Protocol::Tcp),
        ];
        for holder in found {
            assert!(
                matches!(holder, Holder::Process { pid, .. } if pid == std::process::id()),
                "{holder:?}"
            );
        }
    }

    #[test]
    fn a_free_port_is_held_by_nobody_we_see() {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(of(port, Protocol::Udp), Holder::Unseen);
    }
}
