//! Telling somebody something at an address that he has given: a webhook.
//!
//! Prevents: that what is sent is read or answered by others (https, or this machine), that somebody is led elsewhere by a redirection, and that an
//! address, which may be a secret in itself, stands in a log: of it only scheme, host and port are ever shown.

use super::{Files, NotFetched, Question};
use crate::cmp::{Address, BadAddress};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Longest answer that is looked at, in octets: what it says does not matter.
const ANSWER_LEN_MAX: u64 = 16 * 1024;

/// An address where somebody wants to be told.
#[derive(Clone)]
pub struct Hook {
    files: Files,
    path: String,
    shown: String,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook({})", self.shown)
    }
}

impl Hook {
    /// An address of https, whose server's certificate must be issued by one of `anchors`, in DER; or of http on this machine, without any.
    ///
    /// # Errors
    /// [`BadAddress`]
    pub fn new(url: &str, anchors: &[Vec<u8>], patience: Duration) -> Result<Self, BadAddress> {
        let address = Address::parse(url)?;
        let is_here = address.host().parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
        if !address.is_https() && !is_here {
            return Err(BadAddress("an address of http is one of this machine, in numbers: others would read it"));
        }
        let scheme = if address.is_https() { "https" } else { "http" };
        let shown = format!("{scheme}://{}", address.authority());
        let path = address.path().trim_start_matches('/').to_owned();
        Ok(Self { files: Files::below(&shown, anchors, patience)?, path, shown })
    }

    /// Scheme, host and port. What else is in the address may be a secret.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Sends octets with these fields of a head, each with the end of its line, and gives the status that was answered.
    ///
    /// # Errors
    /// [`NotFetched`] if there was no answer: whether it was heard is not known then.
    pub fn tell(&self, fields: &str, media_type: &str, octets: &[u8]) -> Result<u16, NotFetched> {
        let question = Question { path: &self.path, fields, sent: Some((media_type, octets)) };
        Ok(self.files.question(&question, ANSWER_LEN_MAX)?.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[track_caller]
    fn shown(url: &str, expected: Option<&str>) {
        let hook = Hook::new(url, &[], PATIENCE);
        assert_eq!(hook.as_ref().ok().map(Hook::shown), expected, "{url}");
    }
    #[test]
    fn http_leads_to_this_machine_only() {
        shown("http://127.0.0.1:80/a", Some("http://127.0.0.1:80"));
        shown("http://[::1]:80/a", Some("http://[::1]:80"));
        shown("http://127.8.9.1/a", Some("http://127.8.9.1"));
        shown("http://192.0.2.1/a", None);
        shown("http://localhost/a", None);
        shown("http://127.0.0.1.example/a", None);
        shown("ftp://127.0.0.1/a", None);
    }
    #[test]
    fn https_needs_an_anchor() {
        shown("https://hooks.example/a", None);
    }
    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let hook = Hook::new("http://127.0.0.1:1/services/T00/s3cr3t", &[], PATIENCE).unwrap();
        assert_eq!(format!("{hook:?}"), "Hook(http://127.0.0.1:1)");
        let why = hook.tell("", "application/json", b"{}").unwrap_err();
        assert!(!why.to_string().contains("s3cr3t"), "{why}");
    }

    // Answers one request with this, and gives what came.
    fn asked(answer: &'static str) -> (Result<u16, NotFetched>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook/a", listener.local_addr().unwrap());
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut said, mut piece) = (Vec::new(), [0; 4096]);
            while !said.ends_with(b"octets") {
                let len = stream.read(&mut piece).unwrap();
                said.extend_from_slice(&piece[..len]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(said).unwrap()
        });
        let told = Hook::new(&url, &[], PATIENCE).unwrap().tell("X-A: b\r\n", "application/json", b"octets");
        (told, heard.join().unwrap())
    }
    #[test]
    fn fields_and_octets_are_sent() {
        let (told, said) = asked("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(told, Ok(204));
        assert!(said.starts_with("POST /hook/a HTTP/1.1\r\n") && said.contains("\r\nX-A: b\r\n"), "{said}");
    }
    #[test]
    fn what_is_answered_is_told_and_a_redirection_is_no_answer() {
        assert_eq!(asked("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").0, Ok(503));
        let led = asked("HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").0;
        assert!(led.is_err(), "{led:?}");
    }
}
