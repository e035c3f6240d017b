//! A client of HTTP/2 that sends what frames it likes, over any stream.
#![allow(dead_code, reason = "not all of it is needed by each of the tests")]

use std::io::{ErrorKind, Read, Write};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What came for a stream, or for the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// An answer, with its head as it came, and its body.
    Answer(u16, Vec<u8>, Vec<u8>),
    /// The stream was reset, for this reason.
    Reset(u32),
    /// The connection ended; this was the reason that was told last.
    Ended(Option<u32>),
}

impl Came {
    #[track_caller]
    pub(crate) fn body(self, expected: u16) -> Vec<u8> {
        match self {
            Self::Answer(status, _, body) if status == expected => body,
            other => panic!("expected {expected}: {other:?}"),
        }
    }
}

/// One connection.
pub(crate) struct Line<S> {
    pub(crate) stream: S,
    /// Whether it says that it has read what asks for that.
    pub(crate) is_polite: bool,
    /// What GOAWAY said last.
    pub(crate) goaway: Option<u32>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as they are, in no table. Source: RFC 7541 §6.2.2.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let len = text.len();
        let len = if len < 127 { vec![u8::try_from(len).unwrap()] } else { long(len - 127) };
        [len, text.as_bytes().to_vec()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}
// RFC 7541 §5.1
fn long(mut rest: usize) -> Vec<u8> {
    let mut octets = vec![127];
    while rest >= 128 {
        octets.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    octets.push(u8::try_from(rest).unwrap());
    octets
}

pub(crate) fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "h")];
    fields(&[&usual[..], more].concat())
}

// Settings: nothing is kept of what was sent before, and windows of so many octets. Source: RFC 9113 §6.5.2.
fn settings(window: u32) -> Vec<u8> {
    [&[0, 1, 0, 0, 0, 0, 0, 4][..], &window.to_be_bytes()].concat()
}

impl<S: Read + Write> Line<S> {
    /// Begins; answers may be so long before more is asked for.
    pub(crate) fn begin(stream: S, window: u32) -> Self {
        let mut line = Self { stream, is_polite: true, goaway: None };
        line.say(&[PREFACE, &frame(SETTINGS, 0, 0, &settings(window))].concat());
        line
    }
    pub(crate) fn say(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
        self.stream.flush().unwrap();
    }
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.say(&frame(kind, flags, stream, payload));
    }
    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", path, &[]));
    }

    /// The next frame, or none if the connection has ended.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.fill(&mut head)?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.fill(&mut payload)?;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if self.is_polite && matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            let said = if kind == PING { &payload[..] } else { &[] };
            let _has_ended = self.stream.write_all(&frame(kind, ACK, 0, said));
        }
        if kind == GOAWAY {
            self.goaway = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        Some(Frame { kind, flags, stream, payload })
    }
    fn fill(&mut self, into: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(into) {
            Ok(()) => Some(()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing comes, and the connection does not end")
            }
            Err(_) => None,
        }
    }

    /// What comes for this stream.
    pub(crate) fn answer(&mut self, stream: u32) -> Came {
        let (mut head, mut body) = (None, Vec::new());
        loop {
            let Some(frame) = self.next() else { return Came::Ended(self.goaway) };
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS => head = Some(frame.payload),
                DATA => body.extend_from_slice(&frame.payload),
                RST_STREAM => return Came::Reset(u32::from_be_bytes(frame.payload.try_into().unwrap())),
                _ => continue,
            }
            if frame.flags & END_STREAM != 0 {
                let head = head.unwrap();
                return Came::Answer(status(&head), head, body);
            }
        }
    }
    pub(crate) fn ask(&mut self, stream: u32, path: &str) -> Came {
        self.get(stream, path);
        self.answer(stream)
    }
    /// Reads until the connection ends, and gives what GOAWAY said.
    pub(crate) fn rest(&mut self) -> Option<u32> {
        while self.next().is_some() {}
        self.goaway
    }
    /// Sends this again and again, at most so often, until the connection ends; gives what GOAWAY said.
    pub(crate) fn flood(mut self, most: u32, round: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
        for n in 0..most {
            if self.stream.write_all(&round(n)).is_err() {
                break;
            }
        }
        self.rest()
    }
}

/// The status of an answer, whose fields are in no table but that of RFC 7541 A. It comes first.
fn status(head: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // RFC 7541 Appendix B
    const DIGITS: [(u32, u32); 10] =
        [(0, 5), (1, 5), (2, 5), (0x19, 6), (0x1a, 6), (0x1b, 6), (0x1c, 6), (0x1d, 6), (0x1e, 6), (0x1f, 6)];
    // The size of the table is said once.
    let head = if head[0] == 0x20 { &head[1..] } else { head };
    if head[0] & 0x80 != 0 {
        return INDEXED[usize::from(head[0] - 0x88)];
    }
    assert!(matches!(head[0], 0x08 | 0x18 | 0x48), "{head:02x?}");
    if head[1] == 3 {
        return std::str::from_utf8(&head[2..5]).unwrap().parse().unwrap();
    }
    let octets = head[2..2 + usize::from(head[1] & 0x7f)].iter();
    let (mut bits, mut left) = octets.fold((0_u64, 0_u32), |(bits, n), octet| (bits << 8 | u64::from(*octet), n + 8));
    let mut number = 0;
    for _ in 0..3 {
        let is = |(code, len): &(u32, u32)| *len <= left && bits >> (left - len) == u64::from(*code);
        let digit = DIGITS.iter().position(is).unwrap();
        left -= DIGITS[digit].1;
        bits &= (1 << left) - 1;
        number = number * 10 + u16::try_from(digit).unwrap();
    }
    number
}
