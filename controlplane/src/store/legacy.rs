//! A service as SkyDNS wrote it.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;

use super::book::Entry;
use super::clock::Now;
use crate::service::Service;

/// A service as SkyDNS wrote it, field by field and in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shown {
    #[serde(rename = "UUID")]
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) environment: String,
    pub(crate) region: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whole seconds that are left.
    #[serde(rename = "TTL")]
    pub(crate) ttl: u32,
    /// RFC 3339, in UTC.
    pub(crate) expires: String,
    pub(crate) no_expire: bool,
}

impl Shown {
    /// One that was registered: its words are those that were given, empty ones too.
    pub(crate) fn of(entry: &Entry, now: Now) -> Self {
        let draft = &entry.registration.draft;
        let ends = match entry.deadline {
            Some(deadline) => now.wall + deadline.saturating_duration_since(now.instant),
            None => now.wall + Duration::from_secs(draft.ttl.into()),
        };
        Self {
            uuid: entry.registration.id.to_string(),
            name: draft.service.clone(),
            version: draft.instance.clone(),
            environment: draft.environment.clone(),
            region: draft.region.clone(),
            host: entry.registration.host(),
            port: draft.ports.first().map_or(0, |port| port.number),
            ttl: entry.remaining_seconds(now.instant),
            expires: moment(ends),
            no_expire: draft.permanent,
        }
    }

    /// One that nobody registered: it stays as long as its container runs.
    pub(crate) fn of_service(service: &Service, now: Now) -> Self {
        Self {
            uuid: service.uuid.to_string(),
            name: service.service.to_string(),
            version: service.instance.to_string(),
            environment: service.environment.to_string(),
            region: service.region.to_string(),
            host: service.host(),
            port: service.announced_port().unwrap_or(0),
            ttl: service.ttl_seconds,
            expires: moment(now.wall + Duration::from_secs(service.ttl_seconds.into())),
            no_expire: true,
        }
    }
}

impl fmt::Display for Shown {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).expect("text and numbers are JSON"))
    }
}

/// A moment as RFC 3339 has it, in UTC and to the millisecond.
pub(crate) fn moment(at: SystemTime) -> String {
    // Years past 9999 have no such text.
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        assert_eq!(
            moment(UNIX_EPOCH + Duration::from_millis(1_500)),
            "1970-01-01T00:00:01.500Z"
        );
        assert!(moment(UNIX_EPOCH + Duration::from_secs(1 << 40)).starts_with("9999-12-3"));
    }
}
