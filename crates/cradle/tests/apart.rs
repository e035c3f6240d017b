//! What is said to who runs modules apart and has not everything for it. That it works is shown by `rigs/apart`, `rigs/modes`.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;

use common::Box_;

#[test]
fn an_installation_in_one_process_has_nothing_to_bring_up() {
    let b = Box_::new("apart-none");
    for command in [&["up"][..], &["serve", "--modules", "authority"]] {
        let said = b.fails(command, 2, "no-bus");
        assert!(said.contains("cradle init --bus URL"), "{said}");
    }
}

#[test]
fn only_modules_that_run_apart_are_named() {
    let b = Box_::new("apart-names");
    for name in ["gateway", "console", "supervisor", "km", ""] {
        let said = b.run(&["serve", "--modules", name]);
        assert_eq!(said.status.code(), Some(2), "{name}");
    }
    // Without somebody who started it.
    b.fails(&["serve", "--modules", "authority", "--supervised"], 2, "usage");
}

#[test]
fn a_broker_is_for_records_that_are_shared() {
    let b = Box_::empty("apart-init");
    let said = b.run(&["init", "--yes", "--bus", "nats://127.0.0.1:4222"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("--store"), "{said:?}");
    let b = Box_::new("apart-config");
    let path = b.data().join("cradle.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let with = |bus: &str| std::fs::write(&path, format!("{text}\n[bus]\n{bus}\n")).unwrap();
    for (bus, why) in [
        ("servers = [\"nats://127.0.0.1:1\"]", "[bus] needs [store]"),
        ("servers = []", "bus.servers"),
        ("servers = [\"nats://127.0.0.1:1\"]\ndomain = \"A B\"", "bus.domain"),
        ("servers = [\"nats://127.0.0.1:1\"]\nauthorities = 0", "bus.authorities"),
        ("servers = [\"nats://127.0.0.1:1\"]\nauthorities = 65", "bus.authorities"),
    ] {
        with(bus);
        let said = b.fails(&["mode", "show"], 2, "config");
        assert!(said.contains(why), "{said}");
    }
}
