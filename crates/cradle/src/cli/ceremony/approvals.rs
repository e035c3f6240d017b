//! Approving a plan, and counting who did.

use super::room::{KeptApproval, Room};
use crate::compose::Workshop;
use crate::fault::{Exit, Failure, Result};
use crate::{enrol, operators};
use ceremony::{APPROVAL, Approval, Approved, Plan};
use model::OperatorName;
use model::audit::{Entry, Event};
use ports::jws;
use ports::store::AuditSink;
use std::collections::BTreeMap;
use x509::{Certificate, pem};

/// Has an operator sign the digest of a plan, and keeps it.
pub(super) fn approve(workshop: &Workshop, plan: &Plan, operator: &OperatorName) -> Result {
    if !plan.operators.contains(operator) {
        let what = format!("{operator} cannot approve this plan");
        return Err(Failure::new(Exit::NotAuthorised, "operators-needed", what)
            .because("the plan does not name them among its operators")
            .next("have one of those approve it, or write another plan"));
    }
    let at = workshop.clock.now();
    let approval = Approval { plan: plan.digest(), ceremony: plan.ceremony.clone(), operator: operator.clone(), at };
    let statement = operators::sign(workshop, operator, APPROVAL, &approval)?.into_bytes();
    let certificate = certificate_of(workshop, operator, &statement)?;
    let room = Room::of(&workshop.places, plan.digest());
    room.furnish(plan)?;
    room.keep_approval(&KeptApproval { operator: operator.clone(), statement, certificate })?;
    let (ceremony, operator) = (plan.ceremony.to_string(), operator.to_string());
    let event = Event::CeremonyApproved { ceremony, plan: plan.digest(), operator };
    Ok(workshop.store.append(vec![Entry { at, by: model::Module::Console, event }])?)
}

/// The certificate of the key that signed, as PEM.
fn certificate_of(workshop: &Workshop, operator: &OperatorName, statement: &[u8]) -> Result<String> {
    let unknown = || Failure::new(Exit::NotFound, "operator-unknown", format!("{operator} has no certificate"));
    let mut of_operator = enrol::holders(&workshop.store)?;
    of_operator.retain(|holder| holder.subject.operator() == Some(operator));
    let signed = |der: &&Vec<u8>| {
        let Ok(certificate) = Certificate::decode(der) else { return false };
        let key = &certificate.tbs().subject_public_key;
        jws::verify(APPROVAL, statement, |kid| (jws::key_id(key) == kid).then_some((key, ()))).is_ok()
    };
    let found = of_operator.iter().rev().map(|holder| &holder.der).find(signed);
    Ok(pem::encode("CERTIFICATE", found.ok_or_else(unknown)?))
}

/// Who approved a plan so that it counts now, and why others do not.
pub(super) struct Counted {
    pub(super) approved: Vec<Approved>,
    pub(super) refused: BTreeMap<OperatorName, String>,
}

/// Verifies each approval again: for this plan, by an operator of the plan who is still one.
pub(super) fn count(workshop: &Workshop, plan: &Plan) -> Result<Counted> {
    let room = Room::of(&workshop.places, plan.digest());
    let (directory, now) = (workshop.directory()?, workshop.clock.now());
    let mut counted = Counted { approved: Vec::new(), refused: BTreeMap::new() };
    for operator in &plan.operators {
        let Some(kept) = room.approval(operator)? else { continue };
        let verified = jws::verify(APPROVAL, &kept.statement, |kid| directory.operator(kid, now));
        let said = verified.map_err(|reason| reason.what().to_owned()).and_then(|(payload, signer)| {
            let said: Approval = serde_json::from_slice(&payload).map_err(|_| "it is no approval".to_owned())?;
            let right = said.plan == plan.digest() && said.operator == *operator && signer == *operator;
            if right { Ok(()) } else { Err("it is for another plan, or by somebody else".to_owned()) }
        });
        match said {
            Ok(()) => {
                let serial = pem::der_or_pem(kept.certificate.as_bytes(), &["CERTIFICATE"])
                    .and_then(|der| Certificate::decode(&der).ok())
                    .map(|certificate| certificate.tbs().serial_number.to_string());
                counted.approved.push(Approved {
                    operator: operator.clone(),
                    serial: serial.unwrap_or_default(),
                    statement: x509::sha256(&kept.statement),
                });
            }
            Err(why) => {
                counted.refused.insert(operator.clone(), why);
            }
        }
    }
    Ok(counted)
}

/// The approvals of a plan, if they are enough.
pub(super) fn enough(workshop: &Workshop, plan: &Plan) -> Result<Vec<Approved>> {
    let Counted { approved, refused } = count(workshop, plan)?;
    let needed = plan.approvals.max(workshop.config.operators_needed);
    if approved.len() >= needed {
        return Ok(approved);
    }
    let what = format!("{} of {needed} operators approved this plan", approved.len());
    let mut why = format!("its SHA-256 is {}: an approval is for nothing else", plan.digest());
    for (operator, reason) in refused {
        why.push_str(&format!("; that of {operator} does not count: {reason}"));
    }
    let missing: Vec<_> = plan
        .operators
        .iter()
        .filter(|o| !approved.iter().any(|a| a.operator == **o))
        .map(ToString::to_string)
        .collect();
    Err(Failure::new(Exit::NotAuthorised, "operators-needed", what)
        .because(why)
        .next(format!("`cradle ceremony approve PLAN --operator NAME`, by {}", missing.join(" or "))))
}
