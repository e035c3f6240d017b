//! Releases made by the reference implementation of TUF. Provenance: `testdata/PROVENANCE.toml`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use support::{golden, image, keys, now, release};
use update::{BadRelease, Draft, Metadata, Parsed, Threshold};
use x509::PublicKey;

fn foreign(name: &str) -> Vec<u8> {
    golden(&format!("python-tuf-7.0.1-{name}.json"))
}

#[track_caller]
fn check(name: &str, by: &[usize], threshold: u8, expected: Result<(), BadRelease>) {
    let keys = keys(by);
    let verified = Metadata::decode(&foreign(name))
        .and_then(|m| m.verify(&keys, Threshold::new(threshold).unwrap()))
        .and_then(|m| m.current(now()))
        .and_then(|m| m.verify_image(&mut image().as_slice()));
    assert_eq!(verified.map(|image| image.release().clone()), expected.map(|()| release()));
}

#[test]
fn a_foreign_release() {
    check("plain", &[0], 1, Ok(()));
}
#[test]
fn the_same_without_white_space() {
    check("compact", &[0], 1, Ok(()));
}
#[test]
fn two_foreign_signatures() {
    check("two-signatures", &[0, 1, 2], 2, Ok(()));
}
#[test]
fn one_known_key_of_two_is_enough_for_one() {
    check("two-signatures", &[1], 1, Ok(()));
}
#[test]
fn one_known_key_is_not_enough_for_two() {
    check("two-signatures", &[1, 2], 2, Err(BadRelease::TooFewSignatures));
}
#[test]
fn a_key_that_is_registered_twice_counts_once() {
    check("plain", &[0, 0], 2, Err(BadRelease::TooFewSignatures));
}
#[test]
fn unknown_fields_are_signed_with_the_rest() {
    check("unknown-fields", &[0], 1, Ok(()));
}
#[test]
fn an_unknown_key() {
    check("plain", &[1, 2], 1, Err(BadRelease::UnknownSigner));
}
#[test]
fn no_key_is_known() {
    check("plain", &[], 1, Err(BadRelease::UnknownSigner));
}
#[test]
fn nobody_has_signed() {
    check("unsigned", &[0], 1, Err(BadRelease::UnknownSigner));
}
#[test]
fn it_has_expired() {
    check("expired", &[0], 1, Err(BadRelease::Expired));
}
#[test]
fn a_path_is_no_name() {
    check("path-name", &[0], 1, Err(BadRelease::BadName));
}
#[test]
fn another_major_version() {
    check("spec-2", &[0], 1, Err(BadRelease::OtherSpecVersion));
}
#[test]
fn another_type() {
    check("type-root", &[0], 1, Err(BadRelease::UnknownType));
}
#[test]
fn two_targets() {
    check("two-targets", &[0], 1, Err(BadRelease::NotOneTarget));
}
#[test]
fn a_negative_number() {
    check("negative-counter", &[0], 1, Err(BadRelease::NotACount));
}

#[test]
fn keys_are_named_as_the_maker_names_them() {
    for n in 0..3 {
        let key = PublicKey::decode(&golden(&format!("rfc8032-test{}.spki.der", n + 1))).unwrap();
        assert_eq!(key, support::key(n).1);
    }
}

#[test]
fn we_sign_beside_a_foreign_signature() {
    let mut draft = Draft::decode(&foreign("unknown-fields")).unwrap();
    let second = support::key(1);
    draft.sign(&second.1, |message| Ok::<_, ()>(second.sign(message))).unwrap();
    let written = draft.write();
    let verified = Metadata::decode(&written).unwrap().verify(&keys(&[0, 1]), Threshold::new(2).unwrap());
    assert_eq!(verified.unwrap().release(), &release());
    assert!(String::from_utf8(written).unwrap().contains("x-maker"), "an unknown field was lost");
}

fn ours() -> Vec<u8> {
    support::signed(&release(), &image(), &[0, 1])
}
#[test]
#[ignore = "writes testdata/tuf/cradle-two-signatures.json anew"]
fn write_ours() {
    std::fs::write(support::testdata("cradle-two-signatures.json"), ours()).unwrap();
}
#[test]
fn what_we_write_has_not_changed() {
    let written = ours();
    assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(golden("cradle-two-signatures.json")).unwrap());
}
#[test]
fn we_sign_what_the_maker_signs() {
    let theirs = foreign("plain");
    let ours = support::signed(&release(), &image(), &[0]);
    let signature = |file: &[u8]| {
        let file: serde_json::Value = serde_json::from_slice(file).unwrap();
        file["signatures"][0]["sig"].as_str().unwrap().to_owned()
    };
    assert_eq!(signature(&ours), signature(&theirs), "Ed25519 gives one signature for one message");
}

#[track_caller]
fn reads(octets: &[u8]) -> Option<Metadata<Parsed>> {
    Metadata::decode(octets).ok()
}

#[test]
fn every_cut_is_refused() {
    let file = foreign("plain");
    for len in 0..file.trim_ascii_end().len() {
        assert!(reads(&file[..len]).is_none(), "the first {len} octets were read");
    }
}
#[test]
fn no_change_of_one_octet_matters() {
    let file = foreign("plain");
    let keys = keys(&[0]);
    for at in 0..file.len() {
        for flip in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut changed = file.clone();
            changed[at] ^= flip;
            let verified = reads(&changed)
                .and_then(|m| m.verify(&keys, Threshold::ONE).ok())
                .and_then(|m| m.current(now()).ok())
                .and_then(|m| m.verify_image(&mut image().as_slice()).ok());
            if let Some(verified) = verified {
                assert_eq!(verified.release(), &release(), "octet {at} was changed by {flip:#x}");
            }
        }
    }
}
