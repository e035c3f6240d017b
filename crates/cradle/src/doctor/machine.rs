//! The machine: room, speed and kind of the disk, randomness, limits.

use super::Check;
use super::records::of_finding;
use crate::cli::status::octets;
use crate::survey;
use adapters::clock::{Stopwatch, SystemEntropy};
use adapters::memory::{Locked, is_hidden, lock};
use adapters::store::sql::survey::room;
use ports::clock::random;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// All checks of the machine on which a data directory is.
pub(super) fn checks(data: &Path) -> Vec<Check> {
    let mut all = vec![
        entropy(),
        descriptors(&limits()),
        dumps(is_hidden(), &limits(), &core_pattern()),
        swapped(lock(), &swaps()),
    ];
    if data.is_dir() {
        all.extend([free(data), medium(data), fsync(data)]);
    }
    all
}

/// The kernel's pool is full at 256 bits since Linux 5.18; below this it was not yet filled after the start.
const ENTROPY_MIN: u64 = 128;

fn entropy() -> Check {
    let available = std::fs::read_to_string("/proc/sys/kernel/random/entropy_avail").ok();
    let source = SystemEntropy::default();
    let (one, other) = (random::<32>(&source), random::<32>(&source));
    drawn(available.and_then(|text| text.trim().parse().ok()), one != other)
}

fn drawn(available: Option<u64>, differ: bool) -> Check {
    const CHECK: &str = "randomness";
    if !differ {
        return Check::fail(CHECK, "the operating system gives the same random octets twice")
            .because("keys made here could be guessed")
            .next("issue nothing on this machine; replace its kernel or its virtual hardware");
    }
    if available.is_some_and(|bits| bits < ENTROPY_MIN) {
        return Check::warn(CHECK, "the kernel's pool of randomness is not full")
            .because("the machine was started just now, or has no source of its own")
            .next("wait; give a virtual machine a virtio-rng device");
    }
    Check::ok(CHECK, "the operating system has enough")
}

fn limits() -> String {
    std::fs::read_to_string("/proc/self/limits").unwrap_or_default()
}
fn core_pattern() -> String {
    std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default()
}

/// The soft limit of a line of `/proc/self/limits`; `u64::MAX` if there is none. Source: proc_pid_limits(5).
fn soft(limits: &str, name: &str) -> Option<u64> {
    let word = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
    if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() }
}

/// Files that a command opens at most: readers of the store, boards on serial lines, an image and its vault.
const FILES_MIN: u64 = 256;

fn descriptors(limits: &str) -> Check {
    const CHECK: &str = "open files";
    match soft(limits, "Max open files") {
        None => Check::skipped(CHECK, "the kernel does not say how many are allowed"),
        Some(n) if n < FILES_MIN => Check::fail(CHECK, format!("only {n} open files are allowed"))
            .because("records, boards and connections need one each")
            .next(format!("`ulimit -n 1024`, or LimitNOFILE= of the service; {FILES_MIN} at the least")),
        Some(u64::MAX) => Check::ok(CHECK, "as many as wanted"),
        Some(n) => Check::ok(CHECK, format!("{n} are allowed")),
    }
}

/// Whether the kernel would write the memory of this process, with its keys, somewhere if it crashed.
///
/// Source: core(5): a program that a pattern names with `|` gets the memory whatever the limit says.
fn dumps(hidden: bool, limits: &str, pattern: &str) -> Check {
    const CHECK: &str = "core dumps";
    let pattern = pattern.trim();
    if hidden {
        return Check::ok(CHECK, "none are written of any command, whatever the machine would do with them");
    }
    let (is_piped, limit) = (pattern.starts_with('|'), soft(limits, "Max core file size"));
    if !is_piped && limit == Some(0) {
        return Check::ok(CHECK, "none are written");
    }
    let to = if is_piped { "a program gets it" } else { "a file is written" };
    Check::warn(CHECK, "if this process crashed its memory would be kept, keys and all")
        .because(format!("the limit is not 0, or the kernel's pattern is a program: {to} ({pattern:?})"))
        .next("`ulimit -c 0`, or LimitCORE=0 of the service; sysctl kernel.core_pattern=core")
}

/// The room for the high-water marks, if they are on another disk.
pub(super) fn free_for_marks(data: &Path, marks: &Path) -> Option<Check> {
    const CHECK: &str = "room for marks";
    let room = crate::machine::is_on_another_disk(data, marks).then(|| room(marks).ok()).flatten()?;
    Some(match survey::disk(Some(room.free), Some(room.total)).map(survey::of_marks) {
        Some(finding) => of_finding(CHECK, &finding),
        None => Check::ok(CHECK, format!("{} of {} are free", octets(room.free), octets(room.total))),
    })
}

fn swaps() -> String {
    std::fs::read_to_string("/proc/swaps").unwrap_or_default()
}

/// Whether a page with a key in it may be written to swap. Source: proc_swaps(5): a headline, then what there is.
fn swapped(locked: Locked, swaps: &str) -> Check {
    const CHECK: &str = "memory of keys";
    let why = match locked {
        Locked::All => return Check::ok(CHECK, "locked: no page of it is written to swap"),
        Locked::Limited(limit) => format!("this process may lock {limit} octets, which is not all that it uses"),
        Locked::Refused => "the system refuses to lock it".to_owned(),
    };
    if swaps.lines().nth(1).is_none() {
        return Check::ok(CHECK, "not locked, and this machine has no swap");
    }
    Check::warn(CHECK, "keys in memory may be written to swap")
        .because(why)
        .next("LimitMEMLOCK=infinity of the service, or `ulimit -l unlimited`; or encrypt the swap")
}

fn free(data: &Path) -> Check {
    const CHECK: &str = "room";
    match room(data) {
        Err(error) => Check::fail(CHECK, "the room on the disk cannot be found out")
            .because(error)
            .next("look at the disk and how it is mounted"),
        Ok(room) => match survey::disk(Some(room.free), Some(room.total)) {
            Some(finding) => of_finding(CHECK, &finding),
            None => Check::ok(CHECK, format!("{} of {} are free", octets(room.free), octets(room.total))),
        },
    }
}

fn medium(data: &Path) -> Check {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let path = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    kind(file_system(&table, &path).as_deref())
}

fn kind(file_system: Option<&str>) -> Check {
    const CHECK: &str = "file system";
    let Some(name) = file_system else { return Check::skipped(CHECK, "the kernel does not name it") };
    let is_remote =
        name.starts_with("nfs") || name.starts_with("fuse") || matches!(name, "cifs" | "smb3" | "9p" | "ceph");
    match name {
        "tmpfs" | "ramfs" => Check::warn(CHECK, format!("the records are in memory ({name})"))
            .because("at the next start of the machine they are gone")
            .next("keep the data directory on a disk"),
        _ if is_remote => Check::warn(CHECK, format!("the records are behind a network or another program ({name})"))
            .because("locks and fsync may not mean there what they promise")
            .next("keep the data directory on a local disk"),
        _ => Check::ok(CHECK, name),
    }
}

/// The kind of the file system on which a path is. Source: proc_pid_mountinfo(5).
fn file_system(mountinfo: &str, path: &Path) -> Option<String> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        let point = PathBuf::from(before.split(' ').nth(4)?.replace("\\040", " "));
        path.starts_with(&point).then(|| (point.components().count(), behind.split(' ').next().map(ToOwned::to_owned)))
    });
    // Of two at one place the later one lies above.
    mounts.max_by_key(|(depth, _)| *depth)?.1
}

/// Synchronisations that are measured; the median of them counts.
const ROUNDS: usize = 9;
/// A disk takes longer than this to make something durable, but for one with a battery: 20 microseconds.
const FSYNC_MIN_NS: u64 = 20_000;
/// Slower than this a station waits for the disk: 50 ms.
const FSYNC_MAX_NS: u64 = 50_000_000;

fn fsync(data: &Path) -> Check {
    match measured(&data.join(".doctor")) {
        Err(error) => Check::fail("fsync", format!("nothing can be written to {}", data.display()))
            .because(error)
            .next("check permissions, the room on the disk, and whether it is mounted read-only"),
        Ok(ns) => durable_in(ns),
    }
}

fn measured(path: &Path) -> std::io::Result<u64> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut durations = Vec::with_capacity(ROUNDS);
    let mut measure = || {
        for _ in 0..ROUNDS {
            file.write_all(&[0; 4096])?;
            let watch = Stopwatch::start();
            file.sync_all()?;
            durations.push(watch.ns());
        }
        Ok(())
    };
    let result: std::io::Result<()> = measure();
    std::fs::remove_file(path)?;
    result?;
    durations.sort_unstable();
    Ok(durations.get(ROUNDS / 2).copied().unwrap_or_default())
}

fn durable_in(ns: u64) -> Check {
    const CHECK: &str = "fsync";
    let words = format!("{} µs until 4 KiB are on the disk (median of {ROUNDS})", ns / 1000);
    if ns > FSYNC_MAX_NS {
        return Check::warn(CHECK, words)
            .because("each commit takes as long; many requests share one, a single one waits")
            .next("use another disk, or see what else writes to it");
    }
    if ns < FSYNC_MIN_NS {
        return Check::warn(CHECK, words)
            .because("no disk is so fast: something says that it is durable when it is not")
            .next("look for a cache that ignores fsync: memory, a virtual disk set to `unsafe`, eatmydata");
    }
    Check::ok(CHECK, words)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
        Max core file size        0                    unlimited            bytes     \n\
        Max open files            255                  1048576              files     \n";

    #[test]
    fn too_few_files() {
        assert_eq!(descriptors(LIMITS).state, State::Fail);
        assert_eq!(descriptors(&LIMITS.replace("255", "256")).state, State::Ok);
        assert_eq!(descriptors("").state, State::Skipped);
    }

    #[track_caller]
    fn dumped(limits: &str, pattern: &str, expected: State) {
        assert_eq!(dumps(false, limits, pattern).state, expected);
        assert_eq!(dumps(true, limits, pattern).state, State::Ok);
    }
    #[test]
    fn no_core_file_is_allowed() {
        dumped(LIMITS, "core\n", State::Ok);
    }
    #[test]
    fn a_core_file_is_allowed() {
        dumped("Max core file size        unlimited   unlimited   bytes\n", "core\n", State::Warn);
    }
    #[test]
    fn a_program_gets_the_memory_in_spite_of_the_limit() {
        dumped(LIMITS, "|/usr/lib/systemd/systemd-coredump %P\n", State::Warn);
    }

    const SWAPS: &str = "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1048572 0 -2\n";
    #[track_caller]
    fn memory(locked: Locked, swaps: &str, expected: State) {
        assert_eq!(swapped(locked, swaps).state, expected);
    }
    #[test]
    fn locked_memory_is_never_swapped() {
        memory(Locked::All, SWAPS, State::Ok);
    }
    #[test]
    fn memory_that_is_not_locked_may_be() {
        memory(Locked::Limited(65_536), SWAPS, State::Warn);
        memory(Locked::Refused, SWAPS, State::Warn);
    }
    #[test]
    fn where_there_is_no_swap_nothing_is_written_to_it() {
        memory(Locked::Limited(65_536), "Filename\tType\tSize\tUsed\tPriority\n", State::Ok);
        memory(Locked::Refused, "", State::Ok);
    }

    #[track_caller]
    fn pool(available: Option<u64>, differ: bool, expected: State) {
        assert_eq!(drawn(available, differ).state, expected);
    }
    #[test]
    fn the_same_octets_twice_are_no_randomness() {
        pool(Some(256), false, State::Fail);
    }
    #[test]
    fn a_pool_that_is_not_full() {
        pool(Some(127), true, State::Warn);
        pool(Some(128), true, State::Ok);
        pool(None, true, State::Ok);
    }

    #[track_caller]
    fn synchronised(ns: u64, expected: State) {
        assert_eq!(durable_in(ns).state, expected);
    }
    #[test]
    fn a_disk_that_lies() {
        synchronised(FSYNC_MIN_NS - 1, State::Warn);
        synchronised(FSYNC_MIN_NS, State::Ok);
    }
    #[test]
    fn a_disk_that_is_slow() {
        synchronised(FSYNC_MAX_NS, State::Ok);
        synchronised(FSYNC_MAX_NS + 1, State::Warn);
    }

    const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        30 22 0:26 / /dev/shm rw,nosuid - tmpfs tmpfs rw\n\
        31 22 0:27 / /a\\040b rw - nfs4 host:/x rw\n";

    #[track_caller]
    fn on(path: &str, name: &str, expected: State) {
        let found = file_system(MOUNTS, Path::new(path));
        assert_eq!(found.as_deref(), Some(name));
        assert_eq!(kind(found.as_deref()).state, expected);
    }
    #[test]
    fn a_disk_is_a_disk() {
        on("/srv/cradle", "ext4", State::Ok);
        on("/dev/shmx", "ext4", State::Ok);
    }
    #[test]
    fn memory_is_no_disk() {
        on("/dev/shm/cradle", "tmpfs", State::Warn);
    }
    #[test]
    fn a_network_is_no_disk() {
        on("/a b/cradle", "nfs4", State::Warn);
    }
}
