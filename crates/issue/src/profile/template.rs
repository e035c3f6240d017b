//! Text with places to fill in: `{serial}`.

use super::{BadProfile, SubjectKind};
use model::{AuthorityName, Entity};
use std::fmt::Write as _;

/// What the places of a template are filled in from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Facts<'a> {
    /// Whom the certificate is for.
    Subject {
        /// The registered thing.
        entity: &'a Entity,
        /// The organization of this installation.
        organization: &'a str,
    },
    /// Who issues it, and in which part of its list it would be revoked.
    Issuer {
        /// The authority.
        authority: &'a AuthorityName,
        /// The shard.
        shard: u16,
    },
}

/// What a template may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Subject(SubjectKind),
    Issuer,
}

#[derive(Clone, Debug)]
pub(crate) struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Variable(Variable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Organization,
    DeviceType,
    Serial,
    Urn,
    MakerPen,
    Name,
    Module,
    Instance,
    Authority,
    Shard,
}

impl Variable {
    fn by_name(name: &str, scope: Scope) -> Option<Self> {
        use Scope::{Issuer, Subject};
        use SubjectKind as K;
        match (name, scope) {
            ("organization", Subject(_)) => Some(Self::Organization),
            ("device_type", Subject(K::Device)) => Some(Self::DeviceType),
            ("serial", Subject(K::Device)) => Some(Self::Serial),
            ("urn", Subject(K::Device)) => Some(Self::Urn),
            ("maker_pen", Subject(K::Device)) => Some(Self::MakerPen),
            ("name", Subject(K::Authority | K::Operator | K::Responder)) => Some(Self::Name),
            ("module", Subject(K::Module)) => Some(Self::Module),
            ("instance", Subject(K::Module)) => Some(Self::Instance),
            ("authority", Issuer) => Some(Self::Authority),
            ("shard", Issuer) => Some(Self::Shard),
            _ => None,
        }
    }
}

impl Template {
    pub(super) fn read(text: &str, scope: Scope, place: &'static str) -> Result<Self, BadProfile> {
        let bad = |what: String| BadProfile { place, what };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once('{') {
            let (name, after) = from.split_once('}').ok_or_else(|| bad(format!("{text:?} has an open brace")))?;
            let variable = Variable::by_name(name, scope)
                .ok_or_else(|| bad(format!("{{{name}}} is not known for this subject_kind and place")))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Variable(variable));
            rest = after;
        }
        if rest.contains('}') {
            return Err(bad(format!("{text:?} has a brace that nothing opens")));
        }
        if !crate::text::is_visible(text) {
            return Err(bad(format!("{text:?} has invisible characters")));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if text.is_empty() { Err(bad("a value is empty".into())) } else { Ok(Self { text: text.to_owned(), pieces }) }
    }

    /// As it stands in the file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
    /// Whether it says the same in every certificate.
    pub(super) fn is_constant(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }
    /// Whether it speaks of the shard.
    pub(super) fn names_shard(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Variable(Variable::Shard)))
    }

    /// Fills it in; `None` if the facts are of another kind.
    pub(crate) fn render(&self, facts: &Facts<'_>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(variable) => fill(*variable, facts, &mut out)?,
            }
        }
        Some(out)
    }
}

fn fill(variable: Variable, facts: &Facts<'_>, out: &mut String) -> Option<()> {
    let (entity, organization) = match facts {
        Facts::Subject { entity, organization } => (*entity, *organization),
        Facts::Issuer { authority, shard } => {
            return match variable {
                Variable::Authority => write!(out, "{authority}").ok(),
                Variable::Shard => write!(out, "{shard}").ok(),
                _ => None,
            };
        }
    };
    match (variable, entity) {
        (Variable::Organization, _) => out.push_str(organization),
        (Variable::DeviceType, Entity::Device(id)) => out.push_str(id.device_type.as_str()),
        (Variable::Serial, Entity::Device(id)) => out.push_str(id.serial.as_str()),
        (Variable::Urn, Entity::Device(id)) => write!(out, "{id}").ok()?,
        (Variable::MakerPen, Entity::Device(id)) => write!(out, "{}", id.maker_pen).ok()?,
        (Variable::Name, Entity::Authority(name)) => out.push_str(name.as_str()),
        (Variable::Name, Entity::Responder(name)) => out.push_str(name.as_str()),
        (Variable::Name, Entity::Operator(name)) => out.push_str(name.as_str()),
        (Variable::Module, Entity::Module(module, _)) => out.push_str(module.name()),
        (Variable::Instance, Entity::Module(_, instance)) => out.push_str(instance.as_str()),
        _ => return None,
    }
    Some(())
}

/// Somebody or something of that kind, to try templates on.
pub(super) fn sample(kind: SubjectKind) -> Option<Entity> {
    let text = match kind {
        SubjectKind::Device => "urn:dev:ops:32473-type-SN1",
        SubjectKind::Authority => "authority:name",
        SubjectKind::Module => "module:authority:box",
        SubjectKind::Operator => "operator:name",
        SubjectKind::Responder => "responder:name",
    };
    text.parse().ok()
}
