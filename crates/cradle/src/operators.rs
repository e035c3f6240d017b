//! What operators say with their keys.

use crate::compose::{Workshop, operator_label};
use crate::fault::{Exit, Failure, Result, While};
use model::{Fault, OperatorName, Reason, UnixTime};
use ports::jws;
use serde::Serialize;

/// Has an operator sign a statement, and checks that the key is the one that was certified, as whoever reads it will.
pub(crate) fn sign(
    workshop: &Workshop,
    operator: &OperatorName,
    typ: &'static str,
    statement: &impl Serialize,
) -> Result<String> {
    sign_at(workshop, operator, typ, statement, workshop.clock.now())
}

/// The same, judged by the certificates that were valid at another moment.
pub(crate) fn sign_at(
    workshop: &Workshop,
    operator: &OperatorName,
    typ: &'static str,
    statement: &impl Serialize,
    at: UnixTime,
) -> Result<String> {
    let operator = workshop.operator(Some(operator))?;
    let key = workshop
        .key(&operator_label(&operator))
        .map_err(|failure| failure.next(format!("check the operator's name ({operator}) and the passphrase")))?;
    let payload = serde_json::to_vec(statement)
        .map_err(|e| Failure::new(Exit::Failed, "operator", "the statement cannot be written").because(e))?;
    let signed = jws::sign(typ, &payload, key.as_ref()).or_fail("signing the statement")?;
    let directory = workshop.directory_at(at)?;
    let verified = jws::verify(typ, &signed, |kid| directory.operator(kid, at)).map_err(Fault::Refused);
    let (_, signer) = verified.or_fail(&format!("believing {operator}"))?;
    if signer != operator {
        return Err(Fault::Refused(Reason::UnknownCaller)).or_fail(&format!("believing {operator}"));
    }
    String::from_utf8(signed)
        .map_err(|e| Failure::new(Exit::Failed, "operator", "the statement cannot be written").because(e))
}

/// Fails unless so many different operators are named.
pub(crate) fn check_count(named: &[OperatorName], wanted: usize, why: &str) -> Result {
    let different: std::collections::BTreeSet<_> = named.iter().collect();
    if different.len() >= wanted {
        return Ok(());
    }
    let what = format!("{} operators are named, and {wanted} are needed", different.len());
    Err(Failure::new(Exit::NotAuthorised, "operators-needed", what)
        .because(why)
        .next("name each with --operator; `cradle operator add` makes another"))
}
