//! Telling others that something was published: who, how far, and again until they have heard it.

use super::{Common, tuf};
use crate::fault::{Exit, Failure, Result};
use adapters::clock::{SystemClock, SystemEntropy};
use adapters::files;
use adapters::http::Hook;
use model::UnixTime;
use model::text::printable;
use ports::clock::random;
use ports::{Clock, Entropy};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use update::PlainName;
use update::notice::{ID, Notice, SIGNATURE, Secret, Subscriber, TIMESTAMP, Told};
use zeroize::Zeroizing;

/// How long somebody may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether somebody is to be told.
const LOOK: Duration = Duration::from_secs(1);
const SECRET_LEN_MAX: u64 = 256;
const WHY_LEN_MAX: usize = 200;

/// Who is told that something was published: a webhook that says so, and nothing of what.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Tell somebody from now on.
    Add {
        /// Under which name.
        name: PlainName,
        /// Where: https, or http on this machine.
        url: String,
        /// The secret that signs what is sent, 24 to 64 octets in base64, in a file that nobody else may read.
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// Certificates in PEM, by one of which that of an https server must be issued.
        #[arg(long, value_name = "FILE")]
        tls_anchors: Option<PathBuf>,
    },
    /// Tell somebody no longer.
    Remove {
        /// Under which name.
        name: String,
    },
    /// List who is told, how far, and why not.
    List,
    /// Tell those who are to be told. Exit status 8 if somebody has not heard it.
    Send {
        /// Try again, ever more slowly, for so many seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
        within: u64,
    },
}

/// What has subscribers.
pub(crate) trait Teller {
    /// What is to be told now, and to whom.
    fn telling(&self) -> Result<(Option<Notice>, Vec<Subscriber>)>;
    fn subscribe(&self, subscriber: &Subscriber) -> Result;
    /// Says whether there was one of that name.
    fn unsubscribe(&self, name: &str) -> Result<bool>;
    fn told(&self, name: &str, told: Told) -> Result;
}

pub(crate) fn run(common: &Common, teller: &dyn Teller, verb: Verb) -> Result {
    match verb {
        Verb::Add { name, url, secret_file, tls_anchors } => {
            let absolute = |path: &Path| -> Result<String> {
                let path = std::path::absolute(path).map_err(|e| Failure::file(path, &e))?;
                Ok(path.display().to_string())
            };
            let anchors_file = tls_anchors.as_deref().map(absolute).transpose()?;
            let secret_file = absolute(&secret_file)?;
            let told = Told::default();
            let subscriber = Subscriber { name: name.to_string(), url, secret_file, anchors_file, told };
            // What cannot be used is found now, and not when something is published.
            let (hook, _) = way(&subscriber)?;
            teller.subscribe(&subscriber)?;
            let shown = json!({"name": subscriber.name, "at": hook.shown()});
            common.out().one(&shown, || format!("{name} at {} is told of what is published\n", hook.shown()))
        }
        Verb::Remove { name } => {
            if !teller.unsubscribe(&name)? {
                let what = format!("nobody is told under the name {}", printable(&name, WHY_LEN_MAX));
                return Err(Failure::new(Exit::NotFound, "notice-unknown", what).next("see `notice list`"));
            }
            common.out().one(&json!({"removed": name}), || format!("{name} is told no longer\n"))
        }
        Verb::List => list(common, teller),
        Verb::Send { within } => {
            let until = SystemClock.now().plus_s(within);
            let (never, ended) = std::sync::mpsc::sync_channel::<()>(1);
            let waiting = loop {
                let waiting = round(teller)?;
                if waiting.is_empty() || SystemClock.now() >= until {
                    break waiting;
                }
                let _nobody_ends_it = ended.recv_timeout(LOOK);
            };
            drop(never);
            said(common, &waiting)
        }
    }
}

fn said(common: &Common, waiting: &[Subscriber]) -> Result {
    let names: Vec<_> = waiting.iter().map(|one| one.name.clone()).collect();
    common.out().one(&json!({"waiting": names}), || match names.len() {
        0 => "all have heard it\n".to_owned(),
        n => format!("{n} have not heard it\n"),
    })?;
    let Some(first) = waiting.first() else { return Ok(()) };
    let why = first.told.why.clone().unwrap_or_else(|| "the next attempt is later".to_owned());
    Err(Failure::new(Exit::Partial, "notice-waits", format!("{} was not told", first.name))
        .because(why)
        .next("`notice send` tells again; a timer may run it, and `director serve` does it by itself"))
}

fn list(common: &Common, teller: &dyn Teller) -> Result {
    let (notice, subscribers) = teller.telling()?;
    let number = notice.map_or(0, |notice| notice.number);
    let rows: Vec<_> = subscribers
        .iter()
        .map(|one| {
            let at = way(one).map_or_else(|_| "-".to_owned(), |(hook, _)| hook.shown().to_owned());
            let Told { failures, again_at, why, .. } = &one.told;
            let again_at = (*failures > 0).then(|| again_at.to_string());
            json!({
                "name": one.name, "at": at, "heard": one.told.number, "news": number, "waits": one.told.waits(number),
                "failures": failures, "again_at": again_at, "why": why,
            })
        })
        .collect();
    common.out().rows(&["name", "at", "heard", "news", "failures", "again_at", "why"], &rows)
}

/// Tells each who is due once. Gives those who have not heard it.
pub(crate) fn round(teller: &dyn Teller) -> Result<Vec<Subscriber>> {
    let (Some(notice), subscribers) = teller.telling()? else { return Ok(Vec::new()) };
    let mut waiting = Vec::new();
    for mut subscriber in subscribers {
        let now = SystemClock.now();
        if subscriber.told.is_due(notice.number, now) {
            subscriber.told = match tell(&subscriber, &notice, now) {
                Ok(()) => subscriber.told.heard(notice.number),
                Err(why) => {
                    tracing::warn!(subscriber = %subscriber.name, %why, "a notice was not heard; it is sent again");
                    subscriber.told.failed(&why, SystemClock.now(), spread(&SystemEntropy::default()))
                }
            };
            teller.told(&subscriber.name, subscriber.told.clone())?;
        }
        if subscriber.told.waits(notice.number) {
            waiting.push(subscriber);
        }
    }
    Ok(waiting)
}

fn spread(entropy: &dyn Entropy) -> u16 {
    u16::from_be_bytes(random(entropy))
}

/// Tells until it is told to end.
pub(crate) fn keep_telling(teller: &dyn Teller, ended: &Receiver<()>) {
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if let Err(failure) = round(teller) {
            let Failure { what, why, .. } = &failure;
            tracing::warn!(%what, %why, "nobody can be told what is new");
        }
    }
}

fn tell(subscriber: &Subscriber, notice: &Notice, now: UnixTime) -> std::result::Result<(), String> {
    let (hook, secret) = way(subscriber).map_err(|failure| format!("{}: {}", failure.what, failure.why))?;
    let sent = notice.seal(&secret, now);
    let fields = format!("{ID}: {}\r\n{TIMESTAMP}: {}\r\n{SIGNATURE}: {}\r\n", sent.id, sent.timestamp, sent.signature);
    match hook.tell(&fields, "application/json", &sent.body) {
        Ok(200..=299) => Ok(()),
        Ok(status) => Err(format!("{} answered {status}", hook.shown())),
        Err(not) => Err(format!("{}: {not}", hook.shown())),
    }
}

/// Reads a secret that two sides share.
pub(crate) fn secret(path: &Path) -> Result<Secret> {
    let unusable = |why: &str| {
        Failure::new(Exit::Usage, "usage", format!("{} is no secret for notices", path.display()))
            .because(why)
            .next("make one with `openssl rand -base64 32`, and give it to the other side, too")
    };
    if files::open_to_others(path).map_err(|e| Failure::file(path, &e))? {
        return Err(unusable("others can read it"));
    }
    let text = Zeroizing::new(files::read_bounded(path, SECRET_LEN_MAX).map_err(|e| Failure::file(path, &e))?);
    Secret::read(&text).ok_or_else(|| unusable("it is not 24 to 64 octets in base64"))
}

fn way(subscriber: &Subscriber) -> Result<(Hook, Secret)> {
    let anchors = match &subscriber.anchors_file {
        Some(path) => tuf::certificates(Path::new(path))?,
        None => Vec::new(),
    };
    let hook = Hook::new(&subscriber.url, &anchors, PATIENCE).map_err(|bad| {
        Failure::new(Exit::Usage, "usage", format!("{} cannot be told there", subscriber.name))
            .because(bad)
            .next("name an address of https with --tls-anchors, or one of http on this machine")
    })?;
    Ok((hook, secret(Path::new(&subscriber.secret_file))?))
}
