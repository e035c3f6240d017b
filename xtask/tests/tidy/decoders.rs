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
