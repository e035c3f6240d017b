//! What a client is told of a refusal: as little as it needs to go on.

use model::{Fault, Reason};

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// To send the same again later: somebody decides. Source: RFC 7030 §4.2.3.
    Wait,
    /// To ask less often.
    Slower,
    /// That nothing is there.
    Nowhere,
    /// That we have a trouble, which may pass.
    Trouble,
    /// No, and not why: that is in the records.
    Refused,
    /// That its octets are not what they should be.
    Malformed,
}

/// What a client is told.
#[must_use]
pub const fn told(fault: &Fault) -> Told {
    match fault {
        Fault::Malformed(_) => Told::Malformed,
        Fault::Unavailable(_) => Told::Trouble,
        Fault::Refused(reason) => told_of(*reason),
    }
}

// Exhaustive: a new reason stops the build here.
#[rustfmt::skip]
const fn told_of(reason: Reason) -> Told {
    use Reason as R;
    match reason {
        R::AwaitingApproval => Told::Wait,
        R::RateExceeded => Told::Slower,
        R::LabelUnknown => Told::Nowhere,
        R::ProfileUnknown | R::LintFailed | R::OutlivesIssuer | R::IssuerUnknown | R::IssuerRevoked
        | R::IssuerNotAllowed | R::AuthoritySpent | R::AuthorityEnded | R::KeyOffline | R::ForeignUnsettled
        | R::Quarantined | R::ClockBackwards | R::OutOfTime | R::WrongMode | R::ModuleOff | R::Sealed => Told::Trouble,
        R::ProtectionInvalid | R::ProtectionWeak | R::ConfirmationWrong | R::AlreadyConfirmed | R::OtherCertificate
        | R::ProofOfPossession | R::ProofMissing | R::NameMismatch | R::CaRequested | R::ExtensionNotAllowed
        | R::KeysNotMade | R::KeyUnsendable | R::TemplateNotAllowed | R::WeakKey | R::KeyTypeNotAllowed | R::KeyInUse | R::NoGrant
        | R::GrantExpired | R::GrantSpent | R::RightMissing | R::RightExpired | R::RightSpent
        | R::TransactionConflict | R::TransactionUnknown | R::TransactionClosed | R::LabelMismatch
        | R::ClientUnproved | R::ClientUnknown | R::ClientRevoked | R::ClientExpired | R::ClientsDiffer
        | R::SecretUnknown | R::ChannelUnbound | R::SecretExpired | R::SecretUsed | R::AlreadyRenewed | R::NameTaken
        | R::SerialUnknown | R::NotHeld | R::ForeignRefused | R::ForeignMisfit | R::ApprovalDenied
        | R::AlreadyRevoked | R::UnknownCaller | R::SignatureInvalid | R::CallerNotAllowed | R::WrongSubject
        | R::Replayed | R::ModeNotNewer | R::ModeNotCovered | R::UpstreamSignature
        | R::CountersignatureInvalid | R::BothSignaturesInvalid | R::ImageMismatch | R::ImageTooLong
        | R::ReleaseRolledBack | R::ReleaseExpired | R::ReleaseUnknown | R::NothingFollowed | R::SecondSignatureMissing | R::WrongHardware
        | R::SignerUnknown | R::NotOnList | R::AlreadyProvisioned | R::SerialTaken | R::BoardTaken
        | R::WrongType | R::BoardSilent | R::BoardRefused | R::FlashMismatch | R::SoftwareMissing
        | R::ChallengeFailed | R::KeyChanged | R::BoardHeld | R::ListInvalid | R::ListContradicts
        | R::ListNotNewer | R::ListSignature | R::ListOfAnother | R::ListUnsigned | R::SupplierUnknown
        | R::SupplierKnown | R::NonceStale | R::UrlMismatch | R::MessageAmbiguous | R::BindingMissing | R::AccountUnknown
        | R::AccountEnded | R::OtherAccount | R::AttestationInvalid | R::AttestationUntrusted | R::KeyNotAttested | R::NotAppointed | R::OrderMismatch | R::OrderNotReady | R::ChallengeUnnamed
        | R::ChallengeUnreached | R::ChallengeAddress | R::ChallengeRedirect | R::ChallengeTooLong | R::ChallengeSlow
        | R::ChallengeTls | R::ChallengeWrong | R::MakerMismatch | R::NotAnIdevid | R::IdevidNotListed | R::MakerListStale
        | R::KeyReused | R::MakerUnknown | R::MakerKnown | R::MakerListInvalid | R::MakerListNotNewer => Told::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fault: impl Into<Fault>, expected: Told) {
        assert_eq!(told(&fault.into()), expected);
    }

    #[test]
    fn who_is_not_let_in_does_not_learn_why() {
        let why = [Reason::ClientRevoked, Reason::ClientExpired, Reason::ClientsDiffer, Reason::SecretUsed];
        let more = [Reason::SecretUnknown, Reason::NameMismatch, Reason::BoardHeld, Reason::LabelMismatch];
        why.into_iter().chain(more).for_each(|reason| check(reason, Told::Refused));
    }
    #[test]
    fn who_can_go_on_learns_how() {
        check(Reason::AwaitingApproval, Told::Wait);
        check(Reason::RateExceeded, Told::Slower);
        check(Reason::LabelUnknown, Told::Nowhere);
        check(Reason::Quarantined, Told::Trouble);
        check(Fault::unavailable("x"), Told::Trouble);
        check(Fault::malformed("x"), Told::Malformed);
    }
}
