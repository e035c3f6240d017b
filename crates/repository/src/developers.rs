//! Whose signatures over images are believed when they are staged.

use crate::fault::Fault;
use crate::state::Repository;
use serde::{Deserialize, Serialize};
use update::PlainName;
use update::developer::{Kind, Registered};

/// Not served: a file for each who is registered, as it came.
pub(crate) const DEVELOPERS: &str = "developers";
const SETTINGS: &str = "developers.json";

/// Somebody who is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Under which name.
    pub name: String,
    /// What was registered.
    pub kind: Kind,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    signatures_required: u8,
}

impl Repository {
    /// Registers a developer: a certificate, an authority of developers, a revocation list, a public key in PEM, or a key
    /// of OpenPGP.
    ///
    /// # Errors
    /// [`Fault::BadDeveloperName`], [`Fault::BadDeveloper`], [`Fault::Disk`].
    pub fn register(&mut self, name: &PlainName, octets: &[u8]) -> Result<Kind, Fault> {
        let name = name.as_str();
        let (mut registered, all) = self.registered_and_known()?;
        if all.iter().any(|known| known.name == name) {
            return Err(Fault::BadDeveloperName(name.to_owned()));
        }
        let kind = registered.add(name, octets).map_err(|bad| Fault::BadDeveloper { name: name.to_owned(), bad })?;
        self.disk.write(&file(name), octets)?;
        Ok(kind)
    }

    /// Takes a developer from the register. What is staged or published stays.
    ///
    /// # Errors
    /// [`Fault::NoDeveloper`], [`Fault::Disk`].
    pub fn unregister(&mut self, name: &str) -> Result<(), Fault> {
        if !self.developers()?.iter().any(|known| known.name == name) {
            return Err(Fault::NoDeveloper(name.to_owned()));
        }
        self.disk.remove(&file(name))
    }

    /// Has so many different developers sign each image that is staged from now on.
    ///
    /// # Errors
    /// [`Fault::Disk`]
    pub fn require_signatures(&mut self, count: u8) -> Result<(), Fault> {
        let settings = serde_json::to_vec_pretty(&Settings { signatures_required: count }).unwrap_or_default();
        self.disk.write(SETTINGS, &settings)
    }

    /// How many different developers must sign each image.
    ///
    /// # Errors
    /// [`Fault::Disk`], also if the file that says so is altered: then nobody knows.
    pub fn signatures_required(&self) -> Result<u8, Fault> {
        let Some(octets) = self.disk.read(SETTINGS)? else { return Ok(0) };
        let settings: Settings = serde_json::from_slice(&octets)
            .map_err(|e| Fault::Disk { path: self.disk.path(SETTINGS), error: std::io::Error::other(e) })?;
        Ok(settings.signatures_required)
    }

    /// Who is registered, by name.
    ///
    /// # Errors
    /// As [`Repository::register`].
    pub fn developers(&self) -> Result<Vec<Known>, Fault> {
        Ok(self.registered_and_known()?.1)
    }

    pub(crate) fn registered(&self) -> Result<Registered, Fault> {
        Ok(self.registered_and_known()?.0)
    }

    // One that cannot be read is an error, and not passed over: it may be a list of who is revoked.
    fn registered_and_known(&self) -> Result<(Registered, Vec<Known>), Fault> {
        let (mut registered, mut known) = (Registered::default(), Vec::new());
        for name in self.disk.list(DEVELOPERS)? {
            let octets = self.disk.read(&file(&name))?.unwrap_or_default();
            let kind = registered.add(&name, &octets).map_err(|bad| Fault::BadDeveloper { name: name.clone(), bad })?;
            known.push(Known { name, kind });
        }
        Ok((registered, known))
    }
}

fn file(name: &str) -> String {
    format!("{DEVELOPERS}/{name}")
}
