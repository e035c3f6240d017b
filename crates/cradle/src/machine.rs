//! What the kernel says of this machine and of this process: only read, never changed.

use model::text::printable;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use utoipa::ToSchema;

/// A process that holds a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// What it was started with, cut; empty if the kernel does not say.
    pub(crate) command: String,
}

/// Longest command line that is shown.
const COMMAND_MAX: usize = 120;
/// Folders below a folder that are looked into.
const DEPTH_MAX: u32 = 4;

/// Who holds the lock on a file. Asks the kernel's table, and so does not touch the lock itself: to try it would turn
/// away a command that starts at that moment.
///
/// Source: proc_locks(5).
pub(crate) fn holder(lock: &Path) -> Option<Holder> {
    let file = std::fs::metadata(lock).ok()?;
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = table.lines().filter_map(|line| locker(line, file.ino())).find(|pid| has_open(*pid, lock))?;
    Some(Holder { pid, command: command(pid) })
}

/// Whether a process has a file open, as far as we may know. A file of the same number may be on another file system.
fn has_open(pid: u32, path: &Path) -> bool {
    let (Ok(entries), Ok(path)) = (std::fs::read_dir(format!("/proc/{pid}/fd")), path.canonicalize()) else {
        return true;
    };
    entries.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link == path))
}

/// The process of a line such as `1: FLOCK  ADVISORY  WRITE 708 08:03:131089 0 EOF`, if it is about this file. The
/// device is not compared: some file systems tell `stat` another one than this table.
fn locker(line: &str, inode: u64) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(1);
    let (kind, pid) = (fields.next()?, fields.nth(2)?);
    let is_this = fields.next()?.rsplit(':').next()?.parse() == Ok(inode);
    (kind == "FLOCK" && is_this).then_some(pid.parse().ok()?)
}

fn command(pid: u32) -> String {
    let octets = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&octets).replace('\0', " ");
    printable(words.trim(), COMMAND_MAX)
}

/// Whether two files are on different file systems. What is not there is nowhere else.
pub(crate) fn is_on_another_disk(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).ok().map(|file| file.dev());
    device(other).is_some_and(|other| device(one).is_some_and(|one| one != other))
}

/// The octets of all files below a directory.
pub(crate) fn octets_below(directory: &Path) -> u64 {
    fn walk(directory: &Path, depth: u32) -> u64 {
        let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
        let mut octets = 0;
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(file) if file.is_file() => octets += file.len(),
                Ok(file) if file.is_dir() && depth > 0 => octets += walk(&entry.path(), depth - 1),
                _ => {}
            }
        }
        octets
    }
    walk(directory, DEPTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<u32>) {
        assert_eq!(locker(line, 131_089), expected);
    }
    #[test]
    fn a_lock_on_this_file() {
        check("1: FLOCK  ADVISORY  WRITE 708 08:03:131089 0 EOF", Some(708));
    }
    #[test]
    fn a_lock_on_another_file() {
        check("1: FLOCK  ADVISORY  WRITE 708 08:03:1310890 0 EOF", None);
    }
    #[test]
    fn a_lock_of_another_kind() {
        check("3: POSIX  ADVISORY  READ 708 08:03:131089 0 EOF", None);
    }
    #[test]
    fn one_who_waits_for_it_does_not_hold_it() {
        check("1: -> FLOCK  ADVISORY  WRITE 709 08:03:131089 0 EOF", None);
    }
    #[test]
    fn a_line_that_is_none() {
        check("", None);
        check("1: FLOCK", None);
        check("1: FLOCK  ADVISORY  WRITE x 08:03:131089 0 EOF", None);
    }
    #[test]
    fn disks_are_told_apart() {
        let (root, kernel) = (Path::new("/"), Path::new("/proc"));
        assert!(is_on_another_disk(root, kernel) && !is_on_another_disk(kernel, kernel));
        assert!(!is_on_another_disk(root, Path::new("/no/such")));
    }
}
