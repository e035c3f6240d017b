//! Certificates by a foreign authority: km decides, another signs.
//!
//! A conductor without a store: it carries a transaction through, and says of every end what is known. What it asks for
//! is durable before ([`DurableForeignIntent`]); what it says is for the caller to record.

mod desk;
mod fits;
mod line;

pub(crate) use desk::Wanted;
pub use desk::{Abroad, Settled};
pub use fits::{Misfit, fits};
pub use line::with_line;

use model::contract::authority::RevocationReason;
use ports::clock::random;
use ports::foreign::{DurableForeignIntent, Issuing, LineFault};
use ports::{Clock, Entropy, Signer};
use wire::cmp::client::{
    Accepted, Confirm, Declined, Draft, Enrolment, Flaw, Fresh, Offered, Party, Pending, Received, Refusal,
    Transaction, Waiting,
};
use x509::certificate::TbsCertificate;
use x509::{Certificate, SerialNumber};

/// A foreign authority, as this installation reaches it.
pub struct Foreign<'a> {
    /// Who asks, and whom it believes.
    pub party: Party<'a>,
    /// Signs requests, if they are not protected by a secret.
    pub signer: Option<&'a dyn Signer>,
    /// The line to it.
    pub line: &'a dyn Issuing,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Nonces and salt.
    pub entropy: &'a dyn Entropy,
}

/// How a request for a certificate went, if well.
pub enum Outcome<'a> {
    /// The certificate is here and fits. It is to be taken ([`Foreign::accept`]) when its number is durable.
    Offered(Offered<'a>),
    /// Not yet: ask again ([`Foreign::ready`]) after as long as it says. Whoever forgets it does not know whether there
    /// is a certificate.
    Later(Waiting<'a>),
}

/// Why there is no certificate, or no revocation, and what is known all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// Nothing was sent, so nothing happened.
    Nothing(String),
    /// The authority says no, under its protection.
    Refused(Refusal),
    /// The authority may have done it or not: to be asked again, or to be looked for in its lists.
    Unknown(String),
    /// A certificate came back that cannot be used.
    Unusable {
        /// What is wrong.
        why: Unusable,
        /// The certificate, whose serial number is to be recorded.
        certificate: Box<Certificate>,
        /// Whether it is revoked now.
        revoked: Revoked,
    },
}

/// Why a certificate that came back cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is not what was asked for.
    Misfit(Misfit),
    /// The authority was told that it was taken, and what it made of that is not known.
    Unconfirmed(String),
}

/// Whether a certificate that cannot be used is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The authority says so.
    Yes,
    /// It was asked, and did not say so. An operator has to see to it.
    No,
    /// It was not asked, because the certificate is not for our key or not of that authority: it may be somebody's.
    NotAsked,
}

impl std::fmt::Display for NotDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing(what) => write!(f, "nothing was asked: {what}; try again"),
            Self::Refused(refusal) => write!(f, "the foreign authority refuses: {refusal}; ask its operator"),
            Self::Unknown(what) => {
                write!(f, "what the foreign authority did is not known: {what}; look for the key in its records")
            }
            Self::Unusable { why, certificate, revoked } => {
                let number = model::octets::hex(certificate.tbs().serial_number.octets());
                match why {
                    Unusable::Misfit(misfit) => write!(f, "certificate {number} is not what was asked for: {misfit}")?,
                    Unusable::Unconfirmed(what) => write!(f, "certificate {number} is not confirmed: {what}")?,
                }
                f.write_str(match revoked {
                    Revoked::Yes => "; it was revoked at the foreign authority",
                    Revoked::No => "; it could not be revoked: have the foreign authority revoke it",
                    Revoked::NotAsked => "; it was declined: tell the foreign authority",
                })
            }
        }
    }
}
impl std::error::Error for NotDone {}

impl Foreign<'_> {
    /// Asks for a certificate. `expected` is what this installation would have signed itself: nothing more is taken.
    ///
    /// # Errors
    /// [`NotDone`]
    pub fn certify(
        &self,
        intent: &DurableForeignIntent,
        enrolment: Enrolment<'_>,
        expected: &TbsCertificate,
    ) -> Result<Outcome<'_>, NotDone> {
        if intent.key() != expected.subject_public_key.digest() {
            return Err(NotDone::Nothing("the intent is for another key".into()));
        }
        // Explicitly, because what is not confirmed yet can be declined.
        let begun = Transaction::enrol(
            &self.party,
            enrolment,
            Confirm::Explicitly,
            intent.transaction_id(),
            &self.fresh(),
            self.clock.now(),
        );
        let (transaction, draft) = begun.map_err(|bad| NotDone::Nothing(bad.to_string()))?;
        let received = self.exchange(transaction, draft)?;
        self.take(received, expected)
    }

    /// Asks whether a certificate is ready.
    ///
    /// # Errors
    /// [`NotDone`], but never [`NotDone::Nothing`]: it was asked for before.
    pub fn ready<'s>(&'s self, waiting: Waiting<'s>, expected: &TbsCertificate) -> Result<Outcome<'s>, NotDone> {
        let (transaction, draft) = waiting.poll(&self.fresh(), self.clock.now());
        let received = self.exchange(transaction, draft).map_err(|fault| match fault {
            NotDone::Nothing(what) => NotDone::Unknown(what),
            other => other,
        })?;
        self.take(received, expected)
    }

    /// Goes on with a transaction whose certificate was not ready, by the nonce with which the authority said so.
    ///
    /// # Errors
    /// [`NotDone`], but never [`NotDone::Nothing`].
    pub fn go_on(
        &self,
        intent: &DurableForeignIntent,
        enrolment: Enrolment<'_>,
        nonce: [u8; 16],
        expected: &TbsCertificate,
    ) -> Result<Outcome<'_>, NotDone> {
        let waiting = Waiting::resume(&self.party, enrolment, intent.transaction_id(), nonce);
        self.ready(waiting.map_err(|bad| NotDone::Unknown(bad.to_string()))?, expected)
    }

    /// Asks for the certificates of the authority, which changes nothing there: whether it is there, knows us, and is the
    /// one that is meant.
    ///
    /// # Errors
    /// [`NotDone`], but never [`NotDone::Unusable`].
    pub fn ca_certs(&self) -> Result<Vec<Certificate>, NotDone> {
        let (transaction, draft) =
            Transaction::ca_certs(&self.party, random(self.entropy), &self.fresh(), self.clock.now());
        match self.exchange(transaction, draft)? {
            Received::General(certificates) => Ok(certificates),
            other => Err(unexpected(other)),
        }
    }

    /// Has a certificate revoked. One that is revoked already counts as done.
    ///
    /// # Errors
    /// [`NotDone`]
    pub fn revoke(&self, serial_number: &SerialNumber, reason: RevocationReason) -> Result<(), NotDone> {
        let (transaction, draft) = Transaction::revoke(
            &self.party,
            serial_number,
            reason,
            random(self.entropy),
            &self.fresh(),
            self.clock.now(),
        );
        match self.exchange(transaction, draft)? {
            Received::Revoked => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn take<'s>(&'s self, received: Received<'s>, expected: &TbsCertificate) -> Result<Outcome<'s>, NotDone> {
        match received {
            Received::Offered(offered) => match misfit(offered.certificate(), expected) {
                None => Ok(Outcome::Offered(offered)),
                Some(misfit) => Err(self.decline_offer(offered, misfit)),
            },
            Received::Flawed(flaw, pending) => Err(self.decline(flaw, pending)),
            Received::Waiting(waiting) => Ok(Outcome::Later(waiting)),
            other => Err(unexpected(other)),
        }
    }

    /// Takes a certificate: the authority is told, and only then it holds.
    ///
    /// # Errors
    /// [`NotDone::Unusable`] if nobody knows whether the authority heard it.
    pub fn accept(&self, offered: Offered<'_>) -> Result<Box<Certificate>, NotDone> {
        let certificate = Box::new(offered.certificate().clone());
        let (transaction, draft) = match offered.accept(&self.fresh(), self.clock.now()) {
            Accepted::Done(certificate) => return Ok(certificate),
            Accepted::Tell(transaction, draft) => (transaction, draft),
        };
        let why = match self.exchange(transaction, draft) {
            Ok(Received::Confirmed(certificate)) => return Ok(certificate),
            Ok(other) => unexpected(other).to_string(),
            Err(fault) => fault.to_string(),
        };
        Err(self.give_up(certificate, Unusable::Unconfirmed(why)))
    }

    /// Declines a certificate, and has it revoked besides, unless its number is that of another.
    #[must_use]
    pub fn decline_offer(&self, offered: Offered<'_>, misfit: Misfit) -> NotDone {
        let certificate = Box::new(offered.certificate().clone());
        self.tell(offered.decline(&self.fresh(), self.clock.now()));
        let why = Unusable::Misfit(misfit);
        if misfit == Misfit::Known {
            return NotDone::Unusable { why, certificate, revoked: Revoked::NotAsked };
        }
        self.give_up(certificate, why)
    }

    /// Has a certificate revoked that is for our key and of that authority, but is not released to anybody.
    fn give_up(&self, certificate: Box<Certificate>, why: Unusable) -> NotDone {
        let revoked = match self.revoke(&certificate.tbs().serial_number, RevocationReason::CessationOfOperation) {
            Ok(()) => Revoked::Yes,
            Err(_) => Revoked::No,
        };
        NotDone::Unusable { why, certificate, revoked }
    }

    fn decline(&self, flaw: Flaw, pending: Pending<'_>) -> NotDone {
        let certificate = Box::new(pending.certificate().clone());
        self.tell(pending.decline(&self.fresh(), self.clock.now()));
        let misfit = match flaw {
            Flaw::OtherKey => Misfit::OtherKey,
            Flaw::NotIssued => Misfit::NotIssued,
        };
        NotDone::Unusable { why: Unusable::Misfit(misfit), certificate, revoked: Revoked::NotAsked }
    }

    /// Tells that a certificate is declined. Whether that is heard changes nothing: it is not taken, and what can be
    /// revoked is revoked besides.
    fn tell(&self, declined: Declined<'_>) {
        if let Declined::Tell(transaction, draft) = declined {
            drop(self.exchange(transaction, draft));
        }
    }

    fn exchange<'s>(&self, transaction: Transaction<'s>, draft: Draft) -> Result<Received<'s>, NotDone> {
        let message = draft.finish(|octets| match self.signer {
            Some(signer) => signer.sign(octets).map_err(|fault| NotDone::Nothing(fault.to_string())),
            None => Err(NotDone::Nothing("there is no key to sign requests with".into())),
        })?;
        let answer = self.line.exchange(&message).map_err(|fault| match fault {
            LineFault::NotSent(_) => NotDone::Nothing(fault.to_string()),
            LineFault::Unanswered(_) | LineFault::NoAnswer(_) => NotDone::Unknown(fault.to_string()),
        })?;
        transaction.receive(&answer, self.clock.now()).map_err(|broken| NotDone::Unknown(broken.to_string()))
    }

    fn fresh(&self) -> Fresh {
        Fresh { sender_nonce: random(self.entropy), salt: random(self.entropy) }
    }
}

/// How a certificate is not what may be taken.
fn misfit(got: &Certificate, expected: &TbsCertificate) -> Option<Misfit> {
    let rule = || (!issue::lint::findings_of_another(got.tbs_der()).is_empty()).then_some(Misfit::Rule);
    fits(got.tbs(), expected).or_else(rule)
}

/// An answer that a step has no use for: a refusal, or one that the transaction does not give there.
fn unexpected(received: Received<'_>) -> NotDone {
    match received {
        Received::Refused(refusal) => NotDone::Refused(refusal),
        Received::Offered(_)
        | Received::Flawed(..)
        | Received::Waiting(_)
        | Received::Confirmed(_)
        | Received::Declined
        | Received::General(_)
        | Received::RootUpdate(_)
        | Received::Revoked => NotDone::Unknown("the answer is one to something else".into()),
    }
}
