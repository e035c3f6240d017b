//! Fetching files over HTTP and HTTPS: from whom does not matter, because what is fetched is verified.
//!
//! Nothing is followed elsewhere: a redirection is no answer. A file has a length from the beginning, in octets, beyond
//! which nothing is read; and it has to come at a pace ([`PACE_LEN`] within the patience of the line), so that nobody is
//! held up by an octet now and then. Source: RFC 9110, RFC 9112.

mod body;
#[cfg(feature = "installation")]
mod hook;
#[cfg(feature = "installation")]
mod incoming;
#[cfg(feature = "installation")]
mod resuming;
#[cfg(feature = "installation")]
pub mod serve;
mod shown;

#[cfg(feature = "installation")]
pub use hook::Hook;
#[cfg(feature = "installation")]
pub use incoming::Incoming;
pub use ports::source::NotFetched;
#[cfg(feature = "installation")]
pub use resuming::Resuming;
pub use shown::{Shown, ShownKey};

use crate::cmp::{Address, BadAddress, Connection, tls_showing};
use body::{Body, Paced, Wanted};
use rustls::ClientConfig;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// How many octets have to come within the patience of a line, if there are as many.
pub const PACE_LEN: u64 = 64 * 1024;
/// Requests are made a multiple of so many octets long, if they are padded: a name of a hundred octets more or less is not seen.
const HEAD_STEP: usize = 512;
/// What makes a head longer, but for the octets in it.
const PADDING: &str = "Padding: ";
const ENDS: &str = "\r\n\r\n";
/// How long a line waits unless it is said otherwise: for the head of an answer, and for each [`PACE_LEN`] octets.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked of a server that answers more than files.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is asked for: percent-encoded and not absolute.
    pub path: &'a str,
    /// Fields of the head, each with the end of its line.
    pub fields: &'a str,
    /// What is sent, and of which media type; nothing is sent to ask for something that is there.
    pub sent: Option<(&'a str, &'a [u8])>,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status of HTTP, 200 to 204 or 400 and above.
    pub status: u16,
    /// When it wants to be asked again, if it has said so, in seconds from now.
    pub retry_after_s: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// A way to the files below one address.
#[derive(Clone)]
pub struct Files {
    base: String,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
    padded: bool,
}

impl Files {
    /// A way to what is below `base`. `anchors` are the certificates, in DER, by one of which the server's TLS
    /// certificate must be issued; the ones of the system are not asked.
    ///
    /// # Errors
    /// [`BadAddress`], also if it says https and there is no anchor, or says http and there are some.
    pub fn below(base: &str, anchors: &[Vec<u8>], patience: Duration) -> Result<Self, BadAddress> {
        Self::showing(base, anchors, None, patience)
    }

    /// The same, to a server that asks who we are.
    ///
    /// # Errors
    /// As [`Files::below`], and if the key is not the certificate's.
    pub fn showing(
        base: &str,
        anchors: &[Vec<u8>],
        shown: Option<&Shown>,
        patience: Duration,
    ) -> Result<Self, BadAddress> {
        let address = Address::parse(base)?;
        let tls = match (address.is_https(), anchors.is_empty()) {
            (true, false) => Some(Arc::new(tls_showing(anchors, shown)?)),
            (true, true) => return Err(BadAddress("https needs the certificate of whoever issued the server's")),
            (false, true) => None,
            (false, false) => return Err(BadAddress("there are certificates for TLS, but the address says http")),
        };
        Ok(Self { base: base.trim_end_matches('/').to_owned(), tls, patience, padded: false })
    }

    /// The same way, on which the heads of all requests have one length, or a few: whoever watches does not tell them apart by the
    /// names of files.
    #[must_use]
    pub fn padded(self) -> Self {
        Self { padded: true, ..self }
    }

    /// Begins to fetch a file; `path` is percent-encoded and not absolute.
    ///
    /// # Errors
    /// [`NotFetched`]
    pub fn open(&self, path: &str, len_max: u64) -> Result<Fetching, NotFetched> {
        Ok(Fetching { body: Body::begin(self.ask("GET", path, "", &[])?, len_max)?, is_part: false })
    }

    /// Begins to fetch a part of a file of `length` octets, from octet `from` on and up to before `to`, at least one. From a server
    /// that sends no parts all of it comes, and what is before `from` is passed over: [`Fetching::is_part`] says which.
    ///
    /// # Errors
    /// [`NotFetched`], also if another part comes, or the file has another length.
    pub fn open_part(&self, path: &str, from: u64, to: u64, length: u64) -> Result<Fetching, NotFetched> {
        let source = self.ask("GET", path, &format!("Range: bytes={from}-{}\r\n", to.saturating_sub(1)), &[])?;
        let (body, is_part) = Body::begin_part(source, from, to, length)?;
        Ok(Fetching { body, is_part })
    }

    /// Sends octets, and gives the status and the body that are answered.
    ///
    /// # Errors
    /// [`NotFetched`] if there is no answer: whether the octets were taken is not known then.
    pub fn send(
        &self,
        path: &str,
        media_type: &str,
        octets: &[u8],
        len_max: u64,
    ) -> Result<(u16, Vec<u8>), NotFetched> {
        let reply = self.question(&Question { path, fields: "", sent: Some((media_type, octets)) }, len_max)?;
        Ok((reply.status, reply.body))
    }

    /// Asks, and gives what is answered, whatever it is.
    ///
    /// # Errors
    /// [`NotFetched`] if there is no answer: whether the question was taken is not known then.
    pub fn question(&self, question: &Question<'_>, len_max: u64) -> Result<Reply, NotFetched> {
        let (method, mut head, octets) = match question.sent {
            Some((media_type, octets)) => {
                let len = octets.len();
                ("POST", format!("Content-Type: {media_type}\r\nContent-Length: {len}\r\n"), octets)
            }
            None => ("GET", String::new(), [].as_slice()),
        };
        head.push_str(question.fields);
        let source = self.ask(method, question.path, &head, octets)?;
        let (mut body, status) = Body::begin_with(source, len_max, Wanted::Answer)?;
        let retry_after_s = body.retry_after_s();
        let mut said = Vec::new();
        body.read_to_end(&mut said).map_err(|fault| body::fault(&fault))?;
        Ok(Reply { status, retry_after_s, body: said })
    }

    fn ask(&self, method: &str, path: &str, fields: &str, octets: &[u8]) -> Result<Patient, NotFetched> {
        let unreachable = |what: String| NotFetched::Unreachable(what);
        let address = Address::parse(&format!("{}/{path}", self.base)).map_err(|bad| unreachable(bad.0.to_owned()))?;
        let mut connection =
            Connection::open(&address, self.tls.as_ref(), self.patience).map_err(|e| unreachable(e.to_string()))?;
        let head = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n{fields}Connection: close\r\n",
            address.path(),
            address.authority(),
        );
        let head = ended(head, self.padded);
        let asked = [head.as_bytes(), octets].concat();
        connection.write_all(&asked).and_then(|()| connection.flush()).map_err(|e| body::fault(&e))?;
        Ok(Patient { connection, patience: self.patience })
    }

    /// Fetches a whole file.
    ///
    /// # Errors
    /// [`NotFetched`]
    pub fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        let mut octets = Vec::new();
        let mut body = self.open(path, len_max)?;
        body.read_to_end(&mut octets).map_err(|fault| body::fault(&fault))?;
        Ok(octets)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.base)
    }
}

/// A file that is coming. [`Fetching::why`] says what an error of reading means.
pub struct Fetching {
    body: Body<Patient>,
    is_part: bool,
}

impl Fetching {
    /// Whether only the part comes that was asked for, or also what is behind it.
    #[must_use]
    pub const fn is_part(&self) -> bool {
        self.is_part
    }
    /// What an error of [`Read::read`] means.
    #[must_use]
    pub fn why(fault: &io::Error) -> NotFetched {
        body::fault(fault)
    }
}

impl Read for Fetching {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.body.read(into)
    }
}

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetching")
    }
}

// The head of a request, to its end.
fn ended(mut head: String, padded: bool) -> String {
    if padded {
        let len = head.len() + PADDING.len() + ENDS.len();
        head.push_str(PADDING);
        head.push_str(&"0".repeat(len.next_multiple_of(HEAD_STEP).saturating_sub(len)));
        head.push_str("\r\n");
    }
    head + "\r\n"
}

struct Patient {
    connection: Connection,
    patience: Duration,
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.connection.read(into)
    }
}
impl Paced for Patient {
    fn renew(&mut self) {
        self.connection.renew(self.patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head_len: usize, expected: usize) {
        let head = ended("x".repeat(head_len - 2) + "\r\n", true);
        assert_eq!((head.len(), head.ends_with("\r\n\r\n")), (expected, true));
        assert_eq!(ended("x\r\n".to_owned(), false), "x\r\n\r\n");
    }
    #[test]
    fn requests_go_up_in_steps() {
        check(100, 512);
        check(512 - ENDS.len() - PADDING.len(), 512);
        check(513 - ENDS.len() - PADDING.len(), 1024);
    }
}
