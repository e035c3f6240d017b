//! Keys that nobody should have a certificate for.

use crate::algorithm::{KeyType, RSA_BITS, SignatureAlgorithm};
use crate::key::PublicKey;
use crate::signature::{self, BadSignature};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, ParsedPublicKey,
};
use model::Digest;
use model::octets::hex;
use num_bigint::BigUint;
use std::fmt;

/// What is weak about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// RSA with fewer than 2048 or more than 4096 bits.
    Size,
    /// RSA with an even modulus, or an exponent that is even or below 65537.
    Parameters,
    /// RSA made by a library whose primes can be found (CVE-2017-15361).
    Roca,
    /// RSA whose primes are so close that they are found at once.
    ClosePrimes,
    /// Not a point of its curve, or one of small order.
    Point,
    /// Anybody knows the private half: it is the example of a standard, or that of a number that people type.
    Published,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "its size: RSA has 2048 to 4096 bits",
            Self::Parameters => "its numbers: the modulus is even, or the exponent is even or below 65537",
            Self::Roca => "it comes from a library whose primes can be found (CVE-2017-15361)",
            Self::ClosePrimes => "its primes are so close that they are found at once",
            Self::Point => "it is no point of its curve, or one of small order",
            Self::Published => "its private half is published: an example of a standard, or a number that people type",
        })
    }
}

/// A public key without a known weakness.
///
/// Whoever reads the same octets again need not look again: the verdict is on the octets.
#[derive(Debug)]
pub struct StrongKey {
    key: PublicKey,
    /// The point, which was read to see that it is one.
    point: Option<ParsedPublicKey>,
}

impl StrongKey {
    /// Looks for known weaknesses of a public key.
    ///
    /// # Errors
    /// As [`check`].
    pub fn prove(key: &PublicKey) -> Result<Self, Weakness> {
        Ok(Self { point: examine(key)?, key: key.clone() })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Verifies a signature over `message`, as [`crate::signature::verify`] does.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match &self.point {
            Some(point) if usual(self.key.key_type()) == Some(algorithm) => {
                point.verify_sig(message, signature).map_err(|_| BadSignature)
            }
            _ => signature::verify(&self.key, algorithm, message, signature),
        }
    }
}

/// The algorithm with which a point is read.
const fn usual(key: KeyType) -> Option<SignatureAlgorithm> {
    match key {
        KeyType::P256 => Some(SignatureAlgorithm::EcdsaSha256),
        KeyType::P384 => Some(SignatureAlgorithm::EcdsaSha384),
        KeyType::P521 => Some(SignatureAlgorithm::EcdsaSha512),
        KeyType::Ed25519 => Some(SignatureAlgorithm::Ed25519),
        KeyType::Rsa(_) | KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => None,
    }
}

/// Looks for known weaknesses of a public key.
///
/// # Errors
/// The first [`Weakness`] found.
pub fn check(key: &PublicKey) -> Result<(), Weakness> {
    examine(key).map(drop)
}

fn examine(key: &PublicKey) -> Result<Option<ParsedPublicKey>, Weakness> {
    if is_published(key) {
        return Err(Weakness::Published);
    }
    match key.key_type() {
        KeyType::Rsa(bits) => {
            if !RSA_BITS.contains(&bits) {
                return Err(Weakness::Size);
            }
            let (modulus, exponent) = key.rsa().ok_or(Weakness::Parameters)?;
            let odd = |n: &[u8]| n.last().is_some_and(|last| last % 2 == 1);
            let small = exponent.len() < 3 && exponent != [1, 0, 1];
            if !odd(modulus) || !odd(exponent) || small || exponent.len() > 4 {
                return Err(Weakness::Parameters);
            }
            if has_roca_fingerprint(modulus) {
                return Err(Weakness::Roca);
            }
            if has_close_primes(modulus) { Err(Weakness::ClosePrimes) } else { Ok(None) }
        }
        KeyType::P256 => point(ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.bits())),
        KeyType::P384 => point(ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, key.bits())),
        KeyType::P521 => point(ParsedPublicKey::new(&ECDSA_P521_SHA512_ASN1, key.bits())),
        // FIPS 204 §7.2: any octets of the right length are a public key.
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => Ok(None),
        KeyType::Ed25519 if SMALL_ORDER.contains(&without_sign(key.bits())) => Err(Weakness::Point),
        KeyType::Ed25519 => point(ParsedPublicKey::new(&ED25519, key.bits())),
    }
}

fn point<E>(read: Result<ParsedPublicKey, E>) -> Result<Option<ParsedPublicKey>, Weakness> {
    read.map(Some).map_err(|_| Weakness::Point)
}

// The last octet of an Ed25519 key carries the sign of x in its highest bit.
fn without_sign(key: &[u8]) -> [u8; 32] {
    let mut y = [0; 32];
    y.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    y
}

const fn field_element(low: u8, middle: u8, high: u8) -> [u8; 32] {
    let mut y = [middle; 32];
    y[0] = low;
    y[31] = high;
    y
}

/// The y-coordinates of the eight points of small order, and the two that are written above the field's prime.
/// Source: RFC 7748 §6.1 in the Edwards form; "Taming the many EdDSAs" (2020), table 1.
const SMALL_ORDER: [[u8; 32]; 7] = [
    field_element(0, 0, 0),
    field_element(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    field_element(0xec, 0xff, 0x7f),
    field_element(0xed, 0xff, 0x7f),
    field_element(0xee, 0xff, 0x7f),
];

/// Primes whose product the faulty generator used, as far as they tell something.
/// Source: Nemec et al., "The Return of Coppersmith's Attack" (2017).
const ROCA_PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

// Primes of the faulty generator are k*M + 65537^a mod M, so the modulus is a power of 65537 modulo each factor of M.
// By chance that happens once in about 2^27 keys.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let residue = modulus.iter().fold(0, |r: u32, octet| (r * 256 + u32::from(*octet)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * (65537 % prime) % prime;
            power == residue
        })
    })
}

/// Digests of published keys, in order, a line each; `testdata/make/published_keys.py` writes them.
const PUBLISHED: &str = include_str!("published.txt");
/// Octets of a line: a digest in hexadecimal digits, and its end.
const LINE_LEN: usize = 2 * Digest::LEN + 1;

fn is_published(key: &PublicKey) -> bool {
    let wanted = hex(key.digest().octets());
    let (lines, _) = PUBLISHED.as_bytes().as_chunks::<LINE_LEN>();
    lines
        .binary_search_by(|line| line.split_last().map_or(&[][..], |(_end, digits)| digits).cmp(wanted.as_bytes()))
        .is_ok()
}

/// How many steps of Fermat's method are tried: primes of 1024 bits that differ in their lower half fall in the first.
const FERMAT_STEPS: u32 = 100;

// n = a^2 - b^2 for the mean a of its factors. If they are close, a is hardly above the root of n.
fn has_close_primes(modulus: &[u8]) -> bool {
    let n = BigUint::from_bytes_be(modulus);
    let root = n.sqrt();
    let mut a = if &root * &root == n { root } else { root + 1_u32 };
    let mut square = &a * &a - &n;
    (0..FERMAT_STEPS).any(|_| {
        let found = may_be_square(&square) && {
            let b = square.sqrt();
            &b * &b == square
        };
        square += &a * 2_u32 + 1_u32;
        a += 1_u32;
        found
    })
}

// Nearly all numbers that are no squares are none modulo one of these.
fn may_be_square(number: &BigUint) -> bool {
    const MODULI: [u32; 5] = [64, 63, 65, 11, 17];
    MODULI.iter().all(|modulus| {
        let residue = u32::try_from(number % *modulus).unwrap_or(0);
        (0..*modulus).any(|x| x * x % modulus == residue)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writer;

    fn rsa(modulus: &[u8], exponent: &[u8]) -> PublicKey {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.unsigned(modulus).unsigned(exponent);
        });
        let zeros = usize::try_from(modulus[0].leading_zeros()).unwrap();
        let bits = u16::try_from(modulus.len() * 8 - zeros).unwrap();
        PublicKey::from_bits(KeyType::Rsa(bits), &w.finish()).unwrap()
    }
    fn modulus(octets: usize, last: u8) -> Vec<u8> {
        let mut m = vec![0xc3; octets];
        m[octets - 1] = last;
        m
    }
    #[track_caller]
    fn check_rsa(modulus: &[u8], exponent: &[u8], expected: Result<(), Weakness>) {
        assert_eq!(check(&rsa(modulus, exponent)), expected);
    }
    #[track_caller]
    fn check_ed25519(key: [u8; 32], expected: Result<(), Weakness>) {
        assert_eq!(check(&PublicKey::from_bits(KeyType::Ed25519, &key).unwrap()), expected);
    }

    /// A modulus whose factors are as far as this from their mean.
    fn apart(distance: BigUint) -> Vec<u8> {
        let mean = (BigUint::from(1_u32) << 1024_u32) - 106_u32;
        (&mean * &mean - &distance * &distance).to_bytes_be()
    }
    #[test]
    fn neighbouring_primes_are_weak() {
        check_rsa(&apart(BigUint::from(105_u32)), &[1, 0, 1], Err(Weakness::ClosePrimes));
    }
    #[test]
    fn a_square_is_weak() {
        let mean = (BigUint::from(1_u32) << 1024_u32) - 105_u32;
        check_rsa(&(&mean * &mean).to_bytes_be(), &[1, 0, 1], Err(Weakness::ClosePrimes));
    }
    #[test]
    fn primes_that_share_their_upper_half_are_weak() {
        check_rsa(&apart((BigUint::from(1_u32) << 512_u32) + 1_u32), &[1, 0, 1], Err(Weakness::ClosePrimes));
    }
    #[test]
    fn primes_far_apart_are_fine() {
        check_rsa(&apart((BigUint::from(1_u32) << 1000_u32) + 1_u32), &[1, 0, 1], Ok(()));
    }
    #[test]
    fn the_table_of_published_keys_is_in_order() {
        let lines: Vec<_> = PUBLISHED.lines().collect();
        assert!(lines.len() > 600 && lines.is_sorted());
        assert!(lines.iter().all(|line| line.len() + 1 == LINE_LEN) && PUBLISHED.ends_with('\n'));
    }
    #[test]
    fn the_first_example_of_rfc_8032_is_published() {
        let key = hex_literal("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        check_ed25519(key, Err(Weakness::Published));
    }
    #[test]
    fn the_generator_of_p_256_is_published() {
        let x = hex_literal("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
        let y = hex_literal("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
        let key = PublicKey::from_bits(KeyType::P256, &[&[4][..], &x, &y].concat()).unwrap();
        assert_eq!(check(&key), Err(Weakness::Published));
    }
    fn hex_literal(digits: &str) -> [u8; 32] {
        model::octets::from_hex(digits).unwrap().try_into().unwrap()
    }

    #[test]
    fn rsa_2048_is_fine() {
        check_rsa(&modulus(256, 1), &[1, 0, 1], Ok(()));
    }
    #[test]
    fn rsa_1024_is_weak() {
        check_rsa(&modulus(128, 1), &[1, 0, 1], Err(Weakness::Size));
    }
    #[test]
    fn rsa_2047_is_weak() {
        let mut m = modulus(256, 1);
        m[0] = 0x7f;
        check_rsa(&m, &[1, 0, 1], Err(Weakness::Size));
    }
    #[test]
    fn rsa_4104_is_refused() {
        check_rsa(&modulus(513, 1), &[1, 0, 1], Err(Weakness::Size));
    }
    #[test]
    fn an_even_modulus_is_weak() {
        check_rsa(&modulus(256, 2), &[1, 0, 1], Err(Weakness::Parameters));
    }
    #[test]
    fn exponent_3_is_weak() {
        check_rsa(&modulus(256, 1), &[3], Err(Weakness::Parameters));
    }
    #[test]
    fn exponent_1_is_weak() {
        check_rsa(&modulus(256, 1), &[1], Err(Weakness::Parameters));
    }
    #[test]
    fn exponent_65538_is_weak() {
        check_rsa(&modulus(256, 1), &[1, 0, 2], Err(Weakness::Parameters));
    }
    #[test]
    fn a_power_of_65537_has_the_fingerprint() {
        // 65537^128 has 2049 bits and is a power of 65537 modulo everything.
        let mut n = vec![1u8];
        for _ in 0..127 {
            let mut next = vec![0; n.len() + 2];
            let mut carry = 0u16;
            for i in (0..next.len()).rev() {
                let low = if i >= 2 { u16::from(n[i - 2]) } else { 0 };
                let high = if i < n.len() { u16::from(n[i]) } else { 0 };
                let sum = low + high + carry;
                next[i] = sum.to_be_bytes()[1];
                carry = sum >> 8;
            }
            let start = next.iter().position(|o| *o != 0).unwrap();
            n = next[start..].to_vec();
        }
        assert!(has_roca_fingerprint(&n));
        let last = n.len() - 1;
        n[last] ^= 2;
        assert!(!has_roca_fingerprint(&n));
    }
    #[test]
    fn a_p256_point_off_the_curve_is_weak() {
        let mut point = [1; 65];
        point[0] = 4;
        assert_eq!(check(&PublicKey::from_bits(KeyType::P256, &point).unwrap()), Err(Weakness::Point));
    }
    #[test]
    fn a_p521_point_off_the_curve_is_weak() {
        let mut point = [0; 133];
        point[0] = 4;
        point[66] = 1;
        assert_eq!(check(&PublicKey::from_bits(KeyType::P521, &point).unwrap()), Err(Weakness::Point));
    }
    #[test]
    fn small_order_points_are_weak() {
        for y in SMALL_ORDER {
            check_ed25519(y, Err(Weakness::Point));
            let mut negative = y;
            negative[31] |= 0x80;
            check_ed25519(negative, Err(Weakness::Point));
        }
    }
    #[test]
    fn the_base_point_is_fine() {
        let mut base = [0x66; 32];
        base[0] = 0x58;
        check_ed25519(base, Ok(()));
    }
}
