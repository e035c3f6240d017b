//! The lower levels are pure: no I/O, no clock, no randomness, no threads, no `async` outside of their tests.
//!
//! It reads names, so it cannot see I/O behind a method of a value that came in as an argument; that is what arguments
//! are for.

use super::Finding;
use super::names::{Named, paths_of};
use super::source::{Source, line};
use super::workspace::Workspace;
use syn::visit::{self, Visit};

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    for source in workspace.product() {
        let Some(name) = source.crate_name.as_deref().filter(|name| workspace.layers.is_pure(name)) else { continue };
        let mut lines = Vec::new();
        for named in paths_of(&source.product) {
            let impure = workspace.layers.pure.paths.iter().find(|impure| is_in(&named, &impure.path));
            // One finding a line is enough; several paths of one `use` lie on one.
            if let Some(impure) = impure.filter(|_| !lines.contains(&named.line)) {
                lines.push(named.line);
                findings.push(finding(source, named.line, named.segments.join("::"), name, impure.instead.clone()));
            }
        }
        let mut asyncs = Asyncs::default();
        asyncs.visit_file(&source.product);
        for line in asyncs.lines {
            let instead = "take octets and give octets; what waits stands at level 4 or above".to_owned();
            findings.push(finding(source, line, "async".to_owned(), name, instead));
        }
    }
}

// A glob over the parent brings the forbidden name in too.
fn is_in(named: &Named, forbidden: &str) -> bool {
    let forbidden: Vec<&str> = forbidden.split("::").collect();
    let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
    // `core` has none of what is forbidden, but for names that it shares with `std`.
    let segments: Vec<&str> = match segments.split_first() {
        Some((&"core" | &"alloc", rest)) => [&["std"], rest].concat(),
        _ => segments,
    };
    match segments.split_last() {
        Some((&"*", parent)) => forbidden.starts_with(parent) || parent.starts_with(&forbidden),
        _ => segments.starts_with(&forbidden),
    }
}

fn finding(source: &Source, line: usize, what: String, name: &str, instead: String) -> Finding {
    Finding {
        path: source.path.clone(),
        line,
        check: "purity",
        what: format!("`{what}` in `{name}`"),
        why: "what a pure crate does depends on its arguments only".to_owned(),
        next: instead,
    }
}

#[derive(Default)]
struct Asyncs {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Asyncs {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.lines.extend(signature.asyncness.map(|token| line(token.span)));
        visit::visit_signature(self, signature);
    }
    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.lines.push(line(block.async_token.span));
        visit::visit_expr_async(self, block);
    }
}
