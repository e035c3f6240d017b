//! Signatures of developers over an image, as developers make them: CMS, OpenPGP, DSSE. Who takes a build in verifies them
//! here; what devices verify is the repository's metadata.
//!
//! Who may sign is registered before ([`Registered`]): certificates, or authorities that certify developers; keys of OpenPGP;
//! bare keys, for envelopes.
//!
//! Prevents: a build that no registered developer signed, a signature over another build, one that is repeated to be counted
//! twice, certificates and keys that have expired, are revoked, or are for something else. Does not prevent: a developer's key in other hands.

mod cms;
mod dsse;
mod fault;
mod hashes;
mod openpgp;
mod registered;

pub use dsse::{Envelope, Statement};
pub use fault::{BadDeveloper, NotSigned};
pub use hashes::ImageHashes;
pub use openpgp::{OpenPgpKey, OpenPgpSignature};
pub use registered::{Kind, REGISTERED_MAX, Registered};

use model::UnixTime;
use std::collections::BTreeSet;

/// Longest file of a signature, in octets: an envelope with a statement of hundreds of materials.
pub const SIGNATURE_LEN_MAX: usize = 1024 * 1024;

/// In which form a signature came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A detached message of CMS. Source: RFC 5652.
    Cms,
    /// A detached signature of OpenPGP. Source: RFC 9580.
    OpenPgp,
    /// An envelope around a statement of in-toto. Source: DSSE 1.0.2, in-toto attestation framework 1.0.
    Dsse,
}

impl Form {
    /// What it is called in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cms => "cms",
            Self::OpenPgp => "openpgp",
            Self::Dsse => "dsse",
        }
    }
    /// What names of files of it end with.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Cms => "p7s",
            Self::OpenPgp => "sig",
            Self::Dsse => "json",
        }
    }

    // What the octets begin with tells the forms apart; each reader is strict on its own.
    fn of(octets: &[u8]) -> Option<Self> {
        let text = octets.trim_ascii_start();
        match octets.first()? {
            0x30 => Some(Self::Cms),
            // A packet of OpenPGP has its first bit set.
            0x80.. => Some(Self::OpenPgp),
            _ if text.starts_with(b"-----BEGIN PGP ") => Some(Self::OpenPgp),
            _ if text.starts_with(b"-----BEGIN ") => Some(Self::Cms),
            _ if text.starts_with(b"{") => Some(Self::Dsse),
            _ => None,
        }
    }
}

/// A developer who has signed. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Developer {
    /// Who: the name under which a key was registered, or the subject of a certificate below a registered authority.
    who: String,
    /// The key: SHA-256 of its `SubjectPublicKeyInfo`, in hexadecimal digits.
    key: String,
}

impl Developer {
    /// The name under which a key was registered, or the subject of a certificate below an authority that was.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }
    /// SHA-256 of the key's `SubjectPublicKeyInfo`, in hexadecimal digits.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A signature that holds, and those who made it: at least one, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    form: Form,
    developers: BTreeSet<Developer>,
}

impl Vouched {
    /// In which form it came.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }
    /// Who made it.
    pub fn developers(&self) -> impl Iterator<Item = &Developer> {
        self.developers.iter()
    }
}

/// Verifies a signature over an image by those who are registered, at `now`. What others have signed besides, in the same file,
/// counts for nothing.
///
/// Limits: [`SIGNATURE_LEN_MAX`] octets.
/// # Errors
/// [`NotSigned`]: why the signer who came furthest is not believed.
pub fn verify(
    signature: &[u8],
    image: &ImageHashes,
    registered: &Registered,
    now: UnixTime,
) -> Result<Vouched, NotSigned> {
    if signature.len() > SIGNATURE_LEN_MAX {
        return Err(NotSigned::TooLong);
    }
    let form = Form::of(signature).ok_or(NotSigned::UnknownForm)?;
    let developers = match form {
        Form::Cms => cms::verify(signature, image, registered, now)?,
        Form::OpenPgp => openpgp::verify(signature, image, registered, now)?,
        Form::Dsse => Envelope::decode(signature)?.statement_over(image, registered)?.1,
    };
    Ok(Vouched { form, developers })
}

/// How many different developers there are in all of them. One who signed twice, or with two keys under one name, is one.
#[must_use]
pub fn count(all: &[Vouched]) -> usize {
    all.iter().flat_map(Vouched::developers).map(Developer::who).collect::<BTreeSet<_>>().len()
}
