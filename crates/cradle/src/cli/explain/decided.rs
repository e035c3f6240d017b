//! On what a decision rests, in plain words.

use crate::fault::Result;
use adapters::store::SqlStore;
use adapters::store::sql::{About, ApprovalShown, Decision, Line};
use model::{Module, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

/// A decision, for programs.
#[derive(Serialize, ToSchema)]
pub(super) struct Decided {
    serial: String,
    transaction: String,
    authority: String,
    requester: String,
    /// What the clock of this box said.
    at: String,
    profile: String,
    profile_digest: String,
    grant: Granted,
    right: Option<Entitled>,
    approval: Option<Approved>,
    closed: bool,
}

#[derive(Serialize, ToSchema)]
struct Granted {
    id: u64,
    subject: String,
    origin: String,
    list: Option<String>,
    line: Option<u64>,
    list_digest: Option<String>,
    supplier: Option<String>,
    sequence: Option<u64>,
    until: String,
    quota: u32,
    used: u32,
}

#[derive(Serialize, ToSchema)]
struct Entitled {
    station: String,
    device_type: String,
    until: String,
    quota: u32,
    used: u32,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Approved {
    requester: String,
    subject: String,
    needed: u32,
    asked_at: String,
    until: String,
    said: Vec<Said>,
}

#[derive(Serialize, ToSchema)]
struct Said {
    operator: String,
    approved: bool,
    at: String,
    /// What the operator signed: a JWS, which the operator's certificate verifies.
    statement: String,
}

/// What was decided, for people and for programs.
pub(super) fn decided(store: &SqlStore, about: About<'_>) -> Result<(Vec<String>, Vec<Decided>)> {
    let decisions = store.decisions(about)?;
    let words = decisions.iter().flat_map(words).collect();
    Ok((words, decisions.into_iter().map(shown).collect()))
}

fn words(decision: &Decision) -> Vec<String> {
    let Decision { serial, requester, transaction_id, at, profile: (profile, digest), grant, right, .. } = decision;
    let standing = if decision.closed { " It was closed or declined, and is revoked." } else { "" };
    let mut words = vec![format!(
        "{serial} was asked for by {requester}, in transaction {transaction_id}, when this box's clock said {at}.{standing}"
    )];
    words.push(format!("  Profile {profile}, in the version of SHA-256 {digest}, said what may stand in it."));
    let line = decision.line.as_ref().map(line).unwrap_or_default();
    words.push(format!(
        "  Grant {} allowed it: for {}, left by {}{line}; {} of {} used, until {}.",
        grant.id,
        grant.subject,
        grant.origin,
        grant.used,
        grant.quota,
        ends(grant.until),
    ));
    words.push(match right {
        Some(right) => format!(
            "  The {}, under its right {} for {}: {} of {} used, until {}.",
            vouched(requester, right.station.as_str()),
            right.id,
            right.device_type,
            right.used,
            right.quota,
            ends(right.until),
        ),
        None => "  The request itself proved that its key was there: no station's right was needed.".to_owned(),
    });
    words.extend(decision.approval.iter().flat_map(approved_words));
    words
}

/// What vouched: a station asks itself, a registration authority through the gateway.
// Whether a registration authority vouched for the key, too, or its own proof came along, the transaction's entry says.
fn vouched(requester: &str, name: &str) -> String {
    let module = requester.split(':').next().unwrap_or_default();
    if module == Module::Gateway.to_string() {
        format!("registration authority {name} vouched for the device")
    } else {
        format!("station {name} vouched for its key")
    }
}

fn line(line: &Line) -> String {
    let of = match (&line.supplier, line.sequence) {
        (Some(supplier), Some(n)) => format!(", list {n} of supplier {supplier}"),
        _ => String::new(),
    };
    match line.line {
        0 => format!(" (list {}{of}, which took the line back since)", line.list),
        n => format!(" (line {n} of list {}{of})", line.list),
    }
}

pub(super) fn approved_words(approval: &ApprovalShown) -> Vec<String> {
    let ApprovalShown { requester, subject, needed, at, until, said } = approval;
    let mut words = vec![format!(
        "  {needed} operators had to approve it: {requester} asked for {subject} at {at}, and could wait until {until}."
    )];
    words.extend(said.iter().map(|said| {
        let word = if said.approved { "approved" } else { "denied" };
        format!("  {} {word} it at {}, and signed that.", said.operator, said.at)
    }));
    if said.is_empty() {
        words.push("  No operator has said anything.".to_owned());
    }
    words
}

fn ends(at: UnixTime) -> String {
    if at == UnixTime::NO_EXPIRY { "the end of time".to_owned() } else { at.to_string() }
}

fn shown(decision: Decision) -> Decided {
    let Decision { serial, authority, requester, transaction_id, at, profile, grant, line, right, approval, closed } =
        decision;
    let (list, number, list_digest, supplier, sequence) = match line {
        Some(Line { list, line, digest, supplier, sequence }) => {
            (Some(list), Some(line), Some(digest.to_string()), supplier, sequence)
        }
        None => (None, None, None, None, None),
    };
    Decided {
        serial: serial.to_string(),
        transaction: transaction_id.to_string(),
        authority: authority.to_string(),
        requester,
        at: at.to_string(),
        profile: profile.0.to_string(),
        profile_digest: profile.1.to_string(),
        grant: Granted {
            id: grant.id,
            subject: grant.subject.to_string(),
            origin: grant.origin,
            list,
            line: number,
            list_digest,
            supplier,
            sequence,
            until: grant.until.to_string(),
            quota: grant.quota,
            used: grant.used,
        },
        right: right.map(|right| Entitled {
            station: right.station.to_string(),
            device_type: right.device_type,
            until: right.until.to_string(),
            quota: right.quota,
            used: right.used,
        }),
        approval: approval.map(approved),
        closed,
    }
}

pub(super) fn approved(approval: ApprovalShown) -> Approved {
    let said = approval.said.into_iter().map(|said| Said {
        operator: said.operator,
        approved: said.approved,
        at: said.at.to_string(),
        statement: said.statement,
    });
    Approved {
        requester: approval.requester,
        subject: approval.subject.to_string(),
        needed: approval.needed,
        asked_at: approval.at.to_string(),
        until: approval.until.to_string(),
        said: said.collect(),
    }
}
