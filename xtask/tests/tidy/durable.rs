use super::*;

const CALL: &str = "fn f() { DurableIntent::assert_durable(); }\n";

#[test]
fn a_call_is_found() {
    source(ADAPTERS, CALL, &["durable crates/adapters/src/lib.rs:1"]);
}
#[test]
fn a_call_by_another_way_is_found() {
    source(
        ADAPTERS,
        "fn f() { let g = <ports::DurableRecord>::assert_durable; }\n",
        &["durable crates/adapters/src/lib.rs:1"],
    );
    source(ADAPTERS, "fn f() { vec![DurableRecord::assert_durable()]; }\n", &["durable crates/adapters/src/lib.rs:1"]);
}
#[test]
fn the_definition_is_no_call() {
    source(LOW, "pub fn decode() {}\nimpl S { pub fn assert_durable() {} }\n", &[]);
}
#[test]
fn the_store_may() {
    source("crates/adapters/src/store/sql.rs", CALL, &[]);
    source("crates/adapters/src/store.rs", CALL, &[]);
}
#[test]
fn who_is_called_like_the_store_may_not() {
    source("crates/adapters/src/storekeeper.rs", CALL, &["durable crates/adapters/src/storekeeper.rs:1"]);
}
#[test]
fn tests_may() {
    source("crates/middle/tests/all.rs", CALL, &[]);
    source(MIDDLE, &format!("#[cfg(test)]\nmod tests {{ {CALL} }}\n"), &[]);
    source(MIDDLE, "/// ```\n/// DurableIntent::assert_durable();\n/// ```\nfn f() {}\n", &[]);
}
