//! Rules that a certificate must not break, checked on its octets before they are signed.

mod octets;
mod said;

use crate::profile::Profile;
use model::UnixTime;
use std::fmt;
use x509::certificate::TbsRef;
use x509::weak::StrongKey;
use x509::{Extension, KeyType, Name, SignatureAlgorithm};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is issued all the same.
    Warning,
    /// It is not issued.
    Error,
}

macro_rules! findings {
    ($($name:ident = $severity:ident: $rule:literal, $source:literal;)+) => {
        /// A rule that would be broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Finding {
            $(#[doc = $rule] #[doc = concat!("Source: ", $source, ".")] $name,)+
        }

        impl Finding {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$name => stringify!($name),)+ } }
            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity { match self { $(Self::$name => Severity::$severity,)+ } }
            /// The rule, in one sentence.
            #[must_use]
            pub const fn rule(self) -> &'static str { match self { $(Self::$name => $rule,)+ } }
            /// Who says so.
            #[must_use]
            pub const fn source(self) -> &'static str { match self { $(Self::$name => $source,)+ } }
        }
    };
}

findings! {
    Encoding = Error: "It is the DER of a version 3 certificate.", "RFC 5280 §4.1";
    NotCanonical = Error: "Writing what was read gives the same octets.", "X.690 §10";
    SerialNotPositive = Error: "The serial number is positive.", "RFC 5280 §4.1.2.2";
    SerialTooLong = Error: "The serial number has at most 20 octets.", "RFC 5280 §4.1.2.2";
    SerialTooShort = Error: "The serial number has room for 64 random bits.", "CA/Browser Forum BR §7.1";
    TimeEncoding = Error: "Times are UTCTime to 2049 and GeneralizedTime after it, to the second, with Z.", "RFC 5280 §4.1.2.5";
    Backwards = Error: "It begins before it ends.", "RFC 5280 §4.1.2.5";
    Ended = Error: "It has not ended when it is issued.", "RFC 5280 §4.1.2.5";
    OutlivesIssuer = Error: "It ends no later than its issuer.", "the profile's issuer_expiry";
    Validity = Error: "It is valid for as long as the profile says.", "the profile's validity";
    IssuerNameless = Error: "The issuer has a name.", "RFC 5280 §4.1.2.4";
    Nameless = Error: "The subject has a name, or an alternative one.", "RFC 5280 §4.1.2.6";
    AltNameNotCritical = Error: "Without a subject the alternative name is critical.", "RFC 5280 §4.2.1.6";
    AttributeTwice = Error: "No attribute of a name stands twice, but for units and domain components.", "X.520 §6";
    AttributeTooLong = Error: "Attributes are no longer than their upper bounds.", "RFC 5280 appendix A.1";
    AttributeString = Error: "Attributes are of the string type that is theirs, and can be seen.", "RFC 5280 §4.1.2.4";
    Country = Error: "A country is two capital letters.", "RFC 5280 appendix A.1 (X.520 §6.3.1)";
    EmptySequence = Error: "No list is empty that must have an element.", "RFC 5280 §4.1.2.4, §4.1.2.9, §4.2.1";
    ExtensionTwice = Error: "No extension stands twice.", "RFC 5280 §4.2";
    KeyIdentifier = Error: "The identifiers of subject's and issuer's key are there and right.", "RFC 5280 §4.2.1.1, §4.2.1.2";
    KeyUsage = Error: "keyUsage is there, critical, and what the profile says.", "RFC 5280 §4.2.1.3";
    BasicConstraints = Error: "basicConstraints is critical, and what the profile says.", "RFC 5280 §4.2.1.9";
    CertSign = Error: "keyCertSign and CA:TRUE go together.", "RFC 5280 §4.2.1.9";
    KeyUnfit = Error: "Keys of this type can be used as keyUsage says.", "RFC 3279 §2.3.1, RFC 8410 §5, RFC 8813 §3";
    Purposes = Error: "The extended key usage is what the profile says.", "RFC 5280 §4.2.1.12";
    PurposeUnserved = Error: "Each extended purpose can be served with keyUsage.", "RFC 5280 §4.2.1.12";
    BadAltName = Error: "Alternative names are well formed, without wildcard or space.", "RFC 5280 §4.2.1.6";
    Pointer = Error: "What is to be fetched has an http or https address.", "RFC 5280 §4.2.1.13, §4.2.2.1";
    NameConstraints = Error: "Name constraints are critical, name something, and stand in authorities only.", "RFC 5280 §4.2.1.10";
    PolicyTwice = Error: "No policy stands twice.", "RFC 5280 §4.2.1.4";
    UnexpectedExtension = Error: "Every extension is one that the profile gives, to the octet.", "the profile's extensions";
    MissingExtension = Error: "Every extension that the profile gives is there.", "the profile's extensions";
    WeakKey = Error: "The key is strong.", "NIST SP 800-131A";
    KeyType = Error: "The profile names this type of key.", "the profile's key_types";
    Algorithm = Error: "It is signed as keys of the issuer's type sign.", "RFC 5280 §4.1.2.3";
    IssuerWeaker = Warning: "The issuer's key is as strong as the key that it certifies.", "NIST SP 800-57 part 1 §5.6.1";
    NotRevocable = Warning: "What ends says where to ask whether it was revoked.", "RFC 5280 §4.2.1.13, §4.2.2.1";
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: broken: {} ({})", self.name(), self.rule(), self.source())
    }
}

/// What the octets are compared with.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the types and names say what the fields are")]
pub struct Expected<'a> {
    pub profile: &'a Profile,
    pub issuer_key_type: KeyType,
    /// How the issuer signs.
    pub issuer_algorithm: SignatureAlgorithm,
    pub issuer_not_after: UnixTime,
    /// When it was drafted.
    pub now: UnixTime,
    /// The key that was looked at already.
    pub strong: Option<&'a StrongKey>,
    /// The name of the issuer, if it was looked at already.
    pub issuer: Option<&'a SoundName>,
    /// What was decided, in this order.
    pub extensions: &'a [Extension],
}

/// A name that breaks no rule of how names are written.
///
/// Whoever reads the same octets again need not look again: the verdict is on the octets.
#[derive(Clone, Debug)]
pub struct SoundName(Name);

impl SoundName {
    /// Looks whether a name breaks a rule; `None` if it does.
    #[must_use]
    pub fn prove(name: &Name) -> Option<Self> {
        let mut found = Found(Vec::new());
        let is_read = octets::name_alone(name.der(), &mut found).is_some();
        (is_read && found.0.is_empty()).then(|| Self(name.clone()))
    }

    /// Its octets.
    fn der(&self) -> &[u8] {
        self.0.der()
    }
}

/// Reads the octets as anybody else will, and finds every rule that is broken, each once, in the order of
/// [`Finding::ALL`].
#[must_use]
pub fn findings(tbs: &[u8], expected: &Expected<'_>) -> Vec<Finding> {
    let mut found = Found(Vec::new());
    // Without a decoder of ours first: it would refuse all of it and not say why.
    if octets::check(tbs, expected.issuer, &mut found).is_none() {
        found.add(Finding::Encoding, true);
    }
    match TbsRef::decode(tbs) {
        Ok(read) => {
            found.add(Finding::NotCanonical, read.write() != tbs);
            said::check(&read, expected, &mut found);
        }
        Err(_) => found.add(Finding::Encoding, true),
    }
    found.0.sort_unstable();
    found.0.dedup();
    found.0
}

/// The same of a certificate that another authority signed: only what holds for all, whatever our profile says. Its
/// serial numbers are its own.
#[must_use]
pub fn findings_of_another(tbs: &[u8]) -> Vec<Finding> {
    let mut found = Found(Vec::new());
    if octets::check(tbs, None, &mut found).is_none() {
        found.add(Finding::Encoding, true);
    }
    match TbsRef::decode(tbs) {
        Ok(read) => found.add(Finding::NotCanonical, read.write() != tbs),
        Err(_) => found.add(Finding::Encoding, true),
    }
    found.0.retain(|finding| finding.severity() == Severity::Error && *finding != Finding::SerialTooShort);
    found.0.sort_unstable();
    found.0.dedup();
    found.0
}

/// Whether nothing was found that stops issuing.
#[must_use]
pub fn is_clean(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity() < Severity::Error)
}

struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, finding: Finding, broken: bool) {
        if broken {
            self.0.push(finding);
        }
    }
}
