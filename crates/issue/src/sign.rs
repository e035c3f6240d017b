//! A certificate on its way to be signed, recorded and released.

use crate::lint::{self, Expected, Finding, SoundName};
use crate::profile::{Conferred, IssuerExpiry, Profile, SubjectKind};
use model::{AuthorityName, Digest, Fault, Reason, UnixTime};
use ports::{DurableIntent, DurableRecord, Signer};
use std::sync::Arc;
use x509::certificate::TbsCertificate;
use x509::extension::{authority_key_identifier, subject_key_identifier};
use x509::weak::StrongKey;
use x509::{Certificate, Extension, KeyType, Name, PublicKey, SerialNumber, SignatureAlgorithm, csr, sha256};

/// Who signs: what of an authority goes into the certificates that it issues.
#[derive(Clone, Debug)]
pub struct Issuer {
    authority: AuthorityName,
    // Absent while a root is made: its own subject is its issuer.
    name: Option<Name>,
    // Absent if the name breaks a rule, which the lint tells of each certificate then.
    sound_name: Option<SoundName>,
    key_identifier: [u8; 20],
    key_type: KeyType,
    algorithm: SignatureAlgorithm,
    not_after: UnixTime,
    path_len: Option<u8>,
}

impl Issuer {
    /// Whether this is its name.
    pub(crate) fn is_named(&self, name: &Name) -> bool {
        self.name.as_ref().is_some_and(|own| own.matches(name))
    }
    /// An authority with a certificate; `None` if the certificate is not that of an authority.
    #[must_use]
    pub fn of(authority: AuthorityName, certificate: &Certificate) -> Option<Self> {
        let constraints = certificate.basic_constraints().filter(|c| c.ca)?;
        let tbs = certificate.tbs();
        Some(Self {
            authority,
            name: Some(tbs.subject.clone()),
            sound_name: SoundName::prove(&tbs.subject),
            key_identifier: tbs.subject_public_key.key_identifier(),
            key_type: tbs.subject_public_key.key_type(),
            algorithm: tbs.subject_public_key.key_type().signs_with(),
            not_after: tbs.not_after,
            path_len: constraints.path_len,
        })
    }

    /// An authority that issues its own certificate.
    #[must_use]
    pub fn itself(authority: AuthorityName, key: &PublicKey) -> Self {
        Self {
            authority,
            name: None,
            sound_name: None,
            key_identifier: key.key_identifier(),
            key_type: key.key_type(),
            algorithm: key.key_type().signs_with(),
            not_after: UnixTime::NO_EXPIRY,
            path_len: None,
        }
    }

    /// The type of its key.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }
    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    /// The same authority, signing otherwise than keys of its type do by themselves: RSA with PSS.
    #[must_use]
    pub fn signing_by(self, algorithm: SignatureAlgorithm) -> Self {
        Self { algorithm, ..self }
    }
    /// When it ends.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

/// A certificate that is not signed yet. `S` says what is proved of it.
///
/// What was not linted is not signed:
/// ```compile_fail
/// # use issue::{ToBeSigned, Drafted};
/// # fn f(t: ToBeSigned<Drafted>, i: ports::DurableIntent) {
/// t.intend(i);
/// # }
/// ```
/// What has no durable intent is not signed:
/// ```compile_fail
/// # use issue::{ToBeSigned, Linted};
/// # fn f(t: ToBeSigned<Linted>, k: &dyn ports::Signer) {
/// t.sign(k);
/// # }
/// ```
/// Nothing is signed twice:
/// ```compile_fail
/// # use issue::{ToBeSigned, Intended};
/// # fn f(t: ToBeSigned<Intended>, k: &dyn ports::Signer) {
/// let once = t.sign(k);
/// let twice = t.sign(k);
/// # }
/// ```
/// One intent serves one signature:
/// ```compile_fail
/// # use issue::{ToBeSigned, Linted};
/// # fn f(a: ToBeSigned<Linted>, b: ToBeSigned<Linted>, i: ports::DurableIntent) {
/// a.intend(i);
/// b.intend(i);
/// # }
/// ```
/// Nothing leaves before it is recorded:
/// ```compile_fail
/// # use issue::{Signed, Issued};
/// # fn f(s: Signed) -> Vec<u8> {
/// s.into_der()
/// # }
/// ```
/// In order, it compiles:
/// ```
/// # use issue::{ToBeSigned, Drafted, Issued};
/// # fn f(t: ToBeSigned<Drafted>, i: ports::DurableIntent, k: &dyn ports::Signer, r: ports::DurableRecord)
/// #     -> Result<Vec<u8>, model::Fault> {
/// Ok(t.lint()?.intend(i)?.sign(k)?.release(r)?.into_der())
/// # }
/// ```
#[derive(Debug)]
pub struct ToBeSigned<S> {
    tbs: Vec<u8>,
    tbs_digest: Digest,
    serial: SerialNumber,
    not_after: UnixTime,
    algorithm: SignatureAlgorithm,
    profile: Arc<Profile>,
    state: S,
}

/// Written.
#[derive(Debug)]
pub struct Drafted {
    issuer_not_after: UnixTime,
    issuer_key_type: KeyType,
    issuer_algorithm: SignatureAlgorithm,
    issuer_name: Option<SoundName>,
    now: UnixTime,
    key: StrongKey,
    extensions: Vec<Extension>,
}
/// Breaks no rule.
#[derive(Debug)]
pub struct Linted(());
/// The intent to sign exactly these octets is durable.
#[derive(Debug)]
pub struct Intended {
    row: u64,
}

/// A signed certificate that nobody may have yet.
#[derive(Debug)]
pub struct Signed {
    der: Vec<u8>,
    serial: SerialNumber,
    row: u64,
}

/// A certificate that is recorded and may leave.
#[derive(Debug)]
pub struct Issued {
    der: Vec<u8>,
}

impl ToBeSigned<Drafted> {
    pub(crate) fn draft(
        issuer: &Issuer,
        serial: SerialNumber,
        now: UnixTime,
        profile: Arc<Profile>,
        conferred: Conferred,
        key: StrongKey,
    ) -> Result<Self, Fault> {
        let mut reasons = Vec::new();
        let tbs = compose(issuer, serial, now, &profile, conferred, key.key().clone(), &mut reasons);
        if let Some(reason) = reasons.first() {
            return Err((*reason).into());
        }
        let octets = tbs.write();
        Ok(Self {
            tbs_digest: sha256(&octets),
            tbs: octets,
            serial,
            not_after: tbs.not_after,
            algorithm: issuer.algorithm,
            profile,
            state: Drafted {
                issuer_not_after: issuer.not_after,
                issuer_key_type: issuer.key_type,
                issuer_algorithm: issuer.algorithm,
                issuer_name: issuer.sound_name.clone(),
                now,
                key,
                extensions: tbs.extensions,
            },
        })
    }

    /// Reads the octets again, as anybody else will, and finds every broken rule, those included that only warn.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        lint::findings(&self.tbs, &self.expected())
    }

    /// What the octets should say.
    #[must_use]
    pub fn expected(&self) -> Expected<'_> {
        Expected {
            profile: &self.profile,
            issuer_key_type: self.state.issuer_key_type,
            issuer_algorithm: self.state.issuer_algorithm,
            issuer_not_after: self.state.issuer_not_after,
            now: self.state.now,
            strong: Some(&self.state.key),
            issuer: self.state.issuer_name.as_ref(),
            extensions: &self.state.extensions,
        }
    }

    /// Lets nothing through that breaks a rule.
    ///
    /// # Errors
    /// [`Reason::LintFailed`] if a finding is an error; [`Self::findings`] says what was found.
    pub fn lint(self) -> Result<ToBeSigned<Linted>, Fault> {
        if !lint::is_clean(&self.findings()) {
            return Err(Reason::LintFailed.into());
        }
        Ok(self.become_(|_| Linted(())))
    }
}

/// Puts together what is to be signed, and gathers every reason against signing it.
pub(crate) fn compose(
    issuer: &Issuer,
    serial: SerialNumber,
    now: UnixTime,
    profile: &Profile,
    conferred: Conferred,
    public_key: PublicKey,
    reasons: &mut Vec<Reason>,
) -> TbsCertificate {
    let named = match &issuer.name {
        // Whose responder it is, says its grant; the conductor holds it to that.
        Some(_) if profile.subject_kind() == SubjectKind::Responder => true,
        // A root may certify its own next key under its own name (RFC 9810 §4.4).
        Some(name) if profile.issuers().is_empty() => profile.is_authority() && *name == conferred.subject,
        Some(_) => profile.issuers().contains(&issuer.authority),
        None => profile.issuers().is_empty() && profile.is_authority(),
    };
    // A path length of zero leaves no room for an authority below (RFC 5280 §4.2.1.9).
    let depth = profile.basic_constraints().filter(|c| c.ca).map(|c| c.path_len);
    let deep_enough = match (issuer.path_len, depth) {
        (None, _) | (_, None) => true,
        (Some(_), Some(None)) => false,
        (Some(issuer), Some(Some(below))) => below < issuer,
    };
    if !named || !deep_enough {
        reasons.push(Reason::IssuerNotAllowed);
    }
    let (not_before, wanted) = profile.validity(now);
    if wanted > issuer.not_after && profile.issuer_expiry() == IssuerExpiry::Refuse {
        reasons.push(Reason::OutlivesIssuer);
    }
    let mut extensions = Vec::with_capacity(8);
    extensions.push(authority_key_identifier(&issuer.key_identifier));
    extensions.push(subject_key_identifier(&public_key.key_identifier()));
    extensions.extend(profile.fixed_extensions().iter().cloned());
    extensions.extend(profile.pointers(&issuer.authority, &serial));
    extensions.extend(conferred.extensions);
    TbsCertificate {
        serial_number: serial,
        signature: issuer.algorithm,
        issuer: issuer.name.clone().unwrap_or_else(|| conferred.subject.clone()),
        not_before,
        not_after: wanted.min(issuer.not_after),
        subject: conferred.subject,
        subject_public_key: public_key,
        extensions,
    }
}

impl ToBeSigned<Linted> {
    /// Binds the durable intent to these octets.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the intent is for other octets or another serial number.
    pub fn intend(self, durable: DurableIntent) -> Result<ToBeSigned<Intended>, Fault> {
        if durable.tbs_digest() != self.tbs_digest || durable.serial() != self.serial {
            return Err(Fault::unavailable("the recorded intent is not for this certificate"));
        }
        Ok(self.become_(|_| Intended { row: durable.row() }))
    }
}

impl ToBeSigned<Intended> {
    /// Signs, once.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the key cannot be used, or what was signed is not what was intended. The octets may
    /// have been signed then: the intent must be closed as revoked.
    pub fn sign(self, key: &dyn Signer) -> Result<Signed, Fault> {
        if key.algorithm() != self.algorithm {
            return Err(Fault::unavailable("the key is not the issuer's"));
        }
        let signature = key.sign(&self.tbs)?;
        let der = csr::write_signed(&self.tbs, self.algorithm, &signature);
        // The octets are compared with the intent after signing too: what is recorded is what was signed.
        if csr::signed_part(&der).map(sha256) != Some(self.tbs_digest) {
            return Err(Fault::unavailable("what was signed is not what was intended"));
        }
        Ok(Signed { der, serial: self.serial, row: self.state.row })
    }

    /// Row of the durable intent.
    #[must_use]
    pub const fn row(&self) -> u64 {
        self.state.row
    }
}

impl<S> ToBeSigned<S> {
    /// The serial number.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }
    /// When the certificate will expire.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }
    /// SHA-256 of the octets that are to be signed.
    #[must_use]
    pub const fn tbs_digest(&self) -> Digest {
        self.tbs_digest
    }
    /// The octets that are to be signed, for looking at.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.tbs
    }
    fn become_<T>(self, state: impl FnOnce(S) -> T) -> ToBeSigned<T> {
        ToBeSigned {
            tbs: self.tbs,
            tbs_digest: self.tbs_digest,
            serial: self.serial,
            not_after: self.not_after,
            algorithm: self.algorithm,
            profile: self.profile,
            state: state(self.state),
        }
    }
}

impl Signed {
    /// The octets, for the store and for nobody else.
    #[must_use]
    pub fn for_the_record(&self) -> &[u8] {
        &self.der
    }
    /// The serial number.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }
    /// Row of the durable intent.
    #[must_use]
    pub const fn row(&self) -> u64 {
        self.row
    }
    /// Lets the certificate go, because it is recorded.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the record is of another certificate.
    pub fn release(self, record: DurableRecord) -> Result<Issued, Fault> {
        if record.serial() != self.serial || record.certificate_digest() != sha256(&self.der) {
            return Err(Fault::unavailable("the record is not of this certificate"));
        }
        Ok(Issued { der: self.der })
    }
}

impl Issued {
    /// The certificate in DER.
    #[must_use]
    pub fn into_der(self) -> Vec<u8> {
        self.der
    }
}
