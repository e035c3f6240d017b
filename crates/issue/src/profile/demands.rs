//! What a request must say to be let through, told before it is made.

use super::Profile;
use super::extensions::CustomValue;
use super::names::{AltNameRule, Source};
use super::template::Facts;
use model::Entity;
use x509::name::Attribute;
use x509::{Extension, KeyType, Name, oids};

/// What a profile demands of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    /// The subject; what the requester is to fill in is empty in it. `None`: it may be left out.
    pub subject: Option<Name>,
    /// Extensions that the requester has to bring; their values are empty.
    pub extensions: Vec<Extension>,
    /// The types of keys, if not all that there are.
    pub keys: Vec<KeyType>,
}

impl Profile {
    /// What it demands of a request for `entity`. Without one, the names that depend on it are not told.
    #[must_use]
    pub fn demands(&self, entity: Option<&Entity>, organization: &str) -> Demands {
        let keys =
            if KeyType::NAMED.iter().all(|key| self.key_types.contains(key)) { &[][..] } else { &self.key_types };
        let alt_names =
            self.alt_names.iter().any(|rule| matches!(rule, AltNameRule::Request(_, limits) if limits.required));
        let alt_names = alt_names.then_some(oids::SUBJECT_ALT_NAME);
        let custom =
            self.custom.iter().filter(|custom| matches!(custom.value, CustomValue::Request { required: true, .. }));
        let extensions = alt_names.into_iter().chain(custom.map(|custom| custom.oid));
        Demands {
            subject: entity.and_then(|entity| self.demanded_name(&Facts::Subject { entity, organization })),
            extensions: extensions.map(|oid| Extension { oid, critical: false, value: Vec::new() }).collect(),
            keys: keys.to_vec(),
        }
    }

    /// The subject as the registration has it, and as the requester must add to it. `None` if it is empty.
    fn demanded_name(&self, facts: &Facts<'_>) -> Option<Name> {
        let attribute = |(oid, text)| Attribute { oid, text };
        let named = self.subject.iter().filter_map(|rule| match &rule.source {
            Source::Template(template) => Some((rule.oid, template.render(facts)?)),
            Source::Request(limits) => limits.required.then(|| (rule.oid, String::new())),
        });
        let named: Vec<_> = named.map(attribute).collect();
        (!named.is_empty()).then(|| Name::write(&named))
    }
}
