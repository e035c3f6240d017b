//! Small fixed strings of octets, and octets as JSON writes them.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Base64 with padding, by the vector instructions that the processor has: messages are base64 for the most part.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static STANDARD: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::standard(base64::engine::general_purpose::PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::STANDARD;

/// Octets were not written as they should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOctets;

impl fmt::Display for BadOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not hexadecimal digits of the right number")
    }
}

/// Writes octets as lower-case hexadecimal digits.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    let mut digits = vec![0; octets.len() * 2];
    String::from(write_hex(octets, &mut digits))
}

/// The same into room that is there, two digits for each octet.
fn write_hex<'d>(octets: &[u8], digits: &'d mut [u8]) -> &'d str {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    for (pair, octet) in digits.as_chunks_mut::<2>().0.iter_mut().zip(octets) {
        *pair = [digit(octet >> 4), digit(octet & 15)];
    }
    let Ok(text) = std::str::from_utf8(digits) else { unreachable!("digits are ASCII") };
    text
}

/// Reads hexadecimal digits of either case.
///
/// # Errors
/// [`BadOctets`] if the number of digits is odd or a character is no digit.
pub fn from_hex(text: &str) -> Result<Vec<u8>, BadOctets> {
    let nibble = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(BadOctets);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(BadOctets);
    }
    pairs.iter().map(|[high, low]| Ok(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

macro_rules! fixed_octets {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in octets.
            pub const LEN: usize = $len;
            /// Makes the value from exactly its octets.
            #[must_use]
            pub const fn new(octets: [u8; $len]) -> Self { Self(octets) }
            /// Makes the value from a slice; `None` if the length is another.
            #[must_use]
            pub fn from_slice(octets: &[u8]) -> Option<Self> { octets.try_into().ok().map(Self) }
            /// The octets.
            #[must_use]
            pub const fn octets(&self) -> &[u8; $len] { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(write_hex(&self.0, &mut [0; 2 * $len]))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!(stringify!($name), "({})"), self) }
        }
        impl std::str::FromStr for $name {
            type Err = BadOctets;
            fn from_str(text: &str) -> Result<Self, BadOctets> {
                Self::from_slice(&from_hex(text)?).ok_or(BadOctets)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(write_hex(&self.0, &mut [0; 2 * $len]))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!(stringify!($len), " octets in hexadecimal"))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                d.deserialize_str(Text)
            }
        }
    };
}

fixed_octets!(
    /// A SHA-256 digest. Shape: 32 octets, in text 64 lower-case hexadecimal digits.
    Digest, 32
);
fixed_octets!(
    /// The name that a requester gives to one transaction, so that a repetition is known as one.
    ///
    /// Shape: 16 octets. Source: RFC 9810 §5.1.1 (`transactionID`).
    TransactionId, 16
);
fixed_octets!(
    /// A number used once. Shape: 16 octets. Source: RFC 9810 §5.1.1 (`senderNonce`).
    Nonce, 16
);

fixed_octets!(
    /// The name of an account, an order or an authorisation of ACME. Shape: 16 octets, which nobody guesses.
    AcmeId, 16
);

impl TransactionId {
    /// Makes an identifier that begins with the time, so that neighbours in time are neighbours in an index.
    #[must_use]
    pub fn at(now: crate::UnixTime, random: [u8; 10]) -> Self {
        let mut octets = [0; 16];
        let [_, _, time @ ..] = now.ms().to_be_bytes();
        let (head, tail) = octets.split_at_mut(time.len());
        head.copy_from_slice(&time);
        tail.copy_from_slice(&random);
        Self(octets)
    }
}

/// Octets of any length, in JSON as base64 with padding.
/// Source: RFC 4648 §4.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Base64(pub Vec<u8>);

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} octets)", self.0.len())
    }
}
impl From<Vec<u8>> for Base64 {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}
impl AsRef<[u8]> for Base64 {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(&self.0))
    }
}
impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Base64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Base64, E> {
                STANDARD.decode(text).map(Base64).map_err(|_| E::custom("base64 expected"))
            }
        }
        d.deserialize_str(Text)
    }
}

/// Reads base64 in either alphabet, padded or not; `None` if it is anything else.
/// Source: RFC 4648 §4 and §5.
#[must_use]
pub fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    const EITHER: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let standard = |octet: &u8| match octet {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    EITHER.decode(text.iter().map(standard).collect::<Vec<u8>>()).ok()
}

/// Writes octets as base64, padded.
/// Source: RFC 4648 §4.
#[must_use]
pub fn base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// Writes octets as base64url without padding.
/// Source: RFC 7515 §2.
#[must_use]
pub fn base64url(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Reads base64url without padding; `None` if it is anything else.
#[must_use]
pub fn from_base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[u8], BadOctets>) {
        assert_eq!(from_hex(text).as_deref(), expected.as_ref().map(|o| *o));
    }

    #[test]
    fn both_alphabets_of_base64_are_read() {
        for text in ["-_8=", "+/8=", "-_8", "+_8"] {
            assert_eq!(from_base64(text.as_bytes()), Some(vec![0xfb, 0xff]), "{text}");
        }
        for text in ["+", "+/8==", "+/ 8", "+/8\n", "+/9="] {
            assert_eq!(from_base64(text.as_bytes()), None, "{text}");
        }
    }
    #[test]
    fn both_cases_are_read() {
        check("0aFF", Ok(&[10, 255]));
    }
    #[test]
    fn each_octet_has_its_two_digits() {
        let octets: Vec<u8> = (0..=255).collect();
        let expected: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex(&octets), expected);
        let digest = Digest::from_slice(&octets[144..176]).unwrap();
        assert_eq!(digest.to_string(), expected[288..352]);
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{digest}\""));
    }
    #[test]
    fn nothing_is_nothing() {
        check("", Ok(&[]));
    }
    #[test]
    fn odd_digits_are_refused() {
        check("0", Err(BadOctets));
    }
    #[test]
    fn other_letters_are_refused() {
        check("0g", Err(BadOctets));
    }
    #[test]
    fn a_sign_is_no_digit() {
        check("+1", Err(BadOctets));
    }
    #[test]
    fn a_short_digest_is_refused() {
        assert!(serde_json::from_str::<Digest>("\"00\"").is_err());
    }
    #[test]
    fn transactions_sort_by_time() {
        let early = TransactionId::at(crate::UnixTime::from_ms(1), [255; 10]);
        let late = TransactionId::at(crate::UnixTime::from_ms(2), [0; 10]);
        assert!(early < late);
    }
    #[test]
    fn base64_reads_what_it_wrote() {
        let json = serde_json::to_string(&Base64(vec![1, 2, 3, 4])).unwrap();
        assert_eq!(json, "\"AQIDBA==\"");
        assert_eq!(serde_json::from_str::<Base64>(&json).unwrap().0, [1, 2, 3, 4]);
    }
}
