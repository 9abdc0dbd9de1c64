//! What the control plane knows of a running thing, and the changes that reach the pipeline.

use std::net::IpAddr;
use std::sync::Arc;

/// Who told us of a service. Two sources never overwrite each other's services.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A container engine, named by its endpoint, for example `unix:///var/run/docker.sock`.
    Engine(Arc<str>),
}

/// One service of one source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId {
    /// Who told us of it.
    pub source: Source,
    /// The source's own name for it; for an engine the full container id.
    pub id: Arc<str>,
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP; first, because a port of both kinds is announced as TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port that a service listens on inside its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Protocol; compared first, so the least port is the one SRV announces.
    pub protocol: Protocol,
    /// 1 to 65535.
    pub number: u16,
}

/// A running thing that gets names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Who told us of it, and its id there.
    pub id: ServiceId,
    /// Environment, as the source gave it; `naming` makes a label of it, and of the five below.
    pub environment: String,
    /// Service: image name without registry, repository, tag and digest.
    pub service: String,
    /// Instance: the container's name.
    pub instance: String,
    /// Region: by default this host's name.
    pub region: String,
    /// Host: the service's first address or host name.
    pub host: String,
    /// First ten hex digits of the container id.
    pub uuid: String,
    /// Addresses, primary first; never unspecified ones. Empty when it has none, and then it gets no names.
    pub addresses: Vec<IpAddr>,
    /// Ports, least first.
    pub ports: Vec<Port>,
    /// Time to live of its records, in seconds.
    pub ttl_seconds: u32,
}

impl Service {
    /// The port that SRV announces: the lowest TCP port, else the lowest of the others; none if it listens
    /// nowhere.
    #[must_use]
    pub fn announced_port(&self) -> Option<u16> {
        self.ports.iter().min().map(|port| port.number)
    }
}

/// What the pipeline is told, by every source alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The service is there and looks like this.
    Put(Service),
    /// The service is gone.
    Remove(ServiceId),
    /// The complete truth of one source: what it does not list is gone.
    Reset {
        /// Whose truth.
        source: Source,
        /// All of its services.
        services: Vec<Service>,
    },
}
