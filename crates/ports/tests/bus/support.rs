//! A box with all its modules in memory, real keys and certificates, and a bus that does what a test tells it to.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use model::audit::{Entry, Event};
use model::callers::{CALLERS_TOML, Callers};
use model::contract::Subject;
use model::contract::authority::Done;
use model::contract::supervisor::{Lease, Standing};
use model::mode::{Binding, Order, Statement};
use model::{Digest, Fault, Mode, Module, Nonce, Reason, StationName, UnixTime};
use ports::bus::{BusFault, Served};
use ports::envelope::{self, CALL, Claims, Opened};
use ports::link::{Parts, sign_standing};
use ports::replay::Received;
use ports::store::{AuditSink, StoreFault};
use ports::{Bus, Caller, Clock, Directory, Entropy, Handler, Link, Service, SignFault, Signer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, subject_alt_name};
use x509::name::Attribute;
use x509::{Certificate, Extension, KeyType, Name, PublicKey, SerialNumber, SignatureAlgorithm, csr, oids};

/// When the modules of a [`World`] started.
pub const STARTED: UnixTime = UnixTime::from_s(1_000_000);
/// The time in a [`World`], if a test says nothing else: long after the start.
pub const NOW: UnixTime = UnixTime::from_s(1_001_000);
pub const EPOCH: u64 = 7;

// ---- Keys and certificates ----

pub struct Key(Ed25519KeyPair, PublicKey);

/// The key of that number: the same on every run.
pub fn key(n: u8) -> Key {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap();
    let public = PublicKey::from_bits(KeyType::Ed25519, pair.public_key().as_ref()).unwrap();
    Key(pair, public)
}

impl Signer for Key {
    fn public_key(&self) -> &PublicKey {
        &self.1
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

pub const AUTHORITY: u8 = 1;
pub const ALICE: u8 = 100;
pub const BOB: u8 = 101;
/// Certified for nobody.
pub const STRANGER: u8 = 200;

/// The key of a module on the box that is tested.
pub fn home(module: Module) -> u8 {
    10 + u8::try_from(Module::ALL.into_iter().position(|m| m == module).unwrap()).unwrap()
}
/// The key of a module on another box.
pub fn away(module: Module) -> u8 {
    30 + home(module)
}

/// What a certificate says, and who signs it.
pub struct Certified {
    pub issuer: u8,
    pub issuer_name: &'static str,
    pub name: String,
    pub key: PublicKey,
    pub not_before: UnixTime,
    pub not_after: UnixTime,
    pub extensions: Vec<Extension>,
}

pub fn uris(uris: &[&str]) -> Extension {
    let names: Vec<_> = uris.iter().map(|uri| GeneralName::Uri((*uri).to_owned())).collect();
    subject_alt_name(&names, false)
}

impl Certified {
    /// As the module authority certifies the holder of a key.
    pub fn of(holder: &str, key_of: u8) -> Self {
        Self {
            issuer: AUTHORITY,
            issuer_name: "modules",
            name: holder.to_owned(),
            key: key(key_of).1,
            not_before: UnixTime::from_s(0),
            not_after: UnixTime::from_s(2_000_000),
            extensions: vec![KeyUsage::DIGITAL_SIGNATURE.extension(), uris(&[&format!("cradle:{holder}")])],
        }
    }
    /// As the module authority certifies itself.
    pub fn authority() -> Self {
        let usage = KeyUsage::KEY_CERT_SIGN.with(KeyUsage::CRL_SIGN).extension();
        let extensions = vec![BasicConstraints { ca: true, path_len: Some(0) }.extension(), usage];
        Self { name: "modules".to_owned(), extensions, ..Self::of("modules", AUTHORITY) }
    }
    pub fn issue(&self) -> Certificate {
        let name = |text: &str| Name::write(&[Attribute { oid: oids::COMMON_NAME, text: text.to_owned() }]);
        let tbs = TbsCertificate {
            serial_number: SerialNumber::new(x509::sha256(self.key.spki()).octets().get(..8).unwrap()).unwrap(),
            signature: SignatureAlgorithm::Ed25519,
            issuer: name(self.issuer_name),
            not_before: self.not_before,
            not_after: self.not_after,
            subject: name(&self.name),
            subject_public_key: self.key.clone(),
            extensions: self.extensions.clone(),
        };
        let tbs = tbs.write();
        let signature = key(self.issuer).sign(&tbs).unwrap();
        Certificate::decode(&csr::write_signed(&tbs, SignatureAlgorithm::Ed25519, &signature)).unwrap()
    }
}

/// Everybody on both boxes, and two operators.
pub fn everybody() -> Directory {
    let mut directory = Directory::default();
    let authority = Certified::authority().issue();
    let mut add = |holder: &str, key_of: u8| {
        directory.add(&Certified::of(holder, key_of).issue(), &authority, NOW).unwrap();
    };
    for module in Module::ALL {
        add(&format!("module:{module}:box"), home(module));
        add(&format!("module:{module}:other"), away(module));
    }
    add("operator:alice", ALICE);
    add("operator:bob", BOB);
    directory
}

// ---- The box ----

pub struct Time(AtomicU64);

impl Time {
    pub fn set(&self, now: UnixTime) {
        self.0.store(now.ms(), Ordering::SeqCst);
    }
}
impl Clock for Time {
    fn now(&self) -> UnixTime {
        UnixTime::from_ms(self.0.load(Ordering::SeqCst))
    }
}

struct Counting(AtomicU64);
impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        out.iter_mut().zip(n).for_each(|(to, from)| *to = from);
    }
}

#[derive(Default)]
pub struct Log {
    pub entries: Mutex<Vec<Entry>>,
    /// The store is ill.
    pub fails: AtomicBool,
}
impl AuditSink for Log {
    fn append(&self, entries: Vec<Entry>) -> Result<(), StoreFault> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreFault::Full);
        }
        self.entries.lock().unwrap().extend(entries);
        Ok(())
    }
}

/// What other processes of a module received, as a test likes.
#[derive(Default)]
pub struct Elsewhere {
    /// Another has received everything already.
    pub all: AtomicBool,
    /// The store is ill.
    pub fails: AtomicBool,
}
impl Received for Elsewhere {
    fn note(&self, _: &Caller, _: Nonce, _: UnixTime) -> Result<bool, StoreFault> {
        if self.fails.load(Ordering::SeqCst) { Err(StoreFault::Full) } else { Ok(!self.all.load(Ordering::SeqCst)) }
    }
}

/// What a hostile bus does instead of carrying a message.
pub type Hook = Box<dyn Fn(Module, Subject, &[u8]) -> Vec<u8> + Send + Sync>;

#[derive(Default)]
pub struct Wire {
    pub handlers: Mutex<BTreeMap<Module, Arc<dyn Handler>>>,
    pub hook: Mutex<Option<Hook>>,
}
struct Seat;
impl Served for Seat {}

impl Bus for Wire {
    fn call(&self, to: Module, subject: Subject, message: &[u8], _: UnixTime) -> Result<Vec<u8>, BusFault> {
        if let Some(hook) = self.hook.lock().unwrap().as_ref() {
            return Ok(hook(to, subject, message));
        }
        let handler = self.handlers.lock().unwrap().get(&to).cloned();
        handler.map(|handler| handler.handle(subject, message)).ok_or(BusFault::Nobody)
    }
    fn serve(&self, module: Module, handler: Arc<dyn Handler>) -> Result<Box<dyn Served>, BusFault> {
        self.handlers.lock().unwrap().insert(module, handler);
        Ok(Box::new(Seat))
    }
}

/// Answers every call with `Done` and so many spaces in it, and counts them.
#[derive(Default)]
pub struct Doer {
    pub done: AtomicU64,
    pub padding: AtomicUsize,
}
impl Service for Doer {
    fn answer(&self, _: &Caller, _: Subject, _: &RawValue) -> Result<Box<RawValue>, Fault> {
        self.done.fetch_add(1, Ordering::SeqCst);
        let padding = " ".repeat(self.padding.load(Ordering::SeqCst));
        Ok(RawValue::from_string(format!("{{{padding}}}")).unwrap())
    }
}

pub struct World {
    pub clock: Arc<Time>,
    pub wire: Arc<Wire>,
    pub log: Arc<Log>,
    pub doer: Arc<Doer>,
    pub elsewhere: Arc<Elsewhere>,
    pub directory: Arc<Directory>,
    pub links: BTreeMap<Module, Arc<Link>>,
}

pub fn instance(name: &str) -> StationName {
    name.parse().unwrap()
}

pub fn statement(order: Order, epoch: u64) -> Statement {
    Statement { order, epoch, at: STARTED, operator: "alice".parse().unwrap(), reason: "a test".to_owned() }
}

impl World {
    /// A box in the mode provision-certificate, with the shipped table of callers.
    pub fn new() -> Self {
        Self::in_mode(Binding::settled(Mode::ProvisionCertificate), CALLERS_TOML)
    }

    /// A box whose modules all have been told these modes, also those that may not run in them.
    pub fn in_mode(binding: Binding, callers: &str) -> Self {
        let world = Self::without_leases(callers);
        world.bind(binding, EPOCH);
        world
    }

    /// A box whose modules do not know yet in which mode they are.
    pub fn without_leases(callers: &str) -> Self {
        let clock = Arc::new(Time(AtomicU64::new(STARTED.ms())));
        let (wire, log, doer) = (Arc::new(Wire::default()), Arc::new(Log::default()), Arc::new(Doer::default()));
        let (directory, callers) = (Arc::new(everybody()), Arc::new(Callers::read(callers).unwrap()));
        let entropy = Arc::new(Counting(AtomicU64::new(0)));
        let elsewhere = Arc::new(Elsewhere::default());
        let link = |module| {
            Link::new(Parts {
                module,
                instance: instance("box"),
                signer: Arc::new(key(home(module))),
                directory: Arc::clone(&directory),
                callers: Arc::clone(&callers),
                bus: wire.clone(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                audit: log.clone(),
                received: Some(elsewhere.clone()),
            })
        };
        let links: BTreeMap<_, _> = Module::ALL.into_iter().map(|module| (module, link(module))).collect();
        for link in links.values() {
            drop(link.serve(doer.clone()).unwrap());
        }
        clock.set(NOW);
        Self { clock, wire, log, doer, elsewhere, directory, links }
    }

    pub fn bind(&self, binding: Binding, epoch: u64) {
        let until = self.clock.now().plus_s(30);
        let goal = binding.pending.unwrap_or(binding.current);
        for (module, link) in &self.links {
            let lease = Lease { module: *module, statement: String::new(), binding, epoch, until, standing: None };
            link.gate().take(&lease, &statement(Order::Stay(goal), epoch)).unwrap();
        }
    }

    pub fn link(&self, module: Module) -> &Link {
        &self.links[&module]
    }

    /// What is in the log of refused messages: the caller and the reason of each.
    pub fn refused(&self) -> Vec<(String, Reason)> {
        let entries = self.log.entries.lock().unwrap();
        let refused = entries.iter().map(|entry| match &entry.event {
            Event::MessageRefused { caller, reason, .. } => (caller.clone(), *reason),
            other => panic!("{other:?}"),
        });
        refused.collect()
    }

    /// Lets a message arrive, and says what came of it.
    pub fn arrive(&self, to: Module, subject: Subject, message: &[u8]) -> Outcome {
        let (done, recorded) = (self.doer.done.load(Ordering::SeqCst), self.refused().len());
        let handler = Arc::clone(&self.wire.handlers.lock().unwrap()[&to]);
        let answer = handler.handle(subject, message);
        let refused = self.refused().split_off(recorded).pop();
        let outcome = match (self.read_answer(&answer), refused) {
            (None, Some((caller, reason))) => Outcome::Silence(caller, reason),
            (Some(Err(Fault::Refused(told))), Some((_, reason))) if told == reason => Outcome::Refused(reason),
            (Some(Err(Fault::Unavailable(_))), Some((_, reason))) => Outcome::Unsure(reason),
            (Some(Ok(())), None) => Outcome::CarriedOut,
            (answer, refused) => panic!("answered {answer:?}, and recorded {refused:?}"),
        };
        let carried_out = self.doer.done.load(Ordering::SeqCst) > done;
        let is_lease = subject == Subject::ModeLease;
        assert_eq!(carried_out, outcome == Outcome::CarriedOut && !is_lease, "what is said is not what was done");
        outcome
    }

    fn read_answer(&self, answer: &[u8]) -> Option<Result<(), Fault>> {
        if answer.is_empty() {
            return None;
        }
        let opened = Opened::open(envelope::ANSWER, answer, &self.directory, self.clock.now()).unwrap();
        let body: Result<Done, Fault> = serde_json::from_str(opened.body().get()).unwrap();
        Some(body.map(|_| ()))
    }
}

/// What somebody says of a module to other boxes.
pub struct Said {
    pub standing: Standing,
    pub signed_by: u8,
}
impl Said {
    pub fn sign(&self) -> String {
        sign_standing(&self.standing, &key(self.signed_by)).unwrap()
    }
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    CarriedOut,
    /// The caller is told that it was not and will not be carried out.
    Refused(Reason),
    /// The caller is told that it is not known what became of it.
    Unsure(Reason),
    /// Nothing was said to anybody; the log names whose key it was, and why.
    Silence(String, Reason),
}

pub fn silence(reason: Reason) -> Outcome {
    Outcome::Silence("unknown".to_owned(), reason)
}

// ---- Messages ----

/// A message that a test seals as it likes.
pub struct Draft {
    pub typ: &'static str,
    pub claims: Claims,
    pub body: String,
    pub signed_by: u8,
    pub arrives_at: Module,
    pub arrives_under: Subject,
    /// When it arrives.
    pub now: UnixTime,
}

pub const MARK: &str = r#"{"device":"urn:dev:ops:32473-sensor-SN0001","stolen":true}"#;

impl Draft {
    /// The console marks a device as stolen: all is right with it.
    pub fn mark() -> Self {
        let binding = Binding::settled(Mode::ProvisionCertificate);
        Self::call(Module::Console, Module::Identity, Subject::IdentityMark, binding, MARK.to_owned())
    }
    pub fn call(from: Module, to: Module, subject: Subject, mode: Binding, body: String) -> Self {
        let claims = Claims {
            from,
            instance: instance("box"),
            to,
            subject,
            at: NOW,
            deadline: NOW.plus_s(30),
            nonce: Nonce::new([9; 16]),
            mode,
            epoch: EPOCH,
            standing: None,
            answers: None,
            body: Digest::new([0; 32]),
        };
        Self { typ: CALL, claims, body, signed_by: home(from), arrives_at: to, arrives_under: subject, now: NOW }
    }
    /// The same from another box, by whoever is there what the sender is here.
    pub fn move_to_other_box(&mut self) {
        self.claims.instance = instance("other");
        self.signed_by = away(self.claims.from);
        self.claims.standing = Some(self.standing().sign());
    }
    /// What the other box's supervisor says of the sender.
    pub fn standing(&self) -> Said {
        let Claims { from, mode, epoch, .. } = self.claims;
        let (module, instance, until) = (from, instance("other"), NOW.plus_s(30));
        Said {
            standing: Standing { module, instance, binding: mode, epoch, until },
            signed_by: away(Module::Supervisor),
        }
    }
    /// All of it from another module of this box.
    pub fn from(&mut self, module: Module) {
        self.claims.from = module;
        self.signed_by = home(module);
    }
    pub fn seal(self) -> Vec<u8> {
        let body = RawValue::from_string(self.body).unwrap();
        envelope::seal(self.typ, self.claims, &[body.get()], &key(self.signed_by)).unwrap().octets
    }
    pub fn arrive(self, world: &World) -> Outcome {
        world.clock.set(self.now);
        let (at, under) = (self.arrives_at, self.arrives_under);
        world.arrive(at, under, &self.seal())
    }
}
