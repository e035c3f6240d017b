//! What messages say.

use super::json::Json;
use super::jws::{Binding, Jws};
use super::{CertId, Jwk};
use model::contract::authority::RevocationReason;
use model::octets::from_base64url;
use model::{Fault, Reason};
use x509::extension::GeneralName;

/// Most names in an order: as many as a profile gives.
const IDENTIFIERS_MAX: usize = 16;
/// Most addresses at which people can be reached, and the longest of them in octets.
const CONTACTS_MAX: usize = 4;
const CONTACT_LEN_MAX: usize = 256;
/// Longest name of a host. Source: RFC 1035 §2.3.4.
const NAME_LEN_MAX: usize = 253;
/// Longest permanent identifier, as profiles have them.
const PERMANENT_LEN_MAX: usize = 64;

/// What somebody wants to be certified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identifier {
    /// A host name. Source: RFC 8555 §9.7.7.
    Dns(String),
    /// An address, as it is written and as octets. Source: RFC 8738 §3.
    Ip(String, Vec<u8>),
    /// What a device is known by. Source: RFC 4043; draft-ietf-acme-device-attest §3.
    Permanent(String),
}

impl Identifier {
    /// Its type, as messages have it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(..) => "ip",
            Self::Permanent(_) => "permanent-identifier",
        }
    }
    /// Its value, as messages have it.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Dns(name) | Self::Permanent(name) => name.clone(),
            Self::Ip(text, _) => text.clone(),
        }
    }
    /// As a certificate has it.
    #[must_use]
    pub fn general_name(&self) -> GeneralName {
        match self {
            Self::Dns(name) => GeneralName::Dns(name.clone()),
            Self::Ip(_, octets) => GeneralName::Ip(octets.clone()),
            Self::Permanent(value) => GeneralName::permanent_identifier(value),
        }
    }

    /// Reads one. Names have one spelling: lower case, no wildcard, and no dot at the end.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for a type that is not known; [`Reason::NameMismatch`] for a value that nobody is certified for.
    pub fn read(kind: &str, value: &str) -> Result<Self, Fault> {
        match kind {
            "dns" => {
                let label = |label: &str| {
                    let is_letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
                    (1..=63).contains(&label.len())
                        && label.bytes().all(is_letter)
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                };
                // RFC 8738 §3: an address is no host name.
                let is_address = value.rsplit('.').next().is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit()));
                if value.len() > NAME_LEN_MAX || !value.split('.').all(label) || is_address {
                    return Err(Reason::NameMismatch.into());
                }
                Ok(Self::Dns(value.to_owned()))
            }
            "ip" => {
                let octets = super::address::octets(value).ok_or(Reason::NameMismatch)?;
                Ok(Self::Ip(value.to_owned(), octets))
            }
            "permanent-identifier" => {
                let is_identifier =
                    (1..=PERMANENT_LEN_MAX).contains(&value.len()) && value.bytes().all(|c| c.is_ascii_graphic());
                if is_identifier { Ok(Self::Permanent(value.to_owned())) } else { Err(Reason::NameMismatch.into()) }
            }
            _ => Err(Fault::malformed("an identifier has the type dns, ip or permanent-identifier")),
        }
    }

    fn read_all(list: &Json) -> Result<Vec<Self>, Fault> {
        let list = list.list().ok_or(NO_NAMES)?;
        if list.is_empty() || list.len() > IDENTIFIERS_MAX {
            return Err(NO_NAMES);
        }
        let one = |one: &Json| match (one.member("type"), one.member("value")) {
            (Some(kind), Some(value)) => Self::read(kind, value),
            _ => Err(NO_NAMES),
        };
        let mut all = list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        all.sort_unstable();
        let before = all.len();
        all.dedup();
        if all.len() == before { Ok(all) } else { Err(Fault::malformed("an identifier stands twice in the order")) }
    }
}

const NO_NAMES: Fault = Fault::malformed("an order has 1 to 16 identifiers, each with type and value");

/// What is wanted of an account.
#[derive(Clone, Debug)]
pub struct AccountWish {
    /// Where people can be reached, if that is said.
    pub contact: Option<Vec<String>>,
    /// Whether one is only looked for.
    pub only_existing: bool,
    /// What binds it to a registration.
    pub binding: Option<Binding>,
    /// Whether it is to end.
    pub deactivated: bool,
}

impl AccountWish {
    /// Reads what is wanted of a new account, or of one that is there.
    ///
    /// # Errors
    /// [`Fault`]
    /// Source: RFC 8555 §7.3, §7.3.2, §7.3.6.
    pub fn read(payload: &[u8]) -> Result<Self, Fault> {
        let json = Json::object(payload)?;
        let contact = match json.get("contact") {
            None => None,
            Some(Json::List(list)) if list.len() <= CONTACTS_MAX => {
                Some(list.iter().map(contact).collect::<Result<_, _>>()?)
            }
            Some(_) => return Err(Fault::malformed("contact is a list of at most 4")),
        };
        let only_existing = match json.get("onlyReturnExisting") {
            None | Some(Json::Bool(false)) => false,
            Some(Json::Bool(true)) => true,
            Some(_) => return Err(Fault::malformed("onlyReturnExisting is true or false")),
        };
        let deactivated = match json.get("status") {
            None => false,
            Some(Json::Text(status)) if status == "deactivated" => true,
            // RFC 8555 §7.3.2: servers ignore what else is said of what is theirs to say.
            Some(_) => false,
        };
        let binding = json.get("externalAccountBinding").map(Binding::read).transpose()?;
        Ok(Self { contact, only_existing, binding, deactivated })
    }
}

fn contact(contact: &Json) -> Result<String, Fault> {
    let text = contact.text().ok_or(Fault::malformed("contact is a list of addresses"))?;
    let is_plain = |c: u8| c.is_ascii_graphic() && c != b',' && c != b'?';
    let address = text.strip_prefix("mailto:").filter(|address| address.bytes().all(is_plain));
    match address {
        Some(address) if text.len() <= CONTACT_LEN_MAX && address.contains('@') => Ok(text.to_owned()),
        _ => Err(Fault::malformed("a contact is mailto: and one address")),
    }
}

/// What is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderWish {
    /// The names, in their order, none twice.
    pub identifiers: Vec<Identifier>,
    /// The certificate in whose place it comes. Source: RFC 9773 §5.
    pub replaces: Option<CertId>,
}

impl OrderWish {
    /// Reads an order.
    ///
    /// # Errors
    /// [`Fault`]; also if it says when the certificate begins or ends, which the profile says.
    /// Source: RFC 8555 §7.4.
    pub fn read(payload: &[u8]) -> Result<Self, Fault> {
        let json = Json::object(payload)?;
        if json.get("notBefore").is_some() || json.get("notAfter").is_some() {
            return Err(Fault::malformed("notBefore and notAfter are not the client's to choose"));
        }
        let identifiers = Identifier::read_all(json.get("identifiers").ok_or(NO_NAMES)?)?;
        let bad = Fault::malformed("replaces names no certificate");
        let replaces = match json.get("replaces") {
            None => None,
            Some(Json::Text(text)) => Some(CertId::read(text).ok_or(bad)?),
            Some(_) => return Err(bad),
        };
        Ok(Self { identifiers, replaces })
    }
}

/// The request in a finalisation, in DER.
///
/// # Errors
/// [`Fault`]
/// Source: RFC 8555 §7.4.
pub fn finalisation(payload: &[u8]) -> Result<Vec<u8>, Fault> {
    let json = Json::object(payload)?;
    let csr = json.member("csr").and_then(|csr| from_base64url(csr.as_bytes()));
    csr.ok_or(Fault::malformed("csr is a PKCS #10 request in base64url"))
}

/// Whether it ends an authorisation.
///
/// # Errors
/// [`Fault`], if it wants anything else.
/// Source: RFC 8555 §7.5.2.
pub fn is_deactivation(payload: &[u8]) -> Result<(), Fault> {
    match Json::object(payload)?.member("status") {
        Some("deactivated") => Ok(()),
        _ => Err(Fault::malformed("an authorisation can be deactivated, and nothing else")),
    }
}

/// What is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The certificate, in DER.
    pub certificate: Vec<u8>,
    /// Why.
    pub reason: RevocationReason,
}

impl Revocation {
    /// Reads a revocation.
    ///
    /// # Errors
    /// [`Fault`]; [`Reason::CallerNotAllowed`] for a reason that is not the client's to give.
    /// Source: RFC 8555 §7.6, RFC 5280 §5.3.1.
    pub fn read(payload: &[u8]) -> Result<Self, Fault> {
        let json = Json::object(payload)?;
        let certificate = json.member("certificate").and_then(|der| from_base64url(der.as_bytes()));
        let certificate = certificate.ok_or(Fault::malformed("certificate is one in base64url"))?;
        let reason = match json.get("reason") {
            None | Some(Json::Number(0)) => RevocationReason::Unspecified,
            Some(Json::Number(1)) => RevocationReason::KeyCompromise,
            Some(Json::Number(3)) => RevocationReason::AffiliationChanged,
            Some(Json::Number(4)) => RevocationReason::Superseded,
            Some(Json::Number(5)) => RevocationReason::CessationOfOperation,
            Some(_) => return Err(Reason::TemplateNotAllowed.into()),
        };
        Ok(Self { certificate, reason })
    }
}

/// A change of an account's key: what the new key signed.
/// Source: RFC 8555 §7.3.5.
#[derive(Clone, Debug)]
pub struct KeyChange {
    inner: Jws,
}

impl KeyChange {
    /// Reads the message within the message.
    ///
    /// # Errors
    /// [`Fault`]; also if it has a nonce, or no key of its own.
    pub fn read(payload: &[u8]) -> Result<Self, Fault> {
        let inner = Jws::read(&Json::object(payload)?)?;
        if inner.nonce().is_some() || !matches!(inner.signed_by(), super::SignedBy::Key(_)) {
            return Err(Fault::malformed("the inner message has jwk, and no nonce"));
        }
        Ok(Self { inner })
    }

    /// The new key, if it signed this change: of the account at this address, from this key on, and sent to `url`.
    ///
    /// # Errors
    /// [`Reason::ProtectionInvalid`], [`Reason::UrlMismatch`]; [`Fault::Malformed`] if another account or key is named.
    pub fn verify(&self, url: &str, account: &str, old: &x509::PublicKey) -> Result<&Jwk, Fault> {
        let super::SignedBy::Key(new) = self.inner.signed_by() else { return Err(Reason::ProtectionInvalid.into()) };
        let payload = Json::object(self.inner.verify(new.key())?)?;
        if self.inner.url() != url {
            return Err(Reason::UrlMismatch.into());
        }
        let named = Jwk::read(payload.get("oldKey").ok_or(Fault::malformed("oldKey is missing"))?)?;
        if payload.member("account") != Some(account) || named.key() != old {
            return Err(Fault::malformed("account and oldKey are those of the account that sends it"));
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn names(text: &str, expected: Result<&[&str], Fault>) {
        let read = OrderWish::read(format!("{{\"identifiers\":[{text}]}}").as_bytes());
        let values = read.map(|wish| wish.identifiers.iter().map(Identifier::value).collect::<Vec<_>>());
        assert_eq!(values, expected.map(|all| all.iter().map(|name| (*name).to_owned()).collect()), "{text}");
    }
    fn dns(name: &str) -> String {
        format!(r#"{{"type":"dns","value":"{name}"}}"#)
    }

    #[test]
    fn names_in_their_order() {
        names(&format!("{},{}", dns("b.example"), dns("a.example")), Ok(&["a.example", "b.example"]));
        names(r#"{"type":"ip","value":"2001:db8::1"}"#, Ok(&["2001:db8::1"]));
    }
    #[test]
    fn names_that_nobody_is_certified_for() {
        for name in ["*.example", "A.example", "a.example.", "a..b", "", "-a", "a_b", "1.2.3.4", "a.0", &"a".repeat(64)]
        {
            names(&dns(name), Err(Reason::NameMismatch.into()));
        }
        for address in ["127.0.0.01", "2001:0db8::1", "localhost", "::FFFF"] {
            names(&format!(r#"{{"type":"ip","value":"{address}"}}"#), Err(Reason::NameMismatch.into()));
        }
    }
    #[test]
    fn permanent_identifiers() {
        let one = |value: &str| format!(r#"{{"type":"permanent-identifier","value":"{value}"}}"#);
        names(&one("SN-7:a"), Ok(&["SN-7:a"]));
        for value in ["", "a b", "a\\nb", "\u{e4}", &"a".repeat(65)] {
            names(&one(value), Err(Reason::NameMismatch.into()));
        }
    }
    #[test]
    fn too_many_none_and_one_twice() {
        let many = |n: usize| (0..n).map(|n| dns(&format!("n{n}.example"))).collect::<Vec<_>>().join(",");
        assert!(OrderWish::read(format!("{{\"identifiers\":[{}]}}", many(16)).as_bytes()).is_ok());
        names(&many(17), Err(NO_NAMES));
        names("", Err(NO_NAMES));
        names(&format!("{},{}", dns("a"), dns("a")), Err(Fault::malformed("an identifier stands twice in the order")));
        names(
            r#"{"type":"email","value":"a@b"}"#,
            Err(Fault::malformed("an identifier has the type dns, ip or permanent-identifier")),
        );
    }
    #[test]
    fn times_are_not_the_clients_to_choose() {
        let wish = |more: &str| OrderWish::read(format!("{{\"identifiers\":[{}]{more}}}", dns("a")).as_bytes());
        assert!(wish("").is_ok());
        for more in [r#","notAfter":"2099-01-01T00:00:00Z""#, r#","notBefore":"2020-01-01T00:00:00Z""#] {
            assert!(matches!(wish(more), Err(Fault::Malformed(_))), "{more}");
        }
        assert!(wish(r#","replaces":"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE""#).is_ok_and(|wish| wish.replaces.is_some()));
        assert!(wish(r#","replaces":"x""#).is_err());
    }
    #[test]
    fn reasons_that_are_the_clients_to_give() {
        let read =
            |reason: &str| Revocation::read(format!(r#"{{"certificate":"AA"{reason}}}"#).as_bytes()).map(|r| r.reason);
        assert_eq!(read(""), Ok(RevocationReason::Unspecified));
        assert_eq!(read(r#","reason":1"#), Ok(RevocationReason::KeyCompromise));
        for reason in ["2", "6", "7", "8", "9", "10", "11", "-1", "\"1\"", "1.0"] {
            assert_eq!(read(&format!(",\"reason\":{reason}")), Err(Reason::TemplateNotAllowed.into()), "{reason}");
        }
    }
    #[test]
    fn accounts() {
        let read = |text: &str| AccountWish::read(text.as_bytes());
        let wish = read(r#"{"contact":["mailto:a@b.example"],"termsOfServiceAgreed":true}"#).unwrap();
        assert_eq!(wish.contact, Some(vec!["mailto:a@b.example".to_owned()]));
        assert!(!wish.only_existing && !wish.deactivated && wish.binding.is_none());
        assert!(read(r#"{"status":"deactivated"}"#).unwrap().deactivated);
        assert!(read(r#"{"onlyReturnExisting":true}"#).unwrap().only_existing);
        for bad in [r#"{"contact":["tel:1"]}"#, r#"{"contact":["mailto:a@b,c@d"]}"#, r#"{"contact":"mailto:a@b"}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
