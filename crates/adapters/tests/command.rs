//! The `command` adapter: with the example that is shipped, and with programs that break the protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use common::{Dir, PATIENT_MS, SystemClock, flash, open, repository};
use ports::flasher::{Board, BoardFault, Flasher, KeyOffer, Part};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::Path;
use x509::{CertificationRequest, KeyType, PublicKey, signature};

fn example(dir: &Dir, offer: &str) -> Box<dyn Flasher> {
    let config = format!(
        "adapter = 'command'\nprogram = '{}/demo/command-example/board'\n\
         arguments = ['--directory', '{}', '--device-type', 'sensor', '--serial-prefix', 'SN', '--offer', '{offer}']\n\
         slots = ['1', '2']",
        repository().display(),
        dir.path().join("boards").display(),
    );
    open(&config, dir.path()).unwrap()
}

fn first(flasher: &dyn Flasher) -> Box<dyn Board> {
    flasher.boards(1).unwrap().remove(0)
}

#[test]
fn the_example_is_flashed_and_certified() {
    let dir = Dir::new();
    let flasher = example(&dir, "csr");
    let mut board = first(&*flasher);
    let identity = board.identify().unwrap();
    assert_eq!(
        (identity.board.as_str(), identity.serial.as_str(), identity.device_type.as_str()),
        ("EX-1", "SN1", "sensor")
    );
    let image: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    assert_eq!(board.installed(300_000), Ok(None));
    let heard = flash(&mut *board, &image).unwrap();
    assert!(heard.len() > 3 && heard.is_sorted() && heard.last() == Some(&300_000), "{heard:?}");
    assert_eq!(board.installed(300_000), Ok(Some(x509::sha256(&image))));
    assert_eq!(std::fs::read(dir.path().join("boards/board-1/flash")).unwrap(), image);
    assert!(!dir.path().join("work/image-1").exists(), "the image is removed when the step is over");

    board.write(Part::TrustAnchors, b"anchors\n").unwrap();
    board.write(Part::CertificateChain, b"chain\n").unwrap();
    assert_eq!(std::fs::read(dir.path().join("boards/board-1/trust-anchors.pem")).unwrap(), b"anchors\n");
    assert_eq!(std::fs::read(dir.path().join("boards/board-1/certificate-chain.pem")).unwrap(), b"chain\n");
}

#[track_caller]
fn key(key_type: KeyType, offer: &str) {
    let dir = Dir::new();
    let mut board = first(&*example(&dir, offer));
    let shown = board.key(key_type).unwrap();
    let public = match &shown {
        KeyOffer::CertificationRequest(der) => {
            let request = CertificationRequest::decode(der).unwrap();
            request.verify().unwrap();
            request.public_key
        }
        KeyOffer::PublicKey(der) => PublicKey::decode(der).unwrap(),
    };
    assert_eq!((public.key_type(), matches!(shown, KeyOffer::PublicKey(_))), (key_type, offer == "public-key"));
    let proof = board.prove(b"challenge").unwrap();
    signature::verify(&public, key_type.signs_with(), b"challenge", &proof).unwrap();
    // The same key after the program was started anew, and no other type.
    let mut again = first(&*example(&dir, "public-key"));
    assert_eq!(again.key(key_type), Ok(KeyOffer::PublicKey(public.spki().to_vec())));
    let other = if key_type == KeyType::P256 { KeyType::P384 } else { KeyType::P256 };
    assert!(matches!(again.key(other), Err(BoardFault::Refused(_))));
}
#[test]
fn a_p256_key_in_a_request() {
    key(KeyType::P256, "csr");
}
#[test]
fn a_bare_p384_key() {
    key(KeyType::P384, "public-key");
}
#[test]
fn an_ed25519_key_in_a_request() {
    key(KeyType::Ed25519, "csr");
}
#[test]
fn an_rsa_key_in_a_request() {
    key(KeyType::Rsa(2048), "csr");
}
#[test]
fn no_key_to_prove_with_is_a_refusal() {
    let dir = Dir::new();
    let proof = first(&*example(&dir, "csr")).prove(b"challenge");
    assert_eq!(proof, Err(BoardFault::Refused("this board has no key".into())));
}
#[test]
fn two_slots_are_two_boards() {
    let dir = Dir::new();
    let mut boards = example(&dir, "csr").boards(9).unwrap();
    let names: Vec<_> = boards.iter_mut().map(|b| b.identify().unwrap().board.to_string()).collect();
    assert_eq!(names, ["EX-1", "EX-2"]);
}

/// Opens a fixture whose program is this shell script. `$hello` is the answer to the first question.
fn script(dir: &Dir, body: &str) -> Box<dyn Flasher> {
    let text = format!(
        "#!/bin/sh\nread line\nhello='{{\"id\":1,\"answer\":\"hello\",\"protocol\":1}}'\n\
         identity='\"answer\":\"identity\",\"board\":\"B\",\"serial\":\"S\",\"device_type\":\"t\"}}'\n{body}\n"
    );
    dir.program("program", &text);
    let config =
        "adapter = 'command'\nprogram = 'program'\nanswer_time_max_s = 2\nflash_time_max_s = 3\nsilence_max_s = 1";
    open(config, dir.path()).unwrap()
}

/// Lets a program answer to `identify`, and checks what the fault says.
#[track_caller]
fn hostile(body: &str, says: &str) {
    let dir = Dir::new();
    let started = SystemClock::start();
    let identity = first(&*script(&dir, body)).identify();
    let Err(BoardFault::Fixture(text)) = identity else { panic!("{identity:?}") };
    assert!(text.contains(says), "{text}");
    assert!(started.ms() < PATIENT_MS, "took {} ms", started.ms());
}

#[test]
fn a_program_that_is_not_there() {
    let dir = Dir::new();
    let flasher = open("adapter = 'command'\nprogram = 'none'", dir.path()).unwrap();
    let Err(BoardFault::Fixture(text)) = first(&*flasher).identify() else { panic!() };
    assert!(text.contains("cannot be started"), "{text}");
}
#[test]
fn a_program_that_says_nothing() {
    hostile("exec sleep 1000", "no answer within 2 s");
}
#[test]
fn a_program_that_ends_at_once() {
    hostile("exit 3", "exit status: 3");
}
#[test]
fn a_program_that_explains_its_end() {
    hostile("echo no licence >&2; exit 1", "it said: no licence");
}
#[test]
fn a_program_that_dies_in_the_middle_of_a_line() {
    hostile("echo $hello; read line; printf '{\"id\":2,'; kill -9 $$", "signal: 9");
}
#[test]
fn garbage_for_an_answer() {
    hostile("head -c 300 /dev/urandom; echo; sleep 5", "no answer: ");
}
#[test]
fn another_protocol() {
    hostile("echo '{\"id\":1,\"answer\":\"hello\",\"protocol\":2}'; sleep 5", "version 2");
}
#[test]
fn an_unknown_member() {
    hostile("echo '{\"id\":1,\"answer\":\"hello\",\"protocol\":1,\"more\":2}'; sleep 5", "unknown field");
}
#[test]
fn ten_megabytes_in_one_line() {
    hostile("echo $hello; read line; head -c 10000000 /dev/zero | tr '\\0' x; sleep 5", "more than 65536 octets");
}
#[test]
fn an_answer_to_another_question() {
    hostile("echo $hello; read line; echo \"{\\\"id\\\":7,$identity\"; sleep 5", "another question");
}
#[test]
fn an_answer_before_the_question() {
    hostile("echo $hello; echo \"{\\\"id\\\":3,$identity\"; sleep 5", "identify: it ");
}
#[test]
fn an_answer_of_another_kind() {
    hostile(
        "echo $hello; read line; echo '{\"id\":2,\"answer\":\"installed\",\"sha256\":null}'; sleep 5",
        "something else: Installed",
    );
}
#[test]
fn progress_where_there_is_none() {
    hostile("echo $hello; read line; echo '{\"id\":2,\"answer\":\"progress\",\"octets\":0}'; sleep 5", "out of order");
}
#[test]
fn complaints_without_end_do_not_block() {
    hostile("yes complaint >&2 & exec sleep 1000", "it said: ");
}
#[test]
fn escape_sequences_in_last_words_are_shown() {
    hostile("printf '\\033[2Jgone' >&2; exit 1", "\\u{1b}[2Jgone");
}

#[test]
fn two_answers_to_one_question_are_noticed_at_the_next() {
    let dir = Dir::new();
    let answer = "echo \"{\\\"id\\\":2,$identity\"";
    let mut board = first(&*script(&dir, &format!("echo $hello; read line; {answer}; {answer}; sleep 5")));
    board.identify().unwrap();
    let Err(BoardFault::Fixture(text)) = board.identify() else { panic!() };
    // Whether the second answer is there before the second question is a matter of microseconds.
    assert!(text.contains("without being asked") || text.contains("another question"), "{text}");
}

#[test]
fn what_the_program_started_ends_with_it() {
    let dir = Dir::new();
    let mut board = first(&*script(&dir, "sleep 1000 & echo $! > child; wait"));
    assert!(board.identify().is_err());
    let child: i32 = std::fs::read_to_string(dir.path().join("child")).unwrap().trim().parse().unwrap();
    let Ok(pidfd) = pidfd_open(Pid::from_raw(child).unwrap(), PidfdFlags::empty()) else {
        return; // It is gone already.
    };
    // It was killed, and may need a moment to be gone.
    let moment = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&moment)), Ok(1));
}
#[test]
fn a_board_that_is_dropped_takes_its_program_with_it() {
    let dir = Dir::new();
    let body = "echo $$ > leader; echo $hello; read line; echo \"{\\\"id\\\":2,$identity\"; exec sleep 1000";
    let mut board = first(&*script(&dir, body));
    board.identify().unwrap();
    drop(board);
    let leader = std::fs::read_to_string(dir.path().join("leader")).unwrap();
    assert!(!Path::new(&format!("/proc/{}", leader.trim())).exists());
}
#[test]
fn a_program_that_failed_is_started_anew() {
    let dir = Dir::new();
    let body = "test -e once || { touch once; exit 1; }\necho $hello; read line; echo \"{\\\"id\\\":3,$identity\"";
    let body = body.replace("\\\"id\\\":1", "\\\"id\\\":2");
    let mut board = first(&*script(&dir, &body.replace("echo $hello", "echo $hello | sed s/:1,/:2,/")));
    assert!(board.identify().is_err());
    assert!(board.identify().is_ok());
}
#[test]
fn the_environment_is_empty_but_for_the_path() {
    let dir = Dir::new();
    let body = "tr '\\0' '\\n' < /proc/$$/environ > environment; exit 0";
    assert!(first(&*script(&dir, body)).identify().is_err());
    let environment = std::fs::read_to_string(dir.path().join("environment")).unwrap();
    assert_eq!(environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
}

/// Lets a program answer to `flash`.
#[track_caller]
fn flashing(body: &str, expected: Result<(), &str>) {
    let dir = Dir::new();
    let started = SystemClock::start();
    let flashed = flash(&mut *first(&*script(&dir, &format!("echo $hello; read line\n{body}"))), &[7; 100]);
    match (&flashed, expected) {
        (Ok(_), Ok(())) => {}
        (Err(fault), Err(says)) => assert!(fault.to_string().contains(says), "{fault}"),
        other => panic!("{other:?}"),
    }
    assert!(started.ms() < PATIENT_MS, "took {} ms", started.ms());
    assert!(!dir.path().join("work/image-0").exists(), "the image is removed whatever happens");
}
fn flashed() -> String {
    format!("echo '{{\"id\":2,\"answer\":\"flashed\",\"sha256\":\"{}\"}}'", x509::sha256(&[7; 100]))
}

#[test]
fn an_image_that_arrived() {
    flashing(&flashed(), Ok(()));
}
#[test]
fn another_digest_is_a_mismatch() {
    flashing(&flashed().replace(&x509::sha256(&[7; 100]).to_string(), &"0".repeat(64)), Err("not what was written"));
}
#[test]
fn progress_that_falls() {
    let progress = |n: u32| format!("echo '{{\"id\":2,\"answer\":\"progress\",\"octets\":{n}}}'\n");
    flashing(&format!("{}{}{}", progress(50), progress(60), flashed()), Ok(()));
    flashing(&format!("{}{}{}", progress(50), progress(49), flashed()), Err("out of order"));
    flashing(&format!("{}{}", progress(101), flashed()), Err("out of order"));
}
#[test]
fn progress_without_end() {
    flashing("yes '{\"id\":2,\"answer\":\"progress\",\"octets\":1}'", Err("progress without end"));
}
#[test]
fn silence_while_flashing() {
    flashing("echo '{\"id\":2,\"answer\":\"progress\",\"octets\":1}'; sleep 1000", Err("said nothing for 1 s"));
}
#[test]
fn flashing_that_takes_too_long() {
    let body = "while :; do echo '{\"id\":2,\"answer\":\"progress\",\"octets\":1}'; sleep 0.2; done";
    flashing(body, Err("no answer within 3 s"));
}
#[test]
fn an_error_of_each_kind() {
    let error =
        |kind: &str| format!("echo '{{\"id\":2,\"answer\":\"error\",\"kind\":\"{kind}\",\"text\":\"x\\u001b\"}}'");
    flashing(&error("silent"), Err("does not answer"));
    flashing(&error("refused"), Err("the board refused: x\\u{1b}"));
    flashing(&error("mismatch"), Err("not what was written"));
    flashing(&error("fixture"), Err("the fixture failed: x"));
}

#[test]
fn a_source_that_fails_never_reaches_the_program() {
    let dir = Dir::new();
    let mut board = first(&*script(&dir, "touch started"));
    let mut image: &[u8] = &[1; 10];
    assert_eq!(board.flash(&mut image, 11, &mut |_| ()), Err(BoardFault::Source));
    assert!(!dir.path().join("started").exists() && !dir.path().join("work/image-0").exists());
}
#[test]
fn the_image_is_for_us_alone_and_whole() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let body = format!("stat -c %a work work/image-0 > modes; cp work/image-0 copy; {}", flashed());
    let flasher = script(&dir, &format!("echo $hello; read line\n{body}"));
    flash(&mut *first(&*flasher), &[7; 100]).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("modes")).unwrap(), "700\n600\n");
    assert_eq!(std::fs::read(dir.path().join("copy")).unwrap(), [7; 100]);
    assert_eq!(std::fs::metadata(dir.path().join("work")).unwrap().permissions().mode() & 0o777, 0o700);
}
#[test]
fn what_a_killed_station_left_is_removed() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("work")).unwrap();
    std::fs::write(dir.path().join("work/image-0"), "secret").unwrap();
    let _flasher = script(&dir, "exit 0");
    assert!(!dir.path().join("work/image-0").exists());
}
#[test]
fn a_link_in_the_place_of_the_image_is_not_followed() {
    let dir = Dir::new();
    let flasher = script(&dir, "exit 0");
    std::fs::create_dir(dir.path().join("work")).unwrap();
    std::fs::write(dir.path().join("precious"), "keep").unwrap();
    std::os::unix::fs::symlink("../precious", dir.path().join("work/image-0")).unwrap();
    assert!(flash(&mut *first(&*flasher), &[7; 100]).is_err());
    assert_eq!(std::fs::read(dir.path().join("precious")).unwrap(), b"keep");
}
#[test]
fn a_part_that_reads_back_differently_is_a_mismatch() {
    let dir = Dir::new();
    let answer = format!("echo '{{\"id\":2,\"answer\":\"written\",\"sha256\":\"{}\"}}'", x509::sha256(b"a"));
    let body = format!("echo $hello; read line; {answer}");
    assert_eq!(first(&*script(&dir, &body)).write(Part::TrustAnchors, b"a"), Ok(()));
    assert_eq!(first(&*script(&dir, &body)).write(Part::TrustAnchors, b"b"), Err(BoardFault::Mismatch));
}
#[test]
fn a_program_that_does_not_listen() {
    let dir = Dir::new();
    let mut board = first(&*script(&dir, "echo $hello; exec sleep 1000"));
    let Err(BoardFault::Fixture(text)) = board.write(Part::TrustAnchors, &[b'x'; 200_000]) else { panic!() };
    assert!(text.contains("did not take"), "{text}");
}
#[test]
fn no_time_is_refused() {
    let dir = Dir::new();
    assert!(open("adapter = 'command'\nprogram = 'x'\nanswer_time_max_s = 0", dir.path()).is_err());
    assert!(open("adapter = 'command'\nprogram = 'x'\nflash_time_max_s = 100000000", dir.path()).is_err());
}
#[test]
fn unknown_members_of_the_configuration_are_refused() {
    let dir = Dir::new();
    assert!(open("adapter = 'command'\nprogram = 'x'\nenvironment = ['A=1']", dir.path()).is_err());
}
