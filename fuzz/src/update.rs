//! What the decoders of `update` must keep to: no octets make them panic, and what they read is written the same again.

use ::update::{Draft, Metadata, Statement, Threshold};

/// Metadata of releases.
pub fn release(octets: &[u8]) {
    let Ok(read) = Metadata::decode(octets) else { return };
    // Without keys nothing is proved.
    assert!(read.verify(&[], Threshold::ONE).is_err());
}

/// Releases that somebody goes on to sign.
pub fn draft(octets: &[u8]) {
    let Ok(read) = Draft::decode(octets) else { return };
    let written = read.write();
    let again = Draft::decode(&written).expect("what we write, we read");
    assert_eq!(again.write(), written);
}

/// Payloads of countersignatures.
pub fn statement(octets: &[u8]) {
    let Ok(read) = Statement::decode(octets) else { return };
    let written = read.encode();
    assert_eq!(Statement::decode(&written).expect("what we write, we read").encode(), written);
}
