//! The whole table of modes: who is refused when, by the one who is called.

use crate::support::{Draft, EPOCH, Outcome, World};
use Module::{Authority, Gateway, Identity, Provisioning, Software};
use Outcome::{CarriedOut, Refused, Unsure};
use model::contract::Subject;
use model::mode::Binding;
use model::{Mode, Module, Nonce, Reason};

/// Who must be off, written down again from the description of the system: the table in `model` is not asked.
const OFF: [(Mode, &[Module]); 7] = [
    (Mode::ProvisionSoftware, &[Gateway, Authority]),
    (Mode::ProvisionCertificate, &[Gateway, Software]),
    (Mode::SoftwareManagement, &[Authority, Provisioning]),
    (Mode::CertificateManagement, &[Software, Provisioning]),
    (Mode::SoftwareImport, &[Gateway, Authority, Provisioning]),
    (Mode::Ceremony, &[Gateway, Software, Provisioning]),
    (Mode::Sealed, &[Gateway, Software, Authority, Provisioning, Identity]),
];

/// One call of each module that answers calls; the others answer leases only.
const CALLED: [Subject; 4] = [Subject::AuthorityCrl, Subject::IdentityMark, Subject::SoftwareUpdate, Subject::ModeSeal];

/// A table by which everybody may call everybody, so that only the mode is in the way.
fn everybody_may() -> String {
    let modules: Vec<_> = Module::ALL.into_iter().map(|module| format!("\"{module}\"")).collect();
    let line = |subject: &Subject| format!("\"{subject}\" = [{}]\n", modules.join(", "));
    Subject::ALL.iter().map(line).collect()
}

fn off(mode: Mode) -> &'static [Module] {
    OFF.into_iter().find(|(of, _)| *of == mode).unwrap().1
}

/// Every caller and callee in one binding, with what `claim` makes of the claims.
#[track_caller]
fn check(binding: Binding, claim: impl Fn(&mut Draft), expected: impl Fn(Module, Module) -> Outcome) {
    let world = World::in_mode(binding, &everybody_may());
    let mut nonce = 0_u8;
    for from in Module::ALL {
        for subject in CALLED {
            let to = subject.module();
            let mut draft = Draft::call(from, to, subject, binding, "{}".to_owned());
            draft.claims.nonce = Nonce::new([nonce; 16]);
            nonce += 1;
            claim(&mut draft);
            assert_eq!(draft.arrive(&world), expected(from, to), "{binding}: {from} calls {to}");
        }
    }
}

/// What is due in a binding if the caller says which one it is.
fn due(binding: Binding, from: Module, to: Module) -> Outcome {
    let is_off = |module| {
        off(binding.current).contains(&module) || binding.pending.is_some_and(|next| off(next).contains(&module))
    };
    match (is_off(from) || is_off(to), binding.current) {
        (false, _) => CarriedOut,
        (true, Mode::Sealed) => Refused(Reason::Sealed),
        (true, _) => Refused(Reason::ModuleOff),
    }
}

#[test]
fn in_each_mode_who_is_off_is_refused_and_refuses() {
    for mode in Mode::ALL {
        let binding = Binding::settled(mode);
        check(binding, |_| {}, |from, to| due(binding, from, to));
    }
}
#[test]
fn between_two_modes_who_is_off_in_one_of_them_is_refused() {
    for current in Mode::ALL {
        for next in Mode::ALL {
            let binding = Binding { current, pending: Some(next) };
            check(binding, |_| {}, |from, to| due(binding, from, to));
        }
    }
}

/// A caller whose modes, or epoch, are not those of the one who is called.
#[track_caller]
fn check_other(binding: Binding, claim: impl Fn(&mut Draft)) {
    let expected = |_, to| match due(binding, Module::Console, to) {
        // Who is off does not even compare.
        CarriedOut => Refused(Reason::WrongMode),
        refused => refused,
    };
    check(binding, claim, expected);
}

#[test]
fn a_call_of_another_mode_is_refused() {
    for mode in Mode::ALL {
        for other in Mode::ALL.into_iter().filter(|other| *other != mode) {
            check_other(Binding::settled(mode), |d| d.claims.mode = Binding::settled(other));
        }
    }
}
#[test]
fn a_call_of_another_epoch_is_refused() {
    for mode in Mode::ALL {
        check_other(Binding::settled(mode), |d| d.claims.epoch = EPOCH + 1);
        check_other(Binding::settled(mode), |d| d.claims.epoch = EPOCH - 1);
    }
}
#[test]
fn a_call_from_before_a_change_is_refused_during_it() {
    for mode in Mode::ALL {
        let changing = Binding { current: mode, pending: Some(Mode::Ceremony) };
        check_other(changing, |d| d.claims.mode = Binding::settled(mode));
    }
}
#[test]
fn without_a_lease_nobody_answers() {
    let world = World::without_leases(&everybody_may());
    for (n, subject) in CALLED.into_iter().enumerate() {
        let binding = Binding::settled(Mode::ProvisionCertificate);
        let mut draft = Draft::call(Module::Console, subject.module(), subject, binding, "{}".to_owned());
        draft.claims.nonce = Nonce::new([u8::try_from(n).unwrap(); 16]);
        assert_eq!(draft.arrive(&world), Refused(Reason::ModuleOff));
    }
}
#[test]
fn what_a_module_answers_is_its_own() {
    let world = World::in_mode(Binding::settled(Mode::ProvisionCertificate), &everybody_may());
    let mut nonce = 0_u8;
    for to in Module::ALL {
        for subject in CALLED.into_iter().filter(|subject| subject.module() != to) {
            let binding = Binding::settled(Mode::ProvisionCertificate);
            let mut draft = Draft::call(Module::Console, to, subject, binding, "{}".to_owned());
            draft.claims.nonce = Nonce::new([nonce; 16]);
            nonce += 1;
            assert_eq!(draft.arrive(&world), Unsure(Reason::WrongSubject), "{to} answers {subject}");
        }
    }
}
