//! Intents and records: the two commits of issuing.

use super::read::fit;
use super::writer::Tx;
use super::{SqliteStore, WriteFault, entry};
use model::audit::Event;
use model::{Digest, Module, Reason, UnixTime};
use ports::store::authority::{ClosedIntent, IntentDraft, IntentOutcome, RecordDraft};
use ports::{DurableIntent, DurableRecord, StoreFault};
use rusqlite::OptionalExtension;
use x509::{SerialNumber, sha256};

/// How far the clock may be behind the latest record: what an NTP daemon steps without saying so.
const CLOCK_SLACK_MS: u64 = 5_000;

pub(super) const INTENDED: u8 = 0;
pub(super) const ISSUED: u8 = 1;
pub(super) const CONFIRMED: u8 = 2;
pub(super) const CLOSED: u8 = 3;
pub(super) const REJECTED: u8 = 4;

/// What the transaction found out of a draft. It becomes an outcome when it is durable.
enum Reserved {
    Row(u64, SerialNumber, Digest),
    Repeated(Vec<u8>, u64),
    InProgress,
    Refused(Reason),
}

impl SqliteStore {
    pub(super) fn intend_all(&self, drafts: Vec<IntentDraft>) -> Result<Vec<IntentOutcome>, StoreFault> {
        let reserved = self.write(move |tx| {
            let requesters = drafts.iter().map(|d| tx.word(&d.requester.to_string())).collect::<Result<Vec<_>, _>>()?;
            drafts.iter().zip(requesters).map(|(draft, requester)| intend(tx, draft, requester)).collect()
        })?;
        let reserved: Vec<Reserved> = reserved;
        Ok(reserved.into_iter().map(outcome).collect())
    }

    pub(super) fn record_all(&self, drafts: Vec<RecordDraft>) -> Result<Vec<Option<DurableRecord>>, StoreFault> {
        let recorded: Vec<Option<(SerialNumber, Digest)>> =
            self.write(move |tx| drafts.into_iter().map(|draft| record(tx, &draft)).collect())?;
        let durable = |(serial, digest)| DurableRecord::assert_durable(serial, digest);
        Ok(recorded.into_iter().map(|row| row.map(durable)).collect())
    }

    pub(super) fn close_all(&self, intents: Vec<u64>, why: &'static str, at: UnixTime) -> Result<(), StoreFault> {
        self.write(move |tx| intents.into_iter().try_for_each(|id| close(tx, id, why, at).map(|_| ())))
    }

    pub(super) fn close_all_left_open(&self, at: UnixTime) -> Result<Vec<ClosedIntent>, StoreFault> {
        self.write(move |tx| {
            let open: Vec<u64> = {
                let mut statement = tx.statement("SELECT id FROM issuance WHERE state = 0 ORDER BY id")?;
                statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
            };
            let why = "the process ended between intent and record";
            open.into_iter().filter_map(|id| close(tx, id, why, at).transpose()).collect()
        })
    }
}

fn outcome(reserved: Reserved) -> IntentOutcome {
    match reserved {
        Reserved::Row(row, serial, tbs) => IntentOutcome::Durable(DurableIntent::assert_durable(row, serial, tbs)),
        Reserved::Repeated(certificate, authority) => IntentOutcome::Repeated { certificate, authority },
        Reserved::InProgress => IntentOutcome::InProgress,
        Reserved::Refused(reason) => IntentOutcome::Refused(reason),
    }
}

fn intend(tx: &mut Tx<'_>, draft: &IntentDraft, requester: i64) -> Result<Reserved, WriteFault> {
    if draft.at.ms().saturating_add(CLOCK_SLACK_MS) < tx.latest_ms() {
        return Ok(Reserved::Refused(Reason::ClockBackwards));
    }
    if let Some(repeated) = repeated(tx, draft, requester)? {
        return Ok(repeated);
    }
    if key_is_anothers(tx, draft)? {
        return Ok(Reserved::Refused(Reason::KeyInUse));
    }
    if let Some(reason) = reserve(tx, draft)? {
        return Ok(Reserved::Refused(reason));
    }
    let profile = profile_version(tx, &draft.profile_digest)?;
    tx.statement(
        "INSERT INTO issuance
         (serial, authority, transaction_id, requester, grant_id, right_id, profile, key, tbs, at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0)",
    )?
    .execute((
        draft.serial.octets(),
        draft.authority,
        draft.transaction_id.octets(),
        requester,
        draft.grant,
        draft.right,
        profile,
        draft.key.octets(),
        draft.tbs_digest.octets(),
        draft.at.ms(),
    ))?;
    let row = u64::try_from(tx.connection().last_insert_rowid()).unwrap_or_default();
    let event = Event::Intended {
        serial: draft.serial.to_string(),
        tbs: draft.tbs_digest,
        grant: draft.grant,
        transaction: draft.transaction_id,
    };
    tx.audit(&entry(draft.at, Module::Authority, event))?;
    Ok(Reserved::Row(row, draft.serial, draft.tbs_digest))
}

/// What is known of the draft's transaction, if it was used before.
fn repeated(tx: &Tx<'_>, draft: &IntentDraft, requester: i64) -> Result<Option<Reserved>, WriteFault> {
    let known = tx
        .statement(
            "SELECT id, state, grant_id, key, requester, authority FROM issuance
             WHERE transaction_id = ?1 AND state < 3",
        )?
        .query_row([draft.transaction_id.octets()], |row| {
            let same = row.get::<_, u64>(2)? == draft.grant
                && row.get::<_, Vec<u8>>(3)? == draft.key.octets()
                && row.get::<_, i64>(4)? == requester;
            Ok((row.get::<_, u64>(0)?, row.get::<_, u8>(1)?, same, row.get::<_, u64>(5)?))
        })
        .optional()?;
    Ok(match known {
        None => None,
        Some((.., false, _)) => Some(Reserved::Refused(Reason::TransactionConflict)),
        Some((_, INTENDED, true, _)) => Some(Reserved::InProgress),
        Some((id, _, true, authority)) => {
            let der = tx
                .statement("SELECT der FROM certificate WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            let der = der.ok_or(WriteFault::Corrupt("an issued certificate is not stored"))?;
            Some(Reserved::Repeated(der, authority))
        }
    })
}

fn key_is_anothers(tx: &Tx<'_>, draft: &IntentDraft) -> Result<bool, WriteFault> {
    // The same subject may have its key certified again, under another profile or at renewal.
    let mut statement = tx.statement(
        "SELECT 1 FROM issuance i JOIN grant_ g ON g.id = i.grant_id
         WHERE substr(i.key, 1, 8) = substr(?1, 1, 8) AND i.key = ?1
         AND g.subject <> (SELECT subject FROM grant_ WHERE id = ?2) LIMIT 1",
    )?;
    Ok(statement.exists((draft.key.octets(), draft.grant))?)
}

/// Reserves the grant and the right. Gives the reason if one of them does not leave it.
fn reserve(tx: &Tx<'_>, draft: &IntentDraft) -> Result<Option<Reason>, WriteFault> {
    let at = draft.at.ms();
    let reserved = tx
        .statement(
            "UPDATE grant_ SET reserved = reserved + 1
             WHERE id = ?1 AND until >= ?2 AND reserved + spent < quota",
        )?
        .execute((draft.grant, at))?;
    if reserved == 0 {
        let until: Option<u64> = tx
            .statement("SELECT until FROM grant_ WHERE id = ?1")?
            .query_row([draft.grant], |row| row.get(0))
            .optional()?;
        return Ok(Some(match until {
            None => Reason::NoGrant,
            Some(until) if until < at => Reason::GrantExpired,
            Some(_) => Reason::GrantSpent,
        }));
    }
    let Some(right) = draft.right else { return Ok(None) };
    let reserved = tx
        .statement(
            "UPDATE right_ SET reserved = reserved + 1
             WHERE id = ?1 AND until >= ?2 AND reserved + spent < quota",
        )?
        .execute((right, at))?;
    if reserved == 0 {
        tx.statement("UPDATE grant_ SET reserved = reserved - 1 WHERE id = ?1")?.execute([draft.grant])?;
        return Ok(Some(Reason::RightSpent));
    }
    Ok(None)
}

fn profile_version(tx: &Tx<'_>, digest: &Digest) -> Result<i64, WriteFault> {
    let mut find = tx.statement("SELECT id FROM profile_version WHERE digest = ?1")?;
    if let Some(id) = find.query_row([digest.octets()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    tx.statement("INSERT INTO profile_version (digest) VALUES (?1)")?.execute([digest.octets()])?;
    Ok(tx.connection().last_insert_rowid())
}

fn record(tx: &mut Tx<'_>, draft: &RecordDraft) -> Result<Option<(SerialNumber, Digest)>, WriteFault> {
    // Only an intent that is open, and was for this serial number, is completed.
    let done = tx
        .statement(
            "UPDATE issuance SET state = 1 WHERE id = ?1 AND serial = ?2 AND state = 0 RETURNING grant_id, right_id",
        )?
        .query_row((draft.intent, draft.serial.octets()), |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, Option<u64>>(1)?))
        })
        .optional()?;
    let Some((grant, right)) = done else { return Ok(None) };
    tx.statement("INSERT INTO certificate (id, der) VALUES (?1, ?2)")?.execute((draft.intent, &draft.certificate))?;
    spend(tx, grant, right)?;
    let digest = sha256(&draft.certificate);
    let event = Event::Issued { serial: draft.serial.to_string(), certificate: digest };
    tx.audit(&entry(draft.at, Module::Authority, event))?;
    Ok(Some((draft.serial, digest)))
}

fn spend(tx: &Tx<'_>, grant: u64, right: Option<u64>) -> Result<(), WriteFault> {
    tx.statement("UPDATE grant_ SET reserved = reserved - 1, spent = spent + 1 WHERE id = ?1")?.execute([grant])?;
    if let Some(right) = right {
        tx.statement("UPDATE right_ SET reserved = reserved - 1, spent = spent + 1 WHERE id = ?1")?.execute([right])?;
    }
    Ok(())
}

/// Ends an intent of which nobody knows whether it was signed: its serial number is revoked, its grant is free again.
fn close(tx: &mut Tx<'_>, id: u64, why: &str, at: UnixTime) -> Result<Option<ClosedIntent>, WriteFault> {
    let open = tx
        .statement(
            "UPDATE issuance SET state = 3 WHERE id = ?1 AND state = 0
             RETURNING serial, transaction_id, authority, grant_id, right_id",
        )?
        .query_row([id], |row| {
            let closed = ClosedIntent { serial: fit(row, 0)?, transaction_id: fit(row, 1)? };
            Ok((closed, row.get::<_, u64>(2)?, row.get::<_, u64>(3)?, row.get::<_, Option<u64>>(4)?))
        })
        .optional()?;
    let Some((closed, authority, grant, right)) = open else { return Ok(None) };
    tx.statement("UPDATE grant_ SET reserved = reserved - 1 WHERE id = ?1")?.execute([grant])?;
    if let Some(right) = right {
        tx.statement("UPDATE right_ SET reserved = reserved - 1 WHERE id = ?1")?.execute([right])?;
    }
    // RFC 5280 §5.3.1: what may exist and must not be believed is "unspecified"; nobody's key is compromised.
    tx.statement("INSERT INTO revocation (issuance, authority, at, reason) VALUES (?1, ?2, ?3, 0)")?.execute((
        id,
        authority,
        at.ms(),
    ))?;
    let event = Event::IntentClosed { serial: closed.serial.to_string(), why: why.to_owned() };
    tx.audit(&entry(at, Module::Authority, event))?;
    Ok(Some(closed))
}
