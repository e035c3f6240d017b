//! `genm`: certificates of authorities, the root that follows, the list in force, one that is newer, what a request must look like.
//! Source: RFC 9810 §5.3.19, RFC 9483 §4.3.

use super::answer::Said;
use super::asker::Asker;
use super::{No, Offer, Talk};
use crate::ca::Ca;
use const_oid::ObjectIdentifier;
use issue::profile::Demands;
use model::{AuthorityName, Entity, Fault};
use std::sync::Arc;
use wire::cmp::header::TypeAndValue;
use wire::cmp::oids;
use wire::cmp::server::{
    CrlSource, CrlStatus, RequestTemplate, RootUpdate, write_certificates, write_lists, write_root_update,
};
use wire::cmp::status::FailureInfo;
use x509::extension::GeneralName;
use x509::points::PointName;

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
                oids::CRL_STATUS_LIST => told.push(self.newer_lists(asked.info_value)?),
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

    /// The root that took the place of the one that the client has, whether or not the label leads to it already; nothing if none did. Who
    /// has one that is not known here is told the present one.
    fn root_update(&self, offer: &Offer, known: Option<&[u8]>) -> Result<General, No> {
        let all = self.ra.cas().all();
        let found = |root: &[u8]| all.iter().find(|ca| ca.row().certificate == root).cloned();
        let update = match known.and_then(found) {
            Some(known) => self.ra.root_after(&known.row().certificate)?,
            None => {
                let ca = self.ra.cas().for_profile(&offer.offered.profile)?;
                let root = ca.chain().last().and_then(|root| found(root));
                root.map(|root| Ok::<_, Fault>((Arc::clone(&root), self.ra.setting().store.links(root.row().id)?)))
                    .transpose()?
            }
        };
        let written = update.map(|(root, links)| {
            write_root_update(&RootUpdate {
                new_with_new: &root.row().certificate,
                old_with_new: links.first().map(Vec::as_slice),
                new_with_old: links.get(1).map(Vec::as_slice),
            })
        });
        Ok((oids::ROOT_CA_KEY_UPDATE, written))
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
        let list = self.ra.list_in_force(&ca.row().name, 0, false)?;
        Ok((oids::CURRENT_CRL, Some(list.der)))
    }

    /// Of the lists that are named those that are newer than what the client has; nothing if none is.
    fn newer_lists(&self, named: Option<&[u8]>) -> Result<General, No> {
        let named = CrlStatus::read_all(named.unwrap_or_default())
            .map_err(|_| No::malformed("it is not said which list is wanted", FailureInfo::BAD_DATA_FORMAT))?;
        let mut lists = Vec::new();
        for CrlStatus { source, this_update } in &named {
            let (authority, shard) = self.list_of(source).ok_or(No::malformed(
                "a list is wanted that is none of this installation's",
                FailureInfo::BAD_REQUEST,
            ))?;
            let list = self.ra.list_in_force(&authority, shard, false)?;
            if this_update.is_none_or(|known| known.s() < list.this_update.s()) {
                lists.push(list.der);
            }
        }
        Ok((oids::CRLS, (!lists.is_empty()).then(|| write_lists(&lists))))
    }

    /// Whose list it is, and of which shard; 0 is all of an authority's.
    fn list_of(&self, source: &CrlSource) -> Option<(AuthorityName, u32)> {
        let all = self.ra.cas().all();
        let is_of = |ca: &Arc<Ca>, name: &GeneralName| match name {
            GeneralName::Directory(name) => ca.certificate().is_some_and(|own| own.tbs().subject == *name),
            _ => false,
        };
        match source {
            CrlSource::Issuer(names) => {
                let ca = all.iter().find(|ca| names.iter().any(|name| is_of(ca, name)))?;
                Some((ca.row().name.clone(), 0))
            }
            CrlSource::Point(PointName::Full(names)) => {
                let is_named = |uri: &str| names.iter().any(|name| matches!(name, GeneralName::Uri(it) if it == uri));
                all.iter().find_map(|ca| {
                    let name = &ca.row().name;
                    let mut profiles =
                        self.ra.setting().profiles.values().filter(|profile| profile.issuers().contains(name));
                    let shard = profiles.find_map(|profile| {
                        let shards = if profile.shards() > 1 { 1..=profile.shards() } else { 0..=0 };
                        let uri = |shard: &u16| profile.distribution_point(name, *shard);
                        shards.into_iter().find(|shard| uri(shard).is_some_and(|uri| is_named(&uri)))
                    })?;
                    Some((name.clone(), u32::from(shard)))
                })
            }
            CrlSource::Point(PointName::Relative(_)) => None,
        }
    }
}
