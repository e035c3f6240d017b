//! Keys that are made here: what comes back is opened and verified by `openssl cms`, which had no part in making it.

use crate::common::foreign;
use crate::hand::{AS_IT_IS, Got, Hand, Shows, Talk};
use crate::registrar::{Registrar, appoint};
use crate::site::{Site, Up};
use adapters::keystore::memory::MemoryKey;
use ports::Signer;
use wire::cmp::body::CertOrEncCert;
use wire::cmp::header::TypeAndValue;
use wire::cmp::{Body, Message, Pvno};
use x509::{Certificate, KeyType, Writer, oids};

/// Certificates under `ldevid`, and keys for who has none.
const MADE: &str = "/.well-known/cmp/p/made";
/// Certificates for keys on curves that may agree, and keys for who has such a one.
const CURVE: &str = "/.well-known/cmp/p/curve";
/// Certificates for keys of RSA that may be encrypted for.
const RSA: &str = "/.well-known/cmp/p/rsa";

/// A box where keys are made under these labels.
fn site(name: &str) -> Site {
    let site = Site::new(name);
    let profile = |name: &str, types: &str, usage: &str, approvals: u8| {
        let text = format!(
            "description = \"A device.\"\nsubject_kind = \"device\"\nissuers = [\"factory\"]\nkey_types = [{types}]\n\
             ra_verified = false\nsubject = [{{ type = \"serialNumber\", value = \"{{serial}}\" }}]\n\
             [validity]\nlifetime_s = 86_400\nbackdate_s = 300\nissuer_expiry = \"shorten\"\n\
             [extensions]\nkey_usage = [\"digital-signature\", \"{usage}\"]\n[enrolment]\napprovals = {approvals}\n"
        );
        std::fs::write(site.b.data().join(format!("profiles/{name}.toml")), text).unwrap();
    };
    profile("curve", r#""p256", "p384", "p521""#, "key-agreement", 0);
    profile("rsa", r#""rsa2048""#, "key-encipherment", 0);
    profile("rsa-signs", r#""rsa2048""#, "content-commitment", 0);
    profile("watched", r#""p256""#, "key-agreement", 1);
    let settings = site.b.data().join("cradle.toml");
    let labels =
        [("made", "ldevid"), ("curve", "curve"), ("rsa", "rsa"), ("rsa-signs", "rsa-signs"), ("watched", "watched")];
    let labels =
        labels.map(|(label, profile)| format!("[gateway.cmp.{label}]\nprofile = \"{profile}\"\nserver_keys = true\n"));
    let before = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, before + &labels.concat()).unwrap();
    site
}

fn allowed(site: &Site, serial: &str, profile: &str) -> String {
    let allowed = site.b.json(&["device", "allow", serial, "--profile", profile, "--secret"]);
    allowed["secret"].as_str().unwrap().to_owned()
}

/// `CertReqMessages` without a key, or for a key of a type.
fn keyless(wanted: Option<KeyType>) -> Vec<u8> {
    proved(wanted, None)
}
fn proved(wanted: Option<KeyType>, proof: Option<u8>) -> Vec<u8> {
    let mut w = Writer::default();
    w.sequence(|w| {
        w.sequence(|w| {
            w.sequence(|w| {
                w.small(7).sequence(|w| {
                    if let Some(wanted) = wanted {
                        w.explicit(6, |w| {
                            wanted.write_algorithm(w);
                            w.bit_string(&[]);
                        });
                    }
                });
            });
            if let Some(tag) = proof {
                w.value(tag, &[]);
            }
        });
    });
    w.finish()
}

/// The contents of a DER value, and what stands behind it.
fn opened(der: &[u8]) -> (&[u8], &[u8]) {
    let (len, head) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        0x81 => (usize::from(der[2]), 3),
        0x82 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
        other => panic!("{other:#x}"),
    };
    (&der[head..head + len], &der[head + len..])
}

/// Sends a request and gives what came back: how it was answered, and the contents of the `EnvelopedData`, if there is one.
fn ask(talk: &mut Talk<'_>, up: &Up<'_>, path: &str, body: &Body<'_>) -> (Got, Vec<u8>) {
    let message = talk.message(body, &|header| header.general_info = vec![TypeAndValue::IMPLICIT_CONFIRM], None);
    let answer = up.post(path, &message);
    talk.sent = message;
    let got = Got::read(&answer);
    if got.is_protected {
        talk.last = Some(got.nonce.clone());
    }
    let read = Message::decode(&answer).unwrap();
    let pair = match &read.body {
        Body::Ip(read) | Body::Cp(read) | Body::Kup(read) => read.response[0].certified_key_pair,
        _ => None,
    };
    let Some(pair) = pair.filter(|pair| !pair.rest.is_empty()) else { return (got, Vec::new()) };
    assert!(matches!(pair.certificate, CertOrEncCert::Certificate(_)));
    // RFC 9810 §7: it says that it is of the version that has this.
    assert_eq!(read.header.pvno, Pvno::V3);
    assert!(!read.header.implicit_confirm(), "a key may get lost on its way");
    assert_eq!(pair.rest[0], 0xa0);
    let (encrypted_key, rest) = opened(pair.rest);
    assert_eq!((encrypted_key[0], rest.len()), (0xa0, 0));
    (got, opened(encrypted_key).0.to_vec())
}

/// `ContentInfo` with this content.
fn content_info(oid: const_oid::ObjectIdentifier, content: &[u8], file: &str, site: &Site) {
    let mut w = Writer::default();
    w.sequence(|w| {
        w.oid(oid).explicit(0, |w| {
            w.raw(content);
        });
    });
    site.b.write(file, w.finish());
}

const ENVELOPED: const_oid::ObjectIdentifier = const_oid::ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");

/// Opens an envelope with `openssl cms`, has it verify who made the key, and compares the key with the certificate's.
#[track_caller]
fn check_key(site: &Site, enveloped: &[u8], by: &[&str], certificate: &Certificate) -> MemoryKey {
    let mut w = Writer::default();
    w.sequence(|w| {
        w.raw(enveloped);
    });
    content_info(ENVELOPED, &w.finish(), "enveloped.der", site);
    let openssl = |words: &[&str]| foreign(&site.b.dir, "openssl", words);
    let decrypt = ["cms", "-decrypt", "-inform", "DER", "-in", "enveloped.der", "-binary", "-out", "signed.der"];
    openssl(&[&decrypt[..], by].concat());
    content_info(oids::SIGNED_DATA, &site.b.read("signed.der"), "signed.p7", site);
    let verify = ["cms", "-verify", "-inform", "DER", "-in", "signed.p7", "-binary", "-CAfile", "chain.pem"];
    openssl(&[&verify[..], &["-purpose", "any", "-signer", "kga.pem", "-out", "package.der"]].concat());
    let maker = openssl(&["x509", "-in", "kga.pem", "-noout", "-ext", "extendedKeyUsage"]);
    assert!(maker.contains("Key Generation Authority"), "{maker}");
    let package = site.b.read("package.der");
    let (key, rest) = opened(&package);
    assert!(rest.is_empty());
    site.b.write("made.der", key);
    openssl(&["pkey", "-inform", "DER", "-in", "made.der", "-noout", "-check"]);
    let key = MemoryKey::open(key).unwrap();
    assert_eq!(key.public_key(), &certificate.tbs().subject_public_key);
    key
}

#[test]
fn who_knows_a_secret_has_a_key_made_once() {
    let site = site("cmp-central");
    let (secret, other) = (site.secret("SN000001"), site.secret("SN000002"));
    let up = site.up();
    let by = Shows::Secret { reference: "SN000001", secret: &secret };
    let mut talk = Talk::new(&up, MADE, by);
    let request = keyless(None);
    // Declined it is revoked, and the secret has another key made.
    let (declined, _) = ask(&mut talk, &up, MADE, &Body::Ir(&request));
    assert!(talk.say(&Body::CertConf(Vec::new()), AS_IT_IS).is_confirmed());
    let mut talk = Talk::new(&up, MADE, by);
    let (got, enveloped) = ask(&mut talk, &up, MADE, &Body::Ir(&request));
    let certificate = got.taken().clone();
    assert!(certificate.tbs().subject_public_key != declined.taken().tbs().subject_public_key);
    let key = check_key(&site, &enveloped, &["-pwri_password", &secret], &certificate);
    // The same octets again, the same identifier again, and another transaction: no second key.
    let again = talk.sent.clone();
    let mut refusals = vec![(Got::read(&up.post(MADE, &again)).refused("transactionIdInUse"), "replayed")];
    assert!(talk.confirm(&certificate, 7).is_confirmed());
    refusals.push((talk.poll(7).refused("notAuthorized"), "transaction-closed"));
    let mut more = Talk::new(&up, MADE, by);
    let (refused, nothing) = ask(&mut more, &up, MADE, &Body::Ir(&request));
    refusals.push((refused.refused("notAuthorized"), "secret-used"));
    assert!(nothing.is_empty());
    // The other kind of MAC, and a type of key.
    let by_other = Shows::Pbmac1 { reference: "SN000002", secret: &other };
    let mut talk = Talk::new(&up, MADE, by_other);
    let (got, enveloped) = ask(&mut talk, &up, MADE, &Body::Cr(&keyless(Some(KeyType::P384))));
    let second = got.taken().clone();
    assert_eq!(second.tbs().subject_public_key.key_type(), KeyType::P384);
    check_key(&site, &enveloped, &["-pwri_password", &other], &second);
    assert!(talk.confirm(&second, 7).is_confirmed());
    // The key is one to go on with.
    let hand = Hand { key };
    let renewed = Talk::new(&up, MADE, Shows::Certificate(&hand, &certificate)).kur(&Hand::new());
    renewed.taken();
    up.down();
    refusals.iter().for_each(|(identifier, code)| site.why(identifier, code));
    let told = site.b.ok(&["explain", &certificate.tbs().serial_number.to_string()]);
    assert!(told.contains("a one-time secret; its key was made here"), "{told}");
    let standing = site.standing();
    assert_eq!(standing.iter().filter(|(_, revoked)| *revoked).count(), 1, "the one that was declined");
    site.b.sound();
}

/// A device's own key and certificate, as files, too: `own.key` and `own.pem`.
fn own(site: &Site, path: &'static str, profile: &str, serial: &str, key_type: KeyType) -> (Hand, Certificate) {
    let secret = allowed(site, serial, profile);
    let pkcs8 = MemoryKey::generate_pkcs8(key_type).unwrap();
    site.b.write("own.der", &*pkcs8);
    let hand = Hand { key: MemoryKey::open(&pkcs8).unwrap() };
    let up = site.up();
    let mut talk = Talk::new(&up, path, Shows::Secret { reference: serial, secret: &secret });
    let certificate = talk.ir_implicitly(&hand).taken().clone();
    up.down();
    site.b.write("own.cer", certificate.der());
    foreign(&site.b.dir, "openssl", &["x509", "-inform", "DER", "-in", "own.cer", "-out", "own.pem"]);
    foreign(&site.b.dir, "openssl", &["pkey", "-inform", "DER", "-in", "own.der", "-out", "own.key"]);
    (hand, certificate)
}

const BY_OWN: [&str; 4] = ["-recip", "own.pem", "-inkey", "own.key"];

#[test]
fn who_has_a_certificate_on_a_curve_has_a_key_by_agreement() {
    let site = site("cmp-central-curve");
    for (serial, key_type) in [("SN000001", KeyType::P256), ("SN000002", KeyType::P384), ("SN000003", KeyType::P521)] {
        let (hand, certificate) = own(&site, CURVE, "curve", serial, key_type);
        let up = site.up();
        // In its place, once.
        let by = Shows::Certificate(&hand, &certificate);
        let mut talk = Talk::new(&up, CURVE, by);
        let (got, enveloped) = ask(&mut talk, &up, CURVE, &Body::Kur(&keyless(None)));
        let renewed = got.taken().clone();
        check_key(&site, &enveloped, &BY_OWN, &renewed);
        assert!(talk.confirm(&renewed, 7).is_confirmed());
        let (again, nothing) = ask(&mut Talk::new(&up, CURVE, by), &up, CURVE, &Body::Kur(&keyless(None)));
        let again = again.refused("notAuthorized");
        assert!(nothing.is_empty());
        up.down();
        site.why(&again, "already-renewed");
        let told = site.b.ok(&["explain", &renewed.tbs().serial_number.to_string()]);
        assert!(told.contains("which it renews; its key was made here"), "{told}");
    }
    site.b.sound();
}

#[test]
fn who_has_a_certificate_of_rsa_has_a_key_that_is_encrypted_for_it() {
    let site = site("cmp-central-rsa");
    let (hand, certificate) = own(&site, RSA, "rsa", "SN000001", KeyType::Rsa(2048));
    let up = site.up();
    let by = Shows::Certificate(&hand, &certificate);
    let mut talk = Talk::new(&up, MADE, by);
    let (got, enveloped) = ask(&mut talk, &up, MADE, &Body::Cr(&keyless(Some(KeyType::Ed25519))));
    let first = got.taken().clone();
    check_key(&site, &enveloped, &BY_OWN, &first);
    assert!(talk.confirm(&first, 7).is_confirmed());
    // The leave was for one.
    let (more, nothing) = ask(&mut Talk::new(&up, MADE, by), &up, MADE, &Body::Cr(&keyless(None)));
    let more = more.refused("notAuthorized");
    assert!(nothing.is_empty());
    up.down();
    site.why(&more, "grant-spent");
    site.b.sound();
}

#[test]
fn no_key_is_made_for_who_may_not_have_one() {
    let site = site("cmp-central-no");
    let secret = site.secret("SN000001");
    let watched = allowed(&site, "SN000002", "watched");
    let curve = allowed(&site, "SN000003", "curve");
    let rsa = allowed(&site, "SN000004", "rsa-signs");
    let registrar = Registrar::new(&site, "ra");
    appoint(&site, &[("vouched", "idevid", &[("ra-1", registrar.file(&site, "ra"))])]);
    let settings = site.b.data().join("cradle.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    // The registration authority's label makes keys, too.
    let text = text.replace(
        "profile = \"idevid\"\n[gateway.cmp.vouched.r",
        "profile = \"idevid\"\nserver_keys = true\n[gateway.cmp.vouched.r",
    );
    std::fs::write(&settings, text).unwrap();
    let up = site.up();
    let by = Shows::Secret { reference: "SN000001", secret: &secret };
    let refused = |path: &str, by: Shows<'_>, body: &Body<'_>, failure: &str| {
        let (got, nothing) = ask(&mut Talk::new(&up, Box::leak(path.to_owned().into_boxed_str()), by), &up, path, body);
        assert!(nothing.is_empty());
        got.refused(failure)
    };
    let any = keyless(None);
    let mut refusals = vec![
        // Where no keys are made, and where operators would have to decide first.
        (refused("/.well-known/cmp", by, &Body::Ir(&any), "badCertTemplate"), "keys-not-made"),
        (
            refused(
                "/.well-known/cmp/p/watched",
                Shows::Secret { reference: "SN000002", secret: &watched },
                &Body::Ir(&any),
                "badCertTemplate",
            ),
            "keys-not-made",
        ),
        // A proof of a key that is not there, in either form.
        (refused(MADE, by, &Body::Ir(&proved(None, Some(0x80))), "badPOP"), "proof-of-possession"),
        (refused(MADE, by, &Body::Ir(&proved(Some(KeyType::P256), Some(0x80))), "badPOP"), "proof-of-possession"),
        // Types that take long, and that the profile does not have.
        (refused(MADE, by, &Body::Ir(&keyless(Some(KeyType::Rsa(2048)))), "badAlg"), "key-type-not-allowed"),
        (refused(MADE, by, &Body::Ir(&keyless(Some(KeyType::MlDsa44))), "badAlg"), "key-type-not-allowed"),
        // A registration authority would know the key of a device.
        (
            refused("/.well-known/cmp/p/vouched", registrar.shows(), &Body::Ir(&any), "wrongIntegrity"),
            "client-unproved",
        ),
    ];
    // A certificate that nothing can be encrypted for: one that signs only.
    let hand = Hand::new();
    let signs_only = Talk::new(&up, MADE, by).ir_implicitly(&hand).taken().clone();
    let by_own = Shows::Certificate(&hand, &signs_only);
    refusals.push((refused(MADE, by_own, &Body::Kur(&any), "wrongIntegrity"), "key-unsendable"));
    // The same of RSA, whose key could be encrypted for, and is not meant for it.
    let hand = Hand { key: MemoryKey::open(&MemoryKey::generate_pkcs8(KeyType::Rsa(2048)).unwrap()).unwrap() };
    let by_rsa = Shows::Secret { reference: "SN000004", secret: &rsa };
    let signs_only = Talk::new(&up, "/.well-known/cmp/p/rsa-signs", by_rsa).ir_implicitly(&hand).taken().clone();
    let by_own = Shows::Certificate(&hand, &signs_only);
    refusals.push((refused(MADE, by_own, &Body::Cr(&any), "wrongIntegrity"), "key-unsendable"));
    // One that is revoked.
    let hand = Hand::new();
    let by_curve = Shows::Secret { reference: "SN000003", secret: &curve };
    let agrees = Talk::new(&up, CURVE, by_curve).ir_implicitly(&hand).taken().clone();
    up.down();
    let number = agrees.tbs().serial_number.to_string();
    site.b.ok(&["cert", "revoke", &number, "--reason", "key-compromise", "--yes"]);
    let up = site.up();
    let by_own = Shows::Certificate(&hand, &agrees);
    let (got, nothing) = ask(&mut Talk::new(&up, CURVE, by_own), &up, CURVE, &Body::Kur(&any));
    assert!(nothing.is_empty());
    refusals.push((got.refused("certRevoked"), "client-revoked"));
    up.down();
    refusals.iter().for_each(|(identifier, code)| site.why(identifier, code));
    assert_eq!(site.standing().len(), 1, "the one whose key is the device's own");
    site.b.sound();
}

#[test]
fn a_server_that_may_not_make_keys_makes_none() {
    let site = site("cmp-central-kga");
    let secret = site.secret("SN000001");
    let profile = site.b.data().join("profiles/cmp.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace(r#", "cm-kga""#, "")).unwrap();
    let by = Shows::Secret { reference: "SN000001", secret: &secret };
    let asked = || {
        let up = site.up();
        let mut talk = Talk::new(&up, MADE, by);
        let asked = ask(&mut talk, &up, MADE, &Body::Ir(&keyless(None)));
        up.down();
        asked
    };
    let (got, nothing) = asked();
    assert!(got.certificate.is_none() && got.said.starts_with("systemUnavail") && nothing.is_empty(), "{got:?}");
    assert!(site.standing().is_empty());
    // As soon as it may, it has itself certified anew.
    std::fs::write(&profile, text).unwrap();
    let (got, enveloped) = asked();
    check_key(&site, &enveloped, &["-pwri_password", &secret], got.taken());
    site.b.sound();
}
