//! Many certificates at once, for what is measured on millions of them: each signed by the authority and recorded with its
//! grant, intent and log entries, by the code that records any other, but in large transactions and asked for by nobody.

use super::issue::Rig;
use crate::fault::{Exit, Failure, Result};
use adapters::keystore::memory::MemoryKey;
use adapters::store::sql::Synthetic;
use indicatif::ProgressBar;
use model::contract::authority::{GrantOffer, RevocationReason};
use model::{Entity, Module, TransactionId};
use ports::Signer;
use ports::clock::random;
use ports::directory::Caller;
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityRow, IntentDraft};
use rayon::prelude::*;
use x509::certificate::TbsCertificate;
use x509::extension::{GeneralName, authority_key_identifier, subject_alt_name, subject_key_identifier};
use x509::{Certificate, KeyType, Name, SerialNumber, csr, sha256};

/// Certificates in one transaction.
const SLICE: u64 = 8192;

fn failed(why: &'static str) -> Failure {
    Failure::new(Exit::Failed, "bench", "the records cannot be filled").because(why)
}

/// Fills the records of a rig, that has so many from before.
pub(crate) fn fill(rig: &Rig, before: u64, count: u64, key_type: KeyType, bar: &ProgressBar) -> Result {
    let store = &rig.workshop().store;
    let factory = store.authorities()?.into_iter().find(|row| row.name.as_str() == "factory");
    let factory = factory.ok_or_else(|| failed("there is no factory"))?;
    let signer = rig.workshop().keys.open(&factory.key)?;
    let issuer = Certificate::decode(&factory.certificate).map_err(|_| failed("the factory has no certificate"))?;
    let mut done = before;
    while done < count {
        let numbers: Vec<u64> = (done..count.min(done + SLICE)).collect();
        // One time for all of them: they are written in their order, and made in another.
        let now = rig.workshop().clock.now();
        let synthetic = numbers.par_iter().map(|n| one(rig, &factory, &issuer, signer.as_ref(), *n, key_type, now));
        let synthetic = synthetic.collect::<Result<Vec<_>>>()?;
        let len = synthetic.len();
        if store.fill("bench", synthetic)? != len {
            return Err(failed("a certificate was not taken"));
        }
        done += u64::try_from(len).unwrap_or(u64::MAX);
        bar.set_position(done);
    }
    Ok(())
}

fn one(
    rig: &Rig,
    factory: &AuthorityRow,
    issuer: &Certificate,
    signer: &dyn Signer,
    n: u64,
    key_type: KeyType,
    now: model::UnixTime,
) -> Result<Synthetic> {
    let workshop = rig.workshop();
    let profiles = workshop.authority_setting()?.profiles;
    // What an earlier fill of the same records made has other names.
    let name = format!("B{:08X}{n:09}", workshop.store.epoch().0);
    let subject: Entity = format!("urn:dev:ops:32473-bench-{name}").parse().map_err(|_| failed("a device's name"))?;
    let idevid = "idevid".parse().map_err(|_| failed("the profile's name"))?;
    let profile = profiles.get(&idevid).ok_or_else(|| failed("the profile idevid is missing"))?;
    let key = MemoryKey::generate(key_type);
    let serial = SerialNumber::next(workshop.store.epoch(), now, random(workshop.entropy.as_ref()));
    let issuer_key = &issuer.tbs().subject_public_key;
    let mut extensions = vec![
        authority_key_identifier(&issuer_key.key_identifier()),
        subject_key_identifier(&key.public_key().key_identifier()),
    ];
    extensions.extend(profile.fixed_extensions().iter().cloned());
    extensions.push(subject_alt_name(&[GeneralName::Uri(subject.to_string())], false));
    let common_name = x509::name::Attribute {
        oid: x509::name::attribute_type("CN").ok_or_else(|| failed("CN"))?,
        text: format!("bench {name}"),
    };
    let (not_before, not_after) = profile.validity(now);
    let tbs = TbsCertificate {
        serial_number: serial,
        signature: signer.algorithm(),
        issuer: issuer.tbs().subject.clone(),
        not_before,
        not_after,
        subject: Name::write(&[common_name]),
        subject_public_key: key.public_key().clone(),
        extensions,
    };
    let tbs = tbs.write();
    let signature = signer.sign(&tbs).map_err(|_| failed("the key cannot sign"))?;
    let intent = IntentDraft {
        transaction_id: TransactionId::at(now, random(workshop.entropy.as_ref())),
        requester: Caller { module: Module::Provisioning, instance: workshop.config.name.clone() },
        authority: factory.id,
        serial,
        tbs_digest: sha256(&tbs),
        profile_digest: profile.digest(),
        grant: 0,
        right: None,
        key: key.public_key().digest(),
        at: now,
        not_after,
        shard: 0,
    };
    let offer = GrantOffer { subject, profile: idevid, until: now.plus_s(86_400), quota: 1 };
    Ok(Synthetic { offer, intent, certificate: csr::write_signed(&tbs, signer.algorithm(), &signature) })
}

/// Revokes the first so many certificates of devices.
pub(crate) fn revoke(rig: &Rig, count: u64) -> Result {
    let store = &rig.workshop().store;
    let (mut after, mut left) = (0, count);
    let subject = |serial: &SerialNumber| -> Result<bool> {
        Ok(store.certificate(serial)?.is_some_and(|row| row.subject.device().is_some()))
    };
    // Authorities and modules come first; behind them are devices only.
    while let Some((row, serial)) = store.serial_behind(after)?.filter(|_| left > 0) {
        if subject(&serial)? {
            break;
        }
        after = row;
    }
    while left > 0 {
        let factory =
            store.authorities()?.into_iter().find(|row| row.name.as_str() == "factory").map_or(0, |row| row.id);
        let limit = u32::try_from(left.min(10_000)).unwrap_or(10_000);
        let page = store.serials(factory, rig.workshop().clock.now(), after, limit)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        let serials: Vec<_> = page.iter().map(|(_, serial)| *serial).collect();
        store.revoke_many(&serials, RevocationReason::Superseded, rig.workshop().clock.now())?;
        left = left.saturating_sub(u64::try_from(serials.len()).unwrap_or(u64::MAX));
    }
    Ok(())
}
