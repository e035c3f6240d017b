//! A filter with its signature.

use super::build::marks;
use super::check::Filter;
use crate::ocsp::algorithm_of;
use crate::ocsp::delegate::{self, NotQualified};
use crate::read;
use der::{Reader, Tag};
use model::UnixTime;
use x509::{BadDer, Certificate, SignatureAlgorithm, Writer, signature};

/// Longest filter in octets: two million entries and what surrounds them.
pub const FILTER_LEN_MAX: usize = 8 * 1024 * 1024;

/// A filter with its signature, not verified.
///
/// Shape: the filter, then a SEQUENCE in DER of `AlgorithmIdentifier`, `BIT STRING`, and the `Certificate` of the signer if that
/// is not the authority itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedFilter<'a> {
    /// What it says.
    pub filter: Filter<'a>,
    /// The octets of the filter: what is signed.
    pub signed: &'a [u8],
    /// How.
    pub algorithm: SignatureAlgorithm,
    /// With what result.
    pub signature: &'a [u8],
    /// By whom, if not by the authority itself.
    pub signer: Option<Certificate>,
}

/// Puts the signature behind a filter.
///
/// `signer` is the certificate of the signer in DER if it is not the authority itself: that of its OCSP responder, which the
/// authority trusts to speak of status already.
#[must_use]
pub fn finish(filter: Vec<u8>, algorithm: SignatureAlgorithm, signature: &[u8], signer: Option<&[u8]>) -> Vec<u8> {
    let mut w = Writer::with_capacity(signature.len() + signer.map_or(0, <[u8]>::len) + 32);
    w.sequence(|w| {
        algorithm.write(w);
        w.bit_string(signature);
        if let Some(signer) = signer {
            w.raw(signer);
        }
    });
    let mut octets = filter;
    octets.extend(w.finish());
    octets
}

/// Reads a filter and its signature. Unlike a device, which has verified the signature and looks no further, it checks that the
/// tables do not contradict themselves.
///
/// Limits: [`FILTER_LEN_MAX`] octets.
/// # Errors
/// [`BadDer`] if longer, not of this format, contradicting itself, or followed by other octets.
pub fn decode(octets: &[u8]) -> Result<SignedFilter<'_>, BadDer> {
    let bad = BadDer("status filter");
    if octets.len() > FILTER_LEN_MAX {
        return Err(bad);
    }
    let (filter, rest) = Filter::parse(octets).ok_or(bad)?;
    if !is_consistent(&filter) {
        return Err(bad);
    }
    let signed = octets.strip_suffix(rest).ok_or(bad)?;
    let read = read::inside(rest, |r| {
        read::sequence(r, |r| {
            let algorithm = r.tlv_bytes()?;
            let bits = read::contents(r, Tag::BitString)?;
            let signer = if r.is_finished() { None } else { Some(r.tlv_bytes()?) };
            Ok((algorithm, bits, signer))
        })
    });
    let (algorithm, bits, signer) = read.map_err(|_| bad)?;
    let algorithm = algorithm_of(algorithm).ok_or(bad)?;
    let [0, signature @ ..] = bits else { return Err(bad) };
    let signer = signer.map(Certificate::decode).transpose()?;
    Ok(SignedFilter { filter, signed, algorithm, signature, signer })
}

// All tables follow from the places; so build them again, and compare.
fn is_consistent(filter: &Filter<'_>) -> bool {
    let remainders = filter.remainders.as_chunks().0.iter().map(|octets| u16::from_be_bytes(*octets));
    let bits = filter.marks.iter().flat_map(|octet| (0..8).map(move |bit| octet & (0x80 >> bit) != 0));
    let mut bucket = 0;
    let mut buckets = Vec::with_capacity(filter.remainders.len() / 2);
    for bit in bits {
        if bit {
            buckets.push(bucket);
        } else {
            bucket += 1;
        }
    }
    let places: Vec<(u32, u16)> = buckets.iter().copied().zip(remainders).collect();
    let whole = u32::try_from(buckets.len()) == Ok(filter.count) && bucket >= filter.count;
    let (marks, directory) = if whole { marks(&places, filter.count) } else { return false };
    let is_directory = directory.iter().flat_map(|entry| entry.to_be_bytes()).eq(filter.directory.iter().copied());
    let exceptions: &[[u8; 8]] = filter.exceptions.as_chunks().0;
    let ascending = exceptions.is_sorted_by(|a, b| a < b);
    let times = filter.next_update > filter.this_update;
    marks == filter.marks && is_directory && places.is_sorted() && ascending && times
}

/// Why a filter is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbelievable {
    /// It speaks of another authority.
    OtherAuthority,
    /// Who signed may not speak for the authority.
    NotAuthorised(NotQualified),
    /// The signature does not hold.
    Signature,
    /// It begins later than now.
    NotYet,
    /// There is a newer one, by its own account or by its number.
    Outdated,
}

impl std::fmt::Display for Unbelievable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherAuthority => f.write_str("the filter speaks of another authority"),
            Self::NotAuthorised(why) => write!(f, "{why}"),
            Self::Signature => f.write_str("the signature of the filter does not hold"),
            Self::NotYet => f.write_str("the filter is from the future"),
            Self::Outdated => f.write_str("the filter is outdated"),
        }
    }
}
impl std::error::Error for Unbelievable {}

impl<'a> SignedFilter<'a> {
    /// Verifies that `authority`, or a responder that it named, signed it, and that it holds now.
    ///
    /// `crl_number_seen` is the highest number of a filter or CRL of this authority that the reader has believed before.
    /// # Errors
    /// [`Unbelievable`]
    pub fn verify(
        &self,
        authority: &Certificate,
        crl_number_seen: u64,
        now: UnixTime,
    ) -> Result<Filter<'a>, Unbelievable> {
        let mut key = &authority.tbs().subject_public_key;
        if self.filter.authority_key_identifier != key.key_identifier() {
            return Err(Unbelievable::OtherAuthority);
        }
        if let Some(signer) = &self.signer {
            delegate::may_respond(signer, authority, now).map_err(Unbelievable::NotAuthorised)?;
            key = &signer.tbs().subject_public_key;
        }
        signature::verify(key, self.algorithm, self.signed, self.signature).map_err(|_| Unbelievable::Signature)?;
        if self.filter.this_update > now.s() {
            return Err(Unbelievable::NotYet);
        }
        let outdated = self.filter.next_update <= now.s() || self.filter.crl_number < crl_number_seen;
        if outdated { Err(Unbelievable::Outdated) } else { Ok(self.filter) }
    }
}
