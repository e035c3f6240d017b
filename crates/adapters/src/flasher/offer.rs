//! Requests and bare keys.

use serde::Deserialize;

/// How a board shows its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offer {
    /// In a PKCS #10 request that it signed.
    #[default]
    Csr,
    /// As a bare public key.
    PublicKey,
}
