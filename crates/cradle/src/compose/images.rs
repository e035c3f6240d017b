//! Where images lie, and who reads them.

use super::{Workshop, vault_label};
use crate::config::VaultConfig;
use crate::fault::{Exit, Failure, Result};
use adapters::vault::{DirectoryVault, VaultPrivateKey, VaultPublicKey};
use model::{Digest, Module};
use ports::vault::{Vault, VaultFault};
use std::path::Path;
use std::sync::Arc;

impl Workshop {
    /// The vault, for one who reads with its own key. Only sm, who writes, names who may read.
    pub(crate) fn vault(&self, reader: Module) -> Result<Arc<dyn Vault>> {
        let broken =
            |fault: VaultFault| Failure::new(Exit::Unavailable, "vault", "the vault cannot be opened").because(fault);
        let key = VaultPrivateKey::from_pkcs8(&self.keystore.kept(&vault_label(reader))?).map_err(broken)?;
        let VaultConfig { software, provisioning } = &self.config.vault;
        let recipients = if reader == Module::Software {
            [software, provisioning].map(|key| VaultPublicKey::new(*key.octets())).to_vec()
        } else {
            Vec::new()
        };
        let vault = DirectoryVault::open(&self.places.vault(), recipients, Some(key), Arc::clone(&self.entropy));
        Ok(Arc::new(vault.map_err(broken)?))
    }

    /// Puts all images into another directory, encrypted for one who reads them on another box. Gives how many.
    pub(crate) fn copy_images(&self, to: &Path, reader: Digest) -> Result<usize> {
        let broken =
            |fault: VaultFault| Failure::new(Exit::Unavailable, "vault", "the images were not copied").because(fault);
        let key = VaultPrivateKey::from_pkcs8(&self.keystore.kept(&vault_label(Module::Software))?).map_err(broken)?;
        let own = DirectoryVault::open(&self.places.vault(), Vec::new(), Some(key), Arc::clone(&self.entropy));
        let reader = vec![VaultPublicKey::new(*reader.octets())];
        let other = DirectoryVault::open(to, reader, None, Arc::clone(&self.entropy)).map_err(broken)?;
        own.map_err(broken)?.copy_to(&other).map_err(broken)
    }
}
