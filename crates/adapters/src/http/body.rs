//! The body of an answer: how its end is found, how long it may be, and how slow.

use super::{NotFetched, PACE_LEN};
use std::io::{self, ErrorKind, Read};

/// Longest head of an answer, in octets.
const HEAD_LEN_MAX: usize = 16 * 1024;
/// Most fields in a head.
const FIELDS_MAX: usize = 64;
/// Octets that are read at once.
const CHUNK_LEN: usize = 16 * 1024;
/// Longest line that says how long a chunk is, extensions included.
const CHUNK_LINE_LEN_MAX: usize = 256;

/// A source whose patience ends, unless it is renewed.
pub(super) trait Paced: Read {
    fn renew(&mut self);
}

/// How the end is found. Source: RFC 9112 §6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    /// How much of the present chunk is left, and whether it is the first.
    Chunked {
        left: u64,
        first: bool,
    },
    UntilClose,
    End,
}

/// What answers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A file, from its first octet on.
    File,
    /// A part of a file of `length` octets, up to before `to`. A server that sends all of it is good enough.
    Part { from: u64, to: u64, length: u64 },
    /// Whatever is said.
    Answer,
}

/// A body that is being read.
pub(super) struct Body<R> {
    source: R,
    buffer: Vec<u8>,
    at: usize,
    framing: Framing,
    // How many octets may still come.
    allowed: u64,
    // How many have come since patience was renewed.
    paced: u64,
    // When the server wants to be asked again, in seconds from now.
    retry_after_s: Option<u64>,
}

/// What an error of reading means.
pub(super) fn fault(fault: &io::Error) -> NotFetched {
    match fault.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => NotFetched::TooSlow,
        ErrorKind::FileTooLarge => NotFetched::TooLong,
        _ => NotFetched::Unreachable(fault.to_string()),
    }
}

fn no_http(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}
fn too_long() -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, "it is longer than it may be")
}

impl<R: Paced> Body<R> {
    /// Reads the head of a file.
    pub(super) fn begin(source: R, len_max: u64) -> Result<Self, NotFetched> {
        Self::begin_with(source, len_max, Wanted::File).map(|(body, _)| body)
    }

    /// Reads the head of a file of which a part was asked for, and what comes before that part. Gives whether nothing comes behind it.
    pub(super) fn begin_part(source: R, from: u64, to: u64, length: u64) -> Result<(Self, bool), NotFetched> {
        let (mut body, code) = Self::begin_with(source, length, Wanted::Part { from, to, length })?;
        if code != 206 {
            let skipped = io::copy(&mut (&mut body).take(from), &mut io::sink()).map_err(|e| fault(&e))?;
            if skipped < from {
                return Err(NotFetched::TooShort);
            }
        }
        Ok((body, code == 206))
    }

    /// Reads the head of an answer, and gives its status.
    pub(super) fn begin_with(source: R, len_max: u64, wanted: Wanted) -> Result<(Self, u16), NotFetched> {
        let framing = Framing::UntilClose;
        let mut body =
            Self { source, buffer: Vec::new(), at: 0, framing, allowed: len_max, paced: 0, retry_after_s: None };
        let (code, framing, head_len) = body.head(wanted)?;
        if let (206, Wanted::Part { from, to, .. }) = (code, wanted) {
            body.allowed = to.saturating_sub(from);
        }
        match (framing, wanted) {
            (Framing::Length(len), _) if len > body.allowed => return Err(NotFetched::TooLong),
            (Framing::Length(len), Wanted::Part { length, .. }) if code == 200 && len < length => {
                return Err(NotFetched::TooShort);
            }
            _ => {}
        }
        body.framing = framing;
        body.at = head_len;
        Ok((body, code))
    }

    /// When the server wants to be asked again, in seconds from now, if it has said so.
    pub(super) const fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    fn head(&mut self, wanted: Wanted) -> Result<(u16, Framing, usize), NotFetched> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut response = httparse::Response::new(&mut fields);
            match response.parse(&self.buffer) {
                Ok(httparse::Status::Complete(len)) if len <= HEAD_LEN_MAX => {
                    self.retry_after_s = retry_after(&response);
                    return match (response.code.unwrap_or_default(), wanted) {
                        (code @ (200..=204 | 400..=599), Wanted::Answer) => Ok((code, framing(&response)?, len)),
                        (206, Wanted::Part { from, to, length }) => {
                            is_part(&response, from, to, length)?;
                            Ok((206, framing(&response)?, len))
                        }
                        (200, _) => Ok((200, framing(&response)?, len)),
                        // RFC 9110 §15.5.17: it ends before the part that was asked for.
                        (416, Wanted::Part { .. }) => Err(NotFetched::TooShort),
                        (403 | 404, _) => Err(NotFetched::NotThere),
                        (code, _) => Err(NotFetched::Unreachable(format!("HTTP status {code}"))),
                    };
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < HEAD_LEN_MAX => {
                    self.more().map_err(|e| fault(&e))?;
                }
                _ => return Err(NotFetched::Unreachable("it is not HTTP, or its head is too long".into())),
            }
        }
    }

    // Octets of the line, of which there must be some.
    fn more(&mut self) -> io::Result<()> {
        if self.fill()? == 0 { Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended")) } else { Ok(()) }
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.at > 0 {
            self.buffer.drain(..self.at.min(self.buffer.len()));
            self.at = 0;
        }
        let there = self.buffer.len();
        self.buffer.resize(there + CHUNK_LEN, 0);
        let read = read_paced(&mut self.source, &mut self.paced, self.buffer.get_mut(there..).unwrap_or_default());
        self.buffer.truncate(there + *read.as_ref().unwrap_or(&0));
        read
    }

    // Gives what is in the buffer, up to `len_max` octets. If it is empty it is filled, or passed by where there is as much room.
    fn give(&mut self, into: &mut [u8], len_max: u64) -> io::Result<usize> {
        let room = into.len().min(usize::try_from(len_max).unwrap_or(usize::MAX));
        let into = into.get_mut(..room).unwrap_or_default();
        let is_empty = self.at == self.buffer.len();
        let len = if is_empty && room >= CHUNK_LEN {
            read_paced(&mut self.source, &mut self.paced, into)?
        } else {
            if is_empty && self.fill()? == 0 {
                return Ok(0);
            }
            let len = self.buffer.get(self.at..).unwrap_or_default().read(into)?;
            self.at += len;
            len
        };
        self.allowed = self.allowed.checked_sub(as_u64(len)).ok_or_else(too_long)?;
        Ok(len)
    }

    // The length of the next chunk; behind the one before is an end of line.
    fn next_chunk(&mut self, first: bool) -> io::Result<u64> {
        if !first {
            while self.buffer.len() < self.at + 2 {
                self.more()?;
            }
            if self.buffer.get(self.at..self.at + 2) != Some(b"\r\n") {
                return Err(no_http("its chunks are not those of HTTP"));
            }
            self.at += 2;
        }
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((len, size))) => {
                    self.at += len;
                    return Ok(size);
                }
                Ok(httparse::Status::Partial) if rest.len() < CHUNK_LINE_LEN_MAX => self.more()?,
                Ok(httparse::Status::Partial) | Err(_) => return Err(no_http("its chunks are not those of HTTP")),
            }
        }
    }
}

impl<R: Paced> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        match self.framing {
            Framing::End | Framing::Length(0) => Ok(0),
            Framing::UntilClose => self.give(into, u64::MAX),
            Framing::Length(left) => {
                let len = self.give(into, left)?;
                if len == 0 {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended in the middle"));
                }
                self.framing = Framing::Length(left.saturating_sub(as_u64(len)));
                Ok(len)
            }
            Framing::Chunked { left: 0, first } => {
                self.framing = match self.next_chunk(first)? {
                    0 => Framing::End,
                    left if left > self.allowed => return Err(too_long()),
                    left => Framing::Chunked { left, first: false },
                };
                self.read(into)
            }
            Framing::Chunked { left, .. } => {
                let len = self.give(into, left)?;
                if len == 0 {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection ended in the middle"));
                }
                self.framing = Framing::Chunked { left: left.saturating_sub(as_u64(len)), first: false };
                Ok(len)
            }
        }
    }
}

// Reads from the line. Its patience begins again whenever so much has come.
fn read_paced<R: Paced>(source: &mut R, paced: &mut u64, into: &mut [u8]) -> io::Result<usize> {
    let len = loop {
        match source.read(into) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    *paced = paced.saturating_add(as_u64(len));
    if *paced >= PACE_LEN {
        *paced = 0;
        source.renew();
    }
    Ok(len)
}

fn framing(response: &httparse::Response<'_, '_>) -> Result<Framing, NotFetched> {
    let all = |name: &str| -> Vec<&str> {
        let fields = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| std::str::from_utf8(field.value).map(str::trim).unwrap_or("?")).collect()
    };
    if all("content-encoding").iter().any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(NotFetched::Unreachable("it is packed, which was not asked for".into()));
    }
    match (all("transfer-encoding").as_slice(), all("content-length").as_slice()) {
        ([], []) => Ok(Framing::UntilClose),
        // Digits only: a sign in front is taken by `parse` and by nobody else.
        ([], [length]) if !length.is_empty() && length.bytes().all(|c| c.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| NotFetched::TooLong)
        }
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked { left: 0, first: true }),
        // RFC 9112 §6.3: two lengths are an attack, or a mistake that cannot be told from one.
        _ => Err(NotFetched::Unreachable("its length is said in a way that is not taken".into())),
    }
}

// Off-spec: RFC 9110 §10.2.3 has dates too, which are not taken: who sends one is asked again as if nothing were said.
fn retry_after(response: &httparse::Response<'_, '_>) -> Option<u64> {
    let mut said = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("retry-after"));
    let text = std::str::from_utf8(said.next()?.value).ok()?.trim();
    text.parse().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()))
}

// The part that comes is the one that was asked for, of a file of the length that it should have; otherwise its
// octets would be put in the wrong place. Source: RFC 9110 §14.4.
fn is_part(response: &httparse::Response<'_, '_>, from: u64, to: u64, length: u64) -> Result<(), NotFetched> {
    let mut said = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("content-range"));
    let expected = format!("bytes {from}-{}/", to.saturating_sub(1));
    let whole =
        |said: &[u8]| std::str::from_utf8(said.trim_ascii().strip_prefix(expected.as_bytes())?).ok()?.parse().ok();
    let length_said = |said: &[u8]| std::str::from_utf8(said).ok()?.rsplit_once('/')?.1.trim().parse::<u64>().ok();
    match (said.next(), said.next()) {
        (Some(only), None) if whole(only.value) == Some(length) => Ok(()),
        (Some(only), None) if whole(only.value).is_some_and(|said| said > length) => Err(NotFetched::TooLong),
        (Some(only), None) if length_said(only.value).is_some_and(|said| said < length) => Err(NotFetched::TooShort),
        _ => Err(NotFetched::Unreachable("it sends another part than was asked for".into())),
    }
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    // Gives its octets in pieces; then its patience has ended, or the connection.
    struct Line<'a> {
        octets: &'a [u8],
        piece: usize,
        // How many octets come until patience ends, unless it is renewed.
        patience: usize,
        left: usize,
    }
    impl Read for Line<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = self.octets.len().min(into.len()).min(self.piece);
            if len > self.left {
                return Err(io::Error::new(ErrorKind::TimedOut, "it took too long"));
            }
            self.left -= len;
            into[..len].copy_from_slice(&self.octets[..len]);
            self.octets = &self.octets[len..];
            Ok(len)
        }
    }
    impl Paced for Line<'_> {
        fn renew(&mut self) {
            self.left = self.patience;
        }
    }

    fn read(octets: &[u8], piece: usize, patience: usize, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        let mut body = Body::begin(Line { octets, piece, patience, left: patience }, len_max)?;
        let mut all = Vec::new();
        body.read_to_end(&mut all).map_err(|e| fault(&e))?;
        Ok(all)
    }
    #[track_caller]
    fn check(answer: &str, expected: Result<&str, NotFetched>) {
        for piece in [1, 2, 7, 10_000] {
            let read = read(answer.as_bytes(), piece, usize::MAX, 10);
            assert_eq!(read.as_deref(), expected.as_ref().map(|text| text.as_bytes()), "in pieces of {piece}");
        }
    }
    fn unreachable(what: &str) -> Result<&'static str, NotFetched> {
        Err(NotFetched::Unreachable(what.into()))
    }

    #[test]
    fn a_body_with_a_length() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", Ok("abc"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(""));
    }
    #[test]
    fn when_a_server_wants_to_be_asked_again() {
        let check = |fields: &str, expected: Option<u64>| {
            let octets = format!("HTTP/1.1 503 X\r\n{fields}\r\n");
            let line = Line { octets: octets.as_bytes(), piece: 7, patience: usize::MAX, left: usize::MAX };
            let (body, code) = Body::begin_with(line, 10, Wanted::Answer).unwrap();
            assert_eq!((code, body.retry_after_s()), (503, expected), "{fields}");
        };
        check("", None);
        check("Retry-After: 120\r\n", Some(120));
        check("retry-after:0\r\n", Some(0));
        for other in ["-1", "+1", "1.5", "", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999"] {
            check(&format!("Retry-After: {other}\r\n"), None);
        }
    }
    #[test]
    fn a_body_in_chunks() {
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", Ok("abcde"));
    }
    #[test]
    fn a_body_until_the_end() {
        check("HTTP/1.0 200 OK\r\n\r\nabcde", Ok("abcde"));
    }
    #[test]
    fn ten_octets_and_eleven() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", Ok("0123456789"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a", Err(NotFetched::TooLong));
        check("HTTP/1.1 200 OK\r\n\r\n0123456789a", Err(NotFetched::TooLong));
        let chunked =
            |len: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n{len}\r\n");
        check(&(chunked("5") + "56789\r\n0\r\n\r\n"), Ok("0123456789"));
        check(&(chunked("6") + "56789a\r\n0\r\n\r\n"), Err(NotFetched::TooLong));
        check(&chunked("ffffffffffffffff"), Err(NotFetched::TooLong));
    }
    #[test]
    fn only_403_and_404_mean_that_it_is_not_there() {
        for (code, expected) in [
            ("403", Err(NotFetched::NotThere)),
            ("404", Err(NotFetched::NotThere)),
            ("401", unreachable("HTTP status 401")),
            ("410", unreachable("HTTP status 410")),
            ("429", unreachable("HTTP status 429")),
            ("500", unreachable("HTTP status 500")),
            ("503", unreachable("HTTP status 503")),
            ("204", unreachable("HTTP status 204")),
        ] {
            check(&format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n"), expected);
        }
    }
    #[test]
    fn nothing_is_followed_elsewhere() {
        for code in ["301", "302", "303", "307", "308"] {
            let answer = format!("HTTP/1.1 {code} X\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
            check(&answer, unreachable(&format!("HTTP status {code}")));
        }
    }
    #[test]
    fn an_end_in_the_middle() {
        let ended = || unreachable("the connection ended in the middle");
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", ended());
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", ended());
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", unreachable("the connection ended"));
        check("HTTP/1.1 200 OK\r\nConte", unreachable("the connection ended"));
    }
    #[test]
    fn lengths_that_are_not_taken() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: +1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nabc");
            check(&answer, unreachable("its length is said in a way that is not taken"));
        }
        check(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\na",
            unreachable("it is packed, which was not asked for"),
        );
    }
    #[test]
    fn what_is_no_http() {
        let expected = || unreachable("it is not HTTP, or its head is too long");
        check("SSH-2.0-x\r\n\r\n", expected());
        check(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(HEAD_LEN_MAX)), expected());
    }
    #[track_caller]
    fn check_rest(answer: &str, expected: Result<&str, NotFetched>) {
        for piece in [1, 3, 10_000] {
            let line = Line { octets: answer.as_bytes(), piece, patience: usize::MAX, left: usize::MAX };
            let read = Body::begin_part(line, 4, 10, 10).and_then(|(mut body, _)| {
                let mut all = String::new();
                body.read_to_string(&mut all).map_err(|e| fault(&e))?;
                Ok(all)
            });
            assert_eq!(read.as_deref(), expected.as_ref().map(|text| &**text), "in pieces of {piece}");
        }
    }
    #[test]
    fn the_rest_of_a_file() {
        check_rest("HTTP/1.1 206 X\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789", Ok("456789"));
    }
    #[track_caller]
    fn check_middle(answer: &str, expected: Result<(&str, bool), NotFetched>) {
        let line = Line { octets: answer.as_bytes(), piece: 3, patience: usize::MAX, left: usize::MAX };
        let read = Body::begin_part(line, 4, 7, 10).and_then(|(mut body, is_part)| {
            let mut all = String::new();
            body.read_to_string(&mut all).map_err(|e| fault(&e))?;
            Ok((all, is_part))
        });
        assert_eq!(read, expected.map(|(text, is_part)| (text.to_owned(), is_part)));
    }
    #[test]
    fn the_middle_of_a_file() {
        check_middle(
            "HTTP/1.1 206 X\r\nContent-Range: bytes 4-6/10\r\nContent-Length: 3\r\n\r\n456",
            Ok(("456", true)),
        );
        check_middle("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", Ok(("456789", false)));
        let other = "HTTP/1.1 206 X\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789";
        check_middle(other, Err(NotFetched::Unreachable("it sends another part than was asked for".into())));
        let more = "HTTP/1.1 206 X\r\nContent-Range: bytes 4-6/10\r\nContent-Length: 4\r\n\r\n4567";
        check_middle(more, Err(NotFetched::TooLong));
    }
    #[test]
    fn all_of_a_file_from_a_server_that_sends_no_parts() {
        check_rest("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", Ok("456789"));
        check_rest("HTTP/1.1 200 OK\r\n\r\n0123456789", Ok("456789"));
        check_rest("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a", Err(NotFetched::TooLong));
        check_rest("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n012", Err(NotFetched::TooShort));
        check_rest("HTTP/1.1 200 OK\r\n\r\n012", Err(NotFetched::TooShort));
    }
    #[test]
    fn another_part_than_was_asked_for() {
        for range in ["bytes 3-8/10", "bytes 4-8/10", "bytes 4-9/*", "bytes */10", "octets 4-9/10"] {
            let answer = format!("HTTP/1.1 206 X\r\nContent-Range: {range}\r\nContent-Length: 6\r\n\r\n456789");
            check_rest(&answer, unreachable("it sends another part than was asked for"));
        }
        let twice = "Content-Range: bytes 4-9/10\r\nContent-Range: bytes 0-5/10\r\nContent-Length: 6";
        let other = || unreachable("it sends another part than was asked for");
        check_rest(&format!("HTTP/1.1 206 X\r\n{twice}\r\n\r\n456789"), other());
        check_rest("HTTP/1.1 206 X\r\nContent-Length: 6\r\n\r\n456789", other());
    }
    #[test]
    fn a_part_of_a_file_that_is_too_long() {
        let answer = "HTTP/1.1 206 X\r\nContent-Range: bytes 4-9/11\r\nContent-Length: 6\r\n\r\n456789";
        check_rest(answer, Err(NotFetched::TooLong));
    }
    #[test]
    fn a_file_that_is_shorter_than_it_should_be() {
        let part = "HTTP/1.1 206 X\r\nContent-Range: bytes 4-8/9\r\nContent-Length: 5\r\n\r\n45678";
        check_rest(part, Err(NotFetched::TooShort));
        check_rest("HTTP/1.1 416 X\r\nContent-Range: bytes */3\r\n\r\n", Err(NotFetched::TooShort));
        check_rest("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n012345678", Err(NotFetched::TooShort));
    }
    #[test]
    fn a_rest_that_is_too_long() {
        check_rest(
            "HTTP/1.1 206 X\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 7\r\n\r\n456789a",
            Err(NotFetched::TooLong),
        );
    }
    #[test]
    fn a_part_that_was_not_asked_for() {
        check(
            "HTTP/1.1 206 X\r\nContent-Range: bytes 0-2/3\r\nContent-Length: 3\r\n\r\nabc",
            unreachable("HTTP status 206"),
        );
    }
    #[test]
    fn a_pace_is_kept_or_it_is_too_slow() {
        let pace = usize::try_from(PACE_LEN).unwrap();
        let octets = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 4 * pace]].concat();
        // Patience for a little more than the pace: each 64 KiB renew it.
        assert_eq!(read(&octets, 1000, pace + 2000, u64::MAX).map(|all| all.len()), Ok(4 * pace));
        // Patience for less: it ends before it is renewed.
        assert_eq!(read(&octets, 1000, pace - 2000, u64::MAX), Err(NotFetched::TooSlow));
    }
}
