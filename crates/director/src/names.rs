//! Names and keys, as documents have them.

use model::octets::{from_hex, hex};
use serde::{Deserialize, Serialize};
use std::fmt;
use update::PlainName;
use x509::PublicKey;

/// The name of a component, a group or a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(PlainName);

impl Name {
    /// The name, as the rules of Uptane have it.
    #[must_use]
    pub const fn plain(&self) -> &PlainName {
        &self.0
    }
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for Name {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
impl std::str::FromStr for Name {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is no name: letters, digits, '.', '-', '_' or '+'"))
    }
}
impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_str().to_owned()
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A public key, as documents have it: its DER in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Spki(PublicKey);

impl Spki {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.0
    }
}

impl From<PublicKey> for Spki {
    fn from(key: PublicKey) -> Self {
        Self(key)
    }
}
impl TryFrom<String> for Spki {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let der = from_hex(&text).map_err(|_| "it is no key")?;
        PublicKey::decode(&der).map(Self).map_err(|_| "it is no key")
    }
}
impl From<Spki> for String {
    fn from(spki: Spki) -> Self {
        hex(spki.0.spki())
    }
}
