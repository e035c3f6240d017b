//! What devices say over DDI, as it is read. All else in it is left unread: times and numbers of theirs mean nothing here.

use crate::rollout::Outcome;
use model::text::{is_hidden, printable};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Longest feedback, in octets: swupdate sends 48 lines of its log at once, of up to 2048 octets.
pub(super) const FEEDBACK_LEN_MAX: u64 = 128 * 1024;
/// Longest description of itself.
pub(super) const CONFIG_LEN_MAX: u64 = 64 * 1024;
/// So many lines of what a device said at once are kept, the last ones, of so many characters.
const DETAILS_MAX: usize = 16;
const DETAIL_LEN_MAX: usize = 200;
/// Longest name and value of an attribute, in octets.
const ATTRIBUTE_LEN_MAX: usize = 256;

/// What a device says of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Feedback {
    /// It goes on with it, and says this besides.
    Underway(Vec<String>),
    /// It has ended.
    Over { outcome: Outcome, details: Vec<String> },
}

/// How what is known of a device is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Merge(BTreeMap<String, String>),
    Replace(BTreeMap<String, String>),
    Remove(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct FeedbackBody {
    status: Status,
}
#[derive(Deserialize)]
struct Status {
    execution: Execution,
    result: ResultBody,
    #[serde(default)]
    details: Vec<String>,
}
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Execution {
    Closed,
    Proceeding,
    Canceled,
    Scheduled,
    Rejected,
    Resumed,
    Download,
    Downloaded,
}
#[derive(Deserialize)]
struct ResultBody {
    finished: Finished,
}
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Finished {
    Success,
    Failure,
    None,
}

/// Reads a feedback.
///
/// # Errors
/// What is wrong with it.
pub(super) fn feedback(octets: &[u8]) -> Result<Feedback, &'static str> {
    let body: FeedbackBody = serde_json::from_slice(octets).map_err(|_| {
        "This is no feedback: JSON with status.execution (closed, proceeding, canceled, scheduled, rejected, resumed, \
         download or downloaded) and status.result.finished (success, failure or none) is expected."
    })?;
    match (body.status.execution, body.status.result.finished) {
        (Execution::Closed, Finished::None) => {
            Err("What is closed has ended well or not: status.result.finished must be success or failure.")
        }
        (Execution::Closed, Finished::Success) => Ok(over(Outcome::Installed, &body.status.details)),
        (Execution::Closed, Finished::Failure) => Ok(over(Outcome::Failed, &body.status.details)),
        (
            Execution::Proceeding
            | Execution::Canceled
            | Execution::Scheduled
            | Execution::Rejected
            | Execution::Resumed
            | Execution::Download
            | Execution::Downloaded,
            _,
        ) => Ok(Feedback::Underway(shown(&body.status.details))),
    }
}

fn over(outcome: Outcome, details: &[String]) -> Feedback {
    Feedback::Over { outcome, details: shown(details) }
}

fn shown(details: &[String]) -> Vec<String> {
    let last = details.iter().skip(details.len().saturating_sub(DETAILS_MAX));
    last.map(|line| printable(line, DETAIL_LEN_MAX)).collect()
}

#[derive(Deserialize)]
struct ConfigBody {
    #[serde(default)]
    mode: Mode,
    data: BTreeMap<String, String>,
}
#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Merge,
    Replace,
    Remove,
}

/// Reads what a device says of itself.
///
/// # Errors
/// What is wrong with it.
pub(super) fn config(octets: &[u8]) -> Result<Change, &'static str> {
    let ConfigBody { mode, data } = serde_json::from_slice(octets)
        .map_err(|_| "This describes no device: JSON with data, an object of texts, is expected.")?;
    let fits = |text: &String| text.len() <= ATTRIBUTE_LEN_MAX && !text.chars().any(is_hidden);
    if !data.iter().all(|(name, value)| !name.is_empty() && fits(name) && fits(value)) {
        return Err("An attribute is longer than 256 octets, has no name, or has characters that cannot be seen.");
    }
    Ok(match mode {
        Mode::Merge => Change::Merge(data),
        Mode::Replace => Change::Replace(data),
        Mode::Remove => Change::Remove(data),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    fn said(execution: &str, finished: &str) -> Result<Feedback, &'static str> {
        let text =
            format!(r#"{{"id":"7","status":{{"execution":"{execution}","result":{{"finished":"{finished}"}}}}}}"#);
        feedback(text.as_bytes())
    }
    #[track_caller]
    fn check(execution: &str, finished: &str, outcome: Outcome) {
        assert_eq!(said(execution, finished), Ok(Feedback::Over { outcome, details: vec![] }));
    }
    #[test]
    fn closed_is_over() {
        check("closed", "success", Outcome::Installed);
        check("closed", "failure", Outcome::Failed);
        assert!(said("closed", "none").unwrap_err().contains("success or failure"));
    }
    #[test]
    fn all_else_goes_on_whatever_it_says_of_its_end() {
        for execution in ["proceeding", "canceled", "scheduled", "rejected", "resumed", "download", "downloaded"] {
            for finished in ["success", "failure", "none"] {
                assert_eq!(said(execution, finished), Ok(Feedback::Underway(vec![])));
            }
        }
    }
    #[track_caller]
    fn refused(text: &[u8]) {
        assert!(feedback(text).unwrap_err().contains("no feedback"));
    }
    #[test]
    fn what_is_no_feedback() {
        assert!(said("exploded", "success").is_err() && said("closed", "perhaps").is_err());
        refused(b"");
        refused(b"{}");
        refused(b"\xff");
        refused(br#"{"status":{"execution":"closed"}}"#);
        refused(br#"{"status":{"execution":"closed","execution":"closed","result":{"finished":"success"}}}"#);
        refused(br#"{"status":{"execution":"closed","result":{"finished":"success"}}} x"#);
        refused("[".repeat(100_000).as_bytes());
        refused(br#"{"status":{"execution":"closed","result":{"finished":"success"},"details":[7]}}"#);
    }
    #[test]
    fn details_are_few_short_and_visible() {
        let line = format!("\\u001b[31m{}", "x".repeat(300));
        let lines = vec![format!("\"{line}\""); 20].join(",");
        let text =
            format!(r#"{{"status":{{"execution":"closed","result":{{"finished":"failure"}},"details":[{lines}]}}}}"#);
        let Ok(Feedback::Over { details, .. }) = feedback(text.as_bytes()) else { unreachable!() };
        assert_eq!((details.len(), details.iter().any(|line| line.contains('\u{1b}'))), (DETAILS_MAX, false));
        assert!(details.iter().all(|line| line.starts_with("\\u{1b}[31m") && line.ends_with("x…")));
    }
    #[track_caller]
    fn config_is_refused(text: &str) {
        config(text.as_bytes()).unwrap_err();
    }
    #[test]
    fn what_describes_no_device() {
        config_is_refused("{}");
        config_is_refused(r#"{"data":{"a":1}}"#);
        config_is_refused(r#"{"mode":"burn","data":{"a":"b"}}"#);
        config_is_refused(r#"{"data":{"":"b"}}"#);
        config_is_refused(r#"{"data":{"a":"b\u202e"}}"#);
        config_is_refused(r#"{"data":{"a":"b\n"}}"#);
        config_is_refused(&format!(r#"{{"data":{{"a":"{}"}}}}"#, "b".repeat(257)));
        config_is_refused(&format!(r#"{{"data":{{"{}":"a"}}}}"#, "b".repeat(257)));
        assert!(config(format!(r#"{{"data":{{"a":"{}"}}}}"#, "b".repeat(256)).as_bytes()).is_ok());
    }
    #[test]
    fn merged_replaced_and_removed() {
        let data = || BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let changed = |mode: &str| config(format!(r#"{{{mode}"data":{{"a":"b"}}}}"#).as_bytes());
        assert_eq!(changed(""), Ok(Change::Merge(data())));
        assert_eq!(changed(r#""mode":"merge","#), Ok(Change::Merge(data())));
        assert_eq!(changed(r#""mode":"replace","#), Ok(Change::Replace(data())));
        assert_eq!(changed(r#""mode":"remove","#), Ok(Change::Remove(data())));
    }
}
