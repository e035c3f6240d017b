//! What is asked of the agent.

use crate::enrolment::When;
use crate::fault::{Failure, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
cradle-agent keeps the software of a device as its director says, and its certificate as its authority does.

  cradle-agent update [--config FILE] [--every SECONDS] [-o human|json]
      Follows director and image repository, downloads what is for this device, has it installed, and reports it. Once,
      or again and again.
  cradle-agent enrol --secret FILE [--force] [--config FILE] [-o human|json]
      Makes a key, and has it certified over EST for a one-time secret.
  cradle-agent renew [--force] [--config FILE] [-o human|json]
      Makes another key and has it certified in the place of the one before, if it is time. Run it often.
  cradle-agent status [--config FILE] [-o human|json]
      Says what each component carries, what is on its way, what was refused last, and how long the certificate holds.
  cradle-agent --help | --version

  --config FILE     What the device is and where its repositories and its authority are; /etc/cradle-agent.toml unless it
                    is said.
  --every SECONDS   From the end of a round to the beginning of the next, 1 to 86400.
  --secret FILE     A file with the secret, readable by nobody else, or - for standard input.
  --force           Enrols although there is a certificate; renews before it is time, and though the server wants to be
                    asked later.
  -o FORMAT         Lines for people, or one JSON document for each round.

Exit status: 0 all is done, 1 something is not done, 2 the arguments or the configuration cannot be used.
";

/// Where the configuration is unless it is said.
const CONFIG: &str = "/etc/cradle-agent.toml";
/// Longest time between two rounds, in seconds: one day.
const EVERY_MAX: u64 = 86_400;

/// How data are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Help,
    Version,
    Update { config: PathBuf, every: Option<Duration>, format: Format },
    Enrol { config: PathBuf, secret: PathBuf, when: When, format: Format },
    Renew { config: PathBuf, when: When, format: Format },
    Status { config: PathBuf, format: Format },
}

/// What was said, in any order.
struct Said {
    verb: Option<String>,
    config: PathBuf,
    every: Option<Duration>,
    secret: Option<PathBuf>,
    when: When,
    format: Format,
}

fn wrong(what: String) -> Failure {
    Failure::usage(what).next("see cradle-agent --help")
}

pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Asked> {
    let (verb, config, every, secret, when, format) =
        (None, PathBuf::from(CONFIG), None, None, When::Due, Format::Human);
    let mut said = Said { verb, config, every, secret, when, format };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let mut value = || arguments.next().ok_or_else(|| wrong(format!("{text} says nothing")));
        match text.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--version" | "-V" => return Ok(Asked::Version),
            "--config" => said.config = PathBuf::from(value()?),
            "--secret" => said.secret = Some(PathBuf::from(value()?)),
            "--force" => said.when = When::Now,
            "--every" => {
                let seconds = value()?.to_str().and_then(|text| text.parse().ok());
                let seconds = seconds.filter(|seconds| (1..=EVERY_MAX).contains(seconds));
                let seconds = seconds.ok_or_else(|| wrong(format!("--every takes 1 to {EVERY_MAX} seconds")))?;
                said.every = Some(Duration::from_secs(seconds));
            }
            "-o" | "--output" => {
                said.format = match value()?.to_str() {
                    Some("human") => Format::Human,
                    Some("json") => Format::Json,
                    _ => return Err(wrong(format!("{text} takes human or json"))),
                };
            }
            "update" | "enrol" | "renew" | "status" if said.verb.is_none() => said.verb = Some(text),
            _ => return Err(wrong(format!("{text} is not understood"))),
        }
    }
    asked(said)
}

/// Each word belongs to some verbs.
fn asked(said: Said) -> Result<Asked> {
    let Said { verb, config, every, secret, when, format } = said;
    match (verb.as_deref(), every, secret, when) {
        (Some("update"), every, None, When::Due) => Ok(Asked::Update { config, every, format }),
        (Some("enrol"), None, Some(secret), when) => Ok(Asked::Enrol { config, secret, when, format }),
        (Some("renew"), None, None, when) => Ok(Asked::Renew { config, when, format }),
        (Some("status"), None, None, When::Due) => Ok(Asked::Status { config, format }),
        (Some("enrol"), None, None, _) => Err(wrong("enrol takes --secret".to_owned())),
        (Some(_), Some(_), _, _) => Err(wrong("--every is for update".to_owned())),
        (Some(_), None, Some(_), _) => Err(wrong("--secret is for enrol".to_owned())),
        (Some(_), None, None, _) => Err(wrong("--force is for enrol and renew".to_owned())),
        (None, ..) => Err(wrong("it is not said what to do: update, enrol, renew or status".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<Asked>) {
        assert_eq!(read(line.split_whitespace().map(OsString::from)).ok(), expected, "{line}");
    }
    fn update(config: &str, every_s: Option<u64>, format: Format) -> Option<Asked> {
        Some(Asked::Update { config: config.into(), every: every_s.map(Duration::from_secs), format })
    }
    #[test]
    fn an_update() {
        check("update", update(CONFIG, None, Format::Human));
        check("update --config a.toml --every 60 -o json", update("a.toml", Some(60), Format::Json));
        check("--config a.toml update", update("a.toml", None, Format::Human));
    }
    #[test]
    fn an_enrolment() {
        let enrol = |secret: &str, when| {
            Some(Asked::Enrol { config: CONFIG.into(), secret: secret.into(), when, format: Format::Human })
        };
        check("enrol --secret /run/secret", enrol("/run/secret", When::Due));
        check("enrol --secret - --force", enrol("-", When::Now));
        check("enrol", None);
        check("enrol --secret s --every 5", None);
    }
    #[test]
    fn a_renewal() {
        let renew = |when, format| Some(Asked::Renew { config: CONFIG.into(), when, format });
        check("renew", renew(When::Due, Format::Human));
        check("renew --force -o json", renew(When::Now, Format::Json));
        check("renew --secret s", None);
        check("renew --every 5", None);
    }
    #[test]
    fn a_status() {
        check("status -o json", Some(Asked::Status { config: CONFIG.into(), format: Format::Json }));
        check("status --every 5", None);
    }
    #[test]
    fn bounds_of_every() {
        check("update --every 86400", update(CONFIG, Some(86_400), Format::Human));
        for wrong in ["0", "86401", "-1", "x", ""] {
            check(&format!("update --every {wrong}"), None);
        }
    }
    #[test]
    fn what_is_not_understood() {
        for wrong in [
            "",
            "upgrade",
            "update status",
            "update x",
            "update --config",
            "update -o csv",
            "update --force",
            "status --force",
            "update --secret s",
        ] {
            check(wrong, None);
        }
    }
    #[test]
    fn help_and_version() {
        check("update --help", Some(Asked::Help));
        check("-V", Some(Asked::Version));
    }
}
