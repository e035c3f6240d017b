//! Between two transactions: what a device that is served over DDI is given, and what it says of it.

use super::said::{Change, Feedback};
use super::side::{Account, Heard, Polled, Side};
use crate::choice::{Catalogue, Chosen, Has, Standing, Subject, choose};
use crate::conduct::Director;
use crate::documents::{device, kind, load, store};
use crate::fault::DirectorFault;
use crate::ledger::{claimed, given};
use crate::names::Name;
use crate::records::{Device, Interface};
use adapters::documents::Moment;
use adapters::http::serve::Beneath;
use model::{DeviceId, DeviceType, UnixTime};
use ports::Entropy;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, TryLockError};
use update::uptane::Offer;

type Done<T = ()> = Result<T, DirectorFault>;

/// A device, what is kept of it, and all that may be given.
struct Looked {
    device: Device,
    side: Side,
    has: BTreeMap<Name, Has>,
    catalogue: Arc<Catalogue>,
}

impl Looked {
    /// What is to be given now: what was chosen, is not there yet, and has not failed.
    fn wanted(&self) -> BTreeMap<&Name, Chosen<'_>> {
        let mut choice = choose(&Subject { device: &self.device, has: &self.has }, &self.catalogue);
        choice.retain(|component, chosen| {
            let name = chosen.image.offer.name();
            let carries = self.has.get(*component).is_some_and(|has| has.known && has.image == name);
            let failed = self.side.failures.get(*component).is_some_and(|failed| failed.image == name);
            !carries && !failed
        });
        choice
    }
    fn wanted_names(&self) -> BTreeMap<Name, String> {
        let name = |chosen: &Chosen<'_>| chosen.image.offer.name().to_owned();
        self.wanted().iter().map(|(component, chosen)| ((*component).clone(), name(chosen))).collect()
    }
    /// What stands behind these names, without what was recalled.
    fn offers(&self, gives: &BTreeMap<Name, String>) -> Vec<(Name, Offer)> {
        let offer = |(component, image): (&Name, &String)| {
            let image = self.catalogue.images.get(image).filter(|image| image.standing != Standing::Recalled)?;
            Some((component.clone(), image.offer.clone()))
        };
        gives.iter().filter_map(offer).collect()
    }
}

/// A number for an action that says nothing, and is not used again after records were put back: 31 bits, as clients have
/// them, and not zero.
fn number(entropy: &dyn Entropy) -> u32 {
    (u32::from_be_bytes(ports::clock::random(entropy)) >> 1).max(1)
}

impl Director {
    /// Says over which interface devices of a type are served.
    ///
    /// # Errors
    /// [`DirectorFault::Documents`]
    pub fn serve_type(&self, device_type: &DeviceType, interface: Interface) -> Done {
        self.documents.change(|then| store(then, kind::TYPE, device_type.as_str(), &interface))
    }

    /// What a device has said of itself over DDI.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn account(&self, id: &DeviceId) -> Done<Account> {
        let side: Option<Side> = self.documents.read(|then| load(then, kind::DDI, &id.to_string()))?;
        Ok(side.unwrap_or_default().account())
    }

    // `None` if devices of its type are not served over DDI: then nobody takes its unsigned word.
    fn look(&self, then: &Moment<'_>, id: &DeviceId) -> Done<Option<Looked>> {
        let device = device(then, id)?;
        if load(then, kind::TYPE, id.device_type.as_str())? != Some(Interface::Ddi) {
            return Ok(None);
        }
        let key = id.to_string();
        let side: Side = load(then, kind::DDI, &key)?.unwrap_or_default();
        let mut has = claims_of(&side);
        // What it has signed goes before what it only said.
        has.extend(load::<BTreeMap<Name, Has>>(then, kind::HAS, &key)?.unwrap_or_default());
        Ok(Some(Looked { device, side, has, catalogue: self.catalogue_at(then)? }))
    }

    /// Whether there is something for a device. What it is told is durable before.
    pub(super) fn ddi_poll(&self, id: &DeviceId, entropy: &dyn Entropy) -> Done<Option<Polled>> {
        let number = number(entropy);
        let turned = |then: &Moment<'_>| {
            let Some(mut looked) = self.look(then, id)? else { return Ok::<_, DirectorFault>(None) };
            let wanted = looked.wanted_names();
            let is_other = looked.side.turn(&wanted, number);
            Ok(Some((looked, is_other)))
        };
        match self.documents.read(turned)? {
            None => return Ok(None),
            Some((looked, false)) => return Ok(Some(looked.side.polled())),
            Some((_, true)) => {}
        }
        self.documents.change(|then| {
            let Some((looked, _)) = turned(then)? else { return Ok(None) };
            let key = id.to_string();
            for (component, chosen) in &looked.wanted() {
                given(then, &key, chosen, looked.has.get(component))?;
            }
            store(then, kind::DDI, &key, &looked.side)?;
            Ok(Some(looked.side.polled()))
        })
    }

    /// What an action gives, component by component; nothing if some of it was recalled meanwhile.
    pub(super) fn ddi_deployment(&self, id: &DeviceId, number: u32) -> Done<Option<Vec<(Name, Offer)>>> {
        self.documents.read(|then| {
            let Some(looked) = self.look(then, id)? else { return Ok(None) };
            let Some(gives) = looked.side.given(number) else { return Ok(None) };
            Ok(Some(looked.offers(gives)).filter(|offers| offers.len() == gives.len()))
        })
    }

    /// From now on a device is taken to have begun with an action: it is about to be told what is in it. Whether it still is
    /// to be.
    pub(super) fn ddi_begin(&self, id: &DeviceId, number: u32) -> Done<bool> {
        let seen = |then: &Moment<'_>| {
            let Some(mut looked) = self.look(then, id)? else { return Ok::<_, DirectorFault>(None) };
            let is_given = looked.side.given(number).is_some();
            let is_new = is_given && looked.side.begin();
            Ok(is_given.then_some((looked, is_new)))
        };
        match self.documents.read(seen)? {
            Some((_, true)) => self.documents.change(|then| {
                let found = seen(then)?;
                if let Some((looked, true)) = &found {
                    store(then, kind::DDI, &id.to_string(), &looked.side)?;
                }
                Ok(found.is_some())
            }),
            found => Ok(found.is_some()),
        }
    }

    /// What the action gave that was installed last.
    pub(super) fn ddi_installed(&self, id: &DeviceId, number: u32) -> Done<Option<Vec<(Name, Offer)>>> {
        self.documents.read(|then| {
            let looked = self.look(then, id)?;
            Ok(looked.and_then(|looked| looked.side.gave(number).map(|gives| looked.offers(gives))))
        })
    }

    /// Whether the device is to leave an action alone.
    pub(super) fn ddi_is_withdrawn(&self, id: &DeviceId, number: u32) -> Done<bool> {
        let looked = self.documents.read(|then| self.look(then, id))?;
        Ok(looked.is_some_and(|looked| looked.side.is_withdrawn(number)))
    }

    /// The target of this SHA-256 that the device may fetch.
    pub(super) fn ddi_image(&self, id: &DeviceId, sha256: &str) -> Done<Option<Offer>> {
        self.documents.read(|then| {
            let Some(looked) = self.look(then, id)? else { return Ok(None) };
            let mut images = looked.side.fetched().filter_map(|name| looked.catalogue.images.get(name));
            let found = images.find(|image| {
                image.standing != Standing::Recalled && image.offer.sha256().is_some_and(|digest| digest == sha256)
            });
            Ok(found.map(|image| image.offer.clone()))
        })
    }

    /// Takes what a device says of an action into the records, once.
    pub(super) fn ddi_hear(&self, id: &DeviceId, number: u32, feedback: &Feedback, now: UnixTime) -> Done<Heard> {
        self.heard_from(id, |looked| {
            let images = &looked.catalogue.images;
            let counter = |name: &str| images.get(name).map_or(0, |image| image.offer.counter());
            looked.side.hear(number, feedback.clone(), counter, now.s())
        })
    }

    /// Takes what a device says of being told to leave an action alone.
    pub(super) fn ddi_hear_cancel(&self, id: &DeviceId, number: u32, feedback: &Feedback) -> Done<Heard> {
        self.heard_from(id, |looked| looked.side.hear_cancel(number, feedback))
    }

    fn heard_from(&self, id: &DeviceId, hear: impl Fn(&mut Looked) -> Heard) -> Done<Heard> {
        let seen = |then: &Moment<'_>| {
            let Some(mut looked) = self.look(then, id)? else { return Ok::<_, DirectorFault>(None) };
            let heard = hear(&mut looked);
            Ok(Some((looked, heard)))
        };
        // What changes nothing waits for no disk, however often it is said.
        match self.documents.read(seen)? {
            None => return Ok(Heard::Unknown),
            Some((_, heard @ (Heard::Unknown | Heard::Gone | Heard::Nothing))) => return Ok(heard),
            Some((_, Heard::Ended(_) | Heard::Said)) => {}
        }
        self.documents.change(|then| {
            let Some((looked, heard)) = seen(then)? else { return Ok(Heard::Unknown) };
            if matches!(heard, Heard::Ended(_) | Heard::Said) {
                store(then, kind::DDI, &id.to_string(), &looked.side)?;
            }
            if let Heard::Ended(Some((gives, outcome))) = &heard {
                claimed(then, &looked.catalogue, &looked.device, gives, *outcome)?;
            }
            Ok(heard)
        })
    }

    /// Takes what a device says of itself. `Some(false)` if it is too much; `None` if it is not served so.
    pub(super) fn ddi_describe(&self, id: &DeviceId, change: &Change) -> Done<Option<bool>> {
        self.documents.change(|then| {
            let Some(mut looked) = self.look(then, id)? else { return Ok(None) };
            let described = looked.side.describe(change.clone());
            if described == Some(true) {
                store(then, kind::DDI, &id.to_string(), &looked.side)?;
            }
            Ok(Some(described.is_some()))
        })
    }

    /// The SHA-1 of a target's file, by which clients of hawkBit know it; told only if the file is the one that was signed.
    ///
    /// # Errors
    /// [`DirectorFault::Image`] if it is not, or cannot be read; or is being read for somebody else.
    pub(super) fn ddi_sha1(&self, images: &Beneath, offer: &Offer) -> Done<String> {
        let sha256 = offer.sha256().ok_or(DirectorFault::Image("its SHA-256 is not known"))?;
        if let Some(sha1) = self.documents.read(|then| load::<String>(then, kind::SHA1, &sha256))? {
            return Ok(sha1);
        }
        // One at a time: a file is long, and each reader would take somebody's turn.
        let _alone = match self.summing.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return Err(DirectorFault::Image("another file is being read")),
        };
        let sums = images.sums(&file_of(offer)).map_err(|_| DirectorFault::Image("its file cannot be read"))?;
        if sums.sha256 != sha256 || sums.len != offer.length() {
            return Err(DirectorFault::Image("its file is not the one that was signed"));
        }
        self.documents.change(|then| store(then, kind::SHA1, &sha256, &sums.sha1))?;
        Ok(sums.sha1)
    }
}

/// Where the file of a target is in an image repository.
///
/// Source: TUF 1.0.34 §6.2, consistent snapshots.
pub(super) fn file_of(offer: &Offer) -> String {
    let naming = offer.naming();
    match offer.name().rsplit_once('/') {
        Some((folder, file)) => format!("targets/{folder}/{naming}.{file}"),
        None => format!("targets/{naming}.{}", offer.name()),
    }
}

/// What a device says that its components have.
pub(crate) fn claims_of(side: &Side) -> BTreeMap<Name, Has> {
    let has = side.claims.iter().map(|(component, claim)| {
        let has = Has { image: claim.image.clone(), release_counter: claim.release_counter, known: true };
        (component.clone(), has)
    });
    has.collect()
}

/// A component is given again what it could not install.
pub(crate) fn failed_no_more(then: &Moment<'_>, device: &str, component: &Name) -> Done {
    let Some(mut side) = load::<Side>(then, kind::DDI, device)? else { return Ok(()) };
    if side.forgive(component) { store(then, kind::DDI, device, &side) } else { Ok(()) }
}
