//! Telling that there is news: a notice says which repository has something new, and nothing of what.
//!
//! Who hears one asks the repository, and verifies what it says as always: a notice is a hint, and nothing follows from it. It has no name of
//! an image, of a device or of a type in it and no version of software, and all notices are of one length: whoever sees one pass
//! learns that something was published, and not what for whom.
//!
//! It goes as a webhook in the form of Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, and `webhook-signature`, which is HMAC-SHA256
//! over both and the body under a secret that only the two sides know.

mod telling;

pub use telling::{AGAIN_MAX_S, SUBSCRIBERS_MAX, Subscriber, Told};

use aws_lc_rs::hmac;
use model::octets::{base64, from_base64};
use model::{Digest, UnixTime};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Octets of every notice.
pub const NOTICE_LEN: usize = 256;
/// Octets of a secret. Source: Standard Webhooks 1.0, Signature scheme: 24 to 64 octets.
pub const SECRET_LEN: std::ops::RangeInclusive<usize> = 24..=64;
/// How far the time of a notice may be from ours, in seconds.
pub const NOTICE_WITHIN_S: u64 = 300;
/// The name of the head's field with the notice's identifier.
pub const ID: &str = "webhook-id";
/// The name of the head's field with the seconds of its time.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The name of the head's field with its signature.
pub const SIGNATURE: &str = "webhook-signature";
/// Longest identifier, and longest list of signatures, in octets.
const ID_LEN_MAX: usize = 128;
const SIGNATURES_LEN_MAX: usize = 1024;
/// How many signatures are looked at: while a secret is replaced there are two.
const SIGNATURES_MAX: usize = 4;
const KIND: &str = "cradle-notice";

/// A repository has something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which repository: SHA-256 of its first root.
    pub of: Digest,
    /// Rises with each publication.
    pub number: u64,
}

/// A notice as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which one it is: the same however often it is sent.
    pub id: String,
    /// The seconds at which it is sent.
    pub timestamp: String,
    /// By whom.
    pub signature: String,
    /// What it says.
    pub body: Vec<u8>,
}

/// A secret that both sides know.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a notice is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNotice {
    /// It is none, or has fields that are none.
    Malformed,
    /// Who sent it does not know the secret.
    Signature,
    /// It is too old, or from the future.
    OutOfTime,
    /// It is of a repository that is not followed.
    Another,
}

impl fmt::Display for BadNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no notice",
            Self::Signature => "who sent it does not know the secret",
            Self::OutOfTime => "it is too old, or from the future",
            Self::Another => "it is of a repository that is not followed",
        })
    }
}
impl std::error::Error for BadNotice {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    repository: Digest,
    number: u64,
}

impl Secret {
    /// Reads one as it stands in a file: `whsec_` and base64, which is how others write them, or base64 alone. White space around it is left out.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let octets = from_base64(text.strip_prefix(b"whsec_").unwrap_or(text))?;
        SECRET_LEN.contains(&octets.len()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &octets)))
    }

    fn tag(&self, id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, &signed(id, timestamp, body))
    }
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

impl Notice {
    /// Signs it, to be sent now.
    #[must_use]
    pub fn seal(&self, secret: &Secret, now: UnixTime) -> Sent {
        let body = Body { kind: KIND.to_owned(), repository: self.of, number: self.number };
        // Nothing in it can fail to be written.
        let mut body = serde_json::to_vec(&body).unwrap_or_default();
        body.resize(NOTICE_LEN, b' ');
        let id = self.id();
        let timestamp = now.s().to_string();
        let signature = format!("v1,{}", base64(secret.tag(&id, &timestamp, &body).as_ref()));
        Sent { id, timestamp, signature, body }
    }

    fn id(&self) -> String {
        let of = self.of.to_string();
        format!("msg_{}_{}", of.get(..16).unwrap_or(&of), self.number)
    }
}

impl Sent {
    /// Reads it, if who sent it knows the secret, and sent it now.
    ///
    /// Limits: [`NOTICE_LEN`] octets; at most 4 signatures, one of which must hold.
    /// # Errors
    /// [`BadNotice`]: nothing of it is looked at before the signature holds.
    pub fn verify(&self, secret: &Secret, now: UnixTime) -> Result<Notice, BadNotice> {
        let is_id = !self.id.is_empty() && self.id.len() <= ID_LEN_MAX && self.id.bytes().all(|c| c.is_ascii_graphic());
        if !is_id || self.body.len() != NOTICE_LEN || self.signature.len() > SIGNATURES_LEN_MAX {
            return Err(BadNotice::Malformed);
        }
        // As it is written, and no other way.
        let at: u64 = self.timestamp.parse().map_err(|_| BadNotice::Malformed)?;
        if at.to_string() != self.timestamp {
            return Err(BadNotice::Malformed);
        }
        let message = signed(&self.id, &self.timestamp, &self.body);
        let mut tags = self.signature.split(' ').take(SIGNATURES_MAX).filter_map(|one| one.strip_prefix("v1,"));
        let holds =
            |tag: &str| from_base64(tag.as_bytes()).is_some_and(|tag| hmac::verify(&secret.0, &message, &tag).is_ok());
        if !tags.any(holds) {
            return Err(BadNotice::Signature);
        }
        if at.abs_diff(now.s()) > NOTICE_WITHIN_S {
            return Err(BadNotice::OutOfTime);
        }
        let body: Body = serde_json::from_slice(&self.body).map_err(|_| BadNotice::Malformed)?;
        let notice = Notice { of: body.repository, number: body.number };
        if body.kind == KIND { Ok(notice) } else { Err(BadNotice::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_s(1_790_000_000);
    const NOTICE: Notice = Notice { of: Digest::new([7; 32]), number: 3 };

    fn secret(octet: u8) -> Secret {
        Secret::read(base64(&[octet; 32]).as_bytes()).unwrap()
    }
    #[track_caller]
    fn check(change: impl FnOnce(&mut Sent), expected: Result<Notice, BadNotice>) {
        let mut sent = NOTICE.seal(&secret(1), NOW);
        change(&mut sent);
        assert_eq!(sent.verify(&secret(1), NOW), expected);
    }

    #[test]
    fn what_was_sent_is_heard() {
        check(|_| {}, Ok(NOTICE));
    }
    #[test]
    fn who_does_not_know_the_secret_is_not_heard() {
        assert_eq!(NOTICE.seal(&secret(2), NOW).verify(&secret(1), NOW), Err(BadNotice::Signature));
        check(|sent| sent.signature = String::new(), Err(BadNotice::Signature));
        check(|sent| sent.signature = sent.signature.replace("v1,", "v2,"), Err(BadNotice::Signature));
        check(|sent| sent.signature = "v1,".into(), Err(BadNotice::Signature));
    }
    #[test]
    fn what_is_altered_is_not_heard() {
        check(|sent| sent.id.push('1'), Err(BadNotice::Signature));
        check(|sent| sent.timestamp = (NOW.s() + 1).to_string(), Err(BadNotice::Signature));
        check(|sent| sent.body[200] = b'\n', Err(BadNotice::Signature));
    }
    #[test]
    fn five_minutes_are_its_time() {
        let at = |s: u64, expected| {
            assert_eq!(NOTICE.seal(&secret(1), UnixTime::from_s(s)).verify(&secret(1), NOW), expected);
        };
        at(NOW.s() - NOTICE_WITHIN_S, Ok(NOTICE));
        at(NOW.s() - NOTICE_WITHIN_S - 1, Err(BadNotice::OutOfTime));
        at(NOW.s() + NOTICE_WITHIN_S, Ok(NOTICE));
        at(NOW.s() + NOTICE_WITHIN_S + 1, Err(BadNotice::OutOfTime));
    }
    #[test]
    fn another_length_or_form_is_none() {
        check(|sent| sent.body.push(b' '), Err(BadNotice::Malformed));
        check(|sent| sent.body.truncate(NOTICE_LEN - 1), Err(BadNotice::Malformed));
        check(|sent| sent.timestamp = format!("+{}", NOW.s()), Err(BadNotice::Malformed));
        check(|sent| sent.id = String::new(), Err(BadNotice::Malformed));
        check(|sent| sent.id = "a b".into(), Err(BadNotice::Malformed));
    }
    #[test]
    fn while_a_secret_is_replaced_one_of_two_signatures_is_enough() {
        check(
            |sent| sent.signature = format!("{} {}", NOTICE.seal(&secret(9), NOW).signature, sent.signature),
            Ok(NOTICE),
        );
    }
    #[test]
    fn what_is_signed_and_no_notice_is_none() {
        let mut sent = NOTICE.seal(&secret(1), NOW);
        sent.body = vec![b'x'; NOTICE_LEN];
        sent.signature = format!("v1,{}", base64(secret(1).tag(&sent.id, &sent.timestamp, &sent.body).as_ref()));
        assert_eq!(sent.verify(&secret(1), NOW), Err(BadNotice::Malformed));
    }
    #[test]
    fn all_notices_are_of_one_length_and_say_nothing_of_software() {
        for number in [0, 1, u64::MAX] {
            let sent = Notice { of: Digest::new([255; 32]), number }.seal(&secret(1), NOW);
            assert_eq!(sent.body.len(), NOTICE_LEN);
            let said: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
            let names: Vec<_> = said.as_object().unwrap().keys().cloned().collect();
            assert_eq!(names, ["number", "repository", "type"]);
        }
    }
    #[test]
    fn short_secrets_are_none() {
        let text = |len: usize| format!(" whsec_{}\n", base64(&vec![1; len]));
        assert!(Secret::read(text(23).as_bytes()).is_none());
        assert!(Secret::read(text(24).as_bytes()).is_some());
        assert!(Secret::read(text(64).as_bytes()).is_some());
        assert!(Secret::read(text(65).as_bytes()).is_none());
        assert!(Secret::read(b"secret secret secret secret secret").is_none());
    }
    #[test]
    fn the_example_of_the_standard_holds() {
        // Standard Webhooks 1.0, libraries' test vector: secret, identifier, time, body and signature.
        let secret = Secret::read(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let tag = secret.tag(id, at, br#"{"test": 2432232314}"#);
        assert_eq!(base64(tag.as_ref()), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
