//! What the decoder of registration lists must keep to: no octets make it panic, and a list is all good or not taken.

use ::identity::lists::{self, BAD_LINES_MAX};
use model::UnixTime;
use model::contract::identity::ListFormat;

/// Registration lists.
pub fn list(octets: &[u8]) {
    for format in [ListFormat::Csv, ListFormat::Json] {
        // What a list says of itself is read alone first, and must be the same with its lines.
        let claims = lists::decode_claims(format, octets);
        match lists::decode("list", format, octets, UnixTime::NO_EXPIRY, 32473) {
            Ok(list) => {
                assert!(!list.devices.is_empty());
                let claims = claims.expect("the lines were read behind them");
                assert_eq!(claims.supplier, list.supplied.map(|supplied| supplied.supplier));
            }
            Err(bad) => assert!((1..=BAD_LINES_MAX + 1).contains(&bad.len()), "{bad:?}"),
        }
    }
}
