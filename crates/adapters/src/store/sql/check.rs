//! Checking all records against each other: what `cradle verify --deep` says.
//!
//! The audit log is walked once beside the table of intents: the n-th intent in the log is the n-th row, so nothing but
//! the intents that are open at one moment is held in memory.

use super::SqlStore;
use super::engine::{self, Connection, OptionalExtension, Rows};
use super::issuance::{CLOSED, RECALLED, STANDING};
use super::read::{fit, parse};
use super::told::Told;
use model::audit::{Entry, Event};
use model::{AuthorityName, Digest};
use ports::StoreFault;
use std::collections::HashMap;
use x509::{Certificate, PublicKey, SerialNumber, sha256};

/// What was counted on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say what is counted")]
pub struct Counts {
    pub audit_entries: u64,
    pub intents: u64,
    pub certificates: u64,
    pub open_intents: u64,
    pub closed_intents: u64,
    pub revoked: u64,
    pub crls: u64,
    pub authorities: u64,
    pub devices_provisioned: u64,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeepFinding {
    /// The invariant, by its number: D1 to D9.
    pub invariant: &'static str,
    /// Where: a serial number, an authority, an entry of the audit log.
    pub place: String,
    /// What is the matter.
    pub what: &'static str,
}

/// Most findings that are kept.
const FINDINGS_MAX: usize = 100;

pub(super) struct Walk<'c> {
    pub(super) connection: &'c Connection,
    pub(super) authorities: HashMap<u64, (AuthorityName, PublicKey)>,
    open: HashMap<SerialNumber, Intent>,
    pub(super) told: Told,
    pub(super) counts: Counts,
    findings: Vec<DeepFinding>,
}

pub(super) struct Intent {
    pub(super) id: u64,
    pub(super) authority: u64,
    pub(super) tbs: Digest,
    pub(super) key: Digest,
    pub(super) state: u8,
}

impl SqlStore {
    /// Checks all records against each other, beside the audit log's own check ([`SqlStore::check_audit`]).
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is what was found.
    pub fn check_deep(&self, progress: &mut dyn FnMut(u64)) -> Result<Result<Counts, Vec<DeepFinding>>, StoreFault> {
        self.read(|c| {
            let snapshot = c.snapshot()?;
            let mut walk = Walk {
                connection: &snapshot,
                authorities: HashMap::new(),
                open: HashMap::new(),
                told: Told::default(),
                counts: Counts::default(),
                findings: Vec::new(),
            };
            walk.integrity()?;
            walk.authorities()?;
            walk.log(progress)?;
            walk.grants()?;
            walk.revocations()?;
            walk.lists()?;
            walk.devices()?;
            walk.compare()?;
            Ok(if walk.findings.is_empty() { Ok(walk.counts) } else { Err(walk.findings) })
        })
    }
}

impl Walk<'_> {
    pub(super) fn find(&mut self, invariant: &'static str, place: impl ToString, what: &'static str) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(DeepFinding { invariant, place: place.to_string(), what });
        }
    }

    /// The engine's own check: pages, indexes, uniqueness of serial numbers (D1).
    fn integrity(&mut self) -> engine::Result<()> {
        for said in self.connection.integrity_check()? {
            self.find("D1", said, "the database is damaged");
        }
        let missing = super::keys::missing(self.connection)?;
        if missing > 0 {
            self.find("D1", missing, "keys are not where they are looked for");
        }
        Ok(())
    }

    fn authorities(&mut self) -> engine::Result<()> {
        let mut statement = self
            .connection
            .statement("SELECT id, name, issuer, certificate FROM authority WHERE certificate IS NOT NULL")?;
        let rows = statement.query_map((), |row| {
            let issuer: Option<String> = row.get(2)?;
            Ok((row.get::<u64>(0)?, parse::<AuthorityName>(row, 1)?, issuer, row.get::<Vec<u8>>(3)?))
        })?;
        let rows = rows.collect::<engine::Result<Vec<_>>>()?;
        let certificates: HashMap<String, Certificate> = rows
            .iter()
            .filter_map(|(_, name, _, der)| Some((name.to_string(), Certificate::decode(der).ok()?)))
            .collect();
        for (id, name, issuer, _) in rows {
            let own = certificates.get(name.as_str());
            let issuer = certificates.get(issuer.as_deref().unwrap_or(name.as_str()));
            let (Some(own), Some(issuer)) = (own, issuer) else {
                self.find("D2", name, "the authority's certificate, or its issuer's, cannot be read");
                continue;
            };
            if own.verify_issued_by(issuer, own.tbs().not_before).is_err() {
                self.find("D2", &name, "the authority's certificate is not signed by its issuer");
            }
            self.counts.authorities += 1;
            self.authorities.insert(id, (name, own.tbs().subject_public_key.clone()));
        }
        Ok(())
    }

    fn log(&mut self, progress: &mut dyn FnMut(u64)) -> engine::Result<()> {
        let mut intents = self
            .connection
            .statement("SELECT id, serial, authority, transaction_id, key, tbs, state FROM issuance ORDER BY id")?;
        let mut intents = intents.query(())?;
        let mut revocations = self.connection.statement(
            "SELECT i.serial, r.reason, r.authority, i.authority FROM revocation r
             LEFT JOIN issuance i ON i.id = r.issuance ORDER BY r.id",
        )?;
        let mut revocations = revocations.query(())?;
        let mut entries = self.connection.statement("SELECT number, entry FROM audit ORDER BY number")?;
        let mut entries = entries.query(())?;
        while let Some(row) = entries.next()?.as_ref() {
            let number: u64 = row.get(0)?;
            progress(number);
            self.counts.audit_entries += 1;
            match serde_json::from_slice::<Entry>(row.blob(1)?) {
                Ok(entry) => {
                    self.event(number, &entry.event, &mut intents)?;
                    if matches!(
                        entry.event,
                        Event::ModeOrdered { .. } | Event::ModeEntered { .. } | Event::Sealed { .. }
                    ) {
                        self.told.mode_entry = Some(number);
                    }
                    self.foreign(number, &entry.event, &mut intents)?;
                    self.purged(entry.at, &entry.event);
                    self.tell(&entry.event, &mut revocations)?;
                }
                Err(_) => self.find("D9", format!("audit entry {number}"), "it cannot be read"),
            }
        }
        while revocations.next()?.is_some() {
            self.find("D6", "a revocation", "nobody revoked it");
        }
        while let Some(row) = intents.next()?.as_ref() {
            let serial: SerialNumber = fit(row, 1)?;
            self.find("D2", serial, "an intent is not in the audit log");
        }
        let left: Vec<_> = self.open.iter().map(|(serial, intent)| (*serial, intent.id, intent.state)).collect();
        for (serial, id, state) in left {
            if state == STANDING && self.der(id)?.is_none() {
                self.counts.open_intents += 1;
            } else {
                self.find("D2", serial, "the end of an intent is not in the audit log");
            }
        }
        Ok(())
    }

    fn event(&mut self, number: u64, event: &Event, intents: &mut Rows<'_>) -> engine::Result<()> {
        match event {
            Event::Intended { serial, tbs, transaction, .. } => {
                self.counts.intents += 1;
                let Some(row) = &intents.next()? else {
                    self.find("D2", serial, "an intent of the audit log has no row");
                    return Ok(());
                };
                let stored: SerialNumber = fit(row, 1)?;
                let (id, authority, state) = (row.get(0)?, row.get(2)?, row.get(6)?);
                let intent = Intent { id, authority, tbs: fit(row, 5)?, key: fit(row, 4)?, state };
                let same_transaction = fit::<model::TransactionId>(row, 3)? == *transaction;
                if stored.to_string() != *serial || intent.tbs != *tbs || !same_transaction {
                    self.find("D2", format!("audit entry {number}"), "it is not the intent that was recorded");
                }
                if self.open.insert(stored, intent).is_some() {
                    self.find("D1", serial, "the serial number was intended twice");
                }
            }
            Event::Issued { serial, certificate } => match self.close(serial) {
                Some((number, intent)) => self.certificate(number, &intent, certificate)?,
                None => self.find("D2", serial, "a certificate was issued without an open intent"),
            },
            Event::Recalled { serial, .. } => {
                self.counts.intents += 1;
                let Some(row) = &intents.next()? else {
                    self.find("D2", serial, "a certificate that was recalled has no row");
                    return Ok(());
                };
                if fit::<SerialNumber>(row, 1)?.to_string() != *serial || row.get::<u8>(6)? != RECALLED {
                    self.find("D2", format!("audit entry {number}"), "it is not the certificate that was recalled");
                }
            }
            Event::IntentClosed { serial, .. } => match self.close(serial) {
                Some((_, intent)) if intent.state == CLOSED => self.counts.closed_intents += 1,
                _ => self.find("D4", serial, "an intent was closed that was not open, or is not closed now"),
            },
            _ => {}
        }
        Ok(())
    }

    fn der(&self, id: u64) -> engine::Result<Option<Vec<u8>>> {
        self.connection
            .statement("SELECT der FROM certificate WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    fn close(&mut self, serial: &str) -> Option<(SerialNumber, Intent)> {
        self.open.remove_entry(&SerialNumber::from_hex(serial)?)
    }

    pub(super) fn certificate(&mut self, serial: SerialNumber, intent: &Intent, digest: &Digest) -> engine::Result<()> {
        let Some(der) = self.der(intent.id)? else {
            self.find("D3", serial, "an issued certificate is not stored");
            return Ok(());
        };
        self.counts.certificates += 1;
        if intent.state == CLOSED {
            self.find("D3", serial, "an issued certificate is recorded as not issued");
        }
        if der.is_empty() {
            // What is known of all that were purged is looked at together.
            return Ok(());
        }
        let Ok(read) = Certificate::decode(&der) else {
            self.find("D3", serial, "a stored certificate cannot be read");
            return Ok(());
        };
        let tbs = read.tbs();
        if sha256(&der) != *digest || tbs.serial_number != serial || tbs.subject_public_key.digest() != intent.key {
            self.find("D3", serial, "a stored certificate is not the one that was issued");
        }
        if sha256(read.tbs_der()) != intent.tbs {
            self.find("D2", serial, "a certificate is not the one that was intended");
        }
        // A root is its own issuer, and may stand in its row later than in the log.
        let itself = (tbs.issuer.der() == tbs.subject.der()).then_some(&tbs.subject_public_key);
        let issuer = self.authorities.get(&intent.authority).map(|(_, key)| key).or(itself);
        if issuer.is_none_or(|key| read.verify(key).is_err()) {
            self.find("D2", serial, "a certificate is not signed by its authority");
        }
        Ok(())
    }

    fn grants(&mut self) -> engine::Result<()> {
        let mut statement = self.connection.statement(
            "SELECT g.subject, g.used, g.quota,
             (SELECT count(*) FROM issuance i WHERE i.grant_id = g.id AND i.state IN (0, 1, 4))
             + (SELECT count(*) FROM foreign_intent f WHERE f.grant_id = g.id AND f.state IN (0, 3)) FROM grant_ g",
        )?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()?.as_ref() {
            let n = |column| row.get::<u64>(column);
            if n(1)? != n(3)? {
                self.find("D5", row.get::<String>(0)?, "the grant was not counted as often as it was used");
            }
            if n(3)? > n(2)? {
                self.find("D5", row.get::<String>(0)?, "the grant was used more often than it allows");
            }
        }
        Ok(())
    }

    fn revocations(&mut self) -> engine::Result<()> {
        let one = |sql| self.connection.query_row(sql, (), |row| row.get::<u64>(0));
        let revoked = one("SELECT count(*) FROM revocation WHERE ended IS NULL AND reason <> 8")?;
        let strays = one("SELECT count(*) FROM issuance i WHERE i.state IN (2, 3)
             AND NOT EXISTS (SELECT 1 FROM revocation r WHERE r.issuance = i.id AND r.ended IS NULL)")?;
        self.counts.revoked = revoked;
        if strays > 0 {
            self.find("D4", strays, "closed intents or rejected certificates are not revoked");
        }
        // Only a hold ends: by a release, or by a revocation that is older than the word that ended it.
        let ended = one(
            "SELECT count(*) FROM revocation r WHERE r.ended IS NOT NULL AND NOT (r.reason IN (6, 8)
             AND EXISTS (SELECT 1 FROM revocation n WHERE n.id = r.ended AND n.issuance = r.issuance AND n.id > r.id))",
        )?;
        if ended > 0 {
            self.find("D6", ended, "a revocation was taken back that was final");
        }
        Ok(())
    }

    fn devices(&mut self) -> engine::Result<()> {
        let mut statement = self.connection.statement("SELECT name, certificate FROM device WHERE custody = 2")?;
        let rows = statement.query_map((), |row| Ok((row.get::<String>(0)?, row.get::<Option<String>>(1)?)))?;
        for row in rows.collect::<engine::Result<Vec<_>>>()? {
            let (name, serial) = row;
            self.counts.devices_provisioned += 1;
            let serial = serial.as_deref().and_then(SerialNumber::from_hex);
            let certified: Option<bool> = match serial {
                Some(serial) => self
                    .connection
                    .statement(
                        "SELECT g.subject = ?2 AND i.state IN (0, 1, 4) FROM issuance i
                         JOIN grant_ g ON g.id = i.grant_id WHERE i.serial = ?1",
                    )?
                    .query_row((serial.octets(), &name), |row| row.get(0))
                    .optional()?,
                None => None,
            };
            if certified != Some(true) {
                self.find("D3", name, "the device is recorded as provisioned with a certificate that is not its own");
            }
        }
        Ok(())
    }
}
