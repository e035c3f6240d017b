//! Judges every path of `testdata/paths` and compares with the manifest. `rigs/paths/judge.py` lets others judge the same.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use const_oid::ObjectIdentifier;
use model::UnixTime;
use std::path::PathBuf;
use x509::extension::GeneralName;
use x509::path::{Demands, Evidence, POOL_MAX, PathFault, Revocation, Rule, validate};
use x509::{Certificate, CertificateList, oids, pem};

/// 2027-01-01T00:00:00Z, as in rigs/paths/make.py.
const NOW: UnixTime = UnixTime::from_s(1_798_761_600);

fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/paths");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The certificates and lists of a file. What cannot be read cannot help: it is left out, as a caller would.
fn parts(name: &str) -> (Vec<Certificate>, Vec<CertificateList>) {
    let (mut certificates, mut lists) = (Vec::new(), Vec::new());
    let text = file(name);
    let mut rest = text.as_str();
    while let Some(at) = rest.find("-----BEGIN ") {
        rest = &rest[at..];
        match pem::decode(rest.as_bytes()).unwrap() {
            (label, der) if label == "CERTIFICATE" => certificates.extend(Certificate::decode(&der)),
            (label, der) if label == "X509 CRL" => lists.extend(CertificateList::decode(&der)),
            (label, _) => panic!("{label}"),
        }
        rest = &rest[1..];
    }
    (certificates, lists)
}

fn demands(text: &str) -> Demands {
    let mut demands = Demands::default();
    for word in text.split(' ') {
        match word.split_once('=').unwrap_or((word, "")) {
            ("-" | "deltas" | "anchor", "") => {}
            ("revocation", "all") => demands.revocation = Revocation::All,
            ("revocation", "leaf") => demands.revocation = Revocation::Leaf,
            ("explicit", "") => demands.explicit_policy = Rule::Always,
            ("inhibit-any", "") => demands.inhibit_any_policy = Rule::Always,
            ("inhibit-map", "") => demands.inhibit_policy_mapping = Rule::Always,
            ("policy", oid) => demands.policies.push(ObjectIdentifier::new(oid).unwrap()),
            ("purpose", "client") => demands.purpose = Some(oids::CLIENT_AUTH),
            ("dns", name) => demands.name = Some(GeneralName::Dns(name.into())),
            ("uri", name) => demands.name = Some(GeneralName::Uri(name.into())),
            other => panic!("{other:?}"),
        }
    }
    demands
}

fn verdict(case: &str, demanded: &str) -> String {
    let own = demanded.split(' ').any(|word| word == "anchor");
    let (anchors, _) = parts(&if own { format!("{case}.anchor.pem") } else { "root.pem".into() });
    let (certificates, crls) = parts(&format!("{case}.pem"));
    let (leaf, pool) = certificates.split_first().unwrap();
    match validate(&Evidence { leaf, pool, anchors: &anchors, crls: &crls }, &demands(demanded), NOW) {
        Ok(path) => {
            assert_eq!(path.certificates().first().unwrap().der(), leaf.der());
            assert_eq!(path.certificates().last().unwrap().der(), anchors[0].der());
            "ok".into()
        }
        Err(disbelief) => {
            let fault = format!("{:?}", disbelief.fault);
            format!("{}:{}", fault.split('(').next().unwrap(), disbelief.depth)
        }
    }
}

#[test]
fn every_path_gets_its_verdict() {
    let manifest = file("manifest.tsv");
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in manifest.lines().skip(1) {
        let [case, expected, demanded, ..] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let found = verdict(case, demanded);
        if found != expected {
            wrong.push(format!("{case}: {found}, expected {expected}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 60, "{count} cases only");
}

#[test]
fn a_hostile_pool_costs_no_more_than_so_many_signatures() {
    let (anchors, _) = parts("root.pem");
    let (certificates, _) = parts("signature-valid.pem");
    let [leaf, good] = &certificates[..] else { panic!() };
    // Each verifies the leaf, and none is the root's: two signatures each.
    let bad = parts("signature-of-ca-broken.pem").0.remove(1);
    let validate = |pool: &[Certificate]| {
        let evidence = Evidence { leaf, pool, anchors: &anchors, crls: &[] };
        validate(&evidence, &Demands::default(), NOW).map(|_| ()).map_err(|d| (d.fault, d.depth))
    };
    let pool = |bad_ones| [vec![bad.clone(); bad_ones], vec![good.clone()]].concat();
    assert_eq!(validate(&pool(20)), Ok(()));
    assert_eq!(validate(&pool(200)), Err((PathFault::BadSignature, 1)));
    let strangers = [vec![anchors[0].clone(); POOL_MAX], vec![good.clone()]].concat();
    assert_eq!(validate(&strangers[1..]), Ok(()));
    assert_eq!(validate(&strangers), Err((PathFault::NoIssuer, 0)));
}
