//! Room: from a request to a certificate, one proof at a time. No I/O, no clock, no randomness.
//!
//! ```text
//! Request<Parsed> -verify | vouch-> Request<Verified> -authorise-> Request<Authorised> -prepare-> ToBeSigned<Drafted>
//!     -lint-> ToBeSigned<Linted> -intend-> ToBeSigned<Intended> -sign-> Signed -release-> Issued
//! ```
//! Each step takes the one before it, so none can be left out, repeated, or taken in another order. What a step proves
//! is in its type; proofs are neither cloned nor written anywhere.

pub mod crl;
mod der;
mod encode;
pub mod lint;
pub mod profile;
pub mod request;
pub mod sign;
mod text;
pub mod trial;

pub use profile::Profile;
pub use request::{Authorised, Parsed, Request, Verified};
pub use sign::{Drafted, Intended, Issued, Issuer, Linted, Signed, ToBeSigned};
