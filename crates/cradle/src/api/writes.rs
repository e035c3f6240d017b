//! What is changed: by the functions that the commands call.

use super::answer::{Answer, bad_request};
use super::asked::Asked;
use super::reads::value;
use crate::cli::{approve as approving, cert, check_days, device as registry, list, mode as modes};
use crate::compose::Installation;
use crate::fault::Result;
use model::contract::identity::{ImportList, ListFormat};
use model::{OperatorName, ProfileName};
use serde::{Deserialize, Serialize};
use std::path::Path;
use utoipa::ToSchema;

/// Longest list, in octets; ics has its own limit.
const LIST_LEN_MAX: usize = 4 * 1024 * 1024;
/// Longest name of a list, in characters.
const NAME_LEN_MAX: usize = 64;
/// Longest signature, in octets.
const SIGNATURE_LEN_MAX: usize = 12 * 1024;
/// Most operators that order something together.
const OPERATORS_MAX: usize = ceremony::OPERATORS_MAX;

fn answer(thing: &impl Serialize) -> Result<Answer> {
    value(thing).map(Answer::of)
}

/// No words are needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Leave for one certificate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    /// What its certificate may say; the profile of its registration list if not given.
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9][a-z0-9-]{0,31}$")]
    profile: Option<ProfileName>,
    /// For how many days.
    #[serde(default = "week")]
    #[schema(minimum = 1, maximum = 36525, default = 7)]
    days: u64,
    /// Whether a one-time secret is made that the device shows in place of a certificate.
    #[serde(default)]
    #[schema(default = false)]
    secret: bool,
}

const fn week() -> u64 {
    7
}

pub(super) fn allow(installation: &Installation, asked: &Asked) -> Result<Answer> {
    let Allow { profile, days, secret } = asked.body()?;
    check_days(days)?;
    let found = registry::find(&installation.workshop.store, asked.path("device"))?;
    let allowed = registry::allow_in(installation, &found, profile, days, secret)?;
    Ok(Answer { is_secret: allowed.has_secret(), ..answer(&allowed)? })
}

/// A mark.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stolen {
    /// Whether the mark is taken back.
    #[serde(default)]
    #[schema(default = false)]
    recovered: bool,
}

pub(super) fn stolen(installation: &Installation, asked: &Asked) -> Result<Answer> {
    let Stolen { recovered } = asked.body()?;
    let found = registry::find(&installation.workshop.store, asked.path("device"))?;
    answer(&registry::mark(installation, &found, recovered)?)
}

/// Why a certificate is revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    /// `certificate-hold` can be taken back.
    #[serde(default)]
    reason: Why,
}

/// The reasons of RFC 5280.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = RevocationReason)]
enum Why {
    #[default]
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    CertificateHold,
    PrivilegeWithdrawn,
}

pub(super) fn revoke(installation: &Installation, asked: &Asked) -> Result<Answer> {
    let Revoke { reason } = asked.body()?;
    let name = value(&reason)?;
    let reason = cert::standing::reason_of(name.as_str().unwrap_or_default())?;
    let row = cert::find(&installation.workshop.store, asked.path("serial"))?;
    answer(&cert::standing::revoke_in(installation, &row.serial.to_string(), reason)?)
}

pub(super) fn release(installation: &Installation, asked: &Asked) -> Result<Answer> {
    let Nothing {} = asked.body()?;
    let row = cert::find(&installation.workshop.store, asked.path("serial"))?;
    answer(&cert::standing::release_in(installation, &row.serial.to_string())?)
}

/// A registration list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "devices", "format": "csv", "content": "serial,type\nSN000001,sensor\n"}))]
pub(super) struct List {
    /// What it is called in records.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// How it is written.
    format: Written,
    /// The list itself, octet for octet: a signature is over it.
    #[schema(max_length = 4194304)]
    content: String,
    /// The supplier's signature over it, base64; without one it is the operator's own word.
    #[schema(value_type = Option<String>, max_length = 16384)]
    signature: Option<model::Base64>,
    /// The operator's own list that this one takes the place of.
    #[schema(min_length = 1, max_length = 64)]
    replaces: Option<String>,
    /// For how many days its devices may be certified, at most.
    #[serde(default = "year")]
    #[schema(minimum = 1, maximum = 36525, default = 365)]
    days: u64,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ListFormat)]
enum Written {
    Csv,
    Json,
}

const fn year() -> u64 {
    365
}

pub(super) fn import(installation: &Installation, asked: &Asked) -> Result<Answer> {
    let List { name, format, content, signature, replaces, days } = asked.body()?;
    check_days(days)?;
    if content.len() > LIST_LEN_MAX {
        return Err(bad_request("the list is too long", format!("{LIST_LEN_MAX} octets are taken")));
    }
    let is_name = |name: &String| (1..=NAME_LEN_MAX).contains(&name.chars().count());
    let is_short = signature.as_ref().is_none_or(|signature| signature.0.len() <= SIGNATURE_LEN_MAX);
    if !is_name(&name) || !replaces.as_ref().is_none_or(is_name) || !is_short {
        return Err(bad_request("a name, or the signature, is too long, or there is none", "see the description"));
    }
    let format = match format {
        Written::Csv => ListFormat::Csv,
        Written::Json => ListFormat::Json,
    };
    let octets = content.into_bytes().into();
    let until = installation.workshop.clock.now().plus_s(days * 86_400);
    let call = ImportList { name, format, octets, until, signature, replaces, dry_run: false };
    answer(&list::import_in(installation, &call, Path::new(&call.name))?)
}

/// Who says it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    /// The only operator, if nobody is named.
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    operator: Option<OperatorName>,
}

pub(super) fn approve(installation: &Installation, asked: &Asked) -> Result<Answer> {
    say(installation, asked, true)
}

pub(super) fn deny(installation: &Installation, asked: &Asked) -> Result<Answer> {
    say(installation, asked, false)
}

fn say(installation: &Installation, asked: &Asked, approved: bool) -> Result<Answer> {
    let Word { operator } = asked.body()?;
    let id = asked.parsed("id")?.unwrap_or_default();
    answer(&approving::say_in(installation, id, operator.as_ref(), approved)?)
}

/// The mode that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModeWanted {
    /// A mode of `cradle mode table`, or `provision`: software then certificates, switched for each tray.
    mode: Wanted,
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 500, default = "")]
    reason: String,
    /// Who orders it: the only operator, if nobody is named.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 32)]
    operators: Vec<OperatorName>,
}

/// What can be ordered.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ModeName)]
enum Wanted {
    Provision,
    ProvisionSoftware,
    ProvisionCertificate,
    SoftwareManagement,
    CertificateManagement,
    SoftwareImport,
    Ceremony,
    Sealed,
}

/// Longest reason, in characters.
const REASON_LEN_MAX: usize = 500;

pub(super) fn mode(installation: &Installation, asked: &Asked) -> Result<Answer> {
    let ModeWanted { mode, reason, operators } = asked.body()?;
    if operators.len() > OPERATORS_MAX || reason.chars().count() > REASON_LEN_MAX {
        return Err(bad_request("the order is too long", "it names too many, or says too much"));
    }
    let name = value(&mode)?;
    let order = modes::order_of(name.as_str().unwrap_or_default())?;
    answer(&modes::shown(&modes::set_in(installation, order, &operators, &reason)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::contract::authority::RevocationReason;
    use model::mode::Order;

    #[test]
    fn each_mode_can_be_ordered_by_its_name_and_nothing_else() {
        for order in Order::all() {
            let wanted: Wanted = serde_json::from_value(order.name().into()).unwrap();
            assert_eq!(value(&wanted).unwrap(), order.name());
        }
        assert!(serde_json::from_value::<Wanted>("demo".into()).is_err());
    }
    #[test]
    fn each_reason_can_be_given_by_its_name() {
        for reason in RevocationReason::ALL {
            let why: Why = serde_json::from_value(reason.name().into()).unwrap();
            assert_eq!(value(&why).unwrap(), reason.name());
        }
    }
}
