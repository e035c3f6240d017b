//! Objects, as they are shown.
//! Source: RFC 8555 §7.1, RFC 9457, RFC 9773 §4.2.

use super::path::read_id;
use super::{Algorithm, Identifier, PREFIX, Problem, Resource};
use model::contract::acme::ChallengeKind;
use model::{AcmeId, EstLabel, UnixTime};
use serde_json::{Map, Value, json};

/// Where the objects of a label are.
#[derive(Clone, Copy, Debug)]
pub struct Urls<'a> {
    /// Scheme, host and port: `https://HOST[:PORT]`.
    pub base: &'a str,
    /// The label.
    pub label: &'a EstLabel,
}

impl Urls<'_> {
    /// Where something is.
    #[must_use]
    pub fn of(&self, resource: &Resource) -> String {
        format!("{}{PREFIX}{}/{}", self.base, self.label, resource.path())
    }
}

/// The path that everything of a label begins with, for who tells an account's address apart.
#[must_use]
pub fn key_url(urls: &Urls<'_>, kid: &str) -> Option<AcmeId> {
    let start = urls.of(&Resource::Account(AcmeId::new([0; 16])));
    let start = start.strip_suffix(&AcmeId::new([0; 16]).to_string())?;
    read_id(kid.strip_prefix(start)?)
}

fn octets(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Where everything is. Source: RFC 8555 §7.1.1, RFC 9773 §4.
#[must_use]
pub fn directory(urls: &Urls<'_>) -> Vec<u8> {
    octets(&json!({
        "newNonce": urls.of(&Resource::NewNonce),
        "newAccount": urls.of(&Resource::NewAccount),
        "newOrder": urls.of(&Resource::NewOrder),
        "revokeCert": urls.of(&Resource::RevokeCert),
        "keyChange": urls.of(&Resource::KeyChange),
        "renewalInfo": format!("{}{PREFIX}{}/renewal-info", urls.base, urls.label),
        "meta": { "externalAccountRequired": true },
    }))
}

/// An account. Source: RFC 8555 §7.1.2.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub struct AccountObject<'a> {
    pub id: AcmeId,
    pub status: &'a str,
    pub contact: &'a [String],
}

impl AccountObject<'_> {
    /// As JSON.
    #[must_use]
    pub fn write(&self, urls: &Urls<'_>) -> Vec<u8> {
        octets(&json!({
            "status": self.status,
            "contact": self.contact,
            "orders": urls.of(&Resource::Orders(self.id)),
        }))
    }
}

/// An order. Source: RFC 8555 §7.1.3.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub struct OrderObject<'a> {
    pub id: AcmeId,
    pub status: &'a str,
    pub expires: UnixTime,
    pub identifiers: &'a [Identifier],
    pub authorizations: &'a [AcmeId],
    pub replaces: Option<&'a str>,
    pub error: Option<&'a Problem>,
    pub has_certificate: bool,
}

fn identifier(identifier: &Identifier) -> Value {
    json!({ "type": identifier.kind(), "value": identifier.value() })
}

impl OrderObject<'_> {
    /// As JSON.
    #[must_use]
    pub fn write(&self, urls: &Urls<'_>) -> Vec<u8> {
        let authorization = |id: &AcmeId| urls.of(&Resource::Authorization(*id));
        let mut object = Map::new();
        object.insert("status".into(), self.status.into());
        object.insert("expires".into(), self.expires.to_string().into());
        object.insert("identifiers".into(), self.identifiers.iter().map(identifier).collect());
        object.insert("authorizations".into(), self.authorizations.iter().map(authorization).collect());
        object.insert("finalize".into(), urls.of(&Resource::Finalize(self.id)).into());
        if let Some(replaces) = self.replaces {
            object.insert("replaces".into(), replaces.into());
        }
        if let Some(error) = self.error {
            object.insert("error".into(), problem_value(error, "See the authorizations."));
        }
        if self.has_certificate {
            object.insert("certificate".into(), urls.of(&Resource::Certificate(self.id)).into());
        }
        octets(&Value::Object(object))
    }
}

/// A challenge. Source: RFC 8555 §7.1.5, §8.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub struct ChallengeObject {
    pub kind: ChallengeKind,
    pub status: &'static str,
    pub token: String,
    pub validated: Option<UnixTime>,
    pub error: Option<(Problem, String)>,
}

impl ChallengeObject {
    fn value(&self, authorization: AcmeId, urls: &Urls<'_>) -> Value {
        let mut object = Map::new();
        object.insert("type".into(), self.kind.name().into());
        object.insert("url".into(), urls.of(&Resource::Challenge(authorization, self.kind)).into());
        object.insert("status".into(), self.status.into());
        object.insert("token".into(), self.token.clone().into());
        if let Some(validated) = self.validated {
            object.insert("validated".into(), validated.to_string().into());
        }
        if let Some((problem, detail)) = &self.error {
            object.insert("error".into(), problem_value(problem, detail));
        }
        Value::Object(object)
    }

    /// As JSON.
    #[must_use]
    pub fn write(&self, authorization: AcmeId, urls: &Urls<'_>) -> Vec<u8> {
        octets(&self.value(authorization, urls))
    }
}

/// An authorisation. Source: RFC 8555 §7.1.4.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub struct AuthorizationObject<'a> {
    pub id: AcmeId,
    pub identifier: &'a Identifier,
    pub status: &'a str,
    pub expires: UnixTime,
    pub challenges: &'a [ChallengeObject],
}

impl AuthorizationObject<'_> {
    /// As JSON.
    #[must_use]
    pub fn write(&self, urls: &Urls<'_>) -> Vec<u8> {
        let challenge = |challenge: &ChallengeObject| challenge.value(self.id, urls);
        octets(&json!({
            "identifier": identifier(self.identifier),
            "status": self.status,
            "expires": self.expires.to_string(),
            "challenges": self.challenges.iter().map(challenge).collect::<Vec<_>>(),
        }))
    }
}

fn problem_value(problem: &Problem, detail: &str) -> Value {
    let mut object = Map::new();
    object.insert("type".into(), problem.urn().into());
    object.insert("status".into(), problem.status.into());
    object.insert("detail".into(), detail.into());
    if problem.name == "badSignatureAlgorithm" {
        // RFC 8555 §6.2.
        object.insert("algorithms".into(), Algorithm::ALL.map(Algorithm::name).to_vec().into());
    }
    Value::Object(object)
}

/// A problem, as a body.
#[must_use]
pub fn problem_object(problem: &Problem, detail: &str) -> Vec<u8> {
    octets(&problem_value(problem, detail))
}

/// When to renew a certificate. Source: RFC 9773 §4.2.
#[must_use]
pub fn renewal_object(start: UnixTime, end: UnixTime) -> Vec<u8> {
    octets(&json!({ "suggestedWindow": { "start": start.to_string(), "end": end.to_string() } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_account_is_exact() {
        let label: EstLabel = "site".parse().unwrap();
        let urls = Urls { base: "https://cm.internal", label: &label };
        let id = AcmeId::new([7; 16]);
        let own = urls.of(&Resource::Account(id));
        assert_eq!(key_url(&urls, &own), Some(id));
        let others = [
            own.replace("site", "other"),
            own.replace("https", "http"),
            own.replace("cm.", "x."),
            format!("{own}/orders"),
            own.to_uppercase(),
            id.to_string(),
            String::new(),
        ];
        for other in others {
            assert_eq!(key_url(&urls, &other), None, "{other}");
        }
    }
    #[test]
    fn a_problem_names_what_would_be_taken() {
        let problem = Problem { name: "badSignatureAlgorithm", status: 400 };
        let written = String::from_utf8(problem_object(&problem, "No.")).unwrap();
        assert!(written.contains("urn:ietf:params:acme:error:badSignatureAlgorithm") && written.contains("ES256"));
        assert!(!written.contains("none") && !written.contains("HS256"), "{written}");
    }
}
