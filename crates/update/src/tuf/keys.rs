//! Keys in metadata, and how many of them must have signed.

use super::fault::BadMetadata;
use crate::json::Json;
use crate::metadata::{KEY_ID_LEN_MAX, Object, object, text};
use aws_lc_rs::digest::{SHA512, digest};
use model::octets::from_hex;
use std::collections::{BTreeMap, BTreeSet};
use x509::{KeyType, PublicKey, SignatureAlgorithm, pem, signature};

/// Most keys in one file: more people, machines and generations than sign for one role.
const KEYS_MAX: usize = 256;
/// What stands before the digest that is signed with ML-DSA. Source: TAP 21.
pub(super) const ML_DSA_CONTEXT: &[u8] = b"tuf\x01";

/// The keys that a file knows, by identifiers that mean nothing: they are names, not digests.
#[derive(Clone, Debug)]
pub(super) struct Keys(BTreeMap<String, Key>);

/// A key that can be used, or one that is of no use here and verifies nothing.
#[derive(Clone, Debug)]
enum Key {
    Usable { public: PublicKey, algorithm: SignatureAlgorithm },
    Unknown,
}

impl Keys {
    pub(super) fn read(keys: &Object) -> Result<Self, BadMetadata> {
        if keys.len() > KEYS_MAX {
            return Err(BadMetadata::TooMany);
        }
        let read = |(id, key): (&String, &Json)| match id.len() {
            1..=KEY_ID_LEN_MAX => Ok((id.clone(), Key::read(key)?)),
            _ => Err(BadMetadata::from(crate::BadRelease::Field("keyid"))),
        };
        Ok(Self(keys.iter().map(read).collect::<Result<_, BadMetadata>>()?))
    }

    /// How many different keys of `rule` have signed `message`. Two identifiers of one key are one key.
    pub(super) fn count(&self, rule: &Rule, message: &[u8], signatures: &BTreeMap<String, Vec<u8>>) -> usize {
        let mut signed = BTreeSet::new();
        for id in &rule.key_ids {
            if let (Some(Key::Usable { public, algorithm }), Some(octets)) = (self.0.get(id), signatures.get(id))
                && holds(public, *algorithm, message, octets)
            {
                signed.insert(public.spki());
            }
        }
        signed.len()
    }

    /// A key of a role that can be used, with the identifier by which this file knows it.
    pub(super) fn find<'r>(&self, rule: &'r Rule, public: &PublicKey) -> Option<(&'r str, SignatureAlgorithm)> {
        rule.key_ids.iter().find_map(|id| {
            let (key, algorithm) = self.usable(id)?;
            (key.spki() == public.spki()).then_some((id.as_str(), algorithm))
        })
    }

    /// A key that can be used.
    pub(super) fn usable(&self, id: &str) -> Option<(&PublicKey, SignatureAlgorithm)> {
        match self.0.get(id) {
            Some(Key::Usable { public, algorithm }) => Some((public, *algorithm)),
            Some(Key::Unknown) | None => None,
        }
    }

    /// The keys of a role, whatever they are called. What cannot be used here counts as its identifier.
    pub(super) fn of(&self, rule: &Rule) -> BTreeSet<Vec<u8>> {
        let value = |id: &String| match self.0.get(id) {
            Some(Key::Usable { public, .. }) => public.spki().to_vec(),
            Some(Key::Unknown) | None => id.as_bytes().to_vec(),
        };
        rule.key_ids.iter().map(value).collect()
    }
}

impl Key {
    fn read(key: &Json) -> Result<Self, BadMetadata> {
        let key = key.object().ok_or(crate::BadRelease::Field("keys"))?;
        let (keytype, scheme) = (text(key, "keytype")?, text(key, "scheme")?);
        let public = object(key, "keyval")?.get("public").and_then(Json::text);
        let usable = algorithm(keytype, scheme).and_then(|algorithm| Some((public_key(public?)?, algorithm)));
        Ok(match usable {
            Some((public, algorithm)) => Self::Usable { public, algorithm },
            None => Self::Unknown,
        })
    }
}

// Source: TUF 1.0.34 §4.2.2, TAP 21; what securesystemslib writes besides.
fn algorithm(keytype: &str, scheme: &str) -> Option<SignatureAlgorithm> {
    use SignatureAlgorithm as A;
    Some(match (keytype, scheme) {
        ("ed25519", "ed25519") => A::Ed25519,
        ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => A::EcdsaSha256,
        ("ecdsa" | "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384") => A::EcdsaSha384,
        ("rsa", "rsassa-pss-sha256") => A::RsaPssSha256,
        ("rsa", "rsassa-pss-sha384") => A::RsaPssSha384,
        ("rsa", "rsassa-pss-sha512") => A::RsaPssSha512,
        ("rsa", "rsa-pkcs1v15-sha256") => A::RsaSha256,
        ("rsa", "rsa-pkcs1v15-sha384") => A::RsaSha384,
        ("rsa", "rsa-pkcs1v15-sha512") => A::RsaSha512,
        ("ml-dsa", "ml-dsa-44/1") => A::MlDsa44,
        ("ml-dsa", "ml-dsa-65/1") => A::MlDsa65,
        ("ml-dsa", "ml-dsa-87/1") => A::MlDsa87,
        _ => return None,
    })
}

fn public_key(text: &str) -> Option<PublicKey> {
    if text.trim_start().starts_with("-----BEGIN") {
        let (label, der) = pem::decode(text.as_bytes())?;
        return (label == "PUBLIC KEY").then(|| PublicKey::decode(&der).ok()).flatten();
    }
    PublicKey::from_bits(KeyType::Ed25519, &from_hex(text).ok()?).ok()
}

pub(super) fn holds(key: &PublicKey, algorithm: SignatureAlgorithm, message: &[u8], octets: &[u8]) -> bool {
    use SignatureAlgorithm as A;
    match algorithm {
        // TAP 21: what is signed is the digest, behind a context.
        A::MlDsa44 | A::MlDsa65 | A::MlDsa87 => {
            let message = [ML_DSA_CONTEXT, digest(&SHA512, message).as_ref()].concat();
            signature::verify(key, algorithm, &message, octets).is_ok()
        }
        // The name of the scheme has a curve in it, and the algorithm has not.
        A::EcdsaSha256 if key.key_type() != KeyType::P256 => false,
        A::EcdsaSha384 if key.key_type() != KeyType::P384 => false,
        _ => signature::verify(key, algorithm, message, octets).is_ok(),
    }
}

/// Which keys sign for a role, and how many of them must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    key_ids: Vec<String>,
    threshold: usize,
}

impl Rule {
    pub(super) fn read(role: &Object) -> Result<Self, BadMetadata> {
        let ids = role.get("keyids").and_then(Json::list).ok_or(crate::BadRelease::Field("keyids"))?;
        if ids.len() > KEYS_MAX {
            return Err(BadMetadata::TooMany);
        }
        let read = |id: &Json| id.text().map(str::to_owned).ok_or(crate::BadRelease::Field("keyids"));
        let key_ids = ids.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if key_ids.iter().collect::<BTreeSet<_>>().len() != key_ids.len() {
            return Err(BadMetadata::KeyNamedTwice);
        }
        match crate::metadata::number(role, "threshold")? {
            0 => Err(BadMetadata::NoThreshold),
            threshold => Ok(Self { key_ids, threshold: usize::try_from(threshold).unwrap_or(usize::MAX) }),
        }
    }

    pub(super) fn key_ids(&self) -> &[String] {
        &self.key_ids
    }
    pub(super) const fn threshold(&self) -> usize {
        self.threshold
    }
}
