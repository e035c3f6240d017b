//! What km answers on the bus.

use crate::acme::Acme;
use crate::ca::Setting;
use crate::cmp::Cmp;
use crate::foreign::Abroad;
use crate::hierarchy;
use crate::ra::Ra;
use crate::scep::Scep;
use model::contract::BATCH_LEN_MAX;
use model::contract::Subject;
use model::contract::acme::{AnswerAcme, ReportSeen};
use model::contract::authority::{
    AnswerOcsp, Certify, Confirm, Confirmed, CrlIssued, Deposit, Deposited, Done, Entitle, IssueCrl, IssueFilter,
    Release, Revoke, STANDING_LENT_MS, Verdict,
};
use model::contract::enrolment::{
    AllowEnrolment, AnswerCmp, CRL_PART_LEN_MAX, CaCertificates, CertifyServer, CurrentCrl, Enrol, ShowSealingKey,
};
use model::contract::hierarchy::{
    CreateAuthority, ImportAuthority, InstallAuthority, LimitAuthority, RequestAuthority, RolloverAuthority,
    SignAuthority,
};
use model::contract::maker::SetMaker;
use model::contract::scep::AnswerScep;
use model::{Fault, Mode, Reason};
use ports::directory::Caller;
use ports::link::answer;
use ports::store::authority::ClosedIntent;
use ports::{Link, Service};
use serde_json::value::RawValue;
use std::sync::Arc;

/// km: the RA and what it is asked.
pub struct Authority {
    ra: Ra,
    repaired: Vec<ClosedIntent>,
}

impl Authority {
    /// Starts km: closes what an earlier process left open, and finishes authorities whose certificate was recorded.
    ///
    /// # Errors
    /// [`Fault`] if the store cannot be read or written.
    pub fn start(setting: Setting) -> Result<Self, Fault> {
        Self::start_with(setting, None, None, None, None)
    }

    /// The same, with lines to foreign authorities, and for clients that come over CMP, ACME and SCEP. What an earlier process asked the former
    /// for and did not end is left as not settled: no line is used at the start.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        setting: Setting,
        abroad: Option<Abroad>,
        cmp: Option<Cmp>,
        acme: Option<Acme>,
        scep: Option<Scep>,
    ) -> Result<Self, Fault> {
        let now = setting.clock.now();
        let repaired = setting.store.close_left_open(now)?;
        if let Some(abroad) = &abroad {
            abroad.store.leave_all_foreign(now)?;
        }
        hierarchy::finish_left_open(&setting, now)?;
        let ra = Ra::new(setting)?.with_lines(abroad).with_cmp(cmp).with_acme(acme).with_scep(scep);
        ra.end_overdue();
        Ok(Self { ra, repaired })
    }

    /// The RA, for who runs in the same process and needs no bus.
    #[must_use]
    pub const fn ra(&self) -> &Ra {
        &self.ra
    }

    /// The intents that were closed at the start.
    #[must_use]
    pub fn repaired(&self) -> &[ClosedIntent] {
        &self.repaired
    }

    fn confirm(&self, caller: &Caller, call: Confirm) -> Result<Confirmed, Fault> {
        if call.confirmations.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more confirmations than a batch may have"));
        }
        let verdicts: Vec<_> = call.confirmations.into_iter().map(|c| (c.transaction_id, c.verdict)).collect();
        let mut withdrawn = Vec::with_capacity(verdicts.len());
        for (transaction_id, verdict) in &verdicts {
            // What a foreign authority issued is revoked there first: here alone nobody would learn of it.
            withdrawn.push(match verdict {
                Verdict::Rejected => self.ra.withdraw(caller, transaction_id),
                Verdict::Accepted => Ok(()),
            });
        }
        let done = verdicts.into_iter().zip(&withdrawn).filter(|(_, done)| done.is_ok()).map(|(verdict, _)| verdict);
        let mut results = self.ra.setting().store.confirm(caller, done.collect(), self.ra.now())?.into_iter();
        let mut result = |done: Result<(), Fault>| match done {
            Ok(()) => results.next().map_or(Err(UNSAID), |said| said.map_err(Fault::Refused)),
            Err(fault) => Err(fault),
        };
        Ok(Confirmed { results: withdrawn.into_iter().map(&mut result).collect() })
    }

    fn issue_crl(&self, call: &IssueCrl) -> Result<CrlIssued, Fault> {
        let mut issued = self.ra.issue_crl(call)?;
        if issued.crl.as_ref().len() > CRL_PART_LEN_MAX {
            issued.crl = Vec::new().into();
        }
        Ok(issued)
    }

    fn entitle(&self, call: Entitle) -> Result<Done, Fault> {
        let Entitle { station, device_type, quota, until } = call;
        self.ra.setting().store.entitle(&station, &device_type, quota, until, self.ra.now())?;
        Ok(Done {})
    }

    fn deposit(&self, call: &Deposit) -> Result<Deposited, Fault> {
        if call.grants.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more grants than a batch may have"));
        }
        // Authorities get their grant in the ceremony that makes them, never from a list.
        let profile_of = |name| self.ra.setting().profiles.get(name).ok_or(Reason::ProfileUnknown);
        for grant in &call.grants {
            if profile_of(&grant.profile)?.is_authority() {
                return Err(Reason::IssuerNotAllowed.into());
            }
        }
        let new = self.ra.setting().store.deposit(&call.origin, &call.grants, self.ra.now())?;
        Ok(Deposited { new })
    }
}

const UNSAID: Fault = Fault::unavailable("the store answered for fewer confirmations than it was asked");

/// km on the bus: what it answers depends on the operation mode, which its link knows.
struct Answering {
    authority: Arc<Authority>,
    link: Arc<Link>,
}

impl Authority {
    /// km as a service of its link.
    #[must_use]
    pub fn on(self: &Arc<Self>, link: &Arc<Link>) -> Arc<dyn Service> {
        Arc::new(Answering { authority: Arc::clone(self), link: Arc::clone(link) })
    }
}

impl Answering {
    /// What makes or changes authorities needs the mode for it.
    fn in_ceremony(&self) -> Result<(), Fault> {
        let held = self.link.gate().open(self.link.now())?;
        if held.binding.current == Mode::Ceremony { Ok(()) } else { Err(Reason::WrongMode.into()) }
    }
}

impl Service for Answering {
    /// Who learns from an answer that a certificate is revoked may rely on that everywhere: whoever was lent km's word before asks again by
    /// then.
    fn answer(&self, caller: &Caller, subject: Subject, body: &RawValue) -> Result<Box<RawValue>, Fault> {
        if !says_what_is_revoked(subject) {
            return self.answer_now(caller, subject, body);
        }
        let setting = self.authority.ra.setting();
        let before = setting.store.revocation_edge()?;
        let answer = self.answer_now(caller, subject, body);
        if setting.store.revocation_edge().ok() != Some(before) {
            setting.pause.pause(STANDING_LENT_MS);
        }
        answer
    }
}

/// Whether an answer may say that something was revoked by what was asked.
const fn says_what_is_revoked(subject: Subject) -> bool {
    !matches!(
        subject,
        Subject::AuthorityCertify
            | Subject::AuthorityOcsp
            | Subject::AuthorityCrl
            | Subject::AuthorityCurrentCrl
            | Subject::AuthorityFilter
            | Subject::AuthorityCaCertificates
            | Subject::AuthoritySealingKey
            | Subject::AuthorityDeposit
            | Subject::AuthorityEntitle
    )
}

impl Answering {
    fn answer_now(&self, caller: &Caller, subject: Subject, body: &RawValue) -> Result<Box<RawValue>, Fault> {
        let km = &self.authority;
        match subject {
            Subject::AuthorityCertify => answer(body, |call: Certify| km.ra.admit(caller, &call)),
            Subject::AuthorityConfirm => answer(body, |call: Confirm| km.confirm(caller, call)),
            Subject::AuthorityDeposit => answer(body, |call: Deposit| km.deposit(&call)),
            Subject::AuthorityEntitle => answer(body, |call: Entitle| km.entitle(call)),
            Subject::AuthorityCreate => answer(body, |call: CreateAuthority| {
                self.in_ceremony()?;
                km.create(caller, &call)
            }),
            Subject::AuthorityImport => answer(body, |call: ImportAuthority| {
                self.in_ceremony()?;
                km.import(&call)
            }),
            Subject::AuthorityRequest => answer(body, |call: RequestAuthority| {
                self.in_ceremony()?;
                km.request(&call.authority)
            }),
            Subject::AuthorityInstall => answer(body, |call: InstallAuthority| {
                self.in_ceremony()?;
                km.install(&call)
            }),
            Subject::AuthoritySign => answer(body, |call: SignAuthority| {
                self.in_ceremony()?;
                km.sign(caller, &call)
            }),
            Subject::AuthorityRollover => answer(body, |call: RolloverAuthority| {
                self.in_ceremony()?;
                km.rollover(caller, &call.authority)
            }),
            Subject::AuthorityLimit => answer(body, |call: LimitAuthority| km.limit(&call)),
            Subject::AuthorityRevoke => {
                answer(body, |call: Revoke| km.ra.revoke(&call.serial, call.reason).map(|()| Done {}))
            }
            Subject::AuthorityRelease => answer(body, |call: Release| km.ra.release(&call.serial).map(|_| Done {})),
            Subject::AuthorityCrl => answer(body, |call: IssueCrl| km.issue_crl(&call)),
            Subject::AuthorityFilter => answer(body, |call: IssueFilter| km.ra.issue_filter(&call)),
            Subject::AuthorityOcsp => answer(body, |call: AnswerOcsp| km.ra.answer_ocsp(&self.link.caller(), &call)),
            Subject::AuthorityEnrol => answer(body, |call: Enrol| Ok(km.ra.enrol(caller, &call))),
            Subject::AuthorityAllowEnrolment => answer(body, |call: AllowEnrolment| km.ra.allow_enrolment(&call)),
            Subject::AuthorityCaCertificates => answer(body, |call: CaCertificates| km.ra.ca_certificates(&call)),
            Subject::AuthorityCurrentCrl => answer(body, |call: CurrentCrl| km.ra.current_crl(&call)),
            Subject::AuthorityCmp => {
                answer(body, |call: AnswerCmp| Ok(km.ra.answer_cmp(caller, &self.link.caller(), &call)))
            }
            Subject::AuthorityAcme => answer(body, |call: AnswerAcme| Ok(km.ra.answer_acme(caller, &call))),
            Subject::AuthorityAcmeSeen => answer(body, |call: ReportSeen| km.ra.report_seen(caller, &call)),
            Subject::AuthorityScep => answer(body, |call: AnswerScep| Ok(km.ra.answer_scep(caller, &call))),
            Subject::AuthoritySealingKey => answer(body, |call: ShowSealingKey| km.ra.sealing_key(&call)),
            Subject::AuthorityCertifyServer => answer(body, |call: CertifyServer| km.ra.certify_server(caller, &call)),
            Subject::AuthorityMaker => answer(body, |call: SetMaker| km.ra.set_maker(&call)),
            Subject::IdentityImportList
            | Subject::IdentityTrust
            | Subject::IdentityDeposit
            | Subject::IdentityAdmit
            | Subject::IdentityRecord
            | Subject::IdentityMark
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
