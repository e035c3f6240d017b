//! An installation in a temporary directory, and the binary to run in it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use ::repository::{Lifetimes, OldKeys, Repository, Start};
use adapters::clock::{SystemClock, SystemEntropy};
use adapters::keystore::FileKeystore;
use adapters::keystore::memory::MemoryKey;
use adapters::store::SqlStore;
use adapters::store::room::Reserve;
use adapters::store::sql::{Opening, Server};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::pkcs5::{pbes2, scrypt};
use ports::keystore::KeyUri;
use ports::{Keystore, Signer};
use serde_json::Value;
use std::io::Cursor;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use update::Threshold;
use update::tuf::write::{Custom, Key, Top};
use x509::KeyType;

/// If this is set, every box keeps the keys of its authorities in a token.
const TOKEN: &str = "CRADLE_TEST_TOKEN";
/// If this is set, every box keeps its records at the server that it names.
const SERVER: &str = "CRADLE_TEST_POSTGRES";

/// A port at which nobody listens, for what is named before anybody does. Lines that go out take theirs from elsewhere, so
/// that none of another test has it by then.
pub fn port_of_its_own() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Below 32768, where Linux begins to give ports to lines.
    let ours = u16::try_from(std::process::id() % 2_700).unwrap() * 8 + 11_000;
    let mut ports = std::iter::repeat_with(|| ours + GIVEN.fetch_add(1, Ordering::Relaxed) % 8);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

pub struct Box_ {
    pub dir: PathBuf,
}

impl Box_ {
    pub fn empty(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _not_there = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let b = Self { dir };
        if std::env::var_os(TOKEN).is_some() {
            b.make_token();
        }
        b.make_database();
        b
    }

    /// Where its records are, if they are at a server.
    fn url(&self) -> Option<String> {
        let url = std::env::var_os(SERVER)?.into_string().unwrap();
        Some(url.replace("dbname=postgres", &format!("dbname={}", self.database())))
    }
    fn server(&self) -> Option<Server> {
        self.url().map(|url| Server {
            url,
            password: None,
            anchors: Vec::new(),
            process: "line-1".into(),
            log_mark: None,
        })
    }

    /// A database of its own, where the suite runs against a server.
    fn make_database(&self) {
        let Some(url) = std::env::var_os(SERVER) else { return };
        let create = format!("CREATE DATABASE \"{}\"", self.database());
        let made = Command::new("psql").args(["--quiet", "--dbname"]).arg(url).args(["--command", &create]).output();
        let made = made.expect("postgresql is not there; install it");
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    fn database(&self) -> String {
        self.dir.file_name().unwrap().to_str().unwrap().chars().rev().take(60).collect::<String>()
    }

    /// A token of its own, in which authorities keep their keys.
    fn make_token(&self) {
        let dir = self.dir.display();
        std::fs::create_dir(self.dir.join("tokens")).unwrap();
        self.write("softhsm2.conf", format!("directories.tokendir = {dir}/tokens\nlog.level = ERROR\n"));
        self.write("pin", "1234");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(self.dir.join("pin"), private).unwrap();
        let label = ["--init-token", "--free", "--label", "box", "--pin", "1234", "--so-pin", "5678"];
        let made = Command::new("softhsm2-util")
            .args(label)
            .env("SOFTHSM2_CONF", self.dir.join("softhsm2.conf"))
            .output()
            .expect("softhsm2 is not there; install it");
        assert!(made.status.success(), "{}", text(&made.stderr));
    }

    /// An installation, made with `cradle init`.
    pub fn new(name: &str) -> Self {
        let b = Self::empty(name);
        b.ok(&["init", "--yes"]);
        b
    }

    /// An installation that expects sensors SN000001 to SN000020 and has software for them.
    pub fn with_software(name: &str) -> Self {
        let b = Self::new(name);
        b.supply();
        b
    }

    /// Expects sensors SN000001 to SN000020, with software for them.
    pub fn supply(&self) {
        let b = self;
        b.device_type("sensor", "");
        let list: String = (1..=20).map(|n| format!("SN{n:06},sensor\n")).collect();
        b.write("devices.csv", format!("serial,type\n{list}"));
        b.ok(&["list", "import", "devices.csv"]);
        b.release(1, "sensor");
        b.ok(&["release", "follow", "--images", "repository/metadata/1.root.json"]);
        b.import();
        b.ok(&["mode", "set", "provision"]);
    }

    /// Publishes a release in `repository`, which is begun if it is not there: its maker has one key for all roles.
    pub fn release(&self, counter: u64, device_type: &str) {
        let (dir, now, key) = (self.dir.join("repository"), ports::Clock::now(&SystemClock), self.maker());
        let mut repository = if dir.exists() {
            Repository::open(&dir, Box::new(|_| Ok(()))).unwrap()
        } else {
            let public = Key::new(key.public_key()).unwrap();
            let roles = Top::ALL.into_iter().map(|role| (role, (vec![public.clone()], Threshold::ONE))).collect();
            let start = Start { roles, lifetimes: Lifetimes::DEFAULT };
            Repository::begin(&dir, &start, now, Box::new(|_| Ok(()))).unwrap()
        };
        let custom = serde_json::json!({
            "release": "app", "release_version": counter.to_string(), "release_counter": counter,
            "hardware_ids": [device_type],
        });
        let custom = Custom::of_json(custom.to_string().as_bytes()).unwrap();
        let mut image = Cursor::new(vec![u8::try_from(counter).unwrap(); 100_000]);
        let name = format!("{device_type}-{counter}.bin");
        repository.add(&name, &mut image, Some(&custom), None, now).unwrap();
        let done = repository.publish(&[key], now, OldKeys::Sign).unwrap();
        assert!(done.waiting.is_empty(), "{:?}", done.waiting);
    }
    fn maker(&self) -> Arc<dyn Signer> {
        let path = self.dir.join("maker.p8");
        if !path.exists() {
            std::fs::write(&path, MemoryKey::generate_pkcs8(KeyType::Ed25519).unwrap()).unwrap();
        }
        Arc::new(MemoryKey::open(&std::fs::read(path).unwrap()).unwrap())
    }
    /// Imports what is published, in the mode for that.
    pub fn import(&self) {
        self.ok(&["mode", "set", "software-import"]);
        self.ok(&["release", "import", "repository"]);
    }

    /// A device type whose boards are simulated; `more` goes into its `[flasher]` table.
    pub fn device_type(&self, name: &str, more: &str) {
        let count = if more.contains("count =") { "" } else { "count = 6\n" };
        let offer = if more.contains("key_offer") { "" } else { "key_offer = \"csr\"\n" };
        let text = format!(
            "description = \"a test\"\nprofile = \"idevid\"\nkey_type = \"p256\"\n[flasher]\nadapter = \"simulated\"\n\
             device_type = \"{name}\"\ndirectory = \"../boards-{name}\"\n{offer}{count}{more}"
        );
        std::fs::write(self.data().join(format!("device-types/{name}.toml")), text).unwrap();
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }
    /// The records, opened as the program opens them.
    pub fn store(&self) -> SqlStore {
        let passphrase = std::fs::read(self.data().join("secrets/passphrase")).unwrap();
        let entropy = Arc::new(SystemEntropy::default());
        let keystore = FileKeystore::new(self.data().join("keys"), passphrase.into(), entropy.clone());
        let audit_key = keystore.open(&KeyUri("file:audit".into())).unwrap();
        let note = self.ok(&["audit", "checkpoint"]);
        let log_name = note.lines().next().unwrap().to_owned();
        let clock = Arc::new(SystemClock);
        let opening = Opening {
            log_name,
            audit_key,
            clock,
            entropy,
            marks: None,
            reserve: Reserve::default(),
            server: self.server(),
        };
        SqlStore::open(&self.data(), &opening).unwrap()
    }

    pub fn write(&self, name: &str, octets: impl AsRef<[u8]>) {
        std::fs::write(self.dir.join(name), octets).unwrap();
    }
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).unwrap()
    }

    /// The token of this box, if its authorities keep their keys in one.
    fn with_token(&self, mut command: Command) -> Command {
        if let Some(url) = self.url() {
            command.env("CRADLE_STORE", url);
        }
        if std::env::var_os(TOKEN).is_some() {
            let (module, pin) = ("/usr/lib/softhsm/libsofthsm2.so", self.dir.join("pin"));
            let token = format!("pkcs11:token=box?module-path={module}&pin-source=file:{}", pin.display());
            command.env("CRADLE_TOKEN", token).env("SOFTHSM2_CONF", self.dir.join("softhsm2.conf"));
        }
        command
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cradle"));
        command
            .args(arguments)
            .current_dir(&self.dir)
            .env_clear()
            .env("CRADLE_DATA", "data")
            .env("PATH", "/usr/bin:/bin");
        self.with_token(command)
    }
    /// The same with a clock that is off by so much: `+40d`.
    pub fn command_at(&self, offset: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("faketime");
        command
            .args(["-f", offset, env!("CARGO_BIN_EXE_cradle")])
            .args(arguments)
            .current_dir(&self.dir)
            .env_clear()
            // Only what time it is: waits for a deadline would never end, and no lease be renewed.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("CRADLE_DATA", "data")
            .env("PATH", "/usr/bin:/bin");
        self.with_token(command)
    }
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed. Gives what it printed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?} failed: {out}{err}");
        if arguments.first() == Some(&"init") {
            cheapen_keys(&self.data());
        }
        out
    }

    /// Runs a command that must succeed, with `-o json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// What a command says with `-o json`, whether or not it finds something to say.
    #[track_caller]
    pub fn json_of(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.run(&[arguments, &["-o", "json"]].concat()).stdout).unwrap()
    }

    /// Runs a command that must fail with this status and code. Gives what it said.
    #[track_caller]
    pub fn fails(&self, arguments: &[&str], status: i32, code: &str) -> String {
        let output = self.run(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {out}{err}");
        assert!(err.contains(&format!("code: {code}\n")), "{arguments:?}: {err}");
        err
    }

    /// Runs a station. Gives each board's serial number and outcome, or the reason why it was set aside.
    #[track_caller]
    pub fn station(&self, device_type: &str) -> Vec<(String, String)> {
        let mut command = self.command(&["station", "run", device_type, "-o", "jsonl"]);
        let output = command.env("CRADLE_OPERATOR", "operator").output().unwrap();
        let lines = text(&output.stdout);
        assert!(!lines.is_empty(), "{}", text(&output.stderr));
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let outcome = if row["reason"].is_null() { word("outcome") } else { word("reason") };
            (word("serial"), outcome)
        };
        lines.lines().map(row).collect()
    }

    /// Runs a station. Gives how many boards met with which outcome or reason.
    #[track_caller]
    pub fn count(&self, device_type: &str) -> std::collections::BTreeMap<String, usize> {
        let mut counts = std::collections::BTreeMap::new();
        for (_, outcome) in self.station(device_type) {
            *counts.entry(outcome).or_default() += 1;
        }
        counts
    }

    #[track_caller]
    pub fn sound(&self) -> Value {
        self.json(&["verify", "--deep"])
    }

    pub fn sql(&self, sql: &str) {
        let mut command = match self.url() {
            Some(url) => {
                let sql = format!("SET search_path = cradle; {}", sql.replace("AS BLOB)", "AS BYTEA)"));
                let mut psql = Command::new("psql");
                psql.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &url, "--command", &sql]);
                psql
            }
            None => {
                let mut sqlite = Command::new("sqlite3");
                sqlite.arg("data/cradle.db").arg(sql);
                sqlite
            }
        };
        assert!(command.current_dir(&self.dir).status().unwrap().success());
    }
}

/// Encrypts keys again at the least cost: each command opens some, and would spend half its time on the passphrase. The program
/// opens them as any others.
fn cheapen_keys(data: &Path) {
    let Ok(passphrase) = std::fs::read(data.join("secrets/passphrase")) else { return };
    let keystore = FileKeystore::new(data.join("keys"), passphrase.clone().into(), Arc::new(SystemEntropy::default()));
    for entry in std::fs::read_dir(data.join("keys")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "p8") {
            continue;
        }
        let key = keystore.kept(path.file_stem().unwrap().to_str().unwrap()).unwrap();
        let cost = scrypt::Params::new(1, 8, 1).unwrap();
        let cheap = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &[0; 16], [0; 16]).unwrap();
        let key = PrivateKeyInfoRef::try_from(key.as_slice()).unwrap();
        let encrypted = key.encrypt_with_params(cheap, &passphrase).unwrap();
        // Its mode stays.
        std::fs::write(&path, x509::pem::encode("ENCRYPTED PRIVATE KEY", encrypted.as_bytes())).unwrap();
    }
}

impl Drop for Box_ {
    fn drop(&mut self) {
        let _left_for_the_next_run = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Runs another program, which must succeed. Gives what it printed.
#[track_caller]
pub fn foreign(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {out}{err}");
    out
}
