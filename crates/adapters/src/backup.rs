//! Backups: one archive with everything that an installation is made of but its passphrase, signed by the key of its
//! audit log.
//!
//! The keys are in it as they lie on the disk: encrypted. Who finds a backup has nothing without the passphrase.

use crate::files;
use model::{Digest, UnixTime};
use ports::Signer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use x509::{PublicKey, signature};

/// The version of the format.
const VERSION: u32 = 1;
/// What is signed begins with this, so that the signature is none of anything else.
const CONTEXT: &[u8] = b"cradle backup manifest\n";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
/// The name of the records in an archive.
pub const RECORDS: &str = "cradle.db";
/// Longest list of contents, in octets: a hundred thousand stored images.
const MANIFEST_LEN_MAX: u64 = 16 * 1024 * 1024;
/// Longest name of a file.
const NAME_LEN_MAX: usize = 200;
/// Octets that are copied at a time.
const CHUNK: usize = 256 * 1024;

/// What an archive holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of the format.
    pub version: u32,
    /// The name of the audit log, which names the installation.
    pub log: String,
    /// When it was made.
    pub created: UnixTime,
    /// Entries of the audit log.
    pub entries: u64,
    /// The signed checkpoint of the audit log.
    pub checkpoint: String,
    /// The public key of the audit log, `SubjectPublicKeyInfo` in hexadecimal digits.
    pub audit_key: String,
    /// Each file, by its name.
    pub files: BTreeMap<String, Content>,
}

/// One file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Its length in octets.
    pub len: u64,
    /// SHA-256 of it.
    pub sha256: Digest,
}

/// Why an archive is not made or not used.
#[derive(Debug)]
pub enum BadBackup {
    /// The operating system refused; what it was doing.
    Io(String, io::Error),
    /// It is no archive of ours, or was altered; the text says where.
    Altered(String),
    /// Another version of the format.
    Version(u32),
    /// Something is there already.
    Taken(PathBuf),
}

impl std::fmt::Display for BadBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(what, why) => write!(f, "{what}: {why}"),
            Self::Altered(what) => write!(f, "the backup is damaged or was altered: {what}"),
            Self::Version(version) => write!(f, "the backup has format {version}, this program knows {VERSION}"),
            Self::Taken(path) => write!(f, "{} exists", path.display()),
        }
    }
}
impl std::error::Error for BadBackup {}

type Result<T> = std::result::Result<T, BadBackup>;

fn io_at<'a>(path: &'a Path) -> impl Fn(io::Error) -> BadBackup + 'a {
    |why| BadBackup::Io(path.display().to_string(), why)
}

/// Writes an archive of these files, by name and place. Durable when this returns. `progress` is told of octets.
///
/// # Errors
/// [`BadBackup::Taken`] if there is a file of that name; [`BadBackup::Io`].
pub fn create(
    to: &Path,
    mut manifest: Manifest,
    contents: &[(String, PathBuf)],
    key: &dyn Signer,
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest> {
    manifest.version = VERSION;
    manifest.audit_key = model::octets::hex(key.public_key().spki());
    for (name, path) in contents {
        check_name(name)?;
        let mut file = files::open_regular(path).map_err(io_at(path))?;
        let content = pour(&mut file, &mut io::sink(), progress).map_err(io_at(path))?;
        manifest.files.insert(name.clone(), content);
    }
    let octets = serde_json::to_vec_pretty(&manifest).map_err(|e| BadBackup::Altered(e.to_string()))?;
    let signed = key.sign(&[CONTEXT, &octets].concat());
    let signed = signed.map_err(|e| BadBackup::Io("signing".into(), io::Error::other(e)))?;
    let out = std::fs::OpenOptions::new().write(true).create_new(true).open(to).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => BadBackup::Taken(to.to_owned()),
        _ => io_at(to)(e),
    })?;
    let written = write_all(&out, &octets, &signed, contents, &manifest, progress);
    if let Err(fault) = written {
        // Half an archive is none.
        let _removed = std::fs::remove_file(to);
        return Err(fault);
    }
    files::sync(&out, to);
    let directory = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::sync_directory(directory).map_err(io_at(directory))?;
    Ok(manifest)
}

fn write_all(
    out: &File,
    manifest_octets: &[u8],
    signed: &[u8],
    contents: &[(String, PathBuf)],
    manifest: &Manifest,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    rustix::fs::fchmod(out, rustix::fs::Mode::from_raw_mode(0o600))
        .map_err(|e| BadBackup::Io("the backup's permissions".into(), e.into()))?;
    let mut archive = tar::Builder::new(BufWriter::with_capacity(CHUNK, out));
    let mut put = |name: &str, len: u64, from: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(len);
        header.set_mode(0o600);
        header.set_mtime(manifest.created.s());
        let io = |e| BadBackup::Io(name.to_owned(), e);
        archive.append_data(&mut header, name, from).map_err(io)
    };
    let len = |octets: &[u8]| u64::try_from(octets.len()).unwrap_or(u64::MAX);
    put(MANIFEST, len(manifest_octets), &mut &*manifest_octets)?;
    put(SIGNATURE, len(signed), &mut &*signed)?;
    for (name, path) in contents {
        let Some(content) = manifest.files.get(name) else { continue };
        let mut file = files::open_regular(path).map_err(io_at(path))?.take(content.len);
        put(name, content.len, &mut file)?;
        progress(content.len);
    }
    let mut out = archive.into_inner().map_err(|e| BadBackup::Io("the backup".into(), e))?;
    out.flush().map_err(|e| BadBackup::Io("the backup".into(), e))
}

/// Reads and checks what an archive holds, without its files.
///
/// # Errors
/// [`BadBackup`] if it is not signed by the key that it names, or is of another version.
pub fn inspect(from: &Path) -> Result<(Manifest, PublicKey)> {
    let mut archive = open(from)?;
    let mut entries = archive.entries().map_err(io_at(from))?;
    manifest_of(&mut entries, from)
}

type Entries<'a> = tar::Entries<'a, BufReader<File>>;

fn open(from: &Path) -> Result<tar::Archive<BufReader<File>>> {
    let file = files::open_regular(from).map_err(io_at(from))?;
    Ok(tar::Archive::new(BufReader::with_capacity(CHUNK, file)))
}

fn manifest_of(entries: &mut Entries<'_>, from: &Path) -> Result<(Manifest, PublicKey)> {
    let mut part = |wanted: &str| {
        let damaged = || BadBackup::Altered(format!("{wanted} is missing"));
        let entry = entries.next().ok_or_else(damaged)?.map_err(|_| damaged())?;
        if name_of(&entry)? != wanted {
            return Err(damaged());
        }
        let mut octets = Vec::new();
        entry.take(MANIFEST_LEN_MAX).read_to_end(&mut octets).map_err(io_at(from))?;
        Ok(octets)
    };
    let (octets, signed) = (part(MANIFEST)?, part(SIGNATURE)?);
    let manifest: Manifest =
        serde_json::from_slice(&octets).map_err(|e| BadBackup::Altered(format!("{MANIFEST} cannot be read: {e}")))?;
    if manifest.version != VERSION {
        return Err(BadBackup::Version(manifest.version));
    }
    let spki = model::octets::from_hex(&manifest.audit_key).ok();
    let key = spki.and_then(|spki| PublicKey::decode(&spki).ok());
    let key = key.ok_or_else(|| BadBackup::Altered("it names no key of an audit log".into()))?;
    signature::verify(&key, key.key_type().signs_with(), &[CONTEXT, &octets].concat(), &signed)
        .map_err(|_| BadBackup::Altered("its signature does not hold".into()))?;
    manifest.files.keys().try_for_each(|name| check_name(name))?;
    Ok((manifest, key))
}

/// Writes the files of an archive into a new directory, each compared with what was signed. `last` is written when all
/// others are there: without it the directory is nothing yet.
///
/// # Errors
/// [`BadBackup`]: the directory is gone again.
pub fn restore(from: &Path, to: &Path, last: &str, progress: &mut dyn FnMut(u64)) -> Result<Manifest> {
    let empty = std::fs::read_dir(to).map(|mut entries| entries.next().is_none());
    if to.exists() && !empty.unwrap_or(false) {
        return Err(BadBackup::Taken(to.to_owned()));
    }
    let restored = restore_all(from, to, last, progress);
    if restored.is_err() {
        let _removed = std::fs::remove_dir_all(to);
    }
    restored
}

fn restore_all(from: &Path, to: &Path, last: &str, progress: &mut dyn FnMut(u64)) -> Result<Manifest> {
    files::private_directory(to).map_err(io_at(to))?;
    let mut held_back = None;
    let manifest = walk(from, &mut |entry, name, content| {
        let path = to.join(name);
        if let Some(parent) = path.parent() {
            files::private_directory(parent).map_err(io_at(parent))?;
        }
        let written = if name == last { path.with_extension("restoring") } else { path.clone() };
        let file = new_file(&written)?;
        copy(entry, &mut &file, name, content, progress)?;
        files::sync(&file, &written);
        if name == last {
            held_back = Some((written, path));
        }
        Ok(())
    })?;
    let (written, path) = held_back.ok_or_else(|| BadBackup::Altered(format!("{last} is missing")))?;
    for directory in manifest.files.keys().filter_map(|name| Path::new(name).parent()) {
        files::sync_directory(&to.join(directory)).map_err(io_at(to))?;
    }
    std::fs::rename(&written, &path).map_err(io_at(&path))?;
    files::sync_directory(to).map_err(io_at(to))?;
    Ok(manifest)
}

/// Reads a whole archive and compares each file with what was signed.
///
/// # Errors
/// [`BadBackup`]
pub fn verify(from: &Path, progress: &mut dyn FnMut(u64)) -> Result<Manifest> {
    walk(from, &mut |entry, name, content| copy(entry, &mut io::sink(), name, content, progress))
}

type Entry<'a> = tar::Entry<'a, BufReader<File>>;

fn walk(from: &Path, take: &mut dyn FnMut(&mut Entry<'_>, &str, Content) -> Result<()>) -> Result<Manifest> {
    let mut archive = open(from)?;
    let mut entries = archive.entries().map_err(io_at(from))?;
    let (manifest, _) = manifest_of(&mut entries, from)?;
    let mut left: BTreeMap<_, _> = manifest.files.iter().collect();
    for entry in entries {
        let mut entry = entry.map_err(io_at(from))?;
        let name = name_of(&entry)?;
        let content = left.remove(&name).ok_or_else(|| BadBackup::Altered(format!("{name} does not belong to it")))?;
        take(&mut entry, &name, *content)?;
    }
    match left.first_key_value() {
        Some((name, _)) => Err(BadBackup::Altered(format!("{name} is missing"))),
        None => Ok(manifest),
    }
}

fn new_file(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io_at(path))
}

/// Copies a file of known length and digest; anything else is no copy.
fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    name: &str,
    content: Content,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let io = |e| BadBackup::Io(name.to_owned(), e);
    let found = pour(from, to, progress).map_err(io)?;
    if found == content { Ok(()) } else { Err(BadBackup::Altered(format!("{name} is not what was signed"))) }
}

fn pour(from: &mut dyn Read, to: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> io::Result<Content> {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let (mut buffer, mut len) = (vec![0; CHUNK], 0);
    loop {
        let read = from.read(&mut buffer)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        hash.update(chunk);
        to.write_all(chunk)?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        len += read;
        progress(read);
    }
    let Some(sha256) = Digest::from_slice(hash.finish().as_ref()) else { unreachable!("SHA-256 has 32 octets") };
    Ok(Content { len, sha256 })
}

fn name_of(entry: &Entry<'_>) -> Result<String> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if !entry.header().entry_type().is_file() {
        return Err(BadBackup::Altered(format!("{} is no plain file", model::text::printable(&name, 80))));
    }
    check_name(&name)?;
    Ok(name)
}

/// A name of one or two parts, none of which leads elsewhere.
fn check_name(name: &str) -> Result<()> {
    let plain = |part: &str| {
        let fit = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'@' | b'+');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(fit)
    };
    if name.len() > NAME_LEN_MAX || name.split('/').count() > 2 || !name.split('/').all(plain) {
        return Err(BadBackup::Altered(format!("{} is no name of a file", model::text::printable(name, 80))));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
