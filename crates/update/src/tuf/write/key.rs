//! Keys as metadata names them, and who of them may sign for a role.

use super::draft::Draft;
use crate::json::Json;
use crate::tuf::envelope::Role;
use crate::tuf::fault::BadMetadata;
use crate::tuf::keys::{Keys, ML_DSA_CONTEXT, Rule};
use crate::tuf::roles::Root;
use aws_lc_rs::digest::{SHA512, digest};
use model::octets::hex;
use std::borrow::Cow;
use x509::{KeyType, PublicKey, SignatureAlgorithm, pem, sha256};

use super::body::Top;

/// A public key that can sign metadata, and the name by which metadata knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    id: String,
    public: PublicKey,
    algorithm: SignatureAlgorithm,
}

// What is written of each type. Source: TUF 1.0.34 §4.2.2, TAP 21.
const fn scheme(key_type: KeyType) -> Option<(&'static str, &'static str, SignatureAlgorithm)> {
    use SignatureAlgorithm as A;
    Some(match key_type {
        KeyType::Ed25519 => ("ed25519", "ed25519", A::Ed25519),
        KeyType::P256 => ("ecdsa", "ecdsa-sha2-nistp256", A::EcdsaSha256),
        KeyType::P384 => ("ecdsa", "ecdsa-sha2-nistp384", A::EcdsaSha384),
        KeyType::MlDsa44 => ("ml-dsa", "ml-dsa-44/1", A::MlDsa44),
        KeyType::MlDsa65 => ("ml-dsa", "ml-dsa-65/1", A::MlDsa65),
        KeyType::MlDsa87 => ("ml-dsa", "ml-dsa-87/1", A::MlDsa87),
        KeyType::P521 | KeyType::Rsa(_) => return None,
    })
}

impl Key {
    /// A key under the identifier that TUF gives it: SHA-256 of the canonical form of what stands in metadata. `None` for
    /// types that have no scheme, or none that is written here: P-521 and RSA.
    /// Source: TUF 1.0.34 §4.2.1.
    #[must_use]
    pub fn new(public: &PublicKey) -> Option<Self> {
        let (.., algorithm) = scheme(public.key_type())?;
        let mut key = Self { id: String::new(), public: public.clone(), algorithm };
        key.id = sha256(&key.json().canonical()).to_string();
        Some(key)
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
    /// The key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }
    pub(super) const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    pub(super) fn json(&self) -> Json {
        let (keytype, scheme, _) = scheme(self.public.key_type()).unwrap_or(("", "", self.algorithm));
        let public = match self.public.key_type() {
            KeyType::Ed25519 => hex(self.public.bits()),
            _ => pem::encode("PUBLIC KEY", self.public.spki()),
        };
        let keyval = Json::of([("public", Json::Text(public))]);
        Json::of([("keytype", keytype.into()), ("scheme", scheme.into()), ("keyval", keyval)])
    }

    // TAP 21: of ML-DSA, what is signed is the digest, behind a context.
    pub(super) fn message<'a>(&self, canonical: &'a [u8]) -> Cow<'a, [u8]> {
        use SignatureAlgorithm as A;
        match self.algorithm {
            A::MlDsa44 | A::MlDsa65 | A::MlDsa87 => {
                Cow::Owned([ML_DSA_CONTEXT, digest(&SHA512, canonical).as_ref()].concat())
            }
            _ => Cow::Borrowed(canonical),
        }
    }
}

/// Who may sign for a role, and how many of them must, as the file says that assigns or delegates the role.
#[derive(Clone, Debug)]
pub struct Signers {
    keys: Keys,
    rule: Rule,
}

impl Signers {
    pub(super) const fn new(keys: Keys, rule: Rule) -> Self {
        Self { keys, rule }
    }

    /// Those of one of the four roles.
    #[must_use]
    pub fn of_top(root: &Draft<Root>, role: Top) -> Self {
        let said = root.said();
        let rule = match role {
            Top::Root => &said.root,
            Top::Timestamp => &said.timestamp,
            Top::Snapshot => &said.snapshot,
            Top::Targets => &said.targets,
        };
        Self::new(said.keys.clone(), rule.clone())
    }

    /// How many must sign.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.rule.threshold()
    }
    /// The identifiers of those who may.
    #[must_use]
    pub fn key_ids(&self) -> &[String] {
        self.rule.key_ids()
    }

    /// A key as this role knows it: under the identifier that its file gives it. `None` if it may not sign.
    #[must_use]
    pub fn key(&self, public: &PublicKey) -> Option<Key> {
        let (id, algorithm) = self.keys.find(&self.rule, public)?;
        Some(Key { id: id.to_owned(), public: public.clone(), algorithm })
    }
    /// All keys that can be used here.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let key = |id: &String| {
            let (public, algorithm) = self.keys.usable(id)?;
            Some(Key { id: id.clone(), public: public.clone(), algorithm })
        };
        self.key_ids().iter().filter_map(key).collect()
    }

    /// The identifiers of those whose signatures under a file hold.
    #[must_use]
    pub fn signed<R: Role>(&self, draft: &Draft<R>) -> Vec<String> {
        self.keys().iter().filter(|key| draft.is_signed_by(key)).map(|key| key.id.clone()).collect()
    }

    /// How many more must sign a file. Two identifiers of one key are one key.
    #[must_use]
    pub fn missing<R: Role>(&self, draft: &Draft<R>) -> usize {
        self.rule.threshold().saturating_sub(draft.count(&self.keys, &self.rule))
    }

    /// Whether enough of them have signed a file.
    ///
    /// # Errors
    /// [`BadMetadata::TooFewSignatures`]
    pub fn suffice<R: Role>(&self, draft: &Draft<R>) -> Result<(), BadMetadata> {
        if self.missing(draft) == 0 { Ok(()) } else { Err(BadMetadata::TooFewSignatures) }
    }
}
