//! What goes with an image besides signatures: bills of materials, statements on vulnerabilities, provenance, what kind of
//! release it is, deltas. Each is looked at as far as it must be to be what it is called, and about this image if it says
//! so.
//!
//! Only a few fields are read, so neither depth nor fractions matter, and memory is a small multiple of the file. A field of these that stands
//! twice is refused: two readers could take two things out of it.

use crate::delta;
use crate::developer::{Developer, Envelope, ImageHashes, NotSigned, Registered};
use model::Digest;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeSet;
use std::fmt;

/// Longest document, in octets: a bill of materials of a whole operating system.
pub const DOCUMENT_LEN_MAX: usize = 32 * 1024 * 1024;
/// Of CycloneDX, the first version whose bills are taken: from then on they have what audits ask for.
const CYCLONE_DX_MINOR_MIN: u32 = 6;
const SLSA: &str = "https://slsa.dev/provenance/";
const OPEN_VEX: &str = "https://openvex.dev/ns";

/// Why there is a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It mends what could be attacked.
    Security,
    /// It mends what did not work.
    Maintenance,
    /// It brings something new.
    Feature,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Security, Self::Maintenance, Self::Feature];

    /// What it is called in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Maintenance => "maintenance",
            Self::Feature => "feature",
        }
    }
}

impl std::str::FromStr for Class {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|class| class.name() == text);
        known.ok_or_else(|| "it is security, maintenance or feature".to_owned())
    }
}

/// Why a document is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPaper {
    /// It is longer than [`DOCUMENT_LEN_MAX`].
    TooLong,
    /// It is not JSON, or a field in it stands twice or is of another type.
    NotJson,
    /// It is not in a format that is known here.
    UnknownFormat,
    /// It is of a version that is not taken.
    OtherVersion,
    /// It is about another image.
    OtherImage,
    /// It is signed, and the signature is not believed.
    NotSigned(NotSigned),
    /// It is a statement of something else.
    NoProvenance,
    /// It is not written by `zstd`.
    NoDelta,
}

impl fmt::Display for BadPaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than 32 MiB",
            Self::NotJson => "it is not JSON, or a field in it stands twice or is of another type",
            Self::UnknownFormat => "it is in no format that is known here",
            Self::OtherVersion => "it is of a version that is not taken: CycloneDX from 1.6 on, SPDX 2.2 and 2.3 are",
            Self::OtherImage => "it is about another image",
            Self::NotSigned(why) => return why.fmt(f),
            Self::NoProvenance => "it is a statement of something else than provenance (SLSA)",
            Self::NoDelta => "it does not begin as what zstd writes",
        })
    }
}
impl std::error::Error for BadPaper {}

impl From<NotSigned> for BadPaper {
    fn from(why: NotSigned) -> Self {
        Self::NotSigned(why)
    }
}

// Of several formats, of which one has some of these fields.
#[derive(Deserialize)]
struct Bill {
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    #[serde(rename = "specVersion")]
    spec_version: Option<String>,
    metadata: Option<Metadata>,
    vulnerabilities: Option<Vec<IgnoredAny>>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<String>,
    #[serde(rename = "documentDescribes", default)]
    document_describes: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    relationships: Vec<Relationship>,
}

#[derive(Deserialize)]
struct Metadata {
    component: Option<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(default)]
    hashes: Vec<Hash>,
}

#[derive(Deserialize)]
struct Hash {
    alg: String,
    content: String,
}

#[derive(Deserialize)]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    #[serde(default)]
    checksums: Vec<Checksum>,
}

#[derive(Deserialize)]
struct Checksum {
    algorithm: String,
    #[serde(rename = "checksumValue")]
    value: String,
}

#[derive(Deserialize)]
struct Relationship {
    #[serde(rename = "spdxElementId")]
    from: String,
    #[serde(rename = "relationshipType")]
    kind: String,
    #[serde(rename = "relatedSpdxElement")]
    to: String,
}

/// Looks at a bill of materials: CycloneDX or SPDX in JSON. Gives its format and version.
///
/// If it has a SHA-256 of what it is a bill of, that is this image's.
/// # Errors
/// [`BadPaper`]
/// Source: CycloneDX 1.6 (ECMA-424); SPDX 2.3.
pub fn check_bill(octets: &[u8], image: &Digest) -> Result<String, BadPaper> {
    let bill = read_bill(octets)?;
    match (&bill.bom_format, &bill.spdx_version) {
        (Some(format), None) if format == "CycloneDX" => cyclone_dx(&bill, image),
        (None, Some(version)) => {
            let format = match version.as_str() {
                "SPDX-2.2" => "SPDX 2.2",
                "SPDX-2.3" => "SPDX 2.3",
                _ => return Err(BadPaper::OtherVersion),
            };
            let described: Vec<&str> = bill.described().collect();
            let packages = bill.packages.iter().filter(|package| described.contains(&package.id.as_str()));
            let sums = packages.flat_map(|package| &package.checksums).filter(|sum| sum.algorithm == "SHA256");
            is_about(image, sums.map(|sum| sum.value.as_str()))?;
            Ok(format.to_owned())
        }
        _ => Err(BadPaper::UnknownFormat),
    }
}

fn cyclone_dx(bill: &Bill, image: &Digest) -> Result<String, BadPaper> {
    let version = bill.spec_version.as_deref().unwrap_or_default();
    let minor = version.strip_prefix("1.").filter(|minor| minor.bytes().all(|c| c.is_ascii_digit()));
    let minor: u32 = minor.and_then(|minor| minor.parse().ok()).ok_or(BadPaper::OtherVersion)?;
    if minor < CYCLONE_DX_MINOR_MIN {
        return Err(BadPaper::OtherVersion);
    }
    let component = bill.metadata.as_ref().and_then(|metadata| metadata.component.as_ref());
    let hashes = component.into_iter().flat_map(|component| &component.hashes).filter(|hash| hash.alg == "SHA-256");
    is_about(image, hashes.map(|hash| hash.content.as_str()))?;
    Ok(format!("CycloneDX 1.{minor}"))
}

impl Bill {
    // What the document is about, by either way of saying so.
    fn described(&self) -> impl Iterator<Item = &str> {
        let says = |one: &&Relationship| one.from == "SPDXRef-DOCUMENT" && one.kind == "DESCRIBES";
        let related = self.relationships.iter().filter(says).map(|one| one.to.as_str());
        self.document_describes.iter().map(String::as_str).chain(related)
    }
}

// One that names no digest may be about anything.
fn is_about<'a>(image: &Digest, named: impl Iterator<Item = &'a str>) -> Result<(), BadPaper> {
    let named: Vec<&str> = named.collect();
    let own = image.to_string();
    if named.is_empty() || named.iter().any(|digest| digest.eq_ignore_ascii_case(&own)) {
        Ok(())
    } else {
        Err(BadPaper::OtherImage)
    }
}

fn read_bill(octets: &[u8]) -> Result<Bill, BadPaper> {
    short(octets)?;
    serde_json::from_slice(octets).map_err(|_| BadPaper::NotJson)
}

// An object: a list of its values would be read as one, too.
fn short(octets: &[u8]) -> Result<(), BadPaper> {
    match octets.trim_ascii_start().first() {
        _ if octets.len() > DOCUMENT_LEN_MAX => Err(BadPaper::TooLong),
        Some(b'{') => Ok(()),
        _ => Err(BadPaper::NotJson),
    }
}

// OpenVEX and CSAF.
#[derive(Deserialize)]
struct Statements {
    #[serde(rename = "@context")]
    context: Option<String>,
    statements: Option<Vec<IgnoredAny>>,
    document: Option<Document>,
    vulnerabilities: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Document {
    category: String,
    csaf_version: String,
}

/// Looks at a statement on which vulnerabilities matter: OpenVEX, CycloneDX or CSAF in JSON. Gives its format.
///
/// # Errors
/// [`BadPaper`]
/// Source: OpenVEX 0.2.0; CycloneDX 1.6; CSAF 2.0 profile 5.
pub fn check_vulnerabilities(octets: &[u8], image: &Digest) -> Result<String, BadPaper> {
    let said: Statements =
        short(octets).and_then(|()| serde_json::from_slice(octets).map_err(|_| BadPaper::NotJson))?;
    if said.context.as_ref().is_some_and(|context| context.starts_with(OPEN_VEX)) && said.statements.is_some() {
        return Ok("OpenVEX".to_owned());
    }
    if let Some(document) = &said.document
        && document.category == "csaf_vex"
        && said.vulnerabilities.is_some()
    {
        return if document.csaf_version == "2.0" { Ok("CSAF 2.0".to_owned()) } else { Err(BadPaper::OtherVersion) };
    }
    let bill = read_bill(octets)?;
    match (&bill.bom_format, &bill.vulnerabilities) {
        (Some(format), Some(_)) if format == "CycloneDX" => cyclone_dx(&bill, image),
        _ => Err(BadPaper::UnknownFormat),
    }
}

/// Looks at a provenance: a statement of in-toto in an envelope (DSSE), signed by who is registered, about this image. Gives
/// what it is called, and who signed.
///
/// # Errors
/// [`BadPaper`]
/// Source: SLSA 1.0, provenance.
pub fn check_provenance(
    octets: &[u8],
    image: &ImageHashes,
    registered: &Registered,
) -> Result<(String, BTreeSet<Developer>), BadPaper> {
    let (statement, developers) = Envelope::decode(octets)?.statement_over(image, registered)?;
    match statement.predicate_type().strip_prefix(SLSA) {
        Some(version @ ("v1" | "v0.2")) => Ok((format!("SLSA {version}"), developers)),
        Some(_) | None => Err(BadPaper::NoProvenance),
    }
}

/// Looks at the first octets of a delta.
///
/// # Errors
/// [`BadPaper::NoDelta`]
pub fn check_delta(first: &[u8]) -> Result<(), BadPaper> {
    if first.starts_with(&delta::MAGIC) { Ok(()) } else { Err(BadPaper::NoDelta) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[track_caller]
    fn bill(text: &str, expected: Result<&str, BadPaper>) {
        let found = check_bill(text.as_bytes(), &IMAGE.parse().unwrap());
        assert_eq!(found.as_deref().map_err(|bad| *bad), expected, "{text}");
    }
    #[track_caller]
    fn vex(text: &str, expected: Result<&str, BadPaper>) {
        let found = check_vulnerabilities(text.as_bytes(), &IMAGE.parse().unwrap());
        assert_eq!(found.as_deref().map_err(|bad| *bad), expected, "{text}");
    }
    fn cyclone(version: &str, hashes: &str) -> String {
        format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"{version}","metadata":{{"component":{{"hashes":[{hashes}]}}}}}}"#
        )
    }
    fn spdx(version: &str, describes: &str, digest: &str) -> String {
        format!(
            r#"{{"spdxVersion":"{version}",{describes},"packages":[
               {{"SPDXID":"SPDXRef-lib","checksums":[{{"algorithm":"SHA256","checksumValue":"{OTHER}"}}]}},
               {{"SPDXID":"SPDXRef-image","checksums":[{{"algorithm":"SHA256","checksumValue":"{digest}"}}]}}]}}"#
        )
    }

    #[test]
    fn cyclone_dx_of_the_image_or_of_nothing_named() {
        bill(r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"x":1.5}]}"#, Ok("CycloneDX 1.6"));
        let hash = |alg: &str, content: &str| format!(r#"{{"alg":"{alg}","content":"{content}"}}"#);
        bill(&cyclone("1.6", &hash("SHA-256", IMAGE)), Ok("CycloneDX 1.6"));
        bill(&cyclone("1.7", &hash("SHA-256", &IMAGE.to_uppercase())), Ok("CycloneDX 1.7"));
        bill(&cyclone("1.6", &hash("SHA-512", OTHER)), Ok("CycloneDX 1.6"));
        bill(&cyclone("1.6", &hash("SHA-256", OTHER)), Err(BadPaper::OtherImage));
    }
    #[test]
    fn cyclone_dx_of_other_versions() {
        for version in ["1.5", "2.0", "1.", "1.x", "1.+6", "", "1.99999999999"] {
            bill(&cyclone(version, ""), Err(BadPaper::OtherVersion));
        }
    }
    #[test]
    fn spdx_of_the_image() {
        let related = r#""relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES",
            "relatedSpdxElement":"SPDXRef-image"}]"#;
        for describes in [r#""documentDescribes":["SPDXRef-image"]"#, related] {
            bill(&spdx("SPDX-2.3", describes, IMAGE), Ok("SPDX 2.3"));
            bill(&spdx("SPDX-2.3", describes, OTHER), Err(BadPaper::OtherImage));
        }
        bill(&spdx("SPDX-2.2", r#""documentDescribes":[]"#, OTHER), Ok("SPDX 2.2"));
        bill(&spdx("SPDX-3.0", r#""documentDescribes":[]"#, IMAGE), Err(BadPaper::OtherVersion));
    }
    #[test]
    fn what_is_no_bill() {
        for text in ["{}", r#"{"bomFormat":"other"}"#, r#"{"bomFormat":"CycloneDX","spdxVersion":"SPDX-2.3"}"#] {
            bill(text, Err(BadPaper::UnknownFormat));
        }
        for text in [
            "",
            "null",
            "[]",
            "<bom/>",
            r#"["CycloneDX","1.6",null,null,null,[],[],[]]"#,
            r#"{"bomFormat":1}"#,
            r#"{"bomFormat":"CycloneDX"} x"#,
        ] {
            bill(text, Err(BadPaper::NotJson));
        }
    }
    #[test]
    fn a_field_that_stands_twice() {
        bill(r#"{"bomFormat":"CycloneDX","bomFormat":"CycloneDX","specVersion":"1.6"}"#, Err(BadPaper::NotJson));
    }
    #[test]
    fn a_million_levels_are_passed_over() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let text = format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":{deep}}}"#);
        bill(&text, Ok("CycloneDX 1.6"));
        bill(&text[..text.len() - 2], Err(BadPaper::NotJson));
    }
    #[test]
    fn so_many_octets_and_one_more() {
        let with = |len: usize| {
            let text = r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;
            check_bill((text.to_owned() + &" ".repeat(len - text.len())).as_bytes(), &IMAGE.parse().unwrap())
        };
        assert_eq!(with(DOCUMENT_LEN_MAX), Ok("CycloneDX 1.6".to_owned()));
        assert_eq!(with(DOCUMENT_LEN_MAX + 1), Err(BadPaper::TooLong));
    }
    #[test]
    fn statements_on_vulnerabilities() {
        vex(r#"{"@context":"https://openvex.dev/ns/v0.2.0","statements":[]}"#, Ok("OpenVEX"));
        vex(r#"{"bomFormat":"CycloneDX","specVersion":"1.6","vulnerabilities":[]}"#, Ok("CycloneDX 1.6"));
        let csaf = |category, version| {
            format!(r#"{{"document":{{"category":"{category}","csaf_version":"{version}"}},"vulnerabilities":[]}}"#)
        };
        vex(&csaf("csaf_vex", "2.0"), Ok("CSAF 2.0"));
        vex(&csaf("csaf_vex", "1.2"), Err(BadPaper::OtherVersion));
        vex(&csaf("csaf_base", "2.0"), Err(BadPaper::UnknownFormat));
        vex(r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#, Err(BadPaper::UnknownFormat));
        vex(r#"{"@context":"https://openvex.dev/ns/v0.2.0"}"#, Err(BadPaper::UnknownFormat));
        vex(r#"{"@context":"https://example.org","statements":[]}"#, Err(BadPaper::UnknownFormat));
    }
    #[test]
    fn classes_have_names() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert!("Security".parse::<Class>().is_err());
    }
}
