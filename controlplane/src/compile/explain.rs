//! Why a name is answered as it is: who stands at it, and who of them answers.

use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use dns::snapshot::{GRAMMAR_LABELS, Tier, is_wildcard};
use dns::{Name, Port, Protocol, RType};

use super::audience::Audience;
use super::owner::{Verdict, of_several, verdict};
use super::{Compiler, Holder};
use crate::naming::{Role, is_meant, networks_calling};
use crate::service::{Service, Source};

/// Services that an explanation names; of more it gives the number.
pub const CANDIDATES_MAX: usize = 100;

/// Place of the region among the labels of a pattern, from the right.
const REGION: usize = 3;

/// What a name is to us, and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The zone of ours that it lies in, be it one of reverse names.
    pub zone: Option<Name>,
    /// How it is found.
    pub way: Way,
    /// The network of ours that the client is in.
    pub network: Option<(Source, ArcStr)>,
    /// Who carries a name outside our zones at which nobody stands, at most [`CANDIDATES_MAX`].
    pub holders: Vec<Holder>,
    /// Everybody who stands there, those who answer first, at most [`CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
    /// How many they are in all.
    pub candidates_in_all: usize,
}

/// How a name is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Services stand at this very name.
    Name,
    /// It is `_port._proto` of this name.
    Port(Name),
    /// It has labels that stand for any, or more than three, and is compared with every service.
    Pattern,
    /// It is covered by this wildcard owner (RFC 4592).
    Wildcard(Name),
    /// It is our own server's, whoever else is called so.
    Server,
    /// It is, or is covered by, this name outside our zones, which is ours though nobody stands there.
    Held(Name),
    /// Nobody stands there.
    Nobody,
}

/// A service at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub service: Arc<Service>,
    /// Why it stands there; none where it was found as one of a pattern.
    pub role: Option<Role>,
    /// Whether it answers.
    pub verdict: Verdict,
    /// Its addresses for this client.
    pub addresses: Vec<IpAddr>,
}

/// A service that stands at a name; why, where that is by a name of its own; and whether it answers.
type Standing<'c> = (&'c Arc<Service>, Option<Role>, Verdict);

impl Compiler {
    /// Why `name` is answered as it is when `client` asks for records of `qtype`.
    ///
    /// It takes the ways of [`dns::Snapshot::lookup`], in the same order. For a person: a pattern is compared with every
    /// service, word by word.
    #[must_use]
    pub fn explain(&self, name: &Name, qtype: RType, client: IpAddr) -> Explanation {
        let network = self.networks.of_client(client);
        let (way, mut candidates) = self.found(name, qtype);
        for_neighbours(&mut candidates, name, network.as_ref());
        candidates.sort_by(|(a, _, one), (b, _, other)| (one, &a.id).cmp(&(other, &b.id)));
        let candidates_in_all = candidates.len();
        let candidates = candidates.into_iter().take(CANDIDATES_MAX);
        let audience = match &network {
            Some((source, network)) => Audience::Network(source, network),
            None if self.networks.is_outside(client) => Audience::Outside(self.networks.published()),
            None => Audience::Everyone,
        };
        let reverse_zones = self.reverse_zones.iter().filter(|zone| name.is_within(zone));
        let reverse_zone = reverse_zones.max_by_key(|zone| zone.labels().count());
        let holders = match &way {
            Way::Held(held) => self.held.holders(held).take(CANDIDATES_MAX).cloned().collect(),
            _ => Vec::new(),
        };
        Explanation {
            zone: self.naming.zone_of(name).or(reverse_zone).cloned(),
            way,
            holders,
            candidates: candidates
                .map(|(service, role, verdict)| Candidate {
                    addresses: audience.addresses(service).collect(),
                    service: service.clone(),
                    role,
                    verdict,
                })
                .collect(),
            candidates_in_all,
            network,
        }
    }

    /// The first way that fits.
    fn found(&self, name: &Name, qtype: RType) -> (Way, Vec<Standing<'_>>) {
        if self.servers.contains(name) {
            let mut called_so = self.standing_at(name).unwrap_or_default();
            called_so
                .iter_mut()
                .for_each(|(.., verdict)| *verdict = Verdict::OurServer);
            return (Way::Server, called_so);
        }
        let here = self.standing_at(name);
        if self.builder.exists(name) {
            return match (here, self.listening(name)) {
                (Some(here), _) => (Way::Name, here),
                (None, Some((owner, listening))) => (Way::Port(owner), listening),
                (None, None) if self.is_held(name) => (Way::Held(name.clone()), Vec::new()),
                (None, None) => (Way::Nobody, Vec::new()),
            };
        }
        let otherwise = self.matching(name, qtype).or_else(|| self.covering(name));
        // A name that several projects contest is not there, and one of a port may have nobody who listens.
        let lost = here.map(|here| (Way::Name, here));
        let unheard = || Some((Way::Port(port_of(name)?.1), Vec::new()));
        otherwise
            .or(lost)
            .or_else(|| unheard().filter(|(way, _)| matches!(way, Way::Port(owner) if self.is_owned(owner))))
            .unwrap_or((Way::Nobody, Vec::new()))
    }

    fn standing_at(&self, name: &Name) -> Option<Vec<Standing<'_>>> {
        let verdicts = self.owners.get(name)?.verdicts().into_iter();
        Some(
            verdicts
                .map(|(service, role, verdict)| (service, Some(role), verdict))
                .collect(),
        )
    }

    /// Who listens on the port that `name` is of, and the name that it is below.
    fn listening(&self, name: &Name) -> Option<(Name, Vec<Standing<'_>>)> {
        let ((protocol, number), owner) = port_of(name)?;
        let listens = |(service, role, verdict): &Standing<'_>| {
            role.is_some_and(Role::has_ports)
                && !matches!(verdict, Verdict::Outranked(_) | Verdict::Contested)
                && service.ports.contains(&Port { protocol, number })
        };
        let mut listening = self.standing_at(&owner)?;
        listening.retain(listens);
        (!listening.is_empty()).then_some((owner, listening))
    }

    /// The services that `name` means as a pattern.
    fn matching(&self, name: &Name, qtype: RType) -> Option<(Way, Vec<Standing<'_>>)> {
        let pattern = self.pattern(name)?;
        // What begins with an underscore is a port that is not there, unless something is called so.
        let is_port = |label: &&[u8]| {
            label.starts_with(b"_") && {
                let in_place = |place| std::iter::repeat_n(b"*".as_slice(), place).chain([*label]);
                let is_called_so =
                    |service| (0..GRAMMAR_LABELS).any(|place| is_meant(in_place(place), service));
                !self.named.keys().any(|member| is_called_so(&*member.0))
            }
        };
        if pattern.get(REGION).is_some_and(is_port) {
            return None;
        }
        let mut open = pattern.clone();
        open.get_mut(REGION).into_iter().for_each(|region| *region = b"*");
        let of = |pattern: &[&[u8]]| -> Vec<&Arc<Service>> {
            let members = self.named.keys().map(|member| &member.0);
            members
                .filter(|service| is_meant(pattern.iter().copied(), service))
                .collect()
        };
        // A region without services still has its name: SRV answers with the other regions.
        let (here, anywhere) = (of(&pattern), of(&open));
        if anywhere.is_empty() {
            return None;
        }
        let falls_back = match qtype {
            RType::SRV => true,
            RType::ANY => here.iter().all(|service| service.addresses.is_empty()),
            _ => false,
        };
        // What means one by its instance or uuid is answered whatever its health.
        let means_one = [2, 5]
            .iter()
            .any(|place| pattern.get(*place).is_some_and(|label| !is_wildcard(label)));
        let role = if means_one { Role::Instance } else { Role::Service };
        let asked = if falls_back { &anywhere } else { &here };
        let some_ready = asked.iter().any(|service| service.tier() == Tier::Ready);
        let standing = anywhere.iter().map(|service| {
            let is_asked = falls_back || is_meant(pattern.iter().copied(), service);
            let verdict = match is_asked {
                true => verdict(role, service.tier(), some_ready),
                false => Verdict::OtherRegion,
            };
            (*service, None, verdict)
        });
        Some((Way::Pattern, standing.collect()))
    }

    /// The wildcard owner that covers `name`, below the closest encloser (RFC 4592, section 3.3.1), and who stands there.
    fn covering(&self, name: &Name) -> Option<(Way, Vec<Standing<'_>>)> {
        let mut encloser = name.parent();
        while let Some(around) = encloser {
            if let Ok(owner) = around.child(b"*")
                && self.builder.exists(&owner)
            {
                return match self.standing_at(&owner) {
                    Some(standing) => Some((Way::Wildcard(owner), standing)),
                    None => self.is_held(&owner).then(|| (Way::Held(owner), Vec::new())),
                };
            }
            if self.builder.exists(&around) {
                return None;
            }
            encloser = around.parent();
        }
        None
    }

    /// The labels of a name in our zone, right to left, if it is one that is compared with every service.
    fn pattern<'n>(&self, name: &'n Name) -> Option<Vec<&'n [u8]>> {
        let zone = self.naming.zone_of(name)?;
        let own = name.labels().count() - zone.labels().count();
        let mut labels: Vec<&[u8]> = name.labels().take(own).collect();
        labels.reverse();
        let is_pattern = own > 3 || labels.iter().any(|label| is_wildcard(label));
        (is_pattern && own <= GRAMMAR_LABELS).then_some(labels)
    }
}

/// Puts right who answers at a name that is an alias on networks: those on the client's who can do their work.
fn for_neighbours(candidates: &mut [Standing<'_>], name: &Name, network: Option<&(Source, ArcStr)>) {
    let is_called_so = |service: &Service| {
        network.is_some_and(|(source, network)| {
            *source == service.id.source && networks_calling(service, name).contains(&**network)
        })
    };
    let is_alias = |role: Option<Role>, verdict: Verdict| {
        role == Some(Role::NetworkAlias) && verdict == Verdict::Answers
    };
    let mut there = candidates
        .iter()
        .filter(|(service, role, verdict)| is_alias(*role, *verdict) && is_called_so(service));
    let some_ready = there.any(|(service, ..)| service.tier() == Tier::Ready);
    for (service, role, verdict) in candidates {
        if is_alias(*role, *verdict) {
            *verdict = match is_called_so(service) {
                true => of_several(service.tier(), some_ready),
                false => Verdict::OtherNetwork,
            };
        }
    }
}

/// The port that `name` is of, and the name below which it stands.
fn port_of(name: &Name) -> Option<((Protocol, u16), Name)> {
    let mut labels = name.labels();
    let digits = std::str::from_utf8(labels.next()?.strip_prefix(b"_")?).ok()?;
    // As it is written: without zeros or a sign before it.
    let number = digits
        .parse()
        .ok()
        .filter(|number: &u16| number.to_string() == digits)?;
    let protocol = labels.next()?;
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|known| known.label().as_bytes() == protocol)?;
    Some(((protocol, number), name.parent()?.parent()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Trouble;
    use crate::compile::tests::{came, compiler};
    use crate::fixture::{addresses, name, network, on, service, source};
    use crate::naming::Naming;
    use crate::service::{Compose, Health, Wishes};

    /// How a name is found, and who stands there with which verdict.
    fn check(compiler: &Compiler, text: &str, way: &Way, expected: &[(&str, Verdict)]) {
        let explanation = compiler.explain(&name(text), RType::A, [127, 0, 0, 1].into());
        let got: Vec<_> = explanation
            .candidates
            .iter()
            .map(|candidate| (&*candidate.service.instance, candidate.verdict))
            .collect();
        assert_eq!((&explanation.way, &*got), (way, expected), "{text}");
    }

    #[test]
    fn an_explanation_names_the_way_and_everybody_who_stands_there() {
        let mut compiler = compiler();
        let sick = Service {
            health: Health::Unhealthy,
            ..service("e", "web1")
        };
        let starting = Service {
            health: Health::Starting,
            ..service("e", "web2")
        };
        for service in [&sick, &starting, &service("e", "web3")] {
            compiler.apply(&came(service));
        }
        compiler.compile();
        let all = [
            ("web3", Verdict::Answers),
            ("web2", Verdict::Starting),
            ("web1", Verdict::Unhealthy),
        ];
        check(&compiler, "web.dev.docker", &Way::Name, &all);
        check(&compiler, "web.*.docker", &Way::Pattern, &all);
        check(
            &compiler,
            "_80._tcp.web.dev.docker",
            &Way::Port(name("web.dev.docker")),
            &all,
        );
        check(
            &compiler,
            "_81._tcp.web.dev.docker",
            &Way::Port(name("web.dev.docker")),
            &[],
        );
        check(
            &compiler,
            "web1.docker",
            &Way::Name,
            &[("web1", Verdict::Answers)],
        );
        check(
            &compiler,
            "web1.*.dev.docker",
            &Way::Pattern,
            &[("web1", Verdict::Answers)],
        );
        check(&compiler, "nobody.docker", &Way::Nobody, &[]);
        check(&compiler, "www.example.net", &Way::Nobody, &[]);
    }

    fn wishing(instance: &str, names: &[&str]) -> Service {
        Service {
            wishes: Some(Box::new(Wishes {
                names: names.iter().copied().map(name).collect(),
                ..Wishes::default()
            })),
            ..service("e", instance)
        }
    }

    // RFC 4592, section 3.3.1: the closest encloser is the longest existing ancestor.
    #[test]
    fn no_wildcard_covers_what_lies_below_a_name_that_is_there() {
        let mut compiler = compiler();
        compiler.apply(&came(&wishing("star", &["*.shop.docker"])));
        compiler.apply(&came(&wishing("api", &["api.shop.docker"])));
        compiler.compile();
        let star = Way::Wildcard(name("*.shop.docker"));
        check(
            &compiler,
            "other.shop.docker",
            &star,
            &[("star", Verdict::Answers)],
        );
        check(
            &compiler,
            "x.other.shop.docker",
            &star,
            &[("star", Verdict::Answers)],
        );
        for absent in ["x.api.shop.docker", "shop.docker", "docker"] {
            check(&compiler, absent, &Way::Nobody, &[]);
        }
    }

    #[test]
    fn a_region_without_services_is_answered_for_by_others_where_srv_is_asked_for() {
        let mut compiler = compiler();
        compiler.apply(&came(&service("e", "web1")));
        compiler.compile();
        let asked = name("nowhere.web1.web.dev.docker");
        for (qtype, verdict) in [
            (RType::SRV, Verdict::Answers),
            (RType::A, Verdict::OtherRegion),
            (RType::ANY, Verdict::Answers),
        ] {
            let explanation = compiler.explain(&asked, qtype, [127, 0, 0, 1].into());
            let verdicts: Vec<_> = explanation.candidates.iter().map(|it| it.verdict).collect();
            assert_eq!(
                (explanation.way, verdicts),
                (Way::Pattern, vec![verdict]),
                "{qtype:?}"
            );
        }
        check(&compiler, "_udp.web1.web.dev.docker", &Way::Nobody, &[]);
    }

    #[test]
    fn who_is_called_like_our_own_server_does_not_answer_and_is_told_of_once() {
        let settings = dns::ZoneSettings {
            addresses: vec![[192, 0, 2, 53].into()],
            ..dns::ZoneSettings::of(name("docker"), 30)
        };
        let builder = dns::Builder::new(vec![settings], 7, 0).unwrap();
        let mut compiler = Compiler::new(Naming::new(vec![name("docker")]), builder);
        check(&compiler, "ns.dns.docker", &Way::Server, &[]);
        let of_project = Service {
            compose: Some(Box::new(Compose {
                project: "dns".into(),
                service: "ns".into(),
                number: None,
            })),
            ..service("e", "one")
        };
        compiler.apply(&came(&of_project));
        compiler.apply(&came(&wishing("two", &["ns.dns.docker"])));
        let lost = [("one", Verdict::OurServer), ("two", Verdict::OurServer)];
        check(&compiler, "ns.dns.docker", &Way::Server, &lost);
        let told = Trouble::OurServer(vec!["two".to_owned(), "one".to_owned()]);
        let (snapshot, remarks) = compiler.compile();
        assert_eq!(remarks.troubles, [(name("ns.dns.docker"), told)]);
        assert_eq!(addresses(&snapshot, "ns.dns.docker"), "192.0.2.53");
        compiler.apply(&came(&wishing("two", &["ns.dns.docker"])));
        assert_eq!(compiler.compile().1.troubles, [], "told once");
    }

    #[test]
    fn who_keeps_a_name_outside_our_zones_ours_is_told() {
        let mut compiler = compiler();
        let names = ["shop.example", "*.out.example"].map(name);
        compiler.carried(&source("e"), vec![("stopped".into(), names.into())]);
        compiler.compile();
        for (asked, held) in [
            ("shop.example", "shop.example"),
            ("a.out.example", "*.out.example"),
        ] {
            check(&compiler, asked, &Way::Held(name(held)), &[]);
            let explanation = compiler.explain(&name(asked), RType::A, [127, 0, 0, 1].into());
            assert_eq!(explanation.holders, [(source("e"), "stopped".into())]);
        }
        check(&compiler, "sub.shop.example", &Way::Nobody, &[]);
    }

    #[test]
    fn a_zone_of_reverse_names_is_a_zone_of_ours() {
        let mut compiler = compiler();
        compiler
            .networks(&source("e"), vec![network("front", &["172.17.0.0/16"])])
            .unwrap();
        compiler.compile();
        let zone_of = |text: &str| {
            let explanation = compiler.explain(&name(text), RType::PTR, [127, 0, 0, 1].into());
            explanation.zone.map(|zone| zone.to_string())
        };
        assert_eq!(
            zone_of("77.0.17.172.in-addr.arpa").as_deref(),
            Some("17.172.in-addr.arpa")
        );
        assert_eq!(zone_of("77.0.18.172.in-addr.arpa"), None);
    }

    #[test]
    fn who_lost_a_name_is_told_to_whom() {
        let mut compiler = compiler();
        let of_project = |instance: &str, project: &str| Service {
            compose: Some(Box::new(Compose {
                project: project.into(),
                service: "api".into(),
                number: Some(1),
            })),
            ..service("e", instance)
        };
        compiler.apply(&came(&of_project("one", "shop")));
        compiler.apply(&came(&of_project("two", "blog")));
        compiler.compile();
        let contested = [("one", Verdict::Contested), ("two", Verdict::Contested)];
        check(&compiler, "api.docker", &Way::Name, &contested);
        check(&compiler, "web.dev.docker", &Way::Name, &contested);
        // A container that is called like the environment.
        compiler.apply(&came(&service("e", "dev")));
        compiler.compile();
        let explanation = compiler.explain(&name("dev.docker"), RType::A, [127, 0, 0, 1].into());
        let lost: Vec<_> = explanation
            .candidates
            .iter()
            .filter(|candidate| candidate.role == Some(Role::Container))
            .map(|candidate| candidate.verdict)
            .collect();
        assert_eq!(lost, [Verdict::Outranked(Role::Environment)]);
        assert_eq!(explanation.zone, Some(name("docker")));
    }

    #[test]
    fn the_clients_network_and_the_addresses_on_it_are_told() {
        let mut compiler = compiler();
        let networks = vec![
            network("front", &["10.1.0.0/16"]),
            network("back", &["10.2.0.0/16"]),
        ];
        compiler.networks(&source("e"), networks).unwrap();
        let both = Service {
            addresses: vec![on("front", "10.1.0.2"), on("back", "10.2.0.2")].into(),
            ..service("e", "web1")
        };
        compiler.apply(&came(&both));
        compiler.compile();
        for (client, network, address) in [
            ("10.2.0.9", Some("back"), "10.2.0.2"),
            ("::ffff:10.1.0.9", Some("front"), "10.1.0.2"),
            ("192.0.2.1", None, "10.1.0.2"),
        ] {
            let explanation = compiler.explain(&name("web1.docker"), RType::A, client.parse().unwrap());
            let its = explanation.network.as_ref().map(|(_, network)| &**network);
            assert_eq!(its, network, "{client}");
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(explanation.candidates[0].addresses, [address], "{client}");
        }
    }

    #[test]
    fn of_many_services_the_first_are_named_and_all_are_counted() {
        let mut compiler = compiler();
        for number in 0..CANDIDATES_MAX + 7 {
            compiler.apply(&came(&service("e", &format!("web{number}"))));
        }
        compiler.compile();
        let explanation = compiler.explain(&name("web.dev.docker"), RType::A, [127, 0, 0, 1].into());
        assert_eq!(explanation.candidates.len(), CANDIDATES_MAX);
        assert_eq!(explanation.candidates_in_all, CANDIDATES_MAX + 7);
    }
}
