//! A new way to fail stops the build wherever ways to fail are told apart: no `match` that names a `Fault` or a
//! `Reason` has an arm for the rest.
//!
//! A pattern is a tree, so the rule is kept by place: in `match r { Err(Fault::Refused(_)) => …, Ok(_) => … }` the
//! place under `Err` names faults, the one under `Ok` does not. An arm with a guard does not make a match exhaustive,
//! so it may catch what it likes.

use super::Finding;
use super::names::Aliases;
use super::source::line;
use super::workspace::Workspace;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Pat, Path, punctuated::Punctuated};

/// The enums that are told apart without a rest.
const EXHAUSTIVE: [&str; 2] = ["Fault", "Reason"];

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    for source in workspace.product() {
        let mut matches =
            Matches { aliases: Aliases::of(&source.product), self_type: String::new(), caught: Vec::new() };
        matches.visit_file(&source.product);
        findings.extend(matches.caught.into_iter().map(|Caught { line, of }| Finding {
            path: source.path.clone(),
            line,
            check: "arms",
            what: format!("an arm for every other `{of}`"),
            why: "a new one would be taken for something that nobody decided".to_owned(),
            next: "name the variants, or ask with `if let` or `matches!` if only one matters".to_owned(),
        }));
    }
}

struct Caught {
    line: usize,
    of: &'static str,
}

struct Matches {
    aliases: Aliases,
    self_type: String,
    caught: Vec<Caught>,
}

impl<'ast> Visit<'ast> for Matches {
    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        let name = match block.self_ty.as_ref() {
            syn::Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default(),
            _ => String::new(),
        };
        let outer = std::mem::replace(&mut self.self_type, name);
        visit::visit_item_impl(self, block);
        self.self_type = outer;
    }
    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        self.judge(&expression.arms);
        visit::visit_expr_match(self, expression);
    }
    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // Arguments that are expressions, as of `assert!` and `format!`, may hold a match.
        if let Ok(arguments) = mac.parse_body_with(Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated) {
            let mut inner = Self { aliases: Aliases::default(), self_type: self.self_type.clone(), caught: Vec::new() };
            std::mem::swap(&mut inner.aliases, &mut self.aliases);
            arguments.iter().for_each(|argument| inner.visit_expr(argument));
            std::mem::swap(&mut inner.aliases, &mut self.aliases);
            self.caught.extend(inner.caught);
        }
    }
}

/// What stands at a place of a pattern.
enum Part {
    /// A variant of this enum.
    Variant(&'static str),
    /// `_`, or a name for whatever it is.
    Anything,
    /// `..`: the places beside this one that the pattern does not name.
    Rest,
}

/// The places of one arm.
struct Arm {
    line: usize,
    is_guarded: bool,
    parts: Vec<(String, Part)>,
}

impl Matches {
    fn judge(&mut self, arms: &[syn::Arm]) {
        let arms: Vec<Arm> = arms.iter().map(|arm| self.take_apart(&arm.pat)).collect();
        for arm in arms.iter().filter(|arm| !arm.is_guarded) {
            let named = arms.iter().flat_map(|other| &other.parts);
            let caught = named.filter_map(|(at, part)| match part {
                Part::Variant(of) if arm.catches(at) => Some(*of),
                _ => None,
            });
            self.caught.extend(caught.map(|of| Caught { line: arm.line, of }).next());
        }
    }

    fn take_apart(&self, pattern: &Pat) -> Arm {
        let mut arm = Arm { line: line(pattern.span()), is_guarded: false, parts: Vec::new() };
        self.places(pattern, String::new(), &mut arm);
        arm
    }

    fn places(&self, pattern: &Pat, at: String, arm: &mut Arm) {
        match pattern {
            Pat::Wild(_) => arm.parts.push((at, Part::Anything)),
            Pat::Ident(ident) => match &ident.subpat {
                Some((_, pattern)) => self.places(pattern, at, arm),
                None => arm.parts.extend(self.name(&ident.ident).map(|part| (at, part))),
            },
            Pat::Path(path) => self.path(&path.path, at, arm),
            Pat::TupleStruct(tuple) => {
                self.path(&tuple.path, at.clone(), arm);
                self.elements(tuple.elems.iter(), &below(&at, &last(&tuple.path)), arm);
            }
            Pat::Struct(fields) => {
                self.path(&fields.path, at.clone(), arm);
                let inside = below(&at, &last(&fields.path));
                for field in &fields.fields {
                    let member = match &field.member {
                        syn::Member::Named(ident) => ident.to_string(),
                        syn::Member::Unnamed(index) => index.index.to_string(),
                    };
                    self.places(&field.pat, below(&inside, &member), arm);
                }
                arm.parts.extend(fields.rest.iter().map(|_| (inside.clone(), Part::Rest)));
            }
            Pat::Tuple(tuple) => self.elements(tuple.elems.iter(), &below(&at, "()"), arm),
            Pat::Slice(slice) => self.elements(slice.elems.iter(), &below(&at, "[]"), arm),
            Pat::Or(or) => or.cases.iter().for_each(|case| self.places(case, at.clone(), arm)),
            Pat::Paren(paren) => self.places(&paren.pat, at, arm),
            Pat::Reference(reference) => self.places(&reference.pat, at, arm),
            Pat::Guard(guard) => {
                arm.is_guarded = true;
                self.places(&guard.pat, at, arm);
            }
            _ => {}
        }
    }

    fn elements<'p>(&self, elements: impl Iterator<Item = &'p Pat>, inside: &str, arm: &mut Arm) {
        for (n, element) in elements.enumerate() {
            if matches!(element, Pat::Rest(_)) {
                arm.parts.push((inside.to_owned(), Part::Rest));
            } else {
                self.places(element, below(inside, &n.to_string()), arm);
            }
        }
    }

    fn path(&self, path: &Path, at: String, arm: &mut Arm) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        arm.parts.extend(self.variant(&segments).map(|of| (at, Part::Variant(of))));
    }

    // A name of its own is a variant or a constant if it is written large, and a new name for anything otherwise.
    fn name(&self, ident: &syn::Ident) -> Option<Part> {
        let name = ident.to_string();
        let is_large = name.starts_with(char::is_uppercase);
        if is_large { self.variant(&[name]).map(Part::Variant) } else { Some(Part::Anything) }
    }

    fn variant(&self, segments: &[String]) -> Option<&'static str> {
        let resolved = match segments.split_first() {
            Some((first, rest)) if first == "Self" => [std::slice::from_ref(&self.self_type), rest].concat(),
            _ => self.aliases.resolve(segments),
        };
        let (_, of) = resolved.split_last()?;
        EXHAUSTIVE.into_iter().find(|name| of.last().is_some_and(|of| of == name))
    }
}

impl Arm {
    /// Whether this arm takes whatever stands at a place.
    fn catches(&self, at: &str) -> bool {
        self.parts.iter().any(|(place, part)| match part {
            Part::Anything => is_at_or_below(at, place),
            Part::Rest => {
                let is_inside = |named: &str| named != place && is_at_or_below(named, place);
                let names_it = |(named, _): &(String, Part)| is_inside(named) && is_at_or_below(at, named);
                at != place && is_at_or_below(at, place) && !self.parts.iter().any(names_it)
            }
            Part::Variant(_) => false,
        })
    }
}

fn is_at_or_below(at: &str, place: &str) -> bool {
    at.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn below(at: &str, name: &str) -> String {
    format!("{at}/{name}")
}

fn last(path: &Path) -> String {
    path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default()
}
