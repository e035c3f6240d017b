//! Messages that are made by hand: any header, any payload, any signature. `curl` brings them.

use crate::common::text;
use crate::site::Up;
use adapters::keystore::memory::MemoryKey;
use aws_lc_rs::hmac;
use model::octets::{base64url, from_base64url};
use ports::Signer;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::process::{Command, Stdio};
use x509::extension::{GeneralName, subject_alt_name};
use x509::{KeyType, Name, csr};

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Got {
    pub fn field(&self, name: &str) -> Option<&str> {
        let find = |line: &'_ str| line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        let line = self.head.lines().find(|line| find(line))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?} {}", text(&self.body)))
    }
    /// The kind of problem, with its status.
    pub fn problem(&self) -> (String, u16) {
        let name = self.json()["type"].as_str().unwrap_or_default().to_owned();
        (name.trim_start_matches("urn:ietf:params:acme:error:").to_owned(), self.status)
    }
    /// The identifier that a refusal names.
    pub fn identifier(&self) -> String {
        identifier(&self.json()["detail"])
    }
    #[track_caller]
    pub fn is(&self, name: &str, status: u16) {
        assert_eq!(self.problem(), (name.to_owned(), status), "{}", text(&self.body));
        assert!(self.field("replay-nonce").is_some(), "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
    }
    #[track_caller]
    pub fn went(self) -> Self {
        assert!(self.status < 300, "{} {}", self.status, text(&self.body));
        self
    }
}

pub fn identifier(detail: &Value) -> String {
    let said = detail.as_str().unwrap_or_default();
    let (_, rest) = said.split_once("Identifier: ").unwrap_or_else(|| panic!("{said}"));
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

/// A client with a key, and an account if it has one.
pub struct Client<'u> {
    pub up: &'u Up<'u>,
    pub label: &'static str,
    pub key: MemoryKey,
    pub kid: Option<String>,
    pub nonce: RefCell<Option<String>>,
    /// The last part of the address that the next request comes from.
    pub turn: Cell<u8>,
}

pub fn new_key() -> MemoryKey {
    MemoryKey::open(&MemoryKey::generate_pkcs8(KeyType::Ed25519).unwrap()).unwrap()
}
pub fn jwk(key: &MemoryKey) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key().bits())})
}

/// A JWS of these texts.
pub fn jws(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let (protected, payload) = (base64url(header.as_bytes()), base64url(payload.as_bytes()));
    let signature = base64url(&sign(format!("{protected}.{payload}").as_bytes()));
    format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
}

/// A client while nothing is up.
pub struct Apart {
    key: MemoryKey,
    /// The path of its account.
    account: String,
}

impl Apart {
    /// The same client at a box that is up again.
    pub fn at<'u>(self, up: &'u Up<'u>) -> Client<'u> {
        Client { key: self.key, kid: Some(format!("{}{}", up.base(), self.account)), ..Client::new(up) }
    }
}

impl<'u> Client<'u> {
    pub fn apart(self) -> Apart {
        let kid = self.kid.unwrap();
        Apart { key: self.key, account: kid[kid.find("/acme").unwrap()..].to_owned() }
    }
    pub fn new(up: &'u Up<'u>) -> Self {
        Self { up, label: "servers", key: new_key(), kid: None, nonce: RefCell::default(), turn: Cell::new(1) }
    }

    /// With an account of this device.
    pub fn of(up: &'u Up<'u>, serial: &str, key: &str) -> Self {
        let mut client = Self::new(up);
        let got = client.register(serial, key).went();
        client.kid = Some(got.field("location").unwrap().to_owned());
        client
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/acme/{}/{path}", self.up.base(), self.label)
    }

    pub fn curl(&self, url: &str, words: &[&str], sent: &str) -> Got {
        // Each time from another address: who polls without waiting asks more often than one address may.
        let turn = self.turn.replace(self.turn.get() % 250 + 1);
        let from = format!("127.0.0.{turn}");
        let always = ["-sS", "-i", "--cacert", "tls.pem", "--max-time", "60", "--interface", &from];
        let mut command = Command::new("curl");
        command.current_dir(&self.up.site.b.dir).args(always).args(words).arg(url);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(sent.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let at = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = text(&output.stdout[..at]);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Got { status, head, body: output.stdout[at + 4..].to_vec() }
    }

    pub fn get(&self, path: &str) -> Got {
        self.curl(&self.url(path), &[], "")
    }

    /// A fresh nonce, or that of the last answer.
    pub fn nonce(&self) -> String {
        let kept = self.nonce.borrow_mut().take();
        kept.unwrap_or_else(|| self.curl(&self.url("new-nonce"), &["-I"], "").field("replay-nonce").unwrap().to_owned())
    }

    /// Sends octets as they are.
    pub fn send(&self, url: &str, message: &str) -> Got {
        let words = ["-X", "POST", "-H", "Content-Type: application/jose+json", "-H", "Expect:", "--data-binary", "@-"];
        let got = self.curl(url, &words, message);
        *self.nonce.borrow_mut() = got.field("replay-nonce").map(str::to_owned);
        got
    }

    pub fn header(&self, url: &str, nonce: &str) -> Value {
        match &self.kid {
            Some(kid) => json!({"alg": "EdDSA", "kid": kid, "nonce": nonce, "url": url}),
            None => json!({"alg": "EdDSA", "jwk": jwk(&self.key), "nonce": nonce, "url": url}),
        }
    }
    pub fn signed(&self, header: &str, payload: &str) -> String {
        jws(header, payload, |input| self.key.sign(input).unwrap())
    }

    /// Posts a payload to a whole address.
    pub fn post_to(&self, url: &str, payload: &str) -> Got {
        let message = self.signed(&self.header(url, &self.nonce()).to_string(), payload);
        self.send(url, &message)
    }
    pub fn post(&self, path: &str, payload: &Value) -> Got {
        self.post_to(&self.url(path), &payload.to_string())
    }
    /// POST-as-GET.
    pub fn ask(&self, url: &str) -> Got {
        self.post_to(url, "")
    }

    /// What binds this client's key to a device.
    pub fn binding(&self, serial: &str, key: &str) -> Value {
        let header = json!({"alg": "HS256", "kid": serial, "url": self.url("new-account")}).to_string();
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &from_base64url(key.as_bytes()).unwrap());
        let bound = jws(&header, &jwk(&self.key).to_string(), |input| hmac::sign(&mac, input).as_ref().to_vec());
        serde_json::from_str(&bound).unwrap()
    }
    pub fn register(&self, serial: &str, key: &str) -> Got {
        self.post("new-account", &json!({"externalAccountBinding": self.binding(serial, key)}))
    }

    pub fn order(&self, names: &[&str]) -> Got {
        let identifier = |name: &&str| json!({"type": "dns", "value": name});
        self.post("new-order", &json!({"identifiers": names.iter().map(identifier).collect::<Vec<_>>()}))
    }

    /// The challenge of this kind of the first authorisation of an order: its address and its token.
    pub fn challenge(&self, order: &Value, kind: &str) -> (String, String) {
        let part = self.ask(order["authorizations"][0].as_str().unwrap()).went().json();
        let all = part["challenges"].as_array().unwrap();
        let one = all.iter().find(|one| one["type"] == kind).unwrap();
        (one["url"].as_str().unwrap().to_owned(), one["token"].as_str().unwrap().to_owned())
    }

    pub fn key_authorization(&self, token: &str) -> String {
        let thumbprint = wire::acme::thumbprint(self.key.public_key()).unwrap();
        format!("{token}.{}", base64url(thumbprint.octets()))
    }

    /// Has the first name of an order proved by a record, and gives the authorisation when that is decided.
    pub fn prove_by_record(&self, order: &Value) -> Value {
        let (url, token) = self.challenge(order, "dns-01");
        let name = order["identifiers"][0]["value"].as_str().unwrap();
        let digest = base64url(x509::sha256(self.key_authorization(&token).as_bytes()).octets());
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.append(true).create(true).open(self.up.site.b.dir.join("texts")).unwrap();
        writeln!(file, "_acme-challenge.{name} {digest}").unwrap();
        self.post_to(&url, "{}").went();
        self.decided(order)
    }

    /// The first authorisation of an order, when it is decided.
    pub fn decided(&self, order: &Value) -> Value {
        for _ in 0..200 {
            let part = self.ask(order["authorizations"][0].as_str().unwrap()).went().json();
            if part["status"] != "pending" {
                return part;
            }
        }
        panic!("nothing was decided");
    }

    /// A request for these names.
    pub fn request(&self, key: &MemoryKey, names: &[&str]) -> Value {
        let names: Vec<_> = names.iter().map(|name| GeneralName::Dns((*name).to_owned())).collect();
        let info = csr::write_info(&Name::write(&[]), key.public_key(), &[subject_alt_name(&names, true)]);
        let der = csr::write_signed(&info, key.algorithm(), &key.sign(&info).unwrap());
        json!({"csr": base64url(&der)})
    }

    pub fn finalise(&self, order: &Value, request: &Value) -> Got {
        self.post_to(order["finalize"].as_str().unwrap(), &request.to_string())
    }

    /// A certificate for a name, in PEM with its chain, and its key.
    pub fn certificate(&self, name: &str) -> (String, MemoryKey) {
        let order = self.order(&[name]).went().json();
        assert_eq!(self.prove_by_record(&order)["status"], "valid");
        let key = new_key();
        let done = self.finalise(&order, &self.request(&key, &[name])).went().json();
        assert_eq!(done["status"], "valid", "{done}");
        (text(&self.ask(done["certificate"].as_str().unwrap()).went().body), key)
    }
}

/// The first certificate of a chain, in DER.
pub fn leaf(pem: &str) -> Vec<u8> {
    x509::pem::blocks(pem.as_bytes()).unwrap().remove(0)
}
