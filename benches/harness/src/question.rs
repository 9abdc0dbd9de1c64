//! Questions, and the check of what comes back.

use std::net::Ipv4Addr;

/// Type codes (RFC 1035, section 3.2.2; RFC 2782; RFC 6891).
const A: u16 = 1;
const SRV: u16 = 33;
const OPT: u16 = 41;
/// Octets of payload that we take, as resolvers do since 2020.
const PAYLOAD: u16 = 1232;
/// Octets of a message before its question.
const HEADER_OCTETS: usize = 12;
/// Pointers that a name may go through before we take it for a loop.
const POINTERS_MAX: usize = 16;

/// A question as it is sent, and what has to come back.
#[derive(Clone, Debug)]
pub struct Question {
    /// Name, type and class.
    wire: Box<[u8]>,
    expected: Expected,
}

#[derive(Clone, Debug)]
enum Expected {
    /// These, in any order; ascending here.
    Addresses(Box<[Ipv4Addr]>),
    /// These ports and targets, in any order; ascending here.
    Targets(Box<[(u16, Box<[u8]>)]>),
    NameError,
    /// This, or another that [`engine`](crate::engine) gives a container that it replaces, or for a moment none.
    Replaced(Ipv4Addr),
}

/// The bits of an address that stay when its container is replaced.
const REPLACED_MASK: u32 = 0xff0f_ffff;

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Too short, or its names lead nowhere.
    Malformed,
    /// A query.
    NotAReply,
    /// Not the question that was asked, octet by octet.
    Question,
    /// Cut.
    Truncated,
    /// Another response code than expected.
    Rcode(u8),
    /// Other records than expected.
    Records,
}

impl Question {
    /// Asks for the addresses of `name`, which are these.
    #[must_use]
    pub fn addresses(name: &str, addresses: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let mut addresses: Box<[_]> = addresses.into_iter().collect();
        addresses.sort_unstable();
        Self::new(name, A, Expected::Addresses(addresses))
    }

    /// Asks for the address of `name`, whose container had this one first and may be replaced at any time.
    #[must_use]
    pub fn replaced(name: &str, address: Ipv4Addr) -> Self {
        Self::new(name, A, Expected::Replaced(address))
    }

    /// Asks who serves `name`: these ports of these names.
    #[must_use]
    pub fn targets(name: &str, targets: impl IntoIterator<Item = (u16, String)>) -> Self {
        let targets = targets
            .into_iter()
            .map(|(port, target)| (port, wire_name(&target)));
        let mut targets: Box<[_]> = targets.collect();
        targets.sort_unstable();
        Self::new(name, SRV, Expected::Targets(targets))
    }

    /// Asks for the addresses of `name`, which does not exist.
    #[must_use]
    pub fn absent(name: &str) -> Self {
        Self::new(name, A, Expected::NameError)
    }

    fn new(name: &str, qtype: u16, expected: Expected) -> Self {
        let wire = [&*wire_name(name), &qtype.to_be_bytes(), &[0, 1]].concat().into();
        Self { wire, expected }
    }

    /// The name and the type, as `dnsperf` reads them.
    #[must_use]
    pub fn line(&self) -> String {
        let mut text = String::new();
        let mut rest = &*self.wire;
        while let Some((&length @ 1.., after)) = rest.split_first() {
            let (label, after) = after.split_at(usize::from(length).min(after.len()));
            text += &String::from_utf8_lossy(label);
            text.push('.');
            rest = after;
        }
        let rtype = match self.expected {
            Expected::Targets(_) => "SRV",
            Expected::Addresses(_) | Expected::NameError | Expected::Replaced(_) => "A",
        };
        format!("{} {rtype}", text.trim_end_matches('.'))
    }

    /// Writes the query over what `buffer` held: recursion desired, as every stub asks; with `edns`, an OPT.
    pub fn write(&self, id: u16, edns: bool, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&id.to_be_bytes());
        buffer.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
        buffer.extend_from_slice(&self.wire);
        if edns {
            let [high, low] = PAYLOAD.to_be_bytes();
            buffer.extend_from_slice(&[0, 0, OPT as u8, high, low, 0, 0, 0, 0, 0, 0]);
        }
    }

    /// Whether `reply`, whose id was looked at already, is right and whole.
    ///
    /// # Errors
    ///
    /// The first thing that is [`Wrong`].
    pub fn check(&self, reply: &[u8]) -> Result<(), Wrong> {
        let header: &[u8; HEADER_OCTETS] = reply.first_chunk().ok_or(Wrong::Malformed)?;
        if header[2] & 0x80 == 0 {
            return Err(Wrong::NotAReply);
        }
        let body = &reply[HEADER_OCTETS..];
        if header[4..6] != [0, 1] || !body.starts_with(&self.wire) {
            return Err(Wrong::Question);
        }
        if header[2] & 0x02 != 0 {
            return Err(Wrong::Truncated);
        }
        let rcode = header[3] & 0x0f;
        let expected_rcode = match self.expected {
            Expected::NameError => 3,
            // The old one is gone, and the new one is not known yet.
            Expected::Replaced(_) if rcode == 3 => 3,
            Expected::Addresses(_) | Expected::Targets(_) | Expected::Replaced(_) => 0,
        };
        if rcode != expected_rcode {
            return Err(Wrong::Rcode(rcode));
        }
        let answers = usize::from(u16::from_be_bytes([header[6], header[7]]));
        let mut at = HEADER_OCTETS + self.wire.len();
        match &self.expected {
            Expected::NameError if answers == 0 => Ok(()),
            Expected::NameError => Err(Wrong::Records),
            Expected::Addresses(expected) => check_records(expected, answers, || {
                let (rtype, data) = record(reply, &mut at)?;
                let octets: [u8; 4] = reply.get(data)?.try_into().ok()?;
                (rtype == A).then(|| Ipv4Addr::from(octets))
            }),
            Expected::Replaced(_) if answers == 0 => Ok(()),
            Expected::Replaced(first) => {
                let (rtype, data) = record(reply, &mut at).ok_or(Wrong::Malformed)?;
                let octets = reply.get(data).ok_or(Wrong::Malformed)?;
                let octets: [u8; 4] = octets.try_into().map_err(|_| Wrong::Records)?;
                let differs = (u32::from_be_bytes(octets) ^ u32::from(*first)) & REPLACED_MASK;
                match (rtype, answers, differs) {
                    (A, 1, 0) => Ok(()),
                    _ => Err(Wrong::Records),
                }
            }
            Expected::Targets(expected) => check_records(expected, answers, || {
                let (rtype, data) = record(reply, &mut at)?;
                let port = reply.get(data.start + 4..data.start + 6)?.try_into().ok()?;
                let target = name_at(reply, data.start + 6)?;
                (rtype == SRV).then(|| (u16::from_be_bytes(port), target))
            }),
        }
    }
}

/// Whether the next `count` records are `expected`, in any order.
fn check_records<T: Ord>(
    expected: &[T],
    count: usize,
    mut next: impl FnMut() -> Option<T>,
) -> Result<(), Wrong> {
    if count != expected.len() {
        return Err(Wrong::Records);
    }
    if let [only] = expected {
        return match next() {
            Some(found) if found == *only => Ok(()),
            Some(_) => Err(Wrong::Records),
            None => Err(Wrong::Malformed),
        };
    }
    let found: Option<Vec<T>> = (0..count).map(|_| next()).collect();
    let mut found = found.ok_or(Wrong::Malformed)?;
    found.sort_unstable();
    if found == expected {
        Ok(())
    } else {
        Err(Wrong::Records)
    }
}

/// Steps over the record at `at`: its type, and where its data lie.
fn record(message: &[u8], at: &mut usize) -> Option<(u16, std::ops::Range<usize>)> {
    let mut end = *at;
    loop {
        match *message.get(end)? {
            0 => break end += 1,
            pointer if pointer >= 0xc0 => break end += 2,
            label => end += 1 + usize::from(label),
        }
    }
    let fixed: &[u8; 10] = message.get(end..)?.first_chunk()?;
    let data = end + 10..end + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    *at = data.end;
    Some((u16::from_be_bytes([fixed[0], fixed[1]]), data))
}

/// The name at `at`, in lower case and without pointers.
fn name_at(message: &[u8], mut at: usize) -> Option<Box<[u8]>> {
    let mut name = Vec::with_capacity(64);
    for _ in 0..POINTERS_MAX {
        loop {
            let length = *message.get(at)?;
            match length {
                0 => {
                    name.push(0);
                    return Some(name.into());
                }
                0xc0.. => {
                    let low = *message.get(at + 1)?;
                    at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    break;
                }
                _ => {
                    let end = at + 1 + usize::from(length);
                    name.push(length);
                    name.extend(message.get(at + 1..end)?.iter().map(u8::to_ascii_lowercase));
                    at = end;
                }
            }
        }
    }
    None
}

/// `name`, without a last dot, as a message has it.
fn wire_name(name: &str) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).expect("names of the harness have short labels"));
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_to(question: &Question, rcode: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut reply = Vec::new();
        question.write(7, false, &mut reply);
        reply[2] |= 0x80;
        reply[3] = rcode;
        reply[7] = records.len() as u8;
        for (rtype, data) in records {
            reply.extend_from_slice(&[0xc0, 12]);
            reply.extend_from_slice(&rtype.to_be_bytes());
            reply.extend_from_slice(&[0, 1, 0, 0, 0, 30]);
            reply.extend_from_slice(&(data.len() as u16).to_be_bytes());
            reply.extend_from_slice(data);
        }
        reply
    }

    #[test]
    fn a_query_with_edns_is_the_one_without_it_and_an_opt() {
        let question = Question::absent("a.bc");
        let (mut plain, mut edns) = (Vec::new(), Vec::new());
        question.write(0x1234, false, &mut plain);
        question.write(0x1234, true, &mut edns);
        assert_eq!(
            plain,
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01"
        );
        assert_eq!(question.line(), "a.bc A");
        assert_eq!(edns[11], 1);
        assert_eq!(edns[plain.len()..], [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn addresses_are_right_in_any_order_and_wrong_when_one_is_missing_or_another() {
        let (one, two) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let question = Question::addresses("eight.docker", [one, two]);
        let a = |address: Ipv4Addr| (A, address.octets().to_vec());
        let check = |records: &[_]| question.check(&reply_to(&question, 0, records));
        assert_eq!(check(&[a(two), a(one)]), Ok(()));
        assert_eq!(check(&[a(one), a(two)]), Ok(()));
        assert_eq!(check(&[a(one)]), Err(Wrong::Records));
        assert_eq!(check(&[a(one), a(one)]), Err(Wrong::Records));
        assert_eq!(check(&[a(one), (SRV, vec![0; 4])]), Err(Wrong::Malformed));
        assert_eq!(question.check(&reply_to(&question, 3, &[])), Err(Wrong::Rcode(3)));
    }

    #[test]
    fn of_a_container_that_is_replaced_each_of_its_addresses_is_right_and_nobody_elses() {
        let question = Question::replaced("n7.app0.dev.docker", Ipv4Addr::new(10, 1, 0, 7));
        let a = |octets: [u8; 4]| (A, octets.to_vec());
        let check = |rcode, records: &[_]| question.check(&reply_to(&question, rcode, records));
        assert_eq!(check(0, &[a([10, 1, 0, 7])]), Ok(()));
        assert_eq!(check(0, &[a([10, 33, 0, 7])]), Ok(()));
        assert_eq!(check(3, &[]), Ok(()));
        assert_eq!(check(0, &[a([10, 1, 0, 8])]), Err(Wrong::Records));
        assert_eq!(
            check(0, &[a([10, 1, 0, 7]), a([10, 17, 0, 7])]),
            Err(Wrong::Records)
        );
        assert_eq!(check(2, &[]), Err(Wrong::Rcode(2)));
    }

    #[test]
    fn srv_targets_are_compared_as_names_compressed_or_not() {
        let question = Question::targets("queue.docker", [(6379, "AB.docker".to_lowercase())]);
        // `docker` begins at octet 12 + 6.
        let plain = [&[0, 10, 0, 33, 0x18, 0xeb][..], b"\x02ab\x06docker\0"].concat();
        let compressed = [&[0, 10, 0, 33, 0x18, 0xeb][..], b"\x02aB\xc0\x12"].concat();
        let looping = [&[0, 10, 0, 33, 0x18, 0xeb][..], b"\xc0\x30"].concat();
        let check = |data: &Vec<u8>| question.check(&reply_to(&question, 0, &[(SRV, data.clone())]));
        assert_eq!(check(&plain), Ok(()));
        assert_eq!(check(&compressed), Ok(()));
        assert_eq!(check(&looping), Err(Wrong::Malformed));
    }

    #[test]
    fn what_is_no_whole_reply_to_the_question_is_wrong() {
        let question = Question::absent("absent.docker");
        let good = reply_to(&question, 3, &[]);
        let with = |place: usize, octet: u8| {
            let mut reply = good.clone();
            reply[place] = octet;
            question.check(&reply)
        };
        assert_eq!(question.check(&good), Ok(()));
        assert_eq!(with(2, 1), Err(Wrong::NotAReply));
        assert_eq!(with(2, 0x83), Err(Wrong::Truncated));
        assert_eq!(with(13, b'b'), Err(Wrong::Question));
        assert_eq!(with(7, 1), Err(Wrong::Records));
        assert_eq!(question.check(&good[..11]), Err(Wrong::Malformed));
    }
}
