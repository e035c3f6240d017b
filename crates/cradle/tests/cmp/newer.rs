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

#[test]
#[ignore = "needs openssl 3.5: rigs/newer-openssl"]
fn openssl_has_a_key_made_by_a_secret_and_another_one_by_its_certificate() {
    let site = site("cmp-newer");
    let pass = format!("pass:{}", site.secret("SN000001"));
    let up = site.up();
    let ir = ["-cmd", "ir", "-centralkeygen", "-newkeyout", "a.key", "-certout", "a.pem", "-subject", "/"];
    let said = up.goes(PATH, &[&ir[..], &["-ref", "SN000001", "-secret", &pass]].concat());
    assert!(said.contains("received PKICONF"), "{said}");
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "a.pem"]);
    let public = |words: &[&str]| foreign(&site.b.dir, "openssl", words);
    let of_key = |name: &str| public(&["pkey", "-in", &format!("{name}.key"), "-pubout"]);
    let of_certificate = |name: &str| public(&["x509", "-in", &format!("{name}.pem"), "-noout", "-pubkey"]);
    assert_eq!(of_key("a"), of_certificate("a"));
    // In its place, encrypted for it.
    let kur = ["-cmd", "kur", "-centralkeygen", "-newkeyout", "b.key", "-certout", "b.pem"];
    let by = ["-cert", "a.pem", "-key", "a.key", "-oldcert", "a.pem"];
    let said = up.goes(PATH, &[&kur[..], &by].concat());
    assert!(said.contains("received PKICONF"), "{said}");
    assert!(of_key("b") == of_certificate("b") && of_key("b") != of_key("a"));
    // Where no keys are made.
    let kur = ["-cmd", "kur", "-centralkeygen", "-newkeyout", "c.key", "-certout", "c.pem"];
    let by = ["-cert", "b.pem", "-key", "b.key", "-oldcert", "b.pem"];
    let no = up.refused("/.well-known/cmp", &[&kur[..], &by].concat(), "badCertTemplate");
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
