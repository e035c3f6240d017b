//! A PostgreSQL server of a test's own: in memory, on a free port, stopped at the end.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server that runs.
pub(crate) struct Postgres {
    dir: PathBuf,
    pub(crate) port: u16,
    child: Child,
    options: Vec<&'static str>,
}

fn programs() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = found.map(|version| version.path().join("bin")).max();
    newest.expect("PostgreSQL is not installed: apt-get install postgresql")
}

/// The server refuses to run as root; then it runs as its own user.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        let id = |flag: &str| {
            let said = Command::new("id").args([flag, "postgres"]).output().unwrap();
            String::from_utf8(said.stdout).unwrap().trim().parse::<u32>().unwrap()
        };
        command.uid(id("-u")).gid(id("-g"));
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Postgres {
    /// Makes one; `options` are settings as `-c` takes them.
    pub(crate) fn new(options: &[&'static str]) -> Self {
        let mut random = [0; 8];
        ports::Entropy::fill(&adapters::clock::SystemEntropy::default(), &mut random);
        let dir = PathBuf::from(format!("/dev/shm/cradle-test-{:016x}", u64::from_be_bytes(random)));
        std::fs::create_dir(&dir).unwrap();
        let _only_root_can = Command::new("chown").arg("postgres").arg(&dir).status();
        let made = command(&programs().join("initdb"))
            .args(["--auth=trust", "--username=cradle", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
            .arg(dir.join("data"))
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = start(&dir, port, options);
        let server = Self { dir, port, child, options: options.to_vec() };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("host=127.0.0.1 port={} user=cradle dbname=postgres connect_timeout=5", self.port)
    }

    pub(crate) fn client(&self) -> postgres::Client {
        postgres::Client::connect(&self.url(), postgres::NoTls).unwrap()
    }

    fn wait(&self) {
        let begun = adapters::clock::Stopwatch::start();
        while postgres::Client::connect(&self.url(), postgres::NoTls).is_err() {
            assert!(begun.ms() < 60_000, "the server does not start");
            std::thread::yield_now();
        }
    }

    /// Kills the server and all its processes, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        let _nobody_holds_it = std::fs::remove_file(self.dir.join("data").join("postmaster.pid"));
        self.child = start(&self.dir, self.port, &self.options);
        self.wait();
    }
}

fn start(dir: &Path, port: u16, options: &[&str]) -> Child {
    let mut command = command(&programs().join("postgres"));
    command.arg("-D").arg(dir.join("data")).args(["-p", &port.to_string(), "-k"]).arg(dir);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50", "-c", "shared_buffers=16MB"]);
    for option in options {
        command.args(["-c", option]);
    }
    command.spawn().unwrap()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
        let _ignored = std::fs::remove_dir_all(&self.dir);
    }
}
