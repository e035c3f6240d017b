//! What a bundle is made of: a manifest, and the files that it names.
//!
//! Shape: the manifest as one line of JSON, then the octets of its files in its order. Images lie elsewhere; the manifest has
//! their hashes.

use super::chain::Collected;
use super::fault::BadBundle;
use super::image::CheckedImage;
use crate::metadata::Image;
use model::{DeviceType, Digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use x509::sha256;

/// Longest bundle without its images, in octets: far more than the metadata of any repository that a box follows.
pub const BUNDLE_LEN_MAX: u64 = 64 << 20;
// Longest manifest in octets, most files and most images in it: 256 roots of two repositories, and 256 components.
const MANIFEST_LEN_MAX: usize = 1 << 20;
const FILES_MAX: usize = 2048;
const IMAGES_MAX: usize = 256;

const FORMAT: &str = "cradle-bundle-1";

/// What is in a bundle. It is no proof of anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// The device types that the box provisioned when it was made: sorted, each once.
    pub components: Vec<DeviceType>,
    /// The metadata: sorted by name, each once.
    pub files: Vec<FileEntry>,
    /// The images, in the order of the names of their targets.
    pub images: Vec<ImageEntry>,
}

/// A file of metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// `images/` or `director/`, and its name in that repository.
    pub name: String,
    /// How many octets.
    pub length: u64,
    /// SHA-256 of them.
    pub sha256: Digest,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageEntry {
    /// The name of the target.
    pub target: String,
    /// Where it is below the targets of the image repository.
    pub path: String,
    /// How many octets.
    pub length: u64,
    /// SHA-256 of them.
    pub sha256: Digest,
    /// Its release counter.
    pub counter: u64,
    /// For which of the box's device types.
    pub device_types: Vec<DeviceType>,
}

impl ImageEntry {
    pub(super) const fn image(&self) -> Image {
        Image { digest: self.sha256, length: self.length }
    }
}

/// A bundle that was read: each file is the one that the manifest names, and nobody believes any of it.
#[derive(Debug)]
pub struct Bundle {
    manifest: Manifest,
    digest: Digest,
    files: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// Limits: [`BUNDLE_LEN_MAX`]; 2048 files, 256 images.
    /// # Errors
    /// [`BadBundle::Shape`], [`BadBundle::OtherOctets`]
    pub fn decode(octets: &[u8]) -> Result<Self, BadBundle> {
        if u64::try_from(octets.len()).is_ok_and(|len| len > BUNDLE_LEN_MAX) {
            return Err(BadBundle::Shape("the bundle is longer than the limit"));
        }
        let (line, mut rest) = split(octets).ok_or(BadBundle::Shape("the bundle has no manifest"))?;
        let manifest = Manifest::decode(line)?;
        let mut files = BTreeMap::new();
        for entry in &manifest.files {
            let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
            let (file, after) = rest.split_at_checked(length).ok_or(BadBundle::Shape("the bundle is cut off"))?;
            if sha256(file) != entry.sha256 {
                return Err(BadBundle::OtherOctets(entry.name.clone()));
            }
            files.insert(entry.name.clone(), file.to_vec());
            rest = after;
        }
        if !rest.is_empty() {
            return Err(BadBundle::Shape("something follows the bundle"));
        }
        Ok(Self { manifest, digest: sha256(line), files })
    }

    /// What is in it.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    /// SHA-256 of its manifest: its name.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    /// Its files, by the names that the manifest has.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`BadBundle::Shape`]
    pub fn decode(line: &[u8]) -> Result<Self, BadBundle> {
        const SHAPE: BadBundle = BadBundle::Shape("the bundle has a manifest that cannot be read");
        if line.len() > MANIFEST_LEN_MAX || !line.starts_with(b"{") {
            return Err(SHAPE);
        }
        let manifest: Self = serde_json::from_slice(line).map_err(|_| SHAPE)?;
        if manifest.format != FORMAT {
            return Err(BadBundle::Shape("the bundle is of another kind than is known here"));
        }
        let sorted = manifest.components.is_sorted_by(|a, b| a < b)
            && manifest.files.is_sorted_by(|a, b| a.name < b.name)
            && manifest.images.is_sorted_by(|a, b| a.target < b.target);
        if !sorted
            || manifest.files.len() > FILES_MAX
            || manifest.images.len() > IMAGES_MAX
            || manifest.components.len() > IMAGES_MAX
        {
            return Err(BadBundle::Shape("the bundle names something twice, out of order, or too much"));
        }
        Ok(manifest)
    }
}

/// The name of whatever claims to be a bundle.
pub(super) fn name_of(octets: &[u8]) -> Digest {
    sha256(split(octets).map_or(octets, |(line, _)| line))
}

fn split(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = octets.iter().position(|octet| *octet == b'\n')?;
    let (line, rest) = octets.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

/// A bundle that was made of what was verified here. Only [`Collected::close`] makes one.
#[derive(Debug)]
pub struct Made {
    manifest: Manifest,
    digest: Digest,
    octets: Vec<u8>,
}

impl Made {
    fn new(collected: &Collected, images: Vec<CheckedImage>) -> Result<Self, BadBundle> {
        let files = collected.files();
        let length = |octets: &[u8]| u64::try_from(octets.len()).unwrap_or(u64::MAX);
        let entry = |(name, octets): (&String, &Vec<u8>)| FileEntry {
            name: name.clone(),
            length: length(octets),
            sha256: sha256(octets),
        };
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            components: collected.components().to_vec(),
            files: files.iter().map(entry).collect(),
            images: images.into_iter().map(CheckedImage::into_entry).collect(),
        };
        let Ok(line) = serde_json::to_vec(&manifest) else { unreachable!("texts and numbers can be written as JSON") };
        let digest = sha256(&line);
        let mut octets = line;
        octets.push(b'\n');
        files.values().for_each(|file| octets.extend_from_slice(file));
        // What is made here can be read.
        Bundle::decode(&octets)?;
        Ok(Self { manifest, digest, octets })
    }

    /// What is in it.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    /// SHA-256 of its manifest: its name.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    /// The bundle without its images.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
}

impl Collected {
    /// Makes a bundle, once all images were compared with what was announced.
    ///
    /// # Errors
    /// [`BadBundle::OtherImages`] if an image is missing, or was not chosen; [`BadBundle::Shape`] if it would be too large.
    pub fn close(self, mut images: Vec<CheckedImage>) -> Result<Made, BadBundle> {
        images.sort_by(|a, b| a.chosen().target().name().cmp(b.chosen().target().name()));
        if !self.chosen().iter().eq(images.iter().map(CheckedImage::chosen)) {
            return Err(BadBundle::OtherImages);
        }
        Made::new(&self, images)
    }
}
