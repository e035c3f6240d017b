//! One field of a head: its name and value, as far as they say how long the body is.

/// Longest value that says a length or a coding: nineteen digits, with some white space about them.
const VALUE_LEN_MAX: usize = 32;
/// Longest name of such a field.
const NAME_LEN_MAX: usize = 17;

/// What a field says about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing.
    Nothing,
    /// Its length, in octets.
    Length(u64),
    /// That it comes in chunks.
    Chunked,
}

/// A field that is coming.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    name: [u8; NAME_LEN_MAX],
    name_len: usize,
    value: [u8; VALUE_LEN_MAX],
    value_len: usize,
}

/// Letters of names of fields and of methods. Source: RFC 9110 §5.6.2.
pub(super) const fn is_token(octet: u8) -> bool {
    matches!(octet, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || octet.is_ascii_alphanumeric()
}

/// Octets of values, white space among them. Source: RFC 9110 §5.5 (`field-vchar`, with `obs-text`, which others may refuse).
pub(super) const fn is_value(octet: u8) -> bool {
    matches!(octet, b'\t' | b' '..=b'~' | 0x80..=0xff)
}

impl Field {
    /// One letter of its name more.
    pub(super) fn named(&mut self, octet: u8) {
        if let Some(place) = self.name.get_mut(self.name_len) {
            *place = octet.to_ascii_lowercase();
        }
        self.name_len = self.name_len.saturating_add(1);
    }

    /// One octet of its value more. White space in front is no part of it.
    pub(super) fn valued(&mut self, octet: u8) {
        if self.value_len == 0 && matches!(octet, b' ' | b'\t') {
            return;
        }
        if let Some(place) = self.value.get_mut(self.value_len) {
            *place = octet;
        }
        self.value_len = self.value_len.saturating_add(1);
    }

    /// Whether it says where the body ends.
    pub(super) fn is_about_length(&self) -> bool {
        matches!(self.name.get(..self.name_len), Some(b"content-length" | b"transfer-encoding"))
    }

    /// What it says about the body. An error if it says it in a way that somebody could read otherwise.
    pub(super) fn says(&self, length_max: u64) -> Result<Says, &'static str> {
        if !self.is_about_length() {
            return Ok(Says::Nothing);
        }
        let value = self.value.get(..self.value_len).ok_or("a length or a coding is too long")?.trim_ascii_end();
        if self.name.starts_with(b"c") {
            return length(value, length_max).map(Says::Length).ok_or("Content-Length is no number");
        }
        // RFC 9112 §6.1: one coding, and the one that everybody must know.
        if value.eq_ignore_ascii_case(b"chunked") { Ok(Says::Chunked) } else { Err("Transfer-Encoding is not chunked") }
    }
}

// RFC 9110 §8.6: digits and nothing else; a list of equal numbers is not taken.
fn length(value: &[u8], length_max: u64) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let digit = |octet: &u8| octet.is_ascii_digit().then(|| u64::from(octet - b'0'));
    let number = value.iter().try_fold(0_u64, |sum, octet| sum.checked_mul(10)?.checked_add(digit(octet)?));
    number.filter(|number| *number <= length_max)
}
