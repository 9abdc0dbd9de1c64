//! Which connections there are, and which one goes when there are too many.
//!
//! A newcomer always gets in while some connection is idle: the one of its own address that has been quiet longest
//! gives way when the address has its share, else the one of all that has been (RFC 7766, section 6.2.2). So whoever
//! opens many takes places from itself first.
//!
//! Addresses that may not ask get in as well, to be told so, but take no place from those who may: they are the first to
//! go, and have no more than half of the table.

use std::net::{IpAddr, SocketAddr};

use super::connection::Connection;
use crate::limits::{
    TCP_CONNECTIONS_MAX, TCP_CONNECTIONS_OPEN_TO_STRANGERS_MAX, TCP_CONNECTIONS_PER_ADDRESS_MAX,
};
use crate::path::StreamKey;

/// A connection and what belongs to it; `S` is its socket.
#[derive(Debug)]
pub(super) struct Entry<S> {
    pub(super) socket: S,
    pub(super) peer: SocketAddr,
    /// Whether the peer may ask.
    pub(super) may_ask: bool,
    pub(super) connection: Connection,
}

/// What has to happen before a newcomer may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Nothing: there is room.
    Free,
    /// This idle connection is closed.
    Displace(StreamKey),
    /// It may not: every connection that could give way is being served.
    Refuse,
}

/// The open connections, [`TCP_CONNECTIONS_MAX`] at most.
#[derive(Debug)]
pub(super) struct Table<S> {
    places: Vec<Place<S>>,
    free: Vec<u32>,
    /// How many have ever come.
    arrivals: u64,
}

#[derive(Debug)]
struct Place<S> {
    generation: u32,
    /// Which of all that came is here: among those that came at one time, it tells the older.
    arrival: u64,
    entry: Option<Entry<S>>,
}

impl<S> Table<S> {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            arrivals: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Whether a client at `address`, which may ask or not, may enter.
    pub(super) fn admission(&self, address: IpAddr, may_ask: bool) -> Admission {
        let own = |entry: &Entry<S>| entry.peer.ip().to_canonical() == address.to_canonical();
        let open = self.places.len() - self.free.len();
        let mut candidates = None;
        if self.occupied().filter(|(_, _, entry)| own(entry)).count() >= TCP_CONNECTIONS_PER_ADDRESS_MAX {
            candidates = Some(self.quietest(own));
        } else if !may_ask && open >= TCP_CONNECTIONS_OPEN_TO_STRANGERS_MAX {
            candidates = Some(self.quietest(|entry| !entry.may_ask));
        } else if open >= TCP_CONNECTIONS_MAX {
            candidates = Some(self.first_to_go());
        }
        match candidates {
            None => Admission::Free,
            Some(Some(key)) => Admission::Displace(key),
            Some(None) => Admission::Refuse,
        }
    }

    /// The idle connection that is missed least: that of a stranger, else the one that has been quiet longest.
    pub(super) fn first_to_go(&self) -> Option<StreamKey> {
        self.quietest(|entry| !entry.may_ask)
            .or_else(|| self.quietest(|_| true))
    }

    /// The connection among those that has been quiet longest.
    fn quietest(&self, among: impl Fn(&Entry<S>) -> bool) -> Option<StreamKey> {
        let idle = self.occupied().filter_map(|(key, place, entry)| {
            let since = among(entry).then(|| entry.connection.quiet_since())??;
            Some((since, place.arrival, key))
        });
        idle.min_by_key(|&(since, arrival, _)| (since, arrival))
            .map(|(_, _, key)| key)
    }

    /// Puts a connection in. To be called only after [`Table::admission`] let it.
    pub(super) fn insert(&mut self, entry: Entry<S>) -> StreamKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                arrival: 0,
                entry: None,
            });
            u32::try_from(self.places.len() - 1).expect("a table of some hundred places")
        });
        let place = self
            .places
            .get_mut(index as usize)
            .expect("a free place, or the one just made");
        place.entry = Some(entry);
        place.arrival = self.arrivals;
        self.arrivals += 1;
        StreamKey {
            index,
            generation: place.generation,
        }
    }

    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Entry<S>> {
        let place = self.places.get_mut(key.index as usize)?;
        place
            .entry
            .as_mut()
            .filter(|_| place.generation == key.generation)
    }

    /// Takes a connection out; its key is never used again.
    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Entry<S>> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let entry = place.entry.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(entry)
    }

    /// The keys of all connections.
    pub(super) fn keys(&self) -> impl Iterator<Item = StreamKey> {
        self.occupied().map(|(key, ..)| key)
    }

    fn occupied(&self) -> impl Iterator<Item = (StreamKey, &Place<S>, &Entry<S>)> {
        (0..).zip(&self.places).filter_map(|(index, place)| {
            let key = StreamKey {
                index,
                generation: place.generation,
            };
            place.entry.as_ref().map(|entry| (key, place, entry))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A table with as many connections of each address as said, all of the same moment.
    fn table(clients: &[(u8, usize)], now: Instant) -> (Table<()>, Vec<StreamKey>) {
        let mut table = Table::new();
        let mut keys = Vec::new();
        for &(client, count) in clients {
            for _ in 0..count {
                keys.push(table.insert(Entry {
                    socket: (),
                    peer: (address(client), 4000).into(),
                    may_ask: client < STRANGERS,
                    connection: Connection::new(now),
                }));
            }
        }
        (table, keys)
    }

    /// Those from here on may not ask.
    const STRANGERS: u8 = 100;

    fn admission(table: &Table<()>, address: IpAddr) -> Admission {
        let IpAddr::V4(v4) = address.to_canonical() else {
            unreachable!("all have one of IPv4");
        };
        table.admission(address, v4.octets()[3] < STRANGERS)
    }

    fn address(client: u8) -> IpAddr {
        [10, 0, 0, client].into()
    }

    const SHARE: usize = TCP_CONNECTIONS_PER_ADDRESS_MAX;

    fn full(start: Instant) -> (Table<()>, Vec<StreamKey>) {
        let clients: Vec<_> = (0..TCP_CONNECTIONS_MAX / SHARE)
            .map(|client| (client as u8, SHARE))
            .collect();
        table(&clients, start)
    }

    #[test]
    fn an_address_that_has_its_share_displaces_its_own_oldest_idle_connection() {
        let start = Instant::now();
        let (mut table, keys) = table(&[(1, 3), (2, SHARE)], start);
        assert_eq!(admission(&table, address(1)), Admission::Free);
        assert_eq!(admission(&table, address(2)), Admission::Displace(keys[3]));
        let mapped = format!("::ffff:{}", address(2)).parse().unwrap();
        assert_eq!(admission(&table, mapped), Admission::Displace(keys[3]));
        // One that waits for an upstream is not idle, nor is one whose reply is on its way.
        table.get_mut(keys[3]).unwrap().connection.await_answer();
        table.get_mut(keys[4]).unwrap().connection.reply(&[0; 12], start);
        assert_eq!(admission(&table, address(2)), Admission::Displace(keys[5]));
    }

    #[test]
    fn a_full_table_displaces_the_oldest_idle_connection_of_all() {
        let start = Instant::now();
        let (mut table, keys) = full(start);
        assert_eq!(admission(&table, address(99)), Admission::Displace(keys[0]));
        table.remove(keys[0]).unwrap();
        assert_eq!(admission(&table, address(99)), Admission::Free);
    }

    #[test]
    fn a_newcomer_is_refused_only_while_everyone_is_being_served() {
        let start = Instant::now();
        let (mut table, keys) = full(start);
        for &key in &keys {
            table.get_mut(key).unwrap().connection.await_answer();
        }
        assert_eq!(admission(&table, address(99)), Admission::Refuse);
        assert_eq!(admission(&table, address(0)), Admission::Refuse);
    }

    #[test]
    fn who_may_not_ask_has_half_of_the_table_and_is_the_first_to_go() {
        let start = Instant::now();
        let strangers = TCP_CONNECTIONS_OPEN_TO_STRANGERS_MAX / SHARE;
        let clients = (TCP_CONNECTIONS_MAX - TCP_CONNECTIONS_OPEN_TO_STRANGERS_MAX) / SHARE;
        let of_clients = (0..clients).map(|client| (client as u8, SHARE));
        let of_strangers = (0..strangers).map(|client| (STRANGERS + client as u8, SHARE));
        let everybody: Vec<_> = of_clients.chain(of_strangers.clone()).collect();

        let (half, keys) = table(&of_strangers.collect::<Vec<_>>(), start);
        assert_eq!(admission(&half, address(200)), Admission::Displace(keys[0]));
        assert_eq!(admission(&half, address(99)), Admission::Free);

        // The clients came first, and have been quiet longest.
        let (mut all, keys) = table(&everybody, start);
        let first_stranger = keys[clients * SHARE];
        assert_eq!(admission(&all, address(99)), Admission::Displace(first_stranger));
        assert_eq!(admission(&all, address(200)), Admission::Displace(first_stranger));
        for &key in keys.iter().skip(clients * SHARE) {
            all.get_mut(key).unwrap().connection.await_answer();
        }
        assert_eq!(admission(&all, address(200)), Admission::Refuse);
        assert_eq!(admission(&all, address(99)), Admission::Displace(keys[0]));

        // Clients alone lose no place to a stranger, though they leave only half of them free.
        let (clients, _) = table(&everybody[..clients], start);
        assert_eq!(admission(&clients, address(200)), Admission::Refuse);
    }

    #[test]
    fn the_key_of_a_closed_connection_names_no_other() {
        let (mut table, keys) = table(&[(1, 2)], Instant::now());
        table.remove(keys[0]).unwrap();
        assert!(table.remove(keys[0]).is_none() && table.get_mut(keys[0]).is_none());
        let next = table.insert(Entry {
            socket: (),
            peer: (address(2), 1).into(),
            may_ask: true,
            connection: Connection::new(Instant::now()),
        });
        assert_eq!(
            (next.index, table.get_mut(keys[0]).is_some()),
            (keys[0].index, false)
        );
        assert_eq!(StreamKey::of(next.number()), next);
        table.remove(next).unwrap();
        table.remove(keys[1]).unwrap();
        assert!(table.is_empty());
    }
}
