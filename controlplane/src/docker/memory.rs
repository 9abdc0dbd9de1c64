//! What is known of an engine from one connection to the next, and what each piece of news does to it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use arcstr::ArcStr;
use dns::Name;

use super::Watch;
use super::carried::{self, Carried};
use super::census::{Census, Sighting};
use super::container::{Container, NetworkMode};
use super::events::{Effect, Event};
use super::label::Complaint;
use super::line::{Lines, shared_name};
use super::listed::{Listed, Told};
use super::networks::{List, NETWORKS_MAX};
use super::publish::{Context, Owner};
use super::sharing::{Sharing, Whose};
use super::standing::Standing;
use super::tracker::{Inspection, ListTicket, Running, Tracker, Verdict};
use super::words::SharedWords;
use crate::naming::refused;
use crate::plugin::{Described, Seen};
use crate::service::{Address, Change, Service, Services, Source};

/// Complaints that are remembered as told. Past them all are forgotten, and told once more.
const COMPLAINTS_TOLD_MAX: usize = 4096;

/// See the module's text.
pub(super) struct Memory {
    pub(super) tracker: Tracker,
    source: Source,
    words: SharedWords,
    census: Census,
    carried: Carried,
    sharing: Sharing,
    /// Where the engine's host is reached on the engine's networks.
    host: Vec<Address>,
    /// Names of networks that were listed, and of those that containers were on; none while no list has come.
    networks: Option<HashSet<ArcStr>>,
    /// Networks of whose containers the list shows every port.
    shows_ports: HashSet<ArcStr>,
    /// A container is on a network that was not listed.
    is_missing_networks: bool,
    /// Hashes of container and complaint.
    told: HashSet<u64>,
}

/// What an inspect found.
pub(super) enum Look {
    /// It exists, whether it runs or not.
    Found(Box<Container>),
    /// The same, and whose network it has: what the inspect of that one found, under the name it was asked for.
    Sharing(Box<Container>, ArcStr, Option<Box<Container>>),
    /// There is none.
    Absent,
    /// The plugins were asked what it is.
    Asked(Box<Question>, Vec<Service>),
    /// The engine did not tell.
    Failed,
}

/// What is to be done to know a container.
pub(super) enum Step {
    /// Inspect it.
    Inspect,
    /// It has the network of that one: inspect that one too.
    Owner(Box<Container>, ArcStr),
    /// Ask the plugins.
    Plugins(Box<Question>),
}

/// A container whose names the plugins decide.
pub(super) struct Question {
    pub(super) seen: Seen,
    /// What it is where they say nothing.
    pub(super) built_in: Service,
    sighting: Sighting,
    running: Running,
}

/// What was learned of a container besides its services: for whoever asks where a name is, and which names it carries.
type Learned = (Sighting, Box<[Name]>);

impl Memory {
    pub(super) fn of(watch: &Watch) -> Self {
        let source = watch.source();
        Self {
            tracker: Tracker::new(source.clone()),
            source,
            words: SharedWords::default(),
            census: watch.census.clone(),
            carried: Carried::default(),
            sharing: Sharing::default(),
            host: Vec::new(),
            networks: None,
            shows_ports: HashSet::new(),
            is_missing_networks: false,
            told: HashSet::new(),
        }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Takes in an event about a container.
    pub(super) fn event(&mut self, event: &Event, now: Instant) {
        let is_withdrawn = self.tracker.event(event, now);
        let id = &event.container;
        if event.effect == Effect::Forget {
            self.census.forget(id);
            self.carried.forget(id);
            self.sharing.note(id, None);
        } else if is_withdrawn {
            self.census.stands(id, event.standing, self.tracker.clock());
        }
        // A signal leaves the network as it is, and so does health; the death that may follow does not.
        let changes_network = !matches!(event.effect, Effect::Signal(_) | Effect::Health(_));
        if !self.sharing.is_empty() && changes_network {
            self.look_at_sharers(&Whose::Of(id.clone()), now);
        }
    }

    /// Takes in the list of networks: what there is, and where the engine's host is reached.
    pub(super) fn networks(&mut self, list: &List, now: Instant) {
        self.shows_ports = list.shows_ports.iter().cloned().collect();
        // One that a container is on and that is never listed is missed once, not with each list anew.
        let names = self.networks.get_or_insert_default();
        if names.len() > 2 * NETWORKS_MAX {
            names.clear();
        }
        names.extend(list.names.iter().cloned());
        if self.host != list.host {
            self.host.clone_from(&list.host);
            self.look_at_sharers(&Whose::Host, now);
        }
    }

    /// Whether the networks must be listed anew, for there is one that no event told of: Podman tells of none.
    pub(super) fn is_missing_networks(&mut self) -> bool {
        std::mem::take(&mut self.is_missing_networks)
    }

    /// What lines of the list that is asked for now are read by.
    pub(super) fn lines(&self, watch: &Watch) -> Lines {
        Lines {
            source: self.source.clone(),
            settings: watch.settings.clone(),
            has_plugins: watch.plugins.is_some(),
            is_first: self.tracker.is_unlisted(),
            words: self.words.clone(),
        }
    }

    /// Takes note of a line of the list that is still read.
    pub(super) fn line(&mut self, mut line: Listed) -> Listed {
        if let Some(told) = &line.told {
            let claims = told.running.claims.iter();
            for network in claims.filter_map(|it| it.network.as_deref()) {
                self.is_missing_networks |= is_new(&mut self.networks, network);
            }
        } else if let Some((id, services)) = self.tracker.known(&line.id) {
            // A list of a large host is not held beside all that it says once more.
            line.id = id.clone();
            line.name = shared_name(&line.name, services);
        }
        line
    }

    /// Takes in the list.
    pub(super) fn listed(&mut self, asked: ListTicket, mut lines: Vec<Listed>, now: Instant) {
        for line in &mut lines {
            line.told.take_if(|told| !self.shows_ports(&told.running));
        }
        self.tracker.listed(asked, &mut lines, now);
        for line in &lines {
            if let Some(told) = &line.told {
                self.sharing.note(&line.id, None);
                self.complain(&line.id, &line.name, &told.complaints);
            }
        }
        self.carried.listed(asked, &mut lines, self.tracker.clock());
        self.census.listed(asked, lines, self.tracker.clock());
    }

    /// Whether the pipeline must be told something. What containers carry goes before whatever else changes with it.
    pub(super) fn has_change(&self, now: Instant) -> bool {
        self.tracker.has_change(now) || self.tracker.is_synced() && self.carried.has_news()
    }

    /// What it must be told next. It counts as told.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        let carried = self.carried.next(&self.source);
        carried.or_else(|| self.tracker.next_change())
    }

    /// Whether a container, of which the list shows this, has no other ports.
    fn shows_ports(&self, running: &Running) -> bool {
        if running.services.is_none() {
            return true;
        }
        let shows_all = |it: &Address| {
            it.network
                .as_ref()
                .is_some_and(|it| self.shows_ports.contains(it))
        };
        running.claims.iter().all(shows_all)
    }

    /// Takes in what an inspect found.
    pub(super) fn looked(&mut self, id: &ArcStr, look: Look, watch: &Watch, now: Instant) -> Option<Step> {
        let (container, owner) = match look {
            Look::Failed => {
                self.settle(id, Inspection::Failed, None, now);
                return None;
            }
            Look::Absent => {
                self.settle(id, Inspection::Absent, None, now);
                return None;
            }
            Look::Asked(question, services) => {
                self.answered(id, *question, services, watch, now);
                return None;
            }
            Look::Found(container) => (container, None),
            Look::Sharing(container, asked, owner) => (container, Some((asked, owner))),
        };
        // Whose network it has is noted before that one is inspected: what happens to it meanwhile counts.
        let whose = match &container.network_mode {
            NetworkMode::Host => Some(Whose::Host),
            NetworkMode::Of(named) => {
                let found = owner.as_ref().and_then(|(_, owner)| owner.as_ref());
                Some(Whose::Of(found.map_or(named, |owner| &owner.id).clone()))
            }
            NetworkMode::Own | NetworkMode::None => None,
        };
        self.sharing.note(id, whose.clone());
        let owner = match (whose, owner) {
            (Some(Whose::Of(named)), None) if container.life.standing().is_none() => {
                return Some(Step::Owner(container, named));
            }
            // It was asked for by its name, and its events have its id.
            (Some(Whose::Of(named)), Some((asked, Some(_)))) if named != asked => {
                return Some(Step::Owner(container, named));
            }
            (_, Some((_, Some(owner)))) if owner.life.standing().is_none() => Some(Owner::Running(owner)),
            (_, Some(_)) => Some(Owner::Away),
            (_, None) => None,
        };
        self.found(id, *container, owner, watch, now)
    }

    fn found(
        &mut self,
        id: &ArcStr,
        container: Container,
        owner: Option<Owner>,
        watch: &Watch,
        now: Instant,
    ) -> Option<Step> {
        let names = carried::of_labels(&container.labels, &watch.settings.selection);
        let mut sighting = Sighting {
            id: id.clone(),
            name: container.name.as_str().into(),
            image: self.words.all().shared(&container.image),
            standing: Standing::Stopped,
            complaints: Arc::default(),
        };
        if let Some(standing) = container.life.standing() {
            sighting.standing = standing;
            self.settle(id, Inspection::Absent, Some((sighting, names)), now);
            return None;
        }
        let described = watch.plugins.is_some().then(|| Described::from(&container));
        let Told {
            running,
            standing,
            complaints,
        } = self.told(container, owner, watch);
        sighting.standing = standing;
        sighting.complaints = complaints.into();
        sighting.name = shared_name(&sighting.name, running.services.as_ref());
        if let (Some(described), Some(services)) = (described, &running.services) {
            let built_in = Service::clone(services.first());
            return Some(Step::Plugins(Box::new(Question {
                seen: described.seen(&built_in.addresses),
                built_in,
                sighting,
                running,
            })));
        }
        self.settle(id, Inspection::Running(running), Some((sighting, names)), now);
        None
    }

    /// What a container that was inspected is held as.
    fn told(&mut self, container: Container, owner: Option<Owner>, watch: &Watch) -> Told {
        let places = container.attachments.iter();
        for place in places.filter(|it| it.addresses().next().is_some()) {
            self.is_missing_networks |= is_new(&mut self.networks, &place.network);
        }
        let context = Context {
            source: &self.source,
            settings: &watch.settings,
            host: &self.host,
        };
        Told::of(container, owner, context, &mut self.words.all())
    }

    /// Takes in what the plugins made of a container.
    fn answered(
        &mut self,
        id: &ArcStr,
        question: Question,
        mut services: Vec<Service>,
        watch: &Watch,
        now: Instant,
    ) {
        let Question {
            mut sighting,
            mut running,
            ..
        } = question;
        let mut words = self.words.all();
        for service in &mut services {
            for word in [
                &mut service.service,
                &mut service.environment,
                &mut service.region,
            ] {
                *word = words.shared(word);
            }
        }
        drop(words);
        let zones = &watch.settings.selection.zones;
        let wishes = services.iter_mut().filter_map(|service| service.wishes.as_mut());
        let mut complaints = sighting.complaints.to_vec();
        for name in wishes.flat_map(|wishes| wishes.names.extract_if(.., |it| refused(it, zones).is_some())) {
            let remedy = refused(&name, zones).unwrap_or_default().to_owned();
            complaints.push(Complaint::new(
                "Names (of a plugin)".to_owned(),
                &name.to_string(),
                remedy,
            ));
        }
        sighting.complaints = complaints.into();
        let names = carried::of_services(&services);
        running.services = Services::of(services);
        if running.services.is_none() {
            sighting.standing = Standing::PluginSkipped;
        }
        self.settle(id, Inspection::Running(running), Some((sighting, names)), now);
    }

    fn settle(&mut self, id: &ArcStr, inspection: Inspection, learned: Option<Learned>, now: Instant) {
        let verdict = self.tracker.inspected(id, inspection, now);
        let clock = self.tracker.clock();
        match (verdict, learned) {
            (Verdict::Held, Some((sighting, names))) => {
                self.complain(&sighting.id, &sighting.name, &sighting.complaints);
                self.carried.saw(&sighting.id, names, clock);
                self.census.saw(sighting, clock);
            }
            (Verdict::Held, None) => {
                self.carried.forget(id);
                self.census.forget(id);
            }
            (Verdict::Stopping, Some((sighting, names))) => {
                let standing = Standing::Stopping;
                self.carried.saw(&sighting.id, names, clock);
                self.census.saw(Sighting { standing, ..sighting }, clock);
            }
            (Verdict::Stopping | Verdict::Again, _) => {}
            (Verdict::GivenUp, _) => {
                tracing::warn!(
                    container = %id,
                    "the engine cannot inspect this container; its last record stays until its next event",
                );
            }
        }
    }

    /// Tells the operator what is wrong with a container's labels, once.
    fn complain(&mut self, id: &str, name: &str, complaints: &[Complaint]) {
        for complaint in complaints {
            if self.told.len() >= COMPLAINTS_TOLD_MAX {
                self.told.clear();
            }
            if self.told.insert(hash(id, complaint)) {
                let short = id.get(..12).unwrap_or(id);
                tracing::warn!("container {name} ({short}): {complaint}");
            }
        }
    }

    fn look_at_sharers(&mut self, whose: &Whose, now: Instant) {
        for sharer in self.sharing.with(whose) {
            self.tracker.event(&Event::look_at(sharer), now);
        }
    }
}

/// Whether a container is on a network that is not among those known. It is from now on: one may never be listed.
fn is_new(known: &mut Option<HashSet<ArcStr>>, network: &str) -> bool {
    let Some(known) = known.as_mut().filter(|known| !known.contains(network)) else {
        return false;
    };
    known.insert(network.into())
}

fn hash(container: &str, complaint: &Complaint) -> u64 {
    let mut hasher = DefaultHasher::new();
    (container, complaint).hash(&mut hasher);
    hasher.finish()
}
