//! What `cradle repo` says: faults as failures, and what was done as text and JSON.

use crate::fault::{Exit, Failure};
use model::text::printable;
use repository::{Fault, Publication, Waiting, Why};
use serde_json::{Value, json};
use std::path::Path;

/// Longest name that is shown.
const SHOWN_MAX: usize = 200;

/// What a fault is to whoever asked.
pub(super) fn failed(dir: &Path, fault: &Fault) -> Failure {
    let place = dir.display();
    match fault {
        Fault::Disk { path, error } => Failure::file(path, error),
        Fault::InUse => Failure::new(Exit::Failed, "in-use", format!("{place} is in use"))
            .because("another command works on this repository")
            .next("wait until it has ended"),
        Fault::NoRepository => Failure::new(Exit::NotFound, "no-repository", format!("{place} is no repository"))
            .because("it has no settings.json of one")
            .next("name it with --repository, or begin one with `cradle repo init`"),
        Fault::Exists => Failure::new(Exit::Conflict, "exists", format!("{place} was not begun"))
            .because("there is a repository already, and it is not overwritten")
            .next("name another directory with --repository"),
        Fault::Metadata { file, bad } => {
            Failure::new(Exit::Failed, "repository", format!("{} cannot be used", printable(file, SHOWN_MAX)))
                .because(bad)
                .next("look at it with `cradle inspect`, and at all of them with `cradle repo verify`")
        }
        Fault::WouldBeRefused(refused) => {
            Failure::new(Exit::Refused, "repository", "nothing was published: a client would refuse it")
                .because(refused)
                .next("look with `cradle repo status` and `cradle repo verify`; if something has expired, renew it")
        }
        Fault::Signer(fault) => {
            Failure::new(Exit::Unavailable, "unavailable", "a key did not sign").because(fault).next("check the key")
        }
        Fault::NoRole(_) | Fault::NoTarget(_) => Failure::new(Exit::NotFound, "repository", "nothing was staged")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("see `cradle repo status` for what there is"),
        Fault::BadRoleName(_) => Failure::new(Exit::Usage, "repository", "nothing was staged")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("a role's name has letters, digits and -_.~ only, as web servers and clients agree about them"),
        Fault::NotAsked { .. } => Failure::new(Exit::Usage, "repository", "nothing was staged")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("leave such names to the role first, with `cradle repo delegate --path`"),
        Fault::NotSigned { .. } | Fault::TooFewDevelopers { .. } => {
            Failure::new(Exit::Refused, "developer-signature", "nothing was staged")
                .because(printable(&fault.to_string(), SHOWN_MAX))
                .next("see `cradle repo developer list` for whose signatures are believed, and have the image signed")
        }
        Fault::SignsAlone { .. } => Failure::new(Exit::Refused, "second-signature", "nothing was staged")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("leave such names to several roles with `cradle repo delegate --together`, and stage it with --role for one of them"),
        Fault::BadPaper { .. } => Failure::new(Exit::Refused, "repository", "nothing was staged")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("have it made for this image"),
        Fault::NoDeveloper(_) => Failure::new(Exit::NotFound, "repository", "nothing was changed")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("see `cradle repo developer list`"),
        Fault::BadDeveloper { .. } | Fault::BadDeveloperName(_) => {
            Failure::new(Exit::Usage, "repository", "nobody was registered")
                .because(printable(&fault.to_string(), SHOWN_MAX))
                .next("see `cradle repo developer add --help` for what can be registered")
        }
        Fault::NameTaken(_) => Failure::new(Exit::Conflict, "repository", "nothing was staged")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("name the image otherwise with --name"),
        Fault::BadTargetName(_)
        | Fault::Reserved(_)
        | Fault::BadImage(_)
        | Fault::TooFewKeys(_)
        | Fault::BadKey
        | Fault::AlreadyDelegated => Failure::new(Exit::Usage, "repository", "nothing was staged")
            .because(printable(&fault.to_string(), SHOWN_MAX))
            .next("correct it"),
    }
}

/// What something that is staged waits for, in words.
pub(super) fn why(waiting: &Waiting) -> String {
    match &waiting.why {
        Why::Signatures { missing, keys } => {
            let keys: Vec<&str> = keys.iter().map(|id| id.get(..16).unwrap_or(id)).collect();
            format!("{missing} more of the keys {} must sign", keys.join(", "))
        }
        Why::Role(role) => format!("{} must be signed first: it is led to", printable(role, SHOWN_MAX)),
        Why::Image(image) => {
            format!("the image {} is neither staged nor published: add it", printable(image, SHOWN_MAX))
        }
        Why::Agreement { target, hardware, said, demanded } => format!(
            "{said} of {demanded} roles that must, because of {hardware}, say the same of {}: see `cradle repo agree`",
            printable(target, SHOWN_MAX)
        ),
        Why::Expired => "it has expired meanwhile: change it, or stage it anew".to_owned(),
        Why::Overtaken => "its version was published meanwhile: stage it anew".to_owned(),
        Why::NobodyLeads => "no role that is published or ready leads to it".to_owned(),
        Why::Followers => {
            "the roles that it gives to other keys must be signed by them, and once more by the old ones".to_owned()
        }
    }
}

/// What is to be done about it.
pub(super) const fn next(waiting: &Waiting) -> &'static str {
    match waiting.why {
        Why::Agreement { .. } => {
            "have the other role say the same with `cradle repo agree`, and publish again with its key"
        }
        _ => {
            "name the keys with --key, or sign the files in `staged` elsewhere with `cradle repo sign`, and publish again"
        }
    }
}

pub(super) fn waiting(waiting: &[Waiting]) -> Vec<Value> {
    let one = |one: &Waiting| {
        let (missing, keys) = match &one.why {
            Why::Signatures { missing, keys } => (*missing, keys.clone()),
            _ => (0, Vec::new()),
        };
        json!({"role": one.role, "version": one.version, "why": why(one), "signatures_missing": missing, "keys": keys})
    };
    waiting.iter().map(one).collect()
}

/// What was published, as JSON.
pub(super) fn publication(done: &Publication) -> Value {
    let published: Vec<Value> =
        done.published.iter().map(|(role, version)| json!({"role": role, "version": version})).collect();
    json!({"published": published, "images": done.images, "waiting": waiting(&done.waiting)})
}

/// The same as lines.
pub(super) fn publication_text(done: &Publication) -> String {
    let mut text = String::new();
    for (role, version) in &done.published {
        text.push_str(&format!("published {} version {version}\n", printable(role, SHOWN_MAX)));
    }
    for image in &done.images {
        text.push_str(&format!("image     {}\n", printable(image, SHOWN_MAX)));
    }
    text.push_str(&waiting_text(&done.waiting));
    if text.is_empty() {
        text.push_str("nothing is new\n");
    }
    text
}

pub(super) fn waiting_text(waiting: &[Waiting]) -> String {
    let line = |one: &Waiting| {
        format!("waits     {} version {}: {}\n", printable(&one.role, SHOWN_MAX), one.version, why(one))
    };
    waiting.iter().map(line).collect()
}
