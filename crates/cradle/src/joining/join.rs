//! The new box: makes its keys, asks for them to be certified, and takes the answer. No private key of it leaves it.

use super::Followed;
use super::{
    ADMISSION, About, Admission, AnswerFile, Asked, Invited, REQUEST, Request, RequestFile, Token, bad_document,
    object, payload, sealed_for, spki, text, token_key,
};
use crate::cli::bus::write_seed;
use crate::cli::init::{first_mode, vault_key};
use crate::compose::{self, AUDIT_KEY, Workshop, followed, module_label, operator_label, vault_label};
use crate::config::{BusConfig, Config, FILE, Places, StationConfig, StoreConfig, VaultConfig};
use crate::fault::{Exit, Failure, Result, While};
use adapters::clock::SystemClock;
use adapters::files;
use adapters::keystore::FileKeystore;
use adapters::vault::VaultPrivateKey;
use model::{Base64, Digest, Module, OperatorName};
use ports::directory::{Caller, Directory};
use ports::{Clock, Keystore, Signer, jws};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use update::bundle::Repository;
use x509::{Certificate, KeyType, Name, PublicKey, csr};
use zeroize::Zeroizing;

/// What a box remembers between its request and the answer. Nothing in it is secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    invited: Invited,
    about: About,
    vault: VaultConfig,
    /// What was asked, to be written again.
    token: Base64,
    request: String,
    /// SHA-256 of what was signed in it, which the answer repeats.
    digest: Digest,
}

/// Its file in the data directory.
fn joining(places: &Places) -> PathBuf {
    places.data().join("joining.json")
}

/// Makes the keys of a new box that was invited, and writes the request for them. Done again it writes the same request.
pub(crate) fn ask(places: &Places, token: &Path, given: Option<&Zeroizing<Vec<u8>>>, out: &Path) -> Result<Invited> {
    if std::fs::symlink_metadata(out).is_ok() {
        return Err(Failure::file(out, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let token: Token = super::read("token", token)?;
    let key = token_key(&token.secret)?;
    if key.public_key().digest() != token.invited.token {
        return Err(bad_document("token", "its secret is that of another one"));
    }
    let joining = if joining(places).exists() {
        let known = remembered(places)?;
        if known.invited != token.invited {
            return Err(Failure::new(Exit::Conflict, "exists", "this box has asked with another token")
                .because(format!("{} is there", joining(places).display()))
                .next("finish that, or remove the data directory: no key in it was certified"));
        }
        known
    } else {
        make(places, token, &key, given)?
    };
    let Joining { invited, token, request, .. } = joining;
    super::write(out, &RequestFile { token, request })?;
    Ok(invited)
}

fn make(places: &Places, token: Token, key: &dyn Signer, given: Option<&Zeroizing<Vec<u8>>>) -> Result<Joining> {
    let now = SystemClock.now();
    if token.invited.until < now {
        return Err(super::invite::refused(adapters::store::sql::InvitationFault::Ended, &token.invited.instance));
    }
    let data = places.data();
    if std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(Exit::Conflict, "exists", format!("{} is not empty", data.display()))
            .because("a box joins with a directory of its own")
            .next("name another one with --data; what an interrupted `join` left may be removed"));
    }
    let seeds = data.join("bus");
    let directories = [places.keys(), places.profiles(), places.device_types(), places.vault(), seeds.clone()];
    for directory in [data.to_owned()].iter().chain(&directories) {
        files::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
    }
    let keystore = compose::keystore(places, compose::new_passphrase(places, given)?);
    let vault = VaultConfig {
        software: vault_key(&keystore, Module::Software)?,
        provisioning: vault_key(&keystore, Module::Provisioning)?,
    };
    let invited = &token.invited;
    let mut modules = Vec::new();
    for module in &invited.modules {
        let request = new_key(&keystore, &module_label(*module))?;
        let login = write_seed(&seeds, &invited.instance, *module)?;
        modules.push(Asked { module: *module, request, login });
    }
    let operator = new_key(&keystore, &operator_label(&invited.operator))?;
    if let Some(pem) = &token.about.trust {
        let path = seeds.join("trust.pem");
        files::write_new(&path, pem.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    }
    let (instance, vault_public) = (invited.instance.clone(), vault.provisioning);
    let request = Request { instance, modules, operator, vault: vault_public, at: now };
    let payload = payload(&request)?;
    let signed = jws::sign(REQUEST, &payload, key).or_fail("signing the request")?;
    let (Token { invited, about, .. }, token) = (token, spki(key.public_key()));
    let joining_ = Joining { invited, about, vault, token, request: text(signed)?, digest: x509::sha256(&payload) };
    // Last: without it nothing was asked.
    super::write(&joining(places), &joining_)?;
    Ok(joining_)
}

/// Makes a key. Gives the request that it be certified, signed with it.
fn new_key(keystore: &FileKeystore, label: &str) -> Result<Base64> {
    let (_, signer) = keystore.generate(label, KeyType::Ed25519)?;
    let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[]);
    let signature = signer.sign(&info).or_fail("signing a request for a key")?;
    Ok(csr::write_signed(&info, signer.algorithm(), &signature).into())
}

fn remembered(places: &Places) -> Result<Joining> {
    let path = joining(places);
    if !path.exists() {
        return Err(Failure::new(Exit::NotFound, "not-joining", "this box has not asked to join")
            .because(format!("{} is not there", path.display()))
            .next("`cradle module join TOKEN --out REQUEST` comes first, in the same data directory"));
    }
    super::read("record of what was asked", &path)
}

/// What a box has to know of the server of records besides what the answer says.
pub(crate) struct Records {
    /// The file of its password.
    pub(crate) password_file: Option<PathBuf>,
    /// The certificates by which it proves its name.
    pub(crate) trust: Option<PathBuf>,
}

/// Takes the answer: from here on this box is one of the installation. What an interruption left is done again.
pub(crate) fn take(
    places: &Places,
    answer: &Path,
    passphrase_file: Option<&Path>,
    records: Records,
) -> Result<Invited> {
    if places.data().join(FILE).exists() {
        return Err(Failure::new(Exit::Conflict, "exists", "this box is one of an installation already")
            .because(format!("{} has its {FILE}", places.data().display()))
            .next("`cradle up`"));
    }
    let joining_ = remembered(places)?;
    let file: AnswerFile = super::read("answer", answer)?;
    let keystore = compose::keystore(places, compose::passphrase(places, passphrase_file)?);
    let (admission, _) = verified(&joining_, &file, &keystore)?;
    keep_audit_key(places, &keystore, &joining_, &admission)?;
    for (directory, texts) in
        [(places.profiles(), &admission.profiles), (places.device_types(), &admission.device_types)]
    {
        for (name, text) in texts {
            // It becomes the name of a file.
            let name: model::ProfileName = name.parse().map_err(|e| bad_document("answer", e))?;
            put(&directory.join(format!("{name}.toml")), text.as_bytes())?;
        }
    }
    if let Some(Followed { images, director }) = &admission.follow {
        files::private_directory(&places.roots()).map_err(|e| Failure::file(places.roots(), &e))?;
        let roots = [(Repository::Images, Some(images)), (Repository::Director, director.as_ref())];
        for (repository, root) in roots {
            let path = followed::root_file(places, repository);
            root.map_or(Ok(()), |root| put(&path, root.as_ref()))?;
        }
    }
    let config = config(places, &joining_, &admission, records);
    let workshop = Workshop::open_joined(places, &config, keystore)?;
    let operator = &joining_.invited.operator;
    workshop.operator(Some(operator))?;
    first_mode(&workshop, operator)?;
    // The settings are written last: without them this is no installation.
    config.write(places.data())?;
    let asked = joining(places);
    std::fs::remove_file(&asked).map_err(|e| Failure::file(&asked, &e))?;
    Ok(joining_.invited)
}

fn refuse(why: &str) -> Failure {
    Failure::new(Exit::Refused, "answer-refused", "the answer was not taken")
        .because(why)
        .next("take the answer again as the first box wrote it, for the request that this box made")
}

/// What an operator answers to what this box asked, by the authority that its token names.
fn verified(joining: &Joining, file: &AnswerFile, keystore: &FileKeystore) -> Result<(Admission, OperatorName)> {
    let now = SystemClock.now();
    let decode =
        |octets: &Base64| Certificate::decode(octets.as_ref()).map_err(|_| refuse("a certificate in it is none"));
    let authority = decode(&joining.about.authority)?;
    let mut directory = Directory::default();
    let strange = |_| refuse("a certificate in it is not of the authority that the token names, or not valid now");
    directory.add(&decode(&file.certificate)?, &authority, now).map_err(strange)?;
    let signed = jws::verify(ADMISSION, file.answer.as_bytes(), |kid| directory.operator(kid, now));
    let (payload, signer) = signed.map_err(|_| refuse("no operator of the installation signed it"))?;
    let admission: Admission = object(&payload).ok_or_else(|| refuse("what was signed is no answer"))?;
    let Invited { instance, modules, operator, .. } = &joining.invited;
    if admission.request != joining.digest || admission.instance != *instance {
        return Err(refuse("it answers another request"));
    }
    if !admission.modules.keys().eq(modules.iter()) {
        return Err(refuse("it certifies other modules than were asked for"));
    }
    let mut own = Directory::default();
    for (module, certificate) in &admission.modules {
        own.add(&decode(certificate)?, &authority, now).map_err(strange)?;
        let kid = key_id(keystore, &module_label(*module))?;
        let caller = Caller { module: *module, instance: instance.clone() };
        if own.module(&kid, now).is_none_or(|(_, is)| is != caller) {
            return Err(refuse("it certifies another key than the one that was made here"));
        }
    }
    own.add(&decode(&admission.operator)?, &authority, now).map_err(strange)?;
    let kid = key_id(keystore, &operator_label(operator))?;
    if own.operator(&kid, now).is_none_or(|(_, name)| name != *operator) {
        return Err(refuse("it certifies another operator than the one who was named, or another key"));
    }
    Ok((admission, signer))
}

fn key_id(keystore: &FileKeystore, label: &str) -> Result<String> {
    Ok(jws::key_id(keystore.open(&compose::uri(label))?.public_key()))
}

/// The key of the log that all boxes write into.
fn keep_audit_key(places: &Places, keystore: &FileKeystore, joining: &Joining, admission: &Admission) -> Result {
    let broken = || refuse("the key of the audit log in it cannot be opened");
    let own = keystore.kept(&vault_label(Module::Provisioning))?;
    let own = VaultPrivateKey::from_pkcs8(&own).map_err(|_| broken())?;
    let info = sealed_for(&joining.invited.instance, admission.request);
    let key = own.open_secret(admission.audit_key.as_ref(), &info).map_err(|_| broken())?;
    let opened = adapters::keystore::memory::MemoryKey::open(&key).map_err(|_| broken())?;
    let public = x509::pem::der_or_pem(admission.audit_pub.as_bytes(), &["PUBLIC KEY"]);
    let public = public.and_then(|der| PublicKey::decode(&der).ok());
    if public.as_ref() != Some(opened.public_key()) {
        return Err(broken());
    }
    put(&places.data().join("audit.pub"), admission.audit_pub.as_bytes())?;
    match keystore.keep(AUDIT_KEY, &key) {
        // By an answer that was taken before an interruption; opening compares it with its public half.
        Ok(()) | Err(ports::keystore::KeyFault::Exists) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

/// Writes a file; one that an interruption left is the same.
fn put(path: &Path, octets: &[u8]) -> Result {
    files::replace(path, octets).map_err(|e| Failure::file(path, &e))
}

fn config(places: &Places, joining: &Joining, admission: &Admission, records: Records) -> Config {
    let Records { password_file, trust: store_trust } = records;
    let Joining { invited, about, vault, .. } = joining;
    let trust = about.trust.is_some().then(|| places.data().join("bus").join("trust.pem"));
    let modules = invited.modules.iter().copied().filter(|module| !super::ALWAYS.contains(module)).collect();
    let bus = BusConfig {
        servers: about.servers.clone(),
        domain: about.domain.clone(),
        trust: trust.map(|path| path.canonicalize().unwrap_or(path)),
        modules: Some(modules),
        ..BusConfig::at(String::new())
    };
    Config {
        organization: about.organization.clone(),
        maker_pen: about.maker_pen,
        name: invited.instance.clone(),
        log: Some(about.log.clone()),
        demo: false,
        marks: None,
        limits: Default::default(),
        token: Default::default(),
        signed_lists_only: admission.signed_lists_only,
        retention: None,
        operators_needed: admission.operators_needed,
        store: Some(StoreConfig::at(about.store.clone(), password_file.as_deref(), store_trust.as_deref())),
        bus: Some(bus),
        station: StationConfig::default(),
        follow: admission.follow.as_ref().map(Followed::config),
        software: None,
        gateway: None,
        api: None,
        vault: vault.clone(),
    }
}
