//! Checksums of serial lines and bootloaders. They find accidents, not forgeries.

/// CRC-16 of XMODEM and YMODEM: polynomial 0x1021, beginning with 0, most significant bit first.
pub(super) fn crc16(octets: &[u8]) -> u16 {
    octets.iter().fold(0, |crc, octet| {
        (0..8).fold(crc ^ u16::from(*octet) << 8, |crc, _| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

/// CRC-32 as in Ethernet, zlib and U-Boot: polynomial 0x04c11db7 reflected, beginning and ending inverted.
#[derive(Clone, Copy)]
pub(super) struct Crc32(u32);

impl Crc32 {
    pub(super) const fn new() -> Self {
        Self(!0)
    }
    pub(super) fn update(&mut self, octets: &[u8]) {
        self.0 = octets.iter().fold(self.0, |crc, octet| {
            (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ if crc & 1 == 0 { 0 } else { 0xedb8_8320 })
        });
    }
    pub(super) const fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The check values that catalogues of CRCs give for the digits 1 to 9.
    #[test]
    fn nine_digits_in_sixteen_bits() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }
    #[test]
    fn nine_digits_in_thirty_two_bits() {
        let mut crc = Crc32::new();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.value(), 0xcbf4_3926);
    }
    #[test]
    fn nothing() {
        assert_eq!((crc16(b""), Crc32::new().value()), (0, 0));
    }
}
