//! What the tests of foreign repositories share.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by files that each use a part of it")]

use model::UnixTime;
use std::path::PathBuf;

/// Before the end of every file here.
pub const NOW_S: u64 = 1_790_000_000;

pub fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tuf").join(name)
}
pub fn golden(name: &str) -> Vec<u8> {
    std::fs::read(testdata(name)).unwrap()
}
pub fn image() -> Vec<u8> {
    golden("image.bin")
}
pub fn now() -> UnixTime {
    UnixTime::from_s(NOW_S)
}
