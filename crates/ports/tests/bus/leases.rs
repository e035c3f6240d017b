//! Leases, and the operators' statements behind them.

use crate::support::{
    ALICE, BOB, Draft, EPOCH, NOW, Outcome, STARTED, STRANGER, World, everybody, home, instance, key, silence,
    statement,
};
use Outcome::{CarriedOut, Refused, Silence};
use model::callers::CALLERS_TOML;
use model::contract::Subject;
use model::contract::supervisor::Lease;
use model::mode::{Binding, Order, Statement};
use model::{Fault, Mode, Module, Nonce, Reason, UnixTime};
use ports::gate::LEASE_LEN_MAX_MS;
use ports::link::{MODE_STATEMENT, verify_statement};
use ports::{Clock, jws};

/// A statement that a test signs as it likes.
struct Ordered {
    typ: &'static str,
    statement: Statement,
    signed_by: u8,
}

impl Ordered {
    fn due() -> Self {
        let statement = statement(Order::Stay(Mode::ProvisionCertificate), EPOCH);
        Self { typ: MODE_STATEMENT, statement, signed_by: ALICE }
    }
    fn sign(&self) -> String {
        let payload = serde_json::to_vec(&self.statement).unwrap();
        String::from_utf8(jws::sign(self.typ, &payload, &key(self.signed_by)).unwrap()).unwrap()
    }
}

fn lease() -> Lease {
    let (binding, until) = (Binding::settled(Mode::ProvisionCertificate), NOW.plus_s(30));
    Lease { module: Module::Identity, statement: Ordered::due().sign(), binding, epoch: EPOCH, until, standing: None }
}

fn carry(lease: &Lease) -> Draft {
    let body = serde_json::to_string(lease).unwrap();
    Draft::call(Module::Supervisor, Module::Identity, Subject::ModeLease, lease.binding, body)
}

/// A module gets a lease that is right but for one thing. Refused, it changes nothing.
#[track_caller]
fn check(wrong: impl FnOnce(&mut Lease), sent: impl FnOnce(&mut Draft), expected: Outcome) {
    let world = World::without_leases(CALLERS_TOML);
    let mut lease = lease();
    wrong(&mut lease);
    let mut draft = carry(&lease);
    sent(&mut draft);
    assert_eq!(draft.arrive(&world), expected);
    let is_open = world.link(Module::Identity).gate().open(NOW).is_ok();
    assert_eq!(is_open, expected == CarriedOut);
}

#[track_caller]
fn check_lease(wrong: impl FnOnce(&mut Lease), expected: Outcome) {
    check(wrong, |_| {}, expected);
}
#[track_caller]
fn check_sent(sent: impl FnOnce(&mut Draft), expected: Outcome) {
    check(|_| {}, sent, expected);
}
#[track_caller]
fn check_statement(wrong: impl FnOnce(&mut Ordered), expected: Outcome) {
    let mut order = Ordered::due();
    wrong(&mut order);
    check(|lease| lease.statement = order.sign(), |_| {}, expected);
}

#[test]
fn a_lease_opens_the_gate() {
    check_lease(|_| {}, CarriedOut);
}

// ---- Who gives it ----

#[test]
fn only_the_supervisor_gives_leases() {
    for module in Module::ALL.into_iter().filter(|module| *module != Module::Supervisor) {
        check_sent(|d| d.from(module), Refused(Reason::CallerNotAllowed));
    }
}
#[test]
fn the_supervisor_of_another_box_gives_none() {
    check_sent(Draft::move_to_other_box, Refused(Reason::CallerNotAllowed));
}
#[test]
fn a_stranger_gives_none() {
    check_sent(|d| d.signed_by = STRANGER, silence(Reason::UnknownCaller));
}
#[test]
fn an_operator_gives_none() {
    check_sent(|d| d.signed_by = ALICE, silence(Reason::UnknownCaller));
}
#[test]
fn nobody_gives_one_in_the_name_of_the_supervisor() {
    let liar = "console:box".to_owned();
    check_sent(|d| d.signed_by = home(Module::Console), Silence(liar, Reason::UnknownCaller));
}

// ---- What it says ----

#[test]
fn a_lease_of_another_module() {
    check_lease(|lease| lease.module = Module::Authority, Refused(Reason::WrongSubject));
}
#[test]
fn a_lease_in_another_mode_than_its_envelope() {
    check_sent(|d| d.claims.mode = Binding::settled(Mode::Sealed), Refused(Reason::WrongMode));
    check_sent(|d| d.claims.epoch += 1, Refused(Reason::WrongMode));
}
#[test]
fn a_lease_that_is_none() {
    check_sent(|d| d.body = "{}".into(), Refused(Reason::SignatureInvalid));
}
#[test]
fn a_mode_that_nobody_ordered() {
    let ceremony = Binding::settled(Mode::Ceremony);
    check_lease(|lease| lease.binding = ceremony, Refused(Reason::ModeNotCovered));
    let into_ceremony = Binding { current: Mode::ProvisionCertificate, pending: Some(Mode::Ceremony) };
    check_lease(|lease| lease.binding = into_ceremony, Refused(Reason::ModeNotCovered));
}
#[test]
fn a_lease_from_before_is_carried_out_once() {
    let world = World::without_leases(CALLERS_TOML);
    assert_eq!(carry(&lease()).arrive(&world), CarriedOut);
    assert_eq!(carry(&lease()).arrive(&world), Outcome::Unsure(Reason::Replayed));
}
#[test]
fn an_older_epoch_closes_nothing() {
    let world = World::without_leases(CALLERS_TOML);
    assert_eq!(carry(&lease()).arrive(&world), CarriedOut);
    let mut draft = carry(&Lease { epoch: EPOCH - 1, ..lease() });
    (draft.claims.epoch, draft.claims.nonce) = (EPOCH - 1, Nonce::new([8; 16]));
    assert_eq!(draft.arrive(&world), Refused(Reason::ModeNotNewer));
}

// ---- What the operator said ----

#[test]
fn a_statement_that_is_none() {
    check_lease(|lease| lease.statement = String::new(), Refused(Reason::SignatureInvalid));
}
#[test]
fn a_statement_that_was_altered() {
    check_lease(|lease| lease.statement = lease.statement.replacen("\"payload\":\"e", "\"payload\":\"f", 1), {
        Refused(Reason::SignatureInvalid)
    });
}
#[test]
fn a_statement_that_a_module_signed() {
    check_statement(|order| order.signed_by = home(Module::Supervisor), Refused(Reason::UnknownCaller));
}
#[test]
fn a_statement_that_a_stranger_signed() {
    check_statement(|order| order.signed_by = STRANGER, Refused(Reason::UnknownCaller));
}
#[test]
fn a_statement_that_one_operator_signed_for_another() {
    check_statement(|order| order.signed_by = BOB, Refused(Reason::UnknownCaller));
}
#[test]
fn a_statement_of_another_operator() {
    let bob = |order: &mut Ordered| {
        (order.signed_by, order.statement.operator) = (BOB, "bob".parse().unwrap());
    };
    check_statement(bob, CarriedOut);
}
#[test]
fn what_an_operator_signed_for_another_use() {
    check_statement(|order| order.typ = ports::envelope::CALL, Refused(Reason::SignatureInvalid));
}
#[test]
fn a_statement_for_another_mode() {
    check_statement(|order| order.statement.order = Order::Stay(Mode::Ceremony), Refused(Reason::ModeNotCovered));
}

/// A statement, as text, that `alice` signed.
#[track_caller]
fn check_text(payload: &str, now: UnixTime, expected: Result<u64, Fault>) {
    let signed = String::from_utf8(jws::sign(MODE_STATEMENT, payload.as_bytes(), &key(ALICE)).unwrap()).unwrap();
    assert_eq!(verify_statement(&signed, &everybody(), now).map(|statement| statement.epoch), expected);
}
const STATEMENT: &str =
    r#"{"order":{"stay":"ceremony"},"epoch":3,"at":1,"operator":"alice","reason":"\u202e new root"}"#;

#[test]
fn a_statement_is_read() {
    check_text(STATEMENT, NOW, Ok(3));
}
#[test]
fn a_statement_that_says_something_else_too() {
    let bad = Err(Fault::malformed("mode statement"));
    check_text(&STATEMENT.replace(r#""epoch":3"#, r#""epoch":3,"box":"b""#), NOW, bad.clone());
    check_text(&STATEMENT.replace(r#""epoch":3"#, r#""epoch":3,"epoch":4"#), NOW, bad.clone());
    check_text(&format!("{STATEMENT}{STATEMENT}"), NOW, bad.clone());
    check_text(r#"["sealed",3,1,"alice",""]"#, NOW, bad);
}
#[test]
fn a_statement_counts_as_long_as_its_operators_certificate() {
    check_text(STATEMENT, UnixTime::from_s(2_000_000), Ok(3));
    check_text(STATEMENT, UnixTime::from_s(2_000_001), Err(Reason::UnknownCaller.into()));
}

// ---- How long it lasts ----

/// Whether the gate is open at a time with a lease until another.
#[track_caller]
fn check_time(until: UnixTime, now: UnixTime, expected: Result<u64, Reason>) {
    let world = World::without_leases(CALLERS_TOML);
    let gate = world.link(Module::Identity).gate();
    gate.take(&Lease { until, ..lease() }, &Ordered::due().statement).unwrap();
    assert_eq!(gate.open(now).map(|held| held.epoch), expected);
}

#[test]
fn the_last_moment_of_a_lease() {
    check_time(NOW, NOW, Ok(EPOCH));
}
#[test]
fn the_moment_after_a_lease() {
    check_time(NOW, NOW.plus_ms(1), Err(Reason::ModuleOff));
}
#[test]
fn the_longest_lease() {
    check_time(NOW.plus_ms(LEASE_LEN_MAX_MS), NOW, Ok(EPOCH));
}
#[test]
fn a_longer_lease_is_not_believed() {
    check_time(NOW.plus_ms(LEASE_LEN_MAX_MS + 1), NOW, Err(Reason::ModuleOff));
    check_time(UnixTime::NO_EXPIRY, NOW, Err(Reason::ModuleOff));
}
#[test]
fn a_clock_that_goes_back_makes_no_lease_longer() {
    check_time(NOW.plus_s(30), STARTED, Err(Reason::ModuleOff));
}

// ---- What follows what ----

/// A second lease after the one that [`lease`] is.
#[track_caller]
fn check_next(change: impl FnOnce(&mut Lease, &mut Statement), expected: Result<(), Reason>) {
    let world = World::without_leases(CALLERS_TOML);
    let gate = world.link(Module::Identity).gate();
    gate.take(&lease(), &Ordered::due().statement).unwrap();
    let (mut next, mut statement) = (lease(), Ordered::due().statement);
    change(&mut next, &mut statement);
    assert_eq!(gate.take(&next, &statement), expected);
    assert!(world.clock.now() == NOW && gate.open(NOW).is_ok());
}

#[test]
fn the_same_again() {
    check_next(|lease, _| lease.until = NOW.plus_s(40), Ok(()));
}
#[test]
fn a_newer_epoch() {
    check_next(|lease, _| lease.epoch += 1, Ok(()));
}
#[test]
fn a_newer_order() {
    let newer = |_: &mut Lease, statement: &mut Statement| {
        (statement.epoch, statement.order) = (EPOCH + 1, Order::Provision);
    };
    check_next(newer, Ok(()));
}
#[test]
fn an_older_lease() {
    check_next(|lease, _| lease.epoch -= 1, Err(Reason::ModeNotNewer));
}
#[test]
fn an_older_order() {
    check_next(|_, statement| statement.epoch -= 1, Err(Reason::ModeNotNewer));
}
#[test]
fn the_same_epoch_for_another_mode() {
    check_next(|lease, _| lease.binding = Binding::settled(Mode::Sealed), Err(Reason::ModeNotNewer));
}
#[test]
fn the_same_epoch_for_another_order() {
    check_next(|_, statement| statement.order = Order::Provision, Err(Reason::ModeNotNewer));
}
#[test]
fn a_lease_for_somebody_else() {
    check_next(|lease, _| lease.module = Module::Authority, Err(Reason::WrongSubject));
}
#[test]
fn a_box_is_sealed_without_an_order() {
    let world = World::without_leases(CALLERS_TOML);
    let sealed = Binding::settled(Mode::Sealed);
    let mut draft = carry(&Lease { binding: sealed, ..lease() });
    draft.claims.mode = sealed;
    assert_eq!(draft.arrive(&world), CarriedOut);
    assert_eq!(world.link(Module::Identity).gate().open(NOW), Err(Reason::Sealed));
}

#[test]
fn the_supervisor_tells_a_module_that_it_is_off() {
    let world = World::in_mode(Binding::settled(Mode::SoftwareImport), CALLERS_TOML);
    let order = Ordered { statement: statement(Order::Stay(Mode::SoftwareImport), EPOCH), ..Ordered::due() };
    let binding = Binding::settled(Mode::SoftwareImport);
    let lease = Lease { module: Module::Authority, statement: order.sign(), binding, ..lease() };
    world.link(Module::Supervisor).call(&lease).unwrap();
    assert_eq!(world.link(Module::Authority).gate().open(NOW), Err(Reason::ModuleOff));
    assert_eq!(instance("box"), world.link(Module::Authority).caller().instance);
}

/// Somebody asks for a lease who does not know the mode.
#[track_caller]
fn asks(from: Module, change: impl FnOnce(&mut Draft), mode: Mode, expected: Outcome) {
    let unknown = Binding::settled(Mode::Sealed);
    let mut draft = Draft::call(from, Module::Supervisor, Subject::ModeAsk, unknown, "{}".to_owned());
    draft.claims.epoch = 0;
    change(&mut draft);
    assert_eq!(draft.arrive(&World::in_mode(Binding::settled(mode), CALLERS_TOML)), expected);
}
#[test]
fn who_asks_for_a_lease_need_not_know_the_mode() {
    asks(Module::Console, |_| {}, Mode::ProvisionCertificate, Outcome::CarriedOut);
    asks(Module::Console, |_| {}, Mode::Sealed, Outcome::CarriedOut);
}
#[test]
fn who_is_off_gets_none() {
    asks(Module::Provisioning, |_| {}, Mode::Ceremony, Outcome::Refused(Reason::ModuleOff));
    asks(Module::Provisioning, |_| {}, Mode::Sealed, Outcome::Refused(Reason::Sealed));
}
#[test]
fn the_authority_asks_nobody() {
    let refused = Outcome::Refused(Reason::CallerNotAllowed);
    asks(Module::Authority, |_| {}, Mode::ProvisionCertificate, refused);
}
#[test]
fn another_boxs_supervisor_is_not_asked() {
    let refused = Outcome::Refused(Reason::CallerNotAllowed);
    asks(Module::Console, Draft::move_to_other_box, Mode::ProvisionCertificate, refused);
}
#[test]
fn nothing_else_is_asked_without_the_mode() {
    let order =
        |draft: &mut Draft| (draft.claims.subject, draft.arrives_under) = (Subject::ModeOrder, Subject::ModeOrder);
    asks(Module::Console, order, Mode::ProvisionCertificate, Outcome::Refused(Reason::WrongMode));
}
