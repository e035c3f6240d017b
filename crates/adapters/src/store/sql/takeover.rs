//! Ending what a process has begun that does not go on.

use super::WriteFault;
use super::engine::{self, OptionalExtension};
use super::issuance::{end, floor_of};
use super::transaction::Tx;
use ports::store::authority::IntentDraft;

/// How long another process may take from intent to record: two batches and an fsync, many times over.
const TAKEN_OVER_MS: u64 = 30_000;

/// Ends what another process has begun and not ended, if it had time enough. From then on that process writes nothing
/// more, should it only have been stopped: what it signs is not released. Gives whether the draft's transaction is free now.
pub(super) fn take_over(tx: &mut Tx<'_>, draft: &IntentDraft) -> Result<bool, WriteFault> {
    let Some(own) = tx.connection().process() else { return Ok(false) };
    let begun: Option<(u64, u64, u64)> = tx
        .statement("SELECT id, process, at FROM issuance WHERE transaction_id = ?1 AND attempt = 0")?
        .query_row([draft.transaction_id.octets()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((begun, owner, at)) = begun else { return Ok(false) };
    if owner == own || at.saturating_add(TAKEN_OVER_MS) >= draft.at.ms() {
        return Ok(false);
    }
    tx.statement("UPDATE process SET epoch = epoch + 1 WHERE id = ?1")?.execute([owner])?;
    let mut open = tx.statement(
        "SELECT i.id FROM issuance i WHERE i.process = ?1 AND i.state = 0
         AND i.id >= (SELECT value FROM counter WHERE name = ?2)
         AND NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = i.id)",
    )?;
    let ids = open.query_map((owner, floor_of(owner)), |row| row.get::<u64>(0))?;
    let ids = ids.collect::<engine::Result<Vec<_>>>()?;
    for id in &ids {
        end(tx, *id, "its process did not end it, and another took its place", draft.at)?;
    }
    Ok(ids.contains(&begun))
}
