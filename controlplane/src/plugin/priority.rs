//! How a thread that cannot be stopped is kept from being in the way.

use nix::unistd::Pid;
use tracing::warn;

/// The least that Linux has, for those who may wait for everybody else.
const LOWEST: i32 = 19;

/// Gives `thread`, one of this process, what processor time nobody else wants.
pub(super) fn lowest(thread: Pid) {
    // Linux takes a thread's id where POSIX has a process: only that thread is meant.
    let Some(thread) = rustix::process::Pid::from_raw(thread.as_raw()) else {
        return;
    };
    if let Err(error) = rustix::process::setpriority_process(Some(thread), LOWEST) {
        warn!("the thread of a stuck plugin keeps its priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_the_thread_that_is_meant_is_lowered() {
        let (sender, receiver) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            sender.send(nix::unistd::gettid()).unwrap();
            let _ = wait.recv();
        });
        let id = receiver.recv().unwrap();
        lowest(id);
        let of = |id: Pid| {
            let id = rustix::process::Pid::from_raw(id.as_raw());
            rustix::process::getpriority_process(id).unwrap()
        };
        assert_eq!(of(id), LOWEST);
        assert!(of(nix::unistd::gettid()) < LOWEST);
        drop(done);
        thread.join().unwrap();
    }
}
