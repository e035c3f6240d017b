//! `NestedMessageContent`: messages in a message.

use crate::cmp::body::ITEMS_MAX;
use crate::cmp::shape::{raw_sequence, some};
use crate::read;
use x509::{BadDer, Writer};

/// The messages of a nested message, each whole and unread: [`crate::cmp::Message::decode`] reads one, and what is nested
/// in that stays unread.
///
/// Limits: from one to [`ITEMS_MAX`] messages.
/// # Errors
/// [`BadDer`] if there are none or more, or the octets are no list of them.
/// Source: RFC 9810 §5.1.3.4.
pub fn nested_messages(content: &[u8]) -> Result<Vec<&[u8]>, BadDer> {
    read::inside(content, |r| some(r, ITEMS_MAX, raw_sequence)).map_err(|_| BadDer("PKIMessages"))
}

/// Writes messages as the content of a nested message.
#[must_use]
pub fn write_messages(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut w = Writer::with_capacity(messages.iter().map(Vec::len).sum::<usize>() + 8);
    w.sequence(|w| {
        for message in messages {
            w.raw(message);
        }
    });
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: usize, taken: bool) {
        let messages: Vec<_> = (0..count).map(|_| vec![0x30, 0]).collect();
        let content = write_messages(&messages);
        assert_eq!(nested_messages(&content).ok(), taken.then(|| vec![&[0x30, 0][..]; count]));
    }

    #[test]
    fn from_one_to_sixty_four() {
        check(0, false);
        check(1, true);
        check(64, true);
        check(65, false);
    }
    #[test]
    fn what_is_no_list_is_refused() {
        for octets in [&[][..], &[5, 0], &[0x30, 2, 5, 0], &[0x30, 2, 0x30, 0, 0], &[0x30, 3, 0x30, 0]] {
            assert!(nested_messages(octets).is_err());
        }
    }
}
