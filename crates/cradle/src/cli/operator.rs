//! `cradle operator`: the people whose keys order things.

use super::{Common, export};
use crate::compose::{Installation, operator_label};
use crate::enrol;
use crate::fault::{Exit, Failure, Result, While, exit_of};
use crate::lapsed;
use adapters::clock::SystemClock;
use adapters::store::sql::survey::Holder;
use model::contract::authority::{RevocationReason, Revoke};
use model::{Entity, OperatorName, Reason, UnixTime};
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

fn open(common: &Common) -> Result<Installation> {
    Installation::open(&common.data, common.passphrase_file.as_deref())
}

pub(super) fn not_after(holder: &Holder) -> UnixTime {
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
