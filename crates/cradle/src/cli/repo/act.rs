//! The verbs of `cradle repo`.

use super::super::{Common, check_days, confirm};
use super::{Delegate, keys, notices, said, usage};
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemClock;
use adapters::files;
use model::UnixTime;
use model::text::printable;
use ports::Clock;
use repository::{Agreement, Fault, Leave, Lifetimes, OldKeys, Publication, Repository, RoleFile, Rotation, Start};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use update::Threshold;
use update::tuf::FILE_LEN_MAX;
use update::tuf::write::{Agreeing, Delegation, Key, NotSigned, Part, SuccinctBins, Together, Top};
use x509::KeyType;

/// Seconds of a day.
const DAY_S: u64 = 86_400;
/// Longest line that is shown.
pub(super) const LINE_MAX: usize = 2000;

/// How a repository begins.
pub(super) struct Beginning {
    pub(super) keys: Vec<(Top, String)>,
    pub(super) thresholds: Vec<(Top, u8)>,
    pub(super) days: Vec<(Top, u64)>,
    pub(super) key_type: String,
}

/// Bins, and who signs for them.
pub(super) struct Binned {
    pub(super) bits: u32,
    pub(super) prefix: String,
    pub(super) signers: Vec<String>,
}

/// Other signers.
pub(super) struct Rotated {
    pub(super) add: Vec<String>,
    pub(super) remove: Vec<String>,
    pub(super) threshold: Option<Threshold>,
}

pub(super) fn now() -> UnixTime {
    SystemClock.now()
}

pub(super) fn open(common: &Common, dir: &Path) -> Result<Repository> {
    let opened = Repository::open(dir, Box::new(|_| Ok(()))).map_err(|fault| said::failed(dir, &fault))?;
    for file in opened.repaired() {
        let file = printable(file, LINE_MAX);
        common.out().say(&format!("repaired: {file} was left by a command that did not come to its end, and is gone"));
    }
    Ok(opened)
}

// A change, and what comes next.
pub(super) fn staged<T>(
    common: &Common,
    dir: &Path,
    change: impl FnOnce(&mut Repository) -> std::result::Result<T, Fault>,
) -> Result<T> {
    let mut repository = open(common, dir)?;
    change(&mut repository).map_err(|fault| said::failed(dir, &fault))
}

pub(super) fn next(common: &Common) {
    common.out().next("cradle repo publish");
}

pub(super) fn init(common: &Common, dir: &Path, beginning: &Beginning) -> Result {
    use KeyType as K;
    let key_type = KeyType::by_name(&beginning.key_type)
        .filter(|known| matches!(known, K::Ed25519 | K::P256 | K::P384 | K::MlDsa44 | K::MlDsa65 | K::MlDsa87));
    let key_type = key_type.ok_or_else(|| {
        usage(format!("--key-type {}", beginning.key_type), "no metadata is signed by keys of this type")
    })?;
    if dir.join("settings.json").exists() {
        return Err(said::failed(dir, &Fault::Exists));
    }
    let mut lifetimes = Lifetimes::DEFAULT;
    for (role, days) in &beginning.days {
        check_days(*days)?;
        match role {
            Top::Root => lifetimes.root = *days,
            Top::Timestamp => lifetimes.timestamp = *days,
            Top::Snapshot => lifetimes.snapshot = *days,
            Top::Targets => lifetimes.targets = *days,
        }
    }
    let mut roles: BTreeMap<Top, (Vec<Key>, Threshold)> = BTreeMap::new();
    for role in Top::ALL {
        let named: Vec<&String> =
            beginning.keys.iter().filter(|(known, _)| *known == role).map(|(_, text)| text).collect();
        let mut signers = named.iter().map(|text| keys::public(common, text)).collect::<Result<Vec<_>>>()?;
        if signers.is_empty() {
            signers.push(keys::make(common, dir, role.name(), key_type)?);
        }
        for (n, text) in named.into_iter().enumerate() {
            keys::note(dir, &format!("{}-{n}", role.name()), text)?;
        }
        let threshold = beginning.thresholds.iter().rev().find(|(known, _)| *known == role).map_or(1, |(_, n)| *n);
        let threshold = Threshold::new(threshold)
            .ok_or_else(|| usage(format!("{} would need no signature", role.name()), "a threshold is at least 1"))?;
        roles.insert(role, (signers, threshold));
    }
    let shown: Vec<_> = roles
        .iter()
        .map(|(role, (keys, threshold))| {
            let ids: Vec<&str> = keys.iter().map(Key::id).collect();
            json!({"role": role.name(), "threshold": threshold.get(), "keys": ids})
        })
        .collect();
    Repository::begin(dir, &Start { roles, lifetimes }, now(), Box::new(|_| Ok(())))
        .map_err(|fault| said::failed(dir, &fault))?;
    common.out().one(&json!({"repository": dir, "roles": shown}), || {
        format!("{} is begun; its private keys are in {}\n", dir.display(), keys::folder(dir).display())
    })?;
    common
        .out()
        .next("cradle repo add IMAGE, then cradle repo publish; and take the keys of root and targets elsewhere");
    Ok(())
}

pub(super) fn status(common: &Common, dir: &Path) -> Result {
    let status = open(common, dir)?.status(now()).map_err(|fault| said::failed(dir, &fault))?;
    let roles: Vec<_> = status
        .roles
        .iter()
        .map(|one| {
            json!({"role": one.role, "version": one.version, "expires": one.expires.to_string(), "targets": one.targets,
                   "threshold": one.threshold, "keys": one.keys})
        })
        .collect();
    let shown = json!({"roles": roles, "ready": status.ready, "waiting": said::waiting(&status.waiting)});
    common.out().one(&shown, || {
        let mut text = String::new();
        for one in &status.roles {
            let role = printable(&one.role, LINE_MAX);
            let (version, expires, targets) = (one.version, one.expires, one.targets);
            text.push_str(&format!(
                "published {role} version {version} until {expires}, {targets} targets, signed by "
            ));
            let keys: Vec<&str> = one.keys.iter().map(|id| id.get(..16).unwrap_or(id)).collect();
            text.push_str(&format!("{} of {}\n", one.threshold, keys.join(", ")));
        }
        for role in &status.ready {
            text.push_str(&format!("ready     {}\n", printable(role, LINE_MAX)));
        }
        text + &said::waiting_text(&status.waiting)
    })
}

pub(super) fn remove(common: &Common, dir: &Path, name: &str) -> Result {
    let roles = staged(common, dir, |repository| repository.remove(name, now()))?;
    common.out().one(&json!({"target": name, "roles": roles}), || {
        format!("{} is to go from {}\n", printable(name, LINE_MAX), roles.join(", "))
    })?;
    next(common);
    Ok(())
}

// Who signs from now on: those that are named, or one that is made.
fn signers(common: &Common, dir: &Path, role: &str, named: &[String]) -> Result<Vec<Key>> {
    if named.is_empty() {
        return Ok(vec![keys::make(common, dir, role, KeyType::Ed25519)?]);
    }
    for (n, text) in named.iter().enumerate() {
        keys::note(dir, &format!("{role}-{n}"), text)?;
    }
    named.iter().map(|text| keys::public(common, text)).collect()
}

// What would become the name of a key's file must be that of a role.
fn check_role(dir: &Path, role: &str) -> Result {
    let plain = role.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'~'));
    if plain && !role.starts_with('.') && !role.is_empty() && role.len() <= repository::NAME_LEN_MAX {
        return Ok(());
    }
    Err(said::failed(dir, &Fault::BadRoleName(role.to_owned())))
}

pub(super) fn delegate(common: &Common, dir: &Path, asked: &Delegate) -> Result {
    let role = &asked.role;
    let parents = if asked.withdraw {
        staged(common, dir, |repository| repository.withdraw(role, now()))?
    } else {
        check_role(dir, role)?;
        let mut repository = open(common, dir)?;
        let part = match asked.hash_prefixes.as_slice() {
            [] => Part::Patterns(asked.paths.clone()),
            prefixes => Part::HashPrefixes(prefixes.to_vec()),
        };
        let delegated = if asked.together.is_empty() {
            let keys = signers(common, dir, role, &asked.signers)?;
            let (threshold, terminating) = (asked.threshold, asked.terminating);
            let to = Delegation { name: role.clone(), keys, threshold, part, terminating };
            repository.delegate(&Leave { from: asked.from.clone(), to }, now())
        } else {
            repository.delegate_together(&asked.from, &together(common, dir, asked, part)?, now())
        };
        delegated.map_err(|fault| said::failed(dir, &fault))?;
        vec![asked.from.clone()]
    };
    let left = !asked.withdraw;
    common.out().one(&json!({"role": role, "from": parents, "delegated": left}), || {
        let what = if left { "is to be asked" } else { "is to be asked no longer" };
        format!("{role} {what}, by what {} says\n", parents.join(", "))
    })?;
    next(common);
    Ok(())
}

// Roles that are asked together, in the order in which they are named first.
fn together(common: &Common, dir: &Path, asked: &Delegate, part: Part) -> Result<Together> {
    let mut roles: Vec<Agreeing> = Vec::new();
    for (name, _) in &asked.together {
        if roles.iter().any(|role| role.name == *name) {
            continue;
        }
        check_role(dir, name)?;
        let named = asked.together.iter().filter(|(other, _)| other == name).map(|(_, key)| key.clone());
        let keys = signers(common, dir, name, &named.collect::<Vec<_>>())?;
        roles.push(Agreeing { name: name.clone(), keys, threshold: asked.threshold });
    }
    let all = u8::try_from(roles.len()).unwrap_or(u8::MAX);
    let in_agreement_min = asked.agreeing.unwrap_or(all);
    Ok(Together { name: asked.role.clone(), part, terminating: asked.terminating, in_agreement_min, roles })
}

pub(super) fn agree(common: &Common, dir: &Path, asked: &Agreement<'_>) -> Result {
    let names = staged(common, dir, |repository| repository.agree(asked, now()))?;
    common.out().one(&json!({"role": asked.role, "with": asked.with, "targets": names}), || {
        let said = |name: &String| format!("{} is to be said by {} too\n", printable(name, LINE_MAX), asked.role);
        names.iter().map(said).collect()
    })?;
    next(common);
    Ok(())
}

pub(super) fn bins(common: &Common, dir: &Path, succinct: bool, asked: &Binned) -> Result {
    check_role(dir, &asked.prefix)?;
    let mut repository = open(common, dir)?;
    let keys = signers(common, dir, &asked.prefix, &asked.signers)?;
    let bins = SuccinctBins { prefix: asked.prefix.clone(), bits: asked.bits, keys, threshold: Threshold::ONE };
    let many = repository.put_into_bins(&bins, succinct, now()).map_err(|fault| said::failed(dir, &fault))?;
    let shown = json!({"bins": many, "prefix": asked.prefix, "succinct": succinct});
    common.out().one(&shown, || format!("{many} bins are staged, and all targets in them\n"))?;
    next(common);
    Ok(())
}

pub(super) fn rotate(common: &Common, dir: &Path, role: &str, rotated: &Rotated) -> Result {
    let add = rotated.add.iter().map(|text| keys::public(common, text)).collect::<Result<Vec<_>>>()?;
    let ids: Vec<String> = add.iter().map(|key| key.id().to_owned()).collect();
    // A key that leaves is named as one that comes, or by its identifier if nobody has it any more.
    let id_of = |text: &String| match Path::new(text).is_file() {
        true => keys::public(common, text).map(|key| key.id().to_owned()),
        false => Ok(text.clone()),
    };
    let remove = rotated.remove.iter().map(id_of).collect::<Result<Vec<_>>>()?;
    let rotation = Rotation { add, remove: remove.clone(), threshold: rotated.threshold };
    staged(common, dir, |repository| repository.rotate(role, &rotation, now()))?;
    for (text, id) in rotated.add.iter().zip(&ids) {
        keys::note(dir, &format!("{role}-{}", id.get(..16).unwrap_or(id)), text)?;
    }
    common.out().one(&json!({"role": role, "added": ids, "removed": remove}), || {
        format!("{} is to have other signers\n", printable(role, LINE_MAX))
    })?;
    common.out().next("cradle repo publish, with --key for each key that is not in `keys`: old ones sign once more");
    Ok(())
}

fn read(path: &Path) -> Result<RoleFile> {
    let len_max = u64::try_from(FILE_LEN_MAX).unwrap_or(u64::MAX);
    let octets = files::read_bounded(path, len_max).map_err(|e| Failure::file(path, &e))?;
    RoleFile::read(&octets).map_err(|bad| {
        Failure::new(Exit::Failed, "repository", format!("{} is no metadata of a role", path.display()))
            .because(bad)
            .next("name a file of `staged`, or a published one")
    })
}

pub(super) fn sign(common: &Common, path: &Path, key: &str, against: Option<&Path>, yes: bool) -> Result {
    let mut file = read(path)?;
    let before = against.map(read).transpose()?;
    let lines: Vec<String> = file.changes(before.as_ref()).iter().map(|line| printable(line, LINE_MAX)).collect();
    let key = keys::private(common, key)?;
    if !yes {
        confirm(common.out(), &lines.join("\n"), file.kind())?;
    }
    let not = || Failure::new(Exit::Failed, "not-signed", format!("{} was not signed", path.display()));
    let id = match file.sign(key.public_key(), |octets| key.sign(octets)) {
        Some(Ok(id)) => id,
        Some(Err(fault @ NotSigned::Metadata(_))) => {
            return Err(not().because(fault).next("nothing, or use another key"));
        }
        Some(Err(fault)) => return Err(not().because(fault).next("check the key")),
        None => return Err(not().because("TUF has no scheme for keys of this type").next("use another key")),
    };
    files::publish(path, &file.write()).map_err(|e| Failure::file(path, &e))?;
    let shown = json!({"file": path, "key": id, "kind": file.kind(), "version": file.version(), "says": lines});
    common.out().one(&shown, || format!("{}\n{} is signed by the key {id}\n", lines.join("\n"), path.display()))?;
    common.out().next("take it back, and give it to `cradle repo publish FILE`");
    Ok(())
}

pub(super) fn publish(common: &Common, dir: &Path, signed: &[PathBuf], named: &[String], gone: bool) -> Result {
    let mut repository = open(common, dir)?;
    for path in signed {
        let len_max = u64::try_from(FILE_LEN_MAX).unwrap_or(u64::MAX);
        let octets = files::read_bounded(path, len_max).map_err(|e| Failure::file(path, &e))?;
        let role = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        repository.take(role, &octets).map_err(|fault| said::failed(dir, &fault))?;
    }
    let keys = keys::all(common, dir, named)?;
    let old_keys = if gone { OldKeys::Gone } else { OldKeys::Sign };
    let done = repository.publish(&keys, now(), old_keys).map_err(|fault| said::failed(dir, &fault))?;
    drop(repository);
    let told = told(common, &done);
    notices::tell(common, dir);
    told
}

pub(super) fn renew(common: &Common, dir: &Path, within: u64, named: &[String]) -> Result {
    check_days(within)?;
    let mut repository = open(common, dir)?;
    let keys = keys::all(common, dir, named)?;
    let done = repository.renew(&keys, now(), within.saturating_mul(DAY_S));
    drop(repository);
    let told = told(common, &done.map_err(|fault| said::failed(dir, &fault))?);
    notices::tell(common, dir);
    told
}

fn told(common: &Common, done: &Publication) -> Result {
    common.out().one(&said::publication(done), || said::publication_text(done))?;
    // What others wait for is said before them.
    let is_cause = |one: &&repository::Waiting| matches!(one.why, repository::Why::Agreement { .. });
    let Some(first) = done.waiting.iter().find(is_cause).or(done.waiting.first()) else { return Ok(()) };
    let why = format!("{}: {}", printable(&first.role, LINE_MAX), said::why(first));
    Err(Failure::new(Exit::Partial, "repository-waits", format!("{} staged files wait", done.waiting.len()))
        .because(why)
        .next(said::next(first)))
}

pub(super) fn prune(common: &Common, dir: &Path, keep: u64) -> Result {
    let gone = open(common, dir)?.prune(keep).map_err(|fault| said::failed(dir, &fault))?;
    common.out().one(&json!({"removed": gone}), || {
        let lines: String = gone.iter().map(|file| format!("removed   {}\n", printable(file, LINE_MAX))).collect();
        if lines.is_empty() { "nothing is old\n".to_owned() } else { lines }
    })
}

pub(super) fn verify(common: &Common, dir: &Path) -> Result {
    let found = open(common, dir)?.verify(now()).map_err(|fault| said::failed(dir, &fault))?;
    let lines: Vec<String> = found.iter().map(|one| printable(&one.to_string(), LINE_MAX)).collect();
    common.out().one(&json!({"wrong": lines}), || match lines.as_slice() {
        [] => "every file, signature, hash and date is right, and clients find every target\n".to_owned(),
        lines => lines.iter().map(|line| format!("wrong     {line}\n")).collect(),
    })?;
    let Some(first) = lines.first() else { return Ok(()) };
    Err(Failure::new(Exit::Failed, "repository-wrong", format!("{} things are wrong", lines.len()))
        .because(first)
        .next("mend the first one: others may follow from it"))
}
