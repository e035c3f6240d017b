//! Who may not, and what is said to them. And what strongSwan does not ask for: lists, certificates, and whether it is there now.

use crate::common::{foreign, text};
use crate::hand::{
    CERT_POLL, Draft, GET_CERT, GET_CRL, MD5, PKCS_REQ, RENEWAL_REQ, Said, issuer_and_number, issuer_and_subject,
    opened, own, request, sealed_by, usual, with_issuer_of,
};
use crate::site::{Site, Up};

/// One that the gateway refuses before km is asked.
#[track_caller]
fn is(said: &Said, status: &str) {
    assert_eq!(said.status, status, "{}", said.text);
    assert!(!said.text.contains("Identifier"), "{}", said.text);
}

/// A key and a certificate of its own for it.
pub fn stranger(site: &Site, name: &str) {
    site.key(name);
    own(&site.b, name);
}

/// Has NAME enrol with a challenge. Its certificate stands in NAME.pem then.
#[track_caller]
pub fn enrols(up: &Up<'_>, name: &str, challenge: &str) {
    let site = up.site;
    stranger(site, name);
    let envelope = usual(&site.b, &request(&site.b, name, "/", Some(challenge)));
    let got = Draft::new(PKCS_REQ, name, envelope).sent(up, "devices");
    let pem = format!("{name}.new");
    opened(&site.b, name, &got, &pem);
    site.b.write(&format!("{name}.own"), site.read(&format!("{name}.pem")));
    site.b.write(&format!("{name}.pem"), site.read(&pem));
}

/// A renewal for the key NEW, signed by OLD.
pub fn renewal(up: &Up<'_>, new: &str, old: &str) -> Said {
    let site = up.site;
    let subject = foreign(
        &site.b.dir,
        "openssl",
        &["x509", "-in", &format!("{old}.pem"), "-noout", "-subject", "-nameopt", "compat"],
    );
    let subject = subject.trim().trim_start_matches("subject=").trim().to_owned();
    let envelope = usual(&site.b, &request(&site.b, new, &subject, None));
    Draft::new(RENEWAL_REQ, old, envelope).sent(up, "devices")
}

#[test]
fn what_anybody_may_know_and_what_is_no_request() {
    let site = Site::new("scep-paths");
    let up = site.up();
    let got = up.http("GET", "/scep/devices/pkiclient.exe?operation=GetCACaps", b"");
    assert_eq!((got.status, got.media_type.as_str()), (200, "text/plain"));
    assert_eq!(text(&got.body), "AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSHA-384\nSHA-512\nSCEPStandard\n");
    let got = up.http("GET", "/scep/devices?operation=GetCACert", b"");
    assert_eq!((got.status, got.media_type.as_str()), (200, "application/x-x509-ca-ra-cert"));
    site.b.write("ca.p7", &got.body);
    let all = foreign(&site.b.dir, "openssl", &["pkcs7", "-inform", "DER", "-in", "ca.p7", "-print_certs"]);
    assert_eq!(all.matches("BEGIN CERTIFICATE").count(), 3, "{all}");
    // Whose certificate it is does not change while it lasts.
    assert_eq!(up.http("GET", "/scep/devices?operation=GetCACert", b"").body, got.body);
    for (method, path, status) in [
        ("GET", "/scep/nobody/pkiclient.exe?operation=GetCACaps", 404),
        ("GET", "/scep/..%2fdevices?operation=GetCACaps", 404),
        ("GET", "/scep/devices?operation=GetNextCACert", 400),
        ("GET", "/scep/devices", 400),
        ("GET", "/scep/devices?operation=PKIOperation&message=%%%", 400),
        ("GET", "/scep/devices?operation=PKIOperation&message=MAA", 400),
        ("GET", "/scep/devices?operation=PKIOperation&message=MAA=", 400),
        ("GET", "/scep/devices?operation=PKIOperation", 400),
        ("POST", "/scep/devices?operation=GetCACert", 405),
        ("PUT", "/scep/devices?operation=PKIOperation", 405),
    ] {
        let got = up.http(method, path, b"");
        assert_eq!(got.status, status, "{method} {path}: {}", text(&got.body));
    }
    let long = vec![0x30; 70_000];
    assert_eq!(up.post("devices", &long).status, 413);
    assert_eq!(up.post("devices", &long[..60_000]).status, 400);
    up.down();
}

#[test]
fn no_other_type_of_message_is_opened() {
    let site = Site::new("scep-types");
    let challenge = site.challenge("SN000001", &[]);
    let up = site.up();
    up.fetch("devices");
    stranger(&site, "a");
    let envelope = usual(&site.b, &request(&site.b, "a", "/", Some(&challenge)));
    for number in ["0", "1", "3", "16", "18", "23", "019", "PKCSReq", ""] {
        let got = Draft::new(number, "a", envelope.clone()).sent(&up, "devices");
        is(&got, "2 2");
        assert_eq!(got.text, "Messages of this type are not answered.");
        // What it has in it was not even looked at.
        assert_eq!(Draft::new(number, "a", b"no envelope".to_vec()).sent(&up, "devices"), got);
    }
    // A request for a certificate where something else is expected is not read; who asks is asked first.
    let refused = [CERT_POLL, GET_CERT, GET_CRL]
        .map(|number| Draft::new(number, "a", envelope.clone()).sent(&up, "devices").refused());
    up.down();
    let codes = ["transaction-unknown", "client-unknown", "client-unknown"];
    refused.iter().zip(codes).for_each(|(identifier, code)| site.why(identifier, code));
    assert!(site.standing("ldevid").is_empty());
}

#[test]
fn how_an_envelope_did_not_open_nobody_learns() {
    let site = Site::new("scep-oracle");
    let challenge = site.challenge("SN000001", &[]);
    let up = site.up();
    up.fetch("devices");
    stranger(&site, "a");
    let csr = request(&site.b, "a", "/", Some(&challenge));
    let good = usual(&site.b, &csr);
    let ask = |envelope: Vec<u8>| Draft::new(PKCS_REQ, "a", envelope).sent(&up, "devices");
    let no = ask(b"no envelope".to_vec());
    is(&no, "2 1");
    // The key of the content, encrypted, is the only OCTET STRING of 256 octets.
    let key = good.windows(4).position(|four| four == [4, 0x82, 1, 0]).unwrap() + 4;
    let changed = |at: usize| {
        let mut other = good.clone();
        other[at] ^= 1;
        other
    };
    // A key that does not open; content whose padding is wrong; content that is no request, though it opens; nobody we know.
    for at in [key + 9, key + 255, good.len() - 1, good.len() - 17, good.len() - 100] {
        assert_eq!(ask(changed(at)), no, "{at}");
    }
    for plain in [&b""[..], b"x", &csr[1..], &[&csr[..], b"\0"].concat()] {
        assert_eq!(ask(usual(&site.b, plain)), no);
    }
    site.b.write("a.own", site.read("ra.pem"));
    site.b.write("ra.pem", site.read("a.pem"));
    let for_another = usual(&site.b, &csr);
    site.b.write("ra.pem", site.read("a.own"));
    assert_eq!(ask(for_another), no);
    // A signature over something else.
    let mut message = Draft::new(PKCS_REQ, "a", good.clone()).signed(&site.b);
    let at = message.windows(3).position(|three| three == b"T-1").unwrap();
    message[at + 2] = b'2';
    assert_eq!(up.post("devices", &message).said(&up), no);
    // And what is as it should be.
    opened(&site.b, "a", &ask(good), "a.new");
    up.down();
}

#[test]
fn what_another_envelope_opened_to_a_device_does_not_learn() {
    let site = Site::new("scep-names");
    let challenge = site.challenge("SN000001", &[]);
    let up = site.up();
    up.fetch("devices");
    enrols(&up, "a", &challenge);
    let csr = request(&site.b, "a", "/", Some("SN000002:secret"));
    let right = issuer_and_number(&site.b, "a.pem");
    let elsewhere = issuer_and_number(&site.b, "a.own");
    let mut torn = usual(&site.b, &right);
    let last = torn.len() - 1;
    torn[last] ^= 1;
    let inside = [&b""[..], b"x", &csr, &right[1..], &[&right[..], b"\0"].concat(), &elsewhere];
    let envelopes: Vec<_> = inside.iter().map(|plain| usual(&site.b, plain)).chain([torn]).collect();
    for (number, envelope) in [GET_CERT, GET_CRL].into_iter().flat_map(|n| envelopes.iter().map(move |e| (n, e))) {
        let got = Draft::new(number, "a", envelope.clone()).sent(&up, "devices");
        assert_eq!((got.status.as_str(), got.text.len()), ("2 4", "Refused. Identifier: ".len() + 32), "{}", got.text);
        assert!(got.text.starts_with("Refused. Identifier: "), "{}", got.text);
    }
    for envelope in &envelopes {
        Draft::new(CERT_POLL, "a", envelope.clone()).sent(&up, "devices").refused();
    }
    up.down();
}

#[test]
fn what_is_too_weak_is_not_taken() {
    let site = Site::new("scep-weak");
    let challenge = site.challenge("SN000001", &[]);
    let up = site.up();
    up.fetch("devices");
    stranger(&site, "a");
    let csr = request(&site.b, "a", "/", Some(&challenge));
    for cipher in ["-des3", "-aes-128-cfb"] {
        is(
            &Draft::new(PKCS_REQ, "a", sealed_by(&site.b, &csr, &[cipher, "-recip", "ra.pem"])).sent(&up, "devices"),
            "2 0",
        );
    }
    let envelope = usual(&site.b, &csr);
    is(&Draft { hash: ("md5", MD5), ..Draft::new(PKCS_REQ, "a", envelope.clone()) }.sent(&up, "devices"), "2 0");
    let sha1 = wire::scep::oids::SHA1;
    is(&Draft { hash: ("sha1", sha1), ..Draft::new(PKCS_REQ, "a", envelope) }.sent(&up, "devices"), "2 0");
    // A key of 1024 bits, and one that nothing can be encrypted for.
    let new = |name: &str, words: &[&str]| {
        let key = format!("{name}.key");
        foreign(&site.b.dir, "openssl", &[&["genpkey", "-out", &key][..], words].concat());
        own(&site.b, name);
        let csr = request(&site.b, name, "/", Some(&challenge));
        let message = Draft::new(PKCS_REQ, name, usual(&site.b, &csr)).signed(&site.b);
        up.post("devices", &message)
    };
    let got = new("short", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    is(&got.said(&up), "2 0");
    let got = new("curve", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]).said(&up);
    is(&got, "2 0");
    assert!(got.text.contains("RSA only"), "{}", got.text);
    // What is strong enough is answered in the same way.
    let oaep = ["-aes128", "-recip", "ra.pem", "-keyopt", "rsa_padding_mode:oaep"];
    let with = |hash, mask| [&oaep[..], &["-keyopt", hash, "-keyopt", mask]].concat();
    for (hash, mask) in [
        ("rsa_oaep_md:sha384", "rsa_mgf1_md:sha384"),
        ("rsa_oaep_md:sha256", "rsa_mgf1_md:sha1"),
        ("rsa_oaep_md:sha1", "rsa_mgf1_md:sha256"),
    ] {
        let envelope = sealed_by(&site.b, &csr, &with(hash, mask));
        is(&Draft::new(PKCS_REQ, "a", envelope).sent(&up, "devices"), "2 0");
    }
    let better = with("rsa_oaep_md:sha256", "rsa_mgf1_md:sha256");
    for words in [&["-aes256", "-recip", "ra.pem"][..], &oaep, &better] {
        let envelope = sealed_by(&site.b, &csr, words);
        opened(&site.b, "a", &Draft::new(PKCS_REQ, "a", envelope).sent(&up, "devices"), "a.new");
    }
    up.down();
    assert_eq!(site.standing("ldevid").len(), 1, "one secret, one certificate");
}

#[test]
fn who_has_no_secret_of_its_own() {
    let site = Site::new("scep-secrets");
    let (one, two) = (site.challenge("SN000001", &[]), site.challenge("SN000002", &[]));
    let up = site.up();
    up.fetch("devices");
    stranger(&site, "a");
    stranger(&site, "b");
    let ask = |label: &str, subject: &str, challenge: Option<&str>| {
        Draft::new(PKCS_REQ, "a", usual(&site.b, &request(&site.b, "a", subject, challenge))).sent(&up, label).refused()
    };
    let secret = one.split_once(':').unwrap().1;
    let mut refused = vec![
        (ask("devices", "/", None), "client-unproved"),
        (ask("devices", "/", Some(&format!("SN000002:{secret}"))), "secret-unknown"),
        (ask("devices", "/", Some(&format!("SN999999:{secret}"))), "secret-unknown"),
        (ask("devices", "/", Some(secret)), "secret-unknown"),
        (ask("devices", "/", Some("SN000001:guessed")), "secret-unknown"),
        (ask("devices", "/CN=sensor SN000002", Some(&one)), "name-mismatch"),
    ];
    up.fetch("guarded");
    refused.push((ask("guarded", "/", Some(&one)), "secret-unknown"));
    up.fetch("est-only");
    refused.push((ask("est-only", "/", Some(&one)), "secret-unknown"));
    up.fetch("devices");
    // Another key than the one that signs.
    let other = usual(&site.b, &request(&site.b, "b", "/", Some(&one)));
    refused.push((Draft::new(PKCS_REQ, "a", other).sent(&up, "devices").refused(), "proof-of-possession"));
    // A certificate of somebody else's authority, with the secret and without.
    forge(&site, "forged");
    for challenge in [Some(one.as_str()), None] {
        let envelope = usual(&site.b, &request(&site.b, "forged", "/", challenge));
        refused.push((Draft::new(PKCS_REQ, "forged", envelope).sent(&up, "devices").refused(), "client-unknown"));
    }
    let envelope = usual(&site.b, &request(&site.b, "a", "/", Some(&one)));
    refused.push((Draft::new(RENEWAL_REQ, "a", envelope.clone()).sent(&up, "devices").refused(), "client-unknown"));
    // The right one; the same again, octet for octet; and then another key.
    let message = Draft::new(PKCS_REQ, "a", envelope).signed(&site.b);
    let first = opened(&site.b, "a", &up.post("devices", &message).said(&up), "a.new");
    assert_eq!(opened(&site.b, "a", &up.post("devices", &message).said(&up), "a.new"), first);
    let envelope = usual(&site.b, &request(&site.b, "b", "/", Some(&one)));
    refused.push((Draft::new(PKCS_REQ, "b", envelope).sent(&up, "devices").refused(), "secret-used"));
    // The certificate of one device with the secret of another.
    site.b.write("a.pem", site.read("a.new"));
    let envelope = usual(&site.b, &request(&site.b, "b", "/", Some(&two)));
    refused.push((Draft::new(PKCS_REQ, "a", envelope).sent(&up, "devices").refused(), "clients-differ"));
    up.down();
    refused.iter().for_each(|(identifier, code)| site.why(identifier, code));
    assert_eq!(site.standing("ldevid").len(), 1);
}

/// A certificate for a new NAME.key, from an authority of one's own.
fn forge(site: &Site, name: &str) {
    site.key("other-ca");
    own(&site.b, "other-ca");
    site.key(name);
    let (csr, key, pem) = (format!("{name}.csr"), format!("{name}.key"), format!("{name}.pem"));
    foreign(&site.b.dir, "openssl", &["req", "-new", "-key", &key, "-subj", "/CN=forged", "-out", &csr]);
    site.b.write("ext", "keyUsage=digitalSignature\nsubjectKeyIdentifier=hash\n");
    let sign = [
        "x509",
        "-req",
        "-in",
        &csr,
        "-CA",
        "other-ca.pem",
        "-CAkey",
        "other-ca.key",
        "-set_serial",
        "7",
        "-days",
        "30",
    ];
    foreign(&site.b.dir, "openssl", &[&sign[..], &["-extfile", "ext", "-out", &pem]].concat());
}

#[test]
fn who_may_not_renew_any_more() {
    let mut site = Site::new("scep-renewals");
    let profile = site.b.data().join("profiles/ldevid.toml");
    let ldevid = std::fs::read_to_string(&profile).unwrap();
    assert!(ldevid.contains("31_536_000"), "{ldevid}");
    std::fs::write(profile, ldevid.replace("31_536_000", "172_800")).unwrap();
    let challenges: Vec<_> = (1..=4).map(|n| site.challenge(&format!("SN00000{n}"), &[])).collect();
    let mut up = site.up();
    up.fetch("devices");
    let names = ["right", "revoked", "stolen", "expired"];
    for (name, challenge) in names.iter().zip(&challenges) {
        enrols(&up, name, challenge);
    }
    site.key("new");
    let mut refused = Vec::new();
    // Another's name, and another label.
    let envelope = usual(&site.b, &request(&site.b, "new", "/CN=sensor SN000002", None));
    refused.push((Draft::new(RENEWAL_REQ, "right", envelope).sent(&up, "devices").refused(), "name-mismatch"));
    up.fetch("guarded");
    let envelope = usual(&site.b, &request(&site.b, "new", "/CN=sensor SN000002", None));
    refused.push((Draft::new(RENEWAL_REQ, "right", envelope).sent(&up, "guarded").refused(), "label-mismatch"));
    up.down();
    site.b.ok(&["cert", "revoke", &site.serial("revoked.pem"), "--reason", "key-compromise", "--yes"]);
    site.b.ok(&["device", "stolen", "SN000003"]);
    up = site.up();
    up.fetch("devices");
    refused.push((renewal(&up, "new", "revoked").refused(), "client-revoked"));
    let stolen = renewal(&up, "new", "stolen").refused();
    opened(&site.b, "right", &renewal(&up, "new", "right"), "new.pem");
    // Again: the same one. For another key: no.
    opened(&site.b, "right", &renewal(&up, "new", "right"), "new.again");
    assert_eq!(site.read("new.pem"), site.read("new.again"));
    site.key("newer");
    refused.push((renewal(&up, "newer", "right").refused(), "already-renewed"));
    up.down();
    refused.iter().for_each(|(identifier, code)| site.why(identifier, code));
    let said = site.b.ok(&["explain", &stolen]);
    assert!(said.contains("(board-held)") || said.contains("(client-revoked)"), "{said}");
    assert_eq!(site.standing("ldevid").len(), 5);
    site.offset = Some("+3d");
    up = site.up();
    up.fetch("devices");
    let identifier = renewal(&up, "newer", "expired").refused();
    up.down();
    site.why(&identifier, "client-expired");
}

#[test]
fn only_who_waits_hears_what_operators_decided() {
    let site = Site::new("scep-waits");
    let challenge = site.challenge("SN000001", &["--profile", "guarded"]);
    let other = site.challenge("SN000002", &["--profile", "guarded"]);
    let mut up = site.up();
    up.fetch("guarded");
    stranger(&site, "a");
    stranger(&site, "b");
    let csr = request(&site.b, "a", "/", Some(&challenge));
    let got = Draft::new(PKCS_REQ, "a", usual(&site.b, &csr)).sent(&up, "guarded");
    assert_eq!(got.status, "3 ");
    let poll = usual(&site.b, &issuer_and_subject(&site.b, "ra.pem"));
    let nothing = usual(&site.b, b"");
    let asks = |up: &Up<'_>, poll: &[u8], by: &str, transaction: &str| {
        Draft { transaction, ..Draft::new(CERT_POLL, by, poll.to_vec()) }.sent(up, "guarded")
    };
    // What is in the envelope says nothing that the transaction and the key do not.
    assert_eq!(asks(&up, &poll, "a", "T-1"), asks(&up, &nothing, "a", "T-1"));
    assert_eq!(asks(&up, &poll, "a", "T-1").status, "3 ");
    let mut refused = Vec::new();
    // Nobody begins another one under a name that is taken; the same again waits as before.
    let ask = |challenge: &str| {
        let csr = request(&site.b, "a", "/", Some(challenge));
        Draft::new(PKCS_REQ, "a", usual(&site.b, &csr)).sent(&up, "guarded")
    };
    assert_eq!(ask(&challenge).status, "3 ");
    let taken = ask(&other).refused();
    let strangers = [("b", "T-1"), ("a", "T-2")];
    refused.extend(strangers.map(|(by, name)| asks(&up, &poll, by, name).refused()));
    up.down();
    site.b.ok(&["approve", "yes", "1", "--operator", "operator"]);
    // It is remembered, whoever was asked.
    up = site.up();
    up.fetch("guarded");
    let poll = usual(&site.b, &issuer_and_subject(&site.b, "ra.pem"));
    refused.extend(strangers.map(|(by, name)| asks(&up, &poll, by, name).refused()));
    let first = opened(&site.b, "a", &asks(&up, &poll, "a", "T-1"), "a.new");
    // An answer that was lost is had again.
    assert_eq!(opened(&site.b, "a", &asks(&up, &poll, "a", "T-1"), "a.new"), first);
    up.down();
    refused.iter().for_each(|identifier| site.why(identifier, "transaction-unknown"));
    site.why(&taken, "transaction-conflict");
    assert_eq!(site.standing("guarded").len(), 1);
}

#[test]
fn nobody_waits_for_longer_than_a_week() {
    let mut site = Site::new("scep-waits-long");
    let challenge = site.challenge("SN000001", &["--profile", "guarded"]);
    let up = site.up();
    up.fetch("guarded");
    stranger(&site, "a");
    let csr = request(&site.b, "a", "/", Some(&challenge));
    assert_eq!(Draft::new(PKCS_REQ, "a", usual(&site.b, &csr)).sent(&up, "guarded").status, "3 ");
    let poll = usual(&site.b, &issuer_and_subject(&site.b, "ra.pem"));
    up.down();
    site.b.ok(&["approve", "yes", "1", "--operator", "operator"]);
    // What was approved in time, but fetched too late, is not issued any more.
    site.offset = Some("+8d");
    let up = site.up();
    let late = Draft::new(CERT_POLL, "a", poll).sent(&up, "guarded").refused();
    up.down();
    site.why(&late, "transaction-closed");
    assert!(site.standing("guarded").is_empty());
}

#[test]
fn a_decision_outlives_the_box_and_a_no_is_one() {
    let site = Site::new("scep-denied");
    let challenge = site.challenge("SN000001", &["--profile", "guarded"]);
    let mut up = site.up();
    up.fetch("guarded");
    stranger(&site, "a");
    let csr = request(&site.b, "a", "/", Some(&challenge));
    assert_eq!(Draft::new(PKCS_REQ, "a", usual(&site.b, &csr)).sent(&up, "guarded").status, "3 ");
    up.down();
    site.b.ok(&["approve", "no", "1", "--operator", "operator"]);
    up = site.up();
    up.fetch("guarded");
    let poll = usual(&site.b, &issuer_and_subject(&site.b, "ra.pem"));
    let identifier = Draft::new(CERT_POLL, "a", poll).sent(&up, "guarded").refused();
    up.down();
    site.why(&identifier, "approval-denied");
    assert!(site.standing("guarded").is_empty());
}

#[test]
fn certificates_and_lists_for_who_has_one() {
    let site = Site::new("scep-asked-for");
    let challenge = site.challenge("SN000001", &[]);
    let up = site.up();
    up.fetch("devices");
    enrols(&up, "a", &challenge);
    stranger(&site, "b");
    let of = usual(&site.b, &issuer_and_number(&site.b, "a.pem"));
    let ask = |message_type, by, of: &[u8]| Draft::new(message_type, by, of.to_vec()).sent(&up, "devices");
    opened(&site.b, "a", &ask(GET_CERT, "a", &of), "again.pem");
    assert_eq!(site.serial("again.pem"), site.serial("a.pem"));
    let list = opened(&site.b, "a", &ask(GET_CRL, "a", &of), "list.pem");
    assert!(list.contains("BEGIN X509 CRL"), "{list}");
    foreign(&site.b.dir, "openssl", &["crl", "-in", "list.pem", "-CAfile", "chain.pem", "-noout"]);
    let refused: Vec<_> = [GET_CERT, GET_CRL].map(|what| ask(what, "b", &of).refused()).into();
    // Of another authority, and one that there is not.
    let elsewhere = usual(&site.b, &issuer_and_number(&site.b, "b.pem"));
    for what in [GET_CERT, GET_CRL] {
        assert_eq!(ask(what, "a", &elsewhere).status, "2 4");
    }
    let mut number = issuer_and_number(&site.b, "a.pem");
    *number.last_mut().unwrap() ^= 1;
    assert_eq!(ask(GET_CERT, "a", &usual(&site.b, &number)).status, "2 4");
    // A number that another authority gave, under the name of this one.
    let said = site.b.json(&["cert", "list", "--profile", "module"]);
    site.b.write("module.pem", said[0]["pem"].as_str().unwrap());
    let mixed = with_issuer_of(&site.b, "a.pem", &issuer_and_number(&site.b, "module.pem"));
    assert_eq!(ask(GET_CERT, "a", &usual(&site.b, &mixed)).status, "2 4");
    up.down();
    refused.iter().for_each(|identifier| site.why(identifier, "client-unknown"));
}
