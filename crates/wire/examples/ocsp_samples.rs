//! Writes certificates and OCSP responses for foreign programs to judge: `cargo run -p wire --example ocsp_samples -- DIR`.
//!
//! In `DIR/<key type>`: `ca.der`, `responder.der`, `leaf-<serial>.der`, for each case `<case>.request.der` and
//! `<case>.response.der`, and `cases.json`, which says what the response means. `rigs/ocsp/check.py` reads it.
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

use model::UnixTime;
use model::contract::authority::RevocationReason as Reason;
use pki::{Authority, HASHES, serial};
use std::fs;
use std::path::Path;
use wire::ocsp::responder::{self, ExtendedRevoked, Floor, NoncePolicy, Policy, PreSigned, Served, Status};
use wire::ocsp::{HashAlgorithm, Identity, ResponseStatus, request};
use x509::KeyType;

const POLICY: Policy = Policy {
    extended_revoked: ExtendedRevoked::ForReserved,
    nonce: NoncePolicy::Allowed,
    pre_signed: PreSigned::Allowed,
    validity_s: 86_400,
    back_date_s: 300,
};
const LEAF: &str = "5a0011";

#[expect(clippy::disallowed_methods, reason = "foreign programs compare with their clock")]
fn main() {
    let folder = std::env::args().nth(1).expect("usage: ocsp_samples DIR");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = UnixTime::from_s(now.as_secs());
    for kind in [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa(2048), KeyType::MlDsa65] {
        samples(&Path::new(&folder).join(kind.to_string()), kind, now);
    }
}

fn samples(folder: &Path, kind: KeyType, now: UnixTime) {
    fs::create_dir_all(folder).unwrap();
    let put = |name: &str, octets: &[u8]| fs::write(folder.join(name), octets).unwrap();
    let ca = Authority::new(kind, "Issuer", now.minus_s(86_400));
    let (key, responder_certificate) = ca.responder(kind);
    put("ca.der", ca.certificate.der());
    put("responder.der", responder_certificate.der());
    put("leaf.der", ca.leaf(LEAF).der());
    let mut cases = Vec::new();
    let at = now.minus_s(3600);
    let mut statuses = vec![
        ("good".to_owned(), Status::Good),
        ("unknown".to_owned(), Status::NeverIssued),
        ("extended-revoked".to_owned(), Status::ReservedNotIssued),
    ];
    statuses.extend(Reason::ALL.map(|reason| (format!("revoked-{}", reason.name()), Status::Revoked { at, reason })));
    let moment = Floor::default().moment(now, &POLICY, responder_certificate.tbs().not_after).unwrap();
    let served = [Served { authority: (), ids: ca.ids.clone() }];
    let mut case = |name: &str,
                    status: Status,
                    by: HashAlgorithm,
                    nonce: Option<&[u8]>,
                    delegate: bool,
                    by_name: bool| {
        let octets = request::write(&ca.ids, by, &[serial(LEAF)], nonce);
        let question = responder::read(&octets, &served, &POLICY).unwrap();
        let signer = if delegate { &responder_certificate } else { &ca.certificate };
        let tbs = signer.tbs();
        let identity =
            if by_name { Identity::by_name(&tbs.subject) } else { Identity::by_key(&tbs.subject_public_key) };
        let data = question.answer(&identity, &moment, &POLICY, |(), _| Ok(status)).unwrap();
        let der = if delegate { key.finish(data, &[signer.der()]) } else { ca.key.finish(data, &[]) };
        put(&format!("{name}.request.der"), &octets);
        put(&format!("{name}.response.der"), &der);
        let (said, reason, revoked_at) = match status {
            Status::Good => ("good", String::new(), 0),
            Status::Revoked { at, reason } => ("revoked", reason.name().to_owned(), at.s()),
            Status::ReservedNotIssued => ("revoked", Reason::CertificateHold.name().to_owned(), 0),
            Status::NeverIssued => ("unknown", String::new(), 0),
        };
        cases.push(format!(
            r#"{{"case":"{name}","status":"{said}","reason":"{reason}","revoked_at":{revoked_at},"nonce":"{}","hash":"{by:?}","by_name":{by_name},"delegate":{delegate},"extended":{}}}"#,
            model::octets::hex(nonce.unwrap_or_default()),
            status == Status::ReservedNotIssued,
        ));
    };
    for (name, status) in &statuses {
        case(name, *status, HashAlgorithm::Sha1, None, true, false);
    }
    for by in HASHES {
        for (nonce, text) in [(None, "plain"), (Some([0xa5; 32].as_slice()), "nonce")] {
            for (by_name, id) in [(false, "by-key"), (true, "by-name")] {
                for (delegate, who) in [(true, "delegate"), (false, "issuer")] {
                    let name = format!("good-{}-{text}-{id}-{who}", if by == HASHES[0] { "sha1" } else { "sha256" });
                    case(&name, Status::Good, by, nonce, delegate, by_name);
                }
            }
        }
    }
    for status in ResponseStatus::ALL {
        put(&format!("{status}.error.der"), &status.encode());
    }
    put("cases.json", format!("[\n{}\n]\n", cases.join(",\n")).as_bytes());
}
