//! Certificates: what is signed was intended, what was told stays, what is told again is the same.

use super::{Check, Oracle, Said, broken};
use model::{Digest, TransactionId};
use ports::directory::Caller;
use ports::store::AuthorityStore;
use ports::store::authority::Standing;
use x509::certificate::TbsCertificate;
use x509::{Certificate, sha256};

/// What a key of an authority is asked to sign, as its first octets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Certificate,
    List,
    Other,
}

/// Looks at the first element inside the sequence: `[0]` is the version of a certificate, the integer 1 that of a list.
pub(crate) fn kind(message: &[u8]) -> Kind {
    let inside = match message {
        [0x30, len, rest @ ..] if *len < 0x80 => rest,
        [0x30, 0x81, _, rest @ ..] | [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x83, _, _, _, rest @ ..] => rest,
        _ => return Kind::Other,
    };
    match inside {
        [0xa0, 3, 2, 1, 2, ..] => Kind::Certificate,
        [2, 1, 1, 0x30, ..] => Kind::List,
        _ => Kind::Other,
    }
}

impl Oracle {
    /// An authority's key signs.
    pub fn signed(&mut self, key: Digest, message: &[u8], store: &dyn AuthorityStore) -> Said {
        let digest = sha256(message);
        match kind(message) {
            Kind::Other => return Ok(()),
            Kind::List if self.list_intents.contains(&digest) => return Ok(()),
            Kind::List => return broken(Check::D2, "a list was signed that nobody intended"),
            Kind::Certificate => {}
        }
        let Ok(tbs) = TbsCertificate::decode(message) else {
            return broken(Check::D2, "something was signed that is like a certificate, and is none");
        };
        self.counts.signatures += 1;
        let serial = tbs.serial_number.to_string();
        if self.signatures.insert((key, serial.clone()), digest).is_some_and(|before| before != digest) {
            return broken(Check::D1, format!("two certificates of one authority were signed as {serial}"));
        }
        let Some(known) = self.intents.get(&serial).filter(|known| known.tbs == digest) else {
            return broken(Check::D2, format!("{serial} was signed, and was not intended"));
        };
        let standing = store.standing(known.authority, &known.serial);
        match standing {
            Ok(Standing::Reserved) => Ok(()),
            // Closed by another process that started meanwhile: the intent was there, and what is signed is revoked.
            Ok(Standing::Revoked { .. }) if known.words.final_since.is_some() => Ok(()),
            standing => broken(Check::D2, format!("{serial} was signed while its intent stood as {standing:?}")),
        }
    }

    /// An intent was closed in the middle of its signing, by another process that started.
    pub fn closed(&mut self, serial: &str) {
        let tick = self.tick();
        if let Some(known) = self.intents.get_mut(serial) {
            known.words.final_since.get_or_insert(tick);
        }
    }

    /// A certificate was seen, wherever.
    pub fn saw(&mut self, der: &[u8]) -> Said {
        let Ok(certificate) = Certificate::decode(der) else {
            return broken(Check::D1, "somebody holds a certificate that cannot be read");
        };
        let tbs = certificate.tbs();
        let place = (tbs.issuer.der().to_vec(), tbs.serial_number.to_string());
        let digest = sha256(der);
        let before = self.seen.insert(place, digest);
        if before.is_some_and(|before| before != digest) {
            return broken(Check::D1, format!("two certificates are seen as {}", tbs.serial_number));
        }
        Ok(())
    }

    /// A requester was told that this is its certificate.
    pub fn issued(&mut self, transaction: TransactionId, requester: &Caller, der: &[u8]) -> Said {
        self.saw(der)?;
        let serial = match Certificate::decode(der) {
            Ok(certificate) => certificate.tbs().serial_number.to_string(),
            Err(_) => return broken(Check::D3, "a certificate was told that cannot be read"),
        };
        let Some(own) = self.intents.get(&serial).cloned() else {
            return broken(Check::D2, format!("{serial} was told, and never intended"));
        };
        if !own.recorded {
            return broken(Check::D3, format!("{serial} was told before it was recorded"));
        }
        if own.transaction != *transaction.octets() || own.requester != *requester {
            return broken(Check::D5, format!("{serial} was told for another transaction"));
        }
        let others = self.intents.values().filter(|known| {
            known.grant == own.grant && known.told.is_some() && known.serial != own.serial && !known.words.rejected
        });
        let (others, quota) = (others.count(), self.quotas.get(&own.grant).copied().unwrap_or(1));
        if others >= quota {
            return broken(Check::D5, format!("{serial} and {others} more were told under one grant for {quota}"));
        }
        self.counts.told += 1;
        let Some(known) = self.intents.get_mut(&serial) else { return Ok(()) };
        match known.told.replace(der.to_vec()) {
            None => Ok(()),
            Some(before) => {
                self.counts.repeated += 1;
                if before == der { Ok(()) } else { broken(Check::D5, format!("{serial} was told with other octets")) }
            }
        }
    }

    /// Somebody says what became of the certificate of a transaction.
    pub fn judging(&mut self, transaction: TransactionId, requester: &Caller, taken: bool) {
        let of_it =
            |known: &&mut super::Intended| known.transaction == *transaction.octets() && known.requester == *requester;
        for known in self.intents.values_mut().filter(of_it) {
            known.words.rejected |= !taken;
        }
    }

    /// That a certificate was taken is told to be recorded.
    pub fn confirmed(&mut self, transaction: TransactionId, requester: &Caller) {
        let is_it = |known: &&mut super::Intended| {
            known.transaction == *transaction.octets() && known.requester == *requester && !known.words.rejected
        };
        if let Some(known) = self.intents.values_mut().filter(|known| known.told.is_some()).find(is_it) {
            known.words.confirmed = true;
        }
    }

    /// What was told is there still.
    pub(super) fn told_stays(&self, store: &dyn AuthorityStore) -> Said {
        for (serial, known) in &self.intents {
            let Some(told) = &known.told else { continue };
            let row = match store.certificate(&known.serial) {
                Ok(row) => row,
                Err(fault) => return broken(Check::World, format!("the store cannot be read: {fault}")),
            };
            match row {
                None => return broken(Check::D3, format!("{serial} was told, and is gone")),
                Some(row) if row.der != *told => {
                    return broken(Check::D3, format!("{serial} is another than was told"));
                }
                Some(row) if known.words.confirmed && !row.confirmed => {
                    return broken(Check::D3, format!("that {serial} was taken is forgotten"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &[u8], expected: Kind) {
        assert_eq!(kind(message), expected);
    }

    #[test]
    fn a_certificate_begins_with_its_version() {
        check(&[0x30, 5, 0xa0, 3, 2, 1, 2], Kind::Certificate);
        check(&[0x30, 0x82, 1, 0, 0xa0, 3, 2, 1, 2], Kind::Certificate);
    }
    #[test]
    fn a_list_begins_with_a_number_and_an_algorithm() {
        check(&[0x30, 0x81, 200, 2, 1, 1, 0x30], Kind::List);
    }
    #[test]
    fn a_request_is_neither() {
        check(&[0x30, 5, 2, 1, 0, 0x30, 0], Kind::Other);
        check(&[0x30, 5, 0xa1, 3, 2, 1, 2], Kind::Other);
        check(b"", Kind::Other);
    }
}
