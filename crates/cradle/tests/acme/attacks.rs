//! What must not work: each is refused for its own reason, which the operator learns and the client does not.

use crate::hand::{Client, Got, identifier, jwk, jws, leaf, new_key};
use crate::site::Site;
use aws_lc_rs::hmac;
use ports::Signer;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

const NAME: &str = "www.sn000001.internal";

/// Refusals that are looked up when the box is down.
#[derive(Default)]
struct Refused(Vec<(String, &'static str)>);

impl Refused {
    #[track_caller]
    fn note(&mut self, got: &Got, problem: &str, status: u16, code: &'static str) {
        got.is(problem, status);
        self.0.push((got.identifier(), code));
    }
    #[track_caller]
    fn are_recorded(&self, site: &Site) {
        self.0.iter().for_each(|(identifier, code)| site.why(identifier, code));
    }
}

#[test]
fn messages_that_are_altered_repeated_or_somebody_elses() {
    let site = Site::new("acme-messages");
    let (one, two) = (site.allow("SN000001"), site.allow("SN000002"));
    let mut refused = Refused::default();
    let up = site.up();
    let client = Client::of(&up, "SN000001", &one);
    let url = client.url("new-order");
    let payload = json!({"identifiers": [{"type": "dns", "value": NAME}]}).to_string();
    let message = |header: serde_json::Value| client.signed(&header.to_string(), &payload);
    let good = || client.header(&url, &client.nonce());
    let with = |name: &str, value: serde_json::Value| {
        let mut header = good();
        header[name] = value;
        header
    };
    // No signature, and a MAC with the public key as its secret.
    let header = with("alg", "none".into()).to_string();
    refused.note(
        &client.send(&url, &jws(&header, &payload, |_| vec![])),
        "badSignatureAlgorithm",
        400,
        "protection-weak",
    );
    let header = with("alg", "HS256".into()).to_string();
    let mac = hmac::Key::new(hmac::HMAC_SHA256, client.key.public_key().bits());
    let by_mac = jws(&header, &payload, |input| hmac::sign(&mac, input).as_ref().to_vec());
    refused.note(&client.send(&url, &by_mac), "badSignatureAlgorithm", 400, "protection-weak");
    // By another key.
    let other = new_key();
    let by_other = jws(&good().to_string(), &payload, |input| other.sign(input).unwrap());
    refused.note(&client.send(&url, &by_other), "unauthorized", 403, "protection-invalid");
    // A member twice, in the header and in the message.
    let twice = good().to_string().replacen('{', r#"{"alg":"none","#, 1);
    refused.note(&client.send(&url, &client.signed(&twice, &payload)), "malformed", 400, "message-ambiguous");
    let twice = message(good()).replacen('{', r#"{"payload":"e30","#, 1);
    refused.note(&client.send(&url, &twice), "malformed", 400, "message-ambiguous");
    // For another address, or to another one.
    let elsewhere = message(with("url", client.url("key-change").into()));
    refused.note(&client.send(&url, &elsewhere), "unauthorized", 403, "url-mismatch");
    let elsewhere = message(with("url", url.replace("localhost", "127.0.0.1").into()));
    refused.note(&client.send(&url, &elsewhere), "unauthorized", 403, "url-mismatch");
    let by_address = url.replace("localhost", "127.0.0.1");
    let header = client.header(&by_address, &client.nonce()).to_string();
    let words = ["-k", "-X", "POST", "-H", "Content-Type: application/jose+json", "--data-binary", "@-"];
    let got = client.curl(&by_address, &words, &client.signed(&header, &payload));
    refused.note(&got, "unauthorized", 403, "url-mismatch");
    // Twice the same, and nonces that are none.
    let once = message(good());
    client.send(&url, &once).went();
    refused.note(&client.send(&url, &once), "badNonce", 400, "nonce-stale");
    for nonce in ["", "AAAA", &"A".repeat(54)] {
        refused.note(&client.send(&url, &message(with("nonce", nonce.into()))), "badNonce", 400, "nonce-stale");
    }
    // A key where an account is due, both, and an account of nobody.
    client.send(&url, &message(with("jwk", jwk(&client.key)))).is("malformed", 400);
    let header = json!({"alg": "EdDSA", "jwk": jwk(&client.key), "nonce": client.nonce(), "url": url});
    client.send(&url, &message(header)).is("malformed", 400);
    let nobody = client.url("account/000102030405060708090a0b0c0d0e0f");
    let got = client.send(&url, &message(with("kid", nobody.into())));
    refused.note(&got, "accountDoesNotExist", 400, "account-unknown");
    // Under another label the account is nobody's.
    let under_others = Client { label: "others", kid: client.kid.clone(), key: new_key(), ..Client::new(&up) };
    let got = under_others.order(&[NAME]);
    refused.note(&got, "accountDoesNotExist", 400, "account-unknown");
    // Types that are almost right.
    for media_type in ["application/json", "application/jose+json; charset=utf-8", "application/jose"] {
        let field = format!("Content-Type: {media_type}");
        let got = client.curl(&url, &["-X", "POST", "-H", &field, "-d", "{}"], "");
        assert_eq!(got.status, 415, "{media_type}");
    }
    drop(client);
    let second = Client::of(&up, "SN000002", &two);
    assert_eq!(second.get("new-order").status, 405);
    up.down();
    refused.are_recorded(&site);
    assert!(site.standing().is_empty());
    site.b.sound();
}

#[test]
fn a_secret_binds_one_account_and_accounts_know_their_own() {
    let site = Site::new("acme-accounts");
    let (one, two) = (site.allow("SN000001"), site.allow("SN000002"));
    let mut refused = Refused::default();
    let up = site.up();
    // Without a binding, with that of another device, for another key, and for another address.
    let stranger = Client::new(&up);
    let got = stranger.post("new-account", &json!({"termsOfServiceAgreed": true}));
    refused.note(&got, "externalAccountRequired", 403, "binding-missing");
    refused.note(&stranger.register("SN000002", &one), "unauthorized", 403, "secret-unknown");
    refused.note(&stranger.register("SN000003", &one), "unauthorized", 403, "secret-unknown");
    let of_another = Client::new(&up).binding("SN000001", &one);
    let got = stranger.post("new-account", &json!({"externalAccountBinding": of_another}));
    refused.note(&got, "unauthorized", 403, "secret-unknown");
    let under_others = Client { label: "others", ..Client::new(&up) };
    let got = under_others.register("SN000001", &one);
    refused.note(&got, "unauthorized", 403, "secret-unknown");
    let got = stranger.post("new-account", &json!({"onlyReturnExisting": true}));
    refused.note(&got, "accountDoesNotExist", 400, "account-unknown");
    // Once.
    let first = Client::of(&up, "SN000001", &one);
    refused.note(&Client::new(&up).register("SN000001", &one), "unauthorized", 403, "secret-used");
    // Nothing of another account.
    let second = Client::of(&up, "SN000002", &two);
    let order = first.order(&[NAME]).went();
    let (url, order) = (order.field("location").unwrap().to_owned(), order.json());
    let part = order["authorizations"][0].as_str().unwrap();
    let (challenge, _) = first.challenge(&order, "http-01");
    let account = first.kid.clone().unwrap();
    let request = second.request(&new_key(), &[NAME]).to_string();
    for (url, payload) in [
        (url.as_str(), ""),
        (part, ""),
        (part, r#"{"status":"deactivated"}"#),
        (&challenge, "{}"),
        (order["finalize"].as_str().unwrap(), &request),
        (&format!("{url}/certificate"), ""),
        (&account, r#"{"status":"deactivated"}"#),
        (&format!("{account}/orders"), ""),
    ] {
        refused.note(&second.post_to(url, payload), "unauthorized", 403, "other-account");
    }
    // Names of another device, and names that nobody has.
    for name in ["www.sn000002.internal", "sn000001.internal", "www.example.com", "*.sn000001.internal"] {
        refused.note(&first.order(&[NAME, name]), "rejectedIdentifier", 403, "name-mismatch");
    }
    // One that ended.
    second.post_to(second.kid.as_ref().unwrap(), r#"{"status":"deactivated"}"#).went();
    refused.note(&second.order(&["www.sn000002.internal"]), "unauthorized", 401, "account-ended");
    let old = first.apart();
    up.down();
    refused.are_recorded(&site);
    // A secret that is left anew binds a new account, and ends the old one.
    let anew = site.allow("SN000001");
    let mut refused = Refused::default();
    let up = site.up();
    let later = Client::of(&up, "SN000001", &anew);
    let old = old.at(&up);
    refused.note(&old.order(&[NAME]), "unauthorized", 401, "account-ended");
    later.order(&[NAME]).went();
    up.down();
    refused.are_recorded(&site);
    site.b.sound();
}

#[test]
fn requests_for_more_or_less_than_was_ordered() {
    let site = Site::new("acme-requests");
    let key = site.allow("SN000001");
    let mut refused = Refused::default();
    let up = site.up();
    let client = Client::of(&up, "SN000001", &key);
    let order = client.order(&[NAME]).went().json();
    let own = new_key();
    // Before the name is proved.
    let got = client.finalise(&order, &client.request(&own, &[NAME]));
    refused.note(&got, "orderNotReady", 403, "order-not-ready");
    assert_eq!(client.prove_by_record(&order)["status"], "valid");
    let other = "api.sn000001.internal";
    for names in [&[NAME, other][..], &[other], &[], &[NAME, NAME]] {
        let got = client.finalise(&order, &client.request(&own, names));
        refused.note(&got, "badCSR", 400, "order-mismatch");
    }
    let got = client.finalise(&order, &client.request(&client.key, &[NAME]));
    refused.note(&got, "badCSR", 400, "order-mismatch");
    client.finalise(&order, &json!({"csr": "AAAA"})).is("badCSR", 400);
    // The right one, and the same again; but no other.
    let request = client.request(&own, &[NAME]);
    let done = client.finalise(&order, &request).went().json();
    assert_eq!(client.finalise(&order, &request).went().json()["certificate"], done["certificate"]);
    let got = client.finalise(&order, &client.request(&new_key(), &[NAME]));
    refused.note(&got, "orderNotReady", 403, "order-not-ready");
    // A device that was stolen has nothing any more.
    let client = client.apart();
    up.down();
    refused.are_recorded(&site);
    site.b.ok(&["device", "stolen", "SN000001"]);
    let mut refused = Refused::default();
    let up = site.up();
    let client = client.at(&up);
    refused.note(&client.order(&[NAME]), "unauthorized", 403, "board-held");
    up.down();
    refused.are_recorded(&site);
    assert_eq!(site.standing().len(), 1);
    site.b.sound();
}

/// What answers where a name is to be proved, once.
fn answering(site: &Site, answer: impl FnOnce(&mut std::net::TcpStream) + Send + 'static) -> JoinHandle<()> {
    let listener = TcpListener::bind(("127.0.0.1", site.http_port)).unwrap();
    thread::spawn(move || {
        let (mut line, _) = listener.accept().unwrap();
        let _request = line.read(&mut [0; 2048]).unwrap();
        answer(&mut line);
    })
}

#[test]
fn where_names_are_to_be_proved_others_answer() {
    let site = Site::new("acme-looks");
    let key = site.allow("SN000001");
    let up = site.up();
    let client = Client::of(&up, "SN000001", &key);
    let mut refused = Vec::new();
    let mut fails = |name: &str, kind: &str, answering: Option<JoinHandle<()>>, problem: &str, code: &'static str| {
        let order = client.order(&[name]).went();
        let (at, order) = (order.field("location").unwrap().to_owned(), order.json());
        let (url, _) = client.challenge(&order, kind);
        client.post_to(&url, "{}").went();
        let part = client.decided(&order);
        let error = &part["challenges"][0]["error"];
        assert_eq!(part["status"], "invalid", "{part}");
        assert_eq!(error["type"], format!("urn:ietf:params:acme:error:{problem}"), "{part}");
        refused.push((identifier(&error["detail"]), code));
        assert_eq!(client.ask(&at).went().json()["status"], "invalid");
        let got = client.finalise(&order, &client.request(&new_key(), &[name]));
        got.is("orderNotReady", 403);
        answering.into_iter().for_each(|answering| answering.join().unwrap());
    };
    let says = |text: &'static str| Some(answering(&site, move |line| line.write_all(text.as_bytes()).unwrap()));
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n");
    fails(NAME, "http-01", None, "connection", "challenge-unreached");
    fails(
        NAME,
        "http-01",
        says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        "incorrectResponse",
        "challenge-wrong",
    );
    let private = moved("http://10.0.0.1/").leak();
    fails(NAME, "http-01", says(private), "connection", "challenge-address");
    let metadata = moved("http://169.254.169.254/latest/meta-data/").leak();
    fails(NAME, "http-01", says(metadata), "connection", "challenge-address");
    let https = moved("https://www.sn000001.internal/").leak();
    fails(NAME, "http-01", says(https), "connection", "challenge-redirect");
    let endless = answering(&site, |line| {
        let _told = line.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while line.write_all(&[b'x'; 4096]).is_ok() {}
    });
    fails(NAME, "http-01", Some(endless), "incorrectResponse", "challenge-too-long");
    let slow = answering(&site, |line| while line.read(&mut [0; 16]).is_ok_and(|len| len > 0) {});
    fails(NAME, "http-01", Some(slow), "connection", "challenge-slow");
    fails("inside.sn000001.internal", "http-01", None, "connection", "challenge-address");
    fails("nowhere.sn000001.internal", "http-01", None, "dns", "challenge-unnamed");
    fails("nothing.sn000001.internal", "dns-01", None, "dns", "challenge-unnamed");
    fails(NAME, "tls-alpn-01", None, "connection", "challenge-unreached");
    up.down();
    refused.iter().for_each(|(identifier, code)| site.why(identifier, code));
    assert!(site.standing().is_empty());
    site.b.sound();
}

#[test]
fn certificates_are_revoked_by_their_own_and_nobody_else() {
    let site = Site::new("acme-revoke");
    let (one, two) = (site.allow("SN000001"), site.allow("SN000002"));
    let mut refused = Refused::default();
    let up = site.up();
    let (first, second) = (Client::of(&up, "SN000001", &one), Client::of(&up, "SN000002", &two));
    let (pem, _) = first.certificate(NAME);
    let certificate = model::octets::base64url(&leaf(&pem));
    let revoke = |client: &Client<'_>, more: serde_json::Value| {
        let mut payload = json!({"certificate": certificate});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("revoke-cert", &payload)
    };
    refused.note(&revoke(&second, json!({})), "unauthorized", 403, "other-certificate");
    let stranger = Client::new(&up);
    refused.note(&revoke(&stranger, json!({})), "unauthorized", 403, "other-certificate");
    let got = revoke(&first, json!({"reason": 6}));
    refused.note(&got, "badRevocationReason", 400, "template-not-allowed");
    assert_eq!(revoke(&first, json!({"reason": 4})).went().body, b"");
    refused.note(&revoke(&first, json!({"reason": 4})), "alreadyRevoked", 400, "already-revoked");
    up.down();
    refused.are_recorded(&site);
    site.b.sound();
}
