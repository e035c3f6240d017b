//! The `simulated` adapter.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use adapters::flasher::simulated::{Simulated, SimulatedConfig};
use common::{Dir, flash, open};
use ports::flasher::{Board, BoardFault, Flasher, KeyOffer, Part};
use x509::{CertificationRequest, KeyType, PublicKey, signature};

const BASE: &str = "adapter = 'simulated'\ndevice_type = 'sensor'\n";

fn boards(more: &str) -> Vec<Box<dyn Board>> {
    open(&format!("{BASE}{more}"), Dir::new().path()).unwrap().boards(100_000).unwrap()
}
fn one(more: &str) -> Box<dyn Board> {
    boards(&format!("count = 1\n{more}")).remove(0)
}

#[test]
fn a_thousand_boards_have_a_thousand_names() {
    let mut boards = boards("count = 1000\nfirst_serial = 42");
    let names: Vec<_> = boards.iter_mut().map(|b| b.identify().unwrap()).collect();
    let texts = |n: usize| (names[n].board.as_str(), names[n].serial.as_str(), names[n].device_type.as_str());
    assert_eq!(texts(0), ("SIM-000042", "SN000042", "sensor"));
    assert_eq!(texts(999), ("SIM-001041", "SN001041", "sensor"));
    assert_eq!(names.iter().map(|n| n.board.clone()).collect::<std::collections::HashSet<_>>().len(), 1000);
}
#[test]
fn no_more_boards_than_were_asked_for() {
    let flasher = open(&format!("{BASE}count = 10"), Dir::new().path()).unwrap();
    assert_eq!(flasher.boards(3).unwrap().len(), 3);
}

#[track_caller]
fn configuration(more: &str, ok: bool) {
    let opened = open(&format!("{BASE}{more}"), Dir::new().path());
    assert_eq!(opened.is_ok(), ok, "{:?}", opened.err());
}
#[test]
fn names_of_other_shapes() {
    configuration("count = 1\nserial_prefix = 'A-'\nboard_prefix = '00:1b:'\ndigits = 12", true);
}
#[test]
fn a_prefix_that_makes_no_name() {
    configuration("count = 1\nserial_prefix = '../'", false);
}
#[test]
fn too_many_boards() {
    configuration("count = 100001", false);
}
#[test]
fn numbers_that_run_over() {
    configuration("count = 2\nfirst_serial = 9223372036854775807", true);
    configuration("count = 1\ndigits = 21", false);
}
#[test]
fn an_unknown_member() {
    configuration("count = 1\nspeed = 3", false);
}
#[test]
fn a_fault_that_makes_no_sense() {
    configuration("count = 1\nfaults = [{ kind = 'flip', every = 1 }]", false);
}

#[test]
fn what_was_flashed_is_installed() {
    let mut board = one("");
    let image = vec![3; 1_000_000];
    assert_eq!(board.installed(1_000_000), Ok(None));
    let heard = flash(&mut *board, &image).unwrap();
    assert!(heard.is_sorted() && heard.last() == Some(&1_000_000));
    assert_eq!(board.installed(1_000_000), Ok(Some(x509::sha256(&image))));
    assert_eq!(board.installed(999_999), Ok(None));
}
#[test]
fn an_image_of_no_octets() {
    let mut board = one("");
    flash(&mut *board, &[]).unwrap();
    assert_eq!(board.installed(0), Ok(Some(x509::sha256(&[]))));
}
#[test]
fn an_image_that_ends_early_leaves_nothing_installed() {
    let mut board = one("");
    flash(&mut *board, &[1; 10]).unwrap();
    let mut image: &[u8] = &[1; 9];
    assert_eq!(board.flash(&mut image, 10, &mut |_| ()), Err(BoardFault::Source));
    assert_eq!(board.installed(10), Ok(None));
}

#[track_caller]
fn key(key_type: KeyType) {
    let mut board = one("");
    let Ok(KeyOffer::CertificationRequest(der)) = board.key(key_type) else { panic!() };
    let request = CertificationRequest::decode(&der).unwrap();
    request.verify().unwrap();
    assert_eq!(
        (request.public_key.key_type(), request.subject.to_string()),
        (key_type, "serialNumber=SN000001".into())
    );
    let proof = board.prove(b"challenge").unwrap();
    signature::verify(&request.public_key, key_type.signs_with(), b"challenge", &proof).unwrap();
}
#[test]
fn a_p256_key() {
    key(KeyType::P256);
}
#[test]
fn a_p384_key() {
    key(KeyType::P384);
}
#[test]
fn an_ed25519_key() {
    key(KeyType::Ed25519);
}
#[test]
fn an_rsa_key() {
    key(KeyType::Rsa(2048));
}
#[test]
fn a_short_rsa_key_is_refused() {
    assert!(matches!(one("").key(KeyType::Rsa(1024)), Err(BoardFault::Refused(_))));
}
#[test]
fn a_key_of_another_type_is_refused() {
    let mut board = one("");
    board.key(KeyType::P256).unwrap();
    assert!(matches!(board.key(KeyType::Ed25519), Err(BoardFault::Refused(_))));
}
#[test]
fn no_key_no_proof() {
    assert!(matches!(one("").prove(b"challenge"), Err(BoardFault::Refused(_))));
}
#[test]
fn a_bare_key_stays_the_same_and_differs_from_its_neighbours() {
    let mut boards = boards("count = 2\nkey_offer = 'public-key'");
    let key = boards[0].key(KeyType::P256).unwrap();
    assert_eq!(boards[0].key(KeyType::P256), Ok(key.clone()));
    assert_ne!(boards[1].key(KeyType::P256), Ok(key));
}

#[test]
fn boards_remember_from_one_process_to_the_next() {
    let dir = Dir::new();
    let config: SimulatedConfig =
        toml::from_str("device_type = 'sensor'\ncount = 2\ndirectory = 'boards'\nkey_offer = 'public-key'").unwrap();
    let key = {
        let flasher = Simulated::open(&config, dir.path()).unwrap();
        let mut board = flasher.boards(1).unwrap().remove(0);
        flash(&mut *board, &[9; 70_000]).unwrap();
        board.write(Part::TrustAnchors, b"anchors").unwrap();
        board.key(KeyType::Ed25519).unwrap()
    };
    let flasher = Simulated::open(&config, dir.path()).unwrap();
    let mut boards = flasher.boards(2).unwrap();
    assert_eq!(boards[0].installed(70_000), Ok(Some(x509::sha256(&[9; 70_000]))));
    assert_eq!(boards[0].key(KeyType::Ed25519), Ok(key));
    assert_eq!(boards[1].installed(70_000), Ok(None));
    let contents = flasher.contents(&"SIM-000001".parse().unwrap()).unwrap();
    assert_eq!((contents.trust_anchors.as_deref(), contents.certificate_chain), (Some(&b"anchors"[..]), None));
    assert_eq!(contents.key.map(|(key_type, _)| key_type), Some(KeyType::Ed25519));
    assert_eq!(std::fs::read_dir(dir.path().join("boards")).unwrap().count(), 1, "one board has something to remember");
}
#[test]
fn a_damaged_memory_is_named_and_not_overwritten() {
    let dir = Dir::new();
    let path = dir.path().join("boards/SIM-000001.json");
    std::fs::create_dir(dir.path().join("boards")).unwrap();
    for damage in ["", "{", "null", "{\"image\":null}", "[[[[[["] {
        std::fs::write(&path, damage).unwrap();
        let flasher = open(&format!("{BASE}count = 1\ndirectory = 'boards'"), dir.path()).unwrap();
        let Err(BoardFault::Fixture(text)) = flasher.boards(1).unwrap()[0].key(KeyType::P256) else {
            panic!("{damage}")
        };
        assert!(text.contains("SIM-000001.json"), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damage);
    }
}

#[test]
fn an_unlisted_board_and_one_of_another_type() {
    let extra = "extra = [{ board = 'X1', serial = 'SN999', device_type = 'sensor' }, \
        { board = 'X2', serial = 'SN998', device_type = 'pump' }]";
    let mut boards = boards(&format!("count = 1\n{extra}"));
    assert_eq!(boards.len(), 3);
    assert_eq!(boards[1].identify().unwrap().serial.as_str(), "SN999");
    assert_eq!(boards[2].identify().unwrap().device_type.as_str(), "pump");
}
#[test]
fn two_boards_with_one_label_are_two_boards() {
    let mut boards = boards(
        "count = 1\nkey_offer = 'public-key'\nextra = [{ board = 'X1', serial = 'SN000001', device_type = 'sensor' }]",
    );
    assert_eq!(boards[0].identify().unwrap().serial, boards[1].identify().unwrap().serial);
    assert_ne!(boards[0].key(KeyType::P256), boards[1].key(KeyType::P256));
}
#[test]
fn one_board_twice_is_one_board() {
    let mut boards = boards(
        "count = 1\nkey_offer = 'public-key'\n\
         extra = [{ board = 'SIM-000001', serial = 'SN000001', device_type = 'sensor' }]",
    );
    let key = boards[0].key(KeyType::P256).unwrap();
    assert_eq!(boards[1].key(KeyType::P256), Ok(key));
    flash(&mut *boards[1], &[5; 10]).unwrap();
    assert!(boards[0].installed(10).unwrap().is_some());
}

fn with_fault(fault: &str) -> Box<dyn Flasher> {
    open(&format!("{BASE}count = 2\nfaults = [{{ board = 'SIM-000001', {fault} }}]"), Dir::new().path()).unwrap()
}
fn taken(flasher: &dyn Flasher) -> Box<dyn Board> {
    flasher.boards(1).unwrap().remove(0)
}

#[test]
fn a_silent_board_and_its_neighbour() {
    let flasher = with_fault("kind = 'silent'");
    let mut boards = flasher.boards(2).unwrap();
    assert_eq!(boards[0].identify(), Err(BoardFault::Silent));
    assert_eq!(boards[0].key(KeyType::P256), Err(BoardFault::Silent));
    assert!(boards[1].identify().is_ok());
}
#[test]
fn a_board_that_is_silent_until_it_is_taken_up_anew() {
    let flasher = with_fault("kind = 'silent', times = 1");
    let mut board = taken(&*flasher);
    assert_eq!(board.identify(), Err(BoardFault::Silent));
    assert_eq!(board.identify(), Err(BoardFault::Silent));
    assert!(taken(&*flasher).identify().is_ok());
}

#[track_caller]
fn cable_out(percent: u8, installed: bool) {
    let flasher = with_fault(&format!("kind = 'cable-out', percent = {percent}, times = 1"));
    let mut board = taken(&*flasher);
    let image = vec![8; 1_000_000];
    let mut heard = 0;
    let mut reader = &*image;
    assert_eq!(board.flash(&mut reader, 1_000_000, &mut |n| heard = n), Err(BoardFault::Silent));
    assert!(heard <= u64::from(percent) * 10_000, "{heard}");
    assert_eq!(board.installed(1_000_000), Err(BoardFault::Silent), "the cable is still out");
    let mut board = taken(&*flasher);
    assert_eq!(board.installed(1_000_000).unwrap().is_some(), installed);
    flash(&mut *board, &image).unwrap();
}
#[test]
fn the_cable_is_out_before_the_first_octet() {
    cable_out(0, false);
}
#[test]
fn the_cable_comes_out_in_the_middle() {
    cable_out(50, false);
}
#[test]
fn the_cable_comes_out_before_the_last_octet() {
    cable_out(99, false);
}
#[test]
fn the_cable_comes_out_after_the_last_octet() {
    cable_out(100, true);
}

#[track_caller]
fn flip(percent: u8) {
    let flasher = with_fault(&format!("kind = 'flip', percent = {percent}, times = 1"));
    let mut board = taken(&*flasher);
    let image = vec![8; 1_000_000];
    let mut heard = 0;
    let mut reader = &*image;
    assert_eq!(board.flash(&mut reader, 1_000_000, &mut |n| heard = n), Err(BoardFault::Mismatch));
    assert!(heard < 1_000_000);
    let installed = board.installed(1_000_000).unwrap();
    assert!(installed.is_some() && installed != Some(x509::sha256(&image)), "the board tells what it carries");
    flash(&mut *board, &image).unwrap();
}
#[test]
fn the_first_octet_flips() {
    flip(0);
}
#[test]
fn an_octet_in_the_middle_flips() {
    flip(37);
}
#[test]
fn the_last_octet_flips() {
    flip(100);
}
#[test]
fn an_octet_that_always_flips() {
    let mut board = taken(&*with_fault("kind = 'flip', percent = 10"));
    for _ in 0..3 {
        assert_eq!(flash(&mut *board, &[1; 100]), Err(BoardFault::Mismatch));
    }
}
#[test]
fn a_step_that_is_refused_once() {
    let mut board = taken(&*with_fault("kind = 'refuse', step = 'certificate-chain', times = 1"));
    assert!(board.write(Part::TrustAnchors, b"a").is_ok());
    assert!(matches!(board.write(Part::CertificateChain, b"a"), Err(BoardFault::Refused(_))));
    assert!(board.write(Part::CertificateChain, b"a").is_ok());
}
#[test]
fn a_key_that_is_lost() {
    let mut board = taken(&*with_fault("kind = 'forget-key', times = 1"));
    let key = board.key(KeyType::P256).unwrap();
    board.write(Part::CertificateChain, b"a").unwrap();
    assert!(matches!(board.prove(b"challenge"), Err(BoardFault::Refused(_))));
    assert_ne!(board.key(KeyType::P256), Ok(key));
    board.write(Part::CertificateChain, b"a").unwrap();
    assert!(board.prove(b"challenge").is_ok());
}
#[test]
fn a_challenge_that_another_key_answers() {
    let flasher = with_fault("kind = 'wrong-key', times = 1");
    let mut board = taken(&*flasher);
    let Ok(KeyOffer::CertificationRequest(der)) = board.key(KeyType::P384) else { panic!() };
    let key: PublicKey = CertificationRequest::decode(&der).unwrap().public_key;
    let holds = |proof: &[u8]| signature::verify(&key, KeyType::P384.signs_with(), b"challenge", proof).is_ok();
    assert!(!holds(&board.prove(b"challenge").unwrap()));
    assert!(holds(&board.prove(b"challenge").unwrap()));
}
#[test]
fn faults_that_were_spent_stay_spent_in_the_next_process() {
    let dir = Dir::new();
    let text = format!(
        "{BASE}count = 1\ndirectory = 'boards'\nfaults = [{{ board = 'SIM-000001', kind = 'silent', times = 1 }}]"
    );
    let identify = || taken(&*open(&text, dir.path()).unwrap()).identify();
    assert_eq!(identify(), Err(BoardFault::Silent));
    assert!(identify().is_ok());
}

#[test]
fn ten_thousand_boards_from_blank_to_proof() {
    let mut boards = boards("count = 10000");
    let image = vec![1; 64 * 1024];
    let clock = common::SystemClock::start();
    for board in &mut boards {
        board.identify().unwrap();
        flash(&mut **board, &image).unwrap();
        board.write(Part::TrustAnchors, &[b'a'; 2000]).unwrap();
        board.key(KeyType::P256).unwrap();
        board.write(Part::CertificateChain, &[b'c'; 2000]).unwrap();
        board.prove(b"challenge").unwrap();
    }
    let ms = clock.ms();
    eprintln!("10000 boards in {ms} ms");
    assert!(ms < 60_000, "{ms} ms");
}
