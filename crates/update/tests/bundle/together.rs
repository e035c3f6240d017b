//! What two roles must say alike (TAP 3).

use crate::repository::NOW;
use crate::world::*;
use model::{Fault, Reason, UnixTime};
use serde_json::json;
use update::bundle::{BadBundle, Repository as Which};
use update::tuf::BadMetadata;

/// A maker and an integrator must say the same of gateways' images; the integrator says it for a day.
fn together() -> World {
    let mut world = World::directed();
    let role = |name: &str, key| json!({"rolename": name, "keyids": [crate::repository::id(key)], "threshold": 1});
    let targets = world.images.of("targets");
    targets["targets"].as_object_mut().unwrap().remove("gateway-1.img");
    targets["delegations"] = json!({"keys": crate::repository::keys(&[8, 9]), "roles": [
        {"name": "gateways", "paths": ["gateway-*"], "terminating": true, "min_roles_in_agreement": 2,
         "roles": [role("maker", 8), role("integrator", 9)]}]});
    for (name, key) in [("maker", 8), ("integrator", 9)] {
        world.images.role(name, key);
        world.images.of(name)["targets"]["gateway-1.img"] = published(GATEWAY, 1, &["gateway"]);
    }
    let window = json!({"not_after": "2026-09-22T14:13:20Z"});
    world.images.of("integrator")["targets"]["gateway-1.img"]["custom"]["release_window"] = window;
    world.images.publish_targets();
    world
}
fn why(refused: &BadBundle) -> BadMetadata {
    match refused {
        BadBundle::Upstream(Which::Images, refused) => refused.bad,
        other => panic!("{other}"),
    }
}
#[test]
fn what_both_say_is_flashed() {
    let mut world = together();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "gateway"), Ok(Some(("app 1".into(), 1, GATEWAY.to_vec()))));
}
#[test]
fn what_one_of_both_says_is_taken_by_nobody() {
    let mut world = together();
    let stored = world.make();
    world.images.of("integrator")["targets"] = json!({});
    world.images.publish_targets();
    assert_eq!(why(&world.try_make().unwrap_err()), BadMetadata::NotAgreed);
    // Nor can sm's key leave the integrator out.
    let file = stored.files().into_keys().find(|name| name.ends_with(".integrator.json")).unwrap();
    let bad = world.verify(&stored.without_file(&file)).unwrap_err();
    assert_eq!((why(&bad), Fault::from(&bad)), (BadMetadata::NotThere, Fault::Refused(Reason::UpstreamSignature)));
}
#[test]
fn after_the_last_day_it_is_taken_by_nobody() {
    let mut world = together();
    let stored = world.make();
    world.now = UnixTime::from_s(NOW.s() + 86_400);
    let in_time = stored.clone().verified_at(world.now);
    world.clone().verify(&in_time).unwrap();
    world.now = UnixTime::from_s(NOW.s() + 86_401);
    assert_eq!(why(&world.try_make().unwrap_err()), BadMetadata::TooLate);
    let bad = world.verify(&stored.verified_at(world.now)).unwrap_err();
    assert_eq!((why(&bad), Fault::from(&bad)), (BadMetadata::TooLate, Fault::Refused(Reason::ReleaseExpired)));
}
#[test]
fn before_the_first_day_it_is_out_of_time() {
    let mut world = together();
    world.images.of("maker")["targets"]["gateway-1.img"]["custom"]["release_window"] =
        json!({"not_before": "2026-09-22T00:00:00Z"});
    world.images.publish_targets();
    let bad = world.try_make().unwrap_err();
    assert_eq!((why(&bad), Fault::from(&bad)), (BadMetadata::TooEarly, Fault::Refused(Reason::OutOfTime)));
}
