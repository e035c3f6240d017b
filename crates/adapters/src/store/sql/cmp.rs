//! Exchanges over CMP, in the database.

use super::engine::{self, OptionalExtension, Row};
use super::read::{fit, parse, parse_optional};
use super::{SqlStore, WriteFault};
use model::{Digest, UnixTime};
use ports::StoreFault;
use ports::store::cmp::{CmpStore, Exchange, ExchangeState};

/// Secrets that are forgotten at a time.
const FORGOTTEN: u32 = 64;

const EXCHANGE: &str =
    "SELECT id, message, state, transaction_id, instance, label, body, cert_req_id, implicit, nonce, at,
    until, request, subject FROM cmp_exchange";

fn number(state: ExchangeState) -> u8 {
    (0..).zip(ExchangeState::ALL).find_map(|(n, known)| (known == state).then_some(n)).unwrap_or_default()
}

fn exchange(row: &Row<'_>) -> engine::Result<Exchange> {
    let state: usize = row.get(2)?;
    Ok(Exchange {
        id: fit(row, 0)?,
        message: fit(row, 1)?,
        state: ExchangeState::ALL.get(state).copied().ok_or(engine::Error::Misfit(2))?,
        transaction_id: fit(row, 3)?,
        instance: parse(row, 4)?,
        label: parse_optional(row, 5)?,
        body: row.get(6)?,
        cert_req_id: row.get(7)?,
        implicit: row.get(8)?,
        nonce: row.blob(9)?.try_into().map_err(|_| engine::Error::Misfit(9))?,
        at: UnixTime::from_ms(row.get(10)?),
        until: UnixTime::from_ms(row.get(11)?),
        request: row.get(12)?,
        subject: parse(row, 13)?,
    })
}

impl CmpStore for SqlStore {
    fn keep_secret(&self, digest: Digest, sealed: &[u8], until: UnixTime, at: UnixTime) -> Result<(), StoreFault> {
        let sealed = sealed.to_vec();
        self.write(move |tx| {
            tx.statement(
                "DELETE FROM cmp_secret WHERE digest IN (SELECT digest FROM cmp_secret WHERE until < ?1 LIMIT ?2)",
            )?
            .execute((at.ms(), FORGOTTEN))?;
            tx.statement(
                "INSERT INTO cmp_secret (digest, sealed, until) VALUES (?1, ?2, ?3)
                 ON CONFLICT (digest) DO UPDATE SET sealed = ?2, until = ?3",
            )?
            .execute((digest.octets().as_slice(), &sealed, until.ms()))?;
            Ok::<_, WriteFault>(())
        })
    }

    fn sealed_secret(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreFault> {
        self.read(|c| {
            c.statement("SELECT sealed FROM cmp_secret WHERE digest = ?1")?
                .query_row([digest.octets().as_slice()], |row| row.get(0))
                .optional()
        })
    }

    fn begin_exchange(&self, exchange: &Exchange) -> Result<bool, StoreFault> {
        let begun = exchange.clone();
        self.write(move |tx| {
            let label = begun.label.as_ref().map(ToString::to_string);
            let new = tx
                .statement(
                    "INSERT INTO cmp_exchange (id, message, state, transaction_id, instance, label, body, cert_req_id,
                     implicit, nonce, at, until, subject) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                     ON CONFLICT DO NOTHING",
                )?
                .execute((
                    begun.id.octets().as_slice(),
                    begun.message.octets().as_slice(),
                    number(begun.state),
                    begun.transaction_id.octets().as_slice(),
                    begun.instance.as_str(),
                    label,
                    begun.body,
                    begun.cert_req_id,
                    begun.implicit,
                    begun.nonce,
                    begun.at.ms(),
                    begun.until.ms(),
                    begun.subject.to_string(),
                ))?;
            Ok::<_, WriteFault>(new == 1)
        })
    }

    fn exchange(&self, id: &Digest) -> Result<Option<Exchange>, StoreFault> {
        self.read(|c| {
            c.statement(&format!("{EXCHANGE} WHERE id = ?1"))?.query_row([id.octets().as_slice()], exchange).optional()
        })
    }

    fn move_exchange(&self, exchange: &Exchange) -> Result<(), StoreFault> {
        let moved = exchange.clone();
        self.write(move |tx| {
            tx.statement("UPDATE cmp_exchange SET state = ?2, nonce = ?3, until = ?4, request = ?5 WHERE id = ?1")?
                .execute((
                    moved.id.octets().as_slice(),
                    number(moved.state),
                    moved.nonce,
                    moved.until.ms(),
                    &moved.request,
                ))?;
            Ok::<_, WriteFault>(())
        })
    }

    fn overdue_exchanges(&self, now: UnixTime, limit: u32) -> Result<Vec<Exchange>, StoreFault> {
        self.read(|c| {
            let mut statement =
                c.statement(&format!("{EXCHANGE} WHERE state IN (0, 1) AND until < ?1 ORDER BY until LIMIT ?2"))?;
            statement.query_map((now.ms(), limit), exchange)?.collect()
        })
    }
}
