//! What an operator ordered: signed, recorded, found again.

use crate::compose::{Workshop, module_entity, operator_label};
use crate::fault::{Exit, Failure, Result, While, of_fault};
use crate::lapsed::{self, Lapse};
use adapters::store::SqlStore;
use model::audit::Event;
use model::contract::supervisor::OrderMode;
use model::mode::{Binding, Order, Statement};
use model::{Entity, Fault, Mode, Module, OperatorName, Reason, UnixTime};
use ports::jws;
use ports::link::MODE_STATEMENT;
use ports::store::ModeStore;
use ports::store::mode::ModeRow;
use std::collections::BTreeSet;

/// The mode of this box, if the audit log says the same: a row of the table could have been put back.
pub(super) fn recorded_mode(store: &SqlStore) -> Result<ModeRow> {
    let forged = |why: &str| {
        Failure::new(Exit::Failed, "records-disagree", "the mode of this box is not the one that was recorded last")
            .because(why)
            .next("keep the data directory as it is, and look at `cradle audit list`; restore from a backup of before")
    };
    let row = store.mode()?.ok_or_else(|| forged("no mode stands in the records"))?;
    let last = store.last_modes()?;
    if last.entered.is_some_and(|(binding, epoch)| binding != row.binding || epoch != row.epoch) {
        return Err(forged("the log says that the box entered another mode"));
    }
    if last.ordered.is_some_and(|order| order != row.order) {
        return Err(forged("the log says that another mode was ordered"));
    }
    Ok(row)
}

/// A crash between an order and the first record of its change leaves a mode that the order does not cover, in which
/// nobody would be given a lease. The change begins here, and the stricter of both modes is in force.
pub(super) fn begun(modes: &SqlStore, mut row: ModeRow, now: UnixTime) -> Result<ModeRow> {
    let goal = row.binding.pending.unwrap_or(row.binding.current);
    if goal != Mode::Sealed && !row.order.covers(goal) {
        row.binding = Binding { current: row.binding.current, pending: Some(row.order.at_rest()) };
        row.epoch = modes.bind(row.binding, now)?;
    }
    Ok(row)
}

/// Signs an order with an operator's key. Gives what it says, and the signed statement.
pub(crate) fn sign_order(
    workshop: &Workshop,
    order: Order,
    epoch: u64,
    operator: &OperatorName,
    why: &str,
) -> Result<(Statement, String)> {
    let key = workshop.key(&operator_label(operator)).map_err(|failure| {
        failure.next(format!(
            "check the operator's name ({operator}) and the passphrase; see `cradle mode set --operator`"
        ))
    })?;
    let statement =
        Statement { order, epoch, at: workshop.clock.now(), operator: operator.clone(), reason: why.to_owned() };
    let payload = serde_json::to_vec(&statement)
        .map_err(|e| Failure::new(Exit::Failed, "mode", "the order cannot be written").because(e))?;
    let jws = jws::sign(MODE_STATEMENT, &payload, key.as_ref()).or_fail("signing the order")?;
    let jws = String::from_utf8(jws);
    let jws = jws.map_err(|e| Failure::new(Exit::Failed, "mode", "the order cannot be written").because(e))?;
    Ok((statement, jws))
}

/// Has operators sign an order: the first of them orders, a second agrees.
pub(crate) fn signed(
    workshop: &Workshop,
    order: Order,
    epoch: u64,
    operators: &[OperatorName],
    why: &str,
) -> Result<OrderMode> {
    let sign = |operator: &OperatorName| -> Result<String> { Ok(sign_order(workshop, order, epoch, operator, why)?.1) };
    match operators {
        [operator] => Ok(OrderMode { statement: sign(operator)?, second: None }),
        [operator, second] => Ok(OrderMode { statement: sign(operator)?, second: Some(sign(second)?) }),
        [] | [..] => Err(Failure::new(Exit::Usage, "operator", "one operator orders, and a second may agree")
            .because(format!("{} are named", operators.len()))
            .next("name one or two with --operator")),
    }
}

/// Whether a box is sealed, or on its way there or from there: who agreed to leave for one mode did not for another.
pub(super) fn is_sealed(binding: Binding) -> bool {
    binding.current == Mode::Sealed || binding.pending == Some(Mode::Sealed)
}

/// To leave `sealed` takes two persons, wherever there are two: one alone could have been made to.
pub(super) fn check_leaving(
    first: &Statement,
    second: Option<&Statement>,
    operators: &BTreeSet<OperatorName>,
) -> Result {
    let agrees = |second: &Statement| {
        second.operator != first.operator && (second.order, second.epoch) == (first.order, first.epoch)
    };
    if operators.len() < 2 || second.is_some_and(agrees) {
        return Ok(());
    }
    Err(Failure::new(Exit::NotAuthorised, "operators-needed", "the box stays sealed: two operators are needed")
        .because("whoever is alone could have been made to, and this box has more than one operator")
        .next("name two: `cradle mode set MODE --operator ONE --operator ANOTHER`"))
}

/// Records an order.
pub(crate) fn record_order(
    modes: &SqlStore,
    said: &Statement,
    second: Option<&Statement>,
    statement: &str,
    now: UnixTime,
) -> Result {
    let Statement { order, epoch, operator, reason, .. } = said;
    let names = [Some(operator), second.map(|second| &second.operator)];
    let operator = names.into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (order, epoch, reason) = (*order, *epoch, reason.clone());
    Ok(modes.order(order, statement, Event::ModeOrdered { order, epoch, operator, reason }, now)?)
}

/// Why a certificate is not valid, and what to do.
fn lapsed(workshop: &Workshop, is: impl Fn(&Entity) -> bool, renew: &str) -> (String, String) {
    match lapsed::lapse(workshop, is) {
        Ok(Lapse::NotYet(at)) => (
            format!("its certificate is not valid yet: it begins at {at}, and the clock says {}", workshop.clock.now()),
            "look at the clock and set it, then repeat the command".to_owned(),
        ),
        Ok(Lapse::Expired(at)) => {
            (format!("its certificate expired at {at}"), format!("if its key and the passphrase are here: `{renew}`"))
        }
        Ok(Lapse::Gone) | Err(_) => (
            "its certificate was revoked, or has expired".to_owned(),
            "see `cradle cert list`; what does not need it goes on".to_owned(),
        ),
    }
}

pub(super) fn not_certified(workshop: &Workshop, module: Module) -> Failure {
    let own = module_entity(module, &workshop.config);
    let is = |one: &Entity| *one == own;
    let (why, next) = lapsed(workshop, is, "cradle module renew --all --expired");
    Failure::new(Exit::NotAuthorised, "not-certified", format!("{module} does not run")).because(why).next(next)
}

pub(super) fn not_ordered(workshop: &Workshop, fault: Fault) -> Failure {
    if !matches!(fault, Fault::Refused(Reason::UnknownCaller)) {
        return of_fault(&fault, "checking the recorded mode statement");
    }
    let (why, next) = lapsed(workshop, |one| one.operator().is_some(), "cradle operator renew NAME --expired");
    Failure::new(Exit::NotAuthorised, "not-ordered", "no module runs: nobody stands behind the mode of this box")
        .because(format!("of the operator who ordered it: {why}"))
        .next(format!("{next}; records can be listed and verified meanwhile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(operator: &str, order: Order, epoch: u64) -> Statement {
        let (at, operator) = (UnixTime::from_s(1), operator.parse().unwrap());
        Statement { order, epoch, at, operator, reason: String::new() }
    }
    #[track_caller]
    fn check(second: Option<Statement>, operators: &[&str], expected: bool) {
        let operators = operators.iter().map(|name| name.parse().unwrap()).collect();
        let left = check_leaving(&said("alice", Order::Provision, 4), second.as_ref(), &operators);
        assert_eq!(left.is_ok(), expected, "{second:?}");
    }

    #[test]
    fn a_change_that_was_interrupted_does_not_open_a_sealed_box() {
        let between = |current, pending| is_sealed(Binding { current, pending: Some(pending) });
        assert!(is_sealed(Binding::settled(Mode::Sealed)));
        assert!(between(Mode::Sealed, Mode::Ceremony));
        assert!(between(Mode::Ceremony, Mode::Sealed));
        assert!(!between(Mode::ProvisionSoftware, Mode::ProvisionCertificate));
    }
    #[test]
    fn where_one_operator_is_one_is_enough() {
        check(None, &["alice"], true);
    }
    #[test]
    fn where_two_are_one_is_not() {
        check(None, &["alice", "bob"], false);
    }
    #[test]
    fn two_that_agree() {
        check(Some(said("bob", Order::Provision, 4)), &["alice", "bob"], true);
    }
    #[test]
    fn the_same_one_twice() {
        check(Some(said("alice", Order::Provision, 4)), &["alice", "bob"], false);
    }
    #[test]
    fn two_that_order_something_else() {
        check(Some(said("bob", Order::Stay(Mode::Ceremony), 4)), &["alice", "bob"], false);
    }
    #[test]
    fn what_the_second_said_of_another_day() {
        check(Some(said("bob", Order::Provision, 3)), &["alice", "bob"], false);
    }
}
