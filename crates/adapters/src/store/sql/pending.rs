//! Requests that wait for operators.

use super::engine::{self, Connection, OptionalExtension};
use super::read::{fit, parse};
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{Module, Reason, TransactionId, UnixTime};
use ports::StoreFault;
use ports::store::authority::{Approval, ApprovalDraft, PendingDraft, PendingRow};

/// What is known of a request that waits.
struct Known {
    is_same: bool,
    needed: u32,
    until: UnixTime,
    approved: u32,
    denied: u32,
}

const KNOWN: &str = "SELECT p.requester = ?2 AND p.request = ?3, p.needed, p.until,
    (SELECT count(*) FROM approval a WHERE a.pending = p.id AND a.approved <> 0),
    (SELECT count(*) FROM approval a WHERE a.pending = p.id AND a.approved = 0)
    FROM pending p WHERE p.transaction_id = ?1";

impl SqlStore {
    pub(super) fn ask(&self, draft: &PendingDraft, waiting_max: u32) -> Result<Approval, StoreFault> {
        // A poll writes nothing.
        if let Some(known) = self.read(|c| known(c, draft))? {
            return Ok(known.approval(draft.at));
        }
        let draft = draft.clone();
        self.write(move |tx| {
            if let Some(known) = known(tx.connection(), &draft)? {
                return Ok(known.approval(draft.at));
            }
            let requester = draft.requester.to_string();
            let waiting: u32 = tx
                .statement("SELECT count(*) FROM pending WHERE requester = ?1 AND until >= ?2")?
                .query_row((&requester, draft.at.ms()), |row| row.get(0))?;
            if waiting >= waiting_max {
                return Ok(Approval::Refused(Reason::RateExceeded));
            }
            tx.statement(
                "INSERT INTO pending (transaction_id, requester, subject, profile, request, needed, at, until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                draft.transaction_id.octets(),
                requester,
                draft.subject.to_string(),
                draft.profile.as_str(),
                draft.request.octets(),
                draft.needed,
                draft.at.ms(),
                draft.until.ms(),
            ))?;
            Ok(Approval::Awaited)
        })
    }

    pub(super) fn waiting(&self, now: UnixTime) -> Result<Vec<PendingRow>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT id, transaction_id, requester, subject, profile, request, needed, at, until FROM pending
                 WHERE until >= ?1 ORDER BY id",
            )?;
            let rows = statement.query_map([now.ms()], |row| {
                let id = row.get(0)?;
                Ok(PendingRow {
                    id,
                    transaction_id: fit(row, 1)?,
                    requester: row.get(2)?,
                    subject: parse(row, 3)?,
                    profile: parse(row, 4)?,
                    request: fit(row, 5)?,
                    needed: row.get(6)?,
                    at: UnixTime::from_ms(row.get(7)?),
                    until: UnixTime::from_ms(row.get(8)?),
                    approved: said(c, id, true)?,
                    denied: said(c, id, false)?,
                })
            })?;
            rows.collect()
        })
    }

    pub(super) fn take_approval(&self, draft: &ApprovalDraft) -> Result<Result<(), Reason>, StoreFault> {
        let draft = draft.clone();
        self.write(move |tx| {
            let found: Option<(TransactionId, u64)> = tx
                .statement("SELECT transaction_id, until FROM pending WHERE id = ?1")?
                .query_row([draft.pending], |row| Ok((fit(row, 0)?, row.get(1)?)))
                .optional()?;
            let Some((transaction, until)) = found else { return Ok(Err(Reason::TransactionUnknown)) };
            if until < draft.at.ms() {
                return Ok(Err(Reason::TransactionClosed));
            }
            let added = tx
                .statement(
                    "INSERT INTO approval (pending, operator, statement, approved, at) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO NOTHING",
                )?
                .execute((draft.pending, &draft.operator, &draft.statement, draft.approved, draft.at.ms()))?;
            if added == 0 {
                return Ok(Err(Reason::TransactionClosed));
            }
            let event = Event::Approved { transaction, operator: draft.operator.clone(), approved: draft.approved };
            tx.audit(&entry(draft.at, Module::Authority, event))?;
            Ok::<_, WriteFault>(Ok(()))
        })
    }
}

impl Known {
    fn approval(&self, now: UnixTime) -> Approval {
        let reason = match self {
            Self { is_same: false, .. } => Reason::TransactionConflict,
            Self { denied: 1.., .. } => Reason::ApprovalDenied,
            _ if self.approved >= self.needed => return Approval::Given,
            _ if self.until < now => Reason::TransactionClosed,
            _ => return Approval::Awaited,
        };
        Approval::Refused(reason)
    }
}

fn known(connection: &Connection, draft: &PendingDraft) -> engine::Result<Option<Known>> {
    let mut statement = connection.statement(KNOWN)?;
    let parameters = (draft.transaction_id.octets(), draft.requester.to_string(), draft.request.octets());
    let known = statement.query_row(parameters, |row| {
        Ok(Known {
            is_same: row.get(0)?,
            needed: row.get(1)?,
            until: UnixTime::from_ms(row.get(2)?),
            approved: row.get(3)?,
            denied: row.get(4)?,
        })
    });
    known.optional()
}

fn said(connection: &Connection, pending: u64, approved: bool) -> engine::Result<Vec<String>> {
    let mut statement = connection
        .statement("SELECT operator FROM approval WHERE pending = ?1 AND approved = ?2 ORDER BY at, operator")?;
    statement.query_map((pending, approved), |row| row.get(0))?.collect()
}
