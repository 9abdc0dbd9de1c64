//! Results as tables, for a terminal.

use std::fmt::Write as _;

use super::{Figure, Results, Server};
use crate::load::Transport;
use crate::network::Path;
use crate::plan::{Load, Point};
use crate::servers::Kind;
use crate::table::{count, table};
use crate::verdict::lines;

impl Results {
    /// All of it for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{} names in the zone\n", self.about, self.names);
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
        text += &lines(&self.bars());
        let _ = writeln!(
            text,
            "\nmeanwhile the host gave {:.1} % of the cores' time to others (steal)",
            self.stolen_share() * 100.0
        );
        if !self.missing.is_empty() || !self.measured.notes.is_empty() {
            text += "\nnot measured, or not as it should be\n";
        }
        for (kind, why) in &self.missing {
            let _ = writeln!(text, "  {}: {why}", kind.word());
        }
        for why in &self.measured.notes {
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
                "right answers per CPU-second of the server (of 1000 queries lost)",
                (|it| it.per_cpu_second[0]) as fn(Figure) -> f64,
            ),
            ("right answers a second (of 1000 queries lost)", |it| it.rate),
        ] {
            let mut rows = vec![head.clone()];
            for Server { kind, .. } in &self.servers {
                let cells = places.iter().map(|place| match self.figure(*kind, *place) {
                    None => self.no_figure(*kind, *place),
                    Some(it) if it.lost_permille > 0.0 => format!("{} ({})", count(cell(it)), lost(it)),
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
                    if self.wrong(*kind, place) > 0 {
                        rows.push(vec![kind.word().to_owned(), self.no_figure(*kind, place)]);
                    }
                    continue;
                };
                // Of too few answers a long quantile is chance.
                let [p50, p99, p999] = it.latency_us.map(|it| it.map_or("-".to_owned(), count));
                let lost = lost(it);
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

    /// What stands where a figure would.
    fn no_figure(&self, kind: Kind, place: usize) -> String {
        match self.wrong(kind, place) {
            0 => "-".to_owned(),
            wrong => format!("{wrong} WRONG"),
        }
    }

    fn write_servers(&self, text: &mut String) {
        let head = [
            "server",
            "version",
            "start s",
            "memory MiB",
            "at the end",
            "queue KiB",
        ];
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
                it.queue_octets
                    .map_or("-".to_owned(), |octets| (octets >> 10).to_string()),
            ]);
        }
        let _ = write!(text, "\n{}\n", table(&rows));
    }
}

/// Of a thousand queries, those that were lost: never nothing where one was.
fn lost(figure: Figure) -> String {
    match figure.lost_permille {
        few if few > 0.0 && few < 0.05 => "<0.1".to_owned(),
        lost => format!("{lost:.1}"),
    }
}
