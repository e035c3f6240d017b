//! What sm is made of.

use crate::following::{Following, Setting};
use ports::source::Sources;
use ports::store::SoftwareStore;
use ports::vault::Vault;
use ports::{Clock, Signer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use update::bundle::Primary;

/// What sm is made of.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say what the fields are")]
pub struct Parts {
    pub store: Arc<dyn SoftwareStore>,
    pub vault: Arc<dyn Vault>,
    /// Where repositories are found.
    pub sources: Arc<dyn Sources>,
    /// The box, if it follows repositories.
    pub primary: Option<Primary>,
    /// The key that countersigns.
    pub signer: Arc<dyn Signer>,
    pub clock: Arc<dyn Clock>,
}

/// sm.
pub struct Software {
    pub(crate) parts: Parts,
    // One bundle at a time: between an image in the vault and its row in the store, nobody may tidy up.
    turn: Mutex<()>,
    pub(crate) following: Option<Following>,
}

impl Software {
    /// Makes sm of its parts.
    #[must_use]
    pub const fn new(parts: Parts) -> Self {
        Self { parts, turn: Mutex::new(()), following: None }
    }

    /// The same, which also follows repositories by itself.
    #[must_use]
    pub fn by_itself(self, setting: Setting) -> Self {
        Self { following: Some(Following::new(setting)), ..self }
    }

    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
