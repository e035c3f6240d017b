use super::*;

#[track_caller]
fn readme(text: &str, expected: &[&str]) {
    source("README.md", text, expected);
}

#[test]
fn what_is_there_may_be_named() {
    readme("`crates/low/src/lib.rs`, `crates/low/`, `crates/low/src/lib.rs:12` and (`crates/middle`).\n", &[]);
}
#[test]
fn what_is_not_there_is_found() {
    readme("x\n`crates/low/src/gone.rs`\n", &["documents README.md:2"]);
    readme("`crates/gone`\n", &["documents README.md:1"]);
    readme("`cargo run crates/gone.rs:1 now`\n", &["documents README.md:1"]);
    readme("`elsewhere/gone.toml`\n", &["documents README.md:1"]);
}
#[test]
fn a_kind_of_file_is_checked_up_to_what_varies() {
    readme("`crates/*/src/lib.rs` `crates/low/{a,b}.rs` `docs/<name>.md`\n", &["documents README.md:1"]);
    readme("`crates/*/src/lib.rs` `crates/low/{a,b}.rs` `fuzz/corpus/<target>`\n", &[]);
    readme("`crates/gone/<name>.rs`\n", &["documents README.md:1"]);
}
#[test]
fn what_is_no_file_of_ours_is_passed_over() {
    readme("`/etc/cradle/x.toml` `~/x/y.toml` `https://a.example/b.json` `application/json` `a::b` `x.rs`\n", &[]);
}
#[test]
fn what_is_not_in_backticks_or_in_a_fence_is_passed_over() {
    readme("crates/gone\n```\n`crates/gone`\n```\n", &[]);
}
#[test]
fn a_link_to_nowhere_is_found() {
    readme("[a](docs/a.md) [b](#b) [c](https://c.example)\n", &["documents README.md:1"]);
    let tree = Tree::new().with("docs/a.md", "[b](b.md#x) [r](../README.md)\n").with("docs/b.md", "");
    tree.with("README.md", "[a](docs/a.md)\n").check(&[]);
}
#[test]
fn other_documents_may_speak_of_the_future() {
    source("IDEAS.md", "`crates/gone`\n", &[]);
}
