//! Foreign authorities: how they are reached, what their lists say, and what is open with them.

use crate::cli::Common;
use crate::compose::{Installation, module_off};
use crate::fault::{Exit, Failure, Result, While};
use adapters::cmp::{Address, TIMEOUT, fetch};
use authority::Ra;
use model::{AuthorityName, Fault, Module, TransactionId};
use ports::store::AuthorityStore;
use ports::store::authority::AuthorityRow;
use ports::store::foreign::{Credential, ForeignIntentRow, ForeignState, ForeignStore, StatusDraft, StatusTaken};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use x509::crl::CRL_LEN_MAX;
use x509::{Certificate, CertificateList, SerialNumber, pem, sha256};

/// What is open with an authority.
#[derive(Serialize)]
struct Open {
    exchange: String,
    transaction: String,
    subject: String,
    key: String,
    asked_at: String,
    state: &'static str,
    serial: Option<String>,
    why: Option<String>,
}

impl Open {
    fn of(row: &ForeignIntentRow) -> Self {
        Self {
            exchange: row.exchange.to_string(),
            transaction: row.transaction_id.to_string(),
            subject: row.subject.to_string(),
            key: row.key.to_string(),
            asked_at: row.at.to_string(),
            state: state(row.state),
            serial: row.serial.map(|serial| serial.to_string()),
            why: row.why.clone(),
        }
    }
}

const fn state(state: ForeignState) -> &'static str {
    match state {
        ForeignState::Asked => "asked",
        ForeignState::Issued => "issued",
        ForeignState::Closed => "closed",
        ForeignState::Unsettled => "not settled",
    }
}

#[derive(Serialize)]
struct Shown {
    name: String,
    kind: &'static str,
    state: &'static str,
    subject: String,
    issuer: Option<String>,
    not_after: String,
    key: String,
    url: Option<String>,
    /// What protects requests: a secret or a key.
    protection: Option<&'static str>,
    reference: Option<String>,
    mac: Option<&'static str>,
    open: Vec<Open>,
}

pub(super) fn show(common: &Common, name: &AuthorityName) -> Result {
    let store = common.records()?;
    let row = authority(&store.authorities()?, name)?;
    let attachment = store.attachments()?.into_iter().find(|attachment| attachment.authority == row.id);
    let certificate = Certificate::decode(&row.certificate).ok();
    let tbs = certificate.as_ref().map(Certificate::tbs);
    let (protection, reference, mac) = match attachment.as_ref().map(|attachment| &attachment.credential) {
        Some(Credential::Secret { reference, mac, .. }) => (Some("secret"), Some(reference.clone()), Some(mac.name())),
        Some(Credential::Key { .. }) => (Some("key"), None, None),
        None => (None, None, None),
    };
    let shown = Shown {
        name: row.name.to_string(),
        kind: super::list::kind(&row),
        state: super::list::state(&row),
        subject: tbs.map(|tbs| tbs.subject.to_string()).unwrap_or_default(),
        issuer: row.issuer.as_ref().map(ToString::to_string),
        not_after: tbs.map(|tbs| tbs.not_after.to_string()).unwrap_or_default(),
        key: row.key.to_string(),
        url: attachment.map(|attachment| attachment.url),
        protection,
        reference,
        mac,
        open: store.foreign_open(Some(row.id))?.iter().map(Open::of).collect(),
    };
    common.out().one(&shown, || {
        let mut text = format!(
            "{}: {}, {}\nkind: {}\nvalid until: {}\nkey: {}\n",
            shown.name, shown.subject, shown.state, shown.kind, shown.not_after, shown.key
        );
        if let (Some(url), Some(protection)) = (&shown.url, shown.protection) {
            let by = shown.reference.as_ref().map(|by| format!(", known there as {by}")).unwrap_or_default();
            text.push_str(&format!("asked at: {url}, protected by a {protection}{by}\n"));
        }
        text.push_str(&lines(&shown.open));
        text
    })
}

fn lines(open: &[Open]) -> String {
    let line = |open: &Open| {
        let serial = open.serial.as_ref().map(|serial| format!(", certificate {serial}")).unwrap_or_default();
        let why = open.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!(
            "{}  {}  for {}, key {}, asked at {}{serial}{why}\n",
            open.exchange, open.state, open.subject, open.key, open.asked_at
        )
    };
    open.iter().map(line).collect()
}

/// The authority of this name.
fn authority(rows: &[AuthorityRow], name: &AuthorityName) -> Result<AuthorityRow> {
    rows.iter().find(|row| row.name == *name).cloned().ok_or_else(|| {
        Failure::new(Exit::NotFound, "issuer-unknown", format!("there is no authority {name}"))
            .next("list them with `cradle ca list`")
    })
}

/// The authority of this name, if it is a foreign one.
fn foreign(rows: &[AuthorityRow], name: &AuthorityName) -> Result<AuthorityRow> {
    let row = authority(rows, name)?;
    if row.key.is_foreign() {
        return Ok(row);
    }
    Err(Failure::new(Exit::Usage, "foreign", format!("{name} is no foreign authority"))
        .because(format!("its key is in {}", row.key))
        .next("see `cradle ca list`; `cradle ca attach` makes it one whose key is elsewhere"))
}

/// Opens the installation, if km may be awake.
fn opened(common: &Common, doing: &str) -> Result<Installation> {
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let binding = installation.supervisor.row().binding;
    if !binding.permits(Module::Authority) {
        return Err(module_off(Module::Authority, binding, doing));
    }
    installation.supervisor.check_running(&[Module::Authority])?;
    Ok(installation)
}

pub(super) fn status(common: &Common, name: &AuthorityName, source: &str) -> Result {
    let doing = format!("taking over the list of {name}");
    let row = foreign(&common.records()?.authorities()?, name)?;
    let octets = read(source)?;
    let der = pem::der_or_pem(&octets, &["X509 CRL"]);
    let list = der.and_then(|der| CertificateList::decode(&der).ok().map(|list| (sha256(&der), list)));
    let (digest, list) = list.ok_or_else(|| {
        Failure::new(Exit::Failed, "malformed", format!("{source} is no list of revoked certificates"))
            .next("look at it with `cradle inspect FILE`")
    })?;
    let unfit = |why: &str, next: &str| {
        Failure::new(Exit::Refused, "foreign", format!("{source} was not taken over"))
            .because(why)
            .next(next.to_owned())
    };
    let certificate = Certificate::decode(&row.certificate).map_err(Fault::from).or_fail(&doing)?;
    let tbs = certificate.tbs();
    if !list.issuer.matches(&tbs.subject) || list.verify(&tbs.subject_public_key).is_err() {
        return Err(unfit(&format!("{name} did not sign it"), "get the list of that authority"));
    }
    if list.base_crl_number.is_some() || list.issuing_distribution_point.is_some() {
        let why = "it does not speak of all certificates of the authority, so what it leaves out may be revoked";
        return Err(unfit(why, "get its complete list"));
    }
    let installation = opened(common, &doing)?;
    let now = installation.workshop.clock.now();
    if list.this_update > now {
        return Err(unfit("it is from later than now", "check the clock: `cradle doctor`"));
    }
    let revoked = list.revoked.iter().map(|one| (one.serial_number, one.revocation_date, one.reason));
    let draft =
        StatusDraft { authority: row.id, number: list.crl_number, crl: digest, revoked: revoked.collect(), at: now };
    let taken = installation.workshop.store.take_status(&draft)?;
    let taken = taken.map_err(|_| unfit("a newer list was taken over before", "get the newest list"))?;
    tell(common, name, &list, &taken)?;
    if list.next_update < now {
        common.out().say(&format!("The list is out of date since {}: get a newer one.", list.next_update));
    }
    Ok(())
}

fn read(source: &str) -> Result<Vec<u8>> {
    if !source.starts_with("http://") && !source.starts_with("https://") {
        let path = Path::new(source);
        let len_max = u64::try_from(CRL_LEN_MAX).unwrap_or(u64::MAX);
        return adapters::files::read_bounded(path, len_max).map_err(|e| Failure::file(path, &e));
    }
    let failed = |why: String| {
        Failure::new(Exit::Unavailable, "foreign", format!("{source} cannot be fetched"))
            .because(why)
            .next("check the address; or fetch it yourself, and name the file")
    };
    let address = Address::parse(source).map_err(|bad| failed(bad.to_string()))?;
    fetch(&address, TIMEOUT, CRL_LEN_MAX).map_err(|fault| failed(fault.to_string()))
}

fn tell(common: &Common, name: &AuthorityName, list: &CertificateList, taken: &StatusTaken) -> Result {
    let names = |serials: &[SerialNumber]| serials.iter().map(ToString::to_string).collect::<Vec<_>>();
    let said = json!({
        "name": name, "number": list.crl_number, "this_update": list.this_update.to_string(),
        "revoked": names(&taken.revoked), "released": names(&taken.released), "strangers": taken.strangers,
    });
    common.out().one(&said, || {
        format!(
            "list {} of {name}: {} revoked since, {} released, {} of others\n",
            list.crl_number,
            taken.revoked.len(),
            taken.released.len(),
            taken.strangers
        )
    })
}

/// What an operator found out about one request.
#[derive(clap::Args)]
pub(super) struct Found {
    /// End this request only: its transaction with the authority.
    #[arg(long, value_name = "TRANSACTION", value_parser = transaction)]
    exchange: Option<TransactionId>,
    /// The authority has no certificate of that key: the grant is free again.
    #[arg(long, requires = "exchange", conflicts_with = "serial")]
    none: bool,
    /// The authority issued this number: it is revoked there, and the grant is free again.
    #[arg(long, requires = "exchange", value_name = "SERIAL")]
    serial: Option<String>,
}

fn transaction(text: &str) -> std::result::Result<TransactionId, String> {
    text.parse().map_err(|_| "a transaction is 32 hexadecimal digits".into())
}

#[derive(Serialize)]
struct Settled {
    exchange: String,
    serial: Option<String>,
    settled: bool,
    why: Option<String>,
}

pub(super) fn settle(common: &Common, name: &AuthorityName, found: &Found) -> Result {
    let doing = format!("settling what is open with {name}");
    foreign(&common.records()?.authorities()?, name)?;
    let installation = opened(common, &doing)?;
    let workshop = &installation.workshop;
    let ra = Ra::new(workshop.authority_setting()?).or_fail(&doing)?.with_lines(Some(workshop.abroad()));
    if let Some(exchange) = &found.exchange {
        let serial = match &found.serial {
            Some(text) => Some(SerialNumber::from_hex(text).ok_or(Fault::malformed("serial number")).or_fail(&doing)?),
            None => None,
        };
        if !found.none && serial.is_none() {
            return Err(Failure::new(Exit::Usage, "foreign", "it was not said what is known of that request")
                .next("--none if the authority has no certificate of its key, or --serial SERIAL"));
        }
        ra.settle_one(name, exchange, serial.as_ref()).or_fail(&doing)?;
        let said = json!({"exchange": exchange.to_string(), "settled": true});
        return common.out().one(&said, || format!("{exchange} is settled: its grant is free again\n"));
    }
    let done = ra.settle(name).or_fail(&doing)?.into_iter().map(|(row, done)| Settled {
        exchange: row.exchange.to_string(),
        serial: row.serial.map(|serial| serial.to_string()),
        settled: done.is_ok(),
        why: done.err().map(|fault| fault.to_string()),
    });
    let done: Vec<_> = done.collect();
    let rows = workshop.store.foreign_open(None)?;
    let open: Vec<_> = rows.iter().filter(|row| row.authority == *name).map(Open::of).collect();
    common.out().one(&json!({"settled": done, "open": open}), || {
        let ended = done.iter().filter(|one| one.settled).count();
        format!("{ended} settled, {} open\n{}", open.len(), lines(&open))
    })?;
    if !open.is_empty() {
        common.out().next(&format!(
            "look for each key at that authority, then: cradle ca settle {name} --exchange TRANSACTION --none, or --serial SERIAL"
        ));
    }
    Ok(())
}
