//! What the doctor found. Shape: as JSON, `None` is left away, so a field can be added.

use serde::Serialize;

/// What was found at a module and its token.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The module's file.
    pub module: String,
    /// What the module says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<Library>,
    /// The slots that hold a token.
    pub slots: Vec<Slot>,
    /// The slot whose token was looked at, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// Whether somebody was logged in: without that, private keys are not seen.
    pub logged_in: bool,
    /// Mechanisms that are used here and that the token has.
    pub mechanisms: Vec<&'static str>,
    /// The private keys.
    pub keys: Vec<Key>,
    /// How fast the token signs.
    pub speeds: Vec<Speed>,
    /// What is wrong, or worth knowing.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing that was found keeps the token from being used.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// A PKCS #11 module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Library {
    /// Its name for itself.
    pub description: String,
    /// Its maker.
    pub manufacturer: String,
    /// Its version.
    pub version: String,
    /// The version of PKCS #11 that it keeps to.
    pub pkcs11: String,
}

/// A slot with a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slot {
    /// Its number.
    pub id: u64,
    /// The token's label.
    pub label: String,
    /// The token's maker.
    pub manufacturer: String,
    /// The token's model.
    pub model: String,
    /// The token's serial number.
    pub serial: String,
    /// Whether the token was initialised.
    pub initialised: bool,
    /// The user's PIN.
    pub pin: PinState,
    /// Whether this token is meant by the URI.
    pub chosen: bool,
}

/// What a token says of the user's PIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PinState {
    /// There is one.
    pub set: bool,
    /// A wrong one was given since the last login (`CKF_USER_PIN_COUNT_LOW`).
    pub count_low: bool,
    /// One more wrong one locks the token (`CKF_USER_PIN_FINAL_TRY`).
    pub last_try: bool,
    /// The token is locked (`CKF_USER_PIN_LOCKED`).
    pub locked: bool,
    /// It must be changed (`CKF_USER_PIN_TO_BE_CHANGED`).
    pub to_be_changed: bool,
}

/// A private key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Key {
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID` in hexadecimal digits.
    pub id: String,
    /// Our name of its type, if it is one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// `CKA_SENSITIVE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// `CKA_EXTRACTABLE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractable: Option<bool>,
    /// `CKA_NEVER_EXTRACTABLE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_extractable: Option<bool>,
    /// Whether it would be opened.
    pub usable: bool,
}

/// Signatures by one session with a key that is made for it and gone afterwards.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Our name of the key's type.
    pub key_type: String,
    /// How many signatures were made.
    pub signatures: u32,
    /// How many that is in a second.
    pub signatures_per_s: f64,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its name, which stays: `pin-locked`.
    pub code: &'static str,
    /// What was found.
    pub what: String,
    /// What to do next.
    pub next: &'static str,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something does not work, or will not for long.
    Warning,
    /// The token, or a key, cannot be used.
    Error,
}
