//! `cradle bus`: the configuration of the broker, tried on a real nats-server.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;

use adapters::bus::NatsBus;
use adapters::bus::nats::{Setting, Site};
use adapters::clock::SystemClock;
use common::Box_;
use model::Module;
use model::callers::{CALLERS_TOML, Callers};
use model::contract::Subject;
use ports::bus::BusFault;
use ports::{Bus, Clock, Handler};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A nats-server with the configuration that was written; only the port is another.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(configuration: &Path) -> Self {
        let text = std::fs::read_to_string(configuration).unwrap();
        assert_eq!(text.matches("\"127.0.0.1:4222\"").count(), 1, "{text}");
        std::fs::write(configuration, text.replace("127.0.0.1:4222", "127.0.0.1:-1")).unwrap();
        // Debian puts it where only root looks.
        let places = ["/usr/sbin/nats-server", "/usr/bin/nats-server"];
        let program = places.into_iter().find(|path| Path::new(path).exists()).unwrap_or("nats-server");
        let command = Command::new(program).arg("-c").arg(configuration).stderr(Stdio::piped()).spawn();
        let child = match command {
            Ok(child) => child,
            Err(e) => panic!("nats-server does not start ({e}): install the package nats-server"),
        };
        let mut server = Self { child, address: String::new() };
        let mut lines = BufReader::new(server.child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            said += &format!("{line}\n");
            if line.contains("Server is ready") {
                std::thread::spawn(move || lines.for_each(drop));
                let at = said.split("Listening for client connections on ").nth(1).unwrap();
                server.address = format!("nats://{}", at.lines().next().unwrap());
                return server;
            }
        }
        panic!("nats-server ended:\n{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = (self.child.kill(), self.child.wait());
    }
}

fn written(b: &Box_, more: &[&str]) -> (PathBuf, Value) {
    let words = [&["bus", "config", "broker", "-o", "json"], more].concat();
    let said: Value = serde_json::from_str(&b.ok(&words)).unwrap();
    (PathBuf::from(said["configuration"].as_str().unwrap()), said)
}

struct Echo;
impl Handler for Echo {
    fn handle(&self, _: Subject, message: &[u8]) -> Vec<u8> {
        message.to_vec()
    }
}

#[test]
fn each_module_reaches_what_the_table_of_callers_lets_it_call() {
    let b = Box_::empty("bus-pairs");
    let (configuration, said) = written(&b, &["--box", "line-1", "--domain", "plant"]);
    let server = Server::start(&configuration);
    let bus_of = |module: Module| {
        let users = said["users"].as_array().unwrap();
        let user = users.iter().find(|user| user["module"] == module.name()).unwrap();
        let site = Site { domain: "plant".parse().unwrap(), instance: "line-1".parse().unwrap() };
        let seed = Some(PathBuf::from(user["seed"].as_str().unwrap()));
        let setting = Setting { servers: vec![server.address.clone()], site, module, seed, trust: None };
        NatsBus::open(&setting, Arc::new(SystemClock)).unwrap()
    };
    let buses: Vec<_> = Module::ALL.into_iter().map(|module| (module, bus_of(module))).collect();
    let _served: Vec<_> = buses.iter().map(|(module, bus)| bus.serve(*module, Arc::new(Echo)).unwrap()).collect();
    let callers = Callers::read(CALLERS_TOML).unwrap();
    // What the broker does not carry is late: all are tried at the same time.
    let deadline = SystemClock.now().plus_s(5);
    std::thread::scope(|scope| {
        let mut calls = Vec::new();
        for (caller, bus) in &buses {
            for (subject, to) in Subject::ALL.iter().flat_map(|subject| Module::ALL.map(|to| (*subject, to))) {
                if subject == Subject::ModeLease || subject.module() == to {
                    calls.push((caller, subject, to, scope.spawn(move || bus.call(to, subject, b"hello", deadline))));
                }
            }
        }
        assert_eq!(calls.len(), 7 * (42 + 7));
        for (caller, subject, to, call) in calls {
            let expected = if callers.permit(*caller, subject) { Ok(b"hello".to_vec()) } else { Err(BusFault::Late) };
            assert_eq!(call.join().unwrap(), expected, "{caller} asks {to}: {subject}");
        }
    });
}
#[test]
fn a_broker_is_checked_as_any_module_of_a_box_that_it_knows() {
    let b = Box_::empty("bus-check");
    let (configuration, said) = written(&b, &["--box", "line-1", "--box", "line-2", "--box", "line-1"]);
    let users = said["users"].as_array().unwrap().clone();
    assert_eq!(users.len(), 2 * Module::ALL.len());
    let server = Server::start(&configuration);
    let check = |user: &Value, name: &'static str| {
        let (module, seed) = (user["module"].as_str().unwrap().to_owned(), user["seed"].as_str().unwrap().to_owned());
        ["bus", "check", "--server", &server.address, "--box", name, "--module", &module, "--seed", &seed]
            .map(str::to_owned)
    };
    for user in &users {
        let words = check(user, if user["box"] == "line-1" { "line-1" } else { "line-2" });
        let words: Vec<_> = words.iter().map(String::as_str).chain(["-o", "json"]).collect();
        let shown: Value = serde_json::from_str(&b.ok(&words)).unwrap();
        assert_eq!(shown["payload_len_max"], 4_198_400);
        assert!(shown["version"].as_str().unwrap().starts_with("2."), "{shown}");
        assert!(matches!(shown["age"].as_str(), Some("old" | "supported")), "{shown}");
        assert!(shown["round_trip_us"].as_u64().unwrap() > 0, "{shown}");
    }
    let words = check(&users[0], "line-1");
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let human = b.ok(&words);
    assert!(human.contains("nats-server  2.") && human.contains("4198400 octets"), "{human}");
    // As a module of another box than the seed's.
    let words = check(&users[0], "line-2");
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    b.fails(&words, 3, "bus");
    // Without a seed.
    b.fails(&["bus", "check", "--server", &server.address, "--box", "line-1"], 3, "bus");
    // Where nobody is.
    b.fails(&["bus", "check", "--server", "nats://127.0.0.1:1", "--box", "line-1"], 3, "bus");
    // As nobody.
    let refused = b.run(&["bus", "check", "--box", "line-1", "--module", "nobody"]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && why.contains("modules are provisioning, authority"), "{why}");
}
#[test]
fn seeds_are_for_their_owner_only_and_nothing_is_overwritten() {
    let b = Box_::empty("bus-seeds");
    let (configuration, said) = written(&b, &["--box", "line-1"]);
    let text = std::fs::read_to_string(&configuration).unwrap();
    for user in said["users"].as_array().unwrap() {
        let path = Path::new(user["seed"].as_str().unwrap());
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        let seed = std::fs::read_to_string(path).unwrap();
        assert!(seed.starts_with("SU") && !text.contains(seed.trim()), "{text}");
        assert!(text.contains(user["public_key"].as_str().unwrap()), "{text}");
    }
    assert_eq!(std::fs::metadata(b.dir.join("broker")).unwrap().permissions().mode() & 0o777, 0o700);
    b.fails(&["bus", "config", "broker", "--box", "line-1"], 6, "exists");
    assert_eq!(std::fs::read_to_string(&configuration).unwrap(), text);
}
#[test]
fn the_own_box_is_the_one_that_is_meant() {
    let b = Box_::empty("bus-own");
    b.fails(&["bus", "config", "broker"], 5, "no-data");
    b.ok(&["init", "--yes", "--bare", "--name", "line-7"]);
    let (_, said) = written(&b, &[]);
    assert!(said["users"].as_array().unwrap().iter().all(|user| user["box"] == "line-7"), "{said}");
    assert_eq!((&said["domain"], &said["listen"]), (&"cradle".into(), &"127.0.0.1:4222".into()));
}
