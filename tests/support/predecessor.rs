//! Registrations as the predecessor made them.

use std::net::SocketAddr;

use super::http::{Reply, request};

/// A body as the predecessor wrote it, for a service `web`.
pub(crate) fn web(instance: &str, host: &str, ttl: u32) -> String {
    format!(
        r#"{{"UUID":"","Name":"web","Version":"{instance}","Environment":"dev","Region":"","Host":"{host}","Port":8080,"TTL":{ttl},"Expires":"0001-01-01T00:00:00Z","NoExpire":false}}"#
    )
}

/// Registers `body` under `uuid`, by SkyDNS v1's interface at `to`.
pub(crate) fn put(to: SocketAddr, uuid: &str, body: &str) -> Reply {
    request(to, &format!("PUT /skydns/services/{uuid}"), &[], body)
}
