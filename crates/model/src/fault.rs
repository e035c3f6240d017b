//! The ways in which a request can fail: whose fault is it, and does retrying help?

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The peer's octets are not what they should be; retrying will not help.
    Malformed(Cow<'static, str>),
    /// Well formed, and a rule says no; retrying will not help until something else changes.
    Refused(Reason),
    /// Ours: store, keystore or bus; retrying may help.
    Unavailable(Cow<'static, str>),
}

impl Fault {
    /// The peer's octets are not what they should be.
    #[must_use]
    pub const fn malformed(what: &'static str) -> Self {
        Self::Malformed(Cow::Borrowed(what))
    }

    /// Something of ours does not work now.
    #[must_use]
    pub const fn unavailable(what: &'static str) -> Self {
        Self::Unavailable(Cow::Borrowed(what))
    }

    /// The word that `cradle explain` explains.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Refused(reason) => reason.code(),
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::Refused(reason) => write!(f, "refused: {}", reason.what()),
            Self::Unavailable(what) => write!(f, "unavailable: {what}"),
        }
    }
}
impl std::error::Error for Fault {}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $what:literal; $next:literal,)+) => {
        /// Why a well-formed request was refused. Exhaustive: a new reason must stop the build wherever reasons are
        /// translated.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $(#[doc = $what] #[serde(rename = $code)] $name,)+
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// The word in messages, records and on the command line.
            #[must_use]
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code,)+ } }
            /// What is the matter, in one clause.
            #[must_use]
            pub const fn what(self) -> &'static str { match self { $(Self::$name => $what,)+ } }
            /// What to do next.
            #[must_use]
            pub const fn next(self) -> &'static str { match self { $(Self::$name => $next,)+ } }
        }
    };
}

reasons! {
    // The request itself.
    ProofOfPossession = "proof-of-possession": "the request is not signed by the key that it asks a certificate for";
        "make the request again on the device that holds the key",
    ProofMissing = "proof-missing": "the request brings no proof that its sender holds the key";
        "sign the request, or send it through a station that may vouch for the device (`cradle station entitle`)",
    NameMismatch = "name-mismatch": "the request asks for a name that is not the registered one";
        "leave the subject empty, or write only what is registered; a name comes from the registration, never from the request",
    KeysNotMade = "keys-not-made": "the request brings no key, and none is made for it under this label";
        "let the device make its own, or set `server_keys` for the label; none is made where operators approve each request",
    KeyUnsendable = "key-unsendable": "a key that is made for the requester could not be encrypted for it";
        "ask with the one-time secret, or with a certificate on a curve (keyAgreement) or of RSA (keyEncipherment)",
    CaRequested = "ca-requested": "the request asks to become a certification authority";
        "leave basicConstraints CA:TRUE and keyCertSign out; authorities are made by `cradle ca create`",
    ExtensionNotAllowed = "extension-not-allowed": "the request asks for an extension that the profile does not give";
        "ask only for what `cradle profile show` lists, or for nothing: the profile adds what is due",
    TemplateNotAllowed = "template-not-allowed": "the template sets a field that only the authority may set";
        "leave serialNumber, signingAlg, issuer, validity and unique identifiers out of the template",
    WeakKey = "weak-key": "the key is weak";
        "make a new key: P-256, P-384, Ed25519, or RSA of at least 2048 bits with exponent 65537",
    KeyTypeNotAllowed = "key-type-not-allowed": "the profile does not name this type of key";
        "use a key type that `cradle profile show` lists",
    KeyInUse = "key-in-use": "another subject already has a certificate for this key";
        "find it with `cradle cert list --key`; a cloned or shared key must be made anew",
    // Leave to be certified.
    NoGrant = "no-grant": "nobody has left a grant for this subject and profile";
        "put the device on a registration list (`cradle list import`)",
    GrantExpired = "grant-expired": "the grant for this subject has ended";
        "import a list with a later end date",
    GrantSpent = "grant-spent": "the grant for this subject is used up";
        "see `cradle device show`; if its certificate was read back after a restore, `cradle cert revoke --device SERIAL --reason superseded` lets it have another",
    RightMissing = "right-missing": "this station, or registration authority, may not vouch for devices of this type";
        "entitle it with `cradle station entitle`, or let the device sign its own request",
    RightExpired = "right-expired": "this station's right to vouch for devices has ended";
        "renew it with `cradle station entitle`",
    RightSpent = "right-spent": "this station has vouched for as many devices as it may";
        "raise its quota with `cradle station entitle` after counting what was made",
    ProfileUnknown = "profile-unknown": "there is no such profile";
        "list them with `cradle profile list`",
    TransactionConflict = "transaction-conflict": "this transaction identifier was used for another request";
        "use a new transaction identifier for a new request",
    TransactionUnknown = "transaction-unknown": "there is no such transaction of this caller";
        "check the identifier; only the station that asked may confirm or reject",
    TransactionClosed = "transaction-closed": "this transaction has ended without a usable certificate";
        "start a new transaction",
    // Who comes over the network.
    LabelUnknown = "label-unknown": "there is no such label";
        "name one of those in [gateway.est] of cradle.toml",
    LabelMismatch = "label-mismatch": "the certificate that was shown is not one of those that this label renews";
        "renew it under the label of its own profile; enrol under this one if the device may have both",
    ClientUnproved = "client-unproved": "the client showed nothing that says who it is";
        "show a certificate in TLS, or the one-time secret of `cradle device allow --secret`",
    ClientUnknown = "client-unknown": "the certificate that was shown is no device's of this installation";
        "show the one that was issued here, or over EST and CMP that of a maker who is named with `cradle maker trust`",
    ClientRevoked = "client-revoked": "the certificate that was shown, or that of its authority, is revoked or on hold";
        "release it if it is on hold; otherwise `cradle device allow --secret` lets the device enrol anew",
    ClientExpired = "client-expired": "the certificate that was shown is not valid now";
        "`cradle device allow --secret` lets the device enrol anew; devices renew before the end",
    NotAppointed = "not-appointed": "who asks for others is no registration authority of this label";
        "see `registration_authorities` of the label; its certificate has the purpose cmcRA, and may make signatures",
    MakerMismatch = "maker-mismatch": "the certificate that was shown names a maker who did not sign it";
        "nothing, if you did not send it; a maker with another key under the same name is named beside the first with `cradle maker trust`",
    NotAnIdevid = "not-an-idevid": "the certificate that was shown is signed by a maker, and is none of a device that may show it";
        "show the device's own certificate: no authority's, and for clients, if it says what it is for",
    IdevidNotListed = "idevid-not-listed": "no list has the maker's certificate that was shown";
        "see `cradle list show`; import the list of the party that delivers the device, with the columns maker and idevid",
    MakerListStale = "maker-list-stale": "the maker's list of revoked certificates is missing or out of date";
        "get the present one from the maker, and give it to `cradle maker revoked`",
    KeyReused = "key-reused": "the request is for the key of the maker's certificate that was shown";
        "have the device make a key of its own for this certificate",
    ClientsDiffer = "clients-differ": "the certificate and the secret that were shown belong to two devices";
        "nothing, if you did not send it: it was refused and recorded",
    SecretUnknown = "secret-unknown": "there is no such secret for this device under this label";
        "make one with `cradle device allow --secret`, and write the serial number as its user",
    SecretExpired = "secret-expired": "the one-time secret has ended";
        "make another one with `cradle device allow --secret`",
    SecretUsed = "secret-used": "the one-time secret was used for another key";
        "make another one with `cradle device allow --secret`; if the device did not use it, somebody else did",
    ChannelUnbound = "channel-unbound": "the request is not bound to the connection on which it came";
        "have the client put tls-exporter (RFC 9266) into challengePassword over TLS 1.3, or leave that empty where the label allows it",
    AlreadyRenewed = "already-renewed": "another certificate took the place of the one that was shown";
        "use that one; if the device lost it, revoke it as superseded, and the older one renews once more",
    ProtectionInvalid = "protection-invalid": "the protection of the message does not hold: it was altered, or made with another key or secret";
        "nothing, if you did not send it; otherwise compare the secret with that of `cradle device allow --secret`",
    ProtectionWeak = "protection-weak": "the message is protected by an algorithm, or with numbers, that are not taken";
        "use SHA-256 or better, 8 octets of salt or more, and from 100 to 100000 iterations",
    ConfirmationWrong = "confirmation-wrong": "the confirmation is of another certificate than the one that was issued, which was revoked";
        "start a new transaction; compare what the device received with `cradle cert show`",
    AlreadyConfirmed = "already-confirmed": "the certificate was confirmed before";
        "nothing: it is in force",
    OtherCertificate = "other-certificate": "the message is about a certificate that is not its sender's own";
        "sign it with the device's own certificate; operators revoke others' with `cradle cert revoke`",
    NonceStale = "nonce-stale": "the nonce of the message was used, is too old, or is none of ours";
        "nothing: clients take the next one by themselves; if it repeats, somebody sends messages again that are not theirs",
    UrlMismatch = "url-mismatch": "the message was signed for another address than the one that it came to";
        "nothing, if you did not send it; otherwise see that a proxy keeps the field Host, and `gateway.names`",
    MessageAmbiguous = "message-ambiguous": "the message has a member twice, so that it could be read in two ways";
        "nothing: no client writes such messages by itself",
    BindingMissing = "binding-missing": "the account that was asked for is bound to no registration";
        "give the client the key identifier and the key of `cradle device allow --secret` (external account binding)",
    AccountUnknown = "account-unknown": "there is no such account under this label";
        "register the client with the key of `cradle device allow --secret`",
    AccountEnded = "account-ended": "the account was deactivated, or a newer one of its device took its place";
        "register the client anew with the key of `cradle device allow --secret`",
    OtherAccount = "other-account": "the message is about something of another account";
        "nothing, if you did not send it: it was refused and recorded",
    OrderMismatch = "order-mismatch": "the request does not have exactly the names of its order, or has the account's own key";
        "write all names of the order as subjectAltName, nothing else, and a key of its own",
    OrderNotReady = "order-not-ready": "the order is not ready: not all its names are proved, or it has ended";
        "prove what is open, or make a new order",
    ChallengeUnnamed = "challenge-unnamed": "the name that was to be proved has no address, or no such record";
        "see what the resolver of `[gateway.validation]` says of it",
    ChallengeUnreached = "challenge-unreached": "nobody answered where the name was to be proved";
        "see that the client listens there, and that the gateway may reach it",
    ChallengeAddress = "challenge-address": "the name leads to an address that is not asked: loopback, link-local, private or reserved";
        "if devices are there, name their network in `allowed_networks` of `[gateway.validation]`",
    ChallengeRedirect = "challenge-redirect": "where the name was to be proved, another place was named that is not followed";
        "answer at once, or redirect over http to the same port only",
    ChallengeTooLong = "challenge-too-long": "the answer where the name was to be proved has no end in sight";
        "answer with the key authorization, and nothing else",
    ChallengeSlow = "challenge-slow": "the answer where the name was to be proved did not come in time";
        "see what holds the client or its line up",
    ChallengeTls = "challenge-tls": "no TLS connection came about where the name was to be proved";
        "offer TLS 1.3 and the protocol acme-tls/1",
    ChallengeWrong = "challenge-wrong": "what was found where the name was to be proved is not what proves it";
        "see what answers there: it is not the client that asked, or has another account's key",
    AttestationInvalid = "attestation-invalid": "the attestation cannot be read, or was not signed for this challenge by the TPM that it names";
        "send what the TPM certifies of the key, with the SHA-256 of the key authorization as its qualifying data",
    AttestationUntrusted = "attestation-untrusted": "nobody who is believed vouches for the TPM that made the attestation";
        "see `attestation_roots` of the label, and whether the certificate of the attestation key has the purpose of one",
    KeyNotAttested = "key-not-attested": "the key that is asked for is not the one that was attested, or could be elsewhere, too";
        "make the key in the TPM, fixed to it, and ask for this one",
    // The authority.
    LintFailed = "lint-failed": "the certificate would break a rule, so it was not signed";
        "see the finding in the log; correct the profile and run `cradle profile check`",
    OutlivesIssuer = "outlives-issuer": "the certificate would be valid longer than its issuer";
        "shorten the profile's validity or renew the issuer",
    IssuerUnknown = "issuer-unknown": "there is no such certification authority";
        "list them with `cradle ca list`",
    IssuerRevoked = "issuer-revoked": "the certification authority is revoked";
        "issue under another authority",
    IssuerNotAllowed = "issuer-not-allowed": "this authority may not issue under this profile";
        "see `issuers` in the profile, and the authority's path length",
    NameTaken = "name-taken": "something of that name exists";
        "choose another name",
    SerialUnknown = "serial-unknown": "no certificate has this serial number";
        "list them with `cradle cert list`",
    NotHeld = "not-held": "the certificate is not on hold";
        "nothing: only what is on hold can be released, all else is final",
    AuthoritySpent = "authority-spent": "the certification authority has issued as many certificates as it may";
        "raise its quota with `cradle ca limit`, after counting what was made",
    AuthorityEnded = "authority-ended": "the certification authority does not issue any more";
        "see `cradle ca list`: it reached the end that was set for it, or another took its place",
    KeyOffline = "key-offline": "the key of this authority is not in this installation";
        "take the request to where the key is (`cradle ca request`), and bring the certificate back",
    ForeignRefused = "foreign-refused": "the foreign authority refused it";
        "see why with `cradle explain TRANSACTION`, and ask the operator of that authority",
    ForeignMisfit = "foreign-misfit": "the foreign authority gave a certificate that the profile does not allow, so it was not taken";
        "see what is wrong with `cradle explain TRANSACTION`; change that authority's profile, or this one",
    ForeignUnsettled = "foreign-unsettled": "it is not known whether the foreign authority certified the key";
        "`cradle ca settle AUTHORITY` shows what is open, and how to end it",
    Quarantined = "quarantined": "this installation was restored from a backup, and has not been released yet";
        "read back what is newer than the backup, then `cradle backup confirm`",
    AwaitingApproval = "awaiting-approval": "the request waits for operators to approve it";
        "see `cradle approve list`; repeat the request with the same transaction identifier afterwards",
    ApprovalDenied = "approval-denied": "an operator denied the request";
        "ask the operator; a new request needs a new transaction identifier",
    RateExceeded = "rate-exceeded": "this requester asks for more than it may";
        "wait a little, or raise its limit in cradle.toml",
    AlreadyRevoked = "already-revoked": "the certificate is revoked already";
        "nothing: revocation is final",
    ClockBackwards = "clock-backwards": "the clock is behind what was already recorded";
        "set the clock; until then nothing is issued",
    // The bus.
    UnknownCaller = "unknown-caller": "the message is signed by a key that no module has";
        "nothing, if you did not send it: it was refused and recorded",
    SignatureInvalid = "signature-invalid": "the message was altered or its signature is false";
        "nothing, if you did not send it: it was refused and recorded",
    CallerNotAllowed = "caller-not-allowed": "this module may not make this call";
        "see contracts/callers.toml",
    WrongSubject = "wrong-subject": "the message was signed for another subject";
        "nothing, if you did not send it: it was refused and recorded",
    OutOfTime = "out-of-time": "the message is too old, from the future, or past its deadline";
        "compare the clocks of both boxes",
    Replayed = "replayed": "the message was received before";
        "nothing, if you did not send it: it was refused and recorded",
    WrongMode = "wrong-mode": "the message was sent in another operation mode or epoch";
        "see `cradle mode show`; repeat the call in the present mode",
    ModuleOff = "module-off": "the module is off in the present operation mode";
        "see `cradle mode show`; change it with `cradle mode set`",
    Sealed = "sealed": "the box is sealed";
        "find the cause in the audit log (`cradle audit list`), then `cradle mode set`",
    ModeNotNewer = "mode-not-newer": "the mode statement is older than the one in force";
        "sign a new one with `cradle mode set`",
    ModeNotCovered = "mode-not-covered": "the operator's order does not cover this mode";
        "change the order with `cradle mode set`",
    // Software.
    UpstreamSignature = "upstream-signature": "the release is not signed by the keys that this box trusts";
        "get the release again from its maker; if it still fails, tell them",
    CountersignatureInvalid = "countersignature-invalid": "the stored release does not carry this site's countersignature";
        "import the release again with `cradle release import`",
    BothSignaturesInvalid = "both-signatures-invalid": "neither the maker's signature nor this site's countersignature holds";
        "the box is sealed: the store was tampered with; keep it for examination",
    ImageMismatch = "image-mismatch": "the image is not the one that was signed";
        "import the release again; if it still fails, the store or its source was altered",
    ImageTooLong = "image-too-long": "the image is longer than was announced";
        "get the release again from its maker",
    ReleaseRolledBack = "release-rolled-back": "the release is older than one already accepted";
        "use the newest release; going back needs a new release with a higher counter",
    ReleaseExpired = "release-expired": "the release's metadata has expired";
        "get fresh metadata from the maker",
    ReleaseUnknown = "release-unknown": "there is no such release in this store";
        "import one with `cradle release import`",
    SecondSignatureMissing = "second-signature-missing": "fewer roles of the repository sign the release than its device type demands";
        "have the integrator sign it too (`cradle repo agree`), publish, and import again",
    NothingFollowed = "nothing-followed": "this box follows no repository of software";
        "give it the first root of one with `cradle release follow`",
    WrongHardware = "wrong-hardware": "the release is not for this device type";
        "use the release that names this device type",
    SignerUnknown = "signer-unknown": "nobody signed it whose key is registered";
        "follow the repository of whoever made it, with `cradle release follow`",
    // The station.
    NotOnList = "not-on-list": "the board is on no registration list";
        "set the board aside; if it is yours, import a list that names it",
    AlreadyProvisioned = "already-provisioned": "this board has been provisioned before";
        "nothing: it is done; `cradle device show` tells when",
    SerialTaken = "serial-taken": "another board carries this serial number";
        "set both boards aside: one of them carries a copied label",
    BoardTaken = "board-taken": "this board carries another serial number in the records";
        "set the board aside: its label was changed",
    WrongType = "wrong-type": "the board is of another type than the list or the station says";
        "use the station of that type, or correct the list",
    BoardSilent = "board-silent": "the board does not answer";
        "check cable and power, then run the station again: it goes on where it stopped",
    BoardRefused = "board-refused": "the board refused a step";
        "see the adapter's message in the log, then run the station again",
    FlashMismatch = "flash-mismatch": "what was read back is not what was written";
        "run the station again; if it repeats, the board's memory is bad",
    SoftwareMissing = "software-missing": "the board does not carry the software of its device type";
        "flash it first, in the mode provision-software or provision",
    ChallengeFailed = "challenge-failed": "the board could not prove that it holds the certified key";
        "set the board aside: its key is not the one that was certified",
    KeyChanged = "key-changed": "the board now has another key than the one that was certified";
        "the unconfirmed certificate was revoked; run the station again",
    BoardHeld = "board-held": "the device is marked stolen, lost or scrapped";
        "nothing is given to it; see `cradle device show`",
    // Makers.
    MakerUnknown = "maker-unknown": "nobody trusts a certificate under this maker's name";
        "check the certificate with the maker, then register it with `cradle maker trust`",
    MakerKnown = "maker-known": "this maker is known with another certificate, or with other demands on its lists";
        "check with the maker what is right, then replace what is known explicitly",
    MakerListInvalid = "maker-list-invalid": "the list of revoked certificates is not the maker's own, or not a whole one";
        "get the full list from the maker: signed by the key that signs the certificates of devices; nothing was taken",
    MakerListNotNewer = "maker-list-not-newer": "a newer list of revoked certificates was taken from this maker already";
        "get the present one from the maker; nothing was taken",
    // Lists.
    ListInvalid = "list-invalid": "the list has an error; nothing was imported";
        "correct the line that is named and import again",
    ListContradicts = "list-contradicts": "the list says something else of a device than an earlier list";
        "settle it with the supplier; nothing was imported",
    ListNotNewer = "list-not-newer": "a list of this number, or a higher one, was taken from this supplier already";
        "ask the supplier for a list with the next number; nothing was imported",
    ListSignature = "list-signature": "the signature does not belong to this list, or is not its supplier's";
        "get list and signature again from the supplier; nothing was imported",
    ListOfAnother = "list-of-another": "the list is signed by another supplier than it names";
        "settle it with both suppliers; nothing was imported",
    ListUnsigned = "list-unsigned": "the list has no signature, and may not be taken without";
        "give the supplier's signature with `--signature`; nothing was imported",
    SupplierUnknown = "supplier-unknown": "nobody trusts a key under this supplier's name";
        "check the key with the supplier, then register it with `cradle list trust`",
    SupplierKnown = "supplier-known": "this supplier has another key";
        "check the new key with the supplier, then replace the old one explicitly",
}

impl Reason {
    /// The reason of that code.
    #[must_use]
    pub fn by_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        for reason in Reason::ALL {
            assert_eq!(Reason::by_code(reason.code()), Some(*reason));
        }
    }
    #[test]
    fn faults_survive_json() {
        let faults = [Fault::malformed("x"), Fault::Refused(Reason::NoGrant), Fault::unavailable("store")];
        for fault in faults {
            let json = serde_json::to_string(&fault).unwrap();
            assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        }
    }
    #[test]
    fn an_unknown_reason_is_refused() {
        assert!(serde_json::from_str::<Fault>(r#"{"refused":"because"}"#).is_err());
    }
}
