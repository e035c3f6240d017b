//! Who gets what: every route, asked by everybody. docs/access.md is made from the tables here, and a route that is added does not compile, or
//! fails, until it has its row. The gateway is asked here; ACME, the operator API and the director beside what else is asked of them:
//! `acme::matrix`, `api::matrix`, `director::matrix`.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../scep/hand.rs"]
mod hand;
#[path = "../site/mod.rs"]
mod site;

#[path = "../cmp/hand.rs"]
mod cmp_hand;

mod accounts;
mod calls;
mod directions;
mod doors;
mod notices;
mod page;
mod scene;
mod table;

use scene::{Keys, Scene};
use table::{Verdict, Who};

#[test]
fn everybody_gets_what_the_table_says() {
    ask_all("matrix", Keys::Rsa);
}

#[test]
fn everybody_who_asks_for_a_key_gets_what_the_table_says() {
    ask_all("matrix-made", Keys::Agreeing);
}

fn ask_all(name: &str, keys: Keys) {
    let scene = Scene::new(name, keys);
    let up = scene.site.up();
    let mut wrong = Vec::new();
    let mut refused = Vec::new();
    for route in keys.routes() {
        for who in Who::ALL {
            let wanted = table::verdict(route, who);
            let got = scene.ask(&up, route, who);
            match (wanted, got) {
                (Verdict::Refused(code), scene::Got::Refused(identifier)) => {
                    refused.push((route, who, identifier, code))
                }
                (Verdict::Answered, scene::Got::Answered) | (Verdict::MustShow, scene::Got::MustShow) => {}
                (Verdict::Unspoken, scene::Got::Unspoken) => {}
                (wanted, got) => wrong.push(format!("{route:?} by {who:?}: {got:?}, not {wanted:?}")),
            }
        }
    }
    up.down();
    for (route, who, identifier, code) in refused {
        let said = scene.explained(&identifier);
        if !said.contains(&format!("({code})")) {
            wrong.push(format!("{route:?} by {who:?} is not refused for {code}, but: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nobody but the right one was given a certificate.
    scene.only_the_right_one_has_more();
}

#[test]
fn sm_is_told_of_news_by_who_has_the_secret() {
    notices::ask_all();
}

#[test]
fn in_each_mode_nothing_listens_but_what_the_table_says() {
    doors::knock_at_all();
}

#[test]
fn the_page_says_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access.md");
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page::page(),
        "docs/access.md is not made from the table: run the test that writes it, which is ignored"
    );
}

#[test]
#[ignore = "it writes docs/access.md"]
fn write_the_page() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access.md");
    std::fs::write(path, page::page()).unwrap();
}
