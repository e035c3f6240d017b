//! What sm keeps, in the database.

use super::{SqlStore, bundle};
use model::{Digest, Module};
use ports::StoreFault;
use ports::store::SoftwareStore;
use ports::store::software::{BundleRow, TrustedFile};
use std::collections::BTreeMap;

impl SoftwareStore for SqlStore {
    fn store_bundle(&self, row: &BundleRow) -> Result<(), StoreFault> {
        bundle::store(self, row)
    }
    fn bundles(&self) -> Result<Vec<BundleRow>, StoreFault> {
        self.read(|c| bundle::read(c, usize::MAX))
    }
    fn last_bundle(&self) -> Result<Option<BundleRow>, StoreFault> {
        self.read(|c| Ok(bundle::read(c, 1)?.pop()))
    }
    fn trusted(&self, module: Module, repository: Digest) -> Result<BTreeMap<String, Vec<u8>>, StoreFault> {
        self.read(|c| bundle::trusted(c, module, repository))
    }
    fn keep_trusted(&self, module: Module, files: &[TrustedFile]) -> Result<(), StoreFault> {
        bundle::keep_trusted(self, module, files)
    }
}
