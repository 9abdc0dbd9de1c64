//! What clients ask, and what they may be told.

use std::net::SocketAddr;
use std::time::Duration;

use dns::Query;
use rand_core::Rng;

use super::upstream::truth;
use super::{Asked, CALM, Cause, Network, Open, ReturnPath, SLACK, Step, Submitted, Waiter, note};
use crate::limits::{FORWARD_TIMEOUT, STALE_PATIENCE_DEFAULT};
use crate::path::Local;

/// Of so many names one was asked for before, and is told again once upstreams take too long.
const OLD_ONE_IN: u32 = 3;

fn is_old(name: u32) -> bool {
    name.is_multiple_of(OLD_ONE_IN)
}

/// Whether what is old of a name is forgotten before those who wait for something new are told of it.
pub(super) fn is_forgotten(name: u32) -> bool {
    name.is_multiple_of(2 * OLD_ONE_IN)
}

/// How long whoever asks for a name may have to wait.
fn patience(name: u32) -> Duration {
    match is_old(name) && !is_forgotten(name) {
        true => STALE_PATIENCE_DEFAULT,
        false => FORWARD_TIMEOUT,
    }
}

impl Network {
    pub(super) fn query(&mut self, client: u32, name: u32, steps: &mut Vec<Step>) {
        let mut packet = query(client, name);
        for octet in &mut packet[13..17] {
            if self.random.next_u32().is_multiple_of(2) {
                octet.make_ascii_uppercase();
            }
        }
        let to = ReturnPath::Datagram {
            listener: 0,
            peer: SocketAddr::from(([10, 0, 0, 1], client as u16)),
            local: Local::Bound,
        };
        let recalled = self
            .memory
            .as_mut()
            .and_then(|memory| memory.recall(&packet, self.now));
        if let Some(is_answer) = recalled {
            assert!(
                is_answer || self.now < CALM,
                "client {client} was told an error in calm"
            );
            self.answered_in_calm += u32::from(self.now >= CALM);
            return;
        }
        let open = Open { at: self.now, name };
        let now = self.instant();
        let parsed = Query::parse(&packet).unwrap();
        let (asked, mut waiter) = (Asked::of(&parsed), Waiter::new(&parsed, to, 512, None));
        waiter.patience = is_old(name).then_some(STALE_PATIENCE_DEFAULT);
        if is_old(name) && self.forwarder.is_slow(&asked, STALE_PATIENCE_DEFAULT, now) {
            if !is_forgotten(name) {
                // It is told what is past its time at once.
                return;
            }
            waiter.patience = None;
        }
        let submitted = self.forwarder.submit(now, asked, waiter, &mut note(steps));
        let expected = match self.under_way.insert(name) {
            true => Submitted::Asked,
            false => Submitted::Joined,
        };
        assert_eq!(submitted, Ok(expected), "equal questions share one exchange");
        self.open.insert(client, open);
    }

    pub(super) fn ended(&mut self, clients: &[(u32, Vec<u8>)], told: Option<&[u8]>, cause: Cause) {
        for (client, question) in clients {
            let open = self.open.remove(client);
            let open = open.unwrap_or_else(|| panic!("client {client} was answered twice, or never asked"));
            let waited = Duration::from_micros(self.now - open.at);
            assert!(
                waited <= patience(open.name) + SLACK,
                "client {client} waited {waited:?}"
            );
            assert!(
                question.eq_ignore_ascii_case(&query(0, open.name)[12..]),
                "client {client} was told of another question"
            );
            match told {
                Some(records) => {
                    assert_eq!(records, truth(question), "a forged answer was believed");
                    assert_eq!(cause, Cause::Answered);
                    self.answered_in_calm += u32::from(open.at >= CALM);
                }
                None => assert!(open.at < CALM, "client {client} was told an error in calm"),
            }
        }
    }

    pub(super) fn late(&mut self, clients: &[(u32, Vec<u8>)]) {
        for (client, _) in clients {
            let open = self.open.remove(client);
            let open = open.unwrap_or_else(|| panic!("client {client} was told twice, or never asked"));
            assert!(is_old(open.name), "there is nothing to tell client {client}");
            assert!(open.at < CALM, "client {client} was told something old in calm");
            let waited = Duration::from_micros(self.now - open.at);
            assert!(
                waited <= STALE_PATIENCE_DEFAULT + SLACK,
                "client {client} waited {waited:?}"
            );
        }
    }
}

/// The number of the client that waits.
pub(super) fn client(waiter: &Waiter) -> u32 {
    match waiter.to {
        ReturnPath::Datagram { peer, .. } => peer.port().into(),
        ReturnPath::Stream { .. } => panic!("all clients send datagrams here"),
    }
}

/// The query of client `number`, for a name of four letters below `tt`.
fn query(client: u32, name: u32) -> Vec<u8> {
    let letter = |shift: u32| b'a' + (name >> shift & 0xf) as u8;
    [
        (client as u16).to_be_bytes().as_slice(),
        b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x04",
        &[letter(0), letter(4), b'x', b'y'],
        b"\x02tt\x00\x00\x01\x00\x01",
    ]
    .concat()
}
