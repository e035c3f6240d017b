//! Every route of ACME, asked by everybody: the table that docs/access.md shows.

use crate::accounts::{Client as Who, Row, Verdict, row, verdict};
use crate::hand::{Client, Got, jwk, jws, leaf, new_key};
use crate::site::{Site, Up};
use adapters::keystore::memory::MemoryKey;
use ports::Signer;
use serde_json::{Value, json};
use wire::acme::{CertId, decode_path};
use x509::extension::AuthorityKeyIdentifier;
use x509::{Certificate, KeyType};

const NAME: &str = "www.sn000001.internal";

/// A key that several clients have.
struct Key(Vec<u8>);

impl Key {
    fn new() -> Self {
        Self(MemoryKey::generate_pkcs8(KeyType::Ed25519).unwrap().to_vec())
    }
    fn open(&self) -> MemoryKey {
        MemoryKey::open(&self.0).unwrap()
    }
}

/// All who ask.
struct Cast<'u> {
    up: &'u Up<'u>,
    keys: [Key; 4],
    /// The accounts of the device's own client, of one that has ended, and of another device.
    kids: [String; 3],
}

impl<'u> Cast<'u> {
    fn new(up: &'u Up<'u>, secrets: [String; 3]) -> Self {
        let keys = [Key::new(), Key::new(), Key::new(), Key::new()];
        let mut of = 0;
        let kids = secrets.map(|secret| {
            let client = Client { key: keys[of].open(), ..Client::new(up) };
            of += 1;
            client.register(&format!("SN00000{of}"), &secret).went().field("location").unwrap().to_owned()
        });
        let cast = Self { up, keys, kids };
        cast.client(Who::Ended).post_to(&cast.kids[1], r#"{"status":"deactivated"}"#).went();
        cast
    }

    fn client(&self, who: Who) -> Client<'u> {
        let (key, kid, label) = match who {
            Who::Nobody | Who::Stranger => (3, None, "servers"),
            Who::OtherLabel => (0, Some(0), "others"),
            Who::Ended => (1, Some(1), "servers"),
            Who::Another => (2, Some(2), "servers"),
            Who::Own => (0, Some(0), "servers"),
        };
        let kid = kid.map(|kid: usize| self.kids[kid].clone());
        Client { key: self.keys[key].open(), kid, label, ..Client::new(self.up) }
    }

    /// Asks at an address of the device's own client, or at the same under the label of who asks.
    fn ask(&self, who: Who, url: &str, payload: &str) -> Got {
        let client = self.client(who);
        let url = url.replace("/acme/servers/", &format!("/acme/{}/", client.label));
        if who == Who::Nobody { client.curl(&url, &[], "") } else { client.post_to(&url, payload) }
    }
}

/// What has come of it, and the identifier of a refusal.
fn came(got: &Got) -> (Verdict, Option<String>) {
    match got.status {
        200..300 => (Verdict::Answered, None),
        405 => (Verdict::MustSign, None),
        400 if got.problem().0 == "malformed" => (Verdict::Malformed, None),
        _ => (Verdict::Refused(""), Some(got.identifier())),
    }
}

/// What is there for the device's own client, as it comes to be.
#[derive(Default)]
struct Things {
    order_url: String,
    order: Value,
    challenge: String,
    certificate: String,
    request: String,
    renewal_info: String,
}

fn asked(cast: &Cast<'_>, things: &mut Things, row: Row, who: Who) -> Got {
    let own = cast.client(Who::Own);
    let at = |name: &str| own.url(name);
    let of = |member: &str| things.order[member].as_str().unwrap().to_owned();
    match row {
        Row::Directory => cast.ask(who, &at("directory"), ""),
        Row::NewNonce => cast.ask(who, &at("new-nonce"), ""),
        Row::RenewalInfo => cast.ask(who, &at(&format!("renewal-info/{}", things.renewal_info)), ""),
        Row::NewAccount if who == Who::Nobody => cast.ask(who, &at("new-account"), ""),
        Row::NewAccount => {
            let client = Client { kid: None, ..cast.client(who) };
            client.post("new-account", &json!({"onlyReturnExisting": true}))
        }
        Row::NewOrder => {
            let got =
                cast.ask(who, &at("new-order"), &json!({"identifiers": [{"type": "dns", "value": NAME}]}).to_string());
            if who == Who::Own {
                things.order_url = got.field("location").unwrap().to_owned();
                things.order = got.json();
                things.challenge = own.challenge(&things.order, "dns-01").0;
                things.request = own.request(&new_key(), &[NAME]).to_string();
            }
            got
        }
        Row::Account => cast.ask(who, &cast.kids[0], ""),
        Row::Orders => cast.ask(who, &format!("{}/orders", cast.kids[0]), ""),
        Row::Order => cast.ask(who, &things.order_url, ""),
        Row::Authorization => cast.ask(who, things.order["authorizations"][0].as_str().unwrap(), ""),
        // The own one is proved, so that what comes behind it is there.
        Row::Challenge if who == Who::Own => {
            assert_eq!(own.prove_by_record(&things.order)["status"], "valid");
            cast.ask(who, &things.challenge, "")
        }
        Row::Challenge => cast.ask(who, &things.challenge, "{}"),
        Row::Finalize => cast.ask(who, &of("finalize"), &things.request),
        Row::Certificate => {
            let got = cast.ask(who, &format!("{}/certificate", things.order_url), "");
            if who == Who::Own {
                let der = leaf(&crate::common::text(&got.body));
                things.renewal_info = renewal_info(&der);
                things.certificate = model::octets::base64url(&der);
            }
            got
        }
        Row::KeyChange => {
            let url = cast.client(who).url("key-change");
            let new = new_key();
            let payload = json!({"account": cast.kids[0], "oldKey": jwk(&cast.keys[0].open())}).to_string();
            let inner = json!({"alg": "EdDSA", "jwk": jwk(&new), "url": url}).to_string();
            cast.ask(who, &url, &jws(&inner, &payload, |input| new.sign(input).unwrap()))
        }
        Row::RevokeCert => cast.ask(who, &at("revoke-cert"), &json!({"certificate": things.certificate}).to_string()),
    }
}

fn renewal_info(der: &[u8]) -> String {
    let read = Certificate::decode(der).unwrap();
    let identifier = read.tbs().extension(x509::oids::AUTHORITY_KEY_IDENTIFIER).unwrap();
    let authority = AuthorityKeyIdentifier::decode(&identifier.value).unwrap().key_identifier.unwrap();
    CertId { authority: authority.to_vec(), serial: read.tbs().serial_number }.write()
}

#[test]
fn everybody_has_by_an_account_what_the_table_says() {
    let site = Site::new("acme-matrix");
    let secrets = ["SN000001", "SN000002", "SN000003"].map(|serial| site.allow(serial));
    let up = site.up();
    let cast = Cast::new(&up, secrets);
    let (mut things, mut wrong, mut refused) = (Things::default(), Vec::new(), Vec::new());
    // The key of the account is another one behind its row, so that row is the last of the account's.
    let rows = Row::ALL.into_iter().filter(|row| *row != Row::KeyChange).chain([Row::KeyChange]);
    for row in rows {
        for who in Who::ALL {
            let wanted = verdict(row, who);
            if wanted == Verdict::Unspoken {
                continue;
            }
            let got = asked(&cast, &mut things, row, who);
            match (wanted, came(&got)) {
                (Verdict::Refused(code), (Verdict::Refused(_), Some(identifier))) => {
                    refused.push((row, who, identifier, code));
                }
                (wanted, (came, _)) if wanted == came => {}
                (wanted, (came, _)) => {
                    let body = crate::common::text(&got.body);
                    wrong.push(format!("{row:?} by {who:?}: {came:?}, not {wanted:?}: {} {body}", got.status));
                }
            }
        }
    }
    up.down();
    for (row, who, identifier, code) in refused {
        let said = site.b.ok(&["explain", &identifier]);
        if !said.contains(&format!("({code})")) {
            wrong.push(format!("{row:?} by {who:?} is not refused for {code}, but: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // One certificate was made, for the own one, which revoked it.
    assert_eq!(site.standing().into_iter().map(|(_, is_revoked)| is_revoked).collect::<Vec<_>>(), [true]);
    site.b.sound();
}

/// Each path that the program reads leads to a row, and each row has a path.
#[test]
fn each_row_is_a_route() {
    let id = "000102030405060708090a0b0c0d0e0f";
    let certificate = CertId { authority: vec![1; 20], serial: x509::SerialNumber::from_hex("01").unwrap() }.write();
    let paths = ["directory", "new-nonce", "new-account", "new-order", "key-change", "revoke-cert"].map(str::to_owned);
    let of = |text: &str| format!("{text}/{id}");
    let more = [
        of("account"),
        format!("account/{id}/orders"),
        of("order"),
        format!("order/{id}/finalize"),
        format!("order/{id}/certificate"),
        of("authorization"),
        format!("authorization/{id}/dns-01"),
        format!("renewal-info/{certificate}"),
    ];
    let rows: Vec<_> = paths
        .iter()
        .chain(&more)
        .map(|path| {
            row(&decode_path(&format!("/acme/servers/{path}")).unwrap_or_else(|e| panic!("{path}: {e:?}")).resource)
        })
        .collect();
    assert!(Row::ALL.iter().all(|row| rows.contains(row)), "{rows:?}");
}
