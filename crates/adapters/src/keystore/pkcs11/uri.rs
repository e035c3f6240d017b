//! PKCS #11 URIs: which key, in which token, by which module. Source: RFC 7512.

use std::fmt;

/// Longest URI in octets. A token is named in a hundred; the rest is room for percent-encoding.
pub const URI_LEN_MAX: usize = 2048;
/// Longest label of an object in octets after decoding. PKCS #11 has no limit; tokens have this or less.
pub const OBJECT_LEN_MAX: usize = 255;
/// Longest `CKA_ID` in octets.
pub const ID_LEN_MAX: usize = 64;
/// Longest file name in octets.
const PATH_LEN_MAX: usize = 1024;
/// Longest name of an attribute in octets: `library-manufacturer` has 20.
const NAME_LEN_MAX: usize = 32;

/// A PKCS #11 URI, decoded.
///
/// Shape: what is `None` matches everything. Text is UTF-8.
/// Limits: [`URI_LEN_MAX`]; `token` and `manufacturer` 32 octets, `serial` and `model` 16 (as in `CK_TOKEN_INFO`);
/// [`OBJECT_LEN_MAX`]; [`ID_LEN_MAX`].
/// Source: RFC 7512 §2.3, §2.4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// Label of the token.
    pub token: Option<String>,
    /// Maker of the token.
    pub manufacturer: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Number of the slot. It changes when slots are renumbered; a serial number does not.
    pub slot_id: Option<u64>,
    /// Label of the key.
    pub object: Option<String>,
    /// `CKA_ID` of the key.
    pub id: Option<Vec<u8>>,
    /// What kind of object.
    pub class: Option<Class>,
    /// File of the module, an absolute path.
    pub module_path: Option<String>,
    /// Name of the module: its file without directory, `lib` and suffix.
    pub module_name: Option<String>,
    /// File that holds the PIN, an absolute path.
    pub pin_file: Option<String>,
}

/// The `type` of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A private key.
    Private,
    /// A public key.
    Public,
    /// A certificate.
    Certificate,
    /// A secret key.
    SecretKey,
    /// Other octets.
    Data,
}

impl Class {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Private, "private"),
        (Self::Public, "public"),
        (Self::Certificate, "cert"),
        (Self::SecretKey, "secret-key"),
        (Self::Data, "data"),
    ];
    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(class, _)| *class == self).map_or("", |(_, name)| name)
    }
}

/// A URI that is not taken. It never carries a value, because a value may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadUri {
    /// It does not begin with `pkcs11:`.
    Scheme,
    /// It is longer than [`URI_LEN_MAX`].
    TooLong,
    /// It is not a list of `name=value`, or a name is none.
    Shape,
    /// An attribute occurs twice.
    Duplicate(&'static str),
    /// An attribute that is not known here: the rest may not be what was meant.
    Unknown(String),
    /// An attribute's value is empty, too long, badly encoded or of the wrong kind.
    Value(&'static str),
    /// A PIN in the URI. URIs are shown, logged and kept in configurations.
    PinValue,
    /// The PIN is not to be read from a file. Programs and variables are not asked.
    PinSource,
}

impl fmt::Display for BadUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("the URI does not begin with pkcs11:"),
            Self::TooLong => write!(f, "the URI is longer than {URI_LEN_MAX} octets"),
            Self::Shape => f.write_str("the URI is not a list of name=value"),
            Self::Duplicate(name) => write!(f, "the attribute {name} occurs twice in the URI"),
            Self::Unknown(name) => write!(f, "the attribute {name} of the URI is not known here"),
            Self::Value(name) => write!(f, "the value of {name} in the URI is empty, too long, or badly written"),
            Self::PinValue => f.write_str("a PIN must not be in a URI; use pin-source=file:/..."),
            Self::PinSource => f.write_str("pin-source must be file: and an absolute path"),
        }
    }
}
impl std::error::Error for BadUri {}

impl Pkcs11Uri {
    /// Reads a URI.
    ///
    /// Limits: [`URI_LEN_MAX`] octets.
    ///
    /// # Errors
    /// [`BadUri`]
    /// Source: RFC 7512 §2.3.
    // Off-spec: an empty value is refused, where RFC 7512 lets it match what is empty: it is a variable that was not
    // set. So are `library-*` and `slot-*` texts: they name no key. See ADR 8.
    pub fn parse(text: &str) -> Result<Self, BadUri> {
        if text.len() > URI_LEN_MAX {
            return Err(BadUri::TooLong);
        }
        let rest = text.strip_prefix("pkcs11:").ok_or(BadUri::Scheme)?;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut uri = Self::default();
        if !path.is_empty() {
            path.split(';').try_for_each(|attribute| uri.take_path(attribute))?;
        }
        if let Some(query) = query {
            query.split('&').try_for_each(|attribute| uri.take_query(attribute))?;
        }
        Ok(uri)
    }

    fn take_path(&mut self, attribute: &str) -> Result<(), BadUri> {
        let (name, value) = split(attribute)?;
        match name {
            "token" => once(&mut self.token, "token", text(value, PATH_EXTRA, 32)),
            "manufacturer" => once(&mut self.manufacturer, "manufacturer", text(value, PATH_EXTRA, 32)),
            "serial" => once(&mut self.serial, "serial", text(value, PATH_EXTRA, 16)),
            "model" => once(&mut self.model, "model", text(value, PATH_EXTRA, 16)),
            "object" => once(&mut self.object, "object", text(value, PATH_EXTRA, OBJECT_LEN_MAX)),
            "id" => once(&mut self.id, "id", octets(value, PATH_EXTRA, ID_LEN_MAX)),
            "type" => once(&mut self.class, "type", Class::ALL.into_iter().find(|(_, n)| *n == value).map(|(c, _)| c)),
            "slot-id" => once(&mut self.slot_id, "slot-id", number(value)),
            "pin-value" => Err(BadUri::PinValue),
            other => Err(BadUri::Unknown(other.to_owned())),
        }
    }

    fn take_query(&mut self, attribute: &str) -> Result<(), BadUri> {
        let (name, value) = split(attribute)?;
        match name {
            "module-path" => {
                let path = text(value, QUERY_EXTRA, PATH_LEN_MAX).filter(|path| path.starts_with('/'));
                once(&mut self.module_path, "module-path", path)
            }
            "module-name" => {
                let name = text(value, QUERY_EXTRA, PATH_LEN_MAX).filter(|name| !name.contains('/'));
                once(&mut self.module_name, "module-name", name)
            }
            "pin-source" => {
                let path = text(value, QUERY_EXTRA, PATH_LEN_MAX).as_deref().and_then(file_path).map(str::to_owned);
                once(&mut self.pin_file, "pin-source", path).map_err(|bad| match bad {
                    BadUri::Value(_) => BadUri::PinSource,
                    bad => bad,
                })
            }
            "pin-value" => Err(BadUri::PinValue),
            other => Err(BadUri::Unknown(other.to_owned())),
        }
    }

    /// Whether a file has the `module-name`, or none is given.
    pub(crate) fn may_mean(&self, path: &str) -> bool {
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.split('.').next().unwrap_or(file);
        self.module_name.as_deref().is_none_or(|wanted| stem == wanted || stem.strip_prefix("lib") == Some(wanted))
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let texts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("object", &self.object),
        ];
        let mut list = List { f, separator: "" };
        for (name, value) in texts {
            list.write(name, value.as_deref().map(|v| encode(v.as_bytes())), ";")?;
        }
        // RFC 7512 §2.3: all octets of `id` are percent-encoded.
        list.write("id", self.id.as_ref().map(|id| id.iter().map(|octet| format!("%{octet:02X}")).collect()), ";")?;
        list.write("slot-id", self.slot_id.map(|id| id.to_string()), ";")?;
        list.write("type", self.class.map(|class| class.name().to_owned()), ";")?;
        list.separator = "?";
        list.write("module-path", self.module_path.as_ref().map(|v| encode(v.as_bytes())), "&")?;
        list.write("module-name", self.module_name.as_ref().map(|v| encode(v.as_bytes())), "&")?;
        list.write("pin-source", self.pin_file.as_ref().map(|v| format!("file:{}", encode(v.as_bytes()))), "&")
    }
}

struct List<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    separator: &'static str,
}

impl List<'_, '_> {
    fn write(&mut self, name: &str, value: Option<String>, separator: &'static str) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        write!(self.f, "{}{name}={value}", self.separator)?;
        self.separator = separator;
        Ok(())
    }
}

/// What may stand for itself beside unreserved characters. Source: RFC 7512 §2.3, `pk11-path-res-avail` with `&`, and
/// `pk11-query-res-avail`.
const PATH_EXTRA: &[u8] = b":[]@!$'()*+,=&";
const QUERY_EXTRA: &[u8] = b":[]@!$'()*+,=/?|";

const fn unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

fn encode(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len());
    for &octet in octets {
        match octet {
            _ if unreserved(octet) => out.push(char::from(octet)),
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

fn split(attribute: &str) -> Result<(&str, &str), BadUri> {
    let (name, value) = attribute.split_once('=').ok_or(BadUri::Shape)?;
    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
    if name.is_empty() || name.len() > NAME_LEN_MAX || !plain {
        return Err(BadUri::Shape);
    }
    Ok((name, value))
}

fn once<T>(place: &mut Option<T>, name: &'static str, value: Option<T>) -> Result<(), BadUri> {
    if place.is_some() {
        return Err(BadUri::Duplicate(name));
    }
    *place = Some(value.ok_or(BadUri::Value(name))?);
    Ok(())
}

fn octets(value: &str, extra: &[u8], len_max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        out.push(match octet {
            b'%' => {
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                high << 4 | low
            }
            _ if unreserved(octet) || extra.contains(&octet) => octet,
            _ => return None,
        });
    }
    (1..=len_max).contains(&out.len()).then_some(out)
}

fn digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn text(value: &str, extra: &[u8], len_max: usize) -> Option<String> {
    String::from_utf8(octets(value, extra, len_max)?).ok().filter(|text| !text.chars().any(char::is_control))
}

fn number(value: &str) -> Option<u64> {
    value.bytes().all(|c| c.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

/// RFC 8089: `file:/path` and `file:///path`.
fn file_path(uri: &str) -> Option<&str> {
    let path = uri.strip_prefix("file:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (path.starts_with('/') && !path.starts_with("//")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn refused(text: &str, bad: BadUri) {
        assert_eq!(Pkcs11Uri::parse(text), Err(bad));
    }
    #[track_caller]
    fn check(text: &str, expected: Pkcs11Uri) {
        assert_eq!(Pkcs11Uri::parse(text), Ok(expected.clone()));
        assert_eq!(Pkcs11Uri::parse(&expected.to_string()), Ok(expected));
    }
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn nothing_but_the_scheme_matches_all() {
        check("pkcs11:", Pkcs11Uri::default());
    }
    #[test]
    fn an_example_of_the_rfc() {
        let text = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
                    object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=\
                    ?pin-source=file:/etc/token_pin";
        // Off-spec: an empty serial number is refused.
        refused(text, BadUri::Value("serial"));
        check(
            &text.replace(";serial=", ""),
            Pkcs11Uri {
                token: some("The Software PKCS#11 Softtoken"),
                manufacturer: some("Snake Oil, Inc."),
                model: some("1.0"),
                object: some("my-certificate"),
                class: Some(Class::Certificate),
                id: Some(vec![0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91]),
                pin_file: some("/etc/token_pin"),
                ..Default::default()
            },
        );
    }
    #[test]
    fn slot_and_module_are_read() {
        let uri = Pkcs11Uri { slot_id: Some(17), module_path: some("/a/libb.so"), ..Default::default() };
        check("pkcs11:slot-id=17?module-path=/a/libb.so", uri);
    }
    #[test]
    fn a_module_is_known_by_its_name() {
        let uri = Pkcs11Uri { module_name: some("softhsm2"), ..Default::default() };
        assert!(uri.may_mean("/usr/lib/softhsm/libsofthsm2.so"));
        assert!(!uri.may_mean("/usr/lib/softhsm/libsofthsm.so"));
        check("pkcs11:?module-name=softhsm2", uri);
    }
    #[test]
    fn a_pin_in_the_query_is_refused() {
        refused("pkcs11:token=a?pin-value=1234", BadUri::PinValue);
    }
    #[test]
    fn a_pin_in_the_path_is_refused() {
        refused("pkcs11:pin-value=1234", BadUri::PinValue);
    }
    #[test]
    fn no_text_of_an_error_shows_a_value() {
        for text in
            ["pkcs11:token=a?pin-value=7391", "pkcs11:token=a?7391", "pkcs11:id=%7391;id=%", "pkcs11:7391=7391="]
        {
            let said = Pkcs11Uri::parse(text).map_or_else(|bad| bad.to_string(), |_| String::new());
            assert!(!said.contains("=7391") && !said.contains(" 7391="), "{said}");
        }
    }
    #[test]
    fn a_pin_is_not_asked_from_a_program() {
        refused("pkcs11:?pin-source=%7C/usr/bin/pin", BadUri::PinSource);
        refused("pkcs11:?pin-source=|/usr/bin/pin", BadUri::PinSource);
    }
    #[test]
    fn a_pin_is_not_asked_from_the_environment() {
        refused("pkcs11:?pin-source=env:PIN", BadUri::PinSource);
    }
    #[test]
    fn a_pin_is_not_asked_from_another_host() {
        refused("pkcs11:?pin-source=file://host/pin", BadUri::PinSource);
    }
    #[test]
    fn a_pin_file_may_have_an_empty_host() {
        check("pkcs11:?pin-source=file:///p", Pkcs11Uri { pin_file: some("/p"), ..Default::default() });
    }
    #[test]
    fn an_unknown_attribute_is_refused_by_name() {
        refused("pkcs11:library-version=1", BadUri::Unknown("library-version".to_owned()));
        refused("pkcs11:?x-vendor=1", BadUri::Unknown("x-vendor".to_owned()));
    }
    #[test]
    fn a_query_attribute_is_none_of_the_path() {
        refused("pkcs11:module-path=/a", BadUri::Unknown("module-path".to_owned()));
        refused("pkcs11:?token=a", BadUri::Unknown("token".to_owned()));
    }
    #[test]
    fn an_attribute_occurs_once() {
        refused("pkcs11:token=a;token=a", BadUri::Duplicate("token"));
        refused("pkcs11:?pin-source=file:/a&pin-source=file:/b", BadUri::Duplicate("pin-source"));
    }
    #[test]
    fn another_scheme_is_refused() {
        refused("file:a", BadUri::Scheme);
    }
    #[test]
    fn a_token_label_has_32_octets() {
        check(
            &format!("pkcs11:token={}", "a".repeat(32)),
            Pkcs11Uri { token: Some("a".repeat(32)), ..Default::default() },
        );
        refused(&format!("pkcs11:token={}", "a".repeat(33)), BadUri::Value("token"));
    }
    #[test]
    fn a_long_uri_is_refused() {
        refused(&format!("pkcs11:{}", "a".repeat(URI_LEN_MAX)), BadUri::TooLong);
    }
    #[test]
    fn half_an_escape_is_refused() {
        refused("pkcs11:id=%1", BadUri::Value("id"));
        refused("pkcs11:id=%", BadUri::Value("id"));
        refused("pkcs11:id=%+1", BadUri::Value("id"));
    }
    #[test]
    fn characters_of_other_places_are_refused() {
        for text in ["pkcs11:token=a/b", "pkcs11:token=a b", "pkcs11:token=a#b", "pkcs11:token=ä"] {
            refused(text, BadUri::Value("token"));
        }
    }
    #[test]
    fn text_is_utf8_without_controls() {
        refused("pkcs11:token=%ff", BadUri::Value("token"));
        refused("pkcs11:object=a%00", BadUri::Value("object"));
    }
    #[test]
    fn a_slot_is_a_number() {
        refused("pkcs11:slot-id=+1", BadUri::Value("slot-id"));
        refused("pkcs11:slot-id=", BadUri::Value("slot-id"));
        refused("pkcs11:slot-id=18446744073709551616", BadUri::Value("slot-id"));
    }
    #[test]
    fn a_module_path_is_absolute() {
        refused("pkcs11:?module-path=lib.so", BadUri::Value("module-path"));
    }
    #[test]
    fn lists_have_no_empty_places() {
        for text in ["pkcs11:;", "pkcs11:token=a;", "pkcs11:?", "pkcs11:token=a?&", "pkcs11:=a"] {
            refused(text, BadUri::Shape);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(pkcs11:)?.{0,80}") {
            drop(Pkcs11Uri::parse(&text));
        }
        #[test]
        fn what_is_written_is_read(object in "[^\\p{Cc}]{1,40}", id in prop::collection::vec(any::<u8>(), 1..64)) {
            let uri = Pkcs11Uri { object: Some(object), id: Some(id), class: Some(Class::Private), ..Default::default() };
            prop_assert_eq!(Pkcs11Uri::parse(&uri.to_string()), Ok(uri));
        }
    }
}
