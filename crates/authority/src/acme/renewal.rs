//! When to renew: the window in which our own agent does.
//! Source: RFC 9773 §4.

use super::{No, Said, Talk};
use crate::renewal::window;
use model::Reason;
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
