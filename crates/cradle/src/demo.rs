//! `cradle demo`: a factory line on a laptop, without network, hardware or questions. Everything in it is real.

mod field;
mod maker;
mod network;

use crate::cli::Common;
use crate::cli::init::{Plan, Settings, make};
use crate::compose::{Installation, Workshop, followed};
use crate::config::{BusConfig, Places, StoreConfig};
use crate::fault::{Exit, Failure, Result};
use crate::line::{self, Done};
use crate::mode::Stay;
use crate::output::{Format, Output};
use crate::servers::Servers;
use crate::site;
use adapters::clock::Stopwatch;
use adapters::files;
use maker::{FACTORY, Maker};
use model::contract::Call;
use model::contract::authority::{Entitle, IssueCrl, RevocationReason, Revoke};
use model::contract::identity::{ImportList, ListFormat, ListImported, Mark};
use model::contract::software::{Bundled, Source, Update, Updated};
use model::mode::Order;
use model::{DeviceType, Mode, Module, OperatorName, Reason};
use ports::store::IdentityStore;
use ports::store::identity::{DeviceFilter, DeviceRow};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A factory line on this machine: keys, software, a list, boards, a thief, and the books checked.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The directory of the demonstration. One that an earlier demonstration made is made anew.
    #[arg(long, default_value = "cradle-demo")]
    dir: PathBuf,
    /// Run it apart: nats-server, PostgreSQL, the supervisor and each module in a process of its own.
    #[arg(long)]
    apart: bool,
    /// With --apart: stay up when it is done, until told to end.
    #[arg(long, requires = "apart")]
    stay: bool,
    /// With --apart: how many seconds something may be away until it is given up.
    #[arg(long, requires = "apart", default_value_t = 60, value_name = "SECONDS")]
    patience: u64,
}

/// What marks a directory as that of a demonstration.
const MARK: &str = "DEMO";
const MARK_TEXT: &str =
    "A demonstration of cradle. Its keys are worth nothing, and the next demonstration removes it.\n";
/// The image of the demonstration: as long as the firmware of a small device.
const IMAGE_LEN: usize = 256 * 1024;
/// The directory of the maker's repository.
const REPOSITORY: &str = "repository";
const SENSORS: u32 = 17;
const GATEWAYS: u32 = 8;

struct Demo {
    dir: PathBuf,
    out: Output,
    installation: Installation,
    operator: OperatorName,
    seconds: Map<String, Value>,
    done: Done,
    patience_ms: u64,
    // Dropped last: nobody needs them any more then.
    servers: Option<Servers>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let out = common.out();
    let total = Stopwatch::start();
    begin(&arguments.dir)?;
    say(out, &format!("A factory line on this machine, in {} (its keys are worth nothing)\n", arguments.dir.display()));
    let watch = Stopwatch::start();
    let operator: OperatorName = parse("demo")?;
    let patience_ms = arguments.patience.saturating_mul(1000);
    let servers = if arguments.apart { Some(Servers::start(None)?) } else { None };
    let (workshop, mut maker) = make_installation(&arguments.dir, &operator, servers.as_ref())?;
    let (installation, servers) = match servers {
        Some(servers) => {
            drop(workshop);
            let data = arguments.dir.join("data");
            let servers = servers.up(&data)?;
            (patiently(patience_ms, || Installation::open(&data, None))?, Some(servers))
        }
        None => (Installation::start_for(workshop, Stay::Up)?, None),
    };
    let dir = arguments.dir.clone();
    let mut demo =
        Demo { dir, out, installation, operator, seconds: Map::new(), done: Done::default(), patience_ms, servers };
    demo.step("keys", watch, "root, factory and module authority, the modules, an operator")?;
    demo.apart();
    let (tampered, older) = demo.software(&mut maker)?;
    demo.list()?;
    demo.line("sensor", "own requests (PKCS #10)")?;
    demo.line("gateway", "vouched for by the station (CRMF)")?;
    let stolen = demo.stolen()?;
    demo.check()?;
    let replayed = demo.field(&mut maker)?;
    let network = demo.network(&stolen)?;
    let servers = demo.servers.take();
    let also = json!({
        "tampered_image": tampered.code(), "older_release": older.code(), "replayed_directions": replayed, "network": network,
    });
    demo.finish(total, also, &stolen)?;
    match servers {
        Some(servers) if arguments.stay => {
            let (_end, ended) = crate::serve::host::ending()?;
            say(out, "Everything stays up until this is told to end (Ctrl-C).");
            let _told = ended.recv();
            drop(servers);
        }
        Some(_) | None => {}
    }
    Ok(())
}

fn parse<T: std::str::FromStr<Err = model::text::BadName>>(text: &str) -> Result<T> {
    text.parse().map_err(|e| Failure::new(Exit::Failed, "demo", "a name of the demonstration is none").because(e))
}

fn say(out: Output, text: &str) {
    if out.is_human() {
        // What is told is the result here, so it goes where results go; a reader that went away is noticed at the end.
        let _noticed_at_the_end = out.print(&format!("{text}\n"));
    }
}

/// Makes the directory, in place of that of an earlier demonstration and of nothing else.
fn begin(dir: &Path) -> Result {
    if dir.exists() {
        if !dir.join(MARK).is_file() {
            return Err(Failure::new(Exit::Conflict, "exists", format!("{} is no demonstration", dir.display()))
                .because(format!("there is no file {MARK} in it, so it may be of value"))
                .next("name another directory with --dir"));
        }
        std::fs::remove_dir_all(dir).map_err(|e| Failure::file(dir, &e))?;
    }
    files::private_directory(dir).map_err(|e| Failure::file(dir, &e))?;
    let mark = dir.join(MARK);
    files::write_new(&mark, MARK_TEXT.as_bytes()).map_err(|e| Failure::file(&mark, &e))
}

fn make_installation(dir: &Path, operator: &OperatorName, servers: Option<&Servers>) -> Result<(Workshop, Maker)> {
    let places = Places::of(&dir.join("data"));
    let settings = Settings {
        organization: "Demo Devices".into(),
        maker_pen: 32473,
        name: parse("line-1")?,
        demo: true,
        store: servers.map(|servers| StoreConfig::at(servers.store.clone(), None, None)),
        bus: servers.map(|servers| BusConfig::at(servers.bus.clone())),
        gateway: Some(site::door(
            &parse(network::PROFILE)?,
            servers.map(|servers| servers.gateway).unwrap_or_default(),
        )?),
    };
    let key_type = "p256".to_owned();
    let plan = Plan { settings, operator: operator.clone(), key_type, bare: false, token: None, passphrase: None };
    let mut workshop = make(&places, &plan)?;
    let types = [
        ("sensor", include_str!("../../../device-types/sensor.toml")),
        ("gateway", include_str!("../../../device-types/gateway.toml")),
    ];
    for (name, text) in types {
        let path = places.device_types().join(format!("{name}.toml"));
        files::write_new(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    }
    site::name_here(&places)?;
    let maker = Maker::begin(dir.join(REPOSITORY), &image(6), workshop.clock.now())?;
    workshop.config.follow = Some(followed::begin(&workshop, &followed::read_root(&maker.root())?, None)?);
    Ok((workshop, maker))
}

/// The image of a release.
fn image(counter: usize) -> Vec<u8> {
    (0..IMAGE_LEN).map(|n| u8::try_from(n * n / counter % 251).unwrap_or_default()).collect()
}

const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Does something until it works, or fails for a reason that does not pass.
pub(crate) fn patiently<T>(patience_ms: u64, mut act: impl FnMut() -> Result<T>) -> Result<T> {
    let watch = Stopwatch::start();
    loop {
        match act() {
            Err(failure) if failure.exit == Exit::Unavailable && watch.ms() < patience_ms => {
                tracing::info!(code = failure.code, what = %failure.what, why = %failure.why, "again");
                std::thread::park_timeout(AGAIN_AFTER);
            }
            outcome => return outcome,
        }
    }
}

impl Demo {
    fn step(&mut self, name: &str, watch: Stopwatch, what: &str) -> Result {
        let ms = watch.ms();
        let number = self.seconds.len() + 1;
        self.seconds.insert(name.to_owned(), json!(crate::bench::number(ms) / 1000.0));
        say(self.out, &format!("  {number} {name:<10} {:>2}.{:03} s  {what}", ms / 1000, ms % 1000));
        Ok(())
    }

    fn more(&self, what: &str) {
        say(self.out, &format!("                          {what}"));
    }

    /// Who runs apart, and as which process.
    fn apart(&self) {
        if let Some(servers) = &self.servers {
            let processes: Vec<_> = servers.processes().iter().map(|(name, id)| format!("{name} {id}")).collect();
            self.more(&format!("apart: {}; kill -9 any of them", processes.join(", ")));
        }
    }

    /// Does something; where modules run apart, until it works.
    fn patiently<T>(&self, act: impl FnMut() -> Result<T>) -> Result<T> {
        let mut act = act;
        if self.servers.is_some() { patiently(self.patience_ms, act) } else { act() }
    }

    fn ask<C: Call>(&self, call: &C, doing: &str) -> Result<C::Reply> {
        self.patiently(|| self.installation.ask(call, doing))
    }

    fn order(&self, order: Order) -> Result {
        self.patiently(|| {
            self.installation.supervisor.order(order, std::slice::from_ref(&self.operator), "demonstration")?;
            self.installation.supervisor.check_running(&Module::ALL)
        })
    }

    fn write(&self, name: &str, octets: &[u8]) -> Result<PathBuf> {
        let path = self.dir.join(name);
        std::fs::write(&path, octets).map_err(|e| Failure::file(&path, &e))?;
        Ok(path)
    }

    /// A maker publishes; sm verifies all of it, countersigns and keeps it. What somebody altered, or brings again though it is older, is refused.
    fn software(&mut self, maker: &mut Maker) -> Result<(Reason, Reason)> {
        let watch = Stopwatch::start();
        self.order(Order::Stay(Mode::SoftwareImport))?;
        let (repository, old, altered) =
            (self.dir.join(REPOSITORY), self.dir.join("stick-old"), self.dir.join("stick-altered"));
        self.taken(&repository)?;
        maker.copy(&old)?;
        maker.publish(FACTORY, ("1.4.2", 7), &image(7), self.installation.workshop.clock.now())?;
        maker.copy(&altered)?;
        maker::alter(&altered)?;
        let tampered = self.refused(&altered)?;
        let bundled = self.taken(&repository)?;
        let older = self.refused(&old)?;
        let what =
            bundled.first().map_or_else(String::new, |one| format!("{}, {} KiB", one.release, one.length / 1024));
        self.step("software", watch, &format!("{what}: verified, countersigned, kept encrypted"))?;
        self.more(&format!("one bit of it changed: refused, {}", tampered.what()));
        self.more(&format!("the one before, brought again: refused, {}", older.what()));
        Ok((tampered, older))
    }

    fn import(&self, from: &Path) -> Result<Updated> {
        let path = std::fs::canonicalize(from).map_err(|e| Failure::file(from, &e))?;
        self.ask(&Update { source: Source::Directory(path.display().to_string()) }, "importing software")
    }

    fn taken(&self, from: &Path) -> Result<Vec<Bundled>> {
        match self.import(from)? {
            Updated::Kept { releases, .. } => Ok(releases),
            Updated::Refused { what, .. } => {
                Err(Failure::new(Exit::Failed, "demo", "the maker's software was refused").because(what))
            }
        }
    }

    fn refused(&self, from: &Path) -> Result<Reason> {
        match self.import(from)? {
            Updated::Refused { reason, .. } => Ok(reason),
            Updated::Kept { .. } => {
                Err(Failure::new(Exit::Failed, "demo", format!("what is in {} was taken", from.display())))
            }
        }
    }

    /// The devices that are expected, and leave for the station to vouch for gateways.
    fn list(&mut self) -> Result {
        let watch = Stopwatch::start();
        let mut text = String::from("serial,type\n");
        (1..=SENSORS).for_each(|n| text.push_str(&format!("SN1{n:06},sensor\n")));
        (1..=GATEWAYS).for_each(|n| text.push_str(&format!("SN2{n:06},gateway\n")));
        self.write("devices.csv", text.as_bytes())?;
        self.order(Order::Stay(Mode::CertificateManagement))?;
        let until = self.installation.workshop.clock.now().plus_s(86_400);
        let (name, format) = ("devices".to_owned(), ListFormat::Csv);
        let call = ImportList {
            name,
            format,
            octets: text.into_bytes().into(),
            until,
            signature: None,
            replaces: None,
            dry_run: false,
        };
        let new = match self.ask(&call, "importing the list")? {
            ListImported::Done { new, .. } => new,
            ListImported::Refused(bad) => {
                return Err(Failure::new(Exit::Failed, "demo", "the list was refused").because(format!("{bad:?}")));
            }
        };
        let station = self.installation.workshop.config.name.clone();
        let call = Entitle { station, device_type: parse("gateway")?, quota: GATEWAYS, until };
        self.ask(&call, "entitling the station")?;
        self.order(Order::Provision)?;
        self.step("list", watch, &format!("{new} devices expected; the station may vouch for {GATEWAYS} gateways"))
    }

    fn line(&mut self, name: &str, how: &str) -> Result {
        let watch = Stopwatch::start();
        let name: DeviceType = parse(name)?;
        let done = line::run_wherever(&self.installation, &name, 0, &self.operator, self.out, &mut |_| Ok(()))?;
        let what = format!("{} of {} {name}s flashed and certified, {how}", done.provisioned, done.boards);
        self.step(name.as_str(), watch, &what)?;
        for (reason, count) in &done.left {
            let words = Reason::by_code(reason).map_or(reason.as_str(), |known| known.what());
            self.more(&format!("{count} set aside: {words}"));
        }
        self.done.add(done);
        Ok(())
    }

    /// A device is stolen: nothing is given to it any more, and its certificate is on the list.
    fn stolen(&mut self) -> Result<String> {
        let watch = Stopwatch::start();
        let device = self.device("SN1000002")?;
        let certified = device.and_then(|d| Some((d.id, d.certificate?)));
        let (device, serial) =
            certified.ok_or_else(|| Failure::new(Exit::Failed, "demo", "the stolen device was not certified"))?;
        self.order(Order::Stay(Mode::CertificateManagement))?;
        self.ask(&Mark { device: device.clone(), stolen: true }, "marking the device")?;
        let call = Revoke { serial: serial.clone(), reason: RevocationReason::KeyCompromise };
        match self.ask(&call, "revoking its certificate") {
            // By a try of which nobody heard what became of it.
            Err(failure) if self.servers.is_some() && failure.code == Reason::AlreadyRevoked.code() => {}
            revoked => {
                revoked?;
            }
        }
        let crl = self.ask(&IssueCrl { authority: parse("factory")?, shard: 0, delta: false }, "signing the CRL")?;
        self.write("factory.crl", x509::pem::encode("X509 CRL", crl.crl.as_ref()).as_bytes())?;
        // The same by OCSP: what a stranger is told, of the stolen one and of its neighbour.
        let number = |text: &str| {
            x509::SerialNumber::from_hex(text).ok_or_else(|| Failure::new(Exit::Failed, "demo", "no serial number"))
        };
        let stolen = self.exchange(number(&serial)?)?;
        let neighbour = self.device("SN1000003")?.and_then(|device| device.certificate);
        let neighbour = neighbour.map(|text| number(&text)).transpose()?;
        let neighbour = neighbour.map(|number| self.exchange(number)).transpose()?;
        self.write("stolen.ocsp", &stolen.answer)?;
        self.order(Order::Provision)?;
        let what = format!(
            "{} revoked, on CRL {} of factory ({} entries); OCSP says {}, of its neighbour {}",
            device.serial,
            crl.number,
            crl.entries,
            stolen.said.status,
            neighbour.map_or("nothing", |neighbour| neighbour.said.status)
        );
        self.step("stolen", watch, &what)?;
        Ok(serial)
    }

    fn device(&self, serial: &str) -> Result<Option<DeviceRow>> {
        let filter = DeviceFilter { serial: Some(parse(serial)?), limit: 1, ..DeviceFilter::default() };
        self.patiently(|| Ok(self.installation.workshop.store.devices(&filter)?.pop()))
    }

    fn exchange(&self, number: x509::SerialNumber) -> Result<crate::cli::ocsp::Exchange> {
        self.patiently(|| crate::cli::ocsp::exchange(&self.installation, number, true))
    }

    /// All records against each other, and the certificates written out for other programs.
    fn check(&mut self) -> Result {
        let watch = Stopwatch::start();
        let workshop = &self.installation.workshop;
        let key = crate::compose::audit_key(&workshop.places)?;
        let broken = |why: String| Failure::new(Exit::Failed, "demo", "the records do not agree").because(why);
        let store = &workshop.store;
        let sound = self.patiently(|| Ok(store.check_audit(&[], &key, &mut |_| ())?))?;
        let sound = sound.map_err(|f| broken(format!("{f:?}")))?;
        let counts = self.patiently(|| Ok(store.check_deep(&mut |_| ())?))?.map_err(|f| broken(format!("{f:?}")))?;
        let chain = self.patiently(|| crate::cli::ca::chain_of(store, &parse("factory")?))?;
        let pem: String = chain.iter().map(|der| x509::pem::encode("CERTIFICATE", der)).collect();
        self.write("chain.pem", pem.as_bytes())?;
        let directory = self.dir.join("certificates");
        let exported = self.patiently(|| crate::cli::cert::export_all(store, &directory, Some(parse("factory")?)))?;
        let what = format!(
            "{} certificates, {} audit entries, all agree; {exported} certificates written out",
            counts.certificates, sound.size
        );
        self.step("check", watch, &what)
    }

    fn finish(self, total: Stopwatch, also: Value, stolen: &str) -> Result {
        let certified = self.done.provisioned;
        let rate = crate::bench::number(certified) * 1000.0 / crate::bench::number(self.done.certificates_ms.max(1));
        let ms = total.ms();
        let path = |name: &str| self.dir.join(name).display().to_string();
        let paths: BTreeMap<&str, String> = [
            ("data", "data"),
            ("chain", "chain.pem"),
            ("certificates", "certificates"),
            ("crl", "factory.crl"),
            ("list", "devices.csv"),
            ("repository", REPOSITORY),
        ]
        .into_iter()
        .map(|(what, name)| (what, path(name)))
        .collect();
        let mut said = json!({
            "boards": self.done.boards, "certified": certified, "refused": self.done.left, "revoked": stolen, "seconds": self.seconds,
            "seconds_total": crate::bench::number(ms) / 1000.0,
            "certificates_per_second": (rate * 10.0).round() / 10.0, "paths": paths,
        });
        said.as_object_mut().into_iter().for_each(|said| said.extend(also.as_object().cloned().unwrap_or_default()));
        if self.out.format() != Format::Human {
            return self.out.one(&said, String::new);
        }
        self.out.print(&closing(&self.dir, certified, self.done.boards, ms))
    }
}

fn closing(dir: &Path, certified: u64, boards: u64, ms: u64) -> String {
    let (d, cradle) = (dir.display(), program());
    format!(
        "
{certified} of {boards} boards certified; all of it in {}.{:03} s.

Next:
  # Others judge it. The certificate that is on the list must fail.
  openssl verify -crl_check -CAfile {d}/chain.pem -CRLfile {d}/factory.crl {d}/certificates/*.pem
  {cradle} --data {d}/data device show SN1000001
  {cradle} --data {d}/data station run sensor      # again: no board gets a second certificate
  {cradle} --data {d}/data audit list
  {cradle} bench paper                                     # how fast this machine is
  {cradle} init                                            # a real one
",
        ms / 1000,
        ms % 1000,
    )
}

/// What to type to run this program: as it was started, from here.
fn program() -> String {
    let started = std::env::args_os().next().map(PathBuf::from).unwrap_or_else(|| "cradle".into());
    let here = std::env::current_dir().unwrap_or_default();
    started.strip_prefix(&here).unwrap_or(&started).display().to_string()
}

impl Done {
    fn add(&mut self, other: Done) {
        self.boards += other.boards;
        self.flashed += other.flashed;
        self.provisioned += other.provisioned;
        self.software_ms += other.software_ms;
        self.certificates_ms += other.certificates_ms;
        for (reason, count) in other.left {
            *self.left.entry(reason).or_default() += count;
        }
    }
}
