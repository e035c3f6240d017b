//! A key and its certificate, in one file: who reads it never has one of before and one of after.

use super::note::Slot;
use crate::fault::{Failure, Result};
use crate::keys::{Keys, Private};
use adapters::files;
use adapters::http::Shown;
use adapters::keystore::memory::MemoryKey;
use model::UnixTime;
use ports::Signer;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509::{Certificate, KeyType, pem, sha256};
use zeroize::Zeroizing;

/// The key and its certificate.
const IDENTITY: &str = "identity.pem";
/// The key that comes next, from before it is asked for a certificate until it has one.
const NEXT: &str = "next.pem";
/// Longest file of a key and certificates.
const PEM_LEN_MAX: u64 = 256 * 1024;
/// What part of its lifetime a certificate is used before it is renewed, and in what part behind it devices that were certified
/// together come one after another. A quarter is left for servers that are away.
const BEFORE: (u64, u64) = (2, 3);
const SPREAD: u64 = 12;

/// A key and its certificate.
pub(crate) struct Pair {
    key: Private,
    leaf: Certificate,
    /// Those between the certificate and its root, in their order.
    above: Vec<Vec<u8>>,
}

impl Pair {
    /// A key, its certificate and what is above that. `None` if the key is another one. Of one in a token that is said when it is used.
    pub(crate) fn of(key: Private, leaf: Certificate, above: Vec<Vec<u8>>) -> Option<Self> {
        let is_its_key = match &key {
            Private::File(pkcs8) => {
                MemoryKey::open(pkcs8).is_ok_and(|key| *key.public_key() == leaf.tbs().subject_public_key)
            }
            Private::Token(_) => true,
        };
        is_its_key.then_some(Self { key, leaf, above })
    }

    /// Where it is.
    pub(crate) fn path(directory: &Path) -> PathBuf {
        directory.join(IDENTITY)
    }

    /// What is kept in a directory; `None` if there is none yet.
    pub(crate) fn load(directory: &Path) -> Result<Option<Self>> {
        let path = Self::path(directory);
        let Some((key, certificates)) = read(&path)? else { return Ok(None) };
        let read = key
            .zip(certificates.split_first())
            .and_then(|(key, (leaf, above))| Self::of(key, Certificate::decode(leaf).ok()?, above.to_vec()));
        read.map(Some).ok_or_else(|| {
            Failure::new("identity", format!("{} cannot be used", path.display()))
                .because("it has no key with its certificate: the medium altered it, or somebody else")
                .next("enrol again, with a new secret: cradle-agent enrol --force")
        })
    }

    /// Keeps it, in place of any before it; it is durable when this returns.
    pub(crate) fn save(&self, directory: &Path) -> Result {
        let above = self.above.iter().map(Vec::as_slice);
        write(&Self::path(directory), &self.key, [self.leaf.der()].into_iter().chain(above))
    }

    pub(crate) const fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// As it is shown to servers.
    pub(crate) fn shown(&self, keys: &Keys) -> Result<Shown> {
        let chain = [self.leaf.der().to_vec()].into_iter().chain(self.above.iter().cloned()).collect();
        Ok(Shown { chain, key: keys.shown(&self.key)? })
    }

    /// Those between the certificate and its root.
    pub(crate) fn above(&self) -> &[Vec<u8>] {
        &self.above
    }

    pub(crate) const fn key(&self) -> &Private {
        &self.key
    }

    fn has_key(&self, key: &dyn Signer) -> bool {
        self.leaf.tbs().subject_public_key == *key.public_key()
    }

    /// When it is to be renewed: in the second that the server has granted; else after two thirds of its lifetime, and a part of a
    /// twelfth that depends on the certificate.
    pub(crate) fn due(&self, granted: Option<Slot>) -> UnixTime {
        let (tbs, digest) = (self.leaf.tbs(), sha256(self.leaf.der()));
        let granted = granted.filter(|slot| slot.of == digest).map(|slot| UnixTime::from_s(slot.at_s));
        granted
            .filter(|at| is_sensible(tbs.not_before, tbs.not_after, *at))
            .unwrap_or_else(|| due(tbs.not_before, tbs.not_after, digest.octets()))
    }

    pub(crate) fn until(&self) -> UnixTime {
        self.leaf.tbs().not_after
    }
}

// What a server may grant: neither that a device comes again at once, nor that it has no time left if the server is away.
fn is_sensible(from: UnixTime, until: UnixTime, at: UnixTime) -> bool {
    let lifetime = until.s().saturating_sub(from.s());
    (from.plus_s(lifetime / 2)..=from.plus_s(lifetime / 10 * 9)).contains(&at)
}

fn due(from: UnixTime, until: UnixTime, digest: &[u8]) -> UnixTime {
    let lifetime = until.s().saturating_sub(from.s());
    let number = digest.iter().take(8).fold(0_u64, |n, octet| n << 8 | u64::from(*octet));
    let spread = number.checked_rem(lifetime / SPREAD).unwrap_or(0);
    from.plus_s(lifetime / BEFORE.1 * BEFORE.0 + spread)
}

/// The key that comes next.
pub(crate) struct Next {
    pub(crate) private: Private,
    pub(crate) key: Arc<dyn Signer>,
}

impl Next {
    /// The key for which a certificate is asked: the one that was made before, if it was for the same and has none yet, so that a
    /// server that has answered already answers the same again; otherwise a new one, which is durable before it is used.
    pub(crate) fn take(
        directory: &Path,
        keys: &Keys,
        key_type: KeyType,
        old: Option<&Pair>,
        renewed: Option<&Pair>,
    ) -> Result<Self> {
        let path = directory.join(NEXT);
        let fits = |next: &Self, certificates: &[Vec<u8>]| {
            let of = certificates.first().map(Vec::as_slice);
            let is_used = old.is_some_and(|old| old.has_key(next.key.as_ref()));
            of == renewed.map(|pair| pair.leaf.der()) && !is_used && next.key.public_key().key_type() == key_type
        };
        if let Some((private, certificates)) = kept(directory)
            && let Ok(key) = keys.open(&private)
        {
            let next = Self { private, key };
            if fits(&next, &certificates) {
                return Ok(next);
            }
        }
        let (private, key) = keys.make(key_type)?;
        write(&path, &private, renewed.map(|pair| pair.leaf.der()).into_iter())?;
        Ok(Self { private, key })
    }

    /// Whether one waits for its certificate. One that has it and was not forgotten yet does not.
    pub(crate) fn is_waiting(directory: &Path, pair: Option<&Pair>) -> bool {
        let is_used = |next: &Private| pair.is_some_and(|pair| next.is(&pair.key));
        kept(directory).is_some_and(|(next, _)| !is_used(&next))
    }

    /// Forgets it: it has its certificate.
    pub(crate) fn forget(directory: &Path) -> Result {
        let path = directory.join(NEXT);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Failure::file(&path, &e)),
            _ => files::sync_directory(directory).map_err(|e| Failure::file(directory, &e)),
        }
    }
}

// The one that was made, and the certificate that it was to renew. One that cannot be read is as good as none.
fn kept(directory: &Path) -> Option<(Private, Vec<Vec<u8>>)> {
    let (private, certificates) = read(&directory.join(NEXT)).ok()??;
    Some((private?, certificates))
}

/// The key of a file, if it has one, and its certificates.
type Read = (Option<Private>, Vec<Vec<u8>>);

fn read(path: &Path) -> Result<Option<Read>> {
    let octets = match files::read_bounded(path, PEM_LEN_MAX) {
        Ok(octets) => Zeroizing::new(octets),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::file(path, &e)),
    };
    Ok(Some((Private::of_pem(&octets), pem::blocks_labelled(&octets, "CERTIFICATE").unwrap_or_default())))
}

fn write<'a>(path: &Path, key: &Private, certificates: impl Iterator<Item = &'a [u8]>) -> Result {
    let text = key.to_pem();
    // So long that it does not grow, and leave the key where it was before.
    let certificates: String = certificates.map(|der| pem::encode("CERTIFICATE", der)).collect();
    let mut all = Zeroizing::new(String::with_capacity(text.len() + certificates.len()));
    all.push_str(&text);
    all.push_str(&certificates);
    files::replace(path, all.as_bytes()).map_err(|e| Failure::file(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[track_caller]
    fn check(lifetime: u64, digest: &[u8], expected: u64) {
        let from = UnixTime::from_s(1_000);
        assert_eq!(due(from, from.plus_s(lifetime), digest).s() - 1_000, expected);
    }
    #[test]
    fn a_certificate_is_renewed_between_two_thirds_and_three_quarters_of_its_lifetime() {
        check(360 * DAY, &[0; 32], 240 * DAY);
        check(360 * DAY, &[0, 0, 0, 0, 0, 0, 0, 9, 1], 240 * DAY + 9);
        for n in 0..=255 {
            let due = due(UnixTime::from_s(0), UnixTime::from_s(360 * DAY), &[n; 32]).s();
            assert!((240 * DAY..270 * DAY).contains(&due), "{due}");
        }
    }
    #[test]
    fn a_hundred_thousand_devices_of_one_day_do_not_come_together() {
        // Made within a day, as by a factory; counted by the days of the month in which they renew.
        let (devices, days) = (100_000_u32, 30_u64);
        let mut came = std::collections::BTreeMap::new();
        for n in 0..devices {
            let from = UnixTime::from_s(u64::from(n) * DAY / u64::from(devices));
            let due = due(from, from.plus_s(360 * DAY), sha256(&n.to_be_bytes()).octets()).s();
            *came.entry(due / DAY).or_insert(0_u32) += 1;
        }
        let even = devices / u32::try_from(days).unwrap();
        let most = came.values().max().copied().unwrap();
        assert!(most * 10 <= even * 11, "{most} on the busiest day, {even} if all were alike");
    }
    #[test]
    fn one_that_ends_at_once_is_due_at_once() {
        check(0, &[7; 32], 0);
        check(9, &[7; 32], 6);
    }

    fn certificate(name: &str) -> Certificate {
        let path = format!("{}/../../testdata/rfc5280/openssl-3.0.19-{name}.der", env!("CARGO_MANIFEST_DIR"));
        Certificate::decode(&std::fs::read(path).unwrap()).unwrap()
    }
    fn keys() -> Keys {
        Keys::new(None, Path::new("/data")).unwrap()
    }
    fn next(dir: &Path, renewed: Option<&Pair>) -> Vec<u8> {
        Next::take(dir, &keys(), KeyType::P256, renewed, renewed).unwrap().key.public_key().spki().to_vec()
    }
    fn pair(name: &str) -> Pair {
        // What a pair renews is told by its certificate alone.
        Pair {
            key: Private::File(MemoryKey::generate_pkcs8(KeyType::P256).unwrap()),
            leaf: certificate(name),
            above: Vec::new(),
        }
    }

    #[test]
    fn a_key_waits_for_the_certificate_for_which_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (pair("leaf"), pair("root"));
        assert!(!Next::is_waiting(dir.path(), None));
        let first = next(dir.path(), None);
        assert_eq!(next(dir.path(), None), first, "a key that may have a certificate already is lost");
        assert!(Next::is_waiting(dir.path(), None) && !files::open_to_others(&dir.path().join(NEXT)).unwrap());
        let second = next(dir.path(), Some(&a));
        assert_ne!(second, first, "a renewal is asked for with the key of something else");
        assert_eq!(next(dir.path(), Some(&a)), second);
        assert_ne!(next(dir.path(), Some(&b)), second);
        Next::forget(dir.path()).unwrap();
        assert!(!Next::is_waiting(dir.path(), None));
        Next::forget(dir.path()).unwrap();
        assert_ne!(next(dir.path(), Some(&a)), second, "each renewal has a key of its own");
    }
    #[test]
    fn one_that_is_damaged_or_of_another_type_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let first = next(dir.path(), None);
        let other = Next::take(dir.path(), &keys(), KeyType::Ed25519, None, None).unwrap();
        assert_eq!(other.key.public_key().key_type(), KeyType::Ed25519);
        std::fs::write(dir.path().join(NEXT), "-----BEGIN PRIVATE KEY-----\nMC4").unwrap();
        assert_ne!(next(dir.path(), None), first);
    }
    #[test]
    fn a_key_with_the_certificate_of_another_is_no_pair() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Pair::load(dir.path()).unwrap().is_none());
        pair("leaf").save(dir.path()).unwrap();
        assert_eq!(Pair::load(dir.path()).err().map(|failure| failure.code), Some("identity"));
    }
}
