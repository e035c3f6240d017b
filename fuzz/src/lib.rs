//! Room: what a decoder must keep to, whatever octets it is given. One function per decoder, in one file per crate.
//!
//! Each function is used twice: `fuzz_targets/<name>.rs` lets libFuzzer look for octets that break it, and the crate's
//! `tests/corpus.rs` includes the same file to replay the seeds and some thousand mutations of them on every test run.

pub mod ceremony;
pub mod identity;
pub mod ports;
pub mod replay;
pub mod update;
pub mod wire;
pub mod x509;
