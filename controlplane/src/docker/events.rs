//! What an engine's event means to us: which container must be looked at, and how soon, or that the networks must.
//!
//! Nothing but the id, the kind and a signal is taken from an event. What is published comes from an inspect that follows it.

use arcstr::ArcStr;

use super::container::health;
use super::standing::Standing;
use super::{stop, wire};
use crate::service::Health;

/// An event that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A container has changed.
    Container(Event),
    /// A network came or went.
    Networks,
}

/// An event about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Full id of the container that it is about.
    pub(crate) container: ArcStr,
    /// What it asks for.
    pub(crate) effect: Effect,
    /// Where the container stands if it is withdrawn for it, as far as the event says.
    pub(crate) standing: Standing,
}

/// What an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Something about the container may have changed: inspect it.
    Inspect,
    /// The same, but if it is not known to run, what follows tells more: a start comes after its networks, an end before
    /// them. So one that does not run is looked at only when nothing has followed for a while.
    Hint,
    /// Its health check says this: inspect it, unless that is known. Podman tells of every check, changed or not.
    Health(Health),
    /// It was sent this signal: withdraw it if that begins its end.
    Signal(u8),
    /// It cannot be talked to any more: withdraw it at once.
    Withdraw,
    /// It does not exist any more: withdraw it at once, and expect nothing further.
    Forget,
}

impl Effect {
    /// Whether it says that the container ends, or may.
    pub(crate) fn is_of_an_end(self) -> bool {
        matches!(self, Self::Signal(_) | Self::Withdraw | Self::Forget)
    }
}

impl News {
    /// Reads an engine's event; `None` for those that change nothing in DNS.
    pub(crate) fn of(event: wire::Event) -> Option<Self> {
        let wire::Event {
            kind,
            action,
            actor,
            health_status,
            time_nano: _,
        } = event;
        let attribute = |name: &str| actor.attributes.get(name);
        let standing = match action.as_str() {
            "kill" => Standing::Stopping,
            "pause" => Standing::Paused,
            _ => Standing::Stopped,
        };
        let (container, effect) = match kind.as_str() {
            "container" if action == "kill" => {
                (&actor.id, Effect::Signal(stop::number(attribute("signal")?)?))
            }
            "container" => (&actor.id, container_effect(&action, &health_status)?),
            // Docker's actor is the network, and the container stands among its attributes; Podman's is the container.
            "network" if matches!(action.as_str(), "connect" | "disconnect") => {
                (attribute("container").unwrap_or(&actor.id), Effect::Hint)
            }
            // `remove` is Podman's word.
            "network" if matches!(action.as_str(), "create" | "destroy" | "remove") => {
                return Some(Self::Networks);
            }
            _ => return None,
        };
        (!container.is_empty()).then(|| {
            Self::Container(Event {
                container: container.as_str().into(),
                effect,
                standing,
            })
        })
    }
}

impl News {
    /// What it asks for, if it happened before we asked to be told: the container has been through more since, perhaps, so
    /// it is only looked at.
    pub(crate) fn in_hindsight(self) -> Self {
        match self {
            Self::Container(event) => Self::Container(Event::look_at(event.container)),
            Self::Networks => Self::Networks,
        }
    }
}

impl Event {
    /// Something about the container may have changed.
    pub(crate) fn look_at(container: ArcStr) -> Self {
        Self {
            container,
            effect: Effect::Inspect,
            standing: Standing::Stopped,
        }
    }
}

/// The actions that an engine is asked to tell of, Docker's words and Podman's. An engine matches them as beginnings of
/// its own, so `health_status` stands for `health_status: healthy` too.
pub(super) const HEARD: [&str; 15] = [
    "start",
    "restart",
    "unpause",
    "rename",
    "update",
    "health_status",
    "kill",
    "die",
    "died",
    "pause",
    "destroy",
    "remove",
    "connect",
    "disconnect",
    "create",
];

fn container_effect(action: &str, health_status: &str) -> Option<Effect> {
    // `health_status: healthy`, `exec_start: sh -c ...`: what follows the colon is detail.
    let (action, detail) = action.split_once(':').unwrap_or((action, health_status));
    match action.trim() {
        "start" | "restart" | "unpause" | "rename" | "update" => Some(Effect::Inspect),
        "health_status" => Some(match health(detail.trim()) {
            // Not said, or in a word that we do not know.
            Health::None => Effect::Inspect,
            health => Effect::Health(health),
        }),
        // It has no names before it starts; that it is there is worth knowing to whoever asks why.
        "create" => Some(Effect::Hint),
        // `died` and `remove` are Podman's words where it does not translate them.
        "die" | "died" | "pause" => Some(Effect::Withdraw),
        "destroy" | "remove" => Some(Effect::Forget),
        // `stop` too, which follows `die`.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<(String, Effect)> {
        match News::of(wire::read(json.as_bytes()).unwrap())? {
            News::Container(event) => Some((event.container.to_string(), event.effect)),
            News::Networks => None,
        }
    }

    fn container(action: &str) -> Option<Effect> {
        read(&format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"c1"}}}}"#
        ))
        .map(|(id, effect)| {
            assert_eq!(id, "c1");
            effect
        })
    }

    #[test]
    fn events_that_may_change_a_container_ask_for_an_inspect() {
        for action in [
            "start",
            "restart",
            "unpause",
            "rename",
            "update",
            "health_status",
            "health_status: of another word",
        ] {
            assert_eq!(container(action), Some(Effect::Inspect), "{action}");
        }
    }

    #[test]
    fn what_a_health_check_says_is_read_as_docker_and_as_podman_write_it() {
        assert_eq!(
            container("health_status: healthy"),
            Some(Effect::Health(Health::Healthy))
        );
        let of_podman = |status: &str| {
            read(&format!(
                r#"{{"Type":"container","Action":"health_status","Actor":{{"ID":"c1"}},"HealthStatus":"{status}"}}"#
            ))
        };
        let expected = ("c1".to_owned(), Effect::Health(Health::Unhealthy));
        assert_eq!(of_podman("unhealthy"), Some(expected));
        assert_eq!(of_podman(""), Some(("c1".to_owned(), Effect::Inspect)));
    }

    #[test]
    fn a_container_that_is_made_is_worth_a_look_if_nothing_follows() {
        assert_eq!(container("create"), Some(Effect::Hint));
    }

    #[test]
    fn events_that_end_or_suspend_a_container_withdraw_it() {
        for (action, effect) in [
            ("die", Effect::Withdraw),
            ("died", Effect::Withdraw),
            ("pause", Effect::Withdraw),
            ("destroy", Effect::Forget),
            ("remove", Effect::Forget),
        ] {
            assert_eq!(container(action), Some(effect), "{action}");
        }
    }

    #[test]
    fn a_kill_tells_its_signal() {
        let kill = |attributes: &str| {
            read(&format!(
                r#"{{"Type":"container","Action":"kill","Actor":{{"ID":"c1","Attributes":{attributes}}}}}"#
            ))
        };
        assert_eq!(
            kill(r#"{"signal":"15"}"#),
            Some(("c1".to_owned(), Effect::Signal(15)))
        );
        assert_eq!(
            kill(r#"{"signal":"SIGHUP"}"#),
            Some(("c1".to_owned(), Effect::Signal(1)))
        );
        assert_eq!(kill(r#"{"signal":"nonsense"}"#), None);
        assert_eq!(kill("{}"), None);
    }

    #[test]
    fn events_that_change_nothing_in_dns_are_passed_over() {
        for action in [
            "kill",
            "stop",
            "oom",
            "attach",
            "detach",
            "top",
            "resize",
            "commit",
            "copy",
            "export",
            "archive-path",
            "exec_create: sh",
            "exec_start: sh",
            "exec_die",
            "exec_detach",
            "init",
            "sync",
            "",
            "cleanup",
            "startled",
        ] {
            assert_eq!(container(action), None, "{action}");
        }
    }

    #[test]
    fn joining_or_leaving_a_network_asks_for_an_inspect_of_the_container() {
        let network = |action: &str, attributes: &str| {
            read(&format!(
                r#"{{"Type":"network","Action":"{action}","Actor":{{"ID":"n1","Attributes":{attributes}}}}}"#
            ))
        };
        let attributes = r#"{"container":"c1","name":"bridge","type":"bridge"}"#;
        for action in ["connect", "disconnect"] {
            assert_eq!(network(action, attributes), Some(("c1".to_owned(), Effect::Hint)));
            // Podman names the container where Docker names the network.
            assert_eq!(network(action, "{}"), Some(("n1".to_owned(), Effect::Hint)));
        }
    }

    #[test]
    fn a_network_that_comes_or_goes_asks_for_a_look_at_the_networks() {
        let network = |action: &str| {
            let json = format!(r#"{{"Type":"network","Action":"{action}","Actor":{{"ID":"n1"}}}}"#);
            News::of(wire::read(json.as_bytes()).unwrap())
        };
        for action in ["create", "destroy", "remove"] {
            assert_eq!(network(action), Some(News::Networks), "{action}");
        }
        assert_eq!(network("prune"), None);
    }

    #[test]
    fn events_of_old_and_of_new_engines_are_read_alike() {
        // API 1.41, recorded: the fields at the front are gone since API 1.52.
        let old = r#"{"status":"start","id":"c1","from":"redis:2.8","Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"image":"redis:2.8","name":"redis1"}},"scope":"local","time":1795409981,"timeNano":1795409981787758551}"#;
        let new = r#"{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"image":"redis:2.8","name":"redis1"}},"scope":"local","time":1795409981,"timeNano":1795409981787758551}"#;
        let expected = Some(("c1".to_owned(), Effect::Inspect));
        assert_eq!((read(old), read(new)), (expected.clone(), expected));
    }

    #[test]
    fn an_event_without_its_parts_is_passed_over() {
        for json in [
            "{}",
            r#"{"Type":"container","Action":"start"}"#,
            r#"{"Type":"container","Action":"start","Actor":{}}"#,
            r#"{"Type":"container","Action":"start","Actor":{"ID":""}}"#,
            r#"{"Action":"start","Actor":{"ID":"c1"}}"#,
            r#"{"Type":"image","Action":"start","Actor":{"ID":"c1"}}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
