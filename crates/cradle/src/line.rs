//! Conducting the line: trays of boards through the station, and the mode of the box changed between the two halves.

use crate::cli::ca;
use crate::compose::{Installation, Workshop};
use crate::fault::{Exit, Failure, Result, While};
use crate::output::Output;
use crate::progress;
use adapters::clock::Stopwatch;
use adapters::flasher::{self, FlasherConfig};
use indicatif::ProgressBar;
use model::mode::Order;
use model::{DeviceType, Fault, Mode, Module, OperatorName, Reason};
use ports::flasher::Board;
use provisioning::release::Release;
use provisioning::{DeviceTypeFile, Flashing, Outcome, Report, Setting, Station, Tray, Watch, Work};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

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

fn station(installation: &Installation, job: &Job) -> Result<Station> {
    let workshop = &installation.workshop;
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
        link: installation.supervisor.link(Module::Provisioning)?,
        store: workshop.store.clone(),
        releases: workshop.store.clone(),
        vault: workshop.vault(Module::Provisioning)?,
        entropy: workshop.entropy.clone(),
        operator: job.operator.clone(),
        device_type,
        trust_anchors,
        flash_retries: workshop.config.station.flash_retries,
        hands: HANDS,
    }))
}

/// Takes all boards of a fixture through the line, tray by tray. `told` hears of each board when its tray is done and
/// recorded.
pub(crate) fn run(
    installation: &Installation,
    job: &Job,
    out: Output,
    told: &mut dyn FnMut(&Report) -> Result,
) -> Result<Done> {
    let halves = halves(installation.supervisor.row().order)?;
    let station = station(installation, job)?;
    let mut done = Done::default();
    let mut waiting = boards(&installation.workshop, &job.device_type, job.boards_max)?;
    if waiting.is_empty() {
        return Err(Failure::new(Exit::NotFound, "no-boards", "there is no board in the fixture").next("put one in"));
    }
    enter(installation, halves.first())?;
    let release = station.release().or_fail(&format!("verifying the software for {}", job.device_type.name))?;
    let bars = Bars::new(out, waiting.len(), release.length());
    while !waiting.is_empty() {
        let rest = waiting.split_off(installation.workshop.config.station.tray_len.min(waiting.len()));
        let mut tray = Tray::new(std::mem::replace(&mut waiting, rest));
        work_on(installation, &station, &release, &mut tray, halves, &bars, &mut done)?;
        bars.tray_is_done();
        for report in tray.reports() {
            done.count(&report);
            told(&report)?;
        }
    }
    bars.finish();
    installation.supervisor.enter(halves.first())?;
    Ok(done)
}

/// Enters a mode of the line, in which all that may run must.
fn enter(installation: &Installation, mode: Mode) -> Result {
    installation.supervisor.enter(mode)?;
    installation.supervisor.check_running(&Module::ALL)
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

fn work_on(
    installation: &Installation,
    station: &Station,
    release: &Release,
    tray: &mut Tray,
    halves: Halves,
    bars: &Bars,
    done: &mut Done,
) -> Result {
    let flashing = if halves == Halves::Certificates { Flashing::Forbidden } else { Flashing::Allowed };
    enter(installation, halves.first())?;
    let watch = Stopwatch::start();
    station.software(tray, release, flashing, bars).or_fail("putting software onto the tray")?;
    done.software_ms += watch.ms();
    if halves != Halves::Software {
        enter(installation, Mode::ProvisionCertificate)?;
        let watch = Stopwatch::start();
        station.certificates(tray, bars).or_fail("certifying the tray")?;
        done.certificates_ms += watch.ms();
    }
    Ok(())
}

impl Done {
    fn count(&mut self, report: &Report) {
        self.boards += 1;
        match &report.outcome {
            Outcome::Flashed => self.flashed += 1,
            Outcome::Provisioned { .. } => {
                self.flashed += 1;
                self.provisioned += 1;
            }
            Outcome::Left { fault, .. } => {
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
    // How many octets each board of this tray has; a second try begins anew.
    tray: Mutex<BTreeMap<usize, u64>>,
    before: AtomicU64,
}

impl Bars {
    fn new(out: Output, boards: usize, image_len: u64) -> Self {
        let boards = u64::try_from(boards).unwrap_or(u64::MAX);
        Self {
            flash: progress::bytes(out, "flash", boards.saturating_mul(image_len)),
            certify: progress::bar(out, "certify", boards),
            tray: Mutex::default(),
            before: AtomicU64::new(0),
        }
    }
    fn tray_is_done(&self) {
        let tray = std::mem::take(&mut *self.tray.lock().unwrap_or_else(PoisonError::into_inner));
        self.before.fetch_add(tray.values().sum(), Ordering::Relaxed);
    }
    fn finish(&self) {
        self.flash.finish_and_clear();
        self.certify.finish_and_clear();
    }
}

impl Watch for Bars {
    fn progress(&self, board: usize, work: Work, done: u64, of: u64) {
        match work {
            Work::Flash => {
                let mut tray = self.tray.lock().unwrap_or_else(PoisonError::into_inner);
                tray.insert(board, done);
                self.flash.set_position(self.before.load(Ordering::Relaxed) + tray.values().sum::<u64>());
            }
            Work::Certify if done == of => self.certify.inc(1),
            Work::Certify | Work::Identify | Work::Key => {}
        }
    }
}
