//! What both planes of skydock share: names, packets, records and the compiled [`Snapshot`].
//!
//! ```text
//!  control plane                                              data plane, once per core
//!  records ──▶ Builder ──build──▶ Snapshot ──▶ Publisher ═══▶ Reader ──▶ Snapshot
//!                                                                          │ lookup
//!  packet ──▶ Query { Question { NameRef, RType, Class }, Edns } ──────────┤
//!                                                                          ▼
//!                                              Found · Matches · Alias · NoData · NxDomain · NotOurs
//!                                                                          │
//!                                                              Reply ◀─────┘  the packet's own buffer
//! ```
//!
//! A [`Query`] is read without copying, a [`Snapshot`] never changes once it is built, and a
//! [`Reply`] is written into the buffer that the query arrived in: answering allocates nothing.
//! This crate does no I/O, reads no clock and logs nothing, so the same code runs under a worker,
//! a test and a fuzzer.
//!
//! Modules, each allowed to know only those before it: [`name`], [`moment`], [`wire`], [`record`],
//! [`snapshot`], [`publish`].

pub mod moment;
pub mod name;
pub mod wire;

pub mod record;
pub mod snapshot;

pub mod publish;

pub use moment::Moment;
pub use name::{Folded, Name, NameError, NameRef};
pub use publish::{Publisher, Reader, channel};
pub use record::{Record, RecordData, RrSet, View};
pub use snapshot::{
    Alias, Answer, BuildError, Builder, Endpoint, EndpointKey, Lookup, Matches, Port, PortRrSets, Protocol,
    Snapshot, Tier, Zone, ZoneSettings,
};
pub use wire::{Class, Edns, Flags, Opcode, ParseError, Query, Question, RType, Rcode, Reply};
