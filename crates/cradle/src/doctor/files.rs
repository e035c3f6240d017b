//! Files: who owns them, who else may read them, whether they are there.

use super::{Check, State};
use crate::compose::{self, module_label, operator_label, vault_label};
use crate::config::{Config, Places};
use adapters::files::open_to_others;
use adapters::keystore::file::SCHEME;
use adapters::store::SqlStore;
use model::{Entity, Module};
use ports::StoreFault;
use ports::store::AuthorityStore;
use ports::store::software::{BundledRow, SoftwareStore};
use ports::vault::BlobName;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The data directory: there, ours, closed to others.
pub(super) fn directory(data: &Path) -> Vec<Check> {
    const CHECK: &str = "data directory";
    let shown = data.display();
    let Ok(file) = std::fs::metadata(data) else {
        let check =
            Check::fail(CHECK, format!("there is no {shown}")).because("it is not there, or may not be looked into");
        return vec![check.next("run `cradle init`, or name the data directory with --data or CRADLE_DATA")];
    };
    if !file.is_dir() {
        let check = Check::fail(CHECK, format!("{shown} is no installation")).because("it is no directory");
        return vec![check.next("name another one with --data or CRADLE_DATA")];
    }
    let me = std::fs::metadata("/proc/self").map(|own| own.uid()).ok();
    vec![owned(&shown.to_string(), file.uid(), me), closed(data, &shown.to_string())]
}

fn owned(shown: &str, owner: u32, me: Option<u32>) -> Check {
    const CHECK: &str = "owner";
    if me.is_none_or(|me| me == owner) {
        return Check::ok(CHECK, format!("{shown} belongs to this user"));
    }
    Check::fail(CHECK, format!("{shown} belongs to user {owner}"))
        .because("this process runs as another user; what it wrote could not be read by the owner")
        .next("run cradle as the owner, or `chown -R` the directory")
}

fn closed(data: &Path, shown: &str) -> Check {
    const CHECK: &str = "permissions";
    let open: Vec<_> = [data.to_owned(), data.join("keys"), data.join("vault"), data.join("secrets")]
        .into_iter()
        .filter(|path| open_to_others(path).unwrap_or(false))
        .collect();
    match open.first() {
        None => Check::ok(CHECK, format!("{shown} and what it keeps secret are closed to others")),
        Some(path) => Check::fail(CHECK, format!("{} is open to others than its owner", path.display()))
            .because("its permissions let other users of this machine in")
            .next(format!("chmod go= {}", path.display())),
    }
}

/// The file of the passphrase: closed to others, and best not beside the keys.
pub(super) fn passphrase(places: &Places, named: Option<&Path>, demo: bool) -> Check {
    const CHECK: &str = "passphrase file";
    let own = places.passphrase();
    let path = match named {
        Some(path) => path,
        None if own.exists() => own.as_path(),
        None => return Check::ok(CHECK, "the passphrase is not kept in this installation"),
    };
    match open_to_others(path) {
        Err(error) => Check::fail(CHECK, format!("{} cannot be read", path.display()))
            .because(error)
            .next("check the path and its permissions"),
        Ok(true) => Check::fail(CHECK, format!("{} is open to others than its owner", path.display()))
            .because("whoever reads it opens every key of a stolen backup")
            .next(format!("chmod go= {}", path.display())),
        Ok(false) if path == own && !demo => Check::warn(CHECK, format!("{} lies beside the keys", path.display()))
            .because("whoever has this directory, or a backup of it, has the keys")
            .next("keep it elsewhere, and name it with --passphrase-file or CRADLE_PASSPHRASE_FILE"),
        Ok(false) => Check::ok(CHECK, format!("{} is closed to others", path.display())),
    }
}

/// A key file for each authority, if they sign on this box, and for each module of it, closed to others.
pub(super) fn keys(places: &Places, config: &Config, store: &SqlStore) -> Vec<Check> {
    const CHECK: &str = "key files";
    let holders = compose::module_authority().and_then(|name| Ok(store.holders(&name)?));
    let (Ok(authorities), Ok(holders)) = (store.authorities(), holders) else {
        return vec![Check::skipped(CHECK, "the records do not say which keys there should be")];
    };
    let mut needed: BTreeSet<_> = ["audit".to_owned()].into();
    let mut elsewhere = Vec::new();
    // Of several boxes with the same records, each has the keys of its own modules.
    let signs = config.bus.as_ref().is_none_or(|bus| bus.runs(Module::Authority));
    for row in authorities.into_iter().filter(|_| signs) {
        match row.key.0.strip_prefix(SCHEME) {
            Some(label) => drop(needed.insert(label.to_owned())),
            None => elsewhere.push(row.key.to_string()),
        }
    }
    needed.extend([Module::Software, Module::Provisioning].map(vault_label));
    let mut operators = BTreeSet::new();
    for row in holders {
        match &row.subject {
            Entity::Module(module, at) if *at == config.name => drop(needed.insert(module_label(*module))),
            Entity::Operator(name) => drop(operators.insert(operator_label(name))),
            Entity::Module(..) | Entity::Device(_) | Entity::Authority(_) | Entity::Responder(_) => {}
        }
    }
    let path = |label: &String| places.keys().join(format!("{label}.p8"));
    let mut all: Vec<_> = needed.iter().filter_map(|label| key(CHECK, &path(label), State::Fail)).collect();
    // An operator's key may be with the operator.
    all.extend(operators.iter().filter_map(|label| key("operators' keys", &path(label), State::Warn)));
    if all.is_empty() {
        let words = format!("{} are there, closed to others", needed.len() + operators.len());
        all.push(Check::ok(CHECK, words));
    }
    if !elsewhere.is_empty() {
        all.push(Check::skipped("keys elsewhere", elsewhere.join(", ")));
    }
    all
}

fn key(check: &'static str, path: &Path, if_missing: State) -> Option<Check> {
    match open_to_others(path) {
        Ok(false) => None,
        Ok(true) => Some(
            Check::fail(check, format!("{} is open to others than its owner", path.display()))
                .because("its permissions let other users of this machine try passphrases")
                .next(format!("chmod go= {}", path.display())),
        ),
        Err(error) => Some(
            Check::new(check, if_missing, format!("{} cannot be read", path.display()))
                .because(error)
                .next("put it back from a backup; what was certified for it cannot be used without it"),
        ),
    }
}

/// Releases whose image is not in the vault, each with the file that is missing.
pub(crate) fn missing_images(places: &Places, store: &SqlStore) -> Result<Vec<String>, StoreFault> {
    let mut missing = Vec::new();
    let is_missing = |blob: &BlobName| !places.vault().join(&blob.0).is_file();
    for bundle in store.bundles()? {
        if is_missing(&bundle.blob) {
            missing.push(format!("bundle {}: vault/{} is not there", bundle.digest, bundle.blob.0));
        }
        for BundledRow { release, device_type, counter, image, .. } in bundle.releases {
            if is_missing(&image) {
                missing
                    .push(format!("{release} for {device_type} (counter {counter}): vault/{} is not there", image.0));
            }
        }
    }
    Ok(missing)
}

/// What brings a missing image back.
pub(crate) const IMPORT_AGAIN: &str =
    "in the mode software-import, `cradle release import` of the same source puts it there again";

/// The image of each release.
pub(super) fn images(places: &Places, store: &SqlStore) -> Check {
    const CHECK: &str = "images in the vault";
    match missing_images(places, store) {
        Ok(missing) if missing.is_empty() => Check::ok(CHECK, "each release has its own"),
        Ok(missing) => Check::fail(CHECK, missing.join("; "))
            .because("what is not there cannot be flashed: the station sets its boards aside")
            .next(IMPORT_AGAIN),
        Err(_) => Check::skipped(CHECK, "the records do not say which there should be"),
    }
}

/// Profiles: all can be read, and which of them are in use as they stand.
pub(super) fn profiles(places: &Places, store: &SqlStore) -> Check {
    const CHECK: &str = "profiles";
    let profiles = match compose::profiles(places) {
        Ok(profiles) => profiles,
        Err(failure) => return Check::of(CHECK, failure),
    };
    let Ok(used) = store.profile_digests() else {
        return Check::skipped(CHECK, "the records do not say which were used");
    };
    let (in_use, not): (Vec<_>, Vec<_>) = profiles.values().partition(|profile| used.contains(&profile.digest()));
    let names = |profiles: &[&std::sync::Arc<issue::Profile>]| {
        profiles.iter().map(|profile| profile.name().to_string()).collect::<Vec<_>>().join(", ")
    };
    let mut words = format!("{} can be read; in use as they stand: {}", profiles.len(), names(&in_use));
    if !not.is_empty() {
        words.push_str(&format!("; not used yet, or changed since: {}", names(&not)));
    }
    Check::ok(CHECK, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_users_directory_is_not_ours() {
        assert_eq!(owned("d", 0, Some(1000)).state, State::Fail);
        assert_eq!(owned("d", 1000, Some(1000)).state, State::Ok);
    }
}
