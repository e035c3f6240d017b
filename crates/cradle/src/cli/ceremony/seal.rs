//! The transcript: written, signed, and verified.

use super::run::{self, Run};
use crate::cli::Common;
use crate::compose::{self, Workshop, module_authority, operator_label};
use crate::config::{Config, Places};
use crate::fault::{Exit, Failure, Result, While};
use crate::operators;
use adapters::files;
use adapters::store::SqlStore;
use ceremony::{Anchor, Approver, Event, Kept, Report, SEAL, Seal, Signer, Step, TRANSCRIPT_LEN_MAX};
use model::Digest;
use ports::jws;
use ports::store::AuthorityStore;
use serde_json::json;
use std::path::{Path, PathBuf};
use x509::{Certificate, PublicKey, pem};

/// Writes the transcript of a ceremony that was finished, and its page. One that was signed before is not signed again.
pub(super) fn write(run: &Run<'_>) -> Result {
    let text = match run.room.transcript()? {
        Some(text) => text,
        None => {
            let text = make(run)?;
            run.room.keep_transcript(&text)?;
            text
        }
    };
    run::write(&run.to.join("transcript.json"), text.as_bytes())?;
    let report = ceremony::verify(text.as_bytes(), &Anchor::default(), &|name| beside(run.to, name));
    let Some(transcript) = &report.transcript else { return Err(not_written()) };
    let signers: Vec<_> = report.signers.iter().map(ToString::to_string).collect();
    let page = ceremony::page(transcript, digest_of(&text), &signers);
    run::write(&run.to.join("transcript.html"), page.as_bytes())
}

fn not_written() -> Failure {
    Failure::new(Exit::Failed, "transcript", "the transcript cannot be written")
}

/// The digest that the signatures of a transcript are over.
fn digest_of(text: &str) -> Digest {
    ceremony::signed_digest(text.as_bytes()).unwrap_or(Digest::new([0; 32]))
}

fn make(run: &Run<'_>) -> Result<String> {
    let workshop = &run.installation.workshop;
    let mut approvals = Vec::new();
    if let Some(Event::Opened { approvals: counted, .. }) = run.journal.lines().first().map(|line| &line.event) {
        for approved in counted {
            let kept = run.room.approval(&approved.operator)?.ok_or_else(not_written)?;
            approvals.push(Approver {
                operator: approved.operator.clone(),
                certificate: kept.certificate,
                statement: String::from_utf8_lossy(&kept.statement).into_owned(),
            });
        }
    }
    let mut outputs = Vec::new();
    for name in run.plan.steps.iter().filter_map(Step::output) {
        let text = run.room.output(name.as_str())?;
        outputs.extend(text.map(|text| Kept { name: name.to_string(), text }));
    }
    let log_key = pem::encode("PUBLIC KEY", compose::audit_key(&workshop.places)?.spki());
    let authority = pem::encode("CERTIFICATE", &operators_authority(&workshop.store)?);
    let names: Vec<_> = approvals.iter().map(|approver| approver.operator.clone()).collect();
    let transcript = ceremony::assemble(run.plan, &run.journal, approvals, outputs, (log_key, authority));
    let sign = |digest| match run.journal.is_rehearsal() {
        true => Ok(Vec::new()),
        false => sign(workshop, &names, digest),
    };
    ceremony::sealed(&transcript, sign)?.ok_or_else(not_written)
}

/// The certificate of the authority that certifies operators.
fn operators_authority(store: &SqlStore) -> Result<Vec<u8>> {
    let name = module_authority()?;
    let row = store.authorities()?.into_iter().find(|row| row.name == name && !row.certificate.is_empty());
    Ok(row.map(|row| row.certificate).unwrap_or_default())
}

/// Each operator who approved signs whose key is on this box, and the audit log does.
fn sign(workshop: &Workshop, operators: &[model::OperatorName], transcript: Digest) -> Result<Vec<String>> {
    let at = workshop.clock.now();
    let mut signatures = Vec::new();
    for name in operators {
        if workshop.places.keys().join(format!("{}.p8", operator_label(name))).exists() {
            let seal = Seal { transcript, signer: Signer::Operator(name.clone()), at };
            signatures.push(operators::sign(workshop, name, SEAL, &seal)?);
        }
    }
    let signer = Signer::Log(compose::log_name(&workshop.config));
    let payload = serde_json::to_vec(&Seal { transcript, signer, at }).map_err(|_| not_written())?;
    let key = compose::checked_audit_key(&workshop.places, &workshop.keystore)?;
    let signed = jws::sign(SEAL, &payload, key.as_ref()).or_fail("signing the transcript")?;
    signatures.push(String::from_utf8(signed).map_err(|_| not_written())?);
    Ok(signatures)
}

fn beside(directory: &Path, name: &str) -> Option<Digest> {
    // The names of a transcript that nobody wrote may lead anywhere.
    let name: model::FileName = name.parse().ok()?;
    let octets = files::read_bounded(&directory.join(name.as_str()), TRANSCRIPT_LEN_MAX).ok()?;
    Some(x509::sha256(&octets))
}

/// What is trusted: what was named, or else what this installation knows, if there is one.
fn anchor(common: &Common, named: &[PathBuf]) -> Result<Anchor> {
    let mut anchor = Anchor::default();
    for path in named {
        let octets = files::read_bounded(path, 64 * 1024).map_err(|e| Failure::file(path, &e))?;
        let of = |label: &str| pem::der_or_pem(&octets, &[label]);
        let certificate = of("CERTIFICATE").and_then(|der| Certificate::decode(&der).ok());
        let key = of("PUBLIC KEY").and_then(|der| PublicKey::decode(&der).ok());
        match (certificate, key) {
            (Some(certificate), _) => anchor.operators_authority = Some(certificate),
            (None, Some(key)) => anchor.log_key = Some(key),
            (None, None) => {
                let what = format!("{} is nothing to trust a transcript by", path.display());
                return Err(Failure::new(Exit::Usage, "anchor", what)
                    .because("it is neither a certificate nor a public key")
                    .next("name the certificate of the authority `modules`, or audit.pub"));
            }
        }
    }
    if named.is_empty() && Config::read(&common.data).is_ok() {
        let store = common.records()?;
        anchor.operators_authority = Certificate::decode(&operators_authority(&store)?).ok();
        anchor.log_key = Some(compose::audit_key(&Places::of(&common.data))?);
    }
    Ok(anchor)
}

/// Judges a transcript and the files beside it.
pub(super) fn verify(common: &Common, path: &Path, plan: Option<&Path>, anchors: &[PathBuf]) -> Result {
    let octets = files::read_bounded(path, TRANSCRIPT_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut report = ceremony::verify(&octets, &anchor(common, anchors)?, &|name| beside(directory, name));
    if let (Some(plan), Some(transcript)) = (plan, &report.transcript) {
        let octets = files::read_bounded(plan, TRANSCRIPT_LEN_MAX).map_err(|e| Failure::file(plan, &e))?;
        if x509::sha256(&octets) != transcript.plan_sha256 {
            report.findings.push(format!("{} is not the plan that was carried out", plan.display()));
        }
    }
    let Report { transcript, signers, approvers, anchored, findings } = report;
    if !findings.is_empty() {
        return Err(Failure::new(Exit::Failed, "transcript-altered", format!("{} does not hold", path.display()))
            .because(findings.join("; "))
            .next("compare it with the one that was kept elsewhere; where it was made, `cradle ceremony run PLAN --to DIR` writes it again"));
    }
    let Some(transcript) = transcript else { return Err(not_written()) };
    let signers: Vec<_> = signers.iter().map(ToString::to_string).collect();
    let approvers: Vec<_> = approvers.iter().map(ToString::to_string).collect();
    let said = json!({
        "ceremony": transcript.ceremony, "rehearsal": transcript.is_rehearsal(), "plan_sha256": transcript.plan_sha256,
        "approvals": approvers, "signed_by": signers, "anchored": anchored, "steps": transcript.steps.len(),
        "outputs": transcript.outputs.len(),
    });
    common.out().one(&said, || {
        let (steps, outputs) = (transcript.steps.len(), transcript.outputs.len());
        if transcript.is_rehearsal() {
            return format!("REHEARSAL of {}, signed by nobody: {steps} steps, {outputs} outputs\n", transcript.ceremony);
        }
        let trust = if anchored {
            "Those who signed are known here.\n"
        } else {
            "Nothing says who those are who signed: name the certificate of their authority, or audit.pub, with --anchor.\n"
        };
        format!(
            "The transcript of {} holds: {steps} steps, {outputs} outputs as they were written.\nApproved by {}; signed by {}.\n{trust}",
            transcript.ceremony,
            approvers.join(", "),
            signers.join(", "),
        )
    })
}
