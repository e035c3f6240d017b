//! Requests that operators must approve.

use crate::ra::Ra;
use issue::Profile;
use model::contract::authority::CertifyRequest;
use model::{Digest, Fault, Reason, UnixTime};
use ports::directory::Caller;
use ports::store::authority::{Approval, PendingDraft};

/// How long a request waits for operators: a week, so that a week-end does not end it.
pub(crate) const APPROVAL_S: u64 = 7 * 86_400;

impl Ra {
    /// Asks for the approval of as many operators as the profile wants, or finds that they gave it.
    pub(crate) fn approved(
        &self,
        caller: &Caller,
        call: &CertifyRequest,
        profile: &Profile,
        key: Digest,
        now: UnixTime,
    ) -> Result<(), Fault> {
        let wanted = format!("{key} {} {}", call.subject, profile.digest());
        let draft = PendingDraft {
            transaction_id: call.transaction_id,
            requester: caller.clone(),
            subject: call.subject.clone(),
            profile: call.profile.clone(),
            request: x509::sha256(wanted.as_bytes()),
            needed: u32::from(profile.approvals()),
            at: now,
            until: now.plus_s(APPROVAL_S),
        };
        match self.setting().store.await_approval(&draft, self.setting().limits.waiting_max)? {
            Approval::Given => Ok(()),
            Approval::Awaited => Err(Reason::AwaitingApproval.into()),
            Approval::Refused(reason) => Err(reason.into()),
        }
    }
}
