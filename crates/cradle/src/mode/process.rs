//! Modules in processes of their own, which live as long as the supervisor does: it holds a line to each, and who loses it
//! drains and ends.

use crate::fault::{Exit, Failure, Result, of_trouble};
use model::Module;
use model::contract::supervisor::Trouble;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a process may take until it answers: keys are derived, connections made, what was interrupted is closed.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to answer what it has begun. Longer than anybody waits for an answer.
const DRAIN_WITHIN: Duration = Duration::from_secs(40);

/// What processes of modules are started with.
pub(crate) struct Processes {
    pub(crate) program: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) passphrase: Zeroizing<Vec<u8>>,
    /// Processes of km.
    pub(crate) authorities: usize,
    /// What they log, as the program takes it.
    pub(crate) log: Vec<String>,
}

/// What a process says once, on its standard output.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Said {
    /// It answers on the bus.
    Serving {
        /// Its modules.
        modules: Vec<Module>,
    },
    /// It does not, and ends.
    Failed(Trouble),
}

/// A process of a module. Dropping it lets it answer what it has begun, and waits for its end.
pub(super) struct Process {
    /// The module and the number.
    name: String,
    child: Child,
    lifeline: Option<ChildStdin>,
    ended: Receiver<()>,
    is_told: bool,
}

impl Processes {
    /// How many processes a module has.
    pub(super) const fn count(&self, module: Module) -> usize {
        match module {
            Module::Authority => self.authorities,
            _ => 1,
        }
    }

    /// Starts the process of that number, and waits until it answers.
    pub(super) fn start(&self, module: Module, number: usize) -> Result<Process> {
        let failed = |why: String| {
            Failure::new(Exit::Unavailable, "process", format!("{module} does not run"))
                .because(why)
                .next("see what it logged; it is started again")
        };
        let mut child = Command::new(&self.program)
            .args(["--data".as_ref(), self.data.as_os_str()])
            .args(&self.log)
            .args(["serve", "--modules", module.name(), "--number", &number.to_string(), "--supervised"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("{} cannot be started ({e})", self.program.display())))?;
        let (lifeline, said) = (child.stdin.take(), child.stdout.take());
        let (tell, told) = sync_channel(1);
        let (gone, ended) = sync_channel(1);
        let name = format!("{module}-{number}");
        let listening = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let Some(said) = said else { return };
            let mut lines = BufReader::new(said).lines().map_while(std::io::Result::ok);
            let _nobody_waits = tell.send(lines.next().and_then(|line| serde_json::from_str::<Said>(&line).ok()));
            lines.for_each(drop);
            let _nobody_waits = gone.send(());
        });
        let mut process = Process { name, child, lifeline, ended, is_told: false };
        listening.map_err(|e| failed(e.to_string()))?;
        process.hand_over(&self.passphrase).map_err(|e| failed(e.to_string()))?;
        match told.recv_timeout(START_WITHIN) {
            Ok(Some(Said::Serving { .. })) => Ok(process),
            Ok(Some(Said::Failed(trouble))) => Err(of_trouble(&trouble)),
            Ok(None) => Err(failed("it ended before it answered".into())),
            Err(_) => {
                process.kill();
                Err(failed(format!("it did not answer within {} s", START_WITHIN.as_secs())))
            }
        }
    }
}

impl Process {
    /// The passphrase is its first line; from then on the line only says that somebody is there.
    fn hand_over(&mut self, passphrase: &[u8]) -> std::io::Result<()> {
        let Some(line) = &mut self.lifeline else { return Ok(()) };
        let mut text = Zeroizing::new(Vec::with_capacity(passphrase.len() + 1));
        text.extend_from_slice(passphrase);
        text.push(b'\n');
        line.write_all(&text).and_then(|()| line.flush())
    }

    /// Whether it has ended by itself, or by somebody else than us; the log says so once.
    pub(super) fn has_ended(&mut self) -> bool {
        let how = match self.child.try_wait() {
            Ok(None) => return false,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        if !self.is_told {
            self.is_told = true;
            tracing::warn!(process = %self.name, %how, "a process ended that should run; it is started again");
        }
        true
    }

    /// Ends it at once: what it has begun is closed by its next start.
    pub(super) fn kill(&mut self) {
        // How it ends is no news then.
        self.is_told = true;
        let _ended_already = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if self.ended.recv_timeout(DRAIN_WITHIN) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            self.kill();
        }
        // What it had begun may not have been answered.
        if let Ok(status) = self.child.wait()
            && !status.success()
            && !self.is_told
        {
            tracing::warn!(process = %self.name, how = %status, "a process ended otherwise than it was told to");
        }
    }
}
