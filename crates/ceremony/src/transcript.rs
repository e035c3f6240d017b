//! What happened, for auditors: plan, approvals, journal, outputs, in one file that is signed as a whole.

use crate::journal::{Event, Journal, Named};
use crate::plan::Plan;
use crate::words::words;
use model::{Digest, OperatorName, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Longest transcript in octets: sixty-four steps, each with an output of a quarter of a megabyte.
pub const TRANSCRIPT_LEN_MAX: u64 = 32 * 1024 * 1024;
/// The version of what is in a transcript.
pub(crate) const VERSION: u32 = 1;

/// An operator who approved, with what is needed to believe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Who.
    pub operator: OperatorName,
    /// The certificate that says so, as PEM.
    pub certificate: String,
    /// What the operator signed: a JWS.
    pub statement: String,
}

/// An output as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The name of its file.
    pub name: String,
    /// Its text: PEM.
    pub text: String,
}

/// One step, as the journal tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct StepRecord {
    pub step: usize,
    pub verb: String,
    pub words: String,
    pub begun: String,
    pub ended: String,
    /// How it ended: done, found done after an interruption, or only looked at.
    pub outcome: String,
    pub inputs: Vec<Named>,
    pub outputs: Vec<Named>,
    pub shares: Vec<Named>,
}

/// What happened in a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Transcript {
    pub version: u32,
    /// `REHEARSAL`, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    pub ceremony: String,
    pub purpose: String,
    pub organization: String,
    pub installation: String,
    pub program: String,
    pub finished: String,
    /// The plan's text, octet by octet, and its SHA-256.
    pub plan: String,
    pub plan_sha256: Digest,
    pub approvals: Vec<Approver>,
    pub steps: Vec<StepRecord>,
    pub outputs: Vec<Kept>,
    /// The lines of the journal as they were written.
    pub journal: Vec<String>,
    /// The signed checkpoint of the audit log at the end.
    pub checkpoint: String,
    /// The public key of the audit log, and the certificate of the authority that certifies operators, both as PEM.
    pub log_key: String,
    pub operators_authority: String,
}

/// The mark of what is none of earnest.
pub(crate) const REHEARSAL: &str = "REHEARSAL";

impl Transcript {
    /// Whether it is one of a rehearsal.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        !self.note.is_empty()
    }
}

/// A transcript and the signatures over its octets.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed<'a> {
    #[serde(borrow)]
    pub(crate) transcript: &'a RawValue,
    pub(crate) signatures: Vec<String>,
}

/// Tells what happened, from the plan and the journal of a ceremony that was finished.
///
/// `approvals`, `outputs`, `log_key` and `operators_authority` are as in [`Transcript`].
#[must_use]
pub fn assemble(
    plan: &Plan,
    journal: &Journal,
    approvals: Vec<Approver>,
    outputs: Vec<Kept>,
    (log_key, operators_authority): (String, String),
) -> Transcript {
    let (mut installation, mut program) = (String::new(), String::new());
    let (mut checkpoint, mut finished) = (String::new(), UnixTime::default());
    for line in journal.lines() {
        match &line.event {
            Event::Opened { installation: place, program: by, .. } => {
                (installation, program) = (place.clone(), by.clone());
            }
            Event::Finished { checkpoint: note } => (checkpoint, finished) = (note.clone(), line.at),
            Event::Begun { .. } | Event::Split { .. } | Event::Done { .. } | Event::Passed { .. } => {}
        }
    }
    Transcript {
        version: VERSION,
        note: if journal.is_rehearsal() { REHEARSAL.into() } else { String::new() },
        ceremony: plan.ceremony.to_string(),
        purpose: plan.purpose.clone(),
        organization: plan.organization.clone(),
        installation,
        program,
        finished: finished.to_string(),
        plan: plan.text().to_owned(),
        plan_sha256: plan.digest(),
        approvals,
        steps: steps(plan, journal),
        outputs,
        journal: journal.texts().to_vec(),
        checkpoint,
        log_key,
        operators_authority,
    }
}

/// The steps as plan and journal tell them.
pub(crate) fn steps(plan: &Plan, journal: &Journal) -> Vec<StepRecord> {
    let record = |(n, step): (usize, &crate::plan::Step)| {
        let n = n + 1;
        let mut record = StepRecord {
            step: n,
            verb: step.verb().into(),
            words: words(step),
            begun: journal.begun(n).map(|at| at.to_string()).unwrap_or_default(),
            ended: String::new(),
            outcome: "not done".into(),
            inputs: Vec::new(),
            outputs: journal.outputs(n).to_vec(),
            shares: journal.split(n).map(|(_, shares)| shares.to_vec()).unwrap_or_default(),
        };
        for line in journal.lines() {
            match &line.event {
                Event::Begun { step, inputs } if *step == n => record.inputs.clone_from(inputs),
                Event::Done { step, found, .. } if *step == n => {
                    record.ended = line.at.to_string();
                    record.outcome = if *found { "done before an interruption" } else { "done" }.into();
                }
                Event::Passed { step, why } if *step == n => {
                    record.ended = line.at.to_string();
                    record.outcome = format!("only looked at: {why}");
                }
                _ => {}
            }
        }
        record
    };
    plan.steps.iter().enumerate().map(record).collect()
}

/// The octets of a file with a transcript and the signatures over it. `sign` signs the digest of the transcript.
///
/// # Errors
/// What `sign` says; or nothing, if a transcript cannot be written as JSON.
pub fn sealed<E>(
    transcript: &Transcript,
    sign: impl FnOnce(Digest) -> Result<Vec<String>, E>,
) -> Result<Option<String>, E> {
    let Ok(text) = serde_json::to_string_pretty(transcript) else { return Ok(None) };
    let signatures = sign(x509::sha256(text.as_bytes()))?;
    let Ok(transcript) = RawValue::from_string(text) else { return Ok(None) };
    Ok(serde_json::to_string_pretty(&Sealed { transcript: &transcript, signatures }).ok().map(|text| text + "\n"))
}

/// The digest that the signatures in a transcript's file are over, if it is one.
#[must_use]
pub fn signed_digest(octets: &[u8]) -> Option<Digest> {
    let sealed: Sealed<'_> = serde_json::from_slice(octets).ok()?;
    Some(x509::sha256(sealed.transcript.get().as_bytes()))
}
