//! `cradle release`: software, from the repositories that this box follows into the vault.

mod bundle;

use super::Common;
use crate::compose::Workshop;
use crate::fault::{Failure, Result};
use adapters::files;
use model::Digest;
use ports::store::SoftwareStore;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Software releases.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Put the images that this box keeps into a directory, encrypted for another box that was admitted: it becomes the
    /// vault there.
    Copy {
        /// The directory, which is made if it is not there. What is in it already stays.
        directory: PathBuf,
        /// The box.
        #[arg(long = "box", value_name = "NAME")]
        instance: model::StationName,
    },
    /// Follow repositories of software from now on, beginning with their first roots. Only what they say is flashed then.
    Follow(bundle::Follow),
    /// Bring software in: follow the repositories at SOURCE, verify all that they say to this box, countersign it and keep it
    /// encrypted. Needs the mode `software-import`, and `software-management` if SOURCE is an address.
    Import(bundle::Import),
    /// Write the last bundle to a directory, as a source for another box.
    Export(bundle::Export),
    /// Verify all that is kept again, to the last octet. Needs a mode in which sm may run, like `software-import`.
    Scrub,
    /// List the stored releases, newest first.
    List,
}

#[derive(Serialize)]
struct Row {
    release: String,
    device_type: String,
    counter: u64,
    image: String,
    length: u64,
    stored_at: String,
    /// The bundle that it is in.
    bundle: Digest,
}

/// Puts the images of this box where another box finds them, encrypted for that one.
fn copy(common: &Common, directory: &Path, instance: &model::StationName) -> Result {
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    let reader = crate::joining::admit::vault_key_of(&workshop, instance)?;
    files::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
    let copied = workshop.copy_images(directory, reader)?;
    let said = json!({"copied": copied, "box": instance, "directory": directory});
    common.out().one(&said, || format!("{copied} images for {instance} in {}\n", directory.display()))?;
    common.out().next("take what is in it into `vault` in the data directory of that box");
    Ok(())
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Copy { directory, instance } => copy(common, &directory, &instance),
        Verb::Follow(arguments) => bundle::follow(common, &arguments),
        Verb::Import(arguments) => bundle::import(common, &arguments),
        Verb::Export(arguments) => bundle::export(common, &arguments),
        Verb::Scrub => bundle::scrub(common),
        Verb::List => {
            let rows = bundle::rows(&common.records()?.bundles()?);
            common.out().rows(&["release", "device_type", "counter", "length", "image", "stored_at"], &rows)
        }
    }
}
