//! What somebody asks of the store, and why it is not done.

use std::net::IpAddr;

use arcstr::ArcStr;

use super::book::{Entry, REGISTRATIONS_MAX, REGISTRATIONS_OCTETS_MAX};
use super::check::Invalid;
use super::registration::{Callback, Defaults, Draft, DraftPort, Registration};
use crate::naming::label;

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Register it, or replace what is registered.
    Put {
        /// Which.
        id: ArcStr,
        /// What it is from now on.
        draft: Draft,
        /// Only if.
        condition: Condition,
    },
    /// Change some of it.
    Patch {
        /// Which.
        id: ArcStr,
        /// What to change.
        patch: Box<Patch>,
        /// Only if.
        condition: Condition,
    },
    /// It still lives.
    Beat {
        /// Which.
        id: ArcStr,
        /// Its TTL from now on, in seconds; nothing: as before.
        ttl: Option<u32>,
        /// Only if.
        condition: Condition,
    },
    /// Remove it.
    Remove {
        /// Which.
        id: ArcStr,
        /// Only if.
        condition: Condition,
    },
    /// Tell somebody when any of these goes.
    Call {
        /// Which: those with these words.
        words: Words,
        /// Whom to tell.
        callback: Callback,
    },
}

/// When a write is to be done at all (RFC 9110, section 13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Always.
    #[default]
    Always,
    /// If it is not there: `If-None-Match: *`.
    Absent,
    /// If it is there: `If-Match: *`.
    Present,
    /// If it is there and has one of these revisions: `If-Match: "1", "2"`.
    Revision(Vec<u64>),
    /// If it has none of these: `If-None-Match: "1", "2"`.
    NotRevision(Vec<u64>),
}

/// Changes to a draft: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patch {
    /// The fields of a [`Draft`].
    pub(crate) service: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) region: Option<String>,
    /// Addresses or an alias: either takes the place of the other.
    pub(crate) host: Option<(Vec<IpAddr>, Option<String>)>,
    pub(crate) ports: Option<Vec<DraftPort>>,
    pub(crate) priority: Option<Option<u16>>,
    pub(crate) weight: Option<Option<u16>>,
    pub(crate) texts: Option<Vec<String>>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) ttl: Option<u32>,
    pub(crate) permanent: Option<bool>,
}

/// The four words that SkyDNS finds the services of a callback by: `*` is any, and an empty one that of those that were
/// registered without.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) environment: String,
    pub(crate) region: String,
}

/// What a write did.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// As it is now; nothing if it was removed.
    pub(crate) entry: Option<Entry>,
    /// Whether it was not there before.
    pub(crate) is_new: bool,
}

/// Why a write was not done. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no such registration.
    #[error("no service {0:?} is registered; GET /v1/services lists those that are")]
    NotFound(ArcStr),
    /// It is there already.
    #[error("service {0:?} is registered already; remove it first, or change it under /v1/services")]
    Exists(ArcStr),
    /// Its condition does not hold.
    #[error("service {id:?} is not as the condition has it; its revision is {revision}")]
    Condition {
        /// Which.
        id: ArcStr,
        /// What it is; `none` if it is not there.
        revision: String,
    },
    /// It cannot be served.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There are too many.
    #[error("{REGISTRATIONS_MAX} services are registered, and there is room for no more; remove some")]
    TooMany,
    /// They take too much.
    #[error(
        "registrations take {} MiB, and there is room for no more; remove some, or give this one less text",
        REGISTRATIONS_OCTETS_MAX >> 20
    )]
    TooLarge,
    /// Too many writes wait.
    #[error("too many writes wait for the disk; try again in a second")]
    Busy,
    /// The disk did not take it in time. What becomes of it is open.
    #[error("the disk has not taken the write in time, and may yet do so; look before trying again")]
    Slow,
    /// The store does not take writes.
    #[error("{reason}")]
    Storage {
        /// Why, and the remedy.
        reason: String,
        /// Whether it has no room.
        is_full: bool,
    },
    /// We are ending.
    #[error("skydock is stopping")]
    Stopping,
}

impl Condition {
    /// Whether it holds for what is registered as `id`.
    pub(super) fn check(&self, id: &ArcStr, known: Option<&Entry>) -> Result<(), Refusal> {
        let revision = known.map(|known| known.registration.revision);
        let holds = match self {
            Self::Always => true,
            Self::Absent => revision.is_none(),
            Self::Present => revision.is_some(),
            Self::Revision(wanted) => revision.is_some_and(|revision| wanted.contains(&revision)),
            Self::NotRevision(unwanted) => !revision.is_some_and(|revision| unwanted.contains(&revision)),
        };
        if holds {
            return Ok(());
        }
        let id = id.clone();
        Err(Refusal::Condition {
            id,
            revision: revision.map_or_else(|| "none".to_owned(), |revision| revision.to_string()),
        })
    }
}

impl Patch {
    /// `draft` with these changes.
    pub(super) fn applied_to(self, draft: &Draft) -> Draft {
        let (addresses, alias) = self
            .host
            .unwrap_or_else(|| (draft.addresses.clone(), draft.alias.clone()));
        let draft = draft.clone();
        Draft {
            service: self.service.unwrap_or(draft.service),
            instance: self.instance.unwrap_or(draft.instance),
            environment: self.environment.unwrap_or(draft.environment),
            region: self.region.unwrap_or(draft.region),
            addresses,
            alias,
            ports: self.ports.unwrap_or(draft.ports),
            priority: self.priority.unwrap_or(draft.priority),
            weight: self.weight.unwrap_or(draft.weight),
            texts: self.texts.unwrap_or(draft.texts),
            names: self.names.unwrap_or(draft.names),
            ttl: self.ttl.unwrap_or(draft.ttl),
            permanent: self.permanent.unwrap_or(draft.permanent),
        }
    }
}

impl Words {
    /// Whether they find this registration.
    pub(super) fn mean(&self, registration: &Registration, defaults: &Defaults) -> bool {
        let draft = &registration.draft;
        [
            (&self.service, &draft.service, ""),
            (&self.instance, &draft.instance, ""),
            (&self.environment, &draft.environment, &*defaults.environment),
            (&self.region, &draft.region, &*defaults.region),
        ]
        .into_iter()
        .all(|(wanted, has, default)| wanted == "*" || label(or(wanted, default)) == label(or(has, default)))
    }
}

/// `word`, or what is meant without one.
fn or<'w>(word: &'w str, default: &'w str) -> &'w str {
    if word.is_empty() { default } else { word }
}

impl std::fmt::Display for Words {
    /// As a question would have them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [&self.region, &self.instance, &self.service, &self.environment];
        f.write_str(&words.map(String::as_str).join("."))
    }
}
