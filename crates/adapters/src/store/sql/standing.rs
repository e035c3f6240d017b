//! The standing of certificates: revoked, on hold, released; and the lists that tell of it.
//!
//! Prevents: a revoked certificate that is good again; a list number that is used twice.

use super::engine::{self, OptionalExtension, Row};
use super::read::fit;
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use crate::store::marks::Mark;
use model::audit::Event;
use model::contract::authority::RevocationReason;
use model::{Digest, Module, Reason, UnixTime};
use ports::StoreFault;
use ports::store::authority::{AuthorityRow, CrlBase, CrlContents, CrlLine, CrlRow, CrlScope, Standing};
use x509::crl::RevokedCertificate;
use x509::{SerialNumber, sha256};

/// The word that ends a hold: `removeFromCRL`. Source: RFC 5280 §5.3.1.
pub(super) const REMOVE_FROM_CRL: u8 = 8;

/// Certificates that are revoked in one transaction.
const SLICE: usize = 2000;

/// How long a device may take for the certificate that takes the place of one that was read back, in seconds: 30 days,
/// in which its board must come to a station again.
const AGAIN_S: u64 = 30 * 86_400;

/// What is known of an issuance whose standing changes.
pub(super) struct Issuance {
    pub(super) id: u64,
    pub(super) serial: SerialNumber,
}

impl SqlStore {
    pub(super) fn revoke_one(
        &self,
        serial: SerialNumber,
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        self.write(move |tx| match issued(tx, serial)? {
            None => Ok(Err(Reason::SerialUnknown)),
            Some(issuance) => revoke_by_order(tx, &issuance, reason, at),
        })
    }

    /// Revokes many certificates, each on its own: one that cannot be revoked fails no other.
    ///
    /// # Errors
    /// [`StoreFault`]: those of earlier slices are revoked then.
    pub fn revoke_many(
        &self,
        serials: &[SerialNumber],
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault> {
        let mut results = Vec::with_capacity(serials.len());
        for slice in serials.chunks(SLICE) {
            let slice = slice.to_vec();
            let revoked = self.write_rows(slice.len(), move |tx| {
                let each = slice.iter().map(|serial| match issued(tx, *serial)? {
                    None => Ok(Err(Reason::SerialUnknown)),
                    Some(issuance) => revoke_by_order(tx, &issuance, reason, at),
                });
                each.collect::<Result<Vec<_>, WriteFault>>()
            })?;
            results.extend(revoked);
        }
        Ok(results)
    }

    pub(super) fn release_one(&self, serial: SerialNumber, at: UnixTime) -> Result<Result<(), Reason>, StoreFault> {
        self.write(move |tx| {
            let Some(issuance) = issued(tx, serial)? else { return Ok(Err(Reason::SerialUnknown)) };
            match stands(tx, issuance.id)? {
                Some((row, _, reason)) if reason == RevocationReason::CertificateHold.code() => {
                    put(tx, &issuance, REMOVE_FROM_CRL, at, Some(row))?;
                    let event = Event::Released { serial: serial.to_string() };
                    tx.audit(&entry(at, Module::Authority, event))?;
                    Ok(Ok(()))
                }
                _ => Ok(Err(Reason::NotHeld)),
            }
        })
    }

    pub(super) fn edge_of_revocations(&self) -> Result<u64, StoreFault> {
        self.read(|c| {
            let edge: Option<u64> = c.query_row("SELECT max(id) FROM revocation", (), |row| row.get(0))?;
            Ok(edge.unwrap_or(0))
        })
    }

    pub(super) fn lines_of(
        &self,
        contents: &CrlContents,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, CrlLine)>, StoreFault> {
        self.read(|c| {
            // `removeFromCRL` stands on lists of differences only (RFC 5280 §5.3.1).
            // A shard is found by its index, all of an authority by walking: each in the order of the rows.
            let from = if contents.scope.shard == 0 {
                "revocation r NOT INDEXED CROSS JOIN issuance i ON i.id = r.issuance WHERE ?2 = 0"
            } else {
                "revocation r INDEXED BY revocation_list CROSS JOIN issuance i ON i.id = r.issuance WHERE r.shard = ?2"
            };
            let mut statement = c.statement(&format!(
                "SELECT r.id, i.serial, r.at, r.reason FROM {from} AND r.authority = ?1 AND r.id > ?6
                 AND r.id <= ?4 AND (r.ended IS NULL OR r.ended > ?4) AND r.not_after >= ?5
                 AND (r.reason <> 8 OR ?3 > 0) ORDER BY r.id LIMIT ?7"
            ))?;
            let CrlContents { scope, edge, behind, expired_before } = contents;
            let parameters =
                (scope.authority, scope.shard, behind, edge, expired_before.s(), after.max(*behind), limit);
            statement.query_map(parameters, |row| Ok((row.get(0)?, line(row)?)))?.collect()
        })
    }

    pub(super) fn serials_of(
        &self,
        authority: u64,
        now: UnixTime,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, SerialNumber)>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT id, serial FROM issuance WHERE id > ?3 AND authority = ?1 AND not_after >= ?2
                 ORDER BY id LIMIT ?4",
            )?;
            let rows = statement
                .query_map((authority, now.s(), after, limit), |row| Ok((row.get::<u64>(0)?, fit(row, 1)?)))?;
            rows.collect()
        })
    }

    pub(super) fn last_list(&self, scope: CrlScope, delta: bool) -> Result<Option<CrlRow>, StoreFault> {
        self.read(|c| {
            c.statement(
                "SELECT number, base, edge, this_update, next_update, der FROM crl
                 WHERE authority = ?1 AND shard = ?2 AND (base IS NOT NULL) = ?3 ORDER BY number DESC LIMIT 1",
            )?
            .query_row((scope.authority, scope.shard, delta), |row| {
                Ok(CrlRow {
                    scope,
                    number: row.get(0)?,
                    base: row.get(1)?,
                    edge: row.get(2)?,
                    this_update: UnixTime::from_ms(row.get(3)?),
                    next_update: UnixTime::from_ms(row.get(4)?),
                    der: row.get::<Option<Vec<u8>>>(5)?.unwrap_or_default(),
                })
            })
            .optional()
        })
    }

    pub(super) fn first_whole_list(&self, scope: CrlScope, at: UnixTime) -> Result<Option<CrlBase>, StoreFault> {
        self.read(|c| {
            c.statement(
                "SELECT number, edge FROM crl WHERE authority = ?1 AND shard = ?2 AND base IS NULL AND next_update >= ?3
                 ORDER BY number LIMIT 1",
            )?
            .query_row((scope.authority, scope.shard, at.ms()), |row| {
                Ok(CrlBase { number: row.get(0)?, edge: row.get(1)? })
            })
            .optional()
        })
    }

    pub(super) fn standing_of(&self, authority: u64, serial: &SerialNumber) -> Result<Standing, StoreFault> {
        self.read(|c| {
            let found = c
                .statement(
                    "SELECT i.state, i.not_after, r.at, r.reason, c.id IS NOT NULL FROM issuance i
                     LEFT JOIN certificate c ON c.id = i.id
                     LEFT JOIN revocation r ON r.issuance = i.id AND r.ended IS NULL
                     WHERE i.serial = ?1 AND i.authority = ?2",
                )?
                .query_row((serial.octets(), authority), standing)
                .optional()?;
            Ok(found.unwrap_or(Standing::NeverIssued))
        })
    }

    pub(super) fn intend_list(
        &self,
        authority: &AuthorityRow,
        number: u64,
        tbs: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        let authority = authority.clone();
        self.write(move |tx| {
            if super::quarantine::in_force(tx)?.is_some() {
                return Ok(Err(Reason::Quarantined));
            }
            let raised = tx
                .statement("UPDATE authority SET crl_number = ?2 WHERE id = ?1 AND crl_number < ?2")?
                .execute((authority.id, number))?;
            if raised == 0 {
                return Err(WriteFault::Corrupt("a list of this number was intended before"));
            }
            tx.mark(|| Mark::Crl { authority: authority.name.to_string(), number });
            let event = Event::CrlIntended { authority: authority.name.to_string(), number, tbs };
            tx.audit(&entry(at, Module::Authority, event))?;
            Ok(Ok(()))
        })
    }

    pub(super) fn record_list(&self, authority: &AuthorityRow, crl: CrlRow) -> Result<Vec<u8>, StoreFault> {
        let authority = authority.clone();
        // A long list is held once: by the job that writes it and by the caller, who gets it back.
        let crl = std::sync::Arc::new(crl);
        let kept = std::sync::Arc::clone(&crl);
        let written = self.write(move |tx| {
            let intended: u64 = tx
                .statement("SELECT crl_number FROM authority WHERE id = ?1")?
                .query_row([authority.id], |row| row.get(0))?;
            if intended != crl.number {
                return Err(WriteFault::Corrupt("the list was not intended"));
            }
            let digest = sha256(&crl.der);
            tx.statement(
                "INSERT INTO crl (authority, number, this_update, next_update, der, digest, shard, base, edge)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                authority.id,
                crl.number,
                crl.this_update.ms(),
                crl.next_update.ms(),
                &crl.der,
                digest.octets(),
                crl.scope.shard,
                crl.base,
                crl.edge,
            ))?;
            let event = Event::CrlIssued { authority: authority.name.to_string(), number: crl.number, crl: digest };
            tx.audit(&entry(crl.this_update, Module::Authority, event))
        });
        written?;
        Ok(std::sync::Arc::try_unwrap(kept).map_or_else(|kept| kept.der.clone(), |crl| crl.der))
    }
}

fn line(row: &Row<'_>) -> engine::Result<CrlLine> {
    let serial_number = fit(row, 1)?;
    let revocation_date = UnixTime::from_ms(row.get(2)?).whole_second();
    let code = row.get(3)?;
    if code == REMOVE_FROM_CRL {
        return Ok(CrlLine::Released(serial_number, revocation_date));
    }
    let reason = RevocationReason::by_code(code).unwrap_or(RevocationReason::Unspecified);
    Ok(CrlLine::Revoked(RevokedCertificate { serial_number, revocation_date, reason }))
}

fn standing(row: &Row<'_>) -> engine::Result<Standing> {
    let (state, not_after) = (row.get::<u8>(0)?, UnixTime::from_s(row.get(1)?));
    let word: Option<(u64, u8)> = row.get::<Option<u64>>(2)?.zip(row.get(3)?);
    Ok(match word.filter(|(_, reason)| *reason != REMOVE_FROM_CRL) {
        Some((at, reason)) => Standing::Revoked {
            at: UnixTime::from_ms(at),
            reason: RevocationReason::by_code(reason).unwrap_or(RevocationReason::Unspecified),
        },
        None if row.get(4)? || state == super::issuance::RECALLED => Standing::Good { not_after },
        None => Standing::Reserved,
    })
}

/// A certificate that was issued and not declined.
fn issued(tx: &Tx<'_>, serial: SerialNumber) -> Result<Option<Issuance>, WriteFault> {
    let found = tx
        .statement(
            "SELECT i.id FROM issuance i LEFT JOIN certificate c ON c.id = i.id
             WHERE i.serial = ?1 AND (c.id IS NOT NULL AND i.state < 2 OR i.state = 4)",
        )?
        .query_row([serial.octets()], |row| Ok(Issuance { id: row.get(0)?, serial }))
        .optional()?;
    Ok(found)
}

/// The row that stands of an issuance: its number, time and reason.
fn stands(tx: &Tx<'_>, issuance: u64) -> Result<Option<(u64, u64, u8)>, WriteFault> {
    let mut statement = tx.statement("SELECT id, at, reason FROM revocation WHERE issuance = ?1 AND ended IS NULL")?;
    Ok(statement.query_row([issuance], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
}

/// Adds a word about an issuance, in the place of the row that stood.
pub(super) fn put(
    tx: &mut Tx<'_>,
    issuance: &Issuance,
    reason: u8,
    at: UnixTime,
    instead: Option<u64>,
) -> Result<(), WriteFault> {
    let next: Option<u64> = tx.statement("SELECT max(id) FROM revocation")?.query_row((), |row| row.get(0))?;
    let next = next.unwrap_or(0) + 1;
    if let Some(row) = instead {
        tx.statement("UPDATE revocation SET ended = ?2 WHERE id = ?1")?.execute((row, next))?;
    }
    tx.statement(
        "INSERT INTO revocation (id, issuance, authority, shard, at, reason, not_after)
         SELECT ?1, i.id, i.authority, i.shard, ?3, ?4, i.not_after FROM issuance i WHERE i.id = ?2",
    )?
    .execute((next, issuance.id, at.ms(), reason))?;
    let serial = issuance.serial.to_string();
    tx.mark(|| match RevocationReason::by_code(reason) {
        Some(reason) => Mark::Revoked { serial, reason: reason.name().to_owned(), at },
        None => Mark::Released { serial, at },
    });
    Ok(())
}

/// Revokes an issuance whose end no audit entry but the caller's tells.
pub(super) fn revoke_silently(
    tx: &mut Tx<'_>,
    issuance: &Issuance,
    reason: RevocationReason,
    at: UnixTime,
) -> Result<(), WriteFault> {
    put(tx, issuance, reason.code(), at, None)
}

/// Revokes because somebody orders it now. What is only read back and is superseded makes room for another: its board
/// may have been restored to the time before it, too.
fn revoke_by_order(
    tx: &mut Tx<'_>,
    issuance: &Issuance,
    reason: RevocationReason,
    at: UnixTime,
) -> Result<Result<(), Reason>, WriteFault> {
    let revoked = revoke(tx, issuance, reason, at)?;
    if revoked.is_ok() && reason == RevocationReason::Superseded {
        grant_again(tx, issuance, at)?;
    }
    Ok(revoked)
}

/// Lets the device whose certificate was read back have one more.
fn grant_again(tx: &mut Tx<'_>, issuance: &Issuance, at: UnixTime) -> Result<(), WriteFault> {
    let granted = tx
        .statement(
            "UPDATE grant_ SET quota = quota + 1, until = CASE WHEN until > ?2 THEN until ELSE ?2 END WHERE subject LIKE 'urn:%'
             AND id = (SELECT grant_id FROM issuance WHERE id = ?1 AND state = ?3)",
        )?
        .execute((issuance.id, at.plus_s(AGAIN_S).ms(), super::issuance::RECALLED))?;
    if granted > 0 {
        let event = Event::GrantsDeposited { count: 1, origin: format!("in the place of {}", issuance.serial) };
        tx.audit(&entry(at, Module::Authority, event))?;
    }
    Ok(())
}

/// Revokes, or puts on hold. Of what stands only a hold makes room for another word.
pub(super) fn revoke(
    tx: &mut Tx<'_>,
    issuance: &Issuance,
    reason: RevocationReason,
    at: UnixTime,
) -> Result<Result<(), Reason>, WriteFault> {
    let hold = RevocationReason::CertificateHold;
    let (at_row, instead) = match stands(tx, issuance.id)? {
        None => (at, None),
        Some((row, _, REMOVE_FROM_CRL)) => (at, Some(row)),
        // It was not to be trusted since then: a later date would make what it signed meanwhile good again.
        Some((row, since, standing)) if standing == hold.code() && reason != hold => {
            (UnixTime::from_ms(since), Some(row))
        }
        Some(_) => return Ok(Err(Reason::AlreadyRevoked)),
    };
    put(tx, issuance, reason.code(), at_row, instead)?;
    let event = Event::Revoked { serial: issuance.serial.to_string(), reason: reason.name().to_owned() };
    tx.audit(&entry(at, Module::Authority, event))?;
    Ok(Ok(()))
}
