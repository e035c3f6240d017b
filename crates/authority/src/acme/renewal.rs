//! When to renew: the window in which our own agent does.
//! Source: RFC 9773 §4.

use super::{No, Said, Talk};
use model::{Reason, UnixTime};
use wire::acme::{CertId, renewal_object};
use x509::Certificate;

/// When a client looks again, in seconds: twice a day.
const LOOK_AGAIN_S: u32 = 43_200;
/// Revoked certificates are renewed at once: their window is over by so many seconds.
const OVER_S: u64 = 3600;

impl Talk<'_> {
    pub(super) fn renewal_info(&self, id: &CertId) -> Result<Said, No> {
        let row = self.named(id)?.ok_or(Reason::SerialUnknown)?;
        let read = Certificate::decode(&row.der).map_err(model::Fault::from)?;
        let (start, end) = match row.revoked {
            Some(_) => (self.now.minus_s(2 * OVER_S), self.now.minus_s(OVER_S)),
            None => window(read.tbs().not_before, read.tbs().not_after),
        };
        Ok(Said { retry_after_s: Some(LOOK_AGAIN_S), ..Said::json(200, renewal_object(start, end)) })
    }
}

/// From two thirds of the lifetime on, for a twelfth.
fn window(not_before: UnixTime, not_after: UnixTime) -> (UnixTime, UnixTime) {
    let lifetime = not_after.s().saturating_sub(not_before.s());
    let start = not_before.plus_s(lifetime / 3 * 2);
    (start, start.plus_s((lifetime / 12).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_two_thirds_on_for_a_twelfth() {
        let at = UnixTime::from_s;
        assert_eq!(window(at(1000), at(1000 + 1200)), (at(1800), at(1900)));
        assert_eq!(window(at(1000), at(1000)), (at(1000), at(1001)));
    }
}
