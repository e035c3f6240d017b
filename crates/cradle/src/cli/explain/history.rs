//! Why a certificate is as it is, or why there is none: the records and the audit log in plain words.

use super::decided::{Approved, Decided, approved, approved_words, decided};
use crate::cli::{Common, device};
use crate::compose;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use crate::progress;
use adapters::store::SqlStore;
use adapters::store::sql::About;
use model::audit::{Entry, Event};
use model::contract::authority::RevocationReason;
use model::{Entity, TransactionId};
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, CertificateRow};
use ports::store::foreign::{ForeignIntentRow, ForeignState};
use ports::store::identity::DeviceRow;
use serde::Serialize;
use utoipa::ToSchema;
use x509::SerialNumber;

/// Entries of the audit log that are looked through, from its end.
const ENTRIES_MAX: u64 = 1_000_000;
/// Entries that are read at a time.
const PAGE: u64 = 1000;
/// Certificates of one subject that are told of.
const CERTIFICATES_MAX: u32 = 100;

/// What is asked about.
#[derive(Default)]
struct Subject {
    certificates: Vec<CertificateRow>,
    device: Option<DeviceRow>,
    serial: Option<SerialNumber>,
    entity: Option<Entity>,
    transaction: Option<TransactionId>,
    /// Words that an entry of the audit log must have one of.
    words: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Line {
    at: Option<String>,
    by: Option<String>,
    says: String,
}

/// Why something is as it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Explained {
    about: String,
    now: Vec<String>,
    decisions: Vec<Decided>,
    /// A request that waits for operators, or did, and that nothing came of.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<Approved>,
    history: Vec<Line>,
    /// Whether the audit log was looked through to its beginning.
    whole: bool,
}

/// Explains a serial number, a transaction or a device.
pub(super) fn explained(common: &Common, text: &str) -> Result<Explained> {
    let store = common.records()?;
    let subject = find(&store, text)?;
    let mut now: Vec<String> = Vec::new();
    for certificate in &subject.certificates {
        now.extend(standing(common, &store, certificate)?);
    }
    if let Some(device) = &subject.device {
        let marked = if device.stolen { ", and is marked as stolen" } else { "" };
        now.push(format!("{} is expected by the list {}, under {}.", device.id, device.list, device.profile));
        now.push(format!("It is {}{marked}.", device.custody));
    }
    let (decided_words, decisions) = match subject.about() {
        Some(about) => decided(&store, about)?,
        None => (Vec::new(), Vec::new()),
    };
    now.extend(decided_words);
    let asked = match subject.about() {
        Some(about) => store.foreign_about(about)?,
        None => Vec::new(),
    };
    now.extend(asked.iter().map(abroad));
    let mut words = subject.words.clone();
    words.extend(asked.iter().map(|row| row.exchange.to_string()));
    let waited = match &subject.transaction {
        Some(transaction) if decisions.is_empty() => store.approval_of(transaction)?,
        _ => None,
    };
    now.extend(waited.iter().flat_map(approved_words).map(|line| line.trim_start().to_owned()));
    let (history, whole) = history(common, &store, &words)?;
    if now.is_empty() && history.is_empty() {
        return Err(unknown(text));
    }
    Ok(Explained { about: text.to_owned(), now, decisions, waited: waited.map(approved), history, whole })
}

pub(super) fn run(common: &Common, text: &str) -> Result {
    let explained = explained(common, text)?;
    common.out().one(&explained, || {
        let mut text: String = explained.now.iter().map(|line| format!("{line}\n")).collect();
        for Line { at, says, .. } in &explained.history {
            text.push_str(&format!("{}  {says}\n", at.as_deref().unwrap_or("-")));
        }
        text
    })?;
    if !explained.whole {
        common.out().say(&format!("Only the last {ENTRIES_MAX} entries of the audit log were looked through."));
    }
    Ok(())
}

fn unknown(text: &str) -> Failure {
    let what = format!("{text:?} is no code of an error, serial number, transaction or device");
    Failure::new(Exit::NotFound, "code-unknown", what).because("an error prints its code on its last line").next(
        "list codes with `cradle explain`, certificates with `cradle cert list`, devices with `cradle device list`",
    )
}

fn find(store: &SqlStore, text: &str) -> Result<Subject> {
    let mut subject = Subject::default();
    if let Some(serial) = SerialNumber::from_hex(text)
        && let Some(row) = store.certificate(&serial)?
    {
        subject.words = vec![row.serial.to_string(), row.transaction_id.to_string()];
        subject.certificates = vec![row];
        subject.serial = Some(serial);
        return Ok(subject);
    }
    // A number that was closed, or is about to be signed, has no certificate and was decided upon all the same.
    if let Some(serial) = SerialNumber::from_hex(text)
        && let Some(decision) = store.decisions(About::Serial(&serial))?.first()
    {
        subject.words = vec![serial.to_string(), decision.transaction_id.to_string()];
        subject.serial = Some(serial);
        return Ok(subject);
    }
    let octets = model::octets::from_hex(text).ok().and_then(|octets| <[u8; 16]>::try_from(octets).ok());
    if let Some(octets) = octets {
        subject.words = vec![TransactionId::new(octets).to_string()];
        subject.transaction = Some(TransactionId::new(octets));
    }
    if let Ok(row) = device::find(store, text) {
        subject.entity = Some(Entity::Device(row.id.clone()));
        let filter = CertificateFilter {
            subject: subject.entity.clone(),
            limit: CERTIFICATES_MAX,
            ..CertificateFilter::default()
        };
        subject.certificates = store.certificates(&filter)?;
        subject.words.push(row.id.to_string());
        subject.words.extend(subject.certificates.iter().map(|c| c.serial.to_string()));
        subject.words.extend(subject.certificates.iter().map(|c| c.transaction_id.to_string()));
        subject.device = Some(row);
    }
    if subject.words.is_empty() { Err(unknown(text)) } else { Ok(subject) }
}

impl Subject {
    /// What decisions are looked for.
    fn about(&self) -> Option<About<'_>> {
        self.serial
            .as_ref()
            .map(About::Serial)
            .or(self.transaction.as_ref().map(About::Transaction))
            .or(self.entity.as_ref().map(About::Subject))
    }
}

/// What a foreign authority was asked for, and what came of it.
fn abroad(row: &ForeignIntentRow) -> String {
    let ForeignIntentRow { authority, exchange, key, at, .. } = row;
    let why = row.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let serial =
        row.serial.map(|serial| format!("certificate {serial}")).unwrap_or_else(|| "no certificate".to_owned());
    let came = match row.state {
        ForeignState::Asked => "it is being asked".to_owned(),
        ForeignState::Issued => format!("{serial} came of it"),
        ForeignState::Closed => format!("it came to nothing{why}"),
        ForeignState::Unsettled => format!(
            "it is not known whether it certified that key{why}. The grant stays reserved; \
             `cradle ca settle {authority}` ends it"
        ),
    };
    format!(
        "The foreign authority {authority} was asked at {at}, in its transaction {exchange}, for the key {key}; {came}."
    )
}

/// How a certificate stands now.
fn standing(common: &Common, store: &SqlStore, row: &CertificateRow) -> Result<Vec<String>> {
    let profiles = compose::profiles(&Places::of(&common.data))?;
    let file = match profiles.get(&row.profile) {
        _ if row.is_read_back() => "as the high-water marks say",
        Some(profile) if profile.digest() == row.profile_digest => "whose file is as it was then",
        Some(_) => "whose file was changed since",
        None => "whose file is gone",
    };
    let standing = match row.revoked {
        Some((at, RevocationReason::CertificateHold)) => format!("It is on hold since {at}."),
        Some((at, reason)) => format!("It is revoked since {at}, for {}.", reason.name()),
        None if row.is_read_back() => {
            "It is good; it was issued after the backup, and only its number is known.".to_owned()
        }
        None if row.confirmed => "It is good, and its requester confirmed it.".to_owned(),
        None => "It is good, and its requester has not confirmed it.".to_owned(),
    };
    let chain = store.authorities()?.into_iter().find(|authority| authority.name == row.authority);
    let key = chain.map(|authority| format!(" (key in {})", authority.key)).unwrap_or_default();
    Ok(vec![
        format!("Certificate {} is for {}, until {}.", row.serial, row.subject, row.not_after),
        format!(
            "{}{key} issued it under {} ({file}), in transaction {}.",
            row.authority, row.profile, row.transaction_id
        ),
        standing,
    ])
}

/// What the audit log says of these words, oldest first; and whether all of it was looked through.
fn history(common: &Common, store: &SqlStore, words: &[String]) -> Result<(Vec<Line>, bool)> {
    let len = store.audit_len()?;
    let first = len.saturating_sub(ENTRIES_MAX);
    let bar = progress::bar(common.out(), "audit log", len - first);
    let (mut end, mut found) = (len, Vec::new());
    while end > first {
        let start = end.saturating_sub(PAGE).max(first);
        let page = store.audit_entries(start, u32::try_from(end - start).unwrap_or(u32::MAX))?;
        for entry in page.iter().rev() {
            let text = String::from_utf8_lossy(&entry.entry);
            if words.iter().any(|word| text.contains(word.as_str()))
                && let Ok(entry) = serde_json::from_slice::<Entry>(&entry.entry)
            {
                found.extend(told(&entry));
            }
        }
        bar.inc(end - start);
        end = start;
    }
    bar.finish_and_clear();
    found.reverse();
    Ok((found, first == 0))
}

/// An entry in plain words, if it is about a certificate or a device.
fn told(entry: &Entry) -> Option<Line> {
    let says = match &entry.event {
        Event::Intended { serial, grant, transaction, .. } => {
            format!("{serial} was about to be signed, under grant {grant}, in transaction {transaction}")
        }
        Event::Issued { serial, .. } => format!("{serial} was signed and recorded"),
        Event::IntentClosed { serial, why } => format!("{serial} was not released, and is revoked: {why}"),
        Event::ForeignAsked { authority, exchange, transaction, .. } => format!(
            "the foreign authority {authority} was about to be asked, in its transaction {exchange}, for transaction {transaction}"
        ),
        Event::ForeignOffered { exchange, serial } => {
            format!("{serial} was given in transaction {exchange}, and not taken yet")
        }
        Event::ForeignIssued { exchange, serial, .. } => {
            format!("{serial} of transaction {exchange} was taken and recorded")
        }
        Event::ForeignClosed { exchange, why } => format!("transaction {exchange} came to nothing: {why}"),
        Event::ForeignUnsettled { exchange, why, .. } => {
            format!("what came of transaction {exchange} is not known: {why}")
        }
        Event::Confirmed { serial, accepted: true } => format!("{serial} was taken by its requester"),
        Event::Confirmed { serial, .. } => format!("{serial} was declined by its requester, and is revoked"),
        Event::CertificateRefused { subject, transaction, reason } => {
            let (what, next) = (reason.what(), reason.next());
            format!("a request for {subject} was refused ({reason}): {what}; transaction {transaction}; next: {next}")
        }
        Event::EnrolmentAllowed { subject, profile, until, left_by } => {
            format!("{subject} may enrol under {profile} until {until}, by leave of: {left_by}")
        }
        Event::Enrolled { transaction, label, shown, protocol, .. } => {
            let protocol = protocol.as_deref().unwrap_or("EST");
            format!("it came over {protocol}, under the label {label}, and showed {shown}; transaction {transaction}")
        }
        Event::AcmeAccount { subject, account, label, what, .. } => {
            format!("the account {account} of {subject}, under the label {label}: {what}")
        }
        Event::NameProved { subject, name, challenge } => format!("{subject} proved {name} by {challenge}"),
        Event::Approved { transaction, operator, approved } => {
            let word = if *approved { "approved" } else { "denied" };
            format!("{operator} {word} transaction {transaction}")
        }
        Event::Revoked { serial, reason } => format!("{serial} was revoked, for {reason}"),
        Event::Released { serial } => format!("{serial} was released from hold"),
        Event::Recalled { serial, .. } => {
            format!("{serial} was read back after a restore: it was issued after the backup")
        }
        Event::BoardAdmitted { device, board } => format!("the board {board} was admitted as {device}"),
        Event::BoardRefused { board, reason, .. } => {
            format!("the board {board} was refused ({reason}): {}; next: {}", reason.what(), reason.next())
        }
        Event::DeviceMarked { stolen: true, .. } => "it was marked as stolen".to_owned(),
        Event::DeviceMarked { .. } => "its mark as stolen was taken back".to_owned(),
        Event::Flashed { board, station, operator, .. } => {
            format!("the board {board} was flashed at {station} by {operator}")
        }
        Event::AskedOverApi { who, request, .. } => format!("{who} asked over the operator API: {request}"),
        Event::Provisioned { station, operator, serial, .. } => {
            format!("it was provisioned with {serial} at {station} by {operator}")
        }
        _ => return None,
    };
    Some(Line { at: Some(entry.at.to_string()), by: Some(entry.by.to_string()), says })
}
