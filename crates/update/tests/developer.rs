//! Developers' signatures as OpenSSL, GnuPG and securesystemslib make them, and everything that must not pass for one.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use model::UnixTime;
use model::octets::hex;
use std::path::PathBuf;
use update::developer::{BadDeveloper, Form, ImageHashes, Kind, NotSigned, REGISTERED_MAX, Registered, count, verify};
use x509::path::{Disbelief, PathFault};

/// 2027-01-01: after all of them were made.
const NOW: UnixTime = UnixTime::from_s(1_798_761_600);

fn read(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../testdata/developers", name].iter().collect();
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
fn hashes(octets: &[u8]) -> ImageHashes {
    ImageHashes::measure(&mut &octets[..]).unwrap()
}
fn image() -> ImageHashes {
    hashes(&read("firmware.bin"))
}
fn registered(names: &[&str]) -> Registered {
    let mut all = Registered::default();
    for name in names {
        all.add(name.split('.').next().unwrap(), &read(name)).unwrap();
    }
    all
}
const ALL: [&str; 9] = [
    "ca.pem",
    "dsse-ed25519.pub",
    "dsse-p256.pub",
    "openpgp-frank.asc",
    "openpgp-grace.asc",
    "openpgp-heidi.asc",
    "openpgp-ivan.asc",
    "openpgp-kim.asc",
    "openpgp-lena.asc",
];
fn by(who: &Registered, file: &str, image: &ImageHashes, now: UnixTime) -> Result<Vec<String>, NotSigned> {
    let vouched = verify(&read(file), image, who, now)?;
    let ending = match vouched.form() {
        Form::Cms => "cms-",
        Form::OpenPgp => "openpgp-",
        Form::Dsse => "dsse-",
    };
    assert!(file.starts_with(ending), "{file} is {:?}", vouched.form());
    assert!(vouched.developers().all(|one| one.key().len() == 64));
    Ok(vouched.developers().map(|one| one.who().to_owned()).collect())
}
#[track_caller]
fn taken(file: &str, expected: &[&str]) {
    assert_eq!(by(&registered(&ALL), file, &image(), NOW), Ok(expected.iter().map(|who| (*who).to_owned()).collect()));
    // The same file vouches for nothing else.
    let other = by(&registered(&ALL), file, &hashes(b"firmware 1.2\n"), NOW);
    assert_eq!(other, Err(NotSigned::OtherImage), "{file}");
}
#[track_caller]
fn refused(file: &str, expected: NotSigned) {
    assert_eq!(by(&registered(&ALL), file, &image(), NOW), Err(expected), "{file}");
}
fn disbelieved(fault: PathFault) -> NotSigned {
    NotSigned::Disbelieved(Disbelief { fault, depth: 0 })
}

#[test]
fn cms_by_openssl() {
    taken("cms-p256.der", &["CN=Alice"]);
    taken("cms-p384.der", &["CN=Carol"]);
    taken("cms-rsa.der", &["CN=Bob"]);
    taken("cms-rsa-pss.der", &["CN=Bob"]);
    taken("cms-key-identifier.der", &["CN=Alice"]);
    taken("cms-two.der", &["CN=Alice", "CN=Bob"]);
}
#[test]
fn cms_by_a_certificate_that_is_registered_itself() {
    let alice = registered(&["p256.pem"]);
    for file in ["cms-p256.der", "cms-no-certificate.der", "cms-key-identifier.der"] {
        assert_eq!(by(&alice, file, &image(), NOW), Ok(vec!["p256".to_owned()]), "{file}");
    }
    assert_eq!(
        by(&alice, "cms-two.der", &image(), NOW),
        Ok(vec!["p256".to_owned()]),
        "the other one counts for nothing"
    );
    // What is registered itself needs no purpose, and lasts no longer for it.
    assert_eq!(by(&registered(&["server.pem"]), "cms-server.der", &image(), NOW), Ok(vec!["server".to_owned()]));
    let dora = registered(&["expired.pem"]);
    assert_eq!(by(&dora, "cms-expired.der", &image(), NOW), Err(disbelieved(PathFault::Expired)));
    let before = UnixTime::from_s(1_767_225_599);
    assert_eq!(by(&dora, "cms-expired.der", &image(), before), Err(disbelieved(PathFault::NotYetValid)));
}
#[test]
fn cms_that_is_refused() {
    refused("cms-expired.der", disbelieved(PathFault::Expired));
    refused("cms-server.der", disbelieved(PathFault::WrongPurpose));
    refused("cms-plain.der", NotSigned::WrongUse);
    refused("cms-stranger.der", disbelieved(PathFault::NoIssuer));
    refused("cms-missing-authority.der", disbelieved(PathFault::NoIssuer));
    refused("cms-no-certificate.der", NotSigned::NoCertificate);
    refused("cms-cipher.der", NotSigned::WrongUse);
    refused("cms-attached.der", NotSigned::Attached);
    refused("cms-without-attributes.der", NotSigned::NoAttributes);
    refused("cms-sha1.der", NotSigned::UnknownAlgorithm);
    refused("cms-other-image.der", NotSigned::OtherImage);
}
#[test]
fn cms_by_whom_a_list_revokes() {
    let with_list = registered(&["ca.pem", "revoked.crl"]);
    let revoked = NotSigned::Disbelieved(Disbelief {
        fault: PathFault::Revoked(model::contract::authority::RevocationReason::Unspecified),
        depth: 0,
    });
    assert_eq!(by(&with_list, "cms-p256.der", &image(), NOW), Err(revoked));
    assert_eq!(by(&with_list, "cms-p384.der", &image(), NOW), Ok(vec!["CN=Carol".to_owned()]));
    // Whose authority has no list here is not known to be good.
    assert_eq!(by(&with_list, "cms-rsa.der", &image(), NOW), Err(disbelieved(PathFault::CrlMissing)));
}
#[test]
fn cms_to_the_last_second_of_the_certificate() {
    let last = UnixTime::from_s(1_769_904_000);
    assert_eq!(by(&registered(&ALL), "cms-expired.der", &image(), last), Ok(vec!["CN=Dora".to_owned()]));
    let after = UnixTime::from_s(1_769_904_001);
    let late = by(&registered(&ALL), "cms-expired.der", &image(), after);
    assert_eq!(late, Err(disbelieved(PathFault::Expired)));
}
#[test]
fn cms_by_whom_nobody_registered() {
    for none in [&[][..], &["other-ca.pem"], &["p384.pem"], &["dsse-p256.pub", "openpgp-frank.asc"]] {
        let refused = by(&registered(none), "cms-p256.der", &image(), NOW);
        assert_eq!(refused, Err(disbelieved(PathFault::NoIssuer)), "{none:?}");
    }
}
// The signature of one signer, in the place of another's: the certificate is believed, and the key did not sign.
#[test]
fn cms_that_was_altered() {
    let mut octets = read("cms-p256.der");
    *octets.last_mut().unwrap() ^= 1;
    assert_eq!(verify(&octets, &image(), &registered(&ALL), NOW), Err(NotSigned::DoesNotHold));
    // The digest in the attributes is exchanged for that of another image: the attributes are what is signed.
    let other = hashes(b"firmware 1.2\n");
    let [mine, theirs] = [image(), other.clone()].map(|hashes| *hashes.image().digest.octets());
    let mut octets = read("cms-p256.der");
    let at = octets.windows(32).position(|window| window == mine).unwrap();
    octets[at..at + 32].copy_from_slice(&theirs);
    assert_eq!(verify(&octets, &other, &registered(&ALL), NOW), Err(NotSigned::DoesNotHold));
}

#[test]
fn openpgp_by_gnupg() {
    taken("openpgp-frank.sig", &["openpgp-frank"]);
    taken("openpgp-frank-armored.sig", &["openpgp-frank"]);
    taken("openpgp-grace-sha512.sig", &["openpgp-grace"]);
    taken("openpgp-heidi.sig", &["openpgp-heidi"]);
    taken("openpgp-ivan-subkey.sig", &["openpgp-ivan"]);
    let frank = registered(&["openpgp-frank.pgp"]);
    assert_eq!(by(&frank, "openpgp-frank.sig", &image(), NOW), Ok(vec!["openpgp-frank".to_owned()]));
}
#[test]
fn openpgp_that_is_refused() {
    refused("openpgp-judy.sig", NotSigned::UnknownSigner);
    refused("openpgp-grace-sha1.sig", NotSigned::UnknownAlgorithm);
    refused("openpgp-frank-text.sig", NotSigned::OverText);
    refused("openpgp-frank-other-image.sig", NotSigned::OtherImage);
    refused("openpgp-frank-attached.sig", NotSigned::Attached);
    refused("openpgp-kim-expired.sig", NotSigned::KeyExpired);
    refused("openpgp-lena-revoked.sig", NotSigned::KeyRevoked);
}
#[test]
fn openpgp_in_its_time() {
    let kim = registered(&["openpgp-kim.asc"]);
    let at = |now| by(&kim, "openpgp-kim-expired.sig", &image(), UnixTime::from_s(now));
    // The key was made on 2026-01-02 and lasts for 30 days; it signed the day after.
    assert_eq!(at(1_767_398_400), Ok(vec!["openpgp-kim".to_owned()]));
    assert_eq!(at(1_767_398_399), Err(NotSigned::FromTheFuture));
    assert_eq!(at(1_767_312_000 + 30 * 86_400 - 1), Ok(vec!["openpgp-kim".to_owned()]));
    assert_eq!(at(1_767_312_000 + 30 * 86_400), Err(NotSigned::KeyExpired));
}
#[test]
fn openpgp_that_was_altered() {
    let frank = registered(&ALL);
    let whole = read("openpgp-frank.sig");
    for at in [whole.len() - 1, whole.len() - 40, 20] {
        let mut octets = whole.clone();
        octets[at] ^= 1;
        assert!(verify(&octets, &image(), &frank, NOW).is_err(), "octet {at}");
    }
    // One signature and something behind it is not one signature.
    let twice = [whole.as_slice(), &whole].concat();
    assert_eq!(verify(&twice, &image(), &frank, NOW), Err(NotSigned::Malformed(Form::OpenPgp)));
}
// A subkey's own signature over the primary key is taken away: anybody could have put the subkey there.
#[test]
fn a_subkey_that_does_not_say_whose_it_is() {
    let mut ivan = pem_of(&read("openpgp-ivan.asc"));
    let at = ivan.windows(3).rposition(|window| window == [117 + 1, 32, 4]).expect("the embedded signature");
    ivan[at + 1] = 100;
    assert_eq!(Registered::default().add("ivan", &ivan), Err(BadDeveloper::NoSigningKey));
}
// The name or the certification of a key is altered: it does not vouch for itself.
#[test]
fn a_key_that_does_not_vouch_for_itself() {
    let mut frank = read("openpgp-frank.pgp");
    let at = frank.windows(5).position(|window| window == b"Frank").unwrap();
    frank[at] = b'H';
    assert_eq!(Registered::default().add("frank", &frank), Err(BadDeveloper::NoSigningKey));
}
fn pem_of(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    let lines = text.lines().skip_while(|line| !line.is_empty()).take_while(|line| !line.starts_with('='));
    model::octets::from_base64(lines.collect::<String>().as_bytes()).unwrap()
}

#[test]
fn dsse_by_securesystemslib() {
    taken("dsse-ed25519.json", &["dsse-ed25519"]);
    taken("dsse-p256.json", &["dsse-p256"]);
    taken("dsse-both.json", &["dsse-ed25519", "dsse-p256"]);
    taken("dsse-stranger-and-known.json", &["dsse-ed25519"]);
}
#[test]
fn dsse_that_is_refused() {
    refused("dsse-stranger.json", NotSigned::UnknownSigner);
    refused("dsse-other-image.json", NotSigned::OtherImage);
    refused("dsse-other-type.json", NotSigned::NoStatement);
    refused("dsse-not-in-toto.json", NotSigned::NoStatement);
}
#[test]
fn dsse_that_repeats_a_signature_has_one_signer() {
    taken("dsse-twice.json", &["dsse-ed25519"]);
    let who = registered(&ALL);
    let all: Vec<_> = ["dsse-twice.json", "dsse-ed25519.json", "dsse-both.json", "openpgp-frank.sig"]
        .iter()
        .map(|file| verify(&read(file), &image(), &who, NOW).unwrap())
        .collect();
    assert_eq!([count(&all[..1]), count(&all[..2]), count(&all[..3]), count(&all)], [1, 1, 2, 3]);
}
#[test]
fn dsse_with_more_signatures_than_anybody_makes() {
    let mut envelope: serde_json::Value = serde_json::from_slice(&read("dsse-ed25519.json")).unwrap();
    let one = envelope["signatures"][0].clone();
    let with = |envelope: &mut serde_json::Value, count| {
        envelope["signatures"] = serde_json::Value::Array(vec![one.clone(); count]);
        verify(envelope.to_string().as_bytes(), &image(), &registered(&ALL), NOW).map(|_| ())
    };
    assert_eq!(with(&mut envelope, 16), Ok(()));
    assert_eq!(with(&mut envelope, 17), Err(NotSigned::Malformed(Form::Dsse)));
}
// Two readers of JSON could take two different digests out of it.
#[test]
fn dsse_whose_fields_stand_twice() {
    let text = String::from_utf8(read("dsse-ed25519.json")).unwrap();
    let twice = text.replacen('{', r#"{"payloadType": "text/plain", "#, 1);
    assert_eq!(verify(twice.as_bytes(), &image(), &registered(&ALL), NOW), Err(NotSigned::Malformed(Form::Dsse)));
}

#[test]
fn what_is_no_signature() {
    for octets in [&b""[..], b"a text", b"-----BEGIN CERTIFICATE-----", b"{", b"\x30", b"\x88", b"[]"] {
        let refused = verify(octets, &image(), &registered(&ALL), NOW).unwrap_err();
        assert!(matches!(refused, NotSigned::Malformed(_) | NotSigned::UnknownForm), "{}: {refused}", hex(octets));
    }
    let long = vec![b'{'; update::developer::SIGNATURE_LEN_MAX + 1];
    assert_eq!(verify(&long, &image(), &registered(&ALL), NOW), Err(NotSigned::TooLong));
}
#[test]
fn who_is_registered() {
    let mut all = Registered::default();
    for (file, kind) in [
        ("ca.pem", Kind::Authority),
        ("p256.pem", Kind::Certificate),
        ("dsse-p256.pub", Kind::Key),
        ("openpgp-grace.asc", Kind::OpenPgp),
        ("openpgp-frank.pgp", Kind::OpenPgp),
    ] {
        assert_eq!(all.add(file, &read(file)), Ok(kind), "{file}");
    }
    for file in ["firmware.bin", "cms-p256.der", "openpgp-frank.sig", "dsse-both.json"] {
        assert_eq!(all.add(file, &read(file)), Err(BadDeveloper::UnknownForm), "{file}");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/lists/openssl-3.0.19-rsa1024.spki.der");
    let weak = x509::pem::encode("PUBLIC KEY", &std::fs::read(path).unwrap());
    assert_eq!(all.add("weak", weak.as_bytes()), Err(BadDeveloper::WeakKey));
    assert_eq!(Registered::default().add("list", &read("revoked.crl")), Ok(Kind::RevocationList));
    let two = [read("openpgp-frank.pgp"), read("openpgp-frank.pgp")].concat();
    assert_eq!(all.add("two", &two), Err(BadDeveloper::UnknownForm));
    for n in 5..REGISTERED_MAX {
        assert!(all.add(&n.to_string(), &read("p384.pem")).is_ok(), "{n}");
    }
    assert_eq!(all.add("one more", &read("p384.pem")), Err(BadDeveloper::TooMany));
}
