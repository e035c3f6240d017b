//! Developers' signatures, papers and a second signature by the command line, with what OpenSSL signs here and now.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;
use common::{Box_, foreign};
use serde_json::json;

fn openssl(b: &Box_, words: &str) {
    foreign(&b.dir, "openssl", &words.split(' ').collect::<Vec<_>>());
}
/// An authority of developers, and who it certifies for signing code.
fn developers(b: &Box_) {
    b.write("ca.ext", "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n");
    b.write("dev.ext", "keyUsage = critical, digitalSignature\nextendedKeyUsage = codeSigning\n");
    for (name, subject) in [("ca", "/CN=Developers"), ("alice", "/CN=Alice"), ("mallory", "/CN=Mallory")] {
        openssl(b, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
        openssl(b, &format!("req -new -key {name}.key -subj {subject} -out {name}.csr"));
    }
    openssl(b, "x509 -req -in ca.csr -signkey ca.key -extfile ca.ext -days 10 -out ca.pem");
    openssl(
        b,
        "x509 -req -in alice.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile dev.ext -days 10 -out alice.pem",
    );
    openssl(b, "x509 -req -in mallory.csr -signkey mallory.key -extfile dev.ext -days 10 -out mallory.pem");
    for name in ["alice", "mallory"] {
        openssl(
            b,
            &format!("cms -sign -binary -in image -signer {name}.pem -inkey {name}.key -outform DER -out {name}.p7s"),
        );
    }
}

#[test]
fn what_openssl_signs_is_believed() {
    let b = Box_::empty("repo-developer");
    b.write("image", "octets");
    b.write("other", "0ctets");
    developers(&b);
    b.ok(&["repo", "init"]);
    assert_eq!(b.json(&["repo", "developer", "add", "house", "ca.pem"])["kind"], "authority");
    b.ok(&["repo", "developer", "require", "1"]);
    let listed = b.json(&["repo", "developer", "list"]);
    let house = json!([{"name": "house", "kind": "authority"}]);
    assert_eq!((&listed["developers"], &listed["signatures_required"]), (&house, &json!(1)));
    let refused = |words: &[&str], why: &str| {
        let said = b.fails(&[&["repo", "add"], words].concat(), 7, "developer-signature");
        assert!(said.contains(why), "{said}");
    };
    refused(&["image"], "0 developers have signed it, and 1 must");
    refused(&["image", "--signature", "mallory.p7s"], "no issuer of it is known");
    refused(&["other", "--signature", "alice.p7s"], "signature 1: the signature is over another image");
    let added = b.json(&["repo", "add", "image", "--signature", "alice.p7s"]);
    assert_eq!(added["developers"], json!([{"who": "CN=Alice", "form": "cms"}]));
    assert_eq!(added["attached"], json!({"signature-1": "image.signature-1.p7s"}));
    b.ok(&["repo", "publish"]);
    assert_eq!(b.json(&["repo", "verify"]), json!({"wrong": []}));
    assert!(
        b.ok(&["repo", "list"]).contains("published image in targets: 6 octets, signed by CN=Alice, with signature-1")
    );
    assert!(b.ok(&["inspect", "repository/metadata/1.targets.json"]).contains("CN=Alice"));
    b.fails(&["repo", "developer", "add", "house", "ca.pem"], 2, "repository");
    b.fails(&["repo", "developer", "add", "other", "image"], 2, "repository");
    assert_eq!(b.run(&["repo", "developer", "add", "../other", "ca.pem"]).status.code(), Some(2));
    b.ok(&["repo", "developer", "remove", "house"]);
    b.fails(&["repo", "developer", "remove", "house"], 5, "repository");
    refused(&["image", "--signature", "alice.p7s"], "no issuer of it is known");
}
#[test]
fn papers_are_said() {
    let b = Box_::empty("repo-papers");
    b.write("image", "octets");
    b.write("before", "octet");
    b.write("sbom.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
    b.write("vex.json", r#"{"@context":"https://openvex.dev/ns/v0.2.0","statements":[]}"#);
    b.write("wrong.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"hashes":[{"alg":"SHA-256","content":"00"}]}}}"#);
    b.write("delta", b"\x28\xb5\x2f\xfd");
    b.ok(&["repo", "init"]);
    let said = b.fails(&["repo", "add", "image", "--sbom", "wrong.json"], 7, "repository");
    assert!(said.contains("the bill of materials: it is about another image"), "{said}");
    b.fails(&["repo", "add", "image", "--sbom", "nowhere"], 5, "file");
    for words in [["--class", "urgent"], ["--support-end", "tomorrow"], ["--delta", "delta"]] {
        assert_eq!(b.run(&[&["repo", "add", "image"], &words[..]].concat()).status.code(), Some(2), "{words:?}");
    }
    let papers = ["--sbom", "sbom.json", "--vex", "vex.json", "--delta", "delta", "--delta-from", "before"];
    let about = ["--class", "security", "--support-end", "2031-12-31", "--for", "sensor", "--counter", "3"];
    b.ok(&[&["repo", "add", "image"], &papers[..], &about].concat());
    let line =
        "staged    image in targets: 6 octets, counter 3, security, until 2031-12-31T23:59:59Z, with delta, sbom, vex";
    assert!(b.ok(&["repo", "list"]).contains(line), "{}", b.ok(&["repo", "list"]));
    b.ok(&["repo", "publish"]);
    let listed = b.json(&["repo", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!(listed[0]["custom"]["attached"]["sbom"]["format"], "CycloneDX 1.6");
    b.json(&["repo", "verify"]);
}
#[test]
fn a_second_signature_for_a_time() {
    let b = Box_::empty("repo-second");
    b.write("image", "octets");
    for name in ["maker.pem", "integrator.pem"] {
        openssl(&b, &format!("genpkey -algorithm ed25519 -out {name}"));
    }
    b.ok(&["repo", "init"]);
    let together = ["--together", "maker=maker.pem", "--together", "integrator=integrator.pem", "--terminating"];
    let delegate = ["repo", "delegate", "sensors", "--path", "sensor/*"];
    let shared = [&delegate[..], &["--together", "a=maker.pem", "--together", "b=maker.pem"]].concat();
    assert!(b.fails(&shared, 1, "repository").contains("have a key in common"));
    b.ok(&[&delegate[..], &together].concat());
    b.ok(&["repo", "add", "image", "--name", "sensor/app", "--role", "maker"]);
    let publish = ["repo", "publish", "--key", "maker.pem", "--key", "integrator.pem"];
    b.ok(&publish);
    let said = b.fails(&["repo", "verify"], 1, "repository-wrong");
    assert!(said.contains("fewer roles than must say the same of this target"), "{said}");
    b.ok(&["repo", "agree", "sensor/app", "--role", "integrator", "--with", "maker", "--not-after", "2020-01-01"]);
    b.ok(&publish);
    let said = b.fails(&["repo", "verify"], 1, "repository-wrong");
    assert!(said.contains("the time for this target is over"), "{said}");
    let agree =
        ["repo", "agree", "sensor/app", "--role", "integrator", "--with", "maker", "--not-before", "2020-01-01"];
    assert_eq!(b.json(&agree)["targets"], json!(["sensor/app"]));
    b.ok(&publish);
    b.json(&["repo", "verify"]);
    b.fails(&["repo", "agree", "nothing", "--role", "integrator", "--with", "maker"], 5, "repository");
}
#[test]
fn a_second_signature_that_hardware_demands() {
    let b = Box_::empty("repo-demand");
    b.write("image", "octets");
    for name in ["maker.pem", "integrator.pem"] {
        openssl(&b, &format!("genpkey -algorithm ed25519 -out {name}"));
    }
    b.ok(&["repo", "init"]);
    assert_eq!(b.json(&["repo", "demand"])["demands"], json!([]));
    b.ok(&["repo", "demand", "gateway", "--signing-roles", "2"]);
    assert_eq!(b.json(&["repo", "demand"])["demands"], json!([{"hardware": "gateway", "signing_roles": 2}]));
    let add = ["repo", "add", "image", "--name", "sensor/app", "--for", "gateway", "--counter", "1"];
    let said = b.fails(&add, 7, "second-signature");
    assert!(said.contains("2 roles must say the same") && said.contains("--together"), "{said}");
    let together = ["--together", "maker=maker.pem", "--together", "integrator=integrator.pem", "--terminating"];
    b.ok(&[&["repo", "delegate", "sensors", "--path", "sensor/*"], &together[..]].concat());
    let publish = ["repo", "publish", "--key", "maker.pem", "--key", "integrator.pem"];
    b.ok(&[&add[..], &["--role", "maker"]].concat());
    let said = b.fails(&publish, 8, "repository-waits");
    assert!(said.contains("1 of 2 roles") && said.contains("cradle repo agree"), "{said}");
    b.ok(&["repo", "agree", "sensor/app", "--role", "integrator", "--with", "maker"]);
    b.ok(&publish);
    b.json(&["repo", "verify"]);
}
