//! What the threads of a process do.

use std::collections::BTreeMap;
use std::fs;

/// How often each thread has gone to sleep, by id and name. Each time something had woken it.
pub(crate) fn sleeps(pid: u32) -> BTreeMap<String, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let texts = tasks.filter_map(|task| {
        let task = task.ok()?.path();
        let status = fs::read_to_string(task.join("status")).ok()?;
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let sleeps = field("voluntary_ctxt_switches")?.trim().parse().ok()?;
        Some((
            format!(
                "{} {}",
                task.file_name()?.to_string_lossy(),
                field("Name")?.trim()
            ),
            sleeps,
        ))
    });
    texts.collect()
}
