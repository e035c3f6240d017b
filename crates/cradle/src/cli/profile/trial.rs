//! What a request would get under a profile, without anything being signed.

use crate::cli::Common;
use crate::config::Config;
use crate::fault::{Exit, Failure, Result, While, exit_of};
use crate::output::Output;
use adapters::clock::SystemClock;
use adapters::keystore::memory::MemoryKey;
use issue::lint::Severity;
use issue::profile::SubjectKind;
use issue::trial::{Case, Trial, trial};
use issue::{Issuer, Profile};
use model::contract::authority::Evidence;
use model::{AuthorityName, Entity, Reason};
use ports::store::AuthorityStore;
use ports::{Clock, Signer};
use serde_json::json;
use std::path::Path;
use x509::{Certificate, CertificationRequest, Name, csr, pem};

/// Longest file of a request.
const FILE_LEN_MAX: u64 = 256 * 1024;

pub(super) fn run(
    common: &Common,
    profile: &Profile,
    request: &Path,
    subject: &Entity,
    issuer: Option<AuthorityName>,
) -> Result {
    let config = Config::read(&common.data)?;
    let octets = adapters::files::read_bounded(request, FILE_LEN_MAX).map_err(|e| Failure::file(request, &e))?;
    let labels = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
    let der = pem::der_or_pem(&octets, &labels).map(|der| der.to_vec()).unwrap_or_default();
    let (evidence, key) = match CertificationRequest::decode(&der) {
        Ok(read) => (Evidence::Pkcs10(der.into()), Some(read.public_key)),
        Err(_) => (Evidence::Crmf(der.into()), None),
    };
    let issuer = match (issuer, profile.issuers()) {
        // A root is its own issuer: the key in the request.
        (None, []) => key.map(|key| Issuer::itself(root_name(subject), &key)).ok_or_else(|| unknown("itself"))?,
        (Some(name), _) => existing(common, &[name])?,
        (None, names) => existing(common, names)?,
    };
    let organization = config.organization.as_str();
    let case = Case { evidence: &evidence, subject, profile, issuer: &issuer, organization, now: SystemClock.now() };
    let tried = trial(&case).or_fail(&format!("reading {}", request.display()))?;
    print(common, &tried)?;
    tried.refused.first().map_or(Ok(()), |reason| Err(refused(*reason, &tried)))
}

fn root_name(subject: &Entity) -> AuthorityName {
    match subject {
        Entity::Authority(name) => name.clone(),
        Entity::Responder(authority) => authority.clone(),
        Entity::Device(_) | Entity::Module(..) | Entity::Operator(_) => sample_authority(),
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(Exit::NotFound, "issuer-unknown", format!("there is no authority {name}"))
        .next("list them with `cradle ca list`, and name one with --issuer")
}

/// The first of these authorities that has a certificate.
fn existing(common: &Common, names: &[AuthorityName]) -> Result<Issuer> {
    let rows = common.records()?.authorities()?;
    let issuer = |name: &AuthorityName| {
        let row = rows.iter().find(|row| row.name == *name)?;
        Issuer::of(name.clone(), &Certificate::decode(&row.certificate).ok()?)
    };
    let wanted: Vec<_> = names.iter().map(ToString::to_string).collect();
    names.iter().find_map(issuer).ok_or_else(|| unknown(&wanted.join(", ")))
}

fn print(common: &Common, tried: &Trial) -> Result {
    let says: Vec<_> = tried.says.iter().map(|(about, text)| json!({"about": about, "says": text})).collect();
    let findings: Vec<_> = tried
        .findings
        .iter()
        .map(|finding| {
            let severity = if finding.severity() == Severity::Error { "error" } else { "warning" };
            json!({"rule": finding.name(), "severity": severity, "says": finding.rule(), "source": finding.source()})
        })
        .collect();
    let refused: Vec<_> =
        tried.refused.iter().map(|r| json!({"code": r.code(), "why": r.what(), "next": r.next()})).collect();
    let tbs = tried.tbs.as_ref().map(|tbs| model::octets::hex(tbs));
    let said =
        json!({"issued": tried.refused.is_empty(), "says": says, "findings": findings, "refused": refused, "tbs": tbs});
    common.out().one(&said, || {
        let mut text = String::new();
        for (about, says) in &tried.says {
            text.push_str(&format!("{about:<19}{says}\n"));
        }
        for finding in &tried.findings {
            text.push_str(&format!("finding            {finding}\n"));
        }
        for reason in &tried.refused {
            text.push_str(&format!("REFUSED            {}: {}\n", reason.code(), reason.what()));
        }
        text
    })
}

fn refused(reason: Reason, tried: &Trial) -> Failure {
    let codes: Vec<_> = tried.refused.iter().map(|reason| reason.code()).collect();
    Failure::new(exit_of(reason), reason.code(), "the request would be refused")
        .because(codes.join(", "))
        .next(reason.next())
}

fn sample_authority() -> AuthorityName {
    let Ok(name) = "sample".parse() else { unreachable!("these are letters") };
    name
}

/// Says what anybody's certificate under a profile would break of what is not worth refusing.
pub(super) fn warn(out: Output, profile: &Profile) {
    for finding in tried(profile).map(|tried| tried.findings).unwrap_or_default() {
        let (name, rule, source) = (profile.name(), finding.rule(), finding.source());
        out.say(&format!("{name}: not kept to: {rule} ({source})"));
    }
}

/// A certificate for a throw-away key, by an issuer that is none.
fn tried(profile: &Profile) -> Option<Trial> {
    let key = MemoryKey::generate(*profile.key_types().first()?);
    let info = csr::write_info(&Name::write(&[]), key.public_key(), &[]);
    let signature = key.sign(&info).ok()?;
    let evidence = Evidence::Pkcs10(csr::write_signed(&info, key.algorithm(), &signature).into());
    let subject: Entity = match profile.subject_kind() {
        SubjectKind::Device => "urn:dev:ops:32473-sample-SN000001",
        SubjectKind::Authority => "authority:sample",
        SubjectKind::Module => "module:authority:sample",
        SubjectKind::Operator => "operator:sample",
        SubjectKind::Responder => "responder:sample",
    }
    .parse()
    .ok()?;
    let issuer = profile.issuers().first().cloned().unwrap_or_else(sample_authority);
    let issuer = Issuer::itself(issuer, key.public_key());
    let now = SystemClock.now();
    trial(&Case { evidence: &evidence, subject: &subject, profile, issuer: &issuer, organization: "Sample", now }).ok()
}
