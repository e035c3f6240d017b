//! Calls that make, limit and replace certification authorities.

use super::authority::Done;
use super::{Call, Subject};
use crate::{AuthorityName, Base64, ProfileName, UnixTime};
use serde::{Deserialize, Serialize};

/// Makes a certification authority: its key, and its certificate through the same door as any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateAuthority {
    /// Its name in this instance, and the name of its key.
    pub name: AuthorityName,
    /// What its certificate may say.
    pub profile: ProfileName,
    /// Who signs it; itself if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub issuer: Option<AuthorityName>,
    /// The key's type: `p256`, `p384`, `ed25519`, `rsa3072` and so on.
    pub key_type: String,
    /// Where its key shall be: `file:NAME`, or a `pkcs11:` URI. A file of its own name if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// The new authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityCreated {
    /// Its certificate in DER.
    pub certificate: Base64,
}

impl Call for CreateAuthority {
    const SUBJECT: Subject = Subject::AuthorityCreate;
    type Reply = AuthorityCreated;
}

/// Takes in the certificate of an authority whose key is elsewhere: an offline root, or one of another installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportAuthority {
    /// Its name in this instance.
    pub name: AuthorityName,
    /// Its certificate in DER.
    pub certificate: Base64,
    /// Who issued it, and was taken in before; itself if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub issuer: Option<AuthorityName>,
}

impl Call for ImportAuthority {
    const SUBJECT: Subject = Subject::AuthorityImport;
    type Reply = Done;
}

/// Makes the key of an authority whose certificate is signed elsewhere. Repeating it gives the same key's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestAuthority {
    /// What shall be made; its issuer was taken in with [`ImportAuthority`].
    pub authority: CreateAuthority,
}

/// What goes to where the issuer's key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityRequested {
    /// A `CertificationRequest` in DER. Source: RFC 2986.
    pub request: Base64,
}

impl Call for RequestAuthority {
    const SUBJECT: Subject = Subject::AuthorityRequest;
    type Reply = AuthorityRequested;
}

/// Gives an authority that was requested its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallAuthority {
    /// Its name in this instance.
    pub name: AuthorityName,
    /// Its certificate in DER, signed by the issuer that was named when it was requested.
    pub certificate: Base64,
}

impl Call for InstallAuthority {
    const SUBJECT: Subject = Subject::AuthorityInstall;
    type Reply = Done;
}

/// Signs the request of an authority of another installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignAuthority {
    /// Its name, which goes into the certificate as the profile says.
    pub name: AuthorityName,
    /// What its certificate may say.
    pub profile: ProfileName,
    /// Who signs it.
    pub issuer: AuthorityName,
    /// Its `CertificationRequest` in DER.
    pub request: Base64,
}

impl Call for SignAuthority {
    const SUBJECT: Subject = Subject::AuthoritySign;
    type Reply = AuthorityCreated;
}

/// Says what an authority may do, beside what its certificate says. What is absent is without limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitAuthority {
    /// Which.
    pub name: AuthorityName,
    /// How many certificates it may issue from now on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quota: Option<u64>,
    /// When it ceases to issue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends: Option<UnixTime>,
}

impl Call for LimitAuthority {
    const SUBJECT: Subject = Subject::AuthorityLimit;
    type Reply = Done;
}

/// Gives an authority a new key. The old one goes on signing lists under another name, and issues nothing. Repeating
/// it after an interruption goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloverAuthority {
    /// What shall be made, under the name that it has already.
    pub authority: CreateAuthority,
}

/// What a rollover made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityRolledOver {
    /// The certificate of the new key in DER.
    pub certificate: Base64,
    /// The name of the old key's authority from now on.
    pub renamed: AuthorityName,
    /// For a root: the old key certified by the new one, and the new by the old. Source: RFC 9810 §4.4.
    pub links: Vec<Base64>,
}

impl Call for RolloverAuthority {
    const SUBJECT: Subject = Subject::AuthorityRollover;
    type Reply = AuthorityRolledOver;
}
