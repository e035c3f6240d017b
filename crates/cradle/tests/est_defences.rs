//! What the gateway and the authority behind it keep strangers from, each shown by somebody who tries: curl, openssl, and a module that
//! was taken over. A test here fails when its defence is taken out.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

mod common;
mod site;

use common::{Box_, foreign, text};
use site::{Site, shows, words};
use std::process::Command;

/// The first certificate of a device, in NAME.pem.
fn first(site: &Site, up: &site::Up<'_>, name: &str, serial: &str, secret: &str) {
    site.request(name, "/");
    up.had(name, "simpleenroll", &["-u", &format!("{serial}:{secret}")]);
}

/// A request for the name that a certificate has, in NAME.csr.
fn again(site: &Site, name: &str, certificate: &str) {
    site.request(name, &site.subject(certificate));
}

#[test]
fn below_an_authority_that_is_revoked_nobody_renews() {
    let site = Site::new("est-revoked-above");
    let secret = site.secret("SN000001");
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    up.down();
    again(&site, "b", "a.pem");
    // Another authority certifies from now on: it is not the one that refuses.
    site.b.ok(&["mode", "set", "ceremony"]);
    site.b.ok(&["ca", "create", "second", "--profile", "factory", "--issuer", "root"]);
    site.b.ok(&["mode", "set", "certificate-management"]);
    site.edit("profiles/ldevid.toml", "issuers = [\"factory\"]", "issuers = [\"second\"]");
    let up = site.up();
    // The certificate of before is as good as before, as long as its authority is.
    up.had("b", "simplereenroll", &words(&shows("a")));
    up.down();
    let above = site.serial("chain.pem");
    site.b.ok(&["cert", "revoke", &site.serial("b.pem"), "--reason", "superseded", "--yes"]);
    site.b.ok(&["cert", "revoke", &above, "--reason", "ca-compromise", "--yes"]);
    again(&site, "c", "a.pem");
    let up = site.up();
    let refused = up.ask("c", "simplereenroll", &words(&shows("a"))).refused();
    up.down();
    site.why(&refused, "client-revoked");
}

#[test]
fn the_number_of_somebodys_certificate_is_no_certificate() {
    let site = Site::new("est-same-number");
    let secret = site.secret("SN000001");
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    // An authority of one's own gives the same names and the same number to a key of one's own.
    let dir = &site.b.dir;
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let issuer = site_issuer(&site);
    let own = ["req", "-x509", "-keyout", "own.key", "-out", "own.pem", "-subj", &issuer];
    foreign(dir, "openssl", &[&own[..], &new].concat());
    site.request("forged", &site.subject("a.pem"));
    foreign(dir, "openssl", &["base64", "-d", "-in", "forged.csr", "-out", "forged.der"]);
    let number = format!("0x{}", site.serial("a.pem"));
    let sign = ["x509", "-req", "-inform", "DER", "-in", "forged.der", "-CA", "own.pem", "-CAkey", "own.key"];
    // With an extension: one of version 1 does not get through TLS.
    site.b.write("ext", "extendedKeyUsage=clientAuth\n");
    let rest = ["-set_serial", &number, "-days", "9", "-extfile", "ext", "-out", "forged.pem"];
    foreign(dir, "openssl", &[&sign[..], &rest].concat());
    assert_eq!(site.serial("forged.pem"), site.serial("a.pem"));
    again(&site, "b", "a.pem");
    let refused = up.ask("b", "simplereenroll", &words(&shows("forged"))).refused();
    // It did not use up the renewal of who has the certificate.
    up.had("b", "simplereenroll", &words(&shows("a")));
    up.down();
    site.why(&refused, "client-unknown");
}

fn site_issuer(site: &Site) -> String {
    let words = ["x509", "-in", "a.pem", "-noout", "-issuer", "-nameopt", "compat"];
    foreign(&site.b.dir, "openssl", &words).trim().trim_start_matches("issuer=").trim().to_owned()
}

#[test]
fn a_renewal_keeps_its_names_and_proves_its_key() {
    let site = Site::new("est-names");
    let secret = site.secret("SN000001");
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    let dir = &site.b.dir;
    let (subject, shown) = (site.subject("a.pem"), shows("a"));
    // Another device's name beside one's own.
    let new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "b.key"];
    let names = "subjectAltName=URI:urn:dev:ops:32473-sensor-SN000002";
    let form = ["-subj", &subject, "-addext", names, "-outform", "DER", "-out", "request"];
    foreign(dir, "openssl", &[&new[..], &form].concat());
    foreign(dir, "openssl", &["base64", "-in", "request", "-out", "b.csr"]);
    let other = up.ask("b", "simplereenroll", &words(&shown)).refused();
    // A request that its key did not sign: the last octet is another one.
    again(&site, "c", "a.pem");
    foreign(dir, "openssl", &["base64", "-d", "-in", "c.csr", "-out", "c.der"]);
    let mut der = site.b.read("c.der");
    *der.last_mut().unwrap() ^= 1;
    site.b.write("c.csr", &der);
    let unproved = up.ask("c", "simplereenroll", &words(&shown)).refused();
    // Neither used up the renewal.
    again(&site, "d", "a.pem");
    up.had("d", "simplereenroll", &words(&shown));
    up.down();
    site.why(&other, "name-mismatch");
    site.why(&unproved, "proof-of-possession");
}

#[test]
fn a_renewal_that_was_lost_is_had_again_when_an_operator_says_so() {
    let site = Site::new("est-superseded");
    let secret = site.secret("SN000001");
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    ["b", "c", "d"].into_iter().for_each(|name| again(&site, name, "a.pem"));
    up.had("b", "simplereenroll", &words(&shows("a")));
    let twice = up.ask("c", "simplereenroll", &words(&shows("a"))).refused();
    up.down();
    site.b.ok(&["cert", "revoke", &site.serial("b.pem"), "--reason", "superseded", "--yes"]);
    let up = site.up();
    up.had("c", "simplereenroll", &words(&shows("a")));
    // Once, and the one that was revoked is none.
    let again = up.ask("d", "simplereenroll", &words(&shows("a"))).refused();
    let revoked = up.ask("d", "simplereenroll", &words(&shows("b"))).refused();
    up.down();
    site.why(&twice, "already-renewed");
    site.why(&again, "already-renewed");
    site.why(&revoked, "client-revoked");
}

#[test]
fn all_that_a_device_holds_is_revoked_at_once() {
    let site = Site::new("est-revoke-all");
    let (secret, other) = (site.secret("SN000001"), site.secret("SN000002"));
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    first(&site, &up, "other", "SN000002", &other);
    again(&site, "b", "a.pem");
    up.had("b", "simplereenroll", &words(&shows("a")));
    up.down();
    let (a, b) = (site.serial("a.pem"), site.serial("b.pem"));
    let revoke = ["cert", "revoke", "--device", "SN000001", "--reason", "key-compromise", "--yes"];
    let said = site.b.run(&revoke);
    let said = text(&said.stderr);
    assert!(
        said.contains("code: serial\n") && said.contains(&a) && said.contains(&b),
        "it is not guessed which: {said}"
    );
    let all = [&revoke[..], &["--all"]].concat();
    let would = site.b.json(&[&all[..], &["--dry-run"]].concat());
    assert!(would["would_revoke"].as_str().unwrap().contains(&b), "{would}");
    assert_eq!(site.b.json(&all)["revoked"], serde_json::json!([a, b]));
    site.b.fails(&all, 5, "serial-unknown");
    let rows = site.b.json(&["cert", "list", "--profile", "ldevid", "--valid"]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "the other device's stands: {rows}");
    // On hold it stands still, and is what is meant to be released.
    let hold = ["cert", "revoke", "--device", "SN000002", "--reason", "certificate-hold", "--yes"];
    site.b.ok(&hold);
    site.b.ok(&["cert", "release", "--device", "SN000002", "--yes"]);
    site.b.ok(&["cert", "revoke", "--device", "SN000002", "--all", "--yes"]);
}

#[test]
fn a_certificate_that_is_not_for_clients_lets_nobody_in() {
    let site = Site::with("est-purpose", |b| {
        let path = b.data().join("profiles/ldevid.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before.replace("[\"client-auth\"]", "[\"code-signing\"]")).unwrap();
    });
    let secret = site.secret("SN000001");
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    again(&site, "b", "a.pem");
    let refused = up.ask("b", "simplereenroll", &words(&shows("a"))).refused();
    up.down();
    site.why(&refused, "client-unknown");
}

#[test]
fn a_secret_ends() {
    let mut site = Site::new("est-secret-ends");
    let of_two_days = |serial: &str| {
        let said = site.b.json(&["device", "allow", serial, "--secret", "--days", "2"]);
        format!("{serial}:{}", said["secret"].as_str().unwrap())
    };
    let (early, late) = (of_two_days("SN000001"), of_two_days("SN000002"));
    let replaced = format!("SN000003:{}", site.secret("SN000003"));
    let _newer = site.secret("SN000003");
    ["a", "b", "c"].into_iter().for_each(|name| site.request(name, "/"));
    site.offset = Some("+1d");
    let up = site.up();
    up.had("a", "simpleenroll", &["-u", &early]);
    up.down();
    site.offset = Some("+3d");
    let up = site.up();
    let late = up.ask("b", "simpleenroll", &["-u", &late]).refused();
    let older = up.ask("c", "simpleenroll", &["-u", &replaced]).refused();
    up.down();
    site.why(&late, "secret-expired");
    site.why(&older, "secret-unknown");
    site.offset = None;
}

#[test]
fn a_second_enrolment_is_refused_for_what_was_used() {
    let site = Site::new("est-second");
    let by = |secret: &str| ["-u".to_owned(), format!("SN000001:{secret}")];
    ["a", "b", "c"].into_iter().for_each(|name| site.request(name, "/"));
    let mut refused = Vec::new();
    // The secret leaves one grant, and is used with it.
    let first = by(&site.secret("SN000001"));
    let up = site.up();
    up.had("a", "simpleenroll", &words(&first));
    let mut no = |up: &site::Up<'_>, name: &str, shown: &[String], code| {
        refused.push((up.ask(name, "simpleenroll", &words(shown)).refused(), code));
    };
    no(&up, "b", &first, "secret-used");
    no(&up, "b", &shows("a"), "grant-spent");
    up.down();
    // A grant whose secret nobody showed is used with a certificate: that secret was not used, and opens nothing.
    let second = by(&site.secret("SN000001"));
    let up = site.up();
    up.had("b", "simpleenroll", &words(&shows("a")));
    no(&up, "c", &shows("a"), "grant-spent");
    no(&up, "c", &second, "grant-spent");
    no(&up, "c", &first, "secret-unknown");
    // What was had is had again.
    up.had("b", "simpleenroll", &words(&shows("a")));
    up.down();
    refused.iter().for_each(|(identifier, code)| site.why(identifier, code));
    site.b.sound();
}

#[test]
fn only_devices_that_stand_on_a_list_are_let_enrol() {
    let site = Site::new("est-allowed");
    let b = &site.b;
    for (words, code) in [
        (&["SN000001", "--profile", "factory"][..], "issuer-not-allowed"),
        (&["SN000001", "--profile", "gateway"], "issuer-not-allowed"),
        (&["SN000001", "--profile", "nothing"], "profile-unknown"),
    ] {
        let said = b.run(&[&["device", "allow"], words].concat());
        assert!(!said.status.success() && text(&said.stderr).contains(&format!("code: {code}\n")), "{said:?}");
    }
    assert!(!b.run(&["device", "allow", "SN999999", "--secret"]).status.success());
    b.ok(&["device", "stolen", "SN000003"]);
    let said = b.run(&["device", "allow", "SN000003", "--secret"]);
    assert!(!said.status.success() && text(&said.stderr).contains("code: board-held\n"), "{said:?}");
}

#[test]
fn what_is_half_said_is_not_taken_for_something_else() {
    let site = Site::new("est-halves");
    let secret = site.secret("SN000001");
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    again(&site, "b", "a.pem");
    let shown = shows("a");
    // A certificate, and beside it something that is meant as a secret and is none.
    for field in ["Authorization: Bearer x", "Authorization: Basic !", "Authorization: Basic YTo="] {
        let got = up.ask("b", "simplereenroll", &[&words(&shown)[..], &["-H", field]].concat());
        assert!(got.status == 401 && got.head.contains("www-authenticate: basic"), "{field}: {}", got.status);
    }
    // Nothing that somebody was given, or not, lies about in caches.
    let refused = up.ask("b", "simplereenroll", &[&words(&shown)[..], &["-u", "SN000001:guessed"]].concat());
    assert!(refused.head.contains("cache-control: no-store"), "{}", refused.head);
    refused.refused();
    let got = up.ask("b", "simplereenroll", &words(&shown));
    assert!(got.status == 200 && got.head.contains("cache-control: no-store"), "{}", got.head);
    // What asks for something has no body.
    let got = up.curl("https", &["-X", "GET", "--data-binary", "@b.csr", "/.well-known/est/cacerts"]);
    assert_eq!(got.status, 413);
    // Whoever keeps a list for others has another one five minutes later.
    let got = up.curl("http", &["/crl/factory.crl"]);
    assert!(got.status == 200 && got.head.contains("cache-control: max-age=300,"), "{}", got.head);
    let got = up.curl("http", &["-H", "Content-Type: text/plain", "--data-binary", "x", "/ocsp"]);
    assert_eq!(got.status, 415);
    // An answer with somebody's nonce is nobody else's.
    let make = ["ocsp", "-issuer", "chain.pem", "-cert", "a.pem", "-reqout", "with-nonce"];
    foreign(&site.b.dir, "openssl", &make);
    let form = ["-H", "Content-Type: application/ocsp-request", "--data-binary", "@with-nonce", "/ocsp"];
    let got = up.curl("http", &form);
    assert!(got.status == 200 && got.head.contains("cache-control: no-store"), "{}", got.head);
    let path = foreign(&site.b.dir, "openssl", &["base64", "-A", "-in", "with-nonce"]);
    let path = path.trim().replace('+', "%2B").replace('=', "%3D").replace('/', "%2F");
    let got = up.curl("http", &[&format!("/ocsp/{path}")]);
    assert!(got.status == 200 && got.head.contains("cache-control: no-store"), "{}", got.head);
}

#[test]
fn a_flood_of_refusals_does_not_fill_the_records() {
    let site = Site::new("est-flood");
    site.request("a", "/");
    let up = site.up();
    // In one connection, so that it does not take a minute.
    let url = format!("{}/simpleenroll", site.url());
    let mut command = Command::new("curl");
    command.args(["-sS", "--cacert", "root.pem"]).current_dir(&site.b.dir);
    for n in 0..90 {
        if n > 0 {
            command.arg("--next").args(["-sS", "--cacert", "root.pem"]);
        }
        command.args([
            "-u",
            "SN000001:guessed",
            "-H",
            "Content-Type: application/pkcs10",
            "--data-binary",
            "@a.csr",
            &url,
        ]);
    }
    let said = text(&command.output().unwrap().stdout);
    up.down();
    let refused = said.matches("Refused. Identifier: ").count();
    assert!(refused >= 85, "{refused}: {said}");
    let log = site.b.ok(&["audit", "list", "-o", "json"]);
    let kept = log.matches("secret-unknown").count();
    assert!((60..80).contains(&kept), "{kept} of {refused} are in the log");
}

#[test]
fn lists_that_are_divided_are_told_each_by_its_name() {
    let site = Site::with("est-shards", |b| {
        let path = b.data().join("profiles/ldevid.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        let point =
            "[extensions]\ncrl_distribution_point = \"http://a.example/crl/{authority}-shard-{shard}.crl\"\nshards = 2";
        std::fs::write(path, before.replace("[extensions]", point)).unwrap();
    });
    let names = ["a", "b", "c", "d", "e", "f"];
    let secrets: Vec<_> = (1..=6).map(|n| site.secret(&format!("SN00000{n}"))).collect();
    let up = site.up();
    for (n, name) in names.into_iter().enumerate() {
        first(&site, &up, name, &format!("SN00000{}", n + 1), &secrets[n]);
    }
    let parts: Vec<_> = names.into_iter().map(|name| shard_of(&site, name)).collect();
    assert!(
        parts.contains(&"/crl/factory-shard-1.crl".to_owned())
            || parts.contains(&"/crl/factory-shard-2.crl".to_owned())
    );
    for path in ["/crl/factory-shard-1.crl", "/crl/factory-shard-2.crl"] {
        assert_eq!(up.curl("http", &[path]).status, 200, "{path}");
    }
    for path in [
        "/crl/factory-shard-0.crl",
        "/crl/factory-shard-01.crl",
        "/crl/factory-shard-x.crl",
        "/crl/nothing-shard-1.crl",
    ] {
        assert_eq!(up.curl("http", &[path]).status, 404, "{path}");
    }
    up.down();
    let revoked = site.serial("a.pem");
    site.b.ok(&["cert", "revoke", &revoked, "--reason", "key-compromise", "--yes"]);
    let mut site = site;
    site.offset = Some("+60s");
    let up = site.up();
    let mut found = Vec::new();
    for path in ["/crl/factory-shard-1.crl", "/crl/factory-shard-2.crl"] {
        let got = up.curl("http", &[path]);
        assert!(got.status == 200 && got.head.contains("application/pkix-crl"), "{}", got.head);
        let said = foreign(&site.b.dir, "openssl", &["crl", "-inform", "DER", "-in", "body", "-noout", "-text"]);
        assert!(said.contains(&format!("URI:http://a.example{path}")), "it does not say which part it is: {said}");
        if said.to_lowercase().contains(&revoked) {
            found.push(path.to_owned());
        }
    }
    up.down();
    assert_eq!(found, [parts[0].clone()], "it stands in the list that its certificate names, and in no other");
}

/// Where the list is in which a certificate would stand, as it says itself.
fn shard_of(site: &Site, name: &str) -> String {
    let said = foreign(&site.b.dir, "openssl", &["x509", "-in", &format!("{name}.pem"), "-noout", "-text"]);
    said.split("URI:http://a.example").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

mod taken_over {
    //! A module that was taken over asks km for what is not its own: the gateway for a certificate of another name, the console for one on
    //! the word of the station.
    use super::*;
    use adapters::bus::LocalBus;
    use adapters::clock::{SystemClock, SystemEntropy};
    use adapters::keystore::FileKeystore;
    use adapters::keystore::memory::MemoryKey;
    use authority::{Authority, Est, Limits, Setting};
    use issue::Profile;
    use model::callers::{CALLERS_TOML, Callers};
    use model::contract::Call;
    use model::contract::authority::{Answer, Certify, CertifyRequest, Evidence};
    use model::contract::enrolment::CertifyServer;
    use model::{Fault, Module, Reason, TransactionId};
    use ports::directory::{Caller, Directory};
    use ports::link::Parts;
    use ports::{Link, Signer};
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use wire::cmp::template::{Template, write_cert_request};
    use x509::crmf::{ProofOfPossession, write_only};
    use x509::extension::{GeneralName, subject_alt_name};
    use x509::{KeyType, Name, csr};

    /// What km of a box whose gateway is `cm.internal` answers a module of that box.
    fn ask<C: Call>(b: &Box_, module: Module, call: &C) -> Result<C::Reply, Fault> {
        let store = Arc::new(b.store());
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
        let passphrase = std::fs::read(b.data().join("secrets/passphrase")).unwrap();
        let keystore = FileKeystore::new(b.data().join("keys"), passphrase.into(), entropy.clone());
        let mut profiles = BTreeMap::new();
        for entry in std::fs::read_dir(b.data().join("profiles")).unwrap() {
            let path = entry.unwrap().path();
            let name: model::ProfileName = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let profile = Profile::read(name.clone(), &std::fs::read_to_string(&path).unwrap()).unwrap();
            profiles.insert(name, Arc::new(profile));
        }
        let est = Est { names: vec!["cm.internal".into()], ..Est::default() };
        let km = Authority::start(Setting {
            store: store.clone(),
            keystore: Arc::new(keystore),
            clock: clock.clone(),
            pause: clock.clone(),
            entropy: entropy.clone(),
            profiles,
            organization: "Example Devices".into(),
            limits: Limits::default(),
            est,
        });
        let instance: model::StationName = "line-1".parse().unwrap();
        let link = Link::new(Parts {
            module: Module::Authority,
            instance: instance.clone(),
            signer: Arc::new(MemoryKey::generate(KeyType::Ed25519)),
            directory: Arc::new(Directory::default()),
            callers: Arc::new(Callers::read(CALLERS_TOML).unwrap()),
            bus: Arc::new(LocalBus::new(clock.clone())),
            clock,
            entropy,
            audit: store,
            received: None,
        });
        let body = RawValue::from_string(serde_json::to_string(call).unwrap()).unwrap();
        let caller = Caller { module, instance };
        let said = Arc::new(km.unwrap()).on(&link).answer(&caller, C::SUBJECT, &body)?;
        Ok(serde_json::from_str(said.get()).unwrap())
    }

    /// What the gateway is answered that wants a certificate of a server of these names: how long its chain is.
    fn server(b: &Box_, names: &[GeneralName]) -> Result<usize, Fault> {
        let key = MemoryKey::generate(KeyType::P256);
        let info = csr::write_info(&Name::write(&[]), key.public_key(), &[subject_alt_name(names, true)]);
        let request = csr::write_signed(&info, key.algorithm(), &key.sign(&info).unwrap());
        let call = CertifyServer { request: request.into(), scep: None };
        ask(b, Module::Gateway, &call).map(|certified| certified.chain.len())
    }

    /// What a module is answered that vouches for the key of a device of type `sensor`, which is expected.
    fn vouched(b: &Box_, module: Module, serial: &str) -> Result<(), Fault> {
        let key = MemoryKey::generate(KeyType::P256);
        let template = Template { issuer: None, subject: None, public_key: key.public_key(), extensions: &[] };
        let request = write_only(&write_cert_request(0, &template), &ProofOfPossession::RaVerified);
        let now = ports::Clock::now(&SystemClock);
        let request = CertifyRequest {
            transaction_id: TransactionId::at(now, ports::clock::random(&SystemEntropy::default())),
            subject: model::Entity::Device(format!("urn:dev:ops:32473-sensor-{serial}").parse().unwrap()),
            profile: "idevid".parse().unwrap(),
            evidence: Evidence::Crmf(request.into()),
        };
        match ask(b, module, &Certify { requests: vec![request] })?.answers.pop() {
            Some(Answer::Issued { .. }) => Ok(()),
            Some(Answer::Failed(fault)) => Err(fault),
            None => panic!("no answer"),
        }
    }

    #[test]
    fn nobody_but_the_station_vouches_under_its_right() {
        // Where keys are in a token, they are not in files.
        if std::env::var_os("CRADLE_TEST_TOKEN").is_some() {
            return;
        }
        let b = Box_::new("est-right");
        b.device_type("sensor", "");
        b.write("devices.csv", "serial,type\nSN000001,sensor\nSN000002,sensor\n");
        b.ok(&["list", "import", "devices.csv"]);
        b.ok(&["mode", "set", "certificate-management"]);
        b.ok(&["station", "entitle", "sensor", "--quota", "9"]);
        assert_eq!(vouched(&b, Module::Console, "SN000001"), Err(Fault::Refused(Reason::RightMissing)));
        assert_eq!(vouched(&b, Module::Provisioning, "SN000002"), Ok(()));
    }

    #[test]
    fn the_gateway_is_certified_for_its_own_names_only() {
        // Where keys are in a token, they are not in files.
        if std::env::var_os("CRADLE_TEST_TOKEN").is_some() {
            return;
        }
        let b = Box_::new("est-server-name");
        let dns = |name: &str| GeneralName::Dns(name.to_owned());
        assert_eq!(server(&b, &[dns("cm.internal")]), Ok(3), "itself, and two above it");
        let refused = Err(Fault::Refused(Reason::NameMismatch));
        assert_eq!(server(&b, &[dns("console.internal")]), refused);
        assert_eq!(server(&b, &[dns("cm.internal"), dns("console.internal")]), refused);
        assert_eq!(server(&b, &[dns("cm.internal"), GeneralName::Uri("https://console.internal".into())]), refused);
        assert_eq!(server(&b, &[]), refused);
    }
}

#[test]
fn one_address_has_so_many_requests() {
    let site = Site::new("est-rate");
    let up = site.up();
    let port = up.said["https"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    // Of what leads nowhere, so that nothing else is waited for.
    let url = format!("https://localhost:{port}/.well-known/est/none?[1-300]");
    let begun = adapters::clock::Stopwatch::start();
    let words = ["-sS", "--cacert", "root.pem", "-o", "/dev/null", "-w", "%{http_code}\n"];
    let said = foreign(&site.b.dir, "curl", &[&words[..], &[&url]].concat());
    let s = usize::try_from(begun.ms() / 1000).unwrap();
    let (answered, more) = (said.matches("404").count(), said.matches("429").count());
    // A hundred at once, and twenty a second.
    assert_eq!(answered + more, 300, "{said}");
    assert!((100..=100 + 20 * (s + 1)).contains(&answered), "{answered} in {s} s");
    // Another address is not held up.
    assert_eq!(up.curl("https", &["--interface", "127.0.0.2", "/.well-known/est/none"]).status, 404);
    up.down();
}

#[test]
fn a_device_that_is_on_no_list_any_more_does_not_renew() {
    // The row is taken out of the file under the program.
    if std::env::var_os("CRADLE_TEST_POSTGRES").is_some() {
        return;
    }
    let site = Site::new("est-off-list");
    let secret = site.secret("SN000001");
    let up = site.up();
    first(&site, &up, "a", "SN000001", &secret);
    up.down();
    again(&site, "b", "a.pem");
    let device = "urn:dev:ops:32473-sensor-SN000001";
    let sql = format!("PRAGMA foreign_keys=OFF; DELETE FROM device WHERE name = '{device}'; SELECT changes();");
    let file = site.b.data().join("cradle.db");
    assert_eq!(foreign(&site.b.dir, "sqlite3", &[file.to_str().unwrap(), &sql]).trim(), "1");
    let up = site.up();
    let refused = up.ask("b", "simplereenroll", &words(&shows("a"))).refused();
    up.down();
    site.why(&refused, "not-on-list");
}
