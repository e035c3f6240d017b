//! Makers whose certificates of devices are proof here, and until when the list of what each of them revoked is in time.

use super::findings::{CRL_DUE_S, days};
use super::{Finding, Severity, said_if};
use crate::fault::Result;
use adapters::store::SqlStore;
use model::UnixTime;
use model::contract::maker::MakerLists;
use ports::store::MakerStore;
use serde::Serialize;
use utoipa::ToSchema;

/// A maker who is trusted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MakerNow {
    pub(crate) name: String,
    /// Whether nobody enrols with its certificates while there is no list. Where one was taken, it must be in time either way.
    pub(crate) list_demanded: bool,
    /// The number of its last list of revoked certificates; 0: none.
    pub(crate) number: u64,
    /// Until when that list is in time; none if it is not there.
    #[serde(serialize_with = "said_if")]
    #[schema(value_type = Option<String>)]
    pub(crate) next_update: Option<UnixTime>,
}

/// The makers who are trusted now.
pub(super) fn makers(store: &SqlStore) -> Result<Vec<MakerNow>> {
    let trusted = store.makers()?.into_iter().filter(|row| row.certificate.is_some());
    let makers = trusted.map(|row| MakerNow {
        name: row.maker.to_string(),
        list_demanded: row.lists == MakerLists::Demanded,
        number: row.number,
        next_update: row.next_update,
    });
    Ok(makers.collect())
}

impl MakerNow {
    /// In words, on one line.
    pub(crate) fn words(&self) -> String {
        match self.next_update {
            Some(end) => format!("{} (list {} until {end})", self.name, self.number),
            None => format!("{} (no list)", self.name),
        }
    }

    /// What needs attention: as km refuses devices, and a while before.
    pub(super) fn finding(&self, now: UnixTime) -> Option<Finding> {
        let name = &self.name;
        let refused =
            "without a list that is in time nobody enrols with a certificate of this maker's (maker-list-stale)";
        let next = format!(
            "get the present list from the maker, then `cradle maker revoked {name} LIST` in the mode certificate-management"
        );
        let Some(end) = self.next_update else {
            let what = format!("there is no list of what the maker {name} revoked");
            let missing = || Finding::new("maker-list-missing", Severity::Fail, what).because(refused).next(next);
            return self.list_demanded.then(missing);
        };
        let list = format!("list {} of the maker {name}", self.number);
        // RFC 5280 §6.3.3: its last second counts, as where km looks at it.
        if end < now.whole_second() {
            let what = format!("{list} ended {} days ago", days(end, now));
            return Some(Finding::new("maker-list-overdue", Severity::Fail, what).because(refused).next(next));
        }
        (end < now.plus_s(CRL_DUE_S)).then(|| {
            let what = format!("{list} ends in {} days", days(now, end));
            Finding::new("maker-list-due", Severity::Warn, what).because(refused).next(next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_s(1_800_000_000);

    #[track_caller]
    fn check(list_demanded: bool, next_update: Option<UnixTime>, expected: Option<&str>) {
        let maker = MakerNow { name: "acme".into(), list_demanded, number: 7, next_update };
        assert_eq!(maker.finding(NOW).map(|finding| finding.code), expected);
        assert_eq!(maker.finding(NOW.plus_ms(999)).map(|finding| finding.code), expected, "in the same second");
    }

    #[rustfmt::skip]
    mod cases {
        use super::*;
        #[test] fn more_than_four_days_are_enough()        { check(true, Some(NOW.plus_s(CRL_DUE_S + 1)), None); }
        #[test] fn four_days_less_a_second_are_soon()      { check(true, Some(NOW.plus_s(CRL_DUE_S - 1)), Some("maker-list-due")); }
        #[test] fn the_last_second_counts()                { check(true, Some(NOW), Some("maker-list-due")); }
        #[test] fn a_second_later_nobody_enrols()          { check(true, Some(NOW.minus_s(1)), Some("maker-list-overdue")); }
        #[test] fn what_was_taken_once_must_be_in_time()   { check(false, Some(NOW.minus_s(1)), Some("maker-list-overdue")); }
        #[test] fn one_that_is_demanded_is_missed()        { check(true, None, Some("maker-list-missing")); }
        #[test] fn one_that_nobody_makes_is_not_missed()   { check(false, None, None); }
    }
}
