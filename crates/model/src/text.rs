//! Names with a known alphabet and a known length, so that they can stand in files, URLs, logs and certificates.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// A name was empty, too long, or written with a letter that it may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    /// Which kind of name.
    pub kind: &'static str,
    /// What such a name looks like.
    pub shape: &'static str,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} is {}", self.kind, self.shape)
    }
}
impl std::error::Error for BadName {}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $shape:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                let allowed: fn(u8) -> bool = $allowed;
                let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
                if starts_well && text.len() <= $max && text.bytes().all(allowed) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(BadName { kind: $kind, shape: $shape })
                }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:?}", self.0) }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(&self.0) }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> { d.deserialize_str(Parse::new()) }
        }
    };
}

// Reads any name from a JSON string without a copy in between.
struct Parse<T>(std::marker::PhantomData<T>);

impl<T> Parse<T> {
    const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: FromStr<Err = BadName>> de::Visitor<'_> for Parse<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

text!(
    /// The serial number that the maker printed on a device.
    DeviceSerial, "device serial number", 64,
    "1 to 64 letters, digits, '.' or '-', beginning with a letter or digit",
    |c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-')
);
text!(
    /// The name of a device type, which is also the name of its file.
    DeviceType, "device type", 32,
    "1 to 32 lower-case letters, digits or '.', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'.'
);
text!(
    /// What the hardware says of itself: a chip identifier that no label can change.
    BoardId, "board identifier", 64,
    "1 to 64 letters, digits, '.', '-', '_' or ':', beginning with a letter or digit",
    |c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b':')
);
text!(
    /// The name of a certificate profile, which is also the name of its file.
    ProfileName, "profile name", 32,
    "1 to 32 lower-case letters, digits or '-', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);
text!(
    /// The name of a certification authority in this instance.
    AuthorityName, "authority name", 32,
    "1 to 32 lower-case letters, digits or '-', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);
text!(
    /// What stands in a path of EST and says which certificates are asked for. Source: RFC 7030 §3.2.2.
    EstLabel, "EST label", 32,
    "1 to 32 lower-case letters, digits or '-', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);
text!(
    /// The name of a key ceremony.
    CeremonyName, "ceremony name", 64,
    "1 to 64 lower-case letters, digits or '-', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);
text!(
    /// The name of a file beside others: no path, and nothing hidden.
    FileName, "file name", 64,
    "1 to 64 letters, digits, '.', '-' or '_', beginning with a letter or digit",
    |c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')
);
text!(
    /// The name of a programming station.
    StationName, "station name", 32,
    "1 to 32 lower-case letters, digits or '-', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);
text!(
    /// The name of somebody who sends registration lists.
    SupplierName, "supplier name", 32,
    "1 to 32 lower-case letters, digits or '-', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);
text!(
    /// The name of who made devices before they came here, and gave them a certificate.
    MakerName, "maker name", 32,
    "1 to 32 lower-case letters, digits or '-', beginning with a letter or digit",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);
text!(
    /// The name of a person who operates the system.
    OperatorName, "operator name", 64,
    "1 to 64 letters, digits, '.', '-', '_' or '@', beginning with a letter or digit",
    |c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'@')
);

/// The name of a device for all its life, unique in the world.
///
/// Shape in text: `urn:dev:ops:PEN-TYPE-SERIAL`, where a `-` of the serial number is written `%2D` because the scheme
/// keeps `-` for itself.
/// Source: RFC 9039 §4.4 (a maker's private enterprise number, product class and serial number).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    /// The maker's private enterprise number.
    pub maker_pen: u32,
    /// The product class.
    pub device_type: DeviceType,
    /// The serial number within all devices of the maker.
    pub serial: DeviceSerial,
}

const PREFIX: &str = "urn:dev:ops:";
const SHAPE: BadName = BadName { kind: "device name", shape: "written urn:dev:ops:PEN-TYPE-SERIAL" };

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}-", self.maker_pen, self.device_type)?;
        for (n, part) in self.serial.as_str().split('-').enumerate() {
            if n > 0 {
                f.write_str("%2D")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl FromStr for DeviceId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let rest = text.strip_prefix(PREFIX).ok_or(SHAPE)?;
        let mut parts = rest.splitn(3, '-');
        let mut next = || parts.next().ok_or(SHAPE);
        let (pen, device_type, serial) = (next()?, next()?, next()?);
        if serial.contains('-') {
            return Err(SHAPE);
        }
        let id = Self {
            maker_pen: pen.parse().map_err(|_| SHAPE)?,
            device_type: device_type.parse()?,
            serial: serial.replace("%2D", "-").parse()?,
        };
        // One name, one spelling: `032473`, `+32473` or a lower-case `%2d` would be a second one.
        if pen == id.maker_pen.to_string() { Ok(id) } else { Err(SHAPE) }
    }
}

impl Serialize for DeviceId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for DeviceId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Parse::new())
    }
}

/// Whom a certificate is for: the registered thing, whose name decides what the certificate says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// A device. In text its `urn:dev:ops:` name.
    Device(DeviceId),
    /// A certification authority of this instance. In text `authority:NAME`.
    Authority(AuthorityName),
    /// A module on a station or box. In text `module:MODULE:INSTANCE`.
    Module(crate::Module, StationName),
    /// A person. In text `operator:NAME`.
    Operator(OperatorName),
    /// Who answers whether certificates of an authority of this instance are revoked. In text `responder:AUTHORITY`.
    Responder(AuthorityName),
}

impl Entity {
    /// The device, if it is one.
    #[must_use]
    pub const fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Device(id) => Some(id),
            Self::Authority(_) | Self::Module(..) | Self::Operator(_) | Self::Responder(_) => None,
        }
    }

    /// The operator, if it is one.
    #[must_use]
    pub const fn operator(&self) -> Option<&OperatorName> {
        match self {
            Self::Operator(name) => Some(name),
            Self::Device(_) | Self::Authority(_) | Self::Module(..) | Self::Responder(_) => None,
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => id.fmt(f),
            Self::Authority(name) => write!(f, "authority:{name}"),
            Self::Module(module, instance) => write!(f, "module:{module}:{instance}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Responder(authority) => write!(f, "responder:{authority}"),
        }
    }
}

impl FromStr for Entity {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        const SHAPE: BadName = BadName {
            kind: "subject",
            shape: "a device name, authority:NAME, module:MODULE:INSTANCE, operator:NAME or responder:AUTHORITY",
        };
        match text.split_once(':') {
            Some(("urn", _)) => text.parse().map(Self::Device),
            Some(("authority", name)) => name.parse().map(Self::Authority),
            Some(("operator", name)) => name.parse().map(Self::Operator),
            Some(("responder", authority)) => authority.parse().map(Self::Responder),
            Some(("module", rest)) => {
                let (module, instance) = rest.split_once(':').ok_or(SHAPE)?;
                Ok(Self::Module(crate::Module::by_name(module).ok_or(SHAPE)?, instance.parse()?))
            }
            _ => Err(SHAPE),
        }
    }
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Entity {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Parse::new())
    }
}

/// Whether a letter cannot be seen where it stands, or changes how others are shown: control, bidirectional and other
/// invisible characters.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// Makes foreign text fit to be shown: control, bidirectional and other invisible characters are escaped, and text
/// longer than `len_max` characters is cut with `…`.
#[must_use]
pub fn printable(text: &str, len_max: usize) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == len_max {
            out.push('…');
            break;
        }
        if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ok: bool) {
        assert_eq!(text.parse::<DeviceSerial>().is_ok(), ok, "{text:?}");
    }

    #[test]
    fn a_plain_serial() {
        check("SN-0001.ab", true);
    }
    #[test]
    fn nothing_is_no_serial() {
        check("", false);
    }
    #[test]
    fn sixty_four_letters() {
        check(&"a".repeat(64), true);
    }
    #[test]
    fn sixty_five_letters_are_refused() {
        check(&"a".repeat(65), false);
    }
    #[test]
    fn a_path_is_refused() {
        check("../x", false);
        check("..", false);
    }
    #[test]
    fn a_space_is_refused() {
        check("a b", false);
    }
    #[test]
    fn what_a_printable_string_cannot_write_is_refused() {
        check("a_b", false);
        check("a@b", false);
    }
    #[test]
    fn a_formula_is_refused() {
        check("=1+1", false);
    }
    #[test]
    fn an_umlaut_is_refused() {
        check("ä", false);
    }

    #[track_caller]
    fn urn(text: &str, serial: Option<&str>) {
        let id = text.parse::<DeviceId>().ok();
        assert_eq!(id.as_ref().map(|i| i.serial.as_str()), serial, "{text}");
        if let Some(id) = id {
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn a_device_name() {
        urn("urn:dev:ops:32473-sensor.a-SN0001", Some("SN0001"));
    }
    #[test]
    fn hyphens_are_encoded() {
        urn("urn:dev:ops:32473-sensor-SN%2D0001%2Db", Some("SN-0001-b"));
    }
    #[test]
    fn a_bare_hyphen_in_the_serial_is_refused() {
        urn("urn:dev:ops:32473-sensor-SN-1", None);
    }
    #[test]
    fn another_number_spelling_is_refused() {
        urn("urn:dev:ops:032473-sensor-SN1", None);
        urn("urn:dev:ops:+32473-sensor-SN1", None);
    }
    #[test]
    fn another_scheme_is_refused() {
        urn("urn:dev:mac:32473-sensor-SN1", None);
    }
    #[test]
    fn lower_case_percent_is_refused() {
        urn("urn:dev:ops:32473-sensor-SN%2d1", None);
    }

    #[test]
    fn control_characters_are_shown_as_escapes() {
        assert_eq!(printable("a\n\u{202e}b", 80), "a\\u{a}\\u{202e}b");
    }
    #[test]
    fn long_text_is_cut() {
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
