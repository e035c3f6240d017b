//! The servers of a demonstration or measurement whose modules run apart. Each is started again when it ends, as a system's manager of
//! services would.

use crate::fault::{Exit, Failure, Result};
use adapters::clock::Stopwatch;
use adapters::files;
use adapters::process::{is_superuser, terminate};
use std::ffi::OsString;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked whether a server still runs.
const LOOK: Duration = Duration::from_millis(100);
/// How long a server may take until it listens.
const START_WITHIN_MS: u64 = 60_000;
/// How long a server may take to end when it is told to.
const END_WITHIN_MS: u64 = 60_000;
/// The user that PostgreSQL runs as where this is the superuser, as whom it does not run.
const POSTGRES_USER: &str = "postgres";

/// nats-server, PostgreSQL and `cradle up`.
pub(crate) struct Servers {
    /// Where the records are.
    pub(crate) store: String,
    /// Where the broker is.
    pub(crate) bus: String,
    /// The ports at which the gateway of the installation can listen, for HTTPS and HTTP: who asks it is in another process.
    pub(crate) gateway: [u16; 2],
    // In the order in which they end: first who needs the others.
    up: Option<Guarded>,
    broker: Option<Guarded>,
    postgres: Option<Guarded>,
    room: Room,
}

/// The directory of the database, which is removed in the end.
struct Room(PathBuf);

impl Drop for Room {
    fn drop(&mut self) {
        // What stays is a temporary directory of a demonstration.
        let _stays = std::fs::remove_dir_all(&self.0);
    }
}

impl Servers {
    /// Starts PostgreSQL, on a free port of this machine and with a new database; or takes the one that is named.
    pub(crate) fn start(store: Option<String>) -> Result<Self> {
        let room = Room(std::env::temp_dir().join(format!("cradle-servers-{}", std::process::id())));
        files::private_directory(&room.0).map_err(|e| Failure::file(&room.0, &e))?;
        let (store, postgres) = match store {
            Some(store) => (store, None),
            None => {
                let (store, postgres) = postgres(&room.0)?;
                (store, Some(postgres))
            }
        };
        let [bus, https, http] = free_ports()?;
        let bus = format!("nats://127.0.0.1:{bus}");
        Ok(Self { store, bus, gateway: [https, http], up: None, broker: None, postgres, room })
    }

    /// Starts the broker and the supervisor of an installation.
    pub(crate) fn up(mut self, data: &Path) -> Result<Self> {
        let broker = Command::new(program("nats-server", &[])?);
        let words = vec!["-c".into(), data.join("bus").join("nats-server.conf").into()];
        self.broker = Some(Guarded::start("nats-server", broker, words, &self.room.0.join("nats.log"))?);
        let port = self.bus.rsplit(':').next().and_then(|port| port.parse().ok());
        listens(port.unwrap_or_default())?;
        let own = std::env::current_exe().map_err(|e| Failure::file("/proc/self/exe", &e))?;
        let words = vec!["--data".into(), data.into(), "up".into()];
        self.up = Some(Guarded::start("cradle up", Command::new(own), words, &data.join("up.log"))?);
        Ok(self)
    }

    /// Their names and process identifiers.
    pub(crate) fn processes(&self) -> Vec<(&'static str, u32)> {
        let all = [self.up.as_ref(), self.broker.as_ref(), self.postgres.as_ref()];
        all.into_iter().flatten().map(|guarded| (guarded.name, guarded.id())).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.up.take());
        drop(self.broker.take());
        drop(self.postgres.take());
    }
}

/// A program that is started again when it ends.
struct Guarded {
    name: &'static str,
    child: Arc<Mutex<Child>>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn locked(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guarded {
    fn start(name: &'static str, mut command: Command, words: Vec<OsString>, log: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| {
            Failure::new(Exit::Unavailable, "process", format!("{name} does not start"))
                .because(e)
                .next("look at its log")
        };
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(|e| Failure::file(log, &e))?;
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut spawn = move || command.spawn();
        let child = Arc::new(Mutex::new(spawn().map_err(failed)?));
        let (stop, stopped) = sync_channel(1);
        let guarded = Arc::clone(&child);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let mut child = locked(&guarded);
                if !matches!(child.try_wait(), Ok(None))
                    && let Ok(again) = spawn()
                {
                    *child = again;
                }
            }
        });
        Ok(Self { name, child, stop: Some(stop), thread: Some(thread.map_err(failed)?) })
    }

    fn id(&self) -> u32 {
        locked(&self.child).id()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended_already = thread.join();
        }
        let mut child = locked(&self.child);
        let watch = Stopwatch::start();
        terminate(&child);
        while matches!(child.try_wait(), Ok(None)) {
            if watch.ms() > END_WITHIN_MS {
                let _ended_already = child.kill();
            }
            std::thread::park_timeout(LOOK);
        }
    }
}

/// Makes a database in a directory, and starts its server on a free port. Gives where it is.
fn postgres(room: &Path) -> Result<(String, Guarded)> {
    let programs = postgres_programs()?;
    let is_root = is_superuser();
    if is_root {
        ran(Command::new("chown").arg(POSTGRES_USER).arg(room), "giving PostgreSQL its directory")?;
    }
    let data = room.join("data");
    let mut init = as_server(is_root, &programs.join("initdb"));
    init.arg("--pgdata").arg(&data).args(["--auth=trust", "--username=cradle", "--encoding=UTF8", "--locale=C"]);
    ran(&mut init, "making a database")?;
    let [port] = free_ports()?;
    let mut words: Vec<OsString> = vec!["-D".into(), data.into(), "-p".into(), port.to_string().into()];
    words.extend(["-k".into(), room.as_os_str().to_owned()]);
    words.extend(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"].map(OsString::from));
    let server = as_server(is_root, &programs.join("postgres"));
    let postgres = Guarded::start("postgres", server, words, &room.join("postgres.log"))?;
    listens(port)?;
    Ok((format!("host=127.0.0.1 port={port} user=cradle dbname=postgres"), postgres))
}

/// PostgreSQL does not run as the superuser.
fn as_server(is_root: bool, program: &Path) -> Command {
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", POSTGRES_USER, "--regid", POSTGRES_USER, "--clear-groups"]).arg(program);
    command
}

fn ran(command: &mut Command, doing: &str) -> Result {
    let failed = |why: String| Failure::new(Exit::Unavailable, "process", format!("{doing} failed")).because(why);
    let output = command.current_dir("/").output().map_err(|e| failed(e.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())) }
}

fn missing(name: &str, package: &str) -> Failure {
    Failure::new(Exit::NotFound, "program-missing", format!("{name} is not installed"))
        .because("a demonstration apart needs it")
        .next(format!("`./run --apart` installs it; or `apt-get install {package}`"))
}

/// A program in one of these directories, or where programs are looked for.
fn program(name: &'static str, more: &[PathBuf]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/bin"].map(PathBuf::from);
    let places = more.iter().cloned().chain(std::env::split_paths(&path)).chain(usual);
    places.map(|place| place.join(name)).find(|path| path.is_file()).ok_or_else(|| missing(name, name))
}

/// The directory of the newest PostgreSQL's programs.
fn postgres_programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs): &(u32, PathBuf)| programs.join("postgres").is_file())
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, programs)| programs);
    let beside = |path: PathBuf| path.parent().map(Path::to_owned);
    match newest.or_else(|| program("postgres", &[]).ok().and_then(beside)) {
        Some(programs) => Ok(programs),
        None => Err(missing("PostgreSQL", "postgresql")),
    }
}

/// Ports on which nobody listens, all of them different.
fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let none = |e: std::io::Error| Failure::new(Exit::Unavailable, "listen", "no port is free").because(e);
    let mut ports = [0; COUNT];
    let mut held = Vec::with_capacity(COUNT);
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(none)?;
        *port = listener.local_addr().map_err(none)?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn listens(port: u16) -> Result {
    let watch = Stopwatch::start();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if watch.ms() > START_WITHIN_MS {
            return Err(Failure::new(Exit::Unavailable, "listen", format!("nobody listens on port {port}"))
                .next("look at the server's log"));
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}
