//! Many devices that renew their certificates when they were told to, against a running box.

use super::{Measurement, Said, Scratch, number, per_s};
use crate::cli::init::{Plan, Settings, make};
use crate::compose::Installation;
use crate::config::{GatewayConfig, Places};
use crate::fault::{Exit, Failure, Result};
use crate::site::{self, Asked, Certified, Identity, Proof, Site};
use adapters::clock::{Stopwatch, SystemClock};
use adapters::files;
use adapters::process::terminate;
use indicatif::ProgressBar;
use model::contract::enrolment::AllowEnrolment;
use model::contract::identity::{ImportList, ListFormat, ListImported};
use model::mode::Order;
use model::{DeviceId, Entity, Mode, ProfileName};
use ports::Clock;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Devices that enrol over EST with one-time secrets, and renew in the second that they were told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// So many devices.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// How long a certificate lasts, in seconds. The devices come back from two thirds of it on, for a twelfth of it.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(60..=86_400))]
    lifetime: u32,
    /// Clients that speak for the devices; as many ask at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    clients: u16,
    /// A directory on the disk to be measured; a directory in it is made and removed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

const PROFILE: &str = "ldevid";
const TYPE: &str = "sensor";
/// The maker of the devices.
const PEN: u32 = 32473;
/// Devices in one list.
const LIST: usize = 20_000;
/// A device that gets nothing tries so often, a second apart.
const TRIES: u32 = 5;

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "bench", "this cannot be measured here").because(why)
}

fn name<T: std::str::FromStr<Err = impl std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(failed)
}

/// The secret of a device: what is measured is as long as a real one, and worth nothing.
fn secret(n: usize) -> String {
    format!("bench-secret-{n:013}")
}

fn serial(n: usize) -> String {
    format!("SN{n:07}")
}

/// Makes an installation whose gateway listens on this machine, in which the devices may enrol. Gives the chain of who issues.
fn make_box(data: &Path, arguments: &Arguments, devices: usize) -> Result<Vec<Vec<u8>>> {
    let places = Places::of(data);
    let (profile, operator) = (name::<ProfileName>(PROFILE)?, name("bench")?);
    let gateway = Some(GatewayConfig { requests_per_s: site::UNBOUNDED, ..site::door(&profile, [0, 0])? });
    let settings = Settings {
        organization: "Bench".into(),
        maker_pen: PEN,
        name: name("bench")?,
        demo: true,
        store: None,
        bus: None,
        gateway,
    };
    let plan = Plan { settings, operator, key_type: "p256".to_owned(), bare: false, token: None, passphrase: None };
    let workshop = make(&places, &plan)?;
    site::name_here(&places)?;
    let path = places.profiles().join(format!("{PROFILE}.toml"));
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
    let lasts = |line: &str| match line.split_once(" = ").map(|(key, _)| key) {
        Some("lifetime_s") => format!("lifetime_s = {}\n", arguments.lifetime),
        Some("backdate_s") => "backdate_s = 0\n".to_owned(),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(lasts).collect();
    files::publish(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    let path = places.device_types().join(format!("{TYPE}.toml"));
    let text = include_str!("../../../../device-types/sensor.toml");
    files::write_new(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    let installation = Installation::start(workshop)?;
    let order = Order::Stay(Mode::CertificateManagement);
    installation.supervisor.order(order, std::slice::from_ref(&plan.operator), "benchmark")?;
    allow(&installation, &profile, devices)?;
    crate::cli::ca::chain_of(&installation.workshop.store, &name("factory")?)
}

/// Registers the devices, and lets each enrol with its secret.
fn allow(installation: &Installation, profile: &ProfileName, devices: usize) -> Result {
    let until = installation.workshop.clock.now().plus_s(86_400);
    let numbers: Vec<usize> = (0..devices).collect();
    for (part, numbers) in numbers.chunks(LIST).enumerate() {
        let lines: String = numbers.iter().map(|n| format!("{},{TYPE}\n", serial(*n))).collect();
        let call = ImportList {
            name: format!("devices-{part}"),
            format: ListFormat::Csv,
            octets: format!("serial,type\n{lines}").into_bytes().into(),
            until,
            signature: None,
            replaces: None,
            dry_run: false,
        };
        if let ListImported::Refused(bad) = installation.ask(&call, "importing the list")? {
            return Err(failed(format!("the list was refused: {bad:?}")));
        }
    }
    numbers.par_iter().try_for_each(|n| {
        let device: DeviceId = name(&format!("urn:dev:ops:{PEN}-{TYPE}-{}", serial(*n)))?;
        let call = AllowEnrolment {
            subject: Entity::Device(device),
            profile: profile.clone(),
            until,
            secret: Some(x509::sha256(secret(*n).as_bytes())),
            sealed: None,
        };
        installation.ask(&call, "allowing a device to enrol").map(drop)
    })
}

/// `cradle up`, which is told to end when this goes.
struct Running(Child);

impl Running {
    /// Gives the port of EST besides.
    fn start(data: &Path) -> Result<(Self, u16)> {
        let own = std::env::current_exe().map_err(|e| Failure::file("/proc/self/exe", &e))?;
        let log = data.join("up.log");
        let file = std::fs::File::create(&log).map_err(|e| Failure::file(&log, &e))?;
        let mut command = Command::new(own);
        command.arg("--data").arg(data).args(["-o", "json", "up"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = Self(command.spawn().map_err(failed)?);
        let mut line = String::new();
        if let Some(said) = child.0.stdout.take() {
            BufReader::new(said).read_line(&mut line).map_err(failed)?;
        }
        let said: serde_json::Value =
            serde_json::from_str(&line).map_err(|_| failed(std::fs::read_to_string(&log).unwrap_or_default()))?;
        let https =
            said.get("https").and_then(|https| https.as_str()).and_then(|https| https.rsplit(':').next()?.parse().ok());
        Ok((child, https.ok_or_else(|| failed("it listens nowhere"))?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        terminate(&self.0);
        let _ended_already = self.0.wait();
    }
}

/// What one device had, and when.
struct Had {
    identity: Identity,
    /// When it is to come again, in milliseconds since 1970.
    due_ms: u64,
    /// Which part of the time for renewals that is in, in tenths.
    tenth: u64,
    /// When it was answered, and how long that took from the first octet of TLS.
    answered_ms: u64,
    took_ns: u64,
    /// How often it was sent away before.
    again: u32,
}

fn had(certified: Certified, took_ns: u64, again: u32) -> Result<Had> {
    let answered_ms = SystemClock.now().ms();
    let after_s = certified.renew_after_s.ok_or_else(|| failed("a device was not told when to renew"))?;
    let due_ms = answered_ms + after_s * 1000;
    let tbs = certified.certificate.tbs();
    let (from_s, lifetime_s) = (tbs.not_before.s(), tbs.not_after.s().saturating_sub(tbs.not_before.s()));
    // As docs/gateway.md has it: from two thirds on, for a twelfth.
    let into_s = (due_ms / 1000).saturating_sub(from_s).saturating_sub(lifetime_s / 3 * 2);
    let tenth = into_s * 10 / (lifetime_s / 12).max(1);
    Ok(Had { identity: certified.identity, due_ms, tenth, answered_ms, took_ns, again })
}

/// Tries until it is given something, a few times.
fn patiently(renewed: Option<&Identity>, ask: impl Fn(&Asked) -> Result<Certified>) -> Result<Had> {
    let asked = Asked::new(renewed)?;
    let mut again = 0;
    loop {
        let watch = Stopwatch::start();
        match ask(&asked) {
            Ok(certified) => return had(certified, watch.ns(), again),
            Err(failure) if again + 1 == TRIES => return Err(failure),
            Err(_) => again += 1,
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

/// What these do with the numbers below `count`, each in its turn, as many at once as there are clients.
fn crowd(
    clients: u16,
    bar: &ProgressBar,
    count: usize,
    one: impl Fn(usize) -> Result<Had> + Sync,
) -> Result<Vec<(usize, Had)>> {
    let next = AtomicUsize::new(0);
    let client = || -> Result<Vec<(usize, Had)>> {
        let mut all = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return Ok(all);
            }
            all.push((n, one(n)?));
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let mut all = Vec::with_capacity(count);
        for thread in threads {
            all.extend(thread.join().map_err(|_| failed("a client ended early"))??);
        }
        Ok(all)
    })
}

/// How many fall into the busiest of parts of this length.
fn busiest(all: impl Iterator<Item = u64>, part: u64) -> u64 {
    let mut parts = BTreeMap::new();
    all.for_each(|at| *parts.entry(at / part.max(1)).or_insert(0) += 1);
    parts.into_values().max().unwrap_or(0)
}

pub(crate) fn run(said: &mut Said, arguments: &Arguments) -> Result {
    let scratch = Scratch::new(&arguments.dir)?;
    let data = scratch.0.join("data");
    let count = usize::try_from(arguments.devices).map_err(failed)?;
    said.doing(&format!("{count} devices are registered"));
    let above = make_box(&data, arguments, count)?;
    let (running, port) = Running::start(&data)?;
    let site = Site::new(port, &name(PROFILE)?, &above, Arc::new(SystemClock))?;
    let enrolled = enrol(said, &site, arguments.clients, count)?;
    even(said, &enrolled)?;
    renew(said, &site, arguments, enrolled)?;
    drop(running);
    Ok(())
}

fn enrol(said: &mut Said, site: &Site, clients: u16, count: usize) -> Result<Vec<Had>> {
    said.doing(&format!("{count} devices enrol"));
    let watch = Stopwatch::start();
    let enrolled = crowd(clients, &said.bar("enrolling", count), count, |n| {
        patiently(None, |asked| site.enrol(Proof::Secret(&serial(n), &secret(n)), asked))
    })?;
    let rate = per_s(u64::try_from(count).unwrap_or(u64::MAX), watch.ns());
    let each = enrolled.iter().map(|(_, had)| had.took_ns).collect();
    said.say(Measurement::of("enrolled over EST with a secret", None, Some(rate)).with_durations(each))?;
    Ok(enrolled.into_iter().map(|(_, had)| had).collect())
}

/// The limit is as many in each tenth of the time for renewals as in any other.
fn even(said: &mut Said, enrolled: &[Had]) -> Result {
    let most = busiest(enrolled.iter().map(|had| had.tenth), 1);
    let even = number(u64::try_from(enrolled.len()).unwrap_or(u64::MAX)) / 10.0;
    said.say(Measurement::of("told to come in the busiest tenth of the time", Some(even), Some(number(most))))
}

/// Each renews when it is due. The limit is what was planned: how many are due in the busiest second.
fn renew(said: &mut Said, site: &Site, arguments: &Arguments, mut due: Vec<Had>) -> Result {
    due.sort_by_key(|had| had.due_ms);
    let (Some(first), Some(last)) = (due.first(), due.last()) else { return Ok(()) };
    let wait = Duration::from_millis(first.due_ms.saturating_sub(SystemClock.now().ms()));
    let takes = Duration::from_millis(last.due_ms.saturating_sub(first.due_ms));
    said.doing(&format!("they renew in {} s, for {} s", wait.as_secs(), takes.as_secs()));
    let planned = busiest(due.iter().map(|had| had.due_ms), 1000);
    let renewed = crowd(arguments.clients, &said.bar("renewing", due.len()), due.len(), |n| {
        let old = due.get(n).ok_or_else(|| failed("there is no such device"))?;
        while let wait @ 1.. = old.due_ms.saturating_sub(SystemClock.now().ms()) {
            std::thread::park_timeout(Duration::from_millis(wait));
        }
        patiently(Some(&old.identity), |asked| site.renew(&old.identity, asked))
    })?;
    let late = renewed.iter().filter_map(|(n, had)| Some((had, had.answered_ms.saturating_sub(due.get(*n)?.due_ms))));
    let late: Vec<_> = late.map(|(_, ms)| ms * 1_000_000).collect();
    let again: u32 = renewed.iter().map(|(_, had)| had.again).sum();
    said.doing(&format!("{} renewed; sent away and came again: {again}", renewed.len()));
    let peak = busiest(renewed.iter().map(|(_, had)| had.answered_ms), 1000);
    let what = "renewed in the busiest second";
    said.say(Measurement::of(what, Some(number(planned)), Some(number(peak))).with_durations(late))?;
    let rate =
        per_s(u64::try_from(renewed.len()).unwrap_or(u64::MAX), u64::try_from(takes.as_nanos()).unwrap_or(u64::MAX));
    let each = renewed.iter().map(|(_, had)| had.took_ns).collect();
    said.say(Measurement::of("a renewal, from TLS to the certificate", None, Some(rate)).with_durations(each))
}
