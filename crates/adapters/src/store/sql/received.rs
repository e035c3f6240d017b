//! What processes of a module received, so that a broker cannot bring one what another has acted on.

use super::SqlStore;
use model::{Nonce, UnixTime};
use ports::directory::Caller;
use ports::replay::{Received, WINDOW_MS};
use ports::store::StoreFault;

/// How long what is out of time is kept: by the clocks of all boxes, and then some.
const KEPT_MS: u64 = 10 * WINDOW_MS;
/// Most of them that are forgotten at a time.
const FORGOTTEN: u64 = 64;

impl Received for SqlStore {
    fn note(&self, caller: &Caller, nonce: Nonce, until: UnixTime) -> Result<bool, StoreFault> {
        let name = caller.to_string();
        let message = x509::sha256_of_parts([name.as_bytes(), b" ", nonce.octets()].into_iter());
        let edge = until.ms().saturating_sub(KEPT_MS);
        self.write(move |tx| {
            let mut forget = tx.statement(
                "DELETE FROM received WHERE message IN (SELECT message FROM received WHERE until < ?1 LIMIT ?2)",
            )?;
            forget.execute((edge, FORGOTTEN))?;
            let mut note =
                tx.statement("INSERT INTO received (message, until) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
            Ok(note.execute((message.octets().as_slice(), until.ms()))? == 1)
        })
    }
}
