//! What is had, and what the records say of it.

use crate::common::{Box_, port_of_its_own};
use crate::site::{shows, words};
use crate::{ask, device, foreign, text, works};

#[test]
fn a_device_with_a_makers_certificate_gets_one_of_here() {
    let (site, acme) = works("idevid-life");
    let number = device(&site, &acme, "TH000001", "thing").to_lowercase();
    let up = site.up();
    up.had("thing-next", "simpleenroll", &words(&shows("thing")));
    // The same again is answered the same again.
    let first = site.b.read("thing-next.pem");
    up.had("thing-next", "simpleenroll", &words(&shows("thing")));
    assert_eq!(site.b.read("thing-next.pem"), first);
    // From then on it renews with what it has from here.
    site.request("later", &site.subject("thing-next.pem"));
    let shown = ["--cert", "thing-next.pem", "--key", "thing-next.key"];
    up.had("later", "simplereenroll", &shown);
    up.down();
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "thing-next.pem"]);
    // Its name is the registered one, and not the maker's.
    let subject = site.subject("thing-next.pem");
    assert!(subject.contains("CN = sensor TH000001") || subject.contains("CN=sensor TH000001"), "{subject}");
    assert!(!subject.contains("Acme"), "{subject}");
    // The new one leads to the old one, and so does the device.
    let digest = foreign(&site.b.dir, "openssl", &["x509", "-in", "thing.pem", "-noout", "-fingerprint", "-sha256"]);
    let digest = digest.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    let linked =
        format!("certificate {number} of the maker acme (issuer O=Acme Works, CN=Acme Devices; SHA-256 {digest})");
    for about in ["TH000001", &site.serial("thing-next.pem")] {
        let said = site.b.ok(&["explain", about]);
        assert!(said.contains(&linked) && said.contains("list list-thing"), "{about}: {said}");
    }
    assert_eq!(site.b.json(&["device", "show", "TH000001"])["idevid"], format!("acme {number}"));
    site.b.sound();
}

#[test]
fn a_message_that_is_signed_with_a_makers_certificate_gets_one_of_here() {
    let (site, acme) = works("idevid-cmp");
    device(&site, &acme, "TH000001", "thing");
    device(&site, &acme, "TH000002", "other");
    acme.idevid("unlisted");
    let up = site.up();
    let port = site.ports()[1];
    let cmp = |words: &[&str]| {
        let server = format!("127.0.0.1:{port}");
        let with = ["cmp", "-server", &server, "-path", ".well-known/cmp/p/devices", "-no_proxy", "127.0.0.1"];
        let mut command = std::process::Command::new("openssl");
        command.args(with).args(["-trusted", "root.pem"]).args(words).current_dir(&site.b.dir);
        let output = command.output().unwrap();
        (output.status.success(), text(&output.stderr) + &text(&output.stdout))
    };
    let by = |name: &str| ["-cert".to_owned(), format!("{name}.pem"), "-key".to_owned(), format!("{name}.key")];
    let (thing, other, unlisted) = (by("thing"), by("other"), by("unlisted"));
    // Without `-issuer` openssl asks that the maker issue it.
    let ir = ["-cmd", "ir", "-newkey", "thing-next.key", "-subject", "/", "-issuer", "/", "-certout", "thing-next.pem"];
    let (done, said) = cmp(&[&ir[..], &words(&thing)].concat());
    assert!(done, "{said}");
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "thing-next.pem"]);
    let genm = ["-cmd", "genm", "-infotype", "caCerts"];
    let (done, said) = cmp(&[&genm[..], &words(&other)].concat());
    assert!(done, "{said}");
    // It is for the first certificate and nothing else: it renews none, and revokes none.
    let kur = ["-cmd", "kur", "-newkey", "other-next.key", "-certout", "none.pem"];
    let (done, said) = cmp(&[&kur[..], &words(&other)].concat());
    assert!(!done && said.contains("rejection") | said.contains("error"), "{said}");
    let rr = ["-cmd", "rr", "-oldcert", "thing-next.pem", "-revreason", "4"];
    let (done, said) = cmp(&[&rr[..], &words(&thing)].concat());
    assert!(!done && said.contains("wrongIntegrity"), "{said}");
    // Who is on no list learns no more than that it is not trusted.
    let ir =
        ["-cmd", "ir", "-newkey", "other-next.key", "-subject", "/", "-certout", "none.pem", "-unprotected_errors"];
    let (done, said) = cmp(&[&ir[..], &words(&unlisted)].concat());
    assert!(!done && said.contains("signerNotTrusted"), "{said}");
    let refused = said.split("Identifier: ").nth(1).unwrap_or_else(|| panic!("{said}"));
    let refused: String = refused.chars().take_while(char::is_ascii_hexdigit).collect();
    // A message of a device that is expected, which somebody altered on its way: its time is another one.
    let nobody = format!("127.0.0.1:{}", port_of_its_own());
    let draft = ["-cmd", "ir", "-newkey", "other-next.key", "-subject", "/", "-issuer", "/", "-certout", "none.pem"];
    let kept = ["-reqout", "message", "-server", &nobody];
    assert!(!cmp(&[&draft[..], &words(&other), &kept].concat()).0);
    let whole = site.b.read("message");
    let at = whole.windows(4).position(|four| four == b"\x18\x0f20").unwrap() + 15;
    let mut altered = whole.clone();
    altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
    site.b.write("message", &altered);
    let post = ["-H", "Content-Type: application/pkixcmp", "--data-binary", "@message", "/.well-known/cmp/p/devices"];
    let said = String::from_utf8_lossy(&up.curl("http", &post).body).into_owned();
    let (_, forged) = said.split_once("Identifier: ").unwrap_or_else(|| panic!("{said}"));
    let forged: String = forged.chars().take_while(char::is_ascii_hexdigit).collect();
    // As it was it is answered.
    site.b.write("message", &whole);
    let said = String::from_utf8_lossy(&up.curl("http", &post).body).into_owned();
    assert!(!said.contains("Refused"), "{said}");
    up.down();
    site.why(&refused, "idevid-not-listed");
    site.why(&forged, "protection-invalid");
    assert!(!site.b.dir.join("none.pem").exists());
    let said = site.b.ok(&["explain", &site.serial("thing-next.pem")]);
    assert!(said.contains("over CMP") && said.contains("of the maker acme"), "{said}");
    site.b.sound();
}

#[test]
fn it_enrols_once_until_an_operator_says_so() {
    let (site, acme) = works("idevid-once");
    device(&site, &acme, "TH000001", "thing");
    site.request("second", "/");
    site.request("third", "/");
    let up = site.up();
    assert_eq!(ask(&up, "thing").status, 200);
    let second = up.ask("second", "simpleenroll", &words(&shows("thing"))).refused();
    // It is renewed with the certificate from here, not with the maker's.
    let renewed = up.ask("second", "simplereenroll", &words(&shows("thing"))).refused();
    up.down();
    site.why(&second, "grant-spent");
    site.why(&renewed, "label-mismatch");
    site.b.ok(&["device", "allow", "TH000001"]);
    let up = site.up();
    up.had("second", "simpleenroll", &words(&shows("thing")));
    let third = up.ask("third", "simpleenroll", &words(&shows("thing"))).refused();
    up.down();
    site.why(&third, "grant-spent");
    site.b.sound();
}

#[test]
fn a_secret_and_a_makers_certificate_are_of_one_device() {
    let (site, acme) = works("idevid-both");
    device(&site, &acme, "TH000001", "thing");
    let (own, other) = (site.secret("TH000001"), site.secret("SN000001"));
    let up = site.up();
    let shown = shows("thing");
    let with =
        |user: &str, secret: &str| [&words(&shown)[..], &["-u", &format!("{user}:{secret}")]].concat().join("\n");
    let asked = |all: String| up.ask("thing-next", "simpleenroll", &all.split('\n').collect::<Vec<_>>());
    let refused = asked(with("SN000001", &other)).refused();
    assert_eq!(asked(with("TH000001", &own)).status, 200);
    up.down();
    site.why(&refused, "clients-differ");
    let said = site.b.ok(&["explain", "TH000001"]);
    assert!(said.contains("a one-time secret, and certificate 7a"), "{said}");
}

#[test]
fn the_lines_of_the_chapter_work_as_they_stand() {
    let b = Box_::empty("idevid-chapter");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gateway.md");
    let document = std::fs::read_to_string(document).unwrap();
    let (_, block) = document.split_once("```sh with-idevid\n").unwrap();
    let (script, _) = block.split_once("\n```").unwrap();
    let (https, http) = (port_of_its_own().to_string(), port_of_its_own().to_string());
    let script = script.replace("8443", &https).replace("8080", &http);
    // The box ends even if a line before that fails.
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_cradle")).parent().unwrap().display().to_string();
    let mut command = std::process::Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(&b.dir).env_clear();
    let output = command.env("PATH", format!("{binary}:/usr/bin:/bin")).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(out.matches("pem: OK").count(), 1, "{out}");
    assert!(out.contains("certificate 4a01 of the maker acme") && out.contains("idevid       acme 4a01"), "{out}");
}
