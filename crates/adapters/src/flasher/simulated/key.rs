//! The key of a simulated board.

use super::super::fault;
use crate::keystore::memory::MemoryKey;
use model::DeviceSerial;
use ports::Signer;
use ports::flasher::{BoardFault, KeyOffer};
use ports::keystore::KeyFault;
use x509::name::Attribute;
use x509::{KeyType, Name, csr, oids};

/// A private key.
pub(super) struct Key(MemoryKey);

impl Key {
    /// Makes a key; gives it and its PKCS #8 octets.
    pub(super) fn generate(key_type: KeyType) -> Result<(Self, Vec<u8>), BoardFault> {
        let pkcs8 = MemoryKey::generate_pkcs8(key_type).map_err(|why| match why {
            KeyFault::Unsupported => fault::refused(format_args!("this board makes no {key_type} keys")),
            other => fault::fixture(other),
        })?;
        let octets = pkcs8.to_vec();
        Ok((Self::read(key_type, &octets)?, octets))
    }

    /// Reads a key from PKCS #8.
    pub(super) fn read(key_type: KeyType, pkcs8: &[u8]) -> Result<Self, BoardFault> {
        match MemoryKey::open(pkcs8) {
            Ok(key) if key.public_key().key_type() == key_type => Ok(Self(key)),
            Ok(_) | Err(_) => Err(fault::fixture("the board's file holds no key of its type")),
        }
    }

    pub(super) fn key_type(&self) -> KeyType {
        self.0.public_key().key_type()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoardFault> {
        self.0.sign(message).map_err(|e| fault::fixture(e.0))
    }

    pub(super) fn public_key(&self) -> KeyOffer {
        KeyOffer::PublicKey(self.0.public_key().spki().to_vec())
    }

    /// A request for the name on the label. Source: RFC 2986 §4.
    pub(super) fn request(&self, serial: &DeviceSerial) -> Result<KeyOffer, BoardFault> {
        let subject = Name::write(&[Attribute { oid: oids::SERIAL_NUMBER, text: serial.as_str().to_owned() }]);
        let to_sign = csr::write_info(&subject, self.0.public_key(), &[]);
        let signature = self.sign(&to_sign)?;
        let signed = csr::write_signed(&to_sign, self.0.algorithm(), &signature);
        Ok(KeyOffer::CertificationRequest(signed))
    }
}
