//! Which addresses we answer on.
//!
//! What `--listen` names must be had. Without it: port 53 of loopback and of Docker's bridge where we may, and
//! port 5300 of loopback where we may not, with the reason.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dataplane::{BindError, Protocol};
use if_addrs::Interface;

use crate::address::DNS_PORT;
use crate::failure::{self, Failure};
use crate::holder::{self, Holder};

/// Where we answer on loopback when port 53 is not to be had. Nothing in /etc/services lives there.
pub(crate) const FALLBACK_PORT: u16 = 5300;
/// The bridge of Docker's default network, whose address containers reach this host by.
pub(crate) const BRIDGE: &str = "docker0";

/// Addresses of ours that go along with an NS record: so many that it always fits into a datagram.
const REACHED_AT_MAX: usize = 12;

/// The listeners, and why they are not others.
#[derive(Debug)]
pub(crate) struct Listeners<B> {
    /// Each address, with what `bind` made of it.
    pub(crate) bound: Vec<(SocketAddr, B)>,
    /// Why loopback's port 53 is not among them.
    pub(crate) fallback: Option<Fallback>,
    /// Sentences about other addresses that we would have liked.
    pub(crate) notes: Vec<String>,
}

/// Why we answer on [`FALLBACK_PORT`] of loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Ports below 1024 are not for us.
    NotAllowed,
    /// Somebody has it for one of the two.
    Taken(Protocol, Holder),
    /// What the kernel said.
    Other(String),
}

impl Fallback {
    /// The reason as a sentence, with the remedy.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::NotAllowed => format!("port {DNS_PORT} needs root or CAP_NET_BIND_SERVICE"),
            Self::Taken(protocol, holder) => {
                format!("port {DNS_PORT} of 127.0.0.1 ({protocol}) is {holder}; stop it to have the port")
            }
            Self::Other(error) => format!("port {DNS_PORT} of 127.0.0.1 cannot be had ({error})"),
        }
    }
}

/// Binds what was asked for, or the defaults if that is nothing.
///
/// `bridge` holds the addresses of [`BRIDGE`]. `bind` opens all sockets of one address, for UDP and TCP, or none.
///
/// # Errors
///
/// [`Failure::Runtime`]: an address that was asked for, or the last default, cannot be had; the sentence names it,
/// why, and who holds it. Or no descriptor is left, and more than this would fail.
pub(crate) fn bind<B>(
    asked: &[SocketAddr],
    bridge: &[IpAddr],
    mut bind: impl FnMut(SocketAddr) -> Result<B, BindError>,
) -> Result<Listeners<B>, Failure> {
    let mut bind = |address| match bind(address) {
        Err(error) if failure::shortage(&error).is_some() => {
            Err(failure::of(&format!("{address} cannot be bound"), &error))
        }
        bound => Ok(bound),
    };
    let mut listeners = Listeners {
        bound: Vec::new(),
        fallback: None,
        notes: Vec::new(),
    };
    for &address in asked {
        let bound = bind(address)?.map_err(|error| Failure::Runtime(refusal(address, &error)))?;
        listeners.bound.push((address, bound));
    }
    if !asked.is_empty() {
        return Ok(listeners);
    }

    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT));
    match bind(loopback)? {
        Ok(bound) => listeners.bound.push((loopback, bound)),
        Err(error) => {
            let reason = match error {
                BindError::Denied { .. } => Fallback::NotAllowed,
                BindError::InUse { protocol, .. } => {
                    Fallback::Taken(protocol, holder::of(loopback, protocol))
                }
                BindError::NotHere { .. } => Fallback::Other("loopback is down".to_owned()),
                BindError::Other { source, .. } => Fallback::Other(source.to_string()),
            };
            let fallback = SocketAddr::from((Ipv4Addr::LOCALHOST, FALLBACK_PORT));
            let bound = bind(fallback)?.map_err(|error| {
                Failure::Runtime(format!(
                    "{}; and {}",
                    reason.sentence(),
                    refusal(fallback, &error)
                ))
            })?;
            listeners.bound.push((fallback, bound));
            listeners.fallback = Some(reason);
        }
    }
    // A resolv.conf cannot name a port, so on the bridge no other would help anyone.
    for address in bridge.iter().map(|&ip| SocketAddr::new(ip, DNS_PORT)) {
        match bind(address)? {
            Ok(bound) => listeners.bound.push((address, bound)),
            // Said once already, for loopback.
            Err(_) if listeners.fallback == Some(Fallback::NotAllowed) => {}
            Err(error) => listeners.notes.push(refusal(address, &error)),
        }
    }
    // Where port 53 is not for us, a bridge would not help either.
    if bridge.is_empty() && listeners.fallback != Some(Fallback::NotAllowed) {
        listeners.notes.push(format!(
            "{BRIDGE} is not there yet: containers cannot ask until skydock is started after Docker,\n\
             or --listen names an address"
        ));
    }
    Ok(listeners)
}

/// The addresses of [`BRIDGE`] among `interfaces` that a resolv.conf can name; empty while Docker has not made it.
pub(crate) fn bridge_addresses(interfaces: &[Interface]) -> Vec<IpAddr> {
    let bridge = interfaces
        .iter()
        .filter(|interface| interface.name == BRIDGE && !interface.is_link_local());
    bridge.map(Interface::ip).collect()
}

/// Where we are reached by those who are not told otherwise: the addresses that we listen on, of this host's all that a
/// wildcard stands for. Loopback only where there is nothing else, since it leads everybody to themselves.
pub(crate) fn reached_at(listening: &[SocketAddr], host: &[IpAddr]) -> Vec<IpAddr> {
    let stands_for = |address: &SocketAddr| -> Vec<IpAddr> {
        match address.ip() {
            ip if ip.is_unspecified() => {
                let of_family = host.iter().filter(|own| own.is_ipv4() == ip.is_ipv4());
                of_family.copied().collect()
            }
            ip => vec![ip],
        }
    };
    let all: BTreeSet<IpAddr> = listening.iter().flat_map(stands_for).collect();
    // A link-local address is good for one link, and no record says which.
    let is_far = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let far: Vec<_> = all.iter().copied().filter(is_far).take(REACHED_AT_MAX).collect();
    if far.is_empty() {
        all.into_iter().filter(IpAddr::is_loopback).collect()
    } else {
        far
    }
}

/// The sentence about an address that cannot be bound.
fn refusal(address: SocketAddr, error: &BindError) -> String {
    match error {
        BindError::InUse { protocol, .. } => {
            format!(
                "{address} ({protocol}) is {}; stop it, or give --listen another address",
                holder::of(address, *protocol)
            )
        }
        BindError::Denied { .. } => format!(
            "{address} is not allowed: port {} needs root or CAP_NET_BIND_SERVICE; give --listen a port from 1024 up",
            address.port()
        ),
        BindError::NotHere { .. } => {
            format!("{address} is not an address of this host; `ip address` lists those that are")
        }
        BindError::Other { source, .. } => {
            format!("{address} cannot be bound ({source}); give --listen another address")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Refusal = fn(SocketAddr) -> BindError;
    const DENIED: Refusal = |address| BindError::Denied {
        address,
        protocol: Protocol::Udp,
    };
    const IN_USE: Refusal = |address| BindError::InUse {
        address,
        protocol: Protocol::Udp,
    };
    const NOT_HERE: Refusal = |address| BindError::NotHere {
        address,
        protocol: Protocol::Udp,
    };
    const OTHER: Refusal = |address| BindError::Other {
        address,
        protocol: Protocol::Udp,
        source: std::io::Error::from(std::io::ErrorKind::OutOfMemory),
    };
    const IN_USE_TCP: Refusal = |address| BindError::InUse {
        address,
        protocol: Protocol::Tcp,
    };

    /// Addresses, why port 53 is not among them, and notes.
    type Bound = (Vec<String>, Option<Fallback>, Vec<String>);

    /// What is bound, and why not port 53, where `refused` says what the kernel does not allow.
    fn check(asked: &[&str], refused: &[(&str, Refusal)]) -> Result<Bound, String> {
        let asked: Vec<SocketAddr> = asked.iter().map(|address| address.parse().unwrap()).collect();
        let listeners = bind(&asked, &["172.17.0.1".parse().unwrap()], |address| match refused
            .iter()
            .find(|(refused, _)| address.to_string() == *refused)
        {
            Some((_, refusal)) => Err(refusal(address)),
            None => Ok(()),
        });
        let listeners = listeners.map_err(|failure| failure.to_string())?;
        let bound = listeners
            .bound
            .iter()
            .map(|(address, ())| address.to_string())
            .collect();
        Ok((bound, listeners.fallback, listeners.notes))
    }

    #[test]
    fn where_it_may_it_answers_on_port_53_of_loopback_and_bridge() {
        let (bound, fallback, notes) = check(&[], &[]).unwrap();
        assert_eq!(bound, ["127.0.0.1:53", "172.17.0.1:53"]);
        assert!(fallback.is_none() && notes.is_empty());
    }

    #[test]
    fn without_privilege_it_answers_on_port_5300_and_says_why_once() {
        let refused = [("127.0.0.1:53", DENIED), ("172.17.0.1:53", DENIED)];
        let (bound, fallback, notes) = check(&[], &refused).unwrap();
        assert_eq!(bound, ["127.0.0.1:5300"]);
        assert_eq!(fallback, Some(Fallback::NotAllowed));
        assert!(notes.is_empty());
    }

    #[test]
    fn a_port_53_taken_on_loopback_alone_leaves_the_bridge_to_us() {
        let (bound, fallback, notes) = check(&[], &[("127.0.0.1:53", IN_USE)]).unwrap();
        assert_eq!(bound, ["127.0.0.1:5300", "172.17.0.1:53"]);
        assert!(
            fallback
                .unwrap()
                .sentence()
                .starts_with("port 53 of 127.0.0.1 (UDP) is held by")
        );
        assert!(notes.is_empty());
    }

    #[test]
    fn a_port_53_taken_on_the_bridge_is_a_note() {
        let (bound, fallback, notes) = check(&[], &[("172.17.0.1:53", IN_USE)]).unwrap();
        assert_eq!(bound, ["127.0.0.1:53"]);
        assert!(
            fallback.is_none() && notes[0].starts_with("172.17.0.1:53 (UDP) is held by"),
            "{notes:?}"
        );
    }

    #[test]
    fn when_the_fallback_is_taken_too_the_error_names_both() {
        let refused = [("127.0.0.1:53", DENIED), ("127.0.0.1:5300", IN_USE)];
        let error = check(&[], &refused).unwrap_err();
        assert!(
            error.starts_with(
                "port 53 needs root or CAP_NET_BIND_SERVICE; and 127.0.0.1:5300 (UDP) is held by"
            ),
            "{error}"
        );
    }

    #[test]
    fn what_was_asked_for_must_be_had() {
        let asked = ["127.0.0.1:5353", "10.9.9.9:53"];
        assert_eq!(check(&asked, &[]).unwrap().0, asked);
        for (refusal, expected) in [
            (IN_USE, "10.9.9.9:53 (UDP) is held by"),
            (IN_USE_TCP, "10.9.9.9:53 (TCP) is held by"),
            (
                DENIED,
                "10.9.9.9:53 is not allowed: port 53 needs root or CAP_NET_BIND_SERVICE",
            ),
            (NOT_HERE, "10.9.9.9:53 is not an address of this host"),
            (OTHER, "10.9.9.9:53 cannot be bound"),
        ] {
            let error = check(&asked, &[("10.9.9.9:53", refusal)]).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_bridge_that_is_not_there_is_said_where_it_would_have_helped() {
        let notes = |asked: &[SocketAddr], refusal: Option<Refusal>| {
            let bind = bind(asked, &[], |address| match refusal {
                Some(refusal) if address.port() == DNS_PORT => Err(refusal(address)),
                _ => Ok(()),
            });
            bind.unwrap().notes.join("\n")
        };
        for refusal in [None, Some(IN_USE)] {
            let note = notes(&[], refusal);
            assert!(
                note.starts_with("docker0 is not there yet") && note.contains("--listen"),
                "{note}"
            );
        }
        assert_eq!(notes(&[], Some(DENIED)), "");
        assert_eq!(notes(&["127.0.0.1:5353".parse().unwrap()], None), "");
    }

    #[test]
    fn without_descriptors_nothing_else_is_tried_and_the_limit_is_named() {
        let mut tries = 0;
        let refused = bind(&[], &[], |address| -> Result<(), _> {
            tries += 1;
            Err(BindError::Other {
                address,
                protocol: Protocol::Tcp,
                source: nix::errno::Errno::EMFILE.into(),
            })
        });
        let error = refused.unwrap_err().to_string();
        assert!(tries == 1 && error.contains("ulimit -n"), "{tries}: {error}");
    }

    #[test]
    fn we_are_reached_where_we_listen_and_on_loopback_only_where_nowhere_else() {
        let host = ["127.0.0.1", "192.0.2.7", "::1", "fe80::1", "2001:db8::7"];
        let host = host.map(|ip| ip.parse().unwrap());
        let check = |listening: &[&str], expected: &[&str]| {
            let listening: Vec<_> = listening.iter().map(|address| address.parse().unwrap()).collect();
            let found: Vec<_> = reached_at(&listening, &host)
                .iter()
                .map(IpAddr::to_string)
                .collect();
            assert_eq!(found, expected, "{listening:?}");
        };
        check(&["127.0.0.1:5300"], &["127.0.0.1"]);
        check(&["127.0.0.1:53", "172.17.0.1:53"], &["172.17.0.1"]);
        check(&["0.0.0.0:53"], &["192.0.2.7"]);
        check(&["[::]:53", "0.0.0.0:53"], &["192.0.2.7", "2001:db8::7"]);
        check(&[], &[]);
    }
}
