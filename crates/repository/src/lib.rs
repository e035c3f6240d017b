//! Room: a repository of TUF in plain files, for whoever publishes software. Any web server can serve it.
//!
//! ```text
//! DIR/metadata/   served: N.root.json, timestamp.json, N.snapshot.json, N.ROLE.json
//! DIR/targets/    served: dir/HASH.file
//! DIR/staged/     not served: what comes next, unsigned or signed by some; staged/targets/ has its images
//! DIR/developers/ not served: whose signatures over images are believed when they are staged; developers.json: how many are wanted
//! DIR/notices.json not served: who is told of what is published, and how far he was
//! DIR/keys/       not served: keys of whoever publishes here, if they are kept in files (another crate's matter)
//! ```
//!
//! Changes are staged ([`Repository::add`], [`Repository::delegate`], ...), signed by whoever must, here or elsewhere, and
//! published as a whole ([`Repository::publish`]). A client follows at every moment: before, between any two steps, and after.
//!
//! - Images come first, then targets roles, then the snapshot: nobody asks for them yet. The timestamp is the one step with
//!   which clients have all of it.
//! - A new root comes last of all. What it changes for timestamp, snapshot and targets was signed before by those of the
//!   old root *and* of the new one, so it does not matter which of them a client has.
//! - What an interruption left is taken away when the repository is opened next, and said; what was staged is still staged.
//! - Before the first step a client follows all of it in memory, from the root that is published: what it would refuse is not published.
//!
//! Prevents: half a publication, two writers at once, publishing what is unsigned, expired, older, or without its image. Does not
//! prevent: a key in other hands, nor a disk that says it has written what it has not.

mod bins;
mod change;
mod demands;
mod developers;
mod disk;
mod fault;
mod file;
mod notices;
mod plan;
mod prune;
mod publish;
mod release;
mod state;
mod status;
mod trial;
mod verify;

pub use change::{Agreement, Leave, Rotation};
pub use demands::Demands;
pub use developers::Known;
pub use disk::Before;
pub use fault::Fault;
pub use file::RoleFile;
pub use plan::{OldKeys, Waiting, Why};
pub use publish::Publication;
pub use release::{Added, Announced, Delta, Release, Source};
pub use state::{Lifetimes, Repository, Start};
pub use status::{RoleStatus, Status};
pub use verify::{Finding, Wrong};

/// Longest name of a role, and of one part of a target's name, in octets: with a hash in front it is still a file name.
pub const NAME_LEN_MAX: usize = 180;
