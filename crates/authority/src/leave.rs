//! What was left for requests before they came: grants for subjects, and rights of who may vouch.
//!
//! Prevents: a key that is certified on the word of who has no right to give it.

use crate::ra::Ra;
use model::contract::authority::{CertifyRequest, Evidence};
use model::{DeviceType, Fault, Module, StationName};
use ports::directory::Caller;
use ports::store::authority::{Grant, Right};
use std::collections::BTreeMap;

impl Ra {
    pub(crate) fn grants(&self, requests: &[CertifyRequest]) -> Result<Vec<Option<Grant>>, Fault> {
        let wanted: Vec<_> = requests.iter().map(|r| (&r.subject, &r.profile)).collect();
        Ok(self.setting().store.grants(&wanted)?)
    }

    /// The rights for the device types in this batch, of who vouches: the caller if it is a station, the registration authority
    /// that was proved to ask, or nobody.
    pub(crate) fn rights(
        &self,
        caller: &Caller,
        voucher: Option<&StationName>,
        requests: &[CertifyRequest],
    ) -> Result<BTreeMap<DeviceType, Right>, Fault> {
        let mut rights = BTreeMap::new();
        let station = (caller.module == Module::Provisioning).then_some(&caller.instance);
        let Some(name) = voucher.or(station) else { return Ok(rights) };
        let crmf = requests.iter().filter(|r| matches!(r.evidence, Evidence::Crmf(_)));
        for device_type in crmf.filter_map(|r| r.subject.device().map(|id| &id.device_type)) {
            if !rights.contains_key(device_type)
                && let Some(right) = self.setting().store.right(name, device_type)?
            {
                rights.insert(device_type.clone(), right);
            }
        }
        Ok(rights)
    }
}
