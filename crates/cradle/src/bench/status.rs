//! What it costs to be told over HTTP whether a certificate is revoked, against a server that says the same octets always.

use super::boards::Kind;
use super::issue::{Rig, certify};
use super::{Measurement, Said, peak_memory, per_s};
use crate::compose::Door;
use crate::config::GatewayConfig;
use crate::fault::{Exit, Failure, Result};
use crate::site;
use adapters::clock::Stopwatch;
use adapters::http::serve::{Answer, BodyLimits, Content, Head, Limits, Request, Server, Service};
use model::contract::authority::Answer as Certified;
use model::mode::Order;
use model::{Mode, Module};
use ports::store::AuthorityStore;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use wire::ocsp::http::{RESPONSE_TYPE, encode_path};
use wire::ocsp::{HashAlgorithm, IssuerIds, request};
use x509::{Certificate, KeyType, SerialNumber};

/// Answers over HTTP whether certificates are revoked.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// So many certificates are asked for in turn, each signed before.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    certificates: u32,
    /// Connections that are kept, on each of which one question follows another.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=64))]
    clients: u16,
    /// For how long each is measured, in seconds; three times, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// A directory on the disk to be measured; a directory in it is made and removed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// How often each is measured; the best counts, since others use the machine too.
const ROUNDS: usize = 3;
/// Longest head of an answer, in octets.
const HEAD_LEN_MAX: usize = 4096;

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "bench", "this cannot be measured here").because(why)
}

/// Says the same always, with the fields of an answer of OCSP.
struct Constant {
    response: Vec<u8>,
    fields: Vec<(&'static str, String)>,
}

impl Service for Constant {
    fn limits(&self, _: &Head) -> BodyLimits {
        BodyLimits::NONE
    }
    fn answer(&self, _: &mut Request) -> Answer {
        let answer = Answer::new(200, RESPONSE_TYPE, Content::Octets(self.response.clone()));
        self.fields.iter().fold(answer, |answer, (name, value)| answer.with(name, value))
    }
}

/// A connection that is kept.
struct Kept {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Kept {
    fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Asks, and gives the head and the body that are answered.
    fn ask(&mut self, path: &str) -> std::io::Result<(String, Vec<u8>)> {
        let bad = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?;
        let mut more = [0; 8192];
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
            if let Some((head, rest)) = end.and_then(|end| self.buffer.split_at_checked(end)) {
                let head = std::str::from_utf8(head).map_err(|_| bad())?.to_ascii_lowercase();
                let len =
                    head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
                let len: usize = len.filter(|_| head.starts_with("http/1.1 200 ")).ok_or_else(bad)?;
                if let Some((body, next)) = rest.split_at_checked(len) {
                    let (body, next) = (body.to_vec(), next.to_vec());
                    self.buffer = next;
                    return Ok((head, body));
                }
            } else if self.buffer.len() > HEAD_LEN_MAX {
                return Err(bad());
            }
            let len = self.stream.read(&mut more)?;
            self.buffer.extend_from_slice(more.get(..len).filter(|read| !read.is_empty()).ok_or_else(bad)?);
        }
    }
}

/// Questions a second, and how long each took.
fn drive(address: SocketAddr, paths: &[String], arguments: &Arguments) -> Result<(f64, Vec<u64>)> {
    let watch = Stopwatch::start();
    let client = |n: usize| -> std::io::Result<Vec<u64>> {
        let mut kept = Kept::open(address)?;
        let mut each = Vec::new();
        for path in paths.iter().cycle().skip(n) {
            if watch.ms() >= arguments.seconds * 1000 {
                break;
            }
            let one = Stopwatch::start();
            kept.ask(path)?;
            each.push(one.ns());
        }
        Ok(each)
    };
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..usize::from(arguments.clients)).map(|n| scope.spawn(move || client(n))).collect();
        let ended = threads.into_iter().map(|thread| thread.join().map_err(|_| failed("a client ended early")));
        ended.map(|each| each.and_then(|each| each.map_err(failed))).collect::<Result<Vec<_>>>()
    })?;
    let each: Vec<u64> = all.into_iter().flatten().collect();
    Ok((per_s(u64::try_from(each.len()).unwrap_or(u64::MAX), watch.ns()), each))
}

/// The limit is the same server, with an answer that was one of those measured, always.
pub(crate) fn run(said: &mut Said, arguments: &Arguments) -> Result {
    let profile = "ldevid".parse().map_err(failed)?;
    let gateway = GatewayConfig { https: None, requests_per_s: site::UNBOUNDED, ..site::door(&profile, [0, 0])? };
    let rig = Rig::with_door(&arguments.dir, KeyType::P256, gateway)?;
    let paths = paths(&rig, arguments.certificates)?;
    let operator = "bench".parse().map_err(failed)?;
    let order = Order::Stay(Mode::CertificateManagement);
    rig.installation.supervisor.order(order, std::slice::from_ref(&operator), "benchmark")?;
    rig.installation.supervisor.check_running(&[Module::Authority, Module::Gateway])?;
    let link = rig.installation.supervisor.link(Module::Gateway)?;
    let mut door = Door::new(rig.workshop(), &link)?;
    door.open_now()?;
    let [_, Some(http)] = door.addresses() else { return Err(failed("the gateway does not listen")) };
    let mut kept = Kept::open(http).map_err(failed)?;
    let mut answered = None;
    // Each is signed when it is asked for the first time.
    for path in &paths {
        answered = Some(kept.ask(path).map_err(failed)?);
    }
    let (head, response) = answered.ok_or_else(|| failed("nothing was asked"))?;
    let value = |name: &'static str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        (name, line.unwrap_or_default().to_owned())
    };
    let fields = ["etag", "last-modified", "expires", "cache-control"].map(value).to_vec();
    said.doing(&format!("{} answers of {} octets", paths.len(), response.len()));
    let limits = Limits { requests_per_second: u32::MAX, requests_burst: u32::MAX, ..Limits::default() };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let constant = Server::start(address, None, limits, Arc::new(Constant { response, fields })).map_err(failed)?;
    let (mut limit, mut measured, mut each) = (0.0_f64, 0.0_f64, Vec::new());
    // In turns: what else the machine does meets both alike.
    for _ in 0..ROUNDS {
        limit = limit.max(drive(constant.address(), &paths, arguments)?.0);
        let (rate, durations) = drive(http, &paths, arguments)?;
        if rate > measured {
            (measured, each) = (rate, durations);
        }
    }
    constant.stop();
    drop(door);
    let mut measurement = Measurement::of("signed before, over HTTP", Some(limit), Some(measured)).with_durations(each);
    measurement.rss_bytes = peak_memory();
    said.say(measurement)
}

/// Has certificates made, and gives the path in which each is asked for.
fn paths(rig: &Rig, certificates: u32) -> Result<Vec<String>> {
    let requests = rig.requests("STATUS", certificates.into(), KeyType::P256, Kind::Csr)?;
    let rows = rig.workshop().store.authorities()?;
    let factory = rows.iter().find(|row| row.name.as_str() == "factory").ok_or_else(|| failed("no factory"))?;
    let issuer = Certificate::decode(&factory.certificate).map_err(failed)?;
    let ids = IssuerIds::new(&issuer.tbs().subject, &issuer.tbs().subject_public_key);
    let mut numbers: Vec<SerialNumber> = Vec::new();
    for batch in requests.chunks(model::contract::BATCH_LEN_MAX) {
        for answer in certify(&rig.station, batch.to_vec())?.answers {
            if let Certified::Issued { certificate, .. } = answer {
                numbers.push(Certificate::decode(certificate.as_ref()).map_err(failed)?.tbs().serial_number);
            }
        }
    }
    let path = |number| format!("/ocsp/{}", encode_path(&request::write(&ids, HashAlgorithm::Sha1, &[number], None)));
    Ok(numbers.into_iter().map(path).collect())
}
