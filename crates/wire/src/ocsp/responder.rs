//! What a responder answers: a pure function of the request, the authorities, and what is recorded of a serial number.
//!
//! ```text
//! responder::read(octets, &served, ...)?   -> Question       or an error response
//! question.pre_signed(&policy)             -> Some(key)      if a response that was signed before may be served
//! floor.moment(now, &policy, ends)?        -> Moment         whose times never go back
//! question.answer(&identity, &moment, ..)? -> ResponseData   which the caller signs
//! ```

use super::{
    CertStatus, HashAlgorithm, Identity, IssuerIds, Moment, Named, Request, ResponseData, ResponseStatus, Single,
};
use model::contract::authority::RevocationReason;
use model::{Fault, UnixTime};
use x509::SerialNumber;

/// An authority that the responder answers for.
#[derive(Clone, Debug)]
pub struct Served<A> {
    /// What the caller calls it.
    pub authority: A,
    /// What requests call it.
    pub ids: IssuerIds,
}

/// What is recorded of a serial number. There is no word for "not found": who looks must say which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Issued, and not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// When.
        at: UnixTime,
        /// Why.
        reason: RevocationReason,
    },
    /// No certificate has it, and none was promised.
    NeverIssued,
    /// Set aside (in a lease, or by an intent that is still open), and no certificate is known to have it.
    ReservedNotIssued,
}

/// Whether a serial number that is set aside but not issued is answered as revoked.
/// Source: RFC 6960 §2.2, the extended definition of *revoked*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedRevoked {
    /// It is unknown, as all that were never issued.
    Off,
    /// It is revoked with `certificateHold` since 1970, and the response says that this is meant.
    ForReserved,
}

/// What becomes of a requester's nonce.
/// Source: RFC 9654 §2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoncePolicy {
    /// A request without one is refused with `unauthorized`.
    Required,
    /// Repeated if it is there.
    Allowed,
    /// Left out: every answer may be one that was signed before. The requester sees that it is missing.
    Ignored,
}

/// Whether responses that were signed before are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreSigned {
    /// If the request allows it.
    Allowed,
    /// Each answer is signed anew.
    Never,
}

/// How a responder answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What is said of serial numbers that are set aside.
    pub extended_revoked: ExtendedRevoked,
    /// What becomes of a nonce.
    pub nonce: NoncePolicy,
    /// Whether signed-before is good enough.
    pub pre_signed: PreSigned,
    /// How long an answer holds, counted from when it is produced. Units: seconds.
    pub validity_s: u64,
    /// How much earlier than that `thisUpdate` is, for clients whose clock is late. Units: seconds.
    pub back_date_s: u64,
}

/// The latest times that this responder has ever signed; durable before an answer with them leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The latest `producedAt`.
    pub produced_at: UnixTime,
    /// The latest `thisUpdate`.
    pub this_update: UnixTime,
}

impl Floor {
    /// The times of an answer, which neither go back behind the floor nor beyond the end of the responder's certificate.
    ///
    /// `producedAt` is `now`, or the floor if the clock went back: answering goes on while the clock is wrong, and a later
    /// answer never looks older than an earlier one. `responder_ends` is the certificate's `notAfter`.
    /// # Errors
    /// [`ResponseStatus::TryLater`] if nothing is left between `thisUpdate` and the end: the certificate must be renewed first.
    pub fn moment(self, now: UnixTime, policy: &Policy, responder_ends: UnixTime) -> Result<Moment, ResponseStatus> {
        let produced_at = now.whole_second().max(self.produced_at);
        let this_update = produced_at.minus_s(policy.back_date_s).max(self.this_update);
        let next_update = produced_at.plus_s(policy.validity_s).min(responder_ends.whole_second());
        let lasts = next_update > this_update && next_update > produced_at;
        if lasts { Ok(Moment::new(produced_at, this_update, next_update)) } else { Err(ResponseStatus::TryLater) }
    }

    /// The floor after an answer of this moment: what the caller makes durable.
    #[must_use]
    pub fn after(self, moment: &Moment) -> Self {
        Self {
            produced_at: self.produced_at.max(moment.produced_at()),
            this_update: self.this_update.max(moment.this_update()),
        }
    }
}

/// A request that is for one of our authorities.
#[derive(Clone, Debug)]
pub struct Question<'r, 's, A> {
    request: Request<'r>,
    served: &'s Served<A>,
    nonce: Option<&'r [u8]>,
}

/// Under what a response that was signed before is kept, besides the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PreSignedKey {
    /// The hash that the requester names the issuer with: clients compare it.
    pub hash_algorithm: HashAlgorithm,
    /// Which certificate.
    pub serial_number: SerialNumber,
}

/// Reads a request, and finds the authority that it asks.
///
/// # Errors
/// The response to send: `malformedRequest` by [`super::BadRequest::status`]; `unauthorized` if the request names an issuer
/// that is not served, or issuers of two authorities (one signature cannot speak for both), or lacks a nonce that the
/// policy requires.
/// Source: RFC 6960 §2.3, RFC 5019 §2.2.3.
pub fn read<'r, 's, A>(
    request: &'r [u8],
    served: &'s [Served<A>],
    policy: &Policy,
) -> Result<Question<'r, 's, A>, ResponseStatus> {
    let request = Request::decode(request).map_err(super::BadRequest::status)?;
    let first = request.cert_ids.first().ok_or(ResponseStatus::MalformedRequest)?;
    let served = served.iter().find(|own| own.ids.names(first)).ok_or(ResponseStatus::Unauthorized)?;
    if !request.cert_ids.iter().all(|id| served.ids.names(id)) {
        return Err(ResponseStatus::Unauthorized);
    }
    let nonce = match (policy.nonce, request.nonce) {
        (NoncePolicy::Required, None) => return Err(ResponseStatus::Unauthorized),
        (NoncePolicy::Ignored, _) => None,
        (NoncePolicy::Required | NoncePolicy::Allowed, nonce) => nonce,
    };
    Ok(Question { request, served, nonce })
}

impl<A> Question<'_, '_, A> {
    /// The authority that is asked.
    #[must_use]
    pub const fn authority(&self) -> &A {
        &self.served.authority
    }

    /// The serial numbers that are asked for, in their order.
    pub fn serial_numbers(&self) -> impl ExactSizeIterator<Item = SerialNumber> {
        self.request.cert_ids.iter().map(|id| id.serial_number)
    }

    /// Under what to look for a response that was signed before, if one may be served: one certificate, no nonce, and the
    /// issuer spelled as we spell it. If there is none, or [`may_serve`] says no, [`Question::answer`] is always possible.
    #[must_use]
    pub fn pre_signed(&self, policy: &Policy) -> Option<PreSignedKey> {
        match (policy.pre_signed, self.nonce, self.request.cert_ids.as_slice()) {
            (PreSigned::Allowed, None, [id]) if self.served.ids.spells(id) => {
                Some(PreSignedKey { hash_algorithm: id.hash_algorithm, serial_number: id.serial_number })
            }
            _ => None,
        }
    }

    /// Writes the answer, to be signed.
    ///
    /// # Errors
    /// `tryLater` if `lookup` cannot tell now, `internalError` if it fails otherwise. Nothing is ever good because it could
    /// not be looked up.
    pub fn answer(
        &self,
        identity: &Identity,
        moment: &Moment,
        policy: &Policy,
        lookup: impl Fn(&A, &SerialNumber) -> Result<Status, Fault>,
    ) -> Result<ResponseData, ResponseStatus> {
        let mut statuses = Vec::with_capacity(self.request.cert_ids.len());
        for id in &self.request.cert_ids {
            let status = lookup(&self.served.authority, &id.serial_number).map_err(|fault| told(&fault))?;
            statuses.push(cert_status(status, policy));
        }
        let singles = self.request.cert_ids.iter().zip(statuses).map(|(id, status)| Single {
            certificate: Named::Asked(id),
            status,
            extensions: &[],
        });
        Ok(ResponseData::write(identity, moment, singles, self.nonce))
    }
}

/// Writes the answer to a question that nobody has asked yet, to be signed and kept under `key`.
#[must_use]
pub fn pre_sign(
    ids: &IssuerIds,
    key: &PreSignedKey,
    status: Status,
    identity: &Identity,
    moment: &Moment,
    policy: &Policy,
) -> ResponseData {
    let certificate = Named::Ours(ids, key.hash_algorithm, &key.serial_number);
    let single = Single { certificate, status: cert_status(status, policy), extensions: &[] };
    ResponseData::write(identity, moment, [single].into_iter(), None)
}

/// Whether a response that was signed before may still be served.
///
/// `changed_at` is when the authority last revoked or released anything (or that certificate, if the caller knows): what was
/// signed before it may say good of what is revoked.
#[must_use]
pub fn may_serve(moment: &Moment, changed_at: UnixTime, now: UnixTime) -> bool {
    // In the second of the change the order of both is not known.
    moment.produced_at() > changed_at.whole_second() && now < moment.next_update()
}

/// RFC 6960 §2.2: good is only what was issued and is not revoked.
fn cert_status(status: Status, policy: &Policy) -> CertStatus {
    match (status, policy.extended_revoked) {
        (Status::Good, _) => CertStatus::Good,
        (Status::Revoked { at, reason }, _) => CertStatus::Revoked { at, reason },
        (Status::ReservedNotIssued, ExtendedRevoked::ForReserved) => CertStatus::NON_ISSUED,
        (Status::ReservedNotIssued, ExtendedRevoked::Off) | (Status::NeverIssued, _) => CertStatus::Unknown,
    }
}

fn told(fault: &Fault) -> ResponseStatus {
    match fault {
        Fault::Unavailable(_) => ResponseStatus::TryLater,
        Fault::Malformed(_) | Fault::Refused(_) => ResponseStatus::InternalError,
    }
}
