//! Documents of the director: under which kinds they stand, and how they are read.

use crate::choice::{Image, Standing};
use crate::fault::DirectorFault;
use crate::records::Device;
use adapters::documents::Moment;
use model::DeviceId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use update::uptane::Offer;

type Done<T = ()> = Result<T, DirectorFault>;

/// Under which kinds documents stand.
pub(crate) mod kind {
    pub(crate) const STATE: &str = "state";
    pub(crate) const ROOT: &str = "root";
    pub(crate) const DEVICE: &str = "device";
    pub(crate) const IMAGE: &str = "image";
    pub(crate) const ASSIGNMENT: &str = "assignment";
    pub(crate) const ROLLOUT: &str = "rollout";
    pub(crate) const KEPT: &str = "kept";
    pub(crate) const FILE: &str = "file";
    pub(crate) const HAS: &str = "has";
    pub(crate) const NONCE: &str = "nonce";
    pub(crate) const LEDGER: &str = "ledger";
    pub(crate) const OUTCOME: &str = "outcome";
    /// How devices of a type are served.
    pub(crate) const TYPE: &str = "type";
    /// What devices that are served over DDI were told, and said: nothing of it is signed.
    pub(crate) const DDI: &str = "ddi";
    /// How many roles of the image repository must sign what is for this hardware.
    pub(crate) const DEMAND: &str = "demand";
    /// The keys that sign reports of a box, and its reports.
    pub(crate) const REPORTERS: &str = "reporters";
    pub(crate) const REPORT: &str = "report";
    /// Who is told that something has changed.
    pub(crate) const SUBSCRIBER: &str = "subscriber";
    /// The SHA-1 of files, by their SHA-256.
    pub(crate) const SHA1: &str = "sha1";
}

pub(crate) fn load<T: DeserializeOwned>(now: &Moment<'_>, kind: &'static str, key: &str) -> Done<Option<T>> {
    now.get(kind, key)?.map(|octets| parsed(kind, &octets)).transpose()
}
pub(crate) fn parsed<T: DeserializeOwned>(kind: &'static str, octets: &[u8]) -> Done<T> {
    serde_json::from_slice(octets).map_err(|_| DirectorFault::Corrupt(kind))
}
pub(crate) fn store<T: Serialize>(now: &Moment<'_>, kind: &'static str, key: &str, value: &T) -> Done {
    let octets = serde_json::to_vec(value).map_err(|_| DirectorFault::Corrupt(kind))?;
    Ok(now.put(kind, key, &octets)?)
}

/// A document of an image: the offer is kept as its own text.
#[derive(Serialize, Deserialize)]
struct ImageDocument {
    offer: String,
    standing: Standing,
}

pub(crate) fn image_of(octets: &[u8]) -> Done<Image> {
    let document: ImageDocument = parsed(kind::IMAGE, octets)?;
    let offer = Offer::kept(document.offer.as_bytes()).map_err(|_| DirectorFault::Corrupt(kind::IMAGE))?;
    Ok(Image { offer, standing: document.standing })
}
pub(crate) fn store_image(now: &Moment<'_>, image: &Image) -> Done {
    let offer = String::from_utf8(image.offer.keep()).map_err(|_| DirectorFault::Corrupt(kind::IMAGE))?;
    store(now, kind::IMAGE, image.offer.name(), &ImageDocument { offer, standing: image.standing })
}

pub(crate) const GENERATION: &str = "generation";
pub(crate) const ROLLOUTS: &str = "rollouts";
/// To which key devices seal, and how long what they are told is made.
pub(crate) const ANNOUNCED: &str = "announced";

/// How often something has changed of which others are told.
pub(crate) const NEWS: &str = "news";

/// Something has changed of which others are told: that it has, and not what.
pub(crate) fn news(now: &Moment<'_>) -> Done {
    let number: u64 = load(now, kind::STATE, NEWS)?.unwrap_or(0);
    store(now, kind::STATE, NEWS, &(number + 1))
}

/// What may be given has changed: whoever asks next is told anew.
pub(crate) fn turn(now: &Moment<'_>) -> Done {
    let generation: u64 = load(now, kind::STATE, GENERATION)?.unwrap_or(0);
    store(now, kind::STATE, GENERATION, &(generation + 1))
}

pub(crate) fn device(now: &Moment<'_>, id: &DeviceId) -> Done<Device> {
    load(now, kind::DEVICE, &id.to_string())?.ok_or(DirectorFault::NotFound("device"))
}

pub(crate) fn image_named(now: &Moment<'_>, name: &str) -> Done<Image> {
    image_of(
        &now.get(kind::IMAGE, name)?
            .ok_or(DirectorFault::NotFound("target; take it from the image repository first"))?,
    )
}

/// Whether as many roles of the image repository sign a target as is demanded of what is for its hardware.
pub(crate) fn demanded(now: &Moment<'_>, offer: &Offer) -> Done {
    for hardware_id in offer.hardware_ids() {
        let demand: u64 = load(now, kind::DEMAND, hardware_id.as_str())?.unwrap_or(1);
        if offer.agreeing() < demand {
            let (name, said) = (offer.name(), offer.agreeing());
            let why =
                format!("{name} is signed by {said} roles of the image repository, and {hardware_id} demands {demand}");
            return Err(DirectorFault::Refused(why));
        }
    }
    Ok(())
}

pub(crate) fn givable(now: &Moment<'_>, name: &str) -> Done<Image> {
    let image = image_named(now, name)?;
    demanded(now, &image.offer)?;
    match image.standing {
        Standing::Offered => Ok(image),
        Standing::Deprecated => Err(DirectorFault::Refused(format!("{name} is deprecated"))),
        Standing::Recalled => Err(DirectorFault::Refused(format!("{name} was recalled"))),
    }
}
