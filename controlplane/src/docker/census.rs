//! Every container of an engine, and why it has names or none: for whoever asks where a name is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arcstr::ArcStr;
use foldhash::fast::RandomState;

use super::label::Complaint;
use super::listed::Listed;
use super::standing::Standing;
use super::tracker::{CONTAINERS_MAX, ListTicket};

/// Containers known at once, those that have ended among them. What is above is known by its names alone.
const SIGHTINGS_MAX: usize = CONTAINERS_MAX;

/// A container, and why it has names or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Full id.
    pub id: ArcStr,
    /// Its own name, without slashes; a label may give it another instance.
    pub name: ArcStr,
    /// The image, as the engine shows it.
    pub image: ArcStr,
    /// Why it has names or none.
    pub standing: Standing,
    /// Labels of it that were left aside.
    pub complaints: Arc<[Complaint]>,
}

/// All containers of one engine. Cheap to clone; all clones show the same. While the engine is away it shows what was
/// known last.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<Mutex<Entries>>);

/// By id, which the engine makes.
type Entries = HashMap<ArcStr, Entry, RandomState>;

/// A sighting; its id is what it is found by. There may be a hundred thousand, few of them with complaints.
#[derive(Debug)]
struct Entry {
    name: ArcStr,
    image: ArcStr,
    complaints: Option<Box<Arc<[Complaint]>>>,
    /// How many events had come when this was learned.
    clock: u64,
    standing: Standing,
}

impl Entry {
    fn sighting(&self, id: &ArcStr) -> Sighting {
        Sighting {
            id: id.clone(),
            name: self.name.clone(),
            image: self.image.clone(),
            standing: self.standing,
            complaints: self.complaints.as_deref().cloned().unwrap_or_default(),
        }
    }
}

impl Census {
    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Sighting> {
        let entries = self.entries();
        let mut all: Vec<_> = entries.iter().map(|(id, it)| it.sighting(id)).collect();
        drop(entries);
        all.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all
    }

    /// How many stand where, in the order of [`Standing::ALL`].
    #[must_use]
    pub fn counts(&self) -> Vec<(Standing, usize)> {
        let mut counts: HashMap<Standing, usize> = HashMap::new();
        for entry in self.entries().values() {
            *counts.entry(entry.standing).or_default() += 1;
        }
        let count = |standing| counts.get(standing).copied().unwrap_or_default();
        Standing::ALL
            .iter()
            .map(|standing| (*standing, count(standing)))
            .collect()
    }

    /// Those with this name, or an id that starts so, in any case of letters.
    #[must_use]
    pub fn find(&self, name_or_id: &str) -> Vec<Sighting> {
        let wanted = name_or_id.to_ascii_lowercase();
        let is_it = |it: &Sighting| {
            it.name.eq_ignore_ascii_case(&wanted) || (!wanted.is_empty() && it.id.starts_with(&wanted))
        };
        self.all().into_iter().filter(is_it).collect()
    }

    /// An inspect showed it.
    pub(super) fn saw(&self, sighting: Sighting, clock: u64) {
        let mut entries = self.entries();
        put(&mut entries, sighting, clock);
    }

    /// An event, or an inspect that found nothing, tells where a container stands now.
    pub(super) fn stands(&self, id: &str, standing: Standing, clock: u64) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.standing = standing;
            entry.clock = clock;
        }
    }

    /// It does not exist any more.
    pub(super) fn forget(&self, id: &str) {
        self.entries().remove(id);
    }

    /// The list shows who is there, who has ended, and why others have names or none. What was learned since it was asked
    /// for stands.
    pub(super) fn listed(&self, asked: ListTicket, lines: Vec<Listed>, clock: u64) {
        let mut entries = self.entries();
        // At the first list of all nothing can have gone.
        if !entries.is_empty() {
            let present: HashSet<&str, RandomState> = lines.iter().map(|line| &*line.id).collect();
            entries.retain(|id, entry| present.contains(&**id) || !asked.is_after(entry.clock));
        }
        let new = lines.len().min(SIGHTINGS_MAX).saturating_sub(entries.len());
        entries.reserve(new);
        for line in lines {
            let known = entries.get_mut(&line.id);
            if known.as_ref().is_some_and(|known| !asked.is_after(known.clock)) {
                continue;
            }
            let ended = line.life.standing();
            let (standing, complaints) = match (ended, known, line.told) {
                (Some(ended), Some(known), _) => {
                    known.standing = ended;
                    continue;
                }
                (None, _, Some(told)) => (told.standing, told.complaints),
                // It is inspected next, and then it is known.
                (None, Some(_), None) => continue,
                (ended, None, _) => (ended.unwrap_or(Standing::Unread), Vec::new()),
            };
            let sighting = Sighting {
                id: line.id,
                name: line.name,
                image: line.image,
                standing,
                complaints: complaints.into(),
            };
            put(&mut entries, sighting, clock);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Whoever panicked while it held the lock had written one whole entry or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a sighting, if there is room for it. Words that it had before are kept: others may share them.
fn put(entries: &mut Entries, sighting: Sighting, clock: u64) {
    let Sighting {
        id,
        name,
        image,
        standing,
        complaints,
    } = sighting;
    let is_full = entries.len() >= SIGHTINGS_MAX;
    let mut new = Entry {
        name,
        image,
        complaints: (!complaints.is_empty()).then(|| Box::new(complaints)),
        clock,
        standing,
    };
    if let Some(known) = entries.get_mut(&id) {
        if known.name == new.name {
            new.name = known.name.clone();
        }
        *known = new;
    } else if !is_full {
        entries.insert(id, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::container::Life;
    use crate::docker::listed::Fingerprint;
    use crate::service::Health;

    fn line(id: &str, life: Life) -> Listed {
        Listed {
            id: id.into(),
            name: format!("name-of-{id}").into(),
            image: "web".into(),
            life,
            fingerprint: Fingerprint::of(id, &[], Health::None),
            names: Box::default(),
            told: None,
        }
    }

    fn sighting(id: &str, standing: Standing) -> Sighting {
        Sighting {
            id: id.into(),
            name: format!("name-of-{id}").as_str().into(),
            image: "web".into(),
            standing,
            complaints: Arc::default(),
        }
    }

    fn shown(census: &Census) -> String {
        let all = census.all();
        let shown = all.iter().map(|it| format!("{} {}", it.id, it.standing.word()));
        shown.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_list_shows_who_has_ended_and_an_inspect_why_the_others_have_names_or_none() {
        let census = Census::default();
        let lines = [
            line("a", Life::Running),
            line("b", Life::Stopped),
            line("c", Life::Paused),
        ];
        census.listed(ListTicket::at(0), lines.into(), 0);
        assert_eq!(shown(&census), "a unread, b stopped, c paused");
        census.saw(sighting("a", Standing::NotOptedIn), 0);
        assert_eq!(shown(&census), "a not-opted-in, b stopped, c paused");
        let count = |standing| census.counts().iter().find(|(it, _)| *it == standing).unwrap().1;
        assert_eq!((count(Standing::Stopped), count(Standing::Published)), (1, 0));
    }

    #[test]
    fn what_was_learned_since_the_list_was_asked_for_stands() {
        let census = Census::default();
        census.saw(sighting("old", Standing::Published), 3);
        census.saw(sighting("new", Standing::Published), 5);
        census.saw(sighting("both", Standing::Published), 5);
        census.listed(ListTicket::at(4), vec![line("both", Life::Stopped)], 5);
        assert_eq!(shown(&census), "both published, new published");
        census.stands("both", Standing::Stopping, 6);
        census.stands("nobody", Standing::Stopped, 6);
        census.forget("new");
        assert_eq!(shown(&census), "both stopping");
    }

    #[test]
    fn a_container_is_found_by_its_name_and_by_the_beginning_of_its_id() {
        let census = Census::default();
        census.saw(sighting("ab12", Standing::Published), 0);
        census.saw(sighting("ab34", Standing::Published), 0);
        let found = |wanted| census.find(wanted).len();
        assert_eq!(
            [
                found("NAME-of-ab12"),
                found("ab"),
                found("AB3"),
                found(""),
                found("x")
            ],
            [1, 2, 1, 0, 0]
        );
    }
}
