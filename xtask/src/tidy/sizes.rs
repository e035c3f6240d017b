//! Functions and files are small enough to be read at once. What is larger is on the ratchet, which only goes down.

use super::Finding;
use super::source::Source;
use super::workspace::Workspace;
use std::collections::BTreeMap;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Most lines of a function: what a screen shows.
const FUNCTION_LINES_MAX: usize = 70;
/// Most lines of a file, its tests not counted.
const FILE_LINES_MAX: usize = 500;
/// Most lines of a `lib.rs`, which is a door and no room.
const LIB_LINES_MAX: usize = 99;
const RATCHET: &str = "xtask/ratchet.toml";

/// A file, or a function in it.
type Place = (String, Option<String>);

/// How long something is, how long it should be, and where it begins.
struct Length {
    lines: usize,
    lines_max: usize,
    line: usize,
}

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    let measured: BTreeMap<Place, Length> = workspace.product().flat_map(measure).collect();
    let listed = ratchet(workspace);
    for (place, length) in &measured {
        let allowed = listed.get(place).copied();
        findings.extend(judge(place, length, allowed));
    }
    for place in listed.keys().filter(|place| !measured.contains_key(*place)) {
        findings.push(ratchet_finding(place, "is not there any more", "take the entry out"));
    }
}

fn ratchet(workspace: &Workspace) -> BTreeMap<Place, usize> {
    let files = workspace.ratchet.file.iter().map(|f| ((f.path.clone(), None), f.lines));
    let functions = workspace.ratchet.function.iter().map(|f| ((f.path.clone(), Some(f.name.clone())), f.lines));
    files.chain(functions).collect()
}

fn judge(place: &Place, length: &Length, allowed: Option<usize>) -> Option<Finding> {
    let Length { lines, lines_max, line } = *length;
    let too_long = |allowed: usize, next: &str| Finding {
        path: place.0.clone(),
        line,
        check: "sizes",
        what: format!("{} has {lines} lines", spoken(place)),
        why: format!("{allowed} can be read at once"),
        next: next.to_owned(),
    };
    match allowed {
        None if lines > lines_max => Some(too_long(lines_max, "take a part out that has a name of its own")),
        None => None,
        Some(_) if lines <= lines_max => Some(ratchet_finding(place, "is small enough now", "take the entry out")),
        Some(allowed) if lines > allowed => {
            Some(too_long(allowed, "make it smaller: it is on the ratchet, which only goes down"))
        }
        Some(allowed) if lines < allowed => {
            Some(ratchet_finding(place, &format!("is smaller than {allowed} lines"), &format!("write lines = {lines}")))
        }
        Some(_) => None,
    }
}

fn spoken((path, function): &Place) -> String {
    function.as_ref().map_or_else(|| format!("`{path}`"), |name| format!("`{name}`"))
}

fn ratchet_finding(place: &Place, what: &str, next: &str) -> Finding {
    Finding {
        path: RATCHET.to_owned(),
        line: 1,
        check: "sizes",
        what: format!("{} of `{}` {what}", spoken(place), place.0),
        why: "the ratchet only goes down".to_owned(),
        next: next.to_owned(),
    }
}

fn measure(source: &Source) -> Vec<(Place, Length)> {
    let lines_max = if source.path.ends_with("src/lib.rs") { LIB_LINES_MAX } else { FILE_LINES_MAX };
    let file = ((source.path.clone(), None), Length { lines: source.lines, lines_max, line: 1 });
    let mut functions = Functions { path: source.path.clone(), of: String::new(), found: vec![file] };
    functions.visit_file(&source.product);
    functions.found
}

struct Functions {
    path: String,
    of: String,
    found: Vec<(Place, Length)>,
}

impl Functions {
    // From `fn` to the brace: what stands above it is documentation.
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let last = block.span().end().line;
        let name = format!("{}{}", self.of, signature.ident);
        let length = Length { lines: last.saturating_sub(first) + 1, lines_max: FUNCTION_LINES_MAX, line: first };
        self.found.push(((self.path.clone(), Some(name)), length));
    }

    fn inside(&mut self, name: &str, visit: impl FnOnce(&mut Self)) {
        let inner = format!("{}{name}::", self.of);
        let outer = std::mem::replace(&mut self.of, inner);
        visit(self);
        self.of = outer;
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        self.inside(&item.sig.ident.to_string(), |v| visit::visit_item_fn(v, item));
    }
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        self.inside(&item.sig.ident.to_string(), |v| visit::visit_impl_item_fn(v, item));
    }
    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        self.inside(&item.sig.ident.to_string(), |v| visit::visit_trait_item_fn(v, item));
    }
    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        let of = type_name(&block.self_ty);
        // One type has one `fmt` for each of several traits.
        let name = match block.trait_.as_ref().and_then(|(path, _)| path.segments.last()) {
            Some(segment) => format!("<{of} as {}>", segment.ident),
            None => of,
        };
        self.inside(&name, |v| visit::visit_item_impl(v, block));
    }
    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.inside(&item.ident.to_string(), |v| visit::visit_item_trait(v, item));
    }
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside(&item.ident.to_string(), |v| visit::visit_item_mod(v, item));
    }
}

fn type_name(of: &syn::Type) -> String {
    match of {
        syn::Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default(),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => String::new(),
    }
}
