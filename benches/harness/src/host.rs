//! What the kernel tells of this machine, beside what it tells of processes.

use std::fs;
use std::process::Command;

use nix::unistd::{SysconfVar, sysconf};

/// Seconds in which `cores` could have run and the host ran somebody else's machine (`steal` of proc(5)). 0 where the kernel
/// does not tell.
#[must_use]
pub(crate) fn stolen_seconds(cores: &[usize]) -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: u64 = cores.iter().filter_map(|core| stolen_ticks(&stat, *core)).sum();
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    ticks as f64 / ticks_per_second as f64
}

/// Octets that the socket on UDP port `port` queues, as the kernel counts them: with what it needs for itself. `None`: `ss` is
/// not here, or tells nothing.
#[must_use]
pub(crate) fn queue_octets(port: u16) -> Option<u64> {
    let filter = format!("sport = :{port}");
    let output = Command::new("ss")
        .args(["-H", "-u", "-a", "-n", "-m", &filter])
        .output();
    queue_in(&String::from_utf8_lossy(&output.ok()?.stdout))
}

fn stolen_ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let mut fields = stat
        .lines()
        .map(str::split_ascii_whitespace)
        .find_map(|mut fields| (fields.next()? == name).then_some(fields))?;
    // User, nice, system, idle, waiting, interrupts, soft interrupts.
    fields.nth(7)?.parse().ok()
}

/// The first `rb` of what `ss` says of memory.
fn queue_in(said: &str) -> Option<u64> {
    let (_, memory) = said.split_once("skmem:(")?;
    let mut words = memory.split([',', ')']);
    words.find_map(|word| word.strip_prefix("rb")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let stat =
            "cpu  1 2 3 4 5 6 7 88 9 10\ncpu1 1 2 3 4 5 6 7 42 9 10\ncpu10 1 2 3 4 5 6 7 11 9 10\nctxt 7\n";
        assert_eq!(stolen_ticks(stat, 1), Some(42));
        assert_eq!(stolen_ticks(stat, 10), Some(11));
        assert_eq!(stolen_ticks(stat, 0), None);
        assert_eq!(stolen_ticks("cpu0 1 2 3", 0), None);
        let said =
            "UNCONN 0 0 127.0.0.1:5300 0.0.0.0:*\n\t skmem:(r0,rb8388608,t0,tb212992,f0,w0,o0,bl0,d0)\n";
        assert_eq!(queue_in(said), Some(8_388_608));
        assert_eq!(queue_in(""), None);
    }

    #[test]
    fn the_queue_of_a_socket_is_found_by_its_port() {
        if Command::new("ss").arg("-V").output().is_err() {
            // Counted like a test that cannot run here.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: there is no ss\n");
            return;
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(queue_octets(socket.local_addr().unwrap().port()).unwrap() > 0);
    }
}
