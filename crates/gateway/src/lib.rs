//! Room: cm, the only door to a network that is not the box's own. Sees TLS, paths, sizes and times; km decides the rest.
//!
//! ```text
//! Est::answer     path and method -> body in whatever form -> km: Enrol{what was shown} -> certificates, or an identifier
//! Cmp::answer     path, method and size -> km: AnswerCmp{the message as it came} -> a message, errors too
//! Acme::answer    path, method and type -> km: AnswerAcme{the message as it came} -> an answer; looks where names are proved
//! Scep::answer    path, query and message -> opened, and the signature around it verified -> km: AnswerScep{what was in it} -> sealed, signed
//! Status::answer  OCSP, lists and certificates of authorities, in the clear: all of it is signed, and for anybody
//! Notices::answer that there is news of software, as it came -> sm, which knows whether who says so may
//! Gateway::open   the sockets; dropped, they are gone
//! ```
//! It keeps no key but those of its own certificates, for TLS and SCEP, and no record.

mod acme;
mod cmp;
mod est;
mod identity;
mod keys;
mod km;
mod notices;
mod open;
mod scep;
mod status;

pub use acme::{Acme, WithAcme};
pub use cmp::{Cmp, WithCmp};
pub use est::{Est, LabelStyle, ServerKeys};
pub use identity::{Certified, certified};
pub use km::{Km, OverTheBus};
pub use notices::{NOTICES, Notices};
pub use open::{Gateway, NotOpen, Setting, Tls};
pub use scep::{Scep, WithScep};
pub use status::Status;
