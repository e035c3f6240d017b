//! Conducting the line: trays of boards through the station, and the mode of the box changed between the two halves.

mod afar;
mod service;

pub(crate) use service::LineService;

use crate::cli::ca;
use crate::compose::followed;
use crate::compose::{Installation, Workshop};
use crate::fault::{Exit, Failure, Result, While};
use crate::output::Output;
use crate::progress;
use adapters::clock::Stopwatch;
use adapters::flasher::{self, FlasherConfig};
use afar::{Task, run_afar};
use indicatif::ProgressBar;
use model::contract::provisioning::{BoardOutcome, BoardReport, Progress};
use model::mode::Order;
use model::{DeviceType, Fault, Mode, Module, OperatorName, Reason};
use ports::Link;
use ports::flasher::Board;
use provisioning::release::Release;
use provisioning::{DeviceTypeFile, Flashing, Outcome, Report, Setting, Station, Tray, Watch, Work};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Boards that are worked on at the same time: a person, a USB hub and a disk each bear about so many.
const HANDS: usize = 8;
/// Longest device type file that is read; the reader has its own limit.
pub(crate) const FILE_LEN_MAX: u64 = 1024 * 1024;

/// What is to be done.
pub(crate) struct Job {
    pub(crate) device_type: DeviceTypeFile,
    pub(crate) operator: OperatorName,
    pub(crate) boards_max: usize,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    pub(crate) boards: u64,
    pub(crate) flashed: u64,
    pub(crate) provisioned: u64,
    pub(crate) left: BTreeMap<String, u64>,
    pub(crate) software_ms: u64,
    pub(crate) certificates_ms: u64,
    /// Boards that were provisioned by an earlier run.
    pub(crate) done_before: u64,
    /// The first board that left the line for another reason, for the exit status.
    pub(crate) first_fault: Option<Fault>,
}

/// Reads the file of a device type.
pub(crate) fn device_type(workshop: &Workshop, name: &DeviceType) -> Result<DeviceTypeFile> {
    let path = workshop.places.device_types().join(format!("{name}.toml"));
    let octets = adapters::files::read_bounded(&path, FILE_LEN_MAX).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(Exit::NotFound, "device-type-unknown", format!("there is no device type {name}"))
                .because(format!("{} does not exist", path.display()))
                .next("list them with `cradle station types`, or write its file")
        }
        _ => Failure::file(&path, &e),
    })?;
    let bad = |why: String| {
        Failure::new(Exit::Usage, "device-type", format!("{} is no device type", path.display()))
            .because(why)
            .next("correct the place that is named")
    };
    let text = String::from_utf8(octets).map_err(|e| bad(e.to_string()))?;
    DeviceTypeFile::read(name.clone(), &text).map_err(|e| bad(e.to_string()))
}

/// The boards in the fixture of a device type.
fn boards(workshop: &Workshop, device_type: &DeviceTypeFile, max: usize) -> Result<Vec<Box<dyn Board>>> {
    let bad = |why: String| {
        Failure::new(Exit::Usage, "device-type", format!("the fixture of {} cannot be used", device_type.name))
            .because(why)
            .next(format!("correct [flasher] in device-types/{}.toml, or look at the fixture", device_type.name))
    };
    let config: FlasherConfig =
        toml::Value::Table(device_type.flasher.clone()).try_into().map_err(|e: toml::de::Error| bad(e.to_string()))?;
    let work = workshop.places.data().join("work");
    adapters::files::private_directory(&work).map_err(|e| Failure::file(&work, &e))?;
    // Where the file really is: a link to it leaves its programs and lines where they are.
    let file = workshop.places.device_types().join(format!("{}.toml", device_type.name));
    let file = std::fs::canonicalize(&file).map_err(|e| Failure::file(&file, &e))?;
    let base = file.parent().unwrap_or(&file);
    // Programs run elsewhere, so what they are told of begins at the root.
    let work = std::fs::canonicalize(&work).map_err(|e| Failure::file(&work, &e))?;
    let fixture = flasher::open(&config, base, &work, workshop.clock.clone());
    fixture.and_then(|fixture| fixture.boards(max)).map_err(|e| bad(e.to_string()))
}

/// Who changes the mode for the line.
pub(crate) trait Conductor {
    /// What the operator ordered.
    fn order(&self) -> Result<Order>;
    /// Enters a mode of the line, in which all that may run must.
    fn enter(&self, mode: Mode) -> Result;
    /// pm's end of the bus.
    fn link(&self) -> Result<Arc<Link>>;
}

impl Conductor for Installation {
    fn order(&self) -> Result<Order> {
        Ok(self.supervisor.row().order)
    }
    fn enter(&self, mode: Mode) -> Result {
        self.supervisor.enter(mode)?;
        self.supervisor.check_running(&Module::ALL)
    }
    fn link(&self) -> Result<Arc<Link>> {
        self.supervisor.link(Module::Provisioning)
    }
}

fn station(workshop: &Workshop, conductor: &dyn Conductor, job: &Job) -> Result<Station> {
    let device_type = job.device_type.clone();
    let profiles = crate::compose::profiles(&workshop.places)?;
    let issuer = profiles.get(&device_type.profile).and_then(|profile| profile.issuers().first()).ok_or_else(|| {
        Failure::new(Exit::NotFound, "profile-unknown", format!("there is no profile {}", device_type.profile))
            .next("list them with `cradle profile list`")
    })?;
    // Root first, as devices read them.
    let chain = ca::chain_of(&workshop.store, issuer)?;
    let trust_anchors = chain.iter().rev().map(|der| x509::pem::encode("CERTIFICATE", der)).collect();
    Ok(Station::new(Setting {
        link: conductor.link()?,
        store: workshop.store.clone(),
        releases: workshop.store.clone(),
        primary: followed::primary(&workshop.places, &workshop.config)?,
        vault: workshop.vault(Module::Provisioning)?,
        entropy: workshop.entropy.clone(),
        operator: job.operator.clone(),
        device_type,
        trust_anchors,
        flash_retries: workshop.config.station.flash_retries,
        hands: HANDS,
    }))
}

/// Takes the boards of a fixture through the line, wherever pm is; 0 boards are all of them.
pub(crate) fn run_wherever(
    installation: &Installation,
    name: &DeviceType,
    boards: usize,
    operator: &OperatorName,
    out: Output,
    told: &mut dyn FnMut(BoardReport) -> Result,
) -> Result<Done> {
    let device_type = device_type(&installation.workshop, name)?;
    if let Some(remote) = installation.remote() {
        halves(installation.supervisor.row().order)?;
        let boards_max = if boards == 0 { None } else { Some(u32::try_from(boards).unwrap_or(u32::MAX)) };
        let task = Task { device_type: name, operator, boards_max };
        return run_afar((&installation.workshop, remote), &task, out, told);
    }
    let boards_max = if boards == 0 { usize::MAX } else { boards };
    run(installation, &Job { device_type, operator: operator.clone(), boards_max }, out, told)
}

/// Takes all boards of a fixture through the line in this process, and shows how it goes.
pub(crate) fn run(
    installation: &Installation,
    job: &Job,
    out: Output,
    told: &mut dyn FnMut(BoardReport) -> Result,
) -> Result<Done> {
    let bars = Bars::new(out);
    let mut done = Done::default();
    let mut count = |report: BoardReport| {
        done.count(&report);
        told(report)
    };
    let watched = |flash, certify| bars.show(flash, certify);
    let times = conduct(&installation.workshop, installation, job, &watched, &mut count)?;
    bars.finish();
    (done.software_ms, done.certificates_ms) = (times.software_ms, times.certificates_ms);
    Ok(done)
}

/// How long the halves of the line took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    software_ms: u64,
    certificates_ms: u64,
}

/// Hears how much is flashed and certified.
type Watched<'a> = &'a (dyn Fn(Progress, Progress) + Sync);

/// Takes all boards of a fixture through the line, tray by tray. `told` hears of each board when its tray is done and
/// recorded.
fn conduct(
    workshop: &Workshop,
    conductor: &dyn Conductor,
    job: &Job,
    watched: Watched<'_>,
    told: &mut dyn FnMut(BoardReport) -> Result,
) -> Result<Times> {
    let halves = halves(conductor.order()?)?;
    let station = station(workshop, conductor, job)?;
    let mut waiting = boards(workshop, &job.device_type, job.boards_max)?;
    if waiting.is_empty() {
        return Err(Failure::new(Exit::NotFound, "no-boards", "there is no board in the fixture").next("put one in"));
    }
    conductor.enter(halves.first())?;
    let release = station.release().or_fail(&format!("verifying the software for {}", job.device_type.name))?;
    let counted = Counted::new(watched, waiting.len(), release.length());
    let mut way = Way { conductor, station, release, halves, counted, times: Times::default() };
    while !waiting.is_empty() {
        let rest = waiting.split_off(workshop.config.station.tray_len.min(waiting.len()));
        let mut tray = Tray::new(std::mem::replace(&mut waiting, rest));
        way.work_on(&mut tray)?;
        for report in tray.reports() {
            told(as_told(report))?;
        }
    }
    conductor.enter(halves.first())?;
    Ok(way.times)
}

fn as_told(report: Report) -> BoardReport {
    let Report { board, serial, device, outcome } = report;
    let outcome = match outcome {
        Outcome::Flashed => BoardOutcome::Flashed,
        Outcome::Provisioned { certificate } => BoardOutcome::Provisioned { certificate },
        Outcome::Left { fault, detail } => BoardOutcome::Left { fault, detail },
    };
    BoardReport { board, serial, device, outcome }
}

/// Which halves of the line the operator's order lets run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Halves {
    Both,
    Software,
    Certificates,
}

impl Halves {
    const fn first(self) -> Mode {
        match self {
            Self::Both | Self::Software => Mode::ProvisionSoftware,
            Self::Certificates => Mode::ProvisionCertificate,
        }
    }
}

fn halves(order: Order) -> Result<Halves> {
    match order {
        Order::Provision => Ok(Halves::Both),
        Order::Stay(Mode::ProvisionSoftware) => Ok(Halves::Software),
        Order::Stay(Mode::ProvisionCertificate) => Ok(Halves::Certificates),
        Order::Stay(mode) => {
            let reason = if mode == Mode::Sealed { Reason::Sealed } else { Reason::ModuleOff };
            Err(Fault::Refused(reason)).or_fail("running the line").map_err(|f: Failure| {
                f.next(
                    "order a mode for it: `cradle mode set provision` (or provision-software, provision-certificate)",
                )
            })
        }
    }
}

/// The way of trays through the line.
struct Way<'a> {
    conductor: &'a dyn Conductor,
    station: Station,
    release: Release,
    halves: Halves,
    counted: Counted<'a>,
    times: Times,
}

impl Way<'_> {
    fn work_on(&mut self, tray: &mut Tray) -> Result {
        let flashing = if self.halves == Halves::Certificates { Flashing::Forbidden } else { Flashing::Allowed };
        self.conductor.enter(self.halves.first())?;
        let watch = Stopwatch::start();
        let flashed = self.station.software(tray, &self.release, flashing, &self.counted);
        flashed.or_fail("putting software onto the tray")?;
        self.times.software_ms += watch.ms();
        if self.halves != Halves::Software {
            self.conductor.enter(Mode::ProvisionCertificate)?;
            let watch = Stopwatch::start();
            self.station.certificates(tray, &self.counted).or_fail("certifying the tray")?;
            self.times.certificates_ms += watch.ms();
        }
        self.counted.tray_is_done();
        Ok(())
    }
}

impl Done {
    fn count(&mut self, report: &BoardReport) {
        self.boards += 1;
        match &report.outcome {
            BoardOutcome::Flashed => self.flashed += 1,
            BoardOutcome::Provisioned { .. } => {
                self.flashed += 1;
                self.provisioned += 1;
            }
            BoardOutcome::Left { fault, .. } => {
                *self.left.entry(fault.code().to_owned()).or_default() += 1;
                if *fault == Fault::Refused(Reason::AlreadyProvisioned) {
                    // Who runs the station again wants the rest done; that this one is, is no news.
                    self.done_before += 1;
                } else {
                    self.first_fault.get_or_insert_with(|| fault.clone());
                }
            }
        }
    }
}

/// Two bars: octets flashed, boards certified.
struct Bars {
    flash: ProgressBar,
    certify: ProgressBar,
}

impl Bars {
    fn new(out: Output) -> Self {
        Self { flash: progress::bytes(out, "flash", 0), certify: progress::bar(out, "certify", 0) }
    }
    fn show(&self, flash: Progress, certify: Progress) {
        for (bar, shown) in [(&self.flash, flash), (&self.certify, certify)] {
            bar.set_length(shown.of);
            bar.set_position(shown.done);
        }
    }
    fn finish(&self) {
        self.flash.finish_and_clear();
        self.certify.finish_and_clear();
    }
}

/// Counts what is done, over all trays.
struct Counted<'a> {
    watched: Watched<'a>,
    so_far: Mutex<SoFar>,
}

struct SoFar {
    flash: Progress,
    certify: Progress,
    // How many octets each board of this tray has; a second try begins anew.
    tray: BTreeMap<usize, u64>,
    before: u64,
}

impl<'a> Counted<'a> {
    fn new(watched: Watched<'a>, boards: usize, image_len: u64) -> Self {
        let boards = u64::try_from(boards).unwrap_or(u64::MAX);
        let flash = Progress { done: 0, of: boards.saturating_mul(image_len) };
        let certify = Progress { done: 0, of: boards };
        Self { watched, so_far: Mutex::new(SoFar { flash, certify, tray: BTreeMap::new(), before: 0 }) }
    }
    fn tray_is_done(&self) {
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.before = so_far.flash.done;
        so_far.tray.clear();
    }
}

impl Watch for Counted<'_> {
    fn progress(&self, board: usize, work: Work, done: u64, of: u64) {
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        match work {
            Work::Flash => {
                so_far.tray.insert(board, done);
                so_far.flash.done = so_far.before + so_far.tray.values().sum::<u64>();
            }
            Work::Certify if done == of => so_far.certify.done += 1,
            Work::Certify | Work::Identify | Work::Key => return,
        }
        (self.watched)(so_far.flash, so_far.certify);
    }
}
