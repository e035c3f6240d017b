//! Certifying modules and operators, through the same door as any device.

use crate::compose::{Installation, Workshop, module_authority};
use crate::fault::{Exit, Failure, Result, While, exit_of};
use adapters::store::sql::survey::Holder;
use model::contract::authority::{Answer, Certify, CertifyRequest, Evidence, GrantOffer};
use model::mode::Binding;
use model::{Base64, Entity, Fault, Mode, ProfileName, Reason, TransactionId};
use ports::clock::random;
use ports::keystore::KeyFault;
use ports::store::AuthorityStore;
use ports::{Keystore, Signer};
use std::sync::Arc;
use x509::{Certificate, KeyType, Name, csr};

/// How often one module or operator can be certified: a grant is renewed only while it is not spent. Each time needs a
/// command of its own, within an hour.
const QUOTA: u32 = 1000;
/// How long a grant lasts that is left for a certificate that is made at once.
const GRANT_S: u64 = 3600;

/// Leaves a grant for one certificate and writes the request for it.
pub(crate) fn request(
    workshop: &Workshop,
    origin: &str,
    subject: Entity,
    profile: &str,
    signer: &dyn Signer,
) -> Result<Certify> {
    let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[]);
    let signature = signer.sign(&info).or_fail(&format!("certifying {subject}"))?;
    granted(workshop, origin, subject, profile, csr::write_signed(&info, signer.algorithm(), &signature).into())
}

/// Leaves a grant for one certificate, for which this is the request.
fn granted(workshop: &Workshop, origin: &str, subject: Entity, profile: &str, pkcs10: Base64) -> Result<Certify> {
    let profile: ProfileName = profile
        .parse()
        .map_err(|e: model::text::BadName| Failure::new(Exit::Usage, "name", "this name cannot be used").because(e))?;
    let now = workshop.clock.now();
    let offer = GrantOffer { subject, profile, until: now.plus_s(GRANT_S), quota: QUOTA };
    workshop.store.deposit(origin, std::slice::from_ref(&offer), now)?;
    let request = CertifyRequest {
        transaction_id: TransactionId::at(now, random(workshop.entropy.as_ref())),
        subject: offer.subject,
        profile: offer.profile,
        evidence: Evidence::Pkcs10(pkcs10),
    };
    Ok(Certify { requests: vec![request] })
}

/// The certificate of an answer to a request of one.
pub(crate) fn taken(answer: Option<Answer>, doing: &str) -> Result<Vec<u8>> {
    match answer {
        Some(Answer::Issued { certificate, .. }) => Ok(certificate.as_ref().to_vec()),
        Some(Answer::Failed(fault)) => Err(fault).or_fail(doing),
        None => Err(Fault::unavailable("no answer was made")).or_fail(doing),
    }
}

/// Fails in a mode in which nobody is certified who speaks for this box.
pub(crate) fn check_mode(installation: &Installation) -> Result {
    let binding = installation.supervisor.row().binding;
    if [Mode::Ceremony, Mode::CertificateManagement].map(Binding::settled).contains(&binding) {
        return Ok(());
    }
    let wrong = Reason::WrongMode;
    Err(Failure::new(exit_of(wrong), wrong.code(), "nobody was certified")
        .because(format!("the mode is {}", binding.current))
        .next("`cradle mode set certificate-management` (or ceremony), then repeat the command"))
}

/// Certifies a subject for the key of this label, which is made if there is none yet.
pub(crate) fn certify(
    installation: &Installation,
    origin: &str,
    subject: Entity,
    profile: &str,
    label: &str,
) -> Result<Certificate> {
    check_mode(installation)?;
    let workshop = &installation.workshop;
    let doing = format!("certifying {subject}");
    let signer: Arc<dyn Signer> = match workshop.keystore.generate(label, KeyType::Ed25519) {
        Ok((_, signer)) => signer,
        Err(KeyFault::Exists) => workshop.key(label)?,
        Err(fault) => return Err(fault.into()),
    };
    refuse_revoked(workshop, signer.as_ref(), &doing)?;
    let call = request(workshop, origin, subject, profile, signer.as_ref())?;
    asked(installation, &call, &doing)
}

/// Certifies a subject for a key that is elsewhere, at its own request.
pub(crate) fn certify_request(
    installation: &Installation,
    origin: &str,
    subject: Entity,
    profile: &str,
    pkcs10: Base64,
) -> Result<Certificate> {
    check_mode(installation)?;
    let doing = format!("certifying {subject}");
    let call = granted(&installation.workshop, origin, subject, profile, pkcs10)?;
    asked(installation, &call, &doing)
}

fn asked(installation: &Installation, call: &Certify, doing: &str) -> Result<Certificate> {
    let mut certified = installation.ask(call, doing)?;
    let der = taken(certified.answers.pop(), doing)?;
    Certificate::decode(&der).map_err(|_| Fault::malformed("certificate")).or_fail(doing)
}

/// A key whose certificate was revoked may be somebody else's by now.
fn refuse_revoked(workshop: &Workshop, signer: &dyn Signer, doing: &str) -> Result {
    if !workshop.store.is_revoked_key(signer.public_key().digest())? {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "key-revoked", format!("{doing} was refused"))
        .because("a certificate for its key was revoked, so somebody else may have the key")
        .next("have another key made: `cradle module renew MODULE --new-key`"))
}

/// Makes another key for a subject, certifies it, and puts it in the place of the old one, which is gone then.
pub(crate) fn replace(
    installation: &Installation,
    origin: &str,
    subject: Entity,
    profile: &str,
    label: &str,
) -> Result<Certificate> {
    check_mode(installation)?;
    let keystore = &installation.workshop.keystore;
    // What an interrupted command left is used.
    let next = format!("{label}.next");
    let certificate = certify(installation, origin, subject, profile, &next)?;
    keystore.rename(&next, label)?;
    Ok(certificate)
}

/// The certificates of modules and operators that are not revoked.
pub(crate) fn holders(store: &adapters::store::SqlStore) -> Result<Vec<Holder>> {
    Ok(store.holders(&module_authority()?)?)
}
