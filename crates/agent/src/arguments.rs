//! What is asked of the agent.

use crate::fault::{Failure, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
cradle-agent keeps the software of a device as its director says.

  cradle-agent update [--config FILE] [--every SECONDS] [-o human|json]
      Follows director and image repository, downloads what is for this device, has it installed, and reports it. Once,
      or again and again.
  cradle-agent status [--config FILE] [-o human|json]
      Says what each component carries, what is on its way, and what was refused last.
  cradle-agent --help | --version

  --config FILE     What the device is and where its repositories are; /etc/cradle-agent.toml unless it is said.
  --every SECONDS   From the end of a round to the beginning of the next, 1 to 86400.
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
    Status { config: PathBuf, format: Format },
}

pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Asked> {
    let wrong = |what: String| Failure::usage(what).next("see cradle-agent --help");
    let (mut verb, mut config, mut every, mut format) = (None, PathBuf::from(CONFIG), None, Format::Human);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let mut value = || arguments.next().ok_or_else(|| wrong(format!("{text} says nothing")));
        match text.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--version" | "-V" => return Ok(Asked::Version),
            "--config" => config = PathBuf::from(value()?),
            "--every" => {
                let seconds = value()?.to_str().and_then(|text| text.parse().ok());
                let seconds = seconds.filter(|seconds| (1..=EVERY_MAX).contains(seconds));
                let seconds = seconds.ok_or_else(|| wrong(format!("--every takes 1 to {EVERY_MAX} seconds")))?;
                every = Some(Duration::from_secs(seconds));
            }
            "-o" | "--output" => {
                format = match value()?.to_str() {
                    Some("human") => Format::Human,
                    Some("json") => Format::Json,
                    _ => return Err(wrong(format!("{text} takes human or json"))),
                };
            }
            "update" | "status" if verb.is_none() => verb = Some(text),
            _ => return Err(wrong(format!("{text} is not understood"))),
        }
    }
    match (verb.as_deref(), every) {
        (Some("update"), every) => Ok(Asked::Update { config, every, format }),
        (Some(_), None) => Ok(Asked::Status { config, format }),
        (Some(_), Some(_)) => Err(wrong("--every is for update".to_owned())),
        (None, _) => Err(wrong("it is not said what to do: update or status".to_owned())),
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
        for wrong in ["", "upgrade", "update status", "update x", "update --config", "update -o csv", "update --force"]
        {
            check(wrong, None);
        }
    }
    #[test]
    fn help_and_version() {
        check("update --help", Some(Asked::Help));
        check("-V", Some(Asked::Version));
    }
}
