//! What boxes report: each report once, by who signed it and in his own count, so that one that is missing is seen.

use crate::conduct::Director;
use crate::documents::{device, kind, load, parsed, store};
use crate::fault::DirectorFault;
use crate::names::{Name, Spki};
use model::report::{REPORT, REPORT_LEN_MAX, Report};
use model::{DeviceId, UnixTime};
use ports::jws;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

type Done<T = ()> = Result<T, DirectorFault>;

/// Most numbers that are named as missing.
const MISSING_MAX: usize = 1000;

/// A report in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// When it came, in seconds since 1970.
    pub at_s: u64,
    /// What it says.
    pub report: Report,
    // What was signed, and by whom: it can be verified again.
    jws: String,
}

/// What the ledger has of a reporter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Reports that came.
    pub reports: u64,
    /// The highest number of them.
    pub last: u64,
    /// Numbers below it that did not come, the first thousand.
    pub missing: Vec<u64>,
}

fn refused<T>(why: impl Into<String>) -> Done<T> {
    Err(DirectorFault::Refused(why.into()))
}
fn reporter_key(id: &DeviceId, reporter: &str) -> String {
    format!("{id}/{reporter}")
}

impl Director {
    /// Says which keys sign reports of a box: those of its modules, by their names (`BOX.MODULE`).
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`]
    pub fn register_reporters(&self, id: &DeviceId, reporters: &BTreeMap<Name, Spki>) -> Done {
        self.documents.change(|then| {
            device(then, id)?;
            store(then, kind::REPORTERS, &id.to_string(), reporters)
        })
    }

    /// Takes a report into the ledger, once: the same one again changes nothing, and is answered alike. Gives its number.
    ///
    /// # Errors
    /// [`DirectorFault::Uptane`] if it is not sealed to a key of this director; [`DirectorFault::Refused`] if it is no report, of another
    /// device, signed by nobody who is registered as its reporter, or says something else than one of the same number.
    pub fn report(&self, id: &DeviceId, octets: &[u8], now: UnixTime) -> Done<u64> {
        let opened = self.privacy.open(id, octets)?;
        let text = opened.trim_ascii();
        if text.len() > REPORT_LEN_MAX {
            return refused("the report is too long");
        }
        self.documents.change(|then| {
            device(then, id)?;
            let reporters: BTreeMap<Name, Spki> = load(then, kind::REPORTERS, &id.to_string())?.unwrap_or_default();
            let key_of = |kid: &str| {
                let known = reporters.iter().find(|(_, spki)| jws::key_id(spki.key()) == kid);
                known.map(|(name, spki)| (spki.key().clone(), name.clone()))
            };
            let (payload, name) = match jws::verify(REPORT, text, key_of) {
                Ok(verified) => verified,
                Err(reason) => return refused(format!("the report is not taken: {}", reason.what())),
            };
            let Ok(report) = serde_json::from_slice::<Report>(&payload) else { return refused("this is no report") };
            if report.device != *id || report.reporter != name.as_str() || report.number == 0 {
                return refused("the report is of another box or module than who signed it");
            }
            let Ok(jws) = String::from_utf8(text.to_vec()) else { return refused("this is no report") };
            let key = format!("{}/{:020}", reporter_key(id, &report.reporter), report.number);
            if let Some(before) = load::<Entered>(then, kind::REPORT, &key)? {
                let is_same = before.report == report;
                let number = report.number;
                return if is_same {
                    Ok(number)
                } else {
                    refused(format!("report {number} came already, and said something else"))
                };
            }
            let number = report.number;
            store(then, kind::REPORT, &key, &Entered { at_s: now.s(), report, jws })?;
            Ok(number)
        })
    }

    /// The reports of a box, by reporter and number.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn reports(&self, id: &DeviceId) -> Done<Vec<Entered>> {
        let mut all = Vec::new();
        self.documents.read(|then| {
            then.each(kind::REPORT, &format!("{id}/"), |_, octets| -> Done {
                all.push(parsed(kind::REPORT, octets)?);
                Ok(())
            })
        })?;
        Ok(all)
    }

    /// What came of each reporter of a box, and what did not.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn reporters(&self, id: &DeviceId) -> Done<BTreeMap<String, Account>> {
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        for entered in self.reports(id)? {
            let account = accounts.entry(entered.report.reporter).or_default();
            // They come in the order of their numbers.
            let room = MISSING_MAX.saturating_sub(account.missing.len());
            account.missing.extend((account.last + 1..entered.report.number).take(room));
            account.last = entered.report.number;
            account.reports += 1;
        }
        Ok(accounts)
    }
}
