//! What can stand in the way of whoever publishes.

use std::fmt;
use std::io;
use std::path::PathBuf;
use update::tuf::BadMetadata;

/// Why something was not done.
#[derive(Debug)]
pub enum Fault {
    /// Another process has the repository.
    InUse,
    /// There is no repository here.
    NoRepository,
    /// There is a repository here already.
    Exists,
    /// A file or directory cannot be used.
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not what it must be, or what it would become could not be read.
    Metadata {
        /// Which, below the repository's directory.
        file: String,
        /// What is wrong with it.
        bad: BadMetadata,
    },
    /// A signer could not sign.
    Signer(ports::SignFault),
    /// There is no role of this name.
    NoRole(String),
    /// A role cannot be called so here.
    BadRoleName(String),
    /// No role announces this target.
    NoTarget(String),
    /// A target cannot be called so here.
    BadTargetName(String),
    /// An image could not be measured.
    BadImage(update::BadRelease),
    /// This role is never asked about this target.
    NotAsked {
        /// The role.
        role: String,
        /// The target.
        target: String,
    },
    /// A role would have fewer keys than must sign.
    TooFewKeys(String),
    /// A key has no scheme in TUF.
    BadKey,
    /// The targets are left to others already, so that they cannot be put into bins.
    AlreadyDelegated,
    /// Somebody cannot be registered as a developer.
    BadDeveloper {
        /// Under which name.
        name: String,
        /// Why.
        bad: update::developer::BadDeveloper,
    },
    /// Nobody is registered as a developer under this name.
    NoDeveloper(String),
    /// Somebody else is registered under this name, or it is no name.
    BadDeveloperName(String),
    /// A developer's signature is not believed.
    NotSigned {
        /// Which, in the order in which they were given, from 1 on.
        number: usize,
        /// Why.
        why: update::developer::NotSigned,
    },
    /// Fewer developers have signed than must.
    TooFewDevelopers {
        /// How many have.
        signed: usize,
        /// How many must.
        required: u8,
    },
    /// So many roles must say the same of what is for this hardware, and this one is asked alone, or with fewer.
    SignsAlone {
        /// The role.
        role: String,
        /// The hardware.
        hardware: model::DeviceType,
        /// How many roles must.
        demanded: u8,
    },
    /// What goes with an image is not taken.
    BadPaper {
        /// What it was to be.
        paper: &'static str,
        /// Why not.
        bad: update::papers::BadPaper,
    },
    /// Something else is called so.
    NameTaken(String),
    /// What is said besides has a member that is said here.
    Reserved(&'static str),
    /// A client that follows would refuse what is to be published.
    WouldBeRefused(update::tuf::Refused),
}

impl Fault {
    pub(crate) fn metadata(file: impl Into<String>) -> impl FnOnce(BadMetadata) -> Self {
        let file = file.into();
        move |bad| Self::Metadata { file, bad }
    }
}

impl From<ports::SignFault> for Fault {
    fn from(fault: ports::SignFault) -> Self {
        Self::Signer(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another process has the repository"),
            Self::NoRepository => f.write_str("there is no repository"),
            Self::Exists => f.write_str("there is a repository already"),
            Self::Disk { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Metadata { file, bad } => write!(f, "{file}: {bad}"),
            Self::Signer(fault) => fault.fmt(f),
            Self::NoRole(role) => write!(f, "there is no role {role:?}"),
            Self::BadRoleName(role) => write!(f, "no role can be called {role:?} here"),
            Self::NoTarget(target) => write!(f, "no role announces {target:?}"),
            Self::BadTargetName(target) => write!(f, "no target can be called {target:?} here"),
            Self::BadImage(bad) => write!(f, "the image: {bad}"),
            Self::NotAsked { role, target } => write!(f, "nobody asks {role} about {target:?}"),
            Self::TooFewKeys(role) => write!(f, "{role} would have fewer keys than must sign"),
            Self::BadKey => f.write_str("a key is of a type that signs no metadata"),
            Self::AlreadyDelegated => f.write_str("targets are left to other roles already"),
            Self::BadDeveloper { name, bad } => write!(f, "{name:?}: {bad}"),
            Self::NoDeveloper(name) => write!(f, "nobody is registered as {name:?}"),
            Self::BadDeveloperName(name) => write!(f, "nobody new can be registered as {name:?}"),
            Self::NotSigned { number, why } => write!(f, "signature {number}: {why}"),
            Self::TooFewDevelopers { signed, required } => {
                write!(f, "{signed} developers have signed it, and {required} must")
            }
            Self::SignsAlone { role, hardware, demanded } => {
                write!(
                    f,
                    "{demanded} roles must say the same of what is for {hardware}, and {role} is not asked together with so many"
                )
            }
            Self::BadPaper { paper, bad } => write!(f, "the {paper}: {bad}"),
            Self::NameTaken(name) => write!(f, "something else is called {name:?}"),
            Self::Reserved(member) => write!(f, "{member} is said by the repository itself"),
            Self::WouldBeRefused(refused) => write!(f, "a client would refuse it: {refused}"),
        }
    }
}
impl std::error::Error for Fault {}
