//! What devices report: each report once, in the order of the nonces that were given for them; and what follows from it.

use crate::choice::{Catalogue, Chosen, Has};
use crate::conduct::Director;
use crate::ddi::{Side, claims_of};
use crate::documents::{device, kind, load, news, parsed, store, turn};
use crate::fault::DirectorFault;
use crate::names::Name;
use crate::records::{Device, Interface};
use crate::rollout::{Outcome, Rollout};
use crate::telling::stale;
use adapters::documents::Moment;
use model::{DeviceId, Nonce, UnixTime};
use ports::Entropy;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use update::uptane::{BadDirections, Expected, Manifest, Report};

/// For how long a nonce is good, in seconds.
pub const NONCE_WITHIN: u64 = 3600;
/// How often a device may report something else after it was given a target: then it has failed to install it.
const ATTEMPTS_MAX: u8 = 3;

type Done<T = ()> = Result<T, DirectorFault>;

#[derive(Serialize, Deserialize)]
struct Asked {
    // The last nonce that was given, until a manifest comes with it.
    nonce: Option<String>,
    // The how-manieth of this device it is.
    number: u64,
    given_s: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    at_s: u64,
    manifest: String,
}

/// How a device stands to a roll-out that gave it something.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Progress {
    Given { attempts: u8 },
    Over(Outcome),
}

/// On what it stands that a device carries something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// A manifest, which the device signed.
    Manifest,
    /// What it said over DDI, unsigned.
    Ddi,
    /// Nothing yet: over DDI it was told to install it, and has not said what became of it.
    Begun,
}

/// A device that carries a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The device.
    pub device: String,
    /// The component.
    pub component: String,
    /// The target.
    pub image: String,
    /// Its release counter.
    pub release_counter: u64,
    /// On what that stands.
    pub by: Word,
}

/// How the director stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Devices that are registered.
    pub devices: u64,
    /// Devices that have reported.
    pub reported: u64,
    /// Devices that have said over DDI that they installed something, or could not: nothing of it is signed.
    pub ddi: u64,
    /// Types of devices that are served over DDI.
    pub ddi_types: Vec<String>,
    /// Manifests that came.
    pub manifests: u64,
    /// Nonces that were given and with which no manifest came, the last one of each device left out.
    pub gaps: u64,
    /// Targets that are known.
    pub images: u64,
    /// The roll-outs.
    pub rollouts: Vec<Rollout>,
}

fn holding(device: &str, has: BTreeMap<Name, Has>, image: &str, by: Word) -> Vec<Holder> {
    let holder = |(component, has): (Name, Has)| Holder {
        device: device.to_owned(),
        component: component.to_string(),
        image: has.image,
        release_counter: has.release_counter,
        by,
    };
    has.into_iter().filter(|(_, has)| has.image == image).map(holder).collect()
}

fn outcome_key(rollout: &Name, device: &str) -> String {
    format!("{rollout}/{device}")
}

/// A device is about to be told of a target that a roll-out gives it.
pub(crate) fn given(then: &Moment<'_>, device: &str, chosen: &Chosen<'_>, has: Option<&Has>) -> Done {
    let Some(rollout) = chosen.rollout else { return Ok(()) };
    let key = outcome_key(&rollout.plan().name, device);
    let carries = has.is_some_and(|has| has.known && has.image == rollout.plan().image);
    if carries || then.get(kind::OUTCOME, &key)?.is_some() {
        return Ok(());
    }
    store(then, kind::OUTCOME, &key, &Progress::Given { attempts: 0 })
}

impl Director {
    /// Gives a device a nonce for its next manifest; any before it is good no more.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`]
    pub fn ask(&self, id: &DeviceId, entropy: &dyn Entropy, now: UnixTime) -> Done<(Nonce, u64)> {
        let nonce = ports::clock::nonce(entropy);
        self.documents.change(|then| {
            device(then, id)?;
            let before: Option<Asked> = load(then, kind::NONCE, &id.to_string())?;
            let number = before.map_or(0, |asked| asked.number) + 1;
            let asked = Asked { nonce: Some(nonce.to_string()), number, given_s: now.s() };
            store(then, kind::NONCE, &id.to_string(), &asked)?;
            Ok((nonce, number))
        })
    }

    /// Takes a manifest into the ledger, once. Gives its number.
    ///
    /// # Errors
    /// [`DirectorFault::Uptane`]; a manifest with a nonce that was not given, or is used up, is replayed; one that is not sealed to a key
    /// of this director is not looked at.
    pub fn manifest(&self, id: &DeviceId, octets: &[u8], now: UnixTime) -> Done<u64> {
        let opened = self.privacy.open(id, octets)?;
        let manifest = Manifest::decode(&opened)?;
        // Without what made it longer.
        let text = std::str::from_utf8(&opened).map_err(|_| DirectorFault::Corrupt("manifest"))?.trim_end();
        self.documents.change(|then| {
            let (device, key) = (device(then, id)?, id.to_string());
            let asked: Option<Asked> = load(then, kind::NONCE, &key)?;
            let asked = asked.filter(|asked| now.s().saturating_sub(asked.given_s) <= NONCE_WITHIN);
            let (number, given_s, nonce) = match asked {
                Some(Asked { nonce: Some(nonce), number, given_s }) => (number, given_s, nonce),
                _ => return Err(BadDirections::Replayed.into()),
            };
            let nonce = nonce.parse().map_err(|_| DirectorFault::Corrupt(kind::NONCE))?;
            let components = device.components.iter().map(|(name, component)| {
                (name.plain().clone(), (component.key.key().clone(), component.hardware_id.clone()))
            });
            let components = components.collect();
            let expected = Expected { device: id, key: device.key.key(), nonce, components: &components };
            let reported = manifest.verify(&expected)?;
            store(then, kind::NONCE, &key, &Asked { nonce: None, number, given_s })?;
            let entry = Entry { at_s: now.s(), manifest: text.to_owned() };
            store(then, kind::LEDGER, &format!("{key}/{number:020}"), &entry)?;
            self.heard(then, &device, reported.components().values())?;
            Ok(number)
        })
    }

    fn heard<'r>(&self, then: &Moment<'_>, device: &Device, reports: impl Iterator<Item = &'r Report>) -> Done {
        let (catalogue, key) = (self.catalogue_at(then)?, device.id.to_string());
        let mut has: BTreeMap<Name, Has> = BTreeMap::new();
        for report in reports {
            let known = catalogue.images.get(&report.target).is_some_and(|image| image.offer.is_reported(report));
            let name = report.component.as_str().parse().map_err(|_| DirectorFault::Corrupt("component"))?;
            has.insert(name, Has { image: report.target.clone(), release_counter: report.counter, known });
        }
        let before: Option<BTreeMap<Name, Has>> = load(then, kind::HAS, &key)?;
        if before.as_ref() != Some(&has) {
            stale(then, &key)?;
            store(then, kind::HAS, &key, &has)?;
        }
        progress(then, &catalogue, device, &has)
    }

    /// Who carries a target, as last reported, and who perhaps does. What was signed goes before what was only said.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn who_has(&self, image: &str) -> Done<Vec<Holder>> {
        let (mut holders, mut signed) = (Vec::new(), BTreeSet::new());
        self.documents.read(|then| {
            let release_counter = self.catalogue_at(then)?.images.get(image).map_or(0, |image| image.offer.counter());
            then.each(kind::HAS, "", |device, octets| -> Done {
                let has: BTreeMap<Name, Has> = parsed(kind::HAS, octets)?;
                signed.extend(has.keys().map(|component| (device.to_owned(), component.clone())));
                holders.extend(holding(device, has, image, Word::Manifest));
                Ok(())
            })?;
            then.each(kind::DDI, "", |device, octets| -> Done {
                let side: Side = parsed(kind::DDI, octets)?;
                let mut has = claims_of(&side);
                has.retain(|component, _| !signed.contains(&(device.to_owned(), component.clone())));
                holders.extend(holding(device, has, image, Word::Ddi));
                let perhaps = side.perhaps(image).into_iter();
                let perhaps =
                    perhaps.map(|component| (component, Has { image: image.to_owned(), release_counter, known: true }));
                holders.extend(holding(device, perhaps.collect(), image, Word::Begun));
                Ok(())
            })
        })?;
        // Of what is said of one component only the first counts.
        let mut seen = BTreeSet::new();
        holders.retain(|one| seen.insert((one.device.clone(), one.component.clone())));
        Ok(holders)
    }

    /// The numbers of a device's manifests that did not come, the last nonce left out: that one may still be on its way.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn gaps(&self, id: &DeviceId) -> Done<Vec<u64>> {
        let key = id.to_string();
        self.documents.read(|then| {
            let asked: Option<Asked> = load(then, kind::NONCE, &key)?;
            let came = numbers(then, &key)?;
            let last = asked.map_or(0, |asked| asked.number);
            Ok((1..last).filter(|number| came.binary_search(number).is_err()).collect())
        })
    }

    /// How all of it stands.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn overview(&self) -> Done<Overview> {
        self.documents.read(|then| {
            let catalogue = self.catalogue_at(then)?;
            let count = |kind| {
                let mut count = 0_u64;
                then.each(kind, "", |_, _| -> Done {
                    count += 1;
                    Ok(())
                })?;
                Ok::<_, DirectorFault>(count)
            };
            let (mut asked, mut open) = (0_u64, 0_u64);
            then.each(kind::NONCE, "", |_, octets| -> Done {
                let one: Asked = parsed(kind::NONCE, octets)?;
                asked += one.number;
                open += u64::from(one.nonce.is_some());
                Ok(())
            })?;
            let manifests = count(kind::LEDGER)?;
            let (mut ddi, mut ddi_types) = (0_u64, Vec::new());
            then.each(kind::DDI, "", |_, octets| -> Done {
                ddi += u64::from(parsed::<Side>(kind::DDI, octets)?.has_spoken());
                Ok(())
            })?;
            then.each(kind::TYPE, "", |device_type, octets| -> Done {
                if parsed::<Interface>(kind::TYPE, octets)? == Interface::Ddi {
                    ddi_types.push(device_type.to_owned());
                }
                Ok(())
            })?;
            Ok(Overview {
                devices: count(kind::DEVICE)?,
                reported: count(kind::HAS)?,
                ddi,
                ddi_types,
                manifests,
                gaps: asked.saturating_sub(open).saturating_sub(manifests),
                images: u64::try_from(catalogue.images.len()).unwrap_or(u64::MAX),
                rollouts: catalogue.rollouts.clone(),
            })
        })
    }
}

fn numbers(then: &Moment<'_>, device: &str) -> Done<Vec<u64>> {
    let prefix = format!("{device}/");
    let mut numbers = Vec::new();
    then.each(kind::LEDGER, &prefix, |key, _| -> Done {
        let number = key.strip_prefix(&prefix).and_then(|number| number.parse().ok());
        numbers.push(number.ok_or(DirectorFault::Corrupt(kind::LEDGER))?);
        Ok(())
    })?;
    Ok(numbers)
}

/// What a report says to the roll-outs that gave this device something.
fn progress(then: &Moment<'_>, catalogue: &Catalogue, device: &Device, has: &BTreeMap<Name, Has>) -> Done {
    let key = device.id.to_string();
    for rollout in &catalogue.rollouts {
        let plan = rollout.plan();
        let place = outcome_key(&plan.name, &key);
        let Some(Progress::Given { attempts }) = load(then, kind::OUTCOME, &place)? else { continue };
        let carries = has.get(&plan.component).is_some_and(|has| has.known && has.image == plan.image);
        let attempts = attempts.saturating_add(1);
        let outcome = match carries {
            true => Outcome::Installed,
            // It was told to leave it alone meanwhile.
            false if !rollout.gives(device) => continue,
            false if attempts < ATTEMPTS_MAX => {
                store(then, kind::OUTCOME, &place, &Progress::Given { attempts })?;
                continue;
            }
            false => Outcome::Failed,
        };
        over(then, rollout, &place, outcome, Word::Manifest)?;
    }
    Ok(())
}

/// What a device says over DDI of what an action gave it, to the roll-outs that gave it this.
pub(crate) fn claimed(
    then: &Moment<'_>,
    catalogue: &Catalogue,
    device: &Device,
    gives: &BTreeMap<Name, String>,
    outcome: Outcome,
) -> Done {
    let key = device.id.to_string();
    for rollout in &catalogue.rollouts {
        let plan = rollout.plan();
        let place = outcome_key(&plan.name, &key);
        if gives.get(&plan.component) == Some(&plan.image)
            && let Some(Progress::Given { .. }) = load(then, kind::OUTCOME, &place)?
        {
            over(then, rollout, &place, outcome, Word::Ddi)?;
        }
    }
    Ok(())
}

fn over(then: &Moment<'_>, rollout: &Rollout, place: &str, outcome: Outcome, word: Word) -> Done {
    store(then, kind::OUTCOME, place, &Progress::Over(outcome))?;
    let mut heard = rollout.clone();
    match word {
        Word::Manifest => heard.report(outcome),
        Word::Ddi | Word::Begun => heard.report_unsigned(outcome),
    }
    store(then, kind::ROLLOUT, rollout.plan().name.as_str(), &heard)?;
    // Who is told of each report would know who has what.
    if (rollout.state(), rollout.stage()) != (heard.state(), heard.stage()) {
        news(then)?;
    }
    turn(then)
}
