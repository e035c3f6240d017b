//! A certificate for the device's key. Algorithm: "certificate for the device's key".
//!
//! What is asked of km is durable here before it is asked, under a transaction identifier; so a repetition after an
//! interruption is the same request, and gets the same certificate. A board whose key has changed since has its
//! unconfirmed certificate rejected, and begins anew.

use crate::station::{Leaves, Station, Watch, Work};
use crate::tray::{Place, Stage, Tray};
use model::contract::authority::{
    Answer, Certified, Certify, CertifyRequest, Confirm, Confirmation, Evidence, Verdict,
};
use model::contract::identity::{Step, StepDone};
use model::lifecycle::{Certified as Holding, Device, Flashed, Keyed, Operational};
use model::{Base64, DeviceId, Entity, Fault, Reason, TransactionId};
use ports::clock::random;
use ports::flasher::{KeyOffer, Part};
use ports::store::line::Job;
use x509::crmf::{self, ProofOfPossession};
use x509::extension::{GeneralName, decode_subject_alt_name};
use x509::{Certificate, CertificationRequest, PublicKey, oids, pem, signature};

/// What a challenge begins with, so that what a device signs for a station can be taken for nothing else.
const CHALLENGE_PREFIX: &[u8] = b"cradle station challenge v1\0";

/// A board that has shown its key.
struct Offered<'p> {
    n: usize,
    place: &'p mut Place,
    device: Device<Keyed>,
    evidence: Evidence,
    transaction_id: TransactionId,
}

/// A board that km gave a certificate for.
struct Given<'p> {
    n: usize,
    place: &'p mut Place,
    device: Device<Keyed>,
    transaction_id: TransactionId,
    certificate: Vec<u8>,
    chain: Vec<Base64>,
}

/// A board that has proved its key.
struct Proved<'p> {
    place: &'p mut Place,
    device: Device<Operational>,
    transaction_id: TransactionId,
}

const SHORT: Fault = Fault::unavailable("the authority answered for another number of boards");

impl Station {
    pub(crate) fn certify(&self, tray: &mut Tray, watch: &dyn Watch) -> Result<(), Fault> {
        let offered = self.ask_for_keys(tray, watch);
        let offered = self.remember_transactions(offered)?;
        let given = self.ask_for_certificates(offered)?;
        let proved = self.write_and_challenge(given, watch)?;
        self.confirm_and_record(proved)
    }

    fn ask_for_keys<'p>(&self, tray: &'p mut Tray, watch: &dyn Watch) -> Vec<Offered<'p>> {
        let flashed: Vec<_> = tray
            .places
            .iter_mut()
            .enumerate()
            .filter_map(|(n, place)| match place.take() {
                Stage::Flashed(device) => Some((n, place, device)),
                other => {
                    place.at = other;
                    None
                }
            })
            .collect();
        let asked = self.with_hands(flashed, |_, (n, place, device)| {
            watch.progress(n, Work::Key, 0, 1);
            let id = device.id().clone();
            let offered = self.key_of(place, device);
            watch.progress(n, Work::Key, 1, 1);
            (n, place, id, offered)
        });
        let keep = |(n, place, id, offered): (usize, &'p mut Place, DeviceId, Result<_, Leaves>)| match offered {
            Ok((device, evidence)) => {
                let transaction_id = TransactionId::at(self.now(), random(self.setting.entropy.as_ref()));
                Some(Offered { n, place, device, evidence, transaction_id })
            }
            Err(leaves) => {
                place.at = Stage::Left(leaves, Some(id));
                None
            }
        };
        asked.into_iter().filter_map(keep).collect()
    }

    fn key_of(&self, place: &mut Place, device: Device<Flashed>) -> Result<(Device<Keyed>, Evidence), Leaves> {
        match place.board.key(self.setting.device_type.key_type)? {
            KeyOffer::CertificationRequest(der) => {
                let request = CertificationRequest::decode(&der).map_err(Fault::from)?;
                self.check_key_type(&request.public_key)?;
                Ok((device.keyed(request.public_key.digest()), Evidence::Pkcs10(der.into())))
            }
            KeyOffer::PublicKey(spki) => {
                let key = PublicKey::decode(&spki).map_err(Fault::from)?;
                self.check_key_type(&key)?;
                let request = crmf::write_cert_request(0, None, &key);
                let message = crmf::write_only(&request, &ProofOfPossession::RaVerified);
                Ok((device.keyed(key.digest()), Evidence::Crmf(message.into())))
            }
        }
    }

    // A board may not choose for itself how strong its key is.
    fn check_key_type(&self, key: &PublicKey) -> Result<(), Fault> {
        let is_wanted = key.key_type() == self.setting.device_type.key_type;
        if is_wanted { Ok(()) } else { Err(Reason::KeyTypeNotAllowed.into()) }
    }

    /// Takes up the transaction of an interrupted run, or makes the new one durable.
    fn remember_transactions<'p>(&self, mut offered: Vec<Offered<'p>>) -> Result<Vec<Offered<'p>>, Fault> {
        let ids: Vec<_> = offered.iter().map(|o| o.device.id().clone()).collect();
        let before = self.setting.store.jobs(&ids)?;
        let (mut jobs, mut rejected) = (Vec::new(), Vec::new());
        for (o, before) in offered.iter_mut().zip(before) {
            let key = Some(o.device.key());
            if let Some(Job { transaction_id: Some(id), key: known, .. }) = before {
                if known == key {
                    o.transaction_id = id;
                    continue;
                }
                rejected.push(Confirmation { transaction_id: id, verdict: Verdict::Rejected });
            }
            let (device, image) = (o.device.id().clone(), before.and_then(|b| b.image));
            jobs.push(Job { device, image, transaction_id: Some(o.transaction_id), key, finished: false });
        }
        if !rejected.is_empty() {
            // One that was never issued is unknown, one that was confirmed stays: km says so at the next request.
            self.setting.link.call(&Confirm { confirmations: rejected })?;
        }
        self.setting.store.set_jobs(&jobs)?;
        Ok(offered)
    }

    fn ask_for_certificates<'p>(&self, offered: Vec<Offered<'p>>) -> Result<Vec<Given<'p>>, Fault> {
        if offered.is_empty() {
            return Ok(Vec::new());
        }
        let request = |o: &Offered<'_>| CertifyRequest {
            transaction_id: o.transaction_id,
            subject: Entity::Device(o.device.id().clone()),
            profile: self.setting.device_type.profile.clone(),
            evidence: o.evidence.clone(),
        };
        let requests = offered.iter().map(request).collect();
        let Certified { answers, chains } = self.setting.link.call(&Certify { requests })?;
        if answers.len() != offered.len() {
            return Err(SHORT);
        }
        let mut given = Vec::new();
        for (Offered { n, place, device, transaction_id, .. }, answer) in offered.into_iter().zip(answers) {
            match answer {
                Answer::Issued { certificate, chain } => {
                    let chain = chains.get(usize::from(chain)).cloned().unwrap_or_default();
                    given.push(Given { n, place, device, transaction_id, certificate: certificate.0, chain });
                }
                Answer::Failed(fault) => place.at = Stage::Left(fault.into(), Some(device.id().clone())),
            }
        }
        Ok(given)
    }

    fn write_and_challenge<'p>(&self, given: Vec<Given<'p>>, watch: &dyn Watch) -> Result<Vec<Proved<'p>>, Fault> {
        let worked = self.with_hands(given, |_, Given { n, place, device, transaction_id, certificate, chain }| {
            watch.progress(n, Work::Certify, 0, 1);
            let id = device.id().clone();
            let proved = self.write_and_challenge_one(place, device, &certificate, &chain);
            watch.progress(n, Work::Certify, 1, 1);
            (place, id, transaction_id, proved)
        });
        let (mut proved, mut rejected) = (Vec::new(), Vec::new());
        for (place, id, transaction_id, outcome) in worked {
            match outcome {
                Ok(device) => proved.push(Proved { place, device, transaction_id }),
                Err(leaves) => {
                    // A board that holds another key will never use this certificate; one that fell silent may yet.
                    if leaves.fault == Fault::Refused(Reason::ChallengeFailed) {
                        rejected.push(Confirmation { transaction_id, verdict: Verdict::Rejected });
                    }
                    place.at = Stage::Left(leaves, Some(id));
                }
            }
        }
        if !rejected.is_empty() {
            self.setting.link.call(&Confirm { confirmations: rejected })?;
        }
        Ok(proved)
    }

    fn write_and_challenge_one(
        &self,
        place: &mut Place,
        device: Device<Keyed>,
        der: &[u8],
        chain: &[Base64],
    ) -> Result<Device<Operational>, Leaves> {
        let certificate = Certificate::decode(der).map_err(Fault::from)?;
        self.check(&certificate, chain, &device)?;
        let pem: String = std::iter::once(der)
            .chain(chain.iter().map(AsRef::as_ref))
            .map(|c| pem::encode("CERTIFICATE", c))
            .collect();
        place.board.write(Part::CertificateChain, pem.as_bytes())?;
        let holding: Device<Holding> = device.certified(certificate.tbs().serial_number.to_string());
        let challenge: [u8; 32] = random(self.setting.entropy.as_ref());
        let challenge = [CHALLENGE_PREFIX, &challenge].concat();
        let signed = place.board.prove(&challenge)?;
        let key = &certificate.tbs().subject_public_key;
        signature::verify(key, key.key_type().signs_with(), &challenge, &signed)
            .map_err(|_| Reason::ChallengeFailed)?;
        Ok(holding.proved())
    }

    /// The certificate is for this device and this key, and its issuer signed it: a station does not write what it has
    /// not looked at.
    fn check(&self, certificate: &Certificate, chain: &[Base64], device: &Device<Keyed>) -> Result<(), Fault> {
        let tbs = certificate.tbs();
        let names = tbs.extension(oids::SUBJECT_ALT_NAME).and_then(|e| decode_subject_alt_name(&e.value));
        let urn = GeneralName::Uri(device.id().to_string());
        let named = names.is_some_and(|names| names.contains(&urn));
        let issuer = chain.first().and_then(|der| Certificate::decode(der.as_ref()).ok());
        let signed = issuer.is_some_and(|issuer| certificate.verify_issued_by(&issuer, self.now()).is_ok());
        if named && signed && tbs.subject_public_key.digest() == device.key() {
            Ok(())
        } else {
            Err(Fault::unavailable("the authority gave a certificate that is not this device's"))
        }
    }

    /// Confirmed at km first: if this is interrupted the board is certified again with the same certificate. Then at
    /// ics, which lets it go; then here.
    fn confirm_and_record(&self, proved: Vec<Proved<'_>>) -> Result<(), Fault> {
        if proved.is_empty() {
            return Ok(());
        }
        let confirmation =
            |p: &Proved<'_>| Confirmation { transaction_id: p.transaction_id, verdict: Verdict::Accepted };
        let confirmations = proved.iter().map(confirmation).collect();
        let confirmed = self.setting.link.call(&Confirm { confirmations })?.results;
        if confirmed.len() != proved.len() {
            return Err(SHORT);
        }
        let mut kept = Vec::new();
        for (p, result) in proved.into_iter().zip(confirmed) {
            match result {
                Ok(()) => kept.push(p),
                Err(fault) => p.place.at = Stage::Left(fault.into(), Some(p.device.id().clone())),
            }
        }
        let step = |p: &Proved<'_>| {
            let (_, key, serial) = p.device.record();
            let step = Step::Provisioned { serial: serial.to_owned(), key };
            StepDone { device: p.device.id().clone(), board: p.device.board().clone(), step }
        };
        let mut results = self.record(kept.iter().map(step).collect())?.into_iter();
        let finished = |p: &Proved<'_>| {
            let (image, key, _) = p.device.record();
            let (device, transaction_id) = (p.device.id().clone(), Some(p.transaction_id));
            Job { device, image: Some(image), transaction_id, key: Some(key), finished: true }
        };
        self.setting.store.set_jobs(&kept.iter().map(finished).collect::<Vec<_>>())?;
        for p in kept {
            match results.next().unwrap_or(Err(SHORT)) {
                Ok(()) => p.place.at = Stage::Operational(p.device),
                Err(fault) => p.place.at = Stage::Left(fault.into(), Some(p.device.id().clone())),
            }
        }
        Ok(())
    }
}
