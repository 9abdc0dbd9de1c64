//! An engine's list, read on other threads while more of it comes.
//!
//! ```text
//!  octets as they come ──elements──▶ pieces ──▶ any thread: their JSON, what each line tells ──in order──▶ lines
//! ```
//!
//! A hundred thousand containers are eighty megabytes of JSON, of which each line is read by itself.

use std::mem;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use futures_util::stream::{FuturesOrdered, Stream, StreamExt};
use tokio::task::{JoinHandle, spawn_blocking};

use super::elements::{Elements, TooLong};
use super::line::Lines;
use super::listed::Listed;
use super::wire;

/// Octets of elements from which on they are read in one go: some hundred lines, beside which a start is nothing.
const PIECE_OCTETS: usize = 128 << 10;
/// Pieces that may be read at once. While as many are, nothing more is taken of the list.
const AT_ONCE_MAX: usize = 16;

/// Why a list cannot be read.
pub(super) enum Unreadable {
    /// There is no end to a line.
    TooLong,
    /// That is no list in JSON.
    Json(serde_json::Error),
}

/// What was read of one piece.
type Read = Result<Vec<Listed>, Unreadable>;

/// Some elements of the list, one behind the other.
#[derive(Default)]
struct Piece {
    octets: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

/// A list that is being read.
pub(super) struct Reading {
    lines: Arc<Lines>,
    elements: Elements,
    /// The elements that come next.
    piece: Piece,
    under_way: FuturesOrdered<JoinHandle<Read>>,
    at_once: usize,
    /// How the list ended, once it has.
    end: Option<Result<(), Unreadable>>,
}

impl Reading {
    pub(super) fn begin(lines: Lines) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            lines: Arc::new(lines),
            elements: Elements::default(),
            piece: Piece::default(),
            under_way: FuturesOrdered::new(),
            // One more, so that no thread waits for us.
            at_once: (cores + 1).min(AT_ONCE_MAX),
            end: None,
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
    ) -> Result<Option<Vec<Listed>>, F> {
        loop {
            let is_more_wanted = self.end.is_none() && self.under_way.len() < self.at_once;
            tokio::select! {
                biased;
                Some(read) = self.under_way.next() => {
                    let Ok(read) = read else {
                        // The process is about to end, and a list of which a piece is missing is none.
                        return std::future::pending().await;
                    };
                    let lines = read.map_err(&failed)?;
                    if !lines.is_empty() {
                        return Ok(Some(lines));
                    }
                }
                more = octets.next(), if is_more_wanted => match more {
                    Some(more) => self.take(&more?),
                    None => self.finish(),
                },
                else => return match self.end.take() {
                    Some(Err(unreadable)) => Err(failed(unreadable)),
                    Some(Ok(())) | None => Ok(None),
                },
            }
        }
    }

    /// Takes in more of the list.
    fn take(&mut self, octets: &[u8]) {
        let (piece, mut whole) = (&mut self.piece, Vec::new());
        let taken = self.elements.take(octets, |element| {
            piece.push(element);
            if piece.octets.len() >= PIECE_OCTETS {
                whole.push(mem::replace(piece, Piece::next()));
            }
        });
        whole.into_iter().for_each(|piece| self.read(piece));
        if let Err(TooLong) = taken {
            self.end = Some(Err(Unreadable::TooLong));
        }
    }

    /// Nothing comes any more.
    fn finish(&mut self) {
        let last = mem::take(&mut self.piece);
        if !last.ends.is_empty() {
            self.read(last);
        }
        self.end = Some(self.elements.finish().map_err(Unreadable::Json));
    }

    fn read(&mut self, piece: Piece) {
        let lines = Arc::clone(&self.lines);
        self.under_way
            .push_back(spawn_blocking(move || piece.read(&lines)));
    }
}

impl Piece {
    /// One with room for as much as it will hold.
    fn next() -> Self {
        Self {
            octets: Vec::with_capacity(PIECE_OCTETS + PIECE_OCTETS / 8),
            ends: Vec::new(),
        }
    }

    fn push(&mut self, element: &[u8]) {
        self.octets.extend_from_slice(element);
        self.ends.push(self.octets.len());
    }

    fn read(&self, lines: &Lines) -> Read {
        let (mut words, mut all) = (lines.words.some(), Vec::with_capacity(self.ends.len()));
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        for (start, end) in starts.zip(&self.ends) {
            let element = self.octets.get(start..*end).unwrap_or_default();
            let line = wire::read_entry(element).map_err(Unreadable::Json)?;
            all.extend(line.and_then(|line| lines.read(line, &mut words)));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::docker::line::tests::lines;

    /// The ids of what is read of these pieces, and how it ended.
    fn read(pieces: &[&str]) -> (Vec<String>, &'static str) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let pieces = pieces.iter().map(|piece| match *piece {
                "broken" => Err("broken"),
                piece => Ok(piece.as_bytes().to_vec()),
            });
            let (mut octets, mut ids) = (stream::iter(pieces), Vec::new());
            let mut reading = Reading::begin(lines(false, false));
            loop {
                let failed = |unreadable| match unreadable {
                    Unreadable::TooLong => "too long",
                    Unreadable::Json(_) => "no list",
                };
                match reading.next(&mut octets, failed).await {
                    Ok(Some(lines)) => ids.extend(lines.into_iter().map(|line| line.id.to_string())),
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
