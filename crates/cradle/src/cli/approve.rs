//! `cradle approve`: requests that wait for operators.

use super::Common;
use crate::compose::{Installation, module_off};
use crate::fault::{Failure, Result, exit_of};
use crate::operators;
use adapters::clock::SystemClock;
use adapters::store::SqlStore;
use model::{Module, OperatorName, Reason};
use ports::Clock;
use ports::store::AuthorityStore;
use ports::store::authority::{ApprovalDraft, PendingRow};
use serde::Serialize;
use utoipa::ToSchema;

/// Requests that wait for operators.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List the requests that wait, oldest first.
    List,
    /// Approve a request: the operator's key signs its digest. Needs a mode in which the authority is awake.
    Yes(Word),
    /// Deny a request, for good.
    No(Word),
}

/// What an operator says, and to what.
#[derive(clap::Args)]
struct Word {
    /// The number of the request in the list.
    id: u64,
    /// Who says so: the only operator, if nobody is named.
    #[arg(long, env = "CRADLE_OPERATOR")]
    operator: Option<OperatorName>,
}

/// A request that waits.
#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
pub(crate) struct Row {
    id: u64,
    subject: String,
    profile: String,
    requester: String,
    needed: u32,
    approved: Vec<String>,
    denied: Vec<String>,
    at: String,
    until: String,
    transaction_id: String,
    request: String,
}

/// What an operator's key signs.
#[derive(Serialize)]
struct Statement<'a> {
    /// `approve` or `deny`, and the digest of the request.
    says: String,
    subject: String,
    profile: &'a str,
    operator: &'a OperatorName,
    at: model::UnixTime,
}

/// The `typ` of that statement.
const STATEMENT: &str = "cradle-approval";

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::List => {
            let rows = rows(&common.records()?)?;
            common
                .out()
                .rows(&["id", "subject", "profile", "requester", "needed", "approved", "denied", "until"], &rows)
        }
        Verb::Yes(word) => say(common, &word, true),
        Verb::No(word) => say(common, &word, false),
    }
}

/// The requests that wait, oldest first.
pub(crate) fn rows(store: &SqlStore) -> Result<Vec<Row>> {
    Ok(store.requests_waiting(SystemClock.now())?.iter().map(row).collect())
}

fn row(row: &PendingRow) -> Row {
    Row {
        id: row.id,
        subject: row.subject.to_string(),
        profile: row.profile.to_string(),
        requester: row.requester.clone(),
        needed: row.needed,
        approved: row.approved.clone(),
        denied: row.denied.clone(),
        at: row.at.to_string(),
        until: row.until.to_string(),
        transaction_id: row.transaction_id.to_string(),
        request: row.request.to_string(),
    }
}

fn refused(reason: Reason, id: u64, why: &str) -> Failure {
    Failure::new(exit_of(reason), reason.code(), format!("nothing was said to request {id}"))
        .because(why)
        .next("see `cradle approve list`")
}

/// What an operator said to a request.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalSaid)]
pub(crate) struct Said {
    id: u64,
    says: &'static str,
    operator: String,
    approved: usize,
    needed: u32,
    subject: String,
    profile: String,
}

fn say(common: &Common, word: &Word, approved: bool) -> Result {
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let said = say_in(&installation, word.id, word.operator.as_ref(), approved)?;
    common.out().one(&said, || {
        let Said { operator, subject, profile, approved: given, needed, .. } = &said;
        if approved {
            format!("{operator} approves {subject} under {profile}: {given} of {needed}\n")
        } else {
            format!("{operator} denies {subject} under {profile}\n")
        }
    })
}

/// Has an operator approve or deny a request.
pub(crate) fn say_in(
    installation: &Installation,
    id: u64,
    operator: Option<&OperatorName>,
    approved: bool,
) -> Result<Said> {
    let binding = installation.supervisor.row().binding;
    if !binding.permits(Module::Authority) {
        return Err(module_off(Module::Authority, binding, "approving"));
    }
    let (workshop, at) = (&installation.workshop, installation.workshop.clock.now());
    let operator = workshop.operator(operator)?;
    let waiting = workshop.store.requests_waiting(at)?;
    let pending = waiting.iter().find(|row| row.id == id);
    let pending = pending.ok_or_else(|| refused(Reason::TransactionUnknown, id, "no request of this number waits"))?;
    let verb = if approved { "approve" } else { "deny" };
    let statement = Statement {
        says: format!("{verb} {}", pending.request),
        subject: pending.subject.to_string(),
        profile: pending.profile.as_str(),
        operator: &operator,
        at,
    };
    let statement = operators::sign(workshop, &operator, STATEMENT, &statement)?;
    let draft = ApprovalDraft { pending: pending.id, operator: operator.to_string(), statement, approved, at };
    let taken = workshop.store.approve(&draft)?;
    taken.map_err(|reason| refused(reason, id, "it waits no more, or this operator has spoken before"))?;
    Ok(Said {
        id: pending.id,
        says: verb,
        operator: operator.to_string(),
        approved: pending.approved.len() + usize::from(approved),
        needed: pending.needed,
        subject: pending.subject.to_string(),
        profile: pending.profile.to_string(),
    })
}
