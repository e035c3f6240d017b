//! Nonces that are known as ours without being kept.
//! Source: RFC 8555 §6.5.

use aws_lc_rs::hmac;
use model::UnixTime;
use model::octets::{base64url, from_base64url};

/// How long a nonce counts, in seconds: a client takes it for its next message.
pub const NONCE_LIFETIME_S: u64 = 3600;
const MAC_LEN: usize = 16;

fn mac(key: &[u8; 32], octets: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), octets)
}

/// Writes a nonce that counts from now on: its random octets, its end, and a MAC over both.
#[must_use]
pub fn write_nonce(key: &[u8; 32], random: [u8; 16], now: UnixTime) -> String {
    let octets = [random.as_slice(), &now.plus_s(NONCE_LIFETIME_S).ms().to_be_bytes()].concat();
    let tag = mac(key, &octets);
    base64url(&[octets.as_slice(), tag.as_ref().get(..MAC_LEN).unwrap_or_default()].concat())
}

/// The random octets and the end of a nonce; none if it is none of ours, or its end is over.
#[must_use]
pub fn read_nonce(key: &[u8; 32], text: &str, now: UnixTime) -> Option<([u8; 16], UnixTime)> {
    let octets = from_base64url(text.as_bytes())?;
    let (said, tag) = octets.split_at_checked(24).filter(|(_, tag)| tag.len() == MAC_LEN)?;
    let due = mac(key, said);
    let differ = due.as_ref().iter().zip(tag).fold(0, |differ, (a, b)| differ | (a ^ b));
    let (random, until) = said.split_first_chunk::<16>()?;
    let until = UnixTime::from_ms(u64::from_be_bytes(until.try_into().ok()?));
    (differ == 0 && now <= until).then_some((*random, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

    #[test]
    fn ours_until_its_end() {
        let text = write_nonce(&[1; 32], [2; 16], NOW);
        let end = NOW.plus_s(NONCE_LIFETIME_S);
        assert_eq!(read_nonce(&[1; 32], &text, NOW), Some(([2; 16], end)));
        assert_eq!(read_nonce(&[1; 32], &text, end), Some(([2; 16], end)));
        assert_eq!(read_nonce(&[1; 32], &text, end.plus_ms(1)), None);
    }
    #[test]
    fn altered_or_by_another_key_it_is_none() {
        let text = write_nonce(&[1; 32], [2; 16], NOW);
        assert_eq!(read_nonce(&[2; 32], &text, NOW), None);
        let octets = from_base64url(text.as_bytes()).unwrap();
        for n in 0..octets.len() {
            let mut other = octets.clone();
            other[n] ^= 1;
            assert_eq!(read_nonce(&[1; 32], &base64url(&other), NOW), None, "{n}");
        }
        for other in ["", "AAAA", &text[..text.len() - 4], &format!("{text}AAAA")] {
            assert_eq!(read_nonce(&[1; 32], other, NOW), None);
        }
    }
}
