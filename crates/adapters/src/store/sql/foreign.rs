//! What foreign authorities are asked for: intents before, records after, and what became of the rest.
//!
//! They choose number and octets, so the row among the issuances comes with the certificate. Until then the use of the
//! grant stands in the row of the intent; it is given back only when it is known that there is no certificate, or that it
//! is revoked there.

use super::decision::About;
use super::engine::{self, OptionalExtension, Owned, Row};
use super::intents::{Steps, count_issued, is_backwards, key_is_anothers, reserve};
use super::issuance::{give_back, mark_issued, profile_version};
use super::read::{fit, fit_optional, parse};
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{Digest, Module, Reason, TransactionId, UnixTime};
use ports::foreign::DurableForeignIntent;
use ports::store::foreign::{
    Attachment, ForeignDraft, ForeignIntentRow, ForeignOutcome, ForeignRecord, ForeignState, ForeignStore, StatusDraft,
    StatusTaken,
};
use ports::{DurableRecord, StoreFault};
use x509::{SerialNumber, sha256};

/// Being asked for.
pub(super) const ASKED: u8 = 0;
/// The certificate is recorded.
pub(super) const ISSUED: u8 = 1;
/// There is none, or it is revoked there.
pub(super) const CLOSED: u8 = 2;
/// Nobody here knows.
pub(super) const UNSETTLED: u8 = 3;

/// How long another process may take to have one certificate made: longer than any wait for a foreign authority lasts,
/// a polled one included.
const TAKEN_OVER_MS: u64 = 600_000;
/// Longest reason that is kept.
const WHY_LEN_MAX: usize = 300;
/// Requests that are told of.
const ROWS_MAX: u32 = 1000;

const ROW: &str = "SELECT i.id, a.name, g.subject, i.transaction_id, i.exchange, i.key, i.at, i.state, i.serial, i.why,
    w.text FROM foreign_intent i JOIN authority a ON a.id = i.authority JOIN grant_ g ON g.id = i.grant_id
    JOIN word w ON w.id = i.requester";

/// What the transaction found out of a draft. It becomes an outcome when it is durable.
enum Found {
    New(u64),
    Again(u64, TransactionId, Option<[u8; 16]>),
    Numbered(u64, SerialNumber),
    Repeated(Vec<u8>, u64),
    InProgress,
    Refused(Reason),
}

/// A row that is open, as far as the writer needs it.
struct Open {
    exchange: TransactionId,
    transaction: TransactionId,
    grant: u64,
    right: Option<u64>,
    key: Digest,
    serial: Option<SerialNumber>,
}

impl ForeignStore for SqlStore {
    fn attachments(&self) -> Result<Vec<Attachment>, StoreFault> {
        self.all_attachments()
    }

    fn attach(&self, attachment: &Attachment, key: Digest, at: UnixTime) -> Result<Result<(), Reason>, StoreFault> {
        self.attach_one(attachment, key, at)
    }

    fn intend_foreign(&self, draft: &ForeignDraft) -> Result<ForeignOutcome, StoreFault> {
        let (key, exchange) = (draft.intent.key, draft.exchange);
        let draft = draft.clone();
        let found = self.write(move |tx| intend(tx, &draft))?;
        let intent = |exchange: TransactionId| DurableForeignIntent::assert_durable(*exchange.octets(), key);
        Ok(match found {
            Found::New(row) => ForeignOutcome::Durable(row, intent(exchange)),
            Found::Again(row, exchange, nonce) => ForeignOutcome::Again(row, intent(exchange), nonce),
            Found::Numbered(row, serial) => ForeignOutcome::Numbered(row, serial),
            Found::Repeated(certificate, authority) => ForeignOutcome::Repeated { certificate, authority },
            Found::InProgress => ForeignOutcome::InProgress,
            Found::Refused(reason) => ForeignOutcome::Refused(reason),
        })
    }

    fn await_foreign(&self, intent: u64, nonce: [u8; 16]) -> Result<(), StoreFault> {
        self.write(move |tx| {
            let own = process(tx);
            tx.statement("UPDATE foreign_intent SET nonce = ?2 WHERE id = ?1 AND state = 0 AND process = ?3")?
                .execute((intent, nonce, own))?;
            Ok(())
        })
    }

    fn offered(&self, intent: u64, serial: SerialNumber, at: UnixTime) -> Result<Result<(), Reason>, StoreFault> {
        self.write(move |tx| offered(tx, intent, serial, at))
    }

    fn record_foreign(&self, record: ForeignRecord) -> Result<Option<DurableRecord>, StoreFault> {
        let recorded: Option<(SerialNumber, Digest)> = self.write(move |tx| record_one(tx, &record))?;
        Ok(recorded.map(|(serial, digest)| DurableRecord::assert_durable(serial, digest)))
    }

    fn close_foreign(&self, intent: u64, why: &str, at: UnixTime) -> Result<bool, StoreFault> {
        let why = model::text::printable(why, WHY_LEN_MAX);
        self.write(move |tx| {
            let Some(open) = open(tx, intent)? else { return Ok(false) };
            tx.statement("UPDATE foreign_intent SET state = 2, attempt = id, why = ?2 WHERE id = ?1")?
                .execute((intent, &why))?;
            give_back(tx, open.grant, open.right)?;
            let event = Event::ForeignClosed { exchange: open.exchange, why: why.clone() };
            tx.audit(&entry(at, Module::Authority, event))?;
            Ok(true)
        })
    }

    fn leave_foreign(
        &self,
        intent: u64,
        serial: Option<SerialNumber>,
        why: &str,
        at: UnixTime,
    ) -> Result<(), StoreFault> {
        let why = model::text::printable(why, WHY_LEN_MAX);
        self.write(move |tx| leave(tx, intent, serial, &why, at))
    }

    fn leave_all_foreign(&self, at: UnixTime) -> Result<u64, StoreFault> {
        let asked = |c: &engine::Connection, own: u64| -> engine::Result<Vec<u64>> {
            let mut asked = c.statement(
                "SELECT id FROM foreign_intent WHERE state IN (0, 3) AND process = ?1 AND state = 0 ORDER BY id",
            )?;
            asked.query_map([own], |row| row.get(0))?.collect()
        };
        self.write(move |tx| {
            let left = asked(tx.connection(), process(tx))?;
            for id in &left {
                leave(tx, *id, None, "the process ended before its end was recorded", at)?;
            }
            Ok(u64::try_from(left.len()).unwrap_or(u64::MAX))
        })
    }

    fn foreign_open(&self, authority: Option<u64>) -> Result<Vec<ForeignIntentRow>, StoreFault> {
        self.read(|c| {
            let sql = format!(
                "{ROW} WHERE i.state IN (0, 3) AND (i.authority = ?1 OR ?1 = 0) ORDER BY i.id LIMIT {ROWS_MAX}"
            );
            c.statement(&sql)?.query_map([authority.unwrap_or(0)], row)?.collect()
        })
    }

    fn foreign_of(&self, transaction_id: &TransactionId) -> Result<Vec<ForeignIntentRow>, StoreFault> {
        self.foreign_about(About::Transaction(transaction_id))
    }

    fn take_status(&self, draft: &StatusDraft) -> Result<Result<StatusTaken, Reason>, StoreFault> {
        self.take_list(draft)
    }
}

impl SqlStore {
    /// What foreign authorities were asked for, oldest first: of one certificate, transaction or subject.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn foreign_about(&self, about: About<'_>) -> Result<Vec<ForeignIntentRow>, StoreFault> {
        self.read(|c| {
            let (which, value) = match about {
                About::Serial(serial) => ("i.serial = ?1", Owned::Blob(serial.octets().to_vec())),
                About::Transaction(id) => ("i.transaction_id = ?1", Owned::Blob(id.octets().to_vec())),
                About::Subject(subject) => ("g.subject = ?1", Owned::Text(subject.to_string())),
            };
            let sql = format!("{ROW} WHERE {which} ORDER BY i.id LIMIT {ROWS_MAX}");
            c.statement(&sql)?.query_map(vec![value], row)?.collect()
        })
    }
}

/// Who writes: a process of several, or the only one.
fn process(tx: &Tx<'_>) -> u64 {
    tx.connection().process().unwrap_or(0)
}

fn row(row: &Row<'_>) -> engine::Result<ForeignIntentRow> {
    Ok(ForeignIntentRow {
        id: row.get(0)?,
        authority: parse(row, 1)?,
        subject: parse(row, 2)?,
        transaction_id: fit(row, 3)?,
        exchange: fit(row, 4)?,
        key: fit(row, 5)?,
        at: UnixTime::from_ms(row.get(6)?),
        state: match row.get::<u8>(7)? {
            ASKED => ForeignState::Asked,
            ISSUED => ForeignState::Issued,
            CLOSED => ForeignState::Closed,
            _ => ForeignState::Unsettled,
        },
        serial: fit_optional(row, 8)?,
        why: row.get(9)?,
        requester: row.get(10)?,
    })
}

fn intend(tx: &mut Tx<'_>, draft: &ForeignDraft) -> Result<Found, WriteFault> {
    if let Some(reason) = super::quarantine::in_force(tx)? {
        return Ok(Found::Refused(reason));
    }
    let intent = &draft.intent;
    if is_backwards(tx, intent) {
        return Ok(Found::Refused(Reason::ClockBackwards));
    }
    let requester = tx.word(&intent.requester.to_string())?;
    if let Some(before) = recorded_before(tx, draft, requester)? {
        return Ok(before);
    }
    if let Some(before) = asked_before(tx, draft, requester)? {
        return Ok(before);
    }
    let profile = profile_version(tx, &intent.profile_digest)?;
    let mut steps = Steps::prepare(tx)?;
    if key_is_anothers(tx, &mut steps, intent)? || key_is_asked_for(tx, draft)? {
        return Ok(Found::Refused(Reason::KeyInUse));
    }
    if let Err(reason) = reserve(tx, &mut steps, intent)? {
        return Ok(Found::Refused(reason));
    }
    if let Err(reason) = count_issued(tx, &mut steps, intent)? {
        return Ok(Found::Refused(reason));
    }
    let row = tx.insert(
        "INSERT INTO foreign_intent (transaction_id, requester, authority, grant_id, right_id, profile, key, expected,
         exchange, at, state, process) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11)",
        (
            intent.transaction_id.octets(),
            requester,
            intent.authority,
            intent.grant,
            intent.right,
            profile,
            intent.key.octets(),
            intent.tbs_digest.octets(),
            draft.exchange.octets(),
            intent.at.ms(),
            process(tx),
        ),
    )?;
    let row = row.ok_or(WriteFault::Corrupt("the intent to ask a foreign authority is there already"))?;
    asks(tx, draft, draft.exchange)?;
    Ok(Found::New(row))
}

fn asks(tx: &mut Tx<'_>, draft: &ForeignDraft, exchange: TransactionId) -> Result<(), WriteFault> {
    let intent = &draft.intent;
    let authority = tx
        .statement("SELECT name FROM authority WHERE id = ?1")?
        .query_row([intent.authority], |row| row.get::<String>(0))?;
    let (transaction, key, grant) = (intent.transaction_id, intent.key, intent.grant);
    let event = Event::ForeignAsked { authority, exchange, transaction, key, grant };
    tx.audit(&entry(intent.at, Module::Authority, event))
}

/// What is known of the draft's transaction, if a certificate stands that was made in it.
fn recorded_before(tx: &Tx<'_>, draft: &ForeignDraft, requester: i64) -> Result<Option<Found>, WriteFault> {
    let intent = &draft.intent;
    let known = tx
        .statement(
            "SELECT i.grant_id = ?2 AND i.key = ?3 AND i.requester = ?4, c.der, i.authority FROM issuance i
             LEFT JOIN certificate c ON c.id = i.id WHERE i.transaction_id = ?1 AND i.attempt = 0",
        )?
        .query_row((intent.transaction_id.octets(), intent.grant, intent.key.octets(), requester), |row| {
            Ok((row.get::<bool>(0)?, row.get::<Option<Vec<u8>>>(1)?, row.get::<u64>(2)?))
        })
        .optional()?;
    Ok(known.map(|(same, der, authority)| match (same, der) {
        (false, _) => Found::Refused(Reason::TransactionConflict),
        (true, Some(der)) if der.is_empty() => Found::Refused(Reason::TransactionClosed),
        (true, Some(der)) => Found::Repeated(der, authority),
        (true, None) => Found::InProgress,
    }))
}

/// What is known of the draft's transaction, if a foreign authority was asked in it.
fn asked_before(tx: &mut Tx<'_>, draft: &ForeignDraft, requester: i64) -> Result<Option<Found>, WriteFault> {
    let intent = &draft.intent;
    let known = tx
        .statement(
            "SELECT grant_id = ?2 AND key = ?3 AND requester = ?4 AND authority = ?5, id, state, process, at, exchange,
             serial, nonce FROM foreign_intent WHERE transaction_id = ?1 AND attempt = 0",
        )?
        .query_row(
            (intent.transaction_id.octets(), intent.grant, intent.key.octets(), requester, intent.authority),
            |row| {
                let of = (row.get::<bool>(0)?, row.get::<u64>(1)?, row.get::<u8>(2)?);
                let begun = (row.get::<u64>(3)?, row.get::<u64>(4)?);
                let nonce = row.get::<Option<Vec<u8>>>(7)?.and_then(|nonce| nonce.try_into().ok());
                Ok((of, begun, fit::<TransactionId>(row, 5)?, fit_optional::<SerialNumber>(row, 6)?, nonce))
            },
        )
        .optional()?;
    let Some(((same, id, state), (owner, at), exchange, serial, nonce)) = known else { return Ok(None) };
    let own = process(tx);
    match state {
        // Its certificate was declined or revoked since, and so its transaction is free.
        ISSUED => {
            tx.statement("UPDATE foreign_intent SET attempt = id WHERE id = ?1")?.execute([id])?;
            return Ok(None);
        }
        _ if !same => return Ok(Some(Found::Refused(Reason::TransactionConflict))),
        ASKED if owner == own || at.saturating_add(TAKEN_OVER_MS) >= intent.at.ms() => {
            return Ok(Some(Found::InProgress));
        }
        _ => {}
    }
    tx.statement("UPDATE foreign_intent SET state = 0, process = ?2, at = ?3 WHERE id = ?1")?.execute((
        id,
        own,
        intent.at.ms(),
    ))?;
    asks(tx, draft, exchange)?;
    Ok(Some(match serial {
        Some(serial) => Found::Numbered(id, serial),
        None => Found::Again(id, exchange, nonce),
    }))
}

/// Whether a foreign authority was asked to certify the key for another subject, and has not ended it.
fn key_is_asked_for(tx: &Tx<'_>, draft: &ForeignDraft) -> Result<bool, WriteFault> {
    let mut others = tx.statement(
        "SELECT 1 FROM foreign_intent i JOIN grant_ g ON g.id = i.grant_id WHERE i.state IN (0, 3) AND i.key = ?1
         AND g.subject <> (SELECT subject FROM grant_ WHERE id = ?2)",
    )?;
    Ok(others.exists((draft.intent.key.octets(), draft.intent.grant))?)
}

/// A row that is not ended. Only its own process may end what is being asked for.
fn open(tx: &Tx<'_>, intent: u64) -> Result<Option<Open>, WriteFault> {
    let mut find = tx.statement(
        "SELECT exchange, transaction_id, grant_id, right_id, key, serial FROM foreign_intent
         WHERE id = ?1 AND (state = 3 OR state = 0 AND process = ?2)",
    )?;
    let found = find.query_row((intent, process(tx)), |row| {
        Ok(Open {
            exchange: fit(row, 0)?,
            transaction: fit(row, 1)?,
            grant: row.get(2)?,
            right: row.get(3)?,
            key: fit(row, 4)?,
            serial: fit_optional(row, 5)?,
        })
    });
    Ok(found.optional()?)
}

fn leave(
    tx: &mut Tx<'_>,
    intent: u64,
    serial: Option<SerialNumber>,
    why: &str,
    at: UnixTime,
) -> Result<(), WriteFault> {
    let Some(open) = open(tx, intent)? else { return Ok(()) };
    // A number that is known stays known.
    let serial = serial.or(open.serial);
    tx.statement("UPDATE foreign_intent SET state = 3, serial = ?2, why = ?3 WHERE id = ?1")?.execute((
        intent,
        serial.as_ref().map(SerialNumber::octets),
        why,
    ))?;
    let event = Event::ForeignUnsettled { exchange: open.exchange, key: open.key, why: why.to_owned() };
    tx.audit(&entry(at, Module::Authority, event))
}

fn offered(tx: &mut Tx<'_>, intent: u64, serial: SerialNumber, at: UnixTime) -> Result<Result<(), Reason>, WriteFault> {
    let Some(open) = open(tx, intent)? else { return Ok(Err(Reason::TransactionClosed)) };
    // Of two authorities one may count as the other does; what is recorded is found by its number alone.
    if tx.statement("SELECT 1 FROM issuance WHERE serial = ?1")?.exists([serial.octets()])? {
        return Ok(Err(Reason::ForeignMisfit));
    }
    let mut others = tx.statement(&format!(
        "SELECT 1 FROM issuance i JOIN grant_ g ON g.id = i.grant_id
         WHERE {} AND g.subject <> (SELECT subject FROM grant_ WHERE id = ?2)",
        super::keys::condition(tx.connection(), 1)
    ))?;
    if others.exists((open.key.octets(), open.grant))? {
        return Ok(Err(Reason::KeyInUse));
    }
    tx.statement("UPDATE foreign_intent SET serial = ?2 WHERE id = ?1")?.execute((intent, serial.octets()))?;
    let event = Event::ForeignOffered { exchange: open.exchange, serial: serial.to_string() };
    tx.audit(&entry(at, Module::Authority, event))?;
    Ok(Ok(()))
}

fn record_one(tx: &mut Tx<'_>, record: &ForeignRecord) -> Result<Option<(SerialNumber, Digest)>, WriteFault> {
    let Some(open) = open(tx, record.intent)? else { return Ok(None) };
    if open.serial != Some(record.serial) {
        return Ok(None);
    }
    let row = tx.insert(
        "INSERT INTO issuance (serial, authority, transaction_id, requester, grant_id, right_id, profile, key, tbs, at,
         state, not_after, shard) SELECT ?2, authority, transaction_id, requester, grant_id, right_id, profile, key, ?3,
         ?4, 0, ?5, 0 FROM foreign_intent WHERE id = ?1",
        (record.intent, record.serial.octets(), record.tbs.octets(), record.at.ms(), record.not_after.s()),
    )?;
    let row = row.ok_or(WriteFault::Corrupt("a certificate of a foreign authority is there already"))?;
    tx.statement("INSERT INTO certificate (id, der) VALUES (?1, ?2)")?.execute((row, &record.certificate))?;
    tx.statement("UPDATE foreign_intent SET state = 1 WHERE id = ?1")?.execute([record.intent])?;
    tx.has_key(row, &open.key);
    mark_issued(tx, row)?;
    let certificate = sha256(&record.certificate);
    let event = Event::ForeignIssued {
        exchange: open.exchange,
        transaction: open.transaction,
        serial: record.serial.to_string(),
        tbs: record.tbs,
        certificate,
    };
    tx.audit(&entry(record.at, Module::Authority, event))?;
    Ok(Some((record.serial, certificate)))
}
