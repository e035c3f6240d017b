//! What the audit log tells of everything but intents and certificates, held against the tables: part of
//! [`SqlStore::check_deep`](super::SqlStore::check_deep).
//!
//! Revocations stand in the table in the order of the log, so they are walked beside it. Of the rest the last word counts.

use super::LastModes;
use super::check::Walk;
use super::engine::{self, OptionalExtension, Rows};
use super::read::fit;
use model::audit::Event;
use model::contract::authority::RevocationReason;
use model::mode::Order;
use model::{Digest, Mode, UnixTime};
use std::collections::{HashMap, HashSet};
use x509::SerialNumber;

/// What the log has told so far.
#[derive(Default)]
pub(super) struct Told {
    /// The lists of each authority, by the name that it has now.
    crls: HashMap<String, Lists>,
    rights: HashMap<(String, String), (u64, UnixTime)>,
    bundles: HashSet<Digest>,
    stolen: HashMap<String, bool>,
    provisioned: HashSet<String>,
    lists: u64,
    suppliers: HashMap<String, Supplier>,
    makers: HashMap<String, Maker>,
    modes: LastModes,
    /// The last entry that tells of a mode.
    pub(super) mode_entry: Option<u64>,
    pub(super) purges: super::purge::PurgesTold,
    pub(super) foreign: super::foreign_check::ForeignTold,
}

/// What counts of a supplier.
#[derive(Default)]
struct Supplier {
    key: Option<Digest>,
    sequence: u64,
}

/// What counts of a maker.
#[derive(Default, PartialEq, Eq)]
struct Maker {
    certificate: Option<Digest>,
    trusted: bool,
    demanded: bool,
    number: u64,
    crl: Option<Digest>,
}

/// The lists of one authority.
#[derive(Default)]
struct Lists {
    /// The highest number that was intended.
    intended: u64,
    issued: Vec<(u64, Digest)>,
}

impl Walk<'_> {
    /// Takes in an entry that is of no intent. `revocations` are the rows of that table in their order.
    pub(super) fn tell(&mut self, event: &Event, revocations: &mut Rows<'_>) -> engine::Result<()> {
        match event {
            Event::Revoked { serial, reason } => self.revocation(serial, Some(reason), revocations)?,
            Event::IntentClosed { serial, .. } => self.revocation(serial, None, revocations)?,
            Event::Released { serial } => self.release(serial, revocations)?,
            Event::CrlNumberRaised { authority, number } => {
                self.told.crls.entry(authority.clone()).or_default().intended = *number;
            }
            Event::AuthorityRetired { authority, renamed } => {
                let lists = self.told.crls.remove(authority).unwrap_or_default();
                self.told.crls.insert(renamed.clone(), lists);
            }
            Event::CrlIntended { authority, number, .. } => {
                let lists = self.told.crls.entry(authority.clone()).or_default();
                let is_next = *number == lists.intended + 1;
                lists.intended = *number;
                if !is_next {
                    self.find(
                        "D7",
                        format!("{authority} CRL {number}"),
                        "its number does not follow the one before it",
                    );
                }
            }
            Event::CrlIssued { authority, number, crl } => self.crl(authority, *number, crl),
            Event::Entitled { station, device_type, quota, until } => {
                self.told.rights.insert((station.clone(), device_type.clone()), (*quota, *until));
            }
            Event::BundleStored { bundle, replaces, .. } => {
                self.told.bundles.retain(|known| !replaces.contains(known));
                self.told.bundles.insert(*bundle);
            }
            Event::DeviceMarked { device, stolen } => drop(self.told.stolen.insert(device.clone(), *stolen)),
            Event::Provisioned { device, board, serial, .. } => self.provisioned(device, board, serial)?,
            Event::ListImported { supplier, sequence, .. } => {
                self.told.lists += 1;
                if let Some(supplier) = supplier {
                    self.taken(supplier, sequence.unwrap_or_default());
                }
            }
            Event::SupplierTrusted { supplier, key } => {
                self.told.suppliers.entry(supplier.clone()).or_default().key = Some(*key);
            }
            Event::SupplierRevoked { supplier } => {
                self.told.suppliers.entry(supplier.clone()).or_default().key = None;
            }
            Event::MakerTrusted { maker, certificate, demanded } => {
                let told = self.told.makers.entry(maker.clone()).or_default();
                if told.certificate.is_some_and(|known| known != *certificate) {
                    *told = Maker::default();
                }
                (told.certificate, told.trusted, told.demanded) = (Some(*certificate), true, *demanded);
            }
            Event::MakerDistrusted { maker } => self.told.makers.entry(maker.clone()).or_default().trusted = false,
            Event::MakerListTaken { maker, number, crl } => {
                let told = self.told.makers.entry(maker.clone()).or_default();
                (told.number, told.crl, told.demanded) = (*number, Some(*crl), true);
            }
            Event::MakerListRaised { maker, number } => {
                let told = self.told.makers.entry(maker.clone()).or_default();
                (told.number, told.crl, told.demanded) = (*number, None, true);
            }
            Event::ListSequenceRaised { supplier, sequence } => self.taken(supplier, *sequence),
            Event::ModeOrdered { order, .. } => self.told.modes.ordered = Some(*order),
            Event::Sealed { .. } => self.told.modes.ordered = Some(Order::Stay(Mode::Sealed)),
            Event::ModeEntered { binding, epoch } => self.told.modes.entered = Some((*binding, *epoch)),
            _ => {}
        }
        Ok(())
    }

    fn revocation(&mut self, serial: &str, reason: Option<&String>, rows: &mut Rows<'_>) -> engine::Result<()> {
        let Some(row) = &rows.next()? else {
            self.find("D6", serial, "it was revoked, and is not any more");
            return Ok(());
        };
        let stored: Option<SerialNumber> = super::read::fit_optional(row, 0)?;
        let (code, of, issuer): (u8, u64, Option<u64>) = (row.get(1)?, row.get(2)?, row.get(3)?);
        if stored.is_none_or(|stored| stored.to_string() != serial) || Some(of) != issuer {
            self.find("D6", serial, "its revocation stands for another certificate, or under another authority");
        }
        let told = reason.and_then(|name| RevocationReason::by_name(name));
        if told.is_some_and(|told| told.code() != code) {
            self.find("D6", serial, "it was revoked for another reason");
        }
        Ok(())
    }

    fn release(&mut self, serial: &str, rows: &mut Rows<'_>) -> engine::Result<()> {
        let stored: Option<(Option<SerialNumber>, u8)> = match &rows.next()? {
            Some(row) => Some((super::read::fit_optional(row, 0)?, row.get(1)?)),
            None => None,
        };
        if stored.is_none_or(|(of, code)| of.is_none_or(|of| of.to_string() != serial) || code != 8) {
            self.find("D6", serial, "it was released from hold, and its row says otherwise");
        }
        Ok(())
    }

    fn crl(&mut self, authority: &str, number: u64, digest: &Digest) {
        let lists = self.told.crls.entry(authority.to_owned()).or_default();
        let is_intended = number <= lists.intended;
        let is_new = lists.issued.last().is_none_or(|(last, _)| number > *last);
        lists.issued.push((number, *digest));
        let place = format!("{authority} CRL {number}");
        if !is_intended {
            self.find("D2", &place, "the list was issued before it was intended");
        }
        if !is_new {
            self.find("D7", &place, "a list of this number, or a higher one, was issued before");
        }
    }

    fn taken(&mut self, supplier: &str, sequence: u64) {
        let told = self.told.suppliers.entry(supplier.to_owned()).or_default();
        let is_newer = sequence > told.sequence;
        told.sequence = sequence;
        if !is_newer {
            self.find(
                "D9",
                format!("{supplier} list {sequence}"),
                "a list of this number, or a higher one, was taken before",
            );
        }
    }

    fn provisioned(&mut self, device: &str, board: &str, serial: &str) -> engine::Result<()> {
        if !self.told.provisioned.insert(device.to_owned()) {
            self.find("D5", device, "it was provisioned twice");
        }
        let is_so = self
            .connection
            .statement("SELECT 1 FROM device WHERE name = ?1 AND board = ?2 AND certificate = ?3 AND custody = 2")?
            .exists((device, board, serial))?;
        if !is_so {
            self.find("D3", device, "it was provisioned, and its row says otherwise");
        }
        Ok(())
    }

    /// Compares what the log told with the tables.
    pub(super) fn compare(&mut self) -> engine::Result<()> {
        self.purges()?;
        self.foreign_intents()?;
        self.numbers_of_lists()?;
        self.bundles()?;
        self.rights()?;
        self.registry()?;
        let row = self.connection.query_row("SELECT ordered, binding, epoch FROM mode", (), |row| {
            Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<u64>(2)?))
        });
        let (ordered, binding, epoch) = row.optional()?.unwrap_or_default();
        let modes = &self.told.modes;
        let is_ordered = modes.ordered.map(Order::name).unwrap_or_default() == ordered;
        let entered = modes.entered.and_then(|(entered, n)| Some((serde_json::to_string(&entered).ok()?, n)));
        if !is_ordered || entered.unwrap_or_default() != (binding, epoch) {
            self.find("D9", "the mode", "it is not the one that the log tells of last");
        }
        let said = super::audit::last_mode(self.connection)?;
        if said.is_some() && said != self.told.mode_entry {
            self.find("D9", "the checkpoint", "it does not name the last entry that tells of a mode");
        }
        let foreign = self.connection.strangers()?;
        if foreign > 0 {
            self.find("D9", "the database", "it has triggers or views, which are not ours");
        }
        Ok(())
    }

    fn numbers_of_lists(&mut self) -> engine::Result<()> {
        let rows =
            self.all("SELECT name, crl_number FROM authority", |row| Ok((row.get::<String>(0)?, row.get::<u64>(1)?)))?;
        let mut issued_count = 0;
        for (name, reserved) in rows {
            let Lists { intended, issued } = self.told.crls.remove(&name).unwrap_or_default();
            if reserved != intended {
                self.find("D7", &name, "the number of its next list is not the one that follows");
            }
            for (number, digest) in issued {
                issued_count += 1;
                let stored: Option<Digest> = self
                    .connection
                    .statement(
                        "SELECT c.digest FROM crl c JOIN authority a ON a.id = c.authority
                         WHERE a.name = ?1 AND c.number = ?2",
                    )?
                    .query_row((&name, number), |row| fit(row, 0))
                    .optional()?;
                if stored != Some(digest) {
                    self.find("D7", format!("{name} CRL {number}"), "the list that was issued is not stored");
                }
            }
        }
        if let Some(name) = self.told.crls.keys().next().cloned() {
            self.find("D7", name, "the log tells of lists of an authority that is not there");
        }
        if self.counts.crls != issued_count {
            self.find("D7", format!("{} lists", self.counts.crls), "some of them were never issued");
        }
        Ok(())
    }

    fn bundles(&mut self) -> engine::Result<()> {
        let bundles = self.all("SELECT digest FROM bundle", |row| fit::<Digest>(row, 0))?;
        for bundle in &bundles {
            if !self.told.bundles.remove(bundle) {
                self.find("D9", format!("bundle {bundle}"), "it was never stored");
            }
        }
        for bundle in std::mem::take(&mut self.told.bundles) {
            self.find("D9", format!("bundle {bundle}"), "it was stored, and is gone");
        }
        Ok(())
    }

    fn rights(&mut self) -> engine::Result<()> {
        let rows = self.all(
            "SELECT r.station, r.device_type, r.quota, r.until, r.used,
             (SELECT count(*) FROM issuance i WHERE i.right_id = r.id AND i.state IN (0, 1, 4))
             + (SELECT count(*) FROM foreign_intent f WHERE f.right_id = r.id AND f.state IN (0, 3)) FROM right_ r",
            |row| {
                let of = (row.get::<String>(0)?, row.get::<String>(1)?);
                Ok((of, (row.get::<u64>(2)?, UnixTime::from_ms(row.get(3)?)), row.get::<u64>(4)?, row.get::<u64>(5)?))
            },
        )?;
        let count = rows.len();
        for (of, given, used, counted) in rows {
            let place = format!("{} for {}", of.0, of.1);
            if self.told.rights.get(&of) != Some(&given) {
                self.find("D5", &place, "nobody gave the station this right");
            }
            if used != counted {
                self.find("D5", &place, "the right was not counted as often as it was used");
            }
        }
        if count < self.told.rights.len() {
            self.find("D5", format!("{count} rights"), "a right that was given is gone");
        }
        Ok(())
    }

    fn registry(&mut self) -> engine::Result<()> {
        let rows = self.all("SELECT name, stolen, custody FROM device WHERE stolen <> 0 OR custody = 2", |row| {
            Ok((row.get::<String>(0)?, row.get::<bool>(1)?, row.get::<u8>(2)?))
        })?;
        let mut stolen = 0;
        for (name, is_stolen, custody) in rows {
            stolen += usize::from(is_stolen);
            if is_stolen && self.told.stolen.get(&name) != Some(&true) {
                self.find("D9", &name, "nobody marked it as stolen");
            }
            if custody == 2 && !self.told.provisioned.contains(&name) {
                self.find("D3", name, "it was never provisioned, and its row says so");
            }
        }
        if stolen < self.told.stolen.values().filter(|stolen| **stolen).count() {
            self.find("D9", format!("{stolen} devices"), "a device that was marked as stolen is not any more");
        }
        self.suppliers()?;
        self.makers()?;
        let lists: u64 = self.connection.query_row("SELECT count(*) FROM list", (), |row| row.get(0))?;
        if lists != self.told.lists {
            self.find("D9", format!("{lists} lists"), "the log tells of more registration lists, or of fewer");
        }
        Ok(())
    }

    fn suppliers(&mut self) -> engine::Result<()> {
        let rows = self.all("SELECT name, spki, sequence FROM supplier", |row| {
            Ok((row.get::<String>(0)?, row.get::<Vec<u8>>(1)?, row.get::<u64>(2)?))
        })?;
        for (name, spki, sequence) in rows {
            let told = self.told.suppliers.remove(&name).unwrap_or_default();
            if told.key != Some(spki).filter(|spki| !spki.is_empty()).map(|spki| x509::sha256(&spki)) {
                self.find("D9", &name, "nobody registered this key of a supplier");
            }
            if told.sequence != sequence {
                self.find("D9", name, "the number of its last list is not the one that was taken");
            }
        }
        if let Some(name) = self.told.suppliers.keys().next().cloned() {
            self.find("D9", name, "a supplier that was registered is gone");
        }
        Ok(())
    }

    fn makers(&mut self) -> engine::Result<()> {
        let rows = self.all("SELECT name, certificate, trusted, demanded, number, crl FROM maker", |row| {
            let (certificate, crl): (Vec<u8>, Option<Vec<u8>>) = (row.get(1)?, row.get(5)?);
            let digest = |octets: Vec<u8>| Some(octets).filter(|octets| !octets.is_empty()).map(|o| x509::sha256(&o));
            let (certificate, crl) = (digest(certificate), crl.and_then(digest));
            let stored = Maker { certificate, trusted: row.get(2)?, demanded: row.get(3)?, number: row.get(4)?, crl };
            Ok((row.get::<String>(0)?, stored))
        })?;
        for (name, stored) in rows {
            if self.told.makers.remove(&name) != Some(stored) {
                self.find("D9", name, "nobody registered this certificate of a maker, or took this list of its");
            }
        }
        if let Some(name) = self.told.makers.keys().next().cloned() {
            self.find("D9", name, "a maker that was registered is gone");
        }
        Ok(())
    }

    pub(super) fn all<R>(
        &self,
        sql: &str,
        read: impl FnMut(&engine::Row<'_>) -> engine::Result<R>,
    ) -> engine::Result<Vec<R>> {
        self.connection.statement(sql)?.query_map((), read)?.collect()
    }
}
