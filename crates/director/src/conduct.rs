//! The director: who begins it, what is registered, and what a device is told when it asks.

use crate::choice::{Catalogue, Image, Standing};
use crate::ddi::failed_no_more;
use crate::documents::{
    GENERATION, ROLLOUTS, demanded, device, givable, image_named, image_of, kind, load, news, parsed, store,
    store_image, turn,
};
use crate::fault::DirectorFault;
use crate::names::Name;
use crate::privacy::Privacy;
use crate::records::{Assignment, Device, Scope};
use crate::rollout::{Plan, Rollout};
use crate::telling::{Kept, stale};
use adapters::documents::{Documents, Moment};
use model::{DeviceId, DeviceType, UnixTime};
use ports::Signer;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use update::Threshold;
use update::tuf::Root;
use update::tuf::write::{Body, Draft, Key, Signers, Top};
use update::uptane::{Offer, padded};

/// How long what a device was told holds, in seconds: so long it can be kept from the next, at most. After half of it there is a new one.
pub const LIFETIME: u64 = 24 * 3600;

type Done<T = ()> = Result<T, DirectorFault>;

/// A director that was begun, and its key.
pub struct Director {
    pub(crate) documents: Documents,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) privacy: Privacy,
    // What was read of all that may be given, and of which generation it is.
    catalogue: Mutex<Option<(u64, Arc<Catalogue>)>>,
    // Held by who reads a whole image.
    pub(crate) summing: Mutex<()>,
}

impl fmt::Debug for Director {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Director")
    }
}

/// What a director begins with.
#[derive(Clone, Copy)]
pub struct Begun<'a> {
    /// Who signs its root; they sign nothing else, and can be kept elsewhere.
    pub root_keys: &'a [Arc<dyn Signer>],
    /// Until when the root holds.
    pub expires: UnixTime,
}

impl fmt::Debug for Begun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Begun({} keys)", self.root_keys.len())
    }
}

fn root_key(version: u64) -> String {
    format!("{version:020}")
}

impl Director {
    /// Begins a director in a file that has none: its first root assigns all other roles to `signer`.
    ///
    /// # Errors
    /// [`DirectorFault::Begun`], [`DirectorFault::Key`], [`DirectorFault::Documents`]
    pub fn begin(path: &Path, signer: Arc<dyn Signer>, begun: &Begun<'_>) -> Done<Self> {
        let director = Self::with(path, signer)?;
        let online = director.key()?;
        let keys = begun.root_keys.iter().map(|key| Key::new(key.public_key())).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or(DirectorFault::Key("metadata is not signed with keys of this type"))?;
        let all = u8::try_from(keys.len()).ok().and_then(Threshold::new);
        let mut body = Body::<Root>::new(begun.expires);
        body.assign(Top::Root, &keys, all.ok_or(DirectorFault::Key("a root needs 1 to 255 keys"))?);
        for role in [Top::Targets, Top::Snapshot, Top::Timestamp] {
            body.assign(role, std::slice::from_ref(&online), Threshold::ONE);
        }
        let mut draft = body.draft()?;
        for (key, signer) in keys.iter().zip(begun.root_keys) {
            draft.sign(key, |message| signer.sign(message))?;
        }
        director.documents.change(|now| {
            if now.get(kind::ROOT, &root_key(1))?.is_some() {
                return Err(DirectorFault::Begun);
            }
            store(now, kind::STATE, GENERATION, &1_u64)?;
            Ok(now.put(kind::ROOT, &root_key(1), &draft.write())?)
        })?;
        Ok(director)
    }

    /// Opens one that was begun.
    ///
    /// # Errors
    /// [`DirectorFault::NotBegun`]; [`DirectorFault::Key`] if the last root does not know `signer`.
    pub fn open(path: &Path, signer: Arc<dyn Signer>) -> Done<Self> {
        let director = Self::with(path, signer)?;
        director.documents.read(|now| director.knows(&last_root(now)?))?;
        Ok(director)
    }

    fn with(path: &Path, signer: Arc<dyn Signer>) -> Done<Self> {
        let documents = Documents::open(path)?;
        let privacy = Privacy::default();
        Ok(Self { documents, signer, privacy, catalogue: Mutex::default(), summing: Mutex::default() })
    }

    fn key(&self) -> Done<Key> {
        Key::new(self.signer.public_key()).ok_or(DirectorFault::Key("metadata is not signed with keys of this type"))
    }

    // Each role that is signed online must be this key's alone: what needs two signatures cannot be made here.
    fn knows(&self, root: &Draft<Root>) -> Done {
        for role in [Top::Targets, Top::Snapshot, Top::Timestamp] {
            let signers = Signers::of_top(root, role);
            if signers.key(self.signer.public_key()).is_none() || signers.threshold() != 1 {
                return Err(DirectorFault::Key("the root does not assign targets, snapshot and timestamp to it alone"));
            }
        }
        Ok(())
    }

    /// The roots, in octets, by their versions.
    ///
    /// # Errors
    /// [`DirectorFault::Documents`]
    pub fn roots(&self) -> Done<Vec<(u64, Vec<u8>)>> {
        let mut roots = Vec::new();
        self.documents.read(|now| {
            now.each(kind::ROOT, "", |key, octets| {
                roots.push((key.parse().map_err(|_| DirectorFault::Corrupt(kind::ROOT))?, octets.to_vec()));
                Ok::<_, DirectorFault>(())
            })
        })?;
        Ok(roots)
    }

    /// Takes the next root, signed elsewhere by those whom the last one names, and those whom it names itself.
    ///
    /// # Errors
    /// [`DirectorFault::Refused`] if it is not the next one; [`DirectorFault::Root`], [`DirectorFault::Key`]
    pub fn take_root(&self, octets: &[u8]) -> Done<u64> {
        let next = Draft::<Root>::decode(octets)?;
        self.documents.change(|now| {
            let last = last_root(now)?;
            if next.version() != last.version() + 1 {
                let (version, next) = (next.version(), last.version() + 1);
                return Err(DirectorFault::Refused(format!("it is version {version}, and the next one is {next}")));
            }
            Signers::of_top(&last, Top::Root).suffice(&next)?;
            Signers::of_top(&next, Top::Root).suffice(&next)?;
            self.knows(&next)?;
            now.put(kind::ROOT, &root_key(next.version()), octets)?;
            // What was signed under another identifier of the key is signed anew.
            turn(now)?;
            news(now)?;
            Ok(next.version())
        })
    }

    /// Registers a device, in place of what was known of it.
    ///
    /// # Errors
    /// [`DirectorFault::Documents`]
    pub fn register(&self, device: &Device) -> Done {
        self.register_all(std::slice::from_ref(device))
    }

    /// Registers many devices, all of them or none.
    ///
    /// # Errors
    /// [`DirectorFault::Documents`]
    pub fn register_all(&self, devices: &[Device]) -> Done {
        self.documents.change(|now| {
            devices.iter().try_for_each(|device| {
                let key = device.id.to_string();
                stale(now, &key)?;
                store(now, kind::DEVICE, &key, device)
            })
        })
    }

    /// A device.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`]
    pub fn device(&self, id: &DeviceId) -> Done<Device> {
        self.documents.read(|now| device(now, id))
    }

    /// Takes a target of the image repository into the catalogue, as it was verified there.
    ///
    /// # Errors
    /// [`DirectorFault::Refused`] if another one of that name was taken: what was given to devices does not change.
    pub fn take(&self, offer: Offer) -> Done {
        self.documents.change(|now| {
            demanded(now, &offer).and_then(|()| match now.get(kind::IMAGE, offer.name())? {
                // Another role may have signed it meanwhile.
                Some(octets) if image_of(&octets)?.offer.is_same_as(&offer) => {
                    store_image(now, &Image { offer, ..image_of(&octets)? })
                }
                Some(_) => Err(DirectorFault::Refused(format!(
                    "{} is known with other octets, another counter or other hardware",
                    offer.name()
                ))),
                None => {
                    store_image(now, &Image { offer, standing: Standing::Offered })?;
                    turn(now)
                }
            })
        })
    }

    /// Demands that so many roles of the image repository sign what is for this hardware. What is signed by fewer is neither taken nor
    /// assigned from now on.
    ///
    /// # Errors
    /// [`DirectorFault::Documents`]
    pub fn demand(&self, hardware_id: &DeviceType, roles: u64) -> Done {
        self.documents.change(|now| store(now, kind::DEMAND, hardware_id.as_str(), &roles))
    }

    /// Says whether a target may be given from now on. What was recalled is not offered again.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`], [`DirectorFault::Refused`]
    pub fn stand(&self, image: &str, standing: Standing) -> Done {
        self.documents.change(|now| {
            let mut image = image_named(now, image)?;
            if image.standing == Standing::Recalled && standing != Standing::Recalled {
                return Err(DirectorFault::Refused(format!("{} was recalled", image.offer.name())));
            }
            image.standing = standing;
            store_image(now, &image)?;
            news(now)?;
            turn(now)
        })
    }

    /// Assigns a target to a component of one device. One that it could not install, as it said over DDI, it is given again.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`], [`DirectorFault::Refused`] if it is for other hardware, or was recalled.
    pub fn assign_to(&self, id: &DeviceId, component: &Name, image: &str) -> Done {
        self.documents.change(|now| {
            let mut device = device(now, id)?;
            let image = givable(now, image)?;
            let hardware = &device.components.get(component).ok_or(DirectorFault::NotFound("component"))?.hardware_id;
            if !image.offer.hardware_ids().contains(hardware) {
                return Err(DirectorFault::Refused(format!("{} is not for {hardware}", image.offer.name())));
            }
            device.assigned.insert(component.clone(), image.offer.name().to_owned());
            failed_no_more(now, &id.to_string(), component)?;
            stale(now, &id.to_string())?;
            news(now)?;
            store(now, kind::DEVICE, &id.to_string(), &device)
        })
    }

    /// Assigns a target to a component of all devices of a group or type.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`], [`DirectorFault::Refused`] if it was recalled.
    pub fn assign(&self, assignment: &Assignment) -> Done {
        let scope = match &assignment.scope {
            Scope::Group(group) => format!("group/{group}"),
            Scope::Type(device_type) => format!("type/{device_type}"),
        };
        self.documents.change(|now| {
            givable(now, &assignment.image)?;
            store(now, kind::ASSIGNMENT, &format!("{scope}/{}", assignment.component), assignment)?;
            news(now)?;
            turn(now)
        })
    }

    /// Begins a roll-out.
    ///
    /// # Errors
    /// [`DirectorFault::Refused`] if there is one of that name, or its plan is none; [`DirectorFault::NotFound`].
    pub fn roll_out(&self, plan: Plan) -> Done {
        self.documents.change(|now| {
            givable(now, &plan.image)?;
            let name = plan.name.clone();
            if now.get(kind::ROLLOUT, name.as_str())?.is_some() {
                return Err(DirectorFault::Refused(format!("there is a roll-out {name} already")));
            }
            let number: u64 = load(now, kind::STATE, ROLLOUTS)?.unwrap_or(0) + 1;
            let rollout = Rollout::begin(plan, number).map_err(|flaw| DirectorFault::Refused(flaw.to_owned()))?;
            store(now, kind::STATE, ROLLOUTS, &number)?;
            store(now, kind::ROLLOUT, name.as_str(), &rollout)?;
            news(now)?;
            turn(now)
        })
    }

    /// Pauses or resumes a roll-out.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`]; [`DirectorFault::Refused`] if it does not stand so.
    pub fn steer(&self, name: &Name, how: fn(&mut Rollout) -> Result<(), crate::rollout::State>) -> Done<Rollout> {
        self.documents.change(|now| {
            let found: Option<Rollout> = load(now, kind::ROLLOUT, name.as_str())?;
            let mut rollout = found.ok_or(DirectorFault::NotFound("roll-out"))?;
            how(&mut rollout).map_err(|state| DirectorFault::Refused(format!("it is {state:?}").to_lowercase()))?;
            store(now, kind::ROLLOUT, name.as_str(), &rollout)?;
            news(now)?;
            turn(now)?;
            Ok(rollout)
        })
    }

    /// What may be given, and to whom.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn catalogue(&self) -> Done<Arc<Catalogue>> {
        self.documents.read(|now| self.catalogue_at(now))
    }

    pub(crate) fn catalogue_at(&self, now: &Moment<'_>) -> Done<Arc<Catalogue>> {
        let generation: u64 = load(now, kind::STATE, GENERATION)?.unwrap_or(0);
        let mut read = self.catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, catalogue)) = read.as_ref()
            && *of == generation
        {
            return Ok(Arc::clone(catalogue));
        }
        let mut catalogue = Catalogue::default();
        now.each(kind::IMAGE, "", |name, octets| -> Done {
            catalogue.images.insert(name.to_owned(), image_of(octets)?);
            Ok(())
        })?;
        now.each(kind::ASSIGNMENT, "", |_, octets| -> Done {
            catalogue.assignments.push(parsed(kind::ASSIGNMENT, octets)?);
            Ok(())
        })?;
        now.each(kind::ROLLOUT, "", |_, octets| -> Done {
            catalogue.rollouts.push(parsed(kind::ROLLOUT, octets)?);
            Ok(())
        })?;
        let catalogue = Arc::new(catalogue);
        *read = Some((generation, Arc::clone(&catalogue)));
        Ok(catalogue)
    }

    /// A metadata file of a device, by its name in the repository; `None` if there is none.
    ///
    /// # Errors
    /// As [`Director::poll`].
    pub fn file(&self, id: &DeviceId, file: &str, now: UnixTime) -> Done<Option<Vec<u8>>> {
        if file == "timestamp.json" {
            return self.poll(id, now).map(Some);
        }
        let Some((version, role)) = file.split_once('.') else { return Ok(None) };
        // As it is written, and no other way: no sign, no zero in front.
        let Some(version) = version.parse().ok().filter(|n: &u64| n.to_string() == version) else { return Ok(None) };
        self.documents.read(|then| {
            if role == "root.json" {
                return Ok(then.get(kind::ROOT, &root_key(version))?);
            }
            let kept: Option<Kept> = load(then, kind::KEPT, &id.to_string())?;
            let Some(kept) = kept.filter(|kept| kept.version == version) else { return Ok(None) };
            Ok(match role {
                "targets.json" => {
                    let targets = then.get(kind::FILE, &format!("{id}/targets"))?;
                    targets.map(|octets| padded(octets, kept.targets_len))
                }
                "snapshot.json" => then.get(kind::FILE, &format!("{id}/snapshot"))?,
                _ => None,
            })
        })
    }
}

pub(crate) fn last_root(now: &Moment<'_>) -> Done<Draft<Root>> {
    let mut last = None;
    now.each(kind::ROOT, "", |_, octets| -> Done {
        last = Some(octets.to_vec());
        Ok(())
    })?;
    Draft::decode(&last.ok_or(DirectorFault::NotBegun)?).map_err(|_| DirectorFault::Corrupt(kind::ROOT))
}
