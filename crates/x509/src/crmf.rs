//! Certificate request messages of CRMF.

mod keyless;

pub use keyless::{Keyless, WantedKey};

use crate::algorithm::SignatureAlgorithm;
use crate::extension::Extension;
use crate::key::PublicKey;
use crate::name::Name;
use crate::read::{self, BadDer, Held, Result, bad};
use crate::signature::{self, BadSignature};
use crate::weak::StrongKey;
use crate::write::{Writer, tag};
use der::{Reader, SliceReader, Tag};

/// Longest message in octets, as for PKCS #10.
pub const CRMF_LEN_MAX: usize = crate::csr::CSR_LEN_MAX;
/// Most controls in a request.
const CONTROLS_MAX: usize = 16;

/// A `CertReqMsg`, not verified.
/// Source: RFC 4211 §3.
#[derive(Clone, Debug)]
pub struct CertReqMsg {
    /// `certReqId`
    pub cert_req_id: u64,
    /// The octets of the `CertRequest`, which proof of possession by signature covers.
    pub cert_request: Vec<u8>,
    /// What is asked for.
    pub cert_template: CertTemplate,
    /// How possession of the key is proved.
    pub proof_of_possession: ProofOfPossession,
}

/// What a `CertTemplate` asks for. Source: RFC 4211 §5.
#[derive(Clone, Debug)]
pub struct CertTemplate {
    /// The authority that is to issue, if the requester names one.
    pub issuer: Option<Name>,
    /// The name that the requester writes.
    pub subject: Option<Name>,
    /// The key.
    pub public_key: PublicKey,
    /// The extensions that the requester asks for.
    pub extensions: Vec<Extension>,
    /// Whether a field is present that only the authority may set: serialNumber, signingAlg, validity, issuerUID,
    /// subjectUID.
    pub sets_reserved: bool,
}

/// `ProofOfPossession`. Source: RFC 4211 §4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofOfPossession {
    /// The RA has verified it out of band.
    RaVerified,
    /// A signature by the key over the `CertRequest`.
    Signature {
        /// How it is signed.
        algorithm: SignatureAlgorithm,
        /// The signature.
        signature: Vec<u8>,
    },
    /// None, or one of the kinds for keys that cannot sign.
    Absent,
}

impl CertReqMsg {
    /// Reads `CertReqMessages` with exactly one message.
    ///
    /// Limits: [`CRMF_LEN_MAX`] octets.
    /// # Errors
    /// [`BadDer`] if longer, not DER, without a public key, with none or several messages, or followed by other octets.
    pub fn decode_only(der: &[u8]) -> std::result::Result<Self, BadDer> {
        read::whole(der, CRMF_LEN_MAX, "CertReqMessages", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, cert_req_msg)
        })
    }

    /// Verifies a proof of possession by signature.
    ///
    /// # Errors
    /// [`BadSignature`] if there is no signature, or it does not hold.
    pub fn verify(&self) -> std::result::Result<(), BadSignature> {
        match &self.proof_of_possession {
            ProofOfPossession::Signature { algorithm, signature } => {
                signature::verify(&self.cert_template.public_key, *algorithm, &self.cert_request, signature)
            }
            ProofOfPossession::RaVerified | ProofOfPossession::Absent => Err(BadSignature),
        }
    }

    /// The same with the request's key, which was looked at before.
    ///
    /// # Errors
    /// [`BadSignature`] if it is another key, there is no signature, or it does not hold.
    pub fn verify_with(&self, key: &StrongKey) -> std::result::Result<(), BadSignature> {
        match &self.proof_of_possession {
            ProofOfPossession::Signature { algorithm, signature } if *key.key() == self.cert_template.public_key => {
                key.verify(*algorithm, &self.cert_request, signature)
            }
            ProofOfPossession::Signature { .. } | ProofOfPossession::RaVerified | ProofOfPossession::Absent => {
                Err(BadSignature)
            }
        }
    }
}

fn cert_req_msg(reader: &mut SliceReader<'_>) -> Result<CertReqMsg> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let cert_request = r.tlv_bytes()?;
        let (cert_req_id, cert_template) = read::inside(cert_request, request)?;
        let proof_of_possession = match read::next_tag(r)? {
            Some(t) if t == read::context(0, false) => {
                let (_, contents) = read::any(r)?;
                if !contents.is_empty() {
                    return bad(r);
                }
                ProofOfPossession::RaVerified
            }
            Some(t) if t == read::context(1, true) => {
                let (_, contents) = read::any(r)?;
                read::inside(contents, signing_key)?
            }
            Some(Tag::ContextSpecific { .. }) => {
                read::any(r)?;
                ProofOfPossession::Absent
            }
            _ => ProofOfPossession::Absent,
        };
        // regInfo carries hints for people; nothing is decided on it.
        if read::next_tag(r)? == Some(Tag::Sequence) {
            read::any(r)?;
        }
        Ok(CertReqMsg { cert_req_id, cert_request: cert_request.to_vec(), cert_template, proof_of_possession })
    })
}

// RFC 4211 §4.1: poposkInput is for templates without subject or public key; ours always has the key, and a proof over
// something else than the request is no proof of the request.
fn signing_key(reader: &mut SliceReader<'_>) -> Result<ProofOfPossession> {
    if read::next_tag(reader)? == Some(read::context(0, true)) {
        return bad(reader);
    }
    let algorithm = SignatureAlgorithm::read(reader)?;
    Ok(ProofOfPossession::Signature { algorithm, signature: read::bit_string_octets(reader)?.to_vec() })
}

fn request(reader: &mut SliceReader<'_>) -> Result<(u64, CertTemplate)> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let id = read::small(r)?;
        let template = read::contents(r, Tag::Sequence)?;
        let template = read::inside(template, cert_template)?;
        if read::next_tag(r)? == Some(Tag::Sequence) {
            let controls = read::contents(r, Tag::Sequence)?;
            read::each(controls, CONTROLS_MAX, read::any)?;
        }
        Ok((id, template))
    })
}

fn cert_template(reader: &mut SliceReader<'_>) -> Result<CertTemplate> {
    let version = read::optional(reader, 0, false)?;
    if version.is_some_and(|v| v != [2]) {
        return bad(reader);
    }
    let mut sets_reserved = false;
    // serialNumber, signingAlg
    for (n, constructed) in [(1, false), (2, true)] {
        sets_reserved |= read::optional(reader, n, constructed)?.is_some();
    }
    let issuer = match read::optional(reader, 3, true)? {
        // Name is a CHOICE, so its tag is explicit.
        Some(contents) => Some(read::inside(contents, Name::read)?),
        None => None,
    };
    // validity
    sets_reserved |= read::optional(reader, 4, true)?.is_some();
    let subject = match read::optional(reader, 5, true)? {
        // Name is a CHOICE, so its tag is explicit.
        Some(contents) => Some(read::inside(contents, Name::read)?),
        None => None,
    };
    let Some(key) = read::optional(reader, 6, true)? else { return bad(reader) };
    let mut spki = Writer::with_capacity(key.len() + 4);
    spki.value(tag::SEQUENCE, key);
    let Ok(public_key) = PublicKey::decode(&spki.finish()) else { return bad(reader) };
    for n in [7, 8] {
        sets_reserved |= read::optional(reader, n, false)?.is_some();
    }
    let extensions = match read::optional(reader, 9, true)? {
        Some(contents) => {
            let mut sequence = Writer::with_capacity(contents.len() + 4);
            sequence.value(tag::SEQUENCE, contents);
            read::inside(&sequence.finish(), Extension::read_all)?
        }
        None => Vec::new(),
    };
    Ok(CertTemplate { issuer, subject, public_key, extensions, sets_reserved })
}

/// Writes a `CertRequest` for a subject and a key: the octets that a proof of possession by signature covers.
#[must_use]
pub fn write_cert_request(cert_req_id: u64, subject: Option<&Name>, public_key: &PublicKey) -> Vec<u8> {
    let mut w = Writer::with_capacity(256);
    w.sequence(|w| {
        w.small(cert_req_id);
        w.sequence(|w| {
            if let Some(subject) = subject {
                w.explicit(5, |w| {
                    w.raw(subject.der());
                });
            }
            // publicKey is implicitly tagged: the contents of the SEQUENCE under another tag.
            let contents =
                read::whole(public_key.spki(), crate::key::SPKI_LEN_MAX, "", |r| read::contents(r, Tag::Sequence));
            w.value(tag::CONTEXT_CONSTRUCTED | 6, contents.unwrap_or_default());
        });
    });
    w.finish()
}

/// Writes `CertReqMessages` with one message.
#[must_use]
pub fn write_only(cert_request: &[u8], proof: &ProofOfPossession) -> Vec<u8> {
    let mut w = Writer::with_capacity(cert_request.len() + 128);
    w.sequence(|w| {
        w.sequence(|w| {
            w.raw(cert_request);
            match proof {
                ProofOfPossession::RaVerified => {
                    w.value(tag::CONTEXT, &[]);
                }
                ProofOfPossession::Signature { algorithm, signature } => {
                    w.explicit(1, |w| {
                        algorithm.write(w);
                        w.bit_string(signature);
                    });
                }
                ProofOfPossession::Absent => {}
            }
        });
    });
    w.finish()
}
