//! Octets for one reader: HPKE, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Source: RFC 9180 §6.1.
//!
//! A device seals and never opens; what opens is the key of a vault (`vault`).

pub(crate) use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as HPKE;
use rustls::crypto::hpke::{Hpke, HpkePublicKey};
use std::fmt;

/// Octets cannot be sealed to this key: it is no X25519 key, or the library has no random octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSealed;

impl fmt::Display for NotSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it cannot be sealed to this key: that is no X25519 key")
    }
}
impl std::error::Error for NotSealed {}

/// Seals octets to a key, bound to `info`: the encapsulated key, then the sealed octets.
///
/// # Errors
/// [`NotSealed`], also for a point of small order.
pub fn seal(octets: &[u8], info: &[u8], to: &[u8; 32]) -> Result<Vec<u8>, NotSealed> {
    let sealed = HPKE.seal(info, &[], octets, &HpkePublicKey(to.to_vec()));
    let (encapsulated, sealed) = sealed.map_err(|_| NotSealed)?;
    Ok([encapsulated.0, sealed].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_small_order_is_no_key() {
        assert_eq!(seal(b"secret", b"", &[0; 32]), Err(NotSealed));
    }
}
