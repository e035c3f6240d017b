//! What an installation is, as far as a plan depends on it; read without changing anything.

use crate::compose;
use crate::config::{Config, Places};
use crate::enrol;
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use adapters::store::SqlStore;
use ceremony::{Finding, INPUT_LEN_MAX, Known, KnownProfile, PLAN_LEN_MAX, Plan, Step, Surroundings};
use model::FileName;
use ports::store::AuthorityStore;
use ports::store::authority::AuthorityRow;
use std::collections::BTreeMap;
use std::path::Path;

/// A plan, and the octets of the files that its steps read.
pub(super) struct Read {
    pub(super) plan: Plan,
    pub(super) inputs: BTreeMap<FileName, Vec<u8>>,
    /// What does not fit: files that are not there, or others than were planned.
    pub(super) findings: Vec<Finding>,
}

/// A failure that names everything that is wrong with a plan.
pub(super) fn wrong(findings: &[Finding], what: &str) -> Failure {
    let all: Vec<_> = findings.iter().map(ToString::to_string).collect();
    Failure::new(Exit::Usage, "plan", what)
        .because(all.join("; "))
        .next("correct the plan, and have it approved again: another plan has another digest")
}

/// Reads a plan, and the files beside it that it names.
pub(super) fn read(path: &Path) -> Result<std::result::Result<Read, Vec<Finding>>> {
    let len_max = u64::try_from(PLAN_LEN_MAX).unwrap_or(u64::MAX);
    let octets = files::read_bounded(path, len_max).map_err(|e| Failure::file(path, &e))?;
    let plan = match Plan::decode(&octets) {
        Ok(plan) => plan,
        Err(findings) => return Ok(Err(findings)),
    };
    let beside = path.parent().unwrap_or(Path::new(""));
    let (mut inputs, mut findings) = (BTreeMap::new(), Vec::new());
    for (n, step) in plan.steps.iter().enumerate() {
        let Some(input) = step.input() else { continue };
        let field = if matches!(step, Step::Sign { .. }) { "request" } else { "certificate" };
        let mut wrong = |what: String| findings.push(Finding { step: Some(n + 1), field: field.into(), what });
        match files::read_bounded(&beside.join(input.file.as_str()), INPUT_LEN_MAX) {
            Ok(octets) if x509::sha256(&octets) == input.sha256 => {
                inputs.insert(input.file.clone(), octets);
            }
            Ok(octets) => wrong(format!(
                "{} is not the file that was planned: its SHA-256 is {}",
                input.file,
                x509::sha256(&octets)
            )),
            Err(e) => wrong(format!("{} beside the plan cannot be read: {e}", input.file)),
        }
    }
    Ok(Ok(Read { plan, inputs, findings }))
}

/// The same, or a failure that names all that is wrong.
pub(super) fn read_sound(path: &Path) -> Result<Read> {
    match read(path)? {
        Ok(read) if read.findings.is_empty() => Ok(read),
        Ok(read) => Err(wrong(&read.findings, "the files of this plan are not those that were planned")),
        Err(findings) => Err(wrong(&findings, &format!("{} is no plan", path.display()))),
    }
}

/// What an authority is here.
pub(super) fn known(row: &AuthorityRow) -> Known {
    match (row.retired, row.certificate.is_empty()) {
        (true, _) => Known::Retired,
        (false, true) => Known::Waits,
        (false, false) if row.key.0 == ports::keystore::OFFLINE || row.key.is_foreign() => Known::Elsewhere,
        (false, false) => Known::Here,
    }
}

/// The installation in a data directory.
pub(super) fn surroundings(data: &Path, config: &Config, store: &SqlStore) -> Result<Surroundings> {
    let profiles = compose::profiles(&Places::of(data))?.into_iter().map(|(name, profile)| {
        let (issuers, key_types) = (profile.issuers().to_vec(), profile.key_types().to_vec());
        (name, KnownProfile { is_authority: profile.is_authority(), issuers, key_types })
    });
    Ok(Surroundings {
        organization: config.organization.clone(),
        operators: enrol::holders(store)?.iter().filter_map(|holder| holder.subject.operator().cloned()).collect(),
        operators_needed: config.operators_needed,
        profiles: profiles.collect(),
        authorities: store.authorities()?.iter().map(|row| (row.name.clone(), known(row))).collect(),
    })
}
