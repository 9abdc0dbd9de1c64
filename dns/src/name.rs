//! Domain names: owned and lower-cased where we make them, borrowed and untouched where a packet holds them.
//!
//! Wire form (RFC 1035, section 3.1), as both types hold it, always uncompressed:
//!
//! ```text
//! | length: u8, 1..=63 | label: length octets | ... | 0: the root |     1..=255 octets in all
//! ```

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use domain::base::name::Name as DomainName;

/// Largest name, in octets, lengths and root included (RFC 1035, section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;
/// Largest label, in octets (RFC 1035, section 2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// An owned name in wire form, lower-cased: what the tables hold.
///
/// Ordered by its wire form, which is a total order but not DNSSEC's canonical one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

/// Why labels or text make no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label without octets; only the root has none.
    #[error("a label is empty; write one to {LABEL_OCTETS_MAX} octets between dots")]
    EmptyLabel,
    /// A label of more than [`LABEL_OCTETS_MAX`] octets.
    #[error("label {label:?} has {octets} octets; at most {LABEL_OCTETS_MAX} fit (RFC 1035, section 2.3.4)")]
    LabelTooLong {
        /// The label, what is not UTF-8 replaced.
        label: String,
        /// Its length.
        octets: usize,
    },
    /// A name of more than [`NAME_OCTETS_MAX`] octets.
    #[error("the name has more than {NAME_OCTETS_MAX} octets (RFC 1035, section 2.3.4); use shorter labels")]
    TooLong,
    /// Text that is no presentation form.
    #[error("{text:?} is no domain name: {reason}")]
    Text {
        /// What was given.
        text: String,
        /// What `domain`'s reader found.
        reason: String,
    },
}

impl Name {
    /// The root, one octet long.
    #[must_use]
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// Makes a name of `labels`, left to right; the root is added.
    ///
    /// # Errors
    ///
    /// [`NameError::EmptyLabel`], [`NameError::LabelTooLong`], [`NameError::TooLong`].
    pub fn from_labels<I, L>(labels: I) -> Result<Self, NameError>
    where
        I: IntoIterator<Item = L>,
        L: AsRef<[u8]>,
    {
        let mut octets = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut octets, label.as_ref())?;
        }
        octets.push(0);
        Self::from_octets(octets)
    }

    /// Puts one label before this name.
    ///
    /// # Errors
    ///
    /// As [`Name::from_labels`].
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        self.prefixed(&[label])
    }

    /// Puts `labels`, left to right, before this name.
    ///
    /// # Errors
    ///
    /// As [`Name::from_labels`].
    pub fn prefixed<L: AsRef<[u8]>>(&self, labels: &[L]) -> Result<Self, NameError> {
        let mut octets = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut octets, label.as_ref())?;
        }
        octets.extend_from_slice(&self.0);
        Self::from_octets(octets)
    }

    /// The name under which `address` is looked up in reverse (RFC 1035, section 3.5; RFC 3596, section 2.5).
    #[must_use]
    pub fn reverse(address: IpAddr) -> Self {
        let labels: Vec<String> = match address {
            IpAddr::V4(v4) => v4.octets().iter().rev().map(u8::to_string).collect(),
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                let nibbles = octets.iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}")).collect()
            }
        };
        let suffix: [&str; 2] = match address {
            IpAddr::V4(_) => ["in-addr", "arpa"],
            IpAddr::V6(_) => ["ip6", "arpa"],
        };
        Self::from_labels(labels.iter().map(String::as_str).chain(suffix))
            .expect("32 one-octet labels and two short ones are 75 octets")
    }

    /// The wire form, lower-cased, root included.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The name as a borrowed one.
    #[must_use]
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }

    /// The labels, left to right, without the root.
    pub fn labels(&self) -> Labels<'_> {
        self.as_ref().labels()
    }

    /// Whether this name is `apex` or lies below it, on a label boundary: `xdocker` is not within `docker`.
    #[must_use]
    pub fn is_within(&self, apex: &Name) -> bool {
        self.as_ref().start_of(apex).is_some()
    }

    /// The name without its first label; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.as_ref().parent().map(|parent| Self(parent.octets().into()))
    }

    fn from_octets(mut octets: Vec<u8>) -> Result<Self, NameError> {
        if octets.len() > NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
        // A length octet is at most 63 and 'A' is 65, so the whole wire form can be folded at once.
        octets.make_ascii_lowercase();
        Ok(Self(octets.into_boxed_slice()))
    }
}

fn push_label(octets: &mut Vec<u8>, label: &[u8]) -> Result<(), NameError> {
    let length = match u8::try_from(label.len()) {
        Ok(0) => return Err(NameError::EmptyLabel),
        Ok(length) if usize::from(length) <= LABEL_OCTETS_MAX => length,
        _ => {
            let label_text = String::from_utf8_lossy(label).into_owned();
            return Err(NameError::LabelTooLong {
                label: label_text,
                octets: label.len(),
            });
        }
    };
    octets.push(length);
    octets.extend_from_slice(label);
    Ok(())
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads the presentation form (RFC 1035, section 5.1), with or without the last dot.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = DomainName::<Vec<u8>>::from_str(text).map_err(|error| NameError::Text {
            text: text.to_owned(),
            reason: error.to_string(),
        })?;
        Self::from_octets(name.into_octets())
    }
}

impl From<NameRef<'_>> for Name {
    /// Copies and lower-cases.
    fn from(name: NameRef<'_>) -> Self {
        Self(name.0.to_ascii_lowercase().into_boxed_slice())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// A name borrowed from the packet that carried it: wire form, case as it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameRef<'p>(&'p [u8]);

/// Why the octets at the front of a question are no name. `Copy`: it is made on the query path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// The octets end inside the name.
    Truncated,
    /// A compression pointer or one of the reserved label types (RFC 1035, section 4.1.4; RFC 6891, section 5).
    LabelType,
    /// More than [`NAME_OCTETS_MAX`] octets.
    TooLong,
}

impl<'p> NameRef<'p> {
    /// The root.
    pub const ROOT: Self = Self(&[0]);

    /// Splits an uncompressed name off the front of `body`, and returns the octets after it as well.
    ///
    /// # Errors
    ///
    /// - [`SplitError::Truncated`]: `body` ends inside the name.
    /// - [`SplitError::LabelType`]: a length octet above 63. Before a message's first question there is
    ///   nothing valid that a pointer could mean.
    /// - [`SplitError::TooLong`]: more than [`NAME_OCTETS_MAX`] octets.
    pub fn split(body: &'p [u8]) -> Result<(Self, &'p [u8]), SplitError> {
        let mut end = 0_usize;
        loop {
            let length = usize::from(*body.get(end).ok_or(SplitError::Truncated)?);
            if length > LABEL_OCTETS_MAX {
                return Err(SplitError::LabelType);
            }
            end += 1 + length;
            if end > NAME_OCTETS_MAX {
                return Err(SplitError::TooLong);
            }
            if length == 0 {
                let (name, rest) = body.split_at_checked(end).ok_or(SplitError::Truncated)?;
                return Ok((Self(name), rest));
            }
        }
    }

    /// The wire form, root included, case as it was sent.
    #[must_use]
    pub fn octets(self) -> &'p [u8] {
        self.0
    }

    /// The labels, left to right, without the root.
    pub fn labels(self) -> Labels<'p> {
        Labels(self.0)
    }

    /// The name without its first label; none for the root.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let (length, rest) = self.0.split_first()?;
        let parent = rest.get(usize::from(*length)..)?;
        (*length > 0).then_some(Self(parent))
    }

    /// Where `apex` begins inside this name, in octets; none when this name is not `apex` nor below it.
    ///
    /// Compares without case, on label boundaries.
    #[must_use]
    pub fn start_of(self, apex: &Name) -> Option<usize> {
        let start = self.0.len().checked_sub(apex.0.len())?;
        let mut boundary = 0;
        while boundary < start {
            boundary += 1 + usize::from(*self.0.get(boundary)?);
        }
        let suffix = self.0.get(start..)?;
        (boundary == start && suffix.eq_ignore_ascii_case(&apex.0)).then_some(start)
    }
}

impl fmt::Display for NameRef<'_> {
    /// Presentation form without the last dot, what is not printable escaped (RFC 1035, section 5.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DomainName::from_octets(self.0) {
            Ok(name) => name.fmt(f),
            Err(_) => f.write_str("<not a name>"),
        }
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameRef({self})")
    }
}

/// The labels of a name, left to right, without the root.
#[derive(Clone)]
pub struct Labels<'p>(&'p [u8]);

impl<'p> Iterator for Labels<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        let (&length, rest) = self.0.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(label)
    }
}

/// A lower-cased copy of a packet's name on the stack: what the tables are asked with.
pub struct Folded {
    octets: [u8; NAME_OCTETS_MAX],
    length: usize,
}

impl Folded {
    /// Copies and lower-cases `name`.
    #[must_use]
    pub fn new(name: NameRef<'_>) -> Self {
        let mut folded = Self {
            octets: [0; NAME_OCTETS_MAX],
            length: name.0.len().min(NAME_OCTETS_MAX),
        };
        for (to, from) in folded.octets.iter_mut().zip(name.0) {
            *to = from.to_ascii_lowercase();
        }
        folded
    }

    /// The wire form, lower-cased, root included.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// The copy as a borrowed name.
    #[must_use]
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(self.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_labels_make_the_same_lower_cased_name() {
        let labels = Name::from_labels(["Redis1", "redis", "DEV", "docker"]).unwrap();
        assert_eq!(labels, name("redis1.REDIS.dev.docker."));
        assert_eq!(labels.octets(), b"\x06redis1\x05redis\x03dev\x06docker\x00");
        assert_eq!(labels.to_string(), "redis1.redis.dev.docker");
    }

    #[test]
    fn limits_hold_for_labels_and_names() {
        assert!(name("docker").child(&[b'a'; 63]).is_ok());
        assert!(matches!(
            name("docker").child(&[b'a'; 64]),
            Err(NameError::LabelTooLong { octets: 64, .. })
        ));
        assert_eq!(name("docker").child(b""), Err(NameError::EmptyLabel));
        let four = [[b'a'; 62]; 4];
        assert_eq!(Name::from_labels(four).unwrap().octets().len(), 253);
        assert_eq!(
            Name::from_labels(four)
                .unwrap()
                .child(b"a")
                .unwrap()
                .octets()
                .len(),
            255
        );
        assert_eq!(
            Name::from_labels(four).unwrap().child(b"aa"),
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn a_name_that_only_ends_alike_is_not_within() {
        assert!(name("redis.dev.docker").is_within(&name("docker")));
        assert!(name("docker").is_within(&name("docker")));
        assert!(!name("xdocker").is_within(&name("docker")));
        assert!(!name("docker").is_within(&name("dev.docker")));
        // The octet 0x06 inside a label must not pass for the length of `docker`.
        let trap = Name::from_labels([b"a\x06docker".as_slice()]).unwrap();
        assert!(!trap.is_within(&name("docker")));
    }

    #[test]
    fn reverse_names_follow_their_rfcs() {
        assert_eq!(
            Name::reverse("172.17.0.4".parse().unwrap()),
            name("4.0.17.172.in-addr.arpa")
        );
        let v6 = Name::reverse("2001:db8::567:89ab".parse().unwrap());
        // RFC 3596, section 2.5, with its own example's shape.
        assert_eq!(
            v6,
            name("b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")
        );
    }

    #[test]
    fn split_refuses_pointers_reserved_types_and_short_octets() {
        assert_eq!(NameRef::split(b"").unwrap_err(), SplitError::Truncated);
        assert_eq!(NameRef::split(b"\x03de").unwrap_err(), SplitError::Truncated);
        assert_eq!(NameRef::split(b"\x03dev").unwrap_err(), SplitError::Truncated);
        for length in [0x40, 0x41, 0x80, 0xc0] {
            assert_eq!(NameRef::split(&[length, 12]).unwrap_err(), SplitError::LabelType);
        }
        let mut long: Vec<u8> = std::iter::repeat_n([1, b'a'], 127).flatten().collect();
        assert_eq!(NameRef::split(&long).unwrap_err(), SplitError::Truncated);
        long.push(0);
        assert_eq!(NameRef::split(&long).unwrap().0.octets().len(), 255);
        long.splice(0..0, [1, b'a']);
        assert_eq!(NameRef::split(&long).unwrap_err(), SplitError::TooLong);
    }

    #[test]
    fn octets_that_are_no_text_are_escaped_when_shown() {
        let odd = Name::from_labels([b"a.b\0".as_slice(), b"x"]).unwrap();
        assert_eq!(odd.to_string(), r"a\.b\000.x");
    }
}
