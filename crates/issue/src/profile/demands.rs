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

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
        description = ""
        subject_kind = "device"
        issuers = ["factory"]
        key_types = ["p256"]
        ra_verified = false
        subject = [{ type = "O", value = "{organization}" }, { type = "CN", value = "{serial}" }]
        [validity]
        lifetime_s = 3600
        backdate_s = 0
        issuer_expiry = "refuse"
        [extensions]
        key_usage = ["digital-signature"]
    "#;

    fn demands(toml: &str) -> Demands {
        let profile = Profile::read("demanding".parse().unwrap(), toml).unwrap();
        let device = "urn:dev:ops:32473-sensor-SN000001".parse().unwrap();
        profile.demands(Some(&Entity::Device(device)), "Example")
    }
    fn said(demands: &Demands) -> Vec<String> {
        let attributes = demands.subject.as_ref().map(Name::attributes).unwrap_or_default();
        attributes.iter().map(|attribute| attribute.text.clone()).collect()
    }

    #[test]
    fn the_name_of_the_device_and_the_types_of_keys() {
        let told = demands(BASE);
        assert_eq!(
            (said(&told), &*told.keys, told.extensions.len()),
            (vec!["Example".into(), "SN000001".into()], &[KeyType::P256][..], 0)
        );
    }
    #[test]
    fn what_the_requester_must_bring_is_empty_and_what_it_may_bring_is_not_told() {
        let more = "{ type = \"OU\", request = { required = true } }, { type = \"L\", request = {} }]\n\
                    subject_alt_name = [{ request = { kind = \"dns\", ends_with = [\".example\"], required = true } }]";
        let told = demands(&BASE.replace("\"{serial}\" }]", &format!("\"{{serial}}\" }}, {more}")));
        assert_eq!(said(&told), ["Example", "SN000001", ""]);
        assert_eq!(
            told.extensions.iter().map(|e| (e.oid, e.value.len())).collect::<Vec<_>>(),
            [(oids::SUBJECT_ALT_NAME, 0)]
        );
    }
    #[test]
    fn of_a_profile_that_takes_all_keys_none_is_told_and_without_a_device_no_name() {
        let all = "\"p256\", \"p384\", \"p521\", \"ed25519\", \"rsa2048\", \"rsa3072\", \"rsa4096\", \"ml-dsa-44\", \"ml-dsa-65\", \"ml-dsa-87\"";
        let toml = BASE.replace("\"p256\"", all);
        assert!(demands(&toml).keys.is_empty());
        let profile = Profile::read("demanding".parse().unwrap(), &toml).unwrap();
        assert_eq!(
            profile.demands(None, "Example"),
            Demands { subject: None, extensions: Vec::new(), keys: Vec::new() }
        );
    }
}
