//! Intents, the first commit of issuing.

use super::engine::{Insertion, OptionalExtension, Statement};
use super::issuance::{give_back, profile_version};
use super::keys::Uses;
use super::transaction::Tx;
use super::{SqlStore, WriteFault, batch, entry};
use crate::store::marks::IssuedMark;
use model::audit::Event;
use model::{Digest, Module, Reason, UnixTime};
use ports::directory::Caller;
use ports::store::authority::{IntentDraft, IntentOutcome};
use ports::{DurableIntent, StoreFault};
use x509::SerialNumber;

/// How far the clock may be behind the latest record: what an NTP daemon steps without saying so.
const CLOCK_SLACK_MS: u64 = 5_000;

/// What the transaction found out of a draft. It becomes an outcome when it is durable.
pub(super) enum Reserved {
    Row(u64, SerialNumber, Digest),
    Repeated(Vec<u8>, u64),
    InProgress,
    Refused(Reason),
}

impl SqlStore {
    pub(super) fn intend_all(&self, drafts: Vec<IntentDraft>) -> Result<Vec<IntentOutcome>, StoreFault> {
        let reserved: Vec<Reserved> = self.write_rows(drafts.len(), move |tx| intend_each(tx, &drafts))?;
        Ok(reserved.into_iter().map(outcome).collect())
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

/// What a batch of intents needs for each of them: the statements, and what one row after the other has in common.
pub(super) struct Steps<'c> {
    insert: Insertion<'c>,
    uses: Uses<'c>,
    reserve: Statement<'c>,
    granted: Statement<'c>,
    authorities: Vec<Issuing>,
    profile: Option<(i64, String)>,
}

/// What an authority may do, and whether what it does is counted.
struct Issuing {
    id: u64,
    name: String,
    ends_ms: Option<u64>,
    is_retired: bool,
    is_counted: bool,
}

impl<'c> Steps<'c> {
    pub(super) fn prepare(tx: &Tx<'c>) -> Result<Self, WriteFault> {
        Ok(Self {
            insert: tx.connection().insertion(
                "INSERT INTO issuance
         (serial, authority, transaction_id, requester, grant_id, right_id, profile, key, tbs, at, state, not_after,
          shard) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12) ON CONFLICT (transaction_id, attempt) DO NOTHING",
            )?,
            uses: Uses::prepare(tx)?,
            // Without RETURNING: the embedded engine would make a table of its own for what is returned, each time.
            reserve: tx
                .statement("UPDATE grant_ SET used = used + 1 WHERE id = ?1 AND until >= ?2 AND used < quota")?,
            granted: tx.statement("SELECT subject, profile FROM grant_ WHERE id = ?1")?,
            authorities: Vec::new(),
            profile: None,
        })
    }

    /// The authority of a draft. In a batch nobody else changes it.
    fn authority(&mut self, tx: &Tx<'_>, id: u64) -> Result<&Issuing, WriteFault> {
        if !self.authorities.iter().any(|known| known.id == id) {
            let mut limits =
                tx.statement("SELECT name, ends, retired <> 0, quota IS NOT NULL FROM authority WHERE id = ?1")?;
            let found = limits.query_row([id], |row| {
                let (name, ends_ms, is_retired, is_counted) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(Issuing { id, name, ends_ms, is_retired, is_counted })
            });
            self.authorities.push(found?);
        }
        let found = self.authorities.iter().find(|known| known.id == id);
        found.ok_or(WriteFault::Corrupt("the authority of an intent is gone"))
    }

    /// What the marks will tell of an intent when it is recorded.
    fn mark(&mut self, tx: &mut Tx<'_>, draft: &IntentDraft) -> Result<IssuedMark, WriteFault> {
        let (subject, word): (String, i64) =
            self.granted.query_row([draft.grant], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let profile = match &self.profile {
            Some((known, text)) if *known == word => text.clone(),
            _ => {
                let text = tx.text_of(word)?;
                self.profile.insert((word, text)).1.clone()
            }
        };
        let authority = self.authority(tx, draft.authority)?.name.clone();
        let IntentDraft { serial, not_after, shard, at, .. } = draft;
        let (serial, not_after) = (serial.to_string(), UnixTime::from_s(not_after.s()));
        Ok(IssuedMark { serial, authority, subject, profile, not_after, shard: *shard, at: *at })
    }
}

pub(super) fn intend_each(tx: &mut Tx<'_>, drafts: &[IntentDraft]) -> Result<Vec<Reserved>, WriteFault> {
    if let Some(reason) = super::quarantine::in_force(tx)? {
        return Ok(drafts.iter().map(|_| Reserved::Refused(reason)).collect());
    }
    let requesters = words_of(tx, drafts)?;
    if let Some(session) = tx.connection().server().filter(|_| drafts.len() >= batch::ROWS_MIN) {
        let profiles = drafts.iter().map(|d| profile_version(tx, &d.profile_digest)).collect::<Result<Vec<_>, _>>()?;
        let is_late = drafts.iter().any(|draft| is_backwards(tx, draft));
        let reserved = if is_late { None } else { batch::intend(tx, session, drafts, &requesters, &profiles)? };
        if let Some(reserved) = reserved {
            return Ok(reserved);
        }
    }
    let mut steps = Steps::prepare(tx)?;
    drafts.iter().zip(requesters).map(|(draft, requester)| intend(tx, &mut steps, draft, requester)).collect()
}

/// The words for who asks. Mostly it is one for all of them.
fn words_of(tx: &mut Tx<'_>, drafts: &[IntentDraft]) -> Result<Vec<i64>, WriteFault> {
    let mut last: Option<(&Caller, i64)> = None;
    let mut words = Vec::with_capacity(drafts.len());
    for IntentDraft { requester, .. } in drafts {
        let word = match last {
            Some((known, word)) if known == requester => word,
            _ => tx.word(&requester.to_string())?,
        };
        last = Some((requester, word));
        words.push(word);
    }
    Ok(words)
}

/// Whether the clock went back since something was recorded.
pub(super) fn is_backwards(tx: &Tx<'_>, draft: &IntentDraft) -> bool {
    draft.at.ms().saturating_add(CLOCK_SLACK_MS) < tx.latest_ms()
}

/// What the log tells of an intent.
pub(super) fn intended(draft: &IntentDraft) -> Event {
    Event::Intended {
        serial: draft.serial.to_string(),
        tbs: draft.tbs_digest,
        grant: draft.grant,
        transaction: draft.transaction_id,
    }
}

fn intend(tx: &mut Tx<'_>, steps: &mut Steps<'_>, draft: &IntentDraft, requester: i64) -> Result<Reserved, WriteFault> {
    if is_backwards(tx, draft) {
        return Ok(Reserved::Refused(Reason::ClockBackwards));
    }
    let profile = profile_version(tx, &draft.profile_digest)?;
    let row = steps.insert.insert((
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
        draft.not_after.s(),
        draft.shard,
    ))?;
    let Some(row) = row else {
        return match repeated(tx, draft, requester)? {
            // Whoever intended it is gone, and so is its intent: the transaction is free.
            Reserved::InProgress if super::takeover::take_over(tx, draft)? => intend(tx, steps, draft, requester),
            outcome => Ok(outcome),
        };
    };
    let refused = if key_is_anothers(tx, steps, draft)? { Err(Reason::KeyInUse) } else { reserve(tx, steps, draft)? };
    let refused = match refused {
        Ok(()) => count_issued(tx, steps, draft)?,
        Err(reason) => Err(reason),
    };
    if let Err(reason) = refused {
        tx.statement("DELETE FROM issuance WHERE id = ?1")?.execute([row])?;
        return Ok(Reserved::Refused(reason));
    }
    tx.audit(&entry(draft.at, Module::Authority, intended(draft)))?;
    tx.opened(row, draft.serial);
    tx.has_key(row, &draft.key);
    if tx.keeps_marks() {
        // With the record of it, which nothing else in the table is needed for.
        let mark = steps.mark(tx, draft)?;
        tx.prepare_mark(row, mark);
    }
    Ok(Reserved::Row(row, draft.serial, draft.tbs_digest))
}

/// What is known of the draft's transaction, which was used before.
fn repeated(tx: &Tx<'_>, draft: &IntentDraft, requester: i64) -> Result<Reserved, WriteFault> {
    let mut known = tx.statement(
        "SELECT i.grant_id = ?2 AND i.key = ?3 AND i.requester = ?4, c.der, i.authority FROM issuance i
         LEFT JOIN certificate c ON c.id = i.id WHERE i.transaction_id = ?1 AND i.attempt = 0",
    )?;
    let parameters = (draft.transaction_id.octets(), draft.grant, draft.key.octets(), requester);
    let (same, der, authority) =
        known.query_row(parameters, |row| Ok((row.get::<bool>(0)?, row.get::<Option<Vec<u8>>>(1)?, row.get(2)?)))?;
    Ok(match (same, der) {
        (false, _) => Reserved::Refused(Reason::TransactionConflict),
        // What expired so long ago that its octets are gone is not handed out again.
        (true, Some(der)) if der.is_empty() => Reserved::Refused(Reason::TransactionClosed),
        (true, Some(der)) => Reserved::Repeated(der, authority),
        (true, None) => Reserved::InProgress,
    })
}

pub(super) fn key_is_anothers(tx: &Tx<'_>, steps: &mut Steps<'_>, draft: &IntentDraft) -> Result<bool, WriteFault> {
    // The same subject may have its key certified again, under another profile or at renewal.
    for other in steps.uses.others(tx, &draft.key, draft.grant)? {
        let mut others = tx.statement(
            "SELECT 1 FROM grant_ WHERE id = ?1 AND subject <> (SELECT subject FROM grant_ WHERE id = ?2)",
        )?;
        if others.exists((other, draft.grant))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Holds the authority to its limits. Only one that has any costs a write. What was counted stays counted, also if the
/// intent is closed: the number may have been signed.
pub(super) fn count_issued(
    tx: &Tx<'_>,
    steps: &mut Steps<'_>,
    draft: &IntentDraft,
) -> Result<Result<(), Reason>, WriteFault> {
    let authority = steps.authority(tx, draft.authority)?;
    let has_ended = authority.is_retired || authority.ends_ms.is_some_and(|ends| ends < draft.at.ms());
    let refused = if has_ended {
        Some(Reason::AuthorityEnded)
    } else if authority.is_counted {
        let mut count = tx.statement("UPDATE authority SET issued = issued + 1 WHERE id = ?1 AND issued < quota")?;
        (count.execute([draft.authority])? == 0).then_some(Reason::AuthoritySpent)
    } else {
        None
    };
    match refused {
        Some(reason) => {
            give_back(tx, draft.grant, draft.right)?;
            Ok(Err(reason))
        }
        None => Ok(Ok(())),
    }
}

/// Reserves the grant and the right, or says why one of them does not leave it.
pub(super) fn reserve(
    tx: &Tx<'_>,
    steps: &mut Steps<'_>,
    draft: &IntentDraft,
) -> Result<Result<(), Reason>, WriteFault> {
    let at = draft.at.ms();
    if steps.reserve.execute((draft.grant, at))? == 0 {
        let spent: Option<bool> = tx
            .statement("SELECT used >= quota FROM grant_ WHERE id = ?1")?
            .query_row([draft.grant], |row| row.get(0))
            .optional()?;
        return Ok(Err(match spent {
            None => Reason::NoGrant,
            Some(true) => Reason::GrantSpent,
            Some(false) => Reason::GrantExpired,
        }));
    }
    let Some(right) = draft.right else { return Ok(Ok(())) };
    let reserved = tx
        .statement("UPDATE right_ SET used = used + 1 WHERE id = ?1 AND until >= ?2 AND used < quota")?
        .execute((right, at))?;
    if reserved == 0 {
        give_back(tx, draft.grant, None)?;
        return Ok(Err(Reason::RightSpent));
    }
    Ok(Ok(()))
}
