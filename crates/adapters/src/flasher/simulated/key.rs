//! The key of a simulated board.

use super::super::fault;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair,
};
use model::DeviceSerial;
use ports::flasher::{BoardFault, KeyOffer};
use x509::name::Attribute;
use x509::{KeyType, Name, PublicKey, csr, oids};

/// A private key.
pub(super) struct Key {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// Makes a key; gives it and its PKCS #8 octets.
    pub(super) fn generate(key_type: KeyType) -> Result<(Self, Vec<u8>), BoardFault> {
        let document = match ecdsa(key_type) {
            Some(algorithm) => EcdsaKeyPair::generate(algorithm).and_then(|pair| pair.to_pkcs8v1()),
            None if key_type == KeyType::Ed25519 => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8()),
            None => return Err(fault::refused(format_args!("this board makes no {key_type} keys"))),
        };
        let document = document.map_err(|_| fault::fixture("a key could not be made"))?;
        let octets = document.as_ref().to_vec();
        Ok((Self::read(key_type, &octets)?, octets))
    }

    /// Reads a key from PKCS #8.
    pub(super) fn read(key_type: KeyType, pkcs8: &[u8]) -> Result<Self, BoardFault> {
        let pair = match ecdsa(key_type) {
            Some(algorithm) => EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).map(Pair::Ecdsa),
            None => Ed25519KeyPair::from_pkcs8(pkcs8).map(Pair::Ed25519),
        };
        let pair = pair.map_err(|_| fault::fixture("the board's file holds no key of its type"))?;
        let public = match &pair {
            Pair::Ecdsa(pair) => PublicKey::from_bits(key_type, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => PublicKey::from_bits(key_type, pair.public_key().as_ref()),
        };
        Ok(Self { pair, public: public.map_err(|_| fault::fixture("the board's file holds a bad key"))? })
    }

    pub(super) fn key_type(&self) -> KeyType {
        self.public.key_type()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoardFault> {
        let signed = match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        signed.map(|s| s.as_ref().to_vec()).map_err(|_| fault::fixture("the simulated key could not sign"))
    }

    pub(super) fn public_key(&self) -> KeyOffer {
        KeyOffer::PublicKey(self.public.spki().to_vec())
    }

    /// A request for the name on the label. Source: RFC 2986 §4.
    pub(super) fn request(&self, serial: &DeviceSerial) -> Result<KeyOffer, BoardFault> {
        let subject = Name::write(&[Attribute { oid: oids::SERIAL_NUMBER, text: serial.as_str().to_owned() }]);
        let to_sign = csr::write_info(&subject, &self.public, &[]);
        let signature = self.sign(&to_sign)?;
        let signed = csr::write_signed(&to_sign, self.key_type().signs_with(), &signature);
        Ok(KeyOffer::CertificationRequest(signed))
    }
}

fn ecdsa(key_type: KeyType) -> Option<&'static EcdsaSigningAlgorithm> {
    match key_type {
        KeyType::P256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyType::P384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyType::Ed25519 | KeyType::Rsa(_) => None,
    }
}
