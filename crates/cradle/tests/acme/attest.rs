//! Keys that a TPM attests: `device-attest-01`.

use crate::hand::{Client, Got, identifier, new_key};
use crate::site::{Site, Up};
use crate::tpm::{Kind, Said, Tpm, object, voucher};
use model::octets::base64url;
use ports::Signer;
use serde_json::{Value, json};
use x509::{Name, csr, sha256};

const PROFILE: &str = r#"
description = "A device whose key is in its TPM."
subject_kind = "device"
issuers = ["factory"]
key_types = ["p256", "ed25519", "rsa2048"]
ra_verified = false
subject = [{ type = "O", value = "{organization}" }, { type = "serialNumber", value = "{serial}" }]
subject_alt_name = [{ permanent_identifier = "{serial}" }]
[validity]
lifetime_s = 7_776_000
backdate_s = 300
issuer_expiry = "shorten"
[extensions]
key_usage = ["digital-signature"]
extended_key_usage = ["client-auth"]
"#;
/// As a key is that never leaves.
const FIXED: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
const PURPOSE: &str = "extendedKeyUsage=2.23.133.8.3\n";

/// A site that believes `maker`, and nobody else.
fn site(name: &str) -> Site {
    let site = Site::new(name);
    voucher(&site.b, "maker");
    voucher(&site.b, "stranger");
    let settings = site.b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let roots = site.b.dir.join("maker.pem");
    let more = format!(
        "[gateway.acme.tpms]\nprofile = \"attested\"\nattestation_roots = {roots:?}\n\
                        [gateway.acme.nobodys]\nprofile = \"attested\"\n"
    );
    std::fs::write(settings, before.replace("[gateway.validation]", &format!("{more}[gateway.validation]"))).unwrap();
    std::fs::write(site.b.data().join("profiles/attested.toml"), PROFILE).unwrap();
    site
}

fn allow(site: &Site, serial: &str) -> String {
    let said = site.b.json(&["device", "allow", serial, "--secret", "--profile", "attested"]);
    said["eab_hmac_key"].as_str().unwrap().to_owned()
}

fn client<'u>(up: &'u Up<'u>, serial: &str, key: &str) -> Client<'u> {
    let mut client = Client { label: "tpms", ..Client::new(up) };
    client.kid = Some(client.register(serial, key).went().field("location").unwrap().to_owned());
    client
}

fn order(client: &Client<'_>, value: &str) -> Got {
    client.post("new-order", &json!({"identifiers": [{"type": "permanent-identifier", "value": value}]}))
}

/// A new order, and what its key authorisation is with SHA-256.
fn begun(client: &Client<'_>) -> (Value, String, Vec<u8>) {
    let order = order(client, "SN000001").went().json();
    let (url, token) = client.challenge(&order, "device-attest-01");
    let wanted = sha256(client.key_authorization(&token).as_bytes()).octets().to_vec();
    (order, url, wanted)
}

fn sent(client: &Client<'_>, url: &str, attestation: &[u8]) -> Value {
    client.post_to(url, &json!({"attObj": base64url(attestation)}).to_string()).went().json()
}

#[test]
fn a_key_in_a_tpm_is_certified_for_the_device_that_has_it() {
    certified("acme-tpm", Kind::Ecc);
}
#[test]
fn and_so_is_one_of_rsa() {
    certified("acme-tpm-rsa", Kind::Rsa);
}

fn certified(name: &str, kind: Kind) {
    let site = site(name);
    let tpm = Tpm::new(&site.b, "tpm", kind);
    let key = allow(&site, "SN000001");
    let up = site.up();
    let client = client(&up, "SN000001", &key);
    let (order, url, wanted) = begun(&client);
    let own = tpm.key(FIXED);
    let certificate = tpm.certified("maker", PURPOSE);
    let said = sent(&client, &url, &object(&tpm.certify(&wanted), &[&certificate]));
    assert_eq!(said["status"], "valid", "{said}");
    // Nobody else's key, although the account is the right one.
    let other = new_key();
    let info = csr::write_info(&Name::write(&[]), other.public_key(), &[]);
    let other = csr::write_signed(&info, other.algorithm(), &other.sign(&info).unwrap());
    let refused = client.finalise(&order, &json!({ "csr": base64url(&other) }));
    refused.is("badCSR", 400);
    let refused = refused.identifier();
    let done = client.finalise(&order, &tpm.request(&own)).went().json();
    assert_eq!(done["status"], "valid", "{done}");
    let chain = client.ask(done["certificate"].as_str().unwrap()).went().body;
    site.b.write("device.pem", &chain);
    up.down();
    site.why(&refused, "key-not-attested");
    let shown = crate::common::foreign(
        &site.b.dir,
        "openssl",
        &["x509", "-in", "device.pem", "-noout", "-text", "-ext", "subjectAltName"],
    );
    assert!(shown.contains("serialNumber = SN000001") && shown.contains("othername"), "{shown}");
    crate::common::foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "device.pem"]);
    let read = x509::Certificate::decode(&crate::hand::leaf(&crate::common::text(&chain))).unwrap();
    assert_eq!(read.tbs().subject_public_key, own);
    let names = read.tbs().extension(x509::oids::SUBJECT_ALT_NAME).unwrap();
    let names = x509::extension::decode_subject_alt_name(&names.value).unwrap();
    assert_eq!(names, [x509::extension::GeneralName::permanent_identifier("SN000001")]);
    assert!(site.b.ok(&["explain", "SN000001"]).contains("device-attest-01"));
    site.b.sound();
}

#[test]
fn attestations_that_prove_nothing() {
    let site = site("acme-tpm-attacks");
    let tpm = Tpm::new(&site.b, "tpm", Kind::Ecc);
    let other = Tpm::new(&site.b, "other", Kind::Ecc);
    let key = allow(&site, "SN000001");
    let (third, fourth) = (allow(&site, "SN000003"), site.allow("SN000004"));
    let up = site.up();
    let client = client(&up, "SN000001", &key);
    tpm.key(FIXED);
    other.key(FIXED);
    let right = tpm.certified("maker", PURPOSE);
    let strange = tpm.certified("stranger", PURPOSE);
    let without = tpm.certified("maker", "");
    let for_tls = tpm.certified("maker", "extendedKeyUsage=clientAuth\n");
    let of_other = other.certified("maker", PURPOSE);
    let mut refused = Vec::new();
    let mut ask = |code: &'static str, made: &dyn Fn(&[u8]) -> Vec<u8>| {
        let (_, url, wanted) = begun(&client);
        let said = sent(&client, &url, &made(&wanted));
        assert_eq!(said["status"], "invalid", "{code}: {said}");
        refused.push((identifier(&said["error"]["detail"]), code));
    };
    let elsewhere = other.certify(b"x").area;
    ask("attestation-invalid", &|_| b"no CBOR".to_vec());
    ask("attestation-untrusted", &|wanted| object(&tpm.certify(wanted), &[&strange]));
    ask("attestation-untrusted", &|wanted| object(&tpm.certify(wanted), &[&without]));
    ask("attestation-untrusted", &|wanted| object(&tpm.certify(wanted), &[&for_tls]));
    // Made for something else; signed by another TPM; altered after it was signed.
    ask("attestation-invalid", &|_| object(&tpm.certify(&[7; 32]), &[&right]));
    ask("attestation-invalid", &|wanted| object(&tpm.certify(wanted), &[&of_other]));
    ask("attestation-invalid", &|wanted| {
        let mut said = tpm.certify(wanted);
        *said.info.last_mut().unwrap() ^= 1;
        object(&said, &[&right])
    });
    // About another key than the one beside it.
    ask("key-not-attested", &|wanted| object(&Said { area: elsewhere.clone(), ..tpm.certify(wanted) }, &[&right]));
    // Of a key that can be taken elsewhere.
    tpm.key("sensitivedataorigin|userwithauth|sign");
    ask("key-not-attested", &|wanted| object(&tpm.certify(wanted), &[&right]));
    // What was proved once is proved for that order.
    tpm.key(FIXED);
    let (_, url, wanted) = begun(&client);
    let proved = object(&tpm.certify(&wanted), &[&right]);
    assert_eq!(sent(&client, &url, &proved)["status"], "valid");
    ask("attestation-invalid", &|_| proved.clone());
    // A challenge is answered once: nobody gets another key in afterwards.
    tpm.key(FIXED);
    let (_, url, wanted) = begun(&client);
    assert_eq!(sent(&client, &url, &object(&tpm.certify(&[7; 32]), &[&right]))["status"], "invalid");
    assert_eq!(sent(&client, &url, &object(&tpm.certify(&wanted), &[&right]))["status"], "invalid");
    // Nor by another challenge.
    let (_, url, _) = begun(&client);
    client.post_to(&url.replace("device-attest-01", "dns-01"), "{}").is("malformed", 404);
    // Of another device, and where nobody is believed, and in the place of a host name.
    order(&client, "SN000002").is("rejectedIdentifier", 403);
    let mut other = Client { label: "nobodys", ..Client::new(&up) };
    other.kid = Some(other.register("SN000003", &third).went().field("location").unwrap().to_owned());
    order(&other, "SN000003").is("rejectedIdentifier", 403);
    let plain = Client::of(&up, "SN000004", &fourth);
    let named = plain.order(&["www.sn000004.internal"]).went().json();
    let part = plain.ask(named["authorizations"][0].as_str().unwrap()).went().json();
    assert!(!part["challenges"].to_string().contains("device-attest-01"), "{part}");
    up.down();
    refused.iter().for_each(|(identifier, code)| site.why(identifier, code));
    assert!(site.standing().is_empty());
}

/// What decoders and their fuzzers are tried with. `cargo nextest run -p cradle --test acme --run-ignored only write_the_attestations`
#[test]
#[ignore = "writes testdata/attest"]
fn write_the_attestations() {
    let b = crate::common::Box_::empty("acme-testdata");
    voucher(&b, "maker");
    let to = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/attest"));
    std::fs::create_dir_all(to).unwrap();
    let (_, maker) = x509::pem::decode(&b.read("maker.pem")).unwrap();
    std::fs::write(to.join("openssl-3.0.19-maker.der"), maker).unwrap();
    for (name, kind) in [("es256", Kind::Ecc), ("rs256", Kind::Rsa)] {
        let tpm = Tpm::new(&b, name, kind);
        let key = tpm.key(FIXED);
        let certificate = tpm.certified("maker", PURPOSE);
        let made = object(&tpm.certify(sha256(b"token.thumbprint").octets()), &[&certificate]);
        std::fs::write(to.join(format!("swtpm-0.7.1-{name}.cbor")), made).unwrap();
        std::fs::write(to.join(format!("swtpm-0.7.1-{name}-key.der")), key.spki()).unwrap();
    }
}
