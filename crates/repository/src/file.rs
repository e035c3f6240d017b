//! A file of any role, and what is new in it, in words.

use model::text::printable;
use std::collections::BTreeMap;
use update::tuf::write::{Draft, Key, NotSigned, Signers, Top};
use update::tuf::{BadMetadata, Role, Root, Snapshot, Targets, Timestamp};
use x509::PublicKey;

/// Longest name that is shown.
const SHOWN_MAX: usize = 200;
/// How much of a key identifier or hash tells two of them apart for people.
const SHORT: usize = 16;

/// A metadata file of some role.
#[derive(Clone, Debug)]
pub enum RoleFile {
    /// Of root.
    Root(Draft<Root>),
    /// Of timestamp.
    Timestamp(Draft<Timestamp>),
    /// Of snapshot.
    Snapshot(Draft<Snapshot>),
    /// Of targets, or of a role to which targets are left.
    Targets(Draft<Targets>),
}

impl RoleFile {
    /// Reads a file of whichever role it is.
    ///
    /// # Errors
    /// [`BadMetadata`]: of the role whose `_type` it has, or [`BadMetadata::OtherRole`].
    pub fn read(octets: &[u8]) -> Result<Self, BadMetadata> {
        fn other<R: Role>(read: &Result<Draft<R>, BadMetadata>) -> bool {
            matches!(read, Err(BadMetadata::OtherRole))
        }
        let root = Draft::decode(octets);
        if !other(&root) {
            return root.map(Self::Root);
        }
        let timestamp = Draft::decode(octets);
        if !other(&timestamp) {
            return timestamp.map(Self::Timestamp);
        }
        let snapshot = Draft::decode(octets);
        if !other(&snapshot) {
            return snapshot.map(Self::Snapshot);
        }
        Draft::decode(octets).map(Self::Targets)
    }

    /// The role's type.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Root(_) => Root::TYPE,
            Self::Timestamp(_) => Timestamp::TYPE,
            Self::Snapshot(_) => Snapshot::TYPE,
            Self::Targets(_) => Targets::TYPE,
        }
    }
    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        match self {
            Self::Root(draft) => draft.version(),
            Self::Timestamp(draft) => draft.version(),
            Self::Snapshot(draft) => draft.version(),
            Self::Targets(draft) => draft.version(),
        }
    }
    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> model::UnixTime {
        match self {
            Self::Root(draft) => draft.expires(),
            Self::Timestamp(draft) => draft.expires(),
            Self::Snapshot(draft) => draft.expires(),
            Self::Targets(draft) => draft.expires(),
        }
    }
    /// Its octets.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Root(draft) => draft.write(),
            Self::Timestamp(draft) => draft.write(),
            Self::Snapshot(draft) => draft.write(),
            Self::Targets(draft) => draft.write(),
        }
    }

    /// Adds a signature. Gives the identifier of the key.
    ///
    /// # Errors
    /// As [`Draft::sign`]; [`NotSigned::Metadata`] with [`BadMetadata::NoHash`] never; `None` for a key without a scheme.
    pub fn sign<E>(
        &mut self,
        public: &PublicKey,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Option<Result<String, NotSigned<E>>> {
        let key = Key::new(public)?;
        let signed = match self {
            Self::Root(draft) => draft.sign(&key, sign),
            Self::Timestamp(draft) => draft.sign(&key, sign),
            Self::Snapshot(draft) => draft.sign(&key, sign),
            Self::Targets(draft) => draft.sign(&key, sign),
        };
        Some(signed.map(|()| key.id().to_owned()))
    }

    /// What is said, line by line; beside what was said before, only what is new.
    #[must_use]
    pub fn changes(&self, before: Option<&Self>) -> Vec<String> {
        let mut lines = match (self, before) {
            (Self::Root(now), Some(Self::Root(before))) => differences(&root(now), &root(before)),
            (Self::Snapshot(now), Some(Self::Snapshot(before))) => differences(&snapshot(now), &snapshot(before)),
            (Self::Targets(now), Some(Self::Targets(before))) => differences(&targets(now), &targets(before)),
            (Self::Timestamp(now), Some(Self::Timestamp(before))) => differences(&timestamp(now), &timestamp(before)),
            (Self::Root(now), _) => differences(&root(now), &BTreeMap::new()),
            (Self::Snapshot(now), _) => differences(&snapshot(now), &BTreeMap::new()),
            (Self::Targets(now), _) => differences(&targets(now), &BTreeMap::new()),
            (Self::Timestamp(now), _) => differences(&timestamp(now), &BTreeMap::new()),
        };
        let since = before.map(|before| format!(", after {} until {}", before.version(), before.expires()));
        let since = since.unwrap_or_default();
        lines.insert(0, format!("{}: version {} until {}{since}", self.kind(), self.version(), self.expires()));
        lines
    }
}

/// Each thing that is said, and what of it.
type Said = BTreeMap<String, String>;

fn differences(now: &Said, before: &Said) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, value) in now {
        match before.get(what) {
            None => lines.push(format!("+ {what}: {value}")),
            Some(old) if old != value => lines.push(format!("~ {what}: {value}; it was {old}")),
            Some(_) => {}
        }
    }
    lines.extend(
        before.iter().filter(|(what, _)| !now.contains_key(*what)).map(|(what, old)| format!("- {what}: {old}")),
    );
    lines
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}
fn signers(signers: &Signers) -> String {
    let keys: Vec<&str> = signers.key_ids().iter().map(|id| short(id)).collect();
    format!("{} of the keys {}", signers.threshold(), keys.join(", "))
}

fn root(draft: &Draft<Root>) -> Said {
    let rule = |role: Top| (format!("{} is signed by", role.name()), signers(&Signers::of_top(draft, role)));
    Top::ALL.into_iter().map(rule).collect()
}
fn timestamp(draft: &Draft<Timestamp>) -> Said {
    BTreeMap::from([("snapshot".to_owned(), format!("version {}", draft.snapshot_version()))])
}
fn snapshot(draft: &Draft<Snapshot>) -> Said {
    draft.versions().map(|(role, version)| (printable(role, SHOWN_MAX), format!("version {version}"))).collect()
}
fn targets(draft: &Draft<Targets>) -> Said {
    let target = |listed: update::tuf::write::Listed<'_>| {
        let custom = listed.custom.as_ref().map(|custom| format!(", {}", printable(&custom.json(), 1000)));
        let custom = custom.unwrap_or_default();
        let what = format!("{} octets, hash {}{custom}", listed.length, short(&listed.hashes.naming()));
        (format!("target {}", printable(listed.name, SHOWN_MAX)), what)
    };
    let mut said: Said = draft.targets().map(target).collect();
    for (order, role) in (1..).zip(draft.delegated()) {
        let ends = if role.terminating { ", and nobody after it" } else { "" };
        let part = draft.part_of(&role.name).map(|part| format!(", asked about {}", printable(&part, 1000)));
        let part = part.unwrap_or_default();
        let agree = role.in_agreement_min.map(|min| format!(", {min} of those who are asked together must agree"));
        let agree = agree.unwrap_or_default();
        let what = format!("{}{part}{agree}{ends}; asked as number {order}", signers(&role.signers));
        said.insert(format!("role {}", printable(&role.name, SHOWN_MAX)), what);
    }
    said
}
