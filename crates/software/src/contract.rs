//! The calls that sm answers.

use crate::Software;
use model::contract::Subject;
use model::contract::software::{HearNotice, Update};
use model::{Fault, Reason};
use ports::directory::Caller;
use ports::link::{Service, answer};
use serde_json::value::RawValue;

impl Service for Software {
    fn answer(&self, _caller: &Caller, subject: Subject, body: &RawValue) -> Result<Box<RawValue>, Fault> {
        match subject {
            Subject::SoftwareUpdate => answer(body, |call: Update| self.update(&call)),
            Subject::SoftwareNotice => answer(body, |call: HearNotice| self.hear(&call)),
            // Default deny: whatever subjects there are, this one is ours.
            _ => Err(Reason::WrongSubject.into()),
        }
    }
}
