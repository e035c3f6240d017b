//! Where records are kept.

pub mod audit_log;
pub mod log_mark;
pub mod marks;
pub mod merkle;
pub mod note;
pub mod room;
pub mod sql;

pub use sql::SqlStore;

pub(crate) use crate::ending::die;
