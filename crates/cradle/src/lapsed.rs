//! The way back of a box whose certificates of modules or operators have expired: it lay in store.
//!
//! Nobody can order a mode then, and no module is believed, so this needs neither. It is signed by an operator, recorded
//! before anything is signed, and issues through the same door as ever. Who has the operator's key and the passphrase
//! could have renewed in time: an attacker gains nothing by the delay. Whoever was revoked stays revoked.

use crate::compose::{Workshop, module_entity, module_label, operator_label};
use crate::fault::{Exit, Failure, Result, While};
use crate::{enrol, operators};
use authority::Authority;
use model::audit::{Entry, Event};
use model::{Entity, Fault, Module, OperatorName, UnixTime};
use ports::directory::Caller;
use ports::store::AuditSink;
use serde::Serialize;
use std::path::Path;
use x509::Certificate;

/// What an operator signs.
const STATEMENT: &str = "cradle-renewal";

#[derive(Serialize)]
struct Statement<'a> {
    says: &'static str,
    subject: String,
    operator: &'a OperatorName,
    at: UnixTime,
}

/// How a certificate that is needed and not valid stands.
pub(crate) enum Lapse {
    /// There is none that is not revoked.
    Gone,
    /// It ended.
    Expired(UnixTime),
    /// It has not begun.
    NotYet(UnixTime),
}

/// Why nobody of those that `is` names is believed.
pub(crate) fn lapse(workshop: &Workshop, is: impl Fn(&Entity) -> bool) -> Result<Lapse> {
    let now = workshop.clock.now();
    let held = certificates(workshop, is)?;
    let begins = held.iter().map(|one| one.tbs().not_before).filter(|at| *at > now).min();
    let ends = held.iter().map(|one| one.tbs().not_after).max();
    Ok(match (begins, ends) {
        (Some(at), _) => Lapse::NotYet(at),
        (None, Some(at)) if at < now => Lapse::Expired(at),
        _ => Lapse::Gone,
    })
}

/// The certificates that are not revoked of those that `is` names.
fn certificates(workshop: &Workshop, is: impl Fn(&Entity) -> bool) -> Result<Vec<Certificate>> {
    let held = enrol::holders(&workshop.store)?.into_iter().filter(|holder| is(&holder.subject));
    Ok(held.filter_map(|holder| Certificate::decode(&holder.der).ok()).collect())
}

/// When the last certificate of a subject expired.
fn expired(workshop: &Workshop, subject: &Entity) -> Result<UnixTime> {
    match lapse(workshop, |one| one == subject)? {
        Lapse::Expired(at) => Ok(at),
        Lapse::NotYet(_) | Lapse::Gone => {
            Err(Failure::new(Exit::Conflict, "not-expired", format!("{subject} was not certified again"))
                .because("it has no certificate that is not revoked and has expired")
                .next("without --expired it is renewed in the mode certificate-management"))
        }
    }
}

/// Certifies an operator's key again, at the operator's own word: signed with the key whose certificate expired.
pub(crate) fn operator(data: &Path, passphrase_file: Option<&Path>, name: &OperatorName) -> Result<Certificate> {
    let workshop = Workshop::open(data, passphrase_file)?;
    let subject = Entity::Operator(name.clone());
    workshop.operator(Some(name))?;
    let ended = expired(&workshop, &subject)?;
    sign(&workshop, &subject, name, ended)?;
    renew(&workshop, subject, "operator", &operator_label(name), name, ended)
}

/// Certifies the keys of modules again whose certificates have expired, at the word of an operator who is certified.
pub(crate) fn modules(
    data: &Path,
    passphrase_file: Option<&Path>,
    named: &[Module],
    operator: Option<&OperatorName>,
) -> Result<Vec<(Module, Certificate)>> {
    let workshop = Workshop::open(data, passphrase_file)?;
    let operator = workshop.operator(operator)?;
    if let Lapse::Expired(at) = lapse(&workshop, |one| one.operator() == Some(&operator))? {
        return Err(Failure::new(Exit::NotAuthorised, "not-ordered", "no module was certified again")
            .because(format!("the certificate of {operator} expired at {at}"))
            .next(format!("`cradle operator renew {operator} --expired`, then repeat the command")));
    }
    let mut wanted = Vec::new();
    for module in Module::ALL.into_iter().filter(|module| named.is_empty() || named.contains(module)) {
        match expired(&workshop, &module_entity(module, &workshop.config)) {
            Ok(ended) => wanted.push((module, ended)),
            // Of all, those that have not expired need nothing.
            Err(_) if named.is_empty() => {}
            Err(failure) => return Err(failure),
        }
    }
    let mut renewed = Vec::new();
    for (module, ended) in wanted {
        let subject = module_entity(module, &workshop.config);
        sign(&workshop, &subject, &operator, workshop.clock.now())?;
        let certificate = renew(&workshop, subject, "module", &module_label(module), &operator, ended)?;
        renewed.push((module, certificate));
    }
    Ok(renewed)
}

fn sign(workshop: &Workshop, subject: &Entity, operator: &OperatorName, judged_at: UnixTime) -> Result {
    let (subject, at) = (subject.to_string(), workshop.clock.now());
    let statement = Statement { says: "renew an expired certificate", subject, operator, at };
    operators::sign_at(workshop, operator, STATEMENT, &statement, judged_at).map(|_| ())
}

fn renew(
    workshop: &Workshop,
    subject: Entity,
    profile: &str,
    label: &str,
    operator: &OperatorName,
    expired: UnixTime,
) -> Result<Certificate> {
    let doing = format!("certifying {subject}");
    let event = Event::ExpiredRenewal { subject: subject.to_string(), operator: operator.to_string(), expired };
    let at = workshop.clock.now();
    workshop.store.append(vec![Entry { at, by: Module::Supervisor, event }])?;
    let signer = workshop.key(label)?;
    let km = Authority::start(workshop.authority_setting()?).or_fail("starting the authority")?;
    let batch = enrol::request(workshop, "expired", subject, profile, signer.as_ref())?;
    let caller = Caller { module: Module::Console, instance: workshop.config.name.clone() };
    let mut certified = km.ra().admit(&caller, &batch).or_fail(&doing)?;
    let der = enrol::taken(certified.answers.pop(), &doing)?;
    Certificate::decode(&der).map_err(|_| Fault::malformed("certificate")).or_fail(&doing)
}
