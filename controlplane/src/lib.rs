//! Watches container engines and publishes what runs there as DNS snapshots.

mod service;

pub use service::{Change, Port, Protocol, Service, ServiceId, Source};
