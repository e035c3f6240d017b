//! What shall be done, as people reviewed it.

use crate::fields::{Fields, Finding};
use model::text::printable;
use model::{AuthorityName, CeremonyName, Digest, FileName, OperatorName, ProfileName, UnixTime};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// Longest plan in octets: a hundred lines for each step that it may have.
pub const PLAN_LEN_MAX: usize = 64 * 1024;
/// Most steps: more than people can review at a table.
pub const STEPS_MAX: usize = 64;
/// Most operators, and most custodians of one key.
pub const OPERATORS_MAX: usize = 32;
/// Longest file that a step reads: a certificate or a request.
pub const INPUT_LEN_MAX: u64 = 256 * 1024;
/// Longest text for people.
const PURPOSE_LEN_MAX: usize = 200;
/// Longest URI of a key.
const KEY_LEN_MAX: usize = 512;
/// What the ceremony itself writes beside the outputs of steps.
const RESERVED: [&str; 3] = ["transcript.json", "transcript.html", "shares"];

/// A ceremony as it was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the file")]
pub struct Plan {
    pub ceremony: CeremonyName,
    pub purpose: String,
    pub organization: String,
    pub approvals: usize,
    pub operators: Vec<OperatorName>,
    pub steps: Vec<Step>,
    text: String,
    digest: Digest,
}

/// A file that a step reads, and its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name, beside the plan.
    pub file: FileName,
    /// What must be in it.
    pub sha256: Digest,
}

/// A key in a file is divided among people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// How many shares open it.
    pub need: u8,
    /// Who gets a share, in the order of their numbers.
    pub custodians: Vec<OperatorName>,
}

impl Split {
    /// How many shares there are.
    #[must_use]
    pub fn of(&self) -> usize {
        self.custodians.len()
    }
}

/// An authority that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the file")]
pub struct Making {
    pub name: AuthorityName,
    pub profile: ProfileName,
    pub issuer: Option<AuthorityName>,
    pub key_type: String,
    pub key: Option<String>,
    pub split: Option<Split>,
    pub to: FileName,
}

impl Making {
    /// Where its key shall be, with how it is divided.
    #[must_use]
    pub fn key_uri(&self) -> Option<String> {
        let Some(split) = &self.split else { return self.key.clone() };
        let place = self.key.clone().unwrap_or_else(|| format!("file:{}", self.name));
        let sign = if place.contains('?') { '&' } else { '?' };
        Some(format!("{place}{sign}shares={}of{}", split.need, split.of()))
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the file")]
pub enum Step {
    /// Make an authority.
    Create(Making),
    /// Make the key of one whose certificate is signed elsewhere.
    Request(Making),
    /// Give one a new key.
    Rollover(Making),
    /// Sign the request of one of another installation.
    Sign { request: Input, name: AuthorityName, profile: ProfileName, issuer: AuthorityName, to: FileName },
    /// Give one that was requested its certificate.
    Install { name: AuthorityName, certificate: Input },
    /// Take in the certificate of one whose key is elsewhere.
    Import { name: AuthorityName, certificate: Input, issuer: Option<AuthorityName> },
    /// Say how much one may issue.
    Limit { name: AuthorityName, quota: Option<u64>, ends: Option<UnixTime> },
    /// Sign a list of what is revoked.
    Crl { authority: AuthorityName, to: FileName },
}

impl Step {
    /// The file that it reads.
    #[must_use]
    pub const fn input(&self) -> Option<&Input> {
        match self {
            Self::Sign { request, .. } => Some(request),
            Self::Install { certificate, .. } | Self::Import { certificate, .. } => Some(certificate),
            Self::Create(_) | Self::Request(_) | Self::Rollover(_) | Self::Limit { .. } | Self::Crl { .. } => None,
        }
    }

    /// The file that it writes.
    #[must_use]
    pub const fn output(&self) -> Option<&FileName> {
        match self {
            Self::Create(making) | Self::Request(making) | Self::Rollover(making) => Some(&making.to),
            Self::Sign { to, .. } | Self::Crl { to, .. } => Some(to),
            Self::Install { .. } | Self::Import { .. } | Self::Limit { .. } => None,
        }
    }

    /// What it makes, if it makes an authority's key.
    #[must_use]
    pub const fn making(&self) -> Option<&Making> {
        match self {
            Self::Create(making) | Self::Request(making) | Self::Rollover(making) => Some(making),
            Self::Sign { .. } | Self::Install { .. } | Self::Import { .. } | Self::Limit { .. } | Self::Crl { .. } => {
                None
            }
        }
    }

    /// The verb, as the file has it.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Request(_) => "request",
            Self::Rollover(_) => "rollover",
            Self::Sign { .. } => "sign",
            Self::Install { .. } => "install",
            Self::Import { .. } => "import",
            Self::Limit { .. } => "limit",
            Self::Crl { .. } => "crl",
        }
    }
}

impl Plan {
    /// Reads a plan.
    ///
    /// Limits: [`PLAN_LEN_MAX`] octets, [`STEPS_MAX`] steps, [`OPERATORS_MAX`] operators.
    /// # Errors
    /// Everything that is wrong with it, never nothing.
    pub fn decode(octets: &[u8]) -> Result<Self, Vec<Finding>> {
        let whole = |what: String| vec![Finding { step: None, field: "plan".to_owned(), what }];
        if octets.len() > PLAN_LEN_MAX {
            return Err(whole(format!("is longer than {PLAN_LEN_MAX} octets")));
        }
        let text = std::str::from_utf8(octets).map_err(|_| whole("is not UTF-8".into()))?;
        // What a reviewer does not see must not be there: not in a comment either.
        if let Some(n) =
            text.lines().position(|line| printable(&line.replace('\t', " "), usize::MAX) != line.replace('\t', " "))
        {
            return Err(whole(format!("has characters in line {} that are not shown", n + 1)));
        }
        let table: Table = toml::from_str(text).map_err(|e| whole(e.to_string()))?;
        let mut findings = Vec::new();
        let plan = read(table, &mut findings, text);
        match plan {
            Some(plan) if findings.is_empty() => Ok(plan),
            _ => Err(findings),
        }
    }

    /// SHA-256 of its octets: what is approved.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Its octets.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn read(table: Table, findings: &mut Vec<Finding>, text: &str) -> Option<Plan> {
    let mut fields = Fields::new(table, None, findings);
    let ceremony = fields.need("ceremony");
    let purpose = fields.need::<String>("purpose");
    if purpose.as_ref().is_some_and(|p| p.trim().is_empty() || p.chars().count() > PURPOSE_LEN_MAX) {
        fields.wrong("purpose", format!("has 1 to {PURPOSE_LEN_MAX} characters"));
    }
    let organization = fields.need("organization");
    let operators: Vec<OperatorName> = fields.names("operators", OPERATORS_MAX);
    if !fields.has("approvals") {
        fields.wrong("approvals", "is left out: how many of the operators must approve");
    }
    let most = u64::try_from(operators.len().max(1)).unwrap_or(1);
    let approvals = fields.number("approvals", 1, most).and_then(|n| usize::try_from(n).ok());
    let tables = match fields.take("step") {
        Some(Value::Array(steps)) => steps,
        _ => Vec::new(),
    };
    if tables.is_empty() || tables.len() > STEPS_MAX {
        fields.wrong("step", format!("there are 1 to {STEPS_MAX} steps, each under [[step]]"));
    }
    fields.end();
    let mut steps = Vec::new();
    for (n, table) in tables.into_iter().take(STEPS_MAX).enumerate() {
        match table {
            Value::Table(table) => steps.extend(step(Fields::new(table, Some(n + 1), findings))),
            _ => findings.push(Finding {
                step: Some(n + 1),
                field: "step".into(),
                what: "is written under [[step]]".into(),
            }),
        }
    }
    outputs_apart(&steps, findings);
    let digest = x509::sha256(text.as_bytes());
    Some(Plan {
        ceremony: ceremony?,
        purpose: purpose?,
        organization: organization?,
        approvals: approvals?,
        operators,
        steps,
        text: text.to_owned(),
        digest,
    })
}

/// No two outputs have one name, nor that of an input or of what the ceremony itself writes.
fn outputs_apart(steps: &[Step], findings: &mut Vec<Finding>) {
    let inputs: BTreeSet<_> = steps.iter().filter_map(Step::input).map(|input| &input.file).collect();
    let mut seen = BTreeSet::new();
    for (n, step) in steps.iter().enumerate() {
        let Some(to) = step.output() else { continue };
        let what = if RESERVED.contains(&to.as_str()) {
            "is a name that the ceremony itself writes"
        } else if inputs.contains(to) {
            "is the name of a file that a step reads"
        } else if !seen.insert(to) {
            "is written by an earlier step"
        } else {
            continue;
        };
        findings.push(Finding { step: Some(n + 1), field: "to".into(), what: what.into() });
    }
}

fn step(mut fields: Fields<'_>) -> Option<Step> {
    let verb: Option<String> = fields.need("do");
    let step = match verb.as_deref() {
        Some("create") => making(&mut fields).map(Step::Create),
        Some("request") => request(&mut fields),
        Some("rollover") => rollover(&mut fields),
        Some("sign") => sign(&mut fields),
        Some("install") => {
            let (name, certificate) = (fields.need("name"), input(&mut fields, "certificate"));
            name.zip(certificate).map(|(name, certificate)| Step::Install { name, certificate })
        }
        Some("import") => {
            let (name, certificate) = (fields.need("name"), input(&mut fields, "certificate"));
            let issuer = fields.read("issuer");
            name.zip(certificate).map(|(name, certificate)| Step::Import { name, certificate, issuer })
        }
        Some("limit") => limit(&mut fields),
        Some("crl") => {
            let (authority, to) = (fields.need("authority"), fields.need("to"));
            authority.zip(to).map(|(authority, to)| Step::Crl { authority, to })
        }
        _ => {
            fields.wrong("do", "is create, request, sign, install, import, limit, rollover or crl");
            return None;
        }
    };
    fields.end();
    step
}

fn input(fields: &mut Fields<'_>, field: &str) -> Option<Input> {
    let file = fields.need(field);
    let sha256 = match fields.text("sha256").map(|text| text.parse()) {
        Some(Ok(digest)) => Some(digest),
        Some(Err(_)) => {
            fields.wrong("sha256", "is 64 lower-case hexadecimal digits, as `sha256sum` prints them");
            None
        }
        None => {
            fields.wrong("sha256", "is left out: the digest of the file, as `sha256sum` prints it");
            None
        }
    };
    Some(Input { file: file?, sha256: sha256? })
}

fn making(fields: &mut Fields<'_>) -> Option<Making> {
    let name: Option<AuthorityName> = fields.need("name");
    let profile = fields.need("profile");
    let issuer = fields.read("issuer");
    let key_type = fields.need::<String>("key_type");
    if key_type.as_deref().is_some_and(|name| x509::KeyType::by_name(name).is_none()) {
        fields.wrong(
            "key_type",
            "is p256, p384, p521, ed25519, rsa3072, rsa4096, ml-dsa-65 or another one that is known",
        );
    }
    let key = fields.read::<String>("key");
    if key.as_ref().is_some_and(|key| key.len() > KEY_LEN_MAX) {
        fields.wrong("key", format!("is longer than {KEY_LEN_MAX} octets"));
    }
    if key.as_ref().is_some_and(|key| key.contains("shares=")) {
        fields.wrong("key", "says nothing of shares: `shares` beside it does");
    }
    let split = fields.take("shares").and_then(|value| split(fields, value, key.as_deref()));
    let to = fields.read("to").or_else(|| format!("{}.pem", name.as_ref()?).parse().ok());
    Some(Making { name: name?, profile: profile?, issuer, key_type: key_type?, key, split, to: to? })
}

fn request(fields: &mut Fields<'_>) -> Option<Step> {
    if !fields.has("to") {
        fields.wrong("to", "is left out: the file for the request");
    }
    if !fields.has("issuer") {
        fields.wrong("issuer", "is left out: who will sign it elsewhere");
    }
    making(fields).map(Step::Request)
}

fn rollover(fields: &mut Fields<'_>) -> Option<Step> {
    // Without a place of its own the shares of the old key and of the new one would have one name.
    if fields.has("shares") && !fields.has("key") {
        fields.wrong("key", "is left out: with shares a new key needs a place of its own, such as file:root-2");
    }
    making(fields).map(Step::Rollover)
}

fn split(fields: &mut Fields<'_>, value: Value, key: Option<&str>) -> Option<Split> {
    let Value::Table(mut table) = value else {
        fields.wrong("shares", "is { need = 2, of = 3, custodians = [\"alice\", \"bob\", \"carol\"] }");
        return None;
    };
    if key.is_some_and(|key| !key.starts_with("file:")) {
        fields.wrong("shares", "are for keys in files: what is in a token is protected by the token");
    }
    let most = i64::try_from(OPERATORS_MAX).unwrap_or(i64::MAX);
    let of = table.remove("of").and_then(|of| of.as_integer()).filter(|of| (2..=most).contains(of));
    let need = table
        .remove("need")
        .and_then(|need| need.as_integer())
        .filter(|need| of.is_some_and(|of| (2..=of).contains(need)));
    if of.is_none() || need.is_none() {
        fields.wrong("shares", format!("have `of` from 2 to {OPERATORS_MAX}, and `need` from 2 to `of`"));
    }
    let names = table.remove("custodians").and_then(|names| names.as_array().cloned()).unwrap_or_default();
    let custodians: Vec<OperatorName> = names.iter().filter_map(|name| name.as_str()?.parse().ok()).collect();
    let different: BTreeSet<_> = custodians.iter().collect();
    let right = custodians.len() == names.len() && different.len() == names.len();
    if !right || of.is_some_and(|of| i64::try_from(custodians.len()).ok() != Some(of)) {
        fields.wrong("shares", "have as many different `custodians` as `of` says");
    }
    for field in table.keys() {
        let shown = printable(field, 64);
        fields.wrong("shares", format!("have no field {shown:?}"));
    }
    Some(Split { need: u8::try_from(need?).ok()?, custodians })
}

fn sign(fields: &mut Fields<'_>) -> Option<Step> {
    let request = input(fields, "request");
    let (name, profile) = (fields.need("name"), fields.need("profile"));
    let (issuer, to) = (fields.need("issuer"), fields.need("to"));
    Some(Step::Sign { request: request?, name: name?, profile: profile?, issuer: issuer?, to: to? })
}

fn limit(fields: &mut Fields<'_>) -> Option<Step> {
    let name = fields.need("name");
    let quota = fields.number("quota", 0, u64::from(u32::MAX));
    let ends = fields.text("ends");
    let moment = ends.as_deref().and_then(UnixTime::from_text);
    if ends.is_some() && moment.is_none() {
        fields.wrong("ends", "is written \"2027-01-31\" or \"2027-01-31T12:00:00Z\"");
    }
    Some(Step::Limit { name: name?, quota, ends: moment })
}
