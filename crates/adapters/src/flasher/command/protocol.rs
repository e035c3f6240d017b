//! The messages of the flasher protocol, version 1. What they mean stands in `docs/flasher-protocol.md`.

use model::octets::Base64;
use model::{BoardId, DeviceSerial, DeviceType, Digest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The version that is spoken here.
pub(super) const VERSION: u32 = 1;
/// Longest answer in octets, its line feed not counted: the longest request that we read is 16 KiB, in base64 22.
pub(super) const LINE_LEN_MAX: usize = 64 * 1024;

/// What the station asks, one object on one line.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) request: Request<'a>,
}

#[derive(Serialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(super) enum Request<'a> {
    Hello { protocol: u32, slot: &'a str },
    Identify,
    Installed { length: u64 },
    Flash { image: &'a Path, length: u64, sha256: Digest },
    Write { part: &'static str, octets: Base64 },
    Key { key_type: String },
    Prove { challenge: Base64 },
}

impl Request<'_> {
    /// The name for people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Identify => "identify",
            Self::Installed { .. } => "installed",
            Self::Flash { .. } => "flash",
            Self::Write { .. } => "write",
            Self::Key { .. } => "key",
            Self::Prove { .. } => "prove",
        }
    }
}

/// What the program answers, one object on one line: any number of `progress`, then one of the others.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Answer {
    Progress { id: u64, octets: u64 },
    Hello { id: u64, protocol: u32 },
    Identity { id: u64, board: BoardId, serial: DeviceSerial, device_type: DeviceType },
    Installed { id: u64, sha256: Option<Digest> },
    Flashed { id: u64, sha256: Digest },
    Written { id: u64, sha256: Digest },
    Csr { id: u64, octets: Base64 },
    PublicKey { id: u64, octets: Base64 },
    Proof { id: u64, signature: Base64 },
    Error { id: u64, kind: ErrorKind, text: String },
}

/// What went wrong, as the program sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ErrorKind {
    /// The board does not answer.
    Silent,
    /// The board, or the program, refuses.
    Refused,
    /// What was read back differs.
    Mismatch,
    /// The fixture does not work.
    Fixture,
}

/// A line is no answer.
#[derive(Debug, PartialEq)]
pub(super) struct BadAnswer(String);

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Answer {
    /// Reads one line. Limits: [`LINE_LEN_MAX`].
    pub(super) fn decode(line: &[u8]) -> Result<Self, BadAnswer> {
        if line.len() > LINE_LEN_MAX {
            return Err(BadAnswer("a line is too long".to_owned()));
        }
        serde_json::from_slice(line).map_err(|error| BadAnswer(error.to_string()))
    }

    /// The question that it answers.
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Progress { id, .. }
            | Self::Hello { id, .. }
            | Self::Identity { id, .. }
            | Self::Installed { id, .. }
            | Self::Flashed { id, .. }
            | Self::Written { id, .. }
            | Self::Csr { id, .. }
            | Self::PublicKey { id, .. }
            | Self::Proof { id, .. }
            | Self::Error { id, .. } => *id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(line: &str, expected: Option<Answer>) {
        assert_eq!(Answer::decode(line.as_bytes()).ok(), expected, "{line}");
    }

    #[test]
    fn progress() {
        check(r#"{"id":3,"answer":"progress","octets":10}"#, Some(Answer::Progress { id: 3, octets: 10 }));
    }
    #[test]
    fn members_in_any_order() {
        check(r#"{"octets":10,"answer":"progress","id":3}"#, Some(Answer::Progress { id: 3, octets: 10 }));
    }
    #[test]
    fn an_error() {
        let expected = Answer::Error { id: 1, kind: ErrorKind::Silent, text: "x".into() };
        check(r#"{"id":1,"answer":"error","kind":"silent","text":"x"}"#, Some(expected));
    }
    #[test]
    fn nothing_installed() {
        check(r#"{"id":1,"answer":"installed","sha256":null}"#, Some(Answer::Installed { id: 1, sha256: None }));
    }
    #[test]
    fn an_unknown_member_is_refused() {
        check(r#"{"id":3,"answer":"progress","octets":10,"more":1}"#, None);
    }
    #[test]
    fn a_member_of_another_answer_is_refused() {
        check(r#"{"id":3,"answer":"hello","protocol":1,"octets":10}"#, None);
    }
    #[test]
    fn a_member_twice_is_refused() {
        check(r#"{"id":3,"id":4,"answer":"progress","octets":10}"#, None);
        check(r#"{"id":3,"answer":"progress","answer":"hello","octets":10}"#, None);
    }
    #[test]
    fn an_unknown_answer_is_refused() {
        check(r#"{"id":3,"answer":"perhaps"}"#, None);
    }
    #[test]
    fn an_unknown_kind_of_error_is_refused() {
        check(r#"{"id":1,"answer":"error","kind":"sorry","text":"x"}"#, None);
    }
    #[test]
    fn an_answer_to_nothing_is_refused() {
        check(r#"{"answer":"progress","octets":10}"#, None);
    }
    #[test]
    fn a_negative_number_is_refused() {
        check(r#"{"id":3,"answer":"progress","octets":-1}"#, None);
    }
    #[test]
    fn a_number_in_quotes_is_refused() {
        check(r#"{"id":"3","answer":"progress","octets":1}"#, None);
    }
    #[test]
    fn a_serial_with_a_path_is_refused() {
        check(r#"{"id":1,"answer":"identity","board":"B","serial":"../x","device_type":"t"}"#, None);
    }
    #[test]
    fn octets_that_are_no_base64_are_refused() {
        check(r#"{"id":1,"answer":"csr","octets":"*"}"#, None);
    }
    #[test]
    fn octets_behind_the_object_are_refused() {
        check(r#"{"id":3,"answer":"progress","octets":10} x"#, None);
    }
    #[test]
    fn no_object_at_all() {
        check("", None);
        check("null", None);
        check("hello", None);
        check("\u{feff}{}", None);
    }
    #[test]
    fn a_million_brackets_are_refused_without_harm() {
        check(&"[".repeat(LINE_LEN_MAX), None);
        check(&format!("{{\"answer\":{}", "[".repeat(LINE_LEN_MAX - 20)), None);
    }
    #[test]
    fn the_longest_line_and_one_octet_more() {
        let line = |len: usize| {
            let head = r#"{"id":1,"answer":"error","kind":"refused","text":""#;
            format!("{head}{}\"}}", "x".repeat(len - head.len() - 2))
        };
        assert!(Answer::decode(line(LINE_LEN_MAX).as_bytes()).is_ok());
        check(&line(LINE_LEN_MAX + 1), None);
    }

    #[test]
    fn questions_are_one_flat_object() {
        let question = Question { id: 7, request: Request::Installed { length: 9 } };
        assert_eq!(serde_json::to_string(&question).unwrap(), r#"{"id":7,"request":"installed","length":9}"#);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Answer::decode(&line);
        }
        #[test]
        fn no_almost_answer_panics(at in 0_usize..70, octet: u8) {
            let mut line = br#"{"id":1,"answer":"identity","board":"B","serial":"S","device_type":"t"}"#.to_vec();
            line[at] = octet;
            let _ = Answer::decode(&line);
        }
    }
}
