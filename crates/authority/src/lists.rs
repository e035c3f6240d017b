//! Lists of revoked certificates, and the filter for those who cannot hold one.

use crate::ca::Ca;
use crate::ra::Ra;
use issue::crl::DraftedCrl;
use model::contract::authority::{CrlIssued, FilterIssued, IssueCrl, IssueFilter};
use model::{Fault, Reason, UnixTime};
use ports::store::AuthorityStore;
use ports::store::authority::{CrlBase, CrlContents, CrlLine, CrlRow, CrlScope};
use std::cell::RefCell;
use wire::filter;
use x509::crl::CrlEntry;
use x509::extension::GeneralName;
use x509::points::{Covers, Issuers, IssuingDistributionPoint, PointName};
use x509::{SerialNumber, sha256};

/// How long a list is valid. A box without a network makes one when something is revoked, or a person asks; thirty days
/// give that person time.
pub const CRL_LIFETIME_S: u64 = 30 * 86_400;
/// Lines that are read at a time.
const PAGE: u32 = 4096;
/// Most shards of one authority.
const SHARDS_MAX: u32 = 4096;

impl Ra {
    /// Makes a list of what an authority has revoked: all of it, a shard of it, or what changed since the oldest whole
    /// list that somebody may still go by. Its lines are never held together.
    ///
    /// # Errors
    /// [`Reason::IssuerUnknown`]; [`Reason::ClockBackwards`] if the last list is from later; [`Fault::Malformed`] if
    /// there is no such shard, or no list that could be the base of a difference; [`Fault::Unavailable`].
    pub fn issue_crl(&self, call: &IssueCrl) -> Result<CrlIssued, Fault> {
        self.end_overdue();
        let ca = self.cas().find(&call.authority)?;
        let certificate = ca.certificate().ok_or(Reason::IssuerUnknown)?;
        if ca.is_foreign() {
            return Err(Reason::KeyOffline.into());
        }
        let store = &self.setting().store;
        // First of all: if somebody else intends a list from here on, this number is taken, and the list that was begun
        // with an older look at the records is not intended any more.
        let number = store.next_crl_number(ca.row().id)?;
        let this_update = self.now();
        let scope = CrlScope { authority: ca.row().id, shard: call.shard };
        let last = store.crl(scope, false)?;
        let last_delta = if call.delta { store.crl(scope, true)? } else { None };
        if last.iter().chain(&last_delta).any(|last| last.this_update > this_update) {
            return Err(Reason::ClockBackwards.into());
        }
        let base = match (call.delta, &last) {
            (true, None) => {
                return Err(Fault::malformed(
                    "there is no whole list yet that a difference could be to: make one with `cradle crl issue`",
                ));
            }
            // Where none holds any more, nobody goes by any; the last one does as well as another.
            (true, Some(last)) => {
                Some(store.crl_base(scope, this_update)?.unwrap_or(CrlBase { number: last.number, edge: last.edge }))
            }
            (false, _) => None,
        };
        let never = UnixTime::from_s(0);
        let contents = CrlContents {
            scope,
            edge: store.revocation_edge()?,
            behind: base.map_or(0, |base| base.edge),
            expired_before: if call.delta { never } else { last.as_ref().map_or(never, |last| last.this_update) },
        };
        let base = base.map(|base| base.number);
        let said = x509::crl::CrlScope {
            issuing_distribution_point: self.distribution_point(&ca, call.shard)?,
            base_crl_number: base,
            freshest_crl: if call.delta { Vec::new() } else { self.freshest(&ca, call.shard) },
        };
        let next_update = this_update.plus_s(CRL_LIFETIME_S);
        let drafted = DraftedCrl { issuer: certificate, crl_number: number, this_update, next_update, scope: &said };
        let lines = Lines::new(store.as_ref(), contents);
        let signed = drafted.sign(
            ca.signer()?.as_ref(),
            || lines.entries(),
            |tbs| {
                lines.check()?;
                Ok(store.intend_crl(ca.row(), number, tbs, this_update)??)
            },
        );
        lines.check()?;
        let der = signed?;
        let digest = sha256(&der);
        let row = CrlRow { scope, number, base, edge: contents.edge, this_update, next_update, der };
        let der = store.record_crl(ca.row(), row)?;
        Ok(CrlIssued { crl: der.into(), number, entries: lines.count(), digest, base })
    }

    /// Where the lists of differences to a whole list are: beside it, under the name that `cradle crl publish` gives.
    /// Without it OpenSSL does not look for one (RFC 5280 §5.2.6).
    fn freshest(&self, ca: &Ca, shard: u32) -> Vec<String> {
        let number = u16::try_from(shard).unwrap_or(u16::MAX);
        let profiles = self.setting().profiles.values().filter(|profile| (profile.shards() > 1) == (shard > 0));
        let mut found: Vec<_> = profiles
            .filter(|profile| profile.issuers().contains(&ca.row().name))
            .filter_map(|profile| profile.distribution_point(&ca.row().name, number))
            .filter_map(|uri| Some(format!("{}-delta.crl", uri.strip_suffix(".crl")?)))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What the certificates of a shard say where its list is.
    fn distribution_point(&self, ca: &Ca, shard: u32) -> Result<Option<IssuingDistributionPoint>, Fault> {
        const NO_SHARD: Fault = Fault::malformed("no profile of this authority divides its lists into so many shards");
        if shard == 0 {
            return Ok(None);
        }
        let number = u16::try_from(shard).ok().filter(|_| shard <= SHARDS_MAX).ok_or(NO_SHARD)?;
        let profiles = self.setting().profiles.values().filter(|profile| profile.shards() >= number.max(2));
        let mut names: Vec<_> = profiles
            .filter(|profile| profile.issuers().contains(&ca.row().name))
            .filter_map(|profile| profile.distribution_point(&ca.row().name, number).map(GeneralName::Uri))
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Err(NO_SHARD);
        }
        let (name, covers, issuers) = (Some(PointName::Full(names)), Covers::All, Issuers::Own);
        Ok(Some(IssuingDistributionPoint { name, covers, only_some_reasons: None, issuers }))
    }

    /// Makes the status filter of an authority, with the revocations of its last whole list.
    ///
    /// # Errors
    /// [`Reason::IssuerUnknown`]; [`Fault::Malformed`] if no list was issued yet, or it cannot be made into a filter;
    /// [`Fault::Unavailable`].
    pub fn issue_filter(&self, call: &IssueFilter) -> Result<FilterIssued, Fault> {
        self.end_overdue();
        let ca = self.cas().find(&call.authority)?;
        let certificate = ca.certificate().ok_or(Reason::IssuerUnknown)?;
        let store = &self.setting().store;
        let scope = CrlScope { authority: ca.row().id, shard: 0 };
        let list = store.crl(scope, false)?;
        let list =
            list.ok_or(Fault::malformed("there is no list yet that it could say: make one with `cradle crl issue`"))?;
        let read = x509::CertificateList::decode(&list.der)?;
        let head = filter::Head {
            authority_key_identifier: certificate.tbs().subject_public_key.key_identifier(),
            crl_number: list.number,
            this_update: list.this_update.whole_second(),
            next_update: list.next_update.whole_second(),
        };
        let failed = RefCell::new(None);
        let issued =
            || Serials { store: store.as_ref(), scope, now: list.this_update, failed: &failed, page: Page::new() };
        let built = filter::build(&head, read.revoked.iter().map(|entry| entry.serial_number), issued);
        if let Some(fault) = failed.into_inner() {
            return Err(fault);
        }
        let built = built.map_err(|_| Fault::unavailable("the revoked certificates cannot be made into a filter"))?;
        let signer = ca.signer()?;
        let signature = signer.sign(&built)?;
        let signed = filter::finish(built, signer.algorithm(), &signature, None);
        let entries = u64::try_from(read.revoked.len()).unwrap_or(u64::MAX);
        Ok(FilterIssued { filter: signed.into(), number: list.number, entries })
    }
}

/// Rows that are read a page at a time.
struct Page<T> {
    rows: std::vec::IntoIter<(u64, T)>,
    after: u64,
    is_last: bool,
}

impl<T> Page<T> {
    fn new() -> Self {
        Self { rows: Vec::new().into_iter(), after: 0, is_last: false }
    }

    /// The next row; `None` behind the last, and if it cannot be read, which `failed` tells then.
    fn next(
        &mut self,
        failed: &RefCell<Option<Fault>>,
        read: impl FnOnce(u64) -> Result<Vec<(u64, T)>, ports::StoreFault>,
    ) -> Option<T> {
        if let Some((row, value)) = self.rows.next() {
            self.after = row;
            return Some(value);
        }
        if self.is_last {
            return None;
        }
        match read(self.after) {
            Ok(rows) => {
                self.is_last = rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
                self.rows = rows.into_iter();
                let (row, value) = self.rows.next()?;
                self.after = row;
                Some(value)
            }
            Err(fault) => {
                failed.borrow_mut().get_or_insert(fault.into());
                self.is_last = true;
                None
            }
        }
    }
}

/// The lines of one list, that can be gone through more than once.
struct Lines<'s> {
    store: &'s dyn AuthorityStore,
    contents: CrlContents,
    failed: RefCell<Option<Fault>>,
    count: RefCell<u64>,
}

impl<'s> Lines<'s> {
    fn new(store: &'s dyn AuthorityStore, contents: CrlContents) -> Self {
        Self { store, contents, failed: RefCell::default(), count: RefCell::default() }
    }
    fn entries(&self) -> Entries<'_> {
        *self.count.borrow_mut() = 0;
        Entries { lines: self, page: Page::new() }
    }
    fn check(&self) -> Result<(), Fault> {
        self.failed.borrow().clone().map_or(Ok(()), Err)
    }
    fn count(&self) -> u64 {
        *self.count.borrow()
    }
}

struct Entries<'l> {
    lines: &'l Lines<'l>,
    page: Page<CrlLine>,
}

impl Iterator for Entries<'_> {
    type Item = CrlEntry;
    fn next(&mut self) -> Option<CrlEntry> {
        let Lines { store, contents, failed, count } = self.lines;
        let line = self.page.next(failed, |after| store.crl_lines(contents, after, PAGE))?;
        *count.borrow_mut() += 1;
        Some(match line {
            CrlLine::Revoked(revoked) => CrlEntry::Revoked(revoked),
            CrlLine::Released(serial_number, since) => CrlEntry::Removed { serial_number, since },
        })
    }
}

/// The serial numbers that an authority issued.
struct Serials<'s> {
    store: &'s dyn AuthorityStore,
    scope: CrlScope,
    now: UnixTime,
    failed: &'s RefCell<Option<Fault>>,
    page: Page<SerialNumber>,
}

impl Iterator for Serials<'_> {
    type Item = SerialNumber;
    fn next(&mut self) -> Option<SerialNumber> {
        let Self { store, scope, now, failed, page } = self;
        page.next(failed, |after| store.serials(scope.authority, *now, after, PAGE))
    }
}
