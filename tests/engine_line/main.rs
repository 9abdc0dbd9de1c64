//! From a container that starts, stops or changes to the answer of its name.
//!
//! ```text
//! answers    what is said of one that runs
//! life       what becomes of it
//! soon       how soon that is known
//! ```

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod life;
mod soon;

/// The service that the harness's image stands for.
const REDIS: &str = "redis.dev.docker";
