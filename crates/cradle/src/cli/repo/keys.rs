//! Keys of whoever publishes: in files, encrypted or not, or in tokens.

use super::super::Common;
use crate::compose::passphrase;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemEntropy;
use adapters::files;
use adapters::keystore::memory::MemoryKey;
use adapters::keystore::{FileKeystore, Keystores, Tokens};
use ports::keystore::KeyUri;
use ports::{Keystore, Signer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use update::tuf::write::Key;
use x509::{KeyType, PublicKey, pem};
use zeroize::Zeroizing;

/// Longest file of a key.
const KEY_LEN_MAX: u64 = 64 * 1024;
/// Most keys in `keys` that are looked at.
const KEYS_MAX: usize = 1000;
const TOKEN: &str = "pkcs11:";

/// Where a repository has the keys that it signs with.
pub(super) fn folder(dir: &Path) -> PathBuf {
    dir.join("keys")
}

fn bad(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "key", format!("{what} is no key that can be used here")).because(why).next(
        "name a key in PEM of type Ed25519, P-256, P-384 or ML-DSA, or a pkcs11: URI with module-path and pin-source",
    )
}

/// A key by its public half: for who is to sign from now on.
pub(super) fn public(common: &Common, text: &str) -> Result<Key> {
    let public = if text.starts_with(TOKEN) || has_ending(text, "p8") {
        private(common, text)?.public_key().clone()
    } else {
        let path = Path::new(text);
        let octets = Zeroizing::new(files::read_bounded(path, KEY_LEN_MAX).map_err(|e| Failure::file(path, &e))?);
        match pem::der_or_pem(&octets, &["PUBLIC KEY"]).and_then(|der| PublicKey::decode(&der).ok()) {
            Some(public) => public,
            None => private(common, text)?.public_key().clone(),
        }
    };
    Key::new(&public).ok_or_else(|| bad(text, "TUF has no scheme for its type"))
}

/// A key that signs.
pub(super) fn private(common: &Common, text: &str) -> Result<Arc<dyn Signer>> {
    if text.starts_with(TOKEN) {
        return in_token(text).map_err(|fault| bad(text, fault));
    }
    let path = Path::new(text);
    if has_ending(text, "p8") {
        let (folder, label) = (path.parent().unwrap_or(Path::new(".")), path.file_stem().unwrap_or_default());
        return encrypted(common, folder)?
            .open(&crate::compose::uri(&label.to_string_lossy()))
            .map_err(|fault| bad(text, fault));
    }
    let octets = Zeroizing::new(files::read_bounded(path, KEY_LEN_MAX).map_err(|e| Failure::file(path, &e))?);
    let der = pem::der_or_pem(&octets, &["PRIVATE KEY"]).map(Zeroizing::new);
    let der = der.ok_or_else(|| bad(text, "it is no private key in PEM (PKCS #8, not encrypted)"))?;
    Ok(Arc::new(MemoryKey::open(&der).map_err(|fault| bad(text, fault))?))
}

fn has_ending(text: &str, ending: &str) -> bool {
    Path::new(text).extension().is_some_and(|known| known == ending)
}

fn in_token(uri: &str) -> std::result::Result<Arc<dyn Signer>, ports::keystore::KeyFault> {
    let entropy = Arc::new(SystemEntropy::default());
    let nowhere = FileKeystore::new(PathBuf::new(), Zeroizing::default(), entropy.clone());
    Keystores::new(Arc::new(nowhere), Tokens::default(), entropy).open(&KeyUri(uri.to_owned()))
}

fn encrypted(common: &Common, folder: &Path) -> Result<FileKeystore> {
    let passphrase = passphrase(&Places::of(folder), common.passphrase_file.as_deref())?;
    Ok(FileKeystore::new(folder.to_owned(), passphrase, Arc::new(SystemEntropy::default())))
}

/// Makes a key in `keys`, encrypted if a passphrase file is named. One of that name that was made before is taken.
pub(super) fn make(common: &Common, dir: &Path, name: &str, key_type: KeyType) -> Result<Key> {
    let folder = folder(dir);
    files::private_directory(&folder).map_err(|e| Failure::file(&folder, &e))?;
    let (plain, closed) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.p8")));
    if let Some(there) = [&plain, &closed].into_iter().find(|path| path.exists()) {
        return public(common, &there.display().to_string());
    }
    if common.passphrase_file.is_some() {
        let made = encrypted(common, &folder)?.generate(name, key_type).map_err(|fault| bad(name, fault))?.1;
        return Key::new(made.public_key()).ok_or_else(|| bad(name, "TUF has no scheme for its type"));
    }
    let pkcs8 = MemoryKey::generate_pkcs8(key_type).map_err(|fault| bad(name, fault))?;
    let text = Zeroizing::new(pem::encode("PRIVATE KEY", &pkcs8));
    files::write_new(&plain, text.as_bytes()).map_err(|e| Failure::file(&plain, &e))?;
    public(common, &plain.display().to_string())
}

/// Notes where a key is, so that it signs whenever its token is there.
pub(super) fn note(dir: &Path, name: &str, text: &str) -> Result {
    if !text.starts_with(TOKEN) {
        return Ok(());
    }
    let folder = folder(dir);
    let path = folder.join(format!("{name}.uri"));
    files::private_directory(&folder)
        .and_then(|()| files::replace(&path, text.as_bytes()))
        .map_err(|e| Failure::file(&path, &e))
}

/// All keys that are here: those that are named, and those in `keys`. A token that is away signs nothing, and is said.
pub(super) fn all(common: &Common, dir: &Path, named: &[String]) -> Result<Vec<Arc<dyn Signer>>> {
    let mut keys = named.iter().map(|text| private(common, text)).collect::<Result<Vec<_>>>()?;
    let folder = folder(dir);
    let entries = std::fs::read_dir(&folder).into_iter().flatten().take(KEYS_MAX).flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let text = path.display().to_string();
        if has_ending(&text, "uri") {
            let uri = files::read_bounded(&path, KEY_LEN_MAX).map_err(|e| Failure::file(&path, &e))?;
            match in_token(String::from_utf8_lossy(&uri).trim()) {
                Ok(key) => keys.push(key),
                Err(fault) => common.out().say(&format!("{text}: this key does not sign now: {fault}")),
            }
        } else if has_ending(&text, "pem") || has_ending(&text, "p8") {
            keys.push(private(common, &text)?);
        }
    }
    Ok(keys)
}
