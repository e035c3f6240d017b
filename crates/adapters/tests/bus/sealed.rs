//! Modules with keys, certificates and leases: each end of the bus is a `ports::Link`.

use adapters::clock::{SystemClock, SystemEntropy};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use model::audit::{Entry, Event};
use model::callers::{CALLERS_TOML, Callers};
use model::contract::Subject;
use model::contract::authority::Done;
use model::contract::supervisor::Lease;
use model::mode::{Binding, Order, Statement};
use model::{Fault, Mode, Module, Reason, UnixTime};
use ports::link::Parts;
use ports::store::{AuditSink, StoreFault};
use ports::{Bus, Caller, Clock, Directory, Link, Service, SignFault, Signer};
use serde_json::value::RawValue;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, subject_alt_name};
use x509::name::Attribute;
use x509::{Certificate, Extension, KeyType, Name, PublicKey, SerialNumber, SignatureAlgorithm, csr, oids};

struct Key(Ed25519KeyPair, PublicKey);

fn key(n: u8) -> Key {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap();
    let public = PublicKey::from_bits(KeyType::Ed25519, pair.public_key().as_ref()).unwrap();
    Key(pair, public)
}
fn key_of(module: Module) -> u8 {
    10 + u8::try_from(Module::ALL.into_iter().position(|m| m == module).unwrap()).unwrap()
}
const AUTHORITY: u8 = 1;

impl Signer for Key {
    fn public_key(&self) -> &PublicKey {
        &self.1
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

fn certify(name: &str, key_of: u8, extensions: Vec<Extension>) -> Certificate {
    let named = |text: &str| Name::write(&[Attribute { oid: oids::COMMON_NAME, text: text.to_owned() }]);
    let subject = key(key_of).1;
    let tbs = TbsCertificate {
        serial_number: SerialNumber::new(x509::sha256(subject.spki()).octets().get(..8).unwrap()).unwrap(),
        signature: SignatureAlgorithm::Ed25519,
        issuer: named("modules"),
        not_before: UnixTime::from_s(0),
        not_after: SystemClock.now().plus_s(1_000_000),
        subject: named(name),
        subject_public_key: subject,
        extensions,
    };
    let tbs = tbs.write();
    let signature = key(AUTHORITY).sign(&tbs).unwrap();
    Certificate::decode(&csr::write_signed(&tbs, SignatureAlgorithm::Ed25519, &signature)).unwrap()
}

fn everybody() -> Directory {
    let usage = KeyUsage::KEY_CERT_SIGN.with(KeyUsage::CRL_SIGN).extension();
    let basic = BasicConstraints { ca: true, path_len: Some(0) }.extension();
    let authority = certify("modules", AUTHORITY, vec![basic, usage]);
    let mut directory = Directory::default();
    for module in Module::ALL {
        let holder = format!("module:{module}:box");
        let name = subject_alt_name(&[GeneralName::Uri(format!("cradle:{holder}"))], false);
        let certificate = certify(&holder, key_of(module), vec![KeyUsage::DIGITAL_SIGNATURE.extension(), name]);
        directory.add(&certificate, &authority, SystemClock.now()).unwrap();
    }
    directory
}

/// What a module refused.
#[derive(Default)]
pub struct Log(Mutex<Vec<Reason>>);

impl Log {
    pub fn refused(&self) -> Vec<Reason> {
        self.0.lock().unwrap().clone()
    }
}
impl AuditSink for Log {
    fn append(&self, entries: Vec<Entry>) -> Result<(), StoreFault> {
        let reasons = entries.into_iter().map(|entry| match entry.event {
            Event::MessageRefused { reason, .. } => reason,
            other => panic!("{other:?}"),
        });
        self.0.lock().unwrap().extend(reasons);
        Ok(())
    }
}

/// Does whatever it is asked, and counts.
#[derive(Default)]
pub struct Doer(AtomicUsize);

impl Doer {
    pub fn done(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
impl Service for Doer {
    fn answer(&self, _: &Caller, _: Subject, _: &RawValue) -> Result<Box<RawValue>, Fault> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(serde_json::value::to_raw_value(&Done {}).unwrap())
    }
}

/// A module on a bus, with a lease.
pub fn link(module: Module, bus: Arc<dyn Bus>) -> (Arc<Link>, Arc<Log>) {
    let log = Arc::new(Log::default());
    let link = Link::new(Parts {
        module,
        instance: "box".parse().unwrap(),
        signer: Arc::new(key(key_of(module))),
        directory: Arc::new(everybody()),
        callers: Arc::new(Callers::read(CALLERS_TOML).unwrap()),
        bus,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        audit: log.clone(),
        received: None,
    });
    let (binding, now) = (Binding::settled(Mode::ProvisionCertificate), SystemClock.now());
    let (order, reason) = (Order::Stay(Mode::ProvisionCertificate), "a test".to_owned());
    let statement = Statement { order, epoch: 1, at: now, operator: "alice".parse().unwrap(), reason };
    let lease = Lease { module, statement: String::new(), binding, epoch: 1, until: now.plus_s(50), standing: None };
    link.gate().take(&lease, &statement).unwrap();
    (link, log)
}
