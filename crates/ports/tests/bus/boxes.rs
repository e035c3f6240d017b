//! Between boxes, which do not share modes: a module is believed as far as the supervisor of its own box vouches for it.

use crate::support::{Draft, EPOCH, NOW, Outcome, Said, World, away, home, instance};
use Outcome::{CarriedOut, Refused};
use model::contract::Subject;
use model::mode::Binding;
use model::{Mode, Module, Reason};

/// The station of another box, in software's half of the line there, asks the registry of this one.
fn far() -> Draft {
    let mode = Binding::settled(Mode::ProvisionSoftware);
    let body = "{}".to_owned();
    let mut draft = Draft::call(Module::Provisioning, Module::Identity, Subject::IdentityRecord, mode, body);
    draft.claims.epoch = EPOCH + 40;
    draft.move_to_other_box();
    draft
}

#[track_caller]
fn check(change: impl FnOnce(&mut Draft), expected: Outcome) {
    let mut draft = far();
    change(&mut draft);
    assert_eq!(draft.arrive(&World::new()), expected);
}

#[track_caller]
fn says(change: impl FnOnce(&mut Said), expected: Outcome) {
    check(
        |draft| {
            let mut said = draft.standing();
            change(&mut said);
            draft.claims.standing = Some(said.sign());
        },
        expected,
    );
}

#[test]
fn a_station_is_told_nothing_by_the_console_of_another_box() {
    let told = |at: &str| {
        let (mode, body) = (Binding::settled(Mode::ProvisionSoftware), "{}".to_owned());
        let mut draft = Draft::call(Module::Console, Module::Provisioning, Subject::ProvisioningWatch, mode, body);
        if at == "away" {
            draft.move_to_other_box();
        }
        draft.arrive(&World::in_mode(mode, model::callers::CALLERS_TOML))
    };
    assert_eq!(told("home"), CarriedOut);
    assert_eq!(told("away"), Refused(Reason::CallerNotAllowed));
}
#[test]
fn another_mode_there_is_none_of_our_business() {
    check(|_| {}, CarriedOut);
}
#[test]
fn nobody_vouches() {
    check(|d| d.claims.standing = None, Refused(Reason::WrongMode));
}
#[test]
fn what_vouches_is_no_statement() {
    check(|d| d.claims.standing = Some("{}".to_owned()), Refused(Reason::SignatureInvalid));
}
#[test]
fn the_supervisor_of_this_box_does_not_vouch_for_others() {
    says(|said| said.signed_by = home(Module::Supervisor), Refused(Reason::CallerNotAllowed));
}
#[test]
fn a_module_does_not_vouch_for_itself() {
    says(|said| said.signed_by = away(Module::Provisioning), Refused(Reason::CallerNotAllowed));
}
#[test]
fn it_is_said_of_another_module() {
    says(|said| said.standing.module = Module::Console, Refused(Reason::CallerNotAllowed));
}
#[test]
fn it_is_said_of_another_box() {
    says(|said| said.standing.instance = instance("box"), Refused(Reason::CallerNotAllowed));
}
#[test]
fn the_last_moment_of_a_lease_there_by_a_clock_that_is_a_minute_behind() {
    says(|said| said.standing.until = model::UnixTime::from_ms(NOW.ms() - 60_000), CarriedOut);
}
#[test]
fn its_lease_ended_there() {
    says(|said| said.standing.until = model::UnixTime::from_ms(NOW.ms() - 60_001), Refused(Reason::ModuleOff));
}
#[test]
fn a_lease_that_is_too_long_is_no_lease() {
    says(|said| said.standing.until = NOW.plus_ms(120_001), Refused(Reason::ModuleOff));
}
#[test]
fn it_names_another_mode_than_the_message() {
    says(|said| said.standing.binding = Binding::settled(Mode::ProvisionCertificate), Refused(Reason::WrongMode));
}
#[test]
fn it_names_another_epoch_than_the_message() {
    says(|said| said.standing.epoch += 1, Refused(Reason::WrongMode));
}
#[test]
fn a_module_that_is_off_there_is_off() {
    let off = Binding::settled(Mode::CertificateManagement);
    check(
        |draft| {
            draft.claims.mode = off;
            draft.claims.standing = Some(draft.standing().sign());
        },
        Refused(Reason::ModuleOff),
    );
}
#[test]
fn a_module_that_is_off_here_answers_nobody() {
    let world = World::in_mode(Binding::settled(Mode::Sealed), model::callers::CALLERS_TOML);
    assert_eq!(far().arrive(&world), Refused(Reason::Sealed));
}
