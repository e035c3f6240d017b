//! Targets and whom they are left to. TUF 1.0.34 §5.6.7 and §5.7, TAP 15.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod repository;

use repository::{PAST, Repository, keys, rule};
use serde_json::{Value, json};
use update::BadRelease;
use update::tuf::{Answer, BadMetadata, HashFunction, Limits, Target};

const IMAGE: &[u8] = b"an image";

/// A repository with these delegations `(from, to, key, pattern)`, published.
fn graph(delegations: &[(&str, &str, u8, &str)]) -> Repository {
    let mut repository = Repository::followed();
    for (from, to, key, pattern) in delegations {
        repository.delegate(from, to, *key, &[pattern]);
    }
    repository.publish_targets();
    repository
}
/// Looks for a target that nobody has, and says whom that led to.
#[track_caller]
fn visits(repository: &mut Repository, expected: &[&str]) {
    assert_eq!(repository.look_for("missing.img").unwrap_err().bad, BadMetadata::NoTarget);
    let visited: Vec<&str> = repository.fetched().into_iter().skip(4).collect();
    let expected: Vec<String> =
        expected.iter().map(|role| format!("{}.{role}.json", repository.version(role))).collect();
    assert_eq!(visited, expected);
}
#[track_caller]
fn refused(repository: &mut Repository, target: &str, expected: BadMetadata) {
    assert_eq!(repository.look_for(target).map_err(|refused| refused.bad), Err(expected));
}
#[track_caller]
fn found(repository: &mut Repository, target: &str) -> Target {
    let found = repository.look_for(target).unwrap();
    assert_eq!((found.name(), found.length()), (target, IMAGE.len() as u64));
    found
}

#[test]
fn a_target_of_the_top() {
    let mut repository = Repository::followed();
    repository.announce("targets", "dir/a.img", IMAGE);
    repository.publish_targets();
    let target = found(&mut repository, "dir/a.img");
    assert_eq!(target.path(), format!("dir/{}.a.img", repository::sha256(IMAGE)));
    assert_eq!(target.hashes().of(HashFunction::Sha256), Some(x509::sha256(IMAGE).octets().as_slice()));
    refused(&mut repository, "dir/b.img", BadMetadata::NoTarget);
}
#[test]
fn without_consistent_snapshots_the_hash_is_not_in_the_name() {
    let mut repository = Repository::new();
    repository.of("root")["consistent_snapshot"] = json!(false);
    repository.bump("root");
    repository.announce("targets", "dir/a.img", IMAGE);
    repository.publish_targets();
    assert_eq!(found(&mut repository, "dir/a.img").path(), "dir/a.img");
}

#[test]
fn depth_first_in_the_order_in_which_they_stand() {
    let mut repository =
        graph(&[("targets", "A", 5, "*"), ("targets", "B", 6, "*"), ("A", "C", 7, "*"), ("C", "D", 8, "*")]);
    visits(&mut repository, &["A", "C", "D", "B"]);
}
#[test]
fn a_circle_ends() {
    let mut repository = graph(&[
        ("targets", "A", 5, "*"),
        ("A", "B", 6, "*"),
        ("B", "A", 5, "*"),
        ("B", "C", 7, "*"),
        ("C", "B", 6, "*"),
    ]);
    visits(&mut repository, &["A", "B", "C"]);
}
#[test]
fn a_diamond_is_visited_once() {
    let mut repository =
        graph(&[("targets", "A", 5, "*"), ("targets", "B", 6, "*"), ("A", "C", 7, "*"), ("B", "C", 7, "*")]);
    visits(&mut repository, &["A", "C", "B"]);
}
#[test]
fn a_diamond_whose_sides_name_other_keys() {
    // A says that C's key is 66, which it is not; C was B's, and is not taken from A's word.
    let mut repository =
        graph(&[("targets", "A", 5, "*"), ("targets", "B", 6, "*"), ("B", "C", 7, "*"), ("A", "C", 66, "*")]);
    repository.announce("C", "a.img", IMAGE);
    repository.signers.insert("C".into(), vec![7]);
    repository.publish_targets();
    refused(&mut repository, "a.img", BadMetadata::TooFewSignatures);
    // What was verified from B's side is not good enough from A's.
    repository.of("targets")["delegations"]["roles"].as_array_mut().unwrap().reverse();
    repository.publish_targets();
    found(&mut repository, "a.img");
    repository.of("targets")["delegations"]["roles"].as_array_mut().unwrap().reverse();
    repository.publish_targets();
    refused(&mut repository, "a.img", BadMetadata::TooFewSignatures);
}
#[test]
fn after_a_terminating_delegation_nobody_is_asked() {
    let mut repository =
        graph(&[("targets", "A", 5, "*"), ("targets", "B", 6, "*"), ("A", "C", 7, "*"), ("A", "D", 8, "*")]);
    repository.of("A")["delegations"]["roles"][0]["terminating"] = json!(true);
    repository.publish_targets();
    visits(&mut repository, &["A", "C"]);
}
#[test]
fn a_terminating_delegation_still_delegates() {
    let mut repository = graph(&[("targets", "A", 5, "*"), ("targets", "B", 6, "*"), ("A", "C", 7, "*")]);
    repository.of("targets")["delegations"]["roles"][0]["terminating"] = json!(true);
    repository.publish_targets();
    visits(&mut repository, &["A", "C"]);
}
#[test]
fn a_terminating_delegation_of_other_targets_ends_nothing() {
    let mut repository = graph(&[("targets", "A", 5, "other/*"), ("targets", "B", 6, "*")]);
    repository.of("targets")["delegations"]["roles"][0]["terminating"] = json!(true);
    repository.publish_targets();
    visits(&mut repository, &["B"]);
}
#[test]
fn the_path_of_each_hop_is_checked() {
    let mut repository = graph(&[("targets", "A", 5, "a/*"), ("A", "B", 6, "*")]);
    // B is given everything by A, which was given less.
    for target in ["a/x.img", "b/x.img"] {
        repository.announce("B", target, IMAGE);
    }
    repository.of("A")["delegations"]["roles"][0]["paths"] = json!(["*/*"]);
    repository.publish_targets();
    found(&mut repository, "a/x.img");
    refused(&mut repository, "b/x.img", BadMetadata::NoTarget);
}
#[test]
fn a_supplier_outside_of_its_path() {
    let mut repository = graph(&[("targets", "A", 5, "a/*")]);
    repository.announce("A", "b/x.img", IMAGE);
    repository.publish_targets();
    refused(&mut repository, "b/x.img", BadMetadata::NoTarget);
}
#[test]
fn who_stands_first_is_heard_first() {
    let mut repository = graph(&[("targets", "A", 5, "*"), ("targets", "B", 6, "*")]);
    repository.announce("A", "a.img", IMAGE);
    repository.announce("B", "a.img", b"another image, of B");
    repository.publish_targets();
    found(&mut repository, "a.img");
}

#[test]
fn prefixes_of_hashes() {
    let digest = repository::sha256(b"a.img");
    let mut repository = Repository::followed();
    for (name, key, prefix) in [("other", 5, "zz"), ("mine", 6, &digest[..3])] {
        let mut role = rule(&[key], 1);
        role["name"] = json!(name);
        role["path_hash_prefixes"] = json!([if prefix == "zz" { "0000000" } else { prefix }]);
        repository.delegate_as("targets", role, key);
        repository.announce(name, "a.img", IMAGE);
    }
    repository.publish_targets();
    found(&mut repository, "a.img");
    assert_eq!(repository.fetched().last(), Some(&"2.mine.json"));
}
#[test]
fn prefixes_that_are_none() {
    for prefix in ["", "xy", "AB"] {
        let mut repository = Repository::followed();
        let mut role = rule(&[5], 1);
        role["name"] = json!("bin");
        role["path_hash_prefixes"] = json!([prefix]);
        repository.delegate_as("targets", role, 5);
        repository.publish_targets();
        refused(&mut repository, "a.img", BadMetadata::Shape(BadRelease::Field("path_hash_prefixes")));
    }
}

fn bins(bits: u64) -> Repository {
    let mut repository = Repository::followed();
    let mut bins = rule(&[5], 1);
    bins["bit_length"] = json!(bits);
    bins["name_prefix"] = json!("bin");
    repository.of("targets")["delegations"] = json!({"keys": keys(&[5]), "succinct_roles": bins});
    repository
}
#[test]
fn succinct_bins() {
    let mut repository = bins(4);
    let bin = format!("bin-{}", &repository::sha256(b"a.img")[..1]);
    repository.says.insert(bin.clone(), repository::targets());
    repository.signers.insert(bin.clone(), vec![5]);
    repository.announce(&bin, "a.img", IMAGE);
    repository.publish_targets();
    found(&mut repository, "a.img");
    assert_eq!(repository.fetched().last(), Some(&format!("2.{bin}.json").as_str()));
    repository.signers.insert(bin.clone(), vec![66]);
    repository.publish_targets();
    refused(&mut repository, "a.img", BadMetadata::TooFewSignatures);
}
#[test]
fn bins_of_no_bit_or_of_too_many() {
    for bits in [0, 33] {
        let mut repository = bins(bits);
        repository.publish_targets();
        refused(&mut repository, "a.img", BadMetadata::Shape(BadRelease::Field("bit_length")));
    }
}

#[track_caller]
fn delegation(change: impl FnOnce(&mut Value), expected: BadMetadata) {
    let mut repository = graph(&[("targets", "A", 5, "*")]);
    change(&mut repository.of("targets")["delegations"]);
    repository.publish_targets();
    let refused = repository.refresh().unwrap_err();
    assert_eq!((refused.file.as_str(), refused.bad), ("3.targets.json", expected));
}
#[test]
fn delegations_that_can_be_read_in_two_ways() {
    delegation(|d| d["succinct_roles"] = json!({}), BadMetadata::BadDelegation);
    delegation(|d| drop(d.as_object_mut().unwrap().remove("roles")), BadMetadata::BadDelegation);
    delegation(|d| d["roles"][0]["path_hash_prefixes"] = json!(["00"]), BadMetadata::BadDelegation);
    delegation(|d| drop(d["roles"][0].as_object_mut().unwrap().remove("paths")), BadMetadata::BadDelegation);
    let twice = |d: &mut Value| {
        let role = d["roles"][0].clone();
        d["roles"].as_array_mut().unwrap().push(role);
    };
    delegation(twice, BadMetadata::BadDelegation);
}
#[test]
fn a_delegation_that_needs_no_signature() {
    delegation(|d| d["roles"][0]["threshold"] = json!(0), BadMetadata::NoThreshold);
    delegation(|d| d["roles"][0]["keyids"] = json!(["key-5", "key-5"]), BadMetadata::KeyNamedTwice);
}
#[test]
fn nobody_can_be_called_as_one_of_the_four() {
    for name in repository::ROLES {
        delegation(|d| d["roles"][0]["name"] = json!(name), BadMetadata::BadRoleName);
    }
    delegation(|d| d["roles"][0]["name"] = json!(""), BadMetadata::BadRoleName);
    delegation(|d| d["roles"][0]["name"] = json!("/".repeat(61)), BadMetadata::BadRoleName);
}
#[test]
fn names_that_lead_elsewhere_are_files_like_others() {
    // The test's storage refuses to be led anywhere.
    for (name, file) in [("../targets", "..%2Ftargets.json"), ("/etc/x", "%2Fetc%2Fx.json"), ("a?b", "a%3Fb.json")] {
        let mut repository = graph(&[("targets", name, 5, "*")]);
        repository.announce(name, "a.img", IMAGE);
        repository.publish_targets();
        found(&mut repository, "a.img");
        assert!(repository.kept.contains_key(file), "{file}");
        assert_eq!(repository.fetched().last(), Some(&format!("3.{file}").as_str()));
    }
}

#[test]
fn a_role_that_is_not_valid_ends_its_search_and_no_other() {
    let mut repository = graph(&[("targets", "A", 5, "a/*"), ("targets", "B", 6, "*/*")]);
    repository.announce("B", "a/x.img", IMAGE);
    repository.announce("B", "b/x.img", IMAGE);
    repository.signers.insert("A".into(), vec![66]);
    repository.publish_targets();
    let mut client = repository.client();
    client.drive(&mut repository).unwrap();
    assert_eq!(client.look_for("b/x.img", &mut repository).map(|t| t.length()), Ok(IMAGE.len() as u64));
    // B would have it too, but A was before it and nobody knows what A said.
    assert!(client.look_for("a/x.img", &mut repository).is_err());
    assert!(!repository.kept.contains_key("A.json"));
    assert!(client.look_for("b/x.img", &mut repository).is_ok(), "another search is blocked");
    repository.signers.insert("A".into(), vec![5]);
    repository.publish_targets();
    found(&mut repository, "a/x.img");
}
/// The supplier A publishes its fourth version, changed; the client refuses it, and follows the honest one afterwards.
#[track_caller]
fn supplier(change: impl FnOnce(&mut Repository), expected: BadMetadata) {
    let mut repository = graph(&[("targets", "A", 5, "*")]);
    repository.announce("A", "a.img", IMAGE);
    repository.hashes = true;
    repository.publish_targets();
    found(&mut repository, "a.img");
    let mut honest = repository.clone();
    repository.set_version("A", 4);
    change(&mut repository);
    repository.put("A");
    repository.bump("snapshot");
    refused(&mut repository, "a.img", expected);
    honest.kept = repository.kept;
    for role in ["A", "snapshot", "timestamp"] {
        honest.set_version(role, 9);
    }
    honest.publish_targets();
    found(&mut honest, "a.img");
}
#[test]
fn a_supplier_that_has_expired() {
    supplier(|r| r.of("A")["expires"] = json!(PAST), BadMetadata::Expired);
}
#[test]
fn a_supplier_under_the_key_of_the_top() {
    supplier(|r| drop(r.signers.insert("A".into(), vec![4])), BadMetadata::TooFewSignatures);
}
#[test]
fn a_supplier_with_the_file_of_another_role() {
    supplier(|r| r.of("A")["_type"] = json!("snapshot"), BadMetadata::OtherRole);
}
#[test]
fn a_supplier_whose_targets_are_none() {
    supplier(|r| r.of("A")["targets"] = json!([]), BadMetadata::Shape(BadRelease::Field("targets")));
}
#[test]
fn a_supplier_that_does_not_answer() {
    for (answer, expected) in [
        (Answer::NotThere, BadMetadata::NotThere),
        (Answer::TooSlow, BadMetadata::TooSlow),
        (Answer::Unreachable, BadMetadata::Unreachable),
        (Answer::Octets(b"{}".to_vec()), BadMetadata::OtherOctets),
    ] {
        supplier(|r| drop(r.answers.insert("4.A.json".into(), answer)), expected);
    }
}
#[test]
fn a_role_that_the_snapshot_does_not_name() {
    let mut repository = graph(&[("targets", "A", 5, "*")]);
    repository.of("snapshot")["meta"].as_object_mut().unwrap().remove("A.json");
    repository.bump("snapshot");
    let refused = repository.look_for("a.img").unwrap_err();
    assert_eq!((refused.file.as_str(), refused.bad), ("A.json", BadMetadata::NotInSnapshot));
}
#[test]
fn a_delegated_role_that_is_kept_is_not_fetched_again() {
    let mut repository = graph(&[("targets", "A", 5, "*")]);
    repository.announce("A", "a.img", IMAGE);
    repository.publish_targets();
    found(&mut repository, "a.img");
    found(&mut repository, "a.img");
    assert_eq!(repository.fetched(), ["2.root.json", "timestamp.json"]);
    repository.kept.get_mut("A.json").unwrap()[30] ^= 1;
    found(&mut repository, "a.img");
    assert_eq!(repository.fetched().last(), Some(&"3.A.json"), "what is kept is not trusted");
}
#[test]
fn a_search_has_an_end() {
    let chain = |roles: usize| {
        let mut repository = Repository::followed();
        repository.limits = Limits { roles_visited_max: 5, ..Limits::DEFAULT };
        let mut from = "targets".to_owned();
        for n in 0..roles {
            let to = format!("r{n}");
            repository.delegate(&from, &to, 5, &["*"]);
            from = to;
        }
        repository.publish_targets();
        repository
    };
    refused(&mut chain(5), "missing.img", BadMetadata::NoTarget);
    refused(&mut chain(6), "missing.img", BadMetadata::TooManyRoles);
    assert_eq!(BadMetadata::TooManyRoles.attack().unwrap().name(), "endless data");
}
#[test]
fn names_that_no_target_has() {
    let mut repository = Repository::followed();
    for name in ["../a", "/a", "a//b", "a\\b", ""] {
        refused(&mut repository, name, BadMetadata::BadTargetName);
    }
}

fn target(hashes: Value) -> Result<Target, BadMetadata> {
    let mut repository = Repository::followed();
    repository.of("targets")["targets"]["a.img"] = json!({"length": IMAGE.len(), "hashes": hashes});
    repository.publish_targets();
    repository.look_for("a.img").map_err(|refused| refused.bad)
}
fn compare(target: &Target, pieces: &[&[u8]]) -> Result<(), BadMetadata> {
    let mut check = target.check();
    for piece in pieces {
        check.feed(piece)?;
    }
    check.finish()
}
#[test]
fn octets_are_compared_while_they_flow() {
    let target = target(json!({"sha256": repository::sha256(IMAGE)})).unwrap();
    assert_eq!(compare(&target, &[IMAGE]), Ok(()));
    assert_eq!(compare(&target, &[&IMAGE[..3], b"", &IMAGE[3..]]), Ok(()));
    assert_eq!(compare(&target, &[&IMAGE[..7]]), Err(BadMetadata::TargetMismatch));
    assert_eq!(compare(&target, &[b"an imagE"]), Err(BadMetadata::TargetMismatch));
    assert_eq!(compare(&target, &[IMAGE, b"x"]), Err(BadMetadata::TargetTooLong));
    assert_eq!(BadMetadata::TargetTooLong.attack().unwrap().name(), "endless data");
    assert_eq!(BadMetadata::TargetMismatch.attack().unwrap().name(), "arbitrary software");
}
#[test]
fn all_hashes_must_hold() {
    let sha512 = model::octets::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, IMAGE).as_ref());
    let both = |sha512: &str| target(json!({"sha256": repository::sha256(IMAGE), "sha512": sha512})).unwrap();
    assert_eq!(compare(&both(&sha512), &[IMAGE]), Ok(()));
    assert_eq!(compare(&both(&"0".repeat(128)), &[IMAGE]), Err(BadMetadata::TargetMismatch));
    let only = target(json!({"sha512": sha512, "md5": "x"})).unwrap();
    assert_eq!(compare(&only, &[IMAGE]), Ok(()));
    assert_eq!(only.path(), format!("{sha512}.a.img"));
}
#[test]
fn a_target_without_a_hash_that_is_known() {
    for hashes in [json!({}), json!({"md5": "00"}), json!({"sha256": "00"}), json!({"sha256": 1})] {
        assert_eq!(target(hashes), Err(BadMetadata::NoHash));
    }
}
