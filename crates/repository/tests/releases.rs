//! Images with what goes with them: developers' signatures, bills, deltas; and what two roles must say alike.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;

use common::{DAY, NOW, Shop, is_fault, key, published, signer, waits};
use model::UnixTime;
use repository::{Agreement, Delta, Fault, Release};
use serde_json::{Value, json};
use std::io::Cursor;
use std::path::PathBuf;
use update::developer::NotSigned;
use update::papers::{BadPaper, Class};
use update::tuf::BadMetadata;
use update::tuf::write::{Agreeing, Custom, Part, Together};
use update::{Image, Threshold};

/// After the signatures were made.
const LATER: UnixTime = UnixTime::from_s(1_798_761_600);
const IMAGE: &[u8] = b"firmware 1.0\n";

fn read(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../testdata/developers", name].iter().collect();
    std::fs::read(path).unwrap()
}
/// A repository that knows developers.
fn shop() -> Shop {
    let mut shop = Shop::begun();
    shop.now = LATER;
    let mut repository = shop.repository();
    for (name, file) in [("ca", "ca.pem"), ("ci", "dsse-ed25519.pub"), ("frank", "openpgp-frank.asc")] {
        repository.register(&name.parse().unwrap(), &read(file)).unwrap();
    }
    shop
}
fn signed<'a>(by: &[&str]) -> Release<'a> {
    Release { signatures: by.iter().map(|name| read(name)).collect(), ..Release::default() }
}
fn add(shop: &Shop, name: &str, release: Release<'_>) -> Result<repository::Added, Fault> {
    shop.repository().add_release(name, &mut Cursor::new(IMAGE), release, shop.now)
}
/// Every file below the directory, with its octets.
fn all(shop: &Shop) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![shop.dir.path().to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push((path.clone(), std::fs::read(path).unwrap())) }
        }
    }
    files.sort();
    files
}
/// Refused, and nothing has changed.
#[track_caller]
fn refused(shop: &Shop, name: &str, release: Release<'_>, expected: &str) {
    let before = all(shop);
    is_fault(add(shop, name, release), expected);
    assert!(before == all(shop), "something was changed");
}
fn custom(shop: &Shop, name: &str) -> Value {
    let all = shop.repository().announced();
    all.into_iter().find(|one| one.name == name).unwrap().custom
}
fn names(shop: &Shop) -> Vec<String> {
    shop.repository().announced().into_iter().map(|one| one.name).collect()
}
fn bill(digest: &str) -> Vec<u8> {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6",
           "metadata": {"component": {"hashes": [{"alg": "SHA-256", "content": digest}]}}})
    .to_string()
    .into_bytes()
}

#[test]
fn signatures_are_kept_and_referred_to() {
    let shop = shop();
    let own = Custom::of_json(br#"{"release_counter":1}"#).unwrap();
    let release = Release { custom: Some(&own), ..signed(&["cms-two.der", "openpgp-frank.sig", "dsse-ed25519.json"]) };
    let added = add(&shop, "app.img", release).unwrap();
    let who: Vec<&str> = added.developers.iter().map(|(who, _)| who.as_str()).collect();
    assert_eq!(who, ["CN=Alice", "CN=Bob", "frank", "ci"]);
    shop.publish();
    shop.is_right();
    let said = custom(&shop, "app.img");
    assert_eq!(said["release_counter"], 1);
    assert_eq!((&said["developers"][0]["who"], &said["developers"][0]["form"]), (&json!("CN=Alice"), &json!("cms")));
    let reference = &said["attached"]["signature-2"];
    assert_eq!(reference["target"], "app.img.signature-2.sig");
    assert_eq!(reference["sha256"], x509::sha256(&read("openpgp-frank.sig")).to_string());
    let mut device = shop.device();
    assert_eq!(device.get(shop.dir.path(), "app.img", LATER).unwrap(), IMAGE);
    assert_eq!(device.get(shop.dir.path(), "app.img.signature-1.p7s", LATER).unwrap(), read("cms-two.der"));
    assert_eq!(device.get(shop.dir.path(), "app.img.signature-3.json", LATER).unwrap(), read("dsse-ed25519.json"));
}
#[test]
fn what_does_not_verify_changes_nothing() {
    let shop = shop();
    for (file, why) in [
        (
            "cms-expired.der",
            "signature 1: the signer's certificate is not believed: certificate 0 of the path: it has expired",
        ),
        (
            "cms-stranger.der",
            "signature 1: the signer's certificate is not believed: certificate 0 of the path: no issuer of it is known",
        ),
        ("cms-other-image.der", "signature 1: the signature is over another image"),
        ("openpgp-judy.sig", "signature 1: nobody who is registered as a developer made the signature"),
        ("dsse-other-image.json", "signature 1: the signature is over another image"),
        ("firmware.bin", "signature 1: the signature is in no form that is known here: CMS, OpenPGP or DSSE"),
    ] {
        refused(&shop, "app.img", signed(&[file]), why);
    }
    refused(
        &shop,
        "app.img",
        signed(&["cms-p256.der", "openpgp-frank-text.sig"]),
        &format!("signature 2: {}", NotSigned::OverText),
    );
    refused(&shop, "app.img", signed(&["cms-p256.der"; 17]), "signature 17: the signature is longer than any");
}
#[test]
fn so_many_developers_must_sign() {
    let shop = shop();
    add(&shop, "app.img", Release::default()).unwrap();
    shop.repository().require_signatures(2).unwrap();
    refused(&shop, "app.img", Release::default(), "0 developers have signed it, and 2 must");
    let few = "1 developers have signed it, and 2 must";
    refused(&shop, "app.img", signed(&["cms-p256.der"]), few);
    refused(&shop, "app.img", signed(&["cms-p256.der", "cms-p256.der"]), few);
    refused(&shop, "app.img", signed(&["dsse-twice.json", "dsse-ed25519.json"]), few);
    is_fault(shop.repository().add("app.img", &mut Cursor::new(IMAGE), None, None, LATER), &few.replace('1', "0"));
    add(&shop, "app.img", signed(&["cms-p256.der", "openpgp-frank.sig"])).unwrap();
    add(&shop, "app.img", signed(&["cms-two.der"])).unwrap();
    std::fs::write(shop.dir.path().join("developers.json"), "{}").unwrap();
    assert!(matches!(add(&shop, "app.img", Release::default()), Err(Fault::Disk { .. })), "nobody knows how many must");
}
#[test]
fn the_register() {
    let shop = shop();
    let names =
        |shop: &Shop| shop.repository().developers().unwrap().into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(names(&shop), ["ca", "ci", "frank"]);
    let register = |name: &str, octets: &[u8]| shop.repository().register(&name.parse().unwrap(), octets);
    is_fault(register("ca", &read("p256.pem")), r#"nobody new can be registered as "ca""#);
    is_fault(
        register("x", b"text"),
        r#""x": it is no certificate, revocation list, public key in PEM, or one key of OpenPGP"#,
    );
    shop.repository().unregister("ca").unwrap();
    is_fault(shop.repository().unregister("ca"), r#"nobody is registered as "ca""#);
    is_fault(shop.repository().unregister("../settings.json"), r#"nobody is registered as "../settings.json""#);
    assert_eq!(names(&shop), ["ci", "frank"]);
    assert!(add(&shop, "app.img", signed(&["cms-p256.der"])).is_err());
    // What a crash left half is none of them.
    std::fs::write(shop.dir.path().join("developers/.new-eve"), b"half").unwrap();
    assert_eq!(shop.repository().repaired(), ["developers/.new-eve"]);
    assert_eq!(names(&shop), ["ci", "frank"]);
    // A file that is damaged is not passed over: it may say who is revoked.
    std::fs::write(shop.dir.path().join("developers/frank"), b"damaged").unwrap();
    assert!(matches!(add(&shop, "app.img", Release::default()), Err(Fault::BadDeveloper { .. })));
}
#[test]
fn papers_go_along() {
    let shop = shop();
    let digest = x509::sha256(IMAGE).to_string();
    let mut delta = Cursor::new(b"\x28\xb5\x2f\xfd and more".to_vec());
    let base = Image::measure(&mut &b"firmware 0.9\n"[..]).unwrap();
    let release = Release {
        sbom: Some(bill(&digest)),
        vex: Some(br#"{"@context":"https://openvex.dev/ns/v0.2.0","statements":[]}"#.to_vec()),
        provenance: Some(read("dsse-ed25519.json")),
        delta: Some(Delta { source: &mut delta, base }),
        class: Some(Class::Security),
        support_end: Some(NOW.plus_s(DAY)),
        ..Release::default()
    };
    add(&shop, "dir/app.img", release).unwrap();
    shop.publish();
    shop.is_right();
    let said = custom(&shop, "dir/app.img");
    assert_eq!((&said["class"], &said["support_end"]), (&json!("security"), &json!("2026-09-22T14:13:20Z")));
    let formats: Vec<&str> =
        said["attached"].as_object().unwrap().values().map(|one| one["format"].as_str().unwrap()).collect();
    assert_eq!(formats, ["zstd --patch-from", "SLSA v1", "CycloneDX 1.6", "OpenVEX"]);
    assert_eq!(said["attached"]["delta"]["base"], json!({"length": 13, "sha256": base.digest}));
    let mut device = shop.device();
    assert_eq!(device.get(shop.dir.path(), "dir/app.img.sbom.json", LATER).unwrap(), bill(&digest));
    assert_eq!(device.get(shop.dir.path(), "dir/app.img.delta.zst", LATER).unwrap(), delta.into_inner());
    // The next one has no papers: the old ones go with the old image.
    add(&shop, "dir/app.img", Release::default()).unwrap();
    shop.publish();
    assert_eq!(names(&shop), ["dir/app.img"]);
    shop.is_right();
}
#[test]
fn papers_that_are_refused() {
    let shop = shop();
    let other = "b".repeat(64);
    let sbom = |octets: Vec<u8>| Release { sbom: Some(octets), ..Release::default() };
    refused(&shop, "a", sbom(bill(&other)), "the bill of materials: it is about another image");
    refused(&shop, "a", sbom(b"<bom/>".to_vec()), &format!("the bill of materials: {}", BadPaper::NotJson));
    let vex = Release { vex: Some(b"{}".to_vec()), ..Release::default() };
    refused(&shop, "a", vex, "the statement on vulnerabilities: it is in no format that is known here");
    for (file, why) in [
        ("dsse-stranger.json", NotSigned::UnknownSigner),
        ("dsse-other-image.json", NotSigned::OtherImage),
        ("dsse-not-in-toto.json", NotSigned::NoStatement),
    ] {
        let release = Release { provenance: Some(read(file)), ..Release::default() };
        refused(&shop, "a", release, &format!("the provenance: {why}"));
    }
    let base = Image::measure(&mut &b"firmware 0.9\n"[..]).unwrap();
    for octets in [&b""[..], b"not a delta"] {
        let mut source = Cursor::new(octets);
        let release = Release { delta: Some(Delta { source: &mut source, base }), ..Release::default() };
        refused(&shop, "a", release, "the delta: it does not begin as what zstd writes");
    }
    let own = Custom::of_json(br#"{"developers":[]}"#).unwrap();
    let release = Release { custom: Some(&own), ..Release::default() };
    refused(&shop, "a", release, "developers is said by the repository itself");
}
#[test]
fn names_that_are_taken() {
    let shop = shop();
    let sbom = || Release { sbom: Some(bill(&x509::sha256(IMAGE).to_string())), ..Release::default() };
    add(&shop, "a.sbom.json", Release::default()).unwrap();
    refused(&shop, "a", sbom(), r#"something else is called "a.sbom.json""#);
    shop.repository().remove("a.sbom.json", LATER).unwrap();
    add(&shop, "a", sbom()).unwrap();
    refused(&shop, "a.sbom.json", Release::default(), r#"something else is called "a.sbom.json""#);
    // Its own is replaced; and a name that is too long with its ending is none.
    add(&shop, "a", sbom()).unwrap();
    assert_eq!(names(&shop), ["a", "a.sbom.json"]);
    let long = "x".repeat(repository::NAME_LEN_MAX - 3);
    refused(&shop, &long, sbom(), &format!("no target can be called \"{long}.sbom.json\" here"));
    shop.repository().remove("a", LATER).unwrap();
    assert_eq!(names(&shop), Vec::<String>::new());
}
// Who may write a role's metadata elsewhere cannot have another's image taken away by referring to it.
#[test]
fn what_is_called_otherwise_does_not_go_along() {
    let shop = shop();
    add(&shop, "other", Release::default()).unwrap();
    let own = json!({"attached": {"sbom": {"target": "other"}}}).to_string();
    let mut repository = shop.repository();
    is_fault(
        repository.add("a", &mut Cursor::new(IMAGE), Some(&Custom::of_json(own.as_bytes()).unwrap()), None, LATER),
        "attached is said by the repository itself",
    );
    drop(repository);
    // As a supplier would write it himself.
    let path = shop.dir.path().join("staged/targets.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut about = file["signed"]["targets"]["other"].clone();
    about["custom"] = serde_json::from_str(&own).unwrap();
    file["signed"]["targets"]["a"] = about;
    std::fs::write(&path, file.to_string()).unwrap();
    shop.repository().remove("a", LATER).unwrap();
    assert_eq!(names(&shop), ["other"]);
}

fn together(roles: &[(&str, &std::sync::Arc<dyn ports::Signer>)]) -> Together {
    let agreeing = |(name, by): &(&str, &std::sync::Arc<dyn ports::Signer>)| Agreeing {
        name: (*name).to_owned(),
        keys: vec![key(by)],
        threshold: Threshold::ONE,
    };
    Together {
        name: "sensors".into(),
        part: Part::Patterns(vec!["sensor/*".into()]),
        terminating: true,
        in_agreement_min: 2,
        roles: roles.iter().map(agreeing).collect(),
    }
}
fn agreement<'a>(not_before: Option<UnixTime>, not_after: Option<UnixTime>) -> Agreement<'a> {
    Agreement { target: "sensor/app", role: "integrator", with: "maker", not_before, not_after }
}
#[test]
fn two_roles_must_say_the_same() {
    let shop = Shop::begun();
    let (maker, integrator) = (signer(), signer());
    let both = together(&[("maker", &maker), ("integrator", &integrator)]);
    is_fault(
        shop.repository().delegate_together("targets", &together(&[("maker", &maker), ("integrator", &maker)]), NOW),
        &format!("staged/targets.json: {}", BadMetadata::SharedKey),
    );
    shop.repository().delegate_together("targets", &both, NOW).unwrap();
    let keyring = [shop.keyring(), vec![maker, integrator]].concat();
    let publish = |now| {
        let done = shop.repository().publish(&keyring, now, repository::OldKeys::Sign).unwrap();
        assert_eq!(done.waiting, []);
    };
    let sbom = Some(bill(&x509::sha256(IMAGE).to_string()));
    let release = Release { role: Some("maker"), sbom, ..Release::default() };
    add(&shop, "sensor/app", release).unwrap();
    publish(NOW);
    let mut device = shop.device();
    let dir = shop.dir.path();
    assert_eq!(device.get(dir, "sensor/app", NOW), Err(BadMetadata::NotAgreed));
    let wrong = shop.repository().verify(NOW).unwrap();
    assert!(wrong[0].to_string().contains("fewer roles than must say the same"), "{wrong:?}");
    is_fault(
        shop.repository().agree(&Agreement { target: "sensor/none", ..agreement(None, None) }, NOW),
        r#"no role announces "sensor/none""#,
    );
    let names = shop.repository().agree(&agreement(Some(NOW.plus_s(DAY)), Some(NOW.plus_s(2 * DAY))), NOW).unwrap();
    assert_eq!(names, ["sensor/app", "sensor/app.sbom.json"]);
    publish(NOW);
    assert_eq!(device.get(dir, "sensor/app", NOW), Err(BadMetadata::TooEarly));
    assert_eq!(device.get(dir, "sensor/app", NOW.plus_s(DAY)).unwrap(), IMAGE);
    assert!(device.get(dir, "sensor/app.sbom.json", NOW.plus_s(DAY)).is_ok());
    assert_eq!(device.get(dir, "sensor/app", NOW.plus_s(2 * DAY + 1)), Err(BadMetadata::TooLate));
    // Another image of the maker is not what the integrator has agreed with.
    let mut other = Cursor::new(b"another".to_vec());
    shop.repository().add("sensor/app", &mut other, None, Some("maker"), NOW).unwrap();
    publish(NOW);
    assert_eq!(device.get(dir, "sensor/app", NOW.plus_s(DAY)), Err(BadMetadata::NotAgreed));
    shop.repository().agree(&agreement(None, None), NOW).unwrap();
    publish(NOW);
    assert_eq!(device.get(dir, "sensor/app", NOW).unwrap(), b"another");
    shop.is_right();
}
/// What is for hardware that demands two signatures.
fn for_gateways(role: &str) -> Release<'_> {
    static CUSTOM: std::sync::LazyLock<Custom> =
        std::sync::LazyLock::new(|| Custom::of_json(br#"{"hardware_ids":["sensor.a","gateway"]}"#).unwrap());
    Release { custom: Some(&CUSTOM), role: Some(role), ..Release::default() }
}
#[test]
fn hardware_that_demands_two_signatures() {
    let shop = Shop::begun();
    let (maker, integrator) = (signer(), signer());
    let both = together(&[("maker", &maker), ("integrator", &integrator)]);
    let keyring = [shop.keyring(), vec![maker, integrator]].concat();
    let publish = || shop.repository().publish(&keyring, NOW, repository::OldKeys::Sign).unwrap();
    // What is published before is not held to it.
    add(&shop, "early", for_gateways("targets")).unwrap();
    assert_eq!(publish().waiting, []);
    let gateway = "gateway".parse().unwrap();
    shop.repository().demand(&gateway, 2).unwrap();
    let alone = "2 roles must say the same of what is for gateway, and targets is not asked together with so many";
    refused(&shop, "sensor/app", for_gateways("targets"), alone);
    // Other hardware demands nothing.
    let other = Custom::of_json(br#"{"hardware_ids":["sensor.a"]}"#).unwrap();
    add(&shop, "other", Release { custom: Some(&other), ..Release::default() }).unwrap();
    shop.repository().delegate_together("targets", &both, NOW).unwrap();
    assert_eq!(publish().waiting.len(), 0);
    add(&shop, "sensor/app", for_gateways("maker")).unwrap();
    let done = publish();
    let said = |said| {
        Some(repository::Why::Agreement { target: "sensor/app".into(), hardware: gateway.clone(), said, demanded: 2 })
    };
    assert_eq!((waits(&done, "maker"), published(&done)), (said(1), vec![]));
    // Neither does a timer publish it.
    let renewed = shop.repository().renew(&keyring, NOW, 2 * 366 * DAY).unwrap();
    assert_eq!(waits(&renewed, "maker"), said(1));
    assert!(published(&renewed).iter().any(|(role, _)| *role == "targets"), "what was published was not renewed");
    shop.repository().agree(&agreement(None, None), NOW).unwrap();
    assert_eq!(publish().waiting, []);
    assert_eq!(shop.device().get(shop.dir.path(), "sensor/app", NOW).unwrap(), IMAGE);
    // Another image of the maker: what the integrator said of the one before does not count.
    shop.repository()
        .add("sensor/app", &mut Cursor::new(b"other"), for_gateways("x").custom, Some("maker"), NOW)
        .unwrap();
    assert_eq!(waits(&publish(), "maker"), said(1));
    shop.repository().demand(&gateway, 1).unwrap();
    assert_eq!(publish().waiting, []);
}
#[test]
fn one_of_two_that_suffice_is_not_two() {
    let shop = Shop::begun();
    let (maker, integrator) = (signer(), signer());
    let mut both = together(&[("maker", &maker), ("integrator", &integrator)]);
    both.in_agreement_min = 1;
    shop.repository().delegate_together("targets", &both, NOW).unwrap();
    shop.repository().demand(&"gateway".parse().unwrap(), 2).unwrap();
    let alone = "2 roles must say the same of what is for gateway, and maker is not asked together with so many";
    refused(&shop, "sensor/app", for_gateways("maker"), alone);
    // A demand that cannot be read is not none.
    std::fs::write(shop.dir.path().join("demands.json"), "{").unwrap();
    assert!(add(&shop, "sensor/app", for_gateways("maker")).is_err());
}
#[test]
fn one_of_two_gets_another_key() {
    let shop = Shop::begun();
    let (maker, integrator, next) = (signer(), signer(), signer());
    let both = together(&[("maker", &maker), ("integrator", &integrator)]);
    shop.repository().delegate_together("targets", &both, NOW).unwrap();
    shop.repository().add("sensor/app", &mut Cursor::new(IMAGE), None, Some("maker"), NOW).unwrap();
    shop.repository().agree(&agreement(None, None), NOW).unwrap();
    let rotation =
        repository::Rotation { add: vec![key(&next)], remove: vec![key(&integrator).id().to_owned()], threshold: None };
    shop.repository().rotate("integrator", &rotation, NOW).unwrap();
    let keyring = [shop.keyring(), vec![maker, next]].concat();
    let done = shop.repository().publish(&keyring, NOW, repository::OldKeys::Sign).unwrap();
    assert_eq!(done.waiting, []);
    assert_eq!(shop.device().get(shop.dir.path(), "sensor/app", NOW).unwrap(), IMAGE);
    assert_eq!(shop.repository().withdraw("integrator", NOW).unwrap(), ["targets"]);
    shop.repository().publish(&shop.keyring(), NOW, repository::OldKeys::Sign).unwrap();
    assert_eq!(shop.device().get(shop.dir.path(), "sensor/app", NOW), Err(BadMetadata::NoTarget));
}
