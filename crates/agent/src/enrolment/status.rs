//! What is said of the device's certificate.

use super::note::{Failed, Note};
use super::pair::{Next, Pair};
use super::roots::{Root, Roots};
use super::setting::Setting;
use crate::fault::plain;
use model::UnixTime;
use serde::Serialize;
use std::fmt;
use x509::sha256;

/// How it is with the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    /// There is none yet.
    None,
    /// It holds.
    Holds,
    /// It holds, and is to be renewed.
    Due,
    /// It holds no more.
    Expired,
    /// The file cannot be read, or is no key with its certificate.
    Unusable,
}

/// The device's certificate, in words and as a document.
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    standing: Standing,
    file: String,
    serial: Option<String>,
    subject: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    renew_from: Option<String>,
    /// Whether a new key waits for its certificate.
    key_waits: bool,
    /// When the server wants to be asked again.
    ask_from: Option<String>,
    hook_is_due: bool,
    failed: Option<Told>,
    /// The roots, in the order in which they followed each other.
    roots: Vec<Anchor>,
    /// What was wrong with a new one.
    root_failed: Option<Told>,
}

/// A root.
#[derive(Debug, Serialize)]
struct Anchor {
    subject: String,
    sha256: String,
    not_after: String,
    /// Since when it is one; `None` if it came with the device.
    since: Option<String>,
    /// Whether another one followed it.
    is_followed: bool,
}

#[derive(Debug, Serialize)]
struct Told {
    at: String,
    what: String,
    why: String,
    code: String,
}

impl Told {
    fn of(failed: Failed) -> Self {
        let Failed { at_s, what, why, code } = failed;
        Self { at: UnixTime::from_s(at_s).to_string(), what, why, code }
    }
}

/// What is known of the certificate.
pub(crate) fn identity(setting: &Setting, now: UnixTime) -> Identity {
    let directory = setting.directory();
    let (pair, is_unusable) = match Pair::load(directory) {
        Ok(pair) => (pair, false),
        Err(_) => (None, true),
    };
    let note = Note::load(directory).unwrap_or_default();
    // Without those that came with the device nothing is done, and that is said then.
    let roots = Roots::load(setting).ok();
    let standing = match &pair {
        None if is_unusable => Standing::Unusable,
        None => Standing::None,
        Some(pair) if now > pair.until() => Standing::Expired,
        Some(pair) if now >= pair.due(note.slot) => Standing::Due,
        Some(_) => Standing::Holds,
    };
    let tbs = pair.as_ref().map(|pair| pair.leaf().tbs());
    Identity {
        standing,
        file: Pair::path(directory).display().to_string(),
        serial: tbs.map(|tbs| tbs.serial_number.to_string()),
        subject: tbs.map(|tbs| tbs.subject.to_string()),
        not_before: tbs.map(|tbs| tbs.not_before.to_string()),
        not_after: tbs.map(|tbs| tbs.not_after.to_string()),
        renew_from: pair.as_ref().map(|pair| pair.due(note.slot).to_string()),
        key_waits: Next::is_waiting(directory, pair.as_ref()),
        ask_from: note.waits_until(now).map(|until| until.to_string()),
        hook_is_due: note.hook_is_due,
        failed: note.failed.map(Told::of),
        root_failed: roots
            .as_ref()
            .and_then(Roots::failure)
            .map(|failure| Failed::of(failure, now))
            .or(note.root)
            .map(Told::of),
        roots: roots.iter().flat_map(Roots::all).map(Anchor::of).collect(),
    }
}

impl Anchor {
    fn of(root: &Root) -> Self {
        let tbs = root.certificate.tbs();
        Self {
            subject: tbs.subject.to_string(),
            sha256: sha256(root.certificate.der()).to_string(),
            not_after: tbs.not_after.to_string(),
            since: root.since.map(|since| since.to_string()),
            is_followed: root.is_followed,
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, sha256, not_after, since, is_followed } = self;
        write!(f, "root {} ({sha256}) holds until {not_after}, ", plain(subject))?;
        match since {
            None => write!(f, "came with the device")?,
            Some(since) => write!(f, "followed the one before it at {since}")?,
        }
        if *is_followed { writeln!(f, ", and was followed") } else { writeln!(f) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |text: &Option<String>| text.as_deref().map(plain).unwrap_or_default();
        let (serial, subject) = (of(&self.serial), of(&self.subject));
        let (until, from) = (of(&self.not_after), of(&self.renew_from));
        match self.standing {
            Standing::None => writeln!(f, "certificate: none yet")?,
            Standing::Unusable => writeln!(f, "certificate: {} cannot be used", plain(&self.file))?,
            Standing::Holds => {
                writeln!(f, "certificate {serial} ({subject}) holds until {until}, and is renewed from {from} on")?;
            }
            Standing::Due => {
                writeln!(f, "certificate {serial} ({subject}) holds until {until}, and is to be renewed since {from}")?;
            }
            Standing::Expired => writeln!(f, "certificate {serial} ({subject}) has expired at {until}")?,
        }
        if self.key_waits {
            writeln!(f, "a new key waits for its certificate")?;
        }
        if let Some(ask_from) = &self.ask_from {
            writeln!(f, "the server wants to be asked again at {ask_from}")?;
        }
        if self.hook_is_due {
            writeln!(f, "the hook is to be run")?;
        }
        if let Some(failed) = &self.failed {
            writeln!(f, "failed at {}: {}: {}", failed.at, plain(&failed.what), plain(&failed.why))?;
        }
        self.roots.iter().try_for_each(|root| root.fmt(f))?;
        if let Some(Told { at, what, why, code }) = &self.root_failed {
            writeln!(f, "{code} at {at}: {}: {}", plain(what), plain(why))?;
        }
        Ok(())
    }
}
