//! Questions that change nothing: which authorities there are, and which root follows.

use super::{Awaits, Received, Thread, Transaction};
use crate::cmp::client::party::{Draft, Fresh, NONCE_LEN, Party};
use crate::cmp::client::{Broken, RootKeyUpdate};
use crate::cmp::header::TypeAndValue;
use crate::cmp::{Body, Pvno, body, oids};
use model::UnixTime;
use x509::Certificate;

/// What was asked for.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    CaCerts,
    RootUpdate,
}

impl<'a> Transaction<'a> {
    /// Asks for the certificates of the authority. Source: RFC 9810 §5.3.19.14.
    #[must_use]
    pub fn ca_certs(
        party: &'a Party<'a>,
        transaction_id: [u8; NONCE_LEN],
        fresh: &Fresh,
        now: UnixTime,
    ) -> (Self, Draft) {
        let wanted = TypeAndValue { info_type: oids::CA_CERTS, info_value: None };
        ask(party, wanted, Asked::CaCerts, transaction_id, fresh, now)
    }

    /// Asks for the root that follows an old one. Source: RFC 9810 §5.3.19.15, RFC 9483 §4.3.2.
    #[must_use]
    pub fn root_update(
        party: &'a Party<'a>,
        old: &Certificate,
        transaction_id: [u8; NONCE_LEN],
        fresh: &Fresh,
        now: UnixTime,
    ) -> (Self, Draft) {
        let wanted = TypeAndValue { info_type: oids::ROOT_CA_CERT, info_value: Some(old.der()) };
        ask(party, wanted, Asked::RootUpdate, transaction_id, fresh, now)
    }
}

fn ask<'a>(
    party: &'a Party<'a>,
    wanted: TypeAndValue<'_>,
    asked: Asked,
    transaction_id: [u8; NONCE_LEN],
    fresh: &Fresh,
    now: UnixTime,
) -> (Transaction<'a>, Draft) {
    let thread = Thread::new(party, transaction_id);
    thread.send(Body::Genm(vec![wanted]), Pvno::V2, Vec::new(), Awaits::General(asked), fresh, now)
}

pub(super) fn received<'a>(asked: Asked, told: &[TypeAndValue<'_>]) -> Result<Received<'a>, Broken> {
    match asked {
        Asked::CaCerts => {
            let found = body::ca_certs(told).unwrap_or_default();
            Ok(Received::General(found.into_iter().filter_map(|der| Certificate::decode(der).ok()).collect()))
        }
        // RFC 9483 §4.3.2: without a value there is no update.
        Asked::RootUpdate => {
            let update = told.iter().find(|item| item.info_type == oids::ROOT_CA_KEY_UPDATE);
            let update = update.and_then(|item| item.info_value).map(RootKeyUpdate::decode).transpose();
            Ok(Received::RootUpdate(update.map_err(|_| Broken::RootUpdate)?.map(Box::new)))
        }
    }
}
