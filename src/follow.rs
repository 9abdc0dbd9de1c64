//! The host's resolv.conf, followed while we run.
//!
//! ```text
//!  every half second: what is at the path? ─ as it was ─▶ nothing
//!                        └─ changed, and the same twice ─▶ read ─ servers ─▶ they are asked from now on
//!                                                           └─ none, or not to be read ─▶ the last ones stay
//! ```
//!
//! Looked at, not watched: whoever manages the file replaces it by renaming, writes it in place, or turns a link
//! somewhere on the way to it, and a watch would be needed on each directory of that way, to be set anew after each
//! change. One `stat` follows all of it, costs microseconds, and works on every file system and through bind mounts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::upstreams::{self, Given, Ourselves, Upstreams};

/// How often the file is looked at. A change counts when it has been seen twice, for many write a file in several steps:
/// a second passes at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What tells one state of the file from the next: device, inode, size, and the times of its last changes. `None`: there
/// is nothing that could be read.
type State = Option<(u64, u64, u64, [i64; 4])>;

/// Follows one resolv.conf.
pub(crate) struct Follower {
    path: PathBuf,
    given: Given,
    /// The state that was last acted upon.
    known: State,
    /// The state that was last seen.
    seen: State,
    current: Upstreams,
}

impl Follower {
    /// Chooses the upstreams as [`upstreams::find`] does, and follows the file that they come from. None to follow
    /// where --nameserver names them.
    ///
    /// # Errors
    ///
    /// As [`upstreams::find`].
    pub(crate) fn start(
        given: &Given,
        path: PathBuf,
        ourselves: &Ourselves,
    ) -> Result<(Upstreams, Option<Self>), crate::failure::Failure> {
        // Before it is read: what changes meanwhile is then seen as a change.
        let state = state(&path);
        let upstreams = upstreams::find(given, &path, ourselves)?;
        let follower = given.nameservers.is_empty().then(|| Self {
            path,
            given: given.clone(),
            known: state,
            seen: state,
            current: upstreams.clone(),
        });
        Ok((upstreams, follower))
    }

    /// Follows the file for ever, and calls `set` with each change of the upstreams. `ourselves` says who we are then.
    pub(crate) async fn run(
        &mut self,
        ourselves: impl Fn() -> Option<Ourselves>,
        mut set: impl FnMut(&Upstreams) -> Result<(), String>,
    ) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !self.has_changed() {
                continue;
            }
            let Some(ourselves) = ourselves() else {
                // No descriptor is left: the file is looked at again as if it had changed since.
                self.known = None;
                continue;
            };
            match self.read(&ourselves) {
                Ok(None) => {}
                Ok(Some(upstreams)) => match set(upstreams) {
                    Ok(()) => tracing::info!("upstreams are now {upstreams}"),
                    Err(error) => tracing::warn!("the upstreams stay as they were: {error}"),
                },
                Err(reason) => tracing::warn!("the upstreams stay as they were: {reason}"),
            }
        }
    }

    /// Whether the file is another one, or says something else, than when it was last acted upon; and has settled.
    fn has_changed(&mut self) -> bool {
        let state = state(&self.path);
        let has_settled = state == self.seen;
        self.seen = state;
        if !has_settled || state == self.known {
            return false;
        }
        self.known = state;
        true
    }

    /// The upstreams that the file names now, if they are others than before.
    ///
    /// # Errors
    ///
    /// It names none, or cannot be read: why.
    fn read(&mut self, ourselves: &Ourselves) -> Result<Option<&Upstreams>, String> {
        let upstreams =
            upstreams::find(&self.given, &self.path, ourselves).map_err(|error| error.to_string())?;
        if upstreams.addresses.is_empty() {
            // Its second line says what to do about it at the start.
            let reason = upstreams.origin.lines().next().unwrap_or_default();
            let reason = reason
                .rsplit_once("answered: ")
                .map_or(reason, |(_, reason)| reason);
            return Err(reason.to_owned());
        }
        if upstreams.addresses == self.current.addresses {
            return Ok(None);
        }
        self.current = upstreams;
        Ok(Some(&self.current))
    }
}

fn state(path: &std::path::Path) -> State {
    let file = fs::metadata(path).ok()?;
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    Some((file.dev(), file.ino(), file.size(), times))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    struct Case {
        directory: tempfile::TempDir,
        follower: Follower,
        ourselves: Ourselves,
    }

    impl Case {
        /// A directory whose `resolv.conf` is made by `make`.
        fn new(make: impl FnOnce(&Path)) -> Self {
            let directory = tempfile::tempdir().unwrap();
            make(directory.path());
            let ourselves = Ourselves {
                listeners: vec!["127.0.0.1:53".parse().unwrap()],
                host: Vec::new(),
            };
            let path = directory.path().join("resolv.conf");
            let (_, follower) = Follower::start(&Given::default(), path, &ourselves).unwrap();
            let follower = follower.expect("no --nameserver was given");
            Self {
                directory,
                follower,
                ourselves,
            }
        }

        /// What comes of a look or two after `change`: the new upstreams, `Err`: why the old ones stay, `None`: nothing.
        fn after(&mut self, change: impl FnOnce(&Path)) -> Option<Result<String, String>> {
            change(self.directory.path());
            if !self.follower.has_changed() && !self.follower.has_changed() {
                return None;
            }
            assert!(!self.follower.has_changed(), "a change is seen once");
            match self.follower.read(&self.ourselves) {
                Ok(None) => None,
                Ok(Some(upstreams)) => {
                    Some(Ok(upstreams.addresses.iter().map(ToString::to_string).collect()))
                }
                Err(reason) => Some(Err(reason)),
            }
        }
    }

    fn write(directory: &Path, name: &str, servers: &[&str]) {
        let lines: String = servers
            .iter()
            .map(|server| format!("nameserver {server}\n"))
            .collect();
        fs::write(directory.join(name), lines).unwrap();
    }

    #[test]
    fn a_file_that_is_written_anew_is_read_anew() {
        let mut case = Case::new(|directory| write(directory, "resolv.conf", &["192.0.2.1"]));
        assert_eq!(case.after(|_| {}), None);
        let changed = case.after(|directory| write(directory, "resolv.conf", &["192.0.2.2", "127.0.0.1"]));
        assert_eq!(changed, Some(Ok("192.0.2.2:53".to_owned())), "without ourselves");
        let same = case.after(|directory| write(directory, "resolv.conf", &["192.0.2.2"]));
        assert_eq!(same, None, "another file with the same servers");
    }

    #[test]
    fn a_file_that_is_replaced_by_another_is_read() {
        let mut case = Case::new(|directory| write(directory, "resolv.conf", &["192.0.2.1"]));
        let changed = case.after(|directory| {
            write(directory, "new", &["192.0.2.2"]);
            fs::rename(directory.join("new"), directory.join("resolv.conf")).unwrap();
        });
        assert_eq!(changed, Some(Ok("192.0.2.2:53".to_owned())));
    }

    #[test]
    fn a_link_that_turns_elsewhere_is_followed_also_on_the_way() {
        let mut case = Case::new(|directory| {
            for (folder, server) in [("one", "192.0.2.1"), ("other", "192.0.2.2")] {
                fs::create_dir(directory.join(folder)).unwrap();
                write(directory, &format!("{folder}/stub"), &[server]);
            }
            symlink("one", directory.join("run")).unwrap();
            symlink("run/stub", directory.join("resolv.conf")).unwrap();
        });
        let changed = case.after(|directory| {
            symlink("other", directory.join("next")).unwrap();
            fs::rename(directory.join("next"), directory.join("run")).unwrap();
        });
        assert_eq!(changed, Some(Ok("192.0.2.2:53".to_owned())));
        let changed = case.after(|directory| write(directory, "other/stub", &["192.0.2.3"]));
        assert_eq!(changed, Some(Ok("192.0.2.3:53".to_owned())));
        let changed = case.after(|directory| {
            fs::remove_file(directory.join("resolv.conf")).unwrap();
            write(directory, "resolv.conf", &["192.0.2.4"]);
        });
        assert_eq!(changed, Some(Ok("192.0.2.4:53".to_owned())));
    }

    #[test]
    fn what_names_nobody_leaves_the_last_good_servers_and_says_why() {
        let mut case = Case::new(|directory| write(directory, "resolv.conf", &["192.0.2.1"]));
        let why = |changed: Option<Result<String, String>>| changed.unwrap().unwrap_err();
        let empty = why(case.after(|directory| write(directory, "resolv.conf", &[])));
        assert!(empty.ends_with("resolv.conf names no server"), "{empty}");
        let ours = why(case.after(|directory| write(directory, "resolv.conf", &["127.0.0.1"])));
        assert!(ours.ends_with("names only ourselves"), "{ours}");
        let gone = why(case.after(|directory| fs::remove_file(directory.join("resolv.conf")).unwrap()));
        assert!(gone.contains("cannot be read"), "{gone}");
        let back = case.after(|directory| write(directory, "resolv.conf", &["192.0.2.1"]));
        assert_eq!(back, None, "the servers that were asked all the time");
    }

    #[test]
    fn a_file_is_acted_upon_once_it_has_settled() {
        let mut case = Case::new(|directory| write(directory, "resolv.conf", &["192.0.2.1"]));
        write(case.directory.path(), "resolv.conf", &[]);
        assert!(!case.follower.has_changed());
        write(case.directory.path(), "resolv.conf", &["192.0.2.2"]);
        assert!(!case.follower.has_changed());
        assert!(case.follower.has_changed());
    }

    #[test]
    fn servers_that_were_named_by_flag_are_not_followed_away() {
        let given = Given {
            nameservers: vec![std::net::SocketAddr::from(([192, 0, 2, 9], 53)).into()],
            ..Given::default()
        };
        let nobody = Ourselves {
            listeners: Vec::new(),
            host: Vec::new(),
        };
        let (upstreams, follower) = Follower::start(&given, "/etc/resolv.conf".into(), &nobody).unwrap();
        assert!(follower.is_none() && upstreams.addresses == given.nameservers);
    }
}
