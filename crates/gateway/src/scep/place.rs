//! Who the gateway is under a label: keys of its own, kept encrypted, and what km certified of them.
//!
//! A client that fetched the certificate before another took its place, or before the gateway was opened anew, encrypts for the former one.
//! So a key is kept as long as its certificate lasts, in one of two places: the one in use, and the one before. km says which certificate
//! a key has, and that it still holds; a key of which it does not is not used again.

use crate::identity::Certified;
use adapters::keystore::FileKeystore;
use adapters::keystore::memory::MemoryKey;
use adapters::keystore::transport::TransportKey;
use model::{EstLabel, Fault, Reason, UnixTime};
use ports::keystore::KeyFault;
use std::sync::{Arc, Mutex, PoisonError};
use wire::scep::{Envelope, RecipientId, Signing};
use x509::{Certificate, KeyType};
use zeroize::Zeroizing;

/// What every client of this protocol can encrypt for.
const KEY_TYPE: KeyType = KeyType::Rsa(2048);
/// A certificate is replaced when two thirds of its time are over, so no more than two last at a time.
const SLOTS: [u8; 2] = [0, 1];

/// Who the gateway is under a label. Found for the first who asks.
#[derive(Default)]
pub(super) struct Place {
    held: Mutex<Option<Held>>,
}

/// The identities that hold, the newest first.
type Held = Vec<Arc<Identity>>;

/// A key and its certificate.
pub(super) struct Identity {
    pub(super) signer: MemoryKey,
    pub(super) transport: TransportKey,
    pub(super) certificate: Certificate,
    pub(super) chain: Vec<Vec<u8>>,
    due: UnixTime,
    /// Where its key is kept.
    slot: u8,
}

/// Where keys are, and who certifies them.
pub(super) struct Desk<'a> {
    /// Has a key certified.
    pub(super) certified: &'a dyn Fn(Zeroizing<Vec<u8>>) -> Result<Certified, Fault>,
    pub(super) keystore: &'a FileKeystore,
    pub(super) label: &'a EstLabel,
    pub(super) now: UnixTime,
}

impl Place {
    /// The identities that hold now: at least one, the newest first.
    ///
    /// # Errors
    /// [`Fault`] if there is none, and none could be made.
    pub(super) fn identities(&self, desk: &Desk<'_>) -> Result<Held, Fault> {
        // Held while km is asked: who comes meanwhile wants the same certificate.
        let mut place = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = match place.take() {
            Some(held) => held,
            None => desk.kept()?,
        };
        held.retain(|own| desk.now <= own.certificate.tbs().not_after);
        if held.first().is_none_or(|newest| desk.now >= newest.due) {
            match desk.made(held.first().map(|newest| newest.slot)) {
                Ok(own) => held.insert(0, Arc::new(own)),
                Err(fault) if held.is_empty() => return Err(fault),
                // It lasts for a third of its time still, and the next who comes tries again.
                Err(fault) => tracing::warn!(%fault, "the gateway has no newer certificate for SCEP"),
            }
        }
        *place = Some(held.clone());
        Ok(held)
    }
}

impl Desk<'_> {
    fn name(&self, which: impl std::fmt::Display) -> String {
        format!("scep.{}.{which}", self.label)
    }

    /// Those whose keys were kept, and hold.
    fn kept(&self) -> Result<Held, Fault> {
        let mut held = Vec::new();
        for slot in SLOTS {
            let key = match self.keystore.kept(&self.name(slot)) {
                Ok(key) => key,
                Err(KeyFault::Missing) => continue,
                Err(fault) => return Err(fault.into()),
            };
            match (self.certified)(key) {
                Ok(certified) => held.extend(Identity::of(certified, slot).map(Arc::new)),
                Err(fault) if is_over(&fault) => {}
                Err(fault) => return Err(fault),
            }
        }
        held.sort_by_key(|own| std::cmp::Reverse(own.certificate.tbs().not_before));
        Ok(held)
    }

    /// A new one, in the place that `taken` is not. The key is kept before anybody hears of it.
    fn made(&self, taken: Option<u8>) -> Result<Identity, Fault> {
        let slot = SLOTS.into_iter().find(|slot| Some(*slot) != taken).unwrap_or_default();
        let next = self.name("next");
        let certified = match self.certified_next(&next) {
            // Left behind by one who was interrupted long ago: its certificate is over. Another key takes its place.
            Err(fault) if is_over(&fault) => {
                self.keystore.rename(&next, &self.name(slot))?;
                self.certified_next(&next)
            }
            certified => certified,
        }?;
        self.keystore.rename(&next, &self.name(slot))?;
        Identity::of(certified, slot).ok_or(Fault::unavailable("the new key cannot be used"))
    }

    /// What km gives the key of this name, which is made if there is none: once, however often km does not answer.
    fn certified_next(&self, next: &str) -> Result<Certified, Fault> {
        let key = match self.keystore.kept(next) {
            Err(KeyFault::Missing) => {
                let key = MemoryKey::generate_pkcs8(KEY_TYPE)?;
                self.keystore.keep(next, &key)?;
                key
            }
            kept => kept?,
        };
        (self.certified)(key)
    }
}

/// Whether a key had a certificate, which does not hold any more.
const fn is_over(fault: &Fault) -> bool {
    use Reason::{AuthorityEnded, ClientExpired, ClientRevoked, ClientUnknown};
    matches!(fault, Fault::Refused(AuthorityEnded | ClientExpired | ClientRevoked | ClientUnknown))
}

impl Identity {
    fn of(Certified { chain, key, due }: Certified, slot: u8) -> Option<Self> {
        let certificate = Certificate::decode(chain.first()?).ok()?;
        let signer = MemoryKey::open(&key).ok()?.with_algorithm(Signing::ALGORITHM).ok()?;
        Some(Self { signer, transport: TransportKey::open(&key).ok()?, certificate, chain, due, slot })
    }

    /// The one among these that an envelope is for; the newest if it is for none, or is none.
    pub(super) fn named<'a>(held: &'a [Arc<Self>], content: Option<&[u8]>) -> Option<&'a Arc<Self>> {
        let envelope = content.and_then(|content| Envelope::decode(content).ok());
        let recipients = envelope.map(|envelope| envelope.recipients).unwrap_or_default();
        held.iter().find(|own| recipients.iter().any(|one| own.is_named(&one.id))).or(held.first())
    }

    pub(super) fn is_named(&self, id: &RecipientId) -> bool {
        let tbs = self.certificate.tbs();
        match id {
            RecipientId::IssuerAndSerialNumber(issuer, serial) => {
                *serial == tbs.serial_number && issuer.matches(&tbs.issuer)
            }
            RecipientId::SubjectKeyIdentifier(identifier) => {
                let own = tbs.extension(x509::oids::SUBJECT_KEY_IDENTIFIER);
                let own = own.and_then(|own| x509::extension::decode_subject_key_identifier(&own.value));
                own.is_some_and(|own| own == *identifier)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;
    use adapters::clock::SystemEntropy;
    use std::cell::RefCell;
    use std::path::PathBuf;

    /// A certificate that holds for a hundred years.
    const RA: &[u8] = include_bytes!("../../../../testdata/rfc8894/openssl-3.0.19-ra.der");

    /// A box whose km answers as it is told, and remembers for which keys it was asked.
    struct Scene {
        directory: PathBuf,
        keystore: FileKeystore,
        label: EstLabel,
        asked: RefCell<Vec<Vec<u8>>>,
        answer: RefCell<Result<(), Fault>>,
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _left_behind = std::fs::remove_dir_all(&self.directory);
        }
    }

    impl Scene {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("cradle-place-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            let keystore =
                FileKeystore::new(directory.clone(), b"passphrase".to_vec().into(), Arc::new(SystemEntropy::default()));
            let label = "devices".parse().unwrap();
            Self { directory, keystore, label, asked: RefCell::default(), answer: RefCell::new(Ok(())) }
        }
        fn look(&self, place: &Place, now: UnixTime) -> Result<Held, Fault> {
            let certified = |key: Zeroizing<Vec<u8>>| {
                self.asked.borrow_mut().push(key.to_vec());
                self.answer.borrow().clone()?;
                Ok(Certified { chain: vec![RA.to_vec()], key, due: due() })
            };
            let desk = Desk { certified: &certified, keystore: &self.keystore, label: &self.label, now };
            place.identities(&desk)
        }
        fn keys(&self) -> usize {
            let asked = self.asked.borrow();
            asked.iter().collect::<std::collections::BTreeSet<_>>().len()
        }
        fn says(&self, fault: impl Into<Fault>) {
            *self.answer.borrow_mut() = Err(fault.into());
        }
    }

    fn ends() -> UnixTime {
        Certificate::decode(RA).unwrap().tbs().not_after
    }
    fn due() -> UnixTime {
        UnixTime::from_s(ends().s() - 100)
    }
    fn before(moment: UnixTime) -> UnixTime {
        UnixTime::from_s(moment.s() - 1)
    }

    #[test]
    fn the_former_one_lasts_until_its_end() {
        let (scene, place) = (Scene::new("former"), Place::default());
        assert_eq!(scene.look(&place, before(due())).unwrap().len(), 1);
        assert_eq!(scene.look(&place, before(due())).unwrap().len(), 1);
        assert_eq!(scene.keys(), 1);
        let held = scene.look(&place, due()).unwrap();
        assert_eq!((held.len(), scene.keys(), held[0].slot != held[1].slot), (2, 2, true));
        // Who opens it anew finds both.
        assert_eq!(scene.look(&Place::default(), before(due())).unwrap().len(), 2);
        assert_eq!(scene.keys(), 2);
        // All are over, and a new one is made.
        assert_eq!(scene.look(&place, ends().plus_s(1)).unwrap().len(), 1);
    }
    #[test]
    fn while_km_is_away_the_one_that_lasts_is_used_and_no_further_key_is_made() {
        let (scene, place) = (Scene::new("away"), Place::default());
        let away = || Fault::unavailable("km is away");
        scene.says(away());
        assert_eq!(scene.look(&place, before(due())).err(), Some(away()));
        assert_eq!(scene.look(&place, before(due())).err(), Some(away()));
        assert_eq!(scene.keys(), 1);
        *scene.answer.borrow_mut() = Ok(());
        assert_eq!((scene.look(&place, before(due())).unwrap().len(), scene.keys()), (1, 1));
        scene.says(away());
        assert_eq!(scene.look(&place, ends()).unwrap().len(), 1);
        assert_eq!(scene.look(&place, ends().plus_s(1)).err(), Some(away()));
        // Nor is one that is kept given up because km does not say.
        assert_eq!(scene.look(&Place::default(), before(due())).err(), Some(away()));
        scene.says(Reason::RateExceeded);
        assert_eq!(scene.look(&Place::default(), before(due())).err(), Some(Reason::RateExceeded.into()));
        assert_eq!(scene.keys(), 2, "the first, and the one that was due when the first was over");
    }
    #[test]
    fn a_key_whose_certificate_does_not_hold_is_not_used_again() {
        for over in [Reason::ClientRevoked, Reason::ClientExpired, Reason::AuthorityEnded, Reason::ClientUnknown] {
            let scene = Scene::new(&format!("over-{over:?}"));
            scene.look(&Place::default(), before(due())).unwrap();
            scene.says(over);
            // The one that is kept, the next one, and the one after it, which km would have to take.
            assert_eq!(scene.look(&Place::default(), before(due())).err(), Some(over.into()));
            assert_eq!(scene.keys(), 3);
            *scene.answer.borrow_mut() = Ok(());
            assert!(!scene.look(&Place::default(), before(due())).unwrap().is_empty());
        }
    }
}
