//! Room: what is said on the wire, as octets in and octets out. No sockets, no I/O, no clock, no randomness, no keys.
//!
//! Each protocol is a module: strict reading under limits, the decision as a pure function, writing up to the octets
//! that somebody else signs.

pub mod acme;
pub mod cmp;
pub mod est;
pub mod filter;
pub mod http;
pub mod ocsp;
mod read;
pub mod scep;
