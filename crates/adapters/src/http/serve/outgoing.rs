//! The body of an answer, as it goes.

use super::answer::Content;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::io::{self, ErrorKind, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;

/// Octets that are read at once.
const PIECE_LEN: usize = 64 * 1024;

/// What is left of a body.
pub(super) enum Outgoing {
    Octets(Bytes),
    Stream { left: Option<u64>, pieces: Receiver<io::Result<Bytes>> },
}

impl Outgoing {
    pub(super) fn new(content: Content) -> Self {
        match content {
            Content::Octets(octets) => Self::Octets(octets.into()),
            // What sends them shares them; the last one to let go wipes them.
            Content::Shared(octets) => Self::Octets(Bytes::from_owner(octets)),
            Content::Secret(octets) => Self::Octets(Bytes::from_owner(octets)),
            Content::Stream { len, source } => Self::Stream { left: len, pieces: pieces(source) },
        }
    }
}

/// Reads a piece when there is room for it, on a thread that may block.
fn pieces(mut source: Box<dyn Read + Send>) -> Receiver<io::Result<Bytes>> {
    let (sender, receiver) = channel(1);
    tokio::spawn(async move {
        // Nobody takes them any more: the connection has ended.
        while let Ok(place) = sender.reserve().await {
            let read = spawn_blocking(move || {
                let read = piece(source.as_mut());
                (source, read)
            });
            let Ok((back, read)) = read.await else {
                return place.send(Err(io::Error::other("what is sent could not be read")));
            };
            source = back;
            match read {
                Ok(piece) if piece.is_empty() => return,
                Ok(piece) => place.send(Ok(piece)),
                Err(error) => return place.send(Err(error)),
            }
        }
    });
    receiver
}

fn piece(source: &mut dyn Read) -> io::Result<Bytes> {
    let mut octets = vec![0; PIECE_LEN];
    loop {
        match source.read(&mut octets) {
            Ok(len) => {
                octets.truncate(len);
                return Ok(octets.into());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match &mut *self {
            Self::Octets(octets) if octets.is_empty() => None,
            Self::Octets(octets) => Some(Ok(Frame::data(std::mem::take(octets)))),
            Self::Stream { left: Some(0), .. } => None,
            Self::Stream { left, pieces } => match (ready!(pieces.poll_recv(cx)), left) {
                (None, None) => None,
                (None, Some(_)) => {
                    Some(Err(io::Error::new(ErrorKind::UnexpectedEof, "there is less than was announced")))
                }
                (Some(Err(error)), _) => Some(Err(error)),
                (Some(Ok(piece)), None) => Some(Ok(Frame::data(piece))),
                (Some(Ok(mut piece)), Some(left)) => {
                    piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                    Some(Ok(Frame::data(piece)))
                }
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Octets(octets) => octets.is_empty(),
            Self::Stream { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Octets(octets) => SizeHint::with_exact(u64::try_from(octets.len()).unwrap_or(u64::MAX)),
            Self::Stream { left: Some(left), .. } => SizeHint::with_exact(*left),
            Self::Stream { left: None, .. } => SizeHint::default(),
        }
    }
}
