//! Certificate revocation lists.

use crate::algorithm::SignatureAlgorithm;
use crate::extension::{AuthorityKeyIdentifier, Extension, authority_key_identifier};
use crate::key::PublicKey;
use crate::name::Name;
use crate::oids;
use crate::points::{self, DistributionPoint, IssuingDistributionPoint};
use crate::read::{self, BadDer, Held, bad};
use crate::serial::SerialNumber;
use crate::signature::{self, BadSignature};
use crate::time;
use crate::write::{Writer, tag};
use der::{Decode, Reader, SliceReader, Tag};
use model::contract::authority::RevocationReason;
use model::{Fault, UnixTime};

/// Longest list that is read, in octets: about a million entries.
pub const CRL_LEN_MAX: usize = 64 * 1024 * 1024;
/// Most entries that are read.
const ENTRIES_MAX: usize = 2_000_000;

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Which.
    pub serial_number: SerialNumber,
    /// When.
    pub revocation_date: UnixTime,
    /// Why.
    pub reason: RevocationReason,
}

/// A `CertificateList`, version 2, not verified.
/// Source: RFC 5280 §5.1.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 5280")]
pub struct CertificateList {
    pub tbs_der: Vec<u8>,
    pub issuer: Name,
    pub this_update: UnixTime,
    pub next_update: UnixTime,
    pub crl_number: u64,
    /// For a delta list: the number of the complete list that it is to be added to.
    pub base_crl_number: Option<u64>,
    /// What the list is for, if not for everything.
    pub issuing_distribution_point: Option<IssuingDistributionPoint>,
    /// Where the delta lists are.
    pub freshest_crl: Vec<DistributionPoint>,
    /// Which of the issuer's keys signed it.
    pub authority_key_identifier: AuthorityKeyIdentifier,
    pub revoked: Vec<RevokedCertificate>,
    /// In a delta list: those that are to be taken out of the complete one.
    pub removed: Vec<SerialNumber>,
    pub algorithm: SignatureAlgorithm,
    pub signature: Vec<u8>,
}

/// What a new list says besides its entries.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 5280")]
pub struct CrlHead<'a> {
    pub signature: SignatureAlgorithm,
    pub issuer: &'a Name,
    pub issuer_key: &'a PublicKey,
    pub this_update: UnixTime,
    pub next_update: UnixTime,
    pub crl_number: u64,
}

/// What a list is for, if it is not simply all that its issuer has revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrlScope {
    /// The shard, or the kind of certificates. Source: RFC 5280 §5.2.5.
    pub issuing_distribution_point: Option<IssuingDistributionPoint>,
    /// For a delta list: the number of the complete list that it is to be added to. Source: RFC 5280 §5.2.4.
    pub base_crl_number: Option<u64>,
    /// For a complete list: where its delta lists are. Source: RFC 5280 §5.2.6.
    pub freshest_crl: Vec<String>,
}

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlEntry {
    /// Revoked or on hold.
    Revoked(RevokedCertificate),
    /// In a delta list: no longer on hold, or expired, since then. Source: RFC 5280 §5.3.1, removeFromCRL.
    Removed {
        /// Which.
        serial_number: SerialNumber,
        /// When.
        since: UnixTime,
    },
}

impl From<RevokedCertificate> for CrlEntry {
    fn from(revoked: RevokedCertificate) -> Self {
        Self::Revoked(revoked)
    }
}

/// The entries were others the second time that they were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntriesChanged;

impl std::fmt::Display for EntriesChanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the entries of the list changed while it was written")
    }
}
impl std::error::Error for EntriesChanged {}
impl From<EntriesChanged> for Fault {
    fn from(_: EntriesChanged) -> Self {
        Fault::unavailable("the entries of the list changed while it was written")
    }
}

/// Reason code removeFromCRL. Source: RFC 5280 §5.3.1.
const REMOVE_FROM_CRL: u8 = 8;
/// `crlEntryExtensions` with the reason code alone, up to the code itself.
const REASON_HEAD: [u8; 13] = [0x30, 12, 0x30, 10, 6, 3, 0x55, 0x1d, 21, 4, 3, tag::ENUMERATED, 1];
/// How many octets are collected before they go to the sink.
const CHUNK_LEN: usize = 64 * 1024;
/// Longest tag and length of what is at most [`CRL_LEN_MAX`] long, and of more.
const HEAD_LEN_MAX: usize = 6;

/// Writes a `TBSCertList`: the octets that the issuer signs. An empty list of entries is left out (RFC 5280 §5.1.2.6).
///
/// For lists that fit into memory twice; others are written by [`write_list`] or a [`TbsStream`].
#[must_use]
pub fn write_tbs(head: &CrlHead<'_>, revoked: &[RevokedCertificate]) -> Vec<u8> {
    let entries = || revoked.iter().copied().map(CrlEntry::Revoked);
    let stream = TbsStream::measure(head, &CrlScope::default(), entries());
    let mut tbs = Vec::with_capacity(stream.len());
    match stream.write(entries(), |octets| tbs.extend_from_slice(octets)) {
        Ok(()) => tbs,
        Err(EntriesChanged) => unreachable!("a slice has the same entries twice"),
    }
}

/// Writes and signs a `CertificateList` in one buffer of its size; no entry is held besides.
///
/// `entries` is asked twice: for the length, and for the octets. `sign` gets the `TBSCertList`.
/// # Errors
/// What `sign` says; [`EntriesChanged`] if the entries take more or fewer octets the second time.
pub fn write_list<I, E>(
    head: &CrlHead<'_>,
    scope: &CrlScope,
    entries: impl Fn() -> I,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E>
where
    I: IntoIterator<Item = CrlEntry>,
    E: From<EntriesChanged>,
{
    let stream = TbsStream::measure(head, scope, entries());
    // Room in front for the tag and length of the whole, which are known last; behind, for the longest signature.
    let mut list = Vec::with_capacity(HEAD_LEN_MAX + stream.len() + SIGNATURE_ROOM);
    list.resize(HEAD_LEN_MAX, 0);
    stream.write(entries(), |octets| list.extend_from_slice(octets))?;
    let signature = sign(list.get(HEAD_LEN_MAX..).unwrap_or_default())?;
    let (front, back) = frame(stream.len(), head.signature, &signature);
    list.extend_from_slice(&back);
    list.splice(..HEAD_LEN_MAX, front);
    Ok(list)
}

/// Octets of the longest signature of ours, ML-DSA-87's 4627, and what stands around it.
const SIGNATURE_ROOM: usize = 4627 + 128;

/// What stands before and behind a `TBSCertList` of `tbs_len` octets in the signed list.
#[must_use]
pub fn frame(tbs_len: usize, algorithm: SignatureAlgorithm, signature: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut back = Writer::with_capacity(signature.len() + 128);
    algorithm.write(&mut back);
    back.bit_string(signature);
    let back = back.finish();
    let mut front = Writer::with_capacity(HEAD_LEN_MAX);
    front.head(tag::SEQUENCE, tbs_len + back.len());
    (front.finish(), back)
}

/// A `TBSCertList` of any length in two passes: [`Self::measure`], then [`Self::write`], as often as wanted.
#[derive(Clone, Debug)]
pub struct TbsStream {
    /// All between the outer length and the first entry, and all behind the last.
    front: Vec<u8>,
    back: Vec<u8>,
    entries_len: usize,
}

impl TbsStream {
    /// The first pass: counts the octets.
    #[must_use]
    pub fn measure(head: &CrlHead<'_>, scope: &CrlScope, entries: impl IntoIterator<Item = CrlEntry>) -> Self {
        Self::of_len(head, scope, entries.into_iter().map(|entry| entry_len(&entry)).sum())
    }

    /// The same for who knows the sum of [`entry_len`] already.
    #[must_use]
    pub fn of_len(head: &CrlHead<'_>, scope: &CrlScope, entries_len: usize) -> Self {
        let mut front = Writer::with_capacity(256);
        front.small(1);
        head.signature.write(&mut front);
        front.raw(head.issuer.der()).time(head.this_update).time(head.next_update);
        if entries_len > 0 {
            front.head(tag::SEQUENCE, entries_len);
        }
        let mut back = Writer::with_capacity(256);
        back.explicit(0, |w| Extension::write_all(&extensions(head, scope), w));
        let back = back.finish();
        let front = front.finish();
        let mut whole = Writer::with_capacity(front.len() + HEAD_LEN_MAX);
        whole.head(tag::SEQUENCE, front.len() + entries_len + back.len()).raw(&front);
        Self { front: whole.finish(), back, entries_len }
    }

    /// How many octets the `TBSCertList` has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(&self) -> usize {
        self.front.len() + self.entries_len + self.back.len()
    }

    /// The second pass: gives the octets to `sink`, in pieces of about 64 KiB.
    ///
    /// # Errors
    /// [`EntriesChanged`] if the entries take more or fewer octets than in the first pass; what went to the sink is
    /// worth nothing then.
    pub fn write(
        &self,
        entries: impl IntoIterator<Item = CrlEntry>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), EntriesChanged> {
        sink(&self.front);
        let mut chunk = Writer::with_capacity(CHUNK_LEN + 128);
        let mut written = 0;
        for entry in entries {
            write_entry(&entry, &mut chunk);
            if chunk.octets().len() >= CHUNK_LEN {
                written += chunk.octets().len();
                if written > self.entries_len {
                    return Err(EntriesChanged);
                }
                sink(chunk.octets());
                chunk.clear();
            }
        }
        if written + chunk.octets().len() != self.entries_len {
            return Err(EntriesChanged);
        }
        sink(chunk.octets());
        sink(&self.back);
        Ok(())
    }
}

fn extensions(head: &CrlHead<'_>, scope: &CrlScope) -> Vec<Extension> {
    let number = |oid, critical, n| {
        Extension::of(oid, critical, |w| {
            w.small(n);
        })
    };
    let mut extensions = vec![
        authority_key_identifier(&head.issuer_key.key_identifier()),
        number(oids::CRL_NUMBER, false, head.crl_number),
    ];
    extensions.extend(scope.base_crl_number.map(|base| number(oids::DELTA_CRL_INDICATOR, true, base)));
    extensions.extend(scope.issuing_distribution_point.as_ref().map(IssuingDistributionPoint::extension));
    if !scope.freshest_crl.is_empty() {
        let uris: Vec<_> = scope.freshest_crl.iter().map(String::as_str).collect();
        extensions.push(points::freshest_crl(&uris));
    }
    extensions
}

/// Number, time and reason code of an entry; no code means unspecified (RFC 5280 §5.3.1).
fn parts(entry: &CrlEntry) -> (&SerialNumber, UnixTime, Option<u8>) {
    match entry {
        CrlEntry::Revoked(RevokedCertificate { serial_number, revocation_date, reason }) => {
            let code = Some(reason.code()).filter(|_| *reason != RevocationReason::Unspecified);
            (serial_number, *revocation_date, code)
        }
        CrlEntry::Removed { serial_number, since } => (serial_number, *since, Some(REMOVE_FROM_CRL)),
    }
}

/// How many octets an entry takes in a list.
#[must_use]
pub fn entry_len(entry: &CrlEntry) -> usize {
    let (serial_number, at, reason) = parts(entry);
    let octets = serial_number.octets();
    let sign = usize::from(octets.first().is_some_and(|first| *first >= 0x80));
    let reason = if reason.is_some() { REASON_HEAD.len() + 1 } else { 0 };
    // All lengths are below 128: one octet each.
    2 + 2 + sign + octets.len() + 2 + time::contents_len(at) + reason
}

fn write_entry(entry: &CrlEntry, w: &mut Writer) {
    let (serial_number, at, reason) = parts(entry);
    w.sequence(|w| {
        w.unsigned(serial_number.octets()).time(at);
        if let Some(code) = reason {
            w.raw(&REASON_HEAD).raw(&[code]);
        }
    });
}

impl CertificateList {
    /// Reads a list.
    ///
    /// Limits: [`CRL_LEN_MAX`] octets, two million entries; number and next update must be there. A delta indicator and
    /// an issuing distribution point are understood, and must be critical; removeFromCRL is for delta lists.
    /// # Errors
    /// [`BadDer`] if longer, not DER, of another version, with another critical extension, or followed by other octets.
    pub fn decode(der: &[u8]) -> Result<Self, BadDer> {
        read::whole(der, CRL_LEN_MAX, "CertificateList", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let tbs_der = r.tlv_bytes()?;
                let algorithm = SignatureAlgorithm::read(r)?;
                let signature = read::bit_string_octets(r)?.to_vec();
                read::inside(tbs_der, |r| tbs(r, tbs_der, algorithm, signature))
            })
        })
    }

    /// Verifies that `key` signed it.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify(&self, key: &PublicKey) -> Result<(), BadSignature> {
        signature::verify(key, self.algorithm, &self.tbs_der, &self.signature)
    }
}

fn tbs(
    reader: &mut SliceReader<'_>,
    tbs_der: &[u8],
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
) -> read::Result<CertificateList> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        if read::small(r)? != 1 || SignatureAlgorithm::read(r)? != algorithm {
            return bad(r);
        }
        let issuer = Name::read(r)?;
        let this_update = time::time(r)?;
        let next_update = time::time(r)?;
        let (mut revoked, mut removed) = (Vec::new(), Vec::new());
        if read::next_tag(r)? == Some(Tag::Sequence) {
            read::inside(read::contents(r, Tag::Sequence)?, |r| {
                while revoked.is_empty() && removed.is_empty() || !r.is_finished() {
                    match entry(r)? {
                        CrlEntry::Revoked(certificate) => revoked.push(certificate),
                        CrlEntry::Removed { serial_number, .. } => removed.push(serial_number),
                    }
                    if revoked.len() + removed.len() > ENTRIES_MAX {
                        return bad(r);
                    }
                }
                Ok(())
            })?;
        }
        let Some(extensions) = read::optional(r, 0, true)? else { return bad(r) };
        let extensions = read::inside(extensions, Extension::read_all)?;
        let Some(said) = Said::of(&extensions) else { return bad(r) };
        if said.base_crl_number.is_none() && !removed.is_empty() {
            return bad(r);
        }
        Ok(CertificateList {
            tbs_der: tbs_der.to_vec(),
            issuer,
            this_update,
            next_update,
            crl_number: said.crl_number,
            base_crl_number: said.base_crl_number,
            issuing_distribution_point: said.issuing_distribution_point,
            freshest_crl: said.freshest_crl,
            authority_key_identifier: said.authority_key_identifier,
            revoked,
            removed,
            algorithm,
            signature,
        })
    })
}

/// What the extensions of a list say.
struct Said {
    crl_number: u64,
    base_crl_number: Option<u64>,
    issuing_distribution_point: Option<IssuingDistributionPoint>,
    freshest_crl: Vec<DistributionPoint>,
    authority_key_identifier: AuthorityKeyIdentifier,
}

impl Said {
    // `None` if one of them is not well formed, or a critical one is not known.
    fn of(extensions: &[Extension]) -> Option<Self> {
        let (mut crl_number, mut said) = (None, Self::nothing());
        for Extension { oid, critical, value } in extensions {
            match (*oid, critical) {
                (oids::CRL_NUMBER, false) => crl_number = Some(number(value)?),
                (oids::DELTA_CRL_INDICATOR, true) => said.base_crl_number = Some(number(value)?),
                (oids::ISSUING_DISTRIBUTION_POINT, true) => {
                    said.issuing_distribution_point = Some(IssuingDistributionPoint::decode(value)?);
                }
                (oids::FRESHEST_CRL, false) => said.freshest_crl = points::decode_distribution_points(value)?,
                (oids::AUTHORITY_KEY_IDENTIFIER, false) => {
                    said.authority_key_identifier = AuthorityKeyIdentifier::decode(value)?;
                }
                // Others would take such a list for a complete one.
                (oids::DELTA_CRL_INDICATOR | oids::ISSUING_DISTRIBUTION_POINT, false) | (_, true) => return None,
                (_, false) => {}
            }
        }
        Some(Self { crl_number: crl_number?, ..said })
    }

    fn nothing() -> Self {
        Self {
            crl_number: 0,
            base_crl_number: None,
            issuing_distribution_point: None,
            freshest_crl: Vec::new(),
            authority_key_identifier: AuthorityKeyIdentifier::default(),
        }
    }
}

fn number(value: &[u8]) -> Option<u64> {
    read::whole(value, 16, "CRLNumber", u64::decode).ok()
}

fn entry(reader: &mut SliceReader<'_>) -> read::Result<CrlEntry> {
    let contents = read::contents(reader, Tag::Sequence)?;
    read::inside(contents, |r| {
        let serial_number = SerialNumber::read(r)?;
        let at = time::time(r)?;
        let extensions = if r.is_finished() { Vec::new() } else { Extension::read_all(r)? };
        if extensions.iter().any(|e| e.critical) {
            return bad(r);
        }
        let reason = match extensions.iter().find(|e| e.oid == oids::REASON_CODE).map(|e| e.value.as_slice()) {
            None => Some(RevocationReason::Unspecified),
            Some([tag::ENUMERATED, 1, REMOVE_FROM_CRL]) => {
                return Ok(CrlEntry::Removed { serial_number, since: at });
            }
            Some([tag::ENUMERATED, 1, code]) => RevocationReason::by_code(*code),
            Some(_) => None,
        };
        match reason {
            Some(reason) => Ok(CrlEntry::Revoked(RevokedCertificate { serial_number, revocation_date: at, reason })),
            None => bad(r),
        }
    })
}

#[cfg(test)]
mod tests;
