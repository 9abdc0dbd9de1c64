//! Results as tables, for a terminal.

use std::fmt::Write as _;

use super::{About, Figure, Results, Server};
use crate::load::Transport;
use crate::network::Path;
use crate::plan::{Load, Point};
use crate::table::{count, table};

impl Results {
    /// All of it for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let About {
            machine,
            date,
            commit,
        } = &self.about;
        let mut text = format!(
            "{date}, commit {commit}, {machine}\n{} names in the zone\n",
            self.names
        );
        for (transport, path, edns) in [
            (Transport::Udp, Path::Loopback, true),
            (Transport::Udp, Path::Loopback, false),
            (Transport::Udp, Path::Bridge, true),
            (Transport::Tcp, Path::Loopback, true),
            (Transport::Tcp, Path::Loopback, false),
        ] {
            let title = format!(
                "{transport:?}, {path}, {} EDNS",
                if edns { "with" } else { "without" }
            );
            let is_here = |point: &Point| {
                point.load == Load::Peak
                    && (point.transport, point.path, point.edns) == (transport, path, edns)
            };
            let places: Vec<_> = (0..self.plan.len())
                .filter(|place| is_here(&self.plan[*place]))
                .collect();
            self.write_peaks(&mut text, &title, &places);
        }
        self.write_open_loop(&mut text);
        self.write_servers(&mut text);
        for bar in self.bars() {
            let _ = writeln!(text, "{bar}");
        }
        if !self.missing.is_empty() || !self.measured.left_out.is_empty() {
            text += "\nnot measured\n";
        }
        for (kind, why) in &self.missing {
            let _ = writeln!(text, "  {}: {why}", kind.word());
        }
        for why in &self.measured.left_out {
            let _ = writeln!(text, "  {why}");
        }
        text
    }

    fn write_peaks(&self, text: &mut String, title: &str, places: &[usize]) {
        if places.is_empty() {
            return;
        }
        let mixes = places.iter().map(|place| self.plan[*place].mix.word().to_owned());
        let head: Vec<_> = std::iter::once("server".to_owned()).chain(mixes).collect();
        for (what, cell) in [
            (
                "right answers per CPU-second of the server",
                (|it| it.per_cpu_second[0]) as fn(Figure) -> f64,
            ),
            ("right answers a second", |it| it.rate),
        ] {
            let mut rows = vec![head.clone()];
            for Server { kind, .. } in &self.servers {
                let cells = places.iter().map(|place| match self.figure(*kind, *place) {
                    None => "-".to_owned(),
                    Some(it) if it.wrong > 0 => format!("{} WRONG", it.wrong),
                    Some(it) => count(cell(it)),
                });
                rows.push(std::iter::once(kind.word().to_owned()).chain(cells).collect());
            }
            let _ = write!(text, "\n{title}: {what}\n{}", table(&rows));
        }
    }

    fn write_open_loop(&self, text: &mut String) {
        let head = [
            "server",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "CPU us/query",
            "lost, of 1000",
        ];
        for (place, point) in self
            .plan
            .iter()
            .enumerate()
            .filter(|(_, point)| point.load != Load::Peak)
        {
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            for Server { kind, .. } in &self.servers {
                let Some(it) = self.figure(*kind, place) else {
                    continue;
                };
                let [p50, p99, p999, _] = it.latency_us.map(count);
                let lost = format!("{:.1}", it.lost_permille);
                rows.push(vec![
                    kind.word().to_owned(),
                    p50,
                    p99,
                    p999,
                    count(it.cpu_us),
                    lost,
                ]);
            }
            let _ = write!(
                text,
                "\n{}, {}, open loop at {}\n{}",
                point.mix,
                point.path,
                point.load.word(),
                table(&rows)
            );
        }
    }

    fn write_servers(&self, text: &mut String) {
        let head = ["server", "version", "start s", "memory MiB", "at the end"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for it in &self.servers {
            let [first, last] = it
                .memory_octets
                .map(|octets| count(octets as f64 / f64::from(1 << 20)));
            let start = format!("{:.2}", it.start_seconds);
            rows.push(vec![
                it.kind.word().to_owned(),
                it.version.clone(),
                start,
                first,
                last,
            ]);
        }
        let _ = write!(text, "\n{}\n", table(&rows));
    }
}
