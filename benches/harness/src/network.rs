//! The ways from a client to a server.
//!
//! ```text
//!  loopback     generator ── lo ── server
//!  bridge       generator ── veth ═ veth ── bridge ── server        as a container's queries come
//!               (in a namespace)
//! ```

use std::fmt;
use std::net::Ipv4Addr;
use std::process::Command;

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// The bridge's address, and that of the client behind it: a /24 that Docker does not hand out by itself.
const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 2);

/// A way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// 127.0.0.1.
    Loopback,
    /// A network namespace behind a bridge.
    Bridge,
}

impl Path {
    /// How the command line and the results call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Bridge => "bridge",
        }
    }

    /// Where a server is asked that way.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::Loopback => Ipv4Addr::LOCALHOST,
            Self::Bridge => BRIDGE,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl ValueEnum for Path {
    fn value_variants<'v>() -> &'v [Self] {
        &[Self::Loopback, Self::Bridge]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()))
    }
}

/// A namespace behind a bridge. Both go when it is dropped.
#[derive(Debug)]
pub struct Bridge {
    /// The namespace's name, and part of those of the interfaces.
    name: String,
}

impl Bridge {
    /// Makes both.
    ///
    /// # Errors
    ///
    /// What `ip` said: mostly that this takes root.
    pub fn make() -> Result<Self, String> {
        // Names of interfaces have at most 15 octets.
        let it = Self {
            name: format!("hn{}", std::process::id()),
        };
        let Self { name } = &it;
        let (bridge, outer, inner) = (it.bridge(), it.outer(), format!("{name}c"));
        for line in [
            format!("netns add {name}"),
            format!("link add {bridge} type bridge"),
            format!("addr add {BRIDGE}/24 dev {bridge}"),
            format!("link add {outer} type veth peer name {inner}"),
            format!("link set {outer} master {bridge}"),
            format!("link set {inner} netns {name}"),
            format!("-n {name} addr add {CLIENT}/24 dev {inner}"),
            format!("-n {name} link set {inner} up"),
            format!("-n {name} link set lo up"),
            format!("link set {outer} up"),
            format!("link set {bridge} up"),
        ] {
            ip(&line)?;
        }
        Ok(it)
    }

    /// The namespace, as `ip netns exec` takes it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.name
    }

    fn bridge(&self) -> String {
        format!("{}b", self.name)
    }

    fn outer(&self) -> String {
        format!("{}v", self.name)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // What was never made cannot be taken away.
        for line in [
            format!("link del {}", self.outer()),
            format!("link del {}", self.bridge()),
            format!("netns del {}", self.name),
        ] {
            let _ = ip(&line);
        }
    }
}

fn ip(line: &str) -> Result<(), String> {
    let output = Command::new("ip").args(line.split_whitespace()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "ip {line}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("ip {line}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_their_words() {
        for path in [Path::Loopback, Path::Bridge] {
            assert_eq!(Path::from_str(path.word(), false), Ok(path));
        }
        assert!(Path::from_str("lan", false).is_err());
    }

    #[test]
    fn names_of_interfaces_fit_the_kernel_whatever_our_process_id_is() {
        let it = Bridge {
            name: format!("hn{}", 4_194_304),
        };
        assert!(it.bridge().len() <= 15 && it.outer().len() <= 15);
        // It was never made, and dropping it finds that out.
    }
}
