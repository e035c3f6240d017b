//! Signatures of developers who have certificates.

use super::fault::NotSigned;
use super::hashes::ImageHashes;
use super::registered::Registered;
use super::{Developer, Form};
use model::UnixTime;
use std::collections::BTreeSet;
use x509::cms::{SignedData, SignerInfo};
use x509::extension::KeyUsage;
use x509::path::{self, Demands, Evidence, PathFault, Revocation};
use x509::{Certificate, oids, pem, weak};

/// Labels of messages in PEM.
const LABELS: [&str; 2] = ["CMS", "PKCS7"];

/// Source: RFC 5652 §5.6, with certificates judged by RFC 5280 §6.
pub(super) fn verify(
    octets: &[u8],
    image: &ImageHashes,
    registered: &Registered,
    now: UnixTime,
) -> Result<BTreeSet<Developer>, NotSigned> {
    const MALFORMED: NotSigned = NotSigned::Malformed(Form::Cms);
    let der = pem::der_or_pem(octets, &LABELS).ok_or(MALFORMED)?;
    let message = SignedData::decode(&der).map_err(|_| MALFORMED)?;
    if !message.is_detached() {
        return Err(NotSigned::Attached);
    }
    let (mut developers, mut first) = (BTreeSet::new(), None);
    for signer in message.signers() {
        match judge(signer, &message, image, registered, now) {
            Ok(developer) => developers.extend([developer]),
            Err(why) => first = first.or(Some(why)),
        }
    }
    if developers.is_empty() { Err(first.unwrap_or(NotSigned::UnknownSigner)) } else { Ok(developers) }
}

fn judge(
    signer: &SignerInfo,
    message: &SignedData,
    image: &ImageHashes,
    registered: &Registered,
    now: UnixTime,
) -> Result<Developer, NotSigned> {
    let hash = signer.hash().filter(|_| signer.is_known()).ok_or(NotSigned::UnknownAlgorithm)?;
    let digest = signer.message_digest().ok_or(NotSigned::NoAttributes)?;
    // Before any certificate is looked at: what is not about this image is nobody's.
    if image.with(hash, &[]).as_ref() != digest {
        return Err(NotSigned::OtherImage);
    }
    let pinned = registered.certificates.iter().find(|(_, certificate)| signer.names(certificate));
    let (who, certificate) = match pinned {
        Some((name, certificate)) => {
            current(certificate, now)?;
            (name.clone(), certificate)
        }
        None => {
            let certificate = message.certificates().iter().find(|certificate| signer.names(certificate));
            let certificate = certificate.ok_or(NotSigned::NoCertificate)?;
            believe(certificate, message.certificates(), registered, now)?;
            (certificate.tbs().subject.to_string(), certificate)
        }
    };
    let key = &certificate.tbs().subject_public_key;
    weak::check(key).map_err(|_| NotSigned::WeakKey)?;
    let usage = certificate.tbs().extension(oids::KEY_USAGE);
    let signs = |usage: KeyUsage| usage.has(KeyUsage::DIGITAL_SIGNATURE);
    if usage.is_some_and(|extension| !KeyUsage::decode(&extension.value).is_some_and(signs)) {
        return Err(NotSigned::WrongUse);
    }
    signer.verify(key).map_err(|_| NotSigned::DoesNotHold)?;
    Ok(Developer { who, key: key.digest().to_string() })
}

// Below an authority that was registered, and for signing code by its own words: the authority may certify others, too.
fn believe(leaf: &Certificate, pool: &[Certificate], registered: &Registered, now: UnixTime) -> Result<(), NotSigned> {
    let (anchors, crls) = (registered.authorities.as_slice(), registered.lists.as_slice());
    let revocation = if crls.is_empty() { Revocation::Unchecked } else { Revocation::Leaf };
    let demands = Demands { purpose: Some(oids::CODE_SIGNING), revocation, ..Demands::default() };
    path::validate(&Evidence { leaf, pool, anchors, crls }, &demands, now).map_err(NotSigned::Disbelieved)?;
    if leaf.tbs().extension(oids::EXTENDED_KEY_USAGE).is_some() { Ok(()) } else { Err(NotSigned::WrongUse) }
}

// A certificate that was registered itself is believed as long as it lasts.
fn current(certificate: &Certificate, now: UnixTime) -> Result<(), NotSigned> {
    let fault = match certificate.tbs() {
        tbs if tbs.not_before > now => PathFault::NotYetValid,
        tbs if now.whole_second() > tbs.not_after => PathFault::Expired,
        _ => return Ok(()),
    };
    Err(NotSigned::Disbelieved(path::Disbelief { fault, depth: 0 }))
}
