//! Carrying octets between modules.
//!
//! The bus is not trusted: whoever controls it can delay and drop, and nothing else, because every message is sealed.

use model::contract::Subject;
use model::{Fault, Module, UnixTime};
use std::sync::Arc;

/// Carries calls to the module that answers them. Calls block: the work behind them is cryptography and disk, and a
/// batch carries many requests.
pub trait Bus: Send + Sync {
    /// Carries a sealed message to `to` and brings the sealed answer back, or gives up at `deadline`.
    ///
    /// # Errors
    /// [`BusFault`]
    fn call(&self, to: Module, subject: Subject, message: &[u8], deadline: UnixTime) -> Result<Vec<u8>, BusFault>;

    /// Lets `handler` answer what is sent to `module`, until the returned guard is dropped. Dropping waits for the
    /// calls that are being answered.
    ///
    /// # Errors
    /// [`BusFault::Taken`] if somebody answers for it already, where the bus knows only one.
    fn serve(&self, module: Module, handler: Arc<dyn Handler>) -> Result<Box<dyn Served>, BusFault>;
}

/// Keeps a module reachable as long as it lives.
pub trait Served: Send + Sync {}

/// Answers messages.
pub trait Handler: Send + Sync {
    /// The sealed answer to a sealed message that arrived under `subject`.
    fn handle(&self, subject: Subject, message: &[u8]) -> Vec<u8>;
}

/// A message was not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusFault {
    /// The module is off: nobody answers for it in this process, and no other could.
    Off,
    /// Nobody answers for that module, says who carries the messages.
    Nobody,
    /// No answer before the deadline. The call may have been carried out.
    Late,
    /// Somebody answers for that module already.
    Taken,
    /// Longer than [`model::contract::MESSAGE_LEN_MAX`].
    TooLong,
    /// The one who answers broke down in the middle.
    Broken,
}

impl From<BusFault> for Fault {
    fn from(fault: BusFault) -> Self {
        match fault {
            BusFault::Off => Fault::Refused(model::Reason::ModuleOff),
            // Not a refusal, which is a promise that nothing was done: a broker that is not trusted may have said so.
            BusFault::Nobody => {
                Fault::unavailable("nobody answers for that module: see whether it runs (`cradle status`)")
            }
            BusFault::Late => Fault::unavailable("no answer before the deadline"),
            BusFault::Taken => Fault::unavailable("the module is running already"),
            BusFault::TooLong => Fault::malformed("bus message longer than the limit"),
            BusFault::Broken => Fault::unavailable("the module broke down while answering"),
        }
    }
}
