//! What an installation looks like now: its authorities, what expires when, what needs somebody's attention.
//!
//! Reads only, beside whoever writes.

mod findings;
mod following;
mod makers;
mod moments;

pub(crate) use findings::{FINDINGS, Finding, Severity, disk, of_marks};
pub(crate) use makers::MakerNow;

use crate::compose::{self, MODULE_AUTHORITY};
use crate::config::{Config, Places};
use crate::fault::Result;
use crate::machine;
use adapters::store::sql::Purged;
use adapters::store::sql::survey::{Devices, LastList, Tally, Totals, room};
use adapters::store::{SqlStore, marks};
use model::{Entity, Module, UnixTime};
use moments::{said, said_if};
use ports::store::authority::AuthorityRow;
use ports::store::foreign::{ForeignState, ForeignStore};
use ports::store::{AuthorityStore, ModeStore};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use utoipa::ToSchema;
use x509::Certificate;

/// Intents that are counted without being asked: a tenth of a second.
pub(crate) const COUNTED_MAX: u64 = 100_000;
/// Rows that are read at a time, so that nobody waits for a reader to end.
pub(crate) const PAGE: u32 = 10_000;
/// How far ahead the horizon looks, in days.
pub(crate) const HORIZON_DAYS: [u64; 3] = [30, 90, 365];
pub(crate) const DAY_S: u64 = 86_400;

/// Whether everything is counted, however long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Only if there are few.
    Few,
    /// All.
    All,
}

/// What an installation looks like.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Survey {
    #[serde(serialize_with = "said")]
    #[schema(value_type = String)]
    pub(crate) at: UnixTime,
    pub(crate) version: &'static str,
    pub(crate) name: String,
    pub(crate) organization: String,
    pub(crate) data: String,
    pub(crate) demo: bool,
    /// The process that writes at this moment.
    pub(crate) held_by: Option<machine::Holder>,
    pub(crate) mode: Option<ModeNow>,
    pub(crate) authorities: Vec<AuthorityNow>,
    pub(crate) modules: Vec<HolderNow>,
    pub(crate) operators: Vec<HolderNow>,
    pub(crate) horizon: Vec<Horizon>,
    pub(crate) devices: Option<DevicesNow>,
    pub(crate) signatures: u64,
    pub(crate) open_intents: u64,
    /// Whether it was restored from a backup, and issues nothing yet.
    pub(crate) quarantined: bool,
    pub(crate) marks: MarksNow,
    pub(crate) audit: AuditNow,
    pub(crate) disk: DiskNow,
    /// What `cradle purge` would take out, if the settings say how long things are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purgeable: Option<PurgeableNow>,
    /// How sm follows repositories by itself, if the settings want it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) following: Option<following::FollowingNow>,
    /// Who made devices, and gave them a certificate that is proof here.
    pub(crate) makers: Vec<MakerNow>,
    pub(crate) findings: Vec<Finding>,
}

/// The high-water marks: what a restore needs beside the backup.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MarksNow {
    pub(crate) directory: String,
    pub(crate) there: bool,
    /// The audit entry at which they began anew, if they were gone and no backup was taken since.
    pub(crate) lost_at: Option<u64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModeNow {
    pub(crate) order: String,
    pub(crate) mode: String,
    pub(crate) changing_to: Option<String>,
    pub(crate) epoch: u64,
    pub(crate) awake: Vec<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AuthorityNow {
    pub(crate) name: String,
    pub(crate) issuer: Option<String>,
    /// How many stand above it.
    pub(crate) depth: usize,
    pub(crate) key_type: String,
    pub(crate) key: String,
    #[serde(serialize_with = "said_if")]
    #[schema(value_type = Option<String>)]
    pub(crate) not_after: Option<UnixTime>,
    pub(crate) crl: Option<ListNow>,
    pub(crate) certificates: Option<TallyNow>,
    /// Requests of which it is not known what this foreign authority made of them.
    #[serde(skip_serializing_if = "is_none")]
    pub(crate) unsettled: usize,
}

// The signature is serde's.
const fn is_none(n: &usize) -> bool {
    *n == 0
}

impl AuthorityNow {
    /// Whether its key is with somebody else, who makes the lists too.
    pub(crate) fn is_foreign(&self) -> bool {
        self.key.starts_with(ports::keystore::FOREIGN)
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ListNow {
    pub(crate) number: u64,
    #[serde(serialize_with = "said")]
    #[schema(value_type = String)]
    pub(crate) this_update: UnixTime,
    #[serde(serialize_with = "said")]
    #[schema(value_type = String)]
    pub(crate) next_update: UnixTime,
    pub(crate) octets: u64,
    pub(crate) overdue: bool,
}

#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(crate) struct TallyNow {
    pub(crate) unconfirmed: u64,
    pub(crate) confirmed: u64,
    pub(crate) revoked: u64,
    pub(crate) rejected: u64,
    pub(crate) closed: u64,
}

/// A module or an operator, by the certificate that lasts longest.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HolderNow {
    pub(crate) name: String,
    #[serde(serialize_with = "said")]
    #[schema(value_type = String)]
    pub(crate) not_after: UnixTime,
    pub(crate) serial: String,
}

/// What expires within so many days and has not expired yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Horizon {
    pub(crate) within_days: u64,
    pub(crate) authorities: Vec<String>,
    pub(crate) modules: Vec<String>,
    pub(crate) operators: Vec<String>,
    /// Certificates of devices; none if there are too many to count without being asked.
    pub(crate) devices: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct DevicesNow {
    pub(crate) planned: u64,
    pub(crate) made: u64,
    pub(crate) provisioned: u64,
    pub(crate) stolen: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AuditNow {
    pub(crate) entries: u64,
    #[serde(serialize_with = "said")]
    #[schema(value_type = String)]
    pub(crate) latest: UnixTime,
    /// The root in the last signed checkpoint, base64.
    pub(crate) root: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct DiskNow {
    pub(crate) database_octets: u64,
    pub(crate) wal_octets: u64,
    pub(crate) vault_octets: u64,
    pub(crate) free_octets: Option<u64>,
    pub(crate) total_octets: Option<u64>,
    /// The disk of the high-water marks, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marks: Option<RoomNow>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct PurgeableNow {
    #[serde(serialize_with = "said")]
    #[schema(value_type = String)]
    pub(crate) before: UnixTime,
    pub(crate) certificates: u64,
    pub(crate) lists: u64,
    pub(crate) requests: u64,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct RoomNow {
    pub(crate) free_octets: u64,
    pub(crate) total_octets: u64,
}

/// What takes longer the more is stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    tallies: BTreeMap<u64, Tally>,
    devices: Devices,
    /// Certificates of devices that expire within each of [`HORIZON_DAYS`], if they were looked at.
    expiring: Option<[u64; HORIZON_DAYS.len()]>,
}

impl Counted {
    /// Walks intents and devices; and certificates, which takes longest, if that is wanted.
    pub(crate) fn of(store: &SqlStore, now: UnixTime, with_expiry: bool) -> Result<Self> {
        let expiring = if with_expiry { Some(expiring(store, now)?) } else { None };
        Ok(Self { tallies: store.tally()?, devices: store.count_devices()?, expiring })
    }
}

/// Counts the certificates of devices that expire soon.
fn expiring(store: &SqlStore, now: UnixTime) -> Result<[u64; HORIZON_DAYS.len()]> {
    let modules = module_authority_row(&store.authorities()?);
    let mut counts = HORIZON_DAYS.map(|_| 0);
    let mut after = Some(0);
    while let Some(from) = after {
        after = store.pass(from, PAGE, |passing| {
            if passing.revoked || Some(passing.authority) == modules {
                return;
            }
            let Some(not_after) = device_not_after(passing.der) else { return };
            for (count, days) in counts.iter_mut().zip(HORIZON_DAYS) {
                *count += u64::from(not_after > now && not_after <= now.plus_s(days * DAY_S));
            }
        })?;
    }
    Ok(counts)
}

impl Survey {
    /// Looks at an installation.
    pub(crate) fn take(data: &Path, now: UnixTime, counting: Counting) -> Result<Self> {
        let config = Config::read(data)?;
        let store = crate::compose::open_to_read(data)?;
        let totals = store.totals()?;
        let few = counting == Counting::All || totals.intents <= COUNTED_MAX;
        let counted = if few { Some(Counted::of(&store, now, true)?) } else { None };
        Self::with(data, &config, &store, now, &totals, counted.as_ref())
    }

    /// The same, of what was counted already.
    pub(crate) fn with(
        data: &Path,
        config: &Config,
        store: &SqlStore,
        now: UnixTime,
        totals: &Totals,
        counted: Option<&Counted>,
    ) -> Result<Self> {
        let authorities = authorities(store, now, counted)?;
        let (modules, operators) = holders(store)?;
        let mut survey = Self {
            at: now,
            version: env!("CARGO_PKG_VERSION"),
            name: config.name.to_string(),
            organization: config.organization.clone(),
            data: data.display().to_string(),
            demo: config.demo,
            held_by: machine::holder(&data.join("lock")),
            mode: if config.bus.is_some() { mode(&compose::open_box_to_read(data)?)? } else { mode(store)? },
            horizon: horizon(now, &authorities, &modules, &operators, counted.and_then(|c| c.expiring)),
            authorities,
            modules,
            operators,
            devices: counted.map(|c| DevicesNow::of(c.devices)),
            signatures: totals.intents,
            open_intents: totals.open_intents,
            quarantined: store.is_quarantined()?,
            marks: marks(data, config, store)?,
            audit: audit(store, totals)?,
            disk: disk_now(data, config, totals),
            purgeable: purgeable(config, store, now, counted.is_some())?,
            following: following::following(config, store, now)?,
            makers: makers::makers(store)?,
            findings: Vec::new(),
        };
        survey.findings = findings::of(&survey);
        Ok(survey)
    }
}

/// When a certificate expires, unless it is an authority's.
pub(crate) fn device_not_after(der: &[u8]) -> Option<UnixTime> {
    let certificate = Certificate::decode(der).ok()?;
    let is_authority = certificate.basic_constraints().is_some_and(|constraints| constraints.ca);
    (!is_authority).then(|| certificate.tbs().not_after)
}

/// The row of the authority that certifies modules and operators.
pub(crate) fn module_authority_row(rows: &[AuthorityRow]) -> Option<u64> {
    rows.iter().find(|row| row.name.as_str() == MODULE_AUTHORITY).map(|row| row.id)
}

impl DevicesNow {
    const fn of(d: Devices) -> Self {
        Self { planned: d.planned, made: d.made, provisioned: d.provisioned, stolen: d.stolen }
    }
}

impl TallyNow {
    const fn of(t: &Tally) -> Self {
        Self {
            unconfirmed: t.unconfirmed,
            confirmed: t.confirmed,
            revoked: t.revoked,
            rejected: t.rejected,
            closed: t.closed,
        }
    }
    /// Certificates that are valid, as far as nobody revoked them.
    pub(crate) const fn valid(&self) -> u64 {
        self.unconfirmed + self.confirmed
    }
}

fn marks(data: &Path, config: &Config, store: &SqlStore) -> Result<MarksNow> {
    let places = Places::of(data);
    let directory = places.marks(config);
    // Whose key is gone is found elsewhere; here it must not hide the rest.
    let name = compose::audit_key(&places).map(|key| marks::name_of(&compose::log_name(config), &key));
    let name = name.unwrap_or_default();
    let backup = marks::last_backup(&directory, &name).unwrap_or(0);
    Ok(MarksNow {
        there: name.is_empty() || marks_are_there(config, &directory, &name),
        lost_at: store.marks_lost()?.filter(|lost| *lost > backup),
        directory: directory.display().to_string(),
    })
}

/// Whether there are marks; processes that write at the same time have a directory each.
fn marks_are_there(config: &Config, directory: &Path, name: &str) -> bool {
    if config.bus.is_none() {
        return marks::are_there(directory, name);
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| marks::are_there(&entry.path(), name))
}

fn mode(store: &SqlStore) -> Result<Option<ModeNow>> {
    let row = store.mode()?;
    Ok(row.map(|row| ModeNow {
        order: row.order.to_string(),
        mode: row.binding.current.to_string(),
        changing_to: row.binding.pending.map(|mode| mode.to_string()),
        epoch: row.epoch,
        awake: Module::ALL.into_iter().filter(|m| row.binding.permits(*m)).map(|m| m.to_string()).collect(),
    }))
}

/// All authorities, each behind the one that issued it.
fn authorities(store: &SqlStore, now: UnixTime, counted: Option<&Counted>) -> Result<Vec<AuthorityNow>> {
    let rows = store.authorities()?;
    let lists = store.last_lists()?;
    let open = store.foreign_open(None)?;
    let mut all = Vec::with_capacity(rows.len());
    for (row, depth) in tree(&rows) {
        let certificate = Certificate::decode(&row.certificate).ok();
        let list = lists.get(&row.name);
        all.push(AuthorityNow {
            name: row.name.to_string(),
            issuer: row.issuer.as_ref().map(ToString::to_string),
            depth,
            key_type: certificate
                .as_ref()
                .map(|c| c.tbs().subject_public_key.key_type().to_string())
                .unwrap_or_default(),
            key: row.key.to_string(),
            not_after: certificate.map(|c| c.tbs().not_after),
            crl: list.map(|list| ListNow::of(list, now)),
            certificates: counted.map(|c| c.tallies.get(&row.id).map(TallyNow::of).unwrap_or_default()),
            unsettled: open
                .iter()
                .filter(|one| one.authority == row.name && one.state == ForeignState::Unsettled)
                .count(),
        });
    }
    Ok(all)
}

impl ListNow {
    fn of(list: &LastList, now: UnixTime) -> Self {
        let LastList { number, this_update, next_update, octets } = *list;
        Self { number, this_update, next_update, octets, overdue: next_update < now }
    }
}

/// Roots first, and what stands below each right behind it, with its depth.
fn tree(rows: &[AuthorityRow]) -> Vec<(&AuthorityRow, usize)> {
    let is_root = |row: &AuthorityRow| row.issuer.as_ref().is_none_or(|issuer| *issuer == row.name);
    let mut ordered = Vec::with_capacity(rows.len());
    let mut waiting: Vec<_> = rows.iter().rev().filter(|row| is_root(row)).map(|row| (row, 0)).collect();
    // Each authority has one issuer, so each is taken once at most.
    while let Some((row, depth)) = waiting.pop() {
        ordered.push((row, depth));
        let below = rows.iter().rev().filter(|other| !is_root(other) && other.issuer.as_ref() == Some(&row.name));
        waiting.extend(below.map(|row| (row, depth + 1)));
    }
    ordered
}

/// Modules and operators that hold a certificate which is not revoked.
fn holders(store: &SqlStore) -> Result<(Vec<HolderNow>, Vec<HolderNow>)> {
    let (mut modules, mut operators) = (BTreeMap::new(), BTreeMap::new());
    for row in store.holders(&compose::module_authority()?)? {
        let Ok(certificate) = Certificate::decode(&row.der) else { continue };
        let (names, name) = match &row.subject {
            Entity::Module(module, _) => (&mut modules, module.to_string()),
            Entity::Operator(name) => (&mut operators, name.to_string()),
            Entity::Device(_) | Entity::Authority(_) | Entity::Responder(_) => continue,
        };
        let not_after = certificate.tbs().not_after;
        let held = HolderNow { name: name.clone(), not_after, serial: row.serial.to_string() };
        let longest: &mut HolderNow = names.entry(name).or_insert_with(|| held.clone());
        if longest.not_after < not_after {
            *longest = held;
        }
    }
    Ok((modules.into_values().collect(), operators.into_values().collect()))
}

fn horizon(
    now: UnixTime,
    authorities: &[AuthorityNow],
    modules: &[HolderNow],
    operators: &[HolderNow],
    devices: Option<[u64; HORIZON_DAYS.len()]>,
) -> Vec<Horizon> {
    let within = |(n, days): (usize, u64)| {
        let soon = move |at: UnixTime| at > now && at <= now.plus_s(days * DAY_S);
        let names = |holders: &[HolderNow]| {
            holders.iter().filter(|h| soon(h.not_after)).map(|h| h.name.clone()).collect::<Vec<_>>()
        };
        Horizon {
            within_days: days,
            authorities: authorities.iter().filter(|a| a.not_after.is_some_and(soon)).map(|a| a.name.clone()).collect(),
            modules: names(modules),
            operators: names(operators),
            devices: devices.and_then(|counts| counts.get(n).copied()),
        }
    };
    HORIZON_DAYS.into_iter().enumerate().map(within).collect()
}

fn audit(store: &SqlStore, totals: &Totals) -> Result<AuditNow> {
    let note = store.checkpoint()?;
    let root = note.as_deref().and_then(|note| note.lines().nth(2)).map(ToOwned::to_owned);
    Ok(AuditNow { entries: totals.audit_entries, latest: totals.latest, root })
}

/// What could be purged; not looked for where there is so much that it takes a while.
fn purgeable(config: &Config, store: &SqlStore, now: UnixTime, few: bool) -> Result<Option<PurgeableNow>> {
    let Some(before) = config.retention.filter(|_| few).map(|kept| kept.edge(now)) else { return Ok(None) };
    let Purged { certificates, lists, requests } = store.purgeable(before)?;
    Ok(Some(PurgeableNow { before, certificates, lists, requests }))
}

fn disk_now(data: &Path, config: &Config, totals: &Totals) -> DiskNow {
    let len = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let marks = Places::of(data).marks(config);
    let elsewhere = machine::is_on_another_disk(data, &marks).then(|| room(&marks).ok()).flatten();
    let room = room(data).ok();
    DiskNow {
        marks: elsewhere.map(|room| RoomNow { free_octets: room.free, total_octets: room.total }),
        database_octets: totals.octets,
        wal_octets: len(&data.join("cradle.db-wal")),
        vault_octets: machine::octets_below(&Places::of(data).vault()),
        free_octets: room.map(|room| room.free),
        total_octets: room.map(|room| room.total),
    }
}
