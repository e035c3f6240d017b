//! Serial numbers.

use crate::read::{self, Result, bad};
use der::SliceReader;
use model::UnixTime;
use model::octets::{from_hex, hex};
use std::fmt;

/// The `serialNumber` of a certificate.
///
/// Shape: 1 to 20 octets, big-endian, positive, not zero.
/// Off-spec: RFC 5280 counts the sign octet of DER, too; numbers that are hashes of a key, as clients of SCEP give themselves, need one
/// in half of all cases, and are read. None of ours does.
/// Source: RFC 5280 §4.1.2.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber {
    // Without leading zeros; what is not used is zero and stands behind.
    octets: [u8; 20],
    len: u8,
}

/// Why octets are no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSerial {
    /// Zero, or nothing.
    Zero,
    /// More than 20 octets.
    TooLong,
}

/// Sets this instance apart from all that came before it on this database and from all its clones. Durable before the
/// first use, new at each opening for issuing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstanceEpoch(pub u32);

impl SerialNumber {
    /// Makes a serial number from its octets, big-endian; leading zeros are dropped.
    ///
    /// # Errors
    /// [`BadSerial::Zero`] if nothing is left; [`BadSerial::TooLong`] if more than 20 are.
    pub fn new(octets: &[u8]) -> std::result::Result<Self, BadSerial> {
        let start = octets.iter().position(|o| *o != 0).ok_or(BadSerial::Zero)?;
        let octets = octets.get(start..).unwrap_or_default();
        let len = u8::try_from(octets.len()).map_err(|_| BadSerial::TooLong)?;
        let mut padded = [0; 20];
        if octets.len() > padded.len() {
            return Err(BadSerial::TooLong);
        }
        padded.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        Ok(Self { octets: padded, len })
    }

    /// Makes the next serial number of this instance: 20 octets, of which one is constant, four are the epoch, six the
    /// time in milliseconds, so that the index of serial numbers grows at its end, and nine are random.
    #[must_use]
    pub fn next(epoch: InstanceEpoch, now: UnixTime, random: [u8; 9]) -> Self {
        let [_, _, time @ ..] = now.ms().to_be_bytes();
        let mut octets = [1; 20];
        let parts = epoch.0.to_be_bytes().into_iter().chain(time).chain(random);
        octets.iter_mut().skip(1).zip(parts).for_each(|(to, from)| *to = from);
        Self { octets, len: 20 }
    }

    /// The octets, big-endian, without leading zeros.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Reads hexadecimal digits, as [`fmt::Display`] writes them; colons and spaces between them are passed over, as
    /// other programs print them.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        let even = if digits.len().is_multiple_of(2) { digits } else { format!("0{digits}") };
        Self::new(&from_hex(&even).ok()?).ok()
    }

    pub(crate) fn read(reader: &mut SliceReader<'_>) -> Result<Self> {
        match Self::new(read::unsigned(reader)?) {
            Ok(serial) => Ok(serial),
            Err(BadSerial::Zero | BadSerial::TooLong) => bad(reader),
        }
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(self.octets()))
    }
}
impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: std::result::Result<&[u8], BadSerial>) {
        assert_eq!(SerialNumber::new(octets).map(|s| s.octets().to_vec()), expected.map(<[u8]>::to_vec));
    }

    #[test]
    fn leading_zeros_are_dropped() {
        check(&[0, 0, 7], Ok(&[7]));
    }
    #[test]
    fn zero_is_refused() {
        check(&[0], Err(BadSerial::Zero));
    }
    #[test]
    fn nothing_is_refused() {
        check(&[], Err(BadSerial::Zero));
    }
    #[test]
    fn twenty_octets() {
        check(&[1; 20], Ok(&[1; 20]));
    }
    #[test]
    fn twenty_octets_with_the_high_bit_are_read() {
        check(&[0x80; 20], Ok(&[0x80; 20]));
    }
    #[test]
    fn twenty_one_octets_are_refused() {
        check(&[1; 21], Err(BadSerial::TooLong));
    }
    #[test]
    fn a_long_run_of_octets_is_refused() {
        check(&[1; 300], Err(BadSerial::TooLong));
    }

    #[test]
    fn later_serials_sort_behind() {
        let epoch = InstanceEpoch(u32::MAX);
        let early = SerialNumber::next(epoch, UnixTime::from_s(1), [255; 9]);
        let late = SerialNumber::next(epoch, UnixTime::from_s(2), [0; 9]);
        assert!(early < late);
        assert_eq!(early.octets().len(), 20);
    }
    #[test]
    fn all_random_octets_are_used() {
        let epoch = InstanceEpoch(3);
        let zero = SerialNumber::next(epoch, UnixTime::from_s(1), [0; 9]);
        for n in 0..9 {
            let mut random = [0; 9];
            random[n] = 1;
            assert_ne!(SerialNumber::next(epoch, UnixTime::from_s(1), random), zero);
        }
    }
    #[test]
    fn openssl_spelling_is_read() {
        let serial = SerialNumber::from_hex("01:0A:ff").unwrap();
        assert_eq!(serial.octets(), [1, 10, 255]);
        assert_eq!(SerialNumber::from_hex(&serial.to_string()), Some(serial));
        assert_eq!(SerialNumber::from_hex("xyz"), None);
    }
}
