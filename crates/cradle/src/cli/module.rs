//! `cradle module`: the parts of a box that have a key, and further boxes that join the installation.

use super::{Common, operator::not_after};
use crate::compose;
use crate::compose::{Installation, Workshop, module_entity, module_label};
use crate::config::Places;
use crate::enrol;
use crate::fault::{Exit, Failure, Result};
use crate::joining::{admit, invite, join};
use crate::lapsed;
use adapters::clock::SystemClock;
use model::{Entity, Module, OperatorName, StationName};
use ports::Clock;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use x509::Certificate;

/// The parts of this box that have a key, and further boxes that join the installation.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List modules, on which box they are, and how long they are certified.
    List,
    /// Certify the keys of modules of this box again, before their certificates expire. Needs the mode
    /// `certificate-management` or `ceremony`.
    Renew {
        /// The modules: authority, console, identity, provisioning, software, supervisor.
        #[arg(required_unless_present = "all")]
        modules: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "modules")]
        all: bool,
        /// Make another key first: the old one was stolen and its certificate revoked, or is old. The old one is gone then.
        #[arg(long, conflicts_with_all = ["expired", "all"])]
        new_key: bool,
        /// Their certificates have expired already. Needs no mode: an operator signs that they shall be, and that is
        /// recorded.
        #[arg(long)]
        expired: bool,
        /// Who signs that: the only operator, if nobody is named.
        #[arg(long, env = "CRADLE_OPERATOR", requires = "expired")]
        operator: Option<OperatorName>,
    },
    /// Make a key for a module that this box does not have yet, and certify it: gateway. Needs the mode
    /// `certificate-management` or `ceremony`.
    Add {
        /// The module: gateway.
        #[arg(value_parser = ["gateway"])]
        module: String,
    },
    /// Invite another box: write a token that lets it join this installation, once. Two operators must say so, if there
    /// are two.
    Invite(InviteArguments),
    /// List the boxes that were invited, and what became of it.
    Invitations,
    /// Take an invitation back that nobody has used.
    Uninvite {
        /// The box.
        #[arg(long = "box", value_name = "NAME")]
        instance: StationName,
        /// Who says so: the only operator, if nobody is named.
        #[arg(long, env = "CRADLE_OPERATOR", value_name = "NAME")]
        operator: Option<OperatorName>,
    },
    /// On the new box: make its keys and ask with the token that they be certified; or take the answer, with --answer.
    Join(JoinArguments),
    /// Certify the keys of a box that was invited, and write the answer for it. Needs the mode `certificate-management`
    /// or `ceremony`.
    Admit {
        /// What the new box wrote.
        request: PathBuf,
        /// Where the answer is written.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Who signs the answer: the only operator, if nobody is named.
        #[arg(long, env = "CRADLE_OPERATOR", value_name = "NAME")]
        operator: Option<OperatorName>,
    },
}

#[derive(clap::Args)]
struct InviteArguments {
    /// The name of the new box.
    #[arg(long = "box", value_name = "NAME")]
    instance: StationName,
    /// The modules that shall run there: authority, identity, provisioning, software. A console and a supervisor are on
    /// every box.
    #[arg(long, required = true, value_name = "MODULE", value_delimiter = ',', value_parser = super::serve::module)]
    modules: Vec<Module>,
    /// Who operates the new box, with a key that is made there: the first who invites, if nobody is named.
    #[arg(long = "for", value_name = "NAME")]
    operator: Option<OperatorName>,
    /// How long the token can be used: 30m, 1h, 7d.
    #[arg(long, default_value = "1h", value_parser = span, value_name = "TIME")]
    valid: u64,
    /// Where the new box finds the records, if not where this one does.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Where the new box finds the broker, if not where this one does; once for each server.
    #[arg(long, value_name = "URL")]
    bus: Vec<String>,
    /// Who invites: two of the operators, or the only one there is.
    #[arg(long = "operator", value_name = "NAME")]
    by: Vec<OperatorName>,
    /// The file that gets the token. It is secret: whoever has it can be that box.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(clap::Args)]
struct JoinArguments {
    /// The token.
    #[arg(required_unless_present = "answer", conflicts_with = "answer")]
    token: Option<PathBuf>,
    /// Where the request is written.
    #[arg(long, value_name = "FILE", requires = "token", required_unless_present = "answer")]
    out: Option<PathBuf>,
    /// What an operator of the first box answered.
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    /// With the answer: the file that holds the password for the records, if their server asks for one.
    #[arg(long, value_name = "FILE", requires = "answer")]
    store_password_file: Option<PathBuf>,
    /// With the answer: the certificates by which that server proves its name, PEM, if it is on another machine.
    #[arg(long, value_name = "FILE", requires = "answer")]
    store_trust: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    #[serde(rename = "box")]
    instance: String,
    state: &'static str,
    not_after: String,
    serial: String,
}

/// The longest that a token can be used, in milliseconds: 30 days.
const VALID_MAX_MS: u64 = 30 * 86_400_000;

/// Reads a span of time, in milliseconds.
fn span(text: &str) -> std::result::Result<u64, String> {
    let bad = || "a time is written 30m, 1h or 7d, and is 30d at most".to_owned();
    let unit = text.chars().last().ok_or_else(bad)?;
    let ms: u64 = match unit {
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return Err(bad()),
    };
    let count: u64 = text.strip_suffix(unit).and_then(|count| count.parse().ok()).ok_or_else(bad)?;
    count.checked_mul(ms).filter(|ms| (1..=VALID_MAX_MS).contains(ms)).ok_or_else(bad)
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::List => list(common),
        Verb::Renew { modules, expired: true, operator, .. } => renew_expired(common, &modules, operator.as_ref()),
        Verb::Renew { modules, new_key: true, .. } => renew(common, &modules, Keys::New),
        Verb::Renew { modules, all: false, .. } => renew(common, &modules, Keys::Kept),
        Verb::Renew { .. } => {
            let installation = open(common)?;
            let all: Vec<_> = own(&installation)?.iter().map(ToString::to_string).collect();
            renew_on(common, &installation, &all, Keys::Kept)
        }
        Verb::Add { module } => {
            let installation = open(common)?;
            let module = Module::by_name(&module).ok_or_else(|| no_module(&module))?;
            let (config, label) = (&installation.workshop.config, module_label(module));
            let subject = module_entity(module, config);
            let certificate = enrol::certify(&installation, "modules", subject, "module", &label)?;
            print(common, &[row_of(&config.name, module, &certificate)])
        }
        Verb::Invite(arguments) => invite(common, arguments),
        Verb::Invitations => invitations(common),
        Verb::Uninvite { instance, operator } => {
            invite::uninvite(&workshop(common)?, &instance, operator.as_ref())?;
            let said = json!({"uninvited": instance});
            common.out().one(&said, || format!("{instance} is not invited any more: its token opens nothing\n"))
        }
        Verb::Join(JoinArguments { answer: Some(answer), store_password_file, store_trust, .. }) => {
            let places = Places::of(&common.data);
            let records = join::Records { password_file: store_password_file, trust: store_trust };
            let invited = join::take(&places, &answer, common.passphrase_file.as_deref(), records)?;
            let said = json!({"joined": invited.instance, "modules": invited.modules, "data": common.data});
            common.out().one(&said, || format!("{} is a box of the installation\n", invited.instance))?;
            common
                .out()
                .next("`cradle up`, when the broker knows this box: `cradle bus config --again` on the first one");
            Ok(())
        }
        Verb::Join(JoinArguments { token, out, .. }) => ask(common, token, out),
        Verb::Admit { request, out, operator } => {
            let installation = open(common)?;
            let (invited, certificates) = admit::admit(&installation, &request, operator.as_ref(), &out)?;
            let serials: Vec<_> = certificates.iter().map(|c| c.tbs().serial_number.to_string()).collect();
            let said =
                json!({"admitted": invited.instance, "modules": invited.modules, "serials": serials, "answer": out});
            common.out().one(&said, || {
                format!("{} is admitted: {} certificates, in {}\n", invited.instance, serials.len(), out.display())
            })?;
            common.out().next(
                "take the answer to the new box, `cradle module join --answer`; let the broker know it: \
                 `cradle bus config --again`, `nats-server --signal reload`",
            );
            Ok(())
        }
    }
}

fn open(common: &Common) -> Result<Installation> {
    Installation::open(&common.data, common.passphrase_file.as_deref())
}

fn workshop(common: &Common) -> Result<Workshop> {
    Workshop::open(&common.data, common.passphrase_file.as_deref())
}

fn list(common: &Common) -> Result {
    let now = SystemClock.now();
    let mut rows: Vec<_> = enrol::holders(&common.records()?)?
        .iter()
        .filter_map(|holder| {
            let Entity::Module(module, instance) = &holder.subject else { return None };
            let end = not_after(holder);
            let state = if end < now { "expired" } else { "certified" };
            let (name, instance) = (module.to_string(), instance.to_string());
            Some(Row { name, instance, state, not_after: end.to_string(), serial: holder.serial.to_string() })
        })
        .collect();
    rows.sort_by(|a, b| (&a.instance, &a.name, &a.not_after).cmp(&(&b.instance, &b.name, &b.not_after)));
    print(common, &rows)
}

fn print(common: &Common, rows: &[Row]) -> Result {
    common.out().rows(&["name", "box", "state", "not_after", "serial"], rows)
}

fn no_module(name: &str) -> Failure {
    Failure::new(Exit::NotFound, "module-unknown", format!("there is no module {name:?} here"))
        .because("this box has no such module with a key")
        .next("see `cradle module list`")
}

fn row_of(workshop_name: &StationName, module: Module, certificate: &Certificate) -> Row {
    let tbs = certificate.tbs();
    let (not_after, serial) = (tbs.not_after.to_string(), tbs.serial_number.to_string());
    Row { name: module.to_string(), instance: workshop_name.to_string(), state: "certified", not_after, serial }
}

fn renew_expired(common: &Common, names: &[String], operator: Option<&OperatorName>) -> Result {
    let named = names.iter().map(|name| Module::by_name(name).ok_or_else(|| no_module(name)));
    let named = named.collect::<Result<Vec<_>>>()?;
    let name = crate::config::Config::read(&common.data)?.name;
    let renewed = lapsed::modules(&common.data, common.passphrase_file.as_deref(), &named, operator)?;
    let rows: Vec<_> = renewed.iter().map(|(module, certificate)| row_of(&name, *module, certificate)).collect();
    print(common, &rows)
}

/// Which key is certified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// The one that is there.
    Kept,
    /// Another one.
    New,
}

fn renew(common: &Common, names: &[String], keys: Keys) -> Result {
    renew_on(common, &open(common)?, names, keys)
}

/// The modules of this box: those that have a key here, whose certificate may be revoked.
fn own(installation: &Installation) -> Result<Vec<Module>> {
    let keys = installation.workshop.places.keys();
    let has_key = |module: &Module| keys.join(format!("{}.p8", module_label(*module))).exists();
    Ok(Module::ALL.into_iter().filter(has_key).collect())
}

fn renew_on(common: &Common, installation: &Installation, names: &[String], keys: Keys) -> Result {
    let (workshop, own) = (&installation.workshop, own(installation)?);
    let find = |name: &String| Module::by_name(name).filter(|module| own.contains(module));
    let wanted = names.iter().map(|name| find(name).ok_or_else(|| no_module(name))).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for module in wanted {
        let (subject, label) = (module_entity(module, &workshop.config), module_label(module));
        let certificate = match keys {
            Keys::Kept => enrol::certify(installation, "modules", subject, "module", &label)?,
            Keys::New => enrol::replace(installation, "modules", subject, "module", &label)?,
        };
        rows.push(row_of(&workshop.config.name, module, &certificate));
    }
    print(common, &rows)
}

fn invite(common: &Common, arguments: InviteArguments) -> Result {
    let InviteArguments { instance, modules, operator, valid, store, bus, by, out } = arguments;
    let wanted = invite::Wanted { instance, modules, operator, valid_ms: valid, by, store, bus, out };
    let invited = invite::invite(&workshop(common)?, &wanted)?;
    let said = json!({
        "invited": invited.instance, "modules": invited.modules, "for": invited.operator,
        "until": invited.until.to_string(), "token": wanted.out,
    });
    common.out().one(&said, || {
        let (instance, until) = (&invited.instance, invited.until);
        format!("{instance} may join until {until}, once, with {}\n", wanted.out.display())
    })?;
    common.out().next("take the token to the new box in secret; there: `cradle module join TOKEN --out REQUEST`");
    Ok(())
}

#[derive(Serialize)]
struct InvitationShown {
    #[serde(rename = "box")]
    instance: String,
    modules: String,
    #[serde(rename = "for")]
    operator: String,
    until: String,
    state: &'static str,
}

fn invitations(common: &Common) -> Result {
    let now = SystemClock.now();
    let rows: Vec<_> = common.records()?.invitations()?;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let said = invite::shown(row);
            let modules = said.as_ref().map(|said| said.modules.iter().map(ToString::to_string).collect::<Vec<_>>());
            InvitationShown {
                instance: row.instance.to_string(),
                modules: modules.unwrap_or_default().join(","),
                operator: said.map(|said| said.operator.to_string()).unwrap_or_default(),
                until: row.until.to_string(),
                state: invite::state(row, now),
            }
        })
        .collect();
    common.out().rows(&["box", "modules", "for", "until", "state"], &rows)
}

fn ask(common: &Common, token: Option<PathBuf>, out: Option<PathBuf>) -> Result {
    let (Some(token), Some(out)) = (token, out) else {
        return Err(
            Failure::new(Exit::Usage, "usage", "a token and --out are needed").next("see `cradle module join --help`")
        );
    };
    let places = Places::of(&common.data);
    let given = common.passphrase_file.as_deref().map(|path| compose::passphrase(&places, Some(path))).transpose()?;
    let invited = join::ask(&places, &token, given.as_ref(), &out)?;
    let said = json!({"asks": invited.instance, "modules": invited.modules, "request": out});
    common.out().one(&said, || {
        format!("{} has made its keys, and asks that they be certified: {}\n", invited.instance, out.display())
    })?;
    common
        .out()
        .next("take the request to the first box: `cradle module admit REQUEST --out ANSWER`; remove the token");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(span(text).ok(), expected, "{text:?}");
    }
    #[test]
    fn minutes_hours_and_days_are_read() {
        check("1m", Some(60_000));
        check("1h", Some(3_600_000));
        check("30d", Some(VALID_MAX_MS));
    }
    #[test]
    fn what_is_no_time_or_too_long_is_refused() {
        for text in ["", "h", "1", "0h", "-1h", "1 h", "31d", "1w", "99999999999999999999d", "1é"] {
            check(text, None);
        }
    }
}
