//! A stream of octets cut into lines.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bollard::errors::Error;
use futures_util::Stream;

use super::failure::Failure;

/// Longest line, in octets: an event repeats all labels of its container, and an engine bounds those by what it reads
/// as one request. A longer one ends the stream; what it told the next connection's list shows.
const LINE_OCTETS_MAX: usize = 16 << 20;

/// Lines of a stream, without their ends, empty ones left out. What follows the last end of line is no line: it was cut.
pub(super) struct Lines<S> {
    octets: S,
    /// What has come of a line that is not complete.
    part: Vec<u8>,
    complete: VecDeque<Vec<u8>>,
}

impl<S> Lines<S> {
    pub(super) fn new(octets: S) -> Self {
        Self {
            octets,
            part: Vec::new(),
            complete: VecDeque::new(),
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        let mut pieces = chunk.split(|octet| *octet == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.part.extend_from_slice(piece);
            let line = std::mem::take(&mut self.part);
            if !line.trim_ascii().is_empty() {
                self.complete.push_back(line);
            }
        }
        self.part.extend_from_slice(last);
    }
}

impl<S: Stream<Item = Result<Vec<u8>, Error>> + Unpin> Stream for Lines<S> {
    type Item = Result<Vec<u8>, Failure>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(line) = this.complete.pop_front() {
                return Poll::Ready(Some(Ok(line)));
            }
            match Pin::new(&mut this.octets).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Failure::EventsBroke(error)))),
                Poll::Ready(Some(Ok(chunk))) => this.take(&chunk),
            }
            if this.part.len() > LINE_OCTETS_MAX {
                return Poll::Ready(Some(Err(Failure::TooLong {
                    what: "tell an event",
                })));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    async fn lines(chunks: &[&str]) -> Vec<String> {
        let chunks = chunks.iter().map(|chunk| Ok(chunk.as_bytes().to_vec()));
        let lines = Lines::new(stream::iter(chunks.collect::<Vec<Result<_, Error>>>()));
        lines
            .map(|line| String::from_utf8(line.unwrap()).unwrap())
            .collect()
            .await
    }

    #[tokio::test]
    async fn lines_are_the_same_wherever_the_stream_is_cut_into_pieces() {
        let whole = "{\"a\":1}\n\n{\"b\":2}\r\n{\"c\"";
        for cut in 0..=whole.len() {
            let (first, second) = whole.split_at(cut);
            assert_eq!(
                lines(&[first, second]).await,
                ["{\"a\":1}", "{\"b\":2}\r"],
                "{cut}"
            );
        }
        assert_eq!(lines(&[]).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_line_without_end_ends_the_stream() {
        let chunk = vec![b'x'; 1 << 20];
        let mut endless = Lines::new(stream::repeat_with(move || Ok::<_, Error>(chunk.clone())));
        let end = endless.next().await.unwrap();
        assert!(matches!(end, Err(Failure::TooLong { .. })));
        assert!(endless.part.len() <= LINE_OCTETS_MAX + (1 << 20));
    }
}
