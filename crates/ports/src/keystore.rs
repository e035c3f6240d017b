//! Where private keys live.

use crate::signer::Signer;
use model::Fault;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use x509::{KeyType, SignatureAlgorithm};

/// Names a key by the place where it lives: `file:root`. The scheme says which adapter opens it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyUri(pub String);

/// What of a query says that a key is divided: `?shares=3of5`.
const SHARES: &str = "shares=";

/// What of a query says how a key signs, if not as keys of its type do by themselves: `?signature=RSASSA-PSS-SHA256`.
const SIGNATURE: &str = "signature=";

impl KeyUri {
    /// How the key signs, if the URI says so.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`] if there is no such algorithm.
    pub fn signature(&self) -> Result<Option<SignatureAlgorithm>, KeyFault> {
        let (_, query) = self.0.split_once('?').unwrap_or_default();
        let asked = query.split('&').find_map(|part| part.strip_prefix(SIGNATURE));
        asked.map(|name| SignatureAlgorithm::by_name(name).ok_or(KeyFault::Unsupported)).transpose()
    }

    /// Whether the key is with a foreign authority, which is asked to sign.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.0.starts_with(FOREIGN)
    }

    /// The URI without how the key signs: where it is.
    #[must_use]
    pub fn place(&self) -> Self {
        let Some((path, query)) = self.0.split_once('?') else { return self.clone() };
        let rest: Vec<_> = query.split('&').filter(|part| !part.starts_with(SIGNATURE)).collect();
        Self(if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) })
    }

    /// How many shares open the key, and how many there are, if it is divided.
    ///
    /// # Errors
    /// [`KeyFault::BadName`] if that is not written `3of5`, from 2 to 255, or more are needed than there are.
    pub fn shares(&self) -> Result<Option<(u8, u8)>, KeyFault> {
        let (_, query) = self.0.split_once('?').unwrap_or_default();
        let Some(said) = query.split('&').find_map(|part| part.strip_prefix(SHARES)) else { return Ok(None) };
        let (need, of) = said.split_once("of").ok_or(KeyFault::BadName)?;
        let read = |text: &str| text.parse::<u8>().ok().filter(|n| n.to_string() == text).ok_or(KeyFault::BadName);
        let (need, of) = (read(need)?, read(of)?);
        if need < 2 || need > of { Err(KeyFault::BadName) } else { Ok(Some((need, of))) }
    }

    /// The URI without that the key is divided.
    #[must_use]
    pub fn whole(&self) -> Self {
        let Some((path, query)) = self.0.split_once('?') else { return self.clone() };
        let rest: Vec<_> = query.split('&').filter(|part| !part.starts_with(SHARES)).collect();
        Self(if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) })
    }

    /// The place of a key, and how it signs.
    #[must_use]
    pub fn signing_by(self, algorithm: Option<SignatureAlgorithm>) -> Self {
        let Some(algorithm) = algorithm else { return self };
        let sign = if self.0.contains('?') { '&' } else { '?' };
        Self(format!("{}{sign}{SIGNATURE}{algorithm}", self.0))
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of a key that is not in this installation: of an offline root, for instance.
pub const OFFLINE: &str = "offline:";

/// What the names of keys begin with that are with a foreign authority, which is asked by CMP: `cmp:http://HOST/PATH`.
pub const FOREIGN: &str = "cmp:";

/// Keeps private keys and signs with them.
pub trait Keystore: Send + Sync {
    /// Makes a key, durable before this returns.
    ///
    /// # Errors
    /// [`KeyFault`]
    fn generate(&self, label: &str, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault>;

    /// Makes a key where the URI says. The URI that comes back names it for good.
    ///
    /// # Errors
    /// [`KeyFault`]; [`KeyFault::BadName`] if the URI is of another keystore.
    fn generate_at(&self, uri: &KeyUri, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        let label = uri.0.strip_prefix("file:").ok_or(KeyFault::BadName)?;
        self.generate(label, key_type)
    }

    /// Opens a key for signing. Dropping the last reference wipes it from memory.
    ///
    /// # Errors
    /// [`KeyFault`]
    fn open(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>, KeyFault>;
}

/// A key could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// A key of that name exists.
    Exists,
    /// No key of that name.
    Missing,
    /// The passphrase is wrong, or the file is damaged: authenticated decryption cannot tell them apart.
    Locked,
    /// The name is not fit for this keystore.
    BadName,
    /// This keystore does not make keys of that type.
    Unsupported,
    /// The key is divided, and too few of its shares were given.
    Divided,
    /// The medium failed.
    Medium(&'static str),
}

const TOO_FEW_SHARES: &str = "the key is divided, and too few of its shares were given; name each file with --share";

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exists => "a key of that name exists",
            Self::Missing => "there is no key of that name",
            Self::Locked => "the passphrase is wrong or the key file is damaged",
            Self::BadName => "the key's name does not fit this keystore",
            Self::Unsupported => "this keystore makes no keys of that type",
            Self::Divided => TOO_FEW_SHARES,
            Self::Medium(what) => what,
        })
    }
}
impl std::error::Error for KeyFault {}
impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Exists => Fault::Refused(model::Reason::NameTaken),
            KeyFault::Missing => Fault::unavailable("there is no key of that name"),
            KeyFault::Locked => Fault::unavailable("the passphrase is wrong or the key file is damaged"),
            KeyFault::BadName => Fault::malformed("key name"),
            KeyFault::Unsupported => Fault::Refused(model::Reason::KeyTypeNotAllowed),
            KeyFault::Divided => Fault::unavailable(TOO_FEW_SHARES),
            KeyFault::Medium(what) => Fault::unavailable(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, place: &str, signature: Option<SignatureAlgorithm>) {
        let uri = KeyUri(uri.to_owned());
        assert_eq!((uri.place().0.as_str(), uri.signature()), (place, Ok(signature)));
        let again = uri.place().signing_by(signature);
        assert_eq!((again.place(), again.signature()), (uri.place(), Ok(signature)));
    }

    #[test]
    fn a_place_alone() {
        check("file:root", "file:root", None);
    }
    #[test]
    fn a_place_and_a_signature() {
        check("file:root?signature=RSASSA-PSS-SHA256", "file:root", Some(SignatureAlgorithm::RsaPssSha256));
    }
    #[test]
    fn a_signature_among_others() {
        let uri = "pkcs11:token=a?module-path=/x.so&signature=RSASSA-PSS-SHA512&pin-source=file:/p";
        check(uri, "pkcs11:token=a?module-path=/x.so&pin-source=file:/p", Some(SignatureAlgorithm::RsaPssSha512));
    }
    #[track_caller]
    fn check_shares(uri: &str, expected: Result<Option<(u8, u8)>, KeyFault>) {
        assert_eq!(KeyUri(uri.into()).shares(), expected, "{uri}");
    }
    #[test]
    fn a_uri_says_that_a_key_is_divided() {
        check_shares("file:root", Ok(None));
        check_shares("file:root?shares=3of5", Ok(Some((3, 5))));
        check_shares("file:root?signature=RSASSA-PSS-SHA256&shares=2of2", Ok(Some((2, 2))));
        let uri = KeyUri("file:root?shares=3of5&signature=RSASSA-PSS-SHA256".into());
        assert_eq!(
            (uri.whole().0.as_str(), uri.whole().place().0.as_str()),
            ("file:root?signature=RSASSA-PSS-SHA256", "file:root")
        );
    }
    #[test]
    fn a_division_that_is_none_is_refused() {
        for said in ["", "3", "3of", "of5", "6of5", "1of5", "0of0", "3of256", "+3of5", "03of5", "3OF5"] {
            check_shares(&format!("file:root?shares={said}"), Err(KeyFault::BadName));
        }
    }
    #[test]
    fn an_algorithm_that_is_none_is_refused() {
        assert_eq!(KeyUri("file:a?signature=md5".into()).signature(), Err(KeyFault::Unsupported));
    }
}
