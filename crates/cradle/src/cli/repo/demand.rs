//! `cradle repo demand`: of which images several roles must say the same.

use super::super::Common;
use super::{act, said};
use crate::fault::Result;
use serde_json::{Value, json};
use std::path::Path;

/// For which hardware, and how many roles.
#[derive(clap::Args)]
pub(super) struct Demand {
    /// The hardware, or the type of devices.
    #[arg(requires = "signing_roles")]
    hardware: Option<model::DeviceType>,
    /// How many roles must say the same of what is for it; 1 for no demand.
    #[arg(long, value_name = "N", requires = "hardware", value_parser = clap::value_parser!(u8).range(1..=8))]
    signing_roles: Option<u8>,
}

pub(super) fn run(common: &Common, dir: &Path, asked: &Demand) -> Result {
    if let Some((hardware, roles)) = asked.hardware.as_ref().zip(asked.signing_roles) {
        act::staged(common, dir, |repository| repository.demand(hardware, roles))?;
        return common.out().one(&json!({"hardware": hardware, "signing_roles": roles}), || {
            format!("{roles} roles must say the same of what is for {hardware}, from now on\n")
        });
    }
    let demands = act::open(common, dir)?.demands().map_err(|fault| said::failed(dir, &fault))?;
    let rows: Vec<Value> =
        demands.all().map(|(hardware, n)| json!({"hardware": hardware, "signing_roles": n})).collect();
    common.out().one(&json!({ "demands": rows }), || match rows.is_empty() {
        true => "nothing is demanded\n".to_owned(),
        false => demands.all().map(|(hardware, n)| format!("{hardware}  {n} roles\n")).collect(),
    })
}
