//! Who the gateway is under a label: keys of its own, kept encrypted, and what km certified of them.
//!
//! A client that fetched the certificate before another took its place, or before the gateway was opened anew, encrypts for the former one.
//! So a key is kept as long as its certificate lasts, in one of two places: the one in use, and the one before. km says which certificate
//! a key has, and that it still holds; a key of which it does not is not used again.

use crate::identity::{Certified, certified_for_scep};
use crate::km::Km;
use adapters::keystore::FileKeystore;
use adapters::keystore::memory::MemoryKey;
use adapters::keystore::transport::TransportKey;
use model::{EstLabel, Fault, Reason, UnixTime};
use ports::keystore::KeyFault;
use std::sync::{Arc, Mutex, PoisonError};
use wire::scep::{Envelope, RecipientId, Signing};
use x509::{Certificate, KeyType};

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
    pub(super) km: &'a dyn Km,
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
            match certified_for_scep(self.km, self.label, key) {
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
        let certified = match self.certified(&next) {
            // Left behind by one who was interrupted long ago: its certificate is over. Another key takes its place.
            Err(fault) if is_over(&fault) => {
                self.keystore.rename(&next, &self.name(slot))?;
                self.certified(&next)
            }
            certified => certified,
        }?;
        self.keystore.rename(&next, &self.name(slot))?;
        Identity::of(certified, slot).ok_or(Fault::unavailable("the new key cannot be used"))
    }

    /// What km gives the key of this name, which is made if there is none: once, however often km does not answer.
    fn certified(&self, next: &str) -> Result<Certified, Fault> {
        let key = match self.keystore.kept(next) {
            Err(KeyFault::Missing) => {
                let key = MemoryKey::generate_pkcs8(KEY_TYPE)?;
                self.keystore.keep(next, &key)?;
                key
            }
            kept => kept?,
        };
        certified_for_scep(self.km, self.label, key)
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
