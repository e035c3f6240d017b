//! Timestamp, snapshot and targets: what follows what, and what belongs together. TUF 1.0.34 §5.4 to §5.6.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod repository;

use repository::{NOW, PAST, Repository, accepted, attack, attack_on};
use serde_json::json;
use update::BadRelease;
use update::tuf::{Answer, BadMetadata, Limits};

const ROLLBACK: Option<&str> = Some("rollback");
const FREEZE: Option<&str> = Some("freeze");
const MIX: Option<&str> = Some("mix-and-match");
const ENDLESS: Option<&str> = Some("endless data");
const ARBITRARY: Option<&str> = Some("arbitrary software");

/// Followed, with everything in version 3.
fn third() -> Repository {
    let mut repository = Repository::followed();
    repository.publish_targets();
    repository.publish_targets();
    repository.refresh().unwrap();
    repository
}

// Rollback of each role.
#[test]
fn an_older_timestamp() {
    let older = |r: &mut Repository| {
        r.set_version("timestamp", 2);
        r.put("timestamp");
    };
    attack_on(third(), older, BadMetadata::RolledBack, ROLLBACK);
}
#[test]
fn a_newer_timestamp_with_an_older_snapshot() {
    let older = |r: &mut Repository| {
        r.set_version("snapshot", 2);
        r.put("snapshot");
        r.bump("timestamp");
    };
    attack_on(third(), older, BadMetadata::RolledBack, ROLLBACK);
}
#[test]
fn an_older_snapshot_when_the_kept_snapshot_is_lost() {
    let mut repository = third();
    repository.kept.remove("snapshot.json");
    repository.set_version("snapshot", 2);
    repository.put("snapshot");
    repository.bump("timestamp");
    let refused = repository.refresh().unwrap_err();
    assert_eq!((refused.file.as_str(), refused.bad), ("timestamp.json", BadMetadata::RolledBack));
    assert_eq!(repository.kept_version("timestamp"), Some(3), "what announces it was kept");
}
#[test]
fn an_older_snapshot_when_the_kept_timestamp_is_lost() {
    let older = |r: &mut Repository| {
        r.kept.remove("timestamp.json");
        r.set_version("snapshot", 2);
        r.put("snapshot");
        r.bump("timestamp");
    };
    let mut repository = third();
    older(&mut repository);
    assert_eq!(repository.refresh().unwrap_err().bad, BadMetadata::RolledBack);
}
#[test]
fn a_newer_snapshot_with_older_targets() {
    let older = |r: &mut Repository| {
        r.set_version("targets", 2);
        r.put("targets");
        r.bump("snapshot");
    };
    attack_on(third(), older, BadMetadata::RolledBack, ROLLBACK);
}
#[test]
fn a_newer_snapshot_with_an_older_delegated_role() {
    let mut repository = third();
    repository.delegate("targets", "supplier", 5, &["*"]);
    repository.set_version("supplier", 6);
    repository.publish_targets();
    repository.refresh().unwrap();
    let older = |r: &mut Repository| {
        r.set_version("supplier", 6);
        r.put("supplier");
        r.bump("snapshot");
    };
    attack_on(repository, older, BadMetadata::RolledBack, ROLLBACK);
}
#[test]
fn an_expired_snapshot_is_still_the_measure_of_a_new_one() {
    let older = |r: &mut Repository| {
        r.set_version("targets", 2);
        r.put("targets");
        r.bump("snapshot");
    };
    let mut repository = Repository::followed();
    repository.of("snapshot")["expires"] = json!("2026-12-01T00:00:00Z");
    repository.publish_targets();
    repository.publish_targets();
    repository.refresh().unwrap();
    repository.of("snapshot")["expires"] = json!(repository::EXPIRES);
    repository.now = NOW.plus_s(90 * 86_400);
    attack_on(repository, older, BadMetadata::RolledBack, ROLLBACK);
}
#[test]
fn no_role_vanishes_from_the_snapshot() {
    let mut repository = Repository::followed();
    repository.delegate("targets", "supplier", 5, &["*"]);
    repository.publish_targets();
    repository.refresh().unwrap();
    let vanish = |r: &mut Repository| {
        r.of("snapshot")["meta"].as_object_mut().unwrap().remove("supplier.json");
        r.bump("snapshot");
    };
    attack_on(repository, vanish, BadMetadata::Vanished, ROLLBACK);
}
#[test]
fn a_role_may_join_the_snapshot() {
    accepted(|r| {
        r.of("snapshot")["meta"]["supplier.json"] = json!({"version": 1});
        r.bump("snapshot");
    });
}

// Nothing new.
#[test]
fn a_timestamp_of_equal_version_is_nothing_new_whatever_is_in_it() {
    let repository = accepted(|r| {
        r.of("timestamp")["meta"]["snapshot.json"]["version"] = json!(100);
        r.put("timestamp");
    });
    assert_eq!(repository.fetched(), ["2.root.json", "timestamp.json"]);
    assert!(!String::from_utf8_lossy(&repository.kept["timestamp.json"]).contains("100"));
}
#[test]
fn a_snapshot_that_is_replaced_at_equal_version_is_not_asked_for() {
    let repository = accepted(|r| {
        r.of("snapshot")["x"] = json!(1);
        r.put("snapshot");
    });
    assert!(!String::from_utf8_lossy(&repository.kept["snapshot.json"]).contains("\"x\""));
}

#[test]
fn targets_that_are_replaced_at_equal_version_are_not_asked_for() {
    // Whoever has the keys below targets announces them again in a snapshot of its own.
    let repository = accepted(|r| {
        r.of("targets")["targets"]["evil.img"] = repository::announced(b"evil");
        r.put("targets");
        r.bump("snapshot");
    });
    assert!(!String::from_utf8_lossy(&repository.kept["targets.json"]).contains("evil"));
    assert!(!repository.fetched().iter().any(|file| file.contains("targets")), "{:?}", repository.fetched());
}

// Freeze.
fn expire(role: &'static str) -> impl FnOnce(&mut Repository) {
    move |r| {
        r.of(role)["expires"] = json!(PAST);
        r.bump(role);
        r.of(role)["expires"] = json!(repository::EXPIRES);
    }
}
#[test]
fn a_timestamp_that_has_expired() {
    attack(expire("timestamp"), BadMetadata::Expired, FREEZE);
}
#[test]
fn a_snapshot_that_has_expired() {
    attack(expire("snapshot"), BadMetadata::Expired, FREEZE);
}
#[test]
fn targets_that_have_expired() {
    attack(expire("targets"), BadMetadata::Expired, FREEZE);
}
#[test]
fn what_is_kept_and_announced_still_may_have_expired() {
    for role in ["snapshot", "targets"] {
        let mut repository = Repository::followed();
        repository.of(role)["expires"] = json!("2026-12-01T00:00:00Z");
        repository.bump(role);
        assert_eq!(repository.refresh(), Ok(()));
        let later = |r: &mut Repository| r.now = NOW.plus_s(90 * 86_400);
        attack_on(repository, later, BadMetadata::Expired, FREEZE);
    }
}
#[test]
fn what_is_kept_and_announced_with_another_hash_is_fetched_again() {
    let mut repository = hashed();
    repository.of("snapshot")["x"] = json!(1);
    repository.put("snapshot");
    repository.bump("timestamp");
    assert_eq!(repository.refresh(), Ok(()));
    assert_eq!(repository.kept["snapshot.json"], repository.published["2.snapshot.json"]);
}
#[test]
fn the_same_timestamp_for_ever() {
    let mut repository = Repository::followed();
    repository.of("timestamp")["expires"] = json!("2026-12-01T00:00:00Z");
    repository.bump("timestamp");
    assert_eq!(repository.refresh(), Ok(()));
    let later = |r: &mut Repository| r.now = NOW.plus_s(90 * 86_400);
    attack_on(repository, later, BadMetadata::Expired, FREEZE);
}
#[test]
fn what_is_kept_may_have_expired_if_something_newer_comes() {
    let mut repository = Repository::new();
    for role in ["timestamp", "snapshot", "targets"] {
        repository.of(role)["expires"] = json!("2026-12-01T00:00:00Z");
    }
    repository.publish_targets();
    repository.refresh().unwrap();
    for role in ["timestamp", "snapshot", "targets"] {
        repository.of(role)["expires"] = json!(repository::EXPIRES);
    }
    repository.publish_targets();
    repository.now = NOW.plus_s(90 * 86_400);
    assert_eq!(repository.refresh(), Ok(()));
}

// Mix and match: what is announced is what comes, before anything in it is looked at.
#[test]
fn a_snapshot_of_another_version() {
    let other = |r: &mut Repository| {
        r.bump("snapshot");
        let file = r.published["1.snapshot.json"].clone();
        r.answers.insert("2.snapshot.json".into(), Answer::Octets(file));
    };
    attack(other, BadMetadata::OtherVersion, MIX);
}
#[test]
fn targets_of_another_version() {
    let other = |r: &mut Repository| {
        r.bump("targets");
        let file = r.published["1.targets.json"].clone();
        r.answers.insert("2.targets.json".into(), Answer::Octets(file));
    };
    attack(other, BadMetadata::OtherVersion, MIX);
}
fn hashed() -> Repository {
    let mut repository = Repository::new();
    repository.hashes = true;
    repository.publish_targets();
    repository.refresh().unwrap();
    repository
}
#[test]
fn hashes_and_lengths_that_hold() {
    let mut repository = hashed();
    repository.publish_targets();
    assert_eq!(repository.refresh(), Ok(()));
    assert_eq!(repository.fetched(), ["2.root.json", "timestamp.json", "3.snapshot.json", "3.targets.json"]);
}
#[test]
fn hashes_come_before_what_is_said() {
    for role in ["snapshot", "targets"] {
        // Not even JSON: the hash is looked at first.
        let other = |r: &mut Repository| {
            r.publish_targets();
            let file = format!("3.{role}.json");
            let len = r.published[&file].len();
            r.answers.insert(file, Answer::Octets(vec![b'x'; len]));
        };
        attack_on(hashed(), other, BadMetadata::OtherOctets, MIX);
    }
}
#[test]
fn well_signed_octets_that_were_not_announced() {
    for role in ["snapshot", "targets"] {
        let other = |r: &mut Repository| {
            r.publish_targets();
            let file = format!("3.{role}.json");
            let text = String::from_utf8(r.published[&file].clone()).unwrap();
            // The same to whoever reads JSON, and a space elsewhere.
            r.answers.insert(file, Answer::Octets(text.replacen("  ", " \t", 1).into_bytes()));
        };
        attack_on(hashed(), other, BadMetadata::OtherOctets, MIX);
    }
}
#[test]
fn a_shorter_file_than_was_announced() {
    let shorter = |r: &mut Repository| {
        r.publish_targets();
        let mut file = r.published["3.snapshot.json"].clone();
        file.pop();
        r.answers.insert("3.snapshot.json".into(), Answer::Octets(file));
    };
    attack_on(hashed(), shorter, BadMetadata::OtherOctets, MIX);
}
#[test]
fn a_length_that_is_announced_without_a_hash() {
    let announced = |more: usize| {
        let mut repository = Repository::followed();
        repository.bump("snapshot");
        let len = repository.published["2.snapshot.json"].len();
        repository.of("timestamp")["meta"]["snapshot.json"]["length"] = json!(len + more);
        repository.bump("timestamp");
        repository.refresh().map_err(|refused| refused.bad)
    };
    assert_eq!(announced(0), Ok(()));
    assert_eq!(announced(1), Err(BadMetadata::OtherOctets));
}
#[test]
fn no_octet_more_than_was_announced_is_read() {
    let longer = |r: &mut Repository| {
        r.publish_targets();
        r.published.get_mut("3.targets.json").unwrap().push(b' ');
    };
    attack_on(hashed(), longer, BadMetadata::TooLong, ENDLESS);
}
#[test]
fn what_is_announced_as_longer_than_it_may_be_is_not_read() {
    let long = |len: u64| {
        let mut repository = Repository::followed();
        repository.limits = Limits { targets_len_max: 4096, ..Limits::DEFAULT };
        repository.bump("targets");
        let mut file = repository.published["2.targets.json"].clone();
        file.resize(usize::try_from(len).unwrap(), b' ');
        repository.put_octets("targets", file);
        repository.of("snapshot")["meta"]["targets.json"]["length"] = json!(len);
        repository.bump("snapshot");
        repository.refresh().map_err(|refused| refused.bad)
    };
    assert_eq!(long(4096), Ok(()));
    assert_eq!(long(4097), Err(BadMetadata::TooLong));
}
#[test]
fn an_announcement_without_a_hash_that_is_known() {
    let unknown = |r: &mut Repository| {
        r.bump("snapshot");
        r.of("timestamp")["meta"]["snapshot.json"]["hashes"] = json!({"md5": "00"});
        r.bump("timestamp");
    };
    attack(unknown, BadMetadata::NoHash, ARBITRARY);
}
#[test]
fn an_announcement_with_one_hash_that_is_known() {
    let mut repository = hashed();
    repository.of("timestamp")["meta"]["snapshot.json"]["hashes"]["md5"] = json!("00");
    repository.bump("timestamp");
    assert_eq!(repository.refresh(), Ok(()));
}
#[test]
fn a_snapshot_that_does_not_name_the_targets() {
    let unnamed = |r: &mut Repository| {
        // The client has no snapshot yet, so nothing vanishes.
        r.kept.remove("snapshot.json");
        r.of("snapshot")["meta"] = json!({});
        r.bump("snapshot");
    };
    attack(unnamed, BadMetadata::NotInSnapshot, MIX);
}

// Arbitrary software.
fn signed_by(role: &'static str, key: u8) -> impl FnOnce(&mut Repository) {
    move |r| {
        let own = r.signers.insert(role.into(), vec![key]);
        r.bump(role);
        r.signers.insert(role.into(), own.unwrap());
    }
}
#[test]
fn each_role_under_a_foreign_key() {
    for role in ["timestamp", "snapshot", "targets"] {
        attack(signed_by(role, 66), BadMetadata::TooFewSignatures, ARBITRARY);
    }
}
#[test]
fn each_role_under_the_key_of_another() {
    for (role, key) in [("timestamp", 3), ("snapshot", 2), ("targets", 2), ("targets", 3)] {
        attack(signed_by(role, key), BadMetadata::TooFewSignatures, ARBITRARY);
    }
}
#[test]
fn each_role_without_a_signature() {
    for (file, role) in
        [("timestamp.json", "timestamp"), ("2.snapshot.json", "snapshot"), ("2.targets.json", "targets")]
    {
        let unsigned = |r: &mut Repository| {
            r.bump(role);
            let file_unsigned = repository::sign(&r.says[role], &[]);
            r.published.insert(file.into(), file_unsigned);
        };
        attack(unsigned, BadMetadata::TooFewSignatures, ARBITRARY);
    }
}
#[test]
fn the_file_of_one_role_in_the_place_of_another() {
    for (file, role, other) in [
        ("timestamp.json", "timestamp", "1.snapshot.json"),
        ("2.snapshot.json", "snapshot", "1.targets.json"),
        ("2.targets.json", "targets", "1.root.json"),
    ] {
        let swapped = |r: &mut Repository| {
            r.bump(role);
            r.published.insert(file.into(), r.published[other].clone());
        };
        attack(swapped, BadMetadata::OtherRole, ARBITRARY);
    }
}
#[test]
fn keys_of_one_role_that_are_shared_do_not_mix_the_roles() {
    // Snapshot and timestamp under one key, as many repositories have it: the type still tells them apart.
    let mut repository = Repository::new();
    repository.rekey("snapshot", &[2], 1);
    repository.bump("root");
    repository.put("snapshot");
    repository.put("timestamp");
    repository.refresh().unwrap();
    let swapped = |r: &mut Repository| {
        r.bump("snapshot");
        r.published.insert("timestamp.json".into(), r.published["2.snapshot.json"].clone());
    };
    attack_on(repository, swapped, BadMetadata::OtherRole, ARBITRARY);
}

// Endless data, and a repository that is not all there.
#[test]
fn each_role_longer_than_it_may_be() {
    for (file, role, len) in [
        ("timestamp.json", "timestamp", Limits::DEFAULT.timestamp_len_max),
        ("2.snapshot.json", "snapshot", Limits::DEFAULT.snapshot_len_max),
        ("2.targets.json", "targets", Limits::DEFAULT.targets_len_max),
    ] {
        let long = |len: u64| {
            move |r: &mut Repository| {
                r.bump(role);
                let mut octets = r.published[file].clone();
                octets.resize(usize::try_from(len).unwrap(), b' ');
                r.answers.insert(file.into(), Answer::Octets(octets));
            }
        };
        accepted(long(len));
        attack(long(len + 1), BadMetadata::TooLong, ENDLESS);
    }
}
#[test]
fn a_file_that_is_missing_or_does_not_come() {
    for (file, role) in
        [("timestamp.json", "timestamp"), ("2.snapshot.json", "snapshot"), ("2.targets.json", "targets")]
    {
        for (answer, expected, class) in [
            (Answer::NotThere, BadMetadata::NotThere, None),
            (Answer::Unreachable, BadMetadata::Unreachable, None),
            (Answer::TooSlow, BadMetadata::TooSlow, Some("slow retrieval")),
        ] {
            let missing = |r: &mut Repository| {
                r.bump(role);
                r.answers.insert(file.into(), answer);
            };
            attack(missing, expected, class);
        }
    }
}
#[test]
fn fields_that_are_not_what_they_should_be() {
    for (field, value, expected) in [
        ("version", json!(0), BadRelease::Field("version")),
        ("version", json!(-1), BadRelease::NotACount),
        ("version", json!(1.5), BadRelease::NotACount),
        ("version", json!("2"), BadRelease::Field("version")),
        ("expires", json!("2027-01-01"), BadRelease::BadExpiry),
        ("expires", json!("2027-02-30T00:00:00Z"), BadRelease::BadExpiry),
        ("spec_version", json!("2.0.0"), BadRelease::OtherSpecVersion),
        ("meta", json!([]), BadRelease::Field("meta")),
    ] {
        let wrong = |r: &mut Repository| {
            r.of("timestamp")[field] = value;
            r.put("timestamp");
        };
        attack(wrong, expected.into(), None);
    }
}

// What is kept is not trusted either.
#[test]
fn what_is_kept_and_altered_is_fetched_again() {
    for file in ["timestamp.json", "snapshot.json", "targets.json"] {
        let mut repository = Repository::followed();
        let kept = repository.kept.get_mut(file).unwrap();
        let at = kept.len() / 2;
        kept[at] ^= 1;
        assert_eq!(repository.refresh(), Ok(()), "{file}");
        let published = if file == "timestamp.json" { file.to_owned() } else { format!("1.{file}") };
        assert_eq!(repository.kept[file], repository.published[&published]);
    }
}
#[test]
fn what_is_kept_and_gone_is_fetched_again() {
    for file in ["timestamp.json", "snapshot.json", "targets.json"] {
        let mut repository = Repository::followed();
        repository.kept.remove(file);
        assert_eq!(repository.refresh(), Ok(()), "{file}");
    }
}

#[test]
fn snapshots_that_are_not_consistent() {
    let mut repository = Repository::new();
    repository.of("root")["consistent_snapshot"] = json!(false);
    repository.bump("root");
    repository.publish_targets();
    assert_eq!(repository.refresh(), Ok(()));
    let order = ["2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json"];
    assert_eq!(repository.fetched(), order, "roots have versions in any case");
}
#[test]
fn the_power_may_go_between_any_two_files() {
    for acts in 0..6 {
        let mut repository = third();
        repository.bump("root");
        repository.publish_targets();
        repository.power = Some(acts);
        let _ended = repository.client().drive(&mut repository);
        repository.power = None;
        assert_eq!(repository.refresh(), Ok(()), "after {acts} acts");
        assert_eq!(repository.kept_version("targets"), Some(4));
    }
}
#[test]
fn an_answer_to_nothing_stops_the_client() {
    let repository = Repository::followed();
    let mut client = repository.client();
    assert_eq!(client.answer(Answer::Done).unwrap_err().bad, BadMetadata::OutOfStep);
    assert_eq!(client.answer(Answer::NotThere).unwrap_err().bad, BadMetadata::OutOfStep);
    assert_eq!(client.find("a").unwrap_err().bad, BadMetadata::OutOfStep);
    assert!(!client.is_refreshed());
}
