//! What an answer costs besides its signature, and what a status filter weighs: `cargo bench -p wire`.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "shared by files that each use a part of it")]
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::as_conversions, clippy::panic, reason = "a benchmark")]

#[path = "../tests/pki/mod.rs"]
mod pki;

use model::UnixTime;
use pki::{Authority, BEGIN, LIFETIME_S};
use std::hint::black_box;
use wire::filter::{Filter, Head, build};
use wire::ocsp::responder::{
    self, ExtendedRevoked, Floor, NoncePolicy, Policy, PreSigned, PreSignedKey, Served, Status,
};
use wire::ocsp::{Asked, HashAlgorithm, Identity, Request, Response, request, verify};
use x509::{KeyType, SerialNumber};

const POLICY: Policy = Policy {
    extended_revoked: ExtendedRevoked::ForReserved,
    nonce: NoncePolicy::Allowed,
    pre_signed: PreSigned::Allowed,
    validity_s: 86_400,
    back_date_s: 300,
};

// The best of some rounds, in nanoseconds for each call: what disturbs only makes it slower.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn measure(what: &str, calls: u32, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let start = std::time::Instant::now();
        (0..calls).for_each(|_| call());
        best = best.min(start.elapsed().as_secs_f64());
    }
    let ns = best / f64::from(calls) * 1e9;
    println!("{what:<56} {ns:12.0} ns");
    ns
}

fn main() {
    ocsp();
    for (revoked, each) in [(1_000, 100), (10_000, 100), (10_000, 1000), (100_000, 10)] {
        filter(revoked, each);
    }
}

fn ocsp() {
    let ca = Authority::new(KeyType::P256, "Issuer", BEGIN);
    let (key, certificate) = ca.responder(KeyType::P256);
    let moment = Floor::default().moment(BEGIN.plus_s(1000), &POLICY, BEGIN.plus_s(LIFETIME_S)).unwrap();
    let identity = Identity::by_key(&key.public);
    let served = [Served { authority: (), ids: ca.ids.clone() }];
    let number = SerialNumber::next(x509::serial::InstanceEpoch(3), BEGIN, [9; 9]);
    let plain = request::write(&ca.ids, HashAlgorithm::Sha1, &[number], None);
    let nonce = request::write(&ca.ids, HashAlgorithm::Sha256, &[number], Some(&[7; 32]));
    measure("decode a request", 100_000, || drop(black_box(Request::decode(black_box(&plain)))));
    measure("decode a request with a nonce", 100_000, || drop(black_box(Request::decode(black_box(&nonce)))));
    measure("decode, find the authority, key of what is pre-signed", 100_000, || {
        let question = responder::read(black_box(&plain), &served, &POLICY).unwrap();
        let _ = black_box(question.pre_signed(&POLICY));
    });
    let ours = measure("decode, decide, write the octets to sign (nonce)", 100_000, || {
        let question = responder::read(black_box(&nonce), &served, &POLICY).unwrap();
        drop(black_box(question.answer(&identity, &moment, &POLICY, |(), _| Ok(Status::Good)).unwrap()));
    });
    let pre_signed = PreSignedKey { hash_algorithm: HashAlgorithm::Sha1, serial_number: number };
    measure("write the octets to sign in advance", 100_000, || {
        drop(black_box(responder::pre_sign(&ca.ids, &pre_signed, Status::Good, &identity, &moment, &POLICY)));
    });
    let data = responder::pre_sign(&ca.ids, &pre_signed, Status::Good, &identity, &moment, &POLICY);
    let signature = key.sign(data.der());
    let wrap = measure("wrap the signed octets, with the certificate", 100_000, || {
        drop(black_box(data.clone().finish(key.algorithm(), &signature, &[certificate.der()])));
    });
    let sign = measure("sign with P-256, alone", 2_000, || drop(black_box(key.sign(data.der()))));
    println!("{:<56} {:12.2}", "of signing alone, on demand", sign / (sign + ours + wrap));
    let der = data.finish(key.algorithm(), &signature, &[certificate.der()]);
    println!("{:<56} {:12} octets", "a response with its responder's certificate", der.len());
    measure("decode a response", 20_000, || drop(black_box(Response::decode(black_box(&der)))));
    let Ok(Response::Basic(response)) = Response::decode(&der) else { panic!("an error") };
    let asked =
        Asked { issuer: &ca.certificate, serial_number: number, nonce: None, now: BEGIN.plus_s(1000), skew_s: 0 };
    measure("verify it (two signatures)", 1_000, || {
        let _ = black_box(verify(&response, &asked).unwrap());
    });
}

fn filter(revoked: u64, each: u64) {
    let number = |n: u64| {
        let random = [n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().as_slice(), &[1]].concat();
        let random = <[u8; 9]>::try_from(random).unwrap();
        SerialNumber::next(x509::serial::InstanceEpoch(3), UnixTime::from_ms(1_790_000_000_000 + n), random)
    };
    let head = Head {
        authority_key_identifier: [7; 20],
        crl_number: 1,
        this_update: BEGIN,
        next_update: BEGIN.plus_s(86_400),
    };
    let issued = revoked * each;
    println!("filter of {revoked} revoked of {issued}:");
    let make = || build(&head, (0..revoked).map(|n| number(n * each)), || (0..issued).map(number)).unwrap();
    let octets = make();
    let bits = octets.len() as f64 * 8.0 / revoked as f64;
    println!("{:<56} {bits:12.1} bits for each revoked one, {} octets", "  size", octets.len());
    measure("  build", 1, || drop(black_box(make())));
    let (parsed, _) = Filter::parse(&octets).unwrap();
    let mut n = 0;
    measure("  ask", 100_000, || {
        n = (n + 7919) % issued;
        let _ = black_box(parsed.contains(number(n).octets()));
    });
}
