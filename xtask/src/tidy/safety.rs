//! `unsafe` is in one crate, if anywhere, and every crate keeps the lints of the workspace.

use super::Finding;
use super::source::line;
use super::workspace::{Crate, Workspace};
use proc_macro2::{TokenStream, TokenTree};

/// The one crate that may, because it is thin enough to be read.
const MAY: &str = "sys";

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    for source in workspace.sources.iter().filter(|source| source.crate_name.as_deref() != Some(MAY)) {
        let mut lines = Vec::new();
        find(source.tokens.clone(), &mut lines);
        findings.extend(lines.into_iter().map(|line| Finding {
            path: source.path.clone(),
            line,
            check: "safety",
            what: "`unsafe`".to_owned(),
            why: format!("only the crate `{MAY}` may use it, where every use is read together"),
            next: "use a safe crate, or put a thin safe function there".to_owned(),
        }));
    }
    // It cannot keep a lint that forbids what it is for.
    for c in workspace.crates.iter().filter(|c| c.name != MAY && !keeps_lints(c)) {
        findings.push(Finding {
            path: c.manifest_path.clone(),
            line: 1,
            check: "safety",
            what: format!("`{}` does not keep the lints of the workspace", c.name),
            why: "what is forbidden everywhere would be allowed here".to_owned(),
            next: "add `[lints]` with `workspace = true`".to_owned(),
        });
    }
}

fn find(tokens: TokenStream, lines: &mut Vec<usize>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "unsafe" => lines.push(line(ident.span())),
            TokenTree::Group(group) => find(group.stream(), lines),
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn keeps_lints(c: &Crate) -> bool {
    let manifest: Option<toml::Table> = toml::from_str(&c.manifest).ok();
    let lints = manifest.as_ref().and_then(|manifest| manifest.get("lints"));
    lints.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}
