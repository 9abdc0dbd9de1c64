//! Names that containers carry by a label, or that a plugin gave them, whether they run or not.
//!
//! ```text
//!  list, every line ──┐
//!  inspect, plugins ──┼─▶ by id ──next──▶ Change::Carried
//!  destroyed, absent ─┘
//! ```
//!
//! A name outside our zones is ours while a container carries it: what runs there next answers for it, and until then
//! nobody is asked. So this outlives the container's end, and the engine's absence; it ends when the container is
//! destroyed, or a list no longer has it. Plugins are asked of what runs: of a container that has not run since we were
//! started only its labels are known.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arcstr::ArcStr;
use dns::Name;

use super::label;
use super::listed::Listed;
use super::selection::Selection;
use super::tracker::ListTicket;
use crate::naming::carried_names;
use crate::service::{Change, Service, Source};

/// Names that the containers of one engine may carry in all; a few octets more than the name's each. The names of a
/// container for which there is no room are ours while it runs, and asked upstream while it does not.
const NAMES_CARRIED_MAX: usize = 1 << 14;

/// The label that names are given by, without its prefix.
const LABEL: &str = "name";

/// See the module's text.
#[derive(Default)]
pub(super) struct Carried {
    /// Of containers that carry any.
    by_id: HashMap<ArcStr, Carrier>,
    /// How many names they are.
    names: usize,
    /// Of whom the pipeline holds names.
    told: HashSet<ArcStr>,
    /// Of whom it holds others than these. Each is in one of the two above, so there are no more than those.
    unsent: BTreeSet<ArcStr>,
    has_overflowed: bool,
}

struct Carrier {
    names: Arc<[Name]>,
    /// How many events had come when this was learned.
    clock: u64,
}

impl Carried {
    /// An inspect, or a plugin that was asked after it, told all names of the container.
    pub(super) fn saw(&mut self, id: &ArcStr, names: Box<[Name]>, clock: u64) {
        let before = self.by_id.get_mut(id);
        if let Some(before) = before
            && *before.names == *names
        {
            before.clock = clock;
            return;
        }
        self.forget(id);
        if names.is_empty() {
            return;
        }
        if self.names + names.len() > NAMES_CARRIED_MAX {
            if !std::mem::replace(&mut self.has_overflowed, true) {
                tracing::warn!(
                    "containers ask for over {NAMES_CARRIED_MAX} names; further ones are asked upstream while their \
                     containers do not run"
                );
            }
            return;
        }
        self.names += names.len();
        let names = names.into();
        self.by_id.insert(id.clone(), Carrier { names, clock });
        self.unsent.insert(id.clone());
    }

    /// The container does not exist any more.
    pub(super) fn forget(&mut self, id: &ArcStr) {
        if let Some(gone) = self.by_id.remove(id) {
            self.names -= gone.names.len();
            if self.told.contains(id) {
                self.unsent.insert(id.clone());
            } else {
                self.unsent.remove(id);
            }
        }
    }

    /// The list shows who is there, and what those carry who are not known yet. What was learned since it was asked for
    /// stands.
    pub(super) fn listed(&mut self, asked: ListTicket, lines: &mut [Listed], clock: u64) {
        if !self.by_id.is_empty() {
            let present: HashSet<&str> = lines.iter().map(|line| &*line.id).collect();
            let is_gone = |(id, carrier): &(&ArcStr, &Carrier)| {
                !present.contains(&***id) && asked.is_after(carrier.clock)
            };
            let gone: Vec<_> = self
                .by_id
                .iter()
                .filter(is_gone)
                .map(|(id, _)| id.clone())
                .collect();
            gone.iter().for_each(|id| self.forget(id));
        }
        for line in lines.iter_mut().filter(|line| !line.names.is_empty()) {
            let names = std::mem::take(&mut line.names);
            if !self.by_id.contains_key(&line.id) {
                self.saw(&line.id, names, clock);
            }
        }
    }

    /// Whether [`Carried::next`] has something to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// What the pipeline must be told next. It counts as told.
    pub(super) fn next(&mut self, source: &Source) -> Option<Change> {
        let mut carriers = Vec::with_capacity(self.unsent.len());
        for id in std::mem::take(&mut self.unsent) {
            let names = match self.by_id.get(&id) {
                Some(carrier) => {
                    self.told.insert(id.clone());
                    carrier.names.clone()
                }
                None => {
                    self.told.remove(&id);
                    Arc::default()
                }
            };
            carriers.push((id, names));
        }
        let source = source.clone();
        (!carriers.is_empty()).then_some(Change::Carried { source, carriers })
    }
}

/// The names that a container with these labels carries: none where it is not to be published.
pub(super) fn of_labels(labels: &HashMap<String, String>, selection: &Selection) -> Box<[Name]> {
    let prefix = selection.label_prefix.as_str();
    // Most containers have none, and there may be a hundred thousand.
    if !labels
        .keys()
        .any(|label| label.strip_prefix(prefix) == Some(LABEL))
    {
        return Box::default();
    }
    let (asked, _) = label::read(labels, prefix, &selection.zones);
    match selection.refuses(labels, asked.enable) {
        Some(_) => Box::default(),
        None => carried_names(&asked.names, &asked.named_ports).into(),
    }
}

/// The names that plugins gave a container.
pub(super) fn of_services(services: &[Service]) -> Box<[Name]> {
    let wishes = services.iter().filter_map(|service| service.wishes.as_ref());
    wishes
        .flat_map(|wishes| carried_names(&wishes.names, &wishes.named_ports))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::container::Life;
    use crate::docker::listed::Fingerprint;
    use crate::fixture::{name, source};
    use crate::service::Health;

    fn line(id: &str, names: &[&str]) -> Listed {
        Listed {
            id: id.into(),
            name: id.into(),
            image: "web".into(),
            life: Life::Stopped,
            fingerprint: Fingerprint::of(id, &[], Health::None),
            names: names.iter().copied().map(name).collect(),
            told: None,
        }
    }

    fn saw(carried: &mut Carried, id: &str, names: &[&str], clock: u64) {
        carried.saw(&id.into(), names.iter().copied().map(name).collect(), clock);
    }

    /// `id=name,name` of each that the pipeline is told of.
    fn told(carried: &mut Carried) -> String {
        let Some(Change::Carried { carriers, .. }) = carried.next(&source("e")) else {
            return String::new();
        };
        let told = carriers.iter().map(|(id, names)| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            format!("{id}={}", names.join(","))
        });
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_carried_is_told_once_until_it_changes_or_its_container_is_gone() {
        let mut carried = Carried::default();
        saw(&mut carried, "a", &["x.example", "y.example"], 1);
        saw(&mut carried, "b", &["z.example"], 1);
        assert_eq!(told(&mut carried), "a=x.example,y.example b=z.example");
        saw(&mut carried, "a", &["x.example", "y.example"], 2);
        saw(&mut carried, "none", &[], 2);
        assert!(!carried.has_news());
        saw(&mut carried, "a", &["y.example"], 3);
        carried.forget(&"b".into());
        carried.forget(&"b".into());
        assert_eq!(told(&mut carried), "a=y.example b=");
        saw(&mut carried, "c", &["w.example"], 4);
        carried.forget(&"c".into());
        assert!(!carried.has_news(), "the pipeline never knew it");
        saw(&mut carried, "b", &["z.example"], 5);
        assert_eq!(told(&mut carried), "b=z.example");
        assert_eq!((carried.names, carried.told.len()), (2, 2));
    }

    #[test]
    fn a_list_tells_of_what_does_not_run_and_who_is_gone_but_nothing_that_is_older_than_an_event() {
        let mut carried = Carried::default();
        saw(&mut carried, "plugged", &["by-plugin.example"], 1);
        saw(&mut carried, "gone", &["gone.example"], 1);
        saw(&mut carried, "new", &["new.example"], 3);
        told(&mut carried);
        let mut lines = [
            line("plugged", &["by-label.example"]),
            line("stopped", &["stopped.example"]),
            line("plain", &[]),
        ];
        carried.listed(ListTicket::at(2), &mut lines, 3);
        assert_eq!(told(&mut carried), "gone= stopped=stopped.example");
        carried.listed(ListTicket::at(3), &mut [], 3);
        assert_eq!(told(&mut carried), "new= plugged= stopped=");
    }

    #[test]
    fn what_there_is_no_room_for_is_not_remembered_and_room_comes_back() {
        let mut carried = Carried::default();
        let many: Vec<Name> = (0..NAMES_CARRIED_MAX)
            .map(|n| name(&format!("n{n}.example")))
            .collect();
        carried.saw(&"many".into(), many.into(), 1);
        saw(&mut carried, "more", &["more.example"], 1);
        assert_eq!((carried.by_id.len(), carried.names), (1, NAMES_CARRIED_MAX));
        assert!(carried.has_overflowed);
        carried.forget(&"many".into());
        saw(&mut carried, "more", &["more.example"], 1);
        assert_eq!(told(&mut carried), "more=more.example");
    }

    #[test]
    fn labels_count_unless_their_container_is_not_to_be_published() {
        let of = |labels: &[(&str, &str)], opt_in| {
            let labels = labels
                .iter()
                .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
            let selection = Selection {
                opt_in,
                ..Selection::default()
            };
            let names = of_labels(&labels.collect(), &selection);
            names
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let shop = ("skydock.name", "shop.example,*.shop.example");
        assert_eq!(of(&[shop], false), "shop.example *.shop.example");
        let port = ("skydock.srv.http", "80/tcp");
        assert_eq!(
            of(&[shop, port], false),
            "shop.example *.shop.example _http._tcp.shop.example"
        );
        assert_eq!(of(&[shop], true), "");
        assert_eq!(of(&[shop, ("skydock.enable", "false")], false), "");
        assert_eq!(of(&[port, ("skydock.name.x", "shop.example")], false), "");
    }
}
