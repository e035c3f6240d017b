//! The `block` adapter, on files.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use common::{Dir, PATIENT_MS, SystemClock, flash, open, repository};
use ports::flasher::{Board, BoardFault, Flasher, KeyOffer, Part};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use x509::{CertificationRequest, KeyType, signature};

const TARGET_LEN: usize = 4 * 1024 * 1024;
const IMAGE_AT: usize = 65_536;

fn fixture(dir: &Dir, more: &str) -> Result<Box<dyn Flasher>, BoardFault> {
    let element = format!("{}/demo/command-example/board", repository().display());
    let config = format!(
        "adapter = 'block'\ntarget = 'target-{{slot}}'\nimage_offset = {IMAGE_AT}\nimage_len_max = 3145728\n\
         trust_anchors = {{ offset = 0, len_max = 16384 }}\ncertificate_chain = {{ offset = 16384, len_max = 8192 }}\n\
         {more}\n[secure_element]\nprogram = '{element}'\n\
         arguments = ['--directory', '{}', '--device-type', 'sensor']",
        dir.path().join("boards").display(),
    );
    open(&config, dir.path())
}
fn first(flasher: &dyn Flasher) -> Box<dyn Board> {
    flasher.boards(1).unwrap().remove(0)
}
fn target(dir: &Dir) -> PathBuf {
    dir.path().join("target-0")
}
/// A board whose target carries something old.
fn dirty(dir: &Dir) -> Box<dyn Board> {
    std::fs::write(target(dir), vec![0xa5; TARGET_LEN]).unwrap();
    first(&*fixture(dir, "").unwrap())
}
fn image() -> Vec<u8> {
    let mut image = vec![0; 2_500_001];
    image[..5000].fill(1);
    image[1_000_000..1_000_100].fill(2);
    image[2_500_000] = 3;
    image
}
fn fault<T: std::fmt::Debug>(result: Result<T, BoardFault>) -> String {
    let Err(BoardFault::Fixture(text)) = result else { panic!("{result:?}") };
    text
}

#[test]
fn a_board_from_blank_to_proof() {
    let dir = Dir::new();
    let mut board = first(&*fixture(&dir, &format!("create_len = {TARGET_LEN}")).unwrap());
    let identity = board.identify().unwrap();
    assert_eq!((identity.board.as_str(), identity.device_type.as_str()), ("EX-0", "sensor"));
    let image = image();
    let heard = flash(&mut *board, &image).unwrap();
    assert!(heard.is_sorted() && heard.last() == Some(&2_500_001));
    board.write(Part::TrustAnchors, b"anchors\n").unwrap();
    let Ok(KeyOffer::CertificationRequest(der)) = board.key(KeyType::P256) else { panic!() };
    board.write(Part::CertificateChain, b"chain\n").unwrap();
    let proof = board.prove(b"challenge").unwrap();
    let key = CertificationRequest::decode(&der).unwrap().public_key;
    signature::verify(&key, KeyType::P256.signs_with(), b"challenge", &proof).unwrap();

    let written = std::fs::read(target(&dir)).unwrap();
    assert_eq!(written.len(), TARGET_LEN);
    assert_eq!(written[IMAGE_AT..IMAGE_AT + image.len()], image);
    assert_eq!(written[..8], *b"anchors\n");
    assert_eq!(written[16384..16390], *b"chain\n");
    assert!(written[16390..24576].iter().all(|o| *o == 0));
    let blocks_len = std::fs::metadata(target(&dir)).unwrap().blocks() * 512;
    assert!(blocks_len < 1_000_000, "{blocks_len} octets on the disk for an image that is mostly zeros");
}
#[test]
fn a_dirty_target_reads_as_the_image_and_keeps_the_rest() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    let image = image();
    flash(&mut *board, &image).unwrap();
    let written = std::fs::read(target(&dir)).unwrap();
    assert_eq!(written[IMAGE_AT..IMAGE_AT + image.len()], image);
    assert!(written[..IMAGE_AT].iter().chain(&written[IMAGE_AT + image.len()..]).all(|o| *o == 0xa5));
}
#[test]
fn a_shorter_part_leaves_nothing_of_a_longer_one() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    board.write(Part::CertificateChain, &[b'x'; 8192]).unwrap();
    board.write(Part::CertificateChain, b"short").unwrap();
    let written = std::fs::read(target(&dir)).unwrap();
    assert_eq!(written[16384..16389], *b"short");
    assert!(written[16389..24576].iter().all(|o| *o == 0));
    assert_eq!(written[24576], 0xa5);
}
#[test]
fn the_target_tells_what_is_installed() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    flash(&mut *board, &[5; 1000]).unwrap();
    assert_eq!(board.installed(1000), Ok(Some(x509::sha256(&[5; 1000]))));
    let other = board.installed(1001).unwrap();
    assert!(other.is_some() && other != Some(x509::sha256(&[5; 1000])));
    assert_eq!(board.installed(1 << 40), Ok(None));
    assert_eq!(board.installed(u64::MAX), Ok(None));
}
#[test]
fn reading_back_goes_past_the_page_cache() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    flash(&mut *board, &[1; 2_000_000]).unwrap();
    let cached_len = || {
        let mut fincore = std::process::Command::new("fincore");
        let output = fincore.args(["--bytes", "--noheadings", "--output", "RES"]).arg(target(&dir)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<usize>().unwrap()
    };
    // The kernel keeps what another processor still has in hand, so it may have to be asked again.
    let file = std::fs::File::open(target(&dir)).unwrap();
    let clock = SystemClock::start();
    while cached_len() > 0 && clock.ms() < PATIENT_MS {
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    assert_eq!(board.installed(2_000_000), Ok(Some(x509::sha256(&[1; 2_000_000]))));
    assert_eq!(cached_len(), 0);
}
#[test]
fn an_image_at_an_odd_place_reads_back() {
    let dir = Dir::new();
    std::fs::write(target(&dir), vec![0xa5; 3_000_001]).unwrap();
    for at in [3, 511, 4095, 4097] {
        let config = format!(
            "adapter = 'block'\ntarget = 'target-0'\ntrust_anchors = {{ offset = 0, len_max = 1 }}\n\
             certificate_chain = {{ offset = 1, len_max = 1 }}\nimage_offset = {at}\n\
             secure_element = {{ program = 'none' }}"
        );
        let mut board = first(&*open(&config, dir.path()).unwrap());
        // To the very end of the target, which is no whole block.
        let image: Vec<u8> = (at..3_000_001).map(|n: usize| n.to_le_bytes()[0]).collect();
        flash(&mut *board, &image).unwrap();
        assert_eq!(std::fs::read(target(&dir)).unwrap()[at..], image);
    }
}

#[test]
fn a_target_that_is_too_small_for_the_image() {
    let dir = Dir::new();
    std::fs::write(target(&dir), vec![0; IMAGE_AT + 999]).unwrap();
    let mut board = first(&*fixture(&dir, "").unwrap());
    assert!(fault(flash(&mut *board, &[1; 1000])).contains("smaller"));
    assert!(std::fs::read(target(&dir)).unwrap().iter().all(|o| *o == 0), "nothing was written");
    flash(&mut *board, &[1; 999]).unwrap();
}
#[test]
fn a_target_that_is_too_small_for_a_part() {
    let dir = Dir::new();
    std::fs::write(target(&dir), vec![0; 24_575]).unwrap();
    let mut board = first(&*fixture(&dir, "").unwrap());
    board.write(Part::TrustAnchors, b"a").unwrap();
    assert!(fault(board.write(Part::CertificateChain, b"a")).contains("smaller"));
}
#[test]
fn an_image_that_is_longer_than_its_place() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    assert!(fault(flash(&mut *board, &vec![1; 3_145_729])).contains("longer"));
}
#[test]
fn a_part_that_is_longer_than_its_slot() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    assert!(fault(board.write(Part::CertificateChain, &[b'x'; 8193])).contains("longer"));
    assert!(std::fs::read(target(&dir)).unwrap().iter().all(|o| *o == 0xa5), "nothing was written");
}
#[test]
fn a_symbolic_link() {
    let dir = Dir::new();
    std::fs::write(dir.path().join("precious"), vec![0xa5; TARGET_LEN]).unwrap();
    std::os::unix::fs::symlink("precious", target(&dir)).unwrap();
    let mut board = first(&*fixture(&dir, "").unwrap());
    assert!(fault(flash(&mut *board, &[1; 1000])).contains("symbolic link"));
    assert!(std::fs::read(dir.path().join("precious")).unwrap().iter().all(|o| *o == 0xa5));
}
#[test]
fn a_symbolic_link_where_a_file_would_be_made() {
    let dir = Dir::new();
    std::os::unix::fs::symlink("precious", target(&dir)).unwrap();
    let mut board = first(&*fixture(&dir, "create_len = 4096").unwrap());
    assert!(board.identify().is_err());
    assert!(!dir.path().join("precious").exists());
}
#[test]
fn a_directory_a_fifo_and_a_character_device() {
    let dir = Dir::new();
    let refused = |dir: &Dir| fault(first(&*fixture(dir, "").unwrap()).identify());
    std::fs::create_dir(target(&dir)).unwrap();
    refused(&dir);
    std::fs::remove_dir(target(&dir)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(target(&dir)).status().unwrap().success());
    assert!(refused(&dir).contains("neither"));
    let config = "adapter = 'block'\ntarget = '/dev/null'\ntrust_anchors = { offset = 0, len_max = 1 }\n\
        certificate_chain = { offset = 1, len_max = 1 }\nimage_offset = 2\nsecure_element = { program = 'x' }";
    assert!(fault(first(&*open(config, dir.path()).unwrap()).identify()).contains("neither"));
}
#[test]
fn a_target_that_is_not_there_is_a_silent_board() {
    let dir = Dir::new();
    assert_eq!(first(&*fixture(&dir, "").unwrap()).identify(), Err(BoardFault::Silent));
}
#[test]
fn two_stations_on_one_target() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    board.write(Part::TrustAnchors, b"a").unwrap();
    let mut other = first(&*fixture(&dir, "").unwrap());
    assert!(fault(other.write(Part::TrustAnchors, b"b")).contains("another station"));
    drop(board);
    other.write(Part::TrustAnchors, b"b").unwrap();
}
#[test]
fn slots_that_overlap() {
    let dir = Dir::new();
    assert!(fixture(&dir, "").is_ok());
    let config = "adapter = 'block'\ntarget = 'x'\ntrust_anchors = { offset = 0, len_max = 10 }\n\
        certificate_chain = { offset = 9, len_max = 1 }\nimage_offset = 20\nsecure_element = { program = 'x' }";
    assert!(open(config, dir.path()).is_err());
}
#[test]
fn a_source_that_fails() {
    let dir = Dir::new();
    let mut board = dirty(&dir);
    let mut image: &[u8] = &[1; 999];
    assert_eq!(board.flash(&mut image, 1000, &mut |_| ()), Err(BoardFault::Source));
}
#[test]
fn a_secure_element_that_is_not_there() {
    let dir = Dir::new();
    std::fs::write(target(&dir), vec![0; TARGET_LEN]).unwrap();
    let config = "adapter = 'block'\ntarget = 'target-0'\ntrust_anchors = { offset = 0, len_max = 1 }\n\
        certificate_chain = { offset = 1, len_max = 1 }\nimage_offset = 2\nsecure_element = { program = 'none' }";
    assert!(fault(first(&*open(config, dir.path()).unwrap()).identify()).contains("cannot be started"));
}
