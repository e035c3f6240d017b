//! Which paths a file names, with what its `use` items say put in.
//!
//! Honest limits: `use` items count for the whole file, what a macro makes of its arguments is not known (their paths
//! are read as they stand), and a path that another crate re-exports is that crate's.

use super::source::line;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use syn::visit::{self, Visit};
use syn::{UseTree, spanned::Spanned};

/// A path that a file names.
pub(super) struct Named {
    /// Its segments; the last is `*` for `use x::*`.
    pub segments: Vec<String>,
    pub line: usize,
}

/// The names that the `use` items of a file bring in, and the paths behind them.
#[derive(Default)]
pub(super) struct Aliases {
    by_name: BTreeMap<String, Vec<String>>,
}

impl Aliases {
    /// Reads the `use` items of a file.
    pub(super) fn of(file: &syn::File) -> Self {
        let mut paths = Paths::default();
        paths.visit_file(file);
        paths.aliases
    }

    /// Puts the path behind the first segment in its place, as often as there is one.
    pub(super) fn resolve(&self, segments: &[String]) -> Vec<String> {
        // `use a as b; use b as c;` is two steps; nobody writes five, and a circle must end.
        const STEPS_MAX: usize = 5;
        let mut resolved = segments.to_vec();
        for _ in 0..STEPS_MAX {
            let Some((first, rest)) = resolved.split_first() else { break };
            let Some(behind) = self.by_name.get(first) else { break };
            let is_circle = behind.first() == Some(first);
            resolved = [behind, rest].concat();
            if is_circle {
                break;
            }
        }
        resolved
    }
}

/// All paths that a file names, resolved.
pub(super) fn paths_of(file: &syn::File) -> Vec<Named> {
    let mut paths = Paths::default();
    paths.visit_file(file);
    let Paths { named, aliases } = paths;
    named.into_iter().map(|n| Named { segments: aliases.resolve(&n.segments), line: n.line }).collect()
}

#[derive(Default)]
struct Paths {
    named: Vec<Named>,
    aliases: Aliases,
}

impl Paths {
    fn tree(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |ident: &syn::Ident| [prefix, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, prefix)),
            UseTree::Name(name) if name.ident == "self" => self.import(prefix.last().cloned(), prefix, name.span()),
            UseTree::Name(name) => self.import(Some(name.ident.to_string()), &with(&name.ident), name.span()),
            UseTree::Rename(rename) => {
                let path = if rename.ident == "self" { prefix.to_vec() } else { with(&rename.ident) };
                self.import(Some(rename.rename.to_string()), &path, rename.span());
            }
            UseTree::Glob(glob) => self.import(None, &[prefix, &["*".to_owned()]].concat(), glob.span()),
        }
    }

    fn import(&mut self, name: Option<String>, path: &[String], span: proc_macro2::Span) {
        self.named.push(Named { segments: path.to_vec(), line: line(span) });
        if let Some(name) = name {
            self.aliases.by_name.insert(name, path.to_vec());
        }
    }

    // `a::b::{c, d::e}` in tokens, wherever it stands.
    fn tokens(&mut self, tokens: TokenStream, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && path.len() > prefix.len() {
                        path = prefix.to_vec();
                    }
                    path.push(ident.to_string());
                    self.named.push(Named { segments: path.clone(), line: line(ident.span()) });
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Punct(_) | TokenTree::Literal(_) => (path, colons) = (prefix.to_vec(), 0),
                TokenTree::Group(group) => {
                    let continues = colons == 2 && group.delimiter() == Delimiter::Brace;
                    let inner = if continues { path.clone() } else { Vec::new() };
                    self.tokens(group.stream(), &inner);
                    (path, colons) = (prefix.to_vec(), 0);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.named.push(Named { segments, line: line(path.span()) });
        visit::visit_path(self, path);
    }
    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.tokens(mac.tokens.clone(), &[]);
        visit::visit_macro(self, mac);
    }
}
