//! The `serial` adapter with a real bootloader: Debian's U-Boot under QEMU, as the demonstration starts it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use common::{Dir, SystemClock, flash, open, repository};
use ports::flasher::{Board, BoardFault, Flasher, KeyOffer, Part};
use std::io::Write;
use std::path::{Path, PathBuf};
use x509::{CertificationRequest, KeyType, signature};

/// A board that runs until it is dropped.
struct Qemu<'a>(&'a Dir);

impl<'a> Qemu<'a> {
    fn start(dir: &'a Dir) -> Self {
        Self::script("start", dir);
        Self(dir)
    }
    fn script(action: &str, dir: &Dir) {
        let script = repository().join("demo/qemu-riscv/board");
        let output = std::process::Command::new(script).arg(action).arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    fn disk(&self) -> Vec<u8> {
        std::fs::read(self.0.path().join("disk.img")).unwrap()
    }
    fn tty(&self) -> PathBuf {
        std::fs::canonicalize(self.0.path().join("tty")).unwrap()
    }
}
impl Drop for Qemu<'_> {
    fn drop(&mut self) {
        Self::script("stop", self.0);
    }
}

/// The device type of the demonstration, with its paths in the test's directory.
fn fixture(dir: &Path) -> Box<dyn Flasher> {
    let demo = repository().join("demo/qemu-riscv");
    let text = std::fs::read_to_string(demo.join("qemu.riscv.toml")).unwrap();
    let mut file: toml::Table = toml::from_str(&text).unwrap();
    let Some(toml::Value::Table(flasher)) = file.get_mut("flasher") else { panic!("no table [flasher]") };
    flasher.insert("tty".into(), dir.join("tty").to_str().unwrap().into());
    let Some(toml::Value::Table(element)) = flasher.get_mut("secure_element") else { panic!("no secure element") };
    element.insert("program".into(), demo.join("secure-element").to_str().unwrap().into());
    let arguments = vec!["--directory".to_owned(), dir.join("element").to_str().unwrap().to_owned()];
    element.insert("arguments".into(), arguments.into());
    open(&flasher.to_string(), dir).unwrap()
}
fn first(flasher: &dyn Flasher) -> Box<dyn Board> {
    flasher.boards(1).unwrap().remove(0)
}

fn image(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut octet = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| octet()).collect()
}

#[test]
fn a_board_from_blank_to_proof() {
    let dir = Dir::new();
    std::fs::write(dir.path().join("disk.img"), vec![0xa5; 1024 * 1024]).unwrap();
    let clock = SystemClock::start();
    let qemu = Qemu::start(&dir);
    let mut board = first(&*fixture(dir.path()));
    assert_eq!(board.identify().unwrap().serial.as_str(), "QR0");
    eprintln!("prompt after {} ms", clock.ms());
    assert_eq!(board.installed(48 * 1024), Ok(None), "a CRC is no digest");

    // One octet more than whole blocks, so that the last block must be filled up.
    let image = image(48 * 1024 + 1);
    let clock = SystemClock::start();
    let heard = flash(&mut *board, &image).unwrap();
    eprintln!("flashed {} octets in {} ms", image.len(), clock.ms());
    assert!(heard.len() > 40 && heard.is_sorted() && heard.last() == Some(&(48 * 1024 + 1)));

    let clock = SystemClock::start();
    let anchors = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".repeat(40);
    board.write(Part::TrustAnchors, anchors.as_bytes()).unwrap();
    eprintln!("wrote a part of {} octets in {} ms", anchors.len(), clock.ms());
    let Ok(KeyOffer::CertificationRequest(der)) = board.key(KeyType::P256) else { panic!() };
    board.write(Part::CertificateChain, b"chain\n").unwrap();
    let proof = board.prove(b"challenge").unwrap();
    let key = CertificationRequest::decode(&der).unwrap().public_key;
    signature::verify(&key, KeyType::P256.signs_with(), b"challenge", &proof).unwrap();

    let disk = qemu.disk();
    assert_eq!(disk[..image.len()], image);
    assert!(disk[image.len()..48 * 1024 + 512].iter().all(|o| *o == 0), "zeros behind the image, and no old memory");
    assert!(disk[48 * 1024 + 512..524_288].iter().all(|o| *o == 0xa5), "the rest of the disk is not ours");
    let slot = |at: usize, text: &[u8]| {
        assert_eq!(disk[at..at + text.len()], *text);
        assert!(disk[at + text.len()..at + 8192].iter().all(|o| *o == 0), "zeros to the end of the slot");
    };
    slot(524_288, anchors.as_bytes());
    slot(532_480, b"chain\n");
    assert!(disk[540_672..].iter().all(|o| *o == 0xa5));
}

#[test]
fn a_transfer_that_a_killed_station_left_is_taken_over() {
    let dir = Dir::new();
    let qemu = Qemu::start(&dir);
    let mut board = first(&*fixture(dir.path()));
    board.identify().unwrap();
    drop(board);
    // What is left when a station is killed: the bootloader waits for blocks, one of which came half.
    let mut line = std::fs::OpenOptions::new().write(true).open(qemu.tty()).unwrap();
    line.write_all(b"loady 84000000\r").unwrap();
    rustix::termios::tcdrain(&line).unwrap();
    let mut started = false;
    for _ in 0..100 {
        let mut reader = std::fs::File::open(qemu.tty()).unwrap();
        let mut octets = [0; 256];
        let len = std::io::Read::read(&mut reader, &mut octets).unwrap();
        started = octets[..len].ends_with(b"C");
        if started {
            break;
        }
    }
    assert!(started, "the bootloader asks for the first block");
    line.write_all(&[1, 0, 255, b'x', b'x']).unwrap();
    drop(line);

    let clock = SystemClock::start();
    let mut board = first(&*fixture(dir.path()));
    flash(&mut *board, &image(3000)).unwrap();
    eprintln!("taken over and flashed in {} ms", clock.ms());
    assert_eq!(qemu.disk()[..3000], image(3000));
}

#[test]
fn a_board_that_is_switched_off_in_mid_transfer() {
    let dir = Dir::new();
    let qemu = Qemu::start(&dir);
    let mut board = first(&*fixture(dir.path()));
    board.identify().unwrap();
    let octets = image(48 * 1024);
    let mut reader = &*octets;
    let mut qemu = Some(qemu);
    let clock = SystemClock::start();
    let flashed = board.flash(&mut reader, 48 * 1024, &mut |done| {
        if done > 10_000 {
            qemu = None;
        }
    });
    assert!(matches!(flashed, Err(BoardFault::Fixture(_) | BoardFault::Silent)), "{flashed:?}");
    assert!(clock.ms() < 60_000, "{} ms", clock.ms());
    // And switched on again: what was cut off is flashed from the beginning.
    let qemu = Qemu::start(&dir);
    flash(&mut *board, &octets[..5000]).unwrap();
    assert_eq!(qemu.disk()[..5000], octets[..5000]);
}
