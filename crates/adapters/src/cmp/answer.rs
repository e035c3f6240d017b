//! An HTTP response, as far as it carries an answer of CMP.

use super::line::MEDIA_TYPE;
use ports::foreign::LineFault;
use std::io::{self, Read};

/// Longest head of a response in octets.
const HEAD_LEN_MAX: usize = 16 * 1024;
/// Most fields in a head.
const FIELDS_MAX: usize = 64;
/// Octets that are read at once.
const CHUNK_LEN: usize = 4096;
/// Longest line that says how long a chunk is, extensions included.
const CHUNK_LINE_LEN_MAX: usize = 256;

/// How the end of a body is found.
/// Source: RFC 9112 §6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads a response to its end and gives its body.
///
/// # Errors
/// [`LineFault::Unanswered`] if it ends early or takes too long; [`LineFault::NoAnswer`] if it is longer than `len_max`,
/// of another media type, not HTTP, or leads elsewhere.
pub(super) fn read(source: &mut impl Read, len_max: usize) -> Result<Vec<u8>, LineFault> {
    read_of(source, len_max, framing)
}

/// The same of a file, whatever its media type.
///
/// # Errors
/// As [`read`]; [`LineFault::NoAnswer`] if the status of HTTP is not 200.
pub(super) fn read_file(source: &mut impl Read, len_max: usize) -> Result<Vec<u8>, LineFault> {
    read_of(source, len_max, |response| match response.code.unwrap_or_default() {
        200 => length(response),
        code => no_answer(&format!("HTTP status {code}")),
    })
}

fn read_of(
    source: &mut impl Read,
    len_max: usize,
    framing: impl Fn(&httparse::Response<'_, '_>) -> Result<Framing, LineFault>,
) -> Result<Vec<u8>, LineFault> {
    let mut octets = Octets { source, buffer: Vec::new() };
    let framing = head(&mut octets, framing)?;
    let body = match framing {
        Framing::Length(len) if len > len_max => return Err(too_long()),
        Framing::Length(len) => octets.take(len)?,
        Framing::Chunked => chunks(&mut octets, len_max)?,
        Framing::UntilClose => octets.rest(len_max)?,
    };
    Ok(body)
}

fn no_answer<T>(what: &str) -> Result<T, LineFault> {
    Err(LineFault::NoAnswer(what.to_owned()))
}

fn too_long() -> LineFault {
    LineFault::NoAnswer("it is longer than an answer may be".into())
}

fn head(
    octets: &mut Octets<'_, impl Read>,
    framing: impl Fn(&httparse::Response<'_, '_>) -> Result<Framing, LineFault>,
) -> Result<Framing, LineFault> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&octets.buffer) {
            Ok(httparse::Status::Complete(len)) => {
                let framing = framing(&response)?;
                octets.buffer.drain(..len);
                return Ok(framing);
            }
            Ok(httparse::Status::Partial) if octets.buffer.len() < HEAD_LEN_MAX => octets.more()?,
            Ok(httparse::Status::Partial) => return no_answer("the head of the response is too long"),
            Err(_) => return no_answer("it is not HTTP"),
        }
    }
}

// RFC 9811 §3.3: the media type says whether it is a message; an error of CMP may come with a status of HTTP that is one.
fn framing(response: &httparse::Response<'_, '_>) -> Result<Framing, LineFault> {
    let code = response.code.unwrap_or_default();
    if !(200..300).contains(&code) && !(400..600).contains(&code) {
        // A redirection would carry the message to somebody whom nobody named.
        return no_answer(&format!("HTTP status {code}"));
    }
    let media_type = |value: &&str| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE);
    if !matches!(all(response, "content-type").as_slice(), [one] if media_type(one)) {
        return no_answer(&format!("HTTP status {code}, and not {MEDIA_TYPE}"));
    }
    length(response)
}

fn all<'r>(response: &httparse::Response<'_, 'r>, name: &str) -> Vec<&'r str> {
    let fields = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    fields.map(|field| std::str::from_utf8(field.value).map(str::trim).unwrap_or_default()).collect()
}

fn length(response: &httparse::Response<'_, '_>) -> Result<Framing, LineFault> {
    match (all(response, "transfer-encoding").as_slice(), all(response, "content-length").as_slice()) {
        ([], []) => Ok(Framing::UntilClose),
        // Digits only: a sign in front is taken by `parse` and by nobody else.
        ([], [length]) if !length.is_empty() && length.bytes().all(|c| c.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| too_long())
        }
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        // RFC 9112 §6.3: two lengths are an attack, or a mistake that cannot be told from one.
        _ => no_answer("its length is said in a way that is not taken"),
    }
}

fn chunks(octets: &mut Octets<'_, impl Read>, len_max: usize) -> Result<Vec<u8>, LineFault> {
    let mut body = Vec::new();
    loop {
        let len = loop {
            match httparse::parse_chunk_size(&octets.buffer) {
                Ok(httparse::Status::Complete((at, len))) => {
                    octets.buffer.drain(..at);
                    break usize::try_from(len).unwrap_or(usize::MAX);
                }
                Ok(httparse::Status::Partial) if octets.buffer.len() < CHUNK_LINE_LEN_MAX => octets.more()?,
                Ok(httparse::Status::Partial) | Err(_) => return no_answer("its chunks are not those of HTTP"),
            }
        };
        // What follows the last chunk is of no interest, and the connection ends with it.
        if len == 0 {
            return Ok(body);
        }
        if len > len_max - body.len() {
            return Err(too_long());
        }
        body.extend(octets.take(len)?);
        if octets.take(2)? != b"\r\n" {
            return no_answer("its chunks are not those of HTTP");
        }
    }
}

/// What was read and not used yet, and where more comes from.
struct Octets<'a, R> {
    source: &'a mut R,
    buffer: Vec<u8>,
}

impl<R: Read> Octets<'_, R> {
    fn more(&mut self) -> Result<(), LineFault> {
        if self.fill()? == 0 { Err(LineFault::Unanswered("the connection ended".into())) } else { Ok(()) }
    }

    fn fill(&mut self) -> Result<usize, LineFault> {
        let mut chunk = [0; CHUNK_LEN];
        let len = loop {
            match self.source.read(&mut chunk) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(LineFault::Unanswered(e.to_string())),
                Ok(len) => break len,
            }
        };
        self.buffer.extend_from_slice(chunk.get(..len).unwrap_or_default());
        Ok(len)
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, LineFault> {
        while self.buffer.len() < len {
            self.more()?;
        }
        let rest = self.buffer.split_off(len);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn rest(&mut self, len_max: usize) -> Result<Vec<u8>, LineFault> {
        while self.buffer.len() <= len_max {
            if self.fill()? == 0 {
                return Ok(std::mem::take(&mut self.buffer));
            }
        }
        Err(too_long())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives an octet at a time, as slow networks do.
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let (Some((first, rest)), Some(place)) = (self.0.split_first(), into.first_mut()) else { return Ok(0) };
            *place = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    /// What is read of a response: `Ok`, or `no` for octets that are no answer, or `none` for none.
    #[track_caller]
    fn check(response: &str, expected: Result<&str, &str>) {
        let word = |fault| match fault {
            LineFault::NoAnswer(_) => "no",
            LineFault::Unanswered(_) => "none",
            LineFault::NotSent(_) => "not sent",
        };
        let expected = expected.map(|body| body.as_bytes().to_vec());
        assert_eq!(read(&mut Slow(response.as_bytes()), 10).map_err(word), expected);
        assert_eq!(read(&mut response.as_bytes(), 10).map_err(word), expected);
    }
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\n";

    #[test]
    fn a_body_with_a_length() {
        check(&format!("{HEAD}Content-Length: 3\r\n\r\nabc"), Ok("abc"));
        check(&format!("{HEAD}Content-Length: 3\r\n\r\nabcd"), Ok("abc"));
    }
    #[test]
    fn a_body_that_ends_early() {
        check(&format!("{HEAD}Content-Length: 3\r\n\r\nab"), Err("none"));
        check(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), Err("none"));
        check("HTTP/1.1 200 OK\r\n", Err("none"));
    }
    #[test]
    fn a_body_that_ends_with_the_connection() {
        check("HTTP/1.0 200 OK\r\nContent-type: Application/PKIXCMP; a=b\r\n\r\nabc", Ok("abc"));
    }
    #[test]
    fn a_body_in_chunks() {
        check(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), Ok("abcde"));
    }
    #[test]
    fn a_body_of_ten_octets_and_of_eleven() {
        for (body, expected) in [("0123456789", Ok("0123456789")), ("0123456789a", Err("no"))] {
            check(&format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len()), expected);
            check(&format!("{HEAD}\r\n{body}"), expected);
            check(
                &format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
                expected,
            );
            let (first, second) = body.split_at(5);
            let chunks = format!("5\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
            check(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}"), expected);
        }
    }
    #[test]
    fn a_length_that_no_memory_has() {
        check(&format!("{HEAD}Content-Length: 99999999999999999999999\r\n\r\n"), Err("no"));
        check(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na"), Err("no"));
    }
    #[test]
    fn two_lengths() {
        check(&format!("{HEAD}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), Err("no"));
        check(&format!("{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"), Err("no"));
        check(&format!("{HEAD}Content-Length: +3\r\n\r\nabc"), Err("no"));
    }
    #[test]
    fn chunks_without_an_end_of_line() {
        check(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"), Err("no"));
        check(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{}", "0".repeat(300)), Err("no"));
    }
    #[test]
    fn a_redirection_is_not_followed() {
        check("HTTP/1.1 307 X\r\nLocation: /\r\nContent-Type: application/pkixcmp\r\n\r\nabc", Err("no"));
        check("HTTP/1.1 100 Continue\r\nContent-Type: application/pkixcmp\r\n\r\n", Err("no"));
    }
    #[test]
    fn a_page_of_a_proxy() {
        check("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nabc", Err("no"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Err("no"));
    }
    #[test]
    fn an_error_of_cmp_with_a_status_of_http() {
        check("HTTP/1.1 500 X\r\nContent-Type: application/pkixcmp\r\nContent-Length: 3\r\n\r\nabc", Ok("abc"));
    }
    #[test]
    fn what_is_not_http() {
        check("SSH-2.0-OpenSSH\r\n", Err("no"));
    }
    #[test]
    fn a_head_without_end() {
        check(&format!("{HEAD}X: {}\r\n", "a".repeat(HEAD_LEN_MAX)), Err("no"));
    }
}
