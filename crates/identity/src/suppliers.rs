//! Whose lists are taken, and whether a list is theirs.

use model::contract::identity::SupplierChange;
use model::{Fault, Reason, SupplierName};
use ports::store::identity::SupplierRow;
use x509::signature::verify as holds;
use x509::{KeyType, PublicKey, SignatureAlgorithm, weak};

/// The key that a change leaves a supplier with.
///
/// # Errors
/// [`Fault::Malformed`] if the key cannot be read; [`Reason::WeakKey`]; [`Reason::SupplierKnown`] if it would silently
/// take the place of another; [`Reason::SupplierUnknown`] if there is nothing to replace or to revoke.
pub(crate) fn change(known: Option<&SupplierRow>, change: &SupplierChange) -> Result<Option<PublicKey>, Fault> {
    let present = known.and_then(|row| row.key.as_deref());
    let (key, replaces) = match change {
        SupplierChange::Revoke if known.is_none() => return Err(Reason::SupplierUnknown.into()),
        SupplierChange::Revoke => return Ok(None),
        SupplierChange::Trust(key) => (key, false),
        SupplierChange::Replace(key) => (key, true),
    };
    let key = PublicKey::decode(key.as_ref()).map_err(|_| Fault::malformed("key of the supplier"))?;
    weak::check(&key).map_err(|_| Reason::WeakKey)?;
    match present {
        None if replaces => Err(Reason::SupplierUnknown.into()),
        Some(present) if !replaces && present != key.spki() => Err(Reason::SupplierKnown.into()),
        _ => Ok(Some(key)),
    }
}

/// Verifies that a list is signed by the supplier that it names.
///
/// # Errors
/// [`Reason::SupplierUnknown`] if nobody trusts a key of that name; [`Reason::ListOfAnother`] if another supplier signed
/// it; [`Reason::ListSignature`]
pub(crate) fn verify(
    suppliers: &[SupplierRow],
    supplier: &SupplierName,
    octets: &[u8],
    signature: &[u8],
) -> Result<(), Fault> {
    let key = |row: &SupplierRow| row.key.as_deref().and_then(|spki| PublicKey::decode(spki).ok());
    let own = suppliers.iter().find(|row| row.supplier == *supplier).and_then(key).ok_or(Reason::SupplierUnknown)?;
    if is_signed(&own, octets, signature) {
        return Ok(());
    }
    let is_anothers = suppliers.iter().filter_map(key).any(|key| is_signed(&key, octets, signature));
    Err(if is_anothers { Reason::ListOfAnother } else { Reason::ListSignature }.into())
}

/// Whether a signature holds under any hash that the key may be used with: a detached signature does not name it.
fn is_signed(key: &PublicKey, octets: &[u8], signature: &[u8]) -> bool {
    use SignatureAlgorithm as A;
    let algorithms: &[A] = match key.key_type() {
        KeyType::P256 | KeyType::P384 | KeyType::P521 => &[A::EcdsaSha256, A::EcdsaSha384, A::EcdsaSha512],
        KeyType::Rsa(_) => {
            &[A::RsaSha256, A::RsaSha384, A::RsaSha512, A::RsaPssSha256, A::RsaPssSha384, A::RsaPssSha512]
        }
        KeyType::Ed25519 => &[A::Ed25519],
        KeyType::MlDsa44 => &[A::MlDsa44],
        KeyType::MlDsa65 => &[A::MlDsa65],
        KeyType::MlDsa87 => &[A::MlDsa87],
    };
    algorithms.iter().any(|algorithm| holds(key, *algorithm, octets, signature).is_ok())
}
