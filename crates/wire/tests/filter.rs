//! The status filter: exact for what was issued, small, signed, and asked alike in Rust and in C.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "shared by files that each use a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "what cannot go on here has failed"
)]

mod pki;

use model::UnixTime;
use pki::{Authority, BEGIN, Key};
use std::path::Path;
use std::process::Command;
use wire::filter::{BadFilter, Filter, Head, SignedFilter, Unbelievable, build, decode, finish};
use wire::ocsp::delegate::NotQualified;
use x509::{KeyType, SerialNumber};

const HEAD: Head = Head {
    authority_key_identifier: [7; 20],
    crl_number: 42,
    this_update: BEGIN.plus_s(100),
    next_update: BEGIN.plus_s(1000),
};

// Serial numbers as they are given: an epoch, the time, and octets that look random.
fn serial(n: u64) -> SerialNumber {
    let word =
        |n: u64| (n ^ 0x5bd1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let random = [word(n).to_be_bytes().as_slice(), &word(!n).to_be_bytes()].concat();
    SerialNumber::next(
        x509::serial::InstanceEpoch(3),
        UnixTime::from_ms(1_790_000_000_000 + n),
        random[..9].try_into().unwrap(),
    )
}
fn built(revoked: &[SerialNumber], issued: &[SerialNumber]) -> Vec<u8> {
    build(&HEAD, revoked.iter().copied(), || issued.iter().copied()).unwrap()
}
fn parsed(octets: &[u8]) -> Filter<'_> {
    let (filter, rest) = Filter::parse(octets).unwrap();
    assert!(rest.is_empty());
    filter
}

// Of `issued` certificates, every `each`-th is revoked: all answers are right.
#[track_caller]
fn check(issued: u64, each: u64, bits_max: usize) {
    let issued: Vec<_> = (0..issued).map(serial).collect();
    let revoked: Vec<_> = issued.iter().copied().step_by(each as usize).collect();
    let octets = built(&revoked, &issued);
    let filter = parsed(&octets);
    for (n, serial) in issued.iter().enumerate() {
        assert_eq!(filter.contains(serial.octets()), n % each as usize == 0, "{serial}");
    }
    let bits = (octets.len() - wire::filter::check::HEADER_LEN) * 8 / revoked.len();
    assert!(bits <= bits_max, "{bits} bits for each revoked one");
    // Whoever gives the issued ones without the revoked ones, or in another order, gets the same.
    let good: Vec<_> = issued.iter().rev().copied().filter(|s| revoked.len() > 1000 || !revoked.contains(s)).collect();
    assert_eq!(built(&revoked, &good), octets);
}
#[test]
fn one_of_one() {
    check(1, 1, 56);
}
#[test]
fn one_of_many() {
    check(1000, 1000, 56);
}
#[test]
fn all_of_them() {
    check(5000, 1, 19);
}
#[test]
fn one_in_a_hundred() {
    check(200_000, 100, 20);
}
#[test]
fn one_in_ten() {
    check(300_000, 10, 19);
}
#[test]
fn none_is_revoked() {
    let issued: Vec<_> = (0..1000).map(serial).collect();
    let octets = built(&[], &issued);
    assert_eq!(octets.len(), wire::filter::check::HEADER_LEN);
    assert!(issued.iter().all(|s| !parsed(&octets).contains(s.octets())));
}
#[test]
fn exceptions_are_what_makes_it_exact() {
    // 65536 times as many as fit apart, so some look revoked; taking the exceptions out shows them.
    let issued: Vec<_> = (0..400_000).map(serial).collect();
    let revoked = &issued[..4000];
    let octets = built(revoked, &issued);
    let mut without = octets.clone();
    let exceptions = u32::from_be_bytes(octets[64..68].try_into().unwrap());
    assert!(exceptions > 0);
    without.truncate(octets.len() - exceptions as usize * 8);
    without[64..68].fill(0);
    let wrong = issued[4000..].iter().filter(|s| parsed(&without).contains(s.octets())).count();
    assert_eq!(wrong, exceptions as usize);
}
#[test]
fn what_was_not_issued_seldom_looks_revoked() {
    let revoked: Vec<_> = (0..10_000).map(serial).collect();
    let octets = built(&revoked, &[]);
    let looks = (20_000..520_000).filter(|n| parsed(&octets).contains(serial(*n).octets())).count();
    assert!(looks < 25, "{looks} of half a million: more than one in 20 000");
}
#[test]
fn order_and_repetition_do_not_matter() {
    let issued: Vec<_> = (0..1000).map(serial).collect();
    let mut revoked: Vec<_> = issued.iter().copied().step_by(3).collect();
    let octets = built(&revoked, &issued);
    revoked.reverse();
    revoked.extend_from_within(..10);
    assert_eq!(built(&revoked, &issued), octets);
}
#[test]
fn short_serial_numbers() {
    let issued: Vec<_> = (1..=255_u16).map(|n| SerialNumber::new(&n.to_be_bytes()).unwrap()).collect();
    let octets = built(&issued[..9], &issued);
    assert_eq!(issued.iter().filter(|s| parsed(&octets).contains(s.octets())).count(), 9);
}
#[test]
fn times_must_be_in_order() {
    let head = Head { next_update: HEAD.this_update, ..HEAD };
    assert_eq!(build(&head, std::iter::empty(), std::iter::empty), Err(BadFilter::Times));
}
#[test]
fn more_than_two_million_are_refused() {
    let revoked = std::iter::repeat_n(serial(1), 2_000_001);
    assert_eq!(build(&HEAD, revoked, std::iter::empty), Err(BadFilter::TooMany));
}
#[test]
fn every_cut_is_refused() {
    let octets = built(&[serial(1), serial(2)], &[]);
    for len in 0..octets.len() {
        assert!(Filter::parse(&octets[..len]).is_none(), "the first {len} octets are a filter");
    }
}
#[test]
fn a_filter_that_contradicts_itself_says_revoked() {
    let mut octets = built(&[serial(1), serial(2), serial(3)], &[]);
    octets[wire::filter::check::HEADER_LEN + 1..][..4].fill(0xff);
    assert!((4..2000).all(|n| parsed(&octets).contains(serial(n).octets())));
}

// Signed by an authority, or by its responder.
struct World {
    authority: Authority,
    signed: Vec<u8>,
}
fn world(signer: Option<(&Key, &[u8])>) -> World {
    signed(Authority::new(KeyType::Ed25519, "One", BEGIN), signer)
}
fn signed(authority: Authority, signer: Option<(&Key, &[u8])>) -> World {
    let head = Head { authority_key_identifier: authority.key.public.key_identifier(), ..HEAD };
    let issued: Vec<_> = (0..5000).map(serial).collect();
    let filter = build(&head, issued.iter().copied().step_by(50), || issued.iter().copied()).unwrap();
    let key = signer.map_or(&authority.key, |(key, _)| key);
    let signature = key.sign(&filter);
    let signed = finish(filter, key.algorithm(), &signature, signer.map(|(_, certificate)| certificate));
    World { authority, signed }
}
const NOW: UnixTime = BEGIN.plus_s(500);
fn believed(world: &World, seen: u64, now: UnixTime) -> Result<usize, Unbelievable> {
    let read: SignedFilter<'_> = decode(&world.signed).unwrap();
    let filter = read.verify(&world.authority.certificate, seen, now)?;
    Ok((0..5000).filter(|n| filter.contains(serial(*n).octets())).count())
}

#[test]
fn the_authority_is_believed() {
    assert_eq!(believed(&world(None), 42, NOW), Ok(100));
}
#[test]
fn its_responder_is_believed() {
    let authority = Authority::new(KeyType::P384, "One", BEGIN);
    let (key, certificate) = authority.responder(KeyType::P256);
    assert_eq!(believed(&signed(authority, Some((&key, certificate.der()))), 0, NOW), Ok(100));
}
#[test]
fn a_leaf_is_not_believed() {
    let authority = Authority::new(KeyType::P256, "One", BEGIN);
    let key = Key::generate(KeyType::P256);
    let leaf = authority.issue("Leaf", &key.public, "05", vec![x509::extension::KeyUsage(1).extension()]);
    let found = believed(&signed(authority, Some((&key, leaf.der()))), 0, NOW);
    assert_eq!(found, Err(Unbelievable::NotAuthorised(NotQualified::Purpose)));
}
#[test]
fn the_responder_of_another_is_not_believed() {
    let (key, certificate) = Authority::new(KeyType::P256, "One", BEGIN).responder(KeyType::P256);
    let found = believed(&world(Some((&key, certificate.der()))), 0, NOW);
    assert_eq!(found, Err(Unbelievable::NotAuthorised(NotQualified::NotIssued)));
}
#[test]
fn another_authority_is_not_spoken_of() {
    let mut world = world(None);
    world.authority = Authority::new(KeyType::Ed25519, "One", BEGIN);
    assert_eq!(believed(&world, 0, NOW), Err(Unbelievable::OtherAuthority));
}
#[test]
fn an_older_number_than_was_seen_is_not_believed() {
    assert_eq!(believed(&world(None), 43, NOW), Err(Unbelievable::Outdated));
}
#[test]
fn times_hold() {
    let world = world(None);
    assert_eq!(believed(&world, 0, HEAD.this_update), Ok(100));
    assert_eq!(believed(&world, 0, HEAD.this_update.minus_s(1)), Err(Unbelievable::NotYet));
    assert_eq!(believed(&world, 0, HEAD.next_update.minus_s(1)), Ok(100));
    assert_eq!(believed(&world, 0, HEAD.next_update), Err(Unbelievable::Outdated));
}
#[test]
fn a_changed_octet_is_not_believed() {
    let world = world(None);
    for at in 0..world.signed.len() {
        let mut changed = world.signed.clone();
        changed[at] ^= 1;
        let verdict = decode(&changed).map(|read| read.verify(&world.authority.certificate, 0, NOW).is_ok());
        assert!(!verdict.unwrap_or(false), "octet {at} may be changed");
    }
    for len in 0..world.signed.len() {
        assert!(decode(&world.signed[..len]).is_err(), "the first {len} octets were read");
    }
    assert!(decode(&[world.signed.as_slice(), &[0]].concat()).is_err());
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
#[track_caller]
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn c_and_rust_say_the_same() {
    const MAIN: &str = r#"
#include "check.c"
#include <stdio.h>
#include <stdlib.h>
static uint8_t octets[1 << 20];
int main(int argc, char **argv) {
    struct status_filter f;
    FILE *file = fopen(argv[1], "rb");
    size_t len = fread(octets, 1, sizeof octets, file);
    /* Exactly as long as it is, so that a tool that watches memory sees every octet too far. */
    uint8_t *exact = malloc(len ? len : 1);
    memcpy(exact, octets, len);
    size_t signed_len = status_filter_parse(&f, exact, len);
    printf("%zu %llu %u\n", signed_len, signed_len ? (unsigned long long)f.crl_number : 0, signed_len ? f.count : 0);
    uint8_t serial[21];
    while (signed_len && fread(serial, 1, 21, stdin) == 21)
        putchar('0' + status_filter_contains(&f, serial + 1, serial[0]));
    free(exact);
    return argc != 2;
}
"#;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("main.c"), MAIN).unwrap();
    let include = root().join("contracts/status-filter");
    let flags =
        ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover"];
    run(Command::new("cc").args(flags).arg("-I").arg(include).arg(path("main.c")).arg("-o").arg(path("main")));
    let issued: Vec<_> =
        (0..8000).map(serial).chain((1..=2000_u16).map(|n| SerialNumber::new(&n.to_be_bytes()).unwrap())).collect();
    let revoked: Vec<_> = issued.iter().copied().step_by(7).collect();
    let whole = built(&revoked, &issued);
    let mut asked = Vec::new();
    for serial in &issued {
        let octets = serial.octets();
        asked.push(octets.len() as u8);
        asked.extend(octets);
        asked.resize(asked.len().next_multiple_of(21), 0);
    }
    std::fs::write(path("asked"), &asked).unwrap();
    // Whole, without entries, cut, and with tables of ones, of zeros, and of a directory that leads out of them.
    let mut variants =
        vec![whole.clone(), built(&[], &issued), whole[..whole.len() - 1].to_vec(), whole[..67].to_vec()];
    for fill in [0, 0xff] {
        for (from, to) in [(68, 300), (68, whole.len()), (430, 460)] {
            let mut changed = whole.clone();
            changed[from..to].fill(fill);
            variants.push(changed);
        }
    }
    for octets in variants {
        std::fs::write(path("filter"), &octets).unwrap();
        let asked = std::fs::File::open(path("asked")).unwrap();
        let said = run(Command::new(path("main")).arg(path("filter")).stdin(asked));
        let expected = match Filter::parse(&octets) {
            None => "0 0 0\n".to_owned(),
            Some((filter, rest)) => {
                let verdicts = issued.iter().map(|s| if filter.contains(s.octets()) { '1' } else { '0' });
                format!(
                    "{} {} {}\n{}",
                    octets.len() - rest.len(),
                    filter.crl_number,
                    filter.count,
                    verdicts.collect::<String>()
                )
            }
        };
        assert!(said == expected.as_bytes(), "C says otherwise");
    }
}

#[test]
fn the_checkers_are_small() {
    for path in ["crates/wire/src/filter/check.rs", "contracts/status-filter/check.c"] {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        assert!(text.lines().count() < 120, "{path} has {} lines", text.lines().count());
    }
}
#[test]
fn the_checker_needs_core_only() {
    let folder = tempfile::tempdir().unwrap();
    let check = root().join("crates/wire/src/filter/check.rs").canonicalize().unwrap();
    let text = format!("#![no_std]\n#[path = {check:?}]\npub mod check;\n");
    std::fs::write(folder.path().join("lib.rs"), text).unwrap();
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "-Dwarnings", "--out-dir"]);
    run(rustc.arg(folder.path()).arg(folder.path().join("lib.rs")));
}

#[test]
fn a_well_signed_filter_that_contradicts_itself_is_refused() {
    let world = world(None);
    let read = decode(&world.signed).unwrap();
    let tables = wire::filter::check::HEADER_LEN;
    // 100 entries have 25 octets of marks and 4 of directory; a remainder that is alone in its bucket contradicts nothing.
    for at in [tables, tables + 24, tables + 28] {
        let mut changed = read.signed.to_vec();
        changed[at] ^= 0xff;
        let signature = world.authority.key.sign(&changed);
        assert!(decode(&finish(changed, read.algorithm, &signature, None)).is_err(), "octet {at}");
    }
}
