//! One small file over plain HTTP.
//! Source: RFC 8555 §8.3, RFC 9112.

use super::{FromHere, reason};
use model::Reason;
use std::io::{Read, Write};
use std::time::Instant;

/// Longest head of an answer, and longest body, in octets: a key authorization has 87.
const HEAD_LEN_MAX: usize = 8 * 1024;
const BODY_LEN_MAX: usize = 512;
const FIELDS_MAX: usize = 64;
/// Redirections that are followed.
const REDIRECTS_MAX: usize = 3;

/// Where a file is.
struct Place {
    host: String,
    path: String,
}

/// What is answered.
enum Answer {
    Body(Vec<u8>),
    Elsewhere(String),
}

pub(super) fn fetch(from: &FromHere, name: &str, token: &str, until: Instant) -> Result<Vec<u8>, Reason> {
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let mut place = Place { host, path: format!("/.well-known/acme-challenge/{token}") };
    for _ in 0..=REDIRECTS_MAX {
        match ask(from, &place, until)? {
            Answer::Body(body) => return Ok(body),
            Answer::Elsewhere(location) => {
                place = elsewhere(&place, &location, from.setting.http_port).ok_or(Reason::ChallengeRedirect)?;
            }
        }
    }
    Err(Reason::ChallengeRedirect)
}

/// Another path, or another host over the same scheme at the same port.
fn elsewhere(from: &Place, location: &str, port: u16) -> Option<Place> {
    if !location.bytes().all(|c| c.is_ascii_graphic()) {
        return None;
    }
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(Place { host: from.host.clone(), path: location.to_owned() });
    }
    let rest = location.strip_prefix("http://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, named) = match authority.rsplit_once(':') {
        Some((host, number)) if !number.ends_with(']') => (host, number.parse().ok()?),
        _ => (authority, 80),
    };
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-.:[]".contains(&c);
    let is_host = !host.is_empty() && host.bytes().all(is_plain);
    // Port 80 stands for the one that the settings put in its place.
    (is_host && (named == 80 || named == port)).then(|| Place { host: host.to_owned(), path: path.to_owned() })
}

fn ask(from: &FromHere, place: &Place, until: Instant) -> Result<Answer, Reason> {
    let mut line = from.connect(&place.host, from.setting.http_port, until)?;
    // HTTP/1.0, so that the answer comes in one piece.
    let head = format!(
        "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: cradle\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        place.path, place.host
    );
    line.write_all(head.as_bytes()).map_err(|fault| reason(&fault))?;
    let mut octets = Vec::new();
    loop {
        if let Some(answer) = read(&octets)? {
            return Ok(answer);
        }
        let mut more = [0; 1024];
        let len = line.read(&mut more).map_err(|fault| reason(&fault))?;
        if len == 0 {
            return ended(&octets);
        }
        octets.extend(more.get(..len).unwrap_or_default());
    }
}

/// What can be said of what has come: an answer, or nothing yet.
fn read(octets: &[u8]) -> Result<Option<Answer>, Reason> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let at = match head.parse(octets) {
        Ok(httparse::Status::Complete(at)) => at,
        Ok(httparse::Status::Partial) if octets.len() <= HEAD_LEN_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Reason::ChallengeTooLong),
        Err(_) => return Err(Reason::ChallengeWrong),
    };
    let field = |name: &str| {
        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    match head.code {
        Some(200) => {}
        Some(301 | 302 | 303 | 307 | 308) => {
            let location = field("location").ok_or(Reason::ChallengeRedirect)?;
            return Ok(Some(Answer::Elsewhere(location.to_owned())));
        }
        _ => return Err(Reason::ChallengeWrong),
    }
    if field("transfer-encoding").is_some() {
        return Err(Reason::ChallengeWrong);
    }
    let body = octets.get(at..).unwrap_or_default();
    let length: Option<usize> = field("content-length").and_then(|text| text.trim().parse().ok());
    if body.len() > BODY_LEN_MAX || length.is_some_and(|length| length > BODY_LEN_MAX) {
        return Err(Reason::ChallengeTooLong);
    }
    Ok(length.and_then(|length| body.get(..length)).map(|body| Answer::Body(body.to_vec())))
}

/// What has come before the connection ended is all.
fn ended(octets: &[u8]) -> Result<Answer, Reason> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    match httparse::Response::new(&mut fields).parse(octets) {
        Ok(httparse::Status::Complete(at)) => Ok(Answer::Body(octets.get(at..).unwrap_or_default().to_vec())),
        _ => Err(Reason::ChallengeWrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn leads(location: &str, expected: Option<(&str, &str)>) {
        let from = Place { host: "a.example".into(), path: "/x".into() };
        let place = elsewhere(&from, location, 5002);
        assert_eq!(place.as_ref().map(|place| (place.host.as_str(), place.path.as_str())), expected, "{location}");
    }

    #[test]
    fn the_same_scheme_at_the_same_port() {
        leads("/y", Some(("a.example", "/y")));
        leads("http://b.example/y", Some(("b.example", "/y")));
        leads("http://b.example", Some(("b.example", "/")));
        leads("http://b.example:5002/y", Some(("b.example", "/y")));
        leads("http://[::1]:5002/y", Some(("[::1]", "/y")));
        leads("http://[::1]/y", Some(("[::1]", "/y")));
    }
    #[test]
    fn nowhere_else() {
        for location in [
            "https://a.example/y",
            "ftp://a.example/",
            "file:///etc/passwd",
            "gopher://a.example/",
            "//b.example/y",
            "http://b.example:22/",
            "http://user@b.example/",
            "http://",
            "y",
            "",
            "/y\r\nX: y",
            "http://b.example/ y",
        ] {
            leads(location, None);
        }
    }
}
