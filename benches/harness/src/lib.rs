//! Measures skydock beside other name servers, in one run, each on one core and with the same names.
//!
//! ```text
//!            World: names                        Generator, on the other core: questions, answers checked
//!          ┌────┴─────────┐                                     │
//!     fake engine     zone files                   loopback, or a namespace behind a bridge
//!          ▼              ▼                                     │
//!       skydock   knot nsd unbound …  ◀────────────────────────┘   A B C, A B C, …
//!          └──────┬───────┘
//!      CPU, memory of each ─▶ table, JSON, chart
//! ```
//!
//! Its command line is [`cli`]; `benches/README.md` says how to use it.

#![allow(
    clippy::indexing_slicing,
    reason = "a place outside a table is a defect of the harness and shall end the run"
)]

pub mod bare;
mod changes;
pub mod chart;
pub mod cli;
mod comparison;
mod cores;
mod dnsperf;
mod dockerd;
pub mod engine;
mod events;
pub mod field;
pub mod generator;
mod host;
pub mod load;
pub mod measure;
pub mod mix;
pub mod network;
pub mod plan;
pub mod process;
pub mod question;
mod relay;
pub mod results;
mod scaling;
pub mod servers;
pub mod table;
mod verdict;
pub mod world;
