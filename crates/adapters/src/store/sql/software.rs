//! What sm keeps, in the database.

use super::engine::{self, OptionalExtension, Row};
use super::read::{fit, parse};
use super::{SqlStore, bundle, entry};
use model::audit::Event;
use model::{DeviceType, Digest, Module, Reason, UnixTime};
use ports::StoreFault;
use ports::store::SoftwareStore;
use ports::store::software::{BundleRow, ReleaseRow, SignerRow, TrustedFile};
use ports::vault::BlobName;
use std::collections::BTreeMap;

const RELEASE: &str =
    "SELECT name, device_type, counter, metadata, countersignature, blob, image, length, at FROM release";

fn release(row: &Row<'_>) -> engine::Result<ReleaseRow> {
    Ok(ReleaseRow {
        release: row.get(0)?,
        device_type: parse(row, 1)?,
        counter: row.get(2)?,
        metadata: row.get(3)?,
        countersignature: row.get(4)?,
        image: BlobName(row.get(5)?),
        image_digest: fit(row, 6)?,
        length: row.get(7)?,
        at: UnixTime::from_ms(row.get(8)?),
    })
}

impl SoftwareStore for SqlStore {
    fn store_bundle(&self, row: &BundleRow) -> Result<(), StoreFault> {
        bundle::store(self, row)
    }
    fn bundles(&self) -> Result<Vec<BundleRow>, StoreFault> {
        self.read(|c| bundle::read(c, usize::MAX))
    }
    fn last_bundle(&self) -> Result<Option<BundleRow>, StoreFault> {
        self.read(|c| Ok(bundle::read(c, 1)?.pop()))
    }
    fn trusted(&self, module: Module, repository: Digest) -> Result<BTreeMap<String, Vec<u8>>, StoreFault> {
        self.read(|c| bundle::trusted(c, module, repository))
    }
    fn keep_trusted(&self, module: Module, files: &[TrustedFile]) -> Result<(), StoreFault> {
        bundle::keep_trusted(self, module, files)
    }

    fn signers(&self) -> Result<Vec<SignerRow>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement("SELECT name, spki FROM signer ORDER BY name, key")?;
            statement.query_map((), |row| Ok(SignerRow { signer: row.get(0)?, key: row.get(1)? }))?.collect()
        })
    }

    fn trust(&self, signer: &SignerRow, key: Digest, at: UnixTime) -> Result<(), StoreFault> {
        let SignerRow { signer, key: spki } = signer.clone();
        self.write(move |tx| {
            let added = tx
                .statement("INSERT INTO signer (key, name, spki) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
                .execute((key.octets(), &signer, &spki))?;
            if added == 1 {
                tx.audit(&entry(at, Module::Software, Event::SignerTrusted { signer: signer.clone(), key }))?;
            }
            Ok(())
        })
    }

    fn store(&self, rows: &[ReleaseRow]) -> Result<Result<(), Reason>, StoreFault> {
        let rows = rows.to_vec();
        self.write(move |tx| {
            for row in &rows {
                // The same release may be imported again, to mend what was damaged at rest.
                let again = tx
                    .statement("SELECT 1 FROM release WHERE device_type = ?1 AND counter = ?2 AND metadata = ?3")?
                    .exists((row.device_type.as_str(), row.counter, &row.metadata))?;
                let highest: Option<u64> = tx
                    .statement("SELECT max(counter) FROM release WHERE device_type = ?1")?
                    .query_row([row.device_type.as_str()], |row| row.get(0))?;
                if highest.is_some_and(|highest| row.counter <= highest) && !again {
                    return Ok(Err(Reason::ReleaseRolledBack));
                }
            }
            for row in &rows {
                tx.statement(
                    "INSERT INTO release
                     (name, device_type, counter, metadata, countersignature, blob, image, length, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (device_type, counter) DO UPDATE SET
                     name = ?1, metadata = ?4, countersignature = ?5, blob = ?6, image = ?7, length = ?8, at = ?9",
                )?
                .execute((
                    &row.release,
                    row.device_type.as_str(),
                    row.counter,
                    &row.metadata,
                    &row.countersignature,
                    &row.image.0,
                    row.image_digest.octets(),
                    row.length,
                    row.at.ms(),
                ))?;
            }
            if let Some(row) = rows.first() {
                let event = Event::ReleaseStored { release: row.release.clone(), image: row.image_digest };
                tx.audit(&entry(row.at, Module::Software, event))?;
            }
            Ok(Ok(()))
        })
    }

    fn newest(&self, device_type: &DeviceType) -> Result<Option<ReleaseRow>, StoreFault> {
        self.read(|c| {
            c.statement(&format!("{RELEASE} WHERE device_type = ?1 ORDER BY counter DESC LIMIT 1"))?
                .query_row([device_type.as_str()], release)
                .optional()
        })
    }

    fn releases(&self) -> Result<Vec<ReleaseRow>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(&format!("{RELEASE} ORDER BY id DESC"))?;
            statement.query_map((), release)?.collect()
        })
    }
}
