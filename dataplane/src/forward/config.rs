//! Who is asked what is not ours, and how a new answer to that reaches workers that run.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use dns::{Name, NameRef};
use rustls::pki_types::ServerName;

use super::trouble::{Cell, Trouble};
use crate::limits::{ROUTES_MAX, UPSTREAMS_IN_ALL_MAX, UPSTREAMS_MAX};

/// Who is asked what is not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Of those whose domain a name lies in, the one with the longest domain counts. The root's is for all the rest;
    /// without it names of no other route are refused.
    pub routes: Vec<Route>,
    /// Which upstream of a route is asked first.
    pub policy: Policy,
}

/// Who is asked about the names of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The domain; the root is everything.
    pub domain: Name,
    /// In the order of preference, each once. Empty: nobody, and the names of the domain do not exist.
    pub upstreams: Vec<Upstream>,
}

/// A server that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// The name that its certificate must be for, if it is asked over TLS. It is never asked otherwise then (RFC 8310,
    /// section 5: the strict profile).
    pub tls: Option<ServerName<'static>>,
}

impl From<SocketAddr> for Upstream {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl fmt::Display for Upstream {
    /// `192.0.2.1:53`, and with TLS `192.0.2.1:853#dns.example`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match &self.tls {
            Some(name) => write!(f, "#{}", name.to_str()),
            None => Ok(()),
        }
    }
}

/// Which of several upstreams is asked first. Another is asked when that one fails, whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The first in the list that is well.
    #[default]
    Sequential,
    /// One after the other, of those that are well.
    RoundRobin,
    /// The one that has answered fastest of late. Now and then another, to see whether it has become faster.
    Fastest,
}

/// Why a configuration cannot be used. Read by a person.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// More routes than a worker has room for.
    #[error("{0} domains with upstreams of their own were given; there is room for {ROUTES_MAX}")]
    Routes(usize),
    /// A domain with two routes.
    #[error("the domain {0} was given upstreams twice: name them all at once")]
    Twice(Name),
    /// More upstreams for one domain than a worker has room for.
    #[error("{1} upstreams were given for {0}; there is room for {UPSTREAMS_MAX}")]
    Upstreams(Name, usize),
    /// More upstreams in all than a worker has room for.
    #[error("{0} different upstreams were given; there is room for {UPSTREAMS_IN_ALL_MAX}")]
    UpstreamsInAll(usize),
    /// An upstream is to be asked over TLS, and nobody said whose certificates to trust.
    #[error("the upstream {0} is asked over TLS, and no certificates are trusted: give some")]
    Tls(Upstream),
    /// An upstream that is ourselves: each miss would be forwarded to us for ever.
    #[error("the upstream {0} is an address that we listen on: name another")]
    Loop(SocketAddr),
}

impl Config {
    /// Everything goes to `upstreams`, the first that is well. Without any, everything is refused.
    #[must_use]
    pub fn all_to(upstreams: Vec<SocketAddr>) -> Self {
        let domain = Name::root();
        let upstreams: Vec<_> = upstreams.into_iter().map(Upstream::from).collect();
        let routes = match upstreams.is_empty() {
            true => Vec::new(),
            false => vec![Route { domain, upstreams }],
        };
        Self {
            routes,
            policy: Policy::default(),
        }
    }

    /// Whether anything is asked of others.
    #[must_use]
    pub fn forwards(&self) -> bool {
        self.routes.iter().any(|route| !route.upstreams.is_empty())
    }

    /// All upstreams, each once.
    #[must_use]
    pub fn upstreams(&self) -> Vec<Upstream> {
        let mut upstreams = Vec::new();
        for upstream in self.routes.iter().flat_map(|route| &route.upstreams) {
            if !upstreams.contains(upstream) {
                upstreams.push(upstream.clone());
            }
        }
        upstreams
    }

    /// Finds out whether workers that listen on `listeners` can go by it. `has_tls`: they know what certificates are to be
    /// held against.
    ///
    /// # Errors
    ///
    /// As the variants of [`ConfigError`] say.
    pub(crate) fn check(&self, listeners: &[SocketAddr], has_tls: bool) -> Result<(), ConfigError> {
        if self.routes.len() > ROUTES_MAX {
            return Err(ConfigError::Routes(self.routes.len()));
        }
        let mut rest = self.routes.as_slice();
        while let [route, others @ ..] = rest {
            if others.iter().any(|other| other.domain == route.domain) {
                return Err(ConfigError::Twice(route.domain.clone()));
            }
            if route.upstreams.len() > UPSTREAMS_MAX {
                return Err(ConfigError::Upstreams(
                    route.domain.clone(),
                    route.upstreams.len(),
                ));
            }
            rest = others;
        }
        let upstreams = self.upstreams();
        if upstreams.len() > UPSTREAMS_IN_ALL_MAX {
            return Err(ConfigError::UpstreamsInAll(upstreams.len()));
        }
        if let Some(upstream) = upstreams.iter().find(|it| it.tls.is_some() && !has_tls) {
            return Err(ConfigError::Tls(upstream.clone()));
        }
        let is_us = |upstream: &SocketAddr| {
            listeners.iter().any(|listener| {
                let wildcard = listener.ip().is_unspecified() && listener.is_ipv4() == upstream.is_ipv4();
                upstream.port() == listener.port()
                    && (upstream.ip() == listener.ip() || (wildcard && upstream.ip().is_loopback()))
            })
        };
        let mut addresses = upstreams.iter().map(|upstream| upstream.address);
        addresses
            .find(is_us)
            .map_or(Ok(()), |upstream| Err(ConfigError::Loop(upstream)))
    }
}

/// Routes in the order to try them: a longer domain before those that it may lie in.
pub(crate) fn longest_first(routes: &[Route]) -> Vec<&Route> {
    let mut sorted: Vec<_> = routes.iter().collect();
    sorted.sort_by_key(|route| std::cmp::Reverse(route.domain.octets().len()));
    sorted
}

/// Whether `name` is in `domain`.
pub(crate) fn is_within(name: NameRef<'_>, domain: &Name) -> bool {
    name.start_of(domain).is_some()
}

/// A configuration, and where workers note how its upstreams are.
#[derive(Debug)]
struct Current {
    config: Config,
    conditions: Vec<(Upstream, Cell)>,
}

impl Current {
    /// `config`, and what is known of upstreams that were among those of `before`.
    fn new(config: Config, before: &[(Upstream, Cell)]) -> Self {
        let upstreams = config.upstreams().into_iter();
        let conditions = upstreams
            .map(|upstream| {
                let known = before.iter().find(|(other, _)| *other == upstream);
                let cell = known.map(|(_, cell)| cell.clone()).unwrap_or_default();
                (upstream, cell)
            })
            .collect();
        Self { config, conditions }
    }
}

/// The writing end of a configuration that may change while workers run.
#[derive(Debug)]
pub(crate) struct Writer(Arc<ArcSwap<Current>>);

/// A reading end; each worker has its own.
#[derive(Clone)]
pub(crate) struct Reader {
    cache: Cache<Arc<ArcSwap<Current>>, Arc<Current>>,
    /// What was read last.
    seen: Option<Arc<Current>>,
}

/// How upstreams are, as workers last found. Cheap to clone; made by [`crate::Handle::conditions`].
#[derive(Clone, Debug)]
pub struct Conditions(Arc<ArcSwap<Current>>);

impl Conditions {
    /// Each upstream, in the order of the configuration, and what is wrong with it. None: nothing that is known.
    #[must_use]
    pub fn read(&self) -> Vec<(Upstream, Option<Trouble>)> {
        let current = self.0.load();
        let conditions = current.conditions.iter();
        conditions
            .map(|(upstream, cell)| (upstream.clone(), cell.read()))
            .collect()
    }
}

/// Connects a writer with its first reader; `first` is what is read until something else is written.
pub(crate) fn channel(first: Config) -> (Writer, Reader) {
    let current = Arc::new(ArcSwap::from_pointee(Current::new(first, &[])));
    let reader = Reader {
        cache: Cache::new(Arc::clone(&current)),
        seen: None,
    };
    (Writer(current), reader)
}

impl Writer {
    /// Makes `config` what every reader sees at its next look.
    pub(crate) fn set(&self, config: Config) {
        let current = Current::new(config, &self.0.load().conditions);
        self.0.store(Arc::new(current));
    }

    /// How the upstreams are.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions(Arc::clone(&self.0))
    }
}

impl Reader {
    /// The newest configuration, if it is another than at the last look. While nothing changes that is one load and a
    /// comparison.
    #[inline]
    pub(crate) fn changed(&mut self) -> Option<&Config> {
        let newest = self.cache.load();
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, newest)) {
            return None;
        }
        self.seen = Some(Arc::clone(newest));
        self.seen.as_deref().map(|seen| &seen.config)
    }

    /// Notes what is wrong with an upstream of the configuration that was read last; none: nothing.
    pub(crate) fn note(&self, upstream: &Upstream, trouble: Option<Trouble>) {
        let mut conditions = self.seen.iter().flat_map(|seen| &seen.conditions);
        if let Some((_, cell)) = conditions.find(|(other, _)| other == upstream) {
            cell.note(trouble);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(range: std::ops::Range<usize>) -> Vec<SocketAddr> {
        range
            .map(|number| format!("192.0.2.{number}:53").parse().unwrap())
            .collect()
    }

    fn config(routes: &[(&str, std::ops::Range<usize>)]) -> Config {
        let route = |(domain, range): &(&str, std::ops::Range<usize>)| Route {
            domain: domain.parse().unwrap(),
            upstreams: upstreams(range.clone()).into_iter().map(Upstream::from).collect(),
        };
        Config {
            routes: routes.iter().map(route).collect(),
            policy: Policy::Sequential,
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_refused() {
        let most = config(&[
            (".", 0..8),
            ("a", 8..16),
            ("b", 16..24),
            ("c", 24..32),
            ("d", 0..8),
        ]);
        assert_eq!(most.check(&[], false), Ok(()));
        for (config, sentence) in [
            (
                config(&[(".", 0..9)]),
                "9 upstreams were given for .; there is room for 8",
            ),
            (
                config(&[
                    (".", 0..8),
                    ("a", 8..16),
                    ("b", 16..24),
                    ("c", 24..32),
                    ("d", 25..33),
                ]),
                "33 different upstreams",
            ),
            (
                config(&[("a.example", 0..1), ("A.Example", 1..2)]),
                "the domain a.example was given",
            ),
            (
                Config {
                    routes: vec![
                        Route {
                            domain: Name::root(),
                            upstreams: Vec::new()
                        };
                        65
                    ],
                    policy: Policy::Sequential,
                },
                "65 domains",
            ),
        ] {
            let error = config.check(&[], false).unwrap_err().to_string();
            assert!(error.starts_with(sentence), "{error}");
        }
    }

    #[test]
    fn ourselves_as_upstream_of_any_domain_are_refused() {
        let config = config(&[(".", 1..2), ("corp.example", 2..3)]);
        let listener = |text: &str| [text.parse::<SocketAddr>().unwrap()];
        for (listener, is_us) in [
            (listener("192.0.2.2:53"), true),
            (listener("192.0.2.2:54"), false),
            (listener("0.0.0.0:53"), false),
        ] {
            assert_eq!(config.check(&listener, false).is_err(), is_us, "{listener:?}");
        }
        let to_loopback = Config::all_to(vec!["127.0.0.1:53".parse().unwrap()]);
        assert!(to_loopback.check(&listener("0.0.0.0:53"), false).is_err());
        assert!(to_loopback.check(&listener("[::]:53"), false).is_ok());
    }

    #[test]
    fn a_reader_sees_each_configuration_once() {
        let (writer, mut reader) = channel(Config::default());
        let mut other = reader.clone();
        assert_eq!(reader.changed(), Some(&Config::default()));
        assert_eq!(reader.changed(), None);
        writer.set(Config::all_to(upstreams(1..2)));
        writer.set(Config::all_to(upstreams(2..3)));
        let newest = Config::all_to(upstreams(2..3));
        assert_eq!(reader.changed(), Some(&newest));
        assert_eq!(reader.changed(), None);
        assert_eq!(other.changed(), Some(&newest));
    }

    #[test]
    fn how_an_upstream_is_outlives_a_change_of_the_others() {
        let (writer, mut reader) = channel(Config::all_to(upstreams(1..3)));
        let (conditions, second) = (writer.conditions(), Upstream::from(upstreams(2..3)[0]));
        reader.note(&second, Some(Trouble::Silent));
        assert!(
            conditions.read().iter().all(|(_, trouble)| trouble.is_none()),
            "whoever has read nothing knows of no upstream"
        );
        reader.changed();
        reader.note(&second, Some(Trouble::Silent));
        writer.set(Config::all_to(upstreams(2..4)));
        let third = Upstream::from(upstreams(3..4)[0]);
        assert_eq!(
            conditions.read(),
            [(second.clone(), Some(Trouble::Silent)), (third, None)]
        );
        // By a worker that has not looked yet.
        reader.note(&second, None);
        assert!(conditions.read().iter().all(|(_, trouble)| trouble.is_none()));
    }
}
