//! What `openssl cmp` can do from version 3.5 on: `rigs/newer-openssl` has one made and runs these, and all others of CMP, with it.

use crate::common::foreign;
use crate::site::Site;

const PATH: &str = "/.well-known/cmp/p/made";
const CURVE: &str = "[gateway.cmp.made]\nprofile = \"ldevid\"\nserver_keys = true\n";

/// The box, with a profile whose certificates may agree on keys.
fn site(name: &str) -> Site {
    let site = Site::new(name);
    let settings = site.b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, before + CURVE).unwrap();
    let profile = site.b.data().join("profiles/ldevid.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    let text = text.replace(r#"["digital-signature"]"#, r#"["digital-signature", "key-agreement"]"#);
    let text = text.replace(r#""p384", "ed25519", "rsa2048", "rsa3072""#, r#""p384""#);
    std::fs::write(&profile, text).unwrap();
    site
}

/// Whether `openssl` is one that has these.
pub fn is_newer() -> bool {
    let said = foreign(std::path::Path::new("."), "openssl", &["version"]);
    !said.starts_with("OpenSSL 3.0.")
}

/// A known divergence: 3.6.3 asks without a key, opens what comes back, verifies who made the key, and then reads a bare PKCS #8 key where RFC 9483
/// §4.1.6 wants an `AsymmetricKeyPackage` around it. If one reads that, too, this test fails, and has to ask for the key.
#[test]
#[ignore = "needs openssl 3.5: rigs/newer-openssl"]
fn openssl_opens_and_verifies_a_key_by_a_secret_and_by_a_certificate_and_reads_it_otherwise() {
    let site = site("cmp-newer");
    let (pass, own) = (format!("pass:{}", site.secret("SN000001")), format!("pass:{}", site.secret("SN000002")));
    site.key("own");
    let up = site.up();
    let made = |words: &[&str]| {
        let central = ["-centralkeygen", "-newkeyout", "made.key", "-certout", "made.pem"];
        let (well, said) = up.cmp(PATH, &[words, &central].concat());
        assert!(!well && said.contains("error decoding encryptedkey"), "{said}");
        assert!(!said.contains("error decrypting") && !said.contains("error verifying"), "{said}");
    };
    made(&["-cmd", "ir", "-subject", "/", "-ref", "SN000001", "-secret", &pass]);
    let ir =
        ["-cmd", "ir", "-newkey", "own.key", "-certout", "own.pem", "-subject", "/", "-ref", "SN000002", "-secret"];
    up.goes(PATH, &[&ir[..], &[&own]].concat());
    made(&["-cmd", "kur", "-cert", "own.pem", "-key", "own.key", "-oldcert", "own.pem"]);
    // Where no keys are made.
    let ir = ["-cmd", "ir", "-centralkeygen", "-newkeyout", "made.key", "-certout", "made.pem", "-subject", "/"];
    let no =
        up.refused("/.well-known/cmp", &[&ir[..], &["-ref", "SN000001", "-secret", &pass]].concat(), "badCertTemplate");
    up.down();
    site.why(&no, "keys-not-made");
    site.b.sound();
}

#[test]
#[ignore = "needs openssl 3.5: rigs/newer-openssl"]
fn openssl_learns_of_certificates_templates_and_lists() {
    let site = site("cmp-newer-genm");
    let pass = format!("pass:{}", site.secret("SN000001"));
    let up = site.up();
    let genm = |words: &[&str]| {
        let said = up.goes(PATH, &[&["-cmd", "genm", "-ref", "SN000001", "-secret", &pass], words].concat());
        assert!(said.contains("received GENP"), "{said}");
        said
    };
    genm(&["-infotype", "caCerts", "-cacertsout", "ca.pem"]);
    let chain = String::from_utf8(site.b.read("chain.pem")).unwrap();
    let told = String::from_utf8(site.b.read("ca.pem")).unwrap();
    assert_eq!(told.matches("BEGIN CERTIFICATE").count(), chain.matches("BEGIN CERTIFICATE").count());
    genm(&["-infotype", "certReqTemplate", "-template", "template.der", "-keyspec", "keys.txt"]);
    let template = foreign(&site.b.dir, "openssl", &["asn1parse", "-inform", "DER", "-in", "template.der"]);
    assert!(template.contains("sensor SN000001"), "{template}");
    up.down();
    site.b.sound();
}
