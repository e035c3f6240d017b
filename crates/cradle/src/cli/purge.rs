//! `cradle purge`: what the settings do not keep any longer.

use super::Common;
use crate::compose::Workshop;
use crate::config::Config;
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use adapters::clock::SystemClock;
use adapters::store::sql::{Purge, Purged};
use model::{OperatorName, UnixTime};
use ports::Clock;
use serde::Serialize;

/// Take out the octets of what expired longer ago than the settings keep it.
///
/// Of certificates of devices, and of lists of revoked certificates that others took the place of; and requests that ended
/// without a word of an operator. Serial numbers, digests, revocations and the audit log stay, so nothing is issued twice
/// and everything can still be explained. `[retention]` in cradle.toml says how long: `days_after_expiry = 3650`. It may be
/// interrupted, and goes on where it was. The database does not get smaller: its room is used again.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Say what would go, and take out nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Who orders it: the only operator, if nobody is named.
    #[arg(long, env = "CRADLE_OPERATOR")]
    operator: Option<OperatorName>,
}

#[derive(Serialize)]
struct Said {
    before: String,
    certificates: u64,
    lists: u64,
    requests: u64,
    purged: bool,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let retention = Config::read(&common.data)?.retention.ok_or_else(|| {
        Failure::new(Exit::Usage, "no-retention", "nothing is purged")
            .because("the settings do not say how long what has expired is kept, so it is kept for ever")
            .next("write `[retention]` and `days_after_expiry = 3650` into cradle.toml, if you want otherwise")
    })?;
    let before = retention.edge(SystemClock.now());
    if arguments.dry_run {
        let due = crate::compose::open_to_read(&common.data)?.purgeable(before)?;
        return say(common, before, due, false);
    }
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    let operator = workshop.operator(arguments.operator.as_ref())?;
    let due = workshop.store.purgeable(before)?;
    if !arguments.yes {
        let Purged { certificates, lists, requests } = due;
        let plan =
            format!("{certificates} certificates, {lists} lists and {requests} requests from before {before} go.");
        super::confirm(common.out(), &plan, "purge")?;
    }
    let bar = progress::bar(common.out(), "purging", due.certificates);
    let (mut purge, mut all) = (Purge::new(before, operator.as_str()), Purged::default());
    loop {
        let gone = workshop.store.purge(&mut purge, workshop.clock.now())?;
        if gone.is_empty() {
            break;
        }
        bar.inc(gone.certificates);
        all.certificates += gone.certificates;
        all.lists += gone.lists;
        all.requests += gone.requests;
    }
    bar.finish_and_clear();
    say(common, before, all, true)
}

fn say(common: &Common, before: UnixTime, what: Purged, purged: bool) -> Result {
    let Purged { certificates, lists, requests } = what;
    let said = Said { before: before.to_string(), certificates, lists, requests, purged };
    common.out().one(&said, || {
        let word = if purged { "went" } else { "would go" };
        format!("{certificates} certificates, {lists} lists and {requests} requests from before {before} {word}\n")
    })
}
