//! How many cores the CPU quota of our control group keeps busy.
//!
//! ```text
//!  /proc/self/cgroup ─▶ our group in each hierarchy ─┐
//!  /proc/self/mountinfo ─▶ where it is mounted ──────┴─▶ cpu.max (v2), cpu.cfs_quota_us (v1), ours and those above
//! ```

use std::path::Path;

/// The least quota among those of our group and all groups above it that can be seen, in cores: `Some(1.5)` for
/// 150 ms of CPU in each 100 ms. `None`: nobody limits us. `read` gives a file's text, if there is one.
pub(super) fn quota(read: impl Fn(&Path) -> Option<String>) -> Option<f64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let hierarchies = mounts.lines().filter_map(Hierarchy::parse);
    let quotas = hierarchies.flat_map(|hierarchy| {
        let group = groups.lines().find_map(|line| hierarchy.group(line));
        let root = Path::new(hierarchy.mounted).to_owned();
        let ours = group.map_or_else(|| root.clone(), |group| root.join(group));
        let above: Vec<_> = ours.ancestors().map(Path::to_owned).collect();
        let visible = above
            .into_iter()
            .take_while(move |group| group.starts_with(&root));
        let read = &read;
        visible.filter_map(move |group| hierarchy.quota(&group, read))
    });
    quotas.min_by(f64::total_cmp)
}

/// A mounted hierarchy of control groups that may limit CPU.
#[derive(Clone, Copy)]
struct Hierarchy<'t> {
    is_v2: bool,
    /// The group that is mounted; `/` unless ours is a container without a namespace for groups.
    root: &'t str,
    mounted: &'t str,
}

impl<'t> Hierarchy<'t> {
    /// Reads a line of `mountinfo` (proc(5)): id, parent, device, root, mount point, options, optional fields, `-`, type,
    /// source, options of the file system.
    fn parse(line: &'t str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, mounted) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let is_v2 = kind == "cgroup2";
        let is_v1 = kind == "cgroup" && options.split(',').any(|option| option == "cpu");
        (is_v1 || is_v2).then_some(Self { is_v2, root, mounted })
    }

    /// Our group in this hierarchy, as a path below where it is mounted, if `line` of `/proc/self/cgroup` names it:
    /// `0::/user.slice` of v2, `4:cpu,cpuacct:/docker/1f` of v1.
    fn group<'l>(&self, line: &'l str) -> Option<&'l str> {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_ours = match self.is_v2 {
            true => controllers.is_empty(),
            false => controllers.split(',').any(|controller| controller == "cpu"),
        };
        if !is_ours {
            return None;
        }
        // What is above the mounted group cannot be seen; a path that is not below it is none here.
        let below = path
            .strip_prefix(self.root.trim_end_matches('/'))
            .unwrap_or_default();
        Some(below.trim_start_matches('/'))
    }

    fn quota(&self, group: &Path, read: impl Fn(&Path) -> Option<String>) -> Option<f64> {
        let text = match self.is_v2 {
            true => read(&group.join("cpu.max"))?,
            false => {
                let quota = read(&group.join("cpu.cfs_quota_us"))?;
                let period = read(&group.join("cpu.cfs_period_us"))?;
                format!("{} {}", quota.trim(), period.trim())
            }
        };
        // `max` and -1 stand for no limit.
        let (quota, period) = text.trim().split_once(' ')?;
        let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
        (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const V1: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct";

    /// The quota in a system of these files.
    fn quota_of(group: &str, mounts: &str, files: &[(&str, &str)]) -> Option<f64> {
        quota(|path| match path.to_str().unwrap() {
            "/proc/self/cgroup" => Some(group.to_owned()),
            "/proc/self/mountinfo" => Some(mounts.to_owned()),
            other => files
                .iter()
                .find(|(file, _)| *file == other)
                .map(|(_, text)| (*text).to_owned()),
        })
    }

    #[test]
    fn the_least_quota_of_our_group_and_those_above_it_counts() {
        let files = [
            ("/sys/fs/cgroup/a.slice/b/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/a.slice/cpu.max", "150000 100000\n"),
        ];
        assert_eq!(quota_of("0::/a.slice/b\n", V2, &files), Some(1.5));
        assert_eq!(quota_of("0::/a.slice/b\n", V2, &files[..1]), None);
        let files = [files[1], ("/sys/fs/cgroup/a.slice/b/cpu.max", "50000 100000\n")];
        assert_eq!(quota_of("0::/a.slice/b\n", V2, &files), Some(0.5));
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_root() {
        let files = [("/sys/fs/cgroup/cpu.max", "200000 100000")];
        assert_eq!(quota_of("0::/\n", V2, &files), Some(2.0));
        // Without a namespace for groups the path is the host's, and only the container's group is mounted.
        let mount = V2.replace("0:26 /", "0:26 /docker/1f");
        assert_eq!(quota_of("0::/docker/1f\n", &mount, &files), Some(2.0));
        assert_eq!(quota_of("0::/elsewhere\n", &mount, &files), Some(2.0));
    }

    #[test]
    fn version_1_has_it_in_two_files() {
        let files = [
            ("/sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us", "250000\n"),
            ("/sys/fs/cgroup/cpu/docker/1f/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ];
        let group = "4:memory:/\n1:cpu,cpuacct:/docker/1f\n0::/\n";
        assert_eq!(quota_of(group, V1, &files), Some(2.5));
        assert_eq!(quota_of("1:cpu:/\n", V1, &files), None);
    }

    #[test]
    fn nonsense_limits_nobody() {
        for text in ["", "max", "0 100000", "1 0", "-5 100000", "x y"] {
            assert_eq!(
                quota_of("0::/\n", V2, &[("/sys/fs/cgroup/cpu.max", text)]),
                None,
                "{text}"
            );
        }
        assert_eq!(quota_of("", "", &[]), None);
        assert_eq!(quota(|_| None), None);
    }
}
