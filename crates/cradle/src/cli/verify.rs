//! `cradle verify`: all records against each other.

use super::Common;
use super::audit::verify_log;
use crate::config::Places;
use crate::doctor::files;
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use adapters::store::SqlStore;
use adapters::store::sql::Counts;
use serde_json::json;

/// Check all records against each other.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Check every certificate, signature, grant and list too, not only the audit log.
    #[arg(long)]
    deep: bool,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let store = common.records()?;
    let (entries, root) = verify_log(common, &store, &[])?;
    let counts = if arguments.deep { deep(common, &store)? } else { Counts::default() };
    let said = json!({
        "audit_entries": entries, "audit_root": root, "deep": arguments.deep, "intents": counts.intents,
        "certificates": counts.certificates, "open_intents": counts.open_intents,
        "closed_intents": counts.closed_intents, "revoked": counts.revoked, "crls": counts.crls,
        "authorities": counts.authorities, "devices_provisioned": counts.devices_provisioned,
    });
    common.out().one(&said, || {
        let mut text = format!("audit log      {entries} entries, sound\n");
        if arguments.deep {
            text.push_str(&format!(
                "certificates   {} of {} intents, each intended before it was signed, signed by its authority\n\
                 open intents   {} (closed at the next start), {} closed before\n\
                 revoked        {} on {} lists\ndevices        {} provisioned, each with its own certificate\n",
                counts.certificates,
                counts.intents,
                counts.open_intents,
                counts.closed_intents,
                counts.revoked,
                counts.crls,
                counts.devices_provisioned,
            ));
        }
        let end = if arguments.deep {
            "All records agree.\n"
        } else {
            "Certificates, signatures, grants and lists were not compared: `cradle verify --deep` does.\n"
        };
        text + end
    })
}

fn deep(common: &Common, store: &SqlStore) -> Result<Counts> {
    let bar = progress::bar(common.out(), "records", 0);
    let result = store.check_deep(&mut |n| {
        bar.set_length(n + 1);
        bar.set_position(n + 1);
    });
    bar.finish_and_clear();
    let images = files::missing_images(&Places::of(&common.data), store)?;
    let counts = result?.map_err(|findings| {
        let places = findings.iter().map(|f| format!("{}: {}: {}", f.invariant, f.place, f.what));
        let places: Vec<_> = places.chain(images.iter().cloned()).collect();
        Failure::new(Exit::Failed, "records-disagree", "the records contradict each other")
            .because(places.join("; "))
            .next("keep this data directory for examination; restore from a backup of before")
    })?;
    if images.is_empty() {
        return Ok(counts);
    }
    Err(Failure::new(Exit::Failed, "records-disagree", "the records name images that are not in the vault")
        .because(images.join("; "))
        .next(files::IMPORT_AGAIN))
}
