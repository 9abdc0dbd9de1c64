//! An engine's list, read on a thread of its own while more of it comes.
//!
//! ```text
//!  octets as they come ──queue──▶ thread: elements, their JSON ──queue──▶ lines
//! ```
//!
//! A hundred thousand containers are eighty megabytes of JSON: whoever waits for them can do what their lines ask for meanwhile.

use futures_util::stream::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::elements::{Elements, TooLong};
use super::wire;

/// Pieces that wait to be read, and as many that wait to be taken in. With one more whoever brings it waits.
const PIECES_MAX: usize = 4;

/// Why a list cannot be read.
pub(super) enum Unreadable {
    /// There is no end to a line.
    TooLong,
    /// That is no list in JSON.
    Json(serde_json::Error),
}

/// What was read of one piece.
type Lines = Result<Vec<wire::Summary>, Unreadable>;

/// What there was to wait for.
enum Came {
    /// None when there are no more.
    Lines(Option<Lines>),
    Octets {
        is_all: bool,
    },
}

/// A list that is being read. Its thread ends with it.
pub(super) struct Reading {
    /// None when all of it has come.
    pieces: Option<mpsc::Sender<Vec<u8>>>,
    lines: mpsc::Receiver<Lines>,
}

impl Reading {
    pub(super) fn begin() -> Self {
        let (pieces, to_read) = mpsc::channel(PIECES_MAX);
        let (read, lines) = mpsc::channel(PIECES_MAX);
        spawn_blocking(move || read_all(to_read, &read));
        Self {
            pieces: Some(pieces),
            lines,
        }
    }

    /// Reads on in the list that `octets` bring, until there are more lines of it; none when that was all. `failed` makes
    /// a failure of what could not be read.
    ///
    /// # Errors
    ///
    /// What `octets` had, or `failed` made.
    pub(super) async fn next<F>(
        &mut self,
        octets: &mut (impl Stream<Item = Result<Vec<u8>, F>> + Unpin),
        failed: impl Fn(Unreadable) -> F,
    ) -> Result<Option<Vec<wire::Summary>>, F> {
        loop {
            let came = match &self.pieces {
                None => Came::Lines(self.lines.recv().await),
                // Neither place nor octets are lost where lines come first.
                Some(pieces) => tokio::select! {
                    lines = self.lines.recv() => Came::Lines(lines),
                    is_all = bring(pieces, octets) => Came::Octets { is_all: is_all? },
                },
            };
            let lines = match came {
                Came::Lines(lines) => lines,
                Came::Octets { is_all } => {
                    if is_all {
                        self.pieces = None;
                    }
                    continue;
                }
            };
            match lines {
                Some(Ok(lines)) if lines.is_empty() => {}
                Some(lines) => return lines.map(Some).map_err(failed),
                None => return Ok(None),
            }
        }
    }
}

/// Brings the next piece once there is a place for it; whether there is none any more.
async fn bring<F>(
    to: &mpsc::Sender<Vec<u8>>,
    octets: &mut (impl Stream<Item = Result<Vec<u8>, F>> + Unpin),
) -> Result<bool, F> {
    let Ok(place) = to.reserve().await else {
        // Whoever reads has ended, and said why.
        return std::future::pending().await;
    };
    match octets.next().await {
        Some(piece) => place.send(piece?),
        None => return Ok(true),
    }
    Ok(false)
}

/// Reads pieces until there are no more, or nobody wants to know.
fn read_all(mut pieces: mpsc::Receiver<Vec<u8>>, to: &mpsc::Sender<Lines>) {
    let mut list = Elements::default();
    while let Some(piece) = pieces.blocking_recv() {
        let lines = read(&mut list, &piece);
        let is_over = lines.is_err();
        if to.blocking_send(lines).is_err() || is_over {
            return;
        }
    }
    if let Err(error) = list.finish() {
        // Whoever has hung up has no use for it.
        let _ = to.blocking_send(Err(Unreadable::Json(error)));
    }
}

fn read(list: &mut Elements, piece: &[u8]) -> Lines {
    let mut lines = Vec::new();
    list.take(piece, |line| lines.push(wire::read_entry(line)))
        .map_err(|TooLong| Unreadable::TooLong)?;
    let lines: Result<Vec<Option<wire::Summary>>, _> = lines.into_iter().collect();
    Ok(lines.map_err(Unreadable::Json)?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// The ids of what is read of these pieces, and how it ended.
    fn read(pieces: &[&str]) -> (Vec<String>, &'static str) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let pieces = pieces.iter().map(|piece| match *piece {
                "broken" => Err("broken"),
                piece => Ok(piece.as_bytes().to_vec()),
            });
            let (mut octets, mut ids) = (stream::iter(pieces), Vec::new());
            let mut reading = Reading::begin();
            loop {
                let failed = |unreadable| match unreadable {
                    Unreadable::TooLong => "too long",
                    Unreadable::Json(_) => "no list",
                };
                match reading.next(&mut octets, failed).await {
                    Ok(Some(lines)) => ids.extend(lines.into_iter().map(|line| line.id)),
                    Ok(None) => return (ids, "whole"),
                    Err(error) => return (ids, error),
                }
            }
        })
    }

    #[test]
    fn lines_come_in_order_wherever_the_list_was_cut_and_its_end_is_told() {
        let many: Vec<String> = (0..300)
            .map(|number| format!("{{\"Id\": \"{number}\"}},"))
            .collect();
        let mut pieces: Vec<&str> = many.iter().map(String::as_str).collect();
        pieces.insert(0, " [");
        pieces.extend(["{\"I", "d\": \"last\"}", " ]"]);
        let (ids, end) = read(&pieces);
        assert_eq!((ids.len(), end), (301, "whole"));
        assert!(
            ids.iter()
                .take(300)
                .enumerate()
                .all(|(number, id)| *id == number.to_string())
        );
        assert_eq!(read(&["[]"]), (vec![], "whole"));
        assert_eq!(read(&["null"]), (vec![], "whole"));
    }

    #[test]
    fn a_list_that_breaks_off_or_is_none_is_told_behind_what_came_before() {
        assert_eq!(read(&["[{\"Id\": \"a\"},", "{\"Id\""]).1, "no list");
        assert_eq!(read(&["[{\"Id\": \"a\"},", "5 6,"]).1, "no list");
        assert_eq!(read(&["{}"]), (vec![], "no list"));
        assert_eq!(read(&["[{\"Id\": \"a\"}", "broken"]).1, "broken");
    }
}
