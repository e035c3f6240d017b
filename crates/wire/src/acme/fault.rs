//! What a refusal is called.

use model::{Fault, Reason};

/// A kind of problem. Source: RFC 8555 §6.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name behind `urn:ietf:params:acme:error:`.
    pub name: &'static str,
    /// The status of HTTP.
    pub status: u16,
}

impl Problem {
    /// A request for a certificate that is not one for its order.
    pub const BAD_CSR: Self = Self { name: "badCSR", status: 400 };

    /// Its whole name.
    #[must_use]
    pub fn urn(&self) -> String {
        format!("urn:ietf:params:acme:error:{}", self.name)
    }

    /// The same, if it is about a request for a certificate: what it has too much or too little is the request's.
    #[must_use]
    pub fn of_request(self) -> Self {
        match self.name {
            "malformed" | "badPublicKey" | "rejectedIdentifier" => Self::BAD_CSR,
            _ => self,
        }
    }
}

/// What a refusal is called. More than this the records say.
#[must_use]
pub const fn problem(fault: &Fault) -> Problem {
    match fault {
        Fault::Malformed(_) => Problem { name: "malformed", status: 400 },
        Fault::Unavailable(_) => Problem { name: "serverInternal", status: 503 },
        Fault::Refused(reason) => of_reason(*reason),
    }
}

// Exhaustive: a new reason stops the build here.
#[rustfmt::skip]
const fn of_reason(reason: Reason) -> Problem {
    use Reason as R;
    let (name, status) = match reason {
        R::MessageAmbiguous => ("malformed", 400),
        R::LabelUnknown | R::SerialUnknown | R::TransactionUnknown => ("malformed", 404),
        R::NonceStale => ("badNonce", 400),
        R::ProtectionWeak => ("badSignatureAlgorithm", 400),
        R::WeakKey | R::KeyTypeNotAllowed => ("badPublicKey", 400),
        R::BindingMissing => ("externalAccountRequired", 403),
        R::AccountUnknown => ("accountDoesNotExist", 400),
        // RFC 8555 §7.3.6.
        R::AccountEnded => ("unauthorized", 401),
        R::NameMismatch => ("rejectedIdentifier", 403),
        R::OrderNotReady => ("orderNotReady", 403),
        R::OrderMismatch | R::ProofOfPossession | R::ProofMissing | R::CaRequested | R::ExtensionNotAllowed
        | R::KeysNotMade | R::KeyUnsendable | R::KeyInUse | R::KeyNotAttested => ("badCSR", 400),
        R::TemplateNotAllowed => ("badRevocationReason", 400),
        R::AlreadyRevoked => ("alreadyRevoked", 400),
        // RFC 9773 §7.4.
        R::AlreadyRenewed => ("alreadyReplaced", 409),
        R::RateExceeded => ("rateLimited", 429),
        R::ChallengeUnnamed => ("dns", 400),
        R::ChallengeUnreached | R::ChallengeAddress | R::ChallengeRedirect | R::ChallengeSlow => ("connection", 400),
        R::ChallengeTls => ("tls", 400),
        // draft-ietf-acme-device-attest §7.
        R::AttestationInvalid | R::AttestationUntrusted => ("badAttestationStatement", 400),
        R::ChallengeTooLong | R::ChallengeWrong => ("incorrectResponse", 403),
        R::AwaitingApproval | R::ProfileUnknown | R::LintFailed | R::OutlivesIssuer | R::IssuerUnknown | R::IssuerRevoked
        | R::IssuerNotAllowed | R::AuthoritySpent | R::AuthorityEnded | R::KeyOffline | R::ForeignUnsettled
        | R::Quarantined | R::ClockBackwards | R::OutOfTime | R::WrongMode | R::ModuleOff | R::Sealed => ("serverInternal", 503),
        R::ChannelUnbound | R::UrlMismatch | R::OtherAccount | R::ProtectionInvalid | R::ConfirmationWrong | R::AlreadyConfirmed
        | R::OtherCertificate | R::NoGrant | R::GrantExpired | R::GrantSpent | R::RightMissing | R::NotAppointed | R::RightExpired
        | R::RightSpent | R::TransactionConflict | R::TransactionClosed | R::LabelMismatch | R::ClientUnproved
        | R::ClientUnknown | R::ClientRevoked | R::ClientExpired | R::ClientsDiffer | R::SecretUnknown
        | R::SecretExpired | R::SecretUsed | R::NameTaken | R::NotHeld | R::ForeignRefused | R::ForeignMisfit
        | R::ApprovalDenied | R::UnknownCaller | R::SignatureInvalid | R::CallerNotAllowed | R::WrongSubject
        | R::Replayed | R::ModeNotNewer | R::ModeNotCovered | R::UpstreamSignature | R::CountersignatureInvalid
        | R::BothSignaturesInvalid | R::ImageMismatch | R::ImageTooLong | R::ReleaseRolledBack | R::ReleaseExpired
        | R::ReleaseUnknown | R::NothingFollowed | R::WrongHardware | R::SignerUnknown | R::NotOnList
        | R::AlreadyProvisioned | R::SerialTaken | R::BoardTaken | R::WrongType | R::BoardSilent | R::BoardRefused
        | R::FlashMismatch | R::SoftwareMissing | R::ChallengeFailed | R::KeyChanged | R::BoardHeld | R::ListInvalid
        | R::ListContradicts | R::ListNotNewer | R::ListSignature | R::ListOfAnother | R::ListUnsigned
        | R::MakerMismatch | R::NotAnIdevid | R::IdevidNotListed | R::MakerListStale | R::KeyReused | R::MakerUnknown
        | R::MakerKnown | R::MakerListInvalid | R::MakerListNotNewer | R::SupplierUnknown | R::SupplierKnown | R::SecondSignatureMissing => ("unauthorized", 403),
    };
    Problem { name, status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fault: impl Into<Fault>, name: &str, status: u16) {
        let problem = problem(&fault.into());
        assert_eq!((problem.name, problem.status), (name, status));
    }

    #[test]
    fn who_can_go_on_learns_how() {
        check(Reason::NonceStale, "badNonce", 400);
        check(Reason::BindingMissing, "externalAccountRequired", 403);
        check(Reason::OrderNotReady, "orderNotReady", 403);
        check(Reason::RateExceeded, "rateLimited", 429);
        check(Fault::unavailable("x"), "serverInternal", 503);
        check(Fault::malformed("x"), "malformed", 400);
    }
    #[test]
    fn standing_is_not_told_in_detail() {
        for reason in
            [Reason::BoardHeld, Reason::NotOnList, Reason::GrantSpent, Reason::SecretUsed, Reason::SecretUnknown]
        {
            check(reason, "unauthorized", 403);
        }
    }
    #[test]
    fn what_a_request_has_wrong_is_the_requests() {
        for fault in [Fault::malformed("x"), Reason::WeakKey.into(), Reason::NameMismatch.into()] {
            assert_eq!(problem(&fault).of_request(), Problem::BAD_CSR);
        }
        assert_eq!(problem(&Reason::GrantSpent.into()).of_request().name, "unauthorized");
    }
}
