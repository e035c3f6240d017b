//! The measurements of the published reference, on this machine: requests made on the device against requests made at
//! the station, and certificates end to end over the signed bus. With a picture.
//!
//! The reference is a factory that put EJBCA behind NATS: 0.18 s for one certificate and 9.2 s for a hundred (Apple M3
//! Max); 500 PKCS #10 requests on a Raspberry Pi 4 took about 20 times as long as 500 CRMF requests at the station.

use super::boards::{self, Kind};
use super::issue::{Backing, Rig, certify};
use super::limit::cores;
use super::picture::{self, Bar, Point};
use super::{Measurement, Said, number, per_s};
use crate::fault::{Failure, Result, While};
use adapters::clock::Stopwatch;
use adapters::keystore::memory::MemoryKey;
use model::contract::authority::CertifyRequest;
use ports::Signer;
use std::path::{Path, PathBuf};
use x509::crmf::{self, ProofOfPossession};
use x509::{KeyType, PublicKey};

/// The measurements of the published reference, on this machine, with a picture.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to write the picture.
    #[arg(long, default_value = "cradle-paper.svg", value_name = "FILE")]
    svg: PathBuf,
    /// How often each is repeated.
    #[arg(long, default_value_t = 15)]
    repeat: u64,
    #[command(flatten)]
    backing: Backing,
    /// A directory on the disk to be measured; a directory in it is made and removed.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// Requests in the first picture, as in the reference.
const REQUESTS: u64 = 500;
/// Certificates in the second picture, as in the reference.
const CERTIFICATES: [u64; 4] = [1, 10, 50, 100];
/// Seconds of the reference.
const REFERENCE: [(u64, f64); 2] = [(1, 0.18), (100, 9.2)];

pub(crate) fn run(said: &mut Said, arguments: &Arguments) -> Result {
    let device = repeat(arguments.repeat, || on_the_device(REQUESTS))?;
    said.say(measurement("paper 500 csr on the device", REQUESTS, &device))?;
    let station = repeat(arguments.repeat, || at_the_station(REQUESTS))?;
    said.say(measurement("paper 500 crmf at the station", REQUESTS, &station))?;
    let rig = Rig::new(&arguments.dir, KeyType::P256, &arguments.backing)?;
    certify(&rig.station, rig.requests("WARM", 100, KeyType::P256, Kind::CrmfVouched)?)?;
    let mut points = Vec::new();
    for count in CERTIFICATES {
        let mut durations = Vec::new();
        for round in 0..arguments.repeat {
            let requests = rig.requests(&format!("N{count}R{round}X"), count, KeyType::P256, Kind::CrmfVouched)?;
            durations.push(end_to_end(&rig, requests)?);
        }
        said.say(measurement(&format!("paper {count} certificates end to end"), count, &durations))?;
        points.push(Point { x: count, seconds: seconds(median(&durations)) });
    }
    let bars = [
        Bar { name: "500 requests on the device (key, PKCS #10)", seconds: seconds(median(&device)) },
        Bar { name: "500 requests at the station (CRMF)", seconds: seconds(median(&station)) },
    ];
    let reference = REFERENCE.map(|(x, seconds)| Point { x, seconds });
    let svg = picture::paper(&bars, &points, &reference, &machine());
    std::fs::write(&arguments.svg, svg).map_err(|e| Failure::file(&arguments.svg, &e))?;
    said.doing(&format!("picture: {}", arguments.svg.display()));
    Ok(())
}

fn repeat(times: u64, mut once: impl FnMut() -> Result<u64>) -> Result<Vec<u64>> {
    (0..times.max(1)).map(|_| once()).collect()
}

/// What a device does: make a key, and sign a request with it. One core.
fn on_the_device(count: u64) -> Result<u64> {
    let watch = Stopwatch::start();
    for _ in 0..count {
        std::hint::black_box(boards::evidence(&MemoryKey::generate(KeyType::P256), Kind::Csr)?);
    }
    Ok(watch.ns())
}

/// What a station does with public keys that devices have shown: read them, write requests. One core.
fn at_the_station(count: u64) -> Result<u64> {
    let shown: Vec<_> = (0..count).map(|_| MemoryKey::generate(KeyType::P256).public_key().spki().to_vec()).collect();
    let watch = Stopwatch::start();
    for spki in &shown {
        let key = PublicKey::decode(spki).or_fail("reading a public key")?;
        let request = crmf::write_cert_request(0, None, &key);
        std::hint::black_box(crmf::write_only(&request, &ProofOfPossession::RaVerified));
    }
    Ok(watch.ns())
}

/// Requests in hand, certificates in hand: one call over the signed bus, both commits included.
fn end_to_end(rig: &Rig, requests: Vec<CertifyRequest>) -> Result<u64> {
    let watch = Stopwatch::start();
    std::hint::black_box(certify(&rig.station, requests)?);
    Ok(watch.ns())
}

fn measurement(what: &str, count: u64, durations: &[u64]) -> Measurement {
    Measurement::of(what, None, Some(per_s(count, median(durations)))).with_durations(durations.to_vec())
}

fn median(durations: &[u64]) -> u64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn seconds(ns: u64) -> f64 {
    number(ns) / 1e9
}

/// The machine's name, as the kernel tells it.
fn machine() -> String {
    let cpuinfo = std::fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{}, {} cores", model.map_or("unknown processor", |(_, name)| name), cores())
}
