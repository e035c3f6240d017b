//! `cradle ca attach`: an authority whose key is with somebody else, who is asked by CMP.

use super::Sure;
use super::ceremony::{agreed, certificate, open};
use crate::cli::Common;
use crate::compose::Workshop;
use crate::fault::{Exit, Failure, Result, While};
use adapters::cmp::{Address, HttpLine, TIMEOUT, keep_secret};
use adapters::files;
use adapters::keystore::memory::MemoryKey;
use authority::foreign::{NotDone, with_line};
use model::contract::hierarchy::ImportAuthority;
use model::mode::Binding;
use model::{AuthorityName, Fault, Mode, Reason};
use ports::foreign::{Opened, Protection};
use ports::keystore::KeyFault;
use ports::store::AuthorityStore;
use ports::store::authority::AuthorityRow;
use ports::store::foreign::{Attachment, Credential, ForeignStore, Mac};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wire::cmp::MESSAGE_LEN_MAX;
use x509::{Certificate, pem};
use zeroize::Zeroizing;

/// Longest secret, in octets.
const SECRET_LEN_MAX: u64 = 1024;
/// Longest file of a key or of certificates, in octets.
const FILE_LEN_MAX: u64 = 256 * 1024;
/// Names in the keystore that are tried for what protects requests: as often as it may be changed.
const LABELS_MAX: u32 = 1000;

/// Where a foreign authority is, and how requests to it are protected.
#[derive(clap::Args)]
pub(super) struct Attach {
    /// Its name here.
    name: AuthorityName,
    /// Where its server of CMP is: `cmp://HOST[:PORT][/PATH]`, or `cmps://` over TLS.
    #[arg(long)]
    url: String,
    /// Its certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Who issued its certificate, and was taken in before; a root issued its own.
    #[arg(long)]
    issuer: Option<AuthorityName>,
    /// Certificates in PEM by one of which the server's TLS certificate is issued. For `cmps://`.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Certificates in PEM of servers that may answer for it, beside itself and those that it appointed.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// The file of a secret that both sides have: it protects requests and answers.
    #[arg(long, value_name = "FILE", requires = "reference", conflicts_with = "key_file")]
    secret_file: Option<PathBuf>,
    /// What the other side finds the secret by.
    #[arg(long, value_name = "TEXT", requires = "secret_file")]
    reference: Option<String>,
    /// Which MAC the secret is for: pbmac1, or password-based for servers that know nothing better, like OpenSSL 3.0.
    #[arg(long, default_value = "pbmac1", value_name = "MAC", value_parser = mac)]
    mac: Mac,
    /// The file of a key in PKCS #8 that protects requests; answers are signed then, too.
    #[arg(long, value_name = "FILE", requires = "key_certificate", required_unless_present = "secret_file")]
    key_file: Option<PathBuf>,
    /// The certificate of that key, and those that the other side needs to verify it, in PEM.
    #[arg(long, value_name = "FILE", requires = "key_file")]
    key_certificate: Option<PathBuf>,
    /// Attach it without asking it anything.
    #[arg(long)]
    unasked: bool,
    #[command(flatten)]
    sure: Sure,
}

fn mac(text: &str) -> std::result::Result<Mac, String> {
    Mac::by_name(text).ok_or_else(|| "the MACs are pbmac1 and password-based".into())
}

/// What protects requests, before it is kept.
enum Given {
    Secret(Zeroizing<Vec<u8>>),
    Key(Zeroizing<Vec<u8>>),
}

pub(super) fn attach(common: &Common, asked: &Attach) -> Result {
    let (der, certificate) = certificate(&asked.certificate)?;
    let (given, credential) = credential(asked)?;
    let url = http(&asked.url)?;
    let mut attachment = Attachment {
        authority: 0,
        url,
        credential,
        servers: list(asked.server.as_deref())?,
        anchors: list(asked.trust.as_deref())?,
    };
    let installation = open(common, None)?;
    let workshop = &installation.workshop;
    let doing = format!("attaching {}", asked.name);
    let binding = installation.supervisor.row().binding;
    if binding != Binding::settled(Mode::Ceremony) {
        return Err(Failure::new(Exit::Unavailable, "wrong-mode", format!("{doing} was refused"))
            .because(format!("the mode is {}", binding.current))
            .next("`cradle mode set ceremony`, then repeat the command"));
    }
    let known = row(workshop, &asked.name)?;
    if known.as_ref().is_some_and(|row| row.certificate != der) {
        return Err(Failure::new(Exit::Conflict, "name-taken", format!("{doing} was refused"))
            .because(format!("{} is the name of another authority here", asked.name))
            .next("choose another name"));
    }
    let found = if asked.unasked { Vec::new() } else { ask(workshop, &attachment, &given, &certificate)? };
    let subject = &certificate.tbs().subject;
    let plan = format!("have {subject} at {} certify as {}", attachment.url, asked.name);
    if !agreed(common, &plan, &asked.name, &asked.sure)? {
        return Ok(());
    }
    if known.is_none() {
        let call = ImportAuthority { name: asked.name.clone(), certificate: der.into(), issuer: asked.issuer.clone() };
        installation.ask(&call, &doing)?;
    }
    let row = row(workshop, &asked.name)?.ok_or(Fault::Refused(Reason::IssuerUnknown)).or_fail(&doing)?;
    attachment.authority = row.id;
    keep(workshop, &asked.name, given, &mut attachment.credential)?;
    let key = certificate.tbs().subject_public_key.digest();
    workshop.store.attach(&attachment, key, workshop.clock.now())?.map_err(Fault::Refused).or_fail(&doing)?;
    let said = json!({
        "name": asked.name, "kind": "foreign", "url": attachment.url, "subject": subject.to_string(), "found": found,
    });
    common.out().one(&said, || {
        let found = match (asked.unasked, found.as_slice()) {
            (true, _) => "it was not asked".to_owned(),
            (false, []) => "it answers, and does not say its certificates".to_owned(),
            (false, found) => format!("it answers, with the certificates of {}", found.join(", ")),
        };
        format!("{} is {subject} at {}: {found}\n", asked.name, attachment.url)
    })?;
    common.out().next(&format!("put {} under `issuers` in the profiles that it shall certify", asked.name));
    Ok(())
}

/// The address as the line takes it.
fn http(url: &str) -> Result<String> {
    let rest = |scheme: &str| url.strip_prefix(scheme);
    let http = match (rest("cmp://"), rest("cmps://")) {
        (Some(rest), _) => format!("http://{rest}"),
        (_, Some(rest)) => format!("https://{rest}"),
        (None, None) => url.to_owned(),
    };
    Address::parse(&http).map(|_| http).map_err(|bad| {
        Failure::new(Exit::Usage, "foreign", format!("{url} cannot be used"))
            .because(bad)
            .next("give it as cmp://HOST[:PORT][/PATH], or cmps:// for TLS")
    })
}

fn row(workshop: &Workshop, name: &AuthorityName) -> Result<Option<AuthorityRow>> {
    Ok(workshop.store.authorities()?.into_iter().find(|row| row.name == *name))
}

fn list(path: Option<&Path>) -> Result<Vec<Vec<u8>>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let octets = files::read_bounded(path, FILE_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let ders = pem::blocks(&octets).filter(|ders| ders.iter().all(|der| Certificate::decode(der).is_ok()));
    ders.ok_or_else(|| {
        Failure::new(Exit::Failed, "malformed", format!("{} holds no certificates in PEM", path.display()))
            .next(format!("look at it with `cradle inspect {}`", path.display()))
    })
}

fn credential(asked: &Attach) -> Result<(Given, Credential)> {
    let label = String::new();
    if let Some(path) = &asked.secret_file {
        let secret = files::read_bounded(path, SECRET_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
        let mut secret = Zeroizing::new(secret);
        while matches!(secret.last(), Some(b'\n' | b'\r')) {
            secret.pop();
        }
        if secret.is_empty() {
            return Err(Failure::new(Exit::Usage, "foreign", format!("{} holds no secret", path.display()))
                .next("write the secret into it that the operator of that authority gave you"));
        }
        let reference = asked.reference.clone().unwrap_or_default();
        return Ok((Given::Secret(secret), Credential::Secret { reference, mac: asked.mac, label }));
    }
    let path = asked.key_file.clone().unwrap_or_default();
    let octets = files::read_bounded(&path, FILE_LEN_MAX).map_err(|e| Failure::file(&path, &e))?;
    let octets = Zeroizing::new(octets);
    let bad = |why: &str| {
        Failure::new(Exit::Usage, "key", format!("{} cannot be used", path.display()))
            .because(why)
            .next("give a key in PKCS #8 that is not encrypted (`openssl pkcs8 -topk8 -nocrypt`), and its certificate")
    };
    let pkcs8 = pem::der_or_pem(&octets, &["PRIVATE KEY"]).map(Zeroizing::new);
    let pkcs8 = pkcs8.ok_or_else(|| bad("it is no key in PKCS #8"))?;
    let key = MemoryKey::open(&pkcs8).map_err(|_| bad("its key cannot be used here"))?;
    let certificates = list(asked.key_certificate.as_deref())?;
    let first = certificates.first().and_then(|der| Certificate::decode(der).ok());
    if first.is_none_or(|own| own.tbs().subject_public_key != *ports::Signer::public_key(&key)) {
        return Err(bad("the first certificate is not one of its key"));
    }
    Ok((Given::Key(pkcs8), Credential::Key { label, certificates }))
}

/// Asks the server for its certificates: whether it is there, knows us, and is the one that is meant. Gives the subjects.
fn ask(workshop: &Workshop, attachment: &Attachment, given: &Given, authority: &Certificate) -> Result<Vec<String>> {
    let failed = |why: String, next: &str| {
        let what = format!("{} cannot be attached: nothing was changed", attachment.url);
        Failure::new(Exit::Unavailable, "foreign", what).because(why).next(next.to_owned())
    };
    let address = Address::parse(&attachment.url).map_err(|bad| failed(bad.to_string(), "correct --url"))?;
    let line = HttpLine::new(address, &attachment.anchors, TIMEOUT, MESSAGE_LEN_MAX)
        .map_err(|bad| failed(bad.to_string(), "give them with --trust, for cmps:// only"))?;
    let protection = match given {
        Given::Secret(secret) => Protection::Secret(Box::new(secret.clone())),
        Given::Key(pkcs8) => Protection::Key(Arc::new(MemoryKey::open(pkcs8)?)),
    };
    let opened = Opened { line: Box::new(line), protection };
    let world = (workshop.clock.as_ref(), workshop.entropy.as_ref());
    let answer = with_line(attachment, &opened, authority, world, |foreign| foreign.ca_certs());
    match answer.or_fail("asking it")? {
        Ok(found) if found.is_empty() || found.contains(authority) => {
            Ok(found.iter().map(|certificate| certificate.tbs().subject.to_string()).collect())
        }
        Ok(found) => {
            let names: Vec<_> = found.iter().map(|certificate| certificate.tbs().subject.to_string()).collect();
            let why = format!("it is not the authority of --certificate: it says to be {}", names.join(", "));
            Err(failed(why, "check --url and --certificate"))
        }
        // It knows us, as its protection shows, and has no answer to that question.
        Err(NotDone::Refused(_)) => Ok(Vec::new()),
        Err(NotDone::Nothing(what)) => Err(failed(what, "check that the server runs, and --url")),
        Err(fault) => Err(failed(
            fault.to_string(),
            "check the secret and its reference, or the key, --mac, --certificate and --server; --unasked attaches it unseen",
        )),
    }
}

/// Keeps what protects requests, under a name that is free.
fn keep(workshop: &Workshop, name: &AuthorityName, given: Given, credential: &mut Credential) -> Result {
    let keystore = &workshop.keystore;
    let keep = |label: &str| match &given {
        Given::Secret(secret) => keep_secret(keystore, label, secret),
        Given::Key(pkcs8) => keystore.keep(label, pkcs8),
    };
    for n in 1..=LABELS_MAX {
        let free = format!("foreign.{name}.{n}");
        match keep(&free) {
            Ok(()) => {
                let (Credential::Secret { label, .. } | Credential::Key { label, .. }) = credential;
                *label = free;
                return Ok(());
            }
            Err(KeyFault::Exists) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(KeyFault::Exists.into())
}
