//! The gateway, asked by foreign clients: curl and openssl. What is refused is refused alike; why, the records say.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

mod common;
mod site;

use common::{Box_, foreign, text};
use ports::Clock;
use site::{Site, Up, shows, words};
use std::process::Command;

const SUBJECT: &str = "/O=Example Devices/CN=sensor SN000001/serialNumber=SN000001";

#[test]
fn a_device_enrols_with_a_secret_and_renews_with_its_certificate() {
    let site = Site::new("est-life");
    let secret = site.secret("SN000001");
    let organization = site.b.json(&["status"])["organization"].as_str().unwrap_or("Example Devices").to_owned();
    let subject = SUBJECT.replace("Example Devices", &organization);
    ["one", "two"].into_iter().for_each(|name| site.request(name, "/"));
    let up = site.up();
    // Without showing anything.
    let got = up.curl("https", &["/.well-known/est/cacerts"]);
    assert_eq!(got.status, 200);
    assert!(got.head.contains("content-transfer-encoding: base64") && text(&got.body).lines().all(|l| l.len() <= 64));
    foreign(&site.b.dir, "openssl", &["base64", "-d", "-in", "body", "-out", "ca.p7"]);
    let shown = foreign(&site.b.dir, "openssl", &["pkcs7", "-inform", "DER", "-in", "ca.p7", "-print_certs"]);
    assert_eq!(shown.matches("BEGIN CERTIFICATE").count(), 2, "{shown}");
    assert_eq!(up.curl("https", &["/.well-known/est/csrattrs"]).status, 204);
    // With nothing, and with the secret.
    let got = up.ask("one", "simpleenroll", &[]);
    assert!(got.status == 401 && got.head.contains("www-authenticate: basic"), "{}", got.head);
    let by_secret = format!("SN000001:{secret}");
    up.had("one", "simpleenroll", &["-u", &by_secret]);
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "one.pem"]);
    let first = site.serial("one.pem");
    // Whoever did not hear the answer gets the same.
    up.had("one", "simpleenroll", &["-u", &by_secret]);
    assert_eq!(site.serial("one.pem"), first);
    let again = up.ask("two", "simpleenroll", &["-u", &by_secret]).refused();
    // Renewed, with a new key and the same name.
    site.request("two", &subject);
    site.request("three", &subject);
    site.request("other", "/CN=sensor SN000002");
    let shown = shows("one");
    let shown = words(&shown);
    let other = up.ask("other", "simplereenroll", &shown).refused();
    let elsewhere = up.ask("two", "servers/simplereenroll", &shown).refused();
    let unproved = up.ask("two", "simplereenroll", &["-u", &by_secret]).refused();
    up.had("two", "simplereenroll", &shown);
    let second = site.serial("two.pem");
    assert_ne!(first, second);
    up.had("two", "simplereenroll", &shown);
    assert_eq!(site.serial("two.pem"), second);
    let twice = up.ask("three", "simplereenroll", &shown).refused();
    // The newer one renews in its turn.
    up.had("three", "simplereenroll", &words(&shows("two")));
    up.down();
    site.why(&again, "secret-used");
    site.why(&other, "name-mismatch");
    site.why(&elsewhere, "label-mismatch");
    site.why(&unproved, "client-unproved");
    site.why(&twice, "already-renewed");
    let told = site.b.ok(&["explain", &second]);
    assert!(told.contains(&format!("certificate {first}, which it renews")), "{told}");
    let told = site.b.ok(&["explain", &first]);
    assert!(told.contains("a one-time secret"), "{told}");
    site.b.sound();
}

#[test]
fn what_is_shown_must_be_the_devices_own() {
    let site = Site::new("est-attacks");
    let secrets = ["SN000001", "SN000002", "SN000003"].map(|serial| site.secret(serial));
    ["a", "b", "c"].into_iter().for_each(|name| site.request(name, "/"));
    let up = site.up();
    let of = |user: &str, secret: usize| format!("{user}:{}", secrets[secret]);
    up.had("a", "simpleenroll", &["-u", &of("SN000001", 0)]);
    let foreign_secret = up.ask("b", "simpleenroll", &["-u", &of("SN000002", 2)]).refused();
    let wrong = up.ask("b", "simpleenroll", &["-u", "SN000002:guessed"]).refused();
    let nobody = up.ask("b", "simpleenroll", &["-u", &of("SN999999", 1)]).refused();
    let elsewhere = up.ask("b", "servers/simpleenroll", &["-u", &of("SN000002", 1)]).refused();
    let shown = shows("a");
    let by_secret = of("SN000002", 1);
    let both = [&words(&shown)[..], &["-u", &by_secret]].concat();
    let mixed = up.ask("b", "simpleenroll", &both).refused();
    // One grant, one certificate: the first of SN000001 was had with its secret.
    let spent = up.ask("c", "simpleenroll", &words(&shown)).refused();
    // A certificate of the same name, from an authority of somebody's own.
    let own = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key"];
    foreign(&site.b.dir, "openssl", &[&own[..], &["-subj", SUBJECT, "-out", "own.pem"]].concat());
    let unknown = up.ask("c", "simplereenroll", &words(&shows("own"))).refused();
    // A label that climbs, and forms that are none.
    for path in ["devices/../cacerts", "%2e%2e/cacerts", "devices%2fcacerts", "nothing/cacerts", "devices//cacerts"] {
        assert_eq!(up.curl("https", &[&format!("/.well-known/est/{path}")]).status, 404, "{path}");
    }
    assert_eq!(up.curl("https", &["/.well-known/est/simpleenroll"]).status, 405);
    let sent = ["--data-binary", "no request", "-u", &by_secret, "/.well-known/est/simpleenroll"];
    assert_eq!(up.curl("https", &sent).status, 400);
    site.b.write("long", vec![b'A'; 40_000]);
    // Asked before it is sent: nobody reads what is too long, and curl would meet with a closed connection. Over HTTP/2 nobody is told to
    // send, and the rest is read.
    let first = ["--http1.1", "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-u", &by_secret];
    let sent = [&first[..], &["--data-binary", "@long", "/.well-known/est/simpleenroll"]].concat();
    assert_eq!(up.curl("https", &sent).status, 413);
    let sent = ["--http2", "-u", &by_secret, "--data-binary", "@long", "/.well-known/est/simpleenroll"];
    assert_eq!(up.curl("https", &sent).status, 413);
    // After all that, the secret of SN000002 is as good as before: as DER too.
    foreign(&site.b.dir, "openssl", &["base64", "-d", "-in", "b.csr", "-out", "b.der"]);
    std::fs::copy(site.b.dir.join("b.der"), site.b.dir.join("b.csr")).unwrap();
    up.had("b", "simpleenroll", &["-u", &of("SN000002", 1)]);
    up.down();
    site.why(&foreign_secret, "secret-unknown");
    site.why(&wrong, "secret-unknown");
    site.why(&nobody, "secret-unknown");
    site.why(&elsewhere, "secret-unknown");
    site.why(&mixed, "clients-differ");
    site.why(&spent, "grant-spent");
    site.why(&unknown, "client-unknown");
    site.b.sound();
}

#[test]
fn who_is_revoked_stolen_or_expired_gets_nothing() {
    let mut site = Site::new("est-standing");
    let profile = site.b.data().join("profiles/ldevid.toml");
    let before = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, before.replace("31_536_000", "86_400")).unwrap();
    let secrets = ["SN000001", "SN000002", "SN000003"].map(|serial| site.secret(serial));
    ["a", "b", "c"].into_iter().for_each(|name| site.request(name, "/"));
    let up = site.up();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        up.had(name, "simpleenroll", &["-u", &format!("SN00000{}:{}", n + 1, secrets[n])]);
    }
    let subject = |name: &str| {
        let said = foreign(
            &site.b.dir,
            "openssl",
            &["x509", "-in", &format!("{name}.pem"), "-noout", "-subject", "-nameopt", "compat"],
        );
        said.trim().trim_start_matches("subject=").trim().to_owned()
    };
    for name in ["a", "b", "c"] {
        site.request(&format!("{name}2"), &subject(name));
        std::fs::copy(site.b.dir.join(format!("{name}.pem")), site.b.dir.join(format!("{name}-old.pem"))).unwrap();
    }
    up.down();
    let first = site.serial("a.pem");
    site.b.ok(&["cert", "revoke", &first, "--reason", "certificate-hold", "--yes"]);
    site.b.ok(&["device", "stolen", "SN000002"]);
    let up = site.up();
    let held = up.ask("a2", "simplereenroll", &words(&shows("a"))).refused();
    let stolen = up.ask("b2", "simplereenroll", &words(&shows("b"))).refused();
    up.down();
    site.why(&held, "client-revoked");
    site.why(&stolen, "board-held");
    // Released from hold it renews; a day later the third has expired.
    site.b.ok(&["cert", "release", &first, "--yes"]);
    let up = site.up();
    up.had("a2", "simplereenroll", &words(&shows("a")));
    up.down();
    site.offset = Some("+2d");
    let up = site.up();
    let late = up.ask("c2", "simplereenroll", &words(&shows("c"))).refused();
    up.down();
    let said = text(&site.b.command_at("+2d", &["explain", &late]).output().unwrap().stdout);
    assert!(said.contains("(client-expired)"), "{said}");
}

#[test]
fn a_request_that_waits_for_operators_is_told_to_come_again() {
    let site = Site::new("est-approval");
    let profile = site.b.data().join("profiles/ldevid.toml");
    let before = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, before + "\n[enrolment]\napprovals = 1\nprotocols = [\"est\"]\n").unwrap();
    let secret = format!("SN000001:{}", site.secret("SN000001"));
    site.request("a", "/");
    let up = site.up();
    let got = up.ask("a", "simpleenroll", &["-u", &secret]);
    assert!(got.status == 202 && got.head.contains("retry-after: "), "{} {}", got.status, got.head);
    up.down();
    let waiting = site.b.json(&["approve", "list"]);
    let id = waiting[0]["id"].to_string();
    site.b.ok(&["approve", "yes", &id]);
    let up = site.up();
    up.had("a", "simpleenroll", &["-u", &secret]);
}

#[test]
fn a_profile_that_does_not_name_est_is_not_had_over_it() {
    let site = Site::new("est-protocol");
    let profile = site.b.data().join("profiles/ldevid.toml");
    let before = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, before + "\n[enrolment]\nprotocols = [\"bus\"]\n").unwrap();
    let secret = format!("SN000001:{}", site.secret("SN000001"));
    site.request("a", "/");
    let up = site.up();
    let refused = up.ask("a", "simpleenroll", &["-u", &secret]).refused();
    up.down();
    site.why(&refused, "caller-not-allowed");
}

#[test]
fn base64_is_wrapped_or_one_line_as_the_clients_of_a_label_read_it() {
    let site = Site::new("est-lines");
    let up = site.up();
    let lines = |path: &str| {
        let got = up.curl("https", &[path]);
        assert_eq!(got.status, 200, "{}", text(&got.body));
        text(&got.body).split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>()
    };
    let (wrapped, one) = (lines("/.well-known/est/cacerts"), lines("/.well-known/est/one-line/cacerts"));
    up.down();
    let trimmed = |lines: &[String]| lines.iter().map(|line| line.trim_end()).collect::<String>();
    assert!(wrapped.len() > 5 && wrapped.iter().all(|line| line.len() <= 65 && line.ends_with('\n')), "{wrapped:?}");
    assert_eq!((one.len(), trimmed(&one)), (1, trimmed(&wrapped)));
}

#[test]
fn status_is_told_to_anybody_and_never_old() {
    let mut site = Site::new("status");
    let secrets = ["SN000001", "SN000002"].map(|serial| site.secret(serial));
    ["a", "b"].into_iter().for_each(|name| site.request(name, "/"));
    let up = site.up();
    up.had("a", "simpleenroll", &["-u", &format!("SN000001:{}", secrets[0])]);
    up.had("b", "simpleenroll", &["-u", &format!("SN000002:{}", secrets[1])]);
    let url = |up: &Up<'_>| format!("http://{}", up.said["http"].as_str().unwrap());
    let ask = |up: &Up<'_>, which: &[&str]| {
        let at = format!("{}/ocsp", url(up));
        let ocsp = ["ocsp", "-url", &at, "-issuer", "chain.pem", "-CAfile", "chain.pem"];
        foreign(&site.b.dir, "openssl", &[&ocsp[..], which].concat())
    };
    assert!(ask(&up, &["-cert", "a.pem"]).contains("a.pem: good"));
    assert!(ask(&up, &["-sha256", "-cert", "a.pem", "-no_nonce"]).contains("a.pem: good"));
    assert!(ask(&up, &["-serial", "0x0123456789"]).contains("0x0123456789: unknown"), "a number that was never issued");
    // Another library's client, which writes requests of its own and checks the responder's certificate by its own rules.
    let ocsptool =
        format!("ocsptool --ask={}/ocsp --load-cert=a.pem --load-issuer=chain.pem --load-trust=chain.pem", url(&up));
    let said = foreign(&site.b.dir, "sh", &["-c", &ocsptool]);
    assert!(said.contains("Certificate Status: good") && said.contains("Verifying OCSP Response: Success."), "{said}");
    // GET, as caches like it: the request in the path, as it is.
    let make = ["ocsp", "-issuer", "chain.pem", "-cert", "a.pem", "-no_nonce", "-reqout", "request.der"];
    foreign(&site.b.dir, "openssl", &make);
    let path = foreign(&site.b.dir, "openssl", &["base64", "-A", "-in", "request.der"]);
    let escaped = path.trim().replace('+', "%2B").replace('=', "%3D");
    for path in [escaped.replace('/', "%2F"), escaped] {
        let got = up.curl("http", &[&format!("/ocsp/{path}")]);
        assert!(got.status == 200 && got.head.contains("cache-control: max-age=300, public"), "{}", got.head);
        let said =
            ["ocsp", "-respin", "body", "-issuer", "chain.pem", "-cert", "a.pem", "-CAfile", "chain.pem", "-no_nonce"];
        assert!(foreign(&site.b.dir, "openssl", &said).contains("a.pem: good"));
    }
    // Lists and certificates, which who has them does not get again.
    let list = up.curl("http", &["/crl/factory.crl"]);
    assert!(list.status == 200 && list.head.contains("application/pkix-crl"), "{}", list.head);
    let etag = list.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert!(
        ["last-modified: ", "expires: ", "max-age="].iter().all(|field| list.head.contains(field)),
        "{}",
        list.head
    );
    assert_eq!(up.curl("http", &["-H", &format!("If-None-Match: {etag}"), "/crl/factory.crl"]).status, 304);
    let got = up.curl("http", &["/ca/factory.cer"]);
    assert!(got.status == 200 && got.head.contains("application/pkix-cert"), "{}", got.head);
    foreign(&site.b.dir, "openssl", &["x509", "-inform", "DER", "-in", "body", "-noout"]);
    for path in ["/crl/nothing.crl", "/ca/nothing.cer", "/crl/../factory.crl", "/", "/.well-known/est/cacerts"] {
        assert_eq!(up.curl("http", &[path]).status, 404, "{path}");
    }
    up.down();
    site.b.ok(&["cert", "revoke", &site.serial("a.pem"), "--reason", "key-compromise", "--yes"]);
    site.offset = Some("+60s");
    let up = site.up();
    let at = format!("{}/ocsp", url(&up));
    let ocsp =
        ["ocsp", "-url", &at, "-issuer", "chain.pem", "-CAfile", "chain.pem", "-cert", "a.pem", "-cert", "b.pem"];
    let said = foreign(&site.b.dir, "openssl", &ocsp);
    assert!(said.contains("a.pem: revoked") && said.contains("b.pem: good"), "{said}");
    // A minute later the list of before is not in force any more.
    assert_eq!(up.curl("http", &["/crl/factory.crl"]).status, 200);
    foreign(&site.b.dir, "openssl", &["crl", "-inform", "DER", "-in", "body", "-out", "crl.pem"]);
    let soon = adapters::clock::SystemClock.now().plus_s(120).s().to_string();
    let verify = ["verify", "-attime", &soon, "-crl_check", "-CAfile", "chain.pem", "-CRLfile", "crl.pem"];
    foreign(&site.b.dir, "openssl", &[&verify[..], &["b.pem"]].concat());
    let refused = Command::new("openssl").args(verify).arg("a.pem").current_dir(&site.b.dir).output().unwrap();
    assert!(text(&refused.stderr).contains("certificate revoked"), "{}", text(&refused.stderr));
}

/// What OpenSSL says of certificates with these lists: whether each is refused as revoked.
fn revoked(site: &Site, lists: &[&str], certificates: &[&str]) -> Vec<bool> {
    let soon = adapters::clock::SystemClock.now().plus_s(180).s().to_string();
    let fixed = ["verify", "-attime", &soon, "-crl_check", "-extended_crl", "-use_deltas", "-CAfile", "chain.pem"];
    let lists: Vec<_> = lists.iter().flat_map(|list| ["-CRLfile", list]).collect();
    let judge = |certificate: &&str| {
        let output = Command::new("openssl")
            .args(fixed)
            .args(&lists)
            .arg(certificate)
            .current_dir(&site.b.dir)
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() || said.contains("certificate revoked"), "{certificate}: {said}");
        !output.status.success()
    };
    certificates.iter().map(judge).collect()
}

/// Fetches a list, and writes it as PEM.
fn list(site: &Site, up: &Up<'_>, path: &str, file: &str) {
    let got = up.curl("http", &[path]);
    assert!(got.status == 200 && got.head.contains("application/pkix-crl"), "{path}: {}", got.head);
    foreign(&site.b.dir, "openssl", &["crl", "-inform", "DER", "-in", "body", "-out", file]);
}

fn revoke(site: &Site, name: &str, reason: &str) {
    site.b.ok(&["cert", "revoke", &site.serial(name), "--reason", reason, "--yes"]);
}

#[test]
fn what_changed_is_had_where_the_whole_list_says_and_goes_with_every_list_that_still_holds() {
    let mut site = Site::with("status-delta", |b| {
        let path = b.data().join("profiles/ldevid.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        let point = "[extensions]\ncrl_distribution_point = \"http://a.example/crl/{authority}.crl\"";
        std::fs::write(path, before.replace("[extensions]", point)).unwrap();
    });
    let all = ["a.pem", "b.pem", "c.pem"];
    let secrets = ["SN000001", "SN000002", "SN000003"].map(|serial| (serial, site.secret(serial)));
    let up = site.up();
    for (name, (serial, secret)) in ["a", "b", "c"].into_iter().zip(&secrets) {
        site.request(name, "/");
        up.had(name, "simpleenroll", &["-u", &format!("{serial}:{secret}")]);
    }
    up.down();
    revoke(&site, "b.pem", "certificate-hold");
    // Before there is a whole list, one is made that the difference is to.
    let up = site.up();
    list(&site, &up, "/crl/factory-delta.crl", "no-change.pem");
    list(&site, &up, "/crl/factory.crl", "first.pem");
    up.down();
    let said = foreign(&site.b.dir, "openssl", &["crl", "-in", "first.pem", "-noout", "-text"]);
    let (_, freshest) = said.split_once("Freshest CRL").unwrap_or_else(|| panic!("{said}"));
    assert!(freshest.contains("URI:http://a.example/crl/factory-delta.crl"), "{said}");
    assert_eq!(revoked(&site, &["first.pem", "no-change.pem"], &all), [false, true, false]);
    revoke(&site, "a.pem", "key-compromise");
    site.b.ok(&["cert", "release", &site.serial("b.pem"), "--yes"]);
    // A minute later there is another whole list, and what changed is still told to who has the first.
    site.offset = Some("+60s");
    let up = site.up();
    list(&site, &up, "/crl/factory.crl", "second.pem");
    list(&site, &up, "/crl/factory-delta.crl", "changes.pem");
    assert_eq!(up.curl("http", &["/crl/nothing-delta.crl"]).status, 404);
    up.down();
    assert_eq!(revoked(&site, &["first.pem"], &all), [false, true, false]);
    assert_eq!(revoked(&site, &["second.pem"], &all), [true, false, false]);
    assert_eq!(revoked(&site, &["first.pem", "changes.pem"], &all), [true, false, false]);
    assert_eq!(revoked(&site, &["second.pem", "changes.pem"], &all), [true, false, false]);
}

#[test]
fn a_list_that_is_longer_than_a_message_is_told_whole() {
    let site = Site::new("status-long");
    site.b.ok(&["crl", "issue", "factory"]);
    // As long as a list of 100 000 lines.
    let octets = "ab".repeat(2_000_000);
    let as_sql = match std::env::var_os("CRADLE_TEST_POSTGRES") {
        Some(_) => "repeat('ab', 2000000)",
        None => "replace(hex(zeroblob(1000000)), '00', 'abab')",
    };
    site.b.sql(&format!("UPDATE crl SET der = CAST({as_sql} AS BLOB)"));
    let up = site.up();
    let got = up.curl("http", &["/crl/factory.crl"]);
    up.down();
    assert_eq!((got.status, got.body.len()), (200, octets.len()));
    assert!(got.body == octets.as_bytes());
}

/// The TCP sockets on which a process listens, as the kernel says.
fn listening(pid: u32) -> usize {
    let said = foreign(std::path::Path::new("/"), "ss", &["-Hltnp"]);
    said.lines().filter(|line| line.contains(&format!("pid={pid},"))).count()
}

#[test]
fn only_where_the_gateway_may_be_open_does_anything_listen() {
    let site = Site::new("gateway-modes");
    let mut seen = Vec::new();
    let modes = [
        "certificate-management",
        "provision",
        "provision-certificate",
        "ceremony",
        "software-import",
        "software-management",
    ];
    for mode in modes {
        site.b.ok(&["mode", "set", mode]);
        let up = site.up();
        seen.push((mode, listening(up.child.id())));
        assert_eq!(up.said["https"].is_null(), mode != "certificate-management", "{}", up.said);
    }
    let expected = modes.map(|mode| (mode, if mode == "certificate-management" { 2 } else { 0 }));
    assert_eq!(seen, expected);
    // A command is not a box that is up: it opens nothing, and a box without the section has nothing to open.
    site.b.ok(&["mode", "set", "certificate-management"]);
    let settings = site.b.data().join("cradle.toml");
    let with = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, with.split("\n[gateway]").next().unwrap()).unwrap();
    site.b.fails(&["up"], 2, "no-bus");
}

#[test]
fn an_address_asks_as_often_as_the_settings_say() {
    let site = Site::new("gateway-pace");
    // How many of so many requests of one connection are sent away.
    let sent_away = |path: &str, count: u32| {
        let up = site.up();
        let (scheme, path) = path.split_once(' ').unwrap();
        let port = up.said[scheme].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let url = format!("{scheme}://localhost:{port}{path}?[1-{count}]");
        let said = foreign(
            &site.b.dir,
            "curl",
            &["-sS", "--cacert", "root.pem", "-o", "/dev/null", "-w", "%{http_code} ", &url],
        );
        up.down();
        let codes: Vec<_> = said.split_whitespace().collect();
        assert_eq!(codes.len(), usize::try_from(count).unwrap(), "{said}");
        codes.into_iter().filter(|code| *code == "429").count()
    };
    let doors = [("https /.well-known/est/cacerts", 60), ("http /crl/factory.crl", 200)];
    for (path, count) in doors {
        assert_eq!(sent_away(path, count), 0, "{path}");
    }
    site.edit("cradle.toml", "[gateway]\n", "[gateway]\nrequests_per_s = 1\n");
    for (path, count) in doors {
        let away = sent_away(path, count);
        // Five seconds' are saved up, and more come while they ask.
        assert!(away > 0 && away < usize::try_from(count).unwrap(), "{path}: {away}");
    }
    site.edit("cradle.toml", "requests_per_s = 1\n", "requests_per_s = 0\n");
    site.b.fails(&["mode", "show"], 2, "config");
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let b = Box_::new("gateway-settings");
    let settings = b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let check = |more: &str, why: &str| {
        std::fs::write(&settings, format!("{before}\n{more}")).unwrap();
        let said = b.fails(&["mode", "show"], 2, "config");
        assert!(said.contains(why), "{said}");
    };
    check("[gateway]\nhttps = \"127.0.0.1:0\"\n", "gateway.names");
    check("[gateway]\ntls_key = \"k\"\n", "go together");
    check("[gateway]\nlabel = \"a\"\n", "gateway.label");
    check("[gateway.est.a]\nprofile = \"ldevid\"\nbase64_line = 76\n", "base64_line");
    check("[gateway.cmp.a]\nprofile = \"ldevid\"\nconfirm_within_s = 1\n", "confirm_within_s");
    check("[gateway.est.\"../a\"]\nprofile = \"ldevid\"\n", "EST label");
}
