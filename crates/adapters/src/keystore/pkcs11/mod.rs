//! Keys in a PKCS #11 token, used without being seen.
//!
//! Nothing here is special to a maker's token. What tokens do differently is in ADR 8.

pub mod doctor;
mod fault;
mod keystore;
mod module;
mod object;
mod pin;
pub mod report;
mod scheme;
mod session;
pub mod uri;

pub use doctor::{Measure, doctor};
pub use fault::TokenFault;
pub use keystore::{Pkcs11Keystore, SCHEME, TokenKey};
pub use pin::{PIN_LEN_MAX, Pin, PinOctets};
pub use report::Report;
pub use scheme::{Hash, Scheme};
pub use uri::{BadUri, Pkcs11Uri};
