//! Breaking each promise on purpose, in what the world puts around the modules: an oracle that does not see it is blind.

use crate::oracle::Check;

/// Something that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A key signs a second certificate under the serial number of the one before it.
    TwinSerial,
    /// The store takes an intent back before the key is asked.
    IntentTakenBack,
    /// A key signs a list before it is intended.
    ListSignedEarly,
    /// A restart finds the records as they were at an earlier one.
    LyingDisk,
    /// A record is kept, and km is told that it was not.
    RecordDenied,
    /// What is signed and not recorded is never closed.
    IntentsLeftOpen,
    /// Transactions are forgotten.
    TransactionsForgotten,
    /// A repetition is answered with the certificate of somebody else.
    AnswerOfAnother,
    /// What is revoked is put on hold, and released.
    RevocationUndone,
    /// A line is left out of each list.
    LineLeftOut,
    /// Lists are numbered anew.
    NumberAgain,
    /// What was never issued is good.
    UnknownIsGood,
    /// Nobody remembers when the last answer about status was made.
    FloorForgotten,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TwinSerial,
        Self::IntentTakenBack,
        Self::ListSignedEarly,
        Self::LyingDisk,
        Self::RecordDenied,
        Self::IntentsLeftOpen,
        Self::TransactionsForgotten,
        Self::AnswerOfAnother,
        Self::RevocationUndone,
        Self::LineLeftOut,
        Self::NumberAgain,
        Self::UnknownIsGood,
        Self::FloorForgotten,
    ];

    /// What then does not hold.
    #[must_use]
    pub const fn breaks(self) -> Check {
        match self {
            Self::TwinSerial => Check::D1,
            Self::IntentTakenBack | Self::ListSignedEarly => Check::D2,
            Self::LyingDisk => Check::D3,
            Self::RecordDenied | Self::IntentsLeftOpen => Check::D4,
            Self::TransactionsForgotten | Self::AnswerOfAnother => Check::D5,
            Self::RevocationUndone => Check::D6,
            Self::LineLeftOut | Self::NumberAgain | Self::FloorForgotten => Check::D7,
            Self::UnknownIsGood => Check::D8,
        }
    }
}
