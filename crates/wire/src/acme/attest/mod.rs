//! What proves that a key is in a device: `device-attest-01`, with the attestation statements of TPMs.
//!
//! ```text
//! payload -> attObj -> CBOR: fmt, attStmt -> x5c: whose TPM it is; certInfo, signed by it -> pubArea: the key
//! ```
//! Prevents: a key that could be elsewhere, too; a statement that was made for another account or order, or by another TPM; two readings
//! of one octet.
//! Source: draft-ietf-acme-device-attest; W3C Web Authentication Level 2 §8.3.

mod cbor;
#[cfg(test)]
mod tests;
mod tpm;

use super::json::Json;
use aws_lc_rs::digest::{SHA256, SHA384, digest};
use cbor::Cbor;
use const_oid::ObjectIdentifier;
use model::octets::from_base64url;
use model::{Fault, UnixTime};
use x509::extension::{BasicConstraints, decode_extended_key_usage};
use x509::path::{Demands, Evidence, validate};
use x509::{Certificate, PublicKey, SignatureAlgorithm, oids, signature, weak};

/// Longest attestation: eight certificates, and what the TPM said.
const ATTESTATION_LEN_MAX: usize = 32 * 1024;
/// Most certificates in it.
const CERTIFICATES_MAX: usize = 8;
/// `tcg-kp-AIKCertificate`: who may say what is in a TPM.
const AIK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.3");

/// Why an attestation proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAttestation {
    /// It is not what it must be, or can be read in two ways.
    Malformed,
    /// It is of a form, or made with an algorithm, that is not taken.
    OtherType,
    /// Nobody whom we believe vouches for the TPM.
    Untrusted,
    /// It is not signed by that TPM.
    Signature,
    /// It was made for something else.
    OtherChallenge,
    /// It is about another key.
    OtherKey,
    /// The key could be elsewhere, too.
    KeyNotBound,
}

/// An attestation that was read. Nobody has verified anything of it.
#[derive(Clone, Debug)]
pub struct Attestation {
    certificates: Vec<Certificate>,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
    info: Vec<u8>,
    area: Vec<u8>,
}

/// The attestation in what is sent to a challenge.
///
/// # Errors
/// [`Fault::Malformed`] if there is none.
pub fn attested_octets(payload: &[u8]) -> Result<Vec<u8>, Fault> {
    let json = Json::object(payload)?;
    let octets = json.member("attObj").and_then(|text| from_base64url(text.as_bytes()));
    octets.ok_or(Fault::malformed("attObj is an attestation in base64url"))
}

impl Attestation {
    /// Reads an attestation.
    ///
    /// Limits: 32 KiB, 8 certificates.
    /// # Errors
    /// [`BadAttestation::Malformed`], [`BadAttestation::OtherType`]
    pub fn decode(octets: &[u8]) -> Result<Self, BadAttestation> {
        use BadAttestation::{Malformed, OtherType};
        if octets.len() > ATTESTATION_LEN_MAX {
            return Err(Malformed);
        }
        let object = Cbor::decode(octets)?;
        let format = object.get("fmt").and_then(Cbor::text).ok_or(Malformed)?;
        let statement = object.get("attStmt").ok_or(Malformed)?;
        if format != "tpm" || statement.get("ver").and_then(Cbor::text) != Some("2.0") {
            return Err(OtherType);
        }
        let part = |name| statement.get(name).and_then(Cbor::octets).ok_or(Malformed);
        let (algorithm, signature) = tpm::signature(part("sig")?)?;
        let Some(Cbor::Number { negative: true, value }) = statement.get("alg") else { return Err(Malformed) };
        if cose(*value) != Some(algorithm) {
            return Err(OtherType);
        }
        let Some(Cbor::List(list)) = statement.get("x5c") else { return Err(OtherType) };
        if list.is_empty() || list.len() > CERTIFICATES_MAX {
            return Err(Malformed);
        }
        let one = |one: &Cbor<'_>| Certificate::decode(one.octets()?).ok();
        let certificates = list.iter().map(one).collect::<Option<_>>().ok_or(Malformed)?;
        Ok(Self {
            certificates,
            algorithm,
            signature,
            info: part("certInfo")?.to_vec(),
            area: part("pubArea")?.to_vec(),
        })
    }

    /// The key that it is about, if it was made for this key authorisation, by a TPM for which one of `anchors` vouches.
    ///
    /// # Errors
    /// [`BadAttestation`]
    /// Source: W3C Web Authentication Level 2 §8.3, §8.3.1.
    pub fn verify(
        &self,
        key_authorization: &str,
        anchors: &[Certificate],
        now: UnixTime,
    ) -> Result<PublicKey, BadAttestation> {
        let Some((leaf, pool)) = self.certificates.split_first() else { return Err(BadAttestation::Malformed) };
        is_of_a_tpm(leaf)?;
        let evidence = Evidence { leaf, pool, anchors, crls: &[] };
        let demands = Demands { purpose: Some(AIK_CERTIFICATE), ..Demands::default() };
        validate(&evidence, &demands, now).map_err(|_| BadAttestation::Untrusted)?;
        let signer = &leaf.tbs().subject_public_key;
        let is_signed = signature::verify(signer, self.algorithm, &self.info, &self.signature).is_ok();
        if weak::check(signer).is_err() || !is_signed {
            return Err(BadAttestation::Signature);
        }
        let info = tpm::CertifyInfo::decode(&self.info)?;
        let hash = match self.algorithm {
            SignatureAlgorithm::EcdsaSha384 | SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::RsaPssSha384 => {
                &SHA384
            }
            _ => &SHA256,
        };
        if info.extra_data != digest(hash, key_authorization.as_bytes()).as_ref() {
            return Err(BadAttestation::OtherChallenge);
        }
        let (key, name) = tpm::public_area(&self.area)?;
        if info.name == name { Ok(key) } else { Err(BadAttestation::OtherKey) }
    }

    /// The certificate of whoever signs it.
    #[must_use]
    pub fn signer(&self) -> Option<&Certificate> {
        self.certificates.first()
    }
}

/// A certificate for a key that signs nothing but what a TPM says of itself. One without a purpose is for none.
fn is_of_a_tpm(leaf: &Certificate) -> Result<(), BadAttestation> {
    let tbs = leaf.tbs();
    let purposes = tbs.extension(oids::EXTENDED_KEY_USAGE).and_then(|one| decode_extended_key_usage(&one.value));
    let is_authority = tbs
        .extension(oids::BASIC_CONSTRAINTS)
        .is_some_and(|one| BasicConstraints::decode(&one.value).is_none_or(|said| said.ca));
    let is_its = purposes.is_some_and(|purposes| purposes.contains(&AIK_CERTIFICATE));
    if is_its && !is_authority { Ok(()) } else { Err(BadAttestation::Untrusted) }
}

/// An algorithm of COSE: -1 less the number. Source: RFC 8152 §8.1, RFC 8812 §2.
const fn cose(number: u64) -> Option<SignatureAlgorithm> {
    Some(match number {
        6 => SignatureAlgorithm::EcdsaSha256,
        34 => SignatureAlgorithm::EcdsaSha384,
        36 => SignatureAlgorithm::RsaPssSha256,
        37 => SignatureAlgorithm::RsaPssSha384,
        256 => SignatureAlgorithm::RsaSha256,
        257 => SignatureAlgorithm::RsaSha384,
        _ => return None,
    })
}
