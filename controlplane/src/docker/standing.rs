//! Why a container has names, or has none.

use std::fmt;

/// Why a container has names, or has none. Its text is a sentence without its subject and full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// It runs and is published.
    Published,
    /// It is not started, or has ended.
    Stopped,
    /// It was sent its stop signal and has not ended yet.
    Stopping,
    /// It is paused.
    Paused,
    /// It ended and waits to be started again.
    Restarting,
    /// Its label `enable` says so.
    Disabled,
    /// `--opt-in` stands, and it does not say that it wants to be published.
    NotOptedIn,
    /// A constraint of `--only` does not fit.
    NotSelected,
    /// It has no network: `--network none`.
    NoNetwork,
    /// It shares the network of a container that does not run.
    OwnerAway,
    /// It shares the network that a container had before it was started anew.
    OwnerRestarted,
    /// It has the host's network, and no network of the engine tells an address of the host.
    NoHostAddress,
    /// The engine has given it no address.
    NoAddress,
    /// The plugin gave no service for it.
    PluginSkipped,
    /// The engine could not inspect it, again and again.
    Unread,
}

impl Standing {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 15] = [
        Self::Published,
        Self::Stopped,
        Self::Stopping,
        Self::Paused,
        Self::Restarting,
        Self::Disabled,
        Self::NotOptedIn,
        Self::NotSelected,
        Self::NoNetwork,
        Self::OwnerAway,
        Self::OwnerRestarted,
        Self::NoHostAddress,
        Self::NoAddress,
        Self::PluginSkipped,
        Self::Unread,
    ];

    /// One word for tables and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Stopped => "stopped",
            Self::Stopping => "stopping",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Disabled => "disabled",
            Self::NotOptedIn => "not-opted-in",
            Self::NotSelected => "not-selected",
            Self::NoNetwork => "no-network",
            Self::OwnerAway => "network-owner-away",
            Self::OwnerRestarted => "network-owner-restarted",
            Self::NoHostAddress => "no-host-address",
            Self::NoAddress => "no-address",
            Self::PluginSkipped => "plugin-skipped",
            Self::Unread => "unread",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Published => "it runs and is published",
            Self::Stopped => "it does not run",
            Self::Stopping => "it is being stopped",
            Self::Paused => "it is paused",
            Self::Restarting => "it waits to be started again",
            Self::Disabled => "its label enable=false says so",
            Self::NotOptedIn => "--opt-in is set, and it has no label enable=true",
            Self::NotSelected => "--only does not select it",
            Self::NoNetwork => "it has no network",
            Self::OwnerAway => "the container whose network it shares does not run",
            Self::OwnerRestarted => {
                "the container whose network it shares was started anew, and it is left in the old one; restart it"
            }
            Self::NoHostAddress => {
                "it has the host's network, and the engine tells no address of the host; give one with the label ip"
            }
            Self::NoAddress => "the engine has given it no address",
            Self::PluginSkipped => "the plugin gave no service for it",
            Self::Unread => "the engine cannot inspect it",
        })
    }
}
