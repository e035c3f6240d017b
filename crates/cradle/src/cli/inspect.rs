//! `cradle inspect`: what a file is.

use super::Common;
use crate::fault::{Exit, Failure, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use x509::crmf::ProofOfPossession;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, decode_extended_key_usage, decode_subject_alt_name};
use x509::{CertReqMsg, Certificate, CertificateList, CertificationRequest, Extension, PublicKey, oids, pem, weak};

/// Show what a file is: certificate, request, CRL, release, a repository's metadata, key.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The file, PEM or DER.
    file: PathBuf,
}

/// Longest file that is looked at.
const FILE_LEN_MAX: u64 = 64 * 1024 * 1024;

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let path = &arguments.file;
    let octets = adapters::files::read_bounded(path, FILE_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let blocks = pem::blocks(&octets).unwrap_or_else(|| vec![octets]);
    let seen: Option<Vec<_>> = blocks.iter().map(|der| look(der)).collect();
    let seen = seen.ok_or_else(|| {
        Failure::new(Exit::Failed, "malformed", format!("{} is nothing that this program knows", path.display()))
            .because(
                "it is no certificate (version 3, not under SHA-1), request (PKCS #10, CRMF), CRL or public key in DER or \
                 PEM, no release, and no metadata of a repository",
            )
            .next("see `openssl asn1parse -in FILE` for what it is")
    })?;
    let text = seen.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n");
    match seen.as_slice() {
        [(value, _)] => common.out().one(value, || text),
        all => common.out().one(&all.iter().map(|(value, _)| value).collect::<Vec<_>>(), || text),
    }
}

/// What is proved by the signature of a request; that of a key which is too weak to be believed is not looked at.
fn proof(key: &PublicKey, verified: bool) -> &'static str {
    match (verified, weak::check(key)) {
        (true, _) => "holds",
        (false, Ok(())) => "DOES NOT HOLD",
        (false, Err(_)) => "not verified: the key is too weak to prove anything",
    }
}

fn look(der: &[u8]) -> Option<(Value, String)> {
    if let Ok(certificate) = Certificate::decode(der) {
        return Some((certificate_value(&certificate), certificate_text(&certificate)));
    }
    if let Ok(request) = CertificationRequest::decode(der) {
        let proof = proof(&request.public_key, request.verify().is_ok());
        return Some(request_shown(
            "PKCS #10 request",
            &request.subject.to_string(),
            &request.public_key,
            &request.extensions,
            proof,
        ));
    }
    if let Ok(message) = CertReqMsg::decode_only(der) {
        let proof = match (&message.proof_of_possession, message.verify()) {
            (ProofOfPossession::RaVerified, _) => "raVerified: a station vouches for it",
            (ProofOfPossession::Absent, _) => "none",
            (ProofOfPossession::Signature { .. }, verified) => {
                proof(&message.cert_template.public_key, verified.is_ok())
            }
        };
        let template = &message.cert_template;
        let subject = template.subject.as_ref().map(ToString::to_string).unwrap_or_default();
        return Some(request_shown("CRMF request", &subject, &template.public_key, &template.extensions, proof));
    }
    if let Ok(list) = CertificateList::decode(der) {
        let revoked: Vec<_> = list
            .revoked
            .iter()
            .map(|r| json!({"serial": r.serial_number.to_string(), "at": r.revocation_date.to_string(), "reason": r.reason.name()}))
            .collect();
        let value = json!({
            "kind": "crl", "issuer": list.issuer.to_string(), "number": list.crl_number, "base": list.base_crl_number,
            "this_update": list.this_update.to_string(), "next_update": list.next_update.to_string(),
            "algorithm": list.algorithm.to_string(), "revoked": revoked,
        });
        return Some((value, crl_text(&list)));
    }
    if let Ok(manifest) = update::bundle::Manifest::decode(der.trim_ascii_end()) {
        return Some(bundle_shown(&manifest));
    }
    if let Ok(file) = repository::RoleFile::read(der) {
        return Some(role_file(&file));
    }
    let key = PublicKey::decode(der).ok()?;
    let value = json!({"kind": "public key", "type": key.key_type().to_string(), "sha256": key.digest().to_string()});
    Some((value, format!("public key         {}\n{}", key.key_type(), key_text(&key))))
}

fn role_file(file: &repository::RoleFile) -> (Value, String) {
    let lines: Vec<_> = file.changes(None).iter().map(|line| model::text::printable(line, 2000)).collect();
    let value = json!({
        "kind": format!("{} of a repository", file.kind()), "version": file.version(),
        "expires": file.expires().to_string(), "says": lines,
    });
    (value, format!("{}\n", lines.join("\n")))
}

fn bundle_shown(manifest: &update::bundle::Manifest) -> (Value, String) {
    let types = |types: &[model::DeviceType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let value = json!({
        "kind": "bundle", "components": manifest.components, "files": manifest.files, "images": manifest.images,
    });
    let mut text = format!("bundle             of a box for {}\n", types(&manifest.components));
    for image in &manifest.images {
        text.push_str(&format!(
            "image              {} (counter {}) for {}, {} octets, SHA-256 {}\n",
            model::text::printable(&image.target, 200),
            image.counter,
            types(&image.device_types),
            image.length,
            image.sha256,
        ));
    }
    for file in &manifest.files {
        let name = model::text::printable(&file.name, 200);
        text.push_str(&format!("file               {name}, {} octets, SHA-256 {}\n", file.length, file.sha256));
    }
    (value, text)
}

fn key_text(key: &PublicKey) -> String {
    let health = match weak::check(key) {
        Ok(()) => "no known weakness".to_owned(),
        Err(weakness) => format!("WEAK: {weakness}"),
    };
    format!("key                {}, SHA-256 {}, {health}\n", key.key_type(), key.digest())
}

fn request_shown(kind: &str, subject: &str, key: &PublicKey, extensions: &[Extension], proof: &str) -> (Value, String) {
    let asked: Vec<_> = extensions.iter().map(extension_text).collect();
    let value = json!({
        "kind": kind, "subject": subject, "key_type": key.key_type().to_string(), "key": key.digest().to_string(),
        "extensions": asked, "proof_of_possession": proof,
    });
    let mut text = format!("{kind}\nsubject            {subject}\n{}proof              {proof}\n", key_text(key));
    asked.iter().for_each(|line| text.push_str(&format!("asks for           {line}\n")));
    (value, text)
}

fn certificate_value(certificate: &Certificate) -> Value {
    let tbs = certificate.tbs();
    let extensions: Vec<_> = tbs.extensions.iter().map(extension_text).collect();
    json!({
        "kind": "certificate", "serial": tbs.serial_number.to_string(), "subject": tbs.subject.to_string(),
        "issuer": tbs.issuer.to_string(), "not_before": tbs.not_before.to_string(),
        "not_after": tbs.not_after.to_string(), "key_type": tbs.subject_public_key.key_type().to_string(),
        "key": tbs.subject_public_key.digest().to_string(), "algorithm": tbs.signature.to_string(),
        "extensions": extensions, "sha256": x509::sha256(certificate.der()).to_string(),
    })
}

/// A certificate for people.
pub(crate) fn certificate_text(certificate: &Certificate) -> String {
    let tbs = certificate.tbs();
    let mut text = format!(
        "certificate        {}\nsubject            {}\nissuer             {}\nvalid              {} to {}\n{}signed             {}\n",
        tbs.serial_number,
        tbs.subject,
        tbs.issuer,
        tbs.not_before,
        tbs.not_after,
        key_text(&tbs.subject_public_key),
        tbs.signature,
    );
    for extension in &tbs.extensions {
        text.push_str(&format!("extension          {}\n", extension_text(extension)));
    }
    text
}

fn ip_text(octets: &[u8]) -> String {
    use std::net::IpAddr;
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or(v6).map_or_else(|_| model::octets::hex(octets), |address| address.to_string())
}

/// A list for people.
pub(crate) fn crl_text(list: &CertificateList) -> String {
    let base = list.base_crl_number.map(|base| format!(", what changed since {base}")).unwrap_or_default();
    let mut text = format!(
        "CRL                number {}{base}\nissuer             {}\nupdate             {}, next {}\nentries            {}\n",
        list.crl_number,
        list.issuer,
        list.this_update,
        list.next_update,
        list.revoked.len(),
    );
    for entry in &list.revoked {
        let line = format!("{}  {}  {}", entry.serial_number, entry.revocation_date, entry.reason.name());
        text.push_str(&format!("revoked            {line}\n"));
    }
    text
}

fn extension_text(extension: &Extension) -> String {
    let value = &extension.value;
    let said = match extension.oid {
        oids::BASIC_CONSTRAINTS => BasicConstraints::decode(value).map(|b| {
            let depth = b.path_len.map(|n| format!(", path length {n}")).unwrap_or_default();
            format!("basicConstraints CA:{}{depth}", b.ca)
        }),
        oids::KEY_USAGE => KeyUsage::decode(value).map(|usage| {
            let names = KeyUsage::NAMES.iter().filter(|(_, bit)| usage.has(*bit)).map(|(name, _)| *name);
            format!("keyUsage {}", names.collect::<Vec<_>>().join(", "))
        }),
        oids::SUBJECT_ALT_NAME => decode_subject_alt_name(value).map(|names| {
            let names = names.iter().map(|name| match name {
                GeneralName::Dns(text) => format!("DNS:{text}"),
                GeneralName::Uri(text) => format!("URI:{text}"),
                GeneralName::Rfc822(text) => format!("email:{text}"),
                GeneralName::Directory(name) => format!("directory:{name}"),
                GeneralName::Ip(octets) => format!("IP:{}", ip_text(octets)),
                GeneralName::Other(der) => format!("other:{}", model::octets::hex(der)),
            });
            format!("subjectAltName {}", names.collect::<Vec<_>>().join(", "))
        }),
        oids::EXTENDED_KEY_USAGE => decode_extended_key_usage(value).map(|purposes| {
            let purposes: Vec<_> = purposes.iter().map(ToString::to_string).collect();
            format!("extKeyUsage {}", purposes.join(", "))
        }),
        oids::SUBJECT_KEY_IDENTIFIER => Some(format!("subjectKeyIdentifier {}", model::octets::hex(value))),
        oids::AUTHORITY_KEY_IDENTIFIER => Some(format!("authorityKeyIdentifier {}", model::octets::hex(value))),
        _ => None,
    };
    let said = said.unwrap_or_else(|| format!("{} {}", extension.oid, model::octets::hex(value)));
    let critical = if extension.critical { " (critical)" } else { "" };
    model::text::printable(&format!("{said}{critical}"), 512)
}
