//! Whether a transcript is what was signed, and whether what it says hangs together.

use crate::journal::{Event, Journal};
use crate::plan::Plan;
use crate::statement::{APPROVAL, Approval, SEAL, Seal, Signer};
use crate::transcript::{Approver, REHEARSAL, Sealed, Transcript, VERSION, steps};
use model::{Digest, OperatorName, UnixTime};
use ports::directory::Directory;
use ports::jws;
use std::collections::{BTreeMap, BTreeSet};
use x509::{Certificate, PublicKey, pem};

/// What is trusted from elsewhere, not because the transcript says so.
#[derive(Clone, Debug, Default)]
pub struct Anchor {
    /// The certificate of the authority that certifies operators.
    pub operators_authority: Option<Certificate>,
    /// The public key of the audit log.
    pub log_key: Option<PublicKey>,
}

/// What a transcript is worth.
#[derive(Debug)]
pub struct Report {
    /// What it says; nothing if it is no transcript.
    pub transcript: Option<Transcript>,
    /// Who signed it, each proved.
    pub signers: Vec<Signer>,
    /// Who approved the plan, each proved.
    pub approvers: Vec<OperatorName>,
    /// Whether those who signed are known by an anchor.
    pub anchored: bool,
    /// Everything that does not fit.
    pub findings: Vec<String>,
}

/// Judges the octets of a transcript's file. `beside` gives the SHA-256 of files that lie beside it, by their names.
#[must_use]
pub fn verify(octets: &[u8], anchor: &Anchor, beside: &dyn Fn(&str) -> Option<Digest>) -> Report {
    let mut report =
        Report { transcript: None, signers: Vec::new(), approvers: Vec::new(), anchored: false, findings: Vec::new() };
    let sealed = octets.starts_with(b"{").then(|| serde_json::from_slice::<Sealed<'_>>(octets).ok()).flatten();
    let Some(sealed) = sealed else {
        report.findings.push("the file is no transcript".into());
        return report;
    };
    let Ok(transcript) = serde_json::from_str::<Transcript>(sealed.transcript.get()) else {
        report.findings.push("the transcript in the file cannot be read: a field is missing, unknown or wrong".into());
        return report;
    };
    let digest = x509::sha256(sealed.transcript.get().as_bytes());
    let mut judge = Judge { transcript: &transcript, anchor, report };
    judge.contents(beside);
    let keys = judge.keys();
    judge.approvals(&keys);
    judge.seals(&keys, digest, &sealed.signatures);
    let mut report = judge.report;
    report.transcript = Some(transcript);
    report
}

/// The keys that may sign, and what is known of whom they belong to.
struct Keys {
    authority: Option<Certificate>,
    log: Option<PublicKey>,
    operators: BTreeMap<String, (Certificate, OperatorName)>,
}

struct Judge<'a> {
    transcript: &'a Transcript,
    anchor: &'a Anchor,
    report: Report,
}

fn certificate(text: &str) -> Option<Certificate> {
    Certificate::decode(&pem::der_or_pem(text.as_bytes(), &["CERTIFICATE"])?).ok()
}

impl Judge<'_> {
    fn wrong(&mut self, what: impl Into<String>) {
        self.report.findings.push(what.into());
    }

    /// Plan, journal, steps and outputs say the same.
    fn contents(&mut self, beside: &dyn Fn(&str) -> Option<Digest>) {
        let said = self.transcript;
        if said.version != VERSION {
            self.wrong(format!("it is of version {}, which is not known here", said.version));
        }
        if x509::sha256(said.plan.as_bytes()) != said.plan_sha256 {
            self.wrong("the plan in it is not the one of its digest");
        }
        let plan = Plan::decode(said.plan.as_bytes()).ok();
        let octets: String = said.journal.iter().map(|line| format!("{line}\n")).collect();
        let (plan, journal) = match (plan, Journal::decode(octets.as_bytes(), said.plan_sha256)) {
            (Some(plan), Ok(journal)) => (plan, journal),
            (None, _) => return self.wrong("the plan in it is none"),
            (_, Err(bad)) => return self.wrong(bad.to_string()),
        };
        if !journal.is_finished() || journal.steps_done() != plan.steps.len() {
            self.wrong("the journal does not tell how the ceremony ended: lines are missing");
        }
        if journal.is_rehearsal() != (said.note == REHEARSAL) || !["", REHEARSAL].contains(&said.note.as_str()) {
            self.wrong("the journal and the heading do not agree whether it was a rehearsal");
        }
        let again = crate::transcript::assemble(
            &plan,
            &journal,
            said.approvals.clone(),
            said.outputs.clone(),
            (said.log_key.clone(), said.operators_authority.clone()),
        );
        if again.steps != said.steps {
            let all = steps(&plan, &journal);
            let differ = all.iter().zip(&said.steps).find(|(a, b)| a != b).map_or(said.steps.len(), |(a, _)| a.step);
            self.wrong(format!("step {differ} is not told as the plan and the journal tell it"));
        } else if again != *said {
            self.wrong("the heading is not what the plan and the journal tell");
        }
        self.outputs(&journal, plan.steps.len(), beside);
        self.counted(&plan, &journal);
    }

    /// The approvals that the journal counted are those that are shown, and enough.
    fn counted(&mut self, plan: &Plan, journal: &Journal) {
        let Some(Event::Opened { approvals, .. }) = journal.lines().first().map(|line| &line.event) else { return };
        let shown: BTreeSet<_> =
            self.transcript.approvals.iter().map(|a| x509::sha256(a.statement.as_bytes())).collect();
        let counted: BTreeSet<_> = approvals.iter().map(|approved| approved.statement).collect();
        let different: BTreeSet<_> = approvals.iter().map(|approved| &approved.operator).collect();
        if shown != counted || shown.len() != self.transcript.approvals.len() {
            self.wrong("the approvals in it are not those that the journal counted");
        }
        let foreign = different.iter().any(|operator| !plan.operators.contains(operator));
        if !journal.is_rehearsal() && (different.len() < plan.approvals || foreign) {
            self.wrong(format!(
                "{} of the operators in the plan approved it, and {} are needed",
                different.len(),
                plan.approvals
            ));
        }
    }

    /// What was written is what is in it, and what lies beside it.
    fn outputs(&mut self, journal: &Journal, steps: usize, beside: &dyn Fn(&str) -> Option<Digest>) {
        let outputs: Vec<_> = (1..=steps).flat_map(|step| journal.outputs(step)).collect();
        let kept: BTreeMap<_, _> = self
            .transcript
            .outputs
            .iter()
            .map(|kept| (kept.name.as_str(), x509::sha256(kept.text.as_bytes())))
            .collect();
        if kept.len() != outputs.len() || self.transcript.outputs.len() != outputs.len() {
            self.wrong("other outputs are in it than the steps wrote");
        }
        for output in outputs {
            if kept.get(output.name.as_str()) != Some(&output.sha256) {
                self.wrong(format!("{} in it is not what its step wrote", output.name));
            }
            match beside(&output.name) {
                Some(digest) if digest == output.sha256 => {}
                Some(_) => self.wrong(format!("{} beside it is not what its step wrote", output.name)),
                None => self.wrong(format!("{} is not beside it", output.name)),
            }
        }
    }

    /// The keys that speak. An anchor that says something else is a finding.
    fn keys(&mut self) -> Keys {
        let authority = certificate(&self.transcript.operators_authority);
        let log = pem::der_or_pem(self.transcript.log_key.as_bytes(), &["PUBLIC KEY"])
            .and_then(|der| PublicKey::decode(&der).ok());
        let earnest = !self.transcript.is_rehearsal();
        let foreign_authority = earnest
            && self
                .anchor
                .operators_authority
                .as_ref()
                .is_some_and(|a| authority.as_ref().map(Certificate::der) != Some(a.der()));
        if foreign_authority {
            self.wrong("another authority certified its operators than the one that is trusted");
        }
        if earnest && self.anchor.log_key.as_ref().is_some_and(|key| log.as_ref() != Some(key)) {
            self.wrong("the audit log in it has another key than the one that is trusted");
        }
        self.report.anchored = self.anchor.operators_authority.is_some() || self.anchor.log_key.is_some();
        let entry = |a: &Approver| {
            let certificate = certificate(&a.certificate)?;
            let kid = jws::key_id(&certificate.tbs().subject_public_key);
            Some((kid, (certificate, a.operator.clone())))
        };
        Keys { authority, log, operators: self.transcript.approvals.iter().filter_map(entry).collect() }
    }

    fn approvals(&mut self, keys: &Keys) {
        for approver in &self.transcript.approvals {
            match approved(approver, keys, self.transcript) {
                true => self.report.approvers.push(approver.operator.clone()),
                false => self.wrong(format!("the approval of {} does not hold", approver.operator)),
            }
        }
    }

    fn seals(&mut self, keys: &Keys, digest: Digest, signatures: &[String]) {
        for signature in signatures {
            match sealed_by(signature, keys, digest) {
                Some(signer) => self.report.signers.push(signer),
                None => self.wrong(
                    "a signature over it does not hold: it was changed after it was signed, or by whom is not known",
                ),
            }
        }
        if signatures.is_empty() && !self.transcript.is_rehearsal() {
            self.wrong("nobody signed it");
        }
    }
}

/// Whether an operator was certified as such at this moment.
fn is_operator(keys: &Keys, certificate: &Certificate, name: &OperatorName, at: UnixTime) -> bool {
    let Some(authority) = &keys.authority else { return false };
    let mut directory = Directory::default();
    let kid = jws::key_id(&certificate.tbs().subject_public_key);
    directory.add(certificate, authority, at).is_ok()
        && directory.operator(&kid, at).is_some_and(|(_, who)| who == *name)
}

fn approved(approver: &Approver, keys: &Keys, transcript: &Transcript) -> bool {
    let verified = jws::verify(APPROVAL, approver.statement.as_bytes(), |kid| {
        keys.operators.get(kid).map(|(certificate, name)| (&certificate.tbs().subject_public_key, (certificate, name)))
    });
    let Ok((payload, (certificate, name))) = verified else { return false };
    let Ok(approval) = serde_json::from_slice::<Approval>(&payload) else { return false };
    *name == approver.operator
        && approval.operator == *name
        && approval.plan == transcript.plan_sha256
        && approval.ceremony.as_str() == transcript.ceremony
        && is_operator(keys, certificate, name, approval.at)
}

fn sealed_by(signature: &str, keys: &Keys, digest: Digest) -> Option<Signer> {
    let log = keys.log.as_ref();
    let verified = jws::verify(SEAL, signature.as_bytes(), |kid| match keys.operators.get(kid) {
        Some((certificate, name)) => Some((&certificate.tbs().subject_public_key, Some((certificate, name)))),
        None => log.filter(|key| jws::key_id(key) == kid).map(|key| (key, None)),
    });
    let (payload, who) = verified.ok()?;
    let seal: Seal = serde_json::from_slice(&payload).ok()?;
    let right = match (&seal.signer, who) {
        (Signer::Operator(said), Some((certificate, name))) => {
            said == name && is_operator(keys, certificate, name, seal.at)
        }
        (Signer::Log(_), None) => true,
        (Signer::Operator(_), None) | (Signer::Log(_), Some(_)) => false,
    };
    (right && seal.transcript == digest).then_some(seal.signer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Approved;
    use crate::transcript::{assemble, sealed};

    const PLAN: &str = "ceremony = \"c\"\npurpose = \"p\"\norganization = \"o\"\napprovals = 2\n\
                        operators = [\"alice\", \"bob\"]\n[[step]]\ndo = \"limit\"\nname = \"a\"\nquota = 1\n";

    /// What is found in a transcript that hangs together, if these approved, and nobody signed it.
    fn findings(approvers: &[&str]) -> Vec<String> {
        let plan = Plan::decode(PLAN.as_bytes()).unwrap();
        let statement = |name: &str| format!("the word of {name}");
        let approvals = approvers.iter().map(|name| Approved {
            operator: name.parse().unwrap(),
            serial: "01".into(),
            statement: x509::sha256(statement(name).as_bytes()),
        });
        let opened = Event::Opened {
            ceremony: plan.ceremony.clone(),
            plan: plan.digest(),
            installation: "i".into(),
            program: "cradle".into(),
            rehearsal: false,
            approvals: approvals.collect(),
        };
        let mut journal = Journal::new(plan.digest());
        let done = Event::Done { step: 1, outputs: Vec::new(), found: false };
        let finished = Event::Finished { checkpoint: "note".into() };
        for event in [opened, Event::Begun { step: 1, inputs: Vec::new() }, done, finished] {
            journal.add(event, UnixTime::from_s(1)).unwrap();
        }
        let approver = |name: &&str| Approver {
            operator: name.parse().unwrap(),
            certificate: String::new(),
            statement: statement(name),
        };
        let shown = approvers.iter().map(approver).collect();
        let transcript = assemble(&plan, &journal, shown, Vec::new(), (String::new(), String::new()));
        let text = sealed(&transcript, |_| Ok::<_, ()>(Vec::new())).unwrap().unwrap();
        verify(text.as_bytes(), &Anchor::default(), &|_| None).findings
    }

    #[test]
    fn enough_words_that_nobody_proves_are_none() {
        let unproved = ["the approval of alice does not hold", "the approval of bob does not hold", "nobody signed it"];
        assert_eq!(findings(&["alice", "bob"]), unproved);
    }
    #[test]
    fn too_few_approvals_are_too_few_whoever_wrote_the_transcript() {
        assert!(
            findings(&["alice"]).contains(&"1 of the operators in the plan approved it, and 2 are needed".to_owned())
        );
        assert!(findings(&["alice", "mallory"]).iter().any(|found| found.contains("2 of the operators in the plan")));
    }
}
