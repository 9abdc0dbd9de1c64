//! A tracker to try things with: its clock, the inspects that it wants, and what a pipeline would hold.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use arcstr::ArcStr;

use super::*;
use crate::docker::attachment::Attachment;
use crate::docker::container::Life;
use crate::docker::listed::Told;
use crate::docker::standing::Standing;
use crate::service::{Change, Service, ServiceId};

pub(super) fn source() -> Source {
    Source::Engine("unix:///test.sock".into())
}

pub(super) fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

pub(super) fn service(id: &str, version: u8) -> Service {
    Service {
        id: ServiceId {
            source: source(),
            id: id.into(),
            part: 0,
        },
        environment: "dev".into(),
        service: "web".into(),
        is_service_asked: false,
        instance: id.into(),
        region: "r".into(),
        uuid: id.into(),
        compose: None,
        addresses: vec![address(version).into()].into(),
        ports: Vec::new().into(),
        health: Health::None,
        ttl_seconds: 30,
        until: None,
        wishes: None,
    }
}

pub(super) fn running(id: &str, version: u8) -> Inspection {
    Inspection::Running(Running {
        services: Some(service(id, version).into()),
        seen: seen(id, version),
        health: Health::Healthy,
        stop: Some(Stop::default()),
        claims: Vec::new(),
    })
}

/// The same, and nobody else can be at its address.
pub(super) fn alone(id: &str, version: u8) -> Inspection {
    match running(id, version) {
        Inspection::Running(running) => Inspection::Running(Running {
            claims: vec![address(version).into()],
            ..running
        }),
        other => other,
    }
}

pub(super) fn seen(id: &str, version: u8) -> Fingerprint {
    let place = Attachment {
        ipv4: Some(Ipv4Addr::new(10, 0, 0, version)),
        ..Attachment::default()
    };
    Fingerprint::of(id, &[place], Health::None)
}

pub(super) fn listed(id: &str, version: u8) -> Listed {
    Listed {
        id: id.into(),
        name: id.into(),
        image: "web".into(),
        life: Life::Running,
        fingerprint: seen(id, version),
        names: Box::default(),
        told: None,
    }
}

/// The same, of a container of which the list tells what it is.
pub(super) fn told(id: &str, version: u8) -> Listed {
    let Inspection::Running(running) = running(id, version) else {
        unreachable!("it runs");
    };
    Listed {
        told: Some(Box::new(Told {
            running: Running {
                stop: None,
                ..running
            },
            standing: Standing::Published,
            complaints: Vec::new(),
        })),
        ..listed(id, version)
    }
}

/// A tracker, its clock, and what the pipeline would hold.
pub(super) struct Bench {
    pub(super) tracker: Tracker,
    pub(super) now: Instant,
    /// Inspects under way.
    pub(super) open: Vec<ArcStr>,
    /// Every change, in short: `+a1`, `-a`, `=a1,b1`.
    pub(super) told: Vec<String>,
    pub(super) held: BTreeMap<String, u8>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let (tracker, now) = (Tracker::new(source()), Instant::now());
        Self {
            tracker,
            now,
            open: Vec::new(),
            told: Vec::new(),
            held: BTreeMap::new(),
        }
    }

    /// Connected, with these containers known.
    pub(super) fn synced(containers: &[(&str, u8)]) -> Self {
        let mut bench = Self::new();
        bench.list(containers);
        for (id, version) in containers {
            bench.begin();
            bench.end(id, running(id, *version));
        }
        bench.drain();
        bench.told.clear();
        bench
    }

    pub(super) fn event(&mut self, id: &str, effect: Effect) -> &mut Self {
        self.tracker.event(
            &Event {
                effect,
                ..Event::look_at(id.into())
            },
            self.now,
        );
        self
    }

    pub(super) fn list(&mut self, containers: &[(&str, u8)]) -> &mut Self {
        let asked = self.tracker.list_began();
        let lines = containers.iter().map(|(id, version)| listed(id, *version));
        self.take_list(asked, lines)
    }

    /// A list that tells what these containers are.
    pub(super) fn tell(&mut self, containers: &[(&str, u8)]) -> &mut Self {
        let asked = self.tracker.list_began();
        let lines = containers.iter().map(|(id, version)| told(id, *version));
        self.take_list(asked, lines)
    }

    pub(super) fn take_list(&mut self, asked: ListTicket, lines: impl Iterator<Item = Listed>) -> &mut Self {
        self.tracker
            .listed(asked, &mut lines.collect::<Vec<_>>(), self.now);
        self
    }

    /// Begins all inspects that may begin; gives the ids of those under way.
    pub(super) fn begin(&mut self) -> String {
        while let Some(id) = self.tracker.next_inspect(self.now) {
            assert!(!self.open.contains(&id), "`one-inspect`: {id} has one under way");
            self.open.push(id);
        }
        assert!(self.open.len() <= INSPECTS_MAX, "`one-inspect`");
        self.tracker.gather(self.now);
        let mut ids: Vec<&str> = self.open.iter().map(|id| &**id).collect();
        ids.sort_unstable();
        ids.join(",")
    }

    pub(super) fn end(&mut self, id: &str, outcome: Inspection) -> Verdict {
        let index = self
            .open
            .iter()
            .position(|open| &**open == id)
            .expect("an inspect under way");
        let id = self.open.swap_remove(index);
        self.tracker.inspected(&id, outcome, self.now)
    }

    pub(super) fn runs(&mut self, id: &str, version: u8) -> &mut Self {
        self.begin();
        self.end(id, running(id, version));
        self
    }

    pub(super) fn pass(&mut self, wait: Duration) -> &mut Self {
        self.now += wait;
        self.tracker.tick(self.now);
        self
    }

    /// Takes one change; whether there was one.
    pub(super) fn take(&mut self) -> bool {
        let change = self
            .tracker
            .has_change(self.now)
            .then(|| self.tracker.next_change())
            .flatten();
        let version = |service: &Service| match service.addresses[0].ip {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(_) => unreachable!("all are IPv4 here"),
        };
        match change {
            None => return false,
            Some(Change::Networks { .. } | Change::Carried { .. } | Change::Mark(_)) => {
                unreachable!("a tracker knows containers")
            }
            Some(Change::Put(services)) => {
                let s = services.first();
                self.told.push(format!("+{}{}", s.id.id, version(s)));
                self.held.insert(s.id.id.to_string(), version(s));
            }
            Some(Change::Remove(id)) => {
                self.told.push(format!("-{}", id.id));
                assert!(
                    self.held.remove(&*id.id).is_some(),
                    "{} was removed and not held",
                    id.id
                );
            }
            Some(Change::Reset { services, .. }) => {
                self.held = services
                    .iter()
                    .map(|s| (s.id.id.to_string(), version(s)))
                    .collect();
                let all: Vec<String> = self
                    .held
                    .iter()
                    .map(|(id, version)| format!("{id}{version}"))
                    .collect();
                self.told.push(format!("={}", all.join(",")));
            }
        }
        true
    }

    pub(super) fn drain(&mut self) -> &mut Self {
        while self.take() {}
        self
    }

    #[track_caller]
    pub(super) fn expect(&mut self, told: &str) -> &mut Self {
        self.drain();
        assert_eq!(std::mem::take(&mut self.told).join(" "), told);
        self
    }
}
