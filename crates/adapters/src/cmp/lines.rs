//! Lines to foreign authorities, and where what protects them is kept: encrypted, in the keystore.

use super::{Address, HttpLine};
use crate::keystore::FileKeystore;
use crate::keystore::file::SCHEME;
use model::Fault;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::{AlgorithmIdentifierRef, ObjectIdentifier};
use ports::Keystore;
use ports::foreign::{Lines, Opened, Protection};
use ports::keystore::{KeyFault, KeyUri};
use ports::store::foreign::{Attachment, Credential};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// `id-PBMAC1`: what a secret is for, in its PKCS #8 form. Source: RFC 9579 §4.
const PBMAC1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");

/// Opens lines by CMP.
pub struct CmpLines {
    keystore: Arc<FileKeystore>,
    timeout: Duration,
    answer_len_max: usize,
}

impl CmpLines {
    /// Lines whose secrets and keys are in this keystore.
    ///
    /// Limits: `timeout` for each exchange, `answer_len_max` octets of an answer.
    #[must_use]
    pub const fn new(keystore: Arc<FileKeystore>, timeout: Duration, answer_len_max: usize) -> Self {
        Self { keystore, timeout, answer_len_max }
    }
}

/// Keeps a secret of a foreign authority under a name of its own.
///
/// # Errors
/// [`KeyFault`]
pub fn keep_secret(keystore: &FileKeystore, label: &str, secret: &[u8]) -> Result<(), KeyFault> {
    let broken = |_| KeyFault::Medium("the secret could not be written");
    let algorithm = AlgorithmIdentifierRef { oid: PBMAC1, parameters: None };
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(secret).map_err(broken)?);
    keystore.keep(label, &Zeroizing::new(info.to_der().map_err(broken)?))
}

fn secret(keystore: &FileKeystore, label: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let kept = keystore.kept(label)?;
    let info = PrivateKeyInfoRef::from_der(&kept).map_err(|_| KeyFault::Locked)?;
    if info.algorithm.oid != PBMAC1 {
        return Err(KeyFault::Medium("the file of the secret holds something else"));
    }
    Ok(Zeroizing::new(info.private_key.as_bytes().to_vec()))
}

impl Lines for CmpLines {
    fn open(&self, attachment: &Attachment) -> Result<Opened, Fault> {
        let address = Address::parse(&attachment.url).map_err(|bad| Fault::unavailable(bad.0))?;
        let line = HttpLine::new(address, &attachment.anchors, self.timeout, self.answer_len_max);
        let line = line.map_err(|bad| Fault::unavailable(bad.0))?;
        let protection = match &attachment.credential {
            Credential::Secret { label, .. } => Protection::Secret(Box::new(secret(&self.keystore, label)?)),
            Credential::Key { label, .. } => Protection::Key(self.keystore.open(&KeyUri(format!("{SCHEME}{label}")))?),
        };
        Ok(Opened { line: Box::new(line), protection })
    }

    #[expect(clippy::disallowed_methods, reason = "the other side says how long, and tells nobody when it is ready")]
    fn wait(&self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }
}
