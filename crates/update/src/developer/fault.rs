//! Why a developer's signature is not taken.

use super::Form;
use std::fmt;
use x509::path::Disbelief;

/// Why a signature over an image is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSigned {
    // The file.
    /// It is longer than [`super::SIGNATURE_LEN_MAX`].
    TooLong,
    /// It is in no form that is known here.
    UnknownForm,
    /// It is not well written.
    Malformed(Form),
    /// It has what it signs in it, instead of standing beside it.
    Attached,
    /// It signs the image as it is, without attributes that name its digest.
    NoAttributes,
    /// It signs text, whose line ends may be others.
    OverText,
    /// Its hash or algorithm is none that is believed.
    UnknownAlgorithm,
    /// It has a critical part that is not known here.
    UnknownCritical,
    /// It is no statement of in-toto.
    NoStatement,
    // Who signed.
    /// Nobody who is registered made it.
    UnknownSigner,
    /// The signer's certificate is not in it, nor registered.
    NoCertificate,
    /// The signer's certificate is not believed.
    Disbelieved(Disbelief),
    /// The signer's key is for something else.
    WrongUse,
    /// The signer's key is too weak.
    WeakKey,
    /// The signer's key has expired.
    KeyExpired,
    /// The signer's key is revoked.
    KeyRevoked,
    // What was signed.
    /// It is over another image.
    OtherImage,
    /// It does not hold: it was altered, or is over another image.
    DoesNotHold,
    /// It was made at a time that is yet to come.
    FromTheFuture,
    /// It says itself that it holds no longer.
    Expired,
}

impl fmt::Display for NotSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the signature is longer than any",
            Self::UnknownForm => "the signature is in no form that is known here: CMS, OpenPGP or DSSE",
            Self::Malformed(form) => return write!(f, "the signature is not well-formed {}", form.title()),
            Self::Attached => "the signature has what it signs in it; one that stands beside it is wanted",
            Self::NoAttributes => "the signature has no signed attributes, which name the digest of what is signed",
            Self::OverText => "the signature is over text; one over octets is wanted",
            Self::UnknownAlgorithm => "the signature is made by an algorithm, or over a hash, that is not believed",
            Self::UnknownCritical => "the signature has a critical part that is not known here",
            Self::NoStatement => "the envelope has no statement of in-toto in it",
            Self::UnknownSigner => "nobody who is registered as a developer made the signature",
            Self::NoCertificate => "the signer's certificate is neither in the signature nor registered",
            Self::Disbelieved(disbelief) => return write!(f, "the signer's certificate is not believed: {disbelief}"),
            Self::WrongUse => "the signer's key is not for signing",
            Self::WeakKey => "the signer's key is too weak",
            Self::KeyExpired => "the signer's key has expired",
            Self::KeyRevoked => "the signer's key is revoked",
            Self::OtherImage => "the signature is over another image",
            Self::DoesNotHold => "the signature does not hold for this image",
            Self::FromTheFuture => "the signature was made at a time that is yet to come",
            Self::Expired => "the signature has expired",
        })
    }
}
impl std::error::Error for NotSigned {}

impl Form {
    const fn title(self) -> &'static str {
        match self {
            Self::Cms => "CMS",
            Self::OpenPgp => "OpenPGP",
            Self::Dsse => "DSSE",
        }
    }
}

/// Why somebody is not registered as a developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadDeveloper {
    /// It is no certificate, no list of revoked ones, no public key, and no key of OpenPGP.
    UnknownForm,
    /// The key is too weak, or known to others.
    WeakKey,
    /// A key of OpenPGP that does not vouch for itself, or has nothing to sign with.
    NoSigningKey,
    /// More than [`super::REGISTERED_MAX`].
    TooMany,
}

impl fmt::Display for BadDeveloper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownForm => "it is no certificate, revocation list, public key in PEM, or one key of OpenPGP",
            Self::WeakKey => "the key is too weak, or known to others",
            Self::NoSigningKey => "the key of OpenPGP does not vouch for itself, or is not for signing",
            Self::TooMany => "more developers are registered than anybody has",
        })
    }
}
impl std::error::Error for BadDeveloper {}
