//! Making, taking in, limiting and replacing authorities.

use super::Sure;
use crate::cli::{Common, shares};
use crate::compose::Installation;
use crate::config::Config;
use crate::fault::{Exit, Failure, Result};
use model::contract::hierarchy::{
    CreateAuthority, ImportAuthority, InstallAuthority, LimitAuthority, RequestAuthority, RolloverAuthority,
    SignAuthority,
};
use model::{AuthorityName, Entity, ProfileName, UnixTime};
use ports::store::AuthorityStore;
use ports::store::authority::CertificateFilter;
use serde_json::json;
use std::path::Path;
use x509::{Certificate, CertificationRequest, pem};

/// Longest file of a certificate or a request.
const FILE_LEN_MAX: u64 = 256 * 1024;

/// An authority that is wanted.
pub(super) struct Wanted {
    pub(super) name: AuthorityName,
    pub(super) profile: ProfileName,
    pub(super) issuer: Option<AuthorityName>,
    pub(super) key_type: String,
    pub(super) key: Option<String>,
}

impl From<Wanted> for CreateAuthority {
    fn from(Wanted { name, profile, issuer, key_type, key }: Wanted) -> Self {
        Self { name, profile, issuer, key_type, key }
    }
}

/// Says what will be done and asks whether it shall. Gives whether to go on.
pub(super) fn agreed(common: &Common, plan: &str, name: &AuthorityName, sure: &Sure) -> Result<bool> {
    if sure.dry_run {
        common.out().one(&json!({"would": plan}), || format!("would {plan}\n"))?;
        return Ok(false);
    }
    if !sure.yes {
        crate::cli::confirm(common.out(), &format!("This will {plan}."), name.as_str())?;
    }
    Ok(true)
}

/// Opens the installation, if one person alone may do such things here. What signs must be open.
pub(super) fn open(common: &Common, signs: Option<&AuthorityName>) -> Result<Installation> {
    let needed = Config::read(&common.data)?.operators_needed;
    if needed > 1 {
        return Err(Failure::new(Exit::NotAuthorised, "ceremony-needed", "nothing was done")
            .because(format!("authorities are made and changed in a ceremony here, which {needed} operators approve"))
            .next("write a plan, then `cradle ceremony check PLAN`; docs/ceremony.md shows one"));
    }
    let installation = shares::open(common)?;
    signs.map_or(Ok(()), |name| shares::check_open(&installation.workshop, name))?;
    Ok(installation)
}

pub(super) fn create(common: &Common, wanted: Wanted) -> Result {
    let (name, issuer) = (wanted.name.clone(), wanted.issuer.clone());
    let made =
        open(common, issuer.as_ref())?.ask(&CreateAuthority::from(wanted), &format!("making the authority {name}"))?;
    let text = pem::encode("CERTIFICATE", made.certificate.as_ref());
    common.out().one(&json!({"name": name, "certificate": text}), || text.clone())
}

/// A certificate or request in a file, and what is read from it.
fn read<T, E>(
    path: &Path,
    label: &str,
    what: &str,
    decode: impl FnOnce(&[u8]) -> std::result::Result<T, E>,
) -> Result<(Vec<u8>, T)> {
    let octets = adapters::files::read_bounded(path, FILE_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    decoded(&octets, path, label, what, decode)
}

/// The same of octets that were read.
pub(crate) fn decoded<T, E>(
    octets: &[u8],
    path: &Path,
    label: &str,
    what: &str,
    decode: impl FnOnce(&[u8]) -> std::result::Result<T, E>,
) -> Result<(Vec<u8>, T)> {
    let der = pem::der_or_pem(octets, &[label, "NEW CERTIFICATE REQUEST"]).map(|der| der.to_vec());
    let read = der.and_then(|der| decode(&der).ok().map(|decoded| (der, decoded)));
    read.ok_or_else(|| {
        Failure::new(Exit::Failed, "malformed", format!("{} is no {what}", path.display()))
            .next(format!("look at it with `cradle inspect {}`", path.display()))
    })
}

pub(super) fn certificate(path: &Path) -> Result<(Vec<u8>, Certificate)> {
    read(path, "CERTIFICATE", "certificate", Certificate::decode)
}

pub(super) fn import(
    common: &Common,
    name: &AuthorityName,
    path: &Path,
    issuer: Option<AuthorityName>,
    sure: &Sure,
) -> Result {
    let (der, read) = certificate(path)?;
    let (subject, digest) = (&read.tbs().subject, x509::sha256(&der));
    let plan = format!("take in {subject} as the authority {name}; SHA-256 of its certificate {digest}");
    if !agreed(common, &plan, name, sure)? {
        return Ok(());
    }
    let call = ImportAuthority { name: name.clone(), certificate: der.into(), issuer };
    open(common, None)?.ask(&call, &format!("taking in the authority {name}"))?;
    let said = json!({"name": name, "subject": subject.to_string(), "sha256": digest.to_string()});
    common.out().one(&said, || format!("{name} is {subject}; its key is elsewhere\n"))?;
    common.out().next(&format!("cradle ca request NAME --profile PROFILE --issuer {name} --to FILE"));
    Ok(())
}

/// Fails if there is something where a file is to be written, before anything is done.
fn refuse_existing(path: &Path) -> Result {
    let place = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let kind = if std::fs::symlink_metadata(path).is_ok() {
        std::io::ErrorKind::AlreadyExists
    } else if place.is_dir() {
        return Ok(());
    } else {
        std::io::ErrorKind::NotFound
    };
    Err(Failure::file(path, &kind.into()))
}

pub(super) fn request(common: &Common, wanted: Wanted, to: &Path) -> Result {
    refuse_existing(to)?;
    let (name, issuer) = (wanted.name.clone(), wanted.issuer.clone());
    let call = RequestAuthority { authority: wanted.into() };
    let made = open(common, None)?.ask(&call, &format!("making the request of {name}"))?;
    let text = pem::encode("CERTIFICATE REQUEST", made.request.as_ref());
    adapters::files::write_new(to, text.as_bytes()).map_err(|e| Failure::file(to, &e))?;
    common
        .out()
        .one(&json!({"name": name, "request": text}), || format!("the request of {name}: {}\n", to.display()))?;
    let issuer = issuer.map(|issuer| issuer.to_string()).unwrap_or_default();
    common.out().next(&format!(
        "where the key of {issuer} is: cradle ca sign {} --name {name} ..., then here: cradle ca install {name} CERT.pem",
        to.display()
    ));
    Ok(())
}

pub(super) fn sign(
    common: &Common,
    path: &Path,
    (name, profile, issuer): (AuthorityName, ProfileName, AuthorityName),
    to: &Path,
    sure: &Sure,
) -> Result {
    refuse_existing(to)?;
    let (der, read) = read(path, "CERTIFICATE REQUEST", "request", CertificationRequest::decode)?;
    super::fit::to_sign(common, &name, &issuer)?;
    let key = read.public_key.digest();
    let plan = format!("certify the key of SHA-256 {key} as the authority {name} under {profile}, signed by {issuer}");
    if !agreed(common, &plan, &name, sure)? {
        return Ok(());
    }
    let installation = open(common, Some(&issuer))?;
    let call = SignAuthority { name: name.clone(), profile, issuer, request: der.into() };
    let made = installation.ask(&call, &format!("signing the request of {name}"))?;
    let text = pem::encode("CERTIFICATE", made.certificate.as_ref());
    adapters::files::write_new(to, text.as_bytes()).map_err(|e| {
        Failure::file(to, &e).next(format!("it is recorded: `cradle cert list --subject authority:{name} -o json`"))
    })?;
    let said = json!({"name": name, "key": key.to_string(), "certificate": text});
    common.out().one(&said, || format!("the certificate of {name}: {}\n", to.display()))
}

pub(super) fn install(common: &Common, name: &AuthorityName, path: &Path, sure: &Sure) -> Result {
    let (der, read) = certificate(path)?;
    let tbs = read.tbs();
    let installation = open(common, None)?;
    super::fit::to_install(&installation, name, &read)?;
    let plan = format!("give the authority {name} the certificate {} of {}", tbs.serial_number, tbs.subject);
    if !agreed(common, &plan, name, sure)? {
        return Ok(());
    }
    let call = InstallAuthority { name: name.clone(), certificate: der.into() };
    installation.ask(&call, &format!("installing the certificate of {name}"))?;
    let said = json!({"name": name, "serial": tbs.serial_number.to_string(), "subject": tbs.subject.to_string()});
    common.out().one(&said, || format!("{name} issues as {}\n", tbs.subject))
}

pub(super) fn limit(
    common: &Common,
    name: AuthorityName,
    quota: Option<u64>,
    ends: Option<UnixTime>,
    sure: &Sure,
) -> Result {
    let quota_text = quota.map_or("as many certificates as are asked for".into(), |n| format!("{n} certificates"));
    let ends_text = ends.map_or("its certificate ends".into(), |ends| ends.to_string());
    let plan = format!("let {name} issue {quota_text} from now on, until {ends_text}");
    if !agreed(common, &plan, &name, sure)? {
        return Ok(());
    }
    let call = LimitAuthority { name: name.clone(), quota, ends };
    open(common, None)?.ask(&call, &format!("limiting {name}"))?;
    let said = json!({"name": name, "quota": quota, "ends": ends.map(|ends| ends.to_string())});
    common.out().one(&said, || format!("{name} may issue {quota_text} from now on, until {ends_text}\n"))
}

pub(super) fn rollover(
    common: &Common,
    name: &AuthorityName,
    key_type: Option<String>,
    key: Option<String>,
    profile: Option<ProfileName>,
    sure: &Sure,
) -> Result {
    let wanted = successor(common, name, key_type, key, profile)?;
    let plan = format!(
        "make a new {} key for {name} under {}; the old one signs only lists from then on, under another name",
        wanted.key_type, wanted.profile
    );
    if !agreed(common, &plan, name, sure)? {
        return Ok(());
    }
    let installation = open(common, Some(name))?;
    wanted.issuer.as_ref().map_or(Ok(()), |issuer| shares::check_open(&installation.workshop, issuer))?;
    let call = RolloverAuthority { authority: wanted.into() };
    let made = installation.ask(&call, &format!("the rollover of {name}"))?;
    let text = pem::encode("CERTIFICATE", made.certificate.as_ref());
    let links: Vec<_> = made.links.iter().map(|link| pem::encode("CERTIFICATE", link.as_ref())).collect();
    let said = json!({"name": name, "renamed": made.renamed, "certificate": text, "links": links});
    common.out().one(&said, || text.clone())?;
    common.out().say(&format!("The old key goes on as {}: it signs lists, and issues nothing.", made.renamed));
    if !links.is_empty() {
        common.out().next(&format!("cradle ca chain {name} --links, for those who trust one of both keys only"));
    }
    Ok(())
}

/// What takes the place of an authority: what is not said is as before.
fn successor(
    common: &Common,
    name: &AuthorityName,
    key_type: Option<String>,
    key: Option<String>,
    profile: Option<ProfileName>,
) -> Result<Wanted> {
    let store = common.records()?;
    let row = store.authorities()?.into_iter().find(|row| row.name == *name && !row.certificate.is_empty());
    let row = row.ok_or_else(|| {
        Failure::new(Exit::NotFound, "issuer-unknown", format!("there is no authority {name}"))
            .next("list them with `cradle ca list`")
    })?;
    let key_type = key_type
        .or_else(|| Some(Certificate::decode(&row.certificate).ok()?.tbs().subject_public_key.key_type().to_string()));
    let subject = Some(Entity::Authority(name.clone()));
    let issued = store.certificates(&CertificateFilter { subject, limit: 1000, ..CertificateFilter::default() })?;
    let profile = profile.or_else(|| Some(issued.into_iter().rfind(|c| c.der == row.certificate)?.profile));
    let profile = profile.ok_or_else(|| {
        Failure::new(Exit::Usage, "profile", format!("it is not known under which profile {name} was certified"))
            .because("its certificate was signed elsewhere")
            .next("name one with --profile")
    })?;
    Ok(Wanted { name: name.clone(), profile, issuer: row.issuer, key_type: key_type.unwrap_or_default(), key })
}
