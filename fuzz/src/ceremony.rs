//! What the decoders of `ceremony` must keep to: no octets make them panic, and what they read is kept octet by octet.

use ::ceremony::{Anchor, Journal, Plan, verify, words};

/// Plans, with the sentences that people read of them.
pub fn plan(octets: &[u8]) {
    match Plan::decode(octets) {
        Ok(plan) => {
            assert_eq!(plan.text().as_bytes(), octets);
            assert!(plan.approvals >= 1 && plan.approvals <= plan.operators.len());
            plan.steps.iter().for_each(|step| assert!(words(step).ends_with('.')));
        }
        Err(findings) => assert!(!findings.is_empty(), "what is no plan has something wrong with it"),
    }
}

/// Journals, of whatever plan they say.
pub fn journal(octets: &[u8]) {
    let said = String::from_utf8_lossy(octets);
    let digest = said.split_once("\"before\":\"").and_then(|(_, rest)| rest.get(..64)?.parse().ok());
    let plan = digest.unwrap_or(::model::Digest::new([0; 32]));
    if let Ok(journal) = Journal::decode(octets, plan) {
        assert_eq!(journal.octets(), octets);
        assert!(journal.steps_done() < journal.lines().len().max(1));
    }
}

/// Transcripts, and the page that is made of one. Nothing that was changed is believed.
pub fn transcript(octets: &[u8]) {
    let report = verify(octets, &Anchor::default(), &|_| None);
    assert!(!report.findings.is_empty(), "its outputs are not beside it");
    if let Some(transcript) = &report.transcript {
        let page = ::ceremony::page(transcript, ::model::Digest::new([0; 32]), &[]);
        assert!(!page.contains("<script") && page.ends_with("</html>\n"));
    }
}
