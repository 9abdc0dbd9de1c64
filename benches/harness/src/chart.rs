//! Charts, as SVG for the README.

use std::fmt::Write as _;

use crate::load::Transport;
use crate::mix::Mix;
use crate::network::Path;
use crate::plan::{Load, Point};
use crate::results::{About, Figure, Results};
use crate::servers::Kind;
use crate::table::count;

const PANEL_WIDTH: f64 = 380.0;
const ROW_HEIGHT: f64 = 18.0;
const NAME_WIDTH: f64 = 112.0;
const VALUE_WIDTH: f64 = 52.0;
const HEAD_HEIGHT: f64 = 64.0;
const COLUMNS: usize = 2;
const FONT: &str = "font-family=\"system-ui, sans-serif\"";
/// Ours, its yardsticks, others; readable for those who see no red or green, too.
const COLOURS: [&str; 3] = ["#0b66c3", "#b9c4d0", "#7d8b99"];

/// How many times ours a bar may be where less is better; a longer one is cut, or nobody could read the others.
const LESS_IS_BETTER_MAX: f64 = 4.0;
/// Of a thousand queries, how many a server may lose and have its latency shown.
const LOST_PERMILLE_MAX: f64 = 1.0;

/// One panel: a bar for each server.
struct Panel {
    title: String,
    bars: Vec<(Kind, Length)>,
    /// The value whose bar fills the room; none: the greatest.
    most: Option<f64>,
}

/// What a bar shows.
#[derive(Clone, Copy)]
enum Length {
    Value(f64),
    /// No value that could be compared: of a thousand queries so many were lost.
    Lost(f64),
}

/// The chart of a run.
#[must_use]
pub fn chart(results: &Results) -> String {
    let panels = panels(results);
    let rows = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(0);
    let panel_height = 34.0 + ROW_HEIGHT * rows as f64;
    let height = HEAD_HEIGHT + panel_height * panels.len().div_ceil(COLUMNS) as f64;
    let mut body = String::new();
    for (place, panel) in panels.iter().enumerate() {
        let (column, row) = (place % COLUMNS, place / COLUMNS);
        draw(
            &mut body,
            panel,
            column as f64 * PANEL_WIDTH,
            HEAD_HEIGHT + row as f64 * panel_height,
        );
    }
    let framed = frame(
        COLUMNS as f64 * PANEL_WIDTH,
        height,
        "Speed beside other name servers, each on one core",
        &about(&results.about),
    );
    framed.replace("</svg>", &format!("{body}</svg>"))
}

/// A chart of rates against cores: right answers a second, and what one core alone would make of them.
#[must_use]
pub fn cores_chart(about_run: &About, points: &[(usize, f64)]) -> String {
    let (width, height, left, bottom) = (560.0, 320.0, 70.0, 280.0);
    let most_cores = points.iter().map(|(cores, _)| *cores).max().unwrap_or(1) as f64;
    let one = points.first().map_or(0.0, |(cores, rate)| rate / *cores as f64);
    let most = points
        .iter()
        .map(|(_, rate)| *rate)
        .fold(one * most_cores, f64::max)
        .max(1.0);
    let x = |cores: f64| left + (width - left - 30.0) * cores / most_cores;
    let y = |rate: f64| bottom - (bottom - HEAD_HEIGHT - 10.0) * rate / most;
    let mut body = String::new();
    let _ = writeln!(
        body,
        "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-dasharray=\"4 4\"/>",
        x(0.0),
        y(0.0),
        x(most_cores),
        y(one * most_cores),
        COLOURS[2]
    );
    let line: Vec<_> = points
        .iter()
        .map(|(cores, rate)| format!("{:.1},{:.1}", x(*cores as f64), y(*rate)))
        .collect();
    let _ = writeln!(
        body,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
        line.join(" "),
        COLOURS[0]
    );
    for (cores, rate) in points {
        let (at_x, at_y) = (x(*cores as f64), y(*rate));
        let _ = writeln!(
            body,
            "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3.5\" fill=\"{0}\"/>\n\
             <text x=\"{at_x:.1}\" y=\"{1:.1}\" {FONT} font-size=\"11\" text-anchor=\"end\" fill=\"#24292f\">{2}/s</text>\n\
             <text x=\"{at_x:.1}\" y=\"{3:.1}\" {FONT} font-size=\"11\" text-anchor=\"middle\" fill=\"#24292f\">{cores}</text>",
            COLOURS[0],
            at_y - 8.0,
            count(*rate),
            bottom + 16.0
        );
    }
    let framed = frame(
        width,
        height,
        "Answers a second against cores (dashed: the first core's rate for each)",
        &about(about_run),
    );
    framed.replace("</svg>", &format!("{body}</svg>"))
}

fn about(about: &About) -> String {
    format!("{}, {}, commit {}", about.machine, about.date, about.commit)
}

fn frame(width: f64, height: f64, title: &str, subtitle: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"24\" {FONT} font-size=\"15\" font-weight=\"600\" fill=\"#24292f\">{}</text>\n\
         <text x=\"12\" y=\"42\" {FONT} font-size=\"11\" fill=\"#57606a\">{}</text>\n</svg>\n",
        escaped(title),
        escaped(subtitle)
    )
}

fn panels(results: &Results) -> Vec<Panel> {
    let mut panels = Vec::new();
    let mut panel = |title: String, value: fn(Figure) -> Option<f64>, wanted: &dyn Fn(&Point) -> bool| {
        let is_less_better = title.ends_with("(less is better)");
        let bars = results.servers.iter().filter_map(|server| {
            let figure = results.find(server.kind, wanted)?;
            if is_less_better && figure.lost_permille > LOST_PERMILLE_MAX {
                return Some((server.kind, Length::Lost(figure.lost_permille)));
            }
            Some((server.kind, Length::Value(value(figure)?)))
        });
        let bars: Vec<_> = bars.collect();
        let ours = bars.iter().find_map(|bar| match bar {
            (Kind::Skydock, Length::Value(ours)) => Some(*ours),
            _ => None,
        });
        let most = ours.filter(|_| is_less_better).map(|ours| {
            let most = greatest(&bars);
            most.min(ours * LESS_IS_BETTER_MAX)
        });
        if !bars.is_empty() {
            panels.push(Panel { title, bars, most });
        }
    };
    let at = |mix: Mix, transport: Transport, path: Path, load: Load| {
        move |point: &Point| {
            point.edns && (point.mix, point.transport, point.path, point.load) == (mix, transport, path, load)
        }
    };
    let per_cpu: fn(Figure) -> Option<f64> = |it| Some(it.per_cpu_second[0]);
    for mix in Mix::ALL {
        let title = format!("{}: answers per CPU-second", mix.title(results.names));
        panel(
            title,
            per_cpu,
            &at(mix, Transport::Udp, Path::Loopback, Load::Peak),
        );
    }
    let title = "one hot name through a bridge: answers per CPU-second".to_owned();
    panel(
        title,
        per_cpu,
        &at(Mix::Hot, Transport::Udp, Path::Bridge, Load::Peak),
    );
    let title = "one hot name over TCP: answers per CPU-second".to_owned();
    panel(
        title,
        per_cpu,
        &at(Mix::Hot, Transport::Tcp, Path::Loopback, Load::Peak),
    );
    let title = "1000 queries a second: us of CPU for each (less is better)".to_owned();
    panel(
        title,
        |it| Some(it.cpu_us),
        &at(Mix::Hot, Transport::Udp, Path::Loopback, Load::Rate(1_000.0)),
    );
    let title = "at 70 % of its peak: p99 in us (less is better)".to_owned();
    panel(
        title,
        |it| it.latency_us[1],
        &at(Mix::Hot, Transport::Udp, Path::Loopback, Load::ShareOfPeak),
    );
    panels
}

fn draw(body: &mut String, panel: &Panel, left: f64, top: f64) {
    let most = panel.most.unwrap_or_else(|| greatest(&panel.bars)).max(1e-9);
    let room = PANEL_WIDTH - 12.0 - NAME_WIDTH - VALUE_WIDTH;
    let _ = writeln!(
        body,
        "<text x=\"{}\" y=\"{}\" {FONT} font-size=\"12\" font-weight=\"600\" fill=\"#24292f\">{}</text>",
        left + 12.0,
        top + 14.0,
        escaped(&panel.title)
    );
    for (place, (kind, length)) in panel.bars.iter().enumerate() {
        let y = top + 22.0 + place as f64 * ROW_HEIGHT;
        let (width, told) = match length {
            Length::Value(value) if *value > most => (room, format!("» {}", count(*value))),
            Length::Value(value) => (room * value / most, count(*value)),
            Length::Lost(permille) => (0.0, format!("lost {:.1} %", permille / 10.0)),
        };
        let colour = match kind {
            Kind::Skydock | Kind::SkydockThreads => COLOURS[0],
            Kind::BareGlommio | Kind::BareThreads => COLOURS[1],
            _ => COLOURS[2],
        };
        let _ = writeln!(
            body,
            "<text x=\"{0}\" y=\"{1}\" {FONT} font-size=\"11\" text-anchor=\"end\" fill=\"#24292f\">{2}</text>\n\
             <rect x=\"{3}\" y=\"{4}\" width=\"{width:.1}\" height=\"13\" fill=\"{colour}\"/>\n\
             <text x=\"{5:.1}\" y=\"{1}\" {FONT} font-size=\"11\" fill=\"#24292f\">{6}</text>",
            left + 6.0 + NAME_WIDTH,
            y + 11.0,
            kind.word(),
            left + 12.0 + NAME_WIDTH,
            y + 1.0,
            left + 16.0 + NAME_WIDTH + width,
            told
        );
    }
}

fn greatest(bars: &[(Kind, Length)]) -> f64 {
    let values = bars.iter().filter_map(|bar| match bar.1 {
        Length::Value(value) => Some(value),
        Length::Lost(_) => None,
    });
    values.fold(0.0, f64::max)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{place, results};

    #[test]
    fn a_chart_shows_every_server_and_where_and_when_it_was() {
        let svg = chart(&results(&[(Kind::Skydock, 150_000.0), (Kind::Knot, 100_000.0)]));
        for part in [
            "skydock",
            "knot",
            "150k",
            "100k",
            "a &lt;machine&gt;, 2026-11-23, commit abc",
            "100k names, Zipf",
        ] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        // The quicker one's bar fills its room.
        let widest = PANEL_WIDTH - 12.0 - NAME_WIDTH - VALUE_WIDTH;
        assert!(svg.contains(&format!("width=\"{widest:.1}\"")));
    }

    #[test]
    fn who_lost_has_no_latency_and_who_is_late_does_not_flatten_the_others() {
        let mut results = results(&[
            (Kind::Skydock, 150_000.0),
            (Kind::Knot, 100_000.0),
            (Kind::Nsd, 1_000.0),
        ]);
        let late = place(&results, |point| point.load == Load::ShareOfPeak);
        for sample in &mut results.measured.samples {
            if sample.kind == Kind::Knot && sample.point == late {
                sample.outcome.lost = 14;
            }
        }
        let svg = chart(&results);
        let (_, panel) = svg.split_once("at 70 % of its peak: p99").unwrap();
        assert!(panel.contains("lost 1.4 %") && panel.contains("» 1"), "{panel}");
        // Ours fills a fourth of the room, for the longest is cut there.
        let room = PANEL_WIDTH - 12.0 - NAME_WIDTH - VALUE_WIDTH;
        assert!(
            panel.contains(&format!("width=\"{:.1}\"", room / LESS_IS_BETTER_MAX)),
            "{panel}"
        );
    }

    #[test]
    fn rates_against_cores_are_a_line() {
        let about = results(&[]).about;
        let svg = cores_chart(&about, &[(1, 100_000.0), (2, 190_000.0)]);
        assert!(svg.contains("190k/s") && svg.contains("<polyline"), "{svg}");
    }
}
