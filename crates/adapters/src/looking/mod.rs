//! Looks where names are to be proved: files over HTTP, TXT records, certificates over TLS.
//!
//! Prevents: requests by our own box to places that strangers choose: its own services, its neighbours, a metadata service; answers that
//! never end, or come an octet at a time.
//! Source: RFC 8555 §8, §10.4, §11.1, RFC 8737, RFC 8738.

mod http;
mod networks;
mod resolver;
mod tls;

pub use networks::Network;

use model::Reason;
use model::contract::acme::{ChallengeKind, Look, SeenThere};
use ports::{Entropy, Looker};
use resolver::Resolver;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::acme::dns::Kind;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Where it is looked, and how long.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The resolver; that of the system if none is named.
    pub resolver: Option<SocketAddr>,
    /// The port at which files are. RFC 8555 §8.3 says 80.
    pub http_port: u16,
    /// The port at which certificates are. RFC 8737 §3 says 443.
    pub tls_port: u16,
    /// Networks that are asked although they are nobody's on the internet.
    pub allowed: Vec<Network>,
    /// How long one look takes at most, with all that it leads to.
    pub within: Duration,
}

/// Looks from this box.
pub struct FromHere {
    setting: Setting,
    resolver: Resolver,
}

impl FromHere {
    /// From this box.
    #[must_use]
    pub fn new(setting: Setting, entropy: Arc<dyn Entropy>) -> Self {
        let resolver = Resolver::new(setting.resolver, entropy);
        Self { setting, resolver }
    }

    /// The addresses of a name that may be asked.
    fn addresses(&self, name: &str, until: Instant) -> Result<Vec<IpAddr>, Reason> {
        let mut all = match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let mut all = self.resolver.ask(name, Kind::A, until)?.addresses;
                all.extend(self.resolver.ask(name, Kind::Aaaa, until)?.addresses);
                all.iter().filter_map(|octets| address(octets)).collect()
            }
        };
        if all.is_empty() {
            return Err(Reason::ChallengeUnnamed);
        }
        all.retain(|address| networks::is_public(*address) || self.setting.allowed.iter().any(|net| net.has(*address)));
        all.truncate(ADDRESSES_MAX);
        if all.is_empty() { Err(Reason::ChallengeAddress) } else { Ok(all) }
    }

    /// A connection to a name. What was resolved is what is asked: nothing is resolved again behind the check.
    fn connect(&self, name: &str, port: u16, until: Instant) -> Result<Timed, Reason> {
        let mut last = Reason::ChallengeUnreached;
        for address in self.addresses(name, until)? {
            let left = left(until)?;
            match TcpStream::connect_timeout(&SocketAddr::new(address, port), left) {
                Ok(stream) => return Ok(Timed { stream, until }),
                Err(fault) => last = reason(&fault),
            }
        }
        Err(last)
    }
}

impl Looker for FromHere {
    fn look(&self, look: &Look) -> Result<SeenThere, Reason> {
        let until = soon(self.setting.within);
        match look.kind {
            ChallengeKind::Http => {
                let body = http::fetch(self, &look.name, &look.token, until)?;
                Ok(SeenThere::Body(body.into()))
            }
            ChallengeKind::Dns => {
                let name = format!("_acme-challenge.{}", look.name);
                let texts = self.resolver.ask(&name, Kind::Txt, until)?.texts;
                if texts.is_empty() {
                    return Err(Reason::ChallengeUnnamed);
                }
                Ok(SeenThere::Texts(texts.into_iter().map(Into::into).collect()))
            }
            ChallengeKind::TlsAlpn => {
                let stream = self.connect(&look.name, self.setting.tls_port, until)?;
                Ok(SeenThere::Certificate(tls::certificate(stream, &look.name)?.into()))
            }
            // The client brings it.
            ChallengeKind::DeviceAttest => Err(Reason::ChallengeWrong),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long others may take is measured, not recorded")]
fn now() -> Instant {
    Instant::now()
}
fn soon(within: Duration) -> Instant {
    now().checked_add(within).unwrap_or_else(now)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    four.or_else(|| <[u8; 16]>::try_from(octets).ok().map(IpAddr::from))
}

/// What is left of the time.
fn left(until: Instant) -> Result<Duration, Reason> {
    let left = until.saturating_duration_since(now());
    if left.is_zero() { Err(Reason::ChallengeSlow) } else { Ok(left) }
}

fn reason(fault: &io::Error) -> Reason {
    match fault.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Reason::ChallengeSlow,
        _ => Reason::ChallengeUnreached,
    }
}

/// A connection whose time ends, however often an octet comes.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        left(self.until).map_err(|_| ErrorKind::TimedOut.into())
    }
}
impl Read for Timed {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(octets)
    }
}
impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests;
