//! Where an installation keeps a ceremony: one directory for each plan, which is in every backup.

use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use ceremony::{JOURNAL_LEN_MAX, Journal, PLAN_LEN_MAX, Plan, TRANSCRIPT_LEN_MAX};
use model::{Digest, FileName, OperatorName};
use std::path::{Path, PathBuf};

/// What stands before the digest of the plan in the directory's name.
const PREFIX: &str = "ceremony-";
/// Longest approval, and longest certificate of who approved, in octets.
const APPROVAL_LEN_MAX: u64 = 16 * 1024;
/// Longest output: a list of what is revoked may be long.
const OUTPUT_LEN_MAX: u64 = TRANSCRIPT_LEN_MAX;

/// The directory of one ceremony.
#[derive(Clone, Debug)]
pub(super) struct Room(PathBuf);

/// An approval as it is kept.
pub(super) struct KeptApproval {
    pub(super) operator: OperatorName,
    pub(super) statement: Vec<u8>,
    pub(super) certificate: String,
}

impl Room {
    pub(super) fn of(places: &Places, plan: Digest) -> Self {
        Self(places.data().join(format!("{PREFIX}{plan}")))
    }

    /// All that there are, in the order of their digests.
    pub(super) fn all(data: &Path) -> Result<Vec<(Digest, Self)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(data).map_err(|e| Failure::file(data, &e))? {
            let entry = entry.map_err(|e| Failure::file(data, &e))?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            found.extend(digest.map(|digest| (digest, Self(entry.path()))));
        }
        found.sort_by_key(|(digest, _)| *digest);
        Ok(found)
    }

    /// Makes the directory, with the plan in it.
    pub(super) fn furnish(&self, plan: &Plan) -> Result {
        files::private_directory(&self.0).map_err(|e| Failure::file(&self.0, &e))?;
        self.replace("plan.toml", plan.text().as_bytes())
    }

    fn replace(&self, name: &str, octets: &[u8]) -> Result {
        let path = self.0.join(name);
        files::replace(&path, octets).map_err(|e| Failure::file(&path, &e))
    }

    fn read(&self, name: &str, len_max: u64) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        match files::read_bounded(&path, len_max) {
            Ok(octets) => Ok(Some(octets)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Failure::file(&path, &e)),
        }
    }

    pub(super) fn plan(&self) -> Result<Option<Plan>> {
        let octets = self.read("plan.toml", u64::try_from(PLAN_LEN_MAX).unwrap_or(u64::MAX))?;
        Ok(octets.and_then(|octets| Plan::decode(&octets).ok()))
    }

    pub(super) fn journal(&self, plan: Digest) -> Result<Journal> {
        let octets = self.read("journal", JOURNAL_LEN_MAX)?.unwrap_or_default();
        Journal::decode(&octets, plan).map_err(|bad| {
            Failure::new(Exit::Failed, "journal", "the journal of this ceremony is damaged")
                .because(bad)
                .next(format!("keep {} as it is; what was made stands in the audit log", self.0.display()))
        })
    }

    /// Keeps the journal: all of it or the one before, and durable when this returns.
    pub(super) fn keep_journal(&self, journal: &Journal) -> Result {
        self.replace("journal", &journal.octets())
    }

    pub(super) fn keep_approval(&self, kept: &KeptApproval) -> Result {
        let KeptApproval { operator, statement, certificate } = kept;
        self.replace(&format!("approval-{operator}.pem"), certificate.as_bytes())?;
        self.replace(&format!("approval-{operator}.jws"), statement)
    }

    /// The approval of an operator, not verified.
    pub(super) fn approval(&self, operator: &OperatorName) -> Result<Option<KeptApproval>> {
        let statement = self.read(&format!("approval-{operator}.jws"), APPROVAL_LEN_MAX)?;
        let certificate = self.read(&format!("approval-{operator}.pem"), APPROVAL_LEN_MAX)?;
        Ok(statement.zip(certificate).map(|(statement, certificate)| KeptApproval {
            operator: operator.clone(),
            statement,
            certificate: String::from_utf8_lossy(&certificate).into_owned(),
        }))
    }

    pub(super) fn keep_output(&self, name: &FileName, text: &str) -> Result {
        self.replace(&format!("output-{name}"), text.as_bytes())
    }

    pub(super) fn output(&self, name: &str) -> Result<Option<String>> {
        let octets = self.read(&format!("output-{name}"), OUTPUT_LEN_MAX)?;
        Ok(octets.map(|octets| String::from_utf8_lossy(&octets).into_owned()))
    }

    pub(super) fn keep_transcript(&self, text: &str) -> Result {
        self.replace("transcript.json", text.as_bytes())
    }

    pub(super) fn transcript(&self) -> Result<Option<String>> {
        let octets = self.read("transcript.json", TRANSCRIPT_LEN_MAX)?;
        Ok(octets.map(|octets| String::from_utf8_lossy(&octets).into_owned()))
    }
}
