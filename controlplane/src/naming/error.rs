//! Why a service gets no names.

use arcstr::ArcStr;
use dns::{Name, NameError};

use super::Kind;
use crate::service::Service;

/// Why a service gets no names. Read by a person, who shall know which container and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// A word is empty, and a label has at least one octet.
    #[error("{instance:?} ({id}) gets no names: its {kind} is empty; {}", kind.remedy())]
    Empty {
        /// The source's id of the service.
        id: ArcStr,
        /// Its instance word.
        instance: ArcStr,
        /// The empty one.
        kind: Kind,
    },
    /// Labels and zone do not fit into one name.
    #[error(
        "{instance:?} ({id}) gets no names below {zone}: {reason}; shorten {} or {}",
        Kind::Instance,
        Kind::Service
    )]
    Name {
        /// The source's id of the service.
        id: ArcStr,
        /// Its instance word.
        instance: ArcStr,
        /// The zone they do not fit into.
        zone: Name,
        /// What the name's maker found.
        reason: NameError,
    },
}

impl NamingError {
    pub(super) fn empty(service: &Service, kind: Kind) -> Self {
        Self::Empty {
            id: service.id.id.clone(),
            instance: service.instance.clone(),
            kind,
        }
    }

    pub(super) fn name(service: &Service, zone: &Name, reason: NameError) -> Self {
        let (id, instance) = (service.id.id.clone(), service.instance.clone());
        Self::Name {
            id,
            instance,
            zone: zone.clone(),
            reason,
        }
    }
}
