//! The keys of the gateway, which clients encrypt for, and what nobody reads who keeps or carries what they sent.

use crate::attacks::{enrols, renewal, stranger};
use crate::common::foreign;
use crate::hand::{CERT_POLL, Draft, PKCS_REQ, RENEWAL_REQ, issuer_and_subject, opened, request, sealed_by, usual};
use crate::site::{Site, Up};

/// What is answered to who asks for the certificate of the gateway.
fn certificates(up: &Up<'_>) -> Vec<u8> {
    up.http("GET", "/scep/devices?operation=GetCACert", b"").body
}

#[test]
fn a_certificate_that_was_fetched_lasts_over_restarts_and_renewals() {
    let mut site = Site::new("scep-keys");
    let challenge = site.challenge("SN000001", &[]);
    ["b", "c", "d", "e"].iter().for_each(|name| site.key(name));
    let up = site.up();
    up.fetch("devices");
    let first = certificates(&up);
    enrols(&up, "a", &challenge);
    up.down();
    let up = site.up();
    assert_eq!(certificates(&up), first);
    opened(&site.b, "a", &renewal(&up, "b", "a"), "b.pem");
    up.down();
    // Two thirds of its time are over: another one is shown, and who has the former is answered by the former.
    site.offset = Some("+21d");
    let up = site.up();
    let second = certificates(&up);
    assert_ne!(second, first);
    opened(&site.b, "b", &renewal(&up, "c", "b"), "c.pem");
    up.down();
    // The same for who comes after a restart.
    let up = site.up();
    assert_eq!(certificates(&up), second);
    opened(&site.b, "c", &renewal(&up, "d", "c"), "d.pem");
    site.b.write("former.pem", site.read("ra.pem"));
    up.fetch("devices");
    assert_ne!(site.read("former.pem"), site.read("ra.pem"));
    up.down();
    site.offset = Some("+31d");
    let up = site.up();
    assert_eq!(certificates(&up), second);
    let csr = request(&site.b, "e", "/", None);
    let late = sealed_by(&site.b, &csr, &["-aes128", "-recip", "former.pem"]);
    assert_eq!(Draft::new(RENEWAL_REQ, "d", late).sent(&up, "devices").status, "2 1");
    opened(&site.b, "d", &renewal(&up, "e", "d"), "e.pem");
    up.down();
}

#[test]
fn a_certificate_of_the_gateway_that_was_revoked_is_not_used_when_it_is_opened_anew() {
    let site = Site::new("scep-revoked-keys");
    let challenge = site.challenge("SN000001", &[]);
    let up = site.up();
    up.fetch("devices");
    let first = certificates(&up);
    stranger(&site, "a");
    let envelope = usual(&site.b, &request(&site.b, "a", "/", Some(&challenge)));
    up.down();
    site.b.ok(&["cert", "revoke", &site.serial("ra.pem"), "--reason", "key-compromise", "--yes"]);
    let up = site.up();
    assert_ne!(certificates(&up), first);
    up.fetch("devices");
    assert_eq!(Draft::new(PKCS_REQ, "a", envelope).sent(&up, "devices").status, "2 1");
    enrols(&up, "a", &challenge);
    up.down();
}

#[test]
fn a_secret_that_waits_for_operators_is_nowhere_in_the_clear() {
    let site = Site::new("scep-sealed");
    let challenge = site.challenge("SN000001", &["--profile", "guarded"]);
    let secret = challenge.split_once(':').unwrap().1.as_bytes();
    let up = site.up();
    up.fetch("guarded");
    stranger(&site, "a");
    let envelope = usual(&site.b, &request(&site.b, "a", "/", Some(&challenge)));
    assert_eq!(Draft::new(PKCS_REQ, "a", envelope).sent(&up, "guarded").status, "3 ");
    up.down();
    let mut files = vec![site.b.data()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let octets = std::fs::read(&path).unwrap_or_default();
        assert!(!octets.windows(secret.len()).any(|part| part == secret), "{}", path.display());
        read += 1;
    }
    assert!(read > 10, "{read}");
    // And km opens it again, when somebody decided.
    site.b.ok(&["approve", "yes", "1", "--operator", "operator"]);
    let up = site.up();
    let poll = usual(&site.b, &issuer_and_subject(&site.b, "ra.pem"));
    opened(&site.b, "a", &Draft::new(CERT_POLL, "a", poll).sent(&up, "guarded"), "a.new");
    up.down();
    site.b.sound();
}

#[test]
fn an_authority_that_took_the_place_of_another_certifies_the_gateway_anew() {
    let site = Site::new("scep-rollover");
    let challenge = site.challenge("SN000001", &[]);
    let up = site.up();
    let first = certificates(&up);
    up.down();
    site.b.ok(&["mode", "set", "ceremony"]);
    site.b.ok(&["ca", "rollover", "factory", "--yes"]);
    site.b.ok(&["mode", "set", "certificate-management"]);
    site.b.write("chain.pem", site.b.ok(&["ca", "chain", "factory"]));
    let up = site.up();
    assert_ne!(certificates(&up), first);
    up.fetch("devices");
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "ra.pem"]);
    enrols(&up, "a", &challenge);
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "a.pem"]);
    up.down();
}
