//! Certificates from request to durable record.

use super::boards::{Kind, requests};
use super::limit::{IssueLimit, cores, fsync_ns};
use super::{Measurement, Said, Scratch, cpu_ns, number, octets_in, peak_memory, per_s, rounded};
use crate::cli::init::{Plan, Settings, make};
use crate::compose::{Installation, Workshop};
use crate::config::{BusConfig, GatewayConfig, Places, StoreConfig};
use crate::demo::patiently;
use crate::fault::{Exit, Failure, Result, While};
use crate::mode::{Stay, Ticking};
use crate::servers::Servers;
use adapters::clock::Stopwatch;
use adapters::store::sql::Database;
use issue::{Issuer, Profile};
use model::contract::BATCH_LEN_MAX;
use model::contract::authority::{Answer, Certified, Certify, CertifyRequest, GrantOffer};
use model::mode::Order;
use model::{Fault, Mode, Module, ProfileName};
use ports::Link;
use ports::store::AuthorityStore;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use x509::{Certificate, KeyType};

/// Certificates from request to durable record, over the signed local bus and SQLite FULL.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Certificates in each measurement.
    #[arg(long, default_value_t = 30_000)]
    count: u64,
    /// Requests in one message; as many as it may have if not given.
    #[arg(long, default_value_t = BATCH_LEN_MAX)]
    batch: usize,
    /// Clients that ask at the same time; four for each core if not given.
    #[arg(long)]
    clients: Option<usize>,
    #[command(flatten)]
    backing: Backing,
    /// A directory on the disk to be measured; a directory in it is made and removed.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Only measurements whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// What messages go over, and where records are.
#[derive(clap::Args, Clone)]
pub(crate) struct Backing {
    /// What messages go over: all in one process, or km in a process of its own behind nats-server, which is started.
    #[arg(long, value_enum, default_value = "local")]
    bus: BusKind,
    /// Keep the records at PostgreSQL: at the server of this URL, in a database that is made and removed; or `postgres`
    /// for a server that is started for it.
    #[arg(long, value_name = "URL", default_value_if("bus", "nats", "postgres"))]
    store: Option<String>,
    /// With --bus nats: processes of km.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    authorities: usize,
}

/// What messages go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum BusKind {
    /// Within this process.
    Local,
    /// nats-server.
    Nats,
}

/// The word for a server that is started.
const OWN_SERVER: &str = "postgres";

/// An installation that certifies, in a directory of its own.
pub(crate) struct Rig {
    // Ends first: it asks for leases.
    _leased: Option<Ticking>,
    pub(crate) installation: Installation,
    pub(crate) station: Arc<Link>,
    profile: ProfileName,
    _servers: Option<Servers>,
    _scratch: Option<Scratch>,
    // Dropped last: nobody is connected to it then.
    _database: Option<Database>,
}

/// How often the station asks for a lease where it is not given one.
const LEASE_AGAIN_MS: u64 = 5_000;

impl Rig {
    /// Makes the installation, in the mode in which devices are certified; it is removed in the end.
    pub(crate) fn new(dir: &Path, key_type: KeyType, backing: &Backing) -> Result<Self> {
        let scratch = Scratch::new(dir)?;
        let data = scratch.0.join("data");
        let is_apart = backing.bus == BusKind::Nats;
        let own = backing.store.as_deref() == Some(OWN_SERVER);
        let url = backing.store.clone().filter(|_| !own);
        let database = url.as_deref().map(Database::make).transpose()?;
        let made = database.as_ref().map(Database::url);
        let servers = if is_apart || own { Some(Servers::start(made.clone())?) } else { None };
        let url = servers.as_ref().map(|servers| servers.store.clone()).or(made);
        let store = url.map(|url| StoreConfig::at(url, None, None));
        let bus = servers.as_ref().filter(|_| is_apart).map(|servers| {
            let bus = BusConfig::at(servers.bus.clone());
            BusConfig { authorities: backing.authorities, ..bus }
        });
        let mut rig = Self::made(&data, key_type, (store, bus, None), servers)?;
        (rig._scratch, rig._database) = (Some(scratch), database);
        Ok(rig)
    }

    /// The same, all in one process, with a gateway.
    pub(crate) fn with_door(dir: &Path, key_type: KeyType, gateway: GatewayConfig) -> Result<Self> {
        let scratch = Scratch::new(dir)?;
        let mut rig = Self::made(&scratch.0.join("data"), key_type, (None, None, Some(gateway)), None)?;
        rig._scratch = Some(scratch);
        Ok(rig)
    }

    /// The same in a directory that stays, all in one process.
    pub(crate) fn kept(data: &Path, key_type: KeyType) -> Result<Self> {
        Self::made(data, key_type, (None, None, None), None)
    }

    fn made(
        data: &Path,
        key_type: KeyType,
        (store, bus, gateway): (Option<StoreConfig>, Option<BusConfig>, Option<GatewayConfig>),
        servers: Option<Servers>,
    ) -> Result<Self> {
        let places = Places::of(data);
        let name = "bench".parse().map_err(|e| Failure::new(Exit::Failed, "bench", "no name").because(e))?;
        let operator = "bench".parse().map_err(|e| Failure::new(Exit::Failed, "bench", "no name").because(e))?;
        let is_apart = bus.is_some();
        let stay = if gateway.is_some() { Stay::Up } else { Stay::Command };
        let settings =
            Settings { organization: "Bench".into(), maker_pen: 32473, name, demo: true, store, bus, gateway };
        let plan =
            Plan { settings, operator, key_type: key_type.to_string(), bare: false, token: None, passphrase: None };
        let workshop = make(&places, &plan)?;
        let (installation, servers) = match servers {
            Some(servers) if is_apart => {
                drop(workshop);
                let servers = servers.up(data)?;
                (patiently(UP_WITHIN_MS, || Installation::open(data, None))?, Some(servers))
            }
            servers => (Installation::start_for(workshop, stay)?, servers),
        };
        installation.supervisor.order(
            Order::Stay(Mode::ProvisionCertificate),
            std::slice::from_ref(&plan.operator),
            "benchmark",
        )?;
        installation.supervisor.check_running(&[Module::Authority])?;
        let station = installation.supervisor.link(Module::Provisioning)?;
        let leased = Arc::clone(&station);
        let leased = is_apart.then(|| {
            Ticking::every(LEASE_AGAIN_MS, "lease", move || {
                let _asked_again_soon = leased.ask_lease();
            })
        });
        let profile = "idevid".parse().map_err(|e| Failure::new(Exit::Failed, "bench", "no profile").because(e))?;
        let _leased = leased.transpose()?;
        Ok(Self { _leased, installation, station, profile, _servers: servers, _scratch: None, _database: None })
    }

    /// An installation that was made by [`Rig::kept`] before.
    pub(crate) fn again(common: &crate::cli::Common, data: &Path) -> Result<Self> {
        let installation = Installation::open(data, common.passphrase_file.as_deref())?;
        let station = installation.supervisor.link(Module::Provisioning)?;
        let profile = "idevid".parse().map_err(|e| Failure::new(Exit::Failed, "bench", "no profile").because(e))?;
        Ok(Self { _leased: None, installation, station, profile, _servers: None, _scratch: None, _database: None })
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.installation.workshop
    }

    /// Makes requests, and leaves the grants that they need.
    pub(crate) fn requests(
        &self,
        series: &str,
        count: u64,
        key_type: KeyType,
        kind: Kind,
    ) -> Result<Vec<CertifyRequest>> {
        let now = self.workshop().clock.now();
        let requests = requests(series, count, key_type, kind, &self.profile, now)?;
        let until = now.plus_s(86_400);
        let offer =
            |r: &CertifyRequest| GrantOffer { subject: r.subject.clone(), profile: r.profile.clone(), until, quota: 1 };
        for batch in requests.chunks(BATCH_LEN_MAX) {
            let offers: Vec<_> = batch.iter().map(offer).collect();
            self.workshop().store.deposit("bench", &offers, now)?;
        }
        if kind == Kind::CrmfVouched {
            let bench = "bench".parse().map_err(|e| Failure::new(Exit::Failed, "bench", "no type").because(e))?;
            self.workshop().store.entitle(&self.workshop().config.name, &bench, u32::MAX, until, now)?;
        }
        Ok(requests)
    }

    /// The limit for these requests.
    pub(crate) fn limit(&self, key_type: KeyType, kind: Kind) -> Result<IssueLimit> {
        let profiles = self.workshop().authority_setting()?.profiles;
        let profile: &Arc<Profile> = profiles
            .get(&self.profile)
            .ok_or_else(|| Failure::new(Exit::Failed, "bench", "the profile idevid is missing"))?;
        let rows = self.workshop().store.authorities()?;
        let factory = rows.iter().find(|row| row.name.as_str() == "factory");
        let issuer = factory.and_then(|row| Issuer::of(row.name.clone(), &Certificate::decode(&row.certificate).ok()?));
        let issuer = issuer.ok_or_else(|| Failure::new(Exit::Failed, "bench", "the factory authority is missing"))?;
        IssueLimit::new(key_type, kind, profile, issuer)
    }
}

/// How long the processes of a box may take until they answer.
const UP_WITHIN_MS: u64 = 60_000;

/// Asks for certificates; all must be given.
pub(crate) fn certify(link: &Link, requests: Vec<CertifyRequest>) -> Result<Certified> {
    let certified = link.call(&Certify { requests }).or_fail("certifying")?;
    let failed = certified.answers.iter().find_map(|answer| match answer {
        Answer::Issued { .. } => None,
        Answer::Failed(fault) => Some(fault.clone()),
    });
    match failed {
        None => Ok(certified),
        Some(fault) => Err(fault).or_fail("certifying"),
    }
}

/// Has all requests certified by clients at the same time. Gives the duration of the whole and of each call, in
/// nanoseconds.
fn drive(link: &Link, requests: Vec<CertifyRequest>, batch: usize, clients: usize) -> Result<(u64, Vec<u64>)> {
    let batches: Vec<Vec<CertifyRequest>> = requests.chunks(batch).map(<[_]>::to_vec).collect();
    let queue = Mutex::new(batches.into_iter().rev().collect::<Vec<_>>());
    let durations = Mutex::new(Vec::new());
    let watch = Stopwatch::start();
    let outcomes: Vec<Result> = std::thread::scope(|scope| {
        let client = || {
            loop {
                let Some(requests) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop() else { return Ok(()) };
                let call = Stopwatch::start();
                certify(link, requests)?;
                durations.lock().unwrap_or_else(PoisonError::into_inner).push(call.ns());
            }
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let broken = || Err(Fault::unavailable("a client broke down")).or_fail("certifying");
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| broken())).collect()
    });
    let ns = watch.ns();
    outcomes.into_iter().collect::<Result<Vec<()>>>()?;
    Ok((ns, durations.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

pub(crate) fn run(said: &mut Said, arguments: &Arguments) -> Result {
    if !(1..=BATCH_LEN_MAX).contains(&arguments.batch) || arguments.count == 0 {
        return Err(Failure::new(Exit::Usage, "usage", "--batch is from 1 to 512, --count at least 1"));
    }
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let kinds = [Kind::Csr, Kind::Crmf, Kind::CrmfVouched];
        let name = |kind: Kind| format!("issue {key_type} {}", kind.name());
        let one = format!("issue {key_type} csr, one at a time");
        let wanted: Vec<_> = kinds.into_iter().filter(|kind| name(*kind).contains(&arguments.only)).collect();
        if wanted.is_empty() && !one.contains(&arguments.only) {
            continue;
        }
        for kind in wanted {
            said.doing(&format!("{}: {} certificates", name(kind), arguments.count));
            said.say(many(&name(kind), key_type, kind, arguments)?)?;
        }
        if one.contains(&arguments.only) {
            said.say(single(&one, key_type, arguments)?)?;
        }
    }
    Ok(())
}

/// Many clients, many requests.
fn many(name: &str, key_type: KeyType, kind: Kind, arguments: &Arguments) -> Result<Measurement> {
    let rig = Rig::new(&arguments.dir, key_type, &arguments.backing)?;
    let warm = rig.requests("WARM", 512, key_type, kind)?;
    let requests = rig.requests("SN", arguments.count, key_type, kind)?;
    let limit = rig.limit(key_type, kind)?;
    let clients = arguments.clients.unwrap_or(4 * cores());
    drive(&rig.station, warm, arguments.batch, clients)?;
    // The limit before and behind, because a shared machine is not the same a second later.
    let before = limit.per_s(700)?;
    let cpu = cpu_ns();
    let (ns, durations) = drive(&rig.station, requests, arguments.batch, clients)?;
    let cpu = cpu_ns().saturating_sub(cpu);
    let behind = limit.per_s(700)?;
    let measured = per_s(arguments.count, ns);
    let mut measurement =
        Measurement::of(name, Some(f64::midpoint(before, behind)), Some(measured)).with_durations(durations);
    measurement.core_us = Some(rounded(number(cpu) / number(arguments.count) / 1000.0, 10.0));
    measurement.rss_bytes = peak_memory();
    measurement.disk_bytes = Some(octets_in(rig.workshop().places.data()));
    Ok(measurement)
}

/// One client, one request at a time. The limit is one fsync and the primitives on one core.
fn single(name: &str, key_type: KeyType, arguments: &Arguments) -> Result<Measurement> {
    let rig = Rig::new(&arguments.dir, key_type, &arguments.backing)?;
    let count = arguments.count.min(300);
    let requests = rig.requests("ONE", count, key_type, Kind::Csr)?;
    let limit = rig.limit(key_type, Kind::Csr)?;
    let fsync = fsync_ns(&arguments.dir)?;
    let primitives = 1e9 / (limit.per_s(300)? / number(u64::try_from(cores()).unwrap_or(1)));
    let (ns, durations) = drive(&rig.station, requests, 1, 1)?;
    let limit_per_s = 1e9 / (number(fsync) + primitives);
    Ok(Measurement::of(name, Some(limit_per_s), Some(per_s(count, ns))).with_durations(durations))
}
