//! What `cradle.toml` says of the operator API.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Whether a box that runs answers programs of operators itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiConfig {
    /// Where it listens beside its socket: on loopback only, for those who show the token. Nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
}

impl ApiConfig {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self.listen {
            Some(address) if !address.ip().is_loopback() => {
                Err("api.listen is an address of this machine: 127.0.0.1 or [::1]")
            }
            _ => Ok(()),
        }
    }
}
