//! Targets that several roles must say the same of (TAP 3), and the time for which they say it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod repository;

use model::UnixTime;
use repository::{NOW, Repository, announced, id, keys, public};
use serde_json::{Value, json};
use update::BadRelease;
use update::tuf::{Attack, BadMetadata, Client, Limits};

const IMAGE: &[u8] = b"an image";
const TARGET: &str = "sensor/app.img";

fn role(name: &str, key: u8) -> Value {
    json!({"rolename": name, "keyids": [id(key)], "threshold": 1})
}
fn together(roles: &[Value], min: u64, terminating: bool) -> Value {
    json!({"name": "sensors", "paths": ["sensor/*"], "terminating": terminating, "min_roles_in_agreement": min, "roles": roles})
}
/// A repository that leaves the sensors' images to a maker and an integrator, both of whom must say the same; and says nothing yet.
fn begun(delegation: Value) -> Repository {
    let mut repository = Repository::followed();
    let targets = repository.of("targets");
    targets["delegations"] = json!({"keys": keys(&[5, 6, 7]), "roles": [delegation]});
    for (name, key) in [("maker", 5), ("integrator", 6), ("third", 7)] {
        repository.role(name, key);
    }
    repository
}
fn both() -> Repository {
    begun(together(&[role("maker", 5), role("integrator", 6)], 2, true))
}
fn say(repository: &mut Repository, role: &str, about: Value) {
    repository.of(role)["targets"][TARGET] = about;
}
fn with(custom: Value) -> Value {
    let mut about = announced(IMAGE);
    about["custom"] = custom;
    about
}
#[track_caller]
fn looked_for(mut repository: Repository, expected: Result<(), BadMetadata>) {
    repository.publish_targets();
    let found = repository.look_for(TARGET);
    assert_eq!(found.as_ref().map(|_| ()).map_err(|refused| refused.bad), expected);
    if let Ok(found) = found {
        assert_eq!(found.hashes().naming(), repository::sha256(IMAGE));
    }
}

#[test]
fn what_both_say_is_found() {
    let mut repository = both();
    say(&mut repository, "maker", announced(IMAGE));
    say(&mut repository, "integrator", announced(IMAGE));
    looked_for(repository, Ok(()));
}
#[test]
fn what_one_says_is_not() {
    for one in ["maker", "integrator"] {
        let mut repository = both();
        say(&mut repository, one, announced(IMAGE));
        looked_for(repository, Err(BadMetadata::NotAgreed));
    }
    assert_eq!(BadMetadata::NotAgreed.attack(), Some(Attack::ArbitrarySoftware));
}
#[test]
fn what_they_say_differently_is_not() {
    for other in [announced(b"another image"), with(json!({"release_counter": 2})), {
        let mut longer = announced(IMAGE);
        longer["length"] = json!(9);
        longer
    }] {
        let mut repository = both();
        say(&mut repository, "maker", announced(IMAGE));
        say(&mut repository, "integrator", other);
        looked_for(repository, Err(BadMetadata::NotAgreed));
    }
}
#[test]
fn two_of_three_are_enough_where_two_must() {
    let three = [role("maker", 5), role("integrator", 6), role("third", 7)];
    for (min, expected) in [(2, Ok(())), (3, Err(BadMetadata::NotAgreed))] {
        let mut repository = begun(together(&three, min, true));
        say(&mut repository, "maker", announced(b"another image"));
        say(&mut repository, "integrator", announced(IMAGE));
        say(&mut repository, "third", announced(IMAGE));
        looked_for(repository, expected);
    }
}
// Whoever comes after them has a say only where none of them says anything, and they do not end the search.
#[test]
fn nobody_after_them_speaks_in_their_place() {
    for (terminating, said, expected) in [
        (false, false, Ok(())),
        (true, false, Err(BadMetadata::NoTarget)),
        (false, true, Err(BadMetadata::NotAgreed)),
        (true, true, Err(BadMetadata::NotAgreed)),
    ] {
        let mut repository = begun(together(&[role("maker", 5), role("integrator", 6)], 2, terminating));
        let after = json!({"name": "third", "paths": ["*/*"], "terminating": false, "keyids": [id(7)], "threshold": 1});
        repository.of("targets")["delegations"]["roles"].as_array_mut().unwrap().push(after);
        say(&mut repository, "third", announced(IMAGE));
        if said {
            say(&mut repository, "maker", announced(IMAGE));
        }
        looked_for(repository, expected);
    }
}
#[test]
fn they_say_it_themselves_or_not_at_all() {
    let mut repository = both();
    say(&mut repository, "maker", announced(IMAGE));
    // The integrator leaves it to somebody else, who says it.
    repository.of("integrator")["delegations"] = json!({"keys": keys(&[7]), "roles": [
        {"name": "third", "paths": ["*/*"], "terminating": false, "keyids": [id(7)], "threshold": 1}]});
    say(&mut repository, "third", announced(IMAGE));
    looked_for(repository, Err(BadMetadata::NotAgreed));
}
#[test]
fn one_key_does_not_agree_with_itself() {
    looked_for(begun(together(&[role("maker", 5), role("integrator", 5)], 2, true)), Err(BadMetadata::SharedKey));
    // Nor under two identifiers.
    let mut repository = begun(together(&[role("maker", 5), role("integrator", 6)], 2, true));
    repository.of("targets")["delegations"]["keys"][id(6)] = public(5);
    looked_for(repository, Err(BadMetadata::SharedKey));
}
#[test]
fn the_signature_of_the_other_one_is_none() {
    let mut repository = begun(together(&[role("maker", 5), role("integrator", 7)], 2, true));
    say(&mut repository, "maker", announced(IMAGE));
    say(&mut repository, "integrator", announced(IMAGE));
    looked_for(repository, Err(BadMetadata::TooFewSignatures));
}
#[test]
fn delegations_to_several_that_say_nothing() {
    let pair = [role("maker", 5), role("integrator", 6)];
    looked_for(begun(together(&pair, 0, true)), Err(BadMetadata::BadDelegation));
    looked_for(begun(together(&pair, 3, true)), Err(BadMetadata::BadDelegation));
    looked_for(begun(together(&[], 1, true)), Err(BadMetadata::BadDelegation));
    looked_for(begun(together(&[role("maker", 5), role("maker", 6)], 2, true)), Err(BadMetadata::BadDelegation));
    looked_for(begun(together(&[role("maker", 5), role("root", 6)], 2, true)), Err(BadMetadata::BadRoleName));
    let mut unsaid = together(&pair, 2, true);
    unsaid.as_object_mut().unwrap().remove("min_roles_in_agreement");
    looked_for(begun(unsaid), Err(BadRelease::Field("min_roles_in_agreement").into()));
    let nine: Vec<Value> = (0..9).map(|n| role(&format!("role{n}"), 5)).collect();
    looked_for(begun(together(&nine, 2, true)), Err(BadMetadata::BadDelegation));
}
#[test]
fn they_are_counted_among_the_roles_that_are_asked() {
    let mut repository = both();
    say(&mut repository, "maker", announced(IMAGE));
    say(&mut repository, "integrator", announced(IMAGE));
    repository.publish_targets();
    let look = |repository: &mut Repository, roles_visited_max| {
        let limits = Limits { roles_visited_max, ..Limits::DEFAULT };
        Client::new(limits, NOW).look_for(TARGET, repository).map(|_| ()).is_ok()
    };
    assert_eq!([look(&mut repository, 1), look(&mut repository, 2)], [false, true]);
}

fn at(window: &Value, now: UnixTime) -> Result<(), BadMetadata> {
    let mut repository = both();
    say(&mut repository, "maker", with(json!({"release_counter": 1})));
    say(&mut repository, "integrator", with(json!({"release_counter": 1, "release_window": window})));
    repository.publish_targets();
    let found = Client::new(Limits::DEFAULT, now).look_for(TARGET, &mut repository);
    match found {
        Ok(_) => Ok(()),
        Err(update::tuf::NotDone::Refused(refused)) => Err(refused.bad),
        Err(update::tuf::NotDone::Outside(why)) => panic!("{why}"),
    }
}
#[test]
fn in_the_time_that_the_second_one_says() {
    // 2026-09-21T14:13:20Z is 1 790 000 000.
    let window = json!({"not_before": "2026-09-21T14:13:20Z", "not_after": "2026-09-22T14:13:20Z"});
    let second = |s: u64| UnixTime::from_s(1_790_000_000 + s);
    assert_eq!(at(&window, UnixTime::from_s(1_789_999_999)), Err(BadMetadata::TooEarly));
    assert_eq!(at(&window, second(0)), Ok(()));
    assert_eq!(at(&window, second(86_400)), Ok(()));
    assert_eq!(at(&window, second(86_401)), Err(BadMetadata::TooLate));
    assert_eq!(at(&json!({}), NOW), Ok(()));
    assert_eq!(at(&json!({"not_after": "2026-09-20T00:00:00Z"}), NOW), Err(BadMetadata::TooLate));
    assert_eq!(BadMetadata::TooLate.attack(), Some(Attack::Freeze));
}
#[test]
fn a_time_that_cannot_be_read_is_none_at_all() {
    for window in [json!(1), json!({"not_after": 1}), json!({"not_before": "tomorrow"})] {
        assert_eq!(at(&window, NOW), Err(BadRelease::Field("release_window").into()), "{window}");
    }
}
#[test]
fn one_role_alone_may_say_the_time_too() {
    let mut repository = Repository::followed();
    repository.of("targets")["targets"][TARGET] =
        with(json!({"release_window": {"not_after": "2026-09-20T00:00:00Z"}}));
    looked_for(repository, Err(BadMetadata::TooLate));
}
#[test]
fn it_is_known_how_many_say_it() {
    let agreeing = |repository: &mut Repository| {
        repository.publish_targets();
        repository.look_for(TARGET).unwrap().agreeing()
    };
    let mut alone = Repository::followed();
    say(&mut alone, "targets", announced(IMAGE));
    assert_eq!(agreeing(&mut alone), 1);
    let three = [role("maker", 5), role("integrator", 6), role("third", 7)];
    let mut repository = begun(together(&three, 1, true));
    say(&mut repository, "maker", announced(IMAGE));
    assert_eq!(agreeing(&mut repository), 1, "where one is enough, one is one");
    say(&mut repository, "integrator", announced(b"another image"));
    assert_eq!(agreeing(&mut repository), 1, "who says something else does not agree");
    say(&mut repository, "third", announced(IMAGE));
    assert_eq!(agreeing(&mut repository), 2);
}
