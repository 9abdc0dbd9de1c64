//! A run beside an older one: what each server came to then and now.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::Results;
use crate::plan::Load;
use crate::servers::Kind;
use crate::table::table;

/// The `speed.json` of an older run.
#[derive(Debug)]
pub(crate) struct Baseline(Value);

impl Baseline {
    /// Reads `file`.
    ///
    /// # Errors
    ///
    /// There is none, or it is no `speed.json`.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let explain = |why: &str| {
            let file = file.display();
            io::Error::other(format!(
                "{file} cannot be compared with: {why}; give the speed.json of a run"
            ))
        };
        let text = fs::read_to_string(file).map_err(|error| explain(&error.to_string()))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| explain(&error.to_string()))?;
        match (value["points"].as_array(), value["servers"].as_array()) {
            (Some(_), Some(_)) => Ok(Self(value)),
            _ => Err(explain("it has no points or no servers")),
        }
    }

    /// What `kind` came to at `point`, told as the results tell it.
    fn per_cpu_second(&self, kind: Kind, point: &Value) -> Option<f64> {
        let same = |other: &Value| {
            ["mix", "transport", "edns", "path", "load"]
                .iter()
                .all(|what| other[what] == point[what])
        };
        let place = self.0["points"].as_array()?.iter().position(same)?;
        let servers = self.0["servers"].as_array()?;
        let server = servers.iter().find(|it| it["server"] == kind.word())?;
        server["figures"][place]["answers_per_cpu_second"].as_f64()
    }
}

impl Results {
    /// Answers per CPU-second at each peak, as multiples of those of `baseline`.
    pub(crate) fn beside(&self, baseline: &Baseline) -> String {
        let points = self.json()["points"].clone();
        let (about, mut rows) = (&baseline.0, Vec::new());
        let names = self.servers.iter().map(|server| server.kind.word().to_owned());
        rows.push(
            std::iter::once("point".to_owned())
                .chain(names)
                .collect::<Vec<_>>(),
        );
        for (place, point) in self.plan.iter().enumerate() {
            if point.load != Load::Peak {
                continue;
            }
            let times = self.servers.iter().map(|server| {
                let now = self.figure(server.kind, place)?.per_cpu_second[0];
                Some(now / baseline.per_cpu_second(server.kind, &points[place])?)
            });
            let cells: Vec<_> = times
                .map(|times| times.map_or("-".to_owned(), |times| format!("{times:.2}")))
                .collect();
            if cells.iter().any(|cell| cell != "-") {
                let edns = if point.edns { "" } else { ", no EDNS" };
                let transport = format!("{:?}", point.transport);
                let name = format!("{}, {transport}, {}{edns}", point.mix, point.path);
                rows.push(std::iter::once(name).chain(cells).collect());
            }
        }
        let mut text = String::new();
        let _ = write!(
            text,
            "\ntimes the answers per CPU-second of {}, commit {}, {}\n",
            text_of(&about["date"]),
            text_of(&about["commit"]),
            text_of(&about["machine"])
        );
        match rows.len() {
            1 => text + "nothing was measured in both\n",
            _ => text + &table(&rows),
        }
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;
    use super::*;

    #[test]
    fn each_server_stands_beside_what_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("speed.json");
        let old = results(&[(Kind::Skydock, 100_000.0), (Kind::Knot, 100_000.0)]);
        fs::write(&file, old.json().to_string()).unwrap();
        let baseline = Baseline::read(&file).unwrap();
        let new = results(&[(Kind::Knot, 100_000.0), (Kind::Skydock, 125_000.0)]);
        let text = new.beside(&baseline);
        let line = text.lines().find(|line| line.starts_with("hot, Udp, loopback "));
        assert_eq!(
            line.unwrap().split_whitespace().collect::<Vec<_>>()[3..],
            ["1.00", "1.25"]
        );
        assert!(text.contains("of 2026-11-23, commit abc, a <machine>"));
        let other = results(&[(Kind::Nsd, 1.0)]).beside(&baseline);
        assert!(other.contains("nothing was measured in both"));
    }

    #[test]
    fn what_is_no_result_of_a_run_is_refused_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("other.json");
        fs::write(&file, "{}").unwrap();
        let told = Baseline::read(&file).unwrap_err().to_string();
        assert!(
            told.contains("other.json") && told.contains("give the speed.json"),
            "{told}"
        );
    }
}
