//! A server as a process: started on its cores, accounted for, and ended.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// How long a server may take to end after SIGTERM; then it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(3);

/// A running server, ended when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    cores: Vec<usize>,
}

/// Starts `command` on `cores` alone. What it says goes to the file `log`. The kernel kills it when this thread ends
/// before it, be it by SIGKILL.
///
/// # Errors
///
/// It cannot be started.
pub fn start(command: &Command, cores: &[usize], log: &Path) -> io::Result<Process> {
    let output = fs::File::create(log)?;
    let mut pinned = on_cores(command, cores);
    pinned
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let child = pinned.spawn()?;
    Ok(Process {
        child,
        log: log.to_owned(),
        cores: cores.to_vec(),
    })
}

/// `command` as one that runs on `cores` alone and ends with the thread that starts it.
pub(crate) fn on_cores(command: &Command, cores: &[usize]) -> Command {
    let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
    let mut pinned = Command::new("setpriv");
    pinned
        .args(["--pdeathsig", "KILL", "taskset", "--cpu-list", &cores.join(",")])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        pinned.current_dir(directory);
    }
    pinned
}

impl Process {
    /// Its process id, and that of everything it starts itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended, with the end of what it said.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            ended => {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<_> = said.lines().rev().take(5).collect();
                let last = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
                Err(format!("it ended ({ended:?}) and said: {last}"))
            }
        }
    }

    /// Puts all its threads, and those of its children, back on its cores alone. A mask that is inherited binds nobody who sets
    /// one himself, and Knot does: its threads go to the first cores of the machine, where the generator runs, which
    /// spares them waking it across cores and starves both of them at once.
    ///
    /// # Errors
    ///
    /// A thread cannot be moved.
    pub fn confine(&self) -> io::Result<()> {
        let mut set = CpuSet::new();
        self.cores.iter().try_for_each(|core| set.set(*core))?;
        for thread in tree(self.pid()).into_iter().flat_map(threads) {
            match sched_setaffinity(Pid::from_raw(thread.cast_signed()), &set) {
                // It has ended meanwhile.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Seconds of CPU that it and its children have used.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        tree(self.pid()).into_iter().map(cpu_seconds_of).sum()
    }

    /// Seconds of CPU that those of its threads have used whose names begin with `prefix` and a digit.
    #[must_use]
    pub fn thread_seconds(&self, prefix: &str) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()))
            .into_iter()
            .flatten();
        let is_one = |name: &str| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let nanoseconds = tasks.filter_map(|task| {
            let task = task.ok()?.path();
            let name = fs::read_to_string(task.join("comm")).ok()?;
            let text = fs::read_to_string(task.join("schedstat")).ok()?;
            is_one(&name).then(|| running_ns(&text)).flatten()
        });
        nanoseconds.sum::<u64>() as f64 / 1e9
    }

    /// Octets of memory that are its own, with its share of what it has in common with others.
    #[must_use]
    pub fn memory_octets(&self) -> u64 {
        tree(self.pid()).into_iter().map(memory_octets_of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIME_MAX {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of CPU that the kernel's threads for network interrupts have used on `cores`. Under overload the work of
/// receiving moves there, and a server looks cheaper than it is. 0 where they cannot be seen.
#[must_use]
pub fn softirq_seconds(cores: &[usize]) -> f64 {
    let names: Vec<_> = cores.iter().map(|core| format!("ksoftirqd/{core}")).collect();
    pids()
        .filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            names.iter().any(|it| it == name.trim_end())
        })
        .map(cpu_seconds_of)
        .sum()
}

/// `root` and everything that it has started.
fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in pids() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(parent) = stat_field(&stat, 4) {
            children.entry(parent as u32).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    found
}

fn pids() -> impl Iterator<Item = u32> {
    numbers("/proc")
}

fn threads(pid: u32) -> impl Iterator<Item = u32> {
    numbers(&format!("/proc/{pid}/task"))
}

/// The entries of `directory` that are numbers.
fn numbers(directory: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// What its threads have used, those that have ended among them, and its children that have ended.
fn cpu_seconds_of(pid: u32) -> f64 {
    // Exact to the nanosecond, unlike the ticks of `stat`; and the files of its threads go with them.
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()));
    let own = clock
        .and_then(clock_gettime)
        .map_or(0.0, |time| Duration::from(time).as_secs_f64());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = stat_field(&stat, 16).unwrap_or(0) + stat_field(&stat, 17).unwrap_or(0);
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    own + ticks as f64 / ticks_per_second as f64
}

/// The first field of a thread's `schedstat`: nanoseconds that it ran.
fn running_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

/// A field of `/proc/PID/stat` by its number in proc(5). The name, field 2, may have spaces and brackets in it.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name
        .split_ascii_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

fn memory_octets_of(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    rollup_octets(&rollup).unwrap_or(0)
}

/// The proportional share in a `smaps_rollup`.
fn rollup_octets(rollup: &str) -> Option<u64> {
    let kib: u64 = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        assert_eq!(running_ns("8370493 1012 77\n"), Some(8_370_493));
        assert_eq!(running_ns(""), None);
        let stat = "42 (a name) of) S 7 42 42 0 -1 4 1 2 3 4 10 20 30 40 20 0 1";
        assert_eq!(stat_field(stat, 4), Some(7));
        assert_eq!((stat_field(stat, 16), stat_field(stat, 17)), (Some(30), Some(40)));
        assert_eq!(
            rollup_octets("55d0 ---p [rollup]\nRss:  9 kB\nPss:    1234 kB\n"),
            Some(1234 * 1024)
        );
    }

    #[test]
    fn a_thread_that_went_to_another_core_is_put_back() {
        let directory = tempfile::tempdir().unwrap();
        let cores = dataplane::cores::select(None).unwrap();
        let all: Vec<_> = cores.iter().map(ToString::to_string).collect();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("taskset --pid --cpu-list {} $$ && exec sleep 60", all.join(",")),
        ]);
        let process = start(&command, &cores[..1], &directory.path().join("log")).unwrap();
        let status = |what: &str| {
            let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(what));
            line.unwrap().trim().to_owned()
        };
        while status("Name:") != "sleep" {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(status("Cpus_allowed_list:").len() > 1, all.len() > 1);
        process.confine().unwrap();
        assert_eq!(status("Cpus_allowed_list:"), all[0]);
    }

    #[test]
    fn a_process_and_what_it_starts_are_accounted_for_and_ended() {
        let directory = tempfile::tempdir().unwrap();
        let cores = dataplane::cores::select(None).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "(while :; do :; done) & wait"]);
        let mut process = start(&command, &cores[..1], &directory.path().join("log")).unwrap();
        let started = Instant::now();
        while process.cpu_seconds() < 0.05 {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "its child's time is not seen"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        process.check().unwrap();
        assert!(process.memory_octets() > 0);
        let children = tree(process.pid());
        assert!(children.len() >= 2, "{children:?}");
        // The child of a shell outlives it, so it is ended here and not by `drop`.
        for pid in children.into_iter().skip(1) {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        }
        let pid = process.pid();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
