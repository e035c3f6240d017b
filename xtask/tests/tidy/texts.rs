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
