//! The keys to which devices seal what they report.

use super::{failed, key_failed, keystore, open};
use crate::cli::Common;
use crate::fault::Result;
use adapters::clock::SystemEntropy;
use adapters::keystore::FileKeystore;
use adapters::vault::VaultPrivateKey;
use director::{Director, DirectorFault, Manifests, Padding, Privacy};
use model::octets::hex;
use ports::keystore::KeyFault;
use serde_json::json;

const LABEL: &str = "manifests";
/// The key before: what was sealed to it may still be on its way.
const BEFORE: &str = "manifests.before";

/// Makes a key, and gives its public half.
pub(super) fn make(own: &FileKeystore) -> Result<VaultPrivateKey> {
    let unusable =
        |fault: ports::vault::VaultFault| failed("no key was made")(DirectorFault::Refused(fault.to_string()));
    let key = VaultPrivateKey::generate(&SystemEntropy::default()).map_err(unusable)?;
    own.keep(LABEL, &key.to_pkcs8()).map_err(key_failed)?;
    Ok(key)
}

fn kept(own: &FileKeystore, label: &str) -> Result<Option<VaultPrivateKey>> {
    match own.kept(label) {
        Ok(pkcs8) => VaultPrivateKey::from_pkcs8(&pkcs8)
            .map(Some)
            .map_err(|fault| failed("the key of manifests cannot be used")(DirectorFault::Refused(fault.to_string()))),
        Err(KeyFault::Missing) => Ok(None),
        Err(fault) => Err(key_failed(fault)),
    }
}

/// The key that is announced, and the one before. A director that was begun without gets one.
fn keys(own: &FileKeystore) -> Result<Vec<VaultPrivateKey>> {
    let first = kept(own, LABEL)?.map_or_else(|| make(own), Ok)?;
    Ok([first].into_iter().chain(kept(own, BEFORE)?).collect())
}

/// A director that serves devices, and keeps this from others.
pub(super) fn keeping(common: &Common, manifests: Manifests, padding: Padding) -> Result<Director> {
    let director = open(common)?;
    let keys = keys(&keystore(common, &common.data.join("keys"))?)?;
    let director = director.keeping(Privacy { keys, manifests, padding });
    director.announce().map_err(failed("what devices are told cannot be brought up to date"))?;
    Ok(director)
}

/// Shows the key, after another one was put in its place if that is asked for.
pub(super) fn manifest_key(common: &Common, renew: bool) -> Result {
    // There must be a director whose key it is.
    drop(open(common)?);
    let own = keystore(common, &common.data.join("keys"))?;
    if renew {
        match own.rename(LABEL, BEFORE) {
            Ok(()) | Err(KeyFault::Missing) => make(&own)?,
            Err(fault) => return Err(key_failed(fault)),
        };
    }
    let keys: Vec<_> = keys(&own)?.iter().map(|key| hex(key.public_key().octets())).collect();
    let (first, before) = (keys.first(), keys.get(1));
    common.out().one(&json!({ "manifest_key": first, "before": before }), || {
        let before = before.map_or(String::new(), |key| format!("what was sealed to {key} is still opened\n"));
        format!("devices seal what they report to {}\n{before}", first.map_or("-", String::as_str))
    })?;
    if renew {
        common.out().next("start `cradle director serve` again: it announces the new key");
    }
    Ok(())
}
