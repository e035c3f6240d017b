//! Keys that are divided in a ceremony. The shares are durable before the key is, and the key before its certificate is
//! asked for: there is no moment at which a certificate exists whose key nobody can open.

use super::run::{Run, SHARES};
use crate::cli::shares;
use crate::compose::Workshop;
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use adapters::keystore::shares::{About, Divided, Share, label_of};
use ceremony::{Event, Making, Named, Plan, Split};
use model::Digest;
use ports::Keystore;
use ports::keystore::{KeyFault, KeyUri};
use ports::store::AuthorityStore;
use ports::store::authority::CertificateFilter;
use std::path::PathBuf;
use x509::KeyType;

/// The name of the file of a share.
fn file_of(making: &Making, n: usize, split: &Split) -> String {
    let custodian = split.custodians.get(n).map(ToString::to_string).unwrap_or_default();
    format!("{}-{}-{custodian}.share", making.name, n + 1)
}

/// Takes the shares that earlier steps left where outputs go, if they are there still: who has all of them at hand need
/// not name them after an interruption.
pub(super) fn take_back(run: &Run<'_>) -> Result {
    for (n, step) in run.plan.steps.iter().enumerate() {
        let (Some(making), Some((key, _))) = (step.making(), run.journal.split(n + 1)) else { continue };
        let at_hand = at_hand(run, making).into_iter().filter(|share| share.key() == key).collect();
        shares::add(&run.installation.workshop, at_hand)?;
    }
    Ok(())
}

/// The shares of a key that lie where outputs go.
fn at_hand(run: &Run<'_>, making: &Making) -> Vec<Share> {
    let Some(split) = &making.split else { return Vec::new() };
    let names = (0..split.of()).map(|n| run.to.join(SHARES).join(file_of(making, n, split)));
    names.filter_map(|path| shares::read(&path).ok()).collect()
}

/// Makes and divides the key of a step, or opens the one that an interruption left.
pub(super) fn prepare(run: &mut Run<'_>, n: usize, making: &Making) -> Result {
    let Some(split) = &making.split else { return Ok(()) };
    let uri = KeyUri(making.key_uri().unwrap_or_default());
    let label = label_of(&uri).ok_or(KeyFault::BadName)?;
    let key_type = KeyType::by_name(&making.key_type).ok_or(KeyFault::Unsupported)?;
    let workshop = &run.installation.workshop;
    let path = workshop.places.keys().join(format!("{label}.p8"));
    if std::fs::symlink_metadata(&path).is_ok() {
        if goes_on(run, n, making, &uri)? {
            return Ok(());
        }
        check_unused(run, n, making, &label)?;
        // Its shares are not all there, and nothing was ever certified for it: it is made anew.
        std::fs::remove_file(&path).map_err(|e| Failure::file(&path, &e))?;
        files::sync_directory(&workshop.places.keys()).map_err(|e| Failure::file(&path, &e))?;
        workshop.split.forget(&label);
    }
    let about = About {
        ceremony: format!("{}{}", if run.journal.is_rehearsal() { "REHEARSAL of " } else { "" }, run.plan.ceremony),
        organization: run.plan.organization.clone(),
        label: label.clone(),
    };
    let divided = Divided::make(&about, key_type, split.need, &split.custodians, workshop.entropy.as_ref())?;
    let key = divided.key().ok_or(KeyFault::BadName)?;
    let named = write(run, making, split, divided.shares())?;
    run.installation.workshop.split.keep(&label, divided)?;
    run.note(Event::Split { step: n, key, shares: named })
}

/// Says in the journal how the key of a step was divided that was done before, if its shares are all here still.
pub(super) fn recall(run: &mut Run<'_>, n: usize, making: &Making) -> Result {
    let uri = KeyUri(making.key_uri().unwrap_or_default());
    goes_on(run, n, making, &uri).map(|_| ())
}

/// Whether the key that is there can be gone on with: it opens, and either the journal says that its shares were durable,
/// or all of them are here.
fn goes_on(run: &mut Run<'_>, n: usize, making: &Making, uri: &KeyUri) -> Result<bool> {
    let Some(split) = &making.split else { return Ok(false) };
    let journaled = run.journal.split(n).map(|(key, _)| key);
    let at_hand = at_hand(run, making);
    let of_one_key = |key: Digest| at_hand.iter().filter(|share| share.key() == key).count() == split.of();
    shares::add(&run.installation.workshop, at_hand.clone())?;
    let Ok(signer) = run.installation.workshop.split.open(uri) else { return Ok(false) };
    let key = signer.public_key().digest();
    if journaled == Some(key) {
        return Ok(true);
    }
    if !of_one_key(key) {
        return Ok(false);
    }
    let named = at_hand.iter().enumerate().map(|(at, share)| named(making, split, at, share)).collect();
    run.note(Event::Split { step: n, key, shares: named })?;
    Ok(true)
}

/// Fails unless the key that is there is one that this step began to make and never came to use: only that is made anew.
fn check_unused(run: &Run<'_>, n: usize, making: &Making, label: &str) -> Result {
    let taken = |why: &str, next: &str| {
        let what = format!("the key of {} was not made", making.name);
        Err(Failure::new(Exit::NotAuthorised, "shares-needed", what).because(why).next(next))
    };
    let workshop = &run.installation.workshop;
    let next = format!("{}-next", making.name);
    let ours = |name: &str| name == making.name.as_str() || name == next;
    let of_another = workshop.store.authorities()?.iter().any(|row| {
        label_of(&row.key).as_deref() == Some(label) && !(row.certificate.is_empty() && ours(row.name.as_str()))
    });
    if of_another || workshop.keystore.kept(label).is_ok() {
        return taken(
            "a key of this name is there, and is not one that this step made",
            "name another key in the plan",
        );
    }
    let Some((key, _)) = run.journal.split(n) else { return Ok(()) };
    let filter = CertificateFilter { key: Some(key), revoked: Some(false), limit: 1, ..CertificateFilter::default() };
    if workshop.store.certificates(&filter)?.is_empty() {
        return Ok(());
    }
    taken("it is certified already, and too few of its shares are here", "name the file of each share with --share")
}

/// Fails if a key that shall be made and divided is there before the ceremony begins.
pub(super) fn check_free(workshop: &Workshop, plan: &Plan) -> Result {
    for making in plan.steps.iter().filter_map(ceremony::Step::making).filter(|making| making.split.is_some()) {
        let label = making.key_uri().and_then(|uri| label_of(&KeyUri(uri))).ok_or(KeyFault::BadName)?;
        let path = workshop.places.keys().join(format!("{label}.p8"));
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(Failure::file(&path, &std::io::ErrorKind::AlreadyExists.into()));
        }
    }
    Ok(())
}

fn named(making: &Making, split: &Split, n: usize, share: &Share) -> Named {
    Named { name: format!("{SHARES}/{}", file_of(making, n, split)), sha256: x509::sha256(share.encode().as_bytes()) }
}

/// Writes the shares, durable when this returns. A share is written once; only one of a key that never came to be makes
/// room for another.
fn write(run: &Run<'_>, making: &Making, split: &Split, shares: &[Share]) -> Result<Vec<Named>> {
    let directory = run.to.join(SHARES);
    files::private_directory(&directory).map_err(|e| Failure::file(&directory, &e))?;
    let mut all = Vec::new();
    for (n, share) in shares.iter().enumerate() {
        let path: PathBuf = directory.join(file_of(making, n, split));
        let text = share.encode();
        let left = shares::read(&path).is_ok_and(|there| there.label() == share.label());
        let written =
            if left { files::replace(&path, text.as_bytes()) } else { files::write_new(&path, text.as_bytes()) };
        written.map_err(|e| Failure::file(&path, &e))?;
        all.push(named(making, split, n, share));
    }
    files::sync_directory(run.to).map_err(|e| Failure::file(run.to, &e))?;
    Ok(all)
}
