//! Writes signed status filters, small ones as seeds for the fuzzer: `cargo run -p wire --example filter_seeds -- DIR`.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "shared by files that each use a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

#[path = "../tests/pki/mod.rs"]
mod pki;

use pki::{Authority, BEGIN, Key};
use wire::filter::{Head, build, finish};
use x509::{KeyType, SerialNumber};

fn main() {
    let folder = std::env::args().nth(1).expect("usage: filter_seeds DIR");
    let authority = Authority::new(KeyType::Ed25519, "One", BEGIN);
    let (responder, certificate) = authority.responder(KeyType::P256);
    let head = Head {
        authority_key_identifier: authority.key.public.key_identifier(),
        crl_number: 42,
        this_update: BEGIN,
        next_update: BEGIN.plus_s(86_400),
    };
    let serials = |to: u32| (1..=to).map(|n| SerialNumber::new(&n.to_be_bytes()).unwrap());
    let put = |name: &str, revoked: u32, issued: u32, key: &Key, signer: Option<&[u8]>| {
        let filter = build(&head, serials(revoked), || serials(issued)).unwrap();
        let signature = key.sign(&filter);
        let octets = finish(filter, key.algorithm(), &signature, signer);
        std::fs::write(std::path::Path::new(&folder).join(name), octets).unwrap();
    };
    put("none", 0, 100, &authority.key, None);
    put("three", 3, 100, &authority.key, None);
    put("three-by-responder", 3, 100, &responder, Some(certificate.der()));
    put("two-hundred", 200, 1000, &authority.key, None);
    put("with-exceptions", 30, 300_000, &authority.key, None);
}
