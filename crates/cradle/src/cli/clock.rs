//! `cradle clock`: what the clock says, and what was recorded last.

use super::Common;
use crate::clock;
use crate::compose::Workshop;
use crate::fault::Result;
use crate::operators;
use adapters::clock::SystemClock;
use model::audit::{Entry, Event};
use model::{Module, OperatorName, UnixTime};
use ports::Clock;
use ports::store::AuditSink;
use serde::Serialize;
use serde_json::json;

/// What an operator signs.
const STATEMENT: &str = "cradle-clock";

/// The clock of this box.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Show what the clock says, and when something was recorded last.
    Show,
    /// Say that the clock is right, although it is far ahead of what was recorded last: the box lay in store. Signed with
    /// the operator's key and recorded.
    Accept {
        /// Who says so: the only operator, if nobody is named.
        #[arg(long, env = "CRADLE_OPERATOR")]
        operator: Option<OperatorName>,
        /// Do it without asking for the date.
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Serialize)]
struct Statement<'a> {
    says: &'static str,
    operator: &'a OperatorName,
    latest: UnixTime,
    at: UnixTime,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Show => show(common),
        Verb::Accept { operator, yes } => accept(common, operator.as_ref(), yes),
    }
}

fn show(common: &Common) -> Result {
    let (now, latest) = (SystemClock.now(), common.records()?.totals()?.latest);
    let state = match (clock::is_ahead(now, latest), now < latest) {
        (true, _) => "far ahead: nothing is recorded until `cradle clock accept`",
        (false, true) => "behind: nothing is issued until it has caught up",
        (false, false) => "fits",
    };
    let said = json!({"clock": now.to_string(), "latest": latest.to_string(), "state": state});
    common.out().one(&said, || format!("clock          {now}\nlatest record  {latest}\nstate          {state}\n"))
}

fn accept(common: &Common, named: Option<&OperatorName>, yes: bool) -> Result {
    let workshop = Workshop::open_at_any_time(&common.data, common.passphrase_file.as_deref())?;
    let (at, latest) = (workshop.clock.now(), workshop.store.totals()?.latest);
    if !clock::is_ahead(at, latest) {
        let said = json!({"accepted": false, "clock": at.to_string(), "latest": latest.to_string()});
        return common.out().one(&said, || format!("{at} is not far ahead of {latest}: nothing was to be accepted\n"));
    }
    let operator = workshop.operator(named)?;
    if !yes {
        let day: String = at.to_string().chars().take(10).collect();
        let plan = format!(
            "Nothing was recorded since {latest}. What is recorded from now on is of {at} and later: a clock that is \
             wrong stops this box until then."
        );
        super::confirm(common.out(), &plan, &day)?;
    }
    // Judged by the latest moment that is known: under a wrong clock everybody's certificate may have expired.
    let statement = Statement { says: "the clock is right", operator: &operator, latest, at };
    operators::sign_at(&workshop, &operator, STATEMENT, &statement, latest)?;
    let event = Event::ClockAccepted { operator: operator.to_string(), from: latest };
    workshop.store.append(vec![Entry { at, by: Module::Supervisor, event }])?;
    let said = json!({"accepted": true, "clock": at.to_string(), "latest": latest.to_string(), "operator": operator});
    common.out().one(&said, || format!("{at} is right, says {operator}\n"))?;
    common.out().next("cradle status: what expired meanwhile, and which lists are overdue");
    Ok(())
}
