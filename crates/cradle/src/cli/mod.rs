//! The command line: `cradle NOUN VERB`. One file for each noun.

mod audit;
pub(crate) mod ca;
pub(crate) mod cert;
mod crl;
mod device;
mod explain;
pub(crate) mod init;
mod inspect;
mod list;
mod mode;
mod profile;
pub(crate) mod release;
mod station;
mod verify;

use crate::config::Config;
use crate::fault::{Exit, Failure, Result};
use crate::output::{Format, Output};
use adapters::store::SqliteStore;
use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// From blank board to certified device: PKI, programming station, software and identity in one binary.
#[derive(Parser)]
#[command(name = "cradle", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    noun: Noun,
}

/// What every command understands.
#[derive(clap::Args, Clone)]
pub(crate) struct Common {
    /// The data directory of the installation.
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "CRADLE_DATA",
        default_value = "cradle-data",
        value_name = "DIR"
    )]
    pub(crate) data: PathBuf,
    /// A file that holds the passphrase of the keys.
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "CRADLE_PASSPHRASE_FILE",
        value_name = "FILE"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// How data are printed.
    #[arg(
        short,
        long,
        global = true,
        help_heading = "Options of every command",
        value_enum,
        default_value = "human",
        value_name = "FORMAT"
    )]
    output: Format,
    /// Print nothing but data and errors.
    #[arg(short, long, global = true, help_heading = "Options of every command")]
    quiet: bool,
}

#[derive(Subcommand)]
enum Noun {
    /// Run a factory line on this machine, to see what this is.
    Demo(crate::demo::Arguments),
    /// Make a new installation: keys, modules, authorities.
    Init(init::Arguments),
    /// Certification authorities.
    Ca(ca::Arguments),
    /// Certificate profiles: what a certificate may say.
    Profile(profile::Arguments),
    /// Registration lists: the devices that are expected.
    List(list::Arguments),
    /// Devices.
    Device(device::Arguments),
    /// Software releases.
    Release(release::Arguments),
    /// The programming station.
    Station(station::Arguments),
    /// Certificates.
    Cert(cert::Arguments),
    /// Lists of revoked certificates.
    Crl(crl::Arguments),
    /// The operation mode: which modules may be awake.
    Mode(mode::Arguments),
    /// The audit log.
    Audit(audit::Arguments),
    /// Check all records against each other.
    Verify(verify::Arguments),
    /// Show what a file is: certificate, request, CRL, release, key.
    Inspect(inspect::Arguments),
    /// Explain the code of an error.
    Explain(explain::Arguments),
    /// Measure this machine and this program on it.
    Bench(crate::bench::Arguments),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

impl Common {
    pub(crate) const fn out(&self) -> Output {
        Output::new(self.output, self.quiet)
    }

    /// The records of an installation that was finished, for reading.
    pub(crate) fn records(&self) -> Result<SqliteStore> {
        Config::read(&self.data)?;
        Ok(SqliteStore::open_to_read(&self.data)?)
    }
}

/// Runs the command that was given.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no failures.
            let status = if error.use_stderr() { crate::fault::Exit::Usage.status() } else { 0 };
            let _closed = error.print();
            return ExitCode::from(status);
        }
    };
    let common = arguments.common;
    match dispatch(&common, arguments.noun) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            common.out().fail(&failure);
            ExitCode::from(failure.exit.status())
        }
    }
}

fn dispatch(common: &Common, noun: Noun) -> Result {
    match noun {
        Noun::Demo(arguments) => crate::demo::run(common, &arguments),
        Noun::Init(arguments) => init::run(common, &arguments),
        Noun::Ca(arguments) => ca::run(common, arguments),
        Noun::Profile(arguments) => profile::run(common, arguments),
        Noun::List(arguments) => list::run(common, arguments),
        Noun::Device(arguments) => device::run(common, arguments),
        Noun::Release(arguments) => release::run(common, arguments),
        Noun::Station(arguments) => station::run(common, arguments),
        Noun::Cert(arguments) => cert::run(common, arguments),
        Noun::Crl(arguments) => crl::run(common, arguments),
        Noun::Mode(arguments) => mode::run(common, arguments),
        Noun::Audit(arguments) => audit::run(common, arguments),
        Noun::Verify(arguments) => verify::run(common, &arguments),
        Noun::Inspect(arguments) => inspect::run(common, &arguments),
        Noun::Explain(arguments) => explain::run(common, &arguments),
        Noun::Bench(arguments) => crate::bench::run(common, &arguments),
        Noun::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "cradle", &mut script);
            common.out().print(&String::from_utf8_lossy(&script))
        }
    }
}

/// A hundred years: longer is a slip of the hand.
const DAYS_MAX: u64 = 36_525;

/// Checks how long something shall last.
fn check_days(days: u64) -> Result {
    if (1..=DAYS_MAX).contains(&days) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "usage", format!("{days} days are too few, or too many"))
        .because(format!("--days is from 1 to {DAYS_MAX}"))
        .next("correct it"))
}

/// Asks a person to type a name again before something is done that cannot be undone.
pub(crate) fn confirm(out: Output, plan: &str, name: &str) -> Result {
    use std::io::IsTerminal;
    let refuse = |why: &str| {
        let failure = Failure::new(Exit::Usage, "not-confirmed", "nothing was done").because(why);
        Err(failure.next("repeat the command with --yes if you mean it"))
    };
    if !std::io::stdin().is_terminal() {
        return refuse("there is no terminal to ask on");
    }
    out.say(&format!("{plan}\nType {name} to go on:"));
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).is_err() || line.trim() != name {
        return refuse("the name was not typed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Arguments::command().debug_assert();
    }
}
