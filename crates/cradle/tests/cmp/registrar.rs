//! Registration authorities, and a box that has appointed some.

use crate::hand::{AS_IT_IS, Got, Hand, Shows, Talk};
use crate::site::{Site, Up};
use const_oid::ObjectIdentifier;
use model::UnixTime;
use ports::Signer;
use std::path::PathBuf;
use wire::cmp::oids::CMC_RA;
use wire::cmp::server::{nested_messages, write_messages};
use wire::cmp::template::{Template, write_cert_request};
use wire::cmp::{Body, Message};
use x509::certificate::TbsCertificate;
use x509::crmf::{ProofOfPossession, write_only};
use x509::extension::{KeyUsage, decode_extended_key_usage, extended_key_usage};
use x509::name::Attribute;
use x509::{Certificate, Name, Writer, oids, pem, signature};

/// Certificates under `idevid`, whose profile lets others vouch.
pub const PATH: &str = "/.well-known/cmp/p/vouched";
/// The same, where another registration authority is appointed.
pub const OTHER: &str = "/.well-known/cmp/p/other";

/// A registration authority.
pub struct Registrar {
    pub hand: Hand,
    pub certificate: Certificate,
}

impl Registrar {
    /// One that may do all that it is to do.
    pub fn new(site: &Site, name: &str) -> Self {
        Self::with(site, name, &[CMC_RA], KeyUsage::DIGITAL_SIGNATURE, now().plus_s(86_400))
    }

    pub fn with(site: &Site, name: &str, purposes: &[ObjectIdentifier], usage: KeyUsage, not_after: UnixTime) -> Self {
        let hand = Hand::new();
        let like = Certificate::decode(&pem::blocks(&site.b.read("chain.pem")).unwrap()[0]).unwrap();
        let subject = Name::write(&[Attribute { oid: oids::COMMON_NAME, text: name.to_owned() }]);
        let tbs = TbsCertificate {
            issuer: subject.clone(),
            subject,
            subject_public_key: hand.key.public_key().clone(),
            signature: hand.key.algorithm(),
            not_before: now().minus_s(172_800).whole_second(),
            not_after: not_after.whole_second(),
            extensions: vec![usage.extension(), extended_key_usage(purposes)],
            ..like.tbs().clone()
        };
        let octets = tbs.write();
        let mut w = Writer::default();
        w.sequence(|w| {
            w.raw(&octets);
            tbs.signature.write(w);
            w.bit_string(&hand.key.sign(&octets).unwrap());
        });
        Self { hand, certificate: Certificate::decode(&w.finish()).unwrap() }
    }

    pub fn file(&self, site: &Site, name: &str) -> PathBuf {
        let file = format!("{name}.pem");
        site.b.write(&file, pem::encode("CERTIFICATE", self.certificate.der()));
        site.b.dir.join(file)
    }

    pub fn shows(&self) -> Shows<'_> {
        Shows::Certificate(&self.hand, &self.certificate)
    }
    pub fn talk<'a>(&'a self, up: &'a Up<'a>, path: &'a str) -> Talk<'a> {
        Talk::new(up, path, self.shows())
    }

    /// Asks for a device, and vouches for its key.
    pub fn vouch(&self, up: &Up<'_>, path: &str, hand: &Hand, serial: &str) -> Got {
        self.talk(up, path).say(&Body::Ir(&vouched(hand, serial)), AS_IT_IS)
    }

    /// Several messages as a batch.
    pub fn batch(&self, up: &Up<'_>, path: &str, inner: &[Vec<u8>]) -> Vec<u8> {
        self.talk(up, path).message(&Body::Nested(&write_messages(inner)), AS_IT_IS, None)
    }

    /// One message with protection added to it.
    pub fn added(&self, up: &Up<'_>, path: &str, inner: &[u8]) -> Vec<u8> {
        let read: &'static [u8] = inner.to_vec().leak();
        let read = Message::decode(read).unwrap().header;
        self.talk(up, path).message(
            &Body::Nested(&write_messages(&[inner.to_vec()])),
            &|header| {
                (header.transaction_id, header.sender_nonce) = (read.transaction_id, read.sender_nonce);
            },
            None,
        )
    }
}

/// `CertReqMessages` for a device, for whose key somebody vouches.
pub fn vouched(hand: &Hand, serial: &str) -> Vec<u8> {
    let name = Name::write(&[Attribute { oid: oids::SERIAL_NUMBER, text: serial.to_owned() }]);
    write_only(&cert_request(hand, Some(&name)), &ProofOfPossession::RaVerified)
}

pub fn cert_request(hand: &Hand, subject: Option<&Name>) -> Vec<u8> {
    write_cert_request(0, &Template { issuer: None, subject, public_key: hand.key.public_key(), extensions: &[] })
}

/// The answers of a batch, whose own protection is that of a server of the authority, and which belongs to what was sent.
pub fn unpacked(site: &Site, sent: &[u8], answer: &[u8]) -> Vec<Vec<u8>> {
    let (sent, answer) = (Message::decode(sent).unwrap(), Message::decode(answer).unwrap());
    assert_eq!(answer.header.transaction_id, sent.header.transaction_id);
    assert_eq!(answer.header.recip_nonce, sent.header.sender_nonce);
    let server = Certificate::decode(answer.extra_certs[0]).unwrap();
    let purposes = server.tbs().extension(oids::EXTENDED_KEY_USAGE).and_then(|e| decode_extended_key_usage(&e.value));
    assert!(purposes.unwrap().contains(&wire::cmp::oids::CMC_CA));
    let factory = Certificate::decode(&pem::blocks(&site.b.read("chain.pem")).unwrap()[0]).unwrap();
    server.verify_issued_by(&factory, now()).unwrap();
    let key = &server.tbs().subject_public_key;
    signature::verify(key, factory.tbs().signature, &answer.protected_part(), answer.protection.unwrap()).unwrap();
    let Body::Nested(list) = answer.body else { panic!("{:?}", answer.body) };
    nested_messages(list).unwrap().into_iter().map(<[u8]>::to_vec).collect()
}

pub fn now() -> UnixTime {
    ports::Clock::now(&adapters::clock::SystemClock)
}

/// A box where SN000001 to SN000009 have leave for `ldevid`, and SN000011 to SN000019 for `idevid`.
pub fn site(name: &str) -> Site {
    let site = Site::new(name);
    site.b.device_type("relay", "");
    let lines: String =
        (11..=19).map(|n| format!("SN{n:06},{},,idevid\n", if n == 19 { "relay" } else { "sensor" })).collect();
    site.b.write("others.csv", format!("serial,type,board,profile\n{lines}"));
    site.b.ok(&["list", "import", "others.csv"]);
    site
}

/// A label, its profile, and the registration authorities that are appointed for it: their names and files.
pub type Label<'a> = (&'a str, &'a str, &'a [(&'a str, PathBuf)]);

/// Appoints registration authorities for labels.
pub fn appoint(site: &Site, labels: &[Label<'_>]) {
    let settings = site.b.data().join("cradle.toml");
    let mut text = std::fs::read_to_string(&settings).unwrap();
    for (label, profile, appointed) in labels {
        text += &format!(
            "[gateway.cmp.{label}]\nprofile = \"{profile}\"\n[gateway.cmp.{label}.registration_authorities]\n"
        );
        for (name, file) in *appointed {
            text += &format!("{name} = {file:?}\n");
        }
    }
    std::fs::write(&settings, text).unwrap();
}

/// Lets a registration authority vouch.
pub fn entitle(site: &Site, name: &str, device_type: &str, quota: &str) {
    site.b.ok(&["station", "entitle", device_type, "--quota", quota, "--station", name]);
}

/// The certificates under `idevid`, and those of them that are revoked.
pub fn made(site: &Site) -> usize {
    site.b.json(&["cert", "list", "--profile", "idevid"]).as_array().unwrap().len()
}
