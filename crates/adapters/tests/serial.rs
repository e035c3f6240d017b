//! The `serial` adapter over a pseudo terminal, with a bootloader of ours that receives by lrzsz, and what can go wrong
//! on a line.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[path = "common/bootloader.rs"]
mod bootloader;
mod common;

use bootloader::{Bootloader, End, Parts};
use common::{Dir, PATIENT_MS, SystemClock, flash, open};
use ports::flasher::{Board, BoardFault, KeyOffer, Part};
use std::path::Path;
use x509::KeyType;

const PIECE_LEN: usize = 16 * 1024;
const SHA256: &str = "sha256 = 'sha256 {address} {length}'";

fn board_with(tty: &Path, commands: &str) -> Box<dyn Board> {
    let config = format!(
        "adapter = 'serial'\ntty = '{}'\nprompt = 'boot> '\nload_address = 0x1000\nread_address = 0x100000\n\
         piece_len_max = {PIECE_LEN}\nimage_offset = 1024\ntrust_anchors = {{ offset = 524288, len_max = 4096 }}\n\
         certificate_chain = {{ offset = 528384, len_max = 4096 }}\nprompt_time_max_s = 5\ncommand_time_max_s = 5\nblock_time_max_s = 3\n\
         identity = {{ board = 'show-board', serial = 'show-serial', device_type = 'show-type' }}\n\
         key = {{ key = 'key {{key_type}}', offer = 'public-key', prove = 'sign {{challenge}}' }}\n\
         [commands]\nwrite = 'write {{address}} {{block}} {{blocks}}'\n\
         read = 'read {{address}} {{block}} {{blocks}}'\n{commands}",
        tty.display()
    );
    open(&config, Path::new("/")).unwrap().boards(1).unwrap().remove(0)
}
fn board(bootloader: &Bootloader) -> Box<dyn Board> {
    board_with(&bootloader.tty, "")
}
fn image(len: usize) -> Vec<u8> {
    (0..len).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1].wrapping_mul(31)).collect()
}

#[test]
fn an_image_in_pieces_by_lrzsz() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let image = image(2 * PIECE_LEN + 777);
    let clock = SystemClock::start();
    let heard = flash(&mut *board(&bootloader), &image).unwrap();
    eprintln!("{} octets in {} ms", image.len(), clock.ms());
    assert!(heard.is_sorted() && heard.last() == u64::try_from(image.len()).ok().as_ref(), "{heard:?}");
    let parts = bootloader.parts.lock().unwrap();
    assert_eq!(parts.disk[1024..1024 + image.len()], image);
    let end = 1024 + image.len().next_multiple_of(512);
    assert!(parts.disk[1024 + image.len()..end].iter().all(|o| *o == 0), "zeros, and not what the memory held");
    assert!(parts.disk[..1024].iter().chain(&parts.disk[end..]).all(|o| *o == 0xa5));
}
#[test]
fn a_part_fills_its_slot_with_zeros() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let mut board = board(&bootloader);
    board.write(Part::CertificateChain, b"a longer chain").unwrap();
    board.write(Part::CertificateChain, b"chain").unwrap();
    let parts = bootloader.parts.lock().unwrap();
    assert_eq!(parts.disk[528_384..528_390], *b"chain\0");
    assert!(parts.disk[528_390..532_480].iter().all(|o| *o == 0));
    assert!(parts.disk[532_480..].iter().all(|o| *o == 0xa5));
}
#[test]
fn an_image_and_a_part_of_no_octets() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let mut board = board(&bootloader);
    flash(&mut *board, &[]).unwrap();
    board.write(Part::TrustAnchors, b"").unwrap();
    assert!(bootloader.parts.lock().unwrap().disk[524_288..528_384].iter().all(|o| *o == 0));
}
#[test]
fn what_the_board_says_of_itself() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let mut board = board(&bootloader);
    let identity = board.identify().unwrap();
    let texts = (identity.board.as_str(), identity.serial.as_str(), identity.device_type.as_str());
    assert_eq!(texts, ("CPU:1", "SN1", "sensor"));
    assert_eq!(board.key(KeyType::P256), Ok(KeyOffer::PublicKey(vec![10, 11])));
    assert_eq!(board.prove(&[1, 0xff]), Ok(vec![1, 0xff]));
}
#[test]
fn a_bootloader_that_can_hash_tells_what_is_installed() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let mut board = board_with(&bootloader.tty, SHA256);
    flash(&mut *board, &image(3000)).unwrap();
    assert_eq!(board.installed(3000), Ok(Some(x509::sha256(&image(3000)))));
    let other = board.installed(2999).unwrap();
    assert!(other.is_some() && other != Some(x509::sha256(&image(3000))));
    let executed = bootloader.parts.lock().unwrap().executed.join("\n");
    assert!(!executed.contains("crc32"), "the better check is used");
}
#[test]
fn a_bootloader_that_cannot_hash_tells_nothing() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    assert_eq!(board(&bootloader).installed(3000), Ok(None));
}
#[test]
fn the_line_is_put_back_as_it_was() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let modes = || {
        let tty = std::fs::File::open(&bootloader.tty).unwrap();
        let termios = rustix::termios::tcgetattr(&tty).unwrap();
        (termios.local_modes, termios.input_modes, termios.output_modes)
    };
    let before = modes();
    let mut board = board(&bootloader);
    board.identify().unwrap();
    assert_ne!(modes(), before);
    drop(board);
    assert_eq!(modes(), before);
}

/// Flashes a board with something wrong, and checks the fault.
#[track_caller]
fn wrong(parts: Parts, commands: &str, expected: fn(&BoardFault) -> bool) {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), parts);
    let mut board = board_with(&bootloader.tty, commands);
    let clock = SystemClock::start();
    let mut heard = 0;
    let image = image(3000);
    let mut reader = &*image;
    let fault = board.flash(&mut reader, 3000, &mut |n| heard = n).unwrap_err();
    assert!(expected(&fault), "{fault:?}");
    assert!(heard < 3000, "what failed is never whole");
    assert!(clock.ms() < 6 * PATIENT_MS, "took {} ms", clock.ms());
}
fn mismatch(fault: &BoardFault) -> bool {
    *fault == BoardFault::Mismatch
}

#[test]
fn an_octet_that_turns_in_memory_never_reaches_the_disk() {
    wrong(Parts { bad_memory: true, ..Parts::default() }, "", mismatch);
}
#[test]
fn an_octet_that_turns_on_the_disk() {
    wrong(Parts { bad_disk: true, ..Parts::default() }, "", mismatch);
    wrong(Parts { bad_disk: true, ..Parts::default() }, SHA256, mismatch);
}
#[test]
fn writing_that_does_nothing() {
    wrong(Parts { writes_nothing: true, ..Parts::default() }, "", mismatch);
}
#[test]
fn reading_that_does_nothing_finds_nothing_of_an_earlier_reading() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let mut board = board(&bootloader);
    flash(&mut *board, &image(3000)).unwrap();
    bootloader.parts.lock().unwrap().reads_nothing = true;
    assert_eq!(flash(&mut *board, &image(3000)), Err(BoardFault::Mismatch));
}
#[test]
fn a_disk_that_is_full() {
    wrong(
        Parts { full: true, ..Parts::default() },
        "",
        |f| matches!(f, BoardFault::Refused(t) if t.contains("disk full")),
    );
}
#[test]
fn a_command_that_the_board_does_not_know() {
    wrong(Parts::default(), "prepare = ['usb start']", |f| matches!(f, BoardFault::Refused(t) if t.contains("usb")));
}
#[test]
fn a_dead_board() {
    wrong(Parts { dead: true, ..Parts::default() }, "", |f| *f == BoardFault::Silent);
}
#[test]
fn a_board_that_shows_no_prompt() {
    let parts = Parts { chatter: Some("login: "), ..Parts::default() };
    wrong(
        parts,
        "",
        |f| matches!(f, BoardFault::Refused(text) if text.contains("no prompt") && text.contains("login: ")),
    );
}
#[test]
fn garbage_on_the_line() {
    let parts = Parts { chatter: Some("\u{1b}[2J\u{0}\u{ff}\u{7}"), ..Parts::default() };
    wrong(parts, "", |f| matches!(f, BoardFault::Refused(text) if text.contains("\\u{1b}")));
}
#[test]
fn a_line_that_is_gone_in_mid_transfer() {
    wrong(Parts { end: Some(End::Gone), ..Parts::default() }, "", |f| matches!(f, BoardFault::Fixture(_)));
}
#[test]
fn a_board_that_restarts_in_mid_transfer() {
    let parts = Parts { end: Some(End::Restart), ..Parts::default() };
    wrong(parts, "", |f| matches!(f, BoardFault::Refused(_) | BoardFault::Silent));
}
#[test]
fn a_board_that_falls_silent_in_mid_transfer() {
    wrong(Parts { end: Some(End::Silent), ..Parts::default() }, "", |f| *f == BoardFault::Silent);
}

#[test]
fn a_source_that_fails_leaves_a_board_that_can_be_flashed() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let mut board = board(&bootloader);
    let mut reader: &[u8] = &[1; 4000];
    assert_eq!(board.flash(&mut reader, 5000, &mut |_| ()), Err(BoardFault::Source));
    flash(&mut *board, &image(3000)).unwrap();
    assert_eq!(bootloader.parts.lock().unwrap().disk[1024..4024], image(3000));
}
#[test]
fn two_stations_on_one_line() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let mut one = board(&bootloader);
    one.identify().unwrap();
    let Err(BoardFault::Fixture(text)) = board(&bootloader).identify() else { panic!() };
    assert!(text.contains("another station"), "{text}");
}
#[test]
fn a_line_that_is_not_there_and_one_that_is_no_line() {
    let refused = |path: &str| match board_with(Path::new(path), "").identify() {
        Err(BoardFault::Fixture(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(refused("/dev/tty-that-is-not-there").contains("No such file"));
    assert!(refused("/dev/null").contains("no tty"));
}
#[test]
fn an_image_that_would_reach_a_slot() {
    let dir = Dir::new();
    let bootloader = Bootloader::start(dir.path(), Parts::default());
    let flashed = flash(&mut *board(&bootloader), &vec![1; 524_288]);
    assert!(matches!(flashed, Err(BoardFault::Fixture(_))), "{flashed:?}");
    assert!(!bootloader.parts.lock().unwrap().executed.iter().any(|c| c.starts_with("write")));
}
