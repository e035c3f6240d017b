//! The operator API: what the command line does, for programs of operators, over a socket of this machine.
//!
//! The same functions as behind the commands, so the same admission, authorisation and records; what is asked for is
//! recorded with who asked before it is done. One table (`operations.rs`) says what there is: the router, the checks of
//! parameters and the description in OpenAPI are all made of it.
//!
//! Prevents: being reached from another machine, or by another user of this one; doing a thing twice that was asked for
//! once; telling a secret twice.

mod answer;
mod answers;
mod asked;
mod desk;
mod document;
mod listen;
mod operations;
mod pages;
mod reads;
mod serve;
mod writes;

pub(crate) use desk::{Desk, Owner};
pub(crate) use document::document;
pub(crate) use listen::Listening;
pub(crate) use serve::Peer;
