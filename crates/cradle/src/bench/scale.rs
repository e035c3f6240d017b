//! What changes with the number of certificates, and what must not: the time to start, to find one, and the disk.
//!
//! `fill` makes an installation with as many as wanted; the others look at any installation, named with --data.

use super::boards::Kind;
use super::issue::{Rig, certify};
use super::{Measurement, Said, number, peak_memory, per_s, rounded};
use crate::cli::Common;
use crate::cli::status::octets;
use crate::compose::Installation;
use crate::config::Config;
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use crate::survey::{PAGE, device_not_after, module_authority_row};
use adapters::clock::Stopwatch;
use adapters::store::SqlStore;
use model::{Digest, Entity};
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CertificateRow};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use x509::{Certificate, KeyType, SerialNumber};

/// Make an installation with so many certificates.
#[derive(clap::Args)]
pub(crate) struct Fill {
    /// So many certificates of devices.
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// The type of the devices' keys: p256, p384, ed25519, rsa2048.
    #[arg(long, default_value = "p256", value_name = "TYPE")]
    key_type: String,
    /// Write them in bulk: signed and recorded in earnest, but asked for by nobody.
    #[arg(long)]
    bulk: bool,
    /// Revoke so many of them.
    #[arg(long, default_value_t = 0)]
    revoke: u64,
    /// The directory. If it is one that was filled in bulk before, that goes on.
    dir: PathBuf,
}

/// How long an installation takes to the first answer.
#[derive(clap::Args)]
pub(crate) struct Start {
    /// How often it is started.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Certificates by serial number, key and device.
#[derive(clap::Args)]
pub(crate) struct Lookup {
    /// So many of each.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
}

/// Devices whose keys are in memory at a time.
const CHUNK: u64 = 16_384;
/// Requests in one message.
const BATCH: usize = 256;

#[derive(Serialize)]
struct Filled {
    data: String,
    certificates: u64,
    seconds: f64,
    per_s: f64,
}

/// Issues certificates as a station has them issued: each was requested, verified, signed and recorded in earnest.
pub(crate) fn fill(common: &Common, arguments: &Fill) -> Result {
    let Fill { count, key_type, bulk, revoke, dir } = arguments;
    let goes_on = *bulk && dir.exists();
    if dir.exists() && !goes_on {
        return Err(Failure::file(dir, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let key_type = KeyType::by_name(key_type).ok_or_else(|| {
        Failure::new(Exit::Usage, "usage", format!("there is no key type {key_type:?}"))
            .because("the key types are p256, p384, ed25519, rsa2048, rsa3072, rsa4096")
    })?;
    let rig = if goes_on { Rig::again(common, dir)? } else { Rig::kept(dir, KeyType::P256)? };
    let before = if goes_on { rig.workshop().store.totals()?.intents } else { 0 };
    let bar = progress::bar(common.out(), "certificates", *count);
    let watch = Stopwatch::start();
    let mut done = 0;
    if *bulk {
        super::bulk::fill(&rig, before, *count, key_type, &bar)?;
        done = *count;
    }
    while done < *count {
        let len = CHUNK.min(count - done);
        let requests = rig.requests(&format!("{done:09}X"), len, key_type, Kind::Csr)?;
        let batches: Vec<_> = requests.chunks(BATCH).map(<[_]>::to_vec).collect();
        batches.into_par_iter().try_for_each(|batch| certify(&rig.station, batch).map(|_| ()))?;
        done += len;
        bar.set_position(done);
    }
    bar.finish_and_clear();
    super::bulk::revoke(&rig, *revoke)?;
    let ns = watch.ns();
    let seconds = rounded(number(ns) / 1e9, 10.0);
    let filled =
        Filled { data: dir.display().to_string(), certificates: done, seconds, per_s: rounded(per_s(done, ns), 1.0) };
    common.out().one(&filled, || {
        format!("{done} certificates in {}, {seconds} s with the making of their keys\n", filled.data)
    })?;
    common.out().next(&format!("cradle --data {} bench lookup", filled.data));
    Ok(())
}

fn no_certificates(data: &Path) -> Failure {
    Failure::new(Exit::NotFound, "bench", format!("{} has no certificates of devices", data.display()))
        .because("there is nothing to be looked up or measured")
        .next("make some with `cradle bench fill DIR`, then name DIR with --data")
}

/// The limit is to open the records for reading and read one row; what is measured is all of it: keys, log, modules, and
/// the first certificate that is found.
pub(crate) fn start(said: &mut Said, common: &Common, arguments: &Start) -> Result {
    let serial = {
        let store = common.records()?;
        store.serial_behind(0)?.ok_or_else(|| no_certificates(&common.data))?.1
    };
    let rounds = arguments.rounds.clamp(1, 1000);
    let mut bare = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..rounds {
        let watch = Stopwatch::start();
        let store = crate::compose::open_to_read(&common.data)?;
        let _found = store.point_read(1)?;
        bare.push(watch.ns());
        drop(store);
        let watch = Stopwatch::start();
        let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
        let _found = installation.workshop.store.certificate(&serial)?;
        whole.push(watch.ns());
    }
    let rate = |durations: &[u64]| per_s(u64::from(rounds), durations.iter().sum());
    let (limit, measured) = (rate(&bare), rate(&whole));
    said.say(Measurement::of("open the records", Some(limit), Some(limit)).with_durations(bare))?;
    let mut measurement = Measurement::of("start all modules", Some(limit), Some(measured)).with_durations(whole);
    measurement.rss_bytes = peak_memory();
    said.say(measurement)
}

/// What is known of one certificate that will be looked up.
struct Known {
    row: u64,
    serial: SerialNumber,
    key: Digest,
    subject: Entity,
}

/// Certificates that stand all over the records, in an order in which nobody reads.
fn sample(store: &SqlStore, count: u64) -> Result<Vec<Known>> {
    /// A prime near the golden ratio of 2^32: multiples of it fall everywhere.
    const STRIDE: u64 = 2_654_435_761;
    let rows = store.totals()?.intents.max(1);
    let mut known = Vec::new();
    for n in 0..count {
        let Some((row, serial)) = store.serial_behind(n.wrapping_mul(STRIDE) % rows)? else { continue };
        let Some(found) = store.certificate(&serial)? else { continue };
        let Ok(certificate) = Certificate::decode(&found.der) else { continue };
        let key = certificate.tbs().subject_public_key.digest();
        known.push(Known { row, serial, key, subject: found.subject });
    }
    Ok(known)
}

pub(crate) fn lookup(said: &mut Said, common: &Common, arguments: &Lookup) -> Result {
    let store = common.records()?;
    let known = sample(&store, arguments.count)?;
    if known.is_empty() {
        return Err(no_certificates(&common.data));
    }
    said.doing(&format!("{} of {} certificates, all of which were read before", known.len(), store.totals()?.intents));
    let bare = timed(&known, |one| Ok(store.point_read(one.row)?.is_some()))?;
    let limit = rate(&bare);
    said.say(Measurement::of("row by its number", Some(limit), Some(limit)).with_durations(bare))?;
    let by = |filter: CertificateFilter, row: u64| -> Result<bool> {
        let found: Vec<CertificateRow> = store.certificates(&CertificateFilter { limit: 2, ..filter })?;
        Ok(found.iter().any(|found| found.id == row))
    };
    let serial = timed(&known, |one| Ok(store.certificate(&one.serial)?.is_some_and(|found| found.id == one.row)))?;
    let key = timed(&known, |one| by(CertificateFilter { key: Some(one.key), ..Default::default() }, one.row))?;
    let subject = timed(&known, |one| {
        by(CertificateFilter { subject: Some(one.subject.clone()), ..Default::default() }, one.row)
    })?;
    for (what, durations) in [("by serial number", serial), ("by key", key), ("by subject", subject)] {
        let mut measurement = Measurement::of(what, Some(limit), Some(rate(&durations))).with_durations(durations);
        measurement.rss_bytes = peak_memory();
        said.say(measurement)?;
    }
    Ok(())
}

fn rate(durations: &[u64]) -> f64 {
    per_s(u64::try_from(durations.len()).unwrap_or(u64::MAX), durations.iter().sum())
}

/// Looks each up; each must be found.
fn timed(known: &[Known], find: impl Fn(&Known) -> Result<bool>) -> Result<Vec<u64>> {
    let mut durations = Vec::with_capacity(known.len());
    for one in known {
        let watch = Stopwatch::start();
        let is_found = find(one)?;
        durations.push(watch.ns());
        if !is_found {
            return Err(Failure::new(Exit::Failed, "bench", format!("{} was not found again", one.serial))
                .because("a look-up gave something else than what was put in")
                .next("run `cradle verify --deep`"));
        }
    }
    Ok(durations)
}

#[derive(Serialize)]
struct Disk {
    certificates: u64,
    database_octets: u64,
    octets_per_certificate: f64,
    der_octets: f64,
    /// What is kept beside the certificate itself: indexes, intent, grant, audit.
    overhead_octets: f64,
    audit_entries: u64,
}

/// Octets on the disk for each certificate of a device. Walks all of them.
pub(crate) fn disk(common: &Common) -> Result {
    Config::read(&common.data)?;
    let store = common.records()?;
    let modules = module_authority_row(&store.authorities()?);
    let (mut certificates, mut der, mut after) = (0_u64, 0_u64, Some(0));
    while let Some(from) = after {
        after = store.pass(from, PAGE, |passing| {
            if Some(passing.authority) != modules && device_not_after(passing.der).is_some() {
                certificates += 1;
                der += u64::try_from(passing.der.len()).unwrap_or_default();
            }
        })?;
    }
    if certificates == 0 {
        return Err(no_certificates(&common.data));
    }
    let totals = store.totals()?;
    let log = std::fs::metadata(common.data.join("cradle.db-wal")).map_or(0, |file| file.len());
    let each = |octets: u64| rounded(number(octets) / number(certificates), 10.0);
    let disk = Disk {
        certificates,
        database_octets: totals.octets,
        octets_per_certificate: each(totals.octets),
        der_octets: each(der),
        overhead_octets: each(totals.octets.saturating_sub(der)),
        audit_entries: totals.audit_entries,
    };
    common.out().one(&disk, || {
        format!(
            "certificates      {certificates}\ndatabase          {}, its log {} more\neach              {} octets\n\
             of these DER      {} octets\nall else          {} octets: indexes, intent, grant, {} audit entries\n",
            octets(disk.database_octets),
            octets(log),
            disk.octets_per_certificate,
            disk.der_octets,
            disk.overhead_octets,
            disk.audit_entries
        )
    })
}
