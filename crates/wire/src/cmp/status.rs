//! `PKIStatusInfo`: how it went, and why not.

use super::shape::{int, next_is, some, write_int};
use crate::read::{self, Result, bad};
use der::asn1::BitStringRef;
use der::{Decode, Reader, SliceReader, Tag};
use x509::Writer;
use x509::write::tag;

/// Most lines of a `PKIFreeText`.
const LINES_MAX: usize = 16;
/// Most octets of free text that are passed on to people.
const TEXT_LEN_MAX: usize = 300;

/// How it went.
/// Source: RFC 9810 §5.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 9810")]
pub enum PkiStatus {
    Accepted,
    GrantedWithMods,
    Rejection,
    Waiting,
    RevocationWarning,
    RevocationNotification,
    KeyUpdateWarning,
}

impl PkiStatus {
    const ALL: [Self; 7] = [
        Self::Accepted,
        Self::GrantedWithMods,
        Self::Rejection,
        Self::Waiting,
        Self::RevocationWarning,
        Self::RevocationNotification,
        Self::KeyUpdateWarning,
    ];

    fn number(self) -> i64 {
        (0..).zip(Self::ALL).find_map(|(n, status)| (status == self).then_some(n)).unwrap_or_default()
    }
}

/// Names of the bits of `PKIFailureInfo`, bit 0 first.
/// Source: RFC 9810 §5.2.3.
const FAILURES: [&str; 27] = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
];

/// `PKIFailureInfo`: the contents of a BIT STRING, as they were read or are to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureInfo<'a> {
    contents: &'a [u8],
}

impl<'a> FailureInfo<'a> {
    /// `badAlg` (0): an algorithm that is not taken.
    pub const BAD_ALG: FailureInfo<'static> = FailureInfo { contents: &[7, 0x80] };
    /// `badMessageCheck` (1): the protection does not hold.
    pub const BAD_MESSAGE_CHECK: FailureInfo<'static> = FailureInfo { contents: &[6, 0x40] };
    /// `badRequest` (2): this is not answered.
    pub const BAD_REQUEST: FailureInfo<'static> = FailureInfo { contents: &[5, 0x20] };
    /// `badTime` (3): `messageTime` is too far from our clock.
    pub const BAD_TIME: FailureInfo<'static> = FailureInfo { contents: &[4, 0x10] };
    /// `badCertId` (4): no certificate of the requester.
    pub const BAD_CERT_ID: FailureInfo<'static> = FailureInfo { contents: &[3, 0x08] };
    /// `badDataFormat` (5): the octets are not what they should be.
    pub const BAD_DATA_FORMAT: FailureInfo<'static> = FailureInfo { contents: &[2, 0x04] };
    /// `wrongAuthority` (6): another authority's business.
    pub const WRONG_AUTHORITY: FailureInfo<'static> = FailureInfo { contents: &[1, 0x02] };
    /// `incorrectData` (7): the requester declines what it was given.
    pub const INCORRECT_DATA: FailureInfo<'static> = FailureInfo { contents: &[0, 0x01] };
    /// `badPOP` (9): possession of the key is not proved.
    pub const BAD_POP: FailureInfo<'static> = FailureInfo { contents: &[6, 0, 0x40] };
    /// `certRevoked` (10): it was revoked before.
    pub const CERT_REVOKED: FailureInfo<'static> = FailureInfo { contents: &[5, 0, 0x20] };
    /// `certConfirmed` (11): it was confirmed before.
    pub const CERT_CONFIRMED: FailureInfo<'static> = FailureInfo { contents: &[4, 0, 0x10] };
    /// `wrongIntegrity` (12): protected in a kind that does not serve for this.
    pub const WRONG_INTEGRITY: FailureInfo<'static> = FailureInfo { contents: &[3, 0, 0x08] };
    /// `badRecipientNonce` (13): our last nonce is not repeated.
    pub const BAD_RECIPIENT_NONCE: FailureInfo<'static> = FailureInfo { contents: &[2, 0, 0x04] };
    /// `unacceptedExtension` (16): an extension that the profile does not give.
    pub const UNACCEPTED_EXTENSION: FailureInfo<'static> = FailureInfo { contents: &[7, 0, 0, 0x80] };
    /// `badSenderNonce` (18): it has not 16 octets.
    pub const BAD_SENDER_NONCE: FailureInfo<'static> = FailureInfo { contents: &[5, 0, 0, 0x20] };
    /// `badCertTemplate` (19): the template asks for what it may not.
    pub const BAD_CERT_TEMPLATE: FailureInfo<'static> = FailureInfo { contents: &[4, 0, 0, 0x10] };
    /// `signerNotTrusted` (20): the certificate of the signature is worth nothing here.
    pub const SIGNER_NOT_TRUSTED: FailureInfo<'static> = FailureInfo { contents: &[3, 0, 0, 0x08] };
    /// `transactionIdInUse` (21): the identifier was used before.
    pub const TRANSACTION_ID_IN_USE: FailureInfo<'static> = FailureInfo { contents: &[2, 0, 0, 0x04] };
    /// `notAuthorized` (23): a rule says no.
    pub const NOT_AUTHORIZED: FailureInfo<'static> = FailureInfo { contents: &[0, 0, 0, 0x01] };
    /// `systemUnavail` (24): it cannot be answered now.
    pub const SYSTEM_UNAVAIL: FailureInfo<'static> = FailureInfo { contents: &[7, 0, 0, 0, 0x80] };

    /// Whether it is [`Self::CERT_REVOKED`] and nothing else.
    #[must_use]
    pub fn cert_revoked(self) -> bool {
        self.names() == ["certRevoked"]
    }

    /// The names of the bits that are set; those without a name are left out.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let (Some(unused), Some(octets)) = (self.contents.first(), self.contents.get(1..)) else { return Vec::new() };
        let Ok(bits) = BitStringRef::new(*unused, octets) else { return Vec::new() };
        bits.bits().zip(FAILURES).filter_map(|(bit, name)| bit.then_some(name)).collect()
    }
}

/// A `PKIFreeText`, whole: lines for people, by whoever sent the message. They are shown, never believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeText<'a> {
    der: &'a [u8],
}

impl<'a> FreeText<'a> {
    /// What [`write_free_text`] wrote.
    ///
    /// `None` if the octets are no `PKIFreeText`.
    #[must_use]
    pub fn new(der: &'a [u8]) -> Option<Self> {
        read::inside(der, Self::read).ok()
    }

    /// The octets.
    #[must_use]
    pub const fn der(self) -> &'a [u8] {
        self.der
    }

    /// The lines as one, without control characters and not longer than people read.
    #[must_use]
    pub fn text(self) -> String {
        let lines = read::inside(self.der, |r| some(r, LINES_MAX, line)).unwrap_or_default();
        let visible = |c: &char| !c.is_control();
        let mut text = String::new();
        for c in lines.join("; ").chars().filter(visible) {
            if text.len() + c.len_utf8() > TEXT_LEN_MAX {
                break;
            }
            text.push(c);
        }
        text
    }

    pub(super) fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        let der = reader.tlv_bytes()?;
        read::inside(der, |r| some(r, LINES_MAX, line))?;
        Ok(Self { der })
    }
}

/// Writes a `PKIFreeText` of one line.
#[must_use]
pub fn write_free_text(line: &str) -> Vec<u8> {
    let mut w = Writer::with_capacity(line.len() + 8);
    w.sequence(|w| {
        w.value(tag::UTF8_STRING, line.as_bytes());
    });
    w.finish()
}

fn line<'a>(reader: &mut SliceReader<'a>) -> Result<&'a str> {
    let octets = read::contents(reader, Tag::Utf8String)?;
    std::str::from_utf8(octets).or_else(|_| bad(reader))
}

/// A `PKIStatusInfo`.
/// Source: RFC 9810 §5.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct StatusInfo<'a> {
    pub status: PkiStatus,
    pub status_string: Option<FreeText<'a>>,
    pub fail_info: Option<FailureInfo<'a>>,
}

impl<'a> StatusInfo<'a> {
    /// What people are told: the failures by their names, and the text that came along.
    #[must_use]
    pub fn explanation(&self) -> String {
        let names = self.fail_info.map(FailureInfo::names).unwrap_or_default().join(", ");
        let text = self.status_string.map(FreeText::text).unwrap_or_default();
        match (names.as_str(), text.as_str()) {
            ("", "") => "no reason given".to_owned(),
            ("", text) => format!("\"{text}\""),
            (names, "") => names.to_owned(),
            (names, text) => format!("{names}: \"{text}\""),
        }
    }

    pub(super) fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        read::sequence(reader, |r| {
            let number = int(r)?;
            let Some(status) = PkiStatus::ALL.into_iter().find(|status| status.number() == number) else {
                return bad(r);
            };
            let status_string = if next_is(r, Tag::Sequence)? { Some(FreeText::read(r)?) } else { None };
            let fail_info = if r.is_finished() { None } else { Some(fail_info(r)?) };
            Ok(Self { status, status_string, fail_info })
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            write_int(self.status.number(), w);
            if let Some(text) = self.status_string {
                w.raw(text.der);
            }
            if let Some(failure) = self.fail_info {
                w.value(tag::BIT_STRING, failure.contents);
            }
        });
    }
}

fn fail_info<'a>(reader: &mut SliceReader<'a>) -> Result<FailureInfo<'a>> {
    let der = reader.tlv_bytes()?;
    BitStringRef::from_der(der)?;
    Ok(FailureInfo { contents: read::inside(der, |r| read::contents(r, Tag::BitString))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hex: &str, status: PkiStatus, explanation: &str) {
        let der = model::octets::from_hex(hex).unwrap();
        let read = read::inside(&der, StatusInfo::read).unwrap();
        assert_eq!((read.status, read.explanation().as_str()), (status, explanation));
        let mut w = Writer::default();
        read.write(&mut w);
        assert_eq!(w.finish(), der);
    }
    #[track_caller]
    fn refused(hex: &str) {
        let der = model::octets::from_hex(hex).unwrap();
        assert!(read::inside(&der, StatusInfo::read).is_err());
    }

    #[test]
    fn accepted() {
        check("3003020100", PkiStatus::Accepted, "no reason given");
    }
    #[test]
    fn two_failures() {
        check("30080201020303070180", PkiStatus::Rejection, "incorrectData, missingTimeStamp");
    }
    #[test]
    fn a_failure_and_a_text() {
        check("300d02010230040c026e6f03020780", PkiStatus::Rejection, "badAlg: \"no\"");
    }
    #[test]
    fn a_text_with_control_characters_is_shown_without() {
        check("300a02010230050c031b5b41", PkiStatus::Rejection, "\"[A\"");
    }
    #[test]
    fn the_last_status_and_the_first_that_is_none() {
        check("3003020106", PkiStatus::KeyUpdateWarning, "no reason given");
        refused("3003020107");
        refused("30030201ff");
    }
    #[test]
    fn text_that_is_no_utf8_is_refused() {
        refused("300902010230040c02ff6f");
    }
    #[test]
    fn failures_are_what_they_are_called() {
        let check = |failure: FailureInfo<'_>, name: &str| {
            assert_eq!(failure.names(), [name]);
            let info = StatusInfo { status: PkiStatus::Rejection, status_string: None, fail_info: Some(failure) };
            let mut w = Writer::default();
            info.write(&mut w);
            assert_eq!(read::inside(&w.finish(), StatusInfo::read), Ok(info), "strict DER");
        };
        type F = FailureInfo<'static>;
        check(F::BAD_ALG, "badAlg");
        check(F::BAD_MESSAGE_CHECK, "badMessageCheck");
        check(F::BAD_REQUEST, "badRequest");
        check(F::BAD_TIME, "badTime");
        check(F::BAD_CERT_ID, "badCertId");
        check(F::BAD_DATA_FORMAT, "badDataFormat");
        check(F::WRONG_AUTHORITY, "wrongAuthority");
        check(F::INCORRECT_DATA, "incorrectData");
        check(F::BAD_POP, "badPOP");
        check(F::CERT_REVOKED, "certRevoked");
        check(F::CERT_CONFIRMED, "certConfirmed");
        check(F::WRONG_INTEGRITY, "wrongIntegrity");
        check(F::BAD_RECIPIENT_NONCE, "badRecipientNonce");
        check(F::UNACCEPTED_EXTENSION, "unacceptedExtension");
        check(F::BAD_SENDER_NONCE, "badSenderNonce");
        check(F::BAD_CERT_TEMPLATE, "badCertTemplate");
        check(F::SIGNER_NOT_TRUSTED, "signerNotTrusted");
        check(F::TRANSACTION_ID_IN_USE, "transactionIdInUse");
        check(F::NOT_AUTHORIZED, "notAuthorized");
        check(F::SYSTEM_UNAVAIL, "systemUnavail");
    }
    #[test]
    fn a_text_that_we_write_is_read() {
        let der = write_free_text("Identifier: 00ff");
        assert_eq!(FreeText::new(&der).unwrap().text(), "Identifier: 00ff");
    }
    #[test]
    fn an_empty_text_is_refused() {
        refused("30050201023000");
    }
    #[test]
    fn a_long_text_is_cut() {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.value(tag::UTF8_STRING, "ä".repeat(400).as_bytes());
        });
        let der = w.finish();
        assert_eq!(read::inside(&der, FreeText::read).unwrap().text().len(), TEXT_LEN_MAX);
    }
}
