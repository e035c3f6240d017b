//! Roots: how trust goes from one to the next. Each line of TUF 1.0.34 §5.3 has a name here.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod repository;

use repository::{EXPIRES, PAST, Repository, accepted, attack, id, pair, public, rule, sign};
use serde_json::json;
use update::BadRelease;
use update::tuf::{Answer, BadMetadata, Limits, NotDone};
use x509::{KeyType, PublicKey, pem};

const ROOT: &str = "root";
const ARBITRARY: Option<&str> = Some("arbitrary software");

#[test]
fn the_four_are_fetched_in_order_and_kept_as_they_came() {
    let mut repository = Repository::new();
    repository.refresh().unwrap();
    let order = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    assert_eq!(repository.fetched(), order);
    for (kept, published) in [("timestamp.json", order[1]), ("snapshot.json", order[2]), ("targets.json", order[3])] {
        assert_eq!(repository.kept[kept], repository.published[published]);
    }
    repository.refresh().unwrap();
    assert_eq!(repository.fetched(), ["2.root.json", "timestamp.json"], "nothing new, and more was fetched");
}

#[test]
fn a_root_follows_a_root_step_by_step_and_each_is_kept_before_the_next_is_asked_for() {
    let repository = accepted(|r| {
        r.bump(ROOT);
        r.bump(ROOT);
    });
    let begin = ["fetch 2.root.json", "persist root.json", "fetch 3.root.json", "persist root.json"];
    assert_eq!(repository.log[..4], begin);
    assert_eq!(repository.kept["root.json"], repository.published["3.root.json"], "not the octets that were received");
}

// Key 1 hands over to key 5.
fn hand_over(r: &mut Repository, signers: &[u8]) {
    r.rekey(ROOT, &[5], 1);
    r.signers.insert(ROOT.into(), signers.to_vec());
    r.bump(ROOT);
}
#[test]
fn a_root_is_handed_over_under_both_keys() {
    let repository = accepted(|r| hand_over(r, &[1, 5]));
    assert_eq!(repository.kept_version(ROOT), Some(2));
}
#[test]
fn a_root_that_the_old_key_has_not_signed() {
    attack(|r| hand_over(r, &[5]), BadMetadata::TooFewSignatures, ARBITRARY);
}
#[test]
fn a_root_that_the_new_key_has_not_signed() {
    attack(|r| hand_over(r, &[1]), BadMetadata::TooFewSignatures, ARBITRARY);
}
#[test]
fn both_thresholds_count() {
    let grow = |signers: &'static [u8]| {
        move |r: &mut Repository| {
            r.rekey(ROOT, &[1, 5, 6], 2);
            r.signers.insert(ROOT.into(), signers.to_vec());
            r.bump(ROOT);
        }
    };
    accepted(grow(&[1, 6]));
    attack(grow(&[1]), BadMetadata::TooFewSignatures, ARBITRARY);
    attack(grow(&[5, 6]), BadMetadata::TooFewSignatures, ARBITRARY);
}

#[test]
fn a_root_that_skips_a_version() {
    let skip = |r: &mut Repository| {
        r.set_version(ROOT, 3);
        let file = sign(&r.says[ROOT], &[1]);
        r.answers.insert("2.root.json".into(), Answer::Octets(file));
    };
    attack(skip, BadMetadata::NotNextRoot, Some("rollback"));
}
#[test]
fn the_same_root_again() {
    let again = |r: &mut Repository| {
        let file = r.published["1.root.json"].clone();
        r.answers.insert("2.root.json".into(), Answer::Octets(file));
    };
    attack(again, BadMetadata::NotNextRoot, Some("rollback"));
}
#[test]
fn the_last_root_has_expired() {
    let expire = |r: &mut Repository| {
        r.of(ROOT)["expires"] = json!(PAST);
        r.bump(ROOT);
    };
    let mut repository = Repository::followed();
    expire(&mut repository);
    let refused = repository.refresh().unwrap_err();
    assert_eq!((refused.file.as_str(), refused.bad), ("root.json", BadMetadata::Expired));
    assert_eq!(refused.bad.attack().unwrap().name(), "freeze");
    // It was verified, so it is kept; and nothing below it was asked for.
    assert_eq!(
        (repository.kept_version(ROOT), repository.log.last().unwrap().as_str()),
        (Some(2), "fetch 3.root.json")
    );
    repository.of(ROOT)["expires"] = json!(EXPIRES);
    repository.bump(ROOT);
    assert_eq!(repository.refresh(), Ok(()), "the next root heals it");
}
#[test]
fn a_root_between_may_have_expired() {
    accepted(|r| {
        r.of(ROOT)["expires"] = json!(PAST);
        r.bump(ROOT);
        r.of(ROOT)["expires"] = json!(EXPIRES);
        r.bump(ROOT);
    });
}
#[test]
fn the_last_second_of_a_root() {
    let mut repository = Repository::followed();
    repository.now = model::UnixTime::from_text(EXPIRES).unwrap().minus_s(1);
    assert_eq!(repository.refresh(), Ok(()));
    repository.now = repository.now.plus_s(1);
    assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::Expired);
}

#[test]
fn one_key_under_two_identifiers_is_one_key() {
    let twice = |second: u8| {
        move |r: &mut Repository| {
            r.of(ROOT)["keys"]["again"] = public(second);
            r.of(ROOT)["roles"]["timestamp"] = json!({"keyids": [id(2), "again"], "threshold": 2});
            r.bump(ROOT);
            r.set_version("timestamp", 2);
            let says = r.says["timestamp"].clone();
            let message = serde_json::to_vec(&says).unwrap();
            let sig = |n: u8| model::octets::hex(pair(n).sign(&message).as_ref());
            let signatures = json!([{"keyid": id(2), "sig": sig(2)}, {"keyid": "again", "sig": sig(second)}]);
            let file = json!({"signatures": signatures, "signed": says});
            r.put_octets("timestamp", serde_json::to_vec(&file).unwrap());
        }
    };
    accepted(twice(7));
    let mut repository = Repository::followed();
    twice(2)(&mut repository);
    assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::TooFewSignatures);
}
#[test]
fn one_signature_twice() {
    let twice = |r: &mut Repository| {
        r.signers.insert("timestamp".into(), vec![2, 2]);
        r.bump("timestamp");
    };
    attack(twice, BadMetadata::SignedTwice, ARBITRARY);
}
#[test]
fn a_key_is_named_twice() {
    let twice = |r: &mut Repository| {
        r.of(ROOT)["roles"]["timestamp"]["keyids"] = json!([id(2), id(2)]);
        r.bump(ROOT);
    };
    attack(twice, BadMetadata::KeyNamedTwice, ARBITRARY);
}
#[test]
fn a_threshold_of_zero() {
    let zero = |r: &mut Repository| {
        r.of(ROOT)["roles"]["targets"]["threshold"] = json!(0);
        r.bump(ROOT);
    };
    attack(zero, BadMetadata::NoThreshold, ARBITRARY);
}
#[test]
fn a_role_without_keys_is_nobodys() {
    for (role, key) in [("timestamp", 2), ("snapshot", 3), ("targets", 4)] {
        let mut repository = Repository::followed();
        repository.of(ROOT)["roles"][role] = rule(&[], 1);
        repository.bump(ROOT);
        repository.bump("targets");
        assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::TooFewSignatures, "{role}");
        repository.rekey(role, &[key], 1);
        repository.bump(ROOT);
        assert_eq!(repository.refresh(), Ok(()), "the next root heals {role}");
    }
}
#[test]
fn a_threshold_that_nobody_can_reach() {
    let mut repository = Repository::followed();
    repository.of(ROOT)["roles"]["snapshot"]["threshold"] = json!(2);
    repository.bump(ROOT);
    repository.bump("snapshot");
    assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::TooFewSignatures);
    assert_eq!(repository.kept_version("snapshot"), Some(1), "what was known is kept");
}
#[test]
fn identifiers_of_keys_are_opaque() {
    // `key-1` is no digest of anything; nor is a name with a sign in it.
    accepted(|r| {
        r.of(ROOT)["keys"]["../ä"] = public(8);
        r.of(ROOT)["roles"]["timestamp"] = json!({"keyids": ["../ä"], "threshold": 1});
        r.bump(ROOT);
        r.set_version("timestamp", 2);
        let message = serde_json::to_vec(&r.says["timestamp"]).unwrap();
        let sig = model::octets::hex(pair(8).sign(&message).as_ref());
        let file = json!({"signatures": [{"keyid": "../ä", "sig": sig}], "signed": r.says["timestamp"]});
        r.put_octets("timestamp", serde_json::to_vec(&file).unwrap());
    });
}
#[test]
fn keys_that_are_not_known_here_stand_beside_those_that_are() {
    accepted(|r| {
        r.of(ROOT)["keys"]["new"] = json!({"keytype": "sphincs", "scheme": "x", "keyval": {"public": "?"}});
        r.of(ROOT)["roles"]["root"]["keyids"] = json!([id(1), "new"]);
        r.bump(ROOT);
    });
}
#[test]
fn a_scheme_that_is_not_the_keys_verifies_nothing() {
    let mut repository = Repository::followed();
    repository.of(ROOT)["keys"][id(2)]["scheme"] = json!("ecdsa-sha2-nistp256");
    repository.bump(ROOT);
    assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::TooFewSignatures);
}
#[test]
fn keys_of_ml_dsa_sign_a_digest_behind_a_context() {
    use aws_lc_rs::digest::{SHA512, digest};
    use aws_lc_rs::signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair};
    let pair = PqdsaKeyPair::generate(&ML_DSA_65_SIGNING).unwrap();
    let public = PublicKey::from_bits(KeyType::MlDsa65, pair.public_key().as_ref()).unwrap();
    let pem = pem::encode("PUBLIC KEY", public.spki());
    let signed_with = |context: &'static [u8]| {
        let mut repository = Repository::followed();
        repository.of(ROOT)["keys"]["pq"] =
            json!({"keytype": "ml-dsa", "scheme": "ml-dsa-65/1", "keyval": {"public": pem}});
        repository.of(ROOT)["roles"]["timestamp"] = json!({"keyids": ["pq"], "threshold": 1});
        repository.bump(ROOT);
        repository.set_version("timestamp", 2);
        let says = repository.says["timestamp"].clone();
        let digest = digest(&SHA512, &serde_json::to_vec(&says).unwrap());
        let mut signature = vec![0; ML_DSA_65_SIGNING.signature_len()];
        pair.sign(&[context, digest.as_ref()].concat(), &mut signature).unwrap();
        let file = json!({"signatures": [{"keyid": "pq", "sig": model::octets::hex(&signature)}], "signed": says});
        repository.put_octets("timestamp", serde_json::to_vec(&file).unwrap());
        repository.refresh().map_err(|refused| refused.bad)
    };
    assert_eq!(signed_with(b"tuf\x01"), Ok(()));
    assert_eq!(signed_with(b""), Err(BadMetadata::TooFewSignatures));
}
#[test]
fn unknown_fields_are_verified_and_kept() {
    let repository = accepted(|r| {
        r.of(ROOT)["x-owner"] = json!({"a": [null, true, "ä"]});
        r.of(ROOT)["keys"][id(1)]["x"] = json!(1);
        r.of(ROOT)["roles"]["root"]["x"] = json!("y");
        r.bump(ROOT);
    });
    assert!(String::from_utf8_lossy(&repository.kept["root.json"]).contains("x-owner"));
    let altered = |r: &mut Repository| {
        r.of(ROOT)["x-owner"] = json!("a");
        r.bump(ROOT);
        let file = String::from_utf8(r.published["2.root.json"].clone()).unwrap().replace("\"a\"", "\"b\"");
        r.published.insert("2.root.json".into(), file.into_bytes());
    };
    attack(altered, BadMetadata::TooFewSignatures, ARBITRARY);
}

// §5.3.11: somebody had the timestamp's key, and has moved its version far ahead.
fn fast_forward(r: &mut Repository) {
    r.set_version("timestamp", 99_999);
    r.set_version("snapshot", 88_888);
    r.put("snapshot");
    r.put("timestamp");
    r.refresh().unwrap();
    r.set_version("timestamp", 2);
    r.set_version("snapshot", 2);
}
#[test]
fn after_a_fast_forward_new_keys_recover() {
    for role in ["timestamp", "snapshot"] {
        let repository = accepted(|r| {
            fast_forward(r);
            r.rekey(role, &[9], 1);
            r.bump(ROOT);
            r.put("snapshot");
            r.put("timestamp");
        });
        assert_eq!((repository.kept_version("timestamp"), repository.kept_version("snapshot")), (Some(2), Some(2)));
        let begin = ["fetch 2.root.json", "forget timestamp.json", "forget snapshot.json", "persist root.json"];
        assert_eq!(repository.log[..4], begin, "{role}");
    }
}
#[test]
fn after_a_fast_forward_a_key_that_is_taken_away_recovers() {
    // Two keys had signed, and the one that stays would still vouch for what was moved ahead.
    let mut repository = Repository::new();
    repository.rekey("timestamp", &[2, 9], 1);
    repository.bump(ROOT);
    repository.put("timestamp");
    repository.refresh().unwrap();
    fast_forward(&mut repository);
    repository.rekey("timestamp", &[2], 1);
    repository.bump(ROOT);
    repository.put("snapshot");
    repository.put("timestamp");
    assert_eq!(repository.refresh(), Ok(()));
}
#[test]
fn after_targets_were_moved_far_ahead_a_new_key_of_the_snapshot_recovers() {
    // The version of targets is measured by the snapshot that is kept, which goes with the keys of whoever announced it.
    let mut repository = Repository::followed();
    repository.set_version("targets", 77_777);
    repository.put("targets");
    repository.bump("snapshot");
    repository.refresh().unwrap();
    repository.set_version("targets", 2);
    repository.put("targets");
    repository.bump("snapshot");
    assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::RolledBack);
    for role in ["snapshot", "targets"] {
        let mut repository = repository.clone();
        repository.rekey(role, &[9], 1);
        repository.bump(ROOT);
        repository.bump("targets");
        let (version, refreshed) = (repository.version("targets"), repository.refresh());
        let recovers = (role == "snapshot").then_some(version);
        assert_eq!(
            (refreshed.is_ok(), recovers.is_some()),
            (recovers.is_some(), recovers.is_some()),
            "{role}: {refreshed:?}"
        );
        assert!(recovers.is_none() || repository.kept_version("targets") == recovers);
    }
}
#[test]
fn without_new_keys_there_is_no_way_back() {
    let mut repository = Repository::followed();
    fast_forward(&mut repository);
    repository.bump(ROOT);
    repository.put("snapshot");
    repository.put("timestamp");
    assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::RolledBack);
}
#[test]
fn a_key_that_is_added_forgets_nothing() {
    let repository = accepted(|r| {
        r.rekey("timestamp", &[2, 9], 1);
        r.bump(ROOT);
    });
    assert!(!repository.log.iter().any(|line| line.starts_with("forget")));
}
#[test]
fn the_power_may_go_between_any_two_acts() {
    for acts in 0..8 {
        let mut repository = Repository::followed();
        fast_forward(&mut repository);
        repository.rekey("timestamp", &[9], 1);
        repository.bump(ROOT);
        repository.put("snapshot");
        repository.put("timestamp");
        repository.power = Some(acts);
        let ended = repository.client().drive(&mut repository);
        assert!(ended.is_ok() || ended == Err(NotDone::Outside("the power is gone")), "{ended:?}");
        repository.power = None;
        assert_eq!(repository.refresh(), Ok(()), "after {acts} acts");
        assert_eq!(repository.kept_version("timestamp"), Some(2));
    }
}

#[test]
fn more_roots_than_in_one_go_are_for_the_next() {
    let mut repository = Repository::followed();
    repository.limits = Limits { root_rotations_max: 3, ..Limits::DEFAULT };
    for _ in 0..5 {
        repository.bump(ROOT);
    }
    assert_eq!(repository.refresh(), Ok(()));
    assert_eq!(repository.kept_version(ROOT), Some(4));
    assert_eq!(repository.refresh(), Ok(()));
    assert_eq!(repository.kept_version(ROOT), Some(6));
}
#[test]
fn a_repository_that_cannot_be_asked_is_not_one_without_a_next_root() {
    for (answer, expected, class) in [
        (Answer::Unreachable, BadMetadata::Unreachable, None),
        (Answer::TooSlow, BadMetadata::TooSlow, Some("slow retrieval")),
        (Answer::TooLong, BadMetadata::TooLong, Some("endless data")),
    ] {
        attack(|r| drop(r.answers.insert("2.root.json".into(), answer)), expected, class);
    }
}
#[test]
fn a_root_that_is_longer_than_it_may_be() {
    let long = |len: u64| {
        move |r: &mut Repository| {
            r.bump(ROOT);
            let mut file = r.published["2.root.json"].clone();
            file.resize(usize::try_from(len).unwrap(), b' ');
            // From a driver that does not look at the length.
            r.answers.insert("2.root.json".into(), Answer::Octets(file));
        }
    };
    accepted(long(Limits::DEFAULT.root_len_max));
    attack(long(Limits::DEFAULT.root_len_max + 1), BadMetadata::TooLong, Some("endless data"));
}
#[test]
fn a_root_that_is_nested_without_end() {
    let deep = |r: &mut Repository| drop(r.answers.insert("2.root.json".into(), Answer::Octets(vec![b'['; 400_000])));
    attack(deep, BadMetadata::Shape(BadRelease::TooDeep), Some("endless data"));
}
#[test]
fn octets_that_are_no_root() {
    for (octets, expected) in [
        (b"".to_vec(), BadRelease::NotJson),
        (b"<html>".to_vec(), BadRelease::NotJson),
        (b"{}".to_vec(), BadRelease::Field("signed")),
        (br#"{"signed":{},"signed":{}}"#.to_vec(), BadRelease::DuplicateKey),
    ] {
        attack(|r| drop(r.answers.insert("2.root.json".into(), Answer::Octets(octets))), expected.into(), None);
    }
}

#[test]
fn what_the_device_came_with_must_stand_by_itself() {
    let kept = |change: &dyn Fn(&mut Repository)| {
        let mut repository = Repository::new();
        change(&mut repository);
        let refused = repository.refresh().unwrap_err();
        assert_eq!((refused.file.as_str(), repository.fetched().len()), ("root.json", 0), "something was asked for");
        refused.bad
    };
    assert_eq!(kept(&|r| r.kept.clear()), BadMetadata::NotThere);
    let unsigned = |r: &mut Repository| drop(r.kept.insert("root.json".into(), sign(&r.says[ROOT], &[2])));
    assert_eq!(kept(&unsigned), BadMetadata::TooFewSignatures);
    let cut = |r: &mut Repository| r.kept.get_mut("root.json").unwrap().truncate(100);
    assert_eq!(kept(&cut), BadMetadata::Shape(BadRelease::NotJson));
    let other = |r: &mut Repository| drop(r.kept.insert("root.json".into(), r.published["timestamp.json"].clone()));
    assert_eq!(kept(&other), BadMetadata::OtherRole);
}
