//! Backup and what comes after it: a snapshot of the records, and taking in what happened since.

use super::engine::{self, OptionalExtension};
use super::issuance::RECALLED;
use super::read::fit;
use super::standing::{Issuance, revoke};
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry, quarantine};
use crate::store::marks::{IssuedMark, Mark};
use model::audit::Event;
use model::contract::authority::RevocationReason;
use model::{AuthorityName, Module, UnixTime};
use ports::StoreFault;
use std::path::Path;
use x509::{CertificateList, SerialNumber};

/// Marks that are taken in by one transaction.
const PAGE: usize = 1000;
/// Who is named as the requester of what is known from marks only, and where its grant came from.
const MARKS: &str = "high-water marks";

/// What a restored installation learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say what is counted")]
pub struct ReadBack {
    pub certificates: u64,
    pub revocations: u64,
    pub lists: u64,
    /// Certificates of authorities that the backup does not know.
    pub strangers: Vec<String>,
}

impl SqlStore {
    /// Writes a snapshot of the records, while they are in use, into a new file.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn snapshot(&self, to: &Path) -> Result<(), StoreFault> {
        let path = to.to_str().ok_or(StoreFault::Engine("the path of the snapshot is not text"))?.to_owned();
        self.read(|c| c.copy_to(&path))
    }

    /// How many entries the audit log has.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn audit_len(&self) -> Result<u64, StoreFault> {
        self.read(|c| {
            c.query_row("SELECT max(number) FROM audit", (), |row| row.get::<Option<u64>>(0))
                .map(|last| last.map_or(0, |n| n + 1))
        })
    }

    /// Puts what was restored into quarantine, until [`Self::end_quarantine`].
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn begin_quarantine(&self, backup: &str, entries: u64, at: UnixTime) -> Result<(), StoreFault> {
        let backup = backup.to_owned();
        self.write(move |tx| {
            quarantine::begin(tx)?;
            tx.audit(&entry(at, Module::Supervisor, Event::Restored { backup: backup.clone(), entries }))
        })
    }

    /// Takes in what the marks tell of the time after a backup. Taking them in again changes nothing.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn recall(&self, marks: &[Mark], at: UnixTime) -> Result<ReadBack, StoreFault> {
        let mut all = ReadBack::default();
        for page in marks.chunks(PAGE) {
            let page = page.to_vec();
            let found = self.write_rows(page.len(), move |tx| {
                let mut found = ReadBack::default();
                page.iter().try_for_each(|mark| recall(tx, mark, at, &mut found))?;
                Ok(found)
            })?;
            all.certificates += found.certificates;
            all.revocations += found.revocations;
            all.lists += found.lists;
            all.strangers.extend(found.strangers);
        }
        let ReadBack { certificates, revocations, lists, .. } = all;
        if certificates + revocations + lists > 0 {
            let event = Event::ReadBack { certificates, revocations, lists };
            self.write(move |tx| tx.audit(&entry(at, Module::Supervisor, event.clone())))?;
        }
        all.strangers.dedup();
        Ok(all)
    }
}

/// What a published list tells: its number, and who is revoked. The caller has verified it.
#[must_use]
pub fn marks_of_list(authority: &AuthorityName, list: &CertificateList) -> Vec<Mark> {
    let number = Mark::Crl { authority: authority.to_string(), number: list.crl_number };
    let revoked = list.revoked.iter().flat_map(|entry| {
        let serial = entry.serial_number.to_string();
        let issued = IssuedMark {
            serial: serial.clone(),
            authority: authority.to_string(),
            // Nobody knows whose it is; its number is all that matters.
            subject: format!("authority:{authority}"),
            profile: "unknown".into(),
            not_after: UnixTime::NO_EXPIRY,
            shard: 0,
            at: entry.revocation_date,
        };
        let revoked = Mark::Revoked { serial, reason: entry.reason.name().to_owned(), at: entry.revocation_date };
        [Mark::Issued(Box::new(issued)), revoked]
    });
    std::iter::once(number).chain(revoked).collect()
}

fn recall(tx: &mut Tx<'_>, mark: &Mark, at: UnixTime, found: &mut ReadBack) -> Result<(), WriteFault> {
    match mark {
        Mark::Begin { .. } => Ok(()),
        Mark::Epoch(value) => {
            tx.statement("INSERT INTO epoch (value, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute((value, at.ms()))?;
            Ok(())
        }
        Mark::Issued(mark) => issued(tx, mark, at, found),
        Mark::Revoked { serial, reason, at } => {
            let Some(reason) = RevocationReason::by_name(reason) else { return Ok(()) };
            let Some(issuance) = issuance(tx, serial)? else { return Ok(()) };
            found.revocations += u64::from(revoke(tx, &issuance, reason, *at)?.is_ok());
            Ok(())
        }
        // A release is not repeated: a hold too many is put right by a person, a certificate that is good again is not.
        Mark::Released { .. } => Ok(()),
        Mark::Crl { authority, number } => {
            let raised = tx
                .statement("UPDATE authority SET crl_number = ?2 WHERE name = ?1 AND crl_number < ?2")?
                .execute((authority, number))?;
            if raised > 0 {
                found.lists += 1;
                tx.mark(|| Mark::Crl { authority: authority.clone(), number: *number });
                let event = Event::CrlNumberRaised { authority: authority.clone(), number: *number };
                tx.audit(&entry(at, Module::Supervisor, event))?;
            }
            Ok(())
        }
        Mark::MakerList { maker, number } => super::maker::raise(tx, maker, *number, at),
        Mark::List { supplier, sequence } => {
            // Also of a supplier that the backup does not know: trusted again, its old lists must not come again.
            let raised = tx
                .statement(
                    "INSERT INTO supplier (name, spki, sequence) VALUES (?1, CAST('' AS BLOB), ?2)
                     ON CONFLICT (name) DO UPDATE SET sequence = ?2 WHERE supplier.sequence < ?2",
                )?
                .execute((supplier, sequence))?;
            if raised > 0 {
                tx.mark(|| Mark::List { supplier: supplier.clone(), sequence: *sequence });
                let event = Event::ListSequenceRaised { supplier: supplier.clone(), sequence: *sequence };
                tx.audit(&entry(at, Module::Supervisor, event))?;
            }
            Ok(())
        }
    }
}

/// The issuance of a serial number, whatever became of it.
fn issuance(tx: &Tx<'_>, serial: &str) -> Result<Option<Issuance>, WriteFault> {
    let Some(serial) = SerialNumber::from_hex(serial) else { return Ok(None) };
    let mut find = tx.statement("SELECT id, serial FROM issuance WHERE serial = ?1")?;
    Ok(find.query_row([serial.octets()], |row| Ok(Issuance { id: row.get(0)?, serial: fit(row, 1)? })).optional()?)
}

/// Takes in that a certificate was issued: its number is used, its grant is spent, and it can be revoked.
fn issued(tx: &mut Tx<'_>, mark: &IssuedMark, at: UnixTime, found: &mut ReadBack) -> Result<(), WriteFault> {
    if issuance(tx, &mark.serial)?.is_some() {
        return Ok(());
    }
    let Some(serial) = SerialNumber::from_hex(&mark.serial) else { return Ok(()) };
    let authority: Option<u64> = tx
        .statement("SELECT id FROM authority WHERE name = ?1")?
        .query_row([&mark.authority], |row| row.get(0))
        .optional()?;
    let Some(authority) = authority else {
        found.strangers.push(mark.authority.clone());
        return Ok(());
    };
    let (profile, origin) = (tx.word(&mark.profile)?, tx.word(MARKS)?);
    tx.statement(
        "INSERT INTO grant_ (subject, profile, until, quota, used, origin) VALUES (?1, ?2, 0, 1, 1, ?3)
         ON CONFLICT (subject, profile) DO UPDATE SET used = grant_.used + 1,
         quota = CASE WHEN grant_.quota > grant_.used THEN grant_.quota ELSE grant_.used + 1 END",
    )?
    .execute((&mark.subject, profile, origin))?;
    let grant: u64 = tx
        .statement("SELECT id FROM grant_ WHERE subject = ?1 AND profile = ?2")?
        .query_row((&mark.subject, profile), |row| row.get(0))?;
    let nothing = [0_u8; 32];
    let version = super::issuance::profile_row(tx, &model::Digest::new(nothing))?;
    let recalled = (
        serial.octets(),
        authority,
        [0_u8; 16],
        origin,
        grant,
        version,
        nothing,
        mark.at.ms(),
        RECALLED,
        mark.not_after.s(),
        mark.shard,
    );
    let row = tx.insert(
        "INSERT INTO issuance (serial, authority, transaction_id, requester, grant_id, profile, key, tbs, at, state,
         attempt, not_after, shard) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, -1, ?10, ?11)",
        recalled,
    )?;
    let row = row.ok_or(engine::Error::NoRow)?;
    // All of them have the transaction of nobody.
    tx.statement("UPDATE issuance SET attempt = id WHERE id = ?1")?.execute([row])?;
    tx.has_key(row, &model::Digest::new(nothing));
    found.certificates += 1;
    tx.mark(|| Mark::Issued(Box::new(mark.clone())));
    let event = Event::Recalled { serial: mark.serial.clone(), subject: mark.subject.clone() };
    tx.audit(&entry(at, Module::Supervisor, event))
}
