//! What it costs a device, a station or sm to believe a repository, and to fetch an image from it.

use super::limit::on_all_cores;
use super::{Measurement, Said, Scratch, number, peak_memory, per_s};
use crate::fault::{Exit, Failure, Result};
use ::repository::{Lifetimes, OldKeys, Repository, Start};
use ::update::Threshold;
use ::update::tuf::write::{Key, Top};
use ::update::tuf::{Answer as File, Client, Limits, Outside, Target};
use adapters::clock::{Stopwatch, SystemClock, SystemEntropy};
use adapters::http::Files;
use adapters::http::serve::{Answer, Beneath, BodyLimits, Head, Limits as ServerLimits, Request, Server, Service};
use adapters::keystore::memory::MemoryKey;
use model::UnixTime;
use ports::{Clock, Entropy, Signer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509::{KeyType, sha256, signature};

/// A repository with so many images, one of which is fetched.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// So many images in the repository.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    images: u32,
    /// The one that is fetched has so many MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    mib: u32,
    /// Where the repository is kept meanwhile.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// The image that is fetched.
const NAME: &str = "sensor/image-0.bin";
/// For how long each is measured, and how often: the median counts.
const RUN_MS: u64 = 400;
const ROUNDS: usize = 9;
/// The image is fetched so often; the best counts, since others use the machine too.
const FETCHES: usize = 5;
/// Octets that are hashed at once while an image comes.
const BUFFER_LEN: usize = 64 * 1024;
/// Octets of a MiB.
const MIB: u64 = 1 << 20;

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "bench", "this cannot be measured here").because(why).next("name another --dir")
}

/// What a client of the repository sees, in memory, so that nothing but believing is measured.
struct Published {
    root: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Outside for &Published {
    type Fault = Infallible;

    fn load(&mut self, file: &str) -> std::result::Result<File, Infallible> {
        Ok(if file == "root.json" { File::Octets(self.root.clone()) } else { File::NotThere })
    }
    fn fetch(&mut self, file: &str, _: u64) -> File {
        self.files.get(file).map_or(File::NotThere, |octets| File::Octets(octets.clone()))
    }
    fn forget(&mut self, _: &str) -> std::result::Result<(), Infallible> {
        Ok(())
    }
    fn persist(&mut self, _: &str, _: &[u8]) -> std::result::Result<(), Infallible> {
        Ok(())
    }
}

impl Published {
    fn read(directory: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(directory).map_err(|e| Failure::file(directory, &e))? {
            let path = entry.map_err(|e| Failure::file(directory, &e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).map_err(|e| Failure::file(&path, &e))?);
        }
        let root = files.get("1.root.json").cloned().ok_or_else(|| failed("the repository has no root"))?;
        Ok(Self { root, files })
    }

    /// A client that knows the first root believes the four roles, and what they say of the image.
    fn believed(&self, now: UnixTime) -> Option<Target> {
        Client::new(Limits::DEFAULT, now).look_for(NAME, &mut &*self).ok()
    }

    /// The files that the client read: their octets are hashed, and each has one signature.
    fn of_four_roles(&self) -> Vec<&[u8]> {
        let version =
            |role: &str| self.files.iter().rfind(|(name, _)| name.ends_with(role)).map(|(_, octets)| &**octets);
        let rest = ["timestamp.json", "snapshot.json", "targets.json"];
        std::iter::once(&*self.root).chain(rest.into_iter().filter_map(version)).collect()
    }
}

fn publish(directory: &Path, arguments: &Arguments) -> Result<()> {
    let now = SystemClock.now();
    let key = || -> Arc<dyn Signer> { Arc::new(MemoryKey::generate(KeyType::Ed25519)) };
    let keys: Vec<_> = Top::ALL.into_iter().map(|top| (top, key())).collect();
    let mut roles = BTreeMap::new();
    for (top, key) in &keys {
        roles.insert(
            *top,
            (vec![Key::new(key.public_key()).ok_or_else(|| failed("a key of this measurement"))?], Threshold::ONE),
        );
    }
    let start = Start { roles, lifetimes: Lifetimes::DEFAULT };
    let mut repository = Repository::begin(directory, &start, now, Box::new(|_| Ok(()))).map_err(failed)?;
    for n in 0..arguments.images {
        let len = if n == 0 { u64::from(arguments.mib) * MIB } else { MIB / 1024 };
        let mut octets = vec![0; usize::try_from(len).unwrap_or_default()];
        SystemEntropy::default().fill(&mut octets);
        let name = format!("sensor/image-{n}.bin");
        repository.add(&name, &mut Cursor::new(octets), None, None, now).map_err(failed)?;
    }
    let keys: Vec<_> = keys.into_iter().map(|(_, key)| key).collect();
    repository.publish(&keys, now, OldKeys::Sign).map_err(failed)?;
    Ok(())
}

/// The limit of believing is verifying as many signatures and hashing as many octets, on all cores; that of fetching is SHA-256 of
/// the image on one.
pub(crate) fn run(said: &mut Said, arguments: &Arguments) -> Result {
    let scratch = Scratch::new(&arguments.dir)?;
    let directory = scratch.0.join("repository");
    said.doing(&format!("{} images are published, one of {} MiB", arguments.images, arguments.mib));
    publish(&directory, arguments)?;
    let published = Published::read(&directory.join("metadata"))?;
    let target = believe(said, &published)?;
    fetch(said, &directory, &target)
}

fn believe(said: &mut Said, published: &Published) -> Result<Target> {
    let now = SystemClock.now();
    let target = published.believed(now).ok_or_else(|| failed("the repository is not believed"))?;
    let key = MemoryKey::generate(KeyType::Ed25519);
    let mut signed = Vec::new();
    for octets in published.of_four_roles() {
        signed.push((octets, key.sign(octets).map_err(failed)?));
    }
    let (mut limit, mut believed) = (Vec::new(), Vec::new());
    // In turns: what else the machine does meets both alike.
    for _ in 0..ROUNDS {
        limit.push(on_all_cores(RUN_MS, || {
            for (octets, one) in &signed {
                black_box(sha256(octets));
                black_box(signature::verify(key.public_key(), key.algorithm(), octets, one).ok());
            }
        }));
        believed.push(on_all_cores(RUN_MS, || {
            black_box(published.believed(now));
        }));
    }
    let octets: usize = signed.iter().map(|(octets, _)| octets.len()).sum();
    let what = format!("four roles believed and an image found, {octets} octets");
    said.say(Measurement::of(what, median(limit), median(believed)))?;
    Ok(target)
}

fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

/// The image repository as `cradle director serve` gives it out.
struct Static(Beneath);

impl Service for Static {
    fn limits(&self, _: &Head) -> BodyLimits {
        BodyLimits::NONE
    }
    fn answer(&self, request: &mut Request) -> Answer {
        let path = request.head.path().trim_start_matches('/').to_owned();
        self.0.answer(&request.head, &path, "application/octet-stream")
    }
}

fn fetch(said: &mut Said, directory: &Path, target: &Target) -> Result {
    let targets = directory.join("targets");
    let beneath = Beneath::open(&targets).map_err(|e| Failure::file(&targets, &e))?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(address, None, ServerLimits::default(), Arc::new(Static(beneath))).map_err(failed)?;
    let files = Files::below(&format!("http://{}", server.address()), &[], Duration::from_secs(60)).map_err(failed)?;
    let path = targets.join(target.path());
    let image = std::fs::read(&path).map_err(|e| Failure::file(&path, &e))?;
    let (mut hashed, mut fetched) = (u64::MAX, u64::MAX);
    for _ in 0..FETCHES {
        let watch = Stopwatch::start();
        black_box(sha256(black_box(&image)));
        hashed = hashed.min(watch.ns());
        let watch = Stopwatch::start();
        verified(&files, target)?;
        fetched = fetched.min(watch.ns());
    }
    server.stop();
    let mib = |ns| per_s(target.length(), ns) / number(MIB);
    let mut measurement = Measurement::of("MiB fetched over HTTP and verified", Some(mib(hashed)), Some(mib(fetched)));
    measurement.rss_bytes = peak_memory();
    said.say(measurement)
}

/// Fetches the image and compares it with what was signed, as it flows.
fn verified(files: &Files, target: &Target) -> Result {
    let mut source = files.open(&target.path(), target.length()).map_err(failed)?;
    let (mut check, mut buffer) = (target.check(), vec![0; BUFFER_LEN]);
    loop {
        match source.read(&mut buffer).map_err(failed)? {
            0 => return check.finish().map_err(failed),
            len => check.feed(buffer.get(..len).unwrap_or_default()).map_err(failed)?,
        }
    }
}
