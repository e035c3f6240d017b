//! What modules say to each other over the bus.
//!
//! A message is JSON, sealed by its sender (`ports::envelope`). Each call is a type with its subject and its reply.
//! Contracts change only by adding: a new field is optional, an old one is kept for a release, and the golden file in
//! `contracts/` changes in the same commit. Who may make which call says `contracts/callers.toml`.

pub mod acme;
pub mod authority;
pub mod enrolment;
pub mod hierarchy;
pub mod identity;
pub mod maker;
pub mod provisioning;
pub mod scep;
pub mod software;
pub mod supervisor;

use crate::Module;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A call: what is asked, under which subject, and what the answer is.
pub trait Call: Serialize + DeserializeOwned {
    /// Where it goes.
    const SUBJECT: Subject;
    /// What comes back.
    type Reply: Serialize + DeserializeOwned;

    /// To whom it goes.
    fn to(&self) -> Module {
        Self::SUBJECT.module()
    }
}

/// Most requests in one message. One batch of this size is about 300 KiB and takes km some 10 ms; a longer one would
/// only make its neighbours wait.
pub const BATCH_LEN_MAX: usize = 512;

/// Longest message on the bus, in octets: a full batch of the longest requests that are allowed would be longer, and
/// is refused before it is read.
pub const MESSAGE_LEN_MAX: usize = 4 * 1024 * 1024;

macro_rules! subjects {
    ($($name:ident = $text:literal -> $module:ident,)+) => {
        /// The address of a call on the bus: module and verb.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Subject {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $name,)+
        }

        impl Subject {
            /// All subjects.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)+ } }
            /// Which module answers. A lease goes to the module that it is for instead.
            #[must_use]
            pub const fn module(self) -> Module { match self { $(Self::$name => Module::$module,)+ } }
        }
    };
}

subjects! {
    AuthorityCertify = "authority.certify" -> Authority,
    AuthorityConfirm = "authority.confirm" -> Authority,
    AuthorityDeposit = "authority.deposit" -> Authority,
    AuthorityEntitle = "authority.entitle" -> Authority,
    AuthorityCreate = "authority.create" -> Authority,
    AuthorityImport = "authority.import" -> Authority,
    AuthorityRequest = "authority.request" -> Authority,
    AuthorityInstall = "authority.install" -> Authority,
    AuthoritySign = "authority.sign" -> Authority,
    AuthorityLimit = "authority.limit" -> Authority,
    AuthorityRollover = "authority.rollover" -> Authority,
    AuthorityRevoke = "authority.revoke" -> Authority,
    AuthorityRelease = "authority.release" -> Authority,
    AuthorityCrl = "authority.crl" -> Authority,
    AuthorityOcsp = "authority.ocsp" -> Authority,
    AuthorityFilter = "authority.filter" -> Authority,
    AuthorityEnrol = "authority.enrol" -> Authority,
    AuthorityAllowEnrolment = "authority.allow-enrolment" -> Authority,
    AuthorityCaCertificates = "authority.ca-certificates" -> Authority,
    AuthorityCurrentCrl = "authority.current-crl" -> Authority,
    AuthorityCmp = "authority.cmp" -> Authority,
    AuthoritySealingKey = "authority.sealing-key" -> Authority,
    AuthorityAcme = "authority.acme" -> Authority,
    AuthorityAcmeSeen = "authority.acme-seen" -> Authority,
    AuthorityScep = "authority.scep" -> Authority,
    AuthorityCertifyServer = "authority.certify-server" -> Authority,
    AuthorityMaker = "authority.maker" -> Authority,
    IdentityImportList = "identity.import-list" -> Identity,
    IdentityTrust = "identity.trust" -> Identity,
    IdentityDeposit = "identity.deposit" -> Identity,
    IdentityAdmit = "identity.admit" -> Identity,
    IdentityRecord = "identity.record" -> Identity,
    IdentityMark = "identity.mark" -> Identity,
    SoftwareUpdate = "software.update" -> Software,
    SoftwareNotice = "software.notice" -> Software,
    ProvisioningRun = "provisioning.run" -> Provisioning,
    ProvisioningWatch = "provisioning.watch" -> Provisioning,
    ModeLease = "mode.lease" -> Supervisor,
    ModeAsk = "mode.ask" -> Supervisor,
    ModeShow = "mode.show" -> Supervisor,
    ModeOrder = "mode.order" -> Supervisor,
    ModeEnter = "mode.enter" -> Supervisor,
    ModeSeal = "mode.seal" -> Supervisor,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
