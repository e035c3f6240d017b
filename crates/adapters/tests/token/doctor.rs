//! What the doctor says.

use crate::common::{PIN, client, module, pin};
use adapters::keystore::pkcs11::report::{Report, Severity};
use adapters::keystore::pkcs11::{Measure, Pin, Pkcs11Uri, doctor};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use ports::Keystore;
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;
use x509::KeyType;

const NONE: Measure<'_> = Measure { key_types: &[], signatures: 0, elapsed: &|| Duration::ZERO };

fn examined(module: &Path, uri: &str, pin: Option<Pin>) -> Report {
    doctor(module, &Pkcs11Uri::parse(uri).unwrap(), pin.as_ref(), &NONE)
}
fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code).collect()
}
fn check(module: &Path, uri: &str, expected: &[&str]) {
    let report = examined(module, uri, Some(pin(PIN)));
    assert_eq!(codes(&report), expected);
    assert_eq!(report.is_healthy(), expected.is_empty());
    assert!(report.findings.iter().all(|finding| !finding.what.is_empty() && !finding.next.is_empty()));
}

#[test]
fn a_module_that_is_not_there_is_missing() {
    check(Path::new("/nowhere/module.so"), "pkcs11:", &["module-missing"]);
}
#[test]
fn a_relative_path_is_no_module() {
    check(Path::new("module.so"), "pkcs11:", &["module-missing"]);
}
#[test]
fn a_directory_is_no_module() {
    check(Path::new("/usr"), "pkcs11:", &["module-no-file"]);
}
#[test]
fn a_text_is_no_module() {
    check(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), "pkcs11:", &["module-not-loaded"]);
}
#[test]
fn another_library_is_no_module() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.split_whitespace().find(|word| word.contains("libc.so")).unwrap();
    check(Path::new(libc), "pkcs11:", &["module-not-pkcs11"]);
}
#[test]
fn a_control_character_is_not_shown() {
    let report = examined(Path::new("/\u{1b}[2J"), "pkcs11:", None);
    assert_eq!(report.module, "/?[2J");
}

tests! {
    a_good_token_is_healthy = |_| check(&module(), "pkcs11:token=one", &[]);
    a_token_that_is_not_there_is_missing = |_| {
        check(&module(), "pkcs11:token=three", &["token-missing"]);
        // The slots help to correct the URI.
        let report = examined(&module(), "pkcs11:token=three", None);
        let labels: Vec<&str> = report.slots.iter().map(|slot| slot.label.as_str()).collect();
        assert!(labels.contains(&"one") && labels.contains(&"two"), "{labels:?}");
        assert!(report.slots.iter().all(|slot| !slot.chosen));
    };
    two_tokens_that_fit_are_ambiguous = |_| check(&module(), "pkcs11:", &["token-ambiguous"]);
    another_module_than_the_one_of_the_uri_is_said = |_| {
        check(&module(), "pkcs11:token=one?module-name=other", &["module-differs"]);
    };
    a_module_that_others_may_write_is_said = |world| {
        use std::os::unix::fs::PermissionsExt;
        let copy = world.dir.join("module.so");
        std::fs::copy(module(), &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o777)).unwrap();
        let report = examined(&copy, "pkcs11:token=one", Some(pin(PIN)));
        assert_eq!(codes(&report), ["module-writable"]);
        assert!(report.is_healthy(), "it works");
    };
    without_a_pin_nothing_is_tried = |world| {
        world.keystore("one", 1).generate("key", KeyType::P256).unwrap();
        let report = examined(&module(), "pkcs11:token=one", None);
        assert_eq!((codes(&report), report.logged_in, report.keys.len()), (vec!["pin-not-given"], false, 0));
    };
    a_pin_that_cannot_be_read_is_said = |world| {
        let report = examined(&module(), "pkcs11:token=one", Some(Pin::in_file(world.dir.join("pin"))));
        assert_eq!(codes(&report), ["pin-not-found"]);
    };
    a_wrong_pin_is_tried_once = |world| {
        assert_eq!(codes(&examined(&module(), "pkcs11:token=one", Some(pin("9999")))), ["pin-refused"]);
        for right in [PIN, "9999"] {
            let never = Pin::asked(move || panic!("nobody should ask for {right}"));
            assert_eq!(codes(&examined(&module(), "pkcs11:token=one", Some(never))), ["pin-count-low"]);
        }
        // Somebody logs in by hand.
        world.session("one").logout().unwrap();
        assert_eq!(codes(&examined(&module(), "pkcs11:token=one", Some(pin(PIN)))), [""; 0]);
    };
    a_token_without_pin_is_said = |world| {
        let pkcs11 = cryptoki::context::Pkcs11::new(module()).unwrap();
        let session = world.session("one");
        let slot = session.get_session_info().unwrap().slot_id();
        drop(session);
        pkcs11.init_token(slot, &AuthPin::from("5678"), "blank").unwrap();
        check(&module(), "pkcs11:token=blank", &["pin-unset"]);
        let session = pkcs11.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&AuthPin::from("5678"))).unwrap();
        session.init_pin(&AuthPin::from(PIN)).unwrap();
        drop(session);
        check(&module(), "pkcs11:token=blank", &[]);
    };
    keys_are_listed_with_what_is_wrong = |world| {
        world.keystore("one", 1).generate("good", KeyType::P384).unwrap();
        let session = world.session("one");
        let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        let public = [Attribute::Token(true), Attribute::Label(b"loose".to_vec()), curve];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sign(true),
            Attribute::Label(b"loose".to_vec()),
            Attribute::Sensitive(true),
            Attribute::Extractable(true),
        ];
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
        drop(session);
        let report = examined(&module(), "pkcs11:token=one", Some(pin(PIN)));
        assert_eq!(codes(&report), ["key-extractable", "key-without-id"]);
        let usable: Vec<_> = report.keys.iter().filter(|key| key.usable).collect();
        assert_eq!(report.keys.len(), 2);
        assert_eq!((usable[0].label.as_str(), usable[0].key_type.as_deref()), ("good", Some("p384")));
        assert_eq!(usable[0].id.len(), 32);
    };
    signatures_are_counted_and_timed = |world| {
        let time = Cell::new(0);
        let elapsed = || {
            time.set(time.get() + 1);
            Duration::from_millis(time.get())
        };
        let key_types = [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa(2048)];
        let measure = Measure { key_types: &key_types, signatures: 10, elapsed: &elapsed };
        let uri = Pkcs11Uri::parse("pkcs11:token=one").unwrap();
        let report = doctor(&module(), &uri, Some(&pin(PIN)), &measure);
        assert_eq!(codes(&report), [""; 0]);
        // One look at the clock before each signature, one at the beginning, one at the end.
        let expected = [("p256", 10), ("p384", 10), ("ed25519", 10), ("rsa2048", 10)];
        let measured: Vec<_> = report.speeds.iter().map(|speed| (speed.key_type.as_str(), speed.signatures)).collect();
        assert_eq!(measured, expected);
        assert!(report.speeds.iter().all(|speed| (800.0..1000.0).contains(&speed.signatures_per_s)));
        let left = world.session("one").find_objects(&[]).unwrap();
        assert!(left.is_empty(), "nothing is left in the token");
    };
    a_slow_token_is_not_waited_for = |_| {
        let time = Cell::new(0);
        let elapsed = || {
            time.set(time.get() + 1);
            Duration::from_secs(time.get())
        };
        let measure = Measure { key_types: &[KeyType::P256], signatures: 1000, elapsed: &elapsed };
        let report = doctor(&module(), &Pkcs11Uri::parse("pkcs11:token=one").unwrap(), Some(&pin(PIN)), &measure);
        assert_eq!(report.speeds[0].signatures, 4);
    };
    mechanisms_that_are_missing_are_named = |world| {
        // p11-kit does not pass EdDSA on.
        let _server = world.server();
        let report = examined(&client(), "pkcs11:token=one", Some(pin(PIN)));
        assert!(report.findings.iter().all(|finding| finding.code == "mechanism-missing"), "{report:?}");
        let named = |name: &str| report.findings.iter().any(|finding| finding.what.contains(name));
        assert!(named("CKM_EDDSA") && named("CKM_EC_EDWARDS_KEY_PAIR_GEN"));
        assert!(report.mechanisms.contains(&"CKM_ECDSA"));
    };
    what_cannot_be_measured_is_said = |world| {
        let _server = world.server();
        let measure = Measure { key_types: &[KeyType::Ed25519], signatures: 1, elapsed: &|| Duration::ZERO };
        let report = doctor(&client(), &Pkcs11Uri::parse("pkcs11:token=one").unwrap(), Some(&pin(PIN)), &measure);
        assert!(codes(&report).contains(&"not-measured"), "{report:?}");
    };
    a_server_that_is_gone_is_said = |world| {
        let mut server = world.server();
        check(&client(), "pkcs11:token=one?module-name=other", &["module-differs"]);
        server.kill();
        let report = examined(&client(), "pkcs11:token=one", Some(pin(PIN)));
        assert!(!report.is_healthy(), "{report:?}");
        assert_eq!(report.findings[0].severity, Severity::Error);
    };
    the_report_is_json = |_| {
        let report = serde_json::to_value(examined(&module(), "pkcs11:token=one", Some(pin("9999")))).unwrap();
        assert_eq!(report["findings"][0]["severity"], "error");
        assert_eq!(report["findings"][0]["code"], "pin-refused");
        assert_eq!(report["logged_in"], false);
        let text = report.to_string();
        assert!(!text.contains("9999"), "{text}");
    };
}
