//! What a client is told of a refusal: as little as it needs to go on. The reasons are matched, one by one, where EST does.

use super::FailInfo;
use crate::est;
use model::{Fault, Reason};

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// That somebody decides: `PENDING`.
    Wait,
    /// No: `FAILURE`.
    No(FailInfo),
    /// To ask less often, in HTTP.
    Slower,
    /// That nothing is there, in HTTP.
    Nowhere,
    /// That we have a trouble, which may pass, in HTTP: what fails by a message is not tried again.
    Trouble,
}

/// What a client is told.
#[must_use]
pub const fn told(fault: &Fault) -> Told {
    if let Fault::Refused(Reason::SerialUnknown) = fault {
        return Told::No(FailInfo::BadCertId);
    }
    match est::told(fault) {
        est::Told::Wait => Told::Wait,
        est::Told::Slower => Told::Slower,
        est::Told::Nowhere => Told::Nowhere,
        est::Told::Trouble => Told::Trouble,
        est::Told::Refused | est::Told::Malformed => Told::No(FailInfo::BadRequest),
    }
}
