//! What the frames of a peer of HTTP/2 cost, and how much it has for them.
//!
//! Prevents: work for frames that ask nothing. A request that is begun and reset at once (CVE-2023-44487), PING, SETTINGS, PRIORITY, empty
//! DATA: each is small for who sends it, and the address is not counted as asking. So each is paid for, with what requests, their bodies
//! and what is sent in answer bring in.

use std::ops::ControlFlow;

/// What every connection begins with, and the most it ever has.
pub(super) const CREDIT_MAX: u32 = 1000;
/// What a request brings in: more than the windows, priorities and settings that come with one.
const REQUEST: u32 = 32;
/// What its reset takes: what the request brought in, and half as much. Some sixty of them in a row end a connection.
const RESET: u32 = 48;
/// What new settings take: they are answered, and all streams are looked at.
const SETTINGS: u32 = 16;
/// Octets of a body that bring in one: pieces that are smaller use up what there is.
const DATA_LEN: u32 = 256;
/// Octets that were written to the peer and bring in one: it opens windows for them.
pub(super) const WRITTEN_LEN: u64 = 1024;

/// The preface of a connection; the HTTP library looks at its octets. Source: RFC 9113 §3.4.
const PREFACE_LEN: u32 = 24;
/// Source: RFC 9113 §4.1.
const HEAD_LEN: u32 = 9;
/// Where the type stands in the head of a frame.
const KIND_AT: u32 = 3;

/// Whether requests still bring something in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The connection may be asked.
    Open,
    /// The peer was told to ask nothing more.
    Leaving,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    // In the preface, or in what a frame carries.
    Within { left: u32 },
    Head { at: u32, len: u32, kind: u8, stream: u32 },
}

const HEAD: Place = Place::Head { at: 0, len: 0, kind: 0, stream: 0 };

/// The frames of one connection, as they come, and what is left for them.
#[derive(Debug)]
pub(super) struct Frames {
    place: Place,
    credit: u32,
    newest: u32,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self { place: Place::Within { left: PREFACE_LEN }, credit: CREDIT_MAX, newest: 0 }
    }

    /// Brings in something.
    pub(super) fn earn(&mut self, more: u64) {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.credit = self.credit.saturating_add(more).min(CREDIT_MAX);
    }

    /// Reads on. Breaks with the number of octets that come before the type of the frame for which nothing is left; nothing may be read
    /// afterwards.
    pub(super) fn read(&mut self, octets: &[u8], standing: Standing) -> ControlFlow<usize> {
        let mut rest = octets;
        while let Some((first, behind)) = rest.split_first() {
            match self.place {
                Place::Within { left } => {
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest = rest.get(skipped..).unwrap_or_default();
                    let left = left.saturating_sub(u32::try_from(skipped).unwrap_or(u32::MAX));
                    self.place = if left == 0 { HEAD } else { Place::Within { left } };
                }
                Place::Head { at, len, kind, stream } => {
                    if at == KIND_AT && self.pay(*first, len).is_none() {
                        return ControlFlow::Break(octets.len().saturating_sub(rest.len()));
                    }
                    rest = behind;
                    let (len, kind, stream) = match at {
                        0..KIND_AT => (len << 8 | u32::from(*first), kind, stream),
                        KIND_AT => (len, *first, stream),
                        // Behind the flags.
                        5.. => (len, kind, stream << 8 | u32::from(*first)),
                        _ => (len, kind, stream),
                    };
                    let at = at.saturating_add(1);
                    self.place = Place::Head { at, len, kind, stream };
                    if at == HEAD_LEN {
                        self.begun(kind, stream, standing);
                        self.place = if len == 0 { HEAD } else { Place::Within { left: len } };
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    // Types of RFC 9113 §6. One that nobody knows is paid for like any other.
    fn pay(&mut self, kind: u8, len: u32) -> Option<()> {
        let cost = match kind {
            0x0 => {
                self.earn(u64::from(len / DATA_LEN));
                1
            }
            0x3 => RESET,
            0x4 => SETTINGS,
            _ => 1,
        };
        self.credit = self.credit.checked_sub(cost)?;
        Some(())
    }

    // RFC 9113 §5.1.1: a request has a higher number than all before it. What comes behind a body, or for a stream that was, is none.
    fn begun(&mut self, kind: u8, stream: u32, standing: Standing) {
        if kind == 0x1 && stream > self.newest {
            self.newest = stream;
            if standing == Standing::Open {
                self.earn(REQUEST.into());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, len: u32) -> Vec<u8> {
        let payload = vec![0xff; usize::try_from(len).unwrap()];
        [&len.to_be_bytes()[1..], &[kind, 0], &stream.to_be_bytes(), &payload].concat()
    }
    fn open() -> Frames {
        let mut frames = Frames::new();
        assert!(frames.read(&[0x50; 24], Standing::Open).is_continue());
        frames
    }
    /// How many rounds of these frames a connection has something for, up to a hundred thousand.
    #[track_caller]
    fn check(standing: Standing, round: impl Fn(u32) -> Vec<u8>, expected: Option<u32>) {
        let mut frames = open();
        let lasted = (0..100_000).find(|n| frames.read(&round(*n), standing).is_break());
        assert_eq!(lasted, expected);
    }
    fn request(n: u32) -> Vec<u8> {
        frame(0x1, 2 * n + 1, 30)
    }

    #[test]
    fn requests_pay_for_themselves() {
        let usual =
            |n: u32| [request(n), frame(0x8, 0, 4), frame(0x8, 2 * n + 1, 4), frame(0x0, 2 * n + 1, 0)].concat();
        check(Standing::Open, usual, None);
    }
    #[test]
    fn who_was_told_to_go_has_what_it_had() {
        check(Standing::Leaving, request, Some(1000));
    }
    #[test]
    fn requests_that_are_reset_at_once() {
        let rapid = |n: u32| [request(n), frame(0x3, 2 * n + 1, 4)].concat();
        check(Standing::Open, rapid, Some(57));
    }
    #[test]
    fn frames_that_ask_nothing() {
        for kind in [0x2, 0x6, 0x7, 0x8, 0x9, 0x10, 0xff] {
            check(Standing::Open, |_| frame(kind, 0, 8), Some(1000));
        }
        check(Standing::Open, |_| frame(0x4, 0, 6), Some(62));
    }
    #[test]
    fn a_body_in_pieces_that_are_worth_it() {
        check(Standing::Open, |_| frame(0x0, 1, 256), None);
        check(Standing::Open, |_| frame(0x0, 1, 255), Some(1000));
        check(Standing::Open, |_| frame(0x0, 1, 0), Some(1000));
    }
    #[test]
    fn fields_behind_a_body_are_no_request() {
        let again = |_| frame(0x1, 1, 30);
        // The first one is one, and brings back what it took.
        check(Standing::Open, again, Some(1001));
        let older = |n: u32| frame(0x1, 100_001 - 2 * n.min(50_000), 30);
        check(Standing::Open, older, Some(1001));
    }
    #[test]
    fn nobody_saves_up_more() {
        let mut frames = open();
        frames.earn(u64::MAX);
        assert_eq!(frames.credit, CREDIT_MAX);
    }
    #[test]
    fn what_was_written_brings_something_in() {
        let mut frames = open();
        while frames.read(&frame(0x8, 0, 4), Standing::Open).is_continue() {}
        let mut frames = Frames { place: HEAD, ..frames };
        frames.earn(1);
        assert!(frames.read(&frame(0x8, 0, 4), Standing::Open).is_continue());
        assert!(frames.read(&frame(0x8, 0, 4), Standing::Open).is_break());
    }
    #[test]
    fn it_does_not_matter_how_the_octets_come() {
        let octets: Vec<u8> = (0..200).flat_map(|n| [request(n), frame(0x3, 2 * n + 1, 4)].concat()).collect();
        let mut whole = open();
        let ControlFlow::Break(before) = whole.read(&octets, Standing::Open) else { unreachable!() };
        // 57 rounds of 39 and 13 octets, and the length of one request more.
        assert_eq!(before, 57 * 52 + 3);
        for piece in [1, 2, 3, 7, 64, 1000] {
            let (mut frames, mut all) = (open(), 0);
            for octets in octets.chunks(piece) {
                match frames.read(octets, Standing::Open) {
                    ControlFlow::Continue(()) => all += octets.len(),
                    ControlFlow::Break(before) => {
                        all += before;
                        break;
                    }
                }
            }
            assert_eq!(all, before);
        }
    }
}
