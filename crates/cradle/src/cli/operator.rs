//! `cradle operator`: the people whose keys order things. `cradle module`: the parts of this box that have a key.

use super::{Common, export};
use crate::compose::{Installation, module_entity, module_label, operator_label};
use crate::enrol;
use crate::fault::{Exit, Failure, Result, While, exit_of};
use crate::lapsed;
use adapters::clock::SystemClock;
use adapters::store::sql::survey::Holder;
use model::contract::authority::{RevocationReason, Revoke};
use model::{Entity, Module, OperatorName, Reason, UnixTime};
use ports::Clock;
use ports::link::verify_statement;
use serde::Serialize;
use serde_json::json;
use x509::Certificate;

/// People who operate this system.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List operators and how long they are certified.
    List,
    /// Make a key for another operator and certify it. Needs the mode `certificate-management` or `ceremony`.
    Add {
        /// The name.
        name: OperatorName,
    },
    /// Certify an operator's key again, before the certificate expires. Needs the same modes.
    Renew {
        /// The name.
        name: OperatorName,
        /// The certificate has expired already. Needs no mode: the operator's key signs that it shall be, and that is
        /// recorded.
        #[arg(long)]
        expired: bool,
    },
    /// Write an operator's key, certificate and chain into a file under a password (PKCS #12). Two operators must say so,
    /// if there are two.
    Export {
        /// The name.
        name: OperatorName,
        #[command(flatten)]
        to: export::To,
    },
    /// Revoke all certificates of an operator, who orders nothing any more. Needs the same modes.
    Revoke {
        /// The name.
        name: OperatorName,
        /// Do it without asking for the name again.
        #[arg(short, long)]
        yes: bool,
    },
}

/// The parts of this box that have a key.
#[derive(clap::Args)]
pub(crate) struct ModuleArguments {
    #[command(subcommand)]
    verb: ModuleVerb,
}

#[derive(clap::Subcommand)]
enum ModuleVerb {
    /// List modules and how long they are certified.
    List,
    /// Certify the keys of modules again, before their certificates expire. Needs the mode `certificate-management` or
    /// `ceremony`.
    Renew {
        /// The modules: authority, console, identity, provisioning, software, supervisor.
        #[arg(required_unless_present = "all")]
        modules: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "modules")]
        all: bool,
        /// Their certificates have expired already. Needs no mode: an operator signs that they shall be, and that is
        /// recorded.
        #[arg(long)]
        expired: bool,
        /// Who signs that: the only operator, if nobody is named.
        #[arg(long, env = "CRADLE_OPERATOR", requires = "expired")]
        operator: Option<OperatorName>,
    },
}

#[derive(Serialize)]
struct Row {
    name: String,
    state: &'static str,
    not_after: String,
    serial: String,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::List => list(common, |subject| subject.operator().map(ToString::to_string)),
        Verb::Add { name } => add(common, &name),
        Verb::Renew { name, expired: true } => {
            let certificate = lapsed::operator(&common.data, common.passphrase_file.as_deref(), &name)?;
            say(common, "renewed", &name.to_string(), &certificate)
        }
        Verb::Renew { name, expired: false } => {
            let installation = open(common)?;
            held_by(&installation, &name)?;
            let certificate = certify(&installation, &name)?;
            say(common, "renewed", &name.to_string(), &certificate)
        }
        Verb::Export { name, to } => {
            let subject = Entity::Operator(name.clone());
            export::run(common, name.as_str(), &subject, &operator_label(&name), &to)
        }
        Verb::Revoke { name, yes } => revoke(common, &name, yes),
    }
}

pub(crate) fn run_module(common: &Common, arguments: ModuleArguments) -> Result {
    match arguments.verb {
        ModuleVerb::List => list(common, |subject| match subject {
            Entity::Module(module, _) => Some(module.to_string()),
            Entity::Device(_) | Entity::Authority(_) | Entity::Operator(_) | Entity::Responder(_) => None,
        }),
        ModuleVerb::Renew { modules, expired: true, operator, .. } => {
            renew_expired(common, &modules, operator.as_ref())
        }
        ModuleVerb::Renew { modules, all, .. } => renew_modules(common, &modules, all),
    }
}

fn open(common: &Common) -> Result<Installation> {
    Installation::open(&common.data, common.passphrase_file.as_deref())
}

fn not_after(holder: &Holder) -> UnixTime {
    Certificate::decode(&holder.der).map_or(UnixTime::from_s(0), |certificate| certificate.tbs().not_after)
}

/// The certificates of those that `name` names, by name and end.
fn list(common: &Common, name: impl Fn(&Entity) -> Option<String>) -> Result {
    let now = SystemClock.now();
    let row = |holder: &Holder| {
        let end = not_after(holder);
        let state = if end < now { "expired" } else { "certified" };
        let (not_after, serial) = (end.to_string(), holder.serial.to_string());
        Some(Row { name: name(&holder.subject)?, state, not_after, serial })
    };
    let mut rows: Vec<_> = enrol::holders(&common.records()?)?.iter().filter_map(row).collect();
    rows.sort_by(|a, b| (&a.name, &a.not_after).cmp(&(&b.name, &b.not_after)));
    common.out().rows(&["name", "state", "not_after", "serial"], &rows)
}

/// The certificates of an operator that are not revoked.
fn held_by(installation: &Installation, name: &OperatorName) -> Result<Vec<Holder>> {
    let mut holders = enrol::holders(&installation.workshop.store)?;
    holders.retain(|holder| holder.subject.operator() == Some(name));
    if holders.is_empty() {
        let what = format!("{name} is no operator of this installation");
        return Err(Failure::new(Exit::NotFound, "operator-unknown", what)
            .because("no certificate that is not revoked names them")
            .next("see `cradle operator list`"));
    }
    Ok(holders)
}

fn certify(installation: &Installation, name: &OperatorName) -> Result<Certificate> {
    let subject = Entity::Operator(name.clone());
    enrol::certify(installation, "operators", subject, "operator", &operator_label(name))
}

fn say(common: &Common, word: &str, name: &str, certificate: &Certificate) -> Result {
    let tbs = certificate.tbs();
    let said = json!({word: name, "serial": tbs.serial_number.to_string(), "not_after": tbs.not_after.to_string()});
    common.out().one(&said, || format!("{name} is certified until {}\n", tbs.not_after))
}

fn add(common: &Common, name: &OperatorName) -> Result {
    let installation = open(common)?;
    if held_by(&installation, name).is_ok() {
        let taken = Reason::NameTaken;
        return Err(Failure::new(exit_of(taken), taken.code(), format!("{name} is an operator already"))
            .because("a certificate that is not revoked names them")
            .next(format!("`cradle operator renew {name}` certifies the same key for longer")));
    }
    let certificate = certify(&installation, name)?;
    say(common, "added", &name.to_string(), &certificate)?;
    common.out().next(&format!("{name} orders with --operator {name}; the key lies beside the others"));
    Ok(())
}

fn revoke(common: &Common, name: &OperatorName, yes: bool) -> Result {
    let installation = open(common)?;
    let held = held_by(&installation, name)?;
    enrol::check_mode(&installation)?;
    let workshop = &installation.workshop;
    let statement = installation.supervisor.row().statement;
    let order = verify_statement(&statement, &workshop.directory()?, workshop.clock.now());
    if order.or_fail("checking who ordered the mode")?.operator == *name {
        return Err(Failure::new(Exit::Conflict, "operator-in-force", format!("{name} was not revoked"))
            .because(format!("{name} ordered the mode of this box: nobody would stand behind it"))
            .next("have another operator order it first: `cradle mode set MODE --operator OTHER`"));
    }
    if !yes {
        let plan = format!("This revokes {} certificates of {name}, for good.", held.len());
        super::confirm(common.out(), &plan, name.as_str())?;
    }
    for holder in &held {
        let call = Revoke { serial: holder.serial.to_string(), reason: RevocationReason::CessationOfOperation };
        installation.ask(&call, &format!("revoking {name}"))?;
    }
    let said = json!({"revoked": name, "certificates": held.len()});
    common.out().one(&said, || format!("{name} is no operator any more: {} certificates revoked\n", held.len()))
}

fn no_module(name: &str) -> Failure {
    Failure::new(Exit::NotFound, "module-unknown", format!("there is no module {name:?} here"))
        .because("no certificate that is not revoked names it")
        .next("see `cradle module list`")
}

fn renew_expired(common: &Common, names: &[String], operator: Option<&OperatorName>) -> Result {
    let find = |name: &String| Module::ALL.into_iter().find(|module| module.to_string() == *name);
    let named = names.iter().map(|name| find(name).ok_or_else(|| no_module(name))).collect::<Result<Vec<_>>>()?;
    let renewed = lapsed::modules(&common.data, common.passphrase_file.as_deref(), &named, operator)?;
    let rows: Vec<_> = renewed.iter().map(|(module, certificate)| row_of(*module, certificate)).collect();
    common.out().rows(&["name", "state", "not_after", "serial"], &rows)
}

fn row_of(module: Module, certificate: &Certificate) -> Row {
    let tbs = certificate.tbs();
    let (not_after, serial) = (tbs.not_after.to_string(), tbs.serial_number.to_string());
    Row { name: module.to_string(), state: "certified", not_after, serial }
}

fn renew_modules(common: &Common, names: &[String], all: bool) -> Result {
    let installation = open(common)?;
    let workshop = &installation.workshop;
    let certified: Vec<Module> = enrol::holders(&workshop.store)?
        .iter()
        .filter_map(|holder| match &holder.subject {
            Entity::Module(module, _) => Some(*module),
            Entity::Device(_) | Entity::Authority(_) | Entity::Operator(_) | Entity::Responder(_) => None,
        })
        .collect();
    let wanted: Vec<Module> = if all {
        Module::ALL.into_iter().filter(|module| certified.contains(module)).collect()
    } else {
        let find = |name: &String| {
            let found =
                Module::ALL.into_iter().find(|module| module.to_string() == *name && certified.contains(module));
            found.ok_or_else(|| no_module(name))
        };
        names.iter().map(find).collect::<Result<_>>()?
    };
    let mut rows = Vec::new();
    for module in wanted {
        let subject = module_entity(module, &workshop.config);
        let certificate = enrol::certify(&installation, "modules", subject, "module", &module_label(module))?;
        rows.push(row_of(module, &certificate));
    }
    common.out().rows(&["name", "state", "not_after", "serial"], &rows)
}
