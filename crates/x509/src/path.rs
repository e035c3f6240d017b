//! Path validation: whether a certificate may be believed, from a trust anchor down, at a given moment.
//!
//! Source: RFC 5280 §6, with the policy graph of RFC 9618 and the constraints of the anchor's own certificate as
//! RFC 5937 has them. Not done: lists signed by another key than the certificates are (RFC 5280 §6.3.3 (f) in full) and
//! entries of other issuers; both end in a refusal.

mod names;
mod policy;
mod status;

use crate::certificate::Certificate;
use crate::constraints::NameConstraints;
use crate::crl::CertificateList;
use crate::extension::{
    AuthorityKeyIdentifier, BasicConstraints, GeneralName, KeyUsage, decode_extended_key_usage,
    decode_subject_alt_name, decode_subject_key_identifier,
};
use crate::oids;
use const_oid::ObjectIdentifier;
use model::UnixTime;
use model::contract::authority::RevocationReason;
use policy::PolicyGraph;

/// Longest path in certificates, leaf and anchor counted.
pub const PATH_LEN_MAX: usize = 16;
/// Most certificates that are looked at as issuers; what comes later is not.
pub const POOL_MAX: usize = 256;
/// Most signatures that are verified while a path is sought: who sends a pool can make no more work than this.
const SIGNATURES_MAX: usize = 100;
/// Extensions whose meaning is heeded here, so that they may be critical.
const UNDERSTOOD: [ObjectIdentifier; 10] = [
    oids::BASIC_CONSTRAINTS,
    oids::KEY_USAGE,
    oids::EXTENDED_KEY_USAGE,
    oids::SUBJECT_ALT_NAME,
    oids::NAME_CONSTRAINTS,
    oids::CERTIFICATE_POLICIES,
    oids::POLICY_MAPPINGS,
    oids::POLICY_CONSTRAINTS,
    oids::INHIBIT_ANY_POLICY,
    oids::CRL_DISTRIBUTION_POINTS,
];

/// What a path is made of.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The certificate in question.
    pub leaf: &'a Certificate,
    /// Certificates that may stand between, in any order. Limits: [`POOL_MAX`].
    pub pool: &'a [Certificate],
    /// Certificates that are believed; their own signatures are not looked at, but their constraints hold.
    pub anchors: &'a [Certificate],
    /// Lists, in any order: complete, delta, sharded.
    pub crls: &'a [CertificateList],
}

/// Whose state is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Nobody's.
    #[default]
    Unchecked,
    /// The leaf's.
    Leaf,
    /// That of each certificate but the anchor.
    All,
}

/// When a rule holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// From the place in the path on where a certificate says so.
    #[default]
    AsTheySay,
    /// From the start.
    Always,
}

/// What is demanded of a path.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// What the leaf is to be used for; its extended key usage, if it has one, must say so.
    pub purpose: Option<ObjectIdentifier>,
    /// A DNS name or URI that the leaf must be certified for.
    pub name: Option<GeneralName>,
    /// Whose state is asked for.
    pub revocation: Revocation,
    /// `user-initial-policy-set`; any policy if empty.
    pub policies: Vec<ObjectIdentifier>,
    /// `initial-explicit-policy`
    pub explicit_policy: Rule,
    /// `initial-policy-mapping-inhibit`
    pub inhibit_policy_mapping: Rule,
    /// `initial-any-policy-inhibit`
    pub inhibit_any_policy: Rule,
}

/// A path that holds.
#[derive(Clone, Debug)]
pub struct ValidPath<'a> {
    certificates: Vec<&'a Certificate>,
    policies: Vec<ObjectIdentifier>,
}

impl<'a> ValidPath<'a> {
    /// The certificates, leaf first, anchor last.
    #[must_use]
    pub fn certificates(&self) -> &[&'a Certificate] {
        &self.certificates
    }
    /// `user-constrained-policy-set`: the demanded policies that the path is valid for; [`oids::ANY_POLICY`] for all.
    #[must_use]
    pub fn policies(&self) -> &[ObjectIdentifier] {
        &self.policies
    }
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// No certificate at hand names itself as the issuer, or the search became too long.
    NoIssuer,
    /// The issuer's key did not sign it.
    BadSignature,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is no longer valid.
    Expired,
    /// The issuer is no certification authority.
    NotAuthority,
    /// More authorities below than `pathLenConstraint` allows.
    PathTooLong,
    /// The issuer's key usage has no keyCertSign.
    MayNotSign,
    /// A critical extension that is not known here.
    UnknownCritical,
    /// An extension that is not well formed, or says what RFC 5280 forbids.
    BadExtension,
    /// A name outside of what an authority above is permitted to certify, or in what it is excluded from.
    NameForbidden,
    /// No policy is left that all agree on, and one is demanded.
    NoPolicy,
    /// The extended key usage does not name the purpose.
    WrongPurpose,
    /// The leaf is not certified for the name.
    WrongName,
    /// Revoked.
    Revoked(RevocationReason),
    /// Not to be trusted for now.
    OnHold,
    /// No list of the issuer is at hand.
    CrlMissing,
    /// Lists of the issuer are at hand, but none for certificates like this, or for all reasons.
    CrlOutOfScope,
    /// The issuer's key did not sign the list, or may sign none.
    CrlBadSignature,
    /// The list is from the future.
    CrlNotYetValid,
    /// The list should have been replaced by a newer one.
    CrlExpired,
}

/// A certificate that is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disbelief {
    /// Why.
    pub fault: PathFault,
    /// Because of which certificate of the path: 0 is the leaf.
    pub depth: usize,
}

impl std::fmt::Display for Disbelief {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "certificate {} of the path: {}", self.depth, self.fault)
    }
}
impl std::error::Error for Disbelief {}

impl std::fmt::Display for PathFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoIssuer => "no issuer of it is known",
            Self::BadSignature => "its issuer did not sign it",
            Self::NotYetValid => "it is not valid yet",
            Self::Expired => "it has expired",
            Self::NotAuthority => "it is no certification authority",
            Self::PathTooLong => "more authorities are below it than it allows",
            Self::MayNotSign => "its key may not sign certificates",
            Self::UnknownCritical => "it has a critical extension that is not known",
            Self::BadExtension => "one of its extensions is malformed",
            Self::NameForbidden => "an authority above may not certify one of its names",
            Self::NoPolicy => "no policy is left that is demanded",
            Self::WrongPurpose => "it is not for this purpose",
            Self::WrongName => "it is not for this name",
            Self::Revoked(reason) => return write!(f, "it is revoked: {}", reason.name()),
            Self::OnHold => "it is on hold",
            Self::CrlMissing => "its issuer's revocation list is missing",
            Self::CrlOutOfScope => "no revocation list speaks of it for all reasons",
            Self::CrlBadSignature => "its issuer did not sign the revocation list",
            Self::CrlNotYetValid => "its issuer's revocation list is from the future",
            Self::CrlExpired => "its issuer's revocation list has expired",
        })
    }
}

/// Seeks a path from the leaf to an anchor that holds at `now`.
///
/// Issuers are chosen by name; among several, those whose key identifier fits come first.
/// Limits: [`PATH_LEN_MAX`] certificates in a path, [`POOL_MAX`] in the pool.
/// # Errors
/// [`Disbelief`] of the path that came furthest, if none holds.
pub fn validate<'a>(evidence: &Evidence<'a>, demands: &Demands, now: UnixTime) -> Result<ValidPath<'a>, Disbelief> {
    let mut search = Search { evidence, demands, now, signatures: SIGNATURES_MAX, furthest: None };
    let mut path = vec![evidence.leaf];
    match search.extend(&mut path) {
        Some(found) => Ok(found),
        None => Err(search.furthest.map_or(Disbelief { fault: PathFault::NoIssuer, depth: 0 }, |(_, fault)| fault)),
    }
}

struct Search<'s, 'a> {
    evidence: &'s Evidence<'a>,
    demands: &'s Demands,
    now: UnixTime,
    signatures: usize,
    /// The fault that is told, and how far its path came.
    furthest: Option<(Progress, Disbelief)>,
}

/// How far a path came: a whole one tells more than one that found no anchor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    NoIssuer,
    Signature,
    Whole,
}

impl<'a> Search<'_, 'a> {
    /// Seeks the issuer of the last certificate of `path`, and of that, until an anchor.
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) -> Option<ValidPath<'a>> {
        let depth = path.len() - 1;
        let last = path.last().copied()?;
        let anchors = self.evidence.anchors.iter().map(|c| (c, true));
        let pool = self.evidence.pool.iter().take(POOL_MAX).map(|c| (c, false));
        let mut issuers: Vec<_> = anchors.chain(pool).filter(|(c, _)| names_issuer(last, c)).collect();
        issuers.sort_by_key(|(issuer, _)| identifier_rank(last, issuer));
        let mut found = false;
        for (issuer, is_anchor) in issuers {
            let seen = path.iter().any(|c| c.tbs() == issuer.tbs());
            if path.len() == PATH_LEN_MAX || self.signatures == 0 || seen && !is_anchor {
                continue;
            }
            found = true;
            self.signatures -= 1;
            if last.verify(&issuer.tbs().subject_public_key).is_err() {
                self.note(Progress::Signature, Disbelief { fault: PathFault::BadSignature, depth });
                continue;
            }
            path.push(issuer);
            let result = if is_anchor { self.judge(path) } else { self.extend(path) };
            path.pop();
            if result.is_some() {
                return result;
            }
        }
        if !found {
            self.note(Progress::NoIssuer, Disbelief { fault: PathFault::NoIssuer, depth });
        }
        None
    }

    fn judge(&mut self, path: &[&'a Certificate]) -> Option<ValidPath<'a>> {
        match judge(path, self.evidence, self.demands, self.now) {
            Ok(policies) => Some(ValidPath { certificates: path.to_vec(), policies }),
            Err(disbelief) => {
                self.note(Progress::Whole, disbelief);
                None
            }
        }
    }

    fn note(&mut self, progress: Progress, disbelief: Disbelief) {
        if self.furthest.is_none_or(|(known, _)| known < progress) {
            self.furthest = Some((progress, disbelief));
        }
    }
}

fn names_issuer(certificate: &Certificate, issuer: &Certificate) -> bool {
    certificate.tbs().issuer.matches(&issuer.tbs().subject)
}

// RFC 5280 §4.2.1.1: the identifiers help to choose among keys of one name; what decides is the signature.
fn identifier_rank(certificate: &Certificate, issuer: &Certificate) -> u8 {
    let authority = certificate.tbs().extension(oids::AUTHORITY_KEY_IDENTIFIER);
    let authority = authority.and_then(|e| AuthorityKeyIdentifier::decode(&e.value));
    let subject = issuer.tbs().extension(oids::SUBJECT_KEY_IDENTIFIER);
    let subject = subject.and_then(|e| decode_subject_key_identifier(&e.value));
    match (authority.and_then(|a| a.key_identifier), subject) {
        (Some(wanted), Some(is)) if wanted == is => 0,
        (Some(_), Some(_)) => 2,
        _ => 1,
    }
}

fn is_self_issued(certificate: &Certificate) -> bool {
    certificate.tbs().issuer.matches(&certificate.tbs().subject)
}

/// RFC 5280 §6.1 over a whole path, leaf first, whose signatures hold.
fn judge(
    path: &[&Certificate],
    evidence: &Evidence<'_>,
    demands: &Demands,
    now: UnixTime,
) -> Result<Vec<ObjectIdentifier>, Disbelief> {
    let Some((leaf, authorities)) = path.split_first() else { unreachable!("a path has a leaf") };
    let mut constraints: Vec<NameConstraints> = Vec::new();
    let mut policies = PolicyGraph::new(demands, authorities.len());
    // From the anchor down; at the anchor itself only what it says for those below it counts (RFC 5937 §3).
    for (n, certificate) in authorities.iter().enumerate().rev() {
        let depth = n + 1;
        let is_anchor = depth == authorities.len();
        let at = |fault| Disbelief { fault, depth };
        basics(certificate, now).map_err(at)?;
        if is_anchor {
            policies.constrain(certificate).map_err(at)?;
        } else {
            let self_issued = is_self_issued(certificate);
            // RFC 5280 §6.1.3 (b): whoever has a new key under an old name was judged with the old one.
            if !self_issued {
                names::check(certificate, &constraints).map_err(at)?;
            }
            policies.certificate(certificate, self_issued, false).map_err(at)?;
            policies.prepare(certificate, self_issued).map_err(at)?;
        }
        let below = authorities.iter().take(n).filter(|c| !is_self_issued(c)).count();
        authority(certificate, below).map_err(at)?;
        constraints.extend(extension(certificate, oids::NAME_CONSTRAINTS, NameConstraints::decode).map_err(at)?);
    }
    let at = |fault| Disbelief { fault, depth: 0 };
    basics(leaf, now).map_err(at)?;
    names::check(leaf, &constraints).map_err(at)?;
    policies.certificate(leaf, is_self_issued(leaf), true).map_err(at)?;
    let valid = policies.wrap_up(leaf).map_err(at)?;
    wanted(leaf, demands).map_err(at)?;
    let asked = match demands.revocation {
        Revocation::Unchecked => 0,
        Revocation::Leaf => 1,
        Revocation::All => authorities.len(),
    };
    for (depth, pair) in path.windows(2).take(asked).enumerate().rev() {
        if let [certificate, issuer] = pair {
            status::check(certificate, issuer, evidence.crls, now).map_err(|fault| Disbelief { fault, depth })?;
        }
    }
    Ok(valid)
}

/// What holds for all certificates: validity, and that nothing critical is passed over.
fn basics(certificate: &Certificate, now: UnixTime) -> Result<(), PathFault> {
    let tbs = certificate.tbs();
    if tbs.not_before > now {
        return Err(PathFault::NotYetValid);
    }
    if now.whole_second() > tbs.not_after {
        return Err(PathFault::Expired);
    }
    if tbs.extensions.iter().any(|e| e.critical && !UNDERSTOOD.contains(&e.oid)) {
        return Err(PathFault::UnknownCritical);
    }
    // Read here so that none of them is malformed, whether something is decided on it or not.
    extension(certificate, oids::SUBJECT_ALT_NAME, decode_subject_alt_name)?;
    extension(certificate, oids::EXTENDED_KEY_USAGE, decode_extended_key_usage)?;
    extension(certificate, oids::KEY_USAGE, KeyUsage::decode)?;
    extension(certificate, oids::BASIC_CONSTRAINTS, BasicConstraints::decode)?;
    Ok(())
}

/// RFC 5280 §6.1.4 (k) to (n): whether it may issue, with so many authorities below that are not self-issued.
fn authority(certificate: &Certificate, below: usize) -> Result<(), PathFault> {
    let constraints = certificate.basic_constraints().filter(|c| c.ca).ok_or(PathFault::NotAuthority)?;
    if constraints.path_len.is_some_and(|max| below > usize::from(max)) {
        return Err(PathFault::PathTooLong);
    }
    let usage = extension(certificate, oids::KEY_USAGE, KeyUsage::decode)?;
    if usage.is_some_and(|usage| !usage.has(KeyUsage::KEY_CERT_SIGN)) { Err(PathFault::MayNotSign) } else { Ok(()) }
}

/// What is demanded of the leaf alone.
fn wanted(leaf: &Certificate, demands: &Demands) -> Result<(), PathFault> {
    if let Some(purpose) = demands.purpose {
        let purposes = extension(leaf, oids::EXTENDED_KEY_USAGE, decode_extended_key_usage)?;
        let fits = |oid: &ObjectIdentifier| *oid == purpose || *oid == oids::ANY_EXTENDED_KEY_USAGE;
        if purposes.is_some_and(|purposes| !purposes.iter().any(fits)) {
            return Err(PathFault::WrongPurpose);
        }
    }
    if let Some(name) = &demands.name {
        let certified = extension(leaf, oids::SUBJECT_ALT_NAME, decode_subject_alt_name)?.unwrap_or_default();
        if !certified.iter().any(|known| names::is_certified(name, known)) {
            return Err(PathFault::WrongName);
        }
    }
    Ok(())
}

/// Reads an extension, if it is there.
fn extension<T>(
    certificate: &Certificate,
    oid: ObjectIdentifier,
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, PathFault> {
    match certificate.tbs().extension(oid) {
        None => Ok(None),
        Some(extension) => decode(&extension.value).map(Some).ok_or(PathFault::BadExtension),
    }
}
