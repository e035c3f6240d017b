//! What it costs to tell each device what it gets.

use super::limit::on_all_cores;
use super::{Measurement, Said, Scratch, number, octets_in, peak_memory, per_s};
use crate::fault::{Exit, Failure, Result};
use adapters::clock::{Stopwatch, SystemClock};
use adapters::keystore::memory::MemoryKey;
use director::{Assignment, Begun, Component, Device, Director, DirectorFault, Scope};
use model::DeviceId;
use ports::{Clock, Signer};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use update::uptane::Offer;
use x509::{KeyType, sha256};

/// Directions for many devices.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// So many devices.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    devices: u32,
    /// Where the records are kept meanwhile.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// Devices that are told in one transaction.
const BATCH: usize = 1000;
/// Devices that ask one by one, so that each waits for the disk.
const ALONE: usize = 500;
/// For how long the limit is measured.
const LIMIT_MS: u64 = 1000;
/// As long as what is signed for a device.
const SIGNED_LEN: usize = 500;

fn failed(fault: DirectorFault) -> Failure {
    Failure::new(Exit::Failed, "bench", "this cannot be measured here").because(fault).next("name another --dir")
}
fn name<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| failed(DirectorFault::Corrupt("a name of this measurement")))
}

fn device(n: u32, key: &MemoryKey) -> Result<Device> {
    let key = || key.public_key().clone().into();
    let component = Component { hardware_id: name("modem.a")?, key: key() };
    Ok(Device {
        id: name(&format!("urn:dev:ops:32473-gateway-{n:08}"))?,
        key: key(),
        components: BTreeMap::from([(name("modem")?, component)]),
        groups: BTreeSet::new(),
        assigned: BTreeMap::new(),
    })
}

fn begin(scratch: &Scratch, devices: &[Device]) -> Result<Director> {
    let key = || -> Arc<dyn Signer> { Arc::new(MemoryKey::generate(KeyType::Ed25519)) };
    let begun = Begun { root_keys: &[key()], expires: SystemClock.now().plus_s(86_400 * 365) };
    let director = Director::begin(&scratch.0.join("director.db"), key(), &begun).map_err(failed)?;
    for batch in devices.chunks(BATCH) {
        director.register_all(batch).map_err(failed)?;
    }
    let offer = format!(
        "{{\"name\":\"os.img\",\"length\":67108864,\"hashes\":{{\"sha256\":\"{}\"}},\"release_counter\":7,\
         \"hardware_ids\":[\"modem.a\"]}}",
        sha256(b"os")
    );
    director.take(Offer::kept(offer.as_bytes()).map_err(|bad| failed(bad.into()))?).map_err(failed)?;
    let scope = Scope::Type(name("gateway")?);
    let assignment = Assignment { scope, component: name("modem")?, image: "os.img".to_owned() };
    director.assign(&assignment).map_err(failed)?;
    Ok(director)
}

/// The limit is signing three files for each device, on all cores, and nothing else.
pub(crate) fn run(said: &mut Said, arguments: &Arguments) -> Result {
    let key = MemoryKey::generate(KeyType::Ed25519);
    let devices = (0..arguments.devices).map(|n| device(n, &key)).collect::<Result<Vec<_>>>()?;
    let scratch = Scratch::new(&arguments.dir)?;
    said.doing(&format!("{} devices are registered", devices.len()));
    let director = begin(&scratch, &devices)?;
    let ids: Vec<&DeviceId> = devices.iter().map(|device| &device.id).collect();
    let octets = [0; SIGNED_LEN];
    let limit = on_all_cores(LIMIT_MS, || {
        for _ in 0..3 {
            std::hint::black_box(key.sign(&octets).ok());
        }
    });
    let now = SystemClock.now();

    let (alone, rest) = ids.split_at(ids.len().min(ALONE));
    let watch = Stopwatch::start();
    let one = |id: &&DeviceId| -> Result<u64> {
        let watch = Stopwatch::start();
        director.poll(id, now).map_err(failed)?;
        Ok(watch.ns())
    };
    let each = alone.iter().map(one).collect::<Result<Vec<_>>>()?;
    let told = per_s(u64::try_from(alone.len()).unwrap_or(u64::MAX), watch.ns());
    said.say(Measurement::of("a device asks and is told something new", Some(limit), Some(told)).with_durations(each))?;

    if !rest.is_empty() {
        let watch = Stopwatch::start();
        for batch in rest.chunks(BATCH) {
            director.tell_all(batch, now).map_err(failed)?;
        }
        let told = per_s(u64::try_from(rest.len()).unwrap_or(u64::MAX), watch.ns());
        let mut measurement = Measurement::of("told before they ask, a thousand at a time", Some(limit), Some(told));
        measurement.disk_bytes = Some(octets_in(&scratch.0));
        said.say(measurement)?;
    }

    let watch = Stopwatch::start();
    let each = ids.par_iter().map(one).collect::<Result<Vec<_>>>()?;
    let polls = per_s(u64::try_from(ids.len()).unwrap_or(u64::MAX), watch.ns());
    let mut measurement = Measurement::of("a device asks and nothing is new", None, Some(polls)).with_durations(each);
    measurement.rss_bytes = peak_memory();
    said.say(measurement)?;
    size(said, &director, ids.first().copied())
}

/// What a device fetches: all of it, and when nothing is new.
fn size(said: &Said, director: &Director, id: Option<&DeviceId>) -> Result {
    let Some(id) = id else { return Ok(()) };
    let now = SystemClock.now();
    let timestamp = director.poll(id, now).map_err(failed)?;
    let version = update::tuf::write::Draft::<update::tuf::Timestamp>::decode(&timestamp);
    let version = version.map_err(|bad| failed(bad.into()))?.version();
    let mut all = timestamp.len();
    for role in ["snapshot", "targets"] {
        let file = director.file(id, &format!("{version}.{role}.json"), now).map_err(failed)?;
        all += file.map_or(0, |octets| octets.len());
    }
    let all = u64::try_from(all).unwrap_or(u64::MAX);
    said.doing(&format!("{} octets for a device if nothing is new, {} if all is", timestamp.len(), number(all)));
    Ok(())
}
