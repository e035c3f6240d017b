//! What the tests of the adapters have in common.

#![allow(dead_code, reason = "each test file uses a part of it")]

use adapters::flasher::FlasherConfig;
use model::UnixTime;
use ports::Clock;
use ports::flasher::{Board, BoardFault, Flasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// How long anything here may take at most on a busy machine, in milliseconds. Limits under test are far below.
pub(crate) const PATIENT_MS: u64 = 20_000;

/// The time of day.
pub(crate) struct SystemClock;

impl SystemClock {
    /// A stopwatch.
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Self.now())
    }
}
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "these tests wait for real programs and lines")]
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        UnixTime::from_ms(u64::try_from(since.as_millis()).unwrap())
    }
}

/// When it was started.
pub(crate) struct Stopwatch(UnixTime);
impl Stopwatch {
    /// Milliseconds since then.
    pub(crate) fn ms(&self) -> u64 {
        SystemClock.now().since_ms(self.0)
    }
}

/// A directory that is gone afterwards.
pub(crate) struct Dir(PathBuf);

impl Dir {
    /// Makes one that nobody else has.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flasher-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
    /// Writes a program into it.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        // Another process writes it: a descriptor of ours that is open for writing could be inherited by a program that
        // another test starts at this moment, and nothing can execute a file that is open for writing.
        let mut cat = std::process::Command::new("tee")
            .arg(&path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut cat.stdin.take().unwrap(), text.as_bytes()).unwrap();
        assert!(cat.wait().unwrap().success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}
impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Opens a fixture from the text of a `[flasher]` table.
pub(crate) fn open(toml: &str, dir: &Path) -> Result<Box<dyn Flasher>, BoardFault> {
    let config: FlasherConfig = toml::from_str(toml).map_err(|e| BoardFault::Fixture(e.to_string()))?;
    adapters::flasher::open(&config, dir, &dir.join("work"), Arc::new(SystemClock))
}

/// Flashes an image; gives the progress that was heard.
pub(crate) fn flash(board: &mut dyn Board, image: &[u8]) -> Result<Vec<u64>, BoardFault> {
    let mut heard = Vec::new();
    let mut reader = image;
    board.flash(&mut reader, u64::try_from(image.len()).unwrap(), &mut |octets| heard.push(octets))?;
    Ok(heard)
}
