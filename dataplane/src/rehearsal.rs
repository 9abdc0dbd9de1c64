//! What the workers would answer, for whoever wants to know why: without a socket, a limit or a count.

use std::net::{IpAddr, SocketAddr};

use dns::{Flags, Lookup, Name, NameRef, Query, Reader};

use crate::forward::config::{self, is_within, longest_first};
use crate::limits::REPLY_OCTETS_MAX;
use crate::respond::{Client, Message, Outcome, Policy, Transport, respond};

/// Answers as a worker would. Cheap to clone; made by [`crate::Handle::rehearsal`].
#[derive(Clone)]
pub struct Rehearsal {
    reader: Reader,
    policy: Policy,
    routes: config::Reader,
    upstreams: config::Config,
}

/// What would become of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// This reply, as over TCP: whole.
    Reply(Vec<u8>),
    /// Others would be asked, unless their answer is kept.
    Forward(Others),
    /// This reply, and behind it what others say of the name that our alias leads to.
    Follow(Vec<u8>, Others),
    /// Nothing: it is no query.
    Silence,
}

/// Who would be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// One of these, in the order of preference. Nobody where the user says that the names of the domain do not exist.
    pub upstreams: Vec<SocketAddr>,
    /// The domain that they are asked about; the root: they are for all that has no others. None: nobody is.
    pub domain: Option<Name>,
}

impl Rehearsal {
    /// What `reader` gives, by `policy`.
    pub(crate) fn new(reader: Reader, policy: Policy, routes: config::Reader) -> Self {
        Self {
            reader,
            policy,
            routes,
            upstreams: config::Config::default(),
        }
    }

    /// What would become of `query` if `client` sent it.
    pub fn ask(&mut self, client: IpAddr, query: &[u8]) -> Rehearsed {
        let rehearsed = self.answer(client, query);
        // It may be long until somebody asks again.
        self.reader.rest();
        rehearsed
    }

    fn answer(&mut self, client: IpAddr, query: &[u8]) -> Rehearsed {
        if let Some(changed) = self.routes.changed() {
            self.policy.forward_as(changed);
            self.upstreams = changed.clone();
        }
        let mut buffer = vec![0; REPLY_OCTETS_MAX];
        let Some(room) = buffer.get_mut(..query.len()) else {
            return Rehearsed::Silence;
        };
        room.copy_from_slice(query);
        let client = Client {
            address: client,
            transport: Transport::Tcp,
        };
        let mut message = Message::new(&mut buffer, query.len());
        match respond(self.reader.load(), &self.policy, client, &mut message) {
            Outcome::Reply { length, .. } => {
                buffer.truncate(length);
                Rehearsed::Reply(buffer)
            }
            Outcome::Forward => Rehearsed::Forward(match Query::parse(query) {
                Ok(query) => others(&self.upstreams, query.question.qname),
                Err(_) => Others::default(),
            }),
            Outcome::Follow => {
                let behind = self.behind(client.address, query);
                match self.answer(client.address, &without_recursion(query)) {
                    Rehearsed::Reply(octets) => Rehearsed::Follow(octets, behind),
                    other => other,
                }
            }
            Outcome::Drop => Rehearsed::Silence,
        }
    }

    /// Who is asked about what the alias leads to that `query` is about.
    fn behind(&mut self, client: IpAddr, query: &[u8]) -> Others {
        let Ok(Query { question, .. }) = Query::parse(query) else {
            return Others::default();
        };
        let Self {
            reader,
            policy,
            upstreams,
            ..
        } = self;
        let target = match reader.load().lookup(&question, client) {
            Lookup::Alias(alias) => policy.follows(&alias, &question),
            _ => None,
        };
        target.map(|target| others(upstreams, target)).unwrap_or_default()
    }
}

/// Who is asked about `name`.
fn others(config: &config::Config, name: NameRef<'_>) -> Others {
    let mut routes = longest_first(&config.routes).into_iter();
    let route = routes.find(|route| is_within(name, &route.domain));
    let upstreams = route.map(|route| route.upstreams.as_slice()).unwrap_or_default();
    Others {
        upstreams: upstreams.iter().map(|upstream| upstream.address).collect(),
        domain: route.map(|route| route.domain.clone()),
    }
}

/// The same query without RD: of an alias that leads elsewhere it is told where.
fn without_recursion(query: &[u8]) -> Vec<u8> {
    let mut query = query.to_vec();
    let [recursion_desired, _] = Flags::RD.0.to_be_bytes();
    if let Some(flags) = query.get_mut(2) {
        *flags &= !recursion_desired;
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, default_networks};
    use crate::forward::config::Route;
    use dns::{Builder, Rcode, RecordData, RrSet, ZoneSettings};

    fn query(name: &str) -> Vec<u8> {
        let name: Name = name.parse().unwrap();
        let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header, name.octets(), &[0, 1, 0, 1]].concat()
    }

    #[test]
    fn it_is_answered_refused_or_forwarded_as_by_a_worker() {
        let zone = ZoneSettings::of("docker".parse().unwrap(), 30);
        let mut builder = Builder::new(vec![zone], 1, 0).unwrap();
        let alias = RrSet {
            view: dns::View::EVERYONE,
            until: None,
            ttl_seconds: 30,
            records: vec![RecordData::Cname("db.corp.example".parse().unwrap())],
            additional: Vec::new(),
        };
        builder.set(&"db.docker".parse().unwrap(), &[alias]).unwrap();
        let (_publisher, reader) = dns::channel(builder.build());
        let corp = Route {
            domain: "corp.example".parse().unwrap(),
            upstreams: vec![SocketAddr::from(([192, 0, 2, 2], 53)).into()],
        };
        let mut upstreams = config::Config::all_to(vec![SocketAddr::from(([192, 0, 2, 1], 53))]);
        upstreams.routes.push(corp);
        let (writer, routes) = config::channel(upstreams);
        let policy = Policy::new(false, Access::of(default_networks()));
        let mut rehearsal = Rehearsal::new(reader, policy, routes);

        let local = "127.0.0.1".parse().unwrap();
        let rcode = |rehearsed| match rehearsed {
            Rehearsed::Reply(octets) => Some(u16::from(octets[3] & 15)),
            _ => None,
        };
        assert_eq!(
            rcode(rehearsal.ask(local, &query("a.docker"))),
            Some(Rcode::NX_DOMAIN.0)
        );
        let stranger = "8.8.8.8".parse().unwrap();
        assert_eq!(
            rcode(rehearsal.ask(stranger, &query("a.docker"))),
            Some(Rcode::REFUSED.0)
        );
        let others = |upstream: &str, domain: Name| Others {
            upstreams: vec![upstream.parse().unwrap()],
            domain: Some(domain),
        };
        let corp = || others("192.0.2.2:53", "corp.example".parse().unwrap());
        for (name, expected) in [
            ("www.example", others("192.0.2.1:53", Name::root())),
            ("a.corp.example", corp()),
        ] {
            assert_eq!(rehearsal.ask(local, &query(name)), Rehearsed::Forward(expected));
        }
        let Rehearsed::Follow(reply, expected) = rehearsal.ask(local, &query("db.docker")) else {
            panic!("an alias that leads out of our names")
        };
        assert_eq!(
            (reply[7], expected),
            (1, corp()),
            "one record, ours, and theirs behind it"
        );
        writer.set(config::Config::default());
        assert_eq!(
            rcode(rehearsal.ask(local, &query("www.example"))),
            Some(Rcode::REFUSED.0)
        );
        assert_eq!(rehearsal.ask(local, b"no query"), Rehearsed::Silence);
        assert_eq!(
            rehearsal.ask(local, &vec![0; REPLY_OCTETS_MAX + 1]),
            Rehearsed::Silence
        );
    }
}
