//! The maker of the software: an image repository in memory, with one release, which the box of every world follows.

use crate::keys::key;
use crate::template::{OrStuck, Stuck};
use model::contract::software::Source;
use model::{DeviceType, Fault, UnixTime};
use ports::Signer;
use ports::source::{Files, NotFetched, Repositories, Sources};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;
use update::tuf::write::{Body, Custom, Key, Top};
use update::tuf::{Role, Root, Snapshot, Targets, Timestamp};
use update::{Image, Threshold};

/// The software on all boards.
const IMAGE: &[u8] = b"an image that does nothing, and does it well";

/// What is published, by the paths under which it is found.
#[derive(Clone)]
pub(crate) struct Upstream {
    files: Arc<BTreeMap<String, Vec<u8>>>,
}

impl Upstream {
    /// Publishes the release for a type of boards, until then.
    pub(crate) fn publish(device_type: &DeviceType, expires: UnixTime) -> Result<Self, Stuck> {
        let maker = key("maker").or_stuck("the maker's key")?;
        let public =
            Key::new(maker.public_key()).ok_or_else(|| Stuck("TUF has no scheme for the maker's key".into()))?;
        let mut root = Body::<Root>::new(expires);
        Top::ALL.into_iter().for_each(|role| root.assign(role, std::slice::from_ref(&public), Threshold::ONE));
        let image = Image::measure(&mut Cursor::new(IMAGE)).or_stuck("the image")?;
        let said = serde_json::json!({
            "release": "image", "release_version": "1", "release_counter": 1, "hardware_ids": [device_type],
        });
        let custom = Custom::of_json(said.to_string().as_bytes()).or_stuck("what is said of the image")?;
        let mut targets = Body::<Targets>::new(expires);
        targets.set_target("image.bin", image, Some(&custom)).or_stuck("the target")?;
        let targets = signed(targets, &public, maker.as_ref())?;
        let mut snapshot = Body::<Snapshot>::new(expires);
        snapshot.set("targets", 1, Some(&targets));
        let snapshot = signed(snapshot, &public, maker.as_ref())?;
        let timestamp = Body::<Timestamp>::new(expires, 1, &snapshot);
        let files = [
            ("1.root.json".to_owned(), signed(root, &public, maker.as_ref())?),
            ("timestamp.json".to_owned(), signed(timestamp, &public, maker.as_ref())?),
            ("1.snapshot.json".to_owned(), snapshot),
            ("1.targets.json".to_owned(), targets),
            (format!("{}.image.bin", image.digest), IMAGE.to_vec()),
        ];
        Ok(Self { files: Arc::new(files.into()) })
    }

    /// The first root: from there on the box believes.
    pub(crate) fn first_root(&self) -> Vec<u8> {
        self.files.get("1.root.json").cloned().unwrap_or_default()
    }
}

fn signed<R: Role>(body: Body<R>, public: &Key, by: &dyn Signer) -> Result<Vec<u8>, Stuck> {
    let mut draft = body.draft().or_stuck("writing metadata")?;
    draft.sign(public, |octets| by.sign(octets)).or_stuck("signing metadata")?;
    Ok(draft.write())
}

impl Files for Upstream {
    fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        let octets = self.files.get(path).ok_or(NotFetched::NotThere)?;
        let fits = u64::try_from(octets.len()).is_ok_and(|len| len <= len_max);
        if fits { Ok(octets.clone()) } else { Err(NotFetched::TooLong) }
    }
    fn open(&self, path: &str, len_max: u64) -> Result<Box<dyn Read + Send>, NotFetched> {
        Ok(Box::new(Cursor::new(self.fetch(path, len_max)?)))
    }
}

impl Sources for Upstream {
    fn open(&self, _: &Source) -> Result<Repositories, Fault> {
        Ok(Repositories { images: Box::new(self.clone()), targets: Box::new(self.clone()), director: None })
    }
}
