//! What upstreams do to questions, and what others make up.

use rand_core::Rng;

use super::{Event, FAULTS_END, Network, Place, Upstream, address};

/// What an upstream does to questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Character {
    /// Nobody listens before this, in microseconds.
    pub(super) closed_until: u64,
    /// It says nothing before this.
    pub(super) silent_until: u64,
    /// Of a hundred questions, so many get SERVFAIL.
    pub(super) failures: u32,
    /// Of a hundred, so many get a reply that is cut.
    pub(super) cuts: u32,
    /// Connections to it are refused.
    pub(super) refuses_streams: bool,
    /// It does not know EDNS.
    pub(super) without_edns: bool,
    /// It writes names in small letters.
    pub(super) mangles: bool,
    /// It is asked over TLS.
    pub(super) over_tls: bool,
}

impl Character {
    const WELL: Self = Self {
        closed_until: 0,
        silent_until: 0,
        failures: 0,
        cuts: 0,
        refuses_streams: false,
        without_edns: false,
        mangles: false,
        over_tls: false,
    };
}

impl Network {
    pub(super) fn character(&mut self, survives: bool) -> Character {
        let until = |network: &mut Self| match network.below(3) {
            0 if !survives => u64::MAX,
            1 => u64::from(network.below(FAULTS_END as u32)),
            _ => 0,
        };
        Character {
            closed_until: until(self),
            silent_until: until(self),
            failures: if self.chance(30) { self.below(100) } else { 0 },
            cuts: if self.chance(30) { self.below(101) } else { 0 },
            refuses_streams: self.chance(20),
            without_edns: self.chance(20),
            mangles: self.chance(20),
            over_tls: self.chance(25),
        }
    }

    pub(super) fn server(&self, upstream: usize) -> Upstream {
        let over_tls = self.upstreams[upstream].over_tls;
        Upstream {
            address: address(upstream),
            tls: over_tls.then(|| "dns.example".try_into().unwrap()),
        }
    }

    /// Everything that a question may bring back: the true reply, or none, or several, and what others make up.
    pub(super) fn deliver(&mut self, place: Place, fresh: bool, upstream: usize, question: &[u8]) {
        let generation = self.generations.entry(place).or_default();
        *generation += u32::from(fresh && !place.is_kept());
        let generation = *generation;
        let character = match self.upstreams[upstream] {
            // It stays as it was made, but what it is worth is no longer left to chance.
            character if self.is_calm() && upstream == self.survivor => Character {
                without_edns: character.without_edns,
                mangles: character.mangles,
                over_tls: character.over_tls,
                cuts: character.cuts / 100 * 100,
                ..Character::WELL
            },
            character => character,
        };
        let calm = self.is_calm();
        let is_probe = question.len() < QUESTION_END;
        assert_eq!(place.is_kept(), character.over_tls, "a question in the clear");
        assert!(
            is_probe || self.is_routed(upstream, question),
            "a question for somebody else"
        );
        if !calm && !place.is_stream() && !place.is_kept() && !is_probe && self.chance(30) {
            for _ in 0..self.below(6) {
                let octets = self.forge(question);
                let delay = self.below(1_000_000);
                self.schedule(
                    delay,
                    Event::Packet {
                        place,
                        generation,
                        octets,
                    },
                );
            }
        }
        if !calm && place.is_kept() && self.chance(10) {
            let delay = self.below(500_000);
            self.schedule(delay, Event::Refusal { place, generation });
        }
        let is_connection = place.is_stream() || place.is_kept();
        if self.now < character.closed_until || is_connection && character.refuses_streams {
            if self.chance(90) {
                let delay = self.below(20_000);
                self.schedule(delay, Event::Refusal { place, generation });
            }
            return;
        }
        if self.now < character.silent_until {
            return;
        }
        let mut copies = u32::from(calm || is_connection || self.chance(70));
        while copies > 0 {
            let octets = match is_probe {
                true => [&question[..2], &[0x81], &question[3..]].concat(),
                false => self.reply(character, place, question),
            };
            // Now and then later than any client waits.
            let is_late = !calm && self.chance(20);
            let delay = self.below(if is_late { 4_000_000 } else { 100_000 });
            self.schedule(
                delay,
                Event::Packet {
                    place,
                    generation,
                    octets,
                },
            );
            copies = u32::from(!is_connection && self.chance(30));
        }
    }

    fn reply(&mut self, character: Character, place: Place, question: &[u8]) -> Vec<u8> {
        if character.without_edns && question[11] == 1 {
            let rcode = if self.chance(50) { 1 } else { 4 };
            return [&question[..2], &[0x81, rcode, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        }
        let mut reply = answer(question, true);
        if character.mangles {
            reply[12..21].make_ascii_lowercase();
        }
        if self.chance(character.failures) {
            reply.truncate(QUESTION_END);
            (reply[3], reply[7]) = (2, 0);
        } else if !place.is_stream() && !place.is_kept() && self.chance(character.cuts) {
            reply[2] |= 2;
            let length = QUESTION_END as u32 + self.below(17);
            reply.truncate(length as usize);
        }
        reply
    }

    /// A reply that says something untrue and does not know all of the question: somebody who hears nothing of what
    /// we send, or an accident on the way.
    fn forge(&mut self, question: &[u8]) -> Vec<u8> {
        let mut forged = answer(question, false);
        match self.below(7) {
            0 => forged[self.random.next_u32() as usize % 2] ^= 1 << (self.random.next_u32() % 8),
            1 => forged[2] &= 0x7f,
            2 => forged[5] = self.random.next_u32() as u8 & 0xfe,
            // Another name's, or another type's.
            3 => forged[13 + self.random.next_u32() as usize % 4] ^= 1 << (self.random.next_u32() % 5),
            4 => forged[QUESTION_END - 3] ^= 0x10,
            // Port and id were guessed, the spelling was not: which is nothing where none is asked for.
            5 if question[12..21].iter().any(u8::is_ascii_uppercase) => {
                let letter = 13 + self.random.next_u32() as usize % 4;
                forged[letter] ^= 0x20;
            }
            _ => forged.truncate(self.random.next_u32() as usize % (QUESTION_END + 15)),
        }
        // What became of the forgery may still be the question as it was, and the lie behind it.
        let is_forged = forged[..forged.len().min(QUESTION_END)] != answer(question, true)[..QUESTION_END]
            || forged.len() < QUESTION_END + LIE.len();
        if is_forged { forged } else { Vec::new() }
    }
}

/// Header, a name of nine octets, type and class.
pub(super) const QUESTION_END: usize = 12 + 9 + 4;
const LIE: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\x06\x06\x06\x06";

/// The record that answers `question`, which no other question has.
pub(super) fn truth(question: &[u8]) -> Vec<u8> {
    let mut record = LIE.to_vec();
    let name = question[1..5].to_ascii_lowercase();
    record[12..].copy_from_slice(&name);
    record
}

fn answer(question: &[u8], is_true: bool) -> Vec<u8> {
    let record = if is_true {
        truth(&question[12..])
    } else {
        LIE.to_vec()
    };
    let mut reply = [&question[..QUESTION_END], &record].concat();
    (reply[2], reply[7], reply[11]) = (reply[2] | 0x80, 1, 0);
    reply
}
