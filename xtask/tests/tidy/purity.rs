use super::*;

const FIRST: &[&str] = &["purity crates/middle/src/lib.rs:1"];

#[test]
fn what_is_not_named_is_allowed() {
    source(MIDDLE, "use std::time::Duration;\nuse std::sync::Arc;\n", &[]);
}
#[test]
fn a_use_is_found() {
    source(MIDDLE, "use std::{io::Read, net::TcpStream};\n", FIRST);
}
#[test]
fn a_path_is_found() {
    source(MIDDLE, "fn f() { let _ = ::std::fs::read(\"x\"); }\n", FIRST);
}
#[test]
fn a_type_is_found() {
    source(MIDDLE, "struct S { at: Option<std::time::SystemTime> }\n", FIRST);
}
#[test]
fn another_name_for_it_is_found() {
    let at = ["purity crates/middle/src/lib.rs:2"];
    source(MIDDLE, "use std as s;\nfn f() { let _ = s::fs::read(\"x\"); }\n", &at);
    source(MIDDLE, "use std::time;\nfn f() { let _ = time::SystemTime::now(); }\n", &at);
}
#[test]
fn everything_of_a_module_is_found() {
    source(MIDDLE, "use std::time::*;\n", FIRST);
    source(MIDDLE, "use std::fs::*;\n", FIRST);
}
#[test]
fn an_argument_of_a_macro_is_found() {
    source(MIDDLE, "fn f() { assert!(std::fs::read(\"x\").is_ok()); }\n", FIRST);
}
#[test]
fn the_body_of_a_macro_is_found() {
    source(MIDDLE, "macro_rules! m { () => { use std::{fs, io}; }; }\n", FIRST);
}
#[test]
fn async_is_found() {
    source(MIDDLE, "async fn f() {}\n", FIRST);
    source(MIDDLE, "fn f() -> impl Sized { async {} }\n", FIRST);
}
#[test]
fn comments_and_texts_are_not_read() {
    source(MIDDLE, "// std::fs\n/// std::fs\nconst S: &str = \"std::fs\";\n", &[]);
}
#[test]
fn tests_may() {
    source(MIDDLE, "#[cfg(test)]\nmod tests { use std::fs; }\n", &[]);
    source(MIDDLE, "#[cfg(all(test, unix))]\nuse std::fs;\n", &[]);
    source("crates/middle/tests/all.rs", "use std::fs;\n", &[]);
}
#[test]
fn files_of_test_modules_may() {
    let tree = Tree::new().with(MIDDLE, "#[cfg(test)]\nmod tests;\n");
    tree.with("crates/middle/src/tests.rs", "use std::fs;\n").check(&[]);
}
#[test]
fn what_is_left_out_of_tests_may_not() {
    let at = ["purity crates/middle/src/lib.rs:2"];
    source(MIDDLE, "#[cfg(not(test))]\nuse std::fs;\n", &at);
    source(MIDDLE, "#[cfg(any(test, unix))]\nuse std::fs;\n", &at);
}
#[test]
fn adapters_may() {
    source(ADAPTERS, "use std::fs;\nasync fn f() {}\n", &[]);
}
