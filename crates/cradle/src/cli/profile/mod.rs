//! `cradle profile`: what certificates may say.

mod trial;

use super::Common;
use crate::compose;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use issue::Profile;
use issue::profile::{Meaning, Topic};
use model::{AuthorityName, Entity, ProfileName};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Certificate profiles: what a certificate may say.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List the profiles of this installation.
    List,
    /// Show one profile.
    Show {
        /// Its name.
        name: ProfileName,
    },
    /// Say in plain words who may ask under a profile, what the certificate will say, and what is refused.
    Explain {
        /// A profile of this installation, or a file.
        profile: String,
    },
    /// Show what changes from one profile to another, and whether that lets more through.
    Diff {
        /// A profile of this installation, or a file.
        before: String,
        /// Another.
        after: String,
    },
    /// Show the certificate that a request would get, and every reason in the request why it would
    /// not. Whether the device has a grant is not looked at. Nothing is signed or recorded.
    Try {
        /// A profile of this installation, or a file.
        profile: String,
        /// The request: PKCS #10 or CRMF, PEM or DER.
        request: PathBuf,
        /// Whom it is for: `urn:dev:ops:...`, `authority:NAME`, `module:NAME:BOX`, `operator:NAME`.
        #[arg(long)]
        subject: Entity,
        /// Who would issue it; the first of the profile's issuers that there is, if left out.
        #[arg(long)]
        issuer: Option<AuthorityName>,
    },
    /// Check profile files, or all of this installation.
    Check {
        /// The files; all of the installation if none is named.
        files: Vec<PathBuf>,
    },
}

#[derive(Serialize)]
struct Row {
    name: String,
    subject_kind: String,
    issuers: String,
    key_types: String,
    ra_verified: bool,
    description: String,
    digest: String,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let out = common.out();
    let places = Places::of(&common.data);
    match arguments.verb {
        Verb::List => {
            let rows: Vec<_> = compose::profiles(&places)?.values().map(|p| row(p)).collect();
            out.rows(&["name", "subject_kind", "issuers", "key_types", "description"], &rows)
        }
        Verb::Show { name } => {
            let path = places.profiles().join(format!("{name}.toml"));
            let text = text_of(&path).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => {
                    Failure::new(Exit::NotFound, "profile-unknown", format!("there is no profile {name}"))
                        .next("list them with `cradle profile list`")
                }
                _ => Failure::file(&path, &e),
            })?;
            let profile = check(&path, name, &text)?;
            out.one(&row(&profile), || format!("# {}, SHA-256 {}\n{text}", path.display(), profile.digest()))
        }
        Verb::Explain { profile } => explain(common, &named(common, &profile)?),
        Verb::Diff { before, after } => diff(common, &named(common, &before)?, &named(common, &after)?),
        Verb::Try { profile, request, subject, issuer } => {
            trial::run(common, &named(common, &profile)?, &request, &subject, issuer)
        }
        Verb::Check { files } => {
            let profiles: Vec<Arc<Profile>> = if files.is_empty() {
                compose::profiles(&places)?.into_values().collect()
            } else {
                files.iter().map(|path| check_file(path).map(Arc::new)).collect::<Result<_>>()?
            };
            let rows: Vec<_> = profiles.iter().map(|profile| row(profile)).collect();
            out.rows(&["name", "subject_kind", "issuers", "key_types", "digest"], &rows)?;
            profiles.iter().for_each(|profile| trial::warn(out, profile));
            Ok(())
        }
    }
}

fn text_of(path: &std::path::Path) -> std::io::Result<String> {
    let octets = adapters::files::read_bounded(path, compose::PROFILE_LEN_MAX)?;
    String::from_utf8(octets).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
}

/// A profile of this installation, or one in a file: what has a slash or an end is a file.
fn named(common: &Common, text: &str) -> Result<Profile> {
    if text.contains(['/', '.']) {
        return check_file(&PathBuf::from(text));
    }
    let unknown = |why: String| {
        Failure::new(Exit::NotFound, "profile-unknown", format!("there is no profile {text:?}"))
            .because(why)
            .next("list them with `cradle profile list`; a file is named with its end, .toml")
    };
    let name: ProfileName = text.parse().map_err(|e: model::text::BadName| unknown(e.to_string()))?;
    let profile = compose::profiles(&Places::of(&common.data))?.remove(&name);
    profile.map(|profile| profile.as_ref().clone()).ok_or_else(|| unknown("no file in profiles/ has its name".into()))
}

#[derive(Serialize)]
struct Sentence {
    topic: &'static str,
    text: String,
}

fn explain(common: &Common, profile: &Profile) -> Result {
    let topic = |topic| match topic {
        Topic::WhoMayAsk => "who may ask",
        Topic::WhatItSays => "what it says",
        Topic::WhatIsRefused => "what is refused",
    };
    let lines: Vec<_> = issue::profile::explain(profile)
        .into_iter()
        .map(|line| Sentence { topic: topic(line.topic), text: line.text })
        .collect();
    if !common.out().is_human() {
        return common.out().rows(&["topic", "text"], &lines);
    }
    let mut text = format!("{}, version {}: {}\n", profile.name(), profile.version(), profile.description());
    let mut last = "";
    for line in &lines {
        if line.topic != last {
            text.push_str(&format!("\n{}\n", line.topic));
            last = line.topic;
        }
        text.push_str(&format!("  {}\n", line.text));
    }
    common.out().print(&text)
}

#[derive(Serialize)]
struct Changed {
    field: &'static str,
    before: String,
    after: String,
    meaning: &'static str,
}

fn diff(common: &Common, before: &Profile, after: &Profile) -> Result {
    let changed = issue::profile::diff(before, after).into_iter().map(|change| Changed {
        field: change.field,
        before: change.before,
        after: change.after,
        meaning: match change.meaning {
            Meaning::Stricter => "stricter",
            Meaning::Looser => "looser",
            Meaning::Different => "different",
        },
    });
    let changed: Vec<_> = changed.collect();
    if changed.is_empty() {
        common.out().say("Both say the same.");
    }
    common.out().rows(&["field", "meaning", "before", "after"], &changed)
}

fn check_file(path: &PathBuf) -> Result<Profile> {
    let text = text_of(path).map_err(|e| Failure::file(path, &e))?;
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let name =
        stem.parse().map_err(|e| Failure::new(Exit::Usage, "profile", format!("{}", path.display())).because(e))?;
    check(path, name, &text)
}

fn check(path: &std::path::Path, name: ProfileName, text: &str) -> Result<Profile> {
    Profile::read(name, text).map_err(|e| {
        Failure::new(Exit::Failed, "profile", format!("{} is no profile", path.display()))
            .because(e)
            .next("correct the place that is named")
    })
}

fn row(profile: &Profile) -> Row {
    let join = |items: Vec<String>| items.join(", ");
    Row {
        name: profile.name().to_string(),
        subject_kind: format!("{:?}", profile.subject_kind()).to_lowercase(),
        issuers: join(profile.issuers().iter().map(ToString::to_string).collect()),
        key_types: join(profile.key_types().iter().map(ToString::to_string).collect()),
        ra_verified: profile.ra_verified(),
        description: profile.description().to_owned(),
        digest: profile.digest().to_string(),
    }
}
