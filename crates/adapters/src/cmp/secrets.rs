//! The key to which one-time secrets are sealed, in the keystore of km.

use crate::keystore::FileKeystore;
use crate::vault::VaultPrivateKey;
use model::Fault;
use ports::keystore::KeyFault;
use ports::{Entropy, SecretReader};
use std::sync::{Arc, Mutex, PoisonError};

/// Its name in the keystore.
const LABEL: &str = "cmp.secrets";

/// Reads one-time secrets with a key that is made at the first use.
pub struct SecretKey {
    keystore: Arc<FileKeystore>,
    entropy: Arc<dyn Entropy>,
    held: Mutex<Option<Arc<VaultPrivateKey>>>,
}

impl SecretKey {
    /// The key in this keystore.
    #[must_use]
    pub fn new(keystore: Arc<FileKeystore>, entropy: Arc<dyn Entropy>) -> Self {
        Self { keystore, entropy, held: Mutex::default() }
    }

    fn key(&self) -> Result<Arc<VaultPrivateKey>, Fault> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = held.as_ref() {
            return Ok(Arc::clone(key));
        }
        let kept = match self.keystore.kept(LABEL) {
            Err(KeyFault::Missing) => {
                let made = VaultPrivateKey::generate(self.entropy.as_ref()).map_err(|_| UNUSABLE)?;
                match self.keystore.keep(LABEL, &made.to_pkcs8()) {
                    // Another process made one meanwhile.
                    Err(KeyFault::Exists) => self.keystore.kept(LABEL)?,
                    done => {
                        done?;
                        made.to_pkcs8()
                    }
                }
            }
            kept => kept?,
        };
        let key = Arc::new(VaultPrivateKey::from_pkcs8(&kept).map_err(|_| UNUSABLE)?);
        *held = Some(Arc::clone(&key));
        Ok(key)
    }
}

const UNUSABLE: Fault = Fault::unavailable("the key of one-time secrets cannot be used");

impl SecretReader for SecretKey {
    fn public_key(&self) -> Result<[u8; 32], Fault> {
        Ok(*self.key()?.public_key().octets())
    }

    fn open(&self, sealed: &[u8], info: &[u8]) -> Result<Box<dyn AsRef<[u8]> + Send + Sync>, Fault> {
        match self.key()?.open_secret(sealed, info) {
            Ok(secret) => Ok(Box::new(secret)),
            Err(_) => Err(Fault::unavailable("a one-time secret was sealed to another key than km's")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;
    use crate::testing::Temporary;
    use crate::vault::{VaultPublicKey, seal_secret};
    use zeroize::Zeroizing;

    fn key(dir: &Temporary) -> SecretKey {
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let passphrase = Zeroizing::new(b"passphrase".to_vec());
        let keystore = FileKeystore::new(dir.path().to_path_buf(), passphrase, Arc::clone(&entropy));
        SecretKey::new(Arc::new(keystore), entropy)
    }

    #[test]
    fn a_secret_is_opened_by_who_comes_after_and_only_for_its_purpose() {
        let dir = Temporary::new();
        let public = VaultPublicKey::new(key(&dir).public_key().unwrap());
        let sealed = seal_secret(b"secret", b"info", &public).unwrap();
        let again = key(&dir);
        assert_eq!(again.public_key().unwrap(), *public.octets());
        let opened = again.open(&sealed, b"info").unwrap();
        assert_eq!((*opened).as_ref(), b"secret");
        assert!(again.open(&sealed, b"other").is_err());
    }
}
