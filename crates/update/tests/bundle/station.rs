//! What sm says of a bundle, and when.

use crate::repository::{NOW, PAST};
use crate::world::*;
use model::{Fault, Reason, UnixTime};
use serde_json::json;
use update::bundle::BadBundle;
use update::tuf::BadMetadata;

#[test]
fn without_a_countersignature() {
    let mut world = World::alone();
    let stored = Stored { statement: None, ..world.make() };
    refused(&mut world, &stored, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}
#[test]
fn the_bundle_of_another_installation() {
    let mut world = World::alone();
    let mut stored = world.make();
    stored.statement.as_mut().unwrap().device = device("elsewhere");
    refused(&mut world, &stored, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}
#[test]
fn the_countersignature_of_another_bundle() {
    let mut world = World::alone();
    let first = world.make();
    let stored = Stored { statement: first.statement, ..world.clone().second_release() };
    refused(&mut world, &stored, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}
#[test]
fn what_nobody_has_signed() {
    let mut world = World::alone();
    let stored = world.make().with_file("images/timestamp.json", b"{}");
    let stored = Stored { statement: None, ..stored };
    let bad = world.verify(&stored).unwrap_err();
    assert!(matches!(&bad, BadBundle::Neither(inner) if matches!(**inner, BadBundle::Upstream(..))), "{bad}");
    assert_eq!(Fault::from(bad), Fault::Refused(Reason::BothSignaturesInvalid));
}
#[test]
fn what_nobody_has_signed_is_not_hidden_behind_what_has_expired() {
    let mut world = World::alone();
    let end = UnixTime::from_s(NOW.s() + 50);
    world.images.of("timestamp")["expires"] = json!(end.to_string());
    world.images.publish_targets();
    let stored = world.make();
    let file = format!("images/{}.targets.json", world.images.version("targets"));
    let stored = Stored { statement: None, ..stored.with_file(&file, b"{}") };
    world.now = end.plus_s(1);
    let bad = world.verify(&stored).unwrap_err();
    assert!(matches!(bad, BadBundle::Neither(_)), "{bad}");
}
#[test]
fn an_old_bundle_without_a_countersignature_does_not_seal_the_box() {
    let mut world = World::alone();
    let old = Stored { statement: None, ..world.make() };
    world.second_release();
    refused(&mut world, &old, &BadBundle::NotCountersigned, Reason::CountersignatureInvalid);
}

// Time.

#[test]
fn what_expired_after_it_was_verified_is_good() {
    let mut world = World::alone();
    let end = UnixTime::from_s(NOW.s() + 50);
    world.images.of("timestamp")["expires"] = json!(end.to_string());
    world.images.publish_targets();
    let stored = world.make();
    world.now = end.plus_s(1);
    assert!(world.flash(&stored, "gateway").unwrap().is_some());
    refused(
        &mut world,
        &stored.verified_at(end),
        &upstream("timestamp.json", BadMetadata::Expired),
        Reason::ReleaseExpired,
    );
}
#[test]
fn a_bundle_ages() {
    let mut world = World::alone();
    let stored = world.make();
    world.now = NOW.plus_s(AGE_MAX_S);
    assert!(world.verify(&stored).is_ok());
    world.now = NOW.plus_s(AGE_MAX_S + 1);
    refused(&mut world, &stored, &BadBundle::TooOld, Reason::ReleaseExpired);
}
#[test]
fn sm_has_not_verified_it_tomorrow() {
    let mut world = World::alone();
    let stored = world.make();
    let ahead = stored.clone().verified_at(NOW.plus_s(update::bundle::CLOCK_SKEW_MAX_S));
    assert!(world.verify(&ahead).is_ok());
    let ahead = stored.verified_at(NOW.plus_s(update::bundle::CLOCK_SKEW_MAX_S + 1));
    refused(&mut world, &ahead, &BadBundle::FromTheFuture, Reason::OutOfTime);
}
#[test]
fn what_was_expired_already_is_not_made_good_by_a_station_that_is_late() {
    let mut world = World::alone();
    let stored = world.make();
    world.images.of("targets")["expires"] = json!(PAST);
    world.images.publish_targets();
    assert_eq!(world.try_make().err().map(Fault::from), Some(Fault::Refused(Reason::ReleaseExpired)));
    assert!(world.verify(&stored).is_ok());
}
