//! SoftHSM2 as the token of a test. Its configuration is named by the environment and read once by the process, so each
//! test runs itself again in a process of its own.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use adapters::keystore::pkcs11::{Pin, Pkcs11Keystore, Pkcs11Uri};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use ports::Entropy;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use zeroize::Zeroizing;

pub const PIN: &str = "1234";
const DIRECTORY: &str = "CRADLE_TEST_TOKEN";
const MODULES: [&str; 3] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];
const CLIENTS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
];

/// Runs a test in a process of its own, with a directory and tokens that are called `one` and `two`.
pub fn run(name: &str, body: fn(&World)) {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        let world = World { dir: dir.into() };
        body(&world);
        return std::fs::write(world.dir.join("done"), "").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let configuration = format!("directories.tokendir = {}/tokens\nlog.level = ERROR\n", dir.path().display());
    std::fs::write(dir.path().join("softhsm2.conf"), configuration).unwrap();
    let world = World { dir: dir.path().to_owned() };
    for label in ["one", "two"] {
        world.util(&["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "5678"]);
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let status = world.environment(&mut again).args([name, "--exact", "--nocapture"]).status().unwrap();
    assert!(status.success(), "{name}");
    assert!(dir.path().join("done").exists(), "{name} did not run");
}

/// Makes a function a test that runs in a process of its own.
macro_rules! tests {
    ($($name:ident = $body:expr;)*) => {$(
        #[test]
        fn $name() {
            let (_, module) = module_path!().split_once("::").unwrap();
            $crate::common::run(&format!("{module}::{}", stringify!($name)), $body);
        }
    )*};
}

pub struct World {
    pub dir: PathBuf,
}

impl World {
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env(DIRECTORY, &self.dir)
            .env("SOFTHSM2_CONF", self.dir.join("softhsm2.conf"))
            .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", self.socket().display()))
    }
    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }
    pub fn util(&self, arguments: &[&str]) {
        let mut util = Command::new("softhsm2-util");
        assert!(self.environment(&mut util).args(arguments).stdout(Stdio::null()).status().unwrap().success());
    }
    pub fn keystore(&self, token: &str, sessions_max: usize) -> Pkcs11Keystore {
        self.keystore_at(&module(), token, pin(PIN), sessions_max)
    }
    pub fn keystore_at(&self, module: &Path, token: &str, pin: Pin, sessions_max: usize) -> Pkcs11Keystore {
        let uri = Pkcs11Uri::parse(&format!("pkcs11:token={token}")).unwrap();
        Pkcs11Keystore::new(module, &uri, pin, NonZeroUsize::new(sessions_max).unwrap(), Arc::new(Random)).unwrap()
    }
    /// A session beside those of the keystore, as another program would have it.
    pub fn session(&self, token: &str) -> Session {
        let pkcs11 = Pkcs11::new(module()).unwrap();
        // The keystore may have done it.
        let _started = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slots = pkcs11.get_slots_with_token().unwrap();
        let slot = slots.into_iter().find(|slot| pkcs11.get_token_info(*slot).unwrap().label() == token).unwrap();
        let session = pkcs11.open_rw_session(slot).unwrap();
        let _logged_in = session.login(UserType::User, Some(&AuthPin::from(PIN)));
        session
    }
    /// Lets another process serve token `one`, as a network HSM does.
    pub fn server(&self) -> Server {
        let mut command = Command::new("p11-kit");
        let socket = self.socket();
        let _stale = std::fs::remove_file(&socket);
        self.environment(&mut command).args(["server", "-f", "-n"]).arg(&socket).arg("--provider").arg(module());
        command.arg("pkcs11:token=one").stdout(Stdio::null());
        let mut child = command.spawn().expect("p11-kit is not there; install p11-kit and p11-kit-modules");
        // There is no event to wait for but the server's answering.
        while UnixStream::connect(&socket).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "p11-kit server ended");
            std::thread::yield_now();
        }
        Server(child)
    }
}

/// A process that serves a token. It forks for each client.
pub struct Server(Child);

impl Server {
    /// Ends the server and what it forked: the token is gone.
    pub fn kill(&mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let children = std::fs::read_to_string(children).unwrap();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        for child in children.split_whitespace() {
            Command::new("kill").args(["-KILL", child]).status().unwrap();
        }
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        let _gone = (self.0.kill(), self.0.wait());
    }
}

pub fn module() -> PathBuf {
    found(&MODULES, "libsofthsm2.so is not there; install softhsm2")
}
pub fn client() -> PathBuf {
    found(&CLIENTS, "p11-kit-client.so is not there; install p11-kit and p11-kit-modules")
}
fn found(places: &[&str], what: &str) -> PathBuf {
    places.iter().map(PathBuf::from).find(|path| path.exists()).expect(what)
}
pub fn pin(pin: &str) -> Pin {
    Pin::known(Zeroizing::new(pin.as_bytes().to_vec()))
}

pub struct Random;
impl Entropy for Random {
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).unwrap();
    }
}
