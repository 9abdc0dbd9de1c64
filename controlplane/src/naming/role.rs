//! Why a service stands at a name, and what follows from it.

/// Why a service stands at a name.
///
/// Where several kinds of reason meet at one name, those of the first kind have it and the others wait: what the
/// grammar calls an environment, a service or an instance is never anything else, whatever containers and projects
/// are called, and whatever they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `env`: it is in that environment.
    Environment,
    /// `service.env`: it is one of that service.
    Service,
    /// `instance.service.env`: it is that one.
    Instance,
    /// `uuid`: it is that one. Before [`Role::Container`], since SRV records point here.
    Uuid,
    /// It asked for the name.
    Wished,
    /// `instance`: it is the container of that name.
    Container,
    /// `service.project`: it is one of that service of a Compose project.
    ComposeService,
    /// `number.service.project`: it is that one.
    ComposeInstance,
    /// `service`: it is one of that service of the only Compose project that has one.
    ComposeBare,
    /// `alias`: its neighbours on a network may call it so. Others get nothing there.
    NetworkAlias,
    /// It has the address that the name is the reverse of.
    Reverse,
}

impl Role {
    /// Whether the name means all of a kind, so that only those of them answer that can do their work. A name that
    /// means one service always answers: whoever asks for that one wants that one. Of those with an alias it is seen network by
    /// network who answers.
    pub(crate) fn is_gated(self) -> bool {
        match self {
            Self::Environment | Self::Service | Self::Wished | Self::ComposeService | Self::ComposeBare => {
                true
            }
            Self::Instance
            | Self::Uuid
            | Self::Container
            | Self::ComposeInstance
            | Self::NetworkAlias
            | Self::Reverse => false,
        }
    }

    /// Whether `_port._proto` names stand below the name. Not below an environment, whose services have nothing but
    /// a port in common, nor below a uuid, which SRV records lead to rather than start from, nor below an alias, which
    /// means a host.
    pub(crate) fn has_ports(self) -> bool {
        match self {
            Self::Environment | Self::Uuid | Self::NetworkAlias | Self::Reverse => false,
            Self::Service
            | Self::Instance
            | Self::Wished
            | Self::Container
            | Self::ComposeService
            | Self::ComposeInstance
            | Self::ComposeBare => true,
        }
    }

    /// Whether the texts of a service stand at the name: not where it is one of many kinds.
    pub(crate) fn has_texts(self) -> bool {
        !matches!(self, Self::Environment | Self::NetworkAlias | Self::Reverse)
    }

    /// Whether the name is nobody's while services of several Compose projects stand at it, who never meant each other.
    pub(crate) fn is_contestable(self) -> bool {
        matches!(self, Self::Service | Self::ComposeBare)
    }

    /// Whether the name means a host rather than a service. Where a service stands for a name elsewhere, hosts are
    /// aliases of that name, and services have SRV records that lead there, which could not stand beside an alias.
    pub(crate) fn is_host(self) -> bool {
        matches!(self, Self::Uuid | Self::Wished | Self::Container)
    }
}
