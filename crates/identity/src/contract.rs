//! What ics answers on the bus.

use crate::registry::Registry;
use model::contract::Subject;
use model::contract::authority::Done;
use model::contract::identity::{Admit, DepositPending, ImportList, Mark, Record, TrustSupplier};
use model::{Fault, Reason};
use ports::directory::Caller;
use ports::link::answer;
use ports::{Link, Service};
use serde_json::value::RawValue;
use std::sync::Arc;

/// ics on the bus.
pub struct Identity {
    registry: Registry,
    link: Arc<Link>,
}

impl Identity {
    /// ics as a service of its link.
    #[must_use]
    pub fn on(registry: Registry, link: &Arc<Link>) -> Arc<dyn Service> {
        Arc::new(Self { registry, link: Arc::clone(link) })
    }
}

impl Service for Identity {
    fn answer(&self, caller: &Caller, subject: Subject, body: &RawValue) -> Result<Box<RawValue>, Fault> {
        let (registry, now) = (&self.registry, self.link.now());
        match subject {
            Subject::IdentityImportList => answer(body, |call: ImportList| registry.import(&call, now)),
            Subject::IdentityTrust => answer(body, |call: TrustSupplier| registry.trust(&call, now)),
            Subject::IdentityDeposit => answer(body, |DepositPending {}| registry.deposit(&self.link)),
            Subject::IdentityAdmit => answer(body, |call: Admit| registry.admit(&call, now)),
            Subject::IdentityRecord => answer(body, |call: Record| {
                // A station records its own work only.
                if call.station != caller.instance {
                    return Err(Reason::CallerNotAllowed.into());
                }
                registry.record(&call, now)
            }),
            Subject::IdentityMark => answer(body, |call: Mark| registry.mark(&call, now).map(|()| Done {})),
            Subject::AuthorityCertify
            | Subject::AuthorityConfirm
            | Subject::AuthorityDeposit
            | Subject::AuthorityEntitle
            | Subject::AuthorityCreate
            | Subject::AuthorityImport
            | Subject::AuthorityRequest
            | Subject::AuthorityInstall
            | Subject::AuthoritySign
            | Subject::AuthorityLimit
            | Subject::AuthorityRollover
            | Subject::AuthorityRelease
            | Subject::AuthorityRevoke
            | Subject::AuthorityCrl
            | Subject::AuthorityOcsp
            | Subject::AuthorityFilter
            | Subject::AuthorityEnrol
            | Subject::AuthorityAllowEnrolment
            | Subject::AuthorityCaCertificates
            | Subject::AuthorityCurrentCrl
            | Subject::AuthorityCmp
            | Subject::AuthoritySealingKey
            | Subject::AuthorityAcme
            | Subject::AuthorityAcmeSeen
            | Subject::AuthorityScep
            | Subject::AuthorityCertifyServer
            | Subject::AuthorityMaker
            | Subject::SoftwareUpdate
            | Subject::SoftwareNotice
            | Subject::ProvisioningRun
            | Subject::ProvisioningWatch
            | Subject::ModeLease
            | Subject::ModeAsk
            | Subject::ModeShow
            | Subject::ModeOrder
            | Subject::ModeEnter
            | Subject::ModeSeal => Err(Reason::WrongSubject.into()),
        }
    }
}
