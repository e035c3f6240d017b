//! How foreign authorities are reached, and what their lists say of certificates that are recorded here.

use super::engine::{self, OptionalExtension, Row};
use super::standing::{Issuance, REMOVE_FROM_CRL, put, revoke};
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::contract::authority::RevocationReason;
use model::{Digest, Module, Reason, UnixTime};
use ports::StoreFault;
use ports::keystore::FOREIGN;
use ports::store::foreign::{Attachment, Credential, Mac, StatusDraft, StatusTaken};
use std::collections::HashSet;
use x509::{SerialNumber, pem};

impl SqlStore {
    pub(super) fn all_attachments(&self) -> Result<Vec<Attachment>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT authority, url, credential, reference, mac, certificates, servers, anchors
                 FROM foreign_authority ORDER BY authority",
            )?;
            statement.query_map((), attachment)?.collect()
        })
    }

    pub(super) fn attach_one(
        &self,
        attachment: &Attachment,
        key: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        let it = attachment.clone();
        self.write(move |tx| {
            let place = format!("{FOREIGN}{}", it.url);
            let name: Option<String> = tx
                .statement(
                    "UPDATE authority SET key = ?2 WHERE id = ?1 AND certificate IS NOT NULL
                     AND (key = ?3 OR substr(key, 1, 4) = ?4) RETURNING name",
                )?
                .query_row((it.authority, &place, ports::keystore::OFFLINE, FOREIGN), |row| row.get(0))
                .optional()?;
            let Some(authority) = name else { return Ok(Err(Reason::NameTaken)) };
            let (reference, mac, certificates) = match &it.credential {
                Credential::Secret { reference, mac, .. } => (Some(reference), Some(mac.name()), String::new()),
                Credential::Key { certificates, .. } => (None, None, text(certificates)),
            };
            tx.statement(
                "INSERT INTO foreign_authority (authority, url, credential, reference, mac, certificates, servers, anchors)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (authority) DO UPDATE SET url = ?2, credential = ?3,
                 reference = ?4, mac = ?5, certificates = ?6, servers = ?7, anchors = ?8",
            )?
            .execute((
                it.authority,
                &it.url,
                it.credential.label(),
                reference,
                mac,
                &certificates,
                &text(&it.servers),
                &text(&it.anchors),
            ))?;
            let event = Event::AuthorityAttached { authority, url: it.url.clone(), key };
            tx.audit(&entry(at, Module::Authority, event))?;
            Ok(Ok(()))
        })
    }

    pub(super) fn take_list(&self, draft: &StatusDraft) -> Result<Result<StatusTaken, Reason>, StoreFault> {
        let draft = draft.clone();
        self.write_rows(draft.revoked.len(), move |tx| take(tx, &draft))
    }
}

fn text(certificates: &[Vec<u8>]) -> String {
    certificates.iter().map(|der| pem::encode("CERTIFICATE", der)).collect()
}

fn certificates(row: &Row<'_>, column: usize) -> engine::Result<Vec<Vec<u8>>> {
    let text: String = row.get(column)?;
    if text.is_empty() { Ok(Vec::new()) } else { pem::blocks(text.as_bytes()).ok_or(engine::Error::Misfit(column)) }
}

fn attachment(row: &Row<'_>) -> engine::Result<Attachment> {
    let label: String = row.get(2)?;
    let credential = match row.get::<Option<String>>(3)? {
        Some(reference) => {
            let mac = row.get::<Option<String>>(4)?.and_then(|name| Mac::by_name(&name));
            Credential::Secret { reference, mac: mac.ok_or(engine::Error::Misfit(4))?, label }
        }
        None => Credential::Key { label, certificates: certificates(row, 5)? },
    };
    Ok(Attachment {
        authority: row.get(0)?,
        url: row.get(1)?,
        credential,
        servers: certificates(row, 6)?,
        anchors: certificates(row, 7)?,
    })
}

/// Takes over what a list says. An older one is not taken: what it does not know of would be good again.
fn take(tx: &mut Tx<'_>, draft: &StatusDraft) -> Result<Result<StatusTaken, Reason>, WriteFault> {
    let raised = tx
        .statement(
            "UPDATE foreign_authority SET crl_number = ?2, crl_digest = ?3 WHERE authority = ?1
             AND (crl_number < ?2 OR crl_number = ?2 AND (crl_digest IS NULL OR crl_digest = ?3))",
        )?
        .execute((draft.authority, draft.number, draft.crl.octets()))?;
    if raised == 0 {
        return Ok(Err(Reason::ListNotNewer));
    }
    let mut taken = StatusTaken::default();
    for (serial, since, reason) in &draft.revoked {
        let Some(issuance) = recorded(tx, draft.authority, serial)? else {
            taken.strangers += 1;
            continue;
        };
        if revoke(tx, &issuance, *reason, *since)?.is_ok() {
            taken.revoked.push(*serial);
        }
    }
    let listed: HashSet<SerialNumber> = draft.revoked.iter().map(|(serial, ..)| *serial).collect();
    for (issuance, row) in held(tx, draft.authority)? {
        if !listed.contains(&issuance.serial) {
            put(tx, &issuance, REMOVE_FROM_CRL, draft.at, Some(row))?;
            let event = Event::Released { serial: issuance.serial.to_string() };
            tx.audit(&entry(draft.at, Module::Authority, event))?;
            taken.released.push(issuance.serial);
        }
    }
    let count = |serials: &[SerialNumber]| u64::try_from(serials.len()).unwrap_or(u64::MAX);
    let authority = tx
        .statement("SELECT name FROM authority WHERE id = ?1")?
        .query_row([draft.authority], |row| row.get::<String>(0))?;
    let event = Event::StatusTaken {
        authority,
        number: draft.number,
        crl: draft.crl,
        revoked: count(&taken.revoked),
        released: count(&taken.released),
    };
    tx.audit(&entry(draft.at, Module::Authority, event))?;
    Ok(Ok(taken))
}

/// A certificate of this authority.
fn recorded(tx: &Tx<'_>, authority: u64, serial: &SerialNumber) -> Result<Option<Issuance>, WriteFault> {
    let found = tx
        .statement("SELECT id FROM issuance WHERE serial = ?1 AND authority = ?2")?
        .query_row((serial.octets(), authority), |row| row.get(0))
        .optional()?;
    Ok(found.map(|id| Issuance { id, serial: *serial }))
}

/// The certificates of an authority that are on hold, and the rows that say so.
fn held(tx: &Tx<'_>, authority: u64) -> Result<Vec<(Issuance, u64)>, WriteFault> {
    let hold = RevocationReason::CertificateHold.code();
    let mut statement = tx.statement(
        "SELECT i.id, i.serial, r.id FROM revocation r JOIN issuance i ON i.id = r.issuance
         WHERE r.authority = ?1 AND r.ended IS NULL AND r.reason = ?2 ORDER BY r.id",
    )?;
    let rows = statement.query_map((authority, hold), |row| {
        Ok((Issuance { id: row.get(0)?, serial: super::read::fit(row, 1)? }, row.get(2)?))
    })?;
    Ok(rows.collect::<engine::Result<_>>()?)
}
