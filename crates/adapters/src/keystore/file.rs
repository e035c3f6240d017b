//! Keys in files, encrypted under a passphrase: PKCS #8 with PBES2, scrypt and AES-256-CBC, as OpenSSL reads them.

use super::memory::MemoryKey;
use crate::files;
use pkcs8::pkcs5::pbes2::{self, Kdf};
use pkcs8::pkcs5::scrypt;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use ports::clock::random;
use ports::keystore::{KeyFault, KeyUri};
use ports::{Entropy, Keystore, Signer};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use x509::{KeyType, pem};
use zeroize::Zeroizing;

/// The URI scheme of keys in this keystore.
pub const SCHEME: &str = "file:";
const PEM_LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// scrypt's cost: 2^14 blocks of 8, 16 MiB and some 30 ms. OpenSSL reads no more than 32 MiB without being told to.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;
/// The highest cost that is opened: 2^20 blocks, a gigabyte. Beyond it a file is an attack on memory.
const SCRYPT_N_MAX: u64 = 1 << 20;
/// Longest key file in octets: RSA-4096 needs 3.5 KiB.
const FILE_LEN_MAX: u64 = 16 * 1024;

/// Keys in files of one directory, all under one passphrase.
pub struct FileKeystore {
    directory: PathBuf,
    passphrase: Zeroizing<Vec<u8>>,
    entropy: Arc<dyn Entropy>,
}

impl FileKeystore {
    /// A keystore on a directory, which must exist.
    #[must_use]
    pub fn new(directory: PathBuf, passphrase: Zeroizing<Vec<u8>>, entropy: Arc<dyn Entropy>) -> Self {
        Self { directory, passphrase, entropy }
    }

    fn path(&self, label: &str) -> Result<PathBuf, KeyFault> {
        let plain = label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'@'));
        if label.is_empty() || label.len() > 128 || label.starts_with('.') || !plain {
            return Err(KeyFault::BadName);
        }
        Ok(self.directory.join(format!("{label}.p8")))
    }

    fn encrypt(&self, secret: &[u8]) -> Result<String, KeyFault> {
        let failed = KeyFault::Medium("the key could not be encrypted");
        let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).map_err(|_| failed)?;
        let salt: [u8; 16] = random(self.entropy.as_ref());
        let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, random(self.entropy.as_ref()));
        let info = PrivateKeyInfoRef::try_from(secret).map_err(|_| failed)?;
        let document =
            info.encrypt_with_params(parameters.map_err(|_| failed)?, &self.passphrase).map_err(|_| failed)?;
        Ok(pem::encode(PEM_LABEL, document.as_bytes()))
    }

    fn decrypt(&self, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let (label, der) = pem::decode(text).ok_or(KeyFault::Locked)?;
        if label != PEM_LABEL {
            return Err(KeyFault::Locked);
        }
        let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| KeyFault::Locked)?;
        let affordable = match info.encryption_algorithm.pbes2().map(|p| &p.kdf) {
            Some(Kdf::Scrypt(scrypt)) => scrypt.cost_parameter <= SCRYPT_N_MAX,
            Some(_) => true,
            None => false,
        };
        if !affordable {
            return Err(KeyFault::Locked);
        }
        let document = info.decrypt(&self.passphrase).map_err(|_| KeyFault::Locked)?;
        Ok(Zeroizing::new(document.as_bytes().to_vec()))
    }

    /// Encrypts a secret that is no signature key, in its PKCS #8 form, under a name of its own.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub fn keep(&self, label: &str, pkcs8: &[u8]) -> Result<(), KeyFault> {
        let path = self.path(label)?;
        match files::write_new(&path, self.encrypt(pkcs8)?.as_bytes()) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(KeyFault::Exists),
            Err(_) => Err(KeyFault::Medium("the key file could not be written")),
        }
    }

    /// Decrypts what [`Self::keep`] encrypted.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub fn kept(&self, label: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let path = self.path(label)?;
        match files::open_to_others(&path) {
            Ok(false) => {}
            Ok(true) => return Err(KeyFault::Medium("the key file may be read by others; run chmod 600 on it")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(KeyFault::Missing),
            Err(_) => return Err(KeyFault::Medium("the key file cannot be looked at")),
        }
        let text = files::read_bounded(&path, FILE_LEN_MAX);
        self.decrypt(&text.map_err(|_| KeyFault::Medium("the key file cannot be read"))?)
    }
}

impl Keystore for FileKeystore {
    fn generate(&self, label: &str, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        let pkcs8 = MemoryKey::generate_pkcs8(key_type)?;
        self.keep(label, &pkcs8)?;
        Ok((KeyUri(format!("{SCHEME}{label}")), Arc::new(MemoryKey::open(&pkcs8)?)))
    }

    fn open(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>, KeyFault> {
        let label = uri.0.strip_prefix(SCHEME).ok_or(KeyFault::BadName)?;
        Ok(Arc::new(MemoryKey::open(&self.kept(label)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;
    use crate::testing::Temporary;
    use std::os::unix::fs::PermissionsExt;

    fn keystore(dir: &Temporary, passphrase: &str) -> FileKeystore {
        let passphrase = Zeroizing::new(passphrase.as_bytes().to_vec());
        FileKeystore::new(dir.path().to_owned(), passphrase, Arc::new(SystemEntropy::default()))
    }
    fn open(keystore: &FileKeystore, label: &str) -> Result<Arc<dyn Signer>, KeyFault> {
        keystore.open(&KeyUri(format!("file:{label}")))
    }

    #[test]
    fn a_key_survives() {
        let dir = Temporary::new();
        for key_type in [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa(2048)] {
            let (uri, made) = keystore(&dir, "secret").generate(&format!("{key_type}"), key_type).unwrap();
            let opened = keystore(&dir, "secret").open(&uri).unwrap();
            assert_eq!(opened.public_key(), made.public_key());
        }
    }
    #[test]
    fn another_passphrase_opens_nothing() {
        let dir = Temporary::new();
        keystore(&dir, "secret").generate("a", KeyType::P256).unwrap();
        assert_eq!(open(&keystore(&dir, "Secret"), "a").err(), Some(KeyFault::Locked));
    }
    #[test]
    fn a_name_is_used_once() {
        let dir = Temporary::new();
        keystore(&dir, "s").generate("a", KeyType::P256).unwrap();
        assert_eq!(keystore(&dir, "s").generate("a", KeyType::P256).err(), Some(KeyFault::Exists));
    }
    #[test]
    fn a_key_that_is_not_there_is_missing() {
        assert_eq!(open(&keystore(&Temporary::new(), "s"), "a").err(), Some(KeyFault::Missing));
    }
    #[test]
    fn paths_are_no_names() {
        let dir = Temporary::new();
        for label in ["../a", "a/b", "", ".a", "a\0"] {
            assert_eq!(open(&keystore(&dir, "s"), label).err(), Some(KeyFault::BadName), "{label:?}");
        }
    }
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = Temporary::new();
        keystore(&dir, "s").generate("a", KeyType::P256).unwrap();
        std::fs::set_permissions(dir.path().join("a.p8"), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open(&keystore(&dir, "s"), "a").err(), Some(KeyFault::Medium(_))));
    }
    #[test]
    fn the_file_does_not_hold_the_key_in_the_clear() {
        let dir = Temporary::new();
        let keystore = keystore(&dir, "s");
        let pkcs8 = MemoryKey::generate_pkcs8(KeyType::Ed25519).unwrap();
        keystore.keep("a", &pkcs8).unwrap();
        let (_, der) = pem::decode(&std::fs::read(dir.path().join("a.p8")).unwrap()).unwrap();
        assert!(!der.windows(16).any(|w| pkcs8.windows(16).any(|k| k == w)));
    }
    #[test]
    fn a_damaged_file_is_locked() {
        let dir = Temporary::new();
        keystore(&dir, "s").generate("a", KeyType::P256).unwrap();
        for garbage in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "x"] {
            std::fs::write(dir.path().join("a.p8"), garbage).unwrap();
            assert_eq!(open(&keystore(&dir, "s"), "a").err(), Some(KeyFault::Locked));
        }
    }
}
