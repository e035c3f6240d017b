//! Who may sign: certificates, authorities, keys.

use super::fault::BadDeveloper;
use super::openpgp::OpenPgpKey;
use x509::{Certificate, CertificateList, PublicKey, pem, weak};

/// Most that are registered. Each signature of an envelope is compared with each bare key.
pub const REGISTERED_MAX: usize = 64;

/// What was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An authority: whoever it certifies for signing code is a developer.
    Authority,
    /// The certificate of one developer.
    Certificate,
    /// A list of certificates that are revoked.
    RevocationList,
    /// A bare key, which signs envelopes.
    Key,
    /// A key of OpenPGP.
    OpenPgp,
}

impl Kind {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Certificate => "certificate",
            Self::RevocationList => "revocation list",
            Self::Key => "key",
            Self::OpenPgp => "OpenPGP key",
        }
    }
}

/// Those who may sign, by the names under which they were registered.
#[derive(Clone, Debug, Default)]
pub struct Registered {
    pub(super) authorities: Vec<Certificate>,
    pub(super) certificates: Vec<(String, Certificate)>,
    pub(super) lists: Vec<CertificateList>,
    pub(super) keys: Vec<(String, PublicKey)>,
    pub(super) openpgp: Vec<(String, OpenPgpKey)>,
}

impl Registered {
    /// Registers what is in a file: one certificate, list or public key in PEM, or one key of OpenPGP, armoured or not.
    ///
    /// # Errors
    /// [`BadDeveloper`]
    pub fn add(&mut self, name: &str, octets: &[u8]) -> Result<Kind, BadDeveloper> {
        let all = self.authorities.len() + self.certificates.len() + self.lists.len();
        if all + self.keys.len() + self.openpgp.len() >= REGISTERED_MAX {
            return Err(BadDeveloper::TooMany);
        }
        let text = octets.trim_ascii_start();
        if text.starts_with(b"-----BEGIN PGP ") || octets.first().is_some_and(|first| *first >= 0x80) {
            let key = OpenPgpKey::decode(octets).ok_or(BadDeveloper::UnknownForm)?;
            if !key.can_sign() {
                return Err(BadDeveloper::NoSigningKey);
            }
            key.keys().try_for_each(strong)?;
            self.openpgp.push((name.to_owned(), key));
            return Ok(Kind::OpenPgp);
        }
        let (label, der) = pem::decode(octets).ok_or(BadDeveloper::UnknownForm)?;
        match label.as_str() {
            "CERTIFICATE" => {
                let certificate = Certificate::decode(&der).map_err(|_| BadDeveloper::UnknownForm)?;
                strong(&certificate.tbs().subject_public_key)?;
                if certificate.basic_constraints().is_some_and(|constraints| constraints.ca) {
                    self.authorities.push(certificate);
                    return Ok(Kind::Authority);
                }
                self.certificates.push((name.to_owned(), certificate));
                Ok(Kind::Certificate)
            }
            "X509 CRL" => {
                self.lists.push(CertificateList::decode(&der).map_err(|_| BadDeveloper::UnknownForm)?);
                Ok(Kind::RevocationList)
            }
            "PUBLIC KEY" => {
                let key = PublicKey::decode(&der).map_err(|_| BadDeveloper::UnknownForm)?;
                strong(&key)?;
                self.keys.push((name.to_owned(), key));
                Ok(Kind::Key)
            }
            _ => Err(BadDeveloper::UnknownForm),
        }
    }
}

fn strong(key: &PublicKey) -> Result<(), BadDeveloper> {
    weak::check(key).map_err(|_| BadDeveloper::WeakKey)
}
