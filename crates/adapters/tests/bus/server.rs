//! A nats-server of a test's own, on a free port, in a temporary directory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that does not outlive the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = (self.0.kill(), self.0.wait());
    }
}

pub struct Server {
    process: Process,
    pub port: u16,
    pub directory: tempfile::TempDir,
}

/// What the bus needs, and nothing else. `PORT` is where the server listens.
pub const PLAIN: &str =
    "listen: \"127.0.0.1:PORT\"\nmax_payload: 4198400\njetstream { store_dir: \"DIR/jetstream\" }\n";

impl Server {
    pub fn start() -> Self {
        Self::with(PLAIN)
    }

    /// A server with this configuration.
    pub fn with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = configuration.replace("DIR/", &format!("{}/", directory.path().to_str().unwrap()));
        std::fs::write(directory.path().join("template.conf"), text).unwrap();
        let (process, port) = run(directory.path(), -1);
        Self { process, port, directory }
    }

    pub fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// The same server again, on the same port.
    pub fn restart(&mut self) {
        let (process, port) = run(self.directory.path(), self.port.into());
        assert_eq!(port, self.port);
        self.process = process;
    }
}

fn run(directory: &Path, port: i32) -> (Process, u16) {
    let text = std::fs::read_to_string(directory.join("template.conf")).unwrap();
    let configuration = directory.join("nats.conf");
    std::fs::write(&configuration, text.replace(":PORT", &format!(":{port}"))).unwrap();
    // Debian puts it where only root looks.
    let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server"].into_iter().find(|path| Path::new(path).exists());
    let spawned = Command::new(program.unwrap_or("nats-server"))
        .arg("-c")
        .arg(&configuration)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let mut process = match spawned {
        Ok(child) => Process(child),
        Err(e) => panic!("nats-server does not start ({e}): install the package nats-server"),
    };
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
    let (mut said, mut port) = (String::new(), None);
    for line in lines.by_ref().map_while(Result::ok) {
        port = line
            .split_once("Listening for client connections on ")
            .and_then(|(_, at)| at.rsplit(':').next())
            .map_or(port, |port| port.parse().ok());
        said += &format!("{line}\n");
        if line.contains("Server is ready") {
            // It waits if nobody reads what it says.
            std::thread::spawn(move || lines.for_each(drop));
            return (process, port.unwrap());
        }
    }
    panic!("nats-server ended:\n{said}");
}
