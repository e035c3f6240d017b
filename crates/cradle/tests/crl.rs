//! Lists of revoked certificates: whole, in shards, of changes, published.
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

/// An installation in the mode certificate-management whose devices are divided among four lists.
fn divided(name: &str) -> Box_ {
    let b = Box_::with_software(name);
    let path = b.data().join("profiles/idevid.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let point = "[extensions]\ncrl_distribution_point = \"http://a.example/{authority}-{shard}.crl\"\nshards = 4";
    std::fs::write(path, text.replace("[extensions]", point)).unwrap();
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b
}
fn revoke(b: &Box_, device: &str) {
    b.ok(&["cert", "revoke", "--device", device, "--yes"]);
}
fn number(b: &Box_, file: &str) -> String {
    foreign(&b.dir, "openssl", &["crl", "-inform", "DER", "-in", file, "-noout", "-crlnumber"])
}

#[test]
fn each_shard_has_its_own_list_and_all_are_counted_together() {
    let b = divided("shards");
    for n in 1..=6 {
        revoke(&b, &format!("SN00000{n}"));
    }
    let rows = b.json(&["crl", "issue", "factory", "--all-shards"]);
    let rows = rows.as_array().unwrap();
    let numbers: Vec<_> = rows.iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(rows.iter().map(|row| row["entries"].as_u64().unwrap()).sum::<u64>(), 6);
    let whole = b.json(&["crl", "issue", "factory"]);
    assert_eq!((whole["number"].as_u64(), whole["entries"].as_u64()), (Some(5), Some(6)));
    assert_eq!(b.json(&["crl", "issue", "factory", "--shard", "2"])["number"], 6);
    assert_eq!(b.json(&["crl", "show", "factory", "--shard", "2"])["number"], 6);
    assert_eq!(b.json(&["crl", "show", "factory"])["number"], 5);
    b.fails(&["crl", "issue", "root", "--all-shards"], 5, "no-shards");
    b.fails(&["crl", "show", "root", "--shard", "2"], 5, "no-crl");
    b.fails(&["crl", "show", "nobody"], 5, "issuer-unknown");
    for bad in
        [&["--shard", "0"][..], &["--shard", "4097"], &["--shard", "1", "--all-shards"], &["--all-shards", "--to", "x"]]
    {
        assert_eq!(b.run(&[&["crl", "issue", "factory"], bad].concat()).status.code(), Some(2), "{bad:?}");
    }
    b.sound();
}

#[test]
fn a_list_of_changes_needs_a_whole_one() {
    let b = divided("delta");
    b.fails(&["crl", "issue", "factory", "--delta"], 1, "malformed");
    revoke(&b, "SN000001");
    b.ok(&["crl", "issue", "factory"]);
    revoke(&b, "SN000002");
    let changes = b.json(&["crl", "issue", "factory", "--delta"]);
    assert_eq!((changes["base"].as_u64(), changes["number"].as_u64()), (Some(1), Some(2)));
    assert_eq!(changes["entries"], 1);
    assert_eq!(b.json(&["crl", "show", "factory", "--delta"])["base"], 1);
    assert_eq!(b.json(&["crl", "show", "factory"])["number"], 1, "the last whole one is still that");
}

#[test]
fn the_newest_of_every_list_is_published() {
    let b = divided("publish");
    std::fs::create_dir(b.dir.join("www")).unwrap();
    b.fails(&["crl", "publish", "www"], 5, "no-crl");
    b.fails(&["crl", "publish", "nowhere"], 5, "file");
    revoke(&b, "SN000001");
    b.ok(&["crl", "issue", "root"]);
    b.ok(&["crl", "issue", "factory"]);
    b.ok(&["crl", "issue", "factory", "--delta"]);
    b.ok(&["crl", "issue", "factory", "--all-shards"]);
    let rows = b.json(&["crl", "publish", "www"]);
    assert!(rows.as_array().unwrap().iter().all(|row| row["written"] == true), "{rows}");
    let mut files: Vec<_> =
        std::fs::read_dir(b.dir.join("www")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(
        files,
        [
            "factory-delta.crl",
            "factory-shard-1.crl",
            "factory-shard-2.crl",
            "factory-shard-3.crl",
            "factory-shard-4.crl",
            "factory.crl",
            "lock",
            "root.crl"
        ]
    );
    b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
    for file in files.iter().filter(|name| name.ends_with(".crl")) {
        let path = format!("www/{file}");
        foreign(&b.dir, "openssl", &["crl", "-inform", "DER", "-in", &path, "-noout", "-CAfile", "chain.pem"]);
    }
    let again = b.json(&["crl", "publish", "www"]);
    assert!(again.as_array().unwrap().iter().all(|row| row["written"] == false), "{again}");
    b.ok(&["crl", "issue", "factory"]);
    let written = b.json(&["crl", "publish", "www"]);
    let written: Vec<_> = written.as_array().unwrap().iter().filter(|row| row["written"] == true).collect();
    assert_eq!((written.len(), written[0]["file"].as_str()), (1, Some("www/factory.crl")));
}

#[test]
fn what_others_have_seen_is_not_taken_back() {
    let b = divided("publish-older");
    std::fs::create_dir(b.dir.join("www")).unwrap();
    b.ok(&["crl", "issue", "factory"]);
    // Yesterday's records, by the side of today's list.
    foreign(&b.dir, "cp", &["-r", "data", "yesterday"]);
    b.ok(&["crl", "issue", "root"]);
    b.ok(&["crl", "issue", "factory"]);
    b.ok(&["crl", "publish", "www"]);
    let newer = number(&b, "www/factory.crl");
    let said = b.fails(&["crl", "publish", "www", "--data", "yesterday"], 6, "published-newer");
    assert!(said.contains("number 2") && said.contains("factory.crl"), "{said}");
    b.ok(&["crl", "issue", "factory", "--data", "yesterday"]);
    b.fails(&["crl", "publish", "www", "--data", "yesterday"], 6, "published-differs");
    assert_eq!(number(&b, "www/factory.crl"), newer);
    b.ok(&["crl", "issue", "factory", "--data", "yesterday"]);
    b.ok(&["crl", "publish", "www", "--data", "yesterday"]);
}

#[test]
fn what_is_not_ours_is_not_replaced_and_nothing_else_is_written() {
    let b = divided("publish-foreign");
    let other = Box_::new("publish-other");
    other.ok(&["mode", "set", "certificate-management"]);
    other.ok(&["crl", "issue", "factory", "--to", "theirs.crl"]);
    std::fs::create_dir(b.dir.join("www")).unwrap();
    b.ok(&["crl", "issue", "root"]);
    b.ok(&["crl", "issue", "factory"]);
    for (content, code) in [(other.read("theirs.crl"), "published-foreign"), (b"precious".to_vec(), "exists")] {
        b.write("www/factory.crl", &content);
        b.fails(&["crl", "publish", "www"], 6, code);
        assert_eq!(b.read("www/factory.crl"), content);
        assert!(!b.dir.join("www/root.crl").exists(), "all or none");
    }
    // One octet of a list of ours.
    std::fs::remove_file(b.dir.join("www/factory.crl")).unwrap();
    b.ok(&["crl", "publish", "www"]);
    let mut list = b.read("www/factory.crl");
    *list.last_mut().unwrap() ^= 1;
    b.write("www/factory.crl", &list);
    b.fails(&["crl", "publish", "www"], 6, "published-foreign");
}

/// What OpenSSL says of devices' certificates with these lists.
fn verdicts(b: &Box_, lists: &[&str], more: &[&str]) -> Vec<&'static str> {
    let all: Vec<u8> = lists.iter().flat_map(|list| b.read(list)).collect();
    b.write("lists.pem", all);
    let judge = |device: &str| {
        let serial = b.json(&["device", "show", device])["certificate"].as_str().unwrap().to_owned();
        let path = format!("certificates/{serial}.pem");
        let fixed = ["verify", "-crl_check_all", "-extended_crl", "-CAfile", "chain.pem", "-CRLfile", "lists.pem"];
        let output = std::process::Command::new("openssl")
            .args(fixed)
            .args(more)
            .arg(path)
            .current_dir(&b.dir)
            .output()
            .unwrap();
        let said = common::text(&output.stdout) + &common::text(&output.stderr);
        match () {
            () if said.contains("certificate revoked") => "revoked",
            () if said.contains("different CRL scope") => "other scope",
            () if output.status.success() => "ok",
            () => panic!("{said}"),
        }
    };
    ["SN000001", "SN000002", "SN000003"].map(judge).to_vec()
}
/// Three devices whose certificates say where their list is.
fn pointed(name: &str, point: &str) -> Box_ {
    let b = Box_::with_software(name);
    let path = b.data().join("profiles/idevid.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replace("[extensions]", &format!("[extensions]\n{point}"))).unwrap();
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b.write("chain.pem", b.ok(&["ca", "chain", "factory"]));
    b.ok(&["cert", "export", "--authority", "factory", "--to", "certificates"]);
    b.ok(&["crl", "issue", "root", "--to", "root.crl"]);
    b
}

#[test]
fn openssl_adds_a_list_of_changes_to_the_whole_one() {
    let b = pointed("crl-openssl-delta", "crl_distribution_point = \"http://a.example/{authority}.crl\"");
    b.ok(&["cert", "revoke", "--device", "SN000003", "--reason", "certificate-hold", "--yes"]);
    b.ok(&["crl", "issue", "factory", "--to", "whole.crl"]);
    b.ok(&["cert", "release", "--device", "SN000003", "--yes"]);
    revoke(&b, "SN000001");
    b.ok(&["crl", "issue", "factory", "--delta", "--to", "changes.crl"]);
    assert_eq!(verdicts(&b, &["root.crl", "whole.crl"], &[]), ["ok", "ok", "revoked"]);
    let with = verdicts(&b, &["root.crl", "whole.crl", "changes.crl"], &["-use_deltas"]);
    assert_eq!(with, ["revoked", "ok", "ok"]);
    b.sound();
}
#[test]
fn the_published_file_that_a_certificate_names_is_the_one_that_lists_it() {
    let point = "crl_distribution_point = \"http://a.example/{authority}-shard-{shard}.crl\"\nshards = 4";
    let b = pointed("crl-named-file", point);
    revoke(&b, "SN000001");
    b.ok(&["crl", "issue", "factory", "--all-shards"]);
    std::fs::create_dir(b.dir.join("www")).unwrap();
    b.ok(&["crl", "publish", "www"]);
    let serial = b.json(&["device", "show", "SN000001"])["certificate"].as_str().unwrap().to_owned();
    let points = ["x509", "-noout", "-ext", "crlDistributionPoints", "-in", &format!("certificates/{serial}.pem")];
    let said = foreign(&b.dir, "openssl", &points);
    let (_, file) = said.trim().split_once("http://a.example/").unwrap();
    for number in 1..=4 {
        let path = format!("factory-shard-{number}.crl");
        let listed = ["crl", "-inform", "DER", "-noout", "-text", "-in", &format!("www/{path}")];
        let is_listed = foreign(&b.dir, "openssl", &listed).contains(&serial.to_uppercase());
        assert_eq!(is_listed, path == file, "{path}: {said}");
    }
    b.sound();
}
#[test]
fn openssl_takes_the_list_of_the_right_shard_only() {
    let point = "crl_distribution_point = \"http://a.example/{authority}-{shard}.crl\"\nshards = 2";
    let b = pointed("crl-openssl-shards", point);
    revoke(&b, "SN000001");
    b.ok(&["crl", "issue", "factory", "--shard", "1", "--to", "1.crl"]);
    b.ok(&["crl", "issue", "factory", "--shard", "2", "--to", "2.crl"]);
    assert_eq!(verdicts(&b, &["root.crl", "1.crl", "2.crl"], &[]), ["revoked", "ok", "ok"]);
    let alone = [verdicts(&b, &["root.crl", "1.crl"], &[]), verdicts(&b, &["root.crl", "2.crl"], &[])];
    let others = alone[0]
        .iter()
        .zip(&alone[1])
        .map(|(first, second)| [first, second].iter().filter(|word| ***word == "other scope").count());
    assert_eq!(others.collect::<Vec<_>>(), [1, 1, 1], "{alone:?}");
    b.sound();
}
#[test]
fn a_filter_says_what_the_last_list_says() {
    let b = Box_::with_software("crl-filter");
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    revoke(&b, "SN000001");
    let said = b.fails(&["crl", "filter", "factory", "--to", "factory.filter"], 1, "malformed");
    assert!(said.contains("make one with `cradle crl issue`"), "{said}");
    b.ok(&["crl", "issue", "factory"]);
    let said = b.ok(&["crl", "filter", "factory", "--to", "factory.filter"]);
    assert!(said.contains("as of CRL 1: 1 revoked"), "{said}");
    let octets = b.read("factory.filter");
    b.ok(&["crl", "filter", "factory", "--to", "factory.filter"]);
    b.write("precious", "precious");
    b.fails(&["crl", "filter", "factory", "--to", "precious"], 6, "exists");
    let store = b.store();
    use ports::store::AuthorityStore;
    let factory = store.authorities().unwrap().into_iter().find(|row| row.name.as_str() == "factory").unwrap();
    let certificate = x509::Certificate::decode(&factory.certificate).unwrap();
    let now = ports::Clock::now(&adapters::clock::SystemClock);
    let filter = wire::filter::decode(&octets).unwrap().verify(&certificate, 1, now).unwrap();
    drop(store);
    for row in b.json(&["cert", "list", "--profile", "idevid"]).as_array().unwrap() {
        let serial = x509::SerialNumber::from_hex(row["serial"].as_str().unwrap()).unwrap();
        assert_eq!(filter.contains(serial.octets()), !row["revocation_reason"].is_null(), "{row}");
    }
}
