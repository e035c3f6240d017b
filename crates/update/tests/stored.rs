//! What a station makes of a stored release.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use support::{image, keys, now, release, signed};
use update::{BadRelease, Metadata, Release, Statement, StoredRelease, Terms, Threshold};

/// A release as sm stores it: metadata and statement.
fn stored(release: &Release) -> (Vec<u8>, Statement) {
    let metadata = signed(release, &image(), &[0]);
    let current = Metadata::decode(&metadata).unwrap().verify(&keys(&[0]), Threshold::ONE).unwrap().current(now());
    let verified = current.unwrap().verify_image(&mut image().as_slice()).unwrap();
    (metadata, Statement::of(&verified, now()))
}

#[track_caller]
fn check(metadata: &[u8], statement: Option<&Statement>, after_s: u64, by: &[usize], expected: Result<(), BadRelease>) {
    let statement = statement.map(Statement::encode);
    let stored = StoredRelease { metadata, statement: statement.as_deref() };
    let (keys, now) = (keys(by), now().plus_s(after_s));
    let terms = Terms { keys: &keys, threshold: Threshold::ONE, now, bundle_age_max_s: 3600 };
    assert_eq!(stored.verify(&terms).map(|_| ()), expected);
}

#[test]
fn a_stored_release() {
    let (metadata, statement) = stored(&release());
    check(&metadata, Some(&statement), 0, &[0], Ok(()));
}
#[test]
fn the_makers_key_is_no_longer_known() {
    let (metadata, statement) = stored(&release());
    check(&metadata, Some(&statement), 0, &[1], Err(BadRelease::UpstreamInvalid));
}
#[test]
fn the_seal_does_not_hold() {
    let (metadata, _) = stored(&release());
    check(&metadata, None, 0, &[0], Err(BadRelease::CountersignatureInvalid));
}
#[test]
fn neither_holds() {
    let (metadata, _) = stored(&release());
    check(&metadata, None, 0, &[1], Err(BadRelease::BothInvalid));
}
#[test]
fn metadata_altered_at_rest_fails_both() {
    let (metadata, statement) = stored(&release());
    for at in (0..metadata.len()).step_by(7) {
        let mut altered = metadata.clone();
        altered[at] ^= 0x10;
        let stored = StoredRelease { metadata: &altered, statement: Some(&statement.encode()) };
        let keys = keys(&[0]);
        let terms = Terms { keys: &keys, threshold: Threshold::ONE, now: now(), bundle_age_max_s: 3600 };
        let found = stored.verify(&terms).map(|_| ()).unwrap_err();
        assert!(matches!(found, BadRelease::BothInvalid | BadRelease::CountersignatureInvalid), "{at}: {found:?}");
    }
}
#[test]
fn a_countersignature_of_another_release() {
    let (metadata, _) = stored(&release());
    let (_, other) = stored(&Release { counter: 8, ..release() });
    check(&metadata, Some(&other), 0, &[0], Err(BadRelease::CountersignatureInvalid));
}
#[test]
fn a_statement_that_says_something_else_of_the_release() {
    let (metadata, right) = stored(&release());
    let wrong: [fn(&mut Statement); 4] = [
        |s| s.image_length += 1,
        |s| s.image_sha256 = model::Digest::new([0; 32]),
        |s| s.device_types.push("type.c".parse().unwrap()),
        |s| s.release_counter += 1,
    ];
    for change in wrong {
        let mut statement = right.clone();
        change(&mut statement);
        check(&metadata, Some(&statement), 0, &[0], Err(BadRelease::CountersignatureInvalid));
    }
}
#[test]
fn the_last_second_of_a_bundle() {
    let (metadata, statement) = stored(&release());
    check(&metadata, Some(&statement), 3600, &[0], Ok(()));
    check(&metadata, Some(&statement), 3601, &[0], Err(BadRelease::Expired));
}
#[test]
fn metadata_that_expired_after_it_was_verified() {
    let (metadata, statement) = stored(&Release { expires: now().plus_s(1), ..release() });
    check(&metadata, Some(&statement), 3600, &[0], Ok(()));
}
#[test]
fn metadata_that_had_expired_when_it_was_verified() {
    let (metadata, mut statement) = stored(&Release { expires: now().plus_s(1), ..release() });
    statement.verified_at = now().plus_s(1);
    check(&metadata, Some(&statement), 1, &[0], Err(BadRelease::Expired));
}
#[test]
fn verified_tomorrow() {
    let (metadata, mut statement) = stored(&release());
    statement.verified_at = now().plus_s(300);
    check(&metadata, Some(&statement), 0, &[0], Ok(()));
    statement.verified_at = now().plus_s(301);
    check(&metadata, Some(&statement), 0, &[0], Err(BadRelease::FromTheFuture));
}

#[test]
fn a_statement_is_read_as_it_was_written() {
    let (_, statement) = stored(&release());
    assert_eq!(Statement::decode(&statement.encode()), Ok(statement));
}
#[test]
fn a_statement_with_something_more_is_refused() {
    let (_, statement) = stored(&release());
    let text = String::from_utf8(statement.encode()).unwrap();
    for more in [r#"{"x":1,"#, r#"{"release_counter":7,"#] {
        let changed = text.replacen('{', more, 1);
        assert_eq!(Statement::decode(changed.as_bytes()), Err(BadRelease::BadStatement), "{changed}");
    }
    assert_eq!(Statement::decode(&[b' '; 8193]), Err(BadRelease::BadStatement));
    assert_eq!(Statement::decode(b"null"), Err(BadRelease::BadStatement));
}
