//! `genm`: certificates of authorities, the root that follows, the list in force, what a request must look like.
//! Source: RFC 9810 §5.3.19, RFC 9483 §4.3.

use super::answer::Said;
use super::asker::Asker;
use super::{No, Offer, Talk};
use const_oid::ObjectIdentifier;
use issue::profile::Demands;
use model::Entity;
use model::contract::enrolment::CurrentCrl;
use wire::cmp::header::TypeAndValue;
use wire::cmp::oids;
use wire::cmp::server::{RequestTemplate, RootUpdate, write_certificates, write_root_update};
use wire::cmp::status::FailureInfo;

/// What is told, by its type.
pub(super) type General = (ObjectIdentifier, Option<Vec<u8>>);

impl Talk<'_> {
    /// `genm`. Who asks for several things gets those that are had.
    pub(super) fn general(&self, asker: &Asker, offer: &Offer, list: &[TypeAndValue<'_>]) -> Result<Said, No> {
        let mut told = Vec::new();
        for asked in list {
            match asked.info_type {
                oids::CA_CERTS => told.push(self.ca_certs(offer)?),
                oids::ROOT_CA_CERT => told.push(self.root_update(offer, asked.info_value)?),
                oids::CERT_REQ_TEMPLATE => told.push(self.request_template(asker, offer)),
                oids::CURRENT_CRL => told.push(self.current_list(offer)?),
                _ => {}
            }
        }
        if told.is_empty() {
            return Err(No::malformed("nothing is asked for that is had here", FailureInfo::BAD_REQUEST));
        }
        Ok(Said::General(told))
    }

    fn ca_certs(&self, offer: &Offer) -> Result<General, No> {
        let ca = self.ra.cas().for_profile(&offer.offered.profile)?;
        let chain: Vec<&[u8]> = ca.chain().iter().map(Vec::as_slice).collect();
        Ok((oids::CA_CERTS, Some(write_certificates(&chain))))
    }

    /// The root that took the place of the one that the client has; nothing if it has the present one.
    fn root_update(&self, offer: &Offer, known: Option<&[u8]>) -> Result<General, No> {
        let ca = self.ra.cas().for_profile(&offer.offered.profile)?;
        let all = self.ra.cas().all();
        let root = ca.chain().last().and_then(|root| all.iter().find(|ca| ca.row().certificate == *root));
        let Some(root) = root.filter(|root| known != Some(root.row().certificate.as_slice())) else {
            return Ok((oids::ROOT_CA_KEY_UPDATE, None));
        };
        let links = self.ra.setting().store.links(root.row().id)?;
        let update = RootUpdate {
            new_with_new: &root.row().certificate,
            old_with_new: links.first().map(Vec::as_slice),
            new_with_old: links.get(1).map(Vec::as_slice),
        };
        Ok((oids::ROOT_CA_KEY_UPDATE, Some(write_root_update(&update))))
    }

    /// What a request of who asks must look like. Source: RFC 9483 §4.3.3.
    fn request_template(&self, asker: &Asker, offer: &Offer) -> General {
        let subject = asker.device().cloned().map(Entity::Device);
        let demands = offer.offered.profile.demands(subject.as_ref(), &self.ra.setting().organization);
        let Demands { subject, extensions, keys } = demands;
        (oids::CERT_REQ_TEMPLATE, RequestTemplate { subject, extensions, keys }.write())
    }

    fn current_list(&self, offer: &Offer) -> Result<General, No> {
        let ca = self.ra.cas().for_profile(&offer.offered.profile)?;
        let list = self.ra.current_crl(&CurrentCrl { authority: ca.row().name.clone(), shard: 0 })?;
        Ok((oids::CURRENT_CRL, Some(list.crl.0)))
    }
}
