//! What honest clients do, by `openssl cmp`.

use crate::common::{foreign, text};
use crate::site::{Site, exchange};
use std::net::TcpStream;
use std::process::Command;

#[track_caller]
fn is_issued(site: &Site, pem: &str) {
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", pem]);
}

#[test]
fn a_device_enrols_with_a_secret_renews_and_revokes_by_its_certificate() {
    let site = Site::new("cmp-life");
    let secret = format!("pass:{}", site.secret("SN000001"));
    let second = format!("pass:{}", site.secret("SN000002"));
    ["a", "a2", "b", "c"].into_iter().for_each(|name| site.key(name));
    foreign(
        &site.b.dir,
        "openssl",
        &["req", "-new", "-key", "b.key", "-subj", "/", "-outform", "DER", "-out", "b.csr"],
    );
    let up = site.up();
    let by_secret = ["-ref", "SN000001", "-secret", &secret];
    // Confirmed in a message of its own; over a path with doubled slashes.
    let ir = ["-cmd", "ir", "-newkey", "a.key", "-certout", "a.pem"];
    let said = up.goes("/.well-known//cmp/p/devices//initialization", &[&ir[..], &by_secret].concat());
    assert!(said.contains("sending CERTCONF") && said.contains("received PKICONF"), "{said}");
    is_issued(&site, "a.pem");
    // The secret opens nothing for another key.
    let again = ["-cmd", "ir", "-newkey", "c.key", "-certout", "c.pem"];
    let again = up.refused("/.well-known/cmp", &[&again[..], &by_secret].concat(), "notAuthorized");
    // The next one with the certificate, without a confirmation; under the default label.
    let own = ["-cert", "a.pem", "-key", "a.key"];
    let kur = ["-cmd", "kur", "-newkey", "a2.key", "-certout", "a2.pem", "-implicit_confirm"];
    let said = up.goes("/.well-known/cmp/keyupdate", &[&kur[..], &own].concat());
    assert!(!said.contains("CERTCONF"), "{said}");
    is_issued(&site, "a2.pem");
    // As PKCS #10.
    let p10cr = ["-cmd", "p10cr", "-csr", "b.csr", "-certout", "b.pem", "-ref", "SN000002", "-secret", &second];
    let said = up.goes("/.well-known/cmp/p/devices/pkcs10", &p10cr);
    assert!(said.contains("received PKICONF"), "{said}");
    is_issued(&site, "b.pem");
    // What is had in general.
    let next = ["-cert", "a2.pem", "-key", "a2.key"];
    let genm = ["-cmd", "genm", "-infotype", "caCerts", "-cacertsout", "told.pem"];
    let said = up.goes("/.well-known/cmp/getcacerts", &[&genm[..], &next].concat());
    assert!(said.contains("received GENP"), "{said}");
    // The old one is revoked by the device itself.
    let rr = ["-cmd", "rr", "-oldcert", "a.pem", "-revreason", "4"];
    let said = up.goes("/.well-known/cmp/revocation", &[&rr[..], &next].concat());
    assert!(said.contains("received RP"), "{said}");
    let twice = up.refused("/.well-known/cmp/revocation", &[&rr[..], &next].concat(), "certRevoked");
    up.down();
    site.why(&again, "secret-used");
    site.why(&twice, "already-revoked");
    let (a, a2, b) = (site.serial("a.pem"), site.serial("a2.pem"), site.serial("b.pem"));
    assert_eq!(site.standing(), [(a.clone(), true), (a2.clone(), false), (b, false)]);
    let told = site.b.ok(&["explain", &a2]);
    assert!(told.contains("it came over CMP") && told.contains(&format!("certificate {a}, which it renews")), "{told}");
    let told = site.b.ok(&["explain", &a]);
    assert!(told.contains("a one-time secret") && told.contains("superseded"), "{told}");
    site.b.sound();
}

#[test]
fn over_tls_as_well() {
    let site = Site::new("cmp-tls");
    let secret = format!("pass:{}", site.secret("SN000001"));
    site.key("a");
    let up = site.up();
    let port = up.address("https");
    let server = format!("https://{port}/.well-known/cmp");
    let words = ["cmp", "-config", "", "-cmd", "ir", "-server", &server, "-ref", "SN000001", "-secret", &secret];
    let tls = ["-tls_used", "-tls_trusted", "chain.pem", "-tls_host", "cm.internal", "-trusted", "chain.pem"];
    let rest = ["-newkey", "a.key", "-certout", "a.pem", "-no_proxy", "127.0.0.1", "-mac", "hmacWithSHA256"];
    let output = Command::new("openssl").current_dir(&site.b.dir).args(words).args(tls).args(rest).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    is_issued(&site, "a.pem");
}

#[test]
fn a_certificate_of_one_kind_is_proof_for_another_where_an_operator_left_leave() {
    let site = Site::new("cmp-cr");
    let secret = format!("pass:{}", site.secret("SN000001"));
    site.b.ok(&["device", "allow", "SN000001", "--profile", "idevid"]);
    ["a", "i", "j"].into_iter().for_each(|name| site.key(name));
    let up = site.up();
    let ir = ["-cmd", "ir", "-newkey", "a.key", "-certout", "a.pem", "-ref", "SN000001", "-secret", &secret];
    up.goes("/.well-known/cmp", &ir);
    let cr = |key: &'static str| ["-cmd", "cr", "-newkey", key, "-certout", "i.pem", "-cert", "a.pem", "-key", "a.key"];
    up.goes("/.well-known/cmp/p/identity", &cr("i.key"));
    is_issued(&site, "i.pem");
    let more = up.refused("/.well-known/cmp/p/identity", &cr("j.key"), "notAuthorized");
    up.down();
    site.why(&more, "grant-spent");
}

#[test]
fn a_request_that_waits_for_operators_is_polled() {
    let site = Site::new("cmp-approval");
    let profile = site.b.data().join("profiles/ldevid.toml");
    let before = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, before + "\n[enrolment]\napprovals = 1\nprotocols = [\"cmp\"]\n").unwrap();
    let secret = site.secret("SN000001");
    let hand = crate::hand::Hand::new();
    let by = crate::hand::Shows::Secret { reference: "SN000001", secret: &secret };
    let up = site.up();
    let mut talk = crate::hand::Talk::new(&up, "/.well-known/cmp", by);
    let waiting = talk.ir(&hand);
    assert!(waiting.is_waiting(), "{waiting:?}");
    let later = talk.poll(0);
    assert_eq!(later.check_after, Some(60), "{later:?}");
    let turn = talk.turn();
    up.down();
    let waiting = site.b.json(&["approve", "list"]);
    site.b.ok(&["approve", "yes", &waiting[0]["id"].to_string()]);
    let up = site.up();
    let mut talk = crate::hand::Talk::new(&up, "/.well-known/cmp", by);
    (talk.id, talk.last) = turn;
    let got = talk.poll(0);
    let certificate = got.certificate.clone().unwrap_or_else(|| panic!("{got:?}"));
    assert!(talk.confirm(&certificate, 0).is_confirmed());
    up.down();
    assert_eq!(site.standing().iter().map(|(_, revoked)| *revoked).collect::<Vec<_>>(), [false]);
    site.b.sound();
}

#[test]
fn a_connection_of_http_1_0_is_kept_and_what_is_no_message_is_answered_all_the_same() {
    let site = Site::new("cmp-http");
    let up = site.up();
    let mut line = TcpStream::connect(up.address("http")).unwrap();
    for _ in 0..2 {
        let (status, body) = exchange(&mut line, "/.well-known/cmp", "application/pkixcmp", b"no message");
        assert!(status.ends_with("200 OK"), "{status}");
        let read = wire::cmp::Message::decode(&body).unwrap();
        assert!(matches!(read.body, wire::cmp::Body::Error(_)) && read.protection.is_none());
    }
    let other = |path: &str, media_type: &str| {
        let mut line = TcpStream::connect(up.address("http")).unwrap();
        exchange(&mut line, path, media_type, b"").0
    };
    assert!(other("/.well-known/cmp/p/../x", "application/pkixcmp").contains(" 404 "));
    assert!(other("/.well-known/cmp/nested", "application/pkixcmp").contains(" 404 "));
    assert!(other("/.well-known/cmp", "application/json").contains(" 415 "));
}
