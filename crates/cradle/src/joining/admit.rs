//! An operator admits a box that was invited: its keys are certified, once.

use super::Followed;
use super::{
    ADMISSION, ADMITTED, Admission, Admitted, AnswerFile, Asked, Invited, REQUEST, Request, RequestFile, bad_document,
    invite, object, sealed_for, unverified,
};
use crate::compose::{AUDIT_KEY, Installation, Workshop, followed, operator_label};
use crate::enrol;
use crate::fault::{Exit, Failure, Result, While};
use crate::operators;
use adapters::bus::nats::credentials::is_public_key;
use adapters::files;
use adapters::store::SqlStore;
use adapters::store::sql::{AdmittedBox, InvitationFault};
use adapters::vault::{VaultPublicKey, seal_secret};
use model::audit::Event;
use model::{Base64, Digest, Entity, Module, OperatorName, StationName};
use ports::jws;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use x509::csr::CertificationRequest;
use x509::{Certificate, KeyType, PublicKey};

/// Longest profile or device type, in octets.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// A request that came with a token that operators gave out.
struct Opened {
    request: Request,
    digest: Digest,
    invited: Invited,
}

/// Admits the box of this request, and writes the answer for it.
pub(crate) fn admit(
    installation: &Installation,
    request: &Path,
    operator: Option<&OperatorName>,
    out: &Path,
) -> Result<(Invited, Vec<Certificate>)> {
    if std::fs::symlink_metadata(out).is_ok() {
        return Err(Failure::file(out, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let workshop = &installation.workshop;
    invite::check_shared(workshop)?;
    let operator = workshop.operator(operator)?;
    let opened = open(workshop, request)?;
    check(&opened)?;
    let sealed = sealed_audit_key(workshop, &opened)?;
    enrol::check_mode(installation)?;
    use_up(workshop, &opened, &operator)?;
    let Opened { request, digest, invited } = opened;
    let mut modules = BTreeMap::new();
    let mut certificates = Vec::new();
    for Asked { module, request, .. } in &request.modules {
        let subject = Entity::Module(*module, invited.instance.clone());
        let certificate = certified(installation, subject, "module", request)?;
        modules.insert(*module, Base64(certificate.der().to_vec()));
        certificates.push(certificate);
    }
    let subject = Entity::Operator(invited.operator.clone());
    let own = certified(installation, subject, "operator", &request.operator)?;
    let admission = Admission {
        request: digest,
        instance: invited.instance.clone(),
        modules,
        operator: Base64(own.der().to_vec()),
        audit_pub: read_text(&workshop.places.data().join("audit.pub"))?,
        audit_key: sealed.into(),
        signed_lists_only: workshop.config.signed_lists_only,
        operators_needed: workshop.config.operators_needed,
        profiles: texts_of(&workshop.places.profiles())?,
        device_types: texts_of(&workshop.places.device_types())?,
        follow: followed::primary(&workshop.places, &workshop.config)?
            .map(|p| Followed { images: p.images_root.into(), director: p.director_root.map(Base64::from) }),
    };
    let answer = operators::sign(workshop, &operator, ADMISSION, &admission)?;
    let certificate = operators_certificate(workshop, &operator)?.into();
    super::write(out, &AnswerFile { certificate, answer })?;
    certificates.push(own);
    Ok((invited, certificates))
}

fn open(workshop: &Workshop, path: &Path) -> Result<Opened> {
    let file: RequestFile = super::read("request", path)?;
    let key = PublicKey::decode(file.token.as_ref()).ok().filter(|key| key.key_type() == KeyType::Ed25519);
    let key = key.ok_or_else(|| bad_document("request", "it names no key of a token"))?;
    let token = key.digest();
    let rows = workshop.store.invitations()?;
    let verified =
        jws::verify(REQUEST, file.request.as_bytes(), |kid| (jws::key_id(&key) == kid).then_some((&key, ())));
    let (payload, ()) =
        verified.map_err(|_| altered("its signature is not the token's: somebody may have changed it"))?;
    let request: Request = object(&payload).ok_or_else(|| altered("what was signed is no request"))?;
    let row = rows.iter().find(|row| row.token == token);
    let row = row.ok_or_else(|| invite::refused(InvitationFault::Unknown, &request.instance))?;
    let invited = invite::believed(workshop, row, &workshop.directory()?)?;
    // Of what was signed, not of how it is written down: spaces that somebody adds on the way change nothing.
    Ok(Opened { request, digest: x509::sha256(&payload), invited })
}

fn altered(why: &str) -> Failure {
    Failure::new(Exit::Refused, "join-refused", "the box was not admitted")
        .because(why)
        .next("take the request again as the new box wrote it; if it stays so, take the invitation back")
}

/// Compares what is asked with what was invited, and looks at every key.
fn check(Opened { request, invited, .. }: &Opened) -> Result {
    if request.instance != invited.instance {
        return Err(altered(&format!("{} was invited, and {} asks", invited.instance, request.instance)));
    }
    let asked: Vec<Module> = request.modules.iter().map(|asked| asked.module).collect();
    if asked != invited.modules {
        let (invited, asked) = (super::names(&invited.modules), super::names(&asked));
        return Err(altered(&format!("the invitation is for {invited}, and {asked} is asked for")));
    }
    let logins: BTreeSet<_> = request.modules.iter().map(|asked| &asked.login).collect();
    if logins.len() != asked.len() || !logins.iter().all(|login| is_public_key(login)) {
        return Err(altered("a key for the broker is none, or that of two modules"));
    }
    let requests = request.modules.iter().map(|asked| &asked.request).chain([&request.operator]);
    let keys = requests.map(key_of).collect::<Result<Vec<_>>>()?;
    let different: BTreeSet<_> = keys.iter().map(jws::key_id).collect();
    if different.len() == keys.len() { Ok(()) } else { Err(altered("two would have the same key")) }
}

/// The key of a request whose own signature holds.
fn key_of(request: &Base64) -> Result<PublicKey> {
    let decoded = CertificationRequest::decode(request.as_ref()).map_err(|_| altered("a request for a key is none"))?;
    decoded.verify().map_err(|_| altered("whoever asks does not hold a key that is asked for"))?;
    let key = decoded.public_key.clone();
    if key.key_type() == KeyType::Ed25519 { Ok(key) } else { Err(altered("a key is of another type than Ed25519")) }
}

/// From here on no other request opens anything with this token.
fn use_up(workshop: &Workshop, opened: &Opened, operator: &OperatorName) -> Result {
    let Opened { request, digest, invited } = opened;
    let logins = request.modules.iter().map(|asked| (asked.module, asked.login.clone())).collect();
    let (token, instance) = (invited.token, invited.instance.clone());
    let said = Admitted { token, instance, logins, vault: request.vault };
    let admission = operators::sign(workshop, operator, ADMITTED, &said)?;
    let admitted = AdmittedBox { request: *digest, admission };
    let event = Event::BoxAdmitted {
        instance: invited.instance.to_string(),
        token: invited.token,
        request: *digest,
        operator: operator.to_string(),
    };
    let used = workshop.store.use_invitation(invited.token, &admitted, workshop.clock.now(), &event)?;
    used.map_err(|fault| invite::refused(fault, &invited.instance))
}

/// The boxes that were admitted, as the records say it. Nobody's word is looked at: the keys in it open the door of the
/// broker, and nothing more.
pub(crate) fn admitted(store: &SqlStore) -> Result<Vec<Admitted>> {
    let rows = store.invitations()?;
    let all = rows.iter().filter_map(|row| unverified::<Admitted>(&row.admitted.as_ref()?.admission));
    // A box that was admitted again has other keys: who stole the earlier ones signs in with them no more.
    let last: BTreeMap<_, _> = all.map(|said| (said.instance.clone(), said)).collect();
    Ok(last.into_values().filter(|said| said.logins.values().all(|login| is_public_key(login))).collect())
}

/// The key for which images are encrypted that go to a box: an operator who is one now says that it is its.
pub(crate) fn vault_key_of(workshop: &Workshop, instance: &StationName) -> Result<Digest> {
    let refuse = |why: &str| {
        Failure::new(Exit::NotFound, "box-unknown", format!("{instance} gets no images"))
            .because(why)
            .next("see `cradle module invitations`; a box whose operator is gone is invited again under another name")
    };
    let (now, directory) = (workshop.clock.now(), workshop.directory()?);
    let rows = workshop.store.invitations()?;
    let row = rows.iter().rfind(|row| row.instance == *instance && row.admitted.is_some());
    let row = row.ok_or_else(|| refuse("no box of that name was admitted"))?;
    let admission = row.admitted.as_ref().map(|admitted| admitted.admission.as_str()).unwrap_or_default();
    let verified = jws::verify(ADMITTED, admission.as_bytes(), |kid| directory.operator(kid, now));
    let (payload, _) = verified.map_err(|_| refuse("no operator who is one now stands behind its keys"))?;
    let said: Option<Admitted> = object(&payload);
    let said = said.filter(|said| said.token == row.token && said.instance == *instance);
    said.map(|said| said.vault).ok_or_else(|| refuse("what the records say of its keys is about another box"))
}

/// Certifies a key of the new box; one that was certified before an interruption is not certified again.
fn certified(installation: &Installation, subject: Entity, profile: &str, request: &Base64) -> Result<Certificate> {
    let key = key_of(request)?;
    let held = enrol::holders(&installation.workshop.store)?.into_iter().filter(|holder| holder.subject == subject);
    let mut known = held.filter_map(|holder| Certificate::decode(&holder.der).ok());
    if let Some(certificate) = known.find(|certificate| certificate.tbs().subject_public_key == key) {
        return Ok(certificate);
    }
    enrol::certify_request(installation, "invitations", subject, profile, request.clone())
}

fn sealed_audit_key(workshop: &Workshop, opened: &Opened) -> Result<Vec<u8>> {
    let key = workshop.keystore.kept(AUDIT_KEY)?;
    let info = sealed_for(&opened.invited.instance, opened.digest);
    let sealed = seal_secret(&key, &info, &VaultPublicKey::new(*opened.request.vault.octets()));
    sealed.map_err(|_| altered("the key for what is sealed for it is none"))
}

fn operators_certificate(workshop: &Workshop, operator: &OperatorName) -> Result<Vec<u8>> {
    let key = workshop.key(&operator_label(operator))?;
    let held = enrol::holders(&workshop.store)?.into_iter();
    let held = held.filter(|holder| holder.subject.operator() == Some(operator));
    let of_key = held.filter_map(|holder| Certificate::decode(&holder.der).ok());
    let of_key = of_key.filter(|certificate| certificate.tbs().subject_public_key == *key.public_key());
    let last = of_key.max_by_key(|certificate| certificate.tbs().not_after);
    last.map(|certificate| certificate.der().to_vec())
        .ok_or(model::Fault::Refused(model::Reason::UnknownCaller))
        .or_fail("signing the answer")
}

fn read_text(path: &Path) -> Result<String> {
    let octets = files::read_bounded(path, FILE_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    String::from_utf8(octets).map_err(|_| bad_document("file", format!("{} is no text", path.display())))
}

/// The TOML files of a directory, by name.
fn texts_of(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(|e| Failure::file(directory, &e))? {
        let path = entry.map_err(|e| Failure::file(directory, &e))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        if let Some(stem) = stem.filter(|_| path.extension().is_some_and(|extension| extension == "toml")) {
            texts.insert(stem, read_text(&path)?);
        }
    }
    Ok(texts)
}
