//! All keys of an installation, wherever they are.

use super::pkcs11::{self, Pin, Pkcs11Keystore, Pkcs11Uri};
use super::{FileKeystore, SplitKeystore};
use ports::keystore::{KeyFault, KeyUri};
use ports::{Entropy, Keystore, Signer};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use x509::KeyType;

/// How tokens are reached, where a URI does not say it.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// The PKCS #11 library.
    pub module: Option<PathBuf>,
    /// The file with the PIN.
    pub pin_file: Option<PathBuf>,
    /// Sessions with each token; as many as cores if absent.
    pub sessions_max: Option<NonZeroUsize>,
}

/// All keys of an installation: in files, divided or not, and in tokens. The URI says which.
pub struct Keystores {
    files: Arc<FileKeystore>,
    split: Option<Arc<SplitKeystore>>,
    tokens: Tokens,
    opened: Mutex<BTreeMap<String, Arc<Pkcs11Keystore>>>,
    entropy: Arc<dyn Entropy>,
}

impl Keystores {
    /// Keys in files, and in tokens that are reached so.
    #[must_use]
    pub fn new(files: Arc<FileKeystore>, tokens: Tokens, entropy: Arc<dyn Entropy>) -> Self {
        Self { files, split: None, tokens, opened: Mutex::default(), entropy }
    }

    /// The same, and keys in files that several people open together.
    #[must_use]
    pub fn with_split(self, split: Arc<SplitKeystore>) -> Self {
        Self { split: Some(split), ..self }
    }

    /// Where a key in a file is kept.
    fn in_file(&self, uri: &KeyUri) -> Result<&dyn Keystore, KeyFault> {
        match (uri.shares()?, &self.split) {
            (Some(_), Some(split)) => Ok(split.as_ref()),
            (Some(_), None) => Err(KeyFault::Divided),
            (None, _) => Ok(self.files.as_ref()),
        }
    }

    /// The token that a URI names, logged in at the first use. One keystore serves all keys of a token.
    fn token(&self, uri: &Pkcs11Uri) -> Result<Arc<Pkcs11Keystore>, KeyFault> {
        let mut of_token = uri.clone();
        (of_token.object, of_token.id, of_token.class) = (None, None, None);
        let name = of_token.to_string();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(&name) {
            return Ok(Arc::clone(known));
        }
        let pin = match (&of_token.pin_file, &self.tokens.pin_file) {
            (None, Some(path)) => Some(Pin::in_file(path.clone())),
            _ => None,
        };
        if of_token.module_path.is_none() {
            of_token.module_path = self.tokens.module.as_ref().and_then(|path| path.to_str()).map(str::to_owned);
        }
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let sessions_max = self.tokens.sessions_max.unwrap_or(cores);
        let keystore = Pkcs11Keystore::from_uri(&of_token, pin, sessions_max, Arc::clone(&self.entropy));
        let keystore = Arc::new(keystore.map_err(KeyFault::from)?);
        opened.insert(name, Arc::clone(&keystore));
        Ok(keystore)
    }
}

/// The URI of a token, without what is said of the way of signing.
fn token_uri(uri: &KeyUri) -> Result<Pkcs11Uri, KeyFault> {
    Pkcs11Uri::parse(&uri.place().0).map_err(|_| KeyFault::BadName)
}

fn is_token(uri: &KeyUri) -> bool {
    uri.0.starts_with(pkcs11::SCHEME)
}

impl Keystore for Keystores {
    fn generate(&self, label: &str, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        self.files.generate(label, key_type)
    }

    fn generate_at(&self, uri: &KeyUri, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        if !is_token(uri) {
            return self.in_file(uri)?.generate_at(uri, key_type);
        }
        let wanted = token_uri(uri)?;
        let algorithm = uri.signature()?;
        if algorithm.is_some_and(|algorithm| !key_type.may_sign_with(algorithm)) {
            return Err(KeyFault::Unsupported);
        }
        let label = wanted.object.as_deref().ok_or(KeyFault::BadName)?;
        let (made, _) = self.token(&wanted)?.generate(label, key_type)?;
        // What was said of the way to the token stays said.
        let mut named = token_uri(&made)?;
        (named.module_path, named.module_name) = (wanted.module_path.clone(), wanted.module_name.clone());
        named.pin_file.clone_from(&wanted.pin_file);
        let made = KeyUri(named.to_string()).signing_by(algorithm);
        let signer = self.open(&made)?;
        Ok((made, signer))
    }

    fn open(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>, KeyFault> {
        if !is_token(uri) {
            return self.in_file(uri)?.open(uri);
        }
        let place = token_uri(uri)?;
        let key = self.token(&place)?.open_key(&place).map_err(KeyFault::from)?;
        Ok(match uri.signature()? {
            Some(algorithm) => Arc::new(key.with_algorithm(algorithm).map_err(KeyFault::from)?),
            None => Arc::new(key),
        })
    }
}
