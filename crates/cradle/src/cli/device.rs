//! `cradle device`: the device registry.

use super::Common;
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result, While};
use adapters::store::SqlStore;
use adapters::vault::{VaultPublicKey, seal_secret};
use model::contract::enrolment::{AllowEnrolment, ShowSealingKey, secret_info};
use model::contract::identity::Mark;
use model::lifecycle::Custody;
use model::octets::base64url;
use model::{Base64, DeviceId, DeviceSerial, Entity, Fault, ProfileName};
use ports::Entropy;
use ports::clock::random;
use ports::store::authority::CertificateFilter;
use ports::store::identity::{DeviceFilter, DeviceRow};
use ports::store::{AuthorityStore, IdentityStore};
use serde::Serialize;
use utoipa::ToSchema;
use wire::acme::binding_key;
use zeroize::Zeroizing;

/// Devices.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List devices in the order of their lists.
    List {
        /// Only those that have come so far.
        #[arg(long, value_enum)]
        custody: Option<CustodyName>,
        /// At most so many; 0 for all. If nothing is said, 50 for people and all for programs.
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Show one device and its certificates.
    Show {
        /// Its serial number or its name (`urn:dev:ops:...`).
        device: String,
    },
    /// Let a registered device enrol over the network, once. Needs the mode `certificate-management`.
    ///
    /// A device that has a certificate of this installation needs no secret: it shows that one. What was allowed before for the
    /// same device and profile, and its secret, ends.
    Allow {
        /// Its serial number or its name.
        device: String,
        /// What its certificate may say; the profile of its registration list if not given.
        #[arg(long)]
        profile: Option<ProfileName>,
        /// For how many days.
        #[arg(long, default_value_t = 7)]
        days: u64,
        /// Make a one-time secret that the device shows in place of a certificate, and print it, once.
        #[arg(long)]
        secret: bool,
    },
    /// Mark a device as stolen: no station gives it anything. Its certificate is revoked with `cradle cert revoke`.
    Stolen {
        /// Its serial number or its name.
        device: String,
        /// Take the mark back.
        #[arg(long)]
        recovered: bool,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum CustodyName {
    Planned,
    Made,
    Provisioned,
}

/// A device, in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct Row {
    serial: String,
    device: String,
    r#type: String,
    custody: String,
    stolen: bool,
    board: Option<String>,
    image: Option<String>,
    key: Option<String>,
    certificate: Option<String>,
    station: Option<String>,
    list: String,
    profile: String,
    touched_at: String,
    /// The certificate that it brings from its maker: whose, and its serial number.
    idevid: Option<String>,
}

/// A device and what it was issued.
#[derive(Serialize, ToSchema)]
#[schema(as = DeviceShown)]
pub(crate) struct Shown {
    #[serde(flatten)]
    row: Row,
    certificates: Vec<Held>,
}

#[derive(Serialize, ToSchema)]
struct Held {
    serial: String,
    profile: String,
    issued_at: String,
    confirmed: bool,
    read_back: bool,
    revoked: Option<String>,
}

const PAGE: u32 = 1000;

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let out = common.out();
    match arguments.verb {
        Verb::List { custody, limit } => {
            let store = common.records()?;
            let custody = custody.map(CustodyName::custody);
            let limit = out.limit(limit);
            let rows = all(&store, custody, limit)?;
            out.rows(&["serial", "type", "custody", "board", "certificate", "stolen", "list"], &rows)?;
            out.cut(u32::try_from(rows.len()).unwrap_or(u32::MAX), limit);
            Ok(())
        }
        Verb::Show { device } => {
            let shown = shown(&common.records()?, &device)?;
            out.one(&shown, || text(&shown))
        }
        Verb::Allow { device, profile, days, secret } => allow(common, &device, profile, days, secret),
        Verb::Stolen { device, recovered } => {
            let found = find(&common.records()?, &device)?;
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            let marked = mark(&installation, &found, recovered)?;
            out.one(&marked, || format!("{} is marked {}\n", found.id, marked.marked))?;
            if !recovered {
                out.next(&format!(
                    "cradle cert revoke --device {} --all --reason key-compromise, if it holds certificates",
                    found.id.serial
                ));
            }
            Ok(())
        }
    }
}

/// Letters of a secret: none that is taken for another. Twenty-six of them are 130 bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const SECRET_LEN: usize = 26;

fn secret_of(entropy: &dyn Entropy) -> Zeroizing<String> {
    let octets = Zeroizing::new(random::<SECRET_LEN>(entropy));
    let letter = |octet: &u8| LETTERS.get(usize::from(octet % 32)).copied().map_or('a', char::from);
    Zeroizing::new(octets.iter().map(letter).collect())
}

/// What became of a mark.
#[derive(Serialize, ToSchema)]
pub(crate) struct Marked {
    device: String,
    marked: &'static str,
}

/// Marks a device as stolen, or takes the mark back.
pub(crate) fn mark(installation: &Installation, found: &DeviceRow, recovered: bool) -> Result<Marked> {
    let call = Mark { device: found.id.clone(), stolen: !recovered };
    installation.ask(&call, &format!("marking {}", found.id))?;
    Ok(Marked { device: found.id.to_string(), marked: if recovered { "recovered" } else { "stolen" } })
}

impl CustodyName {
    pub(crate) const fn custody(self) -> Custody {
        match self {
            Self::Planned => Custody::Planned,
            Self::Made => Custody::Made,
            Self::Provisioned => Custody::Provisioned,
        }
    }
}

/// One device and its certificates.
pub(crate) fn shown(store: &SqlStore, device: &str) -> Result<Shown> {
    let found = find(store, device)?;
    let filter =
        CertificateFilter { subject: Some(Entity::Device(found.id.clone())), limit: 100, ..Default::default() };
    let held = store.certificates(&filter)?.into_iter().map(|c| Held {
        serial: c.serial.to_string(),
        profile: c.profile.to_string(),
        issued_at: c.at.to_string(),
        confirmed: c.confirmed,
        read_back: c.is_read_back(),
        revoked: c.revoked.map(|(at, reason)| format!("{at}, {}", reason.name())),
    });
    Ok(Shown { row: row(&found), certificates: held.collect() })
}

/// Leave for one certificate, and the secret that was made for it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Allowed {
    device: String,
    profile: String,
    until: String,
    user: String,
    /// It is told once.
    secret: Option<String>,
    /// The same, as a client of ACME takes it.
    eab_hmac_key: Option<String>,
}

impl Allowed {
    pub(crate) const fn has_secret(&self) -> bool {
        self.secret.is_some()
    }
}

fn allow(common: &Common, device: &str, profile: Option<ProfileName>, days: u64, with_secret: bool) -> Result {
    crate::cli::check_days(days)?;
    let found = find(&common.records()?, device)?;
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let allowed = allow_in(&installation, &found, profile, days, with_secret)?;
    common.out().one(&allowed, || match &allowed {
        Allowed { user, secret: Some(secret), eab_hmac_key, until, .. } => {
            let key = eab_hmac_key.as_ref().map(|key| format!("acme    {key}\n")).unwrap_or_default();
            format!("user    {user}\nsecret  {secret}\n{key}until   {until}\n")
        }
        Allowed { profile, until, .. } => format!("{} may enrol under {profile} until {until}\n", found.id),
    })
}

/// Lets a device enrol over the network, once.
pub(crate) fn allow_in(
    installation: &Installation,
    found: &DeviceRow,
    profile: Option<ProfileName>,
    days: u64,
    with_secret: bool,
) -> Result<Allowed> {
    crate::cli::check_days(days)?;
    let workshop = &installation.workshop;
    let secret = with_secret.then(|| secret_of(workshop.entropy.as_ref()));
    let (subject, profile) = (Entity::Device(found.id.clone()), profile.unwrap_or_else(|| found.profile.clone()));
    let sealed = match &secret {
        Some(secret) => sealed_to_km(installation, secret, &secret_info(&subject, &profile))?,
        None => None,
    };
    let call = AllowEnrolment {
        subject,
        profile,
        until: workshop.clock.now().plus_s(days.saturating_mul(86_400)),
        secret: secret.as_ref().map(|secret| x509::sha256(secret.as_bytes())),
        sealed,
    };
    installation.ask(&call, &format!("allowing {} to enrol", found.id))?;
    let speaks_acme = workshop.config.gateway.as_ref().is_some_and(|gateway| !gateway.acme.is_empty());
    let binding = secret.as_ref().filter(|_| speaks_acme).map(|secret| base64url(&binding_key(secret.as_bytes())));
    Ok(Allowed {
        device: found.id.to_string(),
        profile: call.profile.to_string(),
        until: call.until.to_string(),
        user: found.id.serial.to_string(),
        secret: secret.map(|secret| secret.as_str().to_owned()),
        eab_hmac_key: binding,
    })
}

/// A secret, for km alone to read, if it answers CMP or ACME: a MAC is verified with nothing less.
fn sealed_to_km(installation: &Installation, secret: &str, info: &[u8]) -> Result<Option<Base64>> {
    const DOING: &str = "sealing the secret to km";
    let Some(key) = installation.ask(&ShowSealingKey {}, DOING)?.key else { return Ok(None) };
    let key =
        <[u8; 32]>::try_from(key.0).map_err(|_| Fault::malformed("the key of one-time secrets")).or_fail(DOING)?;
    let sealed = seal_secret(secret.as_bytes(), info, &VaultPublicKey::new(key));
    let sealed = sealed.map_err(|_| Fault::unavailable("the secret cannot be sealed")).or_fail(DOING)?;
    Ok(Some(sealed.into()))
}

fn all(store: &SqlStore, custody: Option<Custody>, limit: u32) -> Result<Vec<Row>> {
    let mut left = limit;
    let (mut rows, mut after) = (Vec::new(), 0);
    while left > 0 {
        let page = store.devices(&DeviceFilter { serial: None, custody, after, limit: PAGE.min(left) })?;
        let Some(last) = page.last() else { break };
        after = last.row;
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        rows.extend(page.iter().map(row));
    }
    Ok(rows)
}

/// A device by its serial number or its name.
pub(crate) fn find(store: &SqlStore, text: &str) -> Result<DeviceRow> {
    let serial = match text.parse::<DeviceId>() {
        Ok(id) => id.serial,
        Err(_) => text.parse::<DeviceSerial>().map_err(|e| {
            Failure::new(Exit::Usage, "device", format!("{text:?} names no device"))
                .because(e)
                .next("give its serial number, or its name that begins with urn:dev:ops:")
        })?,
    };
    let found = store.devices(&DeviceFilter { serial: Some(serial), limit: 1, ..Default::default() })?.pop();
    found.ok_or_else(|| {
        Failure::new(Exit::NotFound, "not-on-list", format!("{text} is not known"))
            .because("no registration list names it")
            .next("see `cradle device list`, or import a list that names it")
    })
}

pub(crate) fn row(device: &DeviceRow) -> Row {
    Row {
        serial: device.id.serial.to_string(),
        device: device.id.to_string(),
        r#type: device.id.device_type.to_string(),
        custody: device.custody.to_string(),
        stolen: device.stolen,
        board: device.board.as_ref().map(ToString::to_string),
        image: device.image.map(|d| d.to_string()),
        key: device.key.map(|d| d.to_string()),
        certificate: device.certificate.clone(),
        station: device.station.as_ref().map(ToString::to_string),
        list: device.list.clone(),
        profile: device.profile.to_string(),
        touched_at: device.at.to_string(),
        idevid: device.idevid.as_ref().map(ToString::to_string),
    }
}

fn text(shown: &Shown) -> String {
    let Shown { row, certificates } = shown;
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let stolen = if row.stolen { ", STOLEN" } else { "" };
    let mut text = format!(
        "device       {}\ntype         {}\ncustody      {}{stolen}\nboard        {}\nimage        {}\nkey          {}\nstation      {}\nlist         {}\ntouched      {}\n",
        row.device,
        row.r#type,
        row.custody,
        or_none(&row.board),
        or_none(&row.image),
        or_none(&row.key),
        or_none(&row.station),
        row.list,
        row.touched_at,
    );
    if let Some(idevid) = &row.idevid {
        text.push_str(&format!("idevid       {idevid}\n"));
    }
    for held in certificates {
        let state = match (&held.revoked, held.confirmed) {
            (Some(when), _) => format!("REVOKED {when}"),
            (None, _) if held.read_back => "read back after a restore".to_owned(),
            (None, true) => "confirmed".to_owned(),
            (None, false) => "not confirmed".to_owned(),
        };
        text.push_str(&format!("certificate  {} {} {}, {state}\n", held.serial, held.profile, held.issued_at));
    }
    text
}
