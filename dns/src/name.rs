//! Domain names: owned and lower-cased where we make them, borrowed and untouched where a packet holds them.
//!
//! Wire form (RFC 1035, section 3.1), as both types hold it, always uncompressed:
//!
//! ```text
//! | length: u8, 1..=63 | label: length octets | ... | 0: the root |     1..=255 octets in all
//! ```

mod borrowed;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use domain::base::name::Name as DomainName;

pub use self::borrowed::{Folded, Labels, NameRef, SplitError};

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
    fn octets_that_are_no_text_are_escaped_when_shown() {
        let odd = Name::from_labels([b"a.b\0".as_slice(), b"x"]).unwrap();
        assert_eq!(odd.to_string(), r"a\.b\000.x");
    }
}
