//! What pm keeps, in the database.

use super::SqlStore;
use super::engine::OptionalExtension;
use super::read::{fit_optional, parse};
use model::{DeviceId, DeviceType, Digest, TransactionId};
use ports::StoreFault;
use ports::store::LineStore;
use ports::store::line::Job;

impl LineStore for SqlStore {
    fn jobs(&self, devices: &[DeviceId]) -> Result<Vec<Option<Job>>, StoreFault> {
        self.read(|c| {
            let mut statement =
                c.statement("SELECT device, image, transaction_id, key, finished FROM job WHERE device = ?1")?;
            let find = |device: &DeviceId| {
                let row = statement.query_row([device.to_string()], |row| {
                    Ok(Job {
                        device: parse(row, 0)?,
                        image: fit_optional(row, 1)?,
                        transaction_id: fit_optional(row, 2)?,
                        key: fit_optional(row, 3)?,
                        finished: row.get(4)?,
                    })
                });
                row.optional()
            };
            devices.iter().map(find).collect()
        })
    }

    fn set_jobs(&self, jobs: &[Job]) -> Result<(), StoreFault> {
        let jobs = jobs.to_vec();
        self.write(move |tx| {
            for job in &jobs {
                tx.statement(
                    "INSERT INTO job (device, image, transaction_id, key, finished) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (device) DO UPDATE SET image = ?2, transaction_id = ?3, key = ?4, finished = ?5",
                )?
                .execute((
                    job.device.to_string(),
                    job.image.as_ref().map(Digest::octets),
                    job.transaction_id.as_ref().map(TransactionId::octets),
                    job.key.as_ref().map(Digest::octets),
                    job.finished,
                ))?;
            }
            Ok(())
        })
    }

    fn release_floor(&self, device_type: &DeviceType) -> Result<u64, StoreFault> {
        self.read(|c| {
            let floor = c
                .statement("SELECT counter FROM release_floor WHERE device_type = ?1")?
                .query_row([device_type.as_str()], |row| row.get(0));
            Ok(floor.optional()?.unwrap_or(0))
        })
    }

    fn raise_release_floor(&self, device_type: &DeviceType, counter: u64) -> Result<(), StoreFault> {
        let device_type = device_type.to_string();
        self.write(move |tx| {
            tx.statement(
                "INSERT INTO release_floor (device_type, counter) VALUES (?1, ?2)
                 ON CONFLICT (device_type) DO UPDATE SET counter = ?2 WHERE release_floor.counter < ?2",
            )?
            .execute((&device_type, counter))?;
            Ok(())
        })
    }
}
