//! Signatures of OpenPGP over an image. Our own reader, for what stands beside an image only: version 4, as GnuPG and Sequoia write it, on the
//! keys and hashes that `x509` has (ADR 20 says why no library).

mod key;
mod packets;
mod signature;

pub use key::OpenPgpKey;
pub use signature::OpenPgpSignature;

use super::Developer;
use super::fault::NotSigned;
use super::hashes::ImageHashes;
use super::registered::Registered;
use key::Part;
use model::UnixTime;
use signature::kind;
use std::collections::BTreeSet;

/// Source: RFC 9580 §5.2.4.
pub(super) fn verify(
    octets: &[u8],
    image: &ImageHashes,
    registered: &Registered,
    now: UnixTime,
) -> Result<BTreeSet<Developer>, NotSigned> {
    let signature = OpenPgpSignature::decode(octets)?;
    match signature.kind {
        kind::OVER_OCTETS => {}
        kind::OVER_TEXT => return Err(NotSigned::OverText),
        _ => return Err(NotSigned::WrongUse),
    }
    if signature.has_unknown_critical() {
        return Err(NotSigned::UnknownCritical);
    }
    let hash = signature.hash().ok_or(NotSigned::UnknownAlgorithm)?;
    let digest = image.with(hash, signature.trailer());
    if !signature.may_be_over(&digest) {
        return Err(NotSigned::OtherImage);
    }
    // Whose it is, is found by trying: identifiers of keys are short, or SHA-1.
    let all = registered.openpgp.iter().flat_map(|(who, key)| key.signing().map(move |part| (who, key, part)));
    let found = all.into_iter().find(|(_, _, part)| signature.holds(&part.public, hash, &digest));
    let (who, key, part) = found.ok_or(NotSigned::UnknownSigner)?;
    if key.is_revoked() || part.is_revoked {
        return Err(NotSigned::KeyRevoked);
    }
    if has_ended(key.ends_s(), now) || has_ended(part.ends_s, now) {
        return Err(NotSigned::KeyExpired);
    }
    in_time(&signature, part, now)?;
    Ok(BTreeSet::from([Developer { who: who.clone(), key: part.public.digest().to_string() }]))
}

fn has_ended(ends_s: Option<u64>, now: UnixTime) -> bool {
    ends_s.is_some_and(|ends_s| now.s() >= ends_s)
}

fn in_time(signature: &OpenPgpSignature, part: &Part, now: UnixTime) -> Result<(), NotSigned> {
    if signature.created_s() > now.s() || signature.created_s() < part.created_s {
        return Err(NotSigned::FromTheFuture);
    }
    if has_ended(signature.ends_s(), now) { Err(NotSigned::Expired) } else { Ok(()) }
}
