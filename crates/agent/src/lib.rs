//! Room: what a device does to keep its software and its certificate up to date. It decides nothing that is not signed.
//!
//! A round follows a director and an image repository, downloads what both say to the slot that does not run, verifies it
//! where it lies, has it installed by commands, and reports what is carried. It may be cut off between any two octets.
//!
//! Prevents: what [`update`] prevents; an image that is altered on its way, on the server or on the medium; a second run beside
//! the first; a report that is lost; a key without its certificate, and a certificate that does not lead to the pinned root. Does
//! not prevent: commands that install something else than they are given.

mod arguments;
mod commands;
mod config;
mod delta;
mod download;
mod enrolment;
mod fault;
mod follow;
mod keep;
mod keys;
mod main_loop;
mod pieces;
mod report;
mod round;
mod settle;
mod state;
mod status;

pub use main_loop::main;
