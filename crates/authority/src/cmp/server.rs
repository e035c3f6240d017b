//! With what answers are signed: a key of its own, certified for that by the authority in whose name it answers.
//!
//! The authority's own key signs certificates and lists, and nothing that a client has a part in.

use super::{Front, No, Talk};
use crate::ca::Ca;
use crate::ra::Ra;
use model::{Entity, Fault, ProfileName, Reason, UnixTime};
use ports::Signer;
use ports::directory::Caller;
use ports::store::authority::CertificateFilter;
use std::sync::{Arc, PoisonError};
use wire::cmp::oids::CMC_CA;
use x509::extension::decode_extended_key_usage;
use x509::{Certificate, oids};

/// The profile of its certificate.
const PROFILE: &str = "cmp";
/// Its key in the keystore, before the name of the authority.
const KEY: &str = "cmp";
/// Certificates that are looked at: far more than there are at a time.
const OWN_MAX: u32 = 1000;

/// Who signs answers in the name of an authority.
pub(super) struct Server {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) certificate: Certificate,
}

impl Server {
    /// Whether less than two thirds of its time are over.
    fn lasts(certificate: &Certificate, now: UnixTime) -> bool {
        let tbs = certificate.tbs();
        let lifetime = tbs.not_after.s().saturating_sub(tbs.not_before.s());
        tbs.not_before <= now && now < tbs.not_before.plus_s(lifetime / 3 * 2)
    }
}

impl Talk<'_> {
    /// Who signs in the name of an authority.
    pub(super) fn server(&self, ca: &Arc<Ca>) -> Result<Arc<Server>, No> {
        Ok(self.ra.cmp_server(self.front, self.own, ca, self.now)?)
    }
}

impl Ra {
    fn cmp_server(&self, front: &Front, own: &Caller, ca: &Arc<Ca>, now: UnixTime) -> Result<Arc<Server>, Fault> {
        let mut servers = front.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(&ca.row().id).filter(|known| Server::lasts(&known.certificate, now)) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(self.make_cmp_server(own, ca, now)?);
        servers.insert(ca.row().id, Arc::clone(&made));
        Ok(made)
    }

    fn make_cmp_server(&self, own: &Caller, ca: &Arc<Ca>, now: UnixTime) -> Result<Server, Fault> {
        let profile: ProfileName = PROFILE.parse().map_err(|_| Reason::ProfileUnknown)?;
        let wanted = self.setting().profiles.get(&profile).map(|profile| profile.purposes().to_vec());
        let wanted = wanted.ok_or(Fault::unavailable(
            "there is no profile `cmp`, under which the key that signs answers is certified",
        ))?;
        let signer = self.responder_key(KEY, ca)?;
        let subject = Entity::Responder(ca.row().name.clone());
        let filter = CertificateFilter {
            subject: Some(subject.clone()),
            profile: Some(profile.clone()),
            revoked: Some(false),
            expires_from: Some(now),
            limit: OWN_MAX,
            ..CertificateFilter::default()
        };
        let found = self.setting().store.certificates(&filter)?;
        let read = found.iter().rev().filter_map(|row| Certificate::decode(&row.der).ok());
        let issuer = ca.certificate().ok_or(Reason::IssuerUnknown)?;
        let fits = |own: &Certificate| {
            let tbs = own.tbs();
            let purposes = tbs.extension(oids::EXTENDED_KEY_USAGE).and_then(|e| decode_extended_key_usage(&e.value));
            tbs.subject_public_key == *signer.public_key()
                && purposes.is_some_and(|purposes| wanted.iter().chain([&CMC_CA]).all(|one| purposes.contains(one)))
                && own.verify_issued_by(issuer, now).is_ok()
        };
        let present = read.filter(|own| Server::lasts(own, now)).find(|own| fits(own));
        let certificate = match present {
            Some(own) => own,
            None => self.certify_responder(own, &subject, &profile, signer.as_ref(), ca)?,
        };
        if !fits(&certificate) {
            return Err(Fault::unavailable("the profile `cmp` does not make certificates that sign answers (cmc-ca)"));
        }
        Ok(Server { signer, certificate })
    }
}
