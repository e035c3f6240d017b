//! What this machine can do at best: the bare primitives, on all cores.

use super::boards::{self, Kind};
use super::{Measurement, Said, per_s};
use crate::fault::{Failure, Result, While};
use adapters::clock::Stopwatch;
use adapters::keystore::memory::MemoryKey;
use issue::{Issuer, Profile, Request};
use model::UnixTime;
use model::contract::authority::Evidence;
use ports::Signer;
use ports::store::authority::Grant;
use rayon::prelude::*;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use x509::{KeyType, SerialNumber, signature};

/// How long each primitive runs.
const RUN_MS: u64 = 400;

/// Threads of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `f` on all cores for a while; gives the number of runs per second.
pub(crate) fn on_all_cores(run_ms: u64, f: impl Fn() + Sync) -> f64 {
    let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let watch = Stopwatch::start();
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                let mut own = 0;
                while !stop.load(Ordering::Relaxed) {
                    f();
                    own += 1;
                    if watch.ms() >= run_ms {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                count.fetch_add(own, Ordering::Relaxed);
            });
        }
    });
    per_s(count.load(Ordering::Relaxed), watch.ns())
}

/// Requests that the limit goes through, each with a key of its own.
const REQUESTS: u64 = 512;

/// Everything that a certificate costs even if nothing is kept: read the request, verify it, write the certificate,
/// sign it. One thread for each core, no records, no messages.
///
/// Verifying takes other branches for each signature. Of the same one over and over the processor learns them, and is
/// faster than it can be with requests as they come.
pub(crate) struct IssueLimit {
    requests: Vec<Evidence>,
    next: AtomicU64,
    kind: Kind,
    grant: Grant,
    profile: Arc<Profile>,
    issuer: Issuer,
    key: MemoryKey,
}

impl IssueLimit {
    pub(crate) fn new(key_type: KeyType, kind: Kind, profile: &Arc<Profile>, issuer: Issuer) -> Result<Self> {
        let subject = model::Entity::Device(boards::device("LIMIT", 1)?);
        let (until, profile_name) = (UnixTime::NO_EXPIRY, profile.name().clone());
        let grant = Grant { id: 1, subject, profile: profile_name, until, quota: 1, used: 0 };
        let request = |_| boards::evidence(&MemoryKey::generate(key_type), kind);
        let requests = (0..REQUESTS).into_par_iter().map(request).collect::<Result<_>>()?;
        let (profile, key) = (Arc::clone(profile), MemoryKey::generate(key_type));
        Ok(Self { requests, next: AtomicU64::new(0), kind, grant, profile, issuer, key })
    }

    fn once(&self) -> Option<()> {
        use std::hint::black_box;
        let n = usize::try_from(self.next.fetch_add(1, Ordering::Relaxed) % REQUESTS).ok()?;
        let request = Request::decode(black_box(self.requests.get(n)?)).ok()?;
        let verified = match self.kind {
            Kind::Csr | Kind::Crmf => request.verify().ok()?,
            Kind::CrmfVouched => {
                let (until, quota) = (UnixTime::NO_EXPIRY, u32::MAX);
                let right = ports::store::authority::Right { id: 1, until, quota, used: 0 };
                request.vouch(&right, UnixTime::from_s(1)).ok()?
            }
        };
        let now = UnixTime::from_s(1_800_000_000);
        let authorised = verified.authorise(&self.grant, &self.profile, "Bench", now).ok()?;
        let serial = SerialNumber::next(x509::serial::InstanceEpoch(1), now, [7; 9]);
        let drafted = authorised.prepare(&self.issuer, serial, now).ok()?;
        let signature = self.key.sign(drafted.octets()).ok()?;
        black_box(x509::csr::write_signed(drafted.octets(), self.key.algorithm(), &signature));
        Some(())
    }

    /// Certificates per second.
    pub(crate) fn per_s(&self, run_ms: u64) -> Result<f64> {
        self.once().ok_or_else(|| Failure::new(crate::fault::Exit::Failed, "bench", "the limit cannot be measured"))?;
        Ok(on_all_cores(run_ms, || {
            std::hint::black_box(self.once());
        }))
    }
}

/// Median duration of an fsync of one block in this directory, in nanoseconds.
pub(crate) fn fsync_ns(directory: &Path) -> Result<u64> {
    let path = directory.join("fsync");
    let failed = |e: std::io::Error| Failure::file(&path, &e);
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    let mut durations = Vec::new();
    for _ in 0..200 {
        file.rewind().and_then(|()| file.write_all(&[7; 8192])).map_err(failed)?;
        let watch = Stopwatch::start();
        file.sync_data().map_err(failed)?;
        durations.push(watch.ns());
    }
    std::fs::remove_file(&path).map_err(failed)?;
    durations.sort_unstable();
    Ok(durations.get(durations.len() / 2).copied().unwrap_or_default())
}

pub(crate) fn run(said: &mut Said) -> Result {
    let message = [7; 600];
    for key_type in [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa(2048), KeyType::Rsa(3072)] {
        let key = MemoryKey::generate(key_type);
        let signed = key.sign(&message).or_fail("signing")?;
        let per_s = on_all_cores(RUN_MS, || {
            std::hint::black_box(key.sign(&message).ok());
        });
        said.say(Measurement::of(format!("sign {key_type}"), Some(per_s), None))?;
        let per_s = on_all_cores(RUN_MS, || {
            std::hint::black_box(signature::verify(key.public_key(), key.algorithm(), &message, &signed).ok());
        });
        said.say(Measurement::of(format!("verify {key_type}"), Some(per_s), None))?;
    }
    let block = vec![7; 1 << 20];
    let per_s = on_all_cores(RUN_MS, || {
        std::hint::black_box(x509::sha256(&block));
    });
    said.say(Measurement::of("sha-256 of 1 MiB", Some(per_s), None))?;
    let directory = std::env::temp_dir();
    let ns = fsync_ns(&directory)?;
    let mut fsync = Measurement::of("fsync of 8 KiB", Some(super::per_s(1, ns)), None);
    fsync.p50_us = Some(super::number(ns) / 1000.0);
    said.say(fsync)
}
