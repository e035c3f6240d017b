//! What the command line says when something does not work: what, why, what next, and an exit status.

use adapters::store::sql::OpenFault;
use model::contract::supervisor::Trouble;
use model::text::printable;
use model::{Fault, Module, Reason};
use ports::keystore::KeyFault;
use ports::store::{DISK_FULL, StoreFault};
use std::fmt;

/// The exit status of a command. Documented in the README; scripts rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed,
    Usage,
    Unavailable,
    NotAuthorised,
    NotFound,
    Conflict,
    Refused,
    Partial,
    TryAgain,
}

impl Exit {
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            Self::NotAuthorised => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
            Self::Refused => 7,
            Self::Partial => 8,
            Self::TryAgain => 75,
        }
    }
}

/// Why a command failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) next: String,
    pub(crate) code: &'static str,
    pub(crate) exit: Exit,
}

/// What a command gives.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of the command itself.
    pub(crate) fn new(exit: Exit, code: &'static str, what: impl Into<String>) -> Self {
        Self { what: what.into(), why: String::new(), next: String::new(), code, exit }
    }
    pub(crate) fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = why.to_string();
        self
    }
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
    /// A file could not be read or written.
    pub(crate) fn file(path: impl AsRef<std::path::Path>, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            std::io::ErrorKind::AlreadyExists => Exit::Conflict,
            _ => Exit::Failed,
        };
        let path = path.as_ref().display();
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return Self::new(exit, "exists", format!("{path} was not written"))
                .because("it is there already, and is not overwritten")
                .next("name another place, or move it away");
        }
        use std::io::ErrorKind;
        let (what, next) = match error.kind() {
            ErrorKind::NotFound => ("is not there", "check the path"),
            ErrorKind::FileTooLarge => ("is longer than anything that is read here", "check that it is the right file"),
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::IsADirectory => {
                ("cannot be used", "check that it is the right file")
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ("cannot be written", "make room on that disk"),
            _ => ("cannot be used", "check the path and its permissions"),
        };
        Self::new(exit, "file", format!("{path} {what}")).because(error).next(next)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.why.is_empty() {
            write!(f, "\n  why:  {}", self.why)?;
        }
        if !self.next.is_empty() {
            write!(f, "\n  next: {}", self.next)?;
        }
        write!(f, "\n  code: {}", self.code)
    }
}

/// A failure as other processes are told of it.
pub(crate) fn trouble_of(module: Option<Module>, failure: &Failure) -> Trouble {
    let Failure { what, why, next, code, .. } = failure.clone();
    Trouble { module, code: code.to_owned(), what, why, next }
}

/// What another process told of a failure.
pub(crate) fn of_trouble(trouble: &Trouble) -> Failure {
    // Of a code that this version does not know, its words are still told.
    let (code, exit) = crate::cli::known_code(&trouble.code).unwrap_or(("unavailable", Exit::Unavailable));
    let shown = |text: &str| printable(text, TOLD_LEN_MAX);
    Failure::new(exit, code, shown(&trouble.what)).because(shown(&trouble.why)).next(shown(&trouble.next))
}

/// Longest text of a failure that is taken over from another process, in characters.
const TOLD_LEN_MAX: usize = 1000;

/// Says of a fault what was being done.
pub(crate) trait While<T> {
    fn or_fail(self, doing: &str) -> Result<T>;
}

impl<T, E: Into<Fault>> While<T> for std::result::Result<T, E> {
    fn or_fail(self, doing: &str) -> Result<T> {
        self.map_err(|fault| of_fault(&fault.into(), doing))
    }
}

/// Says of a fault what was being done.
pub(crate) fn of_fault(fault: &Fault, doing: &str) -> Failure {
    match fault {
        Fault::Malformed(what) => Failure::new(Exit::Failed, "malformed", format!("{doing} failed: malformed {what}"))
            .next("look at it with `cradle inspect FILE`"),
        Fault::Refused(reason) => Failure::new(exit_of(*reason), reason.code(), format!("{doing} was refused"))
            .because(reason.what())
            .next(reason.next()),
        Fault::Unavailable(what) if *what == DISK_FULL => full(format!("{doing} was refused")),
        Fault::Unavailable(what) => Failure::new(Exit::Unavailable, "unavailable", format!("{doing} failed"))
            .because(what)
            .next("mend the cause, then repeat the command: nothing was changed by halves"),
    }
}

/// The code of what was refused because there is no room.
pub(crate) const DISK_FULL_CODE: &str = "disk-full";

fn full(what: String) -> Failure {
    Failure::new(Exit::Unavailable, DISK_FULL_CODE, what)
        .because(DISK_FULL)
        .next("make room, then repeat the command: nothing was signed, and nothing is to be repaired")
}

/// The exit status of each reason.
pub(crate) const fn exit_of(reason: Reason) -> Exit {
    use Reason as R;
    match reason {
        R::ModuleOff | R::Sealed | R::WrongMode | R::Quarantined | R::KeyOffline => Exit::Unavailable,
        #[rustfmt::skip]
        R::ClientUnproved | R::ClientUnknown | R::ClientRevoked | R::ClientExpired | R::ClientsDiffer | R::SecretUnknown
        | R::ChannelUnbound | R::SecretExpired | R::ProtectionInvalid | R::ProtectionWeak | R::OtherCertificate | R::UnknownCaller
        | R::SignatureInvalid | R::CallerNotAllowed | R::WrongSubject | R::Replayed
        | R::NonceStale | R::UrlMismatch | R::MessageAmbiguous | R::BindingMissing | R::AccountEnded | R::OtherAccount
        | R::MakerMismatch | R::NotAnIdevid | R::IdevidNotListed | R::MakerListStale | R::KeyReused | R::MakerListInvalid
        | R::ModeNotCovered | R::ModeNotNewer | R::ListSignature | R::ListOfAnother | R::ListUnsigned =>
            Exit::NotAuthorised,
        #[rustfmt::skip]
        R::SerialUnknown | R::ProfileUnknown | R::IssuerUnknown | R::TransactionUnknown | R::ReleaseUnknown | R::SignerUnknown
        | R::SupplierUnknown | R::MakerUnknown | R::LabelUnknown | R::AccountUnknown => Exit::NotFound,
        #[rustfmt::skip]
        R::SecretUsed | R::AlreadyRenewed | R::AlreadyConfirmed | R::ConfirmationWrong | R::NameTaken | R::ForeignUnsettled
        | R::AlreadyRevoked | R::NotHeld | R::TransactionConflict
        | R::TransactionClosed | R::ListContradicts | R::ListNotNewer | R::SupplierKnown | R::MakerKnown | R::MakerListNotNewer => Exit::Conflict,
        R::OutOfTime | R::ClockBackwards | R::AwaitingApproval | R::RateExceeded => Exit::TryAgain,
        #[rustfmt::skip]
        R::ListInvalid | R::AttestationInvalid | R::AttestationUntrusted | R::KeyNotAttested | R::OrderMismatch | R::OrderNotReady | R::ChallengeUnnamed | R::ChallengeUnreached | R::ChallengeAddress
        | R::ChallengeRedirect | R::ChallengeTooLong | R::ChallengeSlow | R::ChallengeTls | R::ChallengeWrong => Exit::Failed,
        #[rustfmt::skip]
        R::ProofOfPossession | R::ProofMissing | R::NameMismatch | R::CaRequested | R::ExtensionNotAllowed
        | R::KeysNotMade | R::KeyUnsendable | R::TemplateNotAllowed | R::WeakKey | R::KeyTypeNotAllowed | R::KeyInUse | R::LabelMismatch | R::NoGrant
        | R::GrantExpired | R::GrantSpent | R::RightMissing | R::NotAppointed | R::RightExpired | R::RightSpent | R::LintFailed
        | R::OutlivesIssuer | R::IssuerRevoked | R::IssuerNotAllowed | R::ForeignRefused | R::ForeignMisfit
        | R::AuthoritySpent | R::AuthorityEnded | R::ApprovalDenied | R::UpstreamSignature | R::CountersignatureInvalid
        | R::BothSignaturesInvalid | R::ImageMismatch | R::ImageTooLong | R::ReleaseRolledBack | R::ReleaseExpired
        | R::WrongHardware | R::NothingFollowed | R::SecondSignatureMissing | R::NotOnList | R::AlreadyProvisioned
        | R::SerialTaken | R::BoardTaken | R::WrongType | R::BoardSilent | R::BoardRefused | R::FlashMismatch
        | R::SoftwareMissing | R::ChallengeFailed | R::KeyChanged | R::BoardHeld => Exit::Refused,
    }
}

impl From<OpenFault> for Failure {
    fn from(fault: OpenFault) -> Self {
        match &fault {
            OpenFault::InUse => Self::new(Exit::TryAgain, "in-use", "the data directory is in use")
                .because(&fault)
                .next("wait until the other command has ended, then repeat this one"),
            // Without settings a command does not come as far as the records.
            OpenFault::Missing => Self::new(Exit::Failed, "records-gone", "the records of this installation are gone")
                .because("cradle.db is not there, or empty")
                .next("put cradle.db back from a backup, with its -wal if there is one; the rest of the directory has the keys: keep it"),
            OpenFault::Tampered(_) => Self::new(Exit::Failed, "audit-broken", "nothing is written to these records")
                .because(&fault)
                .next("`cradle audit verify` names the place; keep the directory as it is, and restore from a backup of before"),
            OpenFault::Behind { .. } | OpenFault::Forked(_) => {
                Self::new(Exit::Failed, "records-behind", "the server was put back, and nothing is read or written there")
                    .because(&fault)
                    .next("bring back the server that has them; if it is lost: `cradle backup read-back` takes in what this box knows of the rest")
            }
            OpenFault::Newer(_) => Self::new(Exit::Failed, "newer-data", "the data were written by a newer cradle")
                .because(&fault)
                .next("use that version, or a newer one"),
            OpenFault::Older(_) => Self::new(Exit::Failed, "older-data", "the data were written by an older cradle")
                .because(&fault)
                .next("run `cradle migrate` once: it brings the records up to date and loses nothing"),
            OpenFault::Full => full("the store was not opened for writing".into()),
            OpenFault::Setting(why) => {
                Self::new(Exit::Usage, "config", "the records cannot be reached as the settings say")
                    .because(why)
                    .next("correct [store] in cradle.toml, or the options of `cradle init`")
            }
            OpenFault::Engine(_) => Self::new(Exit::Unavailable, "store", "the store cannot be opened")
                .because(&fault)
                .next("check the disk and the permissions of the data directory"),
        }
    }
}

impl From<StoreFault> for Failure {
    fn from(fault: StoreFault) -> Self {
        of_fault(&fault.into(), "reading or writing the records")
    }
}

impl From<KeyFault> for Failure {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Medium(DISK_FULL) => full("a key was not written".into()),
            KeyFault::Medium(_) => Self::new(Exit::Unavailable, "key", "a key cannot be read or written")
                .because(fault)
                .next("check the directory `keys` in the data directory: that it is there, its permissions, its disk"),
            KeyFault::Exists | KeyFault::Missing | KeyFault::BadName | KeyFault::Unsupported => {
                Self::new(Exit::Unavailable, "key", "a key cannot be used")
                    .because(fault)
                    .next("compare the directory `keys` in the data directory with a backup")
            }
            KeyFault::Divided => Self::new(Exit::NotAuthorised, "key", "a key cannot be opened")
                .because(fault)
                .next("name the file of each share with --share, or in CRADLE_SHARES"),
            KeyFault::Locked => Self::new(Exit::NotAuthorised, "key", "a key cannot be opened").because(fault).next(
                "check the passphrase (--passphrase-file, CRADLE_PASSPHRASE_FILE, or secrets/passphrase in the data directory)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_write_a_key_is_not_asked_for_a_passphrase() {
        for fault in [KeyFault::Medium("the key file could not be written"), KeyFault::Missing, KeyFault::Exists] {
            let failure = Failure::from(fault);
            assert!(!failure.next.contains("passphrase") && !failure.next.is_empty(), "{failure}");
        }
        assert!(Failure::from(KeyFault::Locked).next.contains("passphrase"));
    }
    #[track_caller]
    fn is_full(failure: &Failure) {
        assert_eq!((failure.code, failure.exit), (DISK_FULL_CODE, Exit::Unavailable), "{failure}");
    }
    #[test]
    fn a_full_disk_is_one_wherever_it_is_met() {
        is_full(&StoreFault::Full.into());
        is_full(&OpenFault::Full.into());
        is_full(&KeyFault::Medium(DISK_FULL).into());
    }
}
