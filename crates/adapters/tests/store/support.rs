//! A store in a directory of its own, and what is put into it.

use adapters::clock::SystemEntropy;
use adapters::keystore::memory::MemoryKey;
use adapters::store::SqlStore;
use adapters::store::room::Reserve;
use adapters::store::sql::{FILE, OpenFault, Opening, Server};
use model::contract::authority::GrantOffer;
use model::{Digest, Entity, Module, Reason, TransactionId, UnixTime};
use ports::directory::Caller;
use ports::keystore::KeyUri;
use ports::store::AuthorityStore;
use ports::store::authority::{CrlContents, CrlLine, CrlRow, CrlScope, IntentDraft, IntentOutcome, RecordDraft};
use ports::{Clock, Signer};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use x509::crl::RevokedCertificate;
use x509::{KeyType, SerialNumber, sha256};

pub(crate) const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

struct Still;
impl Clock for Still {
    fn now(&self) -> UnixTime {
        NOW
    }
}

pub(crate) static NEXT: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Box_ {
    pub(crate) dir: PathBuf,
    pub(crate) key: Arc<dyn Signer>,
    /// A database of its own, where the suite runs against a server.
    pub(crate) server: Option<Server>,
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let ran = std::process::Command::new(program).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// The server that the suite runs against, as `rigs/with-postgres` says; without one it runs against files.
fn server(n: u64) -> Option<Server> {
    let url = std::env::var_os("CRADLE_TEST_POSTGRES")?.into_string().unwrap();
    let name = format!("store_{}_{n}", std::process::id());
    let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    Some(Server {
        url: url.replace("dbname=postgres", &format!("dbname={name}")),
        password: None,
        anchors: Vec::new(),
        process: "one".into(),
        log_mark: None,
    })
}

impl Box_ {
    pub(crate) fn new() -> Self {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{}-{n}", std::process::id())))
    }
    pub(crate) fn at(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let server = server(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { dir, key: Arc::new(MemoryKey::generate(KeyType::Ed25519)), server }
    }
    pub(crate) fn opening(&self) -> Opening {
        Opening {
            log_name: "test".into(),
            audit_key: Arc::clone(&self.key),
            clock: Arc::new(Still),
            entropy: Arc::new(SystemEntropy::default()),
            marks: Some(self.dir.join("marks")),
            reserve: Reserve::default(),
            server: self.server.clone(),
        }
    }
    pub(crate) fn open(&self) -> SqlStore {
        SqlStore::make(&self.dir, &self.opening()).unwrap()
    }
    /// Takes a backup while the store is in use: of a server by its own tools.
    pub(crate) fn back_up(&self, store: &SqlStore) {
        match &self.server {
            None => store.snapshot(&self.dir.join("backup.db")).unwrap(),
            Some(server) => run("pg_dump", &["--format=custom", "--file", &self.dump(), "--dbname", &server.url]),
        }
    }
    /// Puts the backup in the place of the records.
    pub(crate) fn restore(&mut self) {
        if self.server.is_some() {
            self.server = server(NEXT.fetch_add(1, Ordering::Relaxed));
            run("pg_restore", &["--dbname", &self.server.as_ref().unwrap().url, &self.dump()]);
            return;
        }
        for name in ["cradle.db-wal", "cradle.db-shm"] {
            let _not_there = std::fs::remove_file(self.dir.join(name));
        }
        std::fs::rename(self.dir.join("backup.db"), self.dir.join(FILE)).unwrap();
    }
    fn dump(&self) -> String {
        self.dir.join("backup.dump").to_str().unwrap().to_owned()
    }
    pub(crate) fn read(&self) -> Result<SqlStore, OpenFault> {
        match &self.server {
            Some(server) => SqlStore::open_server_to_read(server),
            None => SqlStore::open_to_read(&self.dir),
        }
    }
    pub(crate) fn sql(&self, sql: &str) {
        let Some(server) = &self.server else {
            rusqlite::Connection::open(self.dir.join(FILE)).unwrap().execute_batch(sql).unwrap();
            return;
        };
        let mut client = postgres::Client::connect(&server.url, postgres::NoTls).unwrap();
        client
            .batch_execute(&format!(
                "SET search_path = cradle; SET cradle.process = 1; {}",
                sql.replace("x'", "'\\x").replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')")
            ))
            .unwrap();
    }
}
impl Drop for Box_ {
    fn drop(&mut self) {
        let _ignored = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn station() -> Caller {
    Caller { module: Module::Provisioning, instance: "line-1".parse().unwrap() }
}
pub(crate) fn device(n: u32) -> Entity {
    format!("urn:dev:ops:32473-sensor-SN{n:04}").parse().unwrap()
}
pub(crate) fn offer(n: u32) -> GrantOffer {
    GrantOffer { subject: device(n), profile: "idevid".parse().unwrap(), until: NOW.plus_s(100), quota: 1 }
}
pub(crate) fn serial(n: u8) -> SerialNumber {
    SerialNumber::new(&[1, n, 0, 0, 0, 0, 0, 0, 0, 7]).unwrap()
}
pub(crate) fn transaction(n: u8) -> TransactionId {
    TransactionId::new([n; 16])
}
pub(crate) fn digest(n: u8) -> Digest {
    Digest::new([n; 32])
}

/// A store with one authority and grants for devices 0 to 9.
pub(crate) fn ready(store: &dyn AuthorityStore) -> u64 {
    let (name, profile) = ("factory".parse().unwrap(), "factory".parse().unwrap());
    let id = store.begin_authority(&name, &KeyUri("file:factory".into()), None, &profile, NOW).unwrap().unwrap();
    let offers: Vec<_> = (0..10).map(offer).collect();
    assert_eq!(store.deposit("list a", &offers, NOW).unwrap(), 10);
    id
}
pub(crate) fn grant(store: &dyn AuthorityStore, n: u32) -> ports::store::authority::Grant {
    store.grants(&[(&device(n), &"idevid".parse().unwrap())]).unwrap()[0].clone().unwrap()
}
pub(crate) fn draft(store: &dyn AuthorityStore, authority: u64, n: u8) -> IntentDraft {
    IntentDraft {
        transaction_id: transaction(n),
        requester: station(),
        authority,
        serial: serial(n),
        tbs_digest: digest(n),
        profile_digest: digest(200),
        grant: grant(store, u32::from(n)).id,
        right: None,
        key: digest(n),
        at: NOW,
        not_after: NOW.plus_s(1000 + u64::from(n)),
        shard: u32::from(n % 2) + 1,
    }
}
pub(crate) fn one(store: &dyn AuthorityStore, draft: IntentDraft) -> IntentOutcome {
    store.intend(vec![draft]).unwrap().pop().unwrap()
}
pub(crate) fn row(outcome: IntentOutcome) -> u64 {
    match outcome {
        IntentOutcome::Durable(token) => token.row(),
        other => panic!("{other:?}"),
    }
}
pub(crate) fn record(store: &dyn AuthorityStore, intent: u64, n: u8) -> bool {
    let certificate = vec![0x30, n];
    let recorded =
        store.record(vec![RecordDraft { intent, serial: serial(n), certificate: certificate.clone(), at: NOW }]);
    match recorded.unwrap().pop().unwrap() {
        Some(proof) => {
            assert_eq!((proof.serial(), proof.certificate_digest()), (serial(n), sha256(&certificate)));
            true
        }
        None => false,
    }
}
pub(crate) fn issue(store: &dyn AuthorityStore, authority: u64, n: u8) {
    let intent = row(one(store, draft(store, authority, n)));
    assert!(record(store, intent, n));
}

#[track_caller]
pub(crate) fn refused(outcome: IntentOutcome, reason: Reason) {
    assert!(matches!(outcome, IntentOutcome::Refused(r) if r == reason), "{outcome:?}");
}

pub(crate) const fn scope(authority: u64, shard: u32) -> CrlScope {
    CrlScope { authority, shard }
}
/// A whole list of an authority, undivided.
pub(crate) fn list(authority: u64, number: u64) -> CrlRow {
    let next_update = NOW.plus_s(1);
    CrlRow { scope: scope(authority, 0), number, base: None, edge: 0, this_update: NOW, next_update, der: vec![1] }
}
/// The serial numbers of a list that says all behind a word; one that was released stands with 0xff in front.
pub(crate) fn lines(store: &dyn AuthorityStore, authority: u64, shard: u32, behind: u64) -> Vec<SerialNumber> {
    let contents = CrlContents {
        scope: scope(authority, shard),
        edge: store.revocation_edge().unwrap(),
        behind,
        expired_before: UnixTime::from_s(0),
    };
    let serial = |(_, line)| match line {
        CrlLine::Revoked(RevokedCertificate { serial_number, .. }) => serial_number,
        CrlLine::Released(serial, _) => released(serial),
    };
    store.crl_lines(&contents, 0, 100).unwrap().into_iter().map(serial).collect()
}
/// How a released certificate is shown by [`lines`].
pub(crate) fn released(serial: SerialNumber) -> SerialNumber {
    SerialNumber::new(&[&[0x7f], serial.octets()].concat()).unwrap()
}
