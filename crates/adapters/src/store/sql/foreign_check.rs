//! What the audit log tells of foreign authorities, held against the tables: part of
//! [`SqlStore::check_deep`](super::SqlStore::check_deep).

use super::check::{Intent, Walk};
use super::engine::{self, Rows};
use super::foreign::{ASKED, CLOSED, ISSUED, UNSETTLED};
use super::read::{fit, fit_optional, parse_optional};
use model::audit::Event;
use model::{Digest, TransactionId};
use std::collections::HashMap;
use x509::SerialNumber;

/// What the log has told of them so far.
#[derive(Default)]
pub(super) struct ForeignTold {
    attached: HashMap<String, (String, Digest)>,
    asked: HashMap<TransactionId, Asked>,
    lists: HashMap<String, (u64, Digest)>,
}

/// How far one request has come, as the log tells.
struct Asked {
    key: Digest,
    transaction: TransactionId,
    serial: Option<String>,
    state: u8,
}

impl Walk<'_> {
    /// Takes in an entry of a foreign authority.
    pub(super) fn foreign(&mut self, number: u64, event: &Event, intents: &mut Rows<'_>) -> engine::Result<()> {
        match event {
            Event::AuthorityAttached { authority, url, key } => {
                self.told.foreign.attached.insert(authority.clone(), (url.clone(), *key));
            }
            Event::StatusTaken { authority, number, crl, .. } => {
                let last = self.told.foreign.lists.insert(authority.clone(), (*number, *crl));
                if last.is_some_and(|(last, _)| last > *number) {
                    self.find("D6", format!("{authority} CRL {number}"), "a newer list was taken over before");
                }
            }
            Event::ForeignAsked { exchange, transaction, key, .. } => self.asked(*exchange, *transaction, *key),
            Event::ForeignOffered { exchange, serial } => match self.told.foreign.asked.get_mut(exchange) {
                Some(asked) if asked.state == ASKED => asked.serial = Some(serial.clone()),
                _ => self.find("D2", exchange, "a foreign authority gave what it was not asked for"),
            },
            Event::ForeignClosed { exchange, .. } => self.ends(exchange, CLOSED),
            Event::ForeignUnsettled { exchange, .. } => self.ends(exchange, UNSETTLED),
            Event::ForeignIssued { exchange, serial, tbs, certificate, .. } => {
                let known = self.told.foreign.asked.get(exchange);
                let offered = known.and_then(|asked| asked.serial.as_ref()) == Some(serial);
                let key = known.map(|asked| asked.key);
                self.ends(exchange, ISSUED);
                if !offered {
                    self.find("D2", serial, "a foreign authority's certificate was recorded before its number was");
                }
                self.issued_elsewhere(number, (serial, tbs, certificate), key, intents)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn asked(&mut self, exchange: TransactionId, transaction: TransactionId, key: Digest) {
        let known = self.told.foreign.asked.get(&exchange);
        // What is not settled is asked again, of the same authority, in the same transaction, for the same key.
        let again = known.is_none_or(|known| (known.state, known.key) == (UNSETTLED, key))
            || known.is_some_and(|known| (known.state, known.key) == (ASKED, key));
        let serial = known.and_then(|known| known.serial.clone());
        if !again {
            self.find("D5", exchange, "a foreign authority was asked again for what had ended, or for another key");
        }
        self.told.foreign.asked.insert(exchange, Asked { key, transaction, serial, state: ASKED });
    }

    fn ends(&mut self, exchange: &TransactionId, state: u8) {
        match self.told.foreign.asked.get_mut(exchange) {
            Some(asked) if asked.state == ASKED || asked.state == UNSETTLED => asked.state = state,
            _ => self.find("D4", exchange, "a request to a foreign authority ended that was not open"),
        }
    }

    /// A row that came with its certificate: the next of its table.
    fn issued_elsewhere(
        &mut self,
        number: u64,
        (serial, tbs, certificate): (&str, &Digest, &Digest),
        key: Option<Digest>,
        intents: &mut Rows<'_>,
    ) -> engine::Result<()> {
        self.counts.intents += 1;
        let Some(row) = &intents.next()? else {
            self.find("D2", serial, "a certificate of a foreign authority has no row");
            return Ok(());
        };
        let stored: SerialNumber = fit(row, 1)?;
        let intent = Intent {
            id: row.get(0)?,
            authority: row.get(2)?,
            tbs: fit(row, 5)?,
            key: fit(row, 4)?,
            state: row.get(6)?,
        };
        if stored.to_string() != *serial || intent.tbs != *tbs || Some(intent.key) != key {
            self.find("D2", format!("audit entry {number}"), "it is not the certificate that was recorded");
        }
        self.certificate(stored, &intent, certificate)
    }

    /// Compares what the log told with the tables.
    pub(super) fn foreign_intents(&mut self) -> engine::Result<()> {
        let rows = self.all("SELECT exchange, key, transaction_id, serial, state FROM foreign_intent", |row| {
            let of = (fit::<TransactionId>(row, 0)?, fit::<Digest>(row, 1)?, fit::<TransactionId>(row, 2)?);
            Ok((of, fit_optional::<SerialNumber>(row, 3)?, row.get::<u8>(4)?))
        })?;
        for ((exchange, key, transaction), serial, state) in rows {
            let Some(told) = self.told.foreign.asked.remove(&exchange) else {
                self.find("D2", exchange, "a request to a foreign authority is not in the audit log");
                continue;
            };
            if (told.key, told.transaction, told.state) != (key, transaction, state) {
                self.find("D2", exchange, "a request to a foreign authority is not as the audit log tells");
            }
            if state == ISSUED && serial.map(|serial| serial.to_string()) != told.serial {
                self.find("D1", exchange, "the number that a foreign authority gave is not as the audit log tells");
            }
        }
        if let Some(exchange) = self.told.foreign.asked.keys().next().copied() {
            self.find("D2", exchange, "a request to a foreign authority is gone");
        }
        self.attachments()
    }

    fn attachments(&mut self) -> engine::Result<()> {
        let rows = self.all(
            "SELECT a.name, f.url, f.crl_number, f.crl_digest, a.id, a.key FROM foreign_authority f
             JOIN authority a ON a.id = f.authority",
            |row| {
                let of = (parse_optional::<String>(row, 0)?.unwrap_or_default(), row.get::<String>(1)?);
                Ok((
                    of,
                    (row.get::<u64>(2)?, fit_optional::<Digest>(row, 3)?),
                    row.get::<u64>(4)?,
                    row.get::<String>(5)?,
                ))
            },
        )?;
        for ((name, url), list, id, key) in rows {
            let certified = self.authorities.get(&id).map(|(_, key)| key.digest());
            let told = self.told.foreign.attached.remove(&name);
            let is_told = told.is_some_and(|(at, key)| at == url && Some(key) == certified);
            if !is_told || key != format!("{}{url}", ports::keystore::FOREIGN) {
                self.find("D9", &name, "the foreign authority is not reached as the audit log tells");
            }
            let told = self.told.foreign.lists.remove(&name).map_or((0, None), |(n, crl)| (n, Some(crl)));
            if told != list {
                self.find("D6", name, "the list of the foreign authority that was taken over last is another");
            }
        }
        if let Some(name) = self.told.foreign.attached.keys().next().cloned() {
            self.find("D9", name, "a foreign authority that was attached is not any more");
        }
        Ok(())
    }
}
