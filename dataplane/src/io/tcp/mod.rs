//! DNS over TCP (RFC 7766), on one thread of its own, apart from the cores that answer datagrams.
//!
//! ```text
//!  listener ─accept─▶ table ─▶ connection: octets in ─▶ queries ─▶ respond ──▶ replies ─▶ octets out
//!                                                          └─ Forward ─▶ relay ─▶ upstream
//! ```
//!
//! What decides has no socket: [`connection`] is one client's framing, bounds and deadlines, [`table`] says who gets
//! in and who goes. [`shell`] reads and writes, without ever waiting for one client.

mod connection;
mod listener;
mod shell;
mod table;

pub use self::connection::Closed;
pub(crate) use self::listener::open;
pub(crate) use self::shell::{Setup, Shell};
