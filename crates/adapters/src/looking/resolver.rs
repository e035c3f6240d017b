//! Asks one resolver, over UDP and, if the answer is long, over TCP.

use super::{Timed, left, reason};
use model::Reason;
use ports::Entropy;
use ports::clock::random;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::acme::dns::{ANSWER_LEN_MAX, Found, Kind, NoAnswer, decode_answer, question};

/// How often a question is sent over UDP, and how long each waits.
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(2);
/// Messages on one socket that are no answer to the question.
const STRAYS_MAX: usize = 16;
/// Where the system names its resolver, and how long that file may be.
const SYSTEM: &str = "/etc/resolv.conf";
const SYSTEM_LEN_MAX: u64 = 64 * 1024;

pub(super) struct Resolver {
    named: Option<SocketAddr>,
    entropy: Arc<dyn Entropy>,
}

impl Resolver {
    pub(super) fn new(named: Option<SocketAddr>, entropy: Arc<dyn Entropy>) -> Self {
        Self { named, entropy }
    }

    /// What the resolver says.
    pub(super) fn ask(&self, name: &str, kind: Kind, until: Instant) -> Result<Found, Reason> {
        let at = self.named.or_else(of_the_system).ok_or(Reason::ChallengeUnnamed)?;
        let id = u16::from_be_bytes(random(self.entropy.as_ref()));
        let question = question(id, name, kind).ok_or(Reason::ChallengeUnnamed)?;
        for _ in 0..TRIES {
            match over_udp(at, &question, kind, until)? {
                Some(Ok(found)) => return Ok(found),
                Some(Err(NoAnswer::Truncated)) => return over_tcp(at, &question, kind, until),
                Some(Err(NoAnswer::Failed | NoAnswer::Malformed)) => return Err(Reason::ChallengeUnnamed),
                None => {}
            }
        }
        Err(Reason::ChallengeSlow)
    }
}

/// The first resolver that the system names.
fn of_the_system() -> Option<SocketAddr> {
    let octets = crate::files::read_bounded(std::path::Path::new(SYSTEM), SYSTEM_LEN_MAX).ok()?;
    let text = String::from_utf8(octets).ok()?;
    let named = |line: &str| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok();
    Some(SocketAddr::new(text.lines().find_map(named)?, 53))
}

/// None if nothing came in time.
fn over_udp(
    at: SocketAddr,
    question: &[u8],
    kind: Kind,
    until: Instant,
) -> Result<Option<Result<Found, NoAnswer>>, Reason> {
    let any: IpAddr = if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).map_err(|_| Reason::ChallengeUnnamed)?;
    // Connected, so that nobody else's messages come in; a port of its own for each question, which the system draws.
    socket.connect(at).and_then(|()| socket.send(question)).map_err(|_| Reason::ChallengeUnnamed)?;
    let mut answer = vec![0; ANSWER_LEN_MAX];
    for _ in 0..STRAYS_MAX {
        socket.set_read_timeout(Some(left(until)?.min(PATIENCE))).map_err(|_| Reason::ChallengeUnnamed)?;
        let len = match socket.recv(&mut answer) {
            Ok(len) => len,
            Err(fault) if reason(&fault) == Reason::ChallengeSlow => return Ok(None),
            Err(_) => return Err(Reason::ChallengeUnnamed),
        };
        match decode_answer(answer.get(..len).unwrap_or_default(), question, kind) {
            // To another question.
            Err(NoAnswer::Malformed) => {}
            said => return Ok(Some(said)),
        }
    }
    Ok(Some(Err(NoAnswer::Malformed)))
}

/// Source: RFC 1035 §4.2.2.
fn over_tcp(at: SocketAddr, question: &[u8], kind: Kind, until: Instant) -> Result<Found, Reason> {
    let stream = TcpStream::connect_timeout(&at, left(until)?).map_err(|_| Reason::ChallengeUnnamed)?;
    let mut line = Timed { stream, until };
    let len = u16::try_from(question.len()).map_err(|_| Reason::ChallengeUnnamed)?;
    let whole = [&len.to_be_bytes(), question].concat();
    line.write_all(&whole).map_err(|fault| reason(&fault))?;
    let mut len = [0; 2];
    line.read_exact(&mut len).map_err(|fault| reason(&fault))?;
    let len = usize::from(u16::from_be_bytes(len));
    if len > ANSWER_LEN_MAX {
        return Err(Reason::ChallengeTooLong);
    }
    let mut answer = vec![0; len];
    line.read_exact(&mut answer).map_err(|fault| reason(&fault))?;
    decode_answer(&answer, question, kind).map_err(|_| Reason::ChallengeUnnamed)
}
