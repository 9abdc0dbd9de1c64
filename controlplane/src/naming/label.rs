//! Words made into labels.

use std::borrow::Cow;
use std::fmt;

use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;

use crate::service::Service;

/// Whole labels that mean the protocol in `_port._proto.name`. Like those that mean "any label" in a question, nothing
/// may be called so: nobody could ask for it alone, and its owner would seem to own others' names.
const PROTOCOLS: [&str; 3] = ["_tcp", "_udp", "_sctp"];

/// What stands behind a label that would mean something else than a name.
const RESERVED_SUFFIX: &str = "-1";

/// A word of a service that could not be its label as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Which label it became.
    pub kind: Kind,
    /// As the source gave it.
    pub word: String,
    /// As it can be asked for.
    pub label: String,
}

/// The labels of the grammar, right to left, and that of Compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// First label left of the zone.
    Environment,
    /// Second.
    Service,
    /// Third.
    Instance,
    /// Fourth.
    Region,
    /// Fifth.
    Host,
    /// Sixth.
    Uuid,
    /// Second in the names of Compose.
    Project,
}

/// Whether `pattern`, labels of the grammar from right to left, means `service`: each is that of the service in its
/// place, or stands for any.
pub(crate) fn is_meant<'p>(pattern: impl IntoIterator<Item = &'p [u8]>, service: &Service) -> bool {
    let mut places = pattern.into_iter().zip(Kind::GRAMMAR);
    places.all(|(wanted, kind)| {
        is_wildcard(wanted) || label(&kind.word(service)).is_some_and(|label| label.as_bytes() == wanted)
    })
}

/// Makes one label of a word; none if the word is empty.
///
/// ASCII letters become lower-case; dots, which would part labels, and control characters, which no terminal
/// shows, become hyphens; more than 63 octets are cut there, or before the character that crosses it; and a
/// word that would mean any label, or a protocol, gets `-1` behind it. All else is kept: a label may hold any octet (RFC
/// 2181, section 11).
#[must_use]
pub fn label(word: &str) -> Option<Cow<'_, str>> {
    let is_plain = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let label = if word.len() <= LABEL_OCTETS_MAX && word.bytes().all(is_plain) {
        // Nearly every word, and every uuid; a change in a large environment asks for thousands of these.
        Cow::Borrowed(word)
    } else {
        let mapped = word.chars().map(|c| match c {
            '.' => '-',
            c if c.is_control() => '-',
            c => c.to_ascii_lowercase(),
        });
        let mut label: String = mapped.collect();
        label.truncate(label.floor_char_boundary(LABEL_OCTETS_MAX));
        Cow::Owned(label)
    };
    if is_wildcard(label.as_bytes()) || PROTOCOLS.contains(&&*label) {
        return Some(Cow::Owned(label.into_owned() + RESERVED_SUFFIX));
    }
    (!label.is_empty()).then_some(label)
}

impl Kind {
    /// In the order of [`Endpoint::labels`].
    pub(super) const GRAMMAR: [Self; 6] = [
        Self::Environment,
        Self::Service,
        Self::Instance,
        Self::Region,
        Self::Host,
        Self::Uuid,
    ];

    /// Its word; a service that is in no project has none.
    pub(super) fn word(self, service: &Service) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Environment => &service.environment,
            Self::Service => &service.service,
            Self::Instance => &service.instance,
            Self::Region => &service.region,
            Self::Host => return Cow::Owned(service.host()),
            Self::Uuid => &service.uuid,
            Self::Project => service.compose.as_ref().map_or("", |compose| &compose.project),
        })
    }

    /// What to tell whoever knows `word` and would be surprised by `label`.
    ///
    /// Case never matters in DNS, and a host with hyphens for dots is what the grammar promises.
    pub(super) fn mapping(self, word: &str, label: &str) -> Option<Mapping> {
        let is_surprise = self != Self::Host && !word.eq_ignore_ascii_case(label);
        is_surprise.then(|| Mapping {
            kind: self,
            word: word.to_owned(),
            label: label.to_owned(),
        })
    }

    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Environment => "give --environment a word",
            Self::Region => "give --region a word",
            Self::Service | Self::Instance | Self::Host | Self::Uuid | Self::Project => {
                "this comes from the engine: look at it with docker inspect"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Service => "service (of Compose, or the image's name)",
            Self::Instance => "instance (container name)",
            Self::Region => "region",
            Self::Host => "host",
            Self::Uuid => "uuid",
            Self::Project => "project (of Compose)",
        })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} is no DNS label; ask for {:?}",
            self.kind, self.word, self.label
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_label(word: &str, expected: Option<&str>) {
        assert_eq!(label(word).as_deref(), expected, "{word:?}");
    }

    #[test]
    fn what_would_part_or_break_a_label_becomes_a_hyphen() {
        check_label("Web.1", Some("web-1"));
        check_label("a\nb\u{7f}c\u{85}d", Some("a-b-c-d"));
        check_label("under_score kept", Some("under_score kept"));
        check_label("grün", Some("grün"));
        check_label("", None);
    }

    #[test]
    fn a_label_ends_at_63_octets_and_never_inside_a_character() {
        check_label(&"a".repeat(63), Some(&"a".repeat(63)));
        check_label(&"a".repeat(64), Some(&"a".repeat(63)));
        check_label(&format!("{}ü", "a".repeat(62)), Some(&"a".repeat(62)));
    }

    #[test]
    fn nothing_is_called_by_a_wildcard_or_a_protocol() {
        check_label("*", Some("*-1"));
        check_label("ANY", Some("any-1"));
        check_label("all", Some("all-1"));
        check_label("all-of-it", Some("all-of-it"));
        check_label("_TCP", Some("_tcp-1"));
        check_label("_http", Some("_http"));
        check_label("*.web", Some("*-web"));
    }
}
