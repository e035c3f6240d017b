//! What the decoders of `ports` must keep to: no octets make them panic, and what they read is written the same again.

use ::ports::envelope::{Claims, Message};
use ::ports::jws::{self, Jws};

/// Flattened JSON web signatures.
pub fn jws(octets: &[u8]) {
    let Ok(read) = Jws::decode(octets) else { return };
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again = serde_json::to_vec(&Jws::decode(&written).expect("what we write, we read"));
    assert_eq!(again.expect("what was read can be written"), written);
    // Nobody's key: whatever it says, it proves nothing.
    let nobody = |_: &str| None::<(x509::PublicKey, ())>;
    assert!(jws::verify("cradle-call", octets, nobody).is_err());
}

/// Sealed messages, before their seal is looked at.
pub fn message(octets: &[u8]) {
    let _ = Message::decode(octets);
}

/// The payload of a seal.
pub fn claims(octets: &[u8]) {
    let Ok(read) = Claims::decode(octets) else { return };
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again = Claims::decode(&written).expect("what we write, we read");
    assert_eq!(serde_json::to_vec(&again).expect("what was read can be written"), written);
}
