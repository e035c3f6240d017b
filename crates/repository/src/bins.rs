//! All targets in bins by the hash of their names: for repositories of many.

use crate::fault::Fault;
use crate::state::{FIRST, Repository, check_role_name, enough};
use model::UnixTime;
use update::tuf::Targets;
use update::tuf::write::{Body, SuccinctBins, hash_bins};

impl Repository {
    /// Stages that all targets are left to bins, listed one by one or, where `succinct` (TAP 15), by their number only; the
    /// targets that there are go to theirs. Gives the number of bins.
    ///
    /// # Errors
    /// [`Fault::AlreadyDelegated`], [`Fault::BadRoleName`], [`Fault::TooFewKeys`], [`Fault::Metadata`], [`Fault::Disk`].
    pub fn put_into_bins(&mut self, bins: &SuccinctBins, succinct: bool, now: UnixTime) -> Result<usize, Fault> {
        check_role_name(&bins.prefix)?;
        enough(&bins.prefix, &bins.keys, bins.threshold)?;
        let first = self.role(FIRST).ok_or_else(|| Fault::NoRole(FIRST.to_owned()))?;
        if !first.delegated().is_empty() {
            return Err(Fault::AlreadyDelegated);
        }
        let bad = || Fault::metadata(FIRST);
        let mut body = first.body();
        let taken = body.take_targets();
        if succinct {
            body.leave_to_bins(bins).map_err(bad())?;
        } else {
            for bin in hash_bins(&bins.prefix, bins.bits, &bins.keys, bins.threshold).map_err(bad())? {
                body.delegate(&bin).map_err(bad())?;
            }
        }
        let draft = body.draft().map_err(bad())?;
        let mut contents = std::collections::BTreeMap::new();
        for target in taken {
            let Some(bin) = draft.asked_about(target.name()).into_iter().next() else { continue };
            contents.entry(bin).or_insert_with(Vec::new).push(target);
        }
        let end = self.lifetimes.end(None, now);
        let names: Vec<String> = draft.delegated().into_iter().map(|role| role.name).collect();
        for name in &names {
            let mut bin = Body::<Targets>::new(end);
            contents.remove(name).unwrap_or_default().into_iter().for_each(|target| bin.put_target(target));
            self.stage(name, bin)?;
        }
        // The bins are there before anybody is led to them.
        self.edit(FIRST, now, |body| {
            let version = body.version();
            *body = draft.body().in_version(version).expiring(end);
            Ok(())
        })?;
        Ok(names.len())
    }
}
