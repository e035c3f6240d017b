//! What a refusal is called in `PKIFailureInfo`.

use crate::cmp::status::FailureInfo;
use model::{Fault, Reason};

/// What a refusal is called. Who hears it was proved to ask; more than this the records say.
/// Source: RFC 9810 §5.2.3.
#[must_use]
pub const fn failure(fault: &Fault) -> FailureInfo<'static> {
    match fault {
        Fault::Malformed(_) => FailureInfo::BAD_DATA_FORMAT,
        Fault::Unavailable(_) => FailureInfo::SYSTEM_UNAVAIL,
        Fault::Refused(reason) => failure_of(*reason),
    }
}

// Exhaustive: a new reason stops the build here.
#[rustfmt::skip]
const fn failure_of(reason: Reason) -> FailureInfo<'static> {
    use FailureInfo as F;
    use Reason as R;
    match reason {
        R::ProtectionInvalid | R::SecretUnknown => F::BAD_MESSAGE_CHECK,
        R::ProtectionWeak | R::WeakKey | R::KeyTypeNotAllowed => F::BAD_ALG,
        R::ProofOfPossession | R::ProofMissing => F::BAD_POP,
        R::NameMismatch | R::CaRequested | R::TemplateNotAllowed | R::KeysNotMade => F::BAD_CERT_TEMPLATE,
        R::ExtensionNotAllowed => F::UNACCEPTED_EXTENSION,
        R::ClientUnknown | R::ClientExpired | R::MakerMismatch | R::NotAnIdevid | R::IdevidNotListed | R::MakerListStale
            => F::SIGNER_NOT_TRUSTED,
        R::ClientRevoked | R::AlreadyRevoked => F::CERT_REVOKED,
        R::ClientUnproved | R::KeyUnsendable => F::WRONG_INTEGRITY,
        R::OtherCertificate | R::SerialUnknown | R::TransactionUnknown | R::ConfirmationWrong | R::NotHeld => F::BAD_CERT_ID,
        R::IssuerUnknown => F::WRONG_AUTHORITY,
        R::AlreadyConfirmed => F::CERT_CONFIRMED,
        R::TransactionConflict | R::Replayed => F::TRANSACTION_ID_IN_USE,
        R::OutOfTime => F::BAD_TIME,
        R::LabelUnknown => F::BAD_REQUEST,
        R::AwaitingApproval | R::RateExceeded | R::ProfileUnknown | R::LintFailed | R::OutlivesIssuer | R::IssuerRevoked
        | R::IssuerNotAllowed | R::AuthoritySpent | R::AuthorityEnded | R::KeyOffline | R::ForeignUnsettled
        | R::Quarantined | R::ClockBackwards | R::WrongMode | R::ModuleOff | R::Sealed => F::SYSTEM_UNAVAIL,
        R::NoGrant | R::GrantExpired | R::GrantSpent | R::RightMissing | R::RightExpired | R::RightSpent | R::KeyInUse
        | R::TransactionClosed | R::LabelMismatch | R::ClientsDiffer | R::ChannelUnbound | R::SecretExpired | R::SecretUsed
        | R::AlreadyRenewed | R::NameTaken | R::ForeignRefused | R::ForeignMisfit | R::ApprovalDenied
        | R::UnknownCaller | R::SignatureInvalid | R::CallerNotAllowed | R::WrongSubject | R::ModeNotNewer
        | R::ModeNotCovered | R::UpstreamSignature | R::CountersignatureInvalid | R::BothSignaturesInvalid
        | R::ImageMismatch | R::ImageTooLong | R::ReleaseRolledBack | R::ReleaseExpired | R::ReleaseUnknown
        | R::NothingFollowed | R::SecondSignatureMissing | R::WrongHardware | R::SignerUnknown | R::NotOnList | R::AlreadyProvisioned
        | R::SerialTaken | R::BoardTaken | R::WrongType | R::BoardSilent | R::BoardRefused | R::FlashMismatch
        | R::SoftwareMissing | R::ChallengeFailed | R::KeyChanged | R::BoardHeld | R::ListInvalid | R::ListContradicts
        | R::ListNotNewer | R::ListSignature | R::ListOfAnother | R::ListUnsigned | R::SupplierUnknown
        | R::SupplierKnown | R::NonceStale | R::UrlMismatch | R::MessageAmbiguous | R::BindingMissing | R::AccountUnknown
        | R::AccountEnded | R::OtherAccount | R::AttestationInvalid | R::AttestationUntrusted | R::KeyNotAttested | R::NotAppointed | R::OrderMismatch | R::OrderNotReady | R::ChallengeUnnamed
        | R::ChallengeUnreached | R::ChallengeAddress | R::ChallengeRedirect | R::ChallengeTooLong | R::ChallengeSlow
        | R::ChallengeTls | R::ChallengeWrong | R::KeyReused | R::MakerUnknown | R::MakerKnown | R::MakerListInvalid
        | R::MakerListNotNewer => F::NOT_AUTHORIZED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fault: impl Into<Fault>, name: &str) {
        assert_eq!(failure(&fault.into()).names(), [name]);
    }

    #[test]
    fn who_can_go_on_learns_how() {
        check(Reason::ProofMissing, "badPOP");
        check(Reason::TemplateNotAllowed, "badCertTemplate");
        check(Reason::TransactionConflict, "transactionIdInUse");
        check(Reason::OutOfTime, "badTime");
        check(Fault::unavailable("x"), "systemUnavail");
        check(Fault::malformed("x"), "badDataFormat");
    }
    #[test]
    fn whether_a_secret_is_there_is_not_told_apart_from_a_wrong_one() {
        check(Reason::SecretUnknown, "badMessageCheck");
        check(Reason::ProtectionInvalid, "badMessageCheck");
    }
    #[test]
    fn standing_is_not_told_in_detail() {
        for reason in [Reason::BoardHeld, Reason::NotOnList, Reason::GrantSpent, Reason::SecretUsed] {
            check(reason, "notAuthorized");
        }
    }
}
