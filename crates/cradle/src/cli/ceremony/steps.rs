//! The steps of a plan. What is there already is taken over if it is what the plan wants and was made since the ceremony
//! was opened; anything else is refused by whom it concerns.

use super::run::{Outcome, Run};
use super::split;
use crate::cli::{ca, shares};
use crate::fault::{Exit, Failure, Result};
use ceremony::{Input, Making, Step};
use model::contract::authority::IssueCrl;
use model::contract::hierarchy::{
    CreateAuthority, ImportAuthority, InstallAuthority, LimitAuthority, RequestAuthority, RolloverAuthority,
    SignAuthority,
};
use model::{AuthorityName, Entity, FileName, ProfileName};
use ports::keystore::OFFLINE;
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityRow, CertificateFilter, CertificateRow, CrlScope};
use std::path::Path;
use std::sync::Arc;
use x509::{Certificate, CertificationRequest, PublicKey, pem};

/// Most certificates of one authority that are looked through.
const CERTIFICATES_MAX: u32 = 1000;

fn done(output: Option<String>, found: bool) -> Outcome {
    Outcome::Done { output, found }
}

fn certificate_text(der: &[u8]) -> String {
    pem::encode("CERTIFICATE", der)
}

pub(super) fn carry_out(run: &mut Run<'_>, n: usize, step: &Step) -> Result<Outcome> {
    match step {
        Step::Create(making) => create(run, n, making),
        Step::Request(making) => request(run, n, making),
        Step::Rollover(making) => rollover(run, n, making),
        Step::Sign { request, name, profile, issuer, .. } => sign(run, request, name, profile, issuer),
        Step::Install { name, certificate } => install(run, name, certificate),
        Step::Import { name, certificate, issuer } => import(run, name, certificate, issuer.as_ref()),
        Step::Limit { name, quota, ends } => {
            let call = LimitAuthority { name: name.clone(), quota: *quota, ends: *ends };
            run.installation.ask(&call, &format!("limiting {name}"))?;
            Ok(done(None, false))
        }
        Step::Crl { authority, to } => crl(run, n, authority, to),
    }
}

/// What km is asked for. In a rehearsal the key is in a file, wherever it will be in earnest.
fn wanted(run: &Run<'_>, making: &Making) -> CreateAuthority {
    let in_token = making.key.as_ref().is_some_and(|key| !key.starts_with("file:"));
    let key = if run.journal.is_rehearsal() && in_token { None } else { making.key_uri() };
    CreateAuthority {
        name: making.name.clone(),
        profile: making.profile.clone(),
        issuer: making.issuer.clone(),
        key_type: making.key_type.clone(),
        key,
    }
}

fn row(run: &Run<'_>, name: &AuthorityName) -> Result<Option<AuthorityRow>> {
    let rows = run.installation.workshop.store.authorities()?;
    Ok(rows.into_iter().find(|row| row.name == *name && !row.certificate.is_empty()))
}

/// A certificate of an authority's name that is good, and was made since the ceremony was opened.
fn certified(
    run: &Run<'_>,
    name: &AuthorityName,
    profile: &ProfileName,
    fits: impl Fn(&CertificateRow, &PublicKey) -> bool,
) -> Result<Option<Vec<u8>>> {
    let filter = CertificateFilter {
        subject: Some(Entity::Authority(name.clone())),
        profile: Some(profile.clone()),
        revoked: Some(false),
        limit: CERTIFICATES_MAX,
        ..CertificateFilter::default()
    };
    let opened = run.journal.opened().unwrap_or_default().whole_second();
    let all = run.installation.workshop.store.certificates(&filter)?;
    let fits = |row: &CertificateRow| {
        let key = Certificate::decode(&row.der).ok().map(|c| c.tbs().subject_public_key.clone());
        row.at >= opened && key.is_some_and(|key| fits(row, &key))
    };
    Ok(all.into_iter().rfind(fits).map(|row| row.der))
}

/// The authority that a step made before an interruption, if that is what it is.
fn made_before(run: &Run<'_>, making: &Making) -> Result<Option<AuthorityRow>> {
    let Some(row) = row(run, &making.name)? else { return Ok(None) };
    let wanted = wanted(run, making);
    let uri = wanted.key.clone().unwrap_or_else(|| row.key.0.clone());
    // A token gives the key a name of its own.
    let same_place = row.key.0 == uri || !uri.starts_with("file:");
    let found = certified(run, &making.name, &making.profile, |certificate, key| {
        certificate.der == row.certificate && key.key_type().to_string() == making.key_type
    })?;
    Ok((row.issuer == making.issuer && same_place && found.is_some()).then_some(row))
}

fn create(run: &mut Run<'_>, n: usize, making: &Making) -> Result<Outcome> {
    if let Some(row) = made_before(run, making)? {
        split::recall(run, n, making)?;
        return Ok(done(Some(certificate_text(&row.certificate)), true));
    }
    check_issuer(run, making)?;
    split::prepare(run, n, making)?;
    let made = run.installation.ask(&wanted(run, making), &format!("making the authority {}", making.name))?;
    Ok(done(Some(certificate_text(made.certificate.as_ref())), false))
}

fn check_issuer(run: &Run<'_>, making: &Making) -> Result {
    making.issuer.as_ref().map_or(Ok(()), |issuer| shares::check_open(&run.installation.workshop, issuer))
}

fn request(run: &mut Run<'_>, n: usize, making: &Making) -> Result<Outcome> {
    let kept = run.room.output(making.to.as_str())?;
    let key_of = |text: &str| {
        let der = pem::der_or_pem(text.as_bytes(), &["CERTIFICATE REQUEST"])?;
        Some(CertificationRequest::decode(&der).ok()?.public_key)
    };
    // One that got its certificate meanwhile needs no other request.
    if let (Some(row), Some(text)) = (row(run, &making.name)?, &kept) {
        let certified = Certificate::decode(&row.certificate).ok().map(|c| c.tbs().subject_public_key.clone());
        if certified.is_some() && certified == key_of(text) {
            split::recall(run, n, making)?;
            return Ok(done(kept, true));
        }
    }
    split::prepare(run, n, making)?;
    let call = RequestAuthority { authority: wanted(run, making) };
    let made = run.installation.ask(&call, &format!("making the request of {}", making.name))?;
    let text = pem::encode("CERTIFICATE REQUEST", made.request.as_ref());
    // The same key signs differently each time; who has the first request already has the right one.
    match kept {
        Some(kept) if key_of(&kept).is_some() && key_of(&kept) == key_of(&text) => Ok(done(Some(kept), true)),
        _ => Ok(done(Some(text), false)),
    }
}

fn rollover(run: &mut Run<'_>, n: usize, making: &Making) -> Result<Outcome> {
    let store = Arc::clone(&run.installation.workshop.store);
    let text = |certificate: &[u8], links: &[Vec<u8>]| {
        let links: String = links.iter().map(|link| certificate_text(link)).collect();
        Some(certificate_text(certificate) + &links)
    };
    if let Some(row) = made_before(run, making)? {
        split::recall(run, n, making)?;
        return Ok(done(text(&row.certificate, &store.links(row.id)?), true));
    }
    shares::check_open(&run.installation.workshop, &making.name)?;
    check_issuer(run, making)?;
    split::prepare(run, n, making)?;
    let call = RolloverAuthority { authority: wanted(run, making) };
    let made = run.installation.ask(&call, &format!("the rollover of {}", making.name))?;
    let links: Vec<_> = made.links.iter().map(|link| link.as_ref().to_vec()).collect();
    Ok(done(text(made.certificate.as_ref(), &links), false))
}

/// The octets of a file that a step reads, decoded.
fn input<T, E>(
    run: &Run<'_>,
    input: &Input,
    label: &str,
    what: &str,
    decode: impl FnOnce(&[u8]) -> std::result::Result<T, E>,
) -> Result<(Vec<u8>, T)> {
    let octets = run.inputs.get(&input.file).map(Vec::as_slice).unwrap_or_default();
    ca::decoded(octets, Path::new(input.file.as_str()), label, what, decode)
}

fn sign(
    run: &Run<'_>,
    request: &Input,
    name: &AuthorityName,
    profile: &ProfileName,
    issuer: &AuthorityName,
) -> Result<Outcome> {
    let (der, read) = input(run, request, "CERTIFICATE REQUEST", "request", CertificationRequest::decode)?;
    let found = certified(run, name, profile, |row, key| row.authority == *issuer && *key == read.public_key)?;
    if let Some(found) = found {
        return Ok(done(Some(certificate_text(&found)), true));
    }
    shares::check_open(&run.installation.workshop, issuer)?;
    let (name, profile, issuer) = (name.clone(), profile.clone(), issuer.clone());
    let doing = format!("signing the request of {name}");
    let made = run.installation.ask(&SignAuthority { name, profile, issuer, request: der.into() }, &doing)?;
    Ok(done(Some(certificate_text(made.certificate.as_ref())), false))
}

fn install(run: &Run<'_>, name: &AuthorityName, certificate: &Input) -> Result<Outcome> {
    let (der, _) = input(run, certificate, "CERTIFICATE", "certificate", Certificate::decode)?;
    if run.stand_ins.contains(name) {
        return Ok(Outcome::Passed("the certificate is for a key that a rehearsal does not have".into()));
    }
    if row(run, name)?.is_some_and(|row| row.certificate == der) {
        return Ok(done(None, true));
    }
    let call = InstallAuthority { name: name.clone(), certificate: der.into() };
    run.installation.ask(&call, &format!("installing the certificate of {name}"))?;
    Ok(done(None, false))
}

fn import(run: &Run<'_>, name: &AuthorityName, certificate: &Input, issuer: Option<&AuthorityName>) -> Result<Outcome> {
    let (der, _) = input(run, certificate, "CERTIFICATE", "certificate", Certificate::decode)?;
    if issuer.is_some_and(|issuer| run.stand_ins.contains(issuer)) {
        return Ok(Outcome::Passed("its issuer has another key in a rehearsal".into()));
    }
    if row(run, name)?.is_some_and(|row| row.certificate == der && row.key.0 == OFFLINE) {
        return Ok(done(None, true));
    }
    let call = ImportAuthority { name: name.clone(), certificate: der.into(), issuer: issuer.cloned() };
    run.installation.ask(&call, &format!("taking in the authority {name}"))?;
    Ok(done(None, false))
}

fn crl(run: &Run<'_>, n: usize, authority: &AuthorityName, to: &FileName) -> Result<Outcome> {
    let workshop = &run.installation.workshop;
    let row = row(run, authority)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, "issuer-unknown", format!("there is no authority {authority}"))
            .next("list them with `cradle ca list`")
    })?;
    let begun = run.journal.begun(n).unwrap_or_default().whole_second();
    let last = workshop.store.crl(CrlScope { authority: row.id, shard: 0 }, false)?;
    if let Some(last) = last.filter(|last| !last.der.is_empty()) {
        let text = pem::encode("X509 CRL", &last.der);
        if last.this_update >= begun || run.room.output(to.as_str())?.as_ref() == Some(&text) {
            return Ok(done(Some(text), true));
        }
    }
    shares::check_open(workshop, authority)?;
    let call = IssueCrl { authority: authority.clone(), shard: 0, delta: false };
    let made = run.installation.ask(&call, &format!("signing the CRL of {authority}"))?;
    Ok(done(Some(pem::encode("X509 CRL", made.crl.as_ref())), false))
}
