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
}

impl Looked {
    /// A request that proves itself that its sender has the key.
    pub(crate) fn at(evidence: &Evidence) -> Result<Self, Fault> {
        match evidence {
            Evidence::Pkcs10(der) => {
                let request = CertificationRequest::decode(der.as_ref())?;
                request.verify().map_err(|_| Reason::ProofOfPossession)?;
                let CertificationRequest { subject, public_key: key, extensions, .. } = request;
                Ok(Self { subject: Some(subject), key, extensions })
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

    /// A request for whose key a registration authority vouches. One that says nothing of that is none of it.
    pub(crate) fn vouched_for(evidence: &Evidence) -> Result<Self, Fault> {
        let Evidence::Crmf(der) = evidence else { return Err(Reason::ProofMissing.into()) };
        let message = CertReqMsg::decode_only(der.as_ref())?;
        if message.proof_of_possession != ProofOfPossession::RaVerified {
            return Err(Reason::ProofMissing.into());
        }
        Self::in_template(message.cert_template)
    }

    fn in_template(template: CertTemplate) -> Result<Self, Fault> {
        if template.sets_reserved {
            return Err(Reason::TemplateNotAllowed.into());
        }
        Ok(Self { subject: template.subject, key: template.public_key, extensions: template.extensions })
    }
}
