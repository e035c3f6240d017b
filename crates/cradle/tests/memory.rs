//! Keys in memory stay there: while a command has them, nothing of it can be dumped, and its pages are locked if they may be.
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
use common::Box_;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// The shell that starts it lets it dump as much as it likes.
const GENEROUS: &str = "ulimit -S -c $(ulimit -H -c); exec \"$@\"";

/// A command that waits for its passphrase, and what it logged until then.
fn waiting(b: &Box_) -> (Child, Value) {
    let command = b.command(&["ca", "create", "other", "--profile", "root", "--passphrase-file", "/dev/fd/0"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", GENEROUS, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.args(["--log-level", "debug", "--log-format", "json"]).current_dir(&b.dir).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = shell.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    let locked = said.map_while(Result::ok).find(|line| line.contains("memory of keys")).unwrap();
    (child, serde_json::from_str(&locked).unwrap())
}
fn abort(child: &mut Child) -> ExitStatus {
    assert!(Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap()
}
fn of_process(child: &Child, file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}

#[test]
fn a_command_that_crashes_leaves_no_memory_behind() {
    let b = Box_::new("memory-core");
    let (mut child, _) = waiting(&b);
    assert!(of_process(&child, "limits", "Max core file size").starts_with("0  "));
    let status = abort(&mut child);
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

#[test]
fn its_pages_are_locked_if_they_may_be() {
    let b = Box_::new("memory-lock");
    let (mut child, said) = waiting(&b);
    let (locked, limit) = (of_process(&child, "status", "VmLck:"), of_process(&child, "limits", "Max locked memory"));
    assert_eq!(abort(&mut child).signal(), Some(6));
    let is_locked = !locked.starts_with("0 ");
    assert_eq!(said["locked"], is_locked, "{said}");
    assert_eq!(is_locked, limit.starts_with("unlimited"), "{locked} of {limit}");
}

#[test]
fn doctor_says_whether() {
    let b = Box_::new("memory-doctor");
    let examined: Value = serde_json::from_slice(&b.run(&["doctor", "-o", "json"]).stdout).unwrap();
    let state = |name: &str| {
        let all = examined["checks"].as_array().unwrap();
        all.iter().find(|check| check["check"] == name).unwrap()["what"].as_str().unwrap().to_owned()
    };
    assert!(state("core dumps").starts_with("none are written"));
    assert!(!state("memory of keys").is_empty());
}
