//! The device registry: which board carries which name, and how far it has come.

use model::contract::BATCH_LEN_MAX;
use model::contract::authority::Deposit;
use model::contract::identity::BadLine;
use model::contract::identity::{Admit, Admitted, ImportList, ListImported, Mark, PendingDeposited, Record, Recorded};
use model::{Fault, ProfileName, UnixTime};
use ports::Link;
use ports::store::IdentityStore;
use ports::store::identity::ListOutcome;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The registry.
pub struct Registry {
    store: Arc<dyn IdentityStore>,
    maker_pen: u32,
    profiles: BTreeSet<ProfileName>,
}

impl Registry {
    /// A registry of one maker's devices, on what is stored. `profiles` are those that devices may be certified under.
    #[must_use]
    pub fn new(store: Arc<dyn IdentityStore>, maker_pen: u32, profiles: BTreeSet<ProfileName>) -> Self {
        Self { store, maker_pen, profiles }
    }

    /// Imports a list, all of it or nothing.
    ///
    /// # Errors
    /// [`Fault::Unavailable`]; what is wrong with the list is in the answer.
    pub fn import(&self, call: &ImportList, now: UnixTime) -> Result<ListImported, Fault> {
        let list = match crate::lists::decode(&call.name, call.format, call.octets.as_ref(), call.until, self.maker_pen)
        {
            Ok(list) => list,
            Err(bad) => return Ok(ListImported::Refused(bad)),
        };
        // A grant that km cannot take would wait at its door for ever, and all others behind it.
        let strange = list.devices.iter().filter(|listed| !self.profiles.contains(&listed.profile));
        let bad: Vec<_> = strange
            .take(crate::lists::BAD_LINES_MAX)
            .map(|listed| BadLine {
                line: listed.line,
                what: format!("there is no profile {} for devices; see `cradle profile list`", listed.profile),
            })
            .collect();
        if !bad.is_empty() {
            return Ok(ListImported::Refused(bad));
        }
        Ok(match self.store.import(&list, now)? {
            ListOutcome::Imported { new, known } => ListImported::Done { new, known, digest: list.digest },
            ListOutcome::Contradicts(lines) => {
                let what = "an earlier list says something else of this serial number or board";
                let bad = lines.into_iter().take(crate::lists::BAD_LINES_MAX);
                ListImported::Refused(bad.map(|line| BadLine { line, what: what.to_owned() }).collect())
            }
        })
    }

    /// Leaves at km the grants that follow from the lists, oldest first, until none is left. What was left before and
    /// is left again changes nothing, so an interruption loses nothing.
    ///
    /// # Errors
    /// What km answers; [`model::Reason::ModuleOff`] while km is off.
    pub fn deposit(&self, link: &Link) -> Result<PendingDeposited, Fault> {
        let mut deposited = 0;
        while let Some(pending) = self.store.pending(BATCH_LEN_MAX)? {
            link.call(&Deposit { origin: pending.origin, grants: pending.offers })?;
            self.store.deposited(&pending.rows)?;
            deposited += u64::try_from(pending.rows.len()).unwrap_or(u64::MAX);
        }
        Ok(PendingDeposited { deposited })
    }

    /// Says which boards may be provisioned, and binds each of them to its name.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the batch is too long.
    pub fn admit(&self, call: &Admit, now: UnixTime) -> Result<Admitted, Fault> {
        if call.boards.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more boards than a batch may have"));
        }
        let admissions = self.store.admit(&call.boards, now)?;
        Ok(Admitted { admissions: admissions.into_iter().map(|a| a.map_err(Fault::Refused)).collect() })
    }

    /// Records what a station did. A step of a device that this board does not carry is refused.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the batch is too long.
    pub fn record(&self, call: &Record, now: UnixTime) -> Result<Recorded, Fault> {
        if call.steps.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more steps than a batch may have"));
        }
        let results = self.store.done(&call.station, &call.operator, &call.steps, now)?;
        Ok(Recorded { results: results.into_iter().map(|r| r.map_err(Fault::Refused)).collect() })
    }

    /// Marks a device as stolen, or takes the mark back.
    ///
    /// # Errors
    /// [`model::Reason::NotOnList`]
    pub fn mark(&self, call: &Mark, now: UnixTime) -> Result<(), Fault> {
        Ok(self.store.mark(&call.device, call.stolen, now)??)
    }
}
