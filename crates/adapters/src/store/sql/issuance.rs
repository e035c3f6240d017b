//! Records of certificates, the second commit of issuing, and the ends of intents that lead to none.

use super::batch;
use super::engine::{self, OptionalExtension, Row, Statement};
use super::intents::{Reserved, intend_each};
use super::read::fit;
use super::standing::{Issuance, revoke_silently};
use super::transaction::{Open, Tx};
use super::{SqlStore, WriteFault, entry};
use crate::store::marks::{IssuedMark, Mark};
use model::audit::Event;
use model::contract::authority::{GrantOffer, RevocationReason};
use model::{Digest, Module, UnixTime};
use ports::store::authority::{ClosedIntent, IntentDraft, RecordDraft};
use ports::{DurableRecord, StoreFault};
use std::collections::BTreeMap;
use x509::{SerialNumber, sha256};

/// Open, or issued if the certificate stands beside it.
pub(super) const STANDING: u8 = 0;
pub(super) const CONFIRMED: u8 = 1;
pub(super) const CLOSED: u8 = 2;
pub(super) const REJECTED: u8 = 3;
/// Issued after the backup that this database was restored from: known from the marks only.
pub(super) const RECALLED: u8 = 4;

impl SqlStore {
    pub(super) fn record_all(&self, drafts: Vec<RecordDraft>) -> Result<Vec<Option<DurableRecord>>, StoreFault> {
        let recorded: Vec<Option<(SerialNumber, Digest)>> =
            self.write_rows(drafts.len(), move |tx| record_each(tx, &drafts))?;
        let durable = |(serial, digest)| DurableRecord::assert_durable(serial, digest);
        Ok(recorded.into_iter().map(|row| row.map(durable)).collect())
    }

    pub(super) fn close_all(&self, intents: Vec<u64>, why: &'static str, at: UnixTime) -> Result<(), StoreFault> {
        self.write(move |tx| intents.iter().try_for_each(|id| close(tx, *id, why, at).map(|_| ())))
    }

    pub(super) fn close_all_left_open(&self, at: UnixTime) -> Result<Vec<ClosedIntent>, StoreFault> {
        self.write(move |tx| {
            let open = tx.open_intents();
            let why = "the process ended between intent and record";
            open.into_iter().filter_map(|id| close(tx, id, why, at).transpose()).collect()
        })
    }
}

impl SqlStore {
    /// Fills the records with many certificates at once, for measuring: grants, intents, certificates and all they
    /// leave in the log are written as ever, but in one transaction for each slice. Gives how many were taken.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn fill(&self, origin: &str, synthetic: Vec<Synthetic>) -> Result<usize, StoreFault> {
        let origin = origin.to_owned();
        self.write_rows(synthetic.len(), move |tx| {
            let offers: Vec<_> = synthetic.iter().map(|s| s.offer.clone()).collect();
            let at = synthetic.first().map_or(UnixTime::from_s(0), |s| s.intent.at);
            deposit(tx, &origin, &offers, at)?;
            let mut drafts = Vec::with_capacity(synthetic.len());
            for one in &synthetic {
                let grant = tx
                    .statement("SELECT g.id FROM grant_ g JOIN word w ON w.id = g.profile WHERE g.subject = ?1 AND w.text = ?2")?
                    .query_row((one.offer.subject.to_string(), one.offer.profile.as_str()), |row| row.get(0))?;
                drafts.push(IntentDraft { grant, ..one.intent.clone() });
            }
            let mut records = Vec::with_capacity(drafts.len());
            for (reserved, one) in intend_each(tx, &drafts)?.into_iter().zip(&synthetic) {
                if let Reserved::Row(intent, serial, _) = reserved {
                    let certificate = one.certificate.clone();
                    records.push(RecordDraft { intent, serial, certificate, at: one.intent.at });
                }
            }
            Ok(record_each(tx, &records)?.into_iter().flatten().count())
        })
    }
}

/// A certificate for [`SqlStore::fill`].
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// Its grant.
    pub offer: GrantOffer,
    /// What was intended; the grant's row is found from the offer.
    pub intent: IntentDraft,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
}

/// Adds grants that are not there yet.
pub(super) fn deposit(tx: &mut Tx<'_>, origin: &str, offers: &[GrantOffer], at: UnixTime) -> Result<u32, WriteFault> {
    let from = tx.word(origin)?;
    let mut new = 0;
    for offer in offers {
        let profile = tx.word(offer.profile.as_str())?;
        let added = tx
            .statement(
                "INSERT INTO grant_ (subject, profile, until, quota, origin) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (subject, profile) DO UPDATE SET until = ?3 WHERE ?3 > grant_.until AND grant_.used < grant_.quota",
            )?
            .execute((offer.subject.to_string(), profile, offer.until.ms(), offer.quota, from))?;
        new += u32::try_from(added).unwrap_or_default();
    }
    if new > 0 {
        let event = Event::GrantsDeposited { count: u64::from(new), origin: origin.to_owned() };
        tx.audit(&entry(at, Module::Authority, event))?;
    }
    Ok(new)
}

fn record_each(tx: &mut Tx<'_>, drafts: &[RecordDraft]) -> Result<Vec<Option<(SerialNumber, Digest)>>, WriteFault> {
    let Some(session) = tx.connection().server().filter(|_| drafts.len() >= batch::ROWS_MIN) else {
        let mut insert = tx.statement("INSERT INTO certificate (id, der) VALUES (?1, ?2)")?;
        return drafts.iter().map(|draft| record(tx, &mut insert, draft)).collect();
    };
    let mut recorded = Vec::with_capacity(drafts.len());
    let mut open: BTreeMap<u64, &RecordDraft> = BTreeMap::new();
    for draft in drafts {
        let is_open = tx.is_open(draft.intent, draft.serial) && !open.contains_key(&draft.intent);
        recorded.push(is_open.then(|| (draft.serial, sha256(&draft.certificate))));
        if is_open {
            open.insert(draft.intent, draft);
        }
    }
    batch::record(tx, session, &open.into_values().collect::<Vec<_>>())?;
    Ok(recorded)
}

/// The intents that are open, and the highest row; where several processes write, those of this one.
pub(super) fn restore(connection: &engine::Connection) -> engine::Result<(BTreeMap<u64, Open>, u64)> {
    let own = connection.process().map_or(String::new(), |process| format!("AND process = {process}"));
    // Below the floor nothing is open, however many there are.
    let mut open = connection.statement(&format!(
        "SELECT id, serial FROM issuance WHERE id >= ?1 AND state = 0 {own}
         AND NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = issuance.id)"
    ))?;
    let open =
        open.query_map([floor(connection)?], |row| Ok((row.get(0)?, Open { serial: fit(row, 1)?, mark: None })))?;
    let open = open.collect::<engine::Result<_>>()?;
    let highest: Option<u64> = connection.query_row("SELECT max(id) FROM issuance", (), |row| row.get(0))?;
    Ok((open, highest.unwrap_or(0)))
}

/// The name of the row that keeps the floor: each process has its own.
pub(super) fn floor_name(connection: &engine::Connection) -> String {
    connection.process().map_or_else(|| FLOOR.to_owned(), floor_of)
}

/// The same of a process, by its row.
pub(super) fn floor_of(process: u64) -> String {
    format!("{FLOOR}.{process}")
}
const FLOOR: &str = "open_intent_floor";

/// No intent with a lower row is open. Written with every commit that moves it ([`super::writer`]).
fn floor(connection: &engine::Connection) -> engine::Result<u64> {
    let lowest: Option<u64> = match connection.process() {
        Some(_) => connection
            .query_row("SELECT value FROM counter WHERE name = ?1", [floor_name(connection)], |row| row.get(0))
            .optional()?,
        // Who reads sees the intents of all.
        None => connection.query_row(
            "SELECT min(value) FROM counter WHERE name >= 'open_intent_floor' AND name < 'open_intent_floor/'",
            (),
            |row| row.get(0),
        )?,
    };
    Ok(lowest.unwrap_or(0))
}

pub(super) fn profile_version(tx: &mut Tx<'_>, digest: &Digest) -> Result<i64, WriteFault> {
    if let Some(id) = tx.known_profile(digest) {
        return Ok(id);
    }
    let id = profile_row(tx, digest)?;
    tx.learn_profile(*digest, id);
    Ok(id)
}

pub(super) fn profile_row(tx: &Tx<'_>, digest: &Digest) -> Result<i64, WriteFault> {
    let mut find = tx.statement("SELECT id FROM profile_version WHERE digest = ?1")?;
    if let Some(id) = find.query_row([digest.octets()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    // Another process may know it by now.
    tx.statement("INSERT INTO profile_version (digest) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([digest.octets()])?;
    Ok(find.query_row([digest.octets()], |row| row.get(0))?)
}

fn record(
    tx: &mut Tx<'_>,
    insert: &mut Statement<'_>,
    draft: &RecordDraft,
) -> Result<Option<(SerialNumber, Digest)>, WriteFault> {
    // Only an intent that is open, and was for this serial number, is completed.
    if !tx.is_open(draft.intent, draft.serial) {
        return Ok(None);
    }
    insert.execute((draft.intent, &draft.certificate))?;
    mark_issued(tx, draft.intent)?;
    let digest = sha256(&draft.certificate);
    let event = Event::Issued { serial: draft.serial.to_string(), certificate: digest };
    tx.audit(&entry(draft.at, Module::Authority, event))?;
    tx.closed(draft.intent);
    Ok(Some((draft.serial, digest)))
}

/// Marks a serial number, and the grant that was spent for it.
pub(super) fn mark_issued(tx: &mut Tx<'_>, intent: u64) -> Result<(), WriteFault> {
    if tx.keeps_marks() && !tx.mark_prepared(intent) {
        // Intended before this process was started.
        let mark = tx.statement(&format!("{MARK} WHERE i.id = ?1"))?.query_row([intent], read_mark)?;
        tx.mark(|| Mark::Issued(Box::new(mark)));
    }
    Ok(())
}

/// The same for many intents at a server.
pub(super) fn mark_issued_each(tx: &mut Tx<'_>, intents: &[i64]) -> Result<(), WriteFault> {
    let Some(session) = tx.connection().server().filter(|_| tx.keeps_marks()) else { return Ok(()) };
    for row in session.rows(&format!("{MARK} WHERE i.id = ANY(?1) ORDER BY i.id"), &[&intents])? {
        let mark = read_mark(&Row::Postgres(&row))?;
        tx.mark(|| Mark::Issued(Box::new(mark)));
    }
    Ok(())
}

const MARK: &str = "SELECT i.serial, a.name, g.subject, w.text, i.not_after, i.shard, i.at FROM issuance i
    JOIN authority a ON a.id = i.authority JOIN grant_ g ON g.id = i.grant_id JOIN word w ON w.id = g.profile";

fn read_mark(row: &Row<'_>) -> engine::Result<IssuedMark> {
    Ok(IssuedMark {
        serial: fit::<SerialNumber>(row, 0)?.to_string(),
        authority: row.get(1)?,
        subject: row.get(2)?,
        profile: row.get(3)?,
        not_after: UnixTime::from_s(row.get(4)?),
        shard: row.get(5)?,
        at: UnixTime::from_ms(row.get(6)?),
    })
}

pub(super) fn give_back(tx: &Tx<'_>, grant: u64, right: Option<u64>) -> Result<(), WriteFault> {
    tx.statement("UPDATE grant_ SET used = used - 1 WHERE id = ?1")?.execute([grant])?;
    if let Some(right) = right {
        tx.statement("UPDATE right_ SET used = used - 1 WHERE id = ?1")?.execute([right])?;
    }
    Ok(())
}

/// Ends an intent of which nobody knows whether it was signed: its serial number is revoked, its grant is free again.
fn close(tx: &mut Tx<'_>, id: u64, why: &str, at: UnixTime) -> Result<Option<ClosedIntent>, WriteFault> {
    if !tx.open_intents().contains(&id) {
        return Ok(None);
    }
    let closed = end(tx, id, why, at)?;
    tx.closed(id);
    Ok(closed)
}

pub(super) fn end(tx: &mut Tx<'_>, id: u64, why: &str, at: UnixTime) -> Result<Option<ClosedIntent>, WriteFault> {
    let open = tx
        .statement(
            "UPDATE issuance SET state = 2, attempt = id WHERE id = ?1
             RETURNING serial, transaction_id, grant_id, right_id",
        )?
        .query_row([id], |row| {
            let closed = ClosedIntent { serial: fit(row, 0)?, transaction_id: fit(row, 1)? };
            Ok((closed, row.get::<u64>(2)?, row.get::<Option<u64>>(3)?))
        })
        .optional()?;
    let Some((closed, grant, right)) = open else { return Ok(None) };
    give_back(tx, grant, right)?;
    // RFC 5280 §5.3.1: what may exist and must not be believed is "unspecified"; nobody's key is compromised.
    let issuance = Issuance { id, serial: closed.serial };
    mark_issued(tx, id)?;
    revoke_silently(tx, &issuance, RevocationReason::Unspecified, at)?;
    let event = Event::IntentClosed { serial: closed.serial.to_string(), why: why.to_owned() };
    tx.audit(&entry(at, Module::Authority, event))?;
    Ok(Some(closed))
}
