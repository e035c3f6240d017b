//! `cradle release`: software, from its maker's hands into the vault.

mod bundle;

use super::Common;
use crate::compose::{Installation, Workshop};
use crate::fault::{Exit, Failure, Result, While};
use adapters::files;
use adapters::keystore::memory::MemoryKey;
use model::contract::software::{Import, Trust};
use model::{Digest, Fault, UnixTime};
use ports::Signer;
use ports::store::SoftwareStore;
use ports::store::software::SignerRow;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use update::{BadRelease, Draft, Image, NotSigned, PlainName, Release};
use x509::{KeyType, PublicKey, pem};

/// Software releases.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make a maker's signing key: FILE (private, PEM) and FILE.pub.
    ///
    /// The private key is not encrypted. To keep it encrypted, make it with OpenSSL instead:
    /// `openssl genpkey -algorithm ed25519`.
    Key {
        /// The file of the private key.
        file: PathBuf,
    },
    /// Write a release's metadata for an image, unsigned.
    Create {
        /// The image.
        image: PathBuf,
        /// The release's name.
        #[arg(long)]
        name: String,
        /// Its version, for people.
        #[arg(long)]
        version: String,
        /// Rises with each release: nothing goes back.
        #[arg(long)]
        counter: u64,
        /// The device types that it is for.
        #[arg(long = "for", required = true, value_name = "TYPE")]
        device_types: Vec<model::DeviceType>,
        /// For how many days it may be taken in.
        #[arg(long, default_value_t = 365)]
        days: u64,
        /// Where to write the metadata.
        #[arg(long, default_value = "release.json")]
        to: PathBuf,
    },
    /// Add a signature to a release's metadata.
    Sign {
        /// The metadata.
        metadata: PathBuf,
        /// The signer's private key, Ed25519, PKCS #8 in PEM.
        #[arg(long)]
        key: PathBuf,
    },
    /// Register a maker's public key. Needs the mode `software-import`.
    Trust {
        /// What the maker is called in records.
        name: String,
        /// The public key, Ed25519, PEM or DER.
        key: PathBuf,
    },
    /// Put the images that this box keeps into a directory, encrypted for another box that was admitted: it becomes the
    /// vault there.
    Copy {
        /// The directory, which is made if it is not there. What is in it already stays.
        directory: PathBuf,
        /// The box.
        #[arg(long = "box", value_name = "NAME")]
        instance: model::StationName,
    },
    /// Follow repositories of software from now on, beginning with their first roots. Only what they say is flashed then.
    Follow(bundle::Follow),
    /// Bring software in: follow the repositories at SOURCE, verify all that they say to this box, countersign it and keep it
    /// encrypted. Needs the mode `software-import`, and `software-management` if SOURCE is an address.
    ///
    /// On a box that follows no repositories: a release's metadata and its image.
    Import(bundle::Import),
    /// Write the last bundle to a directory, as a source for another box.
    Export(bundle::Export),
    /// Verify all that is kept again, to the last octet. Needs a mode in which sm may run, like `software-import`.
    Scrub,
    /// List the stored releases, newest first.
    List,
    /// List the makers whose releases are taken.
    Makers,
}

#[derive(Serialize)]
struct Row {
    release: String,
    device_type: String,
    counter: u64,
    image: String,
    length: u64,
    stored_at: String,
    /// The bundle that it is in.
    bundle: Option<Digest>,
}

#[derive(Serialize)]
struct Maker {
    maker: String,
    /// As signatures name it.
    key: String,
    pem: String,
}

fn maker(row: &SignerRow) -> Option<Maker> {
    let key = PublicKey::decode(&row.key).ok()?;
    let pem = pem::encode("PUBLIC KEY", key.spki());
    Some(Maker { maker: row.signer.clone(), key: update::key_id(&key), pem })
}

const METADATA_LEN_MAX: u64 = 1024 * 1024;
const KEY_LEN_MAX: u64 = 64 * 1024;

/// Puts the images of this box where another box finds them, encrypted for that one.
fn copy(common: &Common, directory: &Path, instance: &model::StationName) -> Result {
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    let reader = crate::joining::admit::vault_key_of(&workshop, instance)?;
    files::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
    let copied = workshop.copy_images(directory, reader)?;
    let said = json!({"copied": copied, "box": instance, "directory": directory});
    common.out().one(&said, || format!("{copied} images for {instance} in {}\n", directory.display()))?;
    common.out().next("take what is in it into `vault` in the data directory of that box");
    Ok(())
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let out = common.out();
    match arguments.verb {
        Verb::Key { file } => {
            let key = make_key(&file)?;
            out.one(&json!({"private": file, "key": key}), || {
                format!(
                    "{} (keep it secret, it is not encrypted) and {}.pub, key {key}\n",
                    file.display(),
                    file.display()
                )
            })
        }
        Verb::Copy { directory, instance } => copy(common, &directory, &instance),
        Verb::Create { image, name, version, counter, device_types, days, to } => {
            let wanted = Wanted { name, version, counter, device_types, days };
            let digest = create(&wanted, &image, &to)?;
            out.one(&json!({"metadata": to, "image_sha256": digest}), || format!("{}\n", to.display()))?;
            out.next(&format!("cradle release sign {} --key FILE", to.display()));
            Ok(())
        }
        Verb::Sign { metadata, key } => {
            let keyid = sign(&metadata, &key)?;
            out.one(&json!({"metadata": metadata, "key": keyid}), || {
                format!("{} is signed by key {keyid}\n", metadata.display())
            })
        }
        Verb::Trust { name, key } => {
            let octets = files::read_bounded(&key, KEY_LEN_MAX).map_err(|e| Failure::file(&key, &e))?;
            let der = pem::der_or_pem(&octets, &["PUBLIC KEY"]).ok_or_else(|| bad_key(&key))?;
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            let call = Trust { signer: name.clone(), key: der.into() };
            let trusted = installation.ask(&call, &format!("registering the key of {name}"))?;
            out.one(&json!({"signer": name, "key": trusted.key}), || {
                format!("releases signed by {name} (key {}) are taken from now on\n", trusted.key)
            })
        }
        Verb::Follow(arguments) => bundle::follow(common, &arguments),
        Verb::Import(arguments) => match &arguments.image {
            Some(image) => import_one(common, Path::new(&arguments.source), image),
            None => bundle::import(common, &arguments),
        },
        Verb::Export(arguments) => bundle::export(common, &arguments),
        Verb::Scrub => bundle::scrub(common),
        Verb::Makers => {
            let rows: Vec<_> = common.records()?.signers()?.into_iter().filter_map(|row| maker(&row)).collect();
            out.rows(&["maker", "key"], &rows)
        }
        Verb::List => {
            let records = common.records()?;
            let mut rows = bundle::rows(&records.bundles()?);
            rows.extend(records.releases()?.into_iter().map(|r| Row {
                release: r.release,
                device_type: r.device_type.to_string(),
                counter: r.counter,
                image: r.image_digest.to_string(),
                length: r.length,
                stored_at: r.at.to_string(),
                bundle: None,
            }));
            out.rows(&["release", "device_type", "counter", "length", "image", "stored_at"], &rows)
        }
    }
}

fn import_one(common: &Common, metadata: &Path, image: &Path) -> Result {
    let octets = files::read_bounded(metadata, METADATA_LEN_MAX).map_err(|e| Failure::file(metadata, &e))?;
    let path = std::fs::canonicalize(image).map_err(|e| Failure::file(image, &e))?;
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let call = Import { metadata: octets.into(), image: path.display().to_string() };
    let made = installation.ask(&call, &format!("importing {}", metadata.display()))?;
    let stored = || format!("{}: verified, countersigned and stored, {} octets\n", made.release, made.length);
    common.out().one(&made, stored)
}

/// What a release shall say of itself.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) counter: u64,
    pub(crate) device_types: Vec<model::DeviceType>,
    pub(crate) days: u64,
}

/// Makes a maker's key in two files. Gives its digest.
pub(crate) fn make_key(file: &Path) -> Result<Digest> {
    let pkcs8 = MemoryKey::generate_pkcs8(KeyType::Ed25519)?;
    let key = MemoryKey::open(&pkcs8)?;
    let text = zeroize::Zeroizing::new(pem::encode("PRIVATE KEY", &pkcs8));
    files::write_new(file, text.as_bytes()).map_err(|e| Failure::file(file, &e))?;
    let public = PathBuf::from(format!("{}.pub", file.display()));
    let text = pem::encode("PUBLIC KEY", key.public_key().spki());
    files::write_new(&public, text.as_bytes()).map_err(|e| Failure::file(&public, &e))?;
    Ok(key.public_key().digest())
}

/// Writes a release's metadata for an image. Gives the image's digest.
pub(crate) fn create(wanted: &Wanted, image: &Path, to: &Path) -> Result<Digest> {
    super::check_days(wanted.days)?;
    let file = image.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let target: PlainName = file.parse().map_err(|e: update::BadRelease| {
        Failure::new(Exit::Usage, "name", format!("{file:?} cannot be the name of an image")).because(e)
    })?;
    let mut source = files::open_regular(image).map_err(|e| Failure::file(image, &e))?;
    let measured = Image::measure(&mut source).map_err(Fault::from).or_fail(&format!("reading {}", image.display()))?;
    let expires: UnixTime =
        ports::Clock::now(&adapters::clock::SystemClock).plus_s(wanted.days * 86_400).whole_second();
    let plain = |text: &str| {
        text.parse::<PlainName>()
            .map_err(|e| Failure::new(Exit::Usage, "name", format!("{text:?} cannot be a name or version")).because(e))
    };
    let release = Release {
        target,
        name: plain(&wanted.name)?,
        version: plain(&wanted.version)?,
        counter: wanted.counter,
        hardware_ids: wanted.device_types.clone(),
        expires,
        metadata_version: wanted.counter,
    };
    let draft = Draft::new(&release, measured).map_err(Fault::from).or_fail("writing the release")?;
    files::write_new(to, &draft.write()).map_err(|e| Failure::file(to, &e))?;
    Ok(measured.digest)
}

/// Adds a signature to a release's metadata. Gives the key's identifier.
pub(crate) fn sign(metadata: &Path, key_file: &Path) -> Result<String> {
    let octets = files::read_bounded(metadata, METADATA_LEN_MAX).map_err(|e| Failure::file(metadata, &e))?;
    let mut draft = Draft::decode(&octets).map_err(Fault::from).or_fail(&format!("reading {}", metadata.display()))?;
    let text = files::read_bounded(key_file, KEY_LEN_MAX).map_err(|e| Failure::file(key_file, &e))?;
    let text = zeroize::Zeroizing::new(text);
    let pkcs8 =
        pem::der_or_pem(&text, &["PRIVATE KEY"]).map(zeroize::Zeroizing::new).ok_or_else(|| bad_key(key_file))?;
    let key = MemoryKey::open(&pkcs8).map_err(|_| bad_key(key_file))?;
    draft.sign(key.public_key(), |octets| key.sign(octets)).map_err(|fault| {
        let failure = Failure::new(Exit::Failed, "not-signed", format!("{} was not signed", metadata.display()));
        match fault {
            NotSigned::Release(BadRelease::KeyTwice) => {
                failure.because("this key has signed it already").next("nothing, or sign with another key")
            }
            NotSigned::Release(bad) => {
                failure.because(Fault::from(bad)).next("write it anew with `cradle release create`")
            }
            NotSigned::Signer(fault) => failure.because(Fault::from(fault)).next("check the key"),
        }
    })?;
    files::publish(metadata, &draft.write()).map_err(|e| Failure::file(metadata, &e))?;
    Ok(update::key_id(key.public_key()))
}

fn bad_key(path: &Path) -> Failure {
    Failure::new(Exit::Failed, "key", format!("{} holds no key that can be used here", path.display()))
        .because("an Ed25519 key in PEM is needed, not encrypted")
        .next("make one with `cradle release key FILE`")
}
