//! What a seed has found once, step by step, without a seed.

use crate::bus::Again;
use crate::hub::{Between, Node, locked};
use crate::records::Sqlite;
use crate::template::{FACTORY, Template, name};
use crate::world::{Plan, World};
use model::contract::Subject;
use model::contract::authority::{
    Answer, Certify, CertifyRequest, Confirm, Confirmation, GrantOffer, IssueCrl, RevocationReason, Revoke,
    STANDING_LENT_MS, Verdict,
};
use ports::store::authority::Standing;
use ports::{Clock, Link};
use std::sync::{Arc, Weak};
use x509::{Certificate, SerialNumber};

/// A world in which nothing goes wrong by itself, in a mode in which km runs, with some boards expected.
fn world(again: Again) -> Arc<World> {
    let template = Arc::new(Template::make(&Sqlite).unwrap());
    let kind: Arc<dyn crate::records::Kind> = Arc::new(Sqlite);
    let world = World::new(1, &template, &kind, Plan { again, ..Plan::default() }).unwrap();
    world.want_km().unwrap();
    world.import(8).unwrap();
    world
}

fn certified(link: &Link, request: &CertifyRequest) -> SerialNumber {
    let mut answers = link.call(&Certify { requests: vec![request.clone()] }).unwrap().answers;
    match answers.remove(0) {
        Answer::Issued { certificate, .. } => Certificate::decode(certificate.as_ref()).unwrap().tbs().serial_number,
        Answer::Failed(fault) => panic!("{fault}"),
    }
}

/// A certificate is revoked and listed at the other km, in the middle of what this one does.
struct Other {
    world: Weak<World>,
    serial: String,
}

impl Between for Other {
    fn happen(&self, node: &Node, _: &str) {
        let world = self.world.upgrade().unwrap();
        let console = world.console().unwrap();
        let other = if node.name == "km1" { "km2" } else { "km1" };
        let reason = RevocationReason::KeyCompromise;
        world.bus.unaimed(|| {
            world.bus.aimed(other, || console.call(&Revoke { serial: self.serial.clone(), reason })).unwrap();
            let list = IssueCrl { authority: name(FACTORY).unwrap(), shard: 0, delta: false };
            world.bus.aimed(other, || console.call(&list)).unwrap();
        });
    }
}

/// A list is made while another is being made, which was begun `moments` before.
#[track_caller]
fn check_list(moments: u64) {
    let world = world(Again::default());
    let (pm, ..) = world.process("pm").unwrap();
    let serial = certified(&pm, &world.fresh().unwrap()).to_string();
    let other = Arc::new(Other { world: Arc::downgrade(&world), serial });
    let between: Arc<dyn Between> = other;
    world.hub.ask(Arc::downgrade(&between));
    world.hub.happen_in(moments);
    let list = IssueCrl { authority: name(FACTORY).unwrap(), shard: 0, delta: false };
    let _made_or_refused = world.bus.aimed("km1", || world.console().unwrap().call(&list));
    world.bus.aimed("km1", || world.console().unwrap().call(&list)).unwrap();
    world.look_at_all().unwrap();
    assert_eq!(world.hub.verdict(), None, "a list in the middle of another, {moments} moments after its beginning");
    assert!(locked(&world.hub.oracle).counts.lists >= 2);
}

#[test]
fn of_two_lists_that_are_made_at_once_none_is_older_than_the_one_before_it() {
    for moments in 1..=8 {
        check_list(moments);
    }
}

#[test]
fn who_learns_that_a_certificate_is_revoked_learns_it_when_no_older_word_is_believed() {
    let world = world(Again::default());
    let (pm, ..) = world.process("pm").unwrap();
    let request = world.fresh().unwrap();
    let serial = certified(&pm, &request).to_string();
    let took = |link: &Link, what: &dyn Fn(&Link)| {
        let before = world.hub.elapsed_ms();
        what(link);
        world.hub.elapsed_ms() - before
    };
    let revoke = Revoke { serial, reason: RevocationReason::KeyCompromise };
    let console = world.console().unwrap();
    assert!(took(&console, &|link| _ = link.call(&revoke).unwrap()) >= STANDING_LENT_MS);
    // Nothing is revoked by what is refused, nor by certifying.
    assert!(took(&console, &|link| _ = link.call(&revoke).unwrap_err()) < STANDING_LENT_MS);
    let request = world.fresh().unwrap();
    assert!(took(&pm, &|link| _ = certified(link, &request)) < STANDING_LENT_MS);
    let confirmation = Confirmation { transaction_id: request.transaction_id, verdict: Verdict::Rejected };
    let decline = Confirm { confirmations: vec![confirmation] };
    assert!(took(&pm, &|link| _ = link.call(&decline).unwrap()) >= STANDING_LENT_MS);
}

/// A certificate is declined and made anew; then the message that declined it comes again, to a km. How the new one
/// stands.
fn declined_twice(again: Again, to: &'static str) -> Standing {
    let world = world(again);
    let (pm, ..) = world.process("pm").unwrap();
    let request = world.fresh().unwrap();
    let first = certified(&pm, &request);
    let confirmation = Confirmation { transaction_id: request.transaction_id, verdict: Verdict::Rejected };
    world.bus.aimed("km1", || pm.call(&Confirm { confirmations: vec![confirmation] })).unwrap();
    let second = certified(&pm, &request);
    assert_ne!(first, second);
    world.bus.bring_again(Subject::AuthorityConfirm, to);
    let (authority, _) = world.template.authorities[FACTORY].clone();
    world.inner().unwrap().standing(authority, &second).unwrap()
}

#[test]
fn a_message_that_comes_again_has_no_second_effect() {
    assert!(matches!(declined_twice(Again::ToTheSame, "km1"), Standing::Good { .. }));
}

#[test]
fn not_at_another_process_of_the_module_either() {
    assert!(matches!(declined_twice(Again::ToAny, "km2"), Standing::Good { .. }));
}

#[test]
fn a_repetition_gets_its_answer_also_when_the_grant_has_ended_with_leave_left() {
    let world = world(Again::default());
    let (pm, ..) = world.process("pm").unwrap();
    let request = world.fresh().unwrap();
    let until = world.hub.now().plus_s(60);
    // Another profile: the grant that follows from the list has a single use.
    let request = CertifyRequest { profile: name("idevid").unwrap(), ..request };
    let offer = GrantOffer { subject: request.subject.clone(), profile: request.profile.clone(), until, quota: 2 };
    world.inner().unwrap().deposit("twice", &[offer], world.hub.now()).unwrap();
    let serial = certified(&pm, &request);
    world.hub.pass(90_000);
    world.keep_awake();
    assert_eq!(certified(&pm, &request), serial);
    assert_eq!(world.hub.verdict(), None);
}
