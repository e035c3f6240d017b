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
