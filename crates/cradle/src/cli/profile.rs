//! `cradle profile`: what certificates may say.

use super::Common;
use crate::compose;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use issue::Profile;
use model::ProfileName;
use serde::Serialize;
use std::path::PathBuf;

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
        Verb::Check { files } => {
            let rows: Vec<Row> = if files.is_empty() {
                compose::profiles(&places)?.values().map(|p| row(p)).collect()
            } else {
                files.iter().map(check_file).collect::<Result<_>>()?
            };
            out.rows(&["name", "subject_kind", "issuers", "key_types", "digest"], &rows)
        }
    }
}

fn text_of(path: &std::path::Path) -> std::io::Result<String> {
    let octets = adapters::files::read_bounded(path, compose::PROFILE_LEN_MAX)?;
    String::from_utf8(octets).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
}

fn check_file(path: &PathBuf) -> Result<Row> {
    let text = text_of(path).map_err(|e| Failure::file(path, &e))?;
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let name =
        stem.parse().map_err(|e| Failure::new(Exit::Usage, "profile", format!("{}", path.display())).because(e))?;
    Ok(row(&check(path, name, &text)?))
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
