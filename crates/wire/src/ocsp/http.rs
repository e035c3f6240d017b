//! OCSP over HTTP: the request in a path, and what caches may do with the answer. Pure values; a gateway has the sockets.

use super::Moment;
use super::request::{BadRequest, REQUEST_LEN_MAX};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::UnixTime;

/// Media type of a request (POST). Source: RFC 6960 appendix A.1.
pub const REQUEST_TYPE: &str = "application/ocsp-request";
/// Media type of a response. Source: RFC 6960 appendix A.2.
pub const RESPONSE_TYPE: &str = "application/ocsp-response";
/// Longest path in octets: a request of [`REQUEST_LEN_MAX`] in base64, every octet of it percent-encoded, would be longer;
/// but RFC 5019 §5 lets clients use GET below 255 octets only, so this is generous.
pub const PATH_LEN_MAX: usize = 4096;

// RFC 5019 §5 demands padding; some clients and proxies lose it, and nothing becomes ambiguous without it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the request out of a GET path: base64, then percent-encoded.
///
/// `path` is what follows the responder's address and one slash, as it was on the wire: a server that has unescaped it, or
/// joined doubled slashes, has broken it.
/// # Errors
/// [`BadRequest::TooLong`] if the path is longer than [`PATH_LEN_MAX`]; [`BadRequest::NotDer`] if it is not what is said above.
/// Source: RFC 6960 appendix A.1.1, RFC 5019 §5.
pub fn decode_path(path: &[u8]) -> Result<Vec<u8>, BadRequest> {
    if path.len() > PATH_LEN_MAX {
        return Err(BadRequest::TooLong);
    }
    let text = unescape(path).ok_or(BadRequest::NotDer)?;
    LENIENT.decode(text).map_err(|_| BadRequest::NotDer)
}

const _: () = assert!(PATH_LEN_MAX / 4 * 3 <= REQUEST_LEN_MAX, "what a path holds is never too long for a request");

fn unescape(path: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok());
                text.push(digit(high)? << 4 | digit(low)?);
                tail
            }
            (b'%', _) => return None,
            (octet, tail) => {
                text.push(*octet);
                tail
            }
        };
    }
    Some(text)
}

/// Writes the path of a request, without the slash in front.
#[must_use]
pub fn encode_path(request: &[u8]) -> String {
    let mut path = String::with_capacity(request.len() * 3 / 2);
    for c in base64::engine::general_purpose::STANDARD.encode(request).chars() {
        match c {
            '+' => path.push_str("%2B"),
            '/' => path.push_str("%2F"),
            '=' => path.push_str("%3D"),
            other => path.push(other),
        }
    }
    path
}

/// What HTTP says of a response that caches may keep.
/// Source: RFC 5019 §6.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// `max-age`: how long the response holds from now on. Units: seconds.
    pub max_age_s: u64,
    /// `Last-Modified`: `thisUpdate`.
    pub last_modified: UnixTime,
    /// `Expires`: `nextUpdate`.
    pub expires: UnixTime,
    /// `ETag`, quoted: SHA-256 of the response in hexadecimal (RFC 5019 suggests SHA-1; any unique text serves).
    pub etag: String,
}

/// `Cache-Control` of everything that is not to be kept: error responses, and answers to a nonce.
pub const NO_STORE: &str = "no-store";

impl Caching {
    /// Works the values out for an answer without a nonce. After `nextUpdate`, nothing is to be kept.
    #[must_use]
    pub fn of(response: &[u8], moment: &Moment, now: UnixTime) -> Self {
        Self {
            max_age_s: moment.next_update().s().saturating_sub(now.s()),
            last_modified: moment.this_update(),
            expires: moment.next_update(),
            etag: format!("\"{}\"", x509::sha256(response)),
        }
    }

    /// The value of `Cache-Control`.
    #[must_use]
    pub fn cache_control(&self) -> String {
        match self.max_age_s {
            0 => NO_STORE.to_owned(),
            max_age_s => format!("max-age={max_age_s}, public, no-transform, must-revalidate"),
        }
    }
}

/// A time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
/// Source: RFC 9110 §5.6.7.
#[must_use]
pub fn http_date(at: UnixTime) -> String {
    // 1970-01-01 was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let nth = |names: &[&'static str], n: u64| usize::try_from(n).ok().and_then(|n| names.get(n).copied());
    let c = at.civil();
    let day = nth(&DAYS, at.s() / 86_400 % 7).unwrap_or_default();
    let month = nth(&MONTHS, c.month.saturating_sub(1)).unwrap_or_default();
    format!("{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT", c.day, c.year, c.hour, c.minute, c.second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Result<&[u8], BadRequest>) {
        assert_eq!(decode_path(path.as_bytes()).as_deref(), expected.as_ref().map(|o| *o));
    }

    #[test]
    fn plain_base64() {
        check("MAA=", Ok(&[0x30, 0]));
    }
    #[test]
    fn escaped_base64() {
        check("%4dAA%3D", Ok(&[0x30, 0]));
        check("%2B%2f%2F%2b", Ok(&[0xfb, 0xff, 0xfe]));
    }
    #[test]
    fn slashes_and_plus_signs_as_they_are() {
        check("+//+", Ok(&[0xfb, 0xff, 0xfe]));
    }
    #[test]
    fn lost_padding() {
        check("MAA", Ok(&[0x30, 0]));
    }
    #[test]
    fn what_is_written_is_read() {
        let octets: Vec<u8> = (0..=255).collect();
        let path = encode_path(&octets);
        assert!(path.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'%'));
        check(&path, Ok(&octets));
    }
    #[test]
    fn a_space_is_refused() {
        check("MA A", Err(BadRequest::NotDer));
    }
    #[test]
    fn half_an_escape_is_refused() {
        check("MAA%3", Err(BadRequest::NotDer));
        check("MAA%", Err(BadRequest::NotDer));
        check("MAA%zz", Err(BadRequest::NotDer));
    }
    #[test]
    fn the_other_alphabet_is_refused() {
        check("-__-", Err(BadRequest::NotDer));
    }
    #[test]
    fn a_path_of_4096_octets_is_read_and_of_4097_not() {
        check(&"A".repeat(PATH_LEN_MAX), Ok(&[0; PATH_LEN_MAX / 4 * 3]));
        check(&"A".repeat(PATH_LEN_MAX + 1), Err(BadRequest::TooLong));
    }
    #[test]
    fn the_date_of_rfc_9110() {
        assert_eq!(http_date(UnixTime::from_s(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
    #[test]
    fn a_response_is_kept_until_the_next_update() {
        let [this, next] = [1_000, 5_000].map(UnixTime::from_s);
        let moment = Moment::new(this, this, next);
        let at = |s| Caching::of(b"x", &moment, UnixTime::from_s(s));
        assert_eq!(at(4_000).cache_control(), "max-age=1000, public, no-transform, must-revalidate");
        assert_eq!(at(4_999).max_age_s, 1);
        assert_eq!(at(5_000).cache_control(), NO_STORE);
        assert_eq!((at(1).last_modified, at(1).expires), (this, next));
        assert_ne!(at(1).etag, Caching::of(b"y", &moment, this).etag);
    }
}
