//! `cradle repo`: a repository of software in plain files, for whoever publishes.

mod act;
mod add;
mod demand;
mod developers;
mod keys;
mod notices;
mod said;

use super::Common;
use crate::fault::{Exit, Failure, Result};
use std::path::PathBuf;
use update::papers::Class;
use update::tuf::write::Top;
use update::{PlainName, Threshold};

/// Publish software: a repository of TUF in plain files.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The repository's directory. A web server serves `metadata` and `targets` in it, and nothing else.
    #[arg(long, value_name = "DIR", default_value = "repository", global = true)]
    repository: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

/// Keys that a command signs with.
#[derive(clap::Args)]
pub(super) struct Keys {
    /// A private key to sign with, besides those in `keys`: a file (PKCS #8 in PEM), or a `pkcs11:` URI.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
}

/// What is said of an image besides its name and octets.
#[derive(clap::Args)]
struct About {
    /// A type of devices, or hardware, that it is for; once for each.
    #[arg(long = "for", value_name = "TYPE", requires = "counter")]
    hardware_ids: Vec<model::DeviceType>,
    /// Rises with each release: nothing goes back.
    #[arg(long, requires = "hardware_ids")]
    counter: Option<u64>,
    /// The release's name; that of the image's file if nothing is said.
    #[arg(long, requires = "hardware_ids")]
    release: Option<String>,
    /// Its version, for people.
    #[arg(long, requires = "hardware_ids")]
    version: Option<String>,
    /// What is said besides: a JSON object.
    #[arg(long, value_name = "JSON")]
    custom: Option<String>,
    /// Why there is this release: security, maintenance or feature.
    #[arg(long, value_name = "CLASS")]
    class: Option<Class>,
    /// The last day on which it is cared for: `2031-12-31`.
    #[arg(long, value_name = "DATE", value_parser = add::end_of_day)]
    support_end: Option<model::UnixTime>,
}

/// What goes with an image, each published beside it.
#[derive(clap::Args)]
struct Papers {
    /// A developer's signature over the image: CMS or OpenPGP beside it, or an envelope (DSSE) with a statement of in-toto; once for
    /// each.
    #[arg(long = "signature", value_name = "FILE")]
    signatures: Vec<PathBuf>,
    /// Its bill of materials: CycloneDX from 1.6 on, or SPDX 2, in JSON.
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// Which vulnerabilities matter: OpenVEX, CycloneDX or CSAF, in JSON.
    #[arg(long, value_name = "FILE")]
    vex: Option<PathBuf>,
    /// Where it comes from: an envelope (DSSE) with a provenance of SLSA, signed by a registered key.
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
    /// What `zstd --patch-from=BASE` made of it.
    #[arg(long, value_name = "FILE", requires = "delta_from")]
    delta: Option<PathBuf>,
    /// The image that the delta was made from.
    #[arg(long, value_name = "BASE", requires = "delta")]
    delta_from: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Begin a repository: make keys, and stage a root and an empty targets role.
    ///
    /// A role for which no key is named gets one, in a file in `keys`: encrypted if a passphrase file is named. Of a key that is
    /// named, a file stays where it is, and is named again where something is signed; a `pkcs11:` URI is noted in `keys`.
    Init {
        /// Who signs for a role: `root=FILE`, with a public or private key in PEM, or a `pkcs11:` URI; once for each key.
        #[arg(long = "key", value_name = "ROLE=KEY", value_parser = of_role::<String>)]
        keys: Vec<(Top, String)>,
        /// How many of a role's keys must sign: `root=2`.
        #[arg(long = "threshold", value_name = "ROLE=N", value_parser = of_role::<u8>)]
        thresholds: Vec<(Top, u8)>,
        /// For how many days a role speaks: `timestamp=1`.
        #[arg(long = "days", value_name = "ROLE=DAYS", value_parser = of_role::<u64>)]
        days: Vec<(Top, u64)>,
        /// Of which type the keys are that are made: ed25519, p256, p384, ml-dsa-44, ml-dsa-65 or ml-dsa-87.
        #[arg(long, value_name = "TYPE", default_value = "ed25519")]
        key_type: String,
    },
    /// Show what is published until when, and what is staged and waits.
    Status,
    /// Stage an image.
    Add {
        /// The image.
        file: PathBuf,
        /// What it is called in the repository; its file name if nothing is said.
        #[arg(long)]
        name: Option<String>,
        /// Which role announces it; the bin of its name, or targets, if nothing is said.
        #[arg(long)]
        role: Option<String>,
        #[command(flatten)]
        about: About,
        #[command(flatten)]
        papers: Papers,
    },
    /// List the targets with what is said of them and goes with them, staged or published.
    List,
    /// Say whose signatures over images are believed, and how many are wanted.
    #[command(subcommand)]
    Developer(Developer),
    /// Stage that an image is announced no longer.
    Remove {
        /// What it is called in the repository.
        name: String,
    },
    /// Stage that targets are left to another role: a supplier's, or a product's.
    Delegate(Delegate),
    /// Demand that several roles say the same of what is for some hardware: supplier and integrator (TAP 3). Lists what is demanded, if
    /// nothing is.
    Demand(demand::Demand),
    /// Stage that a role says of an image, and of what goes with it, what another role says of it: an integrator's second
    /// signature, where both are asked together.
    Agree {
        /// What the image is called in the repository.
        name: String,
        /// The role that agrees.
        #[arg(long)]
        role: String,
        /// The role that it agrees with.
        #[arg(long, value_name = "ROLE")]
        with: String,
        /// The day on which devices may begin to take it: `2031-01-01`.
        #[arg(long, value_name = "DATE", value_parser = add::start_of_day)]
        not_before: Option<model::UnixTime>,
        /// The last day on which devices may take it: `2031-12-31`.
        #[arg(long, value_name = "DATE", value_parser = add::end_of_day)]
        not_after: Option<model::UnixTime>,
    },
    /// Stage that all targets are left to bins by the hash of their names: for repositories of thousands.
    Bins {
        /// How many bits of the hash choose the bin: 4 makes 16 bins. At most 12, or 14 for succinct ones.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=14))]
        bits: u32,
        /// List the bins by their number only (TAP 15), for clients that know that.
        #[arg(long)]
        succinct: bool,
        /// What the bins are called, before their number.
        #[arg(long, default_value = "bin")]
        prefix: String,
        /// Who signs for the bins: a public or private key in PEM, or a `pkcs11:` URI; one is made if nothing is said.
        #[arg(long = "signer", value_name = "KEY")]
        signers: Vec<String>,
    },
    /// Stage other keys for a role. The old ones sign once more when it is published.
    Rotate {
        /// The role.
        role: String,
        /// A key that signs from now on: a public or private key in PEM, or a `pkcs11:` URI.
        #[arg(long = "add", value_name = "KEY")]
        add: Vec<String>,
        /// A key that does not sign any longer: its file, or its identifier or the beginning of that.
        #[arg(long = "remove", value_name = "KEY")]
        remove: Vec<String>,
        /// How many must sign from now on.
        #[arg(long, value_name = "N", value_parser = threshold)]
        threshold: Option<Threshold>,
    },
    /// Show what is new in a staged file, and sign it. Needs no repository: the file and a key are enough.
    Sign {
        /// The staged file.
        file: PathBuf,
        /// The private key: a file (PKCS #8 in PEM), or a `pkcs11:` URI.
        #[arg(long, value_name = "KEY")]
        key: String,
        /// The published version of the file, which it is compared with.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// Sign without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Sign what is staged with the keys that are here, and publish what is complete.
    ///
    /// Exit status 8 if something waits: for signatures, above all. What that is stands in the answer.
    Publish {
        /// Files that were signed elsewhere, called as they are in `staged`.
        files: Vec<PathBuf>,
        #[command(flatten)]
        keys: Keys,
        /// Publish a root that gives a role to other keys without the old ones. A client that asks in that very moment is
        /// refused, and follows when it asks again.
        #[arg(long)]
        old_keys_are_gone: bool,
    },
    /// Say anew what expires soon, with the keys that are here. For a timer: once a day.
    ///
    /// Exit status 8 if something waits for keys that are elsewhere.
    Renew {
        /// What expires within so many days.
        #[arg(long, value_name = "DAYS", default_value_t = 3)]
        within: u64,
        #[command(flatten)]
        keys: Keys,
    },
    /// Take away old versions, and images that nothing announces any longer.
    Prune {
        /// How many versions stay besides the one that is published: clients may be half way through one.
        #[arg(long, value_name = "N", default_value_t = 2)]
        keep: u64,
    },
    /// Tell others that something was published, by webhooks that are signed.
    #[command(subcommand)]
    Notice(super::notices::Verb),
    /// Check every file, signature, hash and date, and look for each target as a client does.
    Verify,
}

/// Developers, whose signatures are verified when an image is staged.
#[derive(clap::Subcommand)]
enum Developer {
    /// Register one: a certificate, an authority that certifies developers for signing code, a list of revoked certificates, or a bare key for
    /// envelopes, in PEM; or a key of OpenPGP.
    Add {
        /// Under which name.
        name: PlainName,
        /// The file.
        file: PathBuf,
    },
    /// Take one from the register. What is staged or published stays.
    Remove {
        /// Under which name.
        name: String,
    },
    /// List them.
    List,
    /// Have so many different developers sign each image that is staged from now on.
    Require {
        /// How many; 0 for none.
        count: u8,
    },
}

/// Which targets are left to whom.
#[derive(clap::Args)]
pub(super) struct Delegate {
    /// The role to which they are left.
    role: String,
    /// Targets whose names match this pattern; `*` stands for anything but `/`.
    #[arg(long = "path", value_name = "PATTERN", required_unless_present_any = ["hash_prefixes", "withdraw"])]
    paths: Vec<String>,
    /// Targets whose names have a SHA-256 that begins with these digits.
    #[arg(long = "hash-prefix", value_name = "DIGITS", conflicts_with = "paths")]
    hash_prefixes: Vec<String>,
    /// Who signs for it: a public or private key in PEM, or a `pkcs11:` URI; one is made if nothing is said.
    #[arg(long = "signer", value_name = "KEY")]
    signers: Vec<String>,
    /// How many of them must.
    #[arg(long, value_name = "N", default_value = "1", value_parser = threshold)]
    threshold: Threshold,
    /// Leave them to several roles, all of which must say the same of a target (TAP 3), each with keys of its own: `maker=FILE`; once
    /// for each role and key.
    #[arg(long = "together", value_name = "ROLE=KEY", conflicts_with = "signers", value_parser = role_and_key)]
    together: Vec<(String, String)>,
    /// How many of these roles must say the same; all of them, if nothing is said.
    #[arg(long, value_name = "N", requires = "together", value_parser = clap::value_parser!(u8).range(1..))]
    agreeing: Option<u8>,
    /// Nobody after it is asked about these targets.
    #[arg(long)]
    terminating: bool,
    /// The role that leaves them.
    #[arg(long, value_name = "ROLE", default_value = "targets")]
    from: String,
    /// Leave nothing to it any longer.
    #[arg(long, conflicts_with_all = ["paths", "hash_prefixes", "signers", "together", "terminating"])]
    withdraw: bool,
}

fn of_role<T: std::str::FromStr>(text: &str) -> std::result::Result<(Top, T), String> {
    let roles = "it begins with root=, timestamp=, snapshot= or targets=";
    let (role, value) = text.split_once('=').ok_or(roles)?;
    let role = Top::by_name(role).ok_or(roles)?;
    Ok((role, value.parse().map_err(|_| format!("{value:?} is no number for it"))?))
}

fn role_and_key(text: &str) -> std::result::Result<(String, String), String> {
    let both = text.split_once('=').filter(|(role, key)| !role.is_empty() && !key.is_empty());
    both.map(|(role, key)| (role.to_owned(), key.to_owned())).ok_or_else(|| "it is written as ROLE=KEY".to_owned())
}

fn threshold(text: &str) -> std::result::Result<Threshold, String> {
    text.parse().ok().and_then(Threshold::new).ok_or_else(|| "it is from 1 to 255".to_owned())
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let dir = arguments.repository.as_path();
    match arguments.verb {
        Verb::Init { keys, thresholds, days, key_type } => {
            act::init(common, dir, &act::Beginning { keys, thresholds, days, key_type })
        }
        Verb::Status => act::status(common, dir),
        Verb::Add { file, name, role, about, papers } => {
            add::add(common, dir, &add::Asked { file, name, role, about, papers })
        }
        Verb::List => add::list(common, dir),
        Verb::Developer(asked) => developers::run(common, dir, &asked),
        Verb::Remove { name } => act::remove(common, dir, &name),
        Verb::Demand(asked) => demand::run(common, dir, &asked),
        Verb::Delegate(delegate) => act::delegate(common, dir, &delegate),
        Verb::Agree { name, role, with, not_before, not_after } => {
            let (target, role, with) = (name.as_str(), role.as_str(), with.as_str());
            act::agree(common, dir, &repository::Agreement { target, role, with, not_before, not_after })
        }
        Verb::Bins { bits, succinct, prefix, signers } => {
            act::bins(common, dir, succinct, &act::Binned { bits, prefix, signers })
        }
        Verb::Rotate { role, add, remove, threshold } => {
            act::rotate(common, dir, &role, &act::Rotated { add, remove, threshold })
        }
        Verb::Sign { file, key, against, yes } => act::sign(common, &file, &key, against.as_deref(), yes),
        Verb::Publish { files, keys, old_keys_are_gone } => {
            act::publish(common, dir, &files, &keys.keys, old_keys_are_gone)
        }
        Verb::Renew { within, keys } => act::renew(common, dir, within, &keys.keys),
        Verb::Prune { keep } => act::prune(common, dir, keep),
        Verb::Notice(verb) => notices::run(common, dir, verb),
        Verb::Verify => act::verify(common, dir),
    }
}

fn usage(what: impl Into<String>, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, "usage", what).because(why).next("see --help")
}
