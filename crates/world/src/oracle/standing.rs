//! How certificates stand: what is revoked stays so, what was refused or never recorded is not usable.

use super::{Check, Oracle, Said, broken};
use model::contract::authority::{CertifyRequest, RevocationReason};
use model::lifecycle::Custody;
use model::{Digest, Reason};
use ports::StoreFault;
use ports::directory::Caller;
use ports::store::authority::Standing;
use ports::store::identity::{DeviceFilter, DeviceRow};
use ports::store::{AuthorityStore, IdentityStore};

/// What the store fails with when the world itself is broken.
fn unreadable<T>(fault: StoreFault) -> Result<T, super::Violation> {
    broken(Check::World, format!("the store cannot be read: {fault}"))
}

impl Oracle {
    /// One certificate, as the store says that it stands.
    pub(super) fn stands(&mut self, serial: &str, store: &dyn AuthorityStore) -> Said {
        let tick = self.tick();
        let Some(known) = self.intents.get_mut(serial) else { return Ok(()) };
        let standing = store.standing(known.authority, &known.serial).or_else(unreadable)?;
        match standing {
            Standing::NeverIssued => broken(Check::D2, format!("the durable intent of {serial} is gone")),
            Standing::Reserved if known.words.final_since.is_some() => {
                broken(Check::D6, format!("{serial} was revoked, and is only reserved"))
            }
            Standing::Reserved if known.recorded => broken(Check::D3, format!("the record of {serial} is gone")),
            Standing::Reserved => Ok(()),
            Standing::Good { .. } if !known.recorded => {
                broken(Check::D4, format!("{serial} was never recorded, and is good"))
            }
            Standing::Good { .. } if known.words.final_since.is_some() => {
                broken(Check::D6, format!("{serial} was revoked, and is good"))
            }
            Standing::Good { .. } if known.words.held.is_some() && !known.words.may_be_released() => broken(
                Check::D6,
                format!("{serial} was put on hold, nobody asked for its release since, and it is good"),
            ),
            Standing::Good { .. } => Ok(()),
            Standing::Revoked { reason: RevocationReason::CertificateHold, .. } => match known.words.final_since {
                Some(_) => broken(Check::D6, format!("{serial} was revoked for good, and is only on hold")),
                None => Ok(()),
            },
            Standing::Revoked { .. } => {
                known.words.final_since.get_or_insert(tick);
                Ok(())
            }
        }
    }

    /// A request was refused: what may have been begun for it must not be usable.
    pub fn refused(
        &mut self,
        request: &CertifyRequest,
        requester: &Caller,
        key: &Digest,
        why: Reason,
        store: &dyn AuthorityStore,
    ) -> Said {
        self.counts.refused += 1;
        let transaction = request.transaction_id.octets();
        let of_it = self.intents.iter().filter(|(_, known)| {
            known.transaction == *transaction && known.requester == *requester && known.key == *key
        });
        for (serial, known) in of_it {
            let standing = store.standing(known.authority, &known.serial).or_else(unreadable)?;
            if !matches!(standing, Standing::Good { .. }) {
                continue;
            }
            // The same transaction for another subject is another request.
            let row = store.certificate(&known.serial).or_else(unreadable)?;
            if row.is_none_or(|row| row.subject != request.subject || row.profile != request.profile) {
                continue;
            }
            let code = why.code();
            return match known.told {
                Some(_) => broken(Check::D5, format!("{serial} was issued, and its repetition was refused ({code})")),
                None => broken(Check::D4, format!("the request was refused ({code}), and {serial} is good")),
            };
        }
        Ok(())
    }

    /// After everything was started anew, nothing hangs in the air.
    pub fn settled(&mut self, store: &dyn AuthorityStore) -> Said {
        for (serial, known) in &self.intents {
            let standing = store.standing(known.authority, &known.serial).or_else(unreadable)?;
            if standing == Standing::Reserved {
                return broken(Check::D4, format!("nobody knows what became of {serial}"));
            }
        }
        Ok(())
    }
}

impl Oracle {
    /// A list was imported that names this device.
    pub fn device_listed(&mut self, serial: String) {
        self.listed.insert(serial);
    }
    /// A station was told that this device is provisioned.
    pub fn device_provisioned(&mut self, serial: String) {
        self.counts.provisioned += 1;
        self.provisioned.insert(serial);
    }

    /// Devices that were told to be listed or provisioned are so still.
    pub fn devices_stay(&self, store: &dyn IdentityStore) -> Said {
        const ALL: u32 = 10_000;
        let filter = DeviceFilter { limit: ALL, ..DeviceFilter::default() };
        let rows = store.devices(&filter).or_else(unreadable)?;
        let stands = |serial: &String, custody: Option<Custody>| {
            let is_it = |row: &&DeviceRow| row.id.serial.as_str() == serial;
            rows.iter().find(is_it).is_some_and(|row| custody.is_none_or(|custody| custody == row.custody))
        };
        if let Some(serial) = self.listed.iter().find(|serial| !stands(serial, None)) {
            return broken(Check::D3, format!("{serial} was taken from a list, and is gone"));
        }
        match self.provisioned.iter().find(|serial| !stands(serial, Some(Custody::Provisioned))) {
            None => Ok(()),
            Some(serial) => broken(Check::D3, format!("{serial} was told to be provisioned, and is not")),
        }
    }
}
