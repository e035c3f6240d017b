//! What a TPM says of a key.
//! Source: Trusted Platform Module Library Part 2: Structures, level 00, revision 01.59, §10.12, §11.2, §12.2.

use super::BadAttestation;
use super::BadAttestation::{KeyNotBound, Malformed, OtherType};
use x509::{KeyType, PublicKey, SignatureAlgorithm, Writer};

/// `TPM_GENERATED_VALUE`: octets that begin so are signed by a TPM's own key only if the TPM made them.
const GENERATED: u32 = 0xff54_4347;
/// `TPM_ST_ATTEST_CERTIFY`
const CERTIFY: u16 = 0x8017;
const ALG_RSA: u16 = 0x0001;
const ALG_SHA256: u16 = 0x000b;
const ALG_SHA384: u16 = 0x000c;
const ALG_NULL: u16 = 0x0010;
const ALG_RSASSA: u16 = 0x0014;
const ALG_RSAPSS: u16 = 0x0016;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECC: u16 = 0x0023;
const CURVE_P256: u16 = 0x0003;
const CURVE_P384: u16 = 0x0004;
/// `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`: made in the TPM, and never elsewhere.
const OF_THIS_TPM: u32 = 1 << 1 | 1 << 4 | 1 << 5;

/// Octets of a TPM, which are in big-endian order.
struct Marshalled<'a>(&'a [u8]);

impl<'a> Marshalled<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BadAttestation> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
    fn u16(&mut self) -> Result<u16, BadAttestation> {
        let octets = self.take(2)?.try_into().map_err(|_| Malformed)?;
        Ok(u16::from_be_bytes(octets))
    }
    fn u32(&mut self) -> Result<u32, BadAttestation> {
        let octets = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_be_bytes(octets))
    }
    /// Octets with their length before them.
    fn sized(&mut self) -> Result<&'a [u8], BadAttestation> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
    const fn end(&self) -> Result<(), BadAttestation> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
    /// An algorithm, if there is one, and so many numbers of it.
    fn scheme(&mut self, numbers: usize) -> Result<(), BadAttestation> {
        if self.u16()? != ALG_NULL {
            self.take(numbers.saturating_mul(2))?;
        }
        Ok(())
    }
}

/// That a key is in the same TPM as the one that signs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CertifyInfo<'a> {
    /// What the client had signed with it.
    pub(super) extra_data: &'a [u8],
    /// The digest of the key, with its algorithm before it.
    pub(super) name: &'a [u8],
}

impl<'a> CertifyInfo<'a> {
    /// Reads `TPMS_ATTEST`.
    pub(super) fn decode(octets: &'a [u8]) -> Result<Self, BadAttestation> {
        let mut r = Marshalled(octets);
        if r.u32()? != GENERATED || r.u16()? != CERTIFY {
            return Err(OtherType);
        }
        let _qualified_signer = r.sized()?;
        let extra_data = r.sized()?;
        // clockInfo and firmwareVersion.
        r.take(17 + 8)?;
        let (name, _qualified_name) = (r.sized()?, r.sized()?);
        r.end()?;
        Ok(Self { extra_data, name })
    }
}

/// The key of `TPMT_PUBLIC`, with its name, if it was made in the TPM and never leaves it.
pub(super) fn public_area(octets: &[u8]) -> Result<(PublicKey, Vec<u8>), BadAttestation> {
    use aws_lc_rs::digest::{SHA256, SHA384, digest};
    let mut r = Marshalled(octets);
    let (kind, name_alg, attributes) = (r.u16()?, r.u16()?, r.u32()?);
    let _auth_policy = r.sized()?;
    let key = match kind {
        ALG_RSA => rsa(&mut r)?,
        ALG_ECC => ecc(&mut r)?,
        _ => return Err(OtherType),
    };
    r.end()?;
    let algorithm = match name_alg {
        ALG_SHA256 => &SHA256,
        ALG_SHA384 => &SHA384,
        _ => return Err(OtherType),
    };
    if attributes & OF_THIS_TPM != OF_THIS_TPM {
        return Err(KeyNotBound);
    }
    Ok((key, [&name_alg.to_be_bytes(), digest(algorithm, octets).as_ref()].concat()))
}

fn rsa(r: &mut Marshalled<'_>) -> Result<PublicKey, BadAttestation> {
    r.scheme(2)?;
    r.scheme(1)?;
    let (bits, exponent, modulus) = (r.u16()?, r.u32()?, r.sized()?);
    // Zero is the usual one. Source: §12.2.3.5.
    let exponent = if exponent == 0 { 65_537 } else { exponent };
    let mut w = Writer::default();
    w.sequence(|w| {
        w.unsigned(modulus).unsigned(&exponent.to_be_bytes());
    });
    PublicKey::from_bits(KeyType::Rsa(bits), &w.finish()).map_err(|_| Malformed)
}

fn ecc(r: &mut Marshalled<'_>) -> Result<PublicKey, BadAttestation> {
    r.scheme(2)?;
    r.scheme(1)?;
    let curve = r.u16()?;
    r.scheme(1)?;
    let (key_type, len) = match curve {
        CURVE_P256 => (KeyType::P256, 32),
        CURVE_P384 => (KeyType::P384, 48),
        _ => return Err(OtherType),
    };
    let mut point = vec![4];
    for _ in 0..2 {
        let coordinate = r.sized()?;
        // Some leave zeros out in front.
        let missing = usize::checked_sub(len, coordinate.len()).ok_or(Malformed)?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend_from_slice(coordinate);
    }
    PublicKey::from_bits(key_type, &point).map_err(|_| Malformed)
}

/// A signature of `TPMT_SIGNATURE`, as certificates have it.
pub(super) fn signature(octets: &[u8]) -> Result<(SignatureAlgorithm, Vec<u8>), BadAttestation> {
    use SignatureAlgorithm::{EcdsaSha256, EcdsaSha384, RsaPssSha256, RsaPssSha384, RsaSha256, RsaSha384};
    let mut r = Marshalled(octets);
    let algorithm = match (r.u16()?, r.u16()?) {
        (ALG_RSASSA, ALG_SHA256) => RsaSha256,
        (ALG_RSASSA, ALG_SHA384) => RsaSha384,
        (ALG_RSAPSS, ALG_SHA256) => RsaPssSha256,
        (ALG_RSAPSS, ALG_SHA384) => RsaPssSha384,
        (ALG_ECDSA, ALG_SHA256) => EcdsaSha256,
        (ALG_ECDSA, ALG_SHA384) => EcdsaSha384,
        // SHA-1 among them.
        _ => return Err(OtherType),
    };
    let signature = match algorithm {
        EcdsaSha256 | EcdsaSha384 => {
            let (one, other) = (r.sized()?, r.sized()?);
            let mut w = Writer::default();
            w.sequence(|w| {
                w.unsigned(one).unsigned(other);
            });
            w.finish()
        }
        _ => r.sized()?.to_vec(),
    };
    r.end()?;
    Ok((algorithm, signature))
}
