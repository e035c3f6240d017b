//! Files beneath a directory.

use crate::support::{House, limits, status, write};
use std::process::Command;

fn house() -> House {
    let house = House::new(limits());
    write(&house.files().join("a.bin"), b"0123456789");
    write(&house.files().join("empty"), b"");
    write(&house.files().join("dir/b.bin"), b"b");
    write(&house.files().join("%2E%2E%2Fsupplier.json"), b"encoded");
    write(&house.files().join("ä b"), b"decoded");
    write(&house.dir.path().join("secret"), b"secret");
    house
}
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[track_caller]
fn is(house: &House, path: &str, expected: &str) {
    let answer = house.ask(&format!("GET /files/{path}"), "");
    status(&answer, 200);
    assert_eq!(body(&answer), expected);
}
#[track_caller]
fn is_not(house: &House, path: &str) {
    let answer = house.ask(&format!("GET /files/{path}"), "");
    assert!(answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    assert!(!answer.contains("secret"), "{path}: {answer}");
}

#[test]
fn a_file_is_sent() {
    let house = house();
    is(&house, "a.bin", "0123456789");
    is(&house, "dir/b.bin", "b");
    is(&house, "empty", "");
}
#[test]
fn names_are_what_was_sent_or_what_it_encodes() {
    let house = house();
    is(&house, "%2E%2E%2Fsupplier.json", "encoded");
    is(&house, "%C3%A4%20b", "decoded");
    is(&house, "%61.bin", "0123456789");
}
#[test]
fn nothing_outside_is_sent() {
    let house = house();
    for path in ["../secret", "%2e%2e/secret", "dir/../../secret", "dir/%2E%2E/%2E%2E/secret", "..%2Fsecret", "./a.bin"]
    {
        is_not(&house, path);
    }
    let absolute = house.dir.path().join("secret");
    is_not(&house, absolute.to_str().unwrap());
    is_not(&house, &absolute.to_str().unwrap().replace('/', "%2F"));
}
#[test]
fn links_are_not_followed() {
    let house = house();
    std::os::unix::fs::symlink("../secret", house.files().join("link")).unwrap();
    std::os::unix::fs::symlink("a.bin", house.files().join("inside")).unwrap();
    std::os::unix::fs::symlink("..", house.files().join("up")).unwrap();
    for path in ["link", "inside", "up/secret"] {
        is_not(&house, path);
    }
}
#[test]
fn what_is_no_file_is_not_there() {
    let house = house();
    assert!(Command::new("mkfifo").arg(house.files().join("pipe")).status().unwrap().success());
    for path in ["", "dir", "dir/", "a.bin/", "a.bin/x", "dir//b.bin", "pipe", "a.bin%00", "%", "%2", "%zz", "nothing"]
    {
        is_not(&house, path);
    }
    is_not(&house, &"a/".repeat(100));
    is_not(&house, &"a".repeat(300));
}
#[test]
fn files_are_read_only() {
    let answer = house().ask("DELETE /files/a.bin", "");
    status(&answer, 405);
    assert_eq!(field(&answer, "allow"), Some("GET, HEAD"));
}
#[test]
fn the_head_only() {
    let answer = house().ask("HEAD /files/a.bin", "");
    status(&answer, 200);
    assert_eq!((field(&answer, "content-length"), body(&answer)), (Some("10"), ""));
}

#[track_caller]
fn part(range: &str, expected: u16, content_range: Option<&str>, octets: &str) {
    let answer = house().ask("GET /files/a.bin", &format!("Range: {range}\r\n"));
    status(&answer, expected);
    assert_eq!((field(&answer, "content-range"), body(&answer)), (content_range, octets));
    assert_eq!(field(&answer, "content-length"), Some(octets.len().to_string().as_str()));
}
#[test]
fn parts_of_a_file() {
    part("bytes=2-4", 206, Some("bytes 2-4/10"), "234");
    part("bytes=7-", 206, Some("bytes 7-9/10"), "789");
    part("bytes=-2", 206, Some("bytes 8-9/10"), "89");
    part("bytes=0-99", 206, Some("bytes 0-9/10"), "0123456789");
    part("bytes=10-", 416, Some("bytes */10"), "");
    part("bytes=0-1,3-4", 200, None, "0123456789");
}
#[test]
fn a_part_of_the_same_file_only() {
    let house = house();
    let ask = |fields: &str| house.ask("GET /files/a.bin", fields);
    let tag = field(&ask(""), "etag").unwrap().to_owned();
    status(&ask(&format!("Range: bytes=2-4\r\nIf-Range: {tag}\r\n")), 206);
    status(&ask("Range: bytes=2-4\r\nIf-Range: \"another\"\r\n"), 200);
    write(&house.files().join("new"), b"abcdefghij");
    std::fs::rename(house.files().join("new"), house.files().join("a.bin")).unwrap();
    let answer = ask(&format!("Range: bytes=2-4\r\nIf-Range: {tag}\r\n"));
    status(&answer, 200);
    assert_eq!(body(&answer), "abcdefghij");
}
#[test]
fn who_has_it_already_is_told_so() {
    let house = house();
    let ask = |tag: &str| house.ask("GET /files/a.bin", &format!("If-None-Match: {tag}\r\n"));
    let tag = field(&ask("\"x\""), "etag").unwrap().to_owned();
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".into()] {
        let answer = ask(&known);
        status(&answer, 304);
        assert_eq!((field(&answer, "etag"), body(&answer)), (Some(tag.as_str()), ""));
    }
    status(&ask("\"x\""), 200);
}
