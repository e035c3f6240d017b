//! Why a broker cannot be used.

use super::connection::{OLDEST, PAYLOAD_LEN_MIN};
use std::fmt;

/// A bus was not opened.
#[derive(Debug)]
pub enum OpenFault {
    /// The server's address, or the file of certificates, is no such thing.
    Setting(String),
    /// The seed of the module cannot be read, or is none.
    Seed(String),
    /// There is no server, or what answers there is none.
    Unreachable(String),
    /// The server does not know this key.
    Refused,
    /// The server takes shorter messages than ours may be.
    Payload {
        /// What it takes, in octets.
        found: usize,
    },
    /// The server does not let this module do what it must.
    Forbidden,
    /// This machine gives no thread for it.
    Thread(std::io::Error),
}

impl OpenFault {
    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::Setting(_) => "correct the address (nats://HOST:PORT) or the file".to_owned(),
            Self::Seed(_) => "name the seed that `cradle bus config` wrote for this module".to_owned(),
            Self::Unreachable(_) => format!(
                "start nats-server {OLDEST} or newer with the configuration that `cradle bus config` wrote, and compare the address"
            ),
            Self::Refused => {
                "give the server the configuration that was written together with this seed, and reload it".to_owned()
            }
            Self::Payload { .. } => {
                format!("write `max_payload: {PAYLOAD_LEN_MIN}` into the server's configuration, and restart it")
            }
            Self::Forbidden => {
                "open the bus under the domain and box for which the configuration was written, or write it again"
                    .to_owned()
            }
            Self::Thread(_) => "look at the limits of this process".to_owned(),
        }
    }
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(why) => write!(f, "the setting of the bus cannot be used: {why}"),
            Self::Seed(why) => write!(f, "the seed of the module cannot be used: {why}"),
            Self::Unreachable(why) => write!(f, "no broker answers: {why}"),
            Self::Refused => f.write_str("the broker does not know this module's key"),
            Self::Payload { found } => {
                write!(f, "the broker takes messages of {found} octets, and must take {PAYLOAD_LEN_MIN}")
            }
            Self::Forbidden => f.write_str("the broker does not let this module await answers"),
            Self::Thread(why) => write!(f, "the bus got no thread: {why}"),
        }
    }
}
impl std::error::Error for OpenFault {}
