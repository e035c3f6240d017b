//! Keys in files that only several people together can open: the key file is encrypted under a secret of its own, and
//! the secret is divided by Shamir's scheme, a share for each of them.
//! Source: A. Shamir, How to share a secret, CACM 22 (1979); over GF(2^8), each octet of the secret on its own.

use super::file::{FileKeystore, SCHEME};
use super::memory::MemoryKey;
use model::octets::{from_hex, hex};
use model::{Digest, OperatorName};
use ports::clock::random;
use ports::keystore::{KeyFault, KeyUri};
use ports::{Entropy, Keystore, Signer};
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use vsss_rs::Gf256;
use x509::KeyType;
use zeroize::{Zeroize, Zeroizing};

/// Octets of the secret, and of what of it is in a share.
const SECRET_LEN: usize = 32;
/// Longest file of a share in octets.
pub const SHARE_LEN_MAX: u64 = 4096;
/// The first line of a share.
const TITLE: &str = "cradle share, version 1: keep it secret, and apart from the others";
/// The names of its lines, in their order.
const LINES: [&str; 9] = ["ceremony", "organization", "key", "public-key", "custodian", "index", "need", "of", "share"];
/// Longest text in a line of a share.
const TEXT_LEN_MAX: usize = 200;
/// Hexadecimal digits of the checksum: a slip of the pen is found, not an attack.
const CHECKSUM_LEN: usize = 16;

/// What a share says of itself to the person who keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The ceremony in which it was made.
    pub ceremony: String,
    /// Whose key it is.
    pub organization: String,
    /// The label of the key.
    pub label: String,
}

/// One person's part of a secret.
#[derive(Clone)]
pub struct Share {
    about: About,
    key: Digest,
    custodian: OperatorName,
    index: u8,
    need: u8,
    of: u8,
    octets: Zeroizing<[u8; SECRET_LEN]>,
}

/// Without what is secret.
impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("about", &self.about).field("index", &self.index).finish_non_exhaustive()
    }
}

/// Why shares are not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadShare {
    /// It is no share, or lines are missing, or in another order.
    NoShare,
    /// A line does not say what it should.
    Line(&'static str),
    /// The checksum is not that of the lines.
    Checksum,
    /// The same share was given twice: the key, the number.
    Twice(String, u8),
    /// Shares of one name are of different keys, or of different divisions of one.
    Mixed(String),
}

impl fmt::Display for BadShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoShare => f.write_str("it is no share: a line is missing, or more is in it"),
            Self::Line(name) => write!(f, "its line {name:?} does not say what it should"),
            Self::Checksum => f.write_str("its checksum does not fit: it was damaged or copied with a mistake"),
            Self::Twice(key, index) => write!(f, "share {index} of the key {key} was given twice"),
            Self::Mixed(key) => write!(f, "the shares named {key} are not all of one key"),
        }
    }
}
impl std::error::Error for BadShare {}

impl Share {
    /// The label of the key that it is a share of.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.about.label
    }
    /// The digest of that key's public half.
    #[must_use]
    pub const fn key(&self) -> Digest {
        self.key
    }
    /// Who keeps it.
    #[must_use]
    pub const fn custodian(&self) -> &OperatorName {
        &self.custodian
    }
    /// Its number, counted from 1.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// The share as it is kept.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex(self.octets.as_slice()));
        let About { ceremony, organization, label } = &self.about;
        let (key, index, need, of) =
            (self.key.to_string(), self.index.to_string(), self.need.to_string(), self.of.to_string());
        let values =
            [ceremony, organization, label, &key, self.custodian.as_str(), &index, &need, &of, digits.as_str()];
        // Room for all of it: a string that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(SHARE_LEN_MAX).unwrap_or_default()));
        text.push_str(TITLE);
        text.push('\n');
        for (name, value) in LINES.iter().zip(values) {
            for part in [name, ": ", value, "\n"] {
                text.push_str(part);
            }
        }
        let sum = checksum(&text);
        for part in ["checksum: ", &sum, "\n"] {
            text.push_str(part);
        }
        text
    }

    /// Reads a share.
    ///
    /// # Errors
    /// [`BadShare`]
    pub fn decode(octets: &[u8]) -> Result<Self, BadShare> {
        let text = std::str::from_utf8(octets).map_err(|_| BadShare::NoShare)?;
        let text = Zeroizing::new(text.replace("\r\n", "\n"));
        let (body, sum) = text.rsplit_once("checksum: ").ok_or(BadShare::NoShare)?;
        let mut lines =
            body.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n')).ok_or(BadShare::NoShare)?.lines();
        let mut value = |name: &'static str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.filter(|value| value.chars().count() <= TEXT_LEN_MAX).ok_or(BadShare::NoShare)
        };
        let [ceremony, organization, label, key, custodian, index, need, of, share] = LINES;
        let about = About {
            ceremony: value(ceremony)?.to_owned(),
            organization: value(organization)?.to_owned(),
            label: value(label)?.to_owned(),
        };
        let (key, custodian) = (value(key)?.to_owned(), value(custodian)?.to_owned());
        let (index, need, of, digits) = (value(index)?, value(need)?, value(of)?, value(share)?);
        if lines.next().is_some() {
            return Err(BadShare::NoShare);
        }
        if sum.trim_end() != checksum(body) {
            return Err(BadShare::Checksum);
        }
        let number = |name, text: &str| text.parse::<u8>().map_err(|_| BadShare::Line(name));
        let (index, need, of) = (number("index", index)?, number("need", need)?, number("of", of)?);
        if need < 2 || need > of || index == 0 || index > of {
            return Err(BadShare::Line("index"));
        }
        let secret = Zeroizing::new(from_hex(digits).map_err(|_| BadShare::Line("share"))?);
        let mut octets = Zeroizing::new([0; SECRET_LEN]);
        if secret.len() != SECRET_LEN {
            return Err(BadShare::Line("share"));
        }
        octets.copy_from_slice(&secret);
        Ok(Self {
            about,
            key: key.parse().map_err(|_| BadShare::Line("public-key"))?,
            custodian: custodian.parse().map_err(|_| BadShare::Line("custodian"))?,
            index,
            need,
            of,
            octets,
        })
    }
}

fn checksum(body: &str) -> String {
    x509::sha256(body.as_bytes()).to_string().chars().take(CHECKSUM_LEN).collect()
}

/// Checks shares against each other: none twice, and those of one name are of one key.
///
/// # Errors
/// [`BadShare::Twice`], [`BadShare::Mixed`].
pub fn check(shares: &[Share]) -> Result<(), BadShare> {
    for (n, share) in shares.iter().enumerate() {
        for other in shares.iter().take(n).filter(|other| other.label() == share.label()) {
            if (other.key, other.need, other.of) != (share.key, share.need, share.of) {
                return Err(BadShare::Mixed(share.label().to_owned()));
            }
            if other.index == share.index {
                return Err(BadShare::Twice(share.label().to_owned(), share.index));
            }
        }
    }
    Ok(())
}

/// A new key that was divided, and is in no file yet: first the shares are made durable, then the key.
pub struct Divided {
    pkcs8: Zeroizing<Vec<u8>>,
    passphrase: Zeroizing<Vec<u8>>,
    shares: Vec<Share>,
}

impl Divided {
    /// Makes a key and divides the secret that encrypts it, a share for each custodian.
    ///
    /// # Errors
    /// [`KeyFault::Unsupported`]; [`KeyFault::BadName`] if it cannot be divided so.
    pub fn make(
        about: &About,
        key_type: KeyType,
        need: u8,
        custodians: &[OperatorName],
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyFault> {
        let of = u8::try_from(custodians.len()).map_err(|_| KeyFault::BadName)?;
        let pkcs8 = MemoryKey::generate_pkcs8(key_type)?;
        let key = MemoryKey::open(&pkcs8)?.public_key().digest();
        let secret = Zeroizing::new(random::<SECRET_LEN>(entropy));
        let mut parts = Gf256::split_bytes(need.into(), of.into(), secret.as_slice(), Source(entropy))
            .map_err(|_| KeyFault::BadName)?;
        let mut shares = Vec::new();
        for (custodian, part) in custodians.iter().zip(&mut parts) {
            let part = Zeroizing::new(std::mem::take(part));
            let Some((&index, rest)) = part.split_first() else { return Err(KeyFault::BadName) };
            let mut octets = Zeroizing::new([0; SECRET_LEN]);
            octets.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let (about, custodian) = (about.clone(), custodian.clone());
            shares.push(Share { about, key, custodian, index, need, of, octets });
        }
        Ok(Self { pkcs8, passphrase: passphrase(&secret), shares })
    }

    /// The shares, to be made durable before the key is.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The digest of the key's public half.
    #[must_use]
    pub fn key(&self) -> Option<Digest> {
        self.shares.first().map(Share::key)
    }
}

/// What encrypts the key file, as it could be typed.
fn passphrase(secret: &[u8; SECRET_LEN]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(hex(secret).into_bytes())
}

/// The system's randomness, as the library asks for it.
struct Source<'a>(&'a dyn Entropy);

impl TryRng for Source<'_> {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(random(self.0)))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(random(self.0)))
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(dst);
        Ok(())
    }
}
impl TryCryptoRng for Source<'_> {}

/// Divided keys in the files of one directory, and the shares that were given to open them.
pub struct SplitKeystore {
    directory: PathBuf,
    entropy: Arc<dyn Entropy>,
    given: Mutex<Vec<Share>>,
}

impl SplitKeystore {
    /// A keystore on a directory, which must exist, without any shares.
    #[must_use]
    pub fn new(directory: PathBuf, entropy: Arc<dyn Entropy>) -> Self {
        Self { directory, entropy, given: Mutex::default() }
    }

    /// Takes shares, in addition to those that were given before.
    ///
    /// # Errors
    /// [`BadShare`] if they do not go together; none of them is taken then.
    pub fn give(&self, shares: Vec<Share>) -> Result<(), BadShare> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = given.iter().cloned().chain(shares).collect();
        check(&all)?;
        *given = all;
        Ok(())
    }

    /// Forgets the shares of a key: it was made anew.
    pub fn forget(&self, label: &str) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).retain(|share| share.label() != label);
    }

    /// Takes those of these shares that were not given before.
    ///
    /// # Errors
    /// [`BadShare`] as [`Self::give`].
    pub fn add(&self, mut shares: Vec<Share>) -> Result<(), BadShare> {
        {
            let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            shares.retain(|new| !given.iter().any(|old| old.label() == new.label() && old.index == new.index));
        }
        self.give(shares)
    }

    /// How many shares of a key were given.
    #[must_use]
    pub fn count(&self, label: &str) -> usize {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|s| s.label() == label).count()
    }

    /// Writes the key file, after the shares are durable; from now on it can be opened here.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub fn keep(&self, label: &str, divided: Divided) -> Result<(), KeyFault> {
        self.files(divided.passphrase).keep(label, &divided.pkcs8)?;
        self.forget(label);
        self.give(divided.shares).map_err(|_| KeyFault::BadName)
    }

    fn files(&self, passphrase: Zeroizing<Vec<u8>>) -> FileKeystore {
        FileKeystore::new(self.directory.clone(), passphrase, Arc::clone(&self.entropy))
    }

    /// The secret of a key, and the digest of the key, from the shares that were given.
    fn secret(&self, label: &str, need: u8, of: u8) -> Result<(Zeroizing<Vec<u8>>, Digest), KeyFault> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let shares: Vec<_> = given.iter().filter(|share| share.label() == label).collect();
        let first = shares.first().ok_or(KeyFault::Divided)?;
        if (first.need, first.of) != (need, of) {
            return Err(KeyFault::Medium("the shares that were given are of another division of the key"));
        }
        if shares.len() < usize::from(need) {
            return Err(KeyFault::Divided);
        }
        let part = |share: &&Share| [&[share.index], share.octets.as_slice()].concat();
        let mut parts: Vec<_> = shares.iter().take(need.into()).map(part).collect();
        let secret = Gf256::combine_bytes(&parts).map(Zeroizing::new);
        parts.iter_mut().for_each(Zeroize::zeroize);
        let secret = secret.map_err(|_| KeyFault::Locked)?;
        let secret = Zeroizing::new(<[u8; SECRET_LEN]>::try_from(secret.as_slice()).map_err(|_| KeyFault::Locked)?);
        Ok((passphrase(&secret), first.key))
    }
}

/// The label of a key in a file.
#[must_use]
pub fn label_of(uri: &KeyUri) -> Option<String> {
    uri.whole().place().0.strip_prefix(SCHEME).map(str::to_owned)
}

impl Keystore for SplitKeystore {
    /// A key that is divided is made with [`Divided::make`], and kept with [`SplitKeystore::keep`].
    fn generate(&self, _label: &str, _key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        Err(KeyFault::Medium("a key is divided in a ceremony, with a plan that says among whom"))
    }

    fn generate_at(&self, uri: &KeyUri, key_type: KeyType) -> Result<(KeyUri, Arc<dyn Signer>), KeyFault> {
        let label = label_of(uri).ok_or(KeyFault::BadName)?;
        match self.files(Zeroizing::default()).kept(&label) {
            Err(KeyFault::Missing) => self.generate(&label, key_type),
            Err(KeyFault::BadName) => Err(KeyFault::BadName),
            _ => Err(KeyFault::Exists),
        }
    }

    fn open(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>, KeyFault> {
        let (need, of) = uri.shares()?.ok_or(KeyFault::BadName)?;
        let label = label_of(uri).ok_or(KeyFault::BadName)?;
        let (passphrase, key) = self.secret(&label, need, of)?;
        let opened = self.files(passphrase).open(&uri.whole()).map_err(|fault| match fault {
            KeyFault::Locked => {
                KeyFault::Medium("the shares do not open the key: they are of another key, or one is altered")
            }
            other => other,
        })?;
        if opened.public_key().digest() != key {
            return Err(KeyFault::Medium("the shares are of another key of this name"));
        }
        Ok(opened)
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
