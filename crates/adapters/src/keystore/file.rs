//! Keys in files, encrypted under a passphrase: PKCS #8 with PBES2, scrypt and AES-256-CBC, as OpenSSL reads them.
//!
//! All files of a keystore share one salt, and each has its own initialization vector: who tries passphrases tries them
//! for one passphrase either way, and who knows it pays for scrypt once, not for each of ten keys.

use super::memory::MemoryKey;
use crate::files;
use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Encode;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::pkcs5::pbes2::{self, EncryptionScheme, Kdf};
use pkcs8::pkcs5::scrypt;
use ports::clock::random;
use ports::keystore::{KeyFault, KeyUri};
use ports::{Entropy, Keystore, Signer};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use x509::{KeyType, pem};
use zeroize::Zeroizing;

/// The URI scheme of keys in this keystore.
pub const SCHEME: &str = "file:";
const PEM_LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// scrypt's cost: 2^14 blocks of 8, four times: 16 MiB and a tenth of a second. OpenSSL reads no more than 32 MiB at a
/// time without being told to, so the rest of the cost is in the repetitions.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 4;
/// The highest cost that is opened: 2^20 blocks, a gigabyte. Beyond it a file is an attack on memory or time.
const SCRYPT_N_MAX: u64 = 1 << 20;
const SCRYPT_R_MAX: u16 = 32;
const SCRYPT_P_MAX: u16 = 16;
/// Octets of an AES-256 key and of an initialization vector.
const KEY_LEN: usize = 32;
const IV_LEN: usize = 16;
const NOT_ENCRYPTED: KeyFault = KeyFault::Medium("the key could not be encrypted");
/// Longest key file in octets: RSA-4096 needs 3.5 KiB.
const FILE_LEN_MAX: u64 = 16 * 1024;

/// Keys in files of one directory, all under one passphrase.
pub struct FileKeystore {
    directory: PathBuf,
    passphrase: Zeroizing<Vec<u8>>,
    entropy: Arc<dyn Entropy>,
    derived: Mutex<Vec<Derived>>,
}

/// The key that scrypt derived from the passphrase with one salt.
struct Derived {
    salt: Vec<u8>,
    cost: (u64, u16, u16),
    key: Zeroizing<[u8; KEY_LEN]>,
}

impl FileKeystore {
    /// A keystore on a directory, which must exist.
    #[must_use]
    pub fn new(directory: PathBuf, passphrase: Zeroizing<Vec<u8>>, entropy: Arc<dyn Entropy>) -> Self {
        Self { directory, passphrase, entropy, derived: Mutex::default() }
    }

    fn path(&self, label: &str) -> Result<PathBuf, KeyFault> {
        let plain = label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'@'));
        if label.is_empty() || label.len() > 128 || label.starts_with('.') || !plain {
            return Err(KeyFault::BadName);
        }
        Ok(self.directory.join(format!("{label}.p8")))
    }

    fn encrypt(&self, secret: &[u8]) -> Result<String, KeyFault> {
        let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).map_err(|_| NOT_ENCRYPTED)?;
        let iv: [u8; IV_LEN] = random(self.entropy.as_ref());
        let salt = self.salt();
        let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).map_err(|_| NOT_ENCRYPTED)?;
        let key = self.derive(&parameters).ok_or(NOT_ENCRYPTED)?;
        let key = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(|_| NOT_ENCRYPTED)?;
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(|_| NOT_ENCRYPTED)?;
        let mut octets = Zeroizing::new(secret.to_vec());
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        key.less_safe_encrypt(&mut *octets, context).map_err(|_| NOT_ENCRYPTED)?;
        let encrypted_data = OctetStringRef::new(&octets).map_err(|_| NOT_ENCRYPTED)?;
        let info = EncryptedPrivateKeyInfoRef { encryption_algorithm: parameters.into(), encrypted_data };
        Ok(pem::encode(PEM_LABEL, &info.to_der().map_err(|_| NOT_ENCRYPTED)?))
    }

    fn decrypt(&self, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        const LOCKED: KeyFault = KeyFault::Locked;
        let (label, der) = pem::decode(text).ok_or(LOCKED)?;
        if label != PEM_LABEL {
            return Err(LOCKED);
        }
        let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| LOCKED)?;
        let parameters = info.encryption_algorithm.pbes2().ok_or(LOCKED)?;
        let EncryptionScheme::Aes256Cbc { iv } = parameters.encryption else { return Err(LOCKED) };
        let key = self.derive(parameters).ok_or(LOCKED)?;
        let key = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(|_| LOCKED)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| LOCKED)?;
        let mut octets = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let len = key.decrypt(&mut octets, context).map_err(|_| LOCKED)?.len();
        octets.truncate(len);
        // A wrong passphrase passes the padding once in about 256 times; what it gives is no key.
        pkcs8::PrivateKeyInfoRef::try_from(octets.as_slice()).map_err(|_| LOCKED)?;
        Ok(octets)
    }

    /// The salt of this keystore: that of any key in it, or a new one.
    fn salt(&self) -> Vec<u8> {
        let known = self.derived.lock().unwrap_or_else(PoisonError::into_inner).first().map(|d| d.salt.clone());
        known.unwrap_or_else(|| random::<16>(self.entropy.as_ref()).to_vec())
    }

    /// The key that encrypts, from the passphrase. Remembered for each salt, because it takes long by design.
    fn derive(&self, parameters: &pbes2::Parameters) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let Kdf::Scrypt(wanted) = &parameters.kdf else { return None };
        if wanted.cost_parameter > SCRYPT_N_MAX
            || wanted.block_size > SCRYPT_R_MAX
            || wanted.parallelization > SCRYPT_P_MAX
        {
            return None;
        }
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = (wanted.cost_parameter, wanted.block_size, wanted.parallelization);
        if let Some(known) = derived.iter().find(|d| d.salt == wanted.salt.as_ref() && d.cost == cost) {
            return Some(known.key.clone());
        }
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let parameters = scrypt::Params::try_from(wanted).ok()?;
        scrypt::scrypt(&self.passphrase, wanted.salt.as_ref(), &parameters, key.as_mut()).ok()?;
        derived.push(Derived { salt: wanted.salt.as_ref().to_vec(), cost, key: key.clone() });
        Some(key)
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
            Err(e) => Err(KeyFault::Medium(match e.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ports::store::DISK_FULL,
                io::ErrorKind::PermissionDenied => "the directory of the keys may not be written to",
                io::ErrorKind::NotFound => "the directory of the keys is not there",
                io::ErrorKind::ReadOnlyFilesystem => "the directory of the keys is mounted for reading only",
                _ => "the key file could not be written",
            })),
        }
    }

    /// Puts a key into the place of another one, which is gone then. Durable when this returns.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub fn rename(&self, label: &str, to: &str) -> Result<(), KeyFault> {
        let (from, to) = (self.path(label)?, self.path(to)?);
        std::fs::rename(&from, &to).and_then(|()| files::sync_directory(&self.directory)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => KeyFault::Missing,
            _ => KeyFault::Medium("the key file could not be put into its place"),
        })
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
        let place = uri.place();
        let label = place.0.strip_prefix(SCHEME).ok_or(KeyFault::BadName)?;
        let key = MemoryKey::open(&self.kept(label)?)?;
        Ok(Arc::new(match uri.signature()? {
            Some(algorithm) => key.with_algorithm(algorithm)?,
            None => key,
        }))
    }

    fn generate_at(&self, uri: &KeyUri, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        let algorithm = uri.signature()?;
        if algorithm.is_some_and(|algorithm| !key_type.may_sign_with(algorithm)) {
            return Err(KeyFault::Unsupported);
        }
        let place = uri.place();
        let label = place.0.strip_prefix(SCHEME).ok_or(KeyFault::BadName)?;
        self.generate(label, key_type)?;
        Ok((uri.clone(), self.open(uri)?))
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
    fn a_key_takes_the_place_of_another() {
        let dir = Temporary::new();
        let store = keystore(&dir, "secret");
        store.generate("a", KeyType::Ed25519).unwrap();
        let (_, next) = store.generate("a.next", KeyType::Ed25519).unwrap();
        store.rename("a.next", "a").unwrap();
        assert_eq!(open(&keystore(&dir, "secret"), "a").unwrap().public_key(), next.public_key());
        assert_eq!(store.rename("a.next", "a"), Err(KeyFault::Missing));
        assert!(open(&store, "a").is_ok());
    }
    #[test]
    fn a_uri_says_how_a_key_signs() {
        let dir = Temporary::new();
        let wanted = KeyUri("file:pss?signature=RSASSA-PSS-SHA384".into());
        let (uri, made) = keystore(&dir, "secret").generate_at(&wanted, KeyType::Rsa(2048)).unwrap();
        assert_eq!(made.algorithm(), x509::SignatureAlgorithm::RsaPssSha384);
        let opened = keystore(&dir, "secret").open(&uri).unwrap();
        let signature = opened.sign(b"octets").unwrap();
        x509::signature::verify(made.public_key(), made.algorithm(), b"octets", &signature).unwrap();
        let misfit = KeyUri("file:b?signature=RSASSA-PSS-SHA384".into());
        assert_eq!(keystore(&dir, "secret").generate_at(&misfit, KeyType::P256).err(), Some(KeyFault::Unsupported));
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
    #[test]
    fn what_hinders_writing_is_named() {
        let dir = crate::testing::Temporary::new();
        let entropy = Arc::new(crate::clock::SystemEntropy::default());
        let keystore = FileKeystore::new(dir.path().join("keys"), Zeroizing::new(b"secret".to_vec()), entropy);
        let made = keystore.generate("key", KeyType::Ed25519).map(|(uri, _)| uri);
        assert_eq!(made, Err(KeyFault::Medium("the directory of the keys is not there")));
    }
}
