//! The device registry: which board carries which name, and how far it has come.

use crate::suppliers;
use model::contract::BATCH_LEN_MAX;
use model::contract::authority::Deposit;
use model::contract::identity::BadLine;
use model::contract::identity::{
    Admit, Admitted, ImportList, ListImported, Mark, PendingDeposited, Record, Recorded, SupplierTrusted, TrustSupplier,
};
use model::{Fault, ProfileName, Reason, UnixTime};
use ports::Link;
use ports::store::IdentityStore;
use ports::store::identity::{List, ListOutcome};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The registry.
pub struct Registry {
    store: Arc<dyn IdentityStore>,
    maker_pen: u32,
    profiles: BTreeSet<ProfileName>,
    unsigned: Unsigned,
    // Held while lists, suppliers or what follows from them change: a key that is taken away verifies nothing any more,
    // and what a list takes back is not left at km by a deposit that had begun before.
    turn: Mutex<()>,
}

/// Whether lists are taken that nobody signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unsigned {
    /// As the operator's own word.
    #[default]
    Taken,
    /// Not at all.
    Refused,
}

impl Registry {
    /// A registry of one maker's devices, on what is stored. `profiles` are those that devices may be certified under.
    #[must_use]
    pub fn new(store: Arc<dyn IdentityStore>, maker_pen: u32, profiles: BTreeSet<ProfileName>) -> Self {
        Self { store, maker_pen, profiles, unsigned: Unsigned::default(), turn: Mutex::default() }
    }

    /// The same, and says whether lists are taken that nobody signed.
    #[must_use]
    pub fn with(self, unsigned: Unsigned) -> Self {
        Self { unsigned, ..self }
    }

    /// Says whose signed lists are taken from now on, or not any more.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the key cannot be read. [`Fault::Refused`] with [`Reason::WeakKey`],
    /// [`Reason::SupplierKnown`] if another key is to be replaced explicitly, or [`Reason::SupplierUnknown`] if there is
    /// none to be replaced or revoked. [`Fault::Unavailable`].
    pub fn trust(&self, call: &TrustSupplier, now: UnixTime) -> Result<SupplierTrusted, Fault> {
        let _turn = self.turn();
        let known = self.store.suppliers()?.into_iter().find(|row| row.supplier == call.supplier);
        let change = suppliers::change(known.as_ref(), &call.change)?;
        self.store.set_supplier(&call.supplier, change.as_ref(), now)?;
        let sequence = known.map_or(0, |row| row.sequence);
        Ok(SupplierTrusted { key: change.map(|key| key.digest()), sequence })
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Imports a list, all of it or nothing; or only says what that would change.
    ///
    /// # Errors
    /// [`Fault::Refused`] with [`Reason::SupplierUnknown`], [`Reason::ListSignature`], [`Reason::ListOfAnother`],
    /// [`Reason::ListUnsigned`] or [`Reason::ListNotNewer`]. [`Fault::Unavailable`]. What is wrong with the lines is in
    /// the answer.
    pub fn import(&self, call: &ImportList, now: UnixTime) -> Result<ListImported, Fault> {
        let _turn = self.turn();
        let octets = call.octets.as_ref();
        let claims = match crate::lists::decode_claims(call.format, octets) {
            Ok(claims) => claims,
            Err(bad) => return Ok(ListImported::Refused(bad)),
        };
        match (&claims.supplier, &call.signature) {
            (Some(supplier), Some(signature)) => {
                suppliers::verify(&self.store.suppliers()?, supplier, octets, signature.as_ref())?;
            }
            // Whoever names a supplier speaks for him.
            (Some(_), None) => return Err(Reason::ListUnsigned.into()),
            (None, Some(_)) => return Ok(refused("a signed list names its supplier in it, and this one does not")),
            (None, None) if self.unsigned == Unsigned::Refused => return Err(Reason::ListUnsigned.into()),
            (None, None) => {}
        }
        if let Some(until) = claims.valid_until.filter(|until| *until <= now) {
            return Ok(refused(&format!("the list was valid until {until}")));
        }
        let list = match crate::lists::decode(&call.name, call.format, octets, call.until, self.maker_pen) {
            Ok(list) => List { replaces: call.replaces.clone(), ..list },
            Err(bad) => return Ok(ListImported::Refused(bad)),
        };
        if list.replaces.is_some() && list.supplied.is_some() {
            return Ok(refused("a supplier's list says itself which one it takes the place of: `supersedes`"));
        }
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
        let outcome = if call.dry_run { self.store.compare(&list)? } else { self.store.import(&list, now)? };
        match outcome {
            ListOutcome::Imported(changes) => Ok(ListImported::Done {
                new: changes.new,
                known: changes.known,
                digest: list.digest,
                changed: changes.changed,
                removed: changes.removed,
                supplier: list.supplied.as_ref().map(|supplied| supplied.supplier.clone()),
                sequence: list.supplied.map(|supplied| supplied.sequence),
                differences: if call.dry_run { changes.differences } else { Vec::new() },
            }),
            ListOutcome::Contradicts(bad) => Ok(ListImported::Refused(bad)),
            ListOutcome::Refused(reason) => Err(reason.into()),
        }
    }

    /// Leaves at km the grants that follow from the lists, oldest first, until none is left. What was left before and
    /// is left again changes nothing, so an interruption loses nothing.
    ///
    /// # Errors
    /// What km answers; [`model::Reason::ModuleOff`] while km is off.
    pub fn deposit(&self, link: &Link) -> Result<PendingDeposited, Fault> {
        let _turn = self.turn();
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

fn refused(what: &str) -> ListImported {
    ListImported::Refused(vec![BadLine { line: 1, what: what.to_owned() }])
}
