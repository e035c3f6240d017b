//! Tidy finds nothing in this workspace, and each broken rule in a made-up one.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic)]

mod tree;

use std::process::Command;
use tree::Tree;

const LOW: &str = "crates/low/src/lib.rs";
const MIDDLE: &str = "crates/middle/src/lib.rs";
const ADAPTERS: &str = "crates/adapters/src/lib.rs";

/// Writes a source into a file of a tree without findings.
#[track_caller]
fn source(path: &str, text: &str, expected: &[&str]) {
    Tree::new().with(path, text).check(expected);
}

/// Writes the sections of a crate's manifest.
#[track_caller]
fn manifest(name: &str, sections: &str, expected: &[&str]) {
    Tree::new().depending(name, sections).check(expected);
}

#[test]
fn this_workspace_is_tidy() {
    let said = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("tidy").output().expect("tidy can be started");
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}
#[test]
fn a_clean_tree_is_tidy() {
    Tree::new().check(&[]);
}
#[test]
fn a_finding_is_one_line() {
    let said = Tree::new().with(MIDDLE, "use std::fs;\n").tidy(&[]);
    let text = "crates/middle/src/lib.rs:1: `std::fs` in `middle`, what a pure crate does depends on its arguments \
                only, take octets [purity]\n";
    assert_eq!(String::from_utf8_lossy(&said.stdout), text);
    assert_eq!(said.status.code(), Some(1));
}
#[test]
fn a_tree_that_cannot_be_read_is_no_tidy_tree() {
    assert_eq!(Tree::new().without("layers.toml").tidy(&[]).status.code(), Some(2));
}
#[test]
fn an_unknown_key_in_layers_is_refused() {
    let tree = Tree::new().replacing("layers.toml", "level_max = 1", "level_max = 1\nlevel_min = 0");
    assert_eq!(tree.tidy(&[]).status.code(), Some(2));
}
#[test]
fn an_argument_that_is_not_understood_is_refused() {
    assert_eq!(Tree::new().tidy(&["--quick", "yes"]).status.code(), Some(2));
}
#[test]
fn what_is_not_rust_is_found() {
    source(MIDDLE, "fn (", &["parse crates/middle/src/lib.rs:1"]);
}

mod levels {
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
}

mod purity {
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
}

mod durable {
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
        source(
            ADAPTERS,
            "fn f() { vec![DurableRecord::assert_durable()]; }\n",
            &["durable crates/adapters/src/lib.rs:1"],
        );
    }
    #[test]
    fn the_definition_is_no_call() {
        source(LOW, "pub fn decode() {}\nimpl S { pub fn assert_durable() {} }\n", &[]);
    }
    #[test]
    fn the_store_may() {
        source("crates/adapters/src/store/sqlite.rs", CALL, &[]);
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
}

mod sizes {
    use super::*;

    const FILE: &str = "crates/middle/src/a.rs";

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "g();\n".repeat(lines - 2))
    }
    #[track_caller]
    fn ratchet(lines: usize, entry: &str, expected: &[&str]) {
        Tree::new().with(FILE, &function(lines)).with("xtask/ratchet.toml", entry).check(expected);
    }
    fn entry(lines: usize) -> String {
        format!("[[function]]\npath = \"{FILE}\"\nname = \"f\"\nlines = {lines}\n")
    }

    #[test]
    fn seventy_lines_are_a_function() {
        source(FILE, &function(70), &[]);
    }
    #[test]
    fn seventy_one_lines_are_found() {
        source(FILE, &function(71), &["sizes crates/middle/src/a.rs:1"]);
    }
    #[test]
    fn documentation_is_not_counted() {
        source(FILE, &format!("{}{}", "/// x\n".repeat(100), function(70)), &[]);
    }
    #[test]
    fn methods_are_functions() {
        source(FILE, &format!("impl S {{\n{}}}\n", function(71)), &["sizes crates/middle/src/a.rs:2"]);
    }
    #[test]
    fn five_hundred_lines_are_a_file() {
        source(FILE, &"// x\n".repeat(500), &[]);
        source(FILE, &"// x\n".repeat(501), &["sizes crates/middle/src/a.rs:1"]);
    }
    #[test]
    fn a_door_is_smaller() {
        source(MIDDLE, &"// x\n".repeat(99), &[]);
        source(MIDDLE, &"// x\n".repeat(100), &["sizes crates/middle/src/lib.rs:1"]);
    }
    #[test]
    fn tests_are_not_counted() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(600));
        source(FILE, &format!("{}{tests}", "// x\n".repeat(500)), &[]);
        source("crates/middle/tests/all.rs", &function(600), &[]);
    }
    #[test]
    fn what_is_on_the_ratchet_is_left_alone() {
        ratchet(80, &entry(80), &[]);
    }
    #[test]
    fn what_grows_is_found() {
        ratchet(81, &entry(80), &["sizes crates/middle/src/a.rs:1"]);
    }
    #[test]
    fn what_shrinks_takes_the_ratchet_along() {
        ratchet(79, &entry(80), &["sizes xtask/ratchet.toml:1"]);
    }
    #[test]
    fn what_is_small_enough_leaves_the_ratchet() {
        ratchet(70, &entry(80), &["sizes xtask/ratchet.toml:1"]);
    }
    #[test]
    fn what_is_gone_leaves_the_ratchet() {
        ratchet(10, "[[file]]\npath = \"crates/middle/src/b.rs\"\nlines = 600\n", &["sizes xtask/ratchet.toml:1"]);
    }
}

mod documents {
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
}

mod arms {
    use super::*;

    #[track_caller]
    fn check(arms: &str, is_found: bool) {
        let text = format!("use model::{{Fault, Reason, Reason as Why}};\nfn f() {{ match x {{\n{arms}\n}} }}\n");
        let at = ["arms crates/middle/src/lib.rs:3"];
        source(MIDDLE, &text, if is_found { &at } else { &[] });
    }

    #[test]
    fn all_variants() {
        check("Fault::Malformed(_) => 1, Fault::Refused(_) => 2, model::Fault::Unavailable(why) => 3,", false);
    }
    #[test]
    fn a_rest_is_found() {
        check("_ => 1, Fault::Malformed(_) => 1,", true);
        check("Reason::NoGrant => 1, Fault::Malformed(_) | _ => 1,", true);
    }
    #[test]
    fn a_name_for_the_rest_is_found() {
        check("other => 1, Reason::NoGrant => 1,", true);
        check("other @ _ => 1, Reason::NoGrant => 1,", true);
    }
    #[test]
    fn a_rest_inside_is_found() {
        check("Err(_) => 1, Err(Fault::Malformed(_)) => 1, Ok(_) => 2", true);
        check("Fault::Refused(_) => 1, Fault::Refused(Reason::NoGrant) => 2, Fault::Malformed(_) => 3", true);
        check("Fault::Refused(..) => 1, Fault::Refused(Reason::NoGrant) => 2, Fault::Malformed(_) => 3", true);
        check("(_, true) => 1, (&Reason::NoGrant, false) => 2", true);
        check("S { a: 1, .. } => 1, S { why: Reason::NoGrant, .. } => 2", true);
    }
    #[test]
    fn a_rest_of_something_else_is_allowed() {
        check("Ok(_) => 2, Err(Fault::Malformed(_)) => 1, Err(Fault::Refused(_) | Fault::Unavailable(_)) => 3", false);
        check("(Reason::NoGrant, _) => 1, (Reason::GrantSpent, n) => 2", false);
        check("S { why: Reason::NoGrant, .. } => 2, S { why: Reason::GrantSpent, .. } => 2", false);
        check("Mode::Sealed => 1, _ => 2", false);
    }
    #[test]
    fn a_rest_with_a_guard_is_allowed() {
        check("_ if busy => 1, Reason::NoGrant => 2, Reason::GrantSpent => 3", false);
    }
    #[test]
    fn other_names_are_seen_through() {
        check("_ => 1, Why::NoGrant => 2", true);
        let text = "use Reason::NoGrant;\nfn f() { match x { NoGrant => 1,\n_ => 2 } }\n";
        source(MIDDLE, text, &["arms crates/middle/src/lib.rs:3"]);
        let text = "impl Fault { fn f(&self) { match self { Self::Malformed(_) => 1,\n_ => 2 } } }\n";
        source(MIDDLE, text, &["arms crates/middle/src/lib.rs:2"]);
    }
    #[test]
    fn a_match_in_a_macro_is_seen() {
        let text = "fn f() { assert!(match x { Reason::NoGrant => true,\n_ => false }); }\n";
        source(MIDDLE, text, &["arms crates/middle/src/lib.rs:2"]);
    }
    #[test]
    fn asking_for_one_is_allowed() {
        source(MIDDLE, "fn f() { if let Reason::NoGrant = x {}; matches!(x, Reason::NoGrant); }\n", &[]);
    }
    #[test]
    fn tests_may() {
        source(MIDDLE, "#[test]\nfn f() { match x { Reason::NoGrant => 1, _ => 2 } }\n", &[]);
    }
}

mod texts {
    use super::*;

    const AT: &str = "tool/run.sh";

    #[track_caller]
    fn line(check: &str, text: &str, is_found: bool) {
        let place = format!("{check} {AT}:2");
        let expected = [place.as_str()];
        source(AT, &format!("#!/bin/sh\n{text}\n"), if is_found { &expected } else { &[] });
    }

    // In two halves, so that this file passes the check.
    const LATER: &str = concat!("TO", "DO");

    #[test]
    fn what_is_to_do_has_a_number() {
        line("markers", &format!("# {LATER}(#12): later"), false);
        line("markers", &format!("# {LATER}: later"), true);
        line("markers", &format!("# {LATER}(somebody): later"), true);
        line("markers", &format!("# {LATER}(#12) and {LATER}"), true);
        line("markers", &format!("# {LATER}S my{LATER}"), false);
        line("markers", concat!("# FIX", "ME"), true);
    }
    #[test]
    fn documents_may_speak_of_it() {
        source("README.md", &format!("No {LATER} without a number.\n"), &[]);
    }
    #[test]
    fn people_are_not_named() {
        line("people", concat!("# Author", ": Somebody"), true);
        line("people", concat!("# mail somebody", "@corp.com"), true);
        line("people", "# mail somebody@corp.example or root@localhost", false);
        line("people", "git clone ssh://git@host.com/x; systemctl start cradle@1.service", false);
    }
    #[test]
    fn manifests_have_no_authors() {
        let text = concat!("auth", "ors = [\"x\"]\n");
        let tree = Tree::new().replacing("crates/low/Cargo.toml", "edition", &format!("{text}edition"));
        tree.check(&["people crates/low/Cargo.toml:3"]);
    }
    #[test]
    fn places_outside_are_not_named() {
        line("places", concat!("cat ../", "shared/x"), true);
        line("places", concat!("cd /wo", "rk/main"), true);
        line("places", concat!("cd $HOME/wo", "rk/main"), false);
        line("places", concat!("X=/tmp", "/h/x"), true);
        line("places", concat!("'/fa", "rm/x'"), true);
    }
    #[test]
    fn what_git_ignores_is_not_read() {
        let tree = Tree::new().with(".gitignore", "/out\nscratch/\n").with("out/x.sh", &format!("# {LATER}\n"));
        tree.with("tool/scratch/x.sh", &format!("# {LATER}\n")).check(&[]);
    }
    #[test]
    fn octets_and_other_peoples_words_are_not_read() {
        let tree = Tree::new().with("LICENSE", &format!("{LATER}\n")).with("Cargo.lock", &format!("# {LATER}\n"));
        tree.with("fuzz/corpus/word/other", &format!("{LATER}\n")).check(&[]);
    }
}

mod decoders {
    use super::*;

    #[test]
    fn a_decoder_without_a_target_is_found() {
        source(LOW, "pub fn decode() {}\npub fn decode_all() {}\n", &["decoders crates/low/src/lib.rs:2"]);
    }
    #[test]
    fn a_method_is_a_decoder() {
        let tree = Tree::new().with("crates/low/src/a.rs", "impl S<'_> {\n    pub fn decode() {}\n}\n");
        tree.check(&["decoders crates/low/src/a.rs:2"]);
        let mapped = "[fuzz.targets]\n\"low::a::S::decode\" = \"word\"";
        tree.replacing("layers.toml", "[fuzz.targets]", mapped).check(&[]);
    }
    #[test]
    fn what_strangers_cannot_call_is_no_decoder() {
        source(LOW, "pub fn decode() {}\npub(crate) fn decode_all() {}\nfn decode_some() {}\n", &[]);
    }
    #[test]
    fn other_crates_are_not_asked() {
        source(MIDDLE, "pub fn decode() {}\n", &[]);
    }
    #[test]
    fn a_line_without_a_decoder_is_found() {
        source(LOW, "\n", &["decoders layers.toml:1"]);
    }
    #[test]
    fn a_target_needs_its_file() {
        Tree::new().without("fuzz/fuzz_targets/word.rs").check(&["decoders fuzz/fuzz_targets/word.rs:1"]);
    }
    #[test]
    fn a_target_needs_its_entry() {
        source("fuzz/Cargo.toml", "\n", &["decoders fuzz/Cargo.toml:1"]);
    }
    #[test]
    fn a_target_needs_seeds() {
        Tree::new().without("fuzz/corpus/word/seed").check(&["decoders fuzz/corpus/word/:1"]);
    }
    #[test]
    fn a_target_needs_its_replay() {
        source("crates/low/tests/corpus.rs", "\n", &["decoders crates/low/tests/corpus.rs:1"]);
    }
}

mod safety {
    use super::*;

    const UNSAFE: &str = "fn f() { unsafe {} }\n";

    #[test]
    fn unsafe_is_found() {
        source(MIDDLE, UNSAFE, &["safety crates/middle/src/lib.rs:1"]);
        source(MIDDLE, "macro_rules! m { () => { unsafe { f() } }; }\n", &["safety crates/middle/src/lib.rs:1"]);
    }
    #[test]
    fn unsafe_in_tests_is_found() {
        source("crates/middle/tests/all.rs", UNSAFE, &["safety crates/middle/tests/all.rs:1"]);
        source("fuzz/fuzz_targets/word.rs", UNSAFE, &["safety fuzz/fuzz_targets/word.rs:1"]);
    }
    #[test]
    fn the_word_alone_is_allowed() {
        source(MIDDLE, "// unsafe\nconst S: &str = \"unsafe\";\n", &[]);
    }
    #[test]
    fn sys_may() {
        let tree = Tree::new().with("crates/sys/Cargo.toml", "[package]\nname = \"sys\"\n");
        tree.replacing("layers.toml", "low = 0", "low = 0\nsys = 0").with("crates/sys/src/lib.rs", UNSAFE).check(&[]);
    }
    #[test]
    fn a_crate_without_the_lints_is_found() {
        let tree = Tree::new().with("crates/low/Cargo.toml", "[package]\nname = \"low\"\n");
        tree.check(&["safety crates/low/Cargo.toml:1"]);
        tree.with("crates/low/Cargo.toml", "[package]\nname = \"low\"\n[lints]\nworkspace = true\n").check(&[]);
    }
}
