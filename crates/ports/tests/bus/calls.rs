//! Calls, as the one who is called sees them.

use crate::support::{ALICE, BOB, Draft, MARK, NOW, Outcome, STARTED, STRANGER, World, home, instance, key, silence};
use Outcome::{CarriedOut, Refused, Silence, Unsure};
use model::contract::{MESSAGE_LEN_MAX, Subject};
use model::mode::Binding;
use model::{Mode, Module, Nonce, Reason, UnixTime};
use ports::Signer;
use ports::envelope::ANSWER;
use ports::replay::WINDOW_MS;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One call that is right but for one thing.
#[track_caller]
fn check(wrong: impl FnOnce(&mut Draft), expected: Outcome) {
    let mut draft = Draft::mark();
    wrong(&mut draft);
    assert_eq!(draft.arrive(&World::new()), expected);
}

type Step = (fn(&mut Draft), Outcome);
/// Calls that arrive at one module one after another.
#[track_caller]
fn check_each(calls: &[Step]) {
    let world = World::new();
    for (n, (wrong, expected)) in calls.iter().enumerate() {
        let mut draft = Draft::mark();
        wrong(&mut draft);
        assert_eq!(draft.arrive(&world), *expected, "call {n}");
    }
}

fn ms(time: UnixTime, later: u64) -> UnixTime {
    time.plus_ms(later)
}
fn before(time: UnixTime, ms: u64) -> UnixTime {
    UnixTime::from_ms(time.ms() - ms)
}

#[test]
fn a_call_is_carried_out() {
    check(|_| {}, CarriedOut);
}

// ---- Who ----

#[test]
fn a_key_that_nobody_has_says_nothing() {
    check(|d| d.signed_by = STRANGER, silence(Reason::UnknownCaller));
}
#[test]
fn an_operator_is_no_module() {
    check(|d| d.signed_by = ALICE, silence(Reason::UnknownCaller));
}
#[test]
fn the_name_of_another_module_is_a_lie() {
    let liar = "provisioning:box".to_owned();
    check(|d| d.signed_by = home(Module::Provisioning), Silence(liar, Reason::UnknownCaller));
}
#[test]
fn the_name_of_another_box_is_a_lie() {
    let liar = "console:box".to_owned();
    check(|d| d.claims.instance = instance("other"), Silence(liar, Reason::UnknownCaller));
}
#[test]
fn who_is_not_in_the_table_of_callers_is_refused() {
    for module in Module::ALL.into_iter().filter(|module| *module != Module::Console) {
        check(|d| d.from(module), Refused(Reason::CallerNotAllowed));
    }
}
#[test]
fn a_removed_key_says_nothing_from_then_on() {
    let world = World::new();
    assert_eq!(Draft::mark().arrive(&world), CarriedOut);
    world.directory.remove(key(home(Module::Console)).public_key());
    let mut again = Draft::mark();
    again.claims.nonce = Nonce::new([10; 16]);
    assert_eq!(again.arrive(&world), silence(Reason::UnknownCaller));
}

// ---- To whom, and what ----

#[test]
fn another_subject_than_it_was_sealed_for() {
    check(|d| d.arrives_under = Subject::IdentityAdmit, Unsure(Reason::WrongSubject));
}
#[test]
fn another_module_than_it_was_sealed_for() {
    check(|d| d.arrives_at = Module::Authority, Unsure(Reason::WrongSubject));
}
#[test]
fn a_call_that_is_not_this_modules_to_answer() {
    check(|d| (d.claims.to, d.arrives_at) = (Module::Authority, Module::Authority), Unsure(Reason::WrongSubject));
}
#[test]
fn an_answer_is_no_call() {
    check(|d| d.typ = ANSWER, silence(Reason::SignatureInvalid));
}
#[test]
fn a_call_that_names_what_it_answers_is_no_call() {
    let liar = "console:box".to_owned();
    check(|d| d.claims.answers = Some(d.claims.body), Silence(liar, Reason::SignatureInvalid));
}
#[test]
fn a_seal_of_another_use_is_no_call() {
    check(|d| d.typ = ports::link::MODE_STATEMENT, silence(Reason::SignatureInvalid));
}
#[test]
fn what_a_supervisor_is_told_stays_on_its_box() {
    fn seal(d: &mut Draft) {
        let (to, subject) = (Module::Supervisor, Subject::ModeSeal);
        let binding = Binding::settled(Mode::ProvisionCertificate);
        *d = Draft::call(Module::Console, to, subject, binding, r#"{"reason":"both-signatures-invalid"}"#.into());
    }
    check(seal, CarriedOut);
    let move_to_other_box = |d: &mut Draft| {
        seal(d);
        d.move_to_other_box();
    };
    check(move_to_other_box, Refused(Reason::CallerNotAllowed));
}

// ---- When ----

#[test]
fn the_last_moment_of_the_window() {
    let late = |d: &mut Draft| (d.claims.at, d.claims.deadline) = (before(NOW, WINDOW_MS), NOW);
    check(late, CarriedOut);
}
#[test]
fn the_moment_after_the_window() {
    check(|d| d.claims.at = before(NOW, WINDOW_MS + 1), Unsure(Reason::OutOfTime));
}
#[test]
fn the_last_moment_before_the_deadline() {
    check(|d| d.claims.deadline = NOW, CarriedOut);
}
#[test]
fn the_moment_after_the_deadline() {
    check(|d| d.claims.deadline = before(NOW, 1), Unsure(Reason::OutOfTime));
}
#[test]
fn nothing_of_ones_own_box_is_from_the_future() {
    check(|d| d.claims.at = ms(NOW, 1), Unsure(Reason::OutOfTime));
}
#[test]
fn the_clock_of_another_box_may_be_ahead() {
    let ahead = |d: &mut Draft| {
        d.move_to_other_box();
        (d.claims.at, d.claims.deadline) = (ms(NOW, WINDOW_MS), ms(NOW, 2 * WINDOW_MS));
    };
    check(ahead, CarriedOut);
}
#[test]
fn the_clock_of_another_box_may_not_be_further_ahead() {
    let too_far = |d: &mut Draft| {
        d.move_to_other_box();
        (d.claims.at, d.claims.deadline) = (ms(NOW, WINDOW_MS + 1), ms(NOW, 2 * WINDOW_MS));
    };
    check(too_far, Unsure(Reason::OutOfTime));
}
#[test]
fn a_time_that_never_comes() {
    let never = |d: &mut Draft| {
        d.move_to_other_box();
        (d.claims.at, d.claims.deadline) = (UnixTime::NO_EXPIRY, UnixTime::NO_EXPIRY);
    };
    check(never, Unsure(Reason::OutOfTime));
}

/// A call that was sealed at `at` and comes soon after the start of the module that is called.
#[track_caller]
fn check_start(move_to_other_box: bool, at: UnixTime, expected: Outcome) {
    let world = World::without_leases(model::callers::CALLERS_TOML);
    world.clock.set(STARTED);
    world.bind(Binding::settled(Mode::ProvisionCertificate), crate::support::EPOCH);
    let mut draft = Draft::mark();
    if move_to_other_box {
        draft.move_to_other_box();
    }
    (draft.claims.at, draft.claims.deadline, draft.now) = (at, ms(at, 30_000), ms(STARTED, 10_000));
    if draft.claims.standing.is_some() {
        let mut said = draft.standing();
        said.standing.until = draft.now;
        draft.claims.standing = Some(said.sign());
    }
    assert_eq!(draft.arrive(&world), expected);
}

#[test]
fn what_was_sealed_when_the_module_started() {
    check_start(false, STARTED, CarriedOut);
}
#[test]
fn what_was_sealed_before_the_module_started_may_have_been_received_before() {
    check_start(false, before(STARTED, 1), Unsure(Reason::OutOfTime));
}
#[test]
fn a_clock_that_is_ahead_may_have_sealed_it_before_the_module_started() {
    check_start(true, ms(STARTED, WINDOW_MS - 1), Unsure(Reason::OutOfTime));
    check_start(true, ms(STARTED, WINDOW_MS), CarriedOut);
}

// ---- Once ----

#[test]
fn a_call_is_carried_out_once() {
    check_each(&[(|_| {}, CarriedOut), (|_| {}, Unsure(Reason::Replayed))]);
}
#[test]
fn a_nonce_is_used_once() {
    check_each(&[(|_| {}, CarriedOut), (|d| d.body = MARK.replace("true", "false"), Unsure(Reason::Replayed))]);
}
#[test]
fn a_call_is_known_until_its_deadline() {
    check_each(&[(|_| {}, CarriedOut), (|d| d.now = d.claims.deadline, Unsure(Reason::Replayed))]);
}
#[test]
fn another_nonce_is_another_call() {
    check_each(&[(|_| {}, CarriedOut), (|d| d.claims.nonce = Nonce::new([8; 16]), CarriedOut)]);
}
#[test]
fn a_clock_that_goes_forth_and_back_makes_nothing_new() {
    let elsewhen = |d: &mut Draft| {
        d.claims.nonce = Nonce::new([8; 16]);
        (d.claims.at, d.now, d.claims.deadline) = (NOW.plus_s(3600), NOW.plus_s(3600), NOW.plus_s(3601));
    };
    // In an hour there is no lease any more, so the one in the middle is refused.
    check_each(&[(|_| {}, CarriedOut), (elsewhen, Refused(Reason::ModuleOff)), (|_| {}, Unsure(Reason::Replayed))]);
}
#[test]
fn what_was_refused_for_its_subject_stays_refused() {
    check_each(&[
        (|d| d.arrives_under = Subject::IdentityAdmit, Unsure(Reason::WrongSubject)),
        (|_| {}, Unsure(Reason::Replayed)),
    ]);
}
#[test]
fn what_was_refused_for_its_mode_stays_refused() {
    let world = World::new();
    let ahead = || {
        let mut draft = Draft::mark();
        draft.claims.epoch += 1;
        draft
    };
    assert_eq!(ahead().arrive(&world), Refused(Reason::WrongMode));
    world.bind(Binding::settled(Mode::ProvisionCertificate), crate::support::EPOCH + 1);
    assert_eq!(ahead().arrive(&world), Unsure(Reason::Replayed));
}
#[test]
fn nobody_uses_up_the_nonces_of_another() {
    check_each(&[(|d| d.from(Module::Gateway), Refused(Reason::CallerNotAllowed)), (|_| {}, CarriedOut)]);
}

// ---- How long, how deep ----

#[test]
fn the_longest_body() {
    let padding = ports::envelope::BODY_LEN_MAX - MARK.len();
    let long = |d: &mut Draft| d.body = MARK.replacen('{', &format!("{{{}", " ".repeat(padding)), 1);
    check(long, CarriedOut);
}
#[test]
fn a_longer_message_is_not_read() {
    let world = World::new();
    let mut message = Draft::mark().seal();
    message.resize(MESSAGE_LEN_MAX, b' ');
    assert_eq!(world.arrive(Module::Identity, Subject::IdentityMark, &message), CarriedOut);
    message.push(b' ');
    let expected = silence(Reason::SignatureInvalid);
    assert_eq!(world.arrive(Module::Identity, Subject::IdentityMark, &message), expected);
}
#[test]
fn a_million_levels_do_not_overflow_the_stack() {
    let deep = |d: &mut Draft| d.body = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    // Whoever is called finds that it is no call; here all is done that is asked.
    check(deep, CarriedOut);
    let read = ports::link::answer::<model::contract::identity::Mark>;
    let body = serde_json::value::RawValue::from_string("[".repeat(1_000_000) + &"]".repeat(1_000_000)).unwrap();
    assert_eq!(read(&body, |_| unreachable!()).unwrap_err().code(), "malformed");
}
#[test]
fn a_body_that_is_another_call() {
    let read = ports::link::answer::<model::contract::identity::Mark>;
    for body in ["{}", "null", r#"["urn:dev:ops:32473-sensor-SN0001",true]"#, &MARK.replace('}', r#","x":1}"#)] {
        let body = serde_json::value::RawValue::from_string(body.to_owned()).unwrap();
        assert_eq!(read(&body, |_| unreachable!()).unwrap_err().code(), "malformed", "{body}");
    }
}

// ---- What is left of it ----

#[test]
fn a_refusal_names_the_message_and_no_foreign_text() {
    let world = World::new();
    let message = br#"{"seal":"\u202e\n<script>","body":"=1+1"}"#;
    world.arrive(Module::Identity, Subject::IdentityMark, message);
    let entry = world.log.entries.lock().unwrap().pop().unwrap();
    let expected = format!(
        concat!(
            r#"{{"at":{},"by":"identity","event":{{"message-refused":{{"subject":"identity.mark","#,
            r#""caller":"unknown","reason":"signature-invalid","message":"{}"}}}}}}"#
        ),
        NOW.ms(),
        x509::sha256(message)
    );
    assert_eq!(serde_json::to_string(&entry).unwrap(), expected);
}
#[test]
fn what_cannot_be_recorded_is_refused_all_the_same() {
    let world = World::new();
    world.log.fails.store(true, Ordering::SeqCst);
    let mut draft = Draft::mark();
    draft.signed_by = BOB;
    let handler = world.wire.handlers.lock().unwrap()[&Module::Identity].clone();
    assert_eq!(handler.handle(Subject::IdentityMark, &draft.seal()), b"");
    assert_eq!(world.doer.done.load(Ordering::SeqCst), 0);
}

// ---- Once, over all processes of a module ----

#[test]
fn what_another_process_received_is_not_carried_out() {
    let world = World::new();
    world.elsewhere.all.store(true, Ordering::SeqCst);
    assert_eq!(Draft::mark().arrive(&world), Unsure(Reason::Replayed));
}
#[test]
fn what_names_a_transaction_is_carried_out_by_whom_it_reaches() {
    let world = World::new();
    world.elsewhere.all.store(true, Ordering::SeqCst);
    let mode = Draft::mark().claims.mode;
    let body = "{}".to_owned();
    let draft = Draft::call(Module::Provisioning, Module::Authority, Subject::AuthorityCertify, mode, body);
    assert_eq!(draft.arrive(&world), CarriedOut);
}
#[test]
fn what_may_have_been_received_elsewhere_is_not_carried_out() {
    let world = World::new();
    world.elsewhere.fails.store(true, Ordering::SeqCst);
    let handler = Arc::clone(&world.wire.handlers.lock().unwrap()[&Module::Identity]);
    let answer = handler.handle(Subject::IdentityMark, &Draft::mark().seal());
    assert!(String::from_utf8(answer).unwrap().contains(ports::store::DISK_FULL));
    assert_eq!(world.doer.done.load(Ordering::SeqCst), 0);
}
