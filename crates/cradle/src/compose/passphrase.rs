//! What opens the keys of a box: made with it, kept, named or typed.

use super::lock_memory;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemEntropy;
use adapters::files;
use std::path::Path;
use zeroize::Zeroizing;

/// The name of the passphrase among the credentials that systemd hands over.
const CREDENTIAL: &str = "cradle-passphrase";
/// The variable that holds the passphrase itself. A file is better: a variable is seen by every child.
const PASSPHRASE: &str = "CRADLE_PASSPHRASE";
/// Longest passphrase, in octets.
const PASSPHRASE_LEN_MAX: u64 = 1024;

/// The passphrase of a new box: the one that was given, or a random one that is kept beside the keys.
pub(crate) fn new_passphrase(places: &Places, given: Option<&Zeroizing<Vec<u8>>>) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(given) = given {
        return Ok(given.clone());
    }
    let path = places.passphrase();
    let random = ports::clock::random::<32>(&SystemEntropy::default());
    let secret = Zeroizing::new(model::octets::hex(&random).into_bytes());
    let directory = path.parent().unwrap_or(places.data());
    files::private_directory(directory)
        .and_then(|()| files::write_new(&path, &secret))
        .map_err(|e| Failure::file(&path, &e))?;
    Ok(secret)
}

/// The passphrase: from a file that is named, from systemd's credentials, from the environment, from the installation's
/// own file, or typed.
pub(crate) fn passphrase(places: &Places, file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    lock_memory();
    let own = places.passphrase();
    // systemd.exec(5), `LoadCredential=`: a directory that only this service sees.
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join(CREDENTIAL));
    let credential = credential.filter(|path| path.exists());
    let path = match (file, &credential) {
        (Some(path), _) => path,
        (None, Some(path)) => path,
        (None, None) => match std::env::var_os(PASSPHRASE) {
            Some(given) if !given.is_empty() => return Ok(Zeroizing::new(given.into_encoded_bytes())),
            _ if own.exists() => own.as_path(),
            _ => return typed_passphrase(),
        },
    };
    let octets = Zeroizing::new(files::read_bounded(path, PASSPHRASE_LEN_MAX).map_err(|e| Failure::file(path, &e))?);
    let end = octets.iter().rposition(|c| !matches!(c, b'\n' | b'\r')).map_or(0, |last| last + 1);
    let octets = Zeroizing::new(octets.get(..end).unwrap_or_default().to_vec());
    if octets.is_empty() {
        let what = format!("{} holds no passphrase", path.display());
        return Err(Failure::new(Exit::NotAuthorised, "passphrase", what).next("write the passphrase into it"));
    }
    Ok(octets)
}

fn typed_passphrase() -> Result<Zeroizing<Vec<u8>>> {
    adapters::terminal::read_secret("Passphrase: ").map_err(|e| {
        Failure::new(Exit::NotAuthorised, "passphrase", "no passphrase was given")
            .because(format!("there is no terminal to ask on ({e})"))
            .next("name a file with --passphrase-file or CRADLE_PASSPHRASE_FILE")
    })
}
