//! Answers that were given, so that a request with the same Idempotency-Key is carried out once.
//!
//! One file for each key, durable before anything is done, and again before it is answered. What was begun and has no answer
//! was interrupted: it is not known whether it was done, and it is not done again.
//!
//! Source: draft-ietf-httpapi-idempotency-key-header.

use super::answer::Answer;
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use axum::http::StatusCode;
use model::{Digest, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How long an answer is kept, in milliseconds: a day, as programs that repeat do it within minutes.
const KEPT_MS: u64 = 86_400_000;
/// Most answers that are kept.
const KEPT_MAX: usize = 10_000;
/// Longest file, in octets: the longest answer is a few kilobytes.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// The answers that are kept, in a directory of their own.
pub(super) struct Answers {
    directory: PathBuf,
    count: AtomicUsize,
}

/// Whether a request came before.
pub(super) enum Told {
    /// It did not.
    Fresh,
    /// It did, and this was answered.
    Before(Answer),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// SHA-256 of what was asked.
    request: Digest,
    at: UnixTime,
    /// None while it is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given: Option<Given>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    status: u16,
    /// None if a secret was in it.
    body: Option<Value>,
}

impl Answers {
    /// Opens the directory, and takes out what is older than is kept.
    pub(super) fn open(directory: &Path, now: UnixTime) -> Result<Self> {
        files::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
        let answers = Self { directory: directory.to_owned(), count: AtomicUsize::new(0) };
        answers.clear(now)?;
        Ok(answers)
    }

    /// Says that a request is about to be done, or what was answered to it before.
    pub(super) fn begin(&self, key: Digest, request: Digest, now: UnixTime) -> Result<Told> {
        match self.kept(key)? {
            Some(kept) if is_old(&kept, now) => self.remove(&self.path(key))?,
            Some(kept) => return told(kept, request),
            None => {}
        }
        if self.count.load(Ordering::Relaxed) >= KEPT_MAX {
            self.clear(now)?;
        }
        if self.count.load(Ordering::Relaxed) >= KEPT_MAX {
            return Err(Failure::new(Exit::TryAgain, "too-busy", "no more answers are kept")
                .because(format!("{KEPT_MAX} keys were used within a day"))
                .next("ask without an Idempotency-Key, or later"));
        }
        self.write(key, &Kept { request, at: now, given: None })?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(Told::Fresh)
    }

    /// Keeps an answer before it is given; of one with a secret, only that it was given.
    pub(super) fn end(&self, key: Digest, request: Digest, now: UnixTime, answer: &Answer) -> Result {
        let body = (!answer.is_secret).then(|| answer.body.clone());
        self.write(key, &Kept { request, at: now, given: Some(Given { status: answer.status.as_u16(), body }) })
    }

    /// Nothing was decided: the same request may be tried again.
    pub(super) fn forget(&self, key: Digest) -> Result {
        self.remove(&self.path(key))
    }

    fn path(&self, key: Digest) -> PathBuf {
        self.directory.join(format!("{key}.json"))
    }

    fn kept(&self, key: Digest) -> Result<Option<Kept>> {
        let path = self.path(key);
        let octets = match files::read_bounded(&path, FILE_LEN_MAX) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| Failure::file(&path, &e))?,
        };
        serde_json::from_slice(&octets).map(Some).map_err(|e| {
            Failure::new(Exit::Failed, "corrupt", format!("{} does not make sense", path.display()))
                .because(e)
                .next("look how things stand, then ask with a new key")
        })
    }

    fn write(&self, key: Digest, kept: &Kept) -> Result {
        let path = self.path(key);
        let text = serde_json::to_vec(kept)
            .map_err(|e| Failure::new(Exit::Failed, "output", "an answer cannot be written").because(e))?;
        files::replace(&path, &text).map_err(|e| Failure::file(&path, &e))
    }

    fn remove(&self, path: &Path) -> Result {
        std::fs::remove_file(path).map_err(|e| Failure::file(path, &e))?;
        // There may be more than were counted, if somebody put one there.
        let _counted = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        Ok(())
    }

    /// Takes out what is older than is kept, and counts the rest.
    fn clear(&self, now: UnixTime) -> Result {
        let failed = |e: std::io::Error| Failure::file(&self.directory, &e);
        let mut count = 0;
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let octets = files::read_bounded(&path, FILE_LEN_MAX).unwrap_or_default();
            match serde_json::from_slice::<Kept>(&octets) {
                Ok(kept) if is_old(&kept, now) => std::fs::remove_file(&path).map_err(failed)?,
                _ => count += 1,
            }
        }
        self.count.store(count, Ordering::Relaxed);
        Ok(())
    }
}

fn is_old(kept: &Kept, now: UnixTime) -> bool {
    now.since_ms(kept.at) > KEPT_MS
}

fn told(kept: Kept, request: Digest) -> Result<Told> {
    if kept.request != request {
        return Err(Failure::new(
            Exit::Refused,
            "idempotency-key",
            "this Idempotency-Key was used for another request",
        )
        .because("the method, the path or the body is not the same")
        .next("use a new key for each thing that is to be done"));
    }
    let Some(given) = kept.given else {
        return Err(Failure::new(Exit::Conflict, "outcome-unknown", "it is not known whether this was done")
            .because("a request with this Idempotency-Key was interrupted")
            .next("look how things stand, then ask with a new key if it is still wanted"));
    };
    let Some(body) = given.body else {
        return Err(Failure::new(Exit::Conflict, "secret-told", "this was done, and its secret was told")
            .because("a secret is told once")
            .next("ask with a new key: what was made before ends then"));
    };
    let status = StatusCode::from_u16(given.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(Told::Before(Answer { status, body, is_secret: false }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: UnixTime = UnixTime::from_ms(1_800_000_000_000);

    struct Room(PathBuf);
    impl Room {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cradle-answers-{name}-{}", std::process::id()));
            let _not_there = std::fs::remove_dir_all(&path);
            Self(path)
        }
        fn open(&self) -> Answers {
            Answers::open(&self.0, NOW).unwrap()
        }
    }
    impl Drop for Room {
        fn drop(&mut self) {
            let _left = std::fs::remove_dir_all(&self.0);
        }
    }
    fn digest(text: &str) -> Digest {
        x509::sha256(text.as_bytes())
    }
    #[track_caller]
    fn code(told: Result<Told>) -> &'static str {
        match told {
            Ok(Told::Fresh) => "fresh",
            Ok(Told::Before(_)) => "before",
            Err(failure) => failure.code,
        }
    }

    #[test]
    fn an_answer_is_given_again_also_by_another_process() {
        let room = Room::new("again");
        let answers = room.open();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "fresh");
        answers.end(digest("k"), digest("r"), NOW, &Answer::of(json!({"a": 1}))).unwrap();
        let Ok(Told::Before(answer)) = room.open().begin(digest("k"), digest("r"), NOW) else { panic!("it was told") };
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"a": 1})));
    }
    #[test]
    fn another_request_with_the_same_key_is_refused() {
        let room = Room::new("other");
        let answers = room.open();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "fresh");
        assert_eq!(code(answers.begin(digest("k"), digest("s"), NOW)), "idempotency-key");
    }
    #[test]
    fn what_was_interrupted_is_not_done_again() {
        let room = Room::new("interrupted");
        assert_eq!(code(room.open().begin(digest("k"), digest("r"), NOW)), "fresh");
        assert_eq!(code(room.open().begin(digest("k"), digest("r"), NOW)), "outcome-unknown");
    }
    #[test]
    fn what_was_not_decided_may_be_tried_again() {
        let room = Room::new("forgotten");
        let answers = room.open();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "fresh");
        answers.forget(digest("k")).unwrap();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "fresh");
    }
    #[test]
    fn a_secret_is_not_kept() {
        let room = Room::new("secret");
        let answers = room.open();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "fresh");
        let answer = Answer { is_secret: true, ..Answer::of(json!({"secret": "hush"})) };
        answers.end(digest("k"), digest("r"), NOW, &answer).unwrap();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "secret-told");
        let file = std::fs::read_to_string(answers.path(digest("k"))).unwrap();
        assert!(!file.contains("hush"), "{file}");
    }
    #[test]
    fn a_day_later_a_key_is_new() {
        let room = Room::new("old");
        let answers = room.open();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "fresh");
        let last = NOW.plus_s(86_400);
        assert_eq!(code(answers.begin(digest("k"), digest("r"), last)), "outcome-unknown");
        assert_eq!(code(answers.begin(digest("k"), digest("r"), last.plus_s(1))), "fresh");
    }
    #[test]
    fn so_many_are_kept_and_old_ones_make_room() {
        let room = Room::new("many");
        let answers = room.open();
        assert_eq!(code(answers.begin(digest("k"), digest("r"), NOW)), "fresh");
        answers.count.store(KEPT_MAX, Ordering::Relaxed);
        assert_eq!(code(answers.begin(digest("l"), digest("r"), NOW)), "fresh", "they are counted again");
        assert_eq!(answers.count.load(Ordering::Relaxed), 2);
    }
}
