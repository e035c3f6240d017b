//! What was left for requests before they came: grants for subjects, and rights of who may vouch.
//!
//! Prevents: a key that is certified on the word of who has no right to give it.

use crate::ra::Ra;
use model::contract::authority::{CertifyRequest, Evidence};
use model::{DeviceType, Fault, Module, Reason, StationName};
use ports::directory::Caller;
use ports::store::authority::{Grant, Right};
use std::collections::BTreeMap;

/// What who asks may vouch for.
#[derive(Default)]
pub(crate) struct Rights {
    of: BTreeMap<DeviceType, Right>,
    /// Whether somebody speaks for devices that were not proved to ask: each request is counted then, also one that proves its key.
    spoken_for: bool,
}

impl Rights {
    /// The right that a request needs, if it needs one. What its transaction has used already does not count.
    pub(crate) fn needed(&self, call: &CertifyRequest, vouched: bool, own_use: bool) -> Result<Option<Right>, Reason> {
        if !vouched && !self.spoken_for {
            return Ok(None);
        }
        let right = call.subject.device().and_then(|id| self.of.get(&id.device_type)).ok_or(Reason::RightMissing)?;
        Ok(Some(Right { used: right.used.saturating_sub(u32::from(own_use)), ..right.clone() }))
    }
}

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
    ) -> Result<Rights, Fault> {
        let mut rights = BTreeMap::new();
        let spoken_for = voucher.is_some();
        let station = (caller.module == Module::Provisioning).then_some(&caller.instance);
        let Some(name) = voucher.or(station) else { return Ok(Rights::default()) };
        let counted = requests.iter().filter(|r| spoken_for || matches!(r.evidence, Evidence::Crmf(_)));
        for device_type in counted.filter_map(|r| r.subject.device().map(|id| &id.device_type)) {
            if !rights.contains_key(device_type)
                && let Some(right) = self.setting().store.right(name, device_type)?
            {
                rights.insert(device_type.clone(), right);
            }
        }
        Ok(Rights { of: rights, spoken_for })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DeviceId, Entity, TransactionId, UnixTime};

    const NOW: UnixTime = UnixTime::from_s(1_800_000_000);
    /// How often the right of who asks was used.
    const USED: u32 = 3;

    /// Whether who asks speaks for devices; for a device of which type; whether the key is vouched for; whether this transaction has used
    /// the right already. Then how often the right that is needed counts as used, if one is.
    #[track_caller]
    fn check(spoken_for: bool, kind: &str, vouched: bool, own_use: bool, expected: Result<Option<u32>, Reason>) {
        let right = Right { id: 1, until: NOW, quota: 4, used: USED };
        let rights = Rights { of: BTreeMap::from([("sensor".parse().unwrap(), right)]), spoken_for };
        let device: DeviceId = format!("urn:dev:ops:32473-{kind}-SN000001").parse().unwrap();
        let call = CertifyRequest {
            transaction_id: TransactionId::at(NOW, [7; 10]),
            subject: Entity::Device(device),
            profile: "idevid".parse().unwrap(),
            evidence: Evidence::Crmf(Vec::new().into()),
        };
        let needed = rights.needed(&call, vouched, own_use);
        assert_eq!(needed.map(|right| right.map(|right| right.used)), expected);
    }

    #[rustfmt::skip]
    mod cases {
        use super::*;
        #[test] fn a_proof_needs_no_right()                   { check(false, "sensor", false, false, Ok(None)); }
        #[test] fn nor_where_there_is_none()                  { check(false, "relay", false, false, Ok(None)); }
        #[test] fn a_word_needs_one()                         { check(false, "sensor", true, false, Ok(Some(USED))); }
        #[test] fn a_word_for_another_type_is_refused()       { check(false, "relay", true, false, Err(Reason::RightMissing)); }
        #[test] fn a_proof_that_is_handed_on_needs_one()      { check(true, "sensor", false, false, Ok(Some(USED))); }
        #[test] fn one_of_another_type_is_refused()           { check(true, "relay", false, false, Err(Reason::RightMissing)); }
        #[test] fn the_use_of_the_transaction_counts_not()    { check(true, "sensor", true, true, Ok(Some(USED - 1))); }
    }
}
