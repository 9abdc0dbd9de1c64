//! The zones we are authoritative for, and whose SOA a negative answer has.

use std::net::IpAddr;
use std::sync::Arc;

use super::entry::Answer;
use crate::name::{Name, NameRef};
use crate::record::{Record, RecordData, RrSet, Soa, View};
use crate::wire::RType;

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
    /// Where the primary server is reached: the addresses of its name if that is in the zone, and what goes along with
    /// the NS record.
    pub addresses: Vec<IpAddr>,
    /// Time to live of the NS record and of the addresses, in seconds.
    pub ttl_seconds: u32,
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
            addresses: Vec::new(),
            ttl_seconds,
            negative_ttl_seconds,
            matches_endpoints: true,
        }
    }

    /// The same zone, whose primary server is reached at `addresses`.
    #[must_use]
    pub fn served_at(self, addresses: Vec<IpAddr>) -> Self {
        Self { addresses, ..self }
    }

    /// What stands at the primary server's name: its addresses, by family.
    pub(super) fn glue(&self) -> Vec<RrSet> {
        let rrset = |is_ipv4: bool| {
            let family = self
                .addresses
                .iter()
                .filter(|address| address.is_ipv4() == is_ipv4);
            let records: Vec<_> = family.map(|address| RecordData::from(*address)).collect();
            (!records.is_empty()).then_some(RrSet {
                view: View::EVERYONE,
                ttl_seconds: self.ttl_seconds,
                until: None,
                records,
                additional: Vec::new(),
            })
        };
        [true, false].into_iter().filter_map(rrset).collect()
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
    servers: Arc<Servers>,
    /// Names in it that are not stored are matched with endpoints.
    pub(super) matches_endpoints: bool,
}

/// The NS record of a zone and the addresses that go along with it. Zones of one server share them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Servers {
    answer: Vec<u8>,
    additional: Vec<u8>,
    additional_records: u16,
}

impl Servers {
    pub(super) fn of(settings: &ZoneSettings) -> Self {
        let (mut answer, mut additional) = (Vec::new(), Vec::new());
        RecordData::Ns(settings.primary.clone()).compose(settings.ttl_seconds, &mut answer);
        for address in &settings.addresses {
            let record = Record {
                owner: settings.primary.clone(),
                ttl_seconds: settings.ttl_seconds,
                data: RecordData::from(*address),
            };
            record.compose(&mut additional);
        }
        Self {
            answer,
            additional,
            additional_records: u16::try_from(settings.addresses.len()).unwrap_or(u16::MAX),
        }
    }
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
    fn new((settings, servers): &(ZoneSettings, Arc<Servers>), serial: u32) -> Self {
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
            servers: servers.clone(),
            matches_endpoints,
        }
    }

    /// The zone's name.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// What is said to a question for NS at the apex.
    pub(super) fn servers(&self) -> Answer<'_> {
        let Servers {
            answer,
            additional,
            additional_records,
        } = &*self.servers;
        Answer {
            rtype: RType::NS,
            view: View::EVERYONE,
            records: 1,
            additional_records: *additional_records,
            stride: 0,
            until: None,
            answer,
            additional,
        }
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
    pub(super) fn of(settings: &[(ZoneSettings, Arc<Servers>)], serial: u32) -> Self {
        let mut zones: Vec<Zone> = settings.iter().map(|zone| Zone::new(zone, serial)).collect();
        zones.sort_by(|a, b| a.apex.cmp(&b.apex));
        let mut depths: Vec<usize> = zones.iter().map(|zone| zone.apex.labels().count()).collect();
        depths.sort_unstable_by(|a, b| b.cmp(a));
        depths.dedup();
        let first = settings
            .first()
            .and_then(|(first, _)| zones.iter().position(|zone| zone.apex == first.apex));
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
        let settings = apexes.map(|apex| {
            let settings = ZoneSettings::of(apex.parse().unwrap(), 30);
            let servers = Arc::new(Servers::of(&settings));
            (settings, servers)
        });
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
