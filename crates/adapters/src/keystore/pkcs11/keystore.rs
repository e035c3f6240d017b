//! Keys in a token, behind [`ports::Keystore`] and [`ports::Signer`].

use crate::keystore::pkcs11::fault::TokenFault;
use crate::keystore::pkcs11::module::Module;
use crate::keystore::pkcs11::object::{self, Facts};
use crate::keystore::pkcs11::pin::Pin;
use crate::keystore::pkcs11::scheme::Scheme;
use crate::keystore::pkcs11::session::{self, Epoch, Lane, Token};
use crate::keystore::pkcs11::uri::{Class, Pkcs11Uri};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use ports::clock::random;
use ports::keystore::{KeyFault, KeyUri};
use ports::{Entropy, Keystore, SignFault, Signer};
use std::ffi::c_ulong;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use x509::{KeyType, PublicKey, SignatureAlgorithm};

/// The URI scheme of keys in this keystore.
pub const SCHEME: &str = "pkcs11:";
/// Longest label of a key that is made, in octets.
const LABEL_LEN_MAX: usize = 128;
/// Octets of the random `CKA_ID` of a key that is made.
const ID_LEN: usize = 16;
/// What a key signs when it is opened, to show that its public half is its own. It is no DER, so nothing else that we
/// sign looks like it.
const PROOF: &[u8] = b"cradle: this signature proves only that two halves of a key belong together";

/// Keys in one PKCS #11 token.
///
/// It outlives the token's absence: a call that fails says why, and the next one opens and logs in again.
pub struct Pkcs11Keystore {
    token: Arc<Token>,
    entropy: Arc<dyn Entropy>,
    making: Mutex<()>,
}

impl Pkcs11Keystore {
    /// A keystore on a token. The module is loaded, the token is looked for when it is needed.
    ///
    /// Shape: `module` is an absolute path. Of `uri` the token's attributes count; `module-path` and `module-name` must
    /// fit. Limits: at most `sessions_max` sessions at a time, fewer if the token has fewer.
    ///
    /// # Errors
    /// [`TokenFault`] if the module cannot be loaded.
    pub fn new(
        module: &Path,
        uri: &Pkcs11Uri,
        pin: Pin,
        sessions_max: NonZeroUsize,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, TokenFault> {
        let module = Module::load(module)?;
        if !module.is_named_by(uri) {
            return Err(TokenFault::ModuleDiffers);
        }
        let token = Token::new(module, token_part(uri), pin, sessions_max);
        Ok(Self { token: Arc::new(token), entropy, making: Mutex::default() })
    }

    /// A keystore on the token that a URI names by itself: with `module-path`, and `pin-source` unless `pin` is given.
    ///
    /// # Errors
    /// [`TokenFault::ModuleMissing`] without `module-path`, [`TokenFault::PinNotFound`] without either, or as
    /// [`Self::new`].
    pub fn from_uri(
        uri: &Pkcs11Uri,
        pin: Option<Pin>,
        sessions_max: NonZeroUsize,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, TokenFault> {
        let module = uri.module_path.as_ref().ok_or(TokenFault::ModuleMissing)?;
        let pin = pin.or_else(|| uri.pin_file.as_ref().map(|path| Pin::in_file(path.into())));
        Self::new(Path::new(module), uri, pin.ok_or(TokenFault::PinNotFound)?, sessions_max, entropy)
    }

    /// Opens a key.
    ///
    /// # Errors
    /// [`TokenFault`]: above all [`TokenFault::KeyMissing`], [`TokenFault::KeyAmbiguous`], and
    /// [`TokenFault::KeyExtractable`] for a key that can be taken out of the token.
    pub fn open_key(&self, uri: &Pkcs11Uri) -> Result<TokenKey, TokenFault> {
        if !self.token.module().is_named_by(uri) {
            return Err(TokenFault::ModuleDiffers);
        }
        self.token.with(|lane| {
            let info = lane.pkcs11.get_token_info(lane.slot)?;
            if !session::fits(uri, lane.slot, &info) {
                return Err(TokenFault::TokenMissing);
            }
            self.read(lane, uri)
        })
    }

    /// Destroys both halves of each key whose label begins so, but of those that are named: what the token has no room for any more.
    ///
    /// # Errors
    /// [`TokenFault`]: some may be gone then.
    pub fn destroy_others(&self, prefix: &str, kept: &[Pkcs11Uri]) -> Result<(), TokenFault> {
        self.token.with(|lane| {
            let writing = lane.pkcs11.open_rw_session(lane.slot)?;
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                for object in object::find(&writing, &[Attribute::Class(class)], object::KEYS_MAX)? {
                    let (label, id) = object::name(&writing, object)?;
                    let is_kept =
                        |uri: &Pkcs11Uri| (uri.object.as_ref(), uri.id.as_ref()) == (label.as_ref(), id.as_ref());
                    if label.as_ref().is_some_and(|label| label.starts_with(prefix)) && !kept.iter().any(is_kept) {
                        writing.destroy_object(object)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// How many sessions with the token are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.token.sessions()
    }

    fn read(&self, lane: &Lane<'_>, uri: &Pkcs11Uri) -> Result<TokenKey, TokenFault> {
        let handle = object::find_private(lane.session, uri)?;
        let facts = Facts::read(lane.session, handle)?;
        facts.inspect()?;
        let public_key = facts.public_key(lane.session, handle)?;
        let algorithm = public_key.key_type().signs_with();
        let scheme = Scheme::for_key(public_key.key_type(), algorithm)?;
        // Public keys can be put into a token without a PIN, beside a private key that is another's half.
        sign(lane.session, handle, &public_key, scheme, PROOF).map_err(|fault| match fault {
            TokenFault::BadSignature => TokenFault::PublicKeyDiffers,
            other => other,
        })?;
        let object = Pkcs11Uri { object: uri.object.clone(), id: uri.id.clone(), ..Pkcs11Uri::default() };
        let handle = Mutex::new((lane.epoch, handle));
        Ok(TokenKey { token: self.token.clone(), object, public_key, algorithm, handle })
    }

    fn make(&self, label: &str, key_type: KeyType) -> Result<(KeyUri, TokenKey), TokenFault> {
        let plain = label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'@'));
        if label.is_empty() || label.len() > LABEL_LEN_MAX || label.starts_with('.') || !plain {
            return Err(TokenFault::KeyBadName);
        }
        Scheme::for_key(key_type, key_type.signs_with())?;
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let id: [u8; ID_LEN] = random(self.entropy.as_ref());
        let uri = Pkcs11Uri {
            object: Some(label.to_owned()),
            id: Some(id.to_vec()),
            class: Some(Class::Private),
            ..self.token.uri().clone()
        };
        let key = self.token.with(|lane| {
            if !of_label(lane.session, label)?.is_empty() {
                return Err(TokenFault::KeyExists);
            }
            // Keys are made in a session of their own: those that are lent only read.
            let writing = lane.pkcs11.open_rw_session(lane.slot)?;
            let pair = generate(&writing, key_type, Lifetime::Kept { label, id: &id })?;
            let read = self.read(lane, &uri).and_then(|key| match of_label(lane.session, label)?.as_slice() {
                [_, _] => Ok(key),
                // Another process had the same thought.
                _ => Err(TokenFault::KeyExists),
            });
            if read.is_err() {
                // What cannot be used is not left behind. If it cannot be removed either, its label stays taken.
                drop((writing.destroy_object(pair.0), writing.destroy_object(pair.1)));
            }
            read
        })?;
        Ok((KeyUri(uri.to_string()), key))
    }
}

impl Keystore for Pkcs11Keystore {
    fn generate(&self, label: &str, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        let (uri, key) = self.make(label, key_type)?;
        Ok((uri, Arc::new(key)))
    }

    fn open(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>, KeyFault> {
        let uri = Pkcs11Uri::parse(&uri.0).map_err(|_| KeyFault::BadName)?;
        Ok(Arc::new(self.open_key(&uri)?))
    }
}

/// A private key in a token.
pub struct TokenKey {
    token: Arc<Token>,
    object: Pkcs11Uri,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
    handle: Mutex<(Epoch, ObjectHandle)>,
}

impl TokenKey {
    /// The same key, signing by another algorithm.
    ///
    /// # Errors
    /// [`TokenFault::KeyUnsupported`] if keys of this type do not sign so.
    pub fn with_algorithm(self, algorithm: SignatureAlgorithm) -> Result<Self, TokenFault> {
        Scheme::for_key(self.public_key.key_type(), algorithm)?;
        Ok(Self { algorithm, ..self })
    }

    /// Signs by a scheme that may have no name among the algorithms.
    ///
    /// # Errors
    /// [`TokenFault`]. What the token may have signed is not known then.
    pub fn sign_by(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, TokenFault> {
        if !scheme.fits(self.public_key.key_type()) {
            return Err(TokenFault::KeyUnsupported);
        }
        self.token.with(|lane| sign(lane.session, self.handle(lane)?, &self.public_key, scheme, message))
    }

    /// The handle of the key in this run of sessions. After a login it may be another one.
    fn handle(&self, lane: &Lane<'_>) -> Result<ObjectHandle, TokenFault> {
        let known = *self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 == lane.epoch {
            return Ok(known.1);
        }
        let handle = object::find_private(lane.session, &self.object)?;
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = (lane.epoch, handle);
        Ok(handle)
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let scheme = Scheme::for_key(self.public_key.key_type(), self.algorithm)?;
        Ok(self.sign_by(scheme, message)?)
    }
}

/// Whether a key outlives its session.
#[derive(Clone, Copy)]
pub(crate) enum Lifetime<'a> {
    /// In the token, under a name.
    Kept {
        /// `CKA_LABEL` of both halves.
        label: &'a str,
        /// `CKA_ID` of both halves.
        id: &'a [u8],
    },
    /// Until the session ends.
    Session,
}

/// Signs, and verifies what the token returned.
pub(crate) fn sign(
    session: &Session,
    key: ObjectHandle,
    public_key: &PublicKey,
    scheme: Scheme,
    message: &[u8],
) -> Result<Vec<u8>, TokenFault> {
    let raw = session.sign(&scheme.mechanism(), key, &scheme.input(public_key.key_type(), message))?;
    scheme.output(public_key, message, raw)
}

/// Makes a key: (public half, private half).
pub(crate) fn generate(
    session: &Session,
    key_type: KeyType,
    lifetime: Lifetime<'_>,
) -> Result<(ObjectHandle, ObjectHandle), TokenFault> {
    let token = Attribute::Token(matches!(lifetime, Lifetime::Kept { .. }));
    let mut public = vec![token.clone(), Attribute::Private(false), Attribute::Verify(true)];
    let mut private = vec![
        token,
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    if let Lifetime::Kept { label, id } = lifetime {
        let name = [Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id.to_vec())];
        public.extend(name.clone());
        private.extend(name);
    }
    if let KeyType::Rsa(bits) = key_type {
        public.push(Attribute::ModulusBits(c_ulong::from(bits).into()));
        public.push(Attribute::PublicExponent(vec![1, 0, 1]));
        // A key that signs does nothing else.
        private.extend([Attribute::Decrypt(false), Attribute::Unwrap(false)]);
        return Ok(session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?);
    }
    private.push(Attribute::Derive(false));
    let mechanism = match key_type {
        KeyType::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        _ => Mechanism::EccKeyPairGen,
    };
    let mut last = TokenFault::KeyUnsupported;
    for params in object::curve_params(key_type) {
        public.push(Attribute::EcParams(params.to_vec()));
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok(pair) => return Ok(pair),
            Err(error) => last = error.into(),
        }
        public.pop();
        if !last.sessions_survive() {
            break;
        }
    }
    Err(last)
}

/// All key objects of a label.
fn of_label(session: &Session, label: &str) -> Result<Vec<ObjectHandle>, TokenFault> {
    let mut found = Vec::new();
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let template = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
        found.extend(object::find(session, &template, 2)?);
    }
    Ok(found)
}

/// The attributes of a URI that name a token.
fn token_part(uri: &Pkcs11Uri) -> Pkcs11Uri {
    Pkcs11Uri {
        token: uri.token.clone(),
        manufacturer: uri.manufacturer.clone(),
        serial: uri.serial.clone(),
        model: uri.model.clone(),
        slot_id: uri.slot_id,
        ..Pkcs11Uri::default()
    }
}
