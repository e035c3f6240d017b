//! `/acme/LABEL/RESOURCE`.

use super::CertId;
use model::contract::acme::ChallengeKind;
use model::{AcmeId, EstLabel};

/// What every path of this protocol begins with.
pub const PREFIX: &str = "/acme/";

/// Reads the name of an object: 32 lower-case hexadecimal digits.
pub(super) fn read_id(text: &str) -> Option<AcmeId> {
    text.parse().ok().filter(|id: &AcmeId| id.to_string() == text)
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Where everything is. Source: RFC 8555 §7.1.1.
    Directory,
    /// A nonce. Source: RFC 8555 §7.2.
    NewNonce,
    /// Makes an account, or finds one. Source: RFC 8555 §7.3.
    NewAccount,
    /// Makes an order. Source: RFC 8555 §7.4.
    NewOrder,
    /// Gives an account another key. Source: RFC 8555 §7.3.5.
    KeyChange,
    /// Revokes a certificate. Source: RFC 8555 §7.6.
    RevokeCert,
    /// An account.
    Account(AcmeId),
    /// The orders of an account. Source: RFC 8555 §7.1.2.1.
    Orders(AcmeId),
    /// An order.
    Order(AcmeId),
    /// Where the request for an order's certificate goes.
    Finalize(AcmeId),
    /// The certificate of an order.
    Certificate(AcmeId),
    /// An authorisation.
    Authorization(AcmeId),
    /// A challenge of an authorisation.
    Challenge(AcmeId, ChallengeKind),
    /// When to renew a certificate. Source: RFC 9773 §4.1.
    RenewalInfo(CertId),
}

/// A path, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The label.
    pub label: EstLabel,
    /// What is there.
    pub resource: Resource,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It does not begin as paths of this protocol do.
    NotAcme,
    /// A label with a letter that labels do not have.
    Label,
    /// There is nothing of that name.
    Resource,
}

/// Reads a path, as it was on the wire. What is percent-encoded is not decoded, because nothing needs it.
///
/// # Errors
/// [`BadPath`]
pub fn decode_path(path: &str) -> Result<Route, BadPath> {
    let rest = path.strip_prefix(PREFIX).ok_or(BadPath::NotAcme)?;
    let (label, rest) = rest.split_once('/').ok_or(BadPath::Label)?;
    let label = label.parse().map_err(|_| BadPath::Label)?;
    let parts: Vec<&str> = rest.splitn(4, '/').collect();
    let resource = resource(&parts).ok_or(BadPath::Resource)?;
    Ok(Route { label, resource })
}

fn resource(parts: &[&str]) -> Option<Resource> {
    Some(match parts {
        ["directory"] => Resource::Directory,
        ["new-nonce"] => Resource::NewNonce,
        ["new-account"] => Resource::NewAccount,
        ["new-order"] => Resource::NewOrder,
        ["key-change"] => Resource::KeyChange,
        ["revoke-cert"] => Resource::RevokeCert,
        ["account", id] => Resource::Account(read_id(id)?),
        ["account", id, "orders"] => Resource::Orders(read_id(id)?),
        ["order", id] => Resource::Order(read_id(id)?),
        ["order", id, "finalize"] => Resource::Finalize(read_id(id)?),
        ["order", id, "certificate"] => Resource::Certificate(read_id(id)?),
        ["authorization", id] => Resource::Authorization(read_id(id)?),
        ["authorization", id, kind] => {
            let kind = ChallengeKind::ALL.into_iter().find(|known| known.name() == *kind)?;
            Resource::Challenge(read_id(id)?, kind)
        }
        ["renewal-info", id] => Resource::RenewalInfo(CertId::read(id)?),
        _ => return None,
    })
}

impl Resource {
    /// As it stands in a path behind the label.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Directory => "directory".to_owned(),
            Self::NewNonce => "new-nonce".to_owned(),
            Self::NewAccount => "new-account".to_owned(),
            Self::NewOrder => "new-order".to_owned(),
            Self::KeyChange => "key-change".to_owned(),
            Self::RevokeCert => "revoke-cert".to_owned(),
            Self::Account(id) => format!("account/{id}"),
            Self::Orders(id) => format!("account/{id}/orders"),
            Self::Order(id) => format!("order/{id}"),
            Self::Finalize(id) => format!("order/{id}/finalize"),
            Self::Certificate(id) => format!("order/{id}/certificate"),
            Self::Authorization(id) => format!("authorization/{id}"),
            Self::Challenge(id, kind) => format!("authorization/{id}/{}", kind.name()),
            Self::RenewalInfo(id) => format!("renewal-info/{}", id.write()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    #[track_caller]
    fn leads(rest: &str, resource: &Resource) {
        let path = format!("{PREFIX}site-7/{rest}");
        let read = decode_path(&path).unwrap();
        assert_eq!((read.label.as_str(), &read.resource), ("site-7", resource));
        assert_eq!(read.resource.path(), rest);
    }
    #[track_caller]
    fn leads_nowhere(path: &str, bad: BadPath) {
        assert_eq!(decode_path(path), Err(bad), "{path}");
    }

    #[test]
    fn everything_has_its_path() {
        let id = read_id(ID).unwrap();
        leads("directory", &Resource::Directory);
        leads("new-nonce", &Resource::NewNonce);
        leads("new-account", &Resource::NewAccount);
        leads("new-order", &Resource::NewOrder);
        leads("key-change", &Resource::KeyChange);
        leads("revoke-cert", &Resource::RevokeCert);
        leads(&format!("account/{ID}"), &Resource::Account(id));
        leads(&format!("account/{ID}/orders"), &Resource::Orders(id));
        leads(&format!("order/{ID}"), &Resource::Order(id));
        leads(&format!("order/{ID}/finalize"), &Resource::Finalize(id));
        leads(&format!("order/{ID}/certificate"), &Resource::Certificate(id));
        leads(&format!("authorization/{ID}"), &Resource::Authorization(id));
        leads(&format!("authorization/{ID}/http-01"), &Resource::Challenge(id, ChallengeKind::Http));
        let name = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
        leads(&format!("renewal-info/{name}"), &Resource::RenewalInfo(CertId::read(name).unwrap()));
    }
    #[test]
    fn elsewhere() {
        for path in ["", "/", "/acme", "acme/a/directory", "/.well-known/est/cacerts", "/x/acme/a/directory"] {
            leads_nowhere(path, BadPath::NotAcme);
        }
    }
    #[test]
    fn a_label_does_not_climb() {
        for label in ["..", ".", "%2e%2e", "A", "a b", "-a", ""] {
            leads_nowhere(&format!("/acme/{label}/directory"), BadPath::Label);
        }
        leads_nowhere("/acme/a", BadPath::Label);
    }
    #[test]
    fn what_is_not_there() {
        for rest in ["", "/", "Directory", "directory/", "directory/x", "order", "order/", "order/1", "renewal-info/x"]
        {
            leads_nowhere(&format!("/acme/a/{rest}"), BadPath::Resource);
        }
        for rest in ["order/ID/x", "order/ID/finalize/x", "authorization/ID/http-02", "account/ID/"] {
            leads_nowhere(&format!("/acme/a/{}", rest.replace("ID", ID)), BadPath::Resource);
        }
        leads_nowhere(&format!("/acme/a/order/{}", ID.to_uppercase()), BadPath::Resource);
    }
}
