//! The commands by which a device installs: started directly, without a shell.

use crate::fault::{Failure, Result};
use adapters::files::DirectoryLock;
use adapters::process::{self, Ended};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a command may take that only says or marks something.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long installing may take, unless it is said otherwise, and at most.
const INSTALL_WITHIN_S: u64 = 3600;
const INSTALL_WITHIN_MAX_S: u64 = 86_400;

/// How a component is installed. Each command is a program, by its absolute path, and its arguments, in which `{image}`,
/// `{component}`, `{sha256}` and `{release_counter}` are replaced.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slots {
    /// Installs the image. It may be run again, also after it was cut off.
    install: Vec<String>,
    /// Says what runs: one line, another one for each slot. Without it what is installed runs.
    current: Option<Vec<String>>,
    /// Looks whether what runs is well, and marks it so. Without it what runs is well.
    confirm: Option<Vec<String>>,
    /// Has the device go back to what it ran before, when `confirm` fails.
    revert: Option<Vec<String>>,
    /// Says where the image is to be written: the file or device of the slot that does not run.
    inactive: Option<Vec<String>>,
    /// Says where the image lies that is carried: the file or device of the slot that runs. With it, images are made of it by deltas.
    active: Option<Vec<String>>,
    install_within_s: Option<u64>,
}

/// The commands of a component, which hold the lock of the agent too while they run: whoever kills the agent does not have two of
/// them run at once.
#[derive(Debug)]
pub(crate) struct Commands<'a> {
    pub(crate) slots: &'a Slots,
    pub(crate) lock: &'a DirectoryLock,
}

/// What commands are told of an image.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) component: String,
    pub(crate) image: PathBuf,
    pub(crate) sha256: String,
    pub(crate) release_counter: u64,
}

impl Slots {
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let optional = [&self.current, &self.confirm, &self.revert, &self.inactive, &self.active];
        for command in optional.into_iter().flatten().chain([&self.install]) {
            match command.first() {
                Some(program) if program.starts_with('/') => {}
                _ => return Err("a command begins with the absolute path of a program".to_owned()),
            }
        }
        match self.install_within_s {
            Some(seconds) if !(1..=INSTALL_WITHIN_MAX_S).contains(&seconds) => {
                Err(format!("install_within_s is 1 to {INSTALL_WITHIN_MAX_S}"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) const fn can_revert(&self) -> bool {
        self.revert.is_some()
    }
    /// Whether images may be made of the one that is carried.
    pub(crate) const fn has_active(&self) -> bool {
        self.active.is_some()
    }
}

impl Commands<'_> {
    /// What runs now; `None` if there is no way to ask.
    pub(crate) fn current(&self, component: &str) -> Result<Option<String>> {
        self.slots.current.as_ref().map(|command| self.say(component, command)).transpose()
    }

    /// Where the image of a component is to be written; `None` if the agent keeps it itself.
    pub(crate) fn inactive(&self, component: &str) -> Result<Option<PathBuf>> {
        self.slots.inactive.as_ref().map(|command| self.place(component, command)).transpose()
    }

    /// Where the image lies that a component carries; `None` if nobody says it.
    pub(crate) fn active(&self, component: &str) -> Result<Option<PathBuf>> {
        self.slots.active.as_ref().map(|command| self.place(component, command)).transpose()
    }

    fn place(&self, component: &str, command: &[String]) -> Result<PathBuf> {
        let place = PathBuf::from(self.say(component, command)?);
        if place.is_absolute() {
            return Ok(place);
        }
        Err(failed(component, command).because(format!("it says {}, which is no absolute path", place.display())))
    }

    pub(crate) fn install(&self, about: &About) -> Result {
        let within = Duration::from_secs(self.slots.install_within_s.unwrap_or(INSTALL_WITHIN_S));
        self.run(&about.component, &self.slots.install, Some(about), within).map(|_| ())
    }

    pub(crate) fn confirm(&self, about: &About) -> Result {
        self.slots.confirm.as_ref().map_or(Ok(()), |command| self.mark(command, about))
    }

    pub(crate) fn revert(&self, about: &About) -> Result {
        self.slots.revert.as_ref().map_or(Ok(()), |command| self.mark(command, about))
    }

    fn mark(&self, command: &[String], about: &About) -> Result {
        self.run(&about.component, command, Some(about), ANSWER_WITHIN).map(|_| ())
    }

    // The one line that a command says.
    fn say(&self, component: &str, command: &[String]) -> Result<String> {
        let ended = self.run(component, command, None, ANSWER_WITHIN)?;
        let line = std::str::from_utf8(&ended.said).ok().map(str::trim);
        match line.filter(|line| !line.is_empty() && !line.contains('\n') && ended.said.len() < process::SAID_LEN_MAX) {
            Some(line) => Ok(line.to_owned()),
            None => Err(failed(component, command).because("it does not say one line of text")),
        }
    }

    fn run(&self, component: &str, command: &[String], about: Option<&About>, within: Duration) -> Result<Ended> {
        let Some((program, arguments)) = command.split_first() else { unreachable!("check() looked for a program") };
        let arguments: Vec<_> = arguments.iter().map(|argument| fill(argument, component, about)).collect();
        let ended = process::run(Path::new(program), &arguments, self.lock, within);
        let ended = ended.map_err(|e| failed(component, command).because(e))?;
        if ended.status.success() {
            return Ok(ended);
        }
        let words = String::from_utf8_lossy(&ended.last_words);
        let said = if words.trim().is_empty() { String::new() } else { format!("; it said: {}", words.trim()) };
        Err(failed(component, command).because(format!("{}{said}", ended.status)))
    }
}

fn failed(component: &str, command: &[String]) -> Failure {
    let program = command.first().map_or("", String::as_str);
    Failure::new("command", format!("{component}: {program} failed"))
        .next("see what it says when it is run by hand; the next round runs it again")
}

fn fill(argument: &str, component: &str, about: Option<&About>) -> String {
    let argument = argument.replace("{component}", component);
    let Some(about) = about else { return argument };
    // What is put in last may have braces of its own.
    argument
        .replace("{sha256}", &about.sha256)
        .replace("{release_counter}", &about.release_counter.to_string())
        .replace("{image}", &about.image.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(argument: &str, expected: &str) {
        let about = About {
            component: "modem".into(),
            image: "/a b/{sha256}.img".into(),
            sha256: "00ff".into(),
            release_counter: 7,
        };
        assert_eq!(fill(argument, "modem", Some(&about)), expected);
    }
    #[test]
    fn what_is_put_into_arguments() {
        check("{image}", "/a b/{sha256}.img");
        check("--of={component}:{release_counter}", "--of=modem:7");
        check("{sha256}", "00ff");
        check("$(reboot); {other}", "$(reboot); {other}");
    }
    #[track_caller]
    fn read(text: &str, ok: bool) {
        let slots: std::result::Result<Slots, _> = toml::from_str(text);
        assert_eq!(slots.is_ok_and(|slots| slots.check().is_ok()), ok, "{text}");
    }
    #[test]
    fn programs_are_named_by_their_absolute_path() {
        read("install = ['/usr/sbin/ab-install', '{image}']", true);
        read("install = ['ab-install', '{image}']", false);
        read("install = []", false);
        read("install = ['/a']\ncurrent = ['b']", false);
        read("current = ['/b']", false);
        read("install = ['/a']\nactive = ['b']", false);
    }
    #[test]
    fn bounds_of_time() {
        read("install = ['/a']\ninstall_within_s = 86400", true);
        read("install = ['/a']\ninstall_within_s = 0", false);
        read("install = ['/a']\ninstall_within_s = 86401", false);
    }
}
