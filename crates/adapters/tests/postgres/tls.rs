//! A server on another machine: it proves its name, and nobody on the way reads along.

use crate::server::Postgres;
use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::sql::{OpenFault, Server};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority, and what it certified for a server that is called `localhost`.
struct Certified {
    dir: PathBuf,
}

impl Certified {
    fn new() -> Self {
        let mut random = [0; 8];
        ports::Entropy::fill(&adapters::clock::SystemEntropy::default(), &mut random);
        let dir = PathBuf::from(format!("/dev/shm/cradle-test-{:016x}", u64::from_be_bytes(random)));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost").unwrap();
        let certified = Self { dir };
        for arguments in [
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server.key",
            "req -x509 -new -key ca.key -subj /CN=CA -days 9 -out ca.pem -addext basicConstraints=critical,CA:TRUE",
            "x509 -in ca.pem -outform DER -out ca.der",
            "req -new -key server.key -subj /CN=S -out server.csr",
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 9 -extfile names -out server.pem",
        ] {
            certified.run(Command::new("openssl").env("OPENSSL_CONF", "/dev/null").args(arguments.split(' ')));
        }
        // The server wants its key to be its own.
        certified.run(Command::new("chmod").args(["600", "server.key"]));
        if rustix::process::geteuid().is_root() {
            certified.run(Command::new("chown").args(["-R", "postgres", "."]));
        }
        certified
    }
    fn run(&self, command: &mut Command) {
        let done = command.current_dir(&self.dir).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    fn anchor(&self) -> Vec<u8> {
        std::fs::read(self.dir.join("ca.der")).unwrap()
    }
    /// A server with this certificate. Its settings live as long as the test.
    fn server(&self) -> Postgres {
        let setting = |name: &str, file: &Path| -> &'static str { format!("{name}={}", file.display()).leak() };
        let (certificate, key) = (self.dir.join("server.pem"), self.dir.join("server.key"));
        Postgres::new(&["ssl=on", setting("ssl_cert_file", &certificate), setting("ssl_key_file", &key)])
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        let _ignored = std::fs::remove_dir_all(&self.dir);
    }
}

fn box_at(host: &str, port: u16, anchors: Vec<Vec<u8>>) -> Box_ {
    let url = format!("host={host} port={port} user=cradle dbname=postgres");
    let mut b = Box_::new();
    b.server = Some(Server { url, password: None, anchors, process: "km-1".into(), log_mark: None });
    b
}

#[track_caller]
fn refused(b: &Box_, because: &str) {
    let refused = SqlStore::make(&b.dir, &b.opening()).err();
    assert!(matches!(&refused, Some(OpenFault::Engine(why)) if why.contains(because)), "{refused:?}");
}

#[track_caller]
fn cannot_be_meant(b: &Box_, because: &str) {
    let refused = SqlStore::make(&b.dir, &b.opening()).err();
    assert!(matches!(&refused, Some(OpenFault::Setting(why)) if why.contains(because)), "{refused:?}");
}

#[test]
fn what_goes_to_and_fro_is_encrypted() {
    let certified = Certified::new();
    let server = certified.server();
    let b = box_at("localhost", server.port, vec![certified.anchor()]);
    let store = b.open();
    ready(&store);
    let mut other = server.client();
    let encrypted = "SELECT bool_and(ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'cradle'";
    let row = other.query_one(encrypted, &[]).unwrap();
    assert!(row.get::<_, bool>(0) && row.get::<_, i64>(1) > 0);
}
#[test]
fn a_server_of_another_authority_is_refused() {
    let server = Certified::new().server();
    refused(&box_at("localhost", server.port, vec![Certified::new().anchor()]), "certificate");
}
#[test]
fn a_server_of_another_name_is_refused() {
    let certified = Certified::new();
    let server = certified.server();
    refused(&box_at("127.0.0.1", server.port, vec![certified.anchor()]), "certificate");
}
#[test]
fn a_server_without_tls_is_refused_where_it_must() {
    let server = Postgres::new(&[]);
    refused(&box_at("localhost", server.port, vec![Certified::new().anchor()]), "cannot be reached");
}
#[test]
fn tls_that_is_a_must_and_forbidden() {
    let mut b = box_at("localhost", 1, vec![Certified::new().anchor()]);
    b.server.as_mut().unwrap().url += " sslmode=disable";
    cannot_be_meant(&b, "take one of them out");
}
#[test]
fn an_anchor_that_is_none() {
    cannot_be_meant(&box_at("localhost", 1, vec![b"no certificate".to_vec()]), "[store] trust");
}
