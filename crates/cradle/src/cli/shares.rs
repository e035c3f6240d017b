//! Shares of divided keys, as they are given to a command.

use super::Common;
use crate::compose::{Installation, Workshop};
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use adapters::keystore::shares::{SHARE_LEN_MAX, Share, check, label_of};
use model::AuthorityName;
use ports::store::AuthorityStore;
use std::path::Path;
use zeroize::Zeroizing;

/// Most shares that are given together.
const SHARES_MAX: usize = 256;

fn refused(what: String, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::NotAuthorised, "share", what)
        .because(why)
        .next("give each share once, from the file that its custodian got; no key was opened")
}

/// Reads one share.
pub(crate) fn read(path: &Path) -> Result<Share> {
    let octets = Zeroizing::new(files::read_bounded(path, SHARE_LEN_MAX).map_err(|e| Failure::file(path, &e))?);
    Share::decode(&octets).map_err(|bad| refused(format!("{} is not taken", path.display()), bad))
}

/// Opens an installation, with the shares that were given.
pub(crate) fn open(common: &Common) -> Result<Installation> {
    let given = given(common)?;
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    take(&installation.workshop, given)?;
    Ok(installation)
}

/// The shares that were given: checked before anything is opened.
pub(crate) fn given(common: &Common) -> Result<Vec<Share>> {
    if common.shares.len() > SHARES_MAX {
        return Err(refused(format!("{} shares are too many", common.shares.len()), "at most 256 are taken together"));
    }
    let shares = common.shares.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    check(&shares).map_err(|bad| refused("the shares are not taken".into(), bad))?;
    Ok(shares)
}

pub(crate) fn take(workshop: &Workshop, shares: Vec<Share>) -> Result {
    workshop.split.give(shares).map_err(|bad| refused("the shares are not taken".into(), bad))
}

/// The same of shares that lie where they were written: some of them may have been given already.
pub(crate) fn add(workshop: &Workshop, shares: Vec<Share>) -> Result {
    workshop.split.add(shares).map_err(|bad| refused("the shares are not taken".into(), bad))
}

/// Fails if the key of an authority is divided and cannot be opened with the shares that were given: before an intent is
/// recorded that nobody can sign.
pub(crate) fn check_open(workshop: &Workshop, name: &AuthorityName) -> Result {
    let rows = workshop.store.authorities()?;
    let Some(row) = rows.iter().find(|row| row.name == *name && !row.certificate.is_empty()) else { return Ok(()) };
    let Some((need, of)) = row.key.shares()? else { return Ok(()) };
    let count = workshop.split.count(&label_of(&row.key).unwrap_or_default());
    if count < usize::from(need) {
        let why = format!(
            "{need} of {of} shares open it, and {} given",
            if count == 1 { "1 was".into() } else { format!("{count} were") }
        );
        return Err(Failure::new(Exit::NotAuthorised, "shares-needed", format!("the key of {name} is divided"))
            .because(why)
            .next("name the file of each share with --share"));
    }
    workshop
        .keys
        .open(&row.key)
        .map(|_| ())
        .map_err(|fault| refused(format!("the key of {name} was not opened"), fault))
}
