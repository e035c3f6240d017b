//! A Rust file, taken apart into what goes into the product and what tests it.

use proc_macro2::{Span, TokenStream};
use std::collections::BTreeSet;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Item, Meta, Token, punctuated::Punctuated};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It goes into the product, but for its test modules.
    Product,
    /// It tests, measures, shows or builds.
    Test,
}

/// A Rust file.
pub(super) struct Source {
    pub path: String,
    /// The crate that it belongs to, if it is one of the workspace.
    pub crate_name: Option<String>,
    /// The path of its module: `x509::csr`.
    pub module: String,
    pub role: Role,
    /// The file without its tests.
    pub product: syn::File,
    /// All of the file.
    pub tokens: TokenStream,
    /// How many lines the file has without its tests.
    pub lines: usize,
    /// Where the files of test modules are that are named here, without `.rs`.
    pub test_modules: Vec<String>,
}

impl Source {
    /// Takes a file apart. `of` is the crate and the path in it.
    pub(super) fn parse(path: &str, text: &str, of: Option<(&str, &str)>) -> Result<Self, String> {
        let tokens: TokenStream = text.parse().map_err(|e| format!("not Rust: {e}"))?;
        let mut product = syn::parse_file(text).map_err(|e| format!("not Rust: {e}"))?;
        let role = match of {
            Some((_, inside)) if !inside.starts_with("src/") => Role::Test,
            _ if product.attrs.iter().any(is_test) => Role::Test,
            _ => Role::Product,
        };
        let mut cut = Cut { folder: module_folder(path), lines: BTreeSet::new(), test_modules: Vec::new() };
        cut.visit_file_mut(&mut product);
        let lines = text.lines().count().saturating_sub(cut.lines.len());
        let crate_name = of.map(|(name, _)| name.to_owned());
        let module = of.map(|(name, inside)| module(name, inside)).unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            crate_name,
            module,
            role,
            product,
            tokens,
            lines,
            test_modules: cut.test_modules,
        })
    }
}

/// The first line of something.
pub(super) fn line(span: Span) -> usize {
    span.start().line
}

// `crates/x/src/a.rs` keeps its modules in `crates/x/src/a/`, `lib.rs`, `main.rs` and `mod.rs` beside themselves.
fn module_folder(path: &str) -> String {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    if matches!(name, "lib" | "main" | "mod") { format!("{folder}/") } else { format!("{stem}/") }
}

fn module(crate_name: &str, inside: &str) -> String {
    let inside = inside.strip_prefix("src/").unwrap_or(inside);
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let names = stem.split('/').filter(|name| !matches!(*name, "lib" | "main" | "mod"));
    std::iter::once(crate_name).chain(names).collect::<Vec<_>>().join("::")
}

/// Takes out what is compiled for tests only, and remembers where it was.
struct Cut {
    folder: String,
    lines: BTreeSet<usize>,
    test_modules: Vec<String>,
}

impl Cut {
    fn keeps(&mut self, attrs: &[Attribute], span: Span) -> bool {
        let is_test = attrs.iter().any(is_test);
        if is_test {
            self.lines.extend(span.start().line..=span.end().line);
        }
        !is_test
    }
}

impl VisitMut for Cut {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| self.keeps_item(item));
        visit_mut::visit_file_mut(self, file);
    }
    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| self.keeps_item(item));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }
    fn visit_item_impl_mut(&mut self, block: &mut syn::ItemImpl) {
        block.items.retain(|item| match item {
            syn::ImplItem::Fn(i) => self.keeps(&i.attrs, i.span()),
            syn::ImplItem::Const(i) => self.keeps(&i.attrs, i.span()),
            _ => true,
        });
        visit_mut::visit_item_impl_mut(self, block);
    }
    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        block.stmts.retain(|statement| match statement {
            syn::Stmt::Item(item) => self.keeps_item(item),
            syn::Stmt::Local(local) => self.keeps(&local.attrs, local.span()),
            _ => true,
        });
        visit_mut::visit_block_mut(self, block);
    }
}

impl Cut {
    fn keeps_item(&mut self, item: &Item) -> bool {
        let keeps = self.keeps(attributes(item), item.span());
        if let Item::Mod(module) = item
            && !keeps
            && module.content.is_none()
        {
            self.test_modules.push(format!("{}{}", self.folder, module.ident));
        }
        keeps
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::ExternCrate(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::ForeignMod(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Union(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// Whether an attribute keeps what follows out of the product: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_test(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args::<Meta>().is_ok_and(|meta| asks_for_test(&meta))
        }
        _ => false,
    }
}

fn asks_for_test(meta: &Meta) -> bool {
    match meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(asks_for_test)),
        _ => false,
    }
}
