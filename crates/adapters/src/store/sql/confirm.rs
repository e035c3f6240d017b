//! What happens to a certificate after it was recorded: confirmed, rejected, revoked.

use super::engine::OptionalExtension;
use super::issuance::{CONFIRMED, REJECTED, STANDING};
use super::read::fit;
use super::standing::{Issuance, revoke};
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::contract::authority::{RevocationReason, Verdict};
use model::{Module, Reason, TransactionId, UnixTime};
use ports::StoreFault;
use ports::directory::Caller;
use x509::SerialNumber;

struct Known {
    id: u64,
    serial: SerialNumber,
    state: u8,
    grant: u64,
    right: Option<u64>,
}

impl SqlStore {
    pub(super) fn confirm_all(
        &self,
        requester: &Caller,
        verdicts: Vec<(TransactionId, Verdict)>,
        at: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault> {
        let requester = requester.to_string();
        self.write(move |tx| {
            let requester = tx.word(&requester)?;
            verdicts.iter().map(|(id, verdict)| confirm(tx, requester, *id, *verdict, at)).collect()
        })
    }
}

fn confirm(
    tx: &mut Tx<'_>,
    requester: i64,
    transaction_id: TransactionId,
    verdict: Verdict,
    at: UnixTime,
) -> Result<Result<(), Reason>, WriteFault> {
    let known = tx
        .statement(
            "SELECT i.id, i.serial, i.state, i.grant_id, i.right_id FROM issuance i
             LEFT JOIN certificate c ON c.id = i.id
             WHERE i.transaction_id = ?1 AND i.requester = ?2 AND (i.state <> 0 OR c.id IS NOT NULL)
             ORDER BY i.attempt = 0 DESC, i.id DESC LIMIT 1",
        )?
        .query_row((transaction_id.octets(), requester), |row| {
            Ok(Known {
                id: row.get(0)?,
                serial: fit(row, 1)?,
                state: row.get(2)?,
                grant: row.get(3)?,
                right: row.get(4)?,
            })
        })
        .optional()?;
    let Some(known) = known else { return Ok(Err(Reason::TransactionUnknown)) };
    match (known.state, verdict) {
        (STANDING, Verdict::Accepted) => {
            set_state(tx, known.id, CONFIRMED)?;
            audit(tx, &known, true, at)?;
            Ok(Ok(()))
        }
        // A verdict that is repeated has no second effect.
        (CONFIRMED, Verdict::Accepted) | (REJECTED, Verdict::Rejected) => Ok(Ok(())),
        (STANDING, Verdict::Rejected) => {
            set_state(tx, known.id, REJECTED)?;
            tx.statement("UPDATE issuance SET attempt = id WHERE id = ?1")?.execute([known.id])?;
            free(tx, &known)?;
            audit(tx, &known, false, at)?;
            let reason = RevocationReason::CessationOfOperation;
            // It may have been revoked by an operator meanwhile; revoked is revoked.
            let issuance = Issuance { id: known.id, serial: known.serial };
            revoke(tx, &issuance, reason, at).map(|_| Ok(()))
        }
        _ => Ok(Err(Reason::TransactionClosed)),
    }
}

fn set_state(tx: &Tx<'_>, id: u64, state: u8) -> Result<(), WriteFault> {
    tx.statement("UPDATE issuance SET state = ?2 WHERE id = ?1")?.execute((id, state))?;
    Ok(())
}

fn free(tx: &Tx<'_>, known: &Known) -> Result<(), WriteFault> {
    tx.statement("UPDATE grant_ SET used = used - 1 WHERE id = ?1")?.execute([known.grant])?;
    if let Some(right) = known.right {
        tx.statement("UPDATE right_ SET used = used - 1 WHERE id = ?1")?.execute([right])?;
    }
    Ok(())
}

fn audit(tx: &mut Tx<'_>, known: &Known, accepted: bool, at: UnixTime) -> Result<(), WriteFault> {
    let event = Event::Confirmed { serial: known.serial.to_string(), accepted };
    tx.audit(&entry(at, Module::Authority, event))
}
