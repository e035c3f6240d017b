//! Private keys that leave this box, in a file under a password (PKCS #12). Two persons say that one may.

use super::Common;
use crate::compose::{Installation, MODULE_AUTHORITY};
use crate::fault::{Exit, Failure, Result};
use crate::{enrol, operators};
use adapters::files;
use adapters::keystore::pkcs12::{Export, PASSWORD_LEN_MIN, write};
use model::audit::{Entry, Event};
use model::{Entity, Module, OperatorName, UnixTime};
use ports::store::AuditSink;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use x509::Certificate;
use zeroize::Zeroizing;

/// Longest password in octets.
const PASSWORD_LEN_MAX: u64 = 1024;
/// The `typ` of what operators sign to let a key leave.
const STATEMENT: &str = "cradle-export";
/// Who must say that a key may leave, wherever two operators are.
const PERSONS: usize = 2;

/// Where a key goes, and who says that it may.
#[derive(clap::Args)]
pub(super) struct To {
    /// Write key, certificate and chain into this file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The file that holds the password; it is asked for if left out.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Who says that the key may leave: two of the operators, or the only one there is.
    #[arg(long = "operator", value_name = "NAME")]
    operators: Vec<OperatorName>,
}

/// What an operator signs.
#[derive(Serialize)]
struct Statement<'a> {
    says: &'a str,
    serial: &'a str,
    operator: &'a OperatorName,
    at: UnixTime,
}

/// Writes the key of this label, which is certified for `subject`.
pub(super) fn run(common: &Common, name: &str, subject: &Entity, label: &str, to: &To) -> Result {
    if std::fs::symlink_metadata(&to.to).is_ok() {
        return Err(Failure::file(&to.to, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let password = password(to.password_file.as_deref())?;
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let workshop = &installation.workshop;
    if !workshop.places.keys().join(format!("{label}.p8")).exists() {
        return Err(Failure::new(Exit::NotFound, "key", format!("the key of {name} cannot be exported"))
            .because("it is in no file of this box; what is in a token stays there")
            .next("export it where it was made, or make another"));
    }
    let pkcs8 = workshop.keystore.kept(label)?;
    let key = workshop.key(label)?;
    let mut chain = vec![certificate(&installation, subject, key.public_key())?];
    chain.extend(super::ca::chain_of(&workshop.store, &MODULE_AUTHORITY.parse().map_err(|_| no_certificate(name))?)?);
    let serial = chain.first().and_then(|der| Certificate::decode(der).ok()).map(|c| c.tbs().serial_number.to_string());
    let serial = serial.unwrap_or_default();
    let agreed = agreed(&installation, &to.operators, name, &serial)?;
    let file = write(&Export { name, pkcs8: &pkcs8, chain: &chain }, &password, workshop.entropy.as_ref())?;
    // The record first: no key leaves that no record tells of.
    let operators: Vec<_> = agreed.iter().map(ToString::to_string).collect();
    let event =
        Event::KeyExported { subject: subject.to_string(), serial: serial.clone(), operators: operators.join(", ") };
    workshop.store.append(vec![Entry { at: workshop.clock.now(), by: Module::Console, event }])?;
    files::write_new(&to.to, &file).map_err(|e| Failure::file(&to.to, &e))?;
    let said = json!({"exported": name, "serial": serial, "operators": operators, "to": to.to});
    common
        .out()
        .one(&said, || format!("the key of {name}, with {} certificates: {}\n", chain.len(), to.to.display()))?;
    common.out().next("take the file and its password different ways, and remove the file when it is imported");
    Ok(())
}

fn no_certificate(name: &str) -> Failure {
    Failure::new(Exit::NotFound, "operator-unknown", format!("{name} has no certificate that is not revoked"))
        .next("see `cradle operator list`, `cradle module list`")
}

/// The certificate of a key that lasts longest.
fn certificate(installation: &Installation, subject: &Entity, key: &x509::PublicKey) -> Result<Vec<u8>> {
    let held = enrol::holders(&installation.workshop.store)?.into_iter().filter(|holder| holder.subject == *subject);
    let held = held.filter_map(|holder| Some((Certificate::decode(&holder.der).ok()?, holder.der)));
    let of_key = held.filter(|(certificate, _)| certificate.tbs().subject_public_key == *key);
    let last = of_key.max_by_key(|(certificate, _)| certificate.tbs().not_after);
    last.map(|(_, der)| der).ok_or_else(|| no_certificate(&subject.to_string()))
}

/// Who signed that the key may leave: two, or the only operator there is.
fn agreed(
    installation: &Installation,
    named: &[OperatorName],
    whose: &str,
    serial: &str,
) -> Result<BTreeSet<OperatorName>> {
    let workshop = &installation.workshop;
    let certified: BTreeSet<_> =
        enrol::holders(&workshop.store)?.iter().filter_map(|holder| holder.subject.operator().cloned()).collect();
    let needed = workshop.config.operators_needed.max(PERSONS.min(certified.len()));
    let named = if named.is_empty() && needed == 1 { vec![workshop.operator(None)?] } else { named.to_vec() };
    operators::check_count(&named, needed, "a private key leaves this box")?;
    let named: BTreeSet<_> = named.into_iter().collect();
    let (says, at) = (format!("export the key of {whose}"), workshop.clock.now());
    for operator in &named {
        // Signed with the operator's own key: a name alone is nobody's word.
        operators::sign(workshop, operator, STATEMENT, &Statement { says: &says, serial, operator, at })?;
    }
    Ok(named)
}

fn password(file: Option<&Path>) -> Result<Zeroizing<String>> {
    let refuse = |why: String| {
        Failure::new(Exit::Usage, "password", "this password cannot be used")
            .because(why)
            .next("name a file with another one with --password-file")
    };
    let octets = match file {
        Some(path) => {
            let read = files::read_bounded(path, PASSWORD_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
            Zeroizing::new(read)
        }
        None => {
            let asked = |prompt| adapters::terminal::read_secret(prompt).map_err(|e| refuse(e.to_string()));
            let first = asked("Password of the file: ")?;
            if *asked("The same again: ")? != *first {
                return Err(refuse("both are not the same".into()));
            }
            first
        }
    };
    let text = std::str::from_utf8(&octets).map_err(|_| refuse("it is not text".into()))?;
    let text = Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned());
    if text.chars().count() < PASSWORD_LEN_MIN || text.chars().any(char::is_control) {
        return Err(refuse(format!("it has at least {PASSWORD_LEN_MIN} characters, and none that is not shown")));
    }
    Ok(text)
}
