//! The keys with which modules sign in to the broker. They open its door, nothing more: who a caller is, the seal says.

use super::fault::OpenFault;
use crate::files;
use nkeys::{KeyPair, KeyPairType};
use ports::Entropy;
use std::path::Path;
use zeroize::Zeroizing;

/// Longest file of a seed, in octets: a seed is 58.
const SEED_LEN_MAX: u64 = 256;

/// A fresh key: its seed, and the public key that the server's configuration names.
pub struct Login {
    /// Secret.
    pub seed: Zeroizing<String>,
    /// Public.
    pub public_key: String,
}

impl Login {
    /// Makes one.
    ///
    /// # Errors
    /// [`OpenFault::Seed`] if the library cannot write it.
    pub fn make(entropy: &dyn Entropy) -> Result<Self, OpenFault> {
        let raw = Zeroizing::new(ports::clock::random::<32>(entropy));
        let pair = KeyPair::new_from_raw(KeyPairType::User, *raw).map_err(bad)?;
        Ok(Self { seed: Zeroizing::new(pair.seed().map_err(bad)?), public_key: pair.public_key() })
    }
}

/// Whether a text is the public key of a user, as the server's configuration names it.
#[must_use]
pub fn is_public_key(text: &str) -> bool {
    KeyPair::from_public_key(text).is_ok_and(|pair| pair.key_pair_type() == KeyPairType::User)
}

/// The public key that belongs to a seed.
///
/// # Errors
/// [`OpenFault::Seed`]
pub fn public_key_of(seed: &Path) -> Result<String, OpenFault> {
    KeyPair::from_seed(&read_seed(seed)?).map(|pair| pair.public_key()).map_err(bad)
}

fn bad(error: impl std::fmt::Display) -> OpenFault {
    OpenFault::Seed(error.to_string())
}

/// Reads the seed of a module.
pub(super) fn read_seed(path: &Path) -> Result<Zeroizing<String>, OpenFault> {
    let at = |why: &dyn std::fmt::Display| OpenFault::Seed(format!("{}: {why}", path.display()));
    let octets = Zeroizing::new(files::read_bounded(path, SEED_LEN_MAX).map_err(|e| at(&e))?);
    let text = std::str::from_utf8(&octets).map_err(|_| at(&"no text"))?.trim();
    let pair = KeyPair::from_seed(text).map_err(|_| at(&"no seed of a key"))?;
    match pair.key_pair_type() {
        KeyPairType::User => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(at(&"the seed of another kind of key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(is_public_key(text), expected, "{text:?}");
    }
    fn login() -> Login {
        Login::make(&crate::clock::SystemEntropy::default()).unwrap()
    }
    #[test]
    fn the_public_key_of_a_user_is_one() {
        check(&login().public_key, true);
    }
    #[test]
    fn a_seed_is_none() {
        check(&login().seed, false);
    }
    #[test]
    fn the_key_of_another_kind_is_none() {
        check(&KeyPair::new_from_raw(KeyPairType::Account, [7; 32]).unwrap().public_key(), false);
    }
    #[test]
    fn what_would_change_the_configuration_is_none() {
        check(&format!("{}\n}}", login().public_key), false);
        check("", false);
    }
    #[test]
    fn the_public_key_of_a_seed_is_found_again() {
        let (dir, login) = (crate::testing::Temporary::new(), login());
        let path = dir.path().join("seed");
        std::fs::write(&path, format!("{}\n", login.seed.as_str())).unwrap();
        assert_eq!(public_key_of(&path).ok(), Some(login.public_key));
    }
}
