//! Only the store says that something is durable.

use super::Finding;
use super::names::paths_of;
use super::workspace::Workspace;
use syn::visit::{self, Visit};

/// What makes a token of durability out of nothing.
const ASSERTION: &str = "assert_durable";

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    let may = |path: &str| {
        workspace.layers.durable.only_in.iter().any(|place| path.strip_prefix(place).is_some_and(is_whole_name))
    };
    for source in workspace.product().filter(|source| !may(&source.path)) {
        let mut lines: Vec<usize> = paths_of(&source.product)
            .iter()
            .filter(|named| named.segments.last().is_some_and(|last| last == ASSERTION))
            .map(|named| named.line)
            .collect();
        let mut methods = Methods::default();
        methods.visit_file(&source.product);
        lines.extend(methods.lines);
        findings.extend(lines.into_iter().map(|line| Finding {
            path: source.path.clone(),
            line,
            check: "durable",
            what: format!("`{ASSERTION}` outside of the store"),
            why: "a signature may follow that no crash will remember".to_owned(),
            next: "take the token that the store gives, or call it from a test".to_owned(),
        }));
    }
}

fn is_whole_name(rest: &str) -> bool {
    rest.starts_with('/') || rest == ".rs"
}

#[derive(Default)]
struct Methods {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Methods {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == ASSERTION {
            self.lines.push(super::source::line(call.method.span()));
        }
        visit::visit_expr_method_call(self, call);
    }
}
