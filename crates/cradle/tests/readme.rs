//! What the README tells a newcomer to type, typed.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;
use common::{Box_, text};
use std::path::Path;
use std::process::Command;

#[test]
fn the_lines_of_the_readme_work_as_they_stand() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let (_, block) = readme.split_once("```sh by-hand\n").unwrap();
    let (script, _) = block.split_once("\n```").unwrap();
    let b = Box_::empty("readme");
    let binary = Path::new(env!("CARGO_BIN_EXE_cradle")).parent().unwrap().display().to_string();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(&b.dir)
        .env_clear()
        .env("PATH", format!("{binary}:/usr/bin:/bin"))
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(out.matches(": OK").count(), 3, "OpenSSL accepts each certificate: {out}");
    assert!(out.contains("Key Compromise") && out.contains("All records agree."), "{out}");
}
