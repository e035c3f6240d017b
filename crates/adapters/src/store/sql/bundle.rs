//! Bundles, and what modules trust of repositories, in the database.

use super::engine::{self, Connection, Row};
use super::read::{fit, parse};
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{DeviceType, Digest, Module, UnixTime};
use ports::StoreFault;
use ports::store::software::{BundleRow, BundledRow, TrustedFile};
use ports::vault::BlobName;
use std::collections::BTreeMap;

const BUNDLE: &str = "SELECT id, digest, blob, countersignature, at FROM bundle ORDER BY id DESC";

// The bundles, the last one first, at most so many.
pub(super) fn read(c: &Connection, limit: usize) -> engine::Result<Vec<BundleRow>> {
    let mut statement = c.statement(BUNDLE)?;
    let about = |row: &Row<'_>| {
        let bundle = BundleRow {
            digest: fit(row, 1)?,
            blob: BlobName(row.get(2)?),
            countersignature: row.get(3)?,
            at: UnixTime::from_ms(row.get(4)?),
            releases: Vec::new(),
        };
        Ok((row.get::<u64>(0)?, bundle))
    };
    let mut rows: Vec<(u64, BundleRow)> = statement.query_map((), about)?.take(limit).collect::<engine::Result<_>>()?;
    let mut statement = c.statement(
        "SELECT device_type, name, target, counter, blob, image, length FROM bundle_release WHERE bundle = ?1
         ORDER BY device_type",
    )?;
    for (id, bundle) in &mut rows {
        let about = |row: &Row<'_>| {
            Ok(BundledRow {
                device_type: parse(row, 0)?,
                release: row.get(1)?,
                target: row.get(2)?,
                counter: row.get(3)?,
                image: BlobName(row.get(4)?),
                image_digest: fit(row, 5)?,
                length: row.get(6)?,
            })
        };
        bundle.releases = statement.query_map([*id], about)?.collect::<engine::Result<_>>()?;
    }
    Ok(rows.into_iter().map(|(_, bundle)| bundle).collect())
}

// What a bundle brings, by which a newer one takes its place.
fn brings(row: &BundleRow) -> Vec<(&DeviceType, u64, &str, Digest)> {
    let mut brings: Vec<_> =
        row.releases.iter().map(|r| (&r.device_type, r.counter, r.target.as_str(), r.image_digest)).collect();
    brings.sort();
    brings
}

fn insert(tx: &Tx<'_>, row: &BundleRow) -> Result<(), WriteFault> {
    let id = tx.insert(
        "INSERT INTO bundle (digest, blob, countersignature, at) VALUES (?1, ?2, ?3, ?4)",
        (row.digest.octets(), &row.blob.0, &row.countersignature, row.at.ms()),
    )?;
    let id = id.ok_or(WriteFault::Corrupt("a bundle was stored twice"))?;
    let mut statement = tx.statement(
        "INSERT INTO bundle_release (bundle, device_type, name, target, counter, blob, image, length)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for release in &row.releases {
        statement.execute((
            id,
            release.device_type.as_str(),
            &release.release,
            &release.target,
            release.counter,
            &release.image.0,
            release.image_digest.octets(),
            release.length,
        ))?;
    }
    Ok(())
}

pub(super) fn store(store: &SqlStore, row: &BundleRow) -> Result<(), StoreFault> {
    let row = row.clone();
    store.write(move |tx| {
        let same = |old: &BundleRow| old.digest == row.digest || brings(old) == brings(&row);
        let known = read(tx.connection(), usize::MAX)?.into_iter();
        let replaces: Vec<Digest> = known.filter(same).map(|old| old.digest).collect();
        for old in &replaces {
            let digest = old.octets().as_slice();
            tx.statement("DELETE FROM bundle_release WHERE bundle = (SELECT id FROM bundle WHERE digest = ?1)")?
                .execute([digest])?;
            tx.statement("DELETE FROM bundle WHERE digest = ?1")?.execute([digest])?;
        }
        insert(tx, &row)?;
        let releases = row.releases.iter().map(|r| format!("{} for {}", r.release, r.device_type)).collect();
        let event = Event::BundleStored { bundle: row.digest, releases, replaces };
        tx.audit(&entry(row.at, Module::Software, event))
    })
}

pub(super) fn trusted(c: &Connection, module: Module, repository: Digest) -> engine::Result<BTreeMap<String, Vec<u8>>> {
    let mut statement = c.statement("SELECT name, octets FROM trusted_file WHERE module = ?1 AND repository = ?2")?;
    statement.query_map((module.name(), repository.octets()), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

pub(super) fn keep_trusted(store: &SqlStore, module: Module, files: &[TrustedFile]) -> Result<(), StoreFault> {
    let files = files.to_vec();
    store.write(move |tx| {
        for TrustedFile { repository, name, octets } in &files {
            let repository = repository.octets().as_slice();
            match octets {
                Some(octets) => tx
                    .statement(
                        "INSERT INTO trusted_file (module, repository, name, octets) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (module, repository, name) DO UPDATE SET octets = ?4",
                    )?
                    .execute((module.name(), repository, name, octets))?,
                None => tx
                    .statement("DELETE FROM trusted_file WHERE module = ?1 AND repository = ?2 AND name = ?3")?
                    .execute((module.name(), repository, name))?,
            };
        }
        Ok(())
    })
}
