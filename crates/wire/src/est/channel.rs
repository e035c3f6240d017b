//! Whether a request was made for the connection on which it came.
//!
//! Prevents: somebody in the middle, whom the client takes for the server, handing on a request on a connection of his own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a request says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing. Source: RFC 7030 §3.5 (an empty password is none).
    Absent,
    /// That it is this one.
    This,
    /// That it is another one, or nobody can tell.
    Another,
}

/// Compares the `challengePassword` of a request with what its connection is (`tls-exporter`), if TLS could tell.
///
/// Source: RFC 7030 §3.5 (in base64; what is sent is taken for a binding, whatever it was meant for), RFC 9266 §2.
#[must_use]
pub fn binding(challenge_password: Option<&[u8]>, channel: Option<&[u8]>) -> Binding {
    let Some(said) = challenge_password.filter(|said| !said.is_empty()) else { return Binding::Absent };
    match channel.map(|channel| STANDARD.encode(channel)) {
        Some(expected) if expected.as_bytes() == said => Binding::This,
        _ => Binding::Another,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: Option<&str>, channel: Option<&[u8]>, expected: Binding) {
        assert_eq!(binding(said.map(str::as_bytes), channel), expected);
    }

    #[test]
    fn an_empty_password_is_none() {
        for channel in [None, Some(&[1, 2, 3][..])] {
            check(None, channel, Binding::Absent);
            check(Some(""), channel, Binding::Absent);
        }
    }
    #[test]
    fn this_connection_and_another() {
        check(Some("AQID"), Some(&[1, 2, 3]), Binding::This);
        check(Some("AQIE"), Some(&[1, 2, 3]), Binding::Another);
        check(Some("aqid"), Some(&[1, 2, 3]), Binding::Another);
        check(Some("AQID\n"), Some(&[1, 2, 3]), Binding::Another);
    }
    #[test]
    fn what_nobody_can_compare_does_not_hold() {
        check(Some("AQID"), None, Binding::Another);
        check(Some("x"), Some(&[]), Binding::Another);
    }
}
