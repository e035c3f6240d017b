//! The command line: `cradle NOUN VERB`. One file for each noun.

mod api;
pub(crate) mod approve;
pub(crate) mod audit;
mod backup;
pub(crate) mod bus;
mod bus_again;
pub(crate) mod ca;
mod ceremony;
pub(crate) mod cert;
mod clock;
mod crl;
pub(crate) mod device;
mod director;
mod doctor;
pub(crate) mod explain;
mod export;
mod hsm;
pub(crate) mod init;
mod inspect;
pub(crate) mod list;
mod maker;
mod migrate;
pub(crate) mod mode;
mod module;
mod notices;
pub(crate) mod ocsp;
mod operator;
mod profile;
mod purge;
pub(crate) mod release;
mod repo;
mod serve;
pub(crate) mod shares;
mod station;
pub(crate) mod status;
pub(crate) mod tuf;
mod up;
pub(crate) mod uptane;
mod verify;

pub(crate) use explain::known_code;

pub(crate) use notices::secret;
pub(crate) use tuf::certificates;

use crate::config::{Config, Places};
use crate::fault::{DISK_FULL_CODE, Exit, Failure, Result};
use crate::log::{self, LogFormat, LogLevel};
use crate::output::{Format, Output};
use adapters::clock::Stopwatch;
use adapters::store::SqlStore;
use adapters::store::sql::survey::room;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use model::UnixTime;
use std::path::{Path, PathBuf};
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
    /// A file with a share of a divided key; once for each, or in the variable separated by colons.
    #[arg(
        long = "share",
        global = true,
        help_heading = "Options of every command",
        env = "CRADLE_SHARES",
        value_delimiter = ':',
        value_name = "FILE"
    )]
    pub(crate) shares: Vec<PathBuf>,
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
    /// How events are written to standard error.
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "CRADLE_LOG_FORMAT",
        value_enum,
        default_value = "human",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
    /// Which events: these and the graver ones. If nothing is said, `info` for `serve` and `warn` for the others.
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "CRADLE_LOG",
        value_enum,
        value_name = "LEVEL"
    )]
    log_level: Option<LogLevel>,
}

#[derive(Subcommand)]
enum Noun {
    /// Run a factory line on this machine, to see what this is.
    Demo(crate::demo::Arguments),
    /// Make a new installation: keys, modules, authorities.
    Init(init::Arguments),
    /// Show how an installation is, and what needs attention.
    Status(status::Arguments),
    /// Check everything that can be wrong with an installation and its machine.
    Doctor(doctor::Arguments),
    /// Answer monitoring over HTTP on loopback; or run modules in a process of their own.
    Serve(serve::Arguments),
    /// Answer programs of operators, over a socket of this machine.
    Api(api::Arguments),
    /// Run this box: its supervisor, and each module that the mode lets run in a process of its own.
    Up(up::Arguments),
    /// Certification authorities.
    Ca(ca::Arguments),
    /// Key ceremonies: plans that several operators approve, and transcripts of what was done.
    Ceremony(ceremony::Arguments),
    /// Certificate profiles: what a certificate may say.
    Profile(profile::Arguments),
    /// Registration lists: the devices that are expected.
    List(list::Arguments),
    /// Makers whose certificates of devices are proof here.
    Maker(maker::Arguments),
    /// Devices.
    Device(device::Arguments),
    /// Software releases.
    Release(release::Arguments),
    /// Publish software: a repository of TUF in plain files.
    Repo(repo::Arguments),
    /// Follow a repository of TUF, as conformance suites drive clients.
    TufClient(tuf::Arguments),
    /// Follow a director and an image repository, and download what both say that this device gets.
    UptaneClient(uptane::Arguments),
    /// What each device gets, and what it has: the director of Uptane, in a data directory of its own.
    Director(director::Arguments),
    /// The programming station.
    Station(station::Arguments),
    /// Certificates.
    Cert(cert::Arguments),
    /// Lists of revoked certificates.
    Crl(crl::Arguments),
    /// Whether certificates are revoked, as others ask it.
    Ocsp(ocsp::Arguments),
    /// The broker over which modules meet that do not share a process.
    Bus(bus::Arguments),
    /// The operation mode: which modules may be awake.
    Mode(mode::Arguments),
    /// The clock, and what was recorded last.
    Clock(clock::Arguments),
    /// Requests that wait for operators.
    Approve(approve::Arguments),
    /// People who operate this system.
    Operator(operator::Arguments),
    /// The modules of this box, and other boxes that join the installation.
    Module(module::Arguments),
    /// The audit log.
    Audit(audit::Arguments),
    /// Backups: everything but the passphrase in one file, and back.
    Backup(backup::Arguments),
    /// Take out the octets of what expired longer ago than the settings keep it.
    Purge(purge::Arguments),
    /// Bring records that an older version wrote up to date.
    Migrate(migrate::Arguments),
    /// Check all records against each other.
    Verify(verify::Arguments),
    /// Show what a file is: certificate, request, CRL, release, a repository's metadata, key.
    Inspect(inspect::Arguments),
    /// Tokens that keep keys.
    Hsm(hsm::Arguments),
    /// Explain the code of an error, a certificate, a transaction or a device.
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
    /// What a command of this data directory would be given that prints nothing for people.
    pub(crate) fn of(data: &Path) -> Self {
        let (output, log_format) = (Format::Json, LogFormat::Human);
        let data = data.to_owned();
        Self { data, passphrase_file: None, shares: Vec::new(), output, quiet: true, log_format, log_level: None }
    }

    pub(crate) const fn out(&self) -> Output {
        Output::new(self.output, self.quiet)
    }

    /// The options with which a process of ours logs as this one does.
    pub(crate) fn log_arguments(&self) -> Vec<String> {
        let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
        let format = name(self.log_format.to_possible_value()).map(|format| format!("--log-format={format}"));
        let level = self.log_level.and_then(|level| name(level.to_possible_value()));
        format.into_iter().chain(level.map(|level| format!("--log-level={level}"))).collect()
    }

    /// The records of an installation that was finished, for reading.
    pub(crate) fn records(&self) -> Result<SqlStore> {
        Config::read(&self.data)?;
        Ok(crate::compose::open_to_read(&self.data)?)
    }
}

/// Longest file that is looked at before it is replaced: the filter of a hundred million serial numbers is shorter.
const REPLACED_LEN_MAX: u64 = 256 * 1024 * 1024;

/// Writes a file for everybody, in place of an older one of its kind. Anything else that lies there stays.
pub(crate) fn publish(path: &Path, octets: &[u8], is_of_its_kind: impl FnOnce(&[u8]) -> bool) -> Result {
    // A link is replaced and not followed: nothing is lost with it.
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_symlink()) {
        let older = adapters::files::read_bounded(path, REPLACED_LEN_MAX);
        if !older.is_ok_and(|older| is_of_its_kind(&older)) {
            return Err(Failure::file(path, &std::io::ErrorKind::AlreadyExists.into()));
        }
    }
    adapters::files::publish(path, octets).map_err(|e| Failure::file(path, &e))
}

/// Runs the command that was given.
pub(crate) fn run() -> ExitCode {
    // Every command: which of them opens a key is easily forgotten. `cradle doctor` says whether it worked.
    let _said_by_doctor = adapters::memory::hide();
    let parsed = Arguments::command().try_get_matches();
    let parsed = parsed.and_then(|matches| Ok((Arguments::from_arg_matches(&matches)?, words(&matches))));
    let (arguments, command) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are no failures.
            let status = if error.use_stderr() { crate::fault::Exit::Usage.status() } else { 0 };
            if error.use_stderr() && asked_by_a_program() {
                Output::new(Format::Json, true).fail(&misused(&error));
            } else {
                let _closed = error.print();
            }
            return ExitCode::from(status);
        }
    };
    let common = arguments.common;
    let quietest = if matches!(command.as_str(), "api" | "serve" | "up") { LogLevel::Info } else { LogLevel::Warn };
    log::begin(common.log_format, common.log_level.unwrap_or(quietest));
    let watch = Stopwatch::start();
    tracing::debug!(%command, data = %common.data.display(), "command begun");
    let (status, code) = match dispatch(&common, arguments.noun) {
        Ok(()) => (0, None),
        Err(failure) => {
            let failure = with_room(&common, failure);
            common.out().fail(&failure);
            (failure.exit.status(), Some(failure.code))
        }
    };
    tracing::debug!(%command, status, code, ms = watch.ms(), "command ended");
    ExitCode::from(status)
}

/// Whether the words of a command that cannot be read ask for JSON.
fn asked_by_a_program() -> bool {
    let words: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let is_json = |format: &str| matches!(format, "json" | "jsonl");
    let apart = words.iter().zip(words.iter().skip(1));
    let mut together = words.iter().filter_map(|word| word.strip_prefix("--output=").or(word.strip_prefix("-o")));
    apart.into_iter().any(|(option, format)| matches!(option.as_str(), "-o" | "--output") && is_json(format))
        || together.any(|format| is_json(format.trim_start_matches('=')))
}

/// What the words of a command were wrong in, as a failure.
fn misused(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let (what, rest) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
    let why: Vec<_> = rest.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Failure::new(Exit::Usage, "usage", what.trim_start_matches("error: ")).because(why.join("; ")).next("see --help")
}

/// Says of a full disk which it is, and how much is left there.
fn with_room(common: &Common, failure: Failure) -> Failure {
    if failure.code != DISK_FULL_CODE {
        return failure;
    }
    let marks = Config::read(&common.data).ok().map(|config| Places::of(&common.data).marks(&config));
    let left = |path: &PathBuf| Some(format!("{} has {} octets free", path.display(), room(path).ok()?.free));
    let left: Vec<_> = [Some(common.data.clone()), marks].iter().flatten().filter_map(left).collect();
    let why = format!("{}: {}; what is signed must have room for its record before", failure.why, left.join(", "));
    failure.because(why)
}

/// The noun and verb of a command, without its arguments: they are nobody's business in a log.
fn words(matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    let mut matches = matches;
    while let Some((word, inner)) = matches.subcommand() {
        words.push(word);
        matches = inner;
    }
    words.join(" ")
}

fn dispatch(common: &Common, noun: Noun) -> Result {
    match noun {
        Noun::Demo(arguments) => crate::demo::run(common, &arguments),
        Noun::Init(arguments) => init::run(common, &arguments),
        Noun::Status(arguments) => status::run(common, &arguments),
        Noun::Doctor(arguments) => doctor::run(common, &arguments),
        Noun::Serve(arguments) => serve::run(common, &arguments),
        Noun::Api(arguments) => api::run(common, &arguments),
        Noun::Up(arguments) => up::run(common, &arguments),
        Noun::Ca(arguments) => ca::run(common, arguments),
        Noun::Ceremony(arguments) => ceremony::run(common, arguments),
        Noun::Profile(arguments) => profile::run(common, arguments),
        Noun::List(arguments) => list::run(common, arguments),
        Noun::Maker(arguments) => maker::run(common, arguments),
        Noun::Device(arguments) => device::run(common, arguments),
        Noun::Release(arguments) => release::run(common, arguments),
        Noun::Repo(arguments) => repo::run(common, arguments),
        Noun::TufClient(arguments) => tuf::run(common, &arguments),
        Noun::UptaneClient(arguments) => uptane::run(common, &arguments),
        Noun::Director(arguments) => director::run(common, arguments),
        Noun::Station(arguments) => station::run(common, arguments),
        Noun::Cert(arguments) => cert::run(common, arguments),
        Noun::Crl(arguments) => crl::run(common, arguments),
        Noun::Ocsp(arguments) => ocsp::run(common, arguments),
        Noun::Bus(arguments) => bus::run(common, arguments),
        Noun::Mode(arguments) => mode::run(common, arguments),
        Noun::Clock(arguments) => clock::run(common, arguments),
        Noun::Approve(arguments) => approve::run(common, arguments),
        Noun::Operator(arguments) => operator::run(common, arguments),
        Noun::Module(arguments) => module::run(common, arguments),
        Noun::Audit(arguments) => audit::run(common, arguments),
        Noun::Backup(arguments) => backup::run(common, arguments),
        Noun::Purge(arguments) => purge::run(common, &arguments),
        Noun::Migrate(arguments) => migrate::run(common, &arguments),
        Noun::Verify(arguments) => verify::run(common, &arguments),
        Noun::Inspect(arguments) => inspect::run(common, &arguments),
        Noun::Hsm(arguments) => hsm::run(common, arguments),
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
pub(crate) fn check_days(days: u64) -> Result {
    if (1..=DAYS_MAX).contains(&days) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "usage", format!("{days} days are too few, or too many"))
        .because(format!("--days is from 1 to {DAYS_MAX}"))
        .next("correct it"))
}

/// Reads a moment: `2027-01-31`, which is its beginning in UTC, or `2027-01-31T12:00:00Z`.
pub(crate) fn moment(text: &str) -> std::result::Result<UnixTime, String> {
    UnixTime::from_text(text).ok_or_else(|| "a moment is written 2027-01-31 or 2027-01-31T12:00:00Z".to_owned())
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

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(moment(text).ok().map(|at| at.to_string()).as_deref(), expected, "{text}");
    }
    #[test]
    fn a_day_is_its_beginning() {
        check("2027-01-31", Some("2027-01-31T00:00:00Z"));
    }
    #[test]
    fn a_moment_is_what_other_commands_print() {
        check("2027-01-31T23:59:59Z", Some("2027-01-31T23:59:59Z"));
    }
    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "2027", "2027-02-29", "2027-1-31", "2027-01-31T12:00Z", "2027-01-31T12:00:00", "2027-01-31-01"]
        {
            check(text, None);
        }
        for text in ["2027-01-31T12:00:00:00Z", "tomorrow", "+027-01-31", "2027-01-31T24:00:00Z", "1969-12-31"] {
            check(text, None);
        }
    }
}
