//! Envelopes (DSSE) around statements of in-toto: who signs says which file it is about by its SHA-256.
//!
//! Fractions and depth are no matter here: what is signed are octets, and of the JSON in them only a few fields are read. A
//! field that stands twice is refused.
//!
//! Source: DSSE 1.0.2; in-toto attestation framework, Statement v1 and v0.1.

use super::fault::NotSigned;
use super::hashes::ImageHashes;
use super::registered::Registered;
use super::{Developer, Form, SIGNATURE_LEN_MAX};
use model::octets::from_base64;
use serde::Deserialize;
use std::collections::BTreeSet;
use x509::{KeyType, PublicKey, SignatureAlgorithm, signature};

/// Most signatures of an envelope.
const SIGNATURES_MAX: usize = 16;
/// Most files that a statement is about.
const SUBJECTS_MAX: usize = 1024;
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
const MALFORMED: NotSigned = NotSigned::Malformed(Form::Dsse);

/// An envelope that was read. Nobody has verified anything of it.
#[derive(Clone, Debug)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

/// What a statement says that somebody registered has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    predicate_type: String,
}

impl Statement {
    /// What kind of statement it is: the address of its predicate's type.
    #[must_use]
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }
}

// What is not named here is passed over. Key identifiers are hints, and nobody signed them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeFile {
    payload: String,
    payload_type: String,
    signatures: Vec<SignatureFile>,
}

#[derive(Deserialize)]
struct SignatureFile {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementFile {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digests,
}

#[derive(Deserialize)]
struct Digests {
    sha256: Option<String>,
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// Limits: [`SIGNATURE_LEN_MAX`] octets, 16 signatures.
    /// # Errors
    /// [`NotSigned::TooLong`], [`NotSigned::Malformed`].
    pub fn decode(octets: &[u8]) -> Result<Self, NotSigned> {
        if octets.len() > SIGNATURE_LEN_MAX {
            return Err(NotSigned::TooLong);
        }
        let file: EnvelopeFile = serde_json::from_slice(octets).map_err(|_| MALFORMED)?;
        if file.signatures.len() > SIGNATURES_MAX {
            return Err(MALFORMED);
        }
        let signatures = file.signatures.iter().map(|one| from_base64(one.sig.as_bytes()));
        Ok(Self {
            payload_type: file.payload_type,
            payload: from_base64(file.payload.as_bytes()).ok_or(MALFORMED)?,
            signatures: signatures.collect::<Option<_>>().ok_or(MALFORMED)?,
        })
    }

    /// What those who are registered have signed of an image, and who they are: each once, however often they signed.
    ///
    /// # Errors
    /// [`NotSigned::UnknownSigner`], [`NotSigned::NoStatement`], [`NotSigned::OtherImage`].
    pub fn statement_over(
        &self,
        image: &ImageHashes,
        registered: &Registered,
    ) -> Result<(Statement, BTreeSet<Developer>), NotSigned> {
        let message = self.pre_authentication();
        let signed = |key: &PublicKey| self.signatures.iter().any(|signature| holds(key, &message, signature));
        let known = registered.keys.iter().filter(|(_, key)| signed(key));
        let developers: BTreeSet<Developer> =
            known.map(|(who, key)| Developer { who: who.clone(), key: key.digest().to_string() }).collect();
        // Before the payload is looked at: it is nobody's.
        if developers.is_empty() {
            return Err(NotSigned::UnknownSigner);
        }
        if self.payload_type != PAYLOAD_TYPE {
            return Err(NotSigned::NoStatement);
        }
        let said: StatementFile = serde_json::from_slice(&self.payload).map_err(|_| NotSigned::NoStatement)?;
        if !STATEMENT_TYPES.contains(&said.kind.as_str()) || said.subject.len() > SUBJECTS_MAX {
            return Err(NotSigned::NoStatement);
        }
        let digest = image.image().digest.to_string();
        if !said.subject.iter().any(|subject| subject.digest.sha256.as_ref() == Some(&digest)) {
            return Err(NotSigned::OtherImage);
        }
        Ok((Statement { predicate_type: said.predicate_type }, developers))
    }

    // What is signed: type and payload, each behind its length, so that no two pairs are written alike.
    fn pre_authentication(&self) -> Vec<u8> {
        let head = format!("DSSEv1 {} {} {} ", self.payload_type.len(), self.payload_type, self.payload.len());
        [head.as_bytes(), &self.payload].concat()
    }
}

// The algorithm follows from the key: an envelope does not say it.
fn holds(key: &PublicKey, message: &[u8], octets: &[u8]) -> bool {
    use SignatureAlgorithm as A;
    let algorithms: &[A] = match key.key_type() {
        KeyType::Rsa(_) => &[A::RsaPssSha256, A::RsaSha256],
        KeyType::P256 => &[A::EcdsaSha256],
        KeyType::P384 => &[A::EcdsaSha384],
        KeyType::P521 => &[A::EcdsaSha512],
        KeyType::Ed25519 => &[A::Ed25519],
        KeyType::MlDsa44 => &[A::MlDsa44],
        KeyType::MlDsa65 => &[A::MlDsa65],
        KeyType::MlDsa87 => &[A::MlDsa87],
    };
    algorithms.iter().any(|algorithm| signature::verify(key, *algorithm, message, octets).is_ok())
}
