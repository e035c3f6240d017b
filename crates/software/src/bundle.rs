//! Following repositories, and making a bundle of what they say to this box.

use crate::Software;
use crate::follow::{Followed, Stopped};
use model::audit::{Entry, Event};
use model::contract::software::{Bundled, Update, Updated};
use model::{DeviceType, Fault, Module, Reason, UnixTime};
use ports::jws;
use ports::source::Repositories;
use ports::store::software::{BundleRow, BundledRow};
use ports::vault::{BlobName, VaultFault};
use std::collections::BTreeMap;
use std::io::Read;
use update::bundle::{
    BUNDLE_COUNTERSIGNATURE, BUNDLE_LEN_MAX, BadBundle, CheckedImage, CheckedReader, Chosen, Made, Primary, Statement,
    Terms, collect,
};
use update::tuf::BadMetadata;
use update::uptane::Inventory;

/// An image in the vault, and whether it came now.
struct Kept {
    checked: CheckedImage,
    blob: BlobName,
    fetched: bool,
}

/// What may be in the vault already: what bundles name, and what an interruption left there.
struct There {
    known: Vec<BundleRow>,
    left: Vec<BlobName>,
}

/// What came of following repositories.
pub(crate) enum Outcome {
    /// A bundle is kept.
    Kept(Updated),
    /// Nothing was taken.
    Refused { reason: Reason, what: String },
}

impl Stopped {
    /// Whether the same source may be good another time: something failed or did not come, and nothing was found bad.
    fn may_go_on(&self) -> bool {
        match self {
            Self::Fault(_) => true,
            Self::Bad(bad) => is_incomplete(bad),
        }
    }
}

impl Software {
    /// Follows the repositories to what this box gets, compares each image while it goes encrypted into the vault, and keeps all
    /// of it as a bundle. Images that are in the vault already are read there again and not fetched, also those that an
    /// interruption left there.
    ///
    /// What verifies of the metadata is kept before anything else is asked for, whatever becomes of the rest. A refusal is recorded and
    /// answered; the bundle from before stands.
    /// # Errors
    /// [`Fault::Refused`] with [`Reason::NothingFollowed`]; [`Fault::Malformed`] and [`Fault::Unavailable`] of the
    /// source; [`Fault::Unavailable`].
    pub fn update(&self, call: &Update) -> Result<Updated, Fault> {
        if self.parts.primary.is_none() {
            return Err(Reason::NothingFollowed.into());
        }
        let repositories = self.parts.sources.open(&call.source)?;
        Ok(match self.follow(&repositories, None)? {
            Outcome::Kept(updated) => updated,
            Outcome::Refused { reason, what } => Updated::Refused { reason, what },
        })
    }

    /// The same, from repositories that were found. A refusal that is what was `refused_before` is not recorded again.
    pub(crate) fn follow(&self, repositories: &Repositories, refused_before: Option<&str>) -> Result<Outcome, Fault> {
        let primary = self.parts.primary.as_ref().ok_or(Reason::NothingFollowed)?;
        let _turn = self.turn();
        let now = self.parts.clock.now();
        match self.take(primary, repositories, now) {
            Ok(updated) => Ok(Outcome::Kept(updated)),
            Err(Stopped::Fault(fault)) => Err(fault),
            // What is missing or slow may come another time.
            Err(Stopped::Bad(bad)) if is_incomplete(&bad) => Err(Fault::Unavailable(bad.to_string().into())),
            Err(Stopped::Bad(bad)) => match Fault::from(&bad) {
                Fault::Refused(reason) => {
                    let what = bad.to_string();
                    if refused_before != Some(what.as_str()) {
                        let event = Event::BundleRefused { what: what.clone(), reason };
                        self.parts.store.append(vec![Entry { at: now, by: Module::Software, event }])?;
                    }
                    Ok(Outcome::Refused { reason, what })
                }
                Fault::Malformed(_) => Err(Fault::Malformed(bad.to_string().into())),
                Fault::Unavailable(_) => Err(Fault::Unavailable(bad.to_string().into())),
            },
        }
    }

    fn take(&self, primary: &Primary, repositories: &Repositories, now: UnixTime) -> Result<Updated, Stopped> {
        let last = self.parts.store.last_bundle().map_err(Fault::from)?;
        let inventory = inventory(primary, last.as_ref());
        let followed = Followed::by(self.parts.store.as_ref(), primary, repositories, (&inventory, now))?;
        let director = primary.director_root.is_some().then_some(&followed.director);
        let collected = collect(&inventory, now, primary.roots(), &followed.images, director)?;
        let there = There { known: self.parts.store.bundles().map_err(Fault::from)?, left: self.unnamed()? };
        let mut kept = Vec::new();
        for chosen in collected.chosen() {
            match self.image(chosen, &there, repositories) {
                Ok(image) => kept.push(image),
                // What came until then is found in the vault when the rest comes.
                Err(stopped) if stopped.may_go_on() => return Err(stopped),
                Err(stopped) => {
                    self.forget(kept.into_iter().filter(|kept| kept.fetched).map(|kept| kept.blob));
                    return Err(stopped);
                }
            }
        }
        let releases: Vec<Bundled> = kept.iter().map(bundled).collect();
        let rows: Vec<BundledRow> = kept.iter().flat_map(rows).collect();
        let made = collected.close(kept.into_iter().map(|kept| kept.checked).collect())?;
        self.store_made(&made, primary, rows, now)?;
        // What no row names any more is swept up now or later.
        let _swept_up_later = self.sweep();
        Ok(Updated::Kept { bundle: made.digest(), releases })
    }

    fn image(&self, chosen: &Chosen, there: &There, from: &Repositories) -> Result<Kept, Stopped> {
        let target = chosen.target();
        let same = |row: &&BundledRow| row.target == target.name() && row.length == target.length();
        let known = there.known.iter().flat_map(|bundle| &bundle.releases).find(same);
        for blob in known.map(|row| &row.image).into_iter().chain(&there.left) {
            if let Some(checked) = self.intact_image(chosen, blob)? {
                return Ok(Kept { checked, blob: blob.clone(), fetched: false });
            }
        }
        let source = from.targets.open(&target.path(), target.length());
        let source = source.map_err(|not| crate::follow::not_come(target.name(), &not))?;
        let mut checked = CheckedReader::new(source, chosen.clone());
        match self.parts.vault.put(&mut checked, target.length()) {
            Ok(blob) => match checked.finish() {
                Ok(checked) => Ok(Kept { checked, blob, fetched: true }),
                Err(bad) => {
                    self.forget([blob]);
                    Err(bad.into())
                }
            },
            // The source failed because we made it fail, or by itself; the check knows.
            Err(VaultFault::Source) => {
                let unreadable = || BadBundle::ImageUnreadable(target.name().to_owned());
                Err(checked.finish().err().unwrap_or_else(unreadable).into())
            }
            Err(fault) => Err(Fault::from(fault).into()),
        }
    }

    /// An image that is in the vault, if it is the one that was chosen.
    pub(crate) fn intact_image(&self, chosen: &Chosen, blob: &BlobName) -> Result<Option<CheckedImage>, Fault> {
        let image = match self.parts.vault.open(blob) {
            Ok(image) => image,
            Err(VaultFault::Missing | VaultFault::Unreadable) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        match CheckedReader::new(image, chosen.clone()).read_through() {
            Ok(checked) => Ok(Some(checked)),
            Err(bad @ BadBundle::ImageUnreadable(_)) => Err(bad.into()),
            Err(_) => Ok(None),
        }
    }

    fn store_made(&self, made: &Made, primary: &Primary, releases: Vec<BundledRow>, at: UnixTime) -> Result<(), Fault> {
        let len = u64::try_from(made.octets().len()).unwrap_or(u64::MAX);
        let blob = self.parts.vault.put(&mut made.octets(), len)?;
        let statement = Statement::of(made, primary.device.clone(), at).encode();
        let signed = jws::sign(BUNDLE_COUNTERSIGNATURE, &statement, self.parts.signer.as_ref());
        let countersignature = signed.inspect_err(|_| self.forget([blob.clone()]))?;
        // If the store fails the blobs stay: one that no row names is swept up, a row without its blob is a loss.
        let row = BundleRow { digest: made.digest(), blob, countersignature, at, releases };
        Ok(self.parts.store.store_bundle(&row)?)
    }

    /// Verifies a stored bundle again with all of its images, as a station does it that knows nothing but the first roots. Gives what
    /// is wrong.
    pub(crate) fn damage(&self, primary: &Primary, row: &BundleRow) -> Result<Option<String>, Fault> {
        let Some(octets) = self.bundle_octets(row)? else { return Ok(Some("it cannot be read any more".into())) };
        let own = self.parts.signer.public_key();
        let key_of = |kid: &str| (kid == jws::key_id(own)).then_some((own, ()));
        let statement = jws::verify(BUNDLE_COUNTERSIGNATURE, &row.countersignature, key_of).ok();
        let nothing = update::bundle::Kept::new();
        let verified = update::bundle::verify(
            &octets,
            &Terms {
                device: &primary.device,
                floors: &BTreeMap::new(),
                roots: primary.roots(),
                images: &nothing,
                director: &nothing,
                statement: statement.as_ref().map(|(payload, ())| payload.as_slice()),
                now: self.parts.clock.now(),
                // Age does not matter here.
                bundle_age_max_s: u64::MAX,
            },
        );
        let verified = match verified {
            Ok(verified) => verified,
            Err(bad) => return Ok(Some(bad.to_string())),
        };
        for release in &row.releases {
            let Some(announced) = verified.release(&release.device_type) else {
                return Ok(Some(format!("there is no release for {} in it", release.device_type)));
            };
            let image = match self.parts.vault.open(&release.image) {
                Ok(image) => image,
                Err(VaultFault::Missing | VaultFault::Unreadable) => return Ok(Some(gone(release))),
                Err(fault) => return Err(fault.into()),
            };
            match announced.verify_image(image) {
                Ok(image) if (image.image().digest, image.counter()) == (release.image_digest, release.counter) => {}
                Err(bad @ BadBundle::ImageUnreadable(_)) => return Err(bad.into()),
                Ok(_) | Err(_) => return Ok(Some(gone(release))),
            }
        }
        Ok(None)
    }

    /// A bundle as it lies in the vault.
    fn bundle_octets(&self, row: &BundleRow) -> Result<Option<Vec<u8>>, Fault> {
        let mut octets = Vec::new();
        match self.parts.vault.open(&row.blob) {
            Ok(blob) => match blob.take(LEN_MAX).read_to_end(&mut octets) {
                Ok(_) => Ok(Some(octets)),
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(None),
                Err(_) => Err(Fault::unavailable("a bundle in the vault cannot be read")),
            },
            Err(VaultFault::Missing | VaultFault::Unreadable) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}

const fn is_incomplete(bad: &BadBundle) -> bool {
    match bad {
        // The line broke in the middle of an image.
        BadBundle::ImageUnreadable(_) => true,
        BadBundle::Upstream(_, refused) => matches!(refused.bad, BadMetadata::NotThere | BadMetadata::TooSlow),
        _ => false,
    }
}

fn gone(release: &BundledRow) -> String {
    format!("the image of {} for {} is damaged or gone", release.release, release.device_type)
}

// One octet more than any bundle has is enough to notice.
const LEN_MAX: u64 = BUNDLE_LEN_MAX + 1;

/// What this box is made of; nothing goes below what the last bundle brought.
pub(crate) fn inventory(primary: &Primary, last: Option<&BundleRow>) -> Inventory {
    let releases = last.map(|row| row.releases.as_slice()).unwrap_or_default();
    primary.inventory(|device_type: &DeviceType| {
        releases.iter().find(|row| row.device_type == *device_type).map_or(0, |row| row.counter)
    })
}

fn bundled(kept: &Kept) -> Bundled {
    let (chosen, image) = (kept.checked.chosen(), kept.checked.image());
    Bundled {
        release: chosen.title(),
        device_types: chosen.device_types().to_vec(),
        counter: chosen.counter(),
        image: image.digest,
        length: image.length,
        fetched: kept.fetched,
    }
}

fn rows(kept: &Kept) -> Vec<BundledRow> {
    let (chosen, image) = (kept.checked.chosen(), kept.checked.image());
    let row = |device_type: &DeviceType| BundledRow {
        device_type: device_type.clone(),
        release: chosen.title(),
        target: chosen.target().name().to_owned(),
        counter: chosen.counter(),
        image: kept.blob.clone(),
        image_digest: image.digest,
        length: image.length,
    };
    chosen.device_types().iter().map(row).collect()
}
