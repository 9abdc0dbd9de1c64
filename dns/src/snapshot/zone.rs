//! The zones we are authoritative for, and whose SOA a negative answer has.

use crate::name::{Name, NameRef};
use crate::record::Soa;

/// Labels of the longest name: 127 of one octet.
const LABELS_MAX: usize = 127;

/// Seconds that a name's absence may be remembered: a container may be started the next moment.
const NEGATIVE_TTL_SECONDS: u32 = 5;

/// A zone to be authoritative for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSettings {
    /// The zone's name.
    pub apex: Name,
    /// MNAME of the SOA.
    pub primary: Name,
    /// RNAME of the SOA.
    pub mailbox: Name,
    /// Time that a name's absence may be remembered, in seconds: TTL and MINIMUM of the SOA.
    pub negative_ttl_seconds: u32,
    /// Names in the zone that are not stored are matched with endpoints, by SkyDNS's grammar.
    pub matches_endpoints: bool,
}

impl ZoneSettings {
    /// The zone `apex` as SkyDNS and CoreDNS describe theirs: primary server `ns.dns.<apex>`, mailbox
    /// `hostmaster.<apex>`, absence remembered for five seconds or `ttl_seconds`, whichever is less.
    #[must_use]
    pub fn of(apex: Name, ttl_seconds: u32) -> Self {
        // An apex too long to have these names below it describes itself.
        let primary = apex.prefixed(&["ns", "dns"]).unwrap_or_else(|_| apex.clone());
        let mailbox = apex.prefixed(&["hostmaster"]).unwrap_or_else(|_| apex.clone());
        let negative_ttl_seconds = ttl_seconds.min(NEGATIVE_TTL_SECONDS);
        Self {
            apex,
            primary,
            mailbox,
            negative_ttl_seconds,
            matches_endpoints: true,
        }
    }

    /// The zone `apex` of reverse names, of the same server as `self`.
    #[must_use]
    pub fn reverse(&self, apex: Name) -> Self {
        Self {
            apex,
            matches_endpoints: false,
            ..self.clone()
        }
    }
}

/// A zone that we are authoritative for.
#[derive(Debug, PartialEq, Eq)]
pub struct Zone {
    apex: Name,
    soa_after_owner: Box<[u8]>,
    /// Names in it that are not stored are matched with endpoints.
    pub(super) matches_endpoints: bool,
}

/// Whose SOA stands in a negative answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial<'s> {
    /// Octets of the SOA's owner name, which ends the question's name.
    pub owner_octets: usize,
    /// The SOA record but for its owner.
    pub soa_after_owner: &'s [u8],
}

/// All zones.
///
/// Invariants, made by [`Zones::of`], relied on by [`Zones::around`]:
/// - `sorted`: zones are in the order of their apexes, so one is found by halving.
/// - `depths`: every number of labels that an apex has, most first, so the innermost zone is found first.
pub(super) struct Zones {
    zones: Box<[Zone]>,
    depths: Box<[usize]>,
    /// Place of the zone that was given first.
    first: usize,
}

impl Zone {
    fn new(settings: &ZoneSettings, serial: u32) -> Self {
        let soa = Soa {
            primary: &settings.primary,
            mailbox: &settings.mailbox,
            serial,
            negative_ttl_seconds: settings.negative_ttl_seconds,
        };
        let mut soa_after_owner = Vec::with_capacity(64);
        soa.compose_after_owner(&mut soa_after_owner);
        let (apex, matches_endpoints) = (settings.apex.clone(), settings.matches_endpoints);
        Self {
            apex,
            soa_after_owner: soa_after_owner.into_boxed_slice(),
            matches_endpoints,
        }
    }

    /// The zone's name.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// A negative answer's SOA.
    #[must_use]
    pub fn denial(&self) -> Denial<'_> {
        Denial {
            owner_octets: self.apex.octets().len(),
            soa_after_owner: &self.soa_after_owner,
        }
    }
}

impl Zones {
    pub(super) fn of(settings: &[ZoneSettings], serial: u32) -> Self {
        let mut zones: Vec<Zone> = settings.iter().map(|zone| Zone::new(zone, serial)).collect();
        zones.sort_by(|a, b| a.apex.cmp(&b.apex));
        let mut depths: Vec<usize> = zones.iter().map(|zone| zone.apex.labels().count()).collect();
        depths.sort_unstable_by(|a, b| b.cmp(a));
        depths.dedup();
        let first = settings
            .first()
            .and_then(|first| zones.iter().position(|zone| zone.apex == first.apex));
        Self {
            zones: zones.into(),
            depths: depths.into(),
            first: first.unwrap_or(0),
        }
    }

    /// The innermost zone that `name`, lower-cased, is in, and where its apex begins in the name, in octets.
    ///
    /// Bounded by the number of depths, not of zones: there are a few, and reverse zones by the dozen.
    pub(super) fn around(&self, name: NameRef<'_>) -> Option<(&Zone, usize)> {
        let mut starts = [0_u8; LABELS_MAX];
        let mut labels = 0;
        let mut start = 0;
        for (slot, label) in starts.iter_mut().zip(name.labels()) {
            *slot = u8::try_from(start).ok()?;
            start += 1 + label.len();
            labels += 1;
        }
        self.depths.iter().find_map(|depth| {
            let start = usize::from(*starts.get(..labels)?.get(labels.checked_sub(*depth)?)?);
            let suffix = name.octets().get(start..)?;
            let place = self
                .zones
                .binary_search_by(|zone| zone.apex.octets().cmp(suffix))
                .ok()?;
            Some((self.zones.get(place)?, start))
        })
    }

    /// The SOA for `name`, which is ours and in no zone: a zone of its own, of the server of the first zone.
    pub(super) fn denial_outside(&self, name: NameRef<'_>) -> Option<Denial<'_>> {
        let zone = self.zones.get(self.first)?;
        Some(Denial {
            owner_octets: name.octets().len(),
            ..zone.denial()
        })
    }

    /// All of them, in the order of their apexes.
    pub(super) fn as_slice(&self) -> &[Zone] {
        &self.zones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_around_a_name_ends_on_a_label_boundary() {
        let apexes = [
            "docker",
            "17.172.in-addr.arpa",
            "18.172.in-addr.arpa",
            "lab.example",
        ];
        let settings = apexes.map(|apex| ZoneSettings::of(apex.parse().unwrap(), 30));
        let zones = Zones::of(&settings, 1);
        let around = |name: &str| {
            let name: Name = name.parse().unwrap();
            zones
                .around(name.as_ref())
                .map(|(zone, start)| (zone.apex().to_string(), start))
        };
        assert_eq!(around("docker"), Some(("docker".to_owned(), 0)));
        assert_eq!(around("a.bc.docker"), Some(("docker".to_owned(), 5)));
        assert_eq!(
            around("1.0.18.172.in-addr.arpa"),
            Some(("18.172.in-addr.arpa".to_owned(), 4))
        );
        for outside in ["xdocker", "example", "19.172.in-addr.arpa", "arpa", "."] {
            assert_eq!(around(outside), None, "{outside}");
        }
        let trap = Name::from_labels([b"a\x06docker".as_slice()]).unwrap();
        assert!(zones.around(trap.as_ref()).is_none());
        let longest = Name::from_labels([b"a"; 127]).unwrap();
        assert!(zones.around(longest.as_ref()).is_none());
    }
}
