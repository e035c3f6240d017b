//! What was issued, listed, exported and counted: as much as there is, in each form, and read by others.
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
use common::{Box_, foreign, text};
use serde_json::Value;

#[test]
fn an_export_is_the_same_in_each_form() {
    let b = Box_::with_software("export");
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["cert", "revoke", "--device", "SN000002", "--yes"]);
    let export =
        |form: &str, more: &[&str]| b.ok(&[&["cert", "export", "--authority", "factory", "--as", form], more].concat());

    let listed = b.json(&["cert", "list", "--authority", "factory"]);
    let serials: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["serial"].as_str().unwrap()).collect();
    assert_eq!(serials.len(), 6);
    assert_eq!(serials.len(), export("jsonl", &[]).lines().count());
    for (line, row) in export("jsonl", &[]).lines().zip(listed.as_array().unwrap()) {
        assert_eq!(serde_json::from_str::<Value>(line).unwrap(), *row);
    }

    let script = "import csv,sys\nfor row in csv.DictReader(open(sys.argv[1],newline='')): print(row['serial'],row['revocation_reason'])";
    let said = export("csv", &["--to", "all.csv"]);
    assert!(said.contains("6 certificates written to all.csv"), "{said}");
    let read = foreign(&b.dir, "python3", &["-c", script, "all.csv"]);
    assert_eq!(read.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(), serials);
    assert_eq!(read.lines().filter(|line| line.ends_with(" unspecified")).count(), 1);

    export("pem", &["--to", "all.pem"]);
    let read = foreign(&b.dir, "openssl", &["storeutl", "-noout", "-certs", "all.pem"]);
    assert!(read.contains("Total found: 6"), "{read}");
    assert_eq!(text(&b.read("all.pem")), export("pem", &[]), "to a file and to standard output");

    // What is there is not replaced, and what fails leaves nothing.
    b.fails(&["cert", "export", "--as", "pem", "--to", "all.pem"], 6, "exists");
    b.fails(&["cert", "export", "--as", "pem", "--to", "nowhere/all.pem"], 5, "file");
    b.fails(&["cert", "export", "--as", "csv", "--authority", "nobody"], 5, "issuer-unknown");
    let left: Vec<_> = std::fs::read_dir(&b.dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".new-")), "{left:?}");
}

#[test]
fn what_is_exported_can_be_chosen() {
    let b = Box_::with_software("export-which");
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["cert", "revoke", "--device", "SN000002", "--yes"]);
    let count = |more: &[&str]| b.ok(&[&["cert", "export", "--as", "jsonl"], more].concat()).lines().count();
    assert_eq!(count(&["--device", "SN000002"]), 1);
    assert_eq!(count(&["--device", "SN000002", "--valid"]), 0);
    assert_eq!(count(&["--revoked"]), 1);
    assert_eq!(count(&["--subject", "operator:operator"]), 1);
    let key = b.json(&["device", "show", "SN000003"])["key"].as_str().unwrap().to_owned();
    assert_eq!(count(&["--key", &key]), 1);
    assert_eq!(
        b.json(&["cert", "list", "--key", &key])[0]["serial"],
        b.json(&["device", "show", "SN000003"])["certificate"]
    );
    b.fails(&["cert", "list", "--device", "SN999999"], 5, "not-on-list");
}

#[test]
fn rows_are_the_same_however_they_are_printed() {
    let b = Box_::new("rows");
    let rows = b.json(&["audit", "list"]);
    b.write("list.json", b.ok(&["audit", "list", "-o", "json"]));
    let script = "import json;print(json.dumps(json.load(open('list.json')),indent=2,ensure_ascii=False))";
    assert!(foreign(&b.dir, "python3", &["-c", script]) == text(&b.read("list.json")), "as others write it");
    assert_eq!(b.ok(&["audit", "list", "-o", "jsonl"]).lines().count(), rows.as_array().unwrap().len());
    assert_eq!(b.ok(&["device", "list", "-o", "json"]), "[]\n");
    assert_eq!(b.ok(&["device", "list", "-o", "jsonl"]), "");
    assert_eq!(b.ok(&["device", "list", "-o", "csv"]).lines().count(), 1, "the header");
}

#[test]
fn what_expires_is_counted_by_month_and_drawn() {
    let b = Box_::with_software("expiry");
    b.station("sensor");
    let shown = b.json(&["cert", "expiry", "--svg", "expiry.svg"]);
    // Boards, the root and the factory authority have no end.
    assert_eq!(shown["without_end"], 6 + 2);
    let months = shown["months"].as_array().unwrap();
    let sum = |field: &str| months.iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("authorities"), sum("modules_and_operators"), sum("devices")), (1, 7, 0));
    assert_eq!(months.iter().map(|row| row["state"].as_str().unwrap()).collect::<Vec<_>>(), ["valid"; 3]);
    let human = b.ok(&["cert", "expiry"]);
    assert!(human.contains('#') && human.contains("8 have no end"), "{human}");
    let read = "import sys,xml.dom.minidom as m\nprint(len(m.parse(sys.argv[1]).getElementsByTagName('rect')))";
    let rects: usize = foreign(&b.dir, "python3", &["-c", read, "expiry.svg"]).trim().parse().unwrap();
    assert!(rects > 6, "ground, legend and bars: {rects}");
    b.ok(&["cert", "expiry", "--svg", "expiry.svg"]);
    let settings = b.read("data/cradle.toml");
    b.fails(&["cert", "expiry", "--svg", "data/cradle.toml"], 6, "exists");
    assert_eq!(b.read("data/cradle.toml"), settings, "only a picture is replaced by one");
}

#[test]
fn what_changes_with_the_number_of_certificates_is_measured() {
    let b = Box_::empty("scale");
    let filled = b.json(&["bench", "fill", "--count", "600", "many"]);
    assert_eq!(filled["certificates"], 600);
    b.fails(&["bench", "fill", "many"], 6, "exists");
    let disk = b.json(&["--data", "many", "bench", "disk"]);
    assert_eq!(disk["certificates"], 600);
    let octets = |field: &str| disk[field].as_f64().unwrap();
    assert!(octets("der_octets") > 300.0, "{disk}");
    assert!(
        (octets("octets_per_certificate") - octets("der_octets") - octets("overhead_octets")).abs() < 0.2,
        "{disk}"
    );
    let measured = |arguments: &[&str]| -> Vec<Value> {
        let lines = b.ok(&[&["--data", "many", "-o", "jsonl", "bench"], arguments].concat());
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for rows in [measured(&["lookup", "--count", "100"]), measured(&["start", "--rounds", "1"])] {
        assert_eq!(rows[0]["ratio"], 1.0, "the limit stands first");
        assert!(rows.iter().all(|row| row["p99_us"].as_f64().unwrap() > 0.0), "{rows:?}");
        assert!(rows.last().unwrap()["rss_bytes"].as_u64().unwrap() > 0);
    }
    let sound = b.json(&["--data", "many", "verify", "--deep"]);
    assert_eq!((sound["certificates"].as_u64(), sound["open_intents"].as_u64()), (Some(610), Some(0)));
    b.ok(&["--data", "empty", "init", "--yes", "--bare"]);
    b.fails(&["--data", "empty", "bench", "disk"], 5, "bench");
}
