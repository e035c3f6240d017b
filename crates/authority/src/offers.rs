//! What the gateway tells anybody: certificates of authorities, and lists in force. And its own certificate.
//!
//! Prevents: lists signed as often as somebody asks; a certificate for the gateway with names that are not its own.

use crate::ca::Ca;
use crate::enrol::Offered;
use crate::ra::Ra;
use issue::profile::SubjectKind;
use model::contract::authority::{Answer, CertifyRequest, Evidence, IssueCrl};
use model::contract::enrolment::{
    CRL_PART_LEN_MAX, CaCertificates, CaCertificatesShown, CertifyServer, CurrentCrl, CurrentCrlShown, ServerCertified,
    WhichAuthority,
};
use model::{AuthorityName, Base64, Entity, Fault, Module, ProfileName, Reason, TransactionId, UnixTime};
use ports::clock::random;
use ports::directory::Caller;
use ports::store::authority::{CrlRow, CrlScope};
use std::sync::{Arc, MutexGuard, PoisonError};
use wire::est::{CsrAttribute, csr_attributes};
use x509::csr::CertificationRequest;
use x509::extension::{GeneralName, decode_subject_alt_name};
use x509::{Certificate, oids};

/// The profile of the gateway's own certificate.
const SERVER_PROFILE: &str = "gateway";
/// A root that followed another, and the certificates that connect their keys: old with new, new with old.
pub(crate) type Followed = (Arc<Ca>, Vec<Vec<u8>>);

/// How soon after a list the next one is made, if something was revoked since: what is revoked at once is on one list.
const CRL_EVERY_S: u64 = 10;
/// A list that is so long in octets is made a second later, since all of them are kept: one of a million lines every five minutes. What changed
/// is a short list.
const CRL_LEN_PER_S: u64 = 128 * 1024;
const NO_LIST: Fault = Fault::unavailable("no list");

impl Ra {
    /// The certificates of an authority, for anybody.
    pub(crate) fn ca_certificates(&self, call: &CaCertificates) -> Result<CaCertificatesShown, Fault> {
        let (ca, attributes) = match &call.of {
            WhichAuthority::Name(name) => (self.cas().find(name)?, None),
            WhichAuthority::Label(label) => {
                let Offered { label, profile } = self.offered(label.as_ref())?;
                // RFC 7030 §3.5: where a request has to say on which connection it comes, this is how a client learns it.
                let bound = self.setting().est.bound.contains(&label);
                let bound = bound.then_some(CsrAttribute::Oid(oids::CHALLENGE_PASSWORD));
                // Where several types of key are taken, none of them is asked for.
                let key = match profile.key_types() {
                    [only] => Some(CsrAttribute::Key(*only)),
                    _ => None,
                };
                let wanted: Vec<_> = bound.into_iter().chain(key).collect();
                (self.cas().for_profile(&profile)?, csr_attributes(&wanted))
            }
        };
        let mut links = self.links(&ca)?;
        links.extend(self.roots_to_come(&ca)?);
        let [chain, links] = [ca.chain().to_vec(), links].map(|list| list.into_iter().map(Into::into).collect());
        Ok(CaCertificatesShown { chain, links, attributes: attributes.map(Into::into) })
    }

    /// The certificates that connect the keys of those above an authority with the ones before them.
    pub(crate) fn links(&self, ca: &Ca) -> Result<Vec<Vec<u8>>, Fault> {
        let mut links = Vec::new();
        for above in ca.chain() {
            if let Some(above) = self.cas().all().iter().find(|known| known.row().certificate == *above) {
                links.extend(self.setting().store.links(above.row().id)?);
            }
        }
        Ok(links)
    }

    /// The roots that followed the one above an authority, before anything below that leads to them; and what connects them.
    fn roots_to_come(&self, ca: &Ca) -> Result<Vec<Vec<u8>>, Fault> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut last = ca.chain().last().cloned();
        while let Some((next, links)) = last.map(|root| self.root_after(&root)).transpose()?.flatten() {
            let root = next.row().certificate.clone();
            // Each root follows one: it ends. Records that say otherwise end it too.
            if found.contains(&root) {
                break;
            }
            found.extend([vec![root.clone()], links].concat());
            last = Some(root);
        }
        Ok(found)
    }

    /// The root that took the place of another one, if one did.
    pub(crate) fn root_after(&self, root: &[u8]) -> Result<Option<Followed>, Fault> {
        let Ok(root) = Certificate::decode(root) else { return Ok(None) };
        for ca in self.cas().all().into_iter().filter(|ca| ca.row().issuer.is_none()) {
            let links = self.setting().store.links(ca.row().id)?;
            let old_with_new = links.first().and_then(|der| Certificate::decode(der).ok());
            if old_with_new.is_some_and(|old| old.tbs().subject_public_key == root.tbs().subject_public_key) {
                return Ok(Some((ca, links)));
            }
        }
        Ok(None)
    }

    /// A part of the list in force, as long as a message may be.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if another list is in force by now than the one that was begun, or it is not so long; as
    /// [`Self::list_in_force`].
    pub(crate) fn current_crl(&self, call: &CurrentCrl) -> Result<CurrentCrlShown, Fault> {
        let scope = CrlScope { authority: self.cas().find(&call.authority)?.row().id, shard: call.shard };
        let row = match call.from {
            None => self.list_in_force(&call.authority, call.shard, call.delta)?,
            Some(_) => self.last_list(scope, call.delta)?,
        };
        let begun = call.from.is_none_or(|from| from.number == row.number);
        let offset = call.from.map_or(Ok(0), |from| usize::try_from(from.offset)).ok();
        let rest = offset.and_then(|offset| row.der.get(offset..)).filter(|_| begun);
        let rest = rest.ok_or(Fault::malformed("there is another list by now: begin with it"))?;
        Ok(CurrentCrlShown {
            crl: rest.get(..CRL_PART_LEN_MAX).unwrap_or(rest).to_vec().into(),
            len: u64::try_from(row.der.len()).unwrap_or(u64::MAX),
            number: row.number,
            this_update: row.this_update,
            next_update: row.next_update,
        })
    }

    /// The list in force, or what changed since the oldest one that somebody may still go by; a new one if there is none, half its time is
    /// over, or something was revoked since.
    ///
    /// # Errors
    /// As [`Self::issue_crl`].
    pub(crate) fn list_in_force(&self, authority: &AuthorityName, shard: u32, delta: bool) -> Result<CrlRow, Fault> {
        self.end_overdue();
        let scope = CrlScope { authority: self.cas().find(authority)?.row().id, shard };
        // Who asks while a list is made takes that one.
        let _one_at_a_time: MutexGuard<'_, ()> = self.listing().lock().unwrap_or_else(PoisonError::into_inner);
        let (store, now) = (&self.setting().store, self.now());
        let edge = store.revocation_edge()?;
        let issue = |delta| self.issue_crl(&IssueCrl { authority: authority.clone(), shard, delta });
        if delta && store.crl(scope, false)?.is_none() {
            issue(false)?;
        }
        let last = store.crl(scope, delta)?;
        if last.as_ref().is_some_and(|last| !is_due(last, edge, now)) {
            return last.filter(is_kept).ok_or(NO_LIST);
        }
        // A list of a foreign authority, or under a clock that went back: the last one holds as long as it says.
        if let (Err(fault), None) = (issue(delta), last.filter(|last| now <= last.next_update)) {
            return Err(fault);
        }
        self.last_list(scope, delta)
    }

    fn last_list(&self, scope: CrlScope, delta: bool) -> Result<CrlRow, Fault> {
        self.setting().store.crl(scope, delta)?.filter(is_kept).ok_or(NO_LIST)
    }

    /// Certifies the key with which the gateway of a box serves TLS, for the names that the settings say.
    pub(crate) fn certify_server(&self, caller: &Caller, call: &CertifyServer) -> Result<ServerCertified, Fault> {
        if let Some(label) = &call.scep {
            return self.certify_scep(caller, label, &call.request);
        }
        let setting = self.setting();
        let name: ProfileName = SERVER_PROFILE.parse().map_err(|_| Reason::ProfileUnknown)?;
        let profile = setting.profiles.get(&name).ok_or(Reason::ProfileUnknown)?;
        if profile.subject_kind() != SubjectKind::Module || !profile.purposes().contains(&oids::SERVER_AUTH) {
            return Err(Reason::ProfileUnknown.into());
        }
        let request = CertificationRequest::decode(call.request.as_ref())?;
        request.verify().map_err(|_| Reason::ProofOfPossession)?;
        let asked = request.extensions.iter().find(|extension| extension.oid == oids::SUBJECT_ALT_NAME);
        let asked = asked.and_then(|extension| decode_subject_alt_name(&extension.value)).unwrap_or_default();
        let is_own = |name: &GeneralName| matches!(name, GeneralName::Dns(text) if setting.est.names.contains(text));
        if asked.is_empty() || !asked.iter().all(is_own) {
            return Err(Reason::NameMismatch.into());
        }
        let ca = self.cas().for_profile(profile)?;
        self.certify_gateway(caller, name, &ca, &call.request)
    }

    /// Certifies a key of the gateway of a box under a profile.
    pub(crate) fn certify_gateway(
        &self,
        caller: &Caller,
        profile: ProfileName,
        ca: &Arc<Ca>,
        request: &Base64,
    ) -> Result<ServerCertified, Fault> {
        let setting = self.setting();
        let subject = Entity::Module(Module::Gateway, caller.instance.clone());
        setting.store.allow(&subject, &profile, 1, self.now())?;
        let request = CertifyRequest {
            transaction_id: TransactionId::at(self.now(), random(setting.entropy.as_ref())),
            subject,
            profile,
            evidence: Evidence::Pkcs10(request.clone()),
        };
        match self.admit_own(caller, request, Arc::clone(ca))? {
            Answer::Issued { certificate, .. } => Ok(certified(certificate, ca)),
            Answer::Failed(fault) => Err(fault),
        }
    }
}

/// A certificate, and those above it.
pub(crate) fn certified(certificate: Base64, ca: &Ca) -> ServerCertified {
    let above = ca.chain().iter().cloned().map(Into::into);
    ServerCertified { chain: [certificate].into_iter().chain(above).collect() }
}

fn is_due(last: &CrlRow, edge: u64, now: UnixTime) -> bool {
    let half = last.next_update.s().saturating_sub(last.this_update.s()) / 2;
    let age = now.s().saturating_sub(last.this_update.s());
    let len = u64::try_from(last.der.len()).unwrap_or(u64::MAX);
    age >= half || (last.edge != edge && age >= CRL_EVERY_S.saturating_add(len / CRL_LEN_PER_S))
}

/// Of what is long out of date the octets may be gone.
const fn is_kept(row: &CrlRow) -> bool {
    !row.der.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: UnixTime = UnixTime::from_s(1_790_000_000);

    /// A list of so many octets that knows three words, and holds for ten thousand seconds, so long after it was made.
    #[track_caller]
    fn check(len: usize, edge: u64, age_s: u64, expected: bool) {
        let (scope, next_update) = (CrlScope { authority: 1, shard: 0 }, MADE.plus_s(10_000));
        let last = CrlRow { scope, number: 1, base: None, edge: 3, this_update: MADE, next_update, der: vec![0; len] };
        assert_eq!(is_due(&last, edge, MADE.plus_s(age_s)), expected);
    }

    #[test]
    fn what_was_revoked_is_on_the_next_list_ten_seconds_later() {
        check(500, 4, 9, false);
        check(500, 4, 10, true);
    }
    #[test]
    fn a_long_list_is_made_less_often() {
        check(38_000_000, 4, 298, false);
        check(38_000_000, 4, 300, true);
    }
    #[test]
    fn when_nothing_changed_half_its_time_goes_by() {
        check(500, 3, 4_999, false);
        check(500, 3, 5_000, true);
    }
}
