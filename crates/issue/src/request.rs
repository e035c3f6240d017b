//! A request on its way to be granted.

use crate::profile::{Conferred, Profile};
use crate::sign::{Drafted, Issuer, ToBeSigned};
use model::contract::authority::Evidence;
use model::{Digest, Entity, Fault, Reason, UnixTime};
use ports::store::authority::{Grant, Right};
use std::sync::Arc;
use x509::crmf::ProofOfPossession;
use x509::csr::CertificationRequest;
use x509::extension::{BasicConstraints, KeyUsage};
use x509::weak::StrongKey;
use x509::{CertReqMsg, Extension, Name, PublicKey, SerialNumber, oids};

/// A request for a certificate. `S` says what is proved of it.
///
/// A request that is not verified is not authorised:
/// ```compile_fail
/// # use issue::{Request, Parsed, Profile}; use ports::store::authority::Grant;
/// # fn f(r: Request<Parsed>, g: &Grant, p: &std::sync::Arc<Profile>, now: model::UnixTime) {
/// r.authorise(g, p, "", now);
/// # }
/// ```
/// A request that is not authorised is not prepared:
/// ```compile_fail
/// # use issue::{Request, Verified, Issuer};
/// # fn f(r: Request<Verified>, i: &Issuer, s: x509::SerialNumber, now: model::UnixTime) {
/// r.prepare(i, s, now);
/// # }
/// ```
/// A proof is not copied:
/// ```compile_fail
/// # use issue::{Request, Authorised};
/// # fn f(r: Request<Authorised>) -> Request<Authorised> {
/// r.clone()
/// # }
/// ```
/// In order, it compiles:
/// ```
/// # use issue::{Request, Parsed, Profile, Issuer, ToBeSigned, Drafted}; use ports::store::authority::Grant;
/// # fn f(r: Request<Parsed>, g: &Grant, p: &std::sync::Arc<Profile>, i: &Issuer, s: x509::SerialNumber,
/// #      now: model::UnixTime) -> Result<ToBeSigned<Drafted>, model::Fault> {
/// r.verify()?.authorise(g, p, "Example", now)?.prepare(i, s, now)
/// # }
/// ```
#[derive(Debug)]
pub struct Request<S> {
    asked: Asked,
    state: S,
}

/// What the requester asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    issuer: Option<Name>,
    pub(crate) subject: Option<Name>,
    pub(crate) public_key: PublicKey,
    key: Digest,
    pub(crate) extensions: Vec<Extension>,
}

/// Its octets were read.
#[derive(Debug)]
pub struct Parsed {
    proof: Octets,
    sets_reserved: bool,
}

#[derive(Debug)]
enum Octets {
    Pkcs10(Box<CertificationRequest>),
    Crmf(Box<CertReqMsg>),
}

/// Its sender holds the key, or a station that may vouch for it does so.
#[derive(Debug)]
pub struct Verified {
    key: StrongKey,
    right: Option<u64>,
    vouched: bool,
}

/// A grant leaves it: this subject, this profile, now.
#[derive(Debug)]
pub struct Authorised {
    key: StrongKey,
    right: Option<u64>,
    grant: u64,
    conferred: Conferred,
    profile: Arc<Profile>,
}

impl Request<Parsed> {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the octets are not the DER of a request within its limits.
    pub fn decode(evidence: &Evidence) -> Result<Self, Fault> {
        match evidence {
            Evidence::Pkcs10(der) => {
                let request = CertificationRequest::decode(der.as_ref())?;
                // An empty name asks for nothing.
                let subject = Some(request.subject.clone()).filter(|name| !name.is_empty());
                let asked = Asked::new(subject, &request.public_key, &request.extensions);
                let proof = Octets::Pkcs10(Box::new(request));
                Ok(Self { asked, state: Parsed { proof, sets_reserved: false } })
            }
            Evidence::Crmf(der) => {
                let message = CertReqMsg::decode_only(der.as_ref())?;
                let template = &message.cert_template;
                let subject = template.subject.clone().filter(|name| !name.is_empty());
                let asked = Asked::new(subject, &template.public_key, &template.extensions);
                let asked = Asked { issuer: template.issuer.clone().filter(|name| !name.is_empty()), ..asked };
                let sets_reserved = template.sets_reserved;
                Ok(Self { asked, state: Parsed { proof: Octets::Crmf(Box::new(message)), sets_reserved } })
            }
        }
    }

    /// Whether the sender says that it verified the key itself (`raVerified`), so that only [`Self::vouch`] can help.
    #[must_use]
    pub fn is_vouched_for(&self) -> bool {
        match &self.state.proof {
            Octets::Pkcs10(_) => false,
            Octets::Crmf(message) => message.proof_of_possession == ProofOfPossession::RaVerified,
        }
    }

    /// The digest of its key.
    #[must_use]
    pub const fn key(&self) -> Digest {
        self.asked.key
    }

    /// Verifies that the holder of the key signed the request.
    ///
    /// # Errors
    /// [`Reason::WeakKey`], [`Reason::TemplateNotAllowed`], [`Reason::ProofMissing`], [`Reason::ProofOfPossession`].
    pub fn verify(self) -> Result<Request<Verified>, Fault> {
        let key = self.check_shape()?;
        self.check_proof(&key)?;
        Ok(Request { asked: self.asked, state: Verified { key, right: None, vouched: false } })
    }

    /// The same where somebody speaks for the device, which was not proved to ask: within his right for its type, as if he
    /// vouched for its key.
    ///
    /// # Errors
    /// [`Reason::RightExpired`], [`Reason::RightSpent`]; otherwise as [`Self::verify`].
    pub fn verify_within(self, right: &Right, now: UnixTime) -> Result<Request<Verified>, Fault> {
        let key = self.check_shape()?;
        self.check_proof(&key)?;
        is_within(right, now)?;
        Ok(Request { asked: self.asked, state: Verified { key, right: Some(right.id), vouched: false } })
    }

    fn check_proof(&self, key: &StrongKey) -> Result<(), Reason> {
        let verified = match &self.state.proof {
            Octets::Pkcs10(request) => request.verify_with(key),
            Octets::Crmf(message) => match message.proof_of_possession {
                ProofOfPossession::Signature { .. } => message.verify_with(key),
                ProofOfPossession::RaVerified | ProofOfPossession::Absent => return Err(Reason::ProofMissing),
            },
        };
        verified.map_err(|_| Reason::ProofOfPossession)
    }

    /// What is asked, for looking at, and every reason against the request itself. A station's right is taken for
    /// granted.
    pub(crate) fn look(self) -> (Asked, bool, Vec<Reason>) {
        let vouched = self.is_vouched_for();
        let (mut reasons, key) = (Vec::new(), self.strong_key());
        if self.state.sets_reserved {
            reasons.push(Reason::TemplateNotAllowed);
        }
        match key {
            Ok(key) if !vouched => reasons.extend(self.check_proof(&key).err()),
            Ok(_) => {}
            // A weak key's signature proves nothing, and is not looked at.
            Err(weak) => reasons.push(weak),
        }
        (self.asked, vouched, reasons)
    }

    /// Takes a station's word for the key, under the station's right for this device's type.
    ///
    /// # Errors
    /// [`Reason::RightExpired`], [`Reason::RightSpent`]; [`Reason::ProofMissing`] if the request does not say
    /// `raVerified`; otherwise as [`Self::verify`].
    pub fn vouch(self, right: &Right, now: UnixTime) -> Result<Request<Verified>, Fault> {
        let key = self.check_shape()?;
        if !self.is_vouched_for() {
            return Err(Reason::ProofMissing.into());
        }
        is_within(right, now)?;
        Ok(Request { asked: self.asked, state: Verified { key, right: Some(right.id), vouched: true } })
    }

    fn check_shape(&self) -> Result<StrongKey, Reason> {
        if self.state.sets_reserved {
            return Err(Reason::TemplateNotAllowed);
        }
        // Before the signature: a weak key's signature proves nothing.
        self.strong_key()
    }

    fn strong_key(&self) -> Result<StrongKey, Reason> {
        StrongKey::prove(&self.asked.public_key).map_err(|_| Reason::WeakKey)
    }
}

impl Request<Verified> {
    /// Compares the request with the grant and the profile.
    ///
    /// # Errors
    /// [`Reason::ProfileUnknown`] if the grant is for another profile; [`Reason::GrantSpent`], [`Reason::GrantExpired`];
    /// [`Reason::RightMissing`] if a station vouches where the profile does not let it; [`Reason::KeyTypeNotAllowed`],
    /// [`Reason::NameMismatch`], [`Reason::CaRequested`], [`Reason::ExtensionNotAllowed`].
    pub fn authorise(
        self,
        grant: &Grant,
        profile: &Arc<Profile>,
        organization: &str,
        now: UnixTime,
    ) -> Result<Request<Authorised>, Fault> {
        if grant.profile != *profile.name() {
            return Err(Reason::ProfileUnknown.into());
        }
        // That it is spent lasts; its end does not matter then.
        if grant.used >= grant.quota {
            return Err(Reason::GrantSpent.into());
        }
        if now > grant.until {
            return Err(Reason::GrantExpired.into());
        }
        let mut reasons = Vec::new();
        let conferred = judge(&self.asked, self.state.vouched, profile, &grant.subject, organization, &mut reasons);
        match (conferred, reasons.first()) {
            (Some(conferred), None) => {
                let Verified { key, right, .. } = self.state;
                let state = Authorised { key, right, grant: grant.id, conferred, profile: Arc::clone(profile) };
                Ok(Request { asked: self.asked, state })
            }
            (_, reason) => Err(reason.copied().unwrap_or(Reason::ProfileUnknown).into()),
        }
    }
}

fn is_within(right: &Right, now: UnixTime) -> Result<(), Reason> {
    if now > right.until {
        return Err(Reason::RightExpired);
    }
    if right.used >= right.quota { Err(Reason::RightSpent) } else { Ok(()) }
}

/// Decides what the certificate says of its subject, and gathers every reason against it, the first to be told first.
pub(crate) fn judge(
    asked: &Asked,
    vouched: bool,
    profile: &Profile,
    subject: &Entity,
    organization: &str,
    reasons: &mut Vec<Reason>,
) -> Option<Conferred> {
    if vouched && !profile.ra_verified() {
        reasons.push(Reason::RightMissing);
    }
    if !profile.key_types().contains(&asked.public_key.key_type()) {
        reasons.push(Reason::KeyTypeNotAllowed);
    }
    let Some(conferred) = profile.confer(subject, organization, asked, reasons) else {
        reasons.push(Reason::ProfileUnknown);
        return None;
    };
    reasons.extend(asked.extensions.iter().filter_map(|asked| compare(asked, profile, &conferred).err()));
    Some(conferred)
}

// What a requester asks for must be what the profile gives anyway: a wish that is dropped in silence is a surprise later.
fn compare(asked: &Extension, profile: &Profile, conferred: &Conferred) -> Result<(), Reason> {
    let given = |oid| profile.fixed_extensions().iter().chain(&conferred.extensions).find(|e| e.oid == oid);
    match asked.oid {
        oids::BASIC_CONSTRAINTS => {
            let asked = BasicConstraints::decode(&asked.value).ok_or(Reason::ExtensionNotAllowed)?;
            if asked.ca && !profile.is_authority() { Err(Reason::CaRequested) } else { Ok(()) }
        }
        oids::KEY_USAGE => {
            let asked = KeyUsage::decode(&asked.value).ok_or(Reason::ExtensionNotAllowed)?;
            if asked.has(KeyUsage::KEY_CERT_SIGN) && !profile.is_authority() {
                return Err(Reason::CaRequested);
            }
            if profile.key_usage().has(asked) { Ok(()) } else { Err(Reason::ExtensionNotAllowed) }
        }
        // Each of its names was compared when the names were decided.
        oids::SUBJECT_ALT_NAME => Ok(()),
        // A requester may propose the identifier of its key; ours is used.
        oids::SUBJECT_KEY_IDENTIFIER => Ok(()),
        oid if given(oid).is_some_and(|ours| ours.value == asked.value) => Ok(()),
        _ => Err(Reason::ExtensionNotAllowed),
    }
}

impl Request<Authorised> {
    /// The grant that it was authorised by.
    #[must_use]
    pub const fn grant(&self) -> u64 {
        self.state.grant
    }
    /// The right of the station that vouched for it.
    #[must_use]
    pub const fn right(&self) -> Option<u64> {
        self.state.right
    }
    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &Arc<Profile> {
        &self.state.profile
    }
    /// The digest of its key.
    #[must_use]
    pub const fn key(&self) -> Digest {
        self.asked.key
    }
    /// Writes the certificate that is to be signed.
    ///
    /// # Errors
    /// [`Reason::TemplateNotAllowed`] if another issuer is asked for; [`Reason::IssuerNotAllowed`] if the profile does not name this
    /// issuer, or its path length forbids it; [`Reason::OutlivesIssuer`].
    pub fn prepare(self, issuer: &Issuer, serial: SerialNumber, now: UnixTime) -> Result<ToBeSigned<Drafted>, Fault> {
        if self.asked.issuer.as_ref().is_some_and(|asked| !issuer.is_named(asked)) {
            return Err(Reason::TemplateNotAllowed.into());
        }
        let Authorised { key, conferred, profile, .. } = self.state;
        ToBeSigned::draft(issuer, serial, now, profile, conferred, key)
    }
}

impl Asked {
    fn new(subject: Option<Name>, public_key: &PublicKey, extensions: &[Extension]) -> Self {
        Self {
            issuer: None,
            subject,
            key: public_key.digest(),
            public_key: public_key.clone(),
            extensions: extensions.to_vec(),
        }
    }
    /// Who asks for nothing but a certificate.
    #[cfg(test)]
    pub(crate) fn nothing() -> Self {
        let Ok(key) = PublicKey::from_bits(x509::KeyType::Ed25519, &[7; 32]) else { unreachable!("32 octets") };
        Self::new(None, &key, &[])
    }
}
