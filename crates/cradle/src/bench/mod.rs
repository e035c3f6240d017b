//! `cradle bench`: this machine's limit, and this program on it.

use crate::cli::Common;
use crate::fault::Result;

/// Measure this machine and this program on it.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Common, _: &Arguments) -> Result {
    Ok(())
}
