//! Opening a target, and the reasons not to.

use super::super::fault;
use super::medium::FileMedium;
use ports::flasher::BoardFault;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

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
    let links = if is_kept_by_the_system(path) { OFlags::empty() } else { OFlags::NOFOLLOW };
    // On a block device this asks the kernel to refuse what is mounted, or swapped to, or part of an array, itself or one
    // of its partitions (open(2), "O_EXCL").
    let device = std::fs::metadata(path).is_ok_and(|m| std::os::unix::fs::FileTypeExt::is_block_device(&m.file_type()));
    let exclusive = if device { OFlags::EXCL } else { OFlags::empty() };
    // A fifo or a tty in this place must not hold up the station.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | links | exclusive;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Err(BoardFault::Silent),
        Err(Errno::LOOP) => {
            return Err(fault::fixture("the target is a symbolic link: name the device or file itself"));
        }
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
        FileType::BlockDevice => Ok(()),
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

/// The files behind loop devices. Source: sysfs, `/sys/block/loop*/loop/backing_file`.
fn loop_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let file = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("loop/backing_file")).ok();
    entries.filter_map(file).map(|text| PathBuf::from(text.trim_end_matches('\n'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
