//! Why a name is answered as it is: who stands at it, and who of them answers.

use std::net::IpAddr;
use std::sync::Arc;

use dns::snapshot::{GRAMMAR_LABELS, Tier, is_wildcard};
use dns::{Name, Protocol};

use super::Compiler;
use super::audience::Audience;
use super::owner::{Verdict, of_several, verdict};
use crate::naming::{Role, is_meant, networks_calling};
use crate::service::{Service, Source};

/// Services that an explanation names; of more it gives the number.
pub const CANDIDATES_MAX: usize = 100;

/// What a name is to us, and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The zone of ours that it lies in.
    pub zone: Option<Name>,
    /// How it is found.
    pub way: Way,
    /// The network of ours that the client is in.
    pub network: Option<(Source, Arc<str>)>,
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
    /// Why `name` is answered as it is when `client` asks.
    ///
    /// For a person: a pattern is compared with every service, word by word.
    #[must_use]
    pub fn explain(&self, name: &Name, client: IpAddr) -> Explanation {
        let network = self.networks.of_client(client);
        let found = self.found(name);
        let mut candidates: Vec<_> = found.1;
        for_neighbours(&mut candidates, name, network.as_ref());
        candidates.sort_by(|(a, _, one), (b, _, other)| (one, &a.id).cmp(&(other, &b.id)));
        let candidates_in_all = candidates.len();
        let candidates = candidates.into_iter().take(CANDIDATES_MAX);
        let audience = match &network {
            Some((source, network)) => Audience::Network(source, network),
            None if self.networks.is_outside(client) => Audience::Outside(self.networks.published()),
            None => Audience::Everyone,
        };
        Explanation {
            zone: self.naming.zone_of(name).cloned(),
            way: found.0,
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

    fn found(&self, name: &Name) -> (Way, Vec<Standing<'_>>) {
        let at = |name: &Name| {
            let verdicts = self.owners.get(name)?.verdicts();
            let with_role = verdicts
                .into_iter()
                .map(|(service, role, verdict)| (service, Some(role), verdict));
            Some(with_role.collect::<Vec<_>>())
        };
        if let Some(candidates) = at(name) {
            return (Way::Name, candidates);
        }
        if let Some((port, owner)) = port_of(name) {
            let listens =
                |service: &Service| service.ports.iter().any(|its| (its.protocol, its.number) == port);
            let candidates = at(&owner).unwrap_or_default();
            let candidates = candidates
                .into_iter()
                .filter(|(service, role, _)| listens(service) && role.is_some_and(Role::has_ports));
            return (Way::Port(owner), candidates.collect());
        }
        if let Some(pattern) = self.pattern(name) {
            let candidates: Vec<_> = self
                .named
                .keys()
                .filter(|member| is_meant(pattern.iter().copied(), &member.0))
                .map(|member| &member.0)
                .collect();
            if !candidates.is_empty() {
                // What means one by its instance or uuid is answered whatever its health.
                let means_one = [2, 5]
                    .iter()
                    .any(|place| pattern.get(*place).is_some_and(|label| !is_wildcard(label)));
                let role = if means_one { Role::Instance } else { Role::Service };
                let some_ready = candidates.iter().any(|service| service.tier() == Tier::Ready);
                let with_verdict = candidates
                    .into_iter()
                    .map(|service| (service, None, verdict(role, service.tier(), some_ready)));
                return (Way::Pattern, with_verdict.collect());
            }
        }
        // Whether an encloser that is no wildcard owner comes first, the answer itself tells.
        let mut encloser = name.parent();
        while let Some(around) = encloser {
            if let Ok(owner) = around.child(b"*")
                && let Some(candidates) = at(&owner)
            {
                return (Way::Wildcard(owner), candidates);
            }
            encloser = around.parent();
        }
        (Way::Nobody, Vec::new())
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
fn for_neighbours(candidates: &mut [Standing<'_>], name: &Name, network: Option<&(Source, Arc<str>)>) {
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
    let number = std::str::from_utf8(labels.next()?.strip_prefix(b"_")?)
        .ok()?
        .parse()
        .ok()?;
    let protocol = labels.next()?;
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|known| known.label().as_bytes() == protocol)?;
    Some(((protocol, number), name.parent()?.parent()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::tests::{came, compiler};
    use crate::fixture::{name, network, on, service, source};
    use crate::service::{Compose, Health};

    /// How a name is found, and who stands there with which verdict.
    fn check(compiler: &Compiler, text: &str, way: &Way, expected: &[(&str, Verdict)]) {
        let explanation = compiler.explain(&name(text), [127, 0, 0, 1].into());
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

    #[test]
    fn who_lost_a_name_is_told_to_whom() {
        let mut compiler = compiler();
        let of_project = |instance: &str, project: &str| Service {
            compose: Some(Compose {
                project: project.into(),
                service: "api".into(),
                number: Some(1),
            }),
            ..service("e", instance)
        };
        compiler.apply(&came(&of_project("one", "shop")));
        compiler.apply(&came(&of_project("two", "blog")));
        let contested = [("one", Verdict::Contested), ("two", Verdict::Contested)];
        check(&compiler, "api.docker", &Way::Name, &contested);
        check(&compiler, "web.dev.docker", &Way::Name, &contested);
        // A container that is called like the environment.
        compiler.apply(&came(&service("e", "dev")));
        let explanation = compiler.explain(&name("dev.docker"), [127, 0, 0, 1].into());
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
            addresses: vec![on("front", "10.1.0.2"), on("back", "10.2.0.2")],
            ..service("e", "web1")
        };
        compiler.apply(&came(&both));
        for (client, network, address) in [
            ("10.2.0.9", Some("back"), "10.2.0.2"),
            ("::ffff:10.1.0.9", Some("front"), "10.1.0.2"),
            ("192.0.2.1", None, "10.1.0.2"),
        ] {
            let explanation = compiler.explain(&name("web1.docker"), client.parse().unwrap());
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
        let explanation = compiler.explain(&name("web.dev.docker"), [127, 0, 0, 1].into());
        assert_eq!(explanation.candidates.len(), CANDIDATES_MAX);
        assert_eq!(explanation.candidates_in_all, CANDIDATES_MAX + 7);
    }
}
