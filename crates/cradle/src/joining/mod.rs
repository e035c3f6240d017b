//! How a further box joins an installation: what goes between both as files. Whoever sees or alters them on their way gains
//! nothing but the token itself, which is secret.
//!
//! The token's secret is the private half of a key, and the records have the digest of its public half: whoever reads the
//! records cannot use the token, and whoever reads a request cannot put other keys into it.

pub(crate) mod admit;
pub(crate) mod invite;
pub(crate) mod join;

use crate::config::FollowConfig;
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use adapters::keystore::memory::MemoryKey;
use model::octets::{from_hex, hex};
use model::{Base64, Digest, Module, OperatorName, StationName, UnixTime};
use ports::clock::{Entropy, random};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use x509::PublicKey;
use zeroize::Zeroizing;

/// The `typ` of what operators sign to invite a box.
const INVITATION: &str = "cradle-invitation";
/// The `typ` of what a box asks that was invited.
const REQUEST: &str = "cradle-join";
/// The `typ` of what an operator says for the records of a box that was admitted.
const ADMITTED: &str = "cradle-admitted";
/// The `typ` of what an operator answers.
const ADMISSION: &str = "cradle-admission";

/// Longest token, request and answer, in octets. An answer has the profiles in it, and certificates.
const DOCUMENT_LEN_MAX: u64 = 8 * 1024 * 1024;

/// What every box has, whatever it is invited for: somebody keeps its mode, and somebody asks for the operator.
pub(crate) const ALWAYS: [Module; 2] = [Module::Console, Module::Supervisor];

/// What operators sign: which box may come, as what, until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invited {
    /// SHA-256 of the public half of the token's secret.
    pub(crate) token: Digest,
    #[serde(rename = "box")]
    pub(crate) instance: StationName,
    /// Its modules, those that every box has among them.
    pub(crate) modules: Vec<Module>,
    /// Who operates it, with a key that is made there.
    pub(crate) operator: OperatorName,
    pub(crate) at: UnixTime,
    pub(crate) until: UnixTime,
}

/// What the new box must know of the installation, and believe.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    organization: String,
    maker_pen: u32,
    /// Whose name the audit log has.
    log: StationName,
    /// Where the records are, as the new box reaches them.
    store: String,
    servers: Vec<String>,
    domain: String,
    /// The certificates of the broker's authorities, in PEM, if it speaks TLS.
    trust: Option<String>,
    /// The certificate of the authority of modules and operators.
    authority: Base64,
}

/// A one-time token. Secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    #[serde(with = "wiped")]
    secret: Zeroizing<String>,
    invited: Invited,
    about: About,
}

/// What a new box asks: that these keys be certified. Signed with the token's key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(rename = "box")]
    instance: StationName,
    modules: Vec<Asked>,
    /// A PKCS #10 request, signed with the new key of the operator.
    operator: Base64,
    /// The key for which what is secret is sealed that goes to this box.
    vault: Digest,
    at: UnixTime,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    module: Module,
    /// A PKCS #10 request, signed with the new key of the module.
    request: Base64,
    /// The public key with which it signs in to the broker.
    login: String,
}

/// A request as a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    /// The public half of the token's secret, as SubjectPublicKeyInfo.
    token: Base64,
    /// A flattened JWS.
    request: String,
}

/// What an operator says for the records: with which keys a box was admitted, beside those that are certified.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admitted {
    /// SHA-256 of the public half of its token's secret.
    token: Digest,
    #[serde(rename = "box")]
    pub(crate) instance: StationName,
    /// The public key with which each of its modules signs in to the broker.
    pub(crate) logins: BTreeMap<Module, String>,
    /// The key for which images are encrypted that its station reads.
    pub(crate) vault: Digest,
}

/// What an operator answers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Admission {
    /// SHA-256 of the request.
    request: Digest,
    #[serde(rename = "box")]
    instance: StationName,
    modules: BTreeMap<Module, Base64>,
    operator: Base64,
    /// The public key of the shared audit log, in PEM.
    audit_pub: String,
    /// The private one, sealed for the new box.
    audit_key: Base64,
    signed_lists_only: bool,
    operators_needed: usize,
    /// Files of `profiles` and `device-types`.
    profiles: BTreeMap<String, String>,
    device_types: BTreeMap<String, String>,
    /// The repositories of software that the installation follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    follow: Option<Followed>,
}

/// The first roots of the repositories that an installation follows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Followed {
    images: Base64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    director: Option<Base64>,
}

impl Followed {
    fn config(&self) -> FollowConfig {
        let digest = |root: &Base64| x509::sha256(root.as_ref());
        FollowConfig { images: digest(&self.images), director: self.director.as_ref().map(digest) }
    }
}

/// An answer as a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFile {
    /// The certificate of the operator who signed.
    certificate: Base64,
    /// A flattened JWS.
    answer: String,
}

/// A secret in JSON, which is wiped from memory when it is dropped.
mod wiped {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(secret: &Zeroizing<String>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(secret)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(d).map(Zeroizing::new)
    }
}

/// The PKCS #8 form of an Ed25519 key, version 1, before its 32 octets. Source: RFC 8410 §7.
const ED25519_PKCS8: [u8; 16] = [0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 34, 4, 32];

impl Token {
    /// Makes a secret, and gives it in hexadecimal digits: 256 bits.
    fn secret(entropy: &dyn Entropy) -> Zeroizing<String> {
        let raw = Zeroizing::new(random::<32>(entropy));
        Zeroizing::new(hex(raw.as_ref()))
    }
}

/// The key whose private half a token's secret is.
fn token_key(secret: &str) -> Result<MemoryKey> {
    let bad = || bad_document("token", "its secret is none");
    let raw = Zeroizing::new(from_hex(secret).map_err(|_| bad())?);
    if raw.len() != 32 {
        return Err(bad());
    }
    let pkcs8 = Zeroizing::new([ED25519_PKCS8.as_slice(), &raw].concat());
    MemoryKey::open(&pkcs8).map_err(|_| bad())
}

/// To what the audit log's key is bound when it is sealed for a box.
fn sealed_for(instance: &StationName, request: Digest) -> Vec<u8> {
    format!("cradle audit key, for {instance}, by request {request}").into_bytes()
}

/// A file between two boxes that is not what it should be.
fn bad_document(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, "join-file", format!("this {what} cannot be used"))
        .because(why)
        .next("take the file again as it was written; docs/apart.md tells which comes when")
}

fn read<T: DeserializeOwned>(what: &str, path: &Path) -> Result<T> {
    let octets = files::read_bounded(path, DOCUMENT_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let octets = Zeroizing::new(octets);
    object(&octets).ok_or_else(|| bad_document(what, format!("{} is no {what}", path.display())))
}

fn write(path: &Path, document: &impl Serialize) -> Result {
    let text = serde_json::to_vec_pretty(document)
        .map_err(|e| Failure::new(Exit::Failed, "output", "this cannot be written as JSON").because(e))?;
    let text = Zeroizing::new(text);
    files::write_new(path, &text).map_err(|e| Failure::file(path, &e))
}

/// Reads a JSON object; nothing else is one of our documents.
fn object<T: DeserializeOwned>(octets: &[u8]) -> Option<T> {
    let is_object = octets.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(octets).ok())?
}

fn payload(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document)
        .map_err(|e| Failure::new(Exit::Failed, "output", "this cannot be written as JSON").because(e))
}

fn text(octets: Vec<u8>) -> Result<String> {
    String::from_utf8(octets).map_err(|e| Failure::new(Exit::Failed, "output", "this cannot be written").because(e))
}

/// The modules of a box that is invited for some.
pub(crate) fn with_always(modules: &[Module]) -> Vec<Module> {
    let wanted: BTreeSet<_> = modules.iter().copied().chain(ALWAYS).collect();
    wanted.into_iter().collect()
}

fn names(modules: &[Module]) -> String {
    modules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn spki(key: &PublicKey) -> Base64 {
    key.spki().to_vec().into()
}

/// What a signed statement says, not verified.
fn unverified<T: DeserializeOwned>(jws: &str) -> Option<T> {
    #[derive(Deserialize)]
    struct Jws<'m> {
        payload: &'m str,
    }
    let jws: Jws<'_> = serde_json::from_str(jws).ok()?;
    object(&model::octets::from_base64url(jws.payload.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::Signer;

    #[test]
    fn a_secret_gives_the_same_key_each_time() {
        let secret = Token::secret(&adapters::clock::SystemEntropy::default());
        assert_eq!(token_key(&secret).unwrap().public_key(), token_key(&secret).unwrap().public_key());
        assert_eq!(secret.len(), 64);
    }
    // Source: RFC 8032 §7.1, test 1.
    #[test]
    fn the_public_half_is_what_others_compute() {
        let key = token_key("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex(key.public_key().bits()), public);
    }
    #[track_caller]
    fn check(secret: &str) {
        assert_eq!(token_key(secret).map(drop).unwrap_err().code, "join-file", "{secret:?}");
    }
    #[test]
    fn what_is_no_secret_is_refused() {
        check("");
        check(&"0".repeat(62));
        check(&"0".repeat(66));
        check(&"x".repeat(64));
    }
    #[test]
    fn every_box_has_a_console_and_a_supervisor() {
        let modules = with_always(&[Module::Provisioning, Module::Console]);
        assert_eq!(modules, [Module::Provisioning, Module::Console, Module::Supervisor]);
    }
}
