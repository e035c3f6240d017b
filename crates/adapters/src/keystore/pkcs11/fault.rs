//! What goes wrong at a token, by name.

use cryptoki::error::{Error, RvError};
use ports::SignFault;
use ports::keystore::KeyFault;

/// Something at the token did not work.
///
/// The texts name the cause and, where there is one, the return value of PKCS #11; they carry nothing of a key or PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The module's path is not absolute, or there is no file.
    ModuleMissing,
    /// The module's path leads to something that is no file.
    ModuleNoFile,
    /// The module cannot be loaded: it is no library, or one for another machine, or one that it needs is missing.
    ModuleNotLoaded,
    /// The library has no `C_GetFunctionList`: it is no PKCS #11 module.
    ModuleNotPkcs11,
    /// The URI asks for another module than the one of this keystore.
    ModuleDiffers,
    /// No token fits the URI.
    TokenMissing,
    /// More than one token fits the URI.
    TokenAmbiguous,
    /// The token has no user PIN yet.
    PinUnset,
    /// The PIN cannot be had from where it is kept.
    PinNotFound,
    /// The token refused this PIN; it is not tried again.
    PinRefused,
    /// The token is locked after wrong PINs.
    PinLocked,
    /// One try is left before the token locks itself; it is left to a person.
    PinLastTry,
    /// No key fits the URI.
    KeyMissing,
    /// More than one key fits the URI.
    KeyAmbiguous,
    /// A key of that label exists.
    KeyExists,
    /// The URI or label is not fit for a key.
    KeyBadName,
    /// The key can leave the token, or once could.
    KeyExtractable,
    /// The key's value can be read.
    KeyNotSensitive,
    /// The key wants the PIN for each signature.
    KeyAsksEachTime,
    /// The key may not sign.
    KeyMayNotSign,
    /// The key's type is none of ours, or the algorithm is not one of its.
    KeyUnsupported,
    /// The public half of the key cannot be found or read.
    PublicKeyMissing,
    /// The public half belongs to another key.
    PublicKeyDiffers,
    /// What the token returned is no signature.
    BadSignature,
    /// No session became free in time.
    Busy,
    /// The module was started anew by another user of it while this call waited. Nothing was signed.
    Restarted,
    /// A function of the module returned this.
    Returned(RvError),
    /// The module lacks a function, or returned octets that make no sense.
    ModuleBroken,
}

impl TokenFault {
    /// The cause in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ModuleMissing => "there is no PKCS #11 module at that path",
            Self::ModuleNoFile => "the path of the PKCS #11 module leads to no file",
            Self::ModuleNotLoaded => "the PKCS #11 module cannot be loaded; it is damaged or for another machine",
            Self::ModuleNotPkcs11 => "the library is no PKCS #11 module; it has no C_GetFunctionList",
            Self::ModuleDiffers => "the key's URI names another PKCS #11 module",
            Self::TokenMissing => "the token is not there",
            Self::TokenAmbiguous => "more than one token fits; name it by its serial number",
            Self::PinUnset => "the token has no user PIN yet",
            Self::PinNotFound => "the PIN of the token cannot be read",
            Self::PinRefused => "the token refused the PIN; it is not tried again until it changes",
            Self::PinLocked => "the token is locked after wrong PINs",
            Self::PinLastTry => "the token allows one more PIN before it locks; log in by hand first",
            Self::KeyMissing => "there is no such key in the token",
            Self::KeyAmbiguous => "more than one key in the token fits; name it by its id",
            Self::KeyExists => "a key of that name exists",
            Self::KeyBadName => "the key's name does not fit a token",
            Self::KeyExtractable => "the key can be taken out of the token (CKA_EXTRACTABLE); it is not used",
            Self::KeyNotSensitive => "the key can be read from the token (not CKA_SENSITIVE); it is not used",
            Self::KeyAsksEachTime => "the key wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE)",
            Self::KeyMayNotSign => "the key may not sign (CKA_SIGN)",
            Self::KeyUnsupported => "the key's type or algorithm is not supported",
            Self::PublicKeyMissing => "the public half of the key is not in the token",
            Self::PublicKeyDiffers => "the public key in the token belongs to another private key",
            Self::BadSignature => "the token returned no valid signature",
            Self::Busy => "all sessions of the token are busy",
            Self::Restarted => "the PKCS #11 module was started anew; nothing was signed",
            Self::ModuleBroken => "the PKCS #11 module does not keep to PKCS #11",
            Self::Returned(value) => returned(value),
        }
    }

    /// Whether the sessions may still be used after this. What is not known to be the request's own fault is the
    /// token's: logging in again costs little, a session that is dead for ever costs the line.
    pub(crate) fn sessions_survive(self) -> bool {
        use RvError as R;
        match self {
            Self::Returned(value) => matches!(
                value,
                R::ActionProhibited
                    | R::AttributeReadOnly
                    | R::AttributeSensitive
                    | R::AttributeTypeInvalid
                    | R::AttributeValueInvalid
                    | R::CurveNotSupported
                    | R::DataInvalid
                    | R::DataLenRange
                    | R::DomainParamsInvalid
                    | R::FunctionNotSupported
                    | R::KeyFunctionNotPermitted
                    | R::KeySizeRange
                    | R::KeyTypeInconsistent
                    | R::MechanismInvalid
                    | R::MechanismParamInvalid
                    | R::SessionCount
                    | R::TemplateIncomplete
                    | R::TemplateInconsistent
                    | R::TokenWriteProtected
            ),
            Self::ModuleBroken => false,
            _ => true,
        }
    }
}

fn returned(value: RvError) -> &'static str {
    match value {
        RvError::SlotIdInvalid => "the token's slot is gone (CKR_SLOT_ID_INVALID)",
        RvError::GeneralError => "the token failed (CKR_GENERAL_ERROR)",
        RvError::FunctionFailed => "the token failed (CKR_FUNCTION_FAILED)",
        RvError::FunctionRejected => "the token refused (CKR_FUNCTION_REJECTED)",
        RvError::FunctionNotSupported => "the token cannot do that (CKR_FUNCTION_NOT_SUPPORTED)",
        RvError::HostMemory => "the PKCS #11 module has no memory left (CKR_HOST_MEMORY)",
        RvError::DeviceError => "the token failed (CKR_DEVICE_ERROR)",
        RvError::DeviceMemory => "the token is full (CKR_DEVICE_MEMORY)",
        RvError::DeviceRemoved => "the token was taken away (CKR_DEVICE_REMOVED)",
        RvError::TokenNotPresent => "the token is not there (CKR_TOKEN_NOT_PRESENT)",
        RvError::TokenNotRecognized => "the token is not recognised (CKR_TOKEN_NOT_RECOGNIZED)",
        RvError::TokenWriteProtected => "the token is write-protected (CKR_TOKEN_WRITE_PROTECTED)",
        RvError::SessionHandleInvalid => "the session with the token ended (CKR_SESSION_HANDLE_INVALID)",
        RvError::SessionClosed => "the session with the token ended (CKR_SESSION_CLOSED)",
        RvError::SessionCount => "the token allows no more sessions (CKR_SESSION_COUNT)",
        RvError::UserNotLoggedIn => "the token has forgotten the login (CKR_USER_NOT_LOGGED_IN)",
        RvError::UserAnotherAlreadyLoggedIn => "somebody else is logged in (CKR_USER_ANOTHER_ALREADY_LOGGED_IN)",
        RvError::KeyHandleInvalid => "the key is gone from the token (CKR_KEY_HANDLE_INVALID)",
        RvError::ObjectHandleInvalid => "the key is gone from the token (CKR_OBJECT_HANDLE_INVALID)",
        RvError::CryptokiNotInitialized => "the PKCS #11 module is not started (CKR_CRYPTOKI_NOT_INITIALIZED)",
        RvError::CantLock => "the PKCS #11 module cannot be used by several threads (CKR_CANT_LOCK)",
        RvError::NeedToCreateThreads => "the PKCS #11 module cannot be used here (CKR_NEED_TO_CREATE_THREADS)",
        RvError::MechanismInvalid => "the token does not know the algorithm (CKR_MECHANISM_INVALID)",
        RvError::MechanismParamInvalid => "the token does not know the algorithm (CKR_MECHANISM_PARAM_INVALID)",
        RvError::CurveNotSupported => "the token does not know the curve (CKR_CURVE_NOT_SUPPORTED)",
        RvError::DomainParamsInvalid => "the token does not know the curve (CKR_DOMAIN_PARAMS_INVALID)",
        RvError::KeySizeRange => "the token does not take keys of that size (CKR_KEY_SIZE_RANGE)",
        RvError::KeyTypeInconsistent => "the key does not fit the algorithm (CKR_KEY_TYPE_INCONSISTENT)",
        RvError::KeyFunctionNotPermitted => "the key may not sign (CKR_KEY_FUNCTION_NOT_PERMITTED)",
        RvError::AttributeTypeInvalid => "the token does not take a key's attribute (CKR_ATTRIBUTE_TYPE_INVALID)",
        RvError::AttributeValueInvalid => "the token does not take a key's attribute (CKR_ATTRIBUTE_VALUE_INVALID)",
        RvError::AttributeReadOnly => "the token does not take a key's attribute (CKR_ATTRIBUTE_READ_ONLY)",
        RvError::TemplateIncomplete => "the token does not take a key's attributes (CKR_TEMPLATE_INCOMPLETE)",
        RvError::TemplateInconsistent => "the token does not take a key's attributes (CKR_TEMPLATE_INCONSISTENT)",
        RvError::DataLenRange => "the token does not sign data of that length (CKR_DATA_LEN_RANGE)",
        RvError::OperationActive => "the token mixed up its sessions (CKR_OPERATION_ACTIVE)",
        RvError::OperationNotInitialized => "the token mixed up its sessions (CKR_OPERATION_NOT_INITIALIZED)",
        RvError::PinExpired => "the token's PIN has expired (CKR_PIN_EXPIRED)",
        RvError::VendorDefined(_) => "the token failed with a value of its maker's own",
        _ => "the token failed with an unexpected value",
    }
}

impl From<Error> for TokenFault {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => Self::PinRefused,
            Error::Pkcs11(RvError::PinLocked, _) => Self::PinLocked,
            Error::Pkcs11(RvError::UserPinNotInitialized, _) => Self::PinUnset,
            Error::Pkcs11(value, _) => Self::Returned(value),
            Error::LibraryLoading(_) => Self::ModuleNotLoaded,
            Error::MissingSymbol(_) => Self::ModuleNotPkcs11,
            _ => Self::ModuleBroken,
        }
    }
}

impl std::fmt::Display for TokenFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
impl std::error::Error for TokenFault {}

impl From<TokenFault> for KeyFault {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::KeyMissing => Self::Missing,
            TokenFault::KeyExists => Self::Exists,
            TokenFault::KeyBadName => Self::BadName,
            TokenFault::KeyUnsupported => Self::Unsupported,
            other => Self::Medium(other.text()),
        }
    }
}
impl From<TokenFault> for SignFault {
    fn from(fault: TokenFault) -> Self {
        Self(fault.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: RvError, sessions_survive: bool) {
        assert_eq!(TokenFault::Returned(value).sessions_survive(), sessions_survive);
    }

    #[test]
    fn what_a_removal_returns_ends_the_sessions() {
        use RvError as R;
        for value in [
            R::SessionHandleInvalid,
            R::SessionClosed,
            R::DeviceRemoved,
            R::DeviceError,
            R::TokenNotPresent,
            R::UserNotLoggedIn,
            R::SlotIdInvalid,
            R::GeneralError,
            R::FunctionFailed,
            R::CryptokiNotInitialized,
            R::KeyHandleInvalid,
            R::ObjectHandleInvalid,
            R::VendorDefined(7),
        ] {
            check(value, false);
        }
    }
    #[test]
    fn a_request_that_the_token_cannot_do_keeps_them() {
        check(RvError::MechanismInvalid, true);
    }
    #[test]
    fn the_name_of_the_value_is_in_the_text() {
        assert!(TokenFault::Returned(RvError::DeviceRemoved).text().contains("CKR_DEVICE_REMOVED"));
    }
}
