//! Answers, as the one who called sees them.

use crate::support::{BOB, Draft, EPOCH, MARK, NOW, STRANGER, World, home, instance, key};
use model::contract::Subject;
use model::contract::authority::{Done, IssueCrl};
use model::contract::identity::Mark;
use model::contract::supervisor::Seal;
use model::mode::Binding;
use model::{Digest, Fault, Mode, Module, Nonce, Reason, UnixTime};
use ports::Signer;
use ports::envelope::{ANSWER, CALL, Claims, Opened};
use ports::replay::WINDOW_MS;
use std::sync::Arc;

/// What the one who called makes of an answer.
#[derive(Debug, PartialEq)]
enum Verdict {
    Believed(Result<(), Fault>),
    /// It is not known what became of the call; the log says why.
    Not(Reason),
    /// The same, and there was nothing to record.
    Nothing,
}
use Verdict::{Believed, Not, Nothing};

fn mark() -> Mark {
    serde_json::from_str(MARK).unwrap()
}

/// The answer that is due to a call.
fn due(call: &[u8], world: &World) -> Draft {
    let opened = Opened::open(CALL, call, &world.directory, NOW).unwrap();
    let asked = opened.claims();
    let claims = Claims {
        from: asked.to,
        instance: instance("box"),
        to: asked.from,
        answers: Some(opened.digest()),
        nonce: asked.nonce,
        deadline: asked.deadline,
        mode: asked.mode,
        standing: None,
        body: Digest::new([0; 32]),
        ..*asked
    };
    let body = r#"{"Ok":{}}"#.to_owned();
    let (at, under, signed_by) = (asked.from, asked.subject, home(asked.to));
    Draft { typ: ANSWER, claims, body, signed_by, arrives_at: at, arrives_under: under, now: NOW }
}

/// Calls, and gets an answer that is right but for one thing.
#[track_caller]
fn check(wrong: impl Fn(&mut Draft) + Send + Sync + 'static, expected: Verdict) {
    let world = Arc::new(World::new());
    let told = Arc::clone(&world);
    answer_with(&world, move |call| {
        let mut draft = due(call, &told);
        wrong(&mut draft);
        draft.seal()
    });
    assert_eq!(verdict(&world, world.link(Module::Console).call(&mark())), expected);
}

/// Calls, and gets these octets.
#[track_caller]
fn check_octets(answer: &'static [u8], expected: Verdict) {
    let world = World::new();
    answer_with(&world, move |_| answer.to_vec());
    assert_eq!(verdict(&world, world.link(Module::Console).call(&mark())), expected);
}

fn answer_with(world: &World, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) {
    *world.wire.hook.lock().unwrap() = Some(Box::new(move |_, _, message| answer(message)));
}

fn verdict(world: &World, answer: Result<Done, Fault>) -> Verdict {
    match (answer, world.refused().pop()) {
        (Ok(Done {}), None) => Believed(Ok(())),
        (Err(Fault::Unavailable(_)), Some((_, reason))) => Not(reason),
        (Err(Fault::Unavailable(what)), None) if what.contains("gave no answer") => Nothing,
        (Err(fault), None) => Believed(Err(fault)),
        (answer, refused) => panic!("{answer:?} {refused:?}"),
    }
}

#[test]
fn the_answer_that_is_due() {
    check(|_| {}, Believed(Ok(())));
}
#[test]
fn the_refusal_that_is_due() {
    check(|d| d.body = r#"{"Err":{"refused":"no-grant"}}"#.into(), Believed(Err(Reason::NoGrant.into())));
}
#[test]
fn no_answer() {
    check_octets(b"", Nothing);
}
#[test]
fn octets_that_are_no_answer() {
    check_octets(b"{}", Not(Reason::SignatureInvalid));
}

// ---- By whom ----

#[test]
fn by_a_stranger() {
    check(|d| d.signed_by = STRANGER, Not(Reason::UnknownCaller));
}
#[test]
fn by_an_operator() {
    check(|d| d.signed_by = BOB, Not(Reason::UnknownCaller));
}
#[test]
fn by_another_module() {
    check(|d| d.from(Module::Authority), Not(Reason::WrongSubject));
}
#[test]
fn by_another_module_in_the_name_of_the_right_one() {
    check(|d| d.signed_by = home(Module::Authority), Not(Reason::UnknownCaller));
}
#[test]
fn by_the_same_module_of_another_box() {
    // Where a module runs more than once, any of them may answer.
    check(Draft::move_to_other_box, Believed(Ok(())));
}
#[test]
fn by_the_supervisor_of_another_box() {
    let world = Arc::new(World::new());
    let told = Arc::clone(&world);
    answer_with(&world, move |call| {
        let mut draft = due(call, &told);
        draft.move_to_other_box();
        draft.seal()
    });
    let answer = world.link(Module::Console).call(&Seal { reason: Reason::BothSignaturesInvalid });
    assert_eq!(verdict(&world, answer), Not(Reason::CallerNotAllowed));
}

// ---- To what ----

#[test]
fn a_call_is_no_answer() {
    check(|d| (d.typ, d.claims.answers) = (CALL, None), Not(Reason::SignatureInvalid));
}
#[test]
fn the_own_call_is_no_answer() {
    let world = World::new();
    answer_with(&world, <[u8]>::to_vec);
    assert_eq!(verdict(&world, world.link(Module::Console).call(&mark())), Not(Reason::SignatureInvalid));
}
#[test]
fn an_answer_that_names_no_call() {
    check(|d| d.claims.answers = None, Not(Reason::SignatureInvalid));
}
#[test]
fn to_another_subject() {
    check(|d| d.claims.subject = Subject::IdentityDeposit, Not(Reason::WrongSubject));
}
#[test]
fn to_another_module() {
    check(|d| d.claims.to = Module::Provisioning, Not(Reason::WrongSubject));
}
#[test]
fn to_another_nonce() {
    check(|d| d.claims.nonce = Nonce::new([1; 16]), Not(Reason::Replayed));
}
#[test]
fn to_another_call_with_the_same_nonce() {
    // A module of another box that knows the nonce of a call can ask with it, too, and gets an answer.
    check(|d| d.claims.answers = Some(Digest::new([1; 32])), Not(Reason::Replayed));
}
#[test]
fn to_an_earlier_call() {
    let world = World::new();
    assert_eq!(world.link(Module::Console).call(&mark()), Ok(Done {}));
    let earlier: Arc<std::sync::Mutex<Option<Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&earlier);
    let handler = world.wire.handlers.lock().unwrap()[&Module::Identity].clone();
    answer_with(&world, move |call| {
        let answer = handler.handle(Subject::IdentityMark, call);
        kept.lock().unwrap().get_or_insert(answer).clone()
    });
    assert_eq!(verdict(&world, world.link(Module::Console).call(&mark())), Believed(Ok(())));
    assert_eq!(verdict(&world, world.link(Module::Console).call(&mark())), Not(Reason::Replayed));
}

// ---- When, and in which mode ----

#[test]
fn an_answer_of_another_mode() {
    check(|d| d.claims.mode = Binding::settled(Mode::Ceremony), Not(Reason::WrongMode));
}
#[test]
fn an_answer_of_another_epoch() {
    check(|d| d.claims.epoch = EPOCH + 1, Not(Reason::WrongMode));
}
#[test]
fn at_the_ends_of_the_window() {
    check(|d| d.claims.at = NOW.plus_ms(WINDOW_MS), Believed(Ok(())));
    check(|d| d.claims.at = UnixTime::from_ms(NOW.ms() - WINDOW_MS), Believed(Ok(())));
}
#[test]
fn behind_the_ends_of_the_window() {
    check(|d| d.claims.at = NOW.plus_ms(WINDOW_MS + 1), Not(Reason::OutOfTime));
    check(|d| d.claims.at = UnixTime::from_ms(NOW.ms() - WINDOW_MS - 1), Not(Reason::OutOfTime));
}
#[test]
fn an_answer_to_what_was_asked_before_the_mode_changed() {
    // A change of modes drains: what was begun in the mode before is answered, and the answer counts.
    let world = Arc::new(World::new());
    let told = Arc::clone(&world);
    answer_with(&world, move |call| {
        told.bind(Binding::settled(Mode::SoftwareImport), EPOCH + 1);
        due(call, &told).seal()
    });
    let crl = IssueCrl { authority: "root".parse().unwrap(), shard: 0, delta: false };
    let answer = world.link(Module::Console).call(&crl);
    assert_eq!(answer.unwrap_err(), Fault::malformed("the body of the answer"), "believed, and no list of revoked");
    assert_eq!(world.refused(), []);
}

// ---- What is not even asked ----

/// Calls km from the console in a mode.
#[track_caller]
fn check_asking(mode: Mode, expected: Reason) {
    let world = World::in_mode(Binding::settled(mode), model::callers::CALLERS_TOML);
    answer_with(&world, |_| panic!("asked a module that is off"));
    let crl = IssueCrl { authority: "root".parse().unwrap(), shard: 0, delta: false };
    assert_eq!(world.link(Module::Console).call(&crl).unwrap_err(), Fault::Refused(expected));
}

#[test]
fn nobody_asks_a_module_that_is_off() {
    check_asking(Mode::SoftwareImport, Reason::ModuleOff);
    check_asking(Mode::Sealed, Reason::Sealed);
}
#[test]
fn a_module_that_is_off_asks_nobody() {
    let world = World::in_mode(Binding::settled(Mode::SoftwareImport), model::callers::CALLERS_TOML);
    assert_eq!(world.link(Module::Authority).call(&mark()).unwrap_err(), Reason::ModuleOff.into());
}
#[test]
fn a_module_without_a_lease_asks_nobody() {
    let world = World::without_leases(model::callers::CALLERS_TOML);
    assert_eq!(world.link(Module::Console).call(&mark()).unwrap_err(), Reason::ModuleOff.into());
}
#[test]
fn a_module_whose_certificate_was_revoked_asks_nobody() {
    let world = World::new();
    world.directory.remove(key(home(Module::Console)).public_key());
    assert_eq!(world.link(Module::Console).call(&mark()).unwrap_err(), Reason::UnknownCaller.into());
}
#[test]
fn a_call_that_is_too_long_is_not_sent() {
    let world = World::new();
    answer_with(&world, |_| panic!("sent"));
    let list = model::contract::identity::ImportList {
        name: "list".into(),
        format: model::contract::identity::ListFormat::Csv,
        octets: vec![0; ports::envelope::BODY_LEN_MAX].into(),
        until: NOW,
        signature: None,
        replaces: None,
        dry_run: false,
    };
    assert_eq!(world.link(Module::Console).call(&list).unwrap_err().code(), "malformed");
}

#[track_caller]
fn check_len(body_len: usize, expected: Result<Done, Fault>) {
    let world = World::new();
    let padding = body_len - r#"{"Ok":{}}"#.len();
    world.doer.padding.store(padding, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(world.link(Module::Console).call(&mark()), expected);
}
#[test]
fn the_longest_answer() {
    check_len(ports::envelope::BODY_LEN_MAX, Ok(Done {}));
}
#[test]
fn of_a_longer_answer_is_said_that_it_is_too_long() {
    let too_long = Fault::unavailable("the answer is longer than a message may be");
    check_len(ports::envelope::BODY_LEN_MAX + 1, Err(too_long));
}

// ---- What is in it ----

#[test]
fn what_another_module_writes_is_made_printable() {
    let shown = Fault::Unavailable("\\u{1b}[2Jgone \\u{202e}".into());
    check(|d| d.body = r#"{"Err":{"unavailable":"\u001b[2Jgone \u202e"}}"#.into(), Believed(Err(shown)));
}
#[test]
fn an_answer_to_another_question() {
    let bad = Fault::malformed("the body of the answer");
    check(|d| d.body = r#"{"Ok":{"deposited":1}}"#.into(), Believed(Err(bad.clone())));
    check(|d| d.body = r#"{"Ok":{},"Err":{"refused":"no-grant"}}"#.into(), Believed(Err(bad.clone())));
    check(|d| d.body = r#"{"Err":{"refused":"because"}}"#.into(), Believed(Err(bad)));
}
