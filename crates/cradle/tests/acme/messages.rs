//! What clients do that certbot does not, and what is said of it.

use crate::common::foreign;
use crate::hand::{Client, identifier, jwk, jws, leaf, new_key};
use crate::site::Site;
use adapters::keystore::memory::MemoryKey;
use ports::Signer;
use serde_json::json;
use wire::acme::CertId;
use x509::extension::AuthorityKeyIdentifier;
use x509::{Certificate, Extension, KeyType, Name, csr};

const NAME: &str = "www.sn000001.internal";

#[test]
fn an_account_takes_another_key_and_keeps_what_is_its_own() {
    let site = Site::new("acme-keys");
    let (one, two) = (site.allow("SN000001"), site.allow("SN000002"));
    let up = site.up();
    let (mut client, other) = (Client::of(&up, "SN000001", &one), Client::of(&up, "SN000002", &two));
    let order = client.order(&[NAME]).went();
    let at = order.field("location").unwrap().to_owned();
    let kid = client.kid.clone().unwrap();
    let change = |new: &MemoryKey, account: &str, old: serde_json::Value, url: &str| {
        let header = json!({"alg": "EdDSA", "jwk": jwk(new), "url": url}).to_string();
        let payload = json!({"account": account, "oldKey": old}).to_string();
        jws(&header, &payload, |input| new.sign(input).unwrap())
    };
    let (new, url) = (new_key(), client.url("key-change"));
    // Of another account, from another key, for another address, and to a key that another account has.
    let others = other.kid.clone().unwrap();
    client.post_to(&url, &change(&new, &others, jwk(&client.key), &url)).is("malformed", 400);
    client.post_to(&url, &change(&new, &kid, jwk(&other.key), &url)).is("malformed", 400);
    client.post_to(&url, &change(&new, &kid, jwk(&client.key), &client.url("new-order"))).is("unauthorized", 403);
    let taken = client.post_to(&url, &change(&other.key, &kid, jwk(&client.key), &url));
    taken.is("malformed", 409);
    assert_eq!(taken.field("location"), Some(others.as_str()));
    // Signed by somebody who does not have the new key.
    let header = json!({"alg": "EdDSA", "jwk": jwk(&new), "url": url}).to_string();
    let payload = json!({"account": kid, "oldKey": jwk(&client.key)}).to_string();
    let forged = jws(&header, &payload, |input| client.key.sign(input).unwrap());
    client.post_to(&url, &forged).is("unauthorized", 403);
    client.post_to(&url, &change(&new, &kid, jwk(&client.key), &url)).went();
    // The old one is nobody's now.
    client.ask(&at).is("unauthorized", 403);
    client.key = new;
    assert_eq!(client.ask(&at).went().json()["status"], "pending");
    let found = Client { kid: None, key: new_key(), ..Client::new(&up) };
    found.post("new-account", &json!({"onlyReturnExisting": true})).is("accountDoesNotExist", 400);
    client.kid = None;
    let again = client.post("new-account", &json!({"onlyReturnExisting": true})).went();
    assert_eq!((again.status, again.field("location")), (200, Some(kid.as_str())));
    up.down();
    assert!(site.b.ok(&["explain", "SN000001"]).contains("another key took the place of its key"));
    site.b.sound();
}

#[test]
fn clients_learn_when_to_renew_and_name_what_they_replace() {
    let site = Site::new("acme-ari");
    let key = site.allow("SN000001");
    let up = site.up();
    let client = Client::of(&up, "SN000001", &key);
    let (pem, _) = client.certificate(NAME);
    let read = Certificate::decode(&leaf(&pem)).unwrap();
    let tbs = read.tbs();
    let identifier = tbs.extension(x509::oids::AUTHORITY_KEY_IDENTIFIER).unwrap();
    let authority = AuthorityKeyIdentifier::decode(&identifier.value).unwrap().key_identifier.unwrap();
    let id = CertId { authority: authority.to_vec(), serial: tbs.serial_number }.write();
    let info = client.get(&format!("renewal-info/{id}")).went();
    assert_eq!(info.field("retry-after"), Some("43200"));
    let window = info.json()["suggestedWindow"].clone();
    let start = tbs.not_before.plus_s((tbs.not_after.s() - tbs.not_before.s()) / 3 * 2);
    assert_eq!(window["start"], start.to_string());
    assert!(window["end"].as_str().unwrap() > window["start"].as_str().unwrap());
    // No certificate of ours, by its number or by its authority.
    let no = CertId { authority: vec![1; 20], serial: tbs.serial_number }.write();
    client.get(&format!("renewal-info/{no}")).is("malformed", 404);
    // A new one in its place; once.
    let order = |replaces: &str| {
        let identifiers = json!([{"type": "dns", "value": NAME}]);
        client.post("new-order", &json!({"identifiers": identifiers, "replaces": replaces}))
    };
    let second = order(&id).went().json();
    assert_eq!(second["replaces"], id);
    assert_eq!(client.prove_by_record(&second)["status"], "valid");
    client.finalise(&second, &client.request(&new_key(), &[NAME])).went();
    order(&id).is("alreadyReplaced", 409);
    order(&no).is("malformed", 404);
    // A revoked one is to be renewed at once.
    let certificate = model::octets::base64url(&leaf(&pem));
    client.post("revoke-cert", &json!({"certificate": certificate})).went();
    let window = client.get(&format!("renewal-info/{id}")).went().json()["suggestedWindow"].clone();
    assert!(window["end"].as_str().unwrap() < tbs.not_before.plus_s(3600).to_string().as_str(), "{window}");
    up.down();
    assert_eq!(site.standing().len(), 2);
    site.b.sound();
}

#[test]
fn what_is_there_for_anybody() {
    let site = Site::new("acme-open");
    let up = site.up();
    let client = Client::new(&up);
    let directory = client.get("directory").went();
    assert_eq!(directory.json()["meta"]["externalAccountRequired"], true);
    assert_eq!(directory.json()["newOrder"], client.url("new-order"));
    let nonce = client.get("new-nonce");
    assert_eq!((nonce.status, nonce.field("cache-control")), (204, Some("no-store")));
    let head = client.curl(&client.url("new-nonce"), &["-I"], "");
    assert_eq!(head.status, 200);
    assert_ne!(head.field("replay-nonce"), nonce.field("replay-nonce"));
    let index = format!("<{}>;rel=\"index\"", client.url("directory"));
    assert_eq!(nonce.field("link"), Some(index.as_str()));
    assert_eq!(client.get("no-such").status, 404);
    client.curl(&client.url("directory").replace("servers", "nobody"), &[], "").is("malformed", 404);
    up.down();
}

#[test]
fn a_name_is_proved_by_a_certificate_for_its_key() {
    let site = Site::new("acme-alpn");
    let key = site.allow("SN000001");
    let up = site.up();
    let client = Client::of(&up, "SN000001", &key);
    let prove = |right: bool| {
        let order = client.order(&[NAME]).went().json();
        let (url, token) = client.challenge(&order, "tls-alpn-01");
        let authorization = client.key_authorization(if right { &token } else { "other" });
        let digest: String =
            x509::sha256(authorization.as_bytes()).octets().iter().map(|o| format!(":{o:02X}")).collect();
        let extension = format!("1.3.6.1.5.5.7.1.31=critical,DER:04:20{digest}");
        let new =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "alpn.key"];
        let more = ["-out", "alpn.pem", "-subj", "/", "-addext", &extension, "-addext"];
        foreign(&site.b.dir, "openssl", &[&new[..], &more, &[&format!("subjectAltName=DNS:{NAME}")]].concat());
        let port = site.tls_port.to_string();
        let mut server = std::process::Command::new("openssl");
        server.args([
            "s_server",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-alpn",
            "acme-tls/1",
            "-naccept",
            "1",
            "-quiet",
        ]);
        let server = server.args(["-cert", "alpn.pem", "-key", "alpn.key"]).current_dir(&site.b.dir);
        let mut server = server.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
        let table = format!(":{:04X} ", site.tls_port);
        let listens = || {
            std::fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|l| l.contains(&table) && l.contains(" 0A "))
        };
        for _ in 0..1000 {
            if listens() {
                break;
            }
            client.get("new-nonce");
        }
        client.post_to(&url, "{}").went();
        let part = client.decided(&order);
        let _ended = server.kill();
        server.wait().unwrap();
        part
    };
    let part = prove(true);
    assert_eq!(part["status"], "valid", "{part}");
    let part = prove(false);
    assert_eq!(part["challenges"][0]["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse", "{part}");
    up.down();
}

#[test]
fn an_order_waits_for_operators() {
    let site = Site::new("acme-approval");
    let profile = site.b.data().join("profiles/server.toml");
    let before = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, before + "\n[enrolment]\napprovals = 1\nprotocols = [\"acme\"]\n").unwrap();
    let key = site.allow("SN000001");
    let up = site.up();
    let client = Client::of(&up, "SN000001", &key);
    let order = client.order(&[NAME]).went();
    let (at, order) = (order.field("location").unwrap().to_owned(), order.json());
    assert_eq!(client.prove_by_record(&order)["status"], "valid");
    let got = client.finalise(&order, &client.request(&new_key(), &[NAME])).went();
    assert_eq!((got.json()["status"].as_str(), got.field("retry-after")), (Some("processing"), Some("60")));
    assert_eq!(client.ask(&at).went().json()["status"], "processing");
    client.ask(&format!("{at}/certificate")).is("orderNotReady", 403);
    let path = at[at.find("/acme").unwrap()..].to_owned();
    let client = client.apart();
    up.down();
    let waiting = site.b.json(&["approve", "list"]);
    assert!(site.standing().is_empty());
    site.b.ok(&["approve", "yes", &waiting[0]["id"].to_string()]);
    let up = site.up();
    let client = client.at(&up);
    let done = client.ask(&format!("{}{path}", up.base())).went().json();
    assert_eq!(done["status"], "valid", "{done}");
    client.ask(done["certificate"].as_str().unwrap()).went();
    up.down();
    assert_eq!(site.standing().len(), 1);
    site.b.sound();
}

#[test]
fn what_is_used_over_one_protocol_is_used_over_the_other() {
    let site = Site::new("acme-est");
    let key = site.allow("SN000001");
    let said = site.b.json(&["device", "allow", "SN000002", "--secret"]);
    let up = site.up();
    let client = Client::of(&up, "SN000001", &key);
    // A certificate, and the next one in its place, over ACME. Then over EST once more in the place of the first one.
    let pkcs8 = MemoryKey::generate_pkcs8(KeyType::P256).unwrap();
    let own = MemoryKey::open(&pkcs8).unwrap();
    let order = client.order(&[NAME]).went().json();
    assert_eq!(client.prove_by_record(&order)["status"], "valid");
    let done = client.finalise(&order, &client.request(&own, &[NAME])).went().json();
    let first = leaf(&crate::common::text(&client.ask(done["certificate"].as_str().unwrap()).went().body));
    client.certificate(NAME);
    let read = Certificate::decode(&first).unwrap();
    let names = read.tbs().extension(x509::oids::SUBJECT_ALT_NAME).unwrap().clone();
    let est = |new: &MemoryKey, subject: &Name, names: &[Extension], words: &[&str], path: &str| {
        let info = csr::write_info(subject, new.public_key(), names);
        let der = csr::write_signed(&info, new.algorithm(), &new.sign(&info).unwrap());
        site.b.write("est.csr", x509::pem::encode("X", &der).lines().filter(|l| !l.contains('-')).collect::<String>());
        let sent = ["-H", "Content-Type: application/pkcs10", "--data-binary", "@est.csr"];
        client.curl(&format!("{}/.well-known/est/servers/{path}", up.base()), &[&sent[..], words].concat(), "")
    };
    site.b.write("first.pem", x509::pem::encode("CERTIFICATE", &first));
    site.b.write("first.key", x509::pem::encode("PRIVATE KEY", &pkcs8));
    let shown = ["--cert", "first.pem", "--key", "first.key"];
    let got = est(&new_key(), &read.tbs().subject, &[names], &shown, "simplereenroll");
    assert_eq!(got.status, 403);
    let renewed = identifier(&crate::common::text(&got.body).into());
    // A secret that opened a certificate over EST binds no account.
    let by_secret = format!("SN000002:{}", said["secret"].as_str().unwrap());
    let got = est(&new_key(), &Name::write(&[]), &[], &["-u", &by_secret], "simpleenroll");
    assert_eq!(got.status, 200, "{}", crate::common::text(&got.body));
    let got = Client::new(&up).register("SN000002", said["eab_hmac_key"].as_str().unwrap());
    got.is("unauthorized", 403);
    let used = got.identifier();
    up.down();
    site.why(&renewed, "already-renewed");
    site.why(&used, "secret-used");
    assert_eq!(site.standing().len(), 3);
    site.b.sound();
}
