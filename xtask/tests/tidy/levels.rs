use super::*;

#[test]
fn down_is_allowed() {
    manifest("middle", "[dependencies]\nlow = { path = \"../low\" }\n", &[]);
}
#[test]
fn up_is_found() {
    let up = "[dependencies]\nmiddle = { path = \"../middle\" }\n";
    manifest("low", up, &["levels crates/low/Cargo.toml:6"]);
}
#[test]
fn aside_is_found() {
    let aside = "[dependencies]\nbeside = { path = \"../beside\" }\n";
    manifest("middle", aside, &["levels crates/middle/Cargo.toml:6"]);
}
#[test]
fn up_under_another_name_is_found() {
    let up = "[dependencies]\nharmless = { package = \"middle\", path = \"../middle\" }\n";
    manifest("low", up, &["levels crates/low/Cargo.toml:1"]);
}
#[test]
fn up_for_tests_only_is_found() {
    let up = "[dev-dependencies.middle]\npath = \"../middle\"\n";
    manifest("low", up, &["levels crates/low/Cargo.toml:5"]);
}
#[test]
fn up_for_one_system_only_is_found() {
    let up = "[target.'cfg(unix)'.build-dependencies]\nmiddle = { path = \"../middle\" }\n";
    manifest("low", up, &["levels crates/low/Cargo.toml:6"]);
}
#[test]
fn using_a_tool_is_found() {
    let tool = "[dependencies]\ntool = { path = \"../../tool\" }\n";
    manifest("middle", tool, &["levels crates/middle/Cargo.toml:6"]);
}
#[test]
fn a_crate_without_a_level_is_found() {
    let sections = "[dependencies]\nlow = { path = \"../low\" }\n";
    let tree = Tree::new().depending("new", sections).with("crates/new/src/lib.rs", "");
    tree.check(&["levels crates/new/Cargo.toml:2"]);
}
#[test]
fn a_level_without_a_crate_is_found() {
    let tree = Tree::new().replacing("layers.toml", "low = 0", "low = 0\ngone = 0");
    tree.check(&["levels layers.toml:1"]);
}
#[test]
fn a_driver_in_an_adapter_is_allowed() {
    manifest("adapters", "[dependencies]\nrusqlite = \"1\"\n", &[]);
}
#[test]
fn a_driver_elsewhere_is_found() {
    manifest("middle", "[dependencies]\nrusqlite = \"1\"\n", &["levels crates/middle/Cargo.toml:6"]);
}
