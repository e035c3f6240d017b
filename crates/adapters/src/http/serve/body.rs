//! The body of a request, as it comes.

use super::paced::{LINGER_LEN_MAX, LINGER_WITHIN};
use super::request::{BodyFault, BodyLimits};
use hyper::Version;
use hyper::body::{Body, Bytes, Incoming};
use std::future::poll_fn;
use std::pin::Pin;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout_at};

/// Pieces that wait for the handler. One more is left with the peer.
const PIECES_MAX: usize = 4;

/// A body, how much more of it may come, and until when.
pub(super) struct Coming {
    body: Incoming,
    left: u64,
    until: Instant,
    version: Version,
}

impl Coming {
    pub(super) fn new(body: Incoming, limits: BodyLimits, version: Version) -> Self {
        let until = Instant::now() + limits.within;
        Self { body, left: limits.len_max, until, version }
    }

    /// Reads what nobody wants, so much and so long, before it is said why. Over HTTP/2 the rest of a body is reset once its request was answered,
    /// and clients that still send (curl 7.88) take that for the answer. Over HTTP/1.1 the socket does the same (`paced.rs`).
    pub(super) async fn drop_rest(mut self) {
        if self.version != Version::HTTP_2 {
            return;
        }
        let until = Instant::now() + LINGER_WITHIN;
        let mut left = LINGER_LEN_MAX;
        while left > 0 && !self.body.is_end_stream() {
            let next = timeout_at(until, poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx))).await;
            let Ok(Some(Ok(frame))) = next else { return };
            left = left.saturating_sub(frame.data_ref().map_or(1, Bytes::len));
        }
    }

    /// Whether it says that it is longer than it may be. One that comes in chunks says nothing; where none may be, it is none.
    pub(super) fn is_too_long(&self) -> bool {
        self.body.size_hint().exact().map_or(self.left == 0, |len| len > self.left)
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyFault>> {
        loop {
            if self.body.is_end_stream() {
                return None;
            }
            let Ok(frame) = timeout_at(self.until, poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx))).await else {
                return Some(Err(BodyFault::TooSlow));
            };
            let piece = match frame? {
                Ok(frame) => frame.into_data(),
                Err(_) => return Some(Err(BodyFault::BrokenOff)),
            };
            // Fields behind a body say nothing that anybody here asks for.
            let Ok(piece) = piece else { continue };
            let len = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            return Some(match self.left.checked_sub(len) {
                Some(left) => {
                    self.left = left;
                    Ok(piece)
                }
                None => Err(BodyFault::TooLong),
            });
        }
    }

    /// All of it.
    pub(super) async fn gather(&mut self) -> Result<Bytes, BodyFault> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }

    /// Piece by piece, for somebody who blocks.
    pub(super) fn stream(mut self) -> Receiver<Result<Bytes, BodyFault>> {
        let (pieces, receiver) = channel(PIECES_MAX);
        tokio::spawn(async move {
            while let Some(piece) = self.next().await {
                let is_last = piece.is_err();
                // Nobody reads on: the handler has answered.
                if pieces.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }
}
