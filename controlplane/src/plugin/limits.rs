//! Every bound that holds a plugin, with its unit, its reason and what happens at it.

use std::time::Duration;

/// Processor time that a plugin may use for one container, reading its file included; then it is interrupted and the
/// container keeps its built-in names. Some hundred times what a plugin needs. Processor time, not time on the clock:
/// a plugin shall not fail because the host is busy.
pub(super) const CPU_MAX: Duration = Duration::from_millis(50);

/// Time on the clock from which on a plugin counts as stuck: something inside JavaScript runs on without looking at the
/// interruption. Its thread is left behind.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Memory of one run, in octets; an allocation beyond it fails. A plugin and its container need some 300 KiB.
pub(super) const MEMORY_OCTETS_MAX: usize = 32 << 20;

/// Stack of JavaScript, in octets; a deeper call throws. Some thousand calls.
pub(super) const STACK_OCTETS_MAX: usize = 512 << 10;

/// Stack of the thread, in octets: what JavaScript has, and ample room for the C and Rust below it.
pub(super) const THREAD_STACK_OCTETS: usize = 4 << 20;

/// Plugin files; each is read and run for each container. More are refused at the start.
pub(super) const FILES_MAX: usize = 16;

/// Octets of a plugin file. A larger one is refused: it would use up its time before it is read.
pub(super) const FILE_OCTETS_MAX: u64 = 1 << 20;

/// Octets of a container as plugins see it. One that has more keeps its built-in names.
pub(super) const CONTAINER_OCTETS_MAX: usize = 1 << 20;

/// Containers that wait for the plugins' thread; the next one waits before the queue. The watch of one engine has at
/// most 16 inspects under way, so four engines fit.
pub(super) const JOBS_MAX: usize = 64;

/// Services of one container. A plugin that gives more has failed.
pub(super) const SERVICES_MAX: usize = 64;

/// Ports of one service, likewise.
pub(super) const PORTS_MAX: usize = 64;

/// Names of its own that one service may have, likewise.
pub(super) const NAMES_MAX: usize = 64;

/// Texts of one service, likewise.
pub(super) const TEXTS_MAX: usize = 16;

/// Lines that a plugin may log for one container; what is more is counted.
pub(super) const SAID_MAX: usize = 32;

/// Octets of such a line; the rest is cut.
pub(super) const SAID_OCTETS_MAX: usize = 1000;

/// Containers in a row at which a plugin runs into a limit before it is left out, until its file changes. Each may cost
/// [`CPU_MAX`], and with thousands of containers the names of all would wait for it.
pub(super) const LIMITS_IN_A_ROW_MAX: u32 = 5;

/// Threads that were left behind because they were stuck; at the last one plugins end for good. Each burns a core at the
/// lowest priority.
pub(super) const THREADS_LEFT_MAX: u32 = 3;

/// Between two reports of failures of one plugin; those in between are counted.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(60);
