//! `cradle ca`: certification authorities.

mod attach;
mod ceremony;
mod fit;
mod foreign;
pub(crate) mod list;

pub(crate) use ceremony::decoded;
pub(crate) use list::chain_of;

use super::Common;
use crate::fault::Result;
use model::{AuthorityName, ProfileName, UnixTime};
use std::path::PathBuf;

/// Certification authorities.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make an authority: a root, or one below another. Needs the mode `ceremony`.
    Create {
        /// Its name.
        name: AuthorityName,
        /// What its certificate may say: a profile for authorities.
        #[arg(long)]
        profile: ProfileName,
        /// Who issues its certificate; a root issues its own.
        #[arg(long)]
        issuer: Option<AuthorityName>,
        /// The type of its key: p256, p384, ed25519, rsa3072.
        #[arg(long, default_value = "p256", value_name = "TYPE")]
        key_type: String,
        /// Where its key shall be: `file:NAME`, or a `pkcs11:` URI; a file of its own name if left out.
        #[arg(long, value_name = "URI")]
        key: Option<String>,
    },
    /// Take in the certificate of an authority whose key is elsewhere. Needs the mode `ceremony`.
    Import {
        /// Its name here.
        name: AuthorityName,
        /// Its certificate, PEM or DER.
        certificate: PathBuf,
        /// Who issued it, and was taken in before; a root issued its own.
        #[arg(long)]
        issuer: Option<AuthorityName>,
        #[command(flatten)]
        sure: Sure,
    },
    /// Make the key of an authority whose certificate is signed elsewhere, and the request for it. Needs the mode
    /// `ceremony`. Repeating it gives a request of the same key.
    Request {
        /// Its name.
        name: AuthorityName,
        /// What its certificate may say.
        #[arg(long)]
        profile: ProfileName,
        /// Who will sign it: taken in before with `cradle ca import`.
        #[arg(long)]
        issuer: AuthorityName,
        /// The type of its key.
        #[arg(long, default_value = "p256", value_name = "TYPE")]
        key_type: String,
        /// Where its key shall be.
        #[arg(long, value_name = "URI")]
        key: Option<String>,
        /// Write the request to this file, as PEM.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Sign the request of an authority of another installation. Needs the mode `ceremony`.
    Sign {
        /// The request, PEM or DER.
        request: PathBuf,
        /// Its name, which goes into the certificate as the profile says.
        #[arg(long)]
        name: AuthorityName,
        /// What its certificate may say.
        #[arg(long)]
        profile: ProfileName,
        /// Who signs it.
        #[arg(long)]
        issuer: AuthorityName,
        /// Write the certificate to this file, as PEM.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        sure: Sure,
    },
    /// Give an authority that was requested its certificate. Needs the mode `ceremony`.
    Install {
        /// Its name.
        name: AuthorityName,
        /// Its certificate, PEM or DER.
        certificate: PathBuf,
        #[command(flatten)]
        sure: Sure,
    },
    /// Say how many certificates an authority may issue from now on, and until when; what is left out is without limit.
    Limit {
        /// Its name.
        name: AuthorityName,
        /// How many certificates, counted from now.
        #[arg(long, value_name = "N")]
        quota: Option<u64>,
        /// When it ceases to issue: `2027-01-31` or `2027-01-31T12:00:00Z`.
        #[arg(long, value_name = "MOMENT", value_parser = super::moment)]
        ends: Option<UnixTime>,
        #[command(flatten)]
        sure: Sure,
    },
    /// Give an authority a new key. The old one goes on signing lists under another name, and issues nothing. Needs the
    /// mode `ceremony`.
    Rollover {
        /// Its name.
        name: AuthorityName,
        /// The type of the new key; that of the old one if left out.
        #[arg(long, value_name = "TYPE")]
        key_type: Option<String>,
        /// Where the new key shall be.
        #[arg(long, value_name = "URI")]
        key: Option<String>,
        /// What its certificate may say; as before if left out.
        #[arg(long)]
        profile: Option<ProfileName>,
        #[command(flatten)]
        sure: Sure,
    },
    /// Have a foreign authority certify, which is asked by CMP: EJBCA, OpenSSL, and others. Asks it for its certificates, and
    /// for nothing else. Needs the mode `ceremony`. Repeating it changes how the authority is reached.
    Attach(Box<attach::Attach>),
    /// List the authorities.
    List,
    /// Show one authority: whose its key is, and what is open with it if it is a foreign one.
    Show {
        /// Its name.
        name: AuthorityName,
    },
    /// Take over what a foreign authority's list says: who is revoked.
    Status {
        /// Its name.
        name: AuthorityName,
        /// Its complete list of revoked certificates, PEM or DER: a file, or `http://...`.
        list: String,
    },
    /// End what is open with a foreign authority: certificates that it gave and nobody took are revoked there. Of a key of
    /// which nothing is known, say what its operator found.
    Settle {
        /// Its name.
        name: AuthorityName,
        #[command(flatten)]
        found: foreign::Found,
    },
    /// Print an authority's chain as PEM, its own certificate first.
    Chain {
        /// Its name.
        name: AuthorityName,
        /// If its root's key was rolled over: instead of the root, the certificates that connect its keys (old with new,
        /// new with old), for those who trust one of them only.
        #[arg(long)]
        links: bool,
    },
}

/// Whether somebody is asked first.
#[derive(clap::Args)]
struct Sure {
    /// Do it without asking for the name again.
    #[arg(short, long)]
    yes: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    use ceremony::Wanted;
    match arguments.verb {
        Verb::Create { name, profile, issuer, key_type, key } => {
            ceremony::create(common, Wanted { name, profile, issuer, key_type, key })
        }
        Verb::Import { name, certificate, issuer, sure } => {
            ceremony::import(common, &name, &certificate, issuer, &sure)
        }
        Verb::Request { name, profile, issuer, key_type, key, to } => {
            ceremony::request(common, Wanted { name, profile, issuer: Some(issuer), key_type, key }, &to)
        }
        Verb::Sign { request, name, profile, issuer, to, sure } => {
            ceremony::sign(common, &request, (name, profile, issuer), &to, &sure)
        }
        Verb::Install { name, certificate, sure } => ceremony::install(common, &name, &certificate, &sure),
        Verb::Limit { name, quota, ends, sure } => ceremony::limit(common, name, quota, ends, &sure),
        Verb::Rollover { name, key_type, key, profile, sure } => {
            ceremony::rollover(common, &name, key_type, key, profile, &sure)
        }
        Verb::Attach(asked) => attach::attach(common, &asked),
        Verb::List => list::list(common),
        Verb::Show { name } => foreign::show(common, &name),
        Verb::Status { name, list } => foreign::status(common, &name, &list),
        Verb::Settle { name, found } => foreign::settle(common, &name, &found),
        Verb::Chain { name, links } => list::chain(common, &name, links),
    }
}
