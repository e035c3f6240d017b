//! Believing a response.

use super::delegate::{NotQualified, may_respond};
use super::{BasicResponse, CertStatus, HashAlgorithm, IssuerIds, ResponderId};
use model::UnixTime;
use x509::{Certificate, PublicKey, SerialNumber, signature};

/// What was asked, and when the answer is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The certificate of the issuer, which the caller trusts already.
    pub issuer: &'a Certificate,
    /// Which certificate of it.
    pub serial_number: SerialNumber,
    /// The nonce that was sent, which the answer must repeat.
    pub nonce: Option<&'a [u8]>,
    /// When it is.
    pub now: UnixTime,
    /// How far the responder's clock may be ahead of ours. Units: seconds.
    pub skew_s: u64,
}

/// What a response says that may be believed until `next_update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 6960")]
pub struct Verified {
    pub status: CertStatus,
    pub produced_at: UnixTime,
    pub this_update: UnixTime,
    pub next_update: Option<UnixTime>,
    /// Whether the issuer signed itself, or which purpose-made certificate did.
    pub signed_by: SignedBy,
}

/// Who signed a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The issuer of the certificate.
    Issuer,
    /// A responder that the issuer delegated this to.
    Delegate,
}

/// Why a response is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbelievable {
    /// Nobody in it is who it says to be from.
    NoResponder,
    /// Who it says to be from may not speak for the issuer.
    NotAuthorised(NotQualified),
    /// The signature does not hold.
    Signature,
    /// It does not speak of the certificate that was asked for.
    OtherCertificate,
    /// It is from the future.
    NotYet,
    /// There is something newer.
    Outdated,
    /// The nonce is missing or another.
    Nonce,
}

impl std::fmt::Display for Unbelievable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoResponder => f.write_str("the response does not carry the certificate of its responder"),
            Self::NotAuthorised(why) => write!(f, "{why}"),
            Self::Signature => f.write_str("the signature of the response does not hold"),
            Self::OtherCertificate => f.write_str("the response does not speak of the certificate that was asked for"),
            Self::NotYet => f.write_str("the response is from the future"),
            Self::Outdated => f.write_str("the response is outdated"),
            Self::Nonce => f.write_str("the response does not repeat the nonce"),
        }
    }
}
impl std::error::Error for Unbelievable {}

/// Verifies a response, and takes out what was asked.
///
/// A responder that was configured by other means ("trusted responder" in RFC 6960 §2.2) is not believed: it is the issuer, or
/// whom the issuer itself named.
/// # Errors
/// [`Unbelievable`]
/// Source: RFC 6960 §3.2, §4.2.2.2.
pub fn verify(response: &BasicResponse<'_>, asked: &Asked<'_>) -> Result<Verified, Unbelievable> {
    // §3.2 (4): who signed may sign. Looked at first, because the signature needs its key.
    let (key, signed_by) = responder(response, asked)?;
    // §3.2 (2)
    signature::verify(key, response.signature_algorithm, response.tbs_response_data, response.signature)
        .map_err(|_| Unbelievable::Signature)?;
    // RFC 9654 §2.1
    if asked.nonce.is_some() && response.nonce != asked.nonce {
        return Err(Unbelievable::Nonce);
    }
    // §3.2 (1)
    let tbs = asked.issuer.tbs();
    let ids = IssuerIds::new(&tbs.subject, &tbs.subject_public_key);
    let mut of_it =
        response.responses.iter().filter(|s| s.cert_id.serial_number == asked.serial_number && ids.names(&s.cert_id));
    // Two that differ would let the reader choose.
    let (Some(single), None) = (of_it.next(), of_it.next()) else { return Err(Unbelievable::OtherCertificate) };
    // §3.2 (5), (6), and §4.2.2.1
    let latest = asked.now.plus_s(asked.skew_s);
    if single.this_update > latest || response.produced_at > latest {
        return Err(Unbelievable::NotYet);
    }
    if single.next_update.is_some_and(|next| next <= asked.now || next < single.this_update) {
        return Err(Unbelievable::Outdated);
    }
    Ok(Verified {
        status: single.cert_status,
        produced_at: response.produced_at,
        this_update: single.this_update,
        next_update: single.next_update,
        signed_by,
    })
}

fn responder<'a>(
    response: &'a BasicResponse<'_>,
    asked: &Asked<'a>,
) -> Result<(&'a PublicKey, SignedBy), Unbelievable> {
    if is_named(&response.responder_id, asked.issuer) {
        return Ok((&asked.issuer.tbs().subject_public_key, SignedBy::Issuer));
    }
    let mut named = response.certs.iter().filter(|certificate| is_named(&response.responder_id, certificate));
    let delegate = named.next().ok_or(Unbelievable::NoResponder)?;
    may_respond(delegate, asked.issuer, asked.now).map_err(Unbelievable::NotAuthorised)?;
    Ok((&delegate.tbs().subject_public_key, SignedBy::Delegate))
}

fn is_named(id: &ResponderId<'_>, certificate: &Certificate) -> bool {
    let tbs = certificate.tbs();
    match id {
        ResponderId::ByName(name) => name.der() == tbs.subject.der(),
        // SHA-1 as the standard has it: it finds the certificate, whose signature is then verified.
        ResponderId::ByKey(hash) => HashAlgorithm::Sha1.hash(tbs.subject_public_key.bits()).octets() == *hash,
    }
}
