//! The `block` adapter on a block device. Needs the superuser and a loop device, so it runs only when it is asked for:
//! `cargo nextest run -p adapters --test loop_device --run-ignored all`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use common::{Dir, flash, open};
use ports::flasher::{Board, BoardFault, Part};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const LEN: usize = 8 * 1024 * 1024;

/// Runs a command of the system and gives what it printed.
fn system(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A loop device on a file that carries something old.
struct Loop {
    dir: Dir,
    device: String,
}
impl Loop {
    fn new() -> Self {
        let dir = Dir::new();
        let file = dir.path().join("file");
        std::fs::write(&file, vec![0xa5; LEN]).unwrap();
        let device = system("losetup", &["--show", "--find", file.to_str().unwrap()]);
        Self { dir, device }
    }
    fn file(&self) -> PathBuf {
        self.dir.path().join("file")
    }
}
impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

fn board(target: &Path) -> Box<dyn Board> {
    let config = format!(
        "adapter = 'block'\ntarget = '{}'\nimage_offset = 65536\nsecure_element = {{ program = 'none' }}\n\
         trust_anchors = {{ offset = 0, len_max = 4096 }}\ncertificate_chain = {{ offset = 4096, len_max = 4096 }}",
        target.display()
    );
    open(&config, Path::new("/")).unwrap().boards(1).unwrap().remove(0)
}

#[test]
#[ignore = "needs the superuser and a loop device"]
fn a_device_with_old_contents_reads_as_the_image() {
    let device = Loop::new();
    let mut board = board(Path::new(&device.device));
    let mut image = vec![0; 5_000_001];
    image[3_000_000] = 7;
    flash(&mut *board, &image).unwrap();
    board.write(Part::TrustAnchors, b"anchors").unwrap();
    assert_eq!(board.installed(5_000_001), Ok(Some(x509::sha256(&image))));
    drop(board);
    let written = std::fs::read(device.file()).unwrap();
    assert_eq!(written[65_536..65_536 + image.len()], image);
    assert!(written[65_536 + image.len()..].iter().all(|o| *o == 0xa5));
    assert_eq!(written[..8], *b"anchors\0");
}
#[test]
#[ignore = "needs the superuser and a loop device"]
fn a_mounted_device() {
    let device = Loop::new();
    let mount = device.dir.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    system("mkfs.ext4", &["-q", "-F", &device.device]);
    system("mount", &[&device.device, mount.to_str().unwrap()]);
    let flashed = flash(&mut *board(Path::new(&device.device)), &[1; 1000]);
    system("umount", &[mount.to_str().unwrap()]);
    let Err(BoardFault::Fixture(text)) = flashed else { panic!("{flashed:?}") };
    assert!(text.contains("in use"), "{text}");
}
#[test]
#[ignore = "needs the superuser and a loop device"]
fn a_device_with_a_mounted_partition() {
    let device = Loop::new();
    let mount = device.dir.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    // One partition of type 0x83, 8192 sectors from sector 2048 on.
    let mut record = [0; 512];
    record[446 + 4] = 0x83;
    record[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    record[446 + 12..446 + 16].copy_from_slice(&8192_u32.to_le_bytes());
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    std::fs::OpenOptions::new().write(true).open(&device.device).unwrap().write_all_at(&record, 0).unwrap();
    system("partx", &["--add", &device.device]);
    let partition = format!("{}p1", device.device);
    system("mkfs.ext4", &["-q", "-F", &partition]);
    system("mount", &[&partition, mount.to_str().unwrap()]);
    let flashed = flash(&mut *board(Path::new(&device.device)), &[1; 1000]);
    system("umount", &[mount.to_str().unwrap()]);
    system("partx", &["--delete", &device.device]);
    let Err(BoardFault::Fixture(text)) = flashed else { panic!("{flashed:?}") };
    assert!(text.contains("in use"), "{text}");
}
#[test]
#[ignore = "needs the superuser and a loop device"]
fn the_file_behind_a_loop_device() {
    let device = Loop::new();
    let flashed = flash(&mut *board(&device.file()), &[1; 1000]);
    assert_eq!(flashed, Err(BoardFault::Fixture("the target is in use as a loop device".into())));
}
