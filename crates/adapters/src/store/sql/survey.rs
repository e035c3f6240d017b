//! What stands in the records, counted: for people and for monitoring. Reads only.

use super::audit::{LATEST, check_edge, restore};
use super::engine::{self, Connection, OptionalExtension};
use super::read::{fit, parse};
use super::{OpenFault, SqlStore, issuance};
use model::lifecycle::Custody;
use model::{AuthorityName, Digest, Entity, UnixTime};
use ports::StoreFault;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use x509::{PublicKey, SerialNumber};

/// What takes no time to find out, however much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Signatures that a key was asked for: the highest row, because rows are never removed.
    pub intents: u64,
    /// Intents of which nobody knows yet whether they were signed.
    pub open_intents: u64,
    /// Entries of the audit log.
    pub audit_entries: u64,
    /// The latest time of all entries.
    pub latest: UnixTime,
    /// Octets of the database without its write-ahead log.
    pub octets: u64,
}

/// What became of the signatures of one authority. Each counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Certificates that nobody confirmed yet, and intents that are open.
    pub unconfirmed: u64,
    /// Certificates that the requester confirmed.
    pub confirmed: u64,
    /// Certificates that were revoked, but for those that were rejected.
    pub revoked: u64,
    /// Certificates that the requester rejected.
    pub rejected: u64,
    /// Intents that were closed: no certificate is known.
    pub closed: u64,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.unconfirmed + self.confirmed + self.revoked + self.rejected + self.closed
    }
}

/// How far devices have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Devices {
    pub planned: u64,
    pub made: u64,
    pub provisioned: u64,
    /// Those of them that are marked as stolen.
    pub stolen: u64,
}

/// The last list of revoked certificates of an authority, without its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LastList {
    pub number: u64,
    pub this_update: UnixTime,
    pub next_update: UnixTime,
    pub octets: u64,
}

/// A certificate in passing.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Row of its intent.
    pub id: u64,
    /// Row of the authority that issued it.
    pub authority: u64,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The certificate in DER.
    pub der: &'a [u8],
}

/// A module or an operator that holds a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The serial number of the certificate.
    pub serial: SerialNumber,
    /// Who holds it.
    pub subject: Entity,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

/// The names of modules and of operators, as text: from the first on, and before the second.
const HOLDERS: [(&str, &str); 2] = [("module:", "module;"), ("operator:", "operator;")];
/// Far more than one installation has.
const HOLDERS_MAX: u32 = 10_000;

/// The room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it, in octets.
    pub total: u64,
    /// What this process could still write, in octets.
    pub free: u64,
}

/// Measures the room where a file or directory is.
///
/// # Errors
/// As the operating system says.
pub fn room(path: &Path) -> io::Result<Room> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Room { total: stat.f_blocks.saturating_mul(stat.f_frsize), free: stat.f_bavail.saturating_mul(stat.f_frsize) })
}

impl SqlStore {
    /// What takes no time to find out.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn totals(&self) -> Result<Totals, StoreFault> {
        self.read(|c| {
            let snapshot = c.snapshot()?;
            let one = |sql: &str| snapshot.query_row(sql, (), |row| row.get::<Option<u64>>(0));
            let audit_entries = one("SELECT max(number) + 1 FROM audit")?.unwrap_or(0);
            let latest: Option<u64> = snapshot
                .query_row("SELECT value FROM counter WHERE name = ?1", [LATEST], |row| row.get(0))
                .optional()?;
            let (open, intents) = issuance::restore(&snapshot)?;
            Ok(Totals {
                intents,
                open_intents: u64::try_from(open.len()).unwrap_or(u64::MAX),
                audit_entries,
                latest: UnixTime::from_ms(latest.unwrap_or(0)),
                octets: snapshot.octets()?,
            })
        })
    }

    /// What became of all signatures, for each authority by its row. Walks all intents.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn tally(&self) -> Result<BTreeMap<u64, Tally>, StoreFault> {
        self.read(|c| {
            let snapshot = c.snapshot()?;
            let mut tallies = BTreeMap::<u64, Tally>::new();
            let mut all = snapshot.statement("SELECT authority, state, count(*) FROM issuance GROUP BY 1, 2")?;
            let mut rows = all.query(())?;
            while let Some(row) = rows.next()?.as_ref() {
                let count: u64 = row.get(2)?;
                let tally = tallies.entry(row.get(0)?).or_default();
                *tally.of_state(row.get(1)?) += count;
            }
            // What was closed or rejected was revoked for that, and counts there.
            let mut revoked = snapshot.statement(
                "SELECT i.authority, i.state, count(*) FROM revocation r JOIN issuance i ON i.id = r.issuance
                 WHERE i.state IN (0, 1, 4) AND r.ended IS NULL AND r.reason <> 8 GROUP BY 1, 2",
            )?;
            let mut rows = revoked.query(())?;
            while let Some(row) = rows.next()?.as_ref() {
                let count: u64 = row.get(2)?;
                let tally = tallies.entry(row.get(0)?).or_default();
                let before = tally.of_state(row.get(1)?);
                *before = before.saturating_sub(count);
                tally.revoked += count;
            }
            Ok(tallies)
        })
    }

    /// How far devices have come. Walks all devices.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn count_devices(&self) -> Result<Devices, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement("SELECT custody, stolen, count(*) FROM device GROUP BY custody, stolen")?;
            let mut rows = statement.query(())?;
            let mut devices = Devices::default();
            while let Some(row) = rows.next()?.as_ref() {
                let (custody, stolen, count): (u8, u8, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let custody = [Custody::Planned, Custody::Made, Custody::Provisioned].get(usize::from(custody));
                match custody {
                    Some(Custody::Planned) => devices.planned += count,
                    Some(Custody::Made) => devices.made += count,
                    Some(Custody::Provisioned) => devices.provisioned += count,
                    None => {}
                }
                devices.stolen += if stolen == 0 { 0 } else { count };
            }
            Ok(devices)
        })
    }

    /// The last list of each authority that has signed one, without reading its octets.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn last_lists(&self) -> Result<BTreeMap<AuthorityName, LastList>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT a.name, c.number, c.this_update, c.next_update, coalesce(length(c.der), 0) FROM authority a
                 JOIN crl c ON c.authority = a.id AND c.number =
                 (SELECT max(number) FROM crl WHERE authority = a.id AND shard = 0 AND base IS NULL)",
            )?;
            let rows = statement.query_map((), |row| {
                let last = LastList {
                    number: row.get(1)?,
                    this_update: UnixTime::from_ms(row.get(2)?),
                    next_update: UnixTime::from_ms(row.get(3)?),
                    octets: row.get(4)?,
                };
                Ok((parse(row, 0)?, last))
            })?;
            rows.collect()
        })
    }

    /// The certificates of modules and operators that an authority issued and nobody revoked, in the order of issuing; at
    /// most ten thousand of each. Found by their names: certificates of devices are not walked, however many there are.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn holders(&self, authority: &AuthorityName) -> Result<Vec<Holder>, StoreFault> {
        self.read(|c| {
            // CROSS JOIN: in this order, whatever the planner believes of the sizes of tables.
            let mut statement = c.statement(
                "SELECT i.id, i.serial, g.subject, c.der FROM grant_ g CROSS JOIN issuance i ON i.grant_id = g.id
                 JOIN authority a ON a.id = i.authority JOIN certificate c ON c.id = i.id
                 LEFT JOIN revocation r ON r.issuance = i.id AND r.ended IS NULL AND r.reason <> 8
                 WHERE g.subject >= ?1 AND g.subject < ?2 AND a.name = ?3 AND r.id IS NULL LIMIT ?4",
            )?;
            let mut found = BTreeMap::<u64, Holder>::new();
            for (first, end) in HOLDERS {
                let mut rows = statement.query((first, end, authority.as_str(), HOLDERS_MAX))?;
                while let Some(row) = rows.next()?.as_ref() {
                    let holder = Holder { serial: fit(row, 1)?, subject: parse(row, 2)?, der: row.get(3)? };
                    found.insert(row.get(0)?, holder);
                }
            }
            Ok(found.into_values().collect())
        })
    }

    /// Hands certificates over in the order of issuing: those behind a row, at most `limit`. Gives the last row; `None`
    /// if there were none. To see all of them call it again: the log can be taken in between two calls.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn pass(&self, after: u64, limit: u32, mut see: impl FnMut(Passing<'_>)) -> Result<Option<u64>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT c.id, i.authority, r.id IS NOT NULL, c.der FROM certificate c JOIN issuance i ON i.id = c.id
                 LEFT JOIN revocation r ON r.issuance = c.id AND r.ended IS NULL AND r.reason <> 8
                 WHERE c.id > ?1 ORDER BY c.id LIMIT ?2",
            )?;
            let mut rows = statement.query((after, limit))?;
            let mut last = None;
            while let Some(row) = rows.next()?.as_ref() {
                let id = row.get(0)?;
                see(Passing { id, authority: row.get(1)?, revoked: row.get(2)?, der: row.blob(3)? });
                last = Some(id);
            }
            Ok(last)
        })
    }

    /// Pages of the database that hold nothing, and are used before it grows.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn free_pages(&self) -> Result<u64, StoreFault> {
        self.read(engine::Connection::free_pages)
    }

    /// Reads the octets of the certificate of a row, and nothing else: the least that a look-up can cost.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn point_read(&self, id: u64) -> Result<Option<Vec<u8>>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement("SELECT der FROM certificate WHERE id = ?1")?;
            statement.query_row([id], |row| row.get(0)).optional()
        })
    }

    /// The serial number of the first certificate behind a row, and its own row.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn serial_behind(&self, after: u64) -> Result<Option<(u64, SerialNumber)>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT i.id, i.serial FROM issuance i JOIN certificate c ON c.id = i.id
                 WHERE i.id > ?1 ORDER BY i.id LIMIT 1",
            )?;
            statement.query_row([after], |row| Ok((row.get(0)?, fit(row, 1)?))).optional()
        })
    }

    /// The digests of all profiles under which something was intended, as they were then.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn profile_digests(&self) -> Result<Vec<Digest>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement("SELECT digest FROM profile_version ORDER BY id")?;
            statement.query_map((), |row| fit(row, 0))?.collect()
        })
    }

    /// Has the engine look over its pages. Gives what it found, at most ten lines. Reads the whole database.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn quick_check(&self) -> Result<Vec<String>, StoreFault> {
        self.read(|c| c.quick_check(10))
    }

    /// Checks that the tree of the audit log is the one that was signed last, as a writer does when it opens the store.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error says what is different.
    pub fn check_audit_edge(&self, log_name: &str, key: &PublicKey) -> Result<Result<(), OpenFault>, StoreFault> {
        self.read(|c: &Connection| {
            let snapshot = c.snapshot()?;
            let (edge, _) = restore(&snapshot)?;
            check_edge(&snapshot, &edge, log_name, key)
        })
    }
}

impl Tally {
    fn of_state(&mut self, state: u8) -> &mut u64 {
        match state {
            issuance::STANDING => &mut self.unconfirmed,
            issuance::CONFIRMED => &mut self.confirmed,
            issuance::RECALLED => &mut self.unconfirmed,
            issuance::REJECTED => &mut self.rejected,
            _ => &mut self.closed,
        }
    }
}
