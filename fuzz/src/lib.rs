//! Fuzz targets as plain functions of octets: `cargo fuzz` calls them for ever, the ordinary tests once
//! for each file of the corpus. They panic when something is promised and does not hold.

mod answer;
mod cache;
mod model;
mod query;
mod reply;
mod snapshot;
mod write;

pub use cache::cache;
pub use query::query;
pub use reply::reply;
pub use snapshot::snapshot;
pub use write::write;
