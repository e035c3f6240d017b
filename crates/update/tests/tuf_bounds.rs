//! How much metadata may have of anything: so many are taken, and one more is not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod repository;

use repository::{Repository, accepted, announced, rule, sign};
use serde_json::{Value, json};
use update::BadRelease;
use update::tuf::{BadMetadata, Envelope, FILE_LEN_MAX, Limits, Root};

/// Takes so many, and not one more.
#[track_caller]
fn bound(most: usize, change: impl Fn(&mut Repository, usize)) {
    accepted(|r| change(r, most));
    refused(|r| change(r, most + 1), BadMetadata::TooMany);
    assert_eq!(BadMetadata::TooMany.attack().map(|attack| attack.name()), Some("endless data"));
}
#[track_caller]
fn refused(change: impl FnOnce(&mut Repository), expected: BadMetadata) {
    let mut repository = Repository::followed();
    change(&mut repository);
    assert_eq!(repository.refresh().map_err(|refused| refused.bad), Err(expected));
}

/// The same as the client has, with so many members more.
fn fill(members: &mut Value, to: usize, member: impl Fn(usize) -> Value) {
    let members = members.as_object_mut().unwrap();
    for n in 0..to - members.len() {
        members.insert(format!("{n:064x}"), member(n));
    }
}

#[test]
fn keys() {
    let unknown = |_| json!({"keytype": "unknown", "scheme": "unknown", "keyval": {"public": "00"}});
    bound(256, |r, most| {
        fill(&mut r.of("root")["keys"], most, unknown);
        r.bump("root");
    });
}
#[test]
fn identifiers_of_the_keys_of_a_role() {
    bound(256, |r, most| {
        let ids = r.of("root")["roles"]["targets"]["keyids"].as_array_mut().unwrap();
        ids.extend((ids.len()..most).map(|n| json!(format!("{n:064x}"))));
        r.bump("root");
    });
}
#[test]
fn octets_of_an_identifier_of_a_key() {
    let with = |len: usize| {
        move |r: &mut Repository| {
            let key = json!({"keytype": "unknown", "scheme": "unknown", "keyval": {"public": "00"}});
            r.of("root")["keys"]["k".repeat(len)] = key;
            r.bump("root");
        }
    };
    accepted(with(128));
    refused(with(129), BadMetadata::Shape(BadRelease::Field("keyid")));
}
#[test]
fn signatures() {
    bound(256, |r, most| {
        r.set_version("targets", r.version("targets") + 1);
        let mut file: Value = serde_json::from_slice(&sign(&r.says["targets"], &r.signers["targets"])).unwrap();
        let all = file["signatures"].as_array_mut().unwrap();
        all.extend((all.len()..most).map(|n| json!({"keyid": format!("{n:064x}"), "sig": "00"})));
        r.put_octets("targets", serde_json::to_vec(&file).unwrap());
        r.bump("snapshot");
    });
}
#[test]
fn patterns_of_a_delegation() {
    bound(4096, |r, most| {
        let patterns: Vec<_> = (0..most).map(|n| format!("{n}/*")).collect();
        r.delegate("targets", "A", 5, &patterns.iter().map(String::as_str).collect::<Vec<_>>());
        r.publish_targets();
    });
}
#[test]
fn delegations_of_a_role() {
    bound(4096, |r, most| {
        r.delegate("targets", "A", 5, &["a/*"]);
        let role = |n: usize| {
            let mut role = rule(&[5], 1);
            role["name"] = json!(format!("A{n}"));
            role["terminating"] = json!(false);
            role["paths"] = json!([format!("{n}/*")]);
            role
        };
        r.of("targets")["delegations"]["roles"].as_array_mut().unwrap().extend((1..most).map(role));
        r.publish_targets();
    });
}
#[test]
fn octets_of_a_delegated_role() {
    let look = |len_max: fn(u64) -> u64| {
        let mut r = Repository::followed();
        r.delegate("targets", "A", 5, &["*"]);
        for n in 0..100 {
            r.announce("A", &format!("{n}.img"), b"an image");
        }
        r.publish_targets();
        let file = format!("{}.A.json", r.version("A"));
        let len = r.published[&file].len() as u64;
        r.limits = Limits { targets_len_max: len_max(len), ..Limits::DEFAULT };
        r.look_for("7.img").map(|_| ()).map_err(|refused| (refused.file == file, refused.bad))
    };
    assert_eq!(look(|len| len), Ok(()));
    assert_eq!(look(|len| len - 1), Err((true, BadMetadata::TooLong)));
}
#[test]
fn octets_of_a_file() {
    let read = |len| Envelope::<Root>::decode(&vec![b' '; len]).err().unwrap();
    assert_eq!(read(FILE_LEN_MAX + 1), BadMetadata::TooLong);
    assert_ne!(read(FILE_LEN_MAX), BadMetadata::TooLong);
}
#[test]
fn octets_of_an_image() {
    let with = |len: u64| {
        move |r: &mut Repository| {
            r.of("targets")["targets"]["a.img"] = announced(b"an image");
            r.of("targets")["targets"]["a.img"]["length"] = json!(len);
            r.publish_targets();
        }
    };
    accepted(with(64 << 30));
    refused(with((64 << 30) + 1), BadMetadata::Shape(BadRelease::BadLength));
}
