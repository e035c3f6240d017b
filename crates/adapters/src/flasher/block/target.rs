//! Opening a target, and the reasons not to.

use super::super::fault;
use super::medium::FileMedium;
use ports::flasher::BoardFault;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, major, minor};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Longest list of mounts that is read, in octets: hundreds of thousands of mounts.
const MOUNTS_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Opens a block device or file for writing, locked against other stations.
///
/// # Errors
/// [`BoardFault::Silent`] if there is no such target and none may be made: the card is not in its slot.
/// [`BoardFault::Fixture`] for a symbolic link, for what is neither file nor block device, and for what is mounted or
/// otherwise in use.
pub(super) fn open(path: &Path, create_len: Option<u64>) -> Result<FileMedium, BoardFault> {
    if let Some(length) = create_len {
        create(path, length)?;
    }
    let seen = match std::fs::symlink_metadata(path) {
        Ok(seen) => seen,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(BoardFault::Silent),
        Err(error) => return Err(fault::system("the target")(error)),
    };
    let links = if is_kept_by_the_system(path) { OFlags::empty() } else { OFlags::NOFOLLOW };
    if seen.is_symlink() && !links.is_empty() {
        return Err(fault::fixture("the target is a symbolic link: name the device or file itself"));
    }
    // On a block device this asks the kernel to refuse what is mounted, swapped to, or part of an array.
    let device = std::fs::metadata(path).is_ok_and(|m| std::os::unix::fs::FileTypeExt::is_block_device(&m.file_type()));
    let exclusive = if device { OFlags::EXCL } else { OFlags::empty() };
    // A fifo or a tty in this place must not hold up the station.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | links | exclusive;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::BUSY) => {
            return Err(fault::fixture("the target is in use: mounted, swapped to, or part of an array"));
        }
        Err(Errno::NXIO | Errno::NOMEDIUM) if device => return Err(BoardFault::Silent),
        Err(error) => return Err(fault::system("the target")(error)),
    };
    // From here on only what is open counts: the path may lead elsewhere by now.
    let stat = fstat(&file).map_err(fault::system("the target"))?;
    refuse_unfit(&stat, path, links.is_empty())?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| fault::fixture("the target is in use by another station"))?;
    let length = length(&file)?;
    Ok(FileMedium::new(file, length))
}

/// Links that the system's device manager keeps, and only the superuser can change. A device has no other lasting name.
fn is_kept_by_the_system(path: &Path) -> bool {
    path.starts_with("/dev/disk") && !path.components().any(|c| c == std::path::Component::ParentDir)
}

fn create(path: &Path, length: u64) -> Result<(), BoardFault> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file).set_len(length).map_err(fault::system("making the target")),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(fault::system("making the target")(error)),
    }
}

fn refuse_unfit(stat: &Stat, path: &Path, must_be_device: bool) -> Result<(), BoardFault> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => {
            let mounts = read_mounts()?;
            let device = (major(stat.st_rdev), minor(stat.st_rdev));
            if is_mounted(&mounts, device) || partitions(device).into_iter().any(|p| is_mounted(&mounts, p)) {
                return Err(fault::fixture("the target is mounted"));
            }
            Ok(())
        }
        FileType::RegularFile if must_be_device => Err(fault::fixture("the target is no block device")),
        FileType::RegularFile => {
            let path = std::fs::canonicalize(path).map_err(fault::system("the target"))?;
            if loop_files().contains(&path) {
                return Err(fault::fixture("the target is in use as a loop device"));
            }
            Ok(())
        }
        _ => Err(fault::fixture("the target is neither a block device nor a file")),
    }
}

fn length(file: &File) -> Result<u64, BoardFault> {
    let mut file = file;
    file.seek(SeekFrom::End(0)).map_err(fault::system("the target's length"))
}

fn read_mounts() -> Result<String, BoardFault> {
    let mut text = String::new();
    let file = File::open("/proc/self/mountinfo").map_err(fault::system("the list of mounts"))?;
    file.take(MOUNTS_LEN_MAX).read_to_string(&mut text).map_err(fault::system("the list of mounts"))?;
    Ok(text)
}

/// Whether a device appears in a list of mounts. Source: proc(5), `/proc/pid/mountinfo`, third field.
fn is_mounted(mounts: &str, (major, minor): (u32, u32)) -> bool {
    let device = format!("{major}:{minor}");
    mounts.lines().any(|line| line.split(' ').nth(2) == Some(&device))
}

/// The partitions of a device. Source: sysfs, `/sys/dev/block/MAJOR:MINOR/*/dev`.
fn partitions((major, minor): (u32, u32)) -> Vec<(u32, u32)> {
    let entries = std::fs::read_dir(format!("/sys/dev/block/{major}:{minor}"));
    let number = |text: String| {
        let (major, minor) = text.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("partition").exists())
        .filter_map(|entry| number(std::fs::read_to_string(entry.path().join("dev")).ok()?))
        .collect()
}

/// The files behind loop devices. Source: sysfs, `/sys/block/loop*/loop/backing_file`.
fn loop_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let file = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("loop/backing_file")).ok();
    entries.filter_map(file).map(|text| PathBuf::from(text.trim_end_matches('\n'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str =
        "22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw\n28 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n";

    #[track_caller]
    fn mounted(device: (u32, u32), expected: bool) {
        assert_eq!(is_mounted(MOUNTS, device), expected);
    }
    #[test]
    fn a_mounted_device() {
        mounted((254, 1), true);
    }
    #[test]
    fn its_neighbour() {
        mounted((254, 11), false);
        mounted((54, 1), false);
    }
    #[test]
    fn the_device_is_the_third_field_and_no_other() {
        mounted((22, 28), false);
    }

    #[track_caller]
    fn kept(path: &str, expected: bool) {
        assert_eq!(is_kept_by_the_system(Path::new(path)), expected);
    }
    #[test]
    fn a_link_by_path() {
        kept("/dev/disk/by-path/pci-0000:00:14.0-usb-0:1:1.0-scsi-0:0:0:0", true);
    }
    #[test]
    fn a_link_elsewhere() {
        kept("/dev/sdx", false);
        kept("/dev/diskette", false);
    }
    #[test]
    fn a_way_out_of_the_directory() {
        kept("/dev/disk/../../home/x", false);
    }
}
