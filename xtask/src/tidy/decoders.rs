//! Every decoder of foreign octets is fuzzed, and its seeds are replayed by the ordinary tests.

use super::Finding;
use super::source::{Source, line};
use super::workspace::Workspace;
use std::collections::BTreeSet;
use syn::Visibility;
use syn::visit::{self, Visit};

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    let fuzz = &workspace.layers.fuzz;
    let mut known = BTreeSet::new();
    for source in workspace.product() {
        if !source.crate_name.as_ref().is_some_and(|name| fuzz.crates.contains(name)) {
            continue;
        }
        for Decoder { name, line } in decoders(source) {
            if !fuzz.targets.contains_key(&name) {
                let what = format!("`{name}` has no fuzz target");
                let next = "write one (CONTRIBUTING.md, \"A new decoder\") and name it in layers.toml";
                findings.push(finding(&source.path, line, what, "octets of strangers reach it", next));
            }
            known.insert(name);
        }
    }
    for (decoder, target) in &fuzz.targets {
        if !known.contains(decoder) {
            let what = format!("`{decoder}` is no decoder of a crate in [fuzz]");
            let next = "take the line out, or correct the name";
            findings.push(finding(
                "layers.toml",
                1,
                what,
                "a table that names what is not there is not believed",
                next,
            ));
        }
        let crate_name = decoder.split("::").next().unwrap_or_default();
        findings.extend(missing(workspace, crate_name, target));
    }
}

/// What a target needs and has not: its file, its entry, its seeds, its replay.
fn missing(workspace: &Workspace, crate_name: &str, target: &str) -> Vec<Finding> {
    let file = format!("fuzz/fuzz_targets/{target}.rs");
    let seeds = format!("fuzz/corpus/{target}/");
    let replay = format!("crates/{crate_name}/tests/corpus.rs");
    let says = |path: &str, words: &str| workspace.texts.iter().any(|t| t.path == path && t.text.contains(words));
    let has_seed = workspace.paths.iter().any(|p| p.starts_with(&seeds) && !p.ends_with('/'));
    let needs = [
        (workspace.has(&file), &file, "there is no such file, so nothing feeds the decoder"),
        (says("fuzz/Cargo.toml", &format!("{target:?}")), &"fuzz/Cargo.toml".to_owned(), "cargo-fuzz does not know it"),
        (has_seed, &seeds, "without seeds it takes a fuzzer for ever to get past the first tag"),
        (says(&replay, &format!("{target:?}")), &replay, "a crash that was found once can come back unseen"),
    ];
    needs
        .into_iter()
        .filter(|(is_met, _, _)| !is_met)
        .map(|(_, path, why)| {
            finding(
                path,
                1,
                format!("fuzz target {target:?} is missing here"),
                why,
                "see CONTRIBUTING.md, \"A new decoder\"",
            )
        })
        .collect()
}

fn finding(path: &str, line: usize, what: String, why: &str, next: &str) -> Finding {
    Finding { path: path.to_owned(), line, check: "decoders", what, why: why.to_owned(), next: next.to_owned() }
}

struct Decoder {
    name: String,
    line: usize,
}

fn decoders(source: &Source) -> Vec<Decoder> {
    let mut functions = Functions { of: source.module.clone(), found: Vec::new() };
    functions.visit_file(&source.product);
    functions.found
}

struct Functions {
    of: String,
    found: Vec<Decoder>,
}

impl Functions {
    fn note(&mut self, visibility: &Visibility, ident: &syn::Ident) {
        let name = ident.to_string();
        if matches!(visibility, Visibility::Public(_)) && (name == "decode" || name.starts_with("decode_")) {
            self.found.push(Decoder { name: format!("{}::{name}", self.of), line: line(ident.span()) });
        }
    }

    fn inside(&mut self, name: &str, visit: impl FnOnce(&mut Self)) {
        let inner = format!("{}::{name}", self.of);
        let outer = std::mem::replace(&mut self.of, inner);
        visit(self);
        self.of = outer;
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.vis, &item.sig.ident);
    }
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.vis, &item.sig.ident);
    }
    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        if let syn::Type::Path(path) = block.self_ty.as_ref()
            && let Some(segment) = path.path.segments.last()
        {
            self.inside(&segment.ident.to_string(), |v| visit::visit_item_impl(v, block));
        }
    }
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside(&item.ident.to_string(), |v| visit::visit_item_mod(v, item));
    }
}
