//! Key objects of a token: finding them, and reading what they are.

use crate::keystore::pkcs11::fault::TokenFault;
use crate::keystore::pkcs11::uri::{Class, Pkcs11Uri};
use cryptoki::object::{Attribute, AttributeType, KeyType as Ckk, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use x509::{KeyType, PublicKey, Writer};

/// Most keys of a token that are looked at.
pub(crate) const KEYS_MAX: usize = 1000;
/// Most public keys of one name that are looked at.
const PUBLIC_KEYS_MAX: usize = 4;

/// A curve as tokens write it.
struct Curve {
    key_type: KeyType,
    /// Octets of a public key.
    point_len: usize,
    /// `CKA_EC_PARAMS`; the first is what keys are made with, unless the token takes the second only.
    params: &'static [&'static [u8]],
}

const CURVES: [Curve; 4] = [
    Curve {
        key_type: KeyType::P256,
        point_len: 65,
        params: &[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]],
    },
    Curve { key_type: KeyType::P521, point_len: 133, params: &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]] },
    Curve { key_type: KeyType::P384, point_len: 97, params: &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]] },
    Curve {
        key_type: KeyType::Ed25519,
        point_len: 32,
        params: &[
            // RFC 8410: id-Ed25519.
            &[0x06, 0x03, 0x2b, 0x65, 0x70],
            // PKCS #11 3.0 §2.3.10: the PrintableString "edwards25519".
            b"\x13\x0cedwards25519",
            // 1.3.6.1.4.1.11591.15.1, its name before RFC 8410.
            &[0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01],
        ],
    },
];

/// The ways to write the curve of a type, the most common first.
pub(crate) fn curve_params(key_type: KeyType) -> &'static [&'static [u8]] {
    CURVES.iter().find(|curve| curve.key_type == key_type).map_or(&[], |curve| curve.params)
}

/// What a token says of a private key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) label: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) key_type: Option<Ckk>,
    pub(crate) curve: Option<KeyType>,
    pub(crate) sensitive: Option<bool>,
    pub(crate) extractable: Option<bool>,
    pub(crate) never_extractable: Option<bool>,
    pub(crate) asks_each_time: Option<bool>,
    pub(crate) signs: Option<bool>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl Facts {
    pub(crate) fn read(session: &Session, key: ObjectHandle) -> Result<Self, TokenFault> {
        use AttributeType as T;
        let mut facts = Self::default();
        let wanted = [
            T::Label,
            T::Id,
            T::KeyType,
            T::Sensitive,
            T::Extractable,
            T::NeverExtractable,
            T::AlwaysAuthenticate,
            T::Sign,
        ];
        for attribute in wanted {
            facts.take(attribute_of(session, key, attribute)?);
        }
        let more: &[T] = match facts.key_type {
            Some(Ckk::RSA) => &[T::Modulus, T::PublicExponent],
            Some(Ckk::EC | Ckk::EC_EDWARDS) => &[T::EcParams],
            _ => &[],
        };
        for attribute in more {
            facts.take(attribute_of(session, key, *attribute)?);
        }
        Ok(facts)
    }

    fn take(&mut self, attribute: Option<Attribute>) {
        match attribute {
            Some(Attribute::Label(label)) => self.label = label,
            Some(Attribute::Id(id)) => self.id = id,
            Some(Attribute::KeyType(key_type)) => self.key_type = Some(key_type),
            Some(Attribute::Sensitive(yes)) => self.sensitive = Some(yes),
            Some(Attribute::Extractable(yes)) => self.extractable = Some(yes),
            Some(Attribute::NeverExtractable(yes)) => self.never_extractable = Some(yes),
            Some(Attribute::AlwaysAuthenticate(yes)) => self.asks_each_time = Some(yes),
            Some(Attribute::Sign(yes)) => self.signs = Some(yes),
            Some(Attribute::EcParams(params)) => self.curve = curve_of(&params),
            Some(Attribute::Modulus(modulus)) => self.modulus = modulus,
            Some(Attribute::PublicExponent(exponent)) => self.exponent = exponent,
            _ => {}
        }
    }

    /// Whether this key is one that we sign with: it never leaves the token, and signs when it is asked. What a token
    /// does not say counts as no.
    pub(crate) fn inspect(&self) -> Result<(), TokenFault> {
        if self.extractable != Some(false) {
            return Err(TokenFault::KeyExtractable);
        }
        if self.sensitive != Some(true) {
            return Err(TokenFault::KeyNotSensitive);
        }
        if self.signs != Some(true) {
            return Err(TokenFault::KeyMayNotSign);
        }
        if self.asks_each_time == Some(true) {
            return Err(TokenFault::KeyAsksEachTime);
        }
        Ok(())
    }

    /// Reads the public half.
    ///
    /// An RSA private key carries it. Of others it is in the public key object, which is found by `CKA_ID`, or by the
    /// label where there is no id; some tokens have `CKA_PUBLIC_KEY_INFO` instead.
    pub(crate) fn public_key(&self, session: &Session, key: ObjectHandle) -> Result<PublicKey, TokenFault> {
        if let Some(public_key) = rsa_key(&self.modulus, &self.exponent) {
            return Ok(public_key);
        }
        let mut found: Option<PublicKey> = None;
        for object in self.public_objects(session)? {
            let Some(public_key) = read_public(session, object)? else { continue };
            match &found {
                Some(other) if *other != public_key => return Err(TokenFault::KeyAmbiguous),
                _ => found = Some(public_key),
            }
        }
        if let Some(public_key) = found {
            return Ok(public_key);
        }
        match attribute_of(session, key, AttributeType::PublicKeyInfo)? {
            Some(Attribute::PublicKeyInfo(spki)) => PublicKey::decode(&spki).map_err(|_| TokenFault::PublicKeyMissing),
            _ => Err(TokenFault::PublicKeyMissing),
        }
    }

    fn public_objects(&self, session: &Session) -> Result<Vec<ObjectHandle>, TokenFault> {
        let search = |attribute: Attribute| {
            let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), attribute];
            find(session, &template, PUBLIC_KEYS_MAX)
        };
        if !self.id.is_empty() {
            let by_id = search(Attribute::Id(self.id.clone()))?;
            if !by_id.is_empty() {
                return Ok(by_id);
            }
        }
        if self.label.is_empty() { Ok(Vec::new()) } else { search(Attribute::Label(self.label.clone())) }
    }
}

/// Finds the one private key that a URI names.
pub(crate) fn find_private(session: &Session, uri: &Pkcs11Uri) -> Result<ObjectHandle, TokenFault> {
    if !matches!(uri.class, None | Some(Class::Private)) {
        return Err(TokenFault::KeyBadName);
    }
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    template.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
    match find(session, &template, 2)?.as_slice() {
        [key] => Ok(*key),
        [] => Err(TokenFault::KeyMissing),
        _ => Err(TokenFault::KeyAmbiguous),
    }
}

/// Finds at most `max` objects. Each search is ended, also if there are more.
pub(crate) fn find(session: &Session, template: &[Attribute], max: usize) -> Result<Vec<ObjectHandle>, TokenFault> {
    Ok(session.iter_objects(template)?.take(max).collect::<Result<_, _>>()?)
}

/// The label and the identifier of an object, as URIs have them; a label that is no text is none.
pub(crate) fn name(session: &Session, object: ObjectHandle) -> Result<(Option<String>, Option<Vec<u8>>), TokenFault> {
    let label = match attribute_of(session, object, AttributeType::Label)? {
        Some(Attribute::Label(label)) => String::from_utf8(label).ok(),
        _ => None,
    };
    let id = match attribute_of(session, object, AttributeType::Id)? {
        Some(Attribute::Id(id)) => Some(id),
        _ => None,
    };
    Ok((label, id))
}

/// Reads one attribute. One that the token does not know, hides or writes badly is `None`: asked together, one such
/// attribute spoils the others in some modules.
fn attribute_of(
    session: &Session,
    object: ObjectHandle,
    attribute: AttributeType,
) -> Result<Option<Attribute>, TokenFault> {
    match session.get_attributes(object, &[attribute]) {
        Ok(mut attributes) => Ok(attributes.pop()),
        Err(error) => match TokenFault::from(error) {
            fault @ TokenFault::Returned(_) if !fault.sessions_survive() => Err(fault),
            _ => Ok(None),
        },
    }
}

/// Reads a public key object.
pub(crate) fn public_key_of(session: &Session, object: ObjectHandle) -> Result<PublicKey, TokenFault> {
    read_public(session, object)?.ok_or(TokenFault::PublicKeyMissing)
}

fn read_public(session: &Session, object: ObjectHandle) -> Result<Option<PublicKey>, TokenFault> {
    let mut facts = Facts::default();
    facts.take(attribute_of(session, object, AttributeType::KeyType)?);
    if facts.key_type == Some(Ckk::RSA) {
        facts.take(attribute_of(session, object, AttributeType::Modulus)?);
        facts.take(attribute_of(session, object, AttributeType::PublicExponent)?);
        return Ok(rsa_key(&facts.modulus, &facts.exponent));
    }
    facts.take(attribute_of(session, object, AttributeType::EcParams)?);
    let point = attribute_of(session, object, AttributeType::EcPoint)?;
    let (Some(key_type), Some(Attribute::EcPoint(point))) = (facts.curve, point) else { return Ok(None) };
    Ok(unwrapped(key_type, &point).and_then(|point| PublicKey::from_bits(key_type, point).ok()))
}

fn curve_of(params: &[u8]) -> Option<KeyType> {
    CURVES.iter().find(|curve| curve.params.contains(&params)).map(|curve| curve.key_type)
}

/// `CKA_EC_POINT` is a DER OCTET STRING of the point (PKCS #11 §6.3.3), but some tokens give the point itself, and some a
/// BIT STRING. The length tells them apart.
fn unwrapped(key_type: KeyType, point: &[u8]) -> Option<&[u8]> {
    let len = CURVES.iter().find(|curve| curve.key_type == key_type)?.point_len;
    let (_, inner) = point.split_at_checked(point.len().checked_sub(len)?)?;
    let (mut octet_string, mut bit_string) = (Writer::with_capacity(point.len()), Writer::with_capacity(point.len()));
    octet_string.octet_string(inner);
    bit_string.bit_string(inner);
    (inner == point || octet_string.finish() == point || bit_string.finish() == point).then_some(inner)
}

fn bits(modulus: &[u8]) -> Option<u16> {
    let significant = modulus.iter().position(|octet| *octet != 0).and_then(|at| modulus.get(at..))?;
    let zeros = usize::try_from(significant.first()?.leading_zeros()).ok()?;
    u16::try_from(significant.len() * 8 - zeros).ok()
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
    let mut w = Writer::with_capacity(modulus.len() + exponent.len() + 16);
    w.sequence(|w| {
        w.unsigned(modulus).unsigned(exponent);
    });
    PublicKey::from_bits(KeyType::Rsa(bits(modulus)?), &w.finish()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(prefix: &[u8], len: usize) -> Vec<u8> {
        [prefix, &vec![4; len]].concat()
    }
    #[track_caller]
    fn check(key_type: KeyType, written: &[u8], len: Option<usize>) {
        assert_eq!(unwrapped(key_type, written).map(<[u8]>::len), len);
    }
    fn good() -> Facts {
        Facts { sensitive: Some(true), extractable: Some(false), signs: Some(true), ..Facts::default() }
    }

    #[test]
    fn a_point_in_an_octet_string_is_unwrapped() {
        check(KeyType::P256, &point(&[4, 65], 65), Some(65));
        check(KeyType::P384, &point(&[4, 97], 97), Some(97));
        check(KeyType::Ed25519, &point(&[4, 32], 32), Some(32));
    }
    #[test]
    fn a_bare_point_is_taken() {
        check(KeyType::P256, &point(&[], 65), Some(65));
    }
    #[test]
    fn a_point_in_a_bit_string_is_unwrapped() {
        check(KeyType::Ed25519, &point(&[3, 33, 0], 32), Some(32));
    }
    #[test]
    fn a_point_of_another_length_is_none() {
        for len in [0, 1, 64, 66, 68] {
            check(KeyType::P256, &point(&[], len), None);
        }
    }
    #[test]
    fn a_point_behind_other_octets_is_none() {
        check(KeyType::P256, &point(&[4, 66], 65), None);
        check(KeyType::P256, &point(&[5, 65], 65), None);
    }
    #[test]
    fn bits_of_a_modulus_are_counted_from_the_first_one() {
        assert_eq!(bits(&[0, 0x80, 0]), Some(16));
        assert_eq!(bits(&[1, 0]), Some(9));
        assert_eq!(bits(&[0, 0]), None);
    }
    #[test]
    fn a_key_that_stays_in_the_token_is_used() {
        assert_eq!(good().inspect(), Ok(()));
    }
    #[test]
    fn a_key_that_can_leave_is_not() {
        assert_eq!(Facts { extractable: Some(true), ..good() }.inspect(), Err(TokenFault::KeyExtractable));
    }
    #[test]
    fn a_key_of_which_nothing_is_said_is_not() {
        assert_eq!(Facts { extractable: None, ..good() }.inspect(), Err(TokenFault::KeyExtractable));
        assert_eq!(Facts { sensitive: None, ..good() }.inspect(), Err(TokenFault::KeyNotSensitive));
    }
    #[test]
    fn a_key_that_can_be_read_is_not() {
        assert_eq!(Facts { sensitive: Some(false), ..good() }.inspect(), Err(TokenFault::KeyNotSensitive));
    }
    #[test]
    fn a_key_that_may_not_sign_is_not() {
        assert_eq!(Facts { signs: Some(false), ..good() }.inspect(), Err(TokenFault::KeyMayNotSign));
    }
    #[test]
    fn a_key_that_wants_the_pin_each_time_is_not() {
        assert_eq!(Facts { asks_each_time: Some(true), ..good() }.inspect(), Err(TokenFault::KeyAsksEachTime));
    }
}
