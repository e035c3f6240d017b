//! The reference of the file format names everything that can stand in a file.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use support::{examples, file, read_profile};

fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}
#[track_caller]
fn all_are_documented(words: &[String], at_least: usize) {
    let document = text("docs/profiles.md");
    assert!(words.len() >= at_least, "only {words:?} were found in the source");
    let missing: Vec<_> = words.iter().filter(|word| !document.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_field() {
    let source = text("crates/issue/src/profile/file.rs");
    let field = |line: &str| {
        let name = line.strip_prefix("    pub(super) ")?.split_once(':')?.0;
        Some(name.trim_start_matches("r#").to_owned())
    };
    all_are_documented(&source.lines().filter_map(field).collect::<Vec<_>>(), 60);
}
#[test]
fn every_place_of_a_template() {
    let source = text("crates/issue/src/profile/template.rs");
    let place = |line: &str| {
        let name = line.trim().strip_prefix("(\"")?.split_once('"')?.0;
        line.contains("=> Some(Self::").then(|| format!("{{{name}}}"))
    };
    all_are_documented(&source.lines().filter_map(place).collect::<Vec<_>>(), 10);
}
#[test]
fn every_purpose_and_usage() {
    let source = text("crates/issue/src/profile/extensions.rs");
    let list = source.split_once("PURPOSES").unwrap().1.split_once("];").unwrap().0;
    let purpose = |line: &str| Some(line.trim().strip_prefix("(\"")?.split_once('"')?.0.to_owned());
    all_are_documented(&list.lines().filter_map(purpose).collect::<Vec<_>>(), 8);
    let usages: Vec<_> = x509::extension::KeyUsage::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    all_are_documented(&usages, 7);
}
#[test]
fn every_shipped_profile() {
    all_are_documented(&support::shipped(), 17);
}
#[test]
fn every_field_stands_in_an_example() {
    let source = text("crates/issue/src/profile/file.rs");
    let examples: String = examples().into_iter().map(|(_, toml)| toml).collect();
    // Those that only a responder or a time-stamping authority has.
    let not_here = ["ocsp_nocheck", "extended_key_usage_critical"];
    let field =
        |line: &str| Some(line.strip_prefix("    pub(super) ")?.split_once(':')?.0.trim_start_matches("r#").to_owned());
    let missing: Vec<_> = source
        .lines()
        .filter_map(field)
        .filter(|name| !not_here.contains(&name.as_str()) && !examples.contains(&format!("{name} = ")))
        .filter(|name| {
            !["validity", "extensions", "enrolment", "authority_information_access", "name_constraints"]
                .contains(&name.as_str())
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
#[test]
fn the_examples_are_profiles() {
    let examples = examples();
    assert_eq!(examples.len(), 2);
    for (name, toml) in examples {
        let _checked = read_profile(&name, &toml);
    }
}
