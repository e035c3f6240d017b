//! What makes a release good or bad, field by field and step by step.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use model::{DeviceType, Fault, Reason, UnixTime};
use serde_json::{Value, json};
use std::io::Read;
use support::{device_type, draft, image, key, keys, now, release, signed};
use update::{
    BadRelease, COUNTER_MAX, CheckedReader, Countersigned, Current, Draft, HARDWARE_IDS_MAX, IMAGE_LEN_MAX, Image,
    METADATA_LEN_MAX, Metadata, NotSigned, SIGNATURES_MAX, Statement, StoredRelease, Terms, Threshold, VerifiedImage,
};

/// Changes a well-formed file and looks what becomes of it. The signature is not looked at: shape comes first.
#[track_caller]
fn shape(change: impl FnOnce(&mut Value), expected: Result<(), BadRelease>) {
    let mut file: Value = serde_json::from_slice(&signed(&release(), &image(), &[0])).unwrap();
    change(&mut file);
    assert_eq!(Metadata::decode(&serde_json::to_vec(&file).unwrap()).map(|_| ()), expected);
}
fn target(file: &mut Value) -> &mut Value {
    &mut file["signed"]["targets"]["gateway-os-1.4.2.img"]
}
#[track_caller]
fn field(name: &str, value: Value, expected: Result<(), BadRelease>) {
    shape(|file| file["signed"][name] = value, expected);
}
#[track_caller]
fn custom(name: &str, value: Value, expected: Result<(), BadRelease>) {
    shape(|file| target(file)["custom"][name] = value, expected);
}
#[track_caller]
fn name(text: &str, expected: Result<(), BadRelease>) {
    let target = |file: &mut Value| {
        let about = target(file).clone();
        file["signed"]["targets"] = json!({ text: about });
    };
    shape(target, expected);
}

#[test]
fn nothing_changed() {
    shape(|_| {}, Ok(()));
}
#[test]
fn unknown_fields_are_let_pass() {
    shape(|file| file["x"] = json!(1), Ok(()));
    field("x", json!({"y": [null]}), Ok(()));
    custom("x", json!("ä"), Ok(()));
}
#[test]
fn missing_fields() {
    for (place, name) in [("/signed", "version"), ("/signed", "expires"), ("/signed", "_type"), ("", "signatures")] {
        let missing = |file: &mut Value| drop(file.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(name));
        shape(missing, Err(BadRelease::Field(name)));
    }
}
#[test]
fn spec_versions() {
    for good in ["1.0.34", "1.0.0", "1.99.0"] {
        field("spec_version", json!(good), Ok(()));
    }
    for bad in ["", "1", "1.0", "1.0.0.0", "2.0.0", "1.0.x", "1..0", "01.0.0", "1.0.+1", " 1.0.0"] {
        field("spec_version", json!(bad), Err(BadRelease::OtherSpecVersion));
    }
}
#[test]
fn metadata_versions() {
    field("version", json!(1), Ok(()));
    field("version", json!(0), Err(BadRelease::Field("version")));
    field("version", json!(-1), Err(BadRelease::NotACount));
    field("version", json!(1.0), Err(BadRelease::NotACount));
    field("version", json!("1"), Err(BadRelease::Field("version")));
    field("version", json!(COUNTER_MAX + 1), Err(BadRelease::Field("version")));
}
#[test]
fn release_counters() {
    custom("release_counter", json!(COUNTER_MAX), Ok(()));
    custom("release_counter", json!(COUNTER_MAX + 1), Err(BadRelease::Field("release_counter")));
}
#[test]
fn ends() {
    field("expires", json!("2028-02-29T23:59:59Z"), Ok(()));
    let bad = [
        "",
        "2027-02-29T00:00:00Z",
        "2027-06-30",
        "2027-06-30T12:00:00",
        "2027-06-30T12:00:00+00:00",
        "2027-06-30T12:00:00.5Z",
        "2027-06-30 12:00:00Z",
        "2027-06-30T12:00:60Z",
        "+027-06-30T12:00:00Z",
        "2027-06-30T12:00:00Zx",
        "ä027-06-30T12:00:00Z",
    ];
    for bad in bad {
        field("expires", json!(bad), Err(BadRelease::BadExpiry));
    }
}
#[test]
fn target_names() {
    name("a", Ok(()));
    for bad in ["", "..", "../a", "/a", "a/b", "a\\b", "a\nb", "a\0", "a b", "\u{202e}a", ".a", &"a".repeat(129)] {
        name(bad, Err(BadRelease::BadName));
    }
}
#[test]
fn no_target() {
    field("targets", json!({}), Err(BadRelease::NotOneTarget));
    field("targets", json!([]), Err(BadRelease::Field("targets")));
}
#[test]
fn hardware() {
    let many = |n: usize| (0..n).map(|n| format!("t{n}")).collect::<Vec<_>>();
    custom("hardware_ids", json!(many(HARDWARE_IDS_MAX)), Ok(()));
    custom("hardware_ids", json!(many(HARDWARE_IDS_MAX + 1)), Err(BadRelease::TooMuchHardware));
    custom("hardware_ids", json!(["a", "a"]), Err(BadRelease::TooMuchHardware));
    custom("hardware_ids", json!([]), Err(BadRelease::NoHardware));
    custom("hardware_ids", json!(["Type A"]), Err(BadRelease::BadName));
    custom("hardware_ids", json!([1]), Err(BadRelease::Field("hardware_ids")));
    custom("hardware_ids", json!("a"), Err(BadRelease::Field("hardware_ids")));
}
#[test]
fn lengths() {
    for (length, expected) in [(1, Ok(())), (IMAGE_LEN_MAX, Ok(())), (0, Err(BadRelease::BadLength))] {
        shape(|file| target(file)["length"] = json!(length), expected);
    }
    shape(|file| target(file)["length"] = json!(IMAGE_LEN_MAX + 1), Err(BadRelease::BadLength));
}
#[test]
fn digests() {
    for bad in [json!({}), json!({"sha256": "00"}), json!({"sha512": "00"}), json!({"sha256": "g".repeat(64)})] {
        shape(|file| target(file)["hashes"] = bad, Err(BadRelease::BadHash));
    }
    shape(|file| target(file)["hashes"]["sha512"] = json!("00"), Ok(()));
}
#[test]
fn signatures() {
    let many = |n: usize| (0..n).map(|n| json!({"keyid": n.to_string(), "sig": "00"})).collect::<Vec<_>>();
    shape(|file| file["signatures"] = json!(many(SIGNATURES_MAX)), Ok(()));
    shape(|file| file["signatures"] = json!(many(SIGNATURES_MAX + 1)), Err(BadRelease::TooManySignatures));
    let twice = |file: &mut Value| {
        let first = file["signatures"][0].clone();
        file["signatures"].as_array_mut().unwrap().push(first);
    };
    shape(twice, Err(BadRelease::KeyTwice));
    shape(|file| file["signatures"][0]["sig"] = json!("0"), Err(BadRelease::Field("sig")));
    shape(|file| file["signatures"][0]["sig"] = json!("00".repeat(4097)), Err(BadRelease::Field("signatures")));
    shape(|file| file["signatures"][0]["keyid"] = json!("0".repeat(129)), Err(BadRelease::Field("signatures")));
}
#[test]
fn the_longest_file() {
    let mut file = signed(&release(), &image(), &[0]);
    file.resize(METADATA_LEN_MAX, b' ');
    assert!(Metadata::decode(&file).is_ok());
    file.push(b' ');
    assert_eq!(Metadata::decode(&file).map(|_| ()), Err(BadRelease::TooLong));
}

fn verified(file: &[u8], by: &[usize]) -> Result<Metadata<Current>, BadRelease> {
    Metadata::decode(file)?.verify(&keys(by), Threshold::ONE)?.current(now())
}
fn current() -> Metadata<Current> {
    verified(&signed(&release(), &image(), &[0]), &[0]).unwrap()
}

#[test]
fn the_last_second_of_a_release() {
    let at = |s: u64| {
        let file = signed(&release(), &image(), &[0]);
        let verified = Metadata::decode(&file).unwrap().verify(&keys(&[0]), Threshold::ONE).unwrap();
        verified.current(UnixTime::from_s(s)).map(|_| ())
    };
    let end = release().expires.s();
    assert_eq!((at(end - 1), at(end)), (Ok(()), Err(BadRelease::Expired)));
}
#[test]
fn a_signature_of_somebody_else_under_a_known_name() {
    let mut file: Value = serde_json::from_slice(&signed(&release(), &image(), &[1])).unwrap();
    file["signatures"][0]["keyid"] = json!(update::key_id(&key(0).1));
    let found = verified(&serde_json::to_vec(&file).unwrap(), &[0, 1]);
    assert_eq!(found.map(|_| ()), Err(BadRelease::TooFewSignatures));
}
#[test]
fn a_key_identifier_in_capitals_is_another_one() {
    let mut file: Value = serde_json::from_slice(&signed(&release(), &image(), &[0])).unwrap();
    file["signatures"][0]["keyid"] = json!(update::key_id(&key(0).1).to_uppercase());
    let found = verified(&serde_json::to_vec(&file).unwrap(), &[0]);
    assert_eq!(found.map(|_| ()), Err(BadRelease::UnknownSigner));
}
#[test]
fn a_threshold_of_zero_does_not_exist() {
    assert_eq!(Threshold::new(0), None);
}

#[track_caller]
fn flow(image: &[u8], expected: Result<(), BadRelease>) {
    assert_eq!(current().verify_image(&mut &*image).map(|_| ()), expected);
    // The same, octet by octet, and passed on.
    let mut check = current().image_check();
    let fed = image.iter().try_for_each(|octet| check.feed(&[*octet]));
    assert_eq!(fed.and_then(|()| check.finish().map(|_| ())), expected);
    let mut checked = CheckedReader::new(image, current().image_check());
    let read = checked.read_to_end(&mut Vec::new());
    assert_eq!(read.is_err(), expected == Err(BadRelease::ImageTooLong));
    assert_eq!(checked.finish().map(|_| ()), expected);
}

#[test]
fn the_image() {
    flow(&image(), Ok(()));
}
#[test]
fn an_image_with_one_octet_more() {
    flow(&[image(), vec![0]].concat(), Err(BadRelease::ImageTooLong));
}
#[test]
fn an_image_with_one_octet_less() {
    flow(&image()[1..], Err(BadRelease::ImageMismatch));
}
#[test]
fn no_image() {
    flow(&[], Err(BadRelease::ImageMismatch));
}
#[test]
fn another_image() {
    let mut other = image();
    other[4095] ^= 1;
    flow(&other, Err(BadRelease::ImageMismatch));
}
#[test]
fn an_endless_image_is_read_to_one_octet_more() {
    let mut source = std::io::repeat(7).take(1 << 40);
    assert_eq!(current().verify_image(&mut source).map(|_| ()), Err(BadRelease::ImageTooLong));
    assert_eq!((1 << 40) - source.limit(), 4097);
}
#[test]
fn an_image_that_cannot_be_read() {
    struct Broken(std::io::ErrorKind);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
    }
    let read = |kind| current().verify_image(&mut image()[..7].chain(Broken(kind))).map(|_| ());
    assert_eq!(read(std::io::ErrorKind::Other), Err(BadRelease::ImageUnreadable));
    assert_eq!(read(std::io::ErrorKind::InvalidData), Err(BadRelease::ImageMismatch));
}

fn verified_image(octets: &[u8]) -> VerifiedImage<Countersigned> {
    let metadata = signed(&release(), octets, &[0]);
    let sm = verified(&metadata, &[0]).unwrap().verify_image(&mut &*octets).unwrap();
    let statement = Statement::of(&sm, now()).encode();
    let keys = keys(&[0]);
    let terms = Terms { keys: &keys, threshold: Threshold::ONE, now: now(), bundle_age_max_s: 0 };
    let stored = StoredRelease { metadata: &metadata, statement: Some(&statement) };
    stored.verify(&terms).unwrap().verify_image(&mut &*octets).unwrap()
}
#[track_caller]
fn clear(device_type: &DeviceType, floor: u64, expected: Result<u64, BadRelease>) {
    assert_eq!(verified_image(&image()).clear(device_type, floor).map(|c| c.counter()), expected);
}

#[test]
fn cleared_at_the_floor() {
    clear(&device_type("type.b"), 7, Ok(7));
}
#[test]
fn below_the_floor() {
    clear(&device_type("type.b"), 8, Err(BadRelease::RolledBack));
}
#[test]
fn another_device_type() {
    clear(&device_type("type.c"), 0, Err(BadRelease::WrongHardware));
}

/// Reads a cleared image whose store gives something else the second time: how much comes out?
fn reread(signed: &[u8], stored: &[u8]) -> (usize, bool) {
    let verified = verified_image(signed);
    let cleared = verified.clear(&device_type("type.a"), 0).unwrap();
    let mut out = Vec::new();
    let mut reader = cleared.reader(stored);
    let whole = reader.read_to_end(&mut out).is_ok();
    assert!(whole || reader.read(&mut [0; 9]).is_err(), "a reader that failed stays so");
    assert_eq!(out, signed[..out.len()].to_vec());
    (out.len(), whole)
}

#[test]
fn a_cleared_image_is_read_whole() {
    for len in [1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let image = vec![9; len];
        assert_eq!(reread(&image, &image), (len, true));
    }
}
#[test]
fn an_image_altered_since_never_comes_out_whole() {
    let image = vec![9; 200_000];
    let mut altered = image.clone();
    altered[199_999] = 8;
    assert_eq!(reread(&image, &altered), (200_000 - 65_536, false));
    assert_eq!(reread(&image, &image[..199_999]), (200_000 - 65_536, false));
    assert_eq!(reread(&image, &[image.clone(), vec![9]].concat()), (200_000 - 65_536, false));
    assert_eq!(reread(&image, &image[..100_000]), (100_000, false));
}

#[test]
fn two_people_sign_one_after_the_other() {
    let first = signed(&release(), &image(), &[0]);
    let mut draft = Draft::decode(&first).unwrap();
    assert_eq!(draft.release(), &release());
    assert!(draft.describes(Image::measure(&mut image().as_slice()).unwrap()));
    assert!(!draft.describes(Image::measure(&mut [1].as_slice()).unwrap()));
    let second = key(1);
    draft.sign(&second.1, |message| Ok::<_, ()>(second.sign(message))).unwrap();
    let two = Threshold::new(2).unwrap();
    assert!(Metadata::decode(&draft.write()).unwrap().verify(&keys(&[0, 1]), two).is_ok());
    assert!(Metadata::decode(&first).unwrap().verify(&keys(&[0, 1]), two).is_err());
}
#[test]
fn nobody_signs_twice() {
    let mut draft = Draft::decode(&signed(&release(), &image(), &[0])).unwrap();
    let refused = draft.sign(&key(0).1, |_| -> Result<_, ()> { panic!("the key is not asked") });
    assert_eq!(refused, Err(NotSigned::Release(BadRelease::KeyTwice)));
}
#[test]
fn a_false_signature_is_not_added() {
    let mut draft = draft(&release(), &image());
    let refused = draft.sign(&key(0).1, |message| Ok::<_, ()>(key(1).sign(message)));
    assert_eq!(refused, Err(NotSigned::Release(BadRelease::FalseSignature)));
    let refused = draft.sign(&key(0).1, |_| Err("token removed"));
    assert_eq!(refused, Err(NotSigned::Signer("token removed")));
    assert_eq!(draft.write(), support::draft(&release(), &image()).write());
}
#[test]
fn what_could_not_be_read_is_not_written() {
    let image = Image::measure(&mut image().as_slice()).unwrap();
    let with = |change: fn(&mut update::Release)| {
        let mut release = release();
        change(&mut release);
        Draft::new(&release, image).map(|_| ())
    };
    assert_eq!(with(|r| r.hardware_ids.clear()), Err(BadRelease::NoHardware));
    assert_eq!(with(|r| r.metadata_version = 0), Err(BadRelease::Field("version")));
    assert_eq!(with(|r| r.counter = u64::MAX), Err(BadRelease::Field("release_counter")));
}
#[test]
fn an_image_of_nothing_is_not_announced() {
    assert_eq!(Image::measure(&mut std::io::empty()), Err(BadRelease::BadLength));
}
#[test]
fn faults_say_whose_they_are() {
    assert_eq!(Fault::from(BadRelease::UnknownSigner), Fault::Refused(Reason::SignerUnknown));
    assert_eq!(Fault::from(BadRelease::BothInvalid), Fault::Refused(Reason::BothSignaturesInvalid));
    assert_eq!(Fault::from(BadRelease::ImageUnreadable), Fault::unavailable("the image cannot be read"));
    assert_eq!(Fault::from(BadRelease::Field("sig")).to_string(), "malformed: sig in the release metadata");
}
