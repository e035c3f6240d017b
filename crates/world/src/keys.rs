//! Keys that depend on their name only, and a watch on those that sign certificates.

use crate::hub::{Hub, Node, locked};
use crate::sabotage::Sabotage;
use adapters::keystore::memory::MemoryKey;
use ports::keystore::{KeyFault, KeyUri};
use ports::store::AuthorityStore;
use ports::{Keystore, SignFault, Signer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use x509::certificate::TbsCertificate;
use x509::{KeyType, PublicKey, SignatureAlgorithm};

/// What stands before the 32 octets of an Ed25519 key. Source: RFC 8410 §7.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The key of a name.
///
/// # Errors
/// [`KeyFault`]
pub fn key(name: &str) -> Result<Arc<MemoryKey>, KeyFault> {
    // Each is opened once: what follows from a name does not change.
    static OPENED: Mutex<BTreeMap<String, Arc<MemoryKey>>> = Mutex::new(BTreeMap::new());
    if let Some(opened) = locked(&OPENED).get(name) {
        return Ok(Arc::clone(opened));
    }
    let secret = x509::sha256(format!("a key of no worth: {name}").as_bytes());
    let key = Arc::new(MemoryKey::open(&[PKCS8.as_slice(), secret.octets()].concat())?);
    locked(&OPENED).insert(name.to_owned(), Arc::clone(&key));
    Ok(key)
}

/// A keystore of one process. What was made in it is there after a restart.
pub struct Ring {
    hub: Arc<Hub>,
    node: Arc<Node>,
    made: Arc<Mutex<BTreeSet<String>>>,
    store: Arc<dyn AuthorityStore>,
}

impl Ring {
    /// The keystore that a process sees; `made` outlives it.
    #[must_use]
    pub const fn new(
        hub: Arc<Hub>,
        node: Arc<Node>,
        made: Arc<Mutex<BTreeSet<String>>>,
        store: Arc<dyn AuthorityStore>,
    ) -> Self {
        Self { hub, node, made, store }
    }

    fn watched(&self, label: &str) -> Result<Arc<dyn Signer>, KeyFault> {
        Ok(Arc::new(Watched {
            key: key(label)?,
            hub: Arc::clone(&self.hub),
            node: Arc::clone(&self.node),
            store: Arc::clone(&self.store),
            last: Mutex::default(),
        }))
    }
}

impl Keystore for Ring {
    // Whatever type is wanted, the key is Ed25519: its signatures depend on nothing else, so a run can be repeated.
    fn generate(&self, label: &str, _: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        if !locked(&self.made).insert(label.to_owned()) {
            return Err(KeyFault::Exists);
        }
        Ok((KeyUri(format!("file:{label}")), self.watched(label)?))
    }

    fn open(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>, KeyFault> {
        let label = uri.0.strip_prefix("file:").ok_or(KeyFault::BadName)?;
        if !locked(&self.made).contains(label) {
            return Err(KeyFault::Missing);
        }
        if self.node.is_dead() || self.hub.strikes(|w| w.signer / 4) {
            return Err(KeyFault::Medium("the keystore is away"));
        }
        self.watched(label)
    }
}

/// A key of an authority: the oracle sees what it signs, and it can fail, also after it has signed.
struct Watched {
    key: Arc<MemoryKey>,
    hub: Arc<Hub>,
    node: Arc<Node>,
    store: Arc<dyn AuthorityStore>,
    last: Mutex<Vec<u8>>,
}

impl Watched {
    fn show(&self, message: &[u8]) {
        let said = locked(&self.hub.oracle).signed(self.key.public_key().digest(), message, self.store.as_ref());
        self.hub.judge(said);
    }

    /// Signs the next certificate under the serial number of the one before it, too.
    fn sign_twin(&self, message: &[u8]) {
        let Ok(tbs) = TbsCertificate::decode(message) else { return };
        let serial = tbs.serial_number.octets().to_vec();
        let before = std::mem::replace(&mut *locked(&self.last), serial.clone());
        let at = message.windows(serial.len()).position(|octets| octets == serial);
        if let Some(at) = at.filter(|_| before.len() == serial.len()) {
            let mut twin = message.to_vec();
            twin.iter_mut().skip(at).zip(before).for_each(|(to, from)| *to = from);
            self.show(&twin);
        }
    }
}

impl Signer for Watched {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        const AWAY: SignFault = SignFault("the key is away");
        self.hub.moment(&self.node, "sign");
        if self.node.is_dead() {
            return Err(AWAY);
        }
        if self.hub.strikes(|w| w.signer) {
            self.hub.log(|| format!("  {}: the key refuses", self.node.name));
            return Err(AWAY);
        }
        self.show(message);
        if self.hub.sabotage == Some(Sabotage::TwinSerial) {
            self.sign_twin(message);
        }
        let signature = self.key.sign(message)?;
        if self.hub.strikes(|w| w.signer / 2) {
            self.hub.log(|| format!("  {}: the key has signed, and says that it failed", self.node.name));
            return Err(AWAY);
        }
        if self.hub.strikes(|w| w.crash) {
            self.hub.log(|| format!("  {} is killed after signing", self.node.name));
            self.node.kill();
            return Err(AWAY);
        }
        Ok(signature)
    }
}
