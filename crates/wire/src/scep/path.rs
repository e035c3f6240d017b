//! `/scep/LABEL[/pkiclient.exe]?operation=OPERATION[&message=MESSAGE]`.

use super::MESSAGE_LEN_MAX;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::EstLabel;

/// What every path of this protocol begins with.
const PREFIX: &str = "/scep/";
/// What clients have at the end of their paths: the first server was a program of this name. Source: RFC 8894 §4.1.
const PROGRAM: &str = "pkiclient.exe";
/// Longest message in a query, in octets as they are sent: base64 with each letter escaped. The server takes no longer head.
pub const MESSAGE_IN_QUERY_LEN_MAX: usize = 16 * 1024;

/// What is asked for. Source: RFC 8894 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The certificates of the server.
    GetCaCert,
    /// What the server can do.
    GetCaCaps,
    /// An answer to a message.
    PkiOperation,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::GetCaCert, Self::GetCaCaps, Self::PkiOperation];

    /// As it stands in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GetCaCert => "GetCACert",
            Self::GetCaCaps => "GetCACaps",
            Self::PkiOperation => "PKIOperation",
        }
    }
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It does not begin as paths of this protocol do.
    NotScep,
    /// A label with a letter that labels do not have, or something else behind it than `pkiclient.exe`.
    Label,
}

/// Why a query asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadQuery {
    /// No operation, or none that is offered.
    Operation,
    /// Something stands there twice.
    Twice,
}

/// Reads the label in a path, as it was on the wire: no label needs anything that is percent-encoded.
///
/// # Errors
/// [`BadPath`]
pub fn decode_path(path: &str) -> Result<EstLabel, BadPath> {
    let rest = path.strip_prefix(PREFIX).ok_or(BadPath::NotScep)?;
    let label = match rest.split_once('/') {
        Some((label, PROGRAM | "")) => label,
        Some(_) => return Err(BadPath::Label),
        None => rest,
    };
    label.parse().map_err(|_| BadPath::Label)
}

/// Reads what stands behind the `?`: the operation, and the text of the message, if there is one. Other words say nothing; one of them,
/// `message`, stands beside `GetCACert` and means an authority, of which there is one under a label.
///
/// # Errors
/// [`BadQuery`]
/// Source: RFC 8894 §4.1.
pub fn decode_query(query: &str) -> Result<(Operation, Option<&str>), BadQuery> {
    let (mut operation, mut message) = (None, None);
    for part in query.split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let before = match name {
            "operation" => operation.replace(value).is_some(),
            "message" => message.replace(value).is_some(),
            _ => false,
        };
        if before {
            return Err(BadQuery::Twice);
        }
    }
    let named = operation.and_then(|name| Operation::ALL.into_iter().find(|one| one.name() == name));
    Ok((named.ok_or(BadQuery::Operation)?, message))
}

/// Reads a message from its text in a query: base64, percent-encoded; line ends between are passed over.
///
/// Limits: [`MESSAGE_IN_QUERY_LEN_MAX`] octets of text. `None` if it is longer, or no base64.
/// Source: RFC 8894 §4.1.
#[must_use]
pub fn decode_message(text: &str) -> Option<Vec<u8>> {
    if text.len() > MESSAGE_IN_QUERY_LEN_MAX {
        return None;
    }
    let mut letters = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let letter = match octet {
            b'%' => {
                let digit = |octet: Option<u8>| char::from(octet?).to_digit(16).and_then(|n| u8::try_from(n).ok());
                let (high, low) = (digit(octets.next())?, digit(octets.next())?);
                high << 4 | low
            }
            // Some escape nothing, and what comes between makes a space of it.
            b' ' => b'+',
            other => other,
        };
        if !matches!(letter, b'\n' | b'\r') {
            letters.push(letter);
        }
    }
    STANDARD.decode(letters).ok().filter(|message| message.len() <= MESSAGE_LEN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn path(text: &str, expected: Result<&str, BadPath>) {
        assert_eq!(decode_path(text).map(|label| label.to_string()), expected.map(str::to_owned), "{text}");
    }
    #[track_caller]
    fn query(text: &str, expected: Result<(Operation, Option<&str>), BadQuery>) {
        assert_eq!(decode_query(text), expected, "{text}");
    }

    #[test]
    fn paths() {
        path("/scep/site-7", Ok("site-7"));
        path("/scep/site-7/", Ok("site-7"));
        path("/scep/site-7/pkiclient.exe", Ok("site-7"));
        path("/scep", Err(BadPath::NotScep));
        path("/cgi-bin/pkiclient.exe", Err(BadPath::NotScep));
        for label in ["", "..", "%2e%2e", "A", "a/b", "site-7/pkiclient.exe/", "site-7/PKIclient.exe"] {
            path(&format!("/scep/{label}"), Err(BadPath::Label));
        }
    }
    #[test]
    fn queries() {
        query("operation=GetCACert", Ok((Operation::GetCaCert, None)));
        query("operation=GetCACert&message=ca", Ok((Operation::GetCaCert, Some("ca"))));
        query("operation=GetCACaps&x=y", Ok((Operation::GetCaCaps, None)));
        query("operation=PKIOperation&message=MAA%3D", Ok((Operation::PkiOperation, Some("MAA%3D"))));
        for none in ["", "operation", "operation=", "operation=getcacert", "operation=GetNextCACert", "message=a"] {
            query(none, Err(BadQuery::Operation));
        }
        query("operation=GetCACert&operation=GetCACaps", Err(BadQuery::Twice));
        query("operation=PKIOperation&message=a&message=b", Err(BadQuery::Twice));
    }
    #[test]
    fn messages() {
        for text in ["MAA=", "MAA%3D", "MAA%3d", "MA%0AA=%0A", "%4d%41%41%3d"] {
            assert_eq!(decode_message(text), Some(vec![0x30, 0]), "{text}");
        }
        assert_eq!(decode_message("++++"), decode_message("%2B%2b  "));
        for text in ["MAA", "MAA%", "MAA%3", "MAA%zz", "MAA%+3", "-_-_", "MAA=MAA="] {
            assert_eq!(decode_message(text), None, "{text}");
        }
        let longest = "A".repeat(MESSAGE_IN_QUERY_LEN_MAX);
        assert!(decode_message(&longest).is_some() && decode_message(&(longest + "AAAA")).is_none());
    }
}
