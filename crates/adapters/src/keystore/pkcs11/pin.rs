//! The PIN of a token, and where it comes from.

use crate::keystore::pkcs11::fault::TokenFault;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Longest PIN in octets. SoftHSM allows 255; most tokens less.
pub const PIN_LEN_MAX: usize = 255;

/// Octets of a PIN, wiped when dropped.
pub type PinOctets = Zeroizing<Vec<u8>>;

/// Where the PIN of a token comes from. It is asked for each login; one that was refused is not sent again.
pub struct Pin(Box<dyn Fn() -> Option<PinOctets> + Send + Sync>);

impl Pin {
    /// A PIN that is known. It stays in memory, because a token that was taken away wants it again.
    #[must_use]
    pub fn known(pin: PinOctets) -> Self {
        Self(Box::new(move || Some(pin.clone())))
    }

    /// A PIN that is asked for when it is needed. `ask` must not use the keystore that it is for.
    #[must_use]
    pub fn asked(ask: impl Fn() -> Option<PinOctets> + Send + Sync + 'static) -> Self {
        Self(Box::new(ask))
    }

    /// A PIN in a file that nobody but its owner may read. The end of its line does not belong to it.
    #[must_use]
    pub fn in_file(path: PathBuf) -> Self {
        Self(Box::new(move || {
            let file = std::fs::File::open(&path).ok()?;
            let metadata = file.metadata().ok()?;
            if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
                return None;
            }
            // Room for all that is read, so that no copy is left behind by growing.
            let mut octets = Zeroizing::new(Vec::with_capacity(PIN_LEN_MAX + 3));
            file.take(u64::try_from(PIN_LEN_MAX + 3).ok()?).read_to_end(&mut octets).ok()?;
            while octets.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
                octets.pop();
            }
            Some(octets)
        }))
    }

    /// # Errors
    /// [`TokenFault::PinNotFound`] if it cannot be had, is empty, or longer than [`PIN_LEN_MAX`].
    pub(crate) fn ask(&self) -> Result<PinOctets, TokenFault> {
        (self.0)().filter(|pin| (1..=PIN_LEN_MAX).contains(&pin.len())).ok_or(TokenFault::PinNotFound)
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[track_caller]
    fn check(contents: &[u8], mode: u32, expected: Result<&[u8], TokenFault>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Pin::in_file(path).ask().as_deref().map(Vec::as_slice).map_err(|fault| *fault), expected);
    }

    #[test]
    fn the_end_of_the_line_is_none_of_the_pin() {
        check(b"1234\n", 0o600, Ok(b"1234"));
    }
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        check(b"1234\n", 0o640, Err(TokenFault::PinNotFound));
    }
    #[test]
    fn an_empty_pin_is_none() {
        check(b"\n", 0o600, Err(TokenFault::PinNotFound));
    }
    #[test]
    fn a_pin_of_255_octets_is_read() {
        check(&[b'1'; 255], 0o600, Ok(&[b'1'; 255]));
    }
    #[test]
    fn a_longer_one_is_not() {
        check(&[b'1'; 256], 0o600, Err(TokenFault::PinNotFound));
    }
    #[test]
    fn a_pin_is_never_printed() {
        assert_eq!(format!("{:?}", Pin::known(Zeroizing::new(b"1234".to_vec()))), "Pin");
    }
}
