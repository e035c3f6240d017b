//! A request, as far as it is looked at before the door.

use model::contract::authority::Evidence;
use model::{Fault, Reason};
use x509::crmf::{CertTemplate, ProofOfPossession};
use x509::{CertReqMsg, CertificationRequest, Extension, Name, PublicKey};

/// A request, as far as it is looked at before the door. Its sender was seen to hold the key.
pub(crate) struct Looked {
    /// The name that it asks for; a template may leave it out.
    pub(crate) subject: Option<Name>,
    pub(crate) key: PublicKey,
    pub(crate) extensions: Vec<Extension>,
    /// Whether that is the word of a registration authority alone.
    pub(crate) vouched: bool,
}

impl Looked {
    /// A request that proves itself that its sender has the key.
    pub(crate) fn at(evidence: &Evidence) -> Result<Self, Fault> {
        match evidence {
            Evidence::Pkcs10(der) => {
                let request = CertificationRequest::decode(der.as_ref())?;
                request.verify().map_err(|_| Reason::ProofOfPossession)?;
                let CertificationRequest { subject, public_key: key, extensions, .. } = request;
                Ok(Self { subject: Some(subject), key, extensions, vouched: false })
            }
            Evidence::Crmf(der) => {
                let message = CertReqMsg::decode_only(der.as_ref())?;
                match message.proof_of_possession {
                    ProofOfPossession::Signature { .. } => {
                        message.verify().map_err(|_| Reason::ProofOfPossession)?;
                    }
                    // Who comes over the network vouches for nobody.
                    ProofOfPossession::RaVerified => return Err(Reason::RightMissing.into()),
                    ProofOfPossession::Absent => return Err(Reason::ProofMissing.into()),
                }
                Self::in_template(message.cert_template)
            }
        }
    }

    /// A request that a registration authority makes its own: it vouches for the key, or left the device's proof of it as it was.
    /// Source: RFC 9483 §5.2.3.
    pub(crate) fn spoken_for(evidence: &Evidence) -> Result<Self, Fault> {
        if let Evidence::Crmf(der) = evidence {
            let message = CertReqMsg::decode_only(der.as_ref())?;
            if message.proof_of_possession == ProofOfPossession::RaVerified {
                return Ok(Self { vouched: true, ..Self::in_template(message.cert_template)? });
            }
        }
        Self::at(evidence)
    }

    fn in_template(template: CertTemplate) -> Result<Self, Fault> {
        if template.sets_reserved {
            return Err(Reason::TemplateNotAllowed.into());
        }
        let CertTemplate { subject, public_key: key, extensions, .. } = template;
        Ok(Self { subject, key, extensions, vouched: false })
    }
}
