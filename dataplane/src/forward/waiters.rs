//! The clients that wait, each in the line of the exchange that will answer it.
//!
//! ```text
//!  Line ─▶ waiter ─▶ waiter ─▶ waiter        in the order they came; all of them in one table of PENDING_MAX
//! ```

use std::net::IpAddr;
use std::time::Duration;

use dns::Query;
use dns::wire::{COOKIE_OCTETS, HEADER_OCTETS, Head};
use siphasher::sip::SipHasher13;

use super::case::Case;
use crate::limits::{PENDING_MAX, SHARE_OF_FREE, SHARES};
use crate::path::{AliasSlot, ReturnPath};

/// A client that waits for an answer, and all that its reply takes of its query.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// Where its answer goes.
    pub to: ReturnPath,
    /// Its id, flags and EDNS.
    pub head: Head,
    /// The longest reply that it takes, in octets.
    pub limit: usize,
    /// The cookie that it is to be answered.
    pub cookie: Option<[u8; COOKIE_OCTETS]>,
    /// How long it waits before it would rather be told what is past its time; none: there is nothing.
    pub patience: Option<Duration>,
    /// Where its own question is kept, if that is one about an alias of ours which leads to what is asked.
    pub(crate) behind: Option<AliasSlot>,
    case: Case,
}

impl Waiter {
    /// The client that sent `query`.
    #[must_use]
    pub fn new(query: &Query<'_>, to: ReturnPath, limit: usize, cookie: Option<[u8; COOKIE_OCTETS]>) -> Self {
        Self {
            to,
            head: Head::from(query),
            limit,
            cookie,
            patience: None,
            behind: None,
            case: Case::of(query.question.qname.octets()),
        }
    }

    /// Puts `question`, lower-cased and in wire form, behind the header's place in `message`, spelled as the client did.
    pub fn write_question(&self, question: &[u8], message: &mut [u8]) {
        let room = message.get_mut(HEADER_OCTETS..HEADER_OCTETS + question.len());
        let Some(room) = room else { return };
        room.copy_from_slice(question);
        let name = question.len().saturating_sub(4);
        self.case.apply(room.get_mut(..name).unwrap_or_default());
    }
}

/// Those who wait for one answer.
#[derive(Debug, Default)]
pub(crate) struct Line {
    first: Option<u16>,
    last: Option<u16>,
    length: usize,
}

impl Line {
    /// How many they are.
    pub(crate) fn length(&self) -> usize {
        self.length
    }
}

/// All who wait on one core.
pub(crate) struct Waiters {
    waiters: Vec<Option<(Waiter, Option<u16>)>>,
    free: Vec<u16>,
    waiting: usize,
    /// How many wait, by a hash of their client's address.
    shares: Box<[u16]>,
    hasher: SipHasher13,
}

impl Waiters {
    /// Nobody. Allocates all that it will ever use; the kernel gives the memory when it is touched. `seed` must be
    /// unpredictable, or a client could choose addresses that share another's bound.
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Self {
            waiters: Vec::with_capacity(PENDING_MAX),
            free: Vec::with_capacity(PENDING_MAX),
            waiting: 0,
            shares: vec![0; SHARES].into_boxed_slice(),
            hasher: SipHasher13::new_with_key(seed),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Whether `client` has as many queries waiting as it may, so that the rest stays for others.
    pub(crate) fn has_its_share(&self, client: IpAddr) -> bool {
        let waiting = self.shares.get(self.share(client)).copied().unwrap_or(0);
        usize::from(waiting) >= SHARE_OF_FREE * (PENDING_MAX - self.waiting.min(PENDING_MAX))
    }

    /// Puts `waiter` at the end of `line`. False, and nothing is changed, when there is no room.
    pub(crate) fn join(&mut self, line: &mut Line, waiter: Waiter) -> bool {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.waiters.len() < PENDING_MAX => {
                self.waiters.push(None);
                u16::try_from(self.waiters.len() - 1).expect("`limits` keeps PENDING_MAX below u16::MAX")
            }
            None => return false,
        };
        self.count_share(waiter.to.client(), |waiting| waiting.saturating_add(1));
        if let Some(slot) = self.waiters.get_mut(usize::from(place)) {
            *slot = Some((waiter, None));
        }
        let before = line.last.replace(place);
        match before.and_then(|before| self.waiters.get_mut(usize::from(before))?.as_mut()) {
            Some((_, next)) => *next = Some(place),
            None => line.first = Some(place),
        }
        line.length += 1;
        self.waiting += 1;
        true
    }

    /// Takes the first out of `line`.
    pub(crate) fn pop(&mut self, line: &mut Line) -> Option<Waiter> {
        let place = line.first?;
        let (waiter, next) = self.waiters.get_mut(usize::from(place))?.take()?;
        line.first = next;
        if next.is_none() {
            line.last = None;
        }
        line.length -= 1;
        self.free.push(place);
        self.waiting -= 1;
        self.count_share(waiter.to.client(), |waiting| waiting.saturating_sub(1));
        Some(waiter)
    }

    /// Which counter is `client`'s.
    fn share(&self, client: IpAddr) -> usize {
        let address = match client.to_canonical() {
            IpAddr::V4(client) => client.to_ipv6_mapped(),
            IpAddr::V6(client) => client,
        };
        self.hasher.hash(&address.octets()) as usize & (SHARES - 1)
    }

    fn count_share(&mut self, client: IpAddr, count: impl FnOnce(u16) -> u16) {
        let share = self.share(client);
        if let Some(waiting) = self.shares.get_mut(share) {
            *waiting = count(*waiting);
        }
    }
}

/// Those whose answer has come, taken out of their line one by one.
pub struct Served<'a> {
    waiters: &'a mut Waiters,
    line: Line,
}

impl<'a> Served<'a> {
    pub(crate) fn new(waiters: &'a mut Waiters, line: Line) -> Self {
        Self { waiters, line }
    }
}

impl Iterator for Served<'_> {
    type Item = Waiter;

    fn next(&mut self) -> Option<Waiter> {
        self.waiters.pop(&mut self.line)
    }
}

impl Drop for Served<'_> {
    /// Whoever was not looked at leaves, too.
    fn drop(&mut self) {
        for _ in self {}
    }
}

/// Those who still wait, taken out of their line one by one. Whoever was not looked at stays.
pub struct Standing<'a> {
    waiters: &'a mut Waiters,
    line: &'a mut Line,
}

impl<'a> Standing<'a> {
    pub(crate) fn new(waiters: &'a mut Waiters, line: &'a mut Line) -> Self {
        Self { waiters, line }
    }
}

impl Iterator for Standing<'_> {
    type Item = Waiter;

    fn next(&mut self) -> Option<Waiter> {
        self.waiters.pop(self.line)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::path::Local;

    fn waiter(client: &str, port: u16) -> Waiter {
        let packet =
            b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01A\x03cOm\x00\x00\x01\x00\x01".as_slice();
        let to = ReturnPath::Datagram {
            listener: 0,
            peer: SocketAddr::new(client.parse().unwrap(), port),
            local: Local::Bound,
        };
        Waiter::new(&Query::parse(packet).unwrap(), to, 512, None)
    }

    #[test]
    fn lines_keep_their_order_and_share_one_table() {
        let mut waiters = Waiters::new(&[9; 16]);
        let mut lines = [Line::default(), Line::default()];
        for port in 0..6 {
            assert!(waiters.join(&mut lines[usize::from(port % 2)], waiter("127.0.0.1", port)));
        }
        assert_eq!((waiters.len(), lines[1].length()), (6, 3));
        let [even, odd] = lines;
        let mut served = Served::new(&mut waiters, even);
        assert_eq!(served.next().unwrap().to, waiter("127.0.0.1", 0).to);
        drop(served);
        assert_eq!(waiters.len(), 3, "the others of that line left as well");
        let ports: Vec<_> = Served::new(&mut waiters, odd).map(|waiter| waiter.to).collect();
        assert_eq!(ports, [1, 3, 5].map(|port| waiter("127.0.0.1", port).to));
        assert_eq!(waiters.len(), 0);
    }

    #[test]
    fn one_client_leaves_room_for_others_and_two_leave_some_too() {
        let mut waiters = Waiters::new(&[9; 16]);
        let mut line = Line::default();
        let mut fill = |client: &str| {
            let before = waiters.len();
            while !waiters.has_its_share(client.parse().unwrap()) {
                assert!(waiters.join(&mut line, waiter(client, 9)));
            }
            waiters.len() - before
        };
        assert_eq!(fill("172.17.0.2"), PENDING_MAX / 4 * 3);
        assert_eq!(fill("::ffff:172.17.0.2"), 0);
        assert_eq!(fill("172.17.0.3"), PENDING_MAX / 16 * 3);
        assert!(!waiters.has_its_share("172.17.0.4".parse().unwrap()));
        // What is answered is free again.
        while waiters.pop(&mut line).is_some() {}
        assert!(!waiters.has_its_share("172.17.0.2".parse().unwrap()));
        assert!(waiters.shares.iter().all(|waiting| *waiting == 0));
    }

    #[test]
    fn a_full_table_takes_no_more_and_never_allocates_again() {
        let (mut waiters, mut line) = (Waiters::new(&[9; 16]), Line::default());
        for _ in 0..2 {
            for _ in 0..PENDING_MAX {
                assert!(waiters.join(&mut line, waiter("127.0.0.1", 9)));
            }
            assert!(!waiters.join(&mut line, waiter("127.0.0.1", 9)));
            while waiters.pop(&mut line).is_some() {}
        }
        assert_eq!(
            (waiters.waiters.capacity(), waiters.free.capacity()),
            (PENDING_MAX, PENDING_MAX)
        );
    }

    #[test]
    fn the_question_goes_back_as_its_client_spelled_it() {
        let mut message = [0xee; 40];
        waiter("127.0.0.1", 9).write_question(b"\x01a\x03com\x00\x00\x01\x00\x01", &mut message);
        assert_eq!(message[12..23], *b"\x01A\x03cOm\x00\x00\x01\x00\x01");
        assert_eq!((message[11], message[23]), (0xee, 0xee));
    }
}
