//! Checking the audit log: every edit, deletion, reordering and cut tail is found, and its place is named.

use crate::store::merkle::{Edge, leaf};
use crate::store::note::Checkpoint;
use model::Digest;
use model::audit::Entry;
use std::collections::HashMap;
use x509::PublicKey;

/// What is wrong with the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The entry at this place is missing: its neighbours are there.
    Gap(u64),
    /// The entry at this place was changed, or another stands there: it is not the one whose hash was stored.
    Changed(u64),
    /// The entry at this place is not one that this program writes.
    Unreadable(u64),
    /// A stored root of a tile was changed: level and index.
    TileRoot(u32, u64),
    /// There is no checkpoint that the log's key signed.
    NoCheckpoint,
    /// The checkpoint counts more entries than there are: the tail was cut off.
    Cut {
        /// Entries that the checkpoint counts.
        signed: u64,
        /// Entries that are there.
        found: u64,
    },
    /// The entries up to the checkpoint are not those that were signed, though all hashes agree with them.
    Forked(u64),
    /// Entries behind the last checkpoint: it is signed in the same transaction, so somebody else wrote them.
    Unsigned(u64),
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gap(n) => write!(f, "entry {n} is missing"),
            Self::Changed(n) => write!(f, "entry {n} was changed, or another entry was put in its place"),
            Self::Unreadable(n) => write!(f, "entry {n} cannot be read"),
            Self::TileRoot(level, n) => write!(f, "stored hash {n} of level {level} was changed"),
            Self::NoCheckpoint => f.write_str("no checkpoint carries a valid signature of the log's key"),
            Self::Cut { signed, found } => {
                write!(f, "the tail was cut off: {signed} entries were signed, {found} are there")
            }
            Self::Forked(n) => write!(f, "the first {n} entries are not those that were signed"),
            Self::Unsigned(n) => write!(f, "the entries from {n} on are not signed"),
        }
    }
}

/// What was found in a log that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Number of entries.
    pub size: u64,
    /// Hash of the tree over them.
    pub root: Digest,
}

/// Checks a log while it is read from its beginning.
#[derive(Debug)]
pub struct Check {
    edge: Edge,
    next: u64,
    findings: Vec<Finding>,
    signed: Vec<Signed>,
    roots: HashMap<(u32, u64), Digest>,
}

// A checkpoint, and the root that the entries give at its size.
#[derive(Debug)]
struct Signed {
    checkpoint: Checkpoint,
    root: Option<Digest>,
    own: bool,
}

/// Most findings that are kept: who edits a log edits it in one place, and a list of a million helps nobody.
const FINDINGS_MAX: usize = 100;

impl Check {
    /// Begins. `own` is the log's last checkpoint, `kept` are checkpoints that were kept elsewhere, `roots` the stored
    /// roots of tiles.
    #[must_use]
    pub fn new(own: &str, kept: &[String], roots: HashMap<(u32, u64), Digest>, key: &PublicKey) -> Self {
        let mut check = Self { edge: Edge::default(), next: 0, findings: Vec::new(), signed: Vec::new(), roots };
        let notes = kept.iter().map(|note| (note.as_str(), false)).chain([(own, true)]);
        for (note, own) in notes {
            match Checkpoint::verify(note, key) {
                Some(checkpoint) => check.signed.push(Signed { checkpoint, root: None, own }),
                None => check.find(Finding::NoCheckpoint),
            }
        }
        check.note_root();
        check
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    fn note_root(&mut self) {
        for signed in &mut self.signed {
            if signed.checkpoint.size == self.edge.size() {
                signed.root = Some(self.edge.root());
            }
        }
    }

    /// Takes the next entry in the order of its number, and the hash that is stored beside it.
    pub fn entry(&mut self, number: u64, octets: &[u8], stored: Option<Digest>) {
        for missing in (self.next..number).take(FINDINGS_MAX) {
            self.find(Finding::Gap(missing));
        }
        self.next = number + 1;
        let hash = leaf(octets);
        if stored != Some(hash) {
            self.find(Finding::Changed(number));
        } else if serde_json::from_slice::<Entry>(octets).is_err() {
            self.find(Finding::Unreadable(number));
        }
        let whole_so_far = self.findings.is_empty();
        for root in self.edge.push(hash) {
            // Behind a gap or a change every root differs, and says nothing new.
            if self.roots.remove(&(root.level, root.index)) != Some(root.hash) && whole_so_far {
                self.find(Finding::TileRoot(root.level, root.index));
            }
        }
        self.note_root();
    }

    /// Ends.
    ///
    /// # Errors
    /// What was found, in the order of the log.
    pub fn finish(mut self) -> Result<Sound, Vec<Finding>> {
        let size = self.edge.size();
        let left_over = self.roots.keys().min().copied();
        if let Some((level, index)) = left_over.filter(|_| self.findings.is_empty()) {
            self.find(Finding::TileRoot(level, index));
        }
        for Signed { checkpoint, root, own } in std::mem::take(&mut self.signed) {
            match root {
                None => self.find(Finding::Cut { signed: checkpoint.size, found: size }),
                // Where the place is known already, the root only repeats it.
                Some(root) if root != checkpoint.root && self.findings.is_empty() => {
                    self.find(Finding::Forked(checkpoint.size));
                }
                Some(_) if own && checkpoint.size < size && self.findings.is_empty() => {
                    self.find(Finding::Unsigned(checkpoint.size));
                }
                Some(_) => {}
            }
        }
        if self.findings.is_empty() { Ok(Sound { size, root: self.edge.root() }) } else { Err(self.findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::memory::MemoryKey;
    use ports::Signer;

    struct Log {
        key: MemoryKey,
        entries: Vec<(u64, Vec<u8>, Digest)>,
        own: String,
        roots: HashMap<(u32, u64), Digest>,
    }

    fn log(n: u64) -> Log {
        let key = MemoryKey::generate(x509::KeyType::Ed25519);
        let mut edge = Edge::default();
        let mut roots = HashMap::new();
        let entries = (0..n)
            .map(|i| {
                let octets = format!(r#"{{"at":{i},"by":"authority","event":{{"repaired":{{"what":"x"}}}}}}"#);
                let octets = octets.into_bytes();
                roots.extend(edge.push(leaf(&octets)).into_iter().map(|r| ((r.level, r.index), r.hash)));
                (i, octets.clone(), leaf(&octets))
            })
            .collect();
        let own = Checkpoint { origin: "test".into(), size: n, root: edge.root(), mode: None }.sign(&key).unwrap();
        Log { key, entries, own, roots }
    }

    #[track_caller]
    fn check(log: Log, kept: &[String], expected: Result<u64, &[Finding]>) {
        let mut check = Check::new(&log.own, kept, log.roots, log.key.public_key());
        for (number, octets, stored) in &log.entries {
            check.entry(*number, octets, Some(*stored));
        }
        let found = check.finish().map(|sound| sound.size);
        assert_eq!(found.as_ref().map_err(Vec::as_slice), expected.as_ref().map_err(|f| *f));
    }
    #[track_caller]
    fn after(change: impl FnOnce(&mut Log), expected: &[Finding]) {
        let mut log = log(600);
        change(&mut log);
        check(log, &[], Err(expected));
    }

    #[test]
    fn a_sound_log() {
        check(log(600), &[], Ok(600));
        check(log(0), &[], Ok(0));
    }
    #[test]
    fn a_sound_log_with_an_older_checkpoint() {
        let log = log(600);
        let root = crate::store::merkle::root_of(&log.entries[..300].iter().map(|e| e.2).collect::<Vec<_>>());
        let kept = Checkpoint { origin: "test".into(), size: 300, root, mode: None }.sign(&log.key).unwrap();
        check(log, &[kept], Ok(600));
    }
    #[test]
    fn an_edited_entry() {
        after(|log| log.entries[7].1[6] = b'8', &[Finding::Changed(7)]);
    }
    #[test]
    fn an_edited_entry_with_its_hash() {
        let edit = |log: &mut Log| {
            log.entries[599].1[6] = b'9';
            log.entries[599].2 = leaf(&log.entries[599].1);
        };
        after(edit, &[Finding::Forked(600)]);
    }
    #[test]
    fn an_edited_entry_with_its_hash_below_a_full_tile() {
        let edit = |log: &mut Log| {
            log.entries[7].1[6] = b'8';
            log.entries[7].2 = leaf(&log.entries[7].1);
        };
        after(edit, &[Finding::TileRoot(1, 0)]);
    }
    #[test]
    fn a_deleted_entry() {
        after(|log| drop(log.entries.remove(7)), &[Finding::Gap(7), Finding::Cut { signed: 600, found: 599 }]);
    }
    #[test]
    fn a_deleted_entry_with_the_others_moved_up() {
        let edit = |log: &mut Log| {
            log.entries.remove(598);
            log.entries[598].0 = 598;
        };
        after(edit, &[Finding::Cut { signed: 600, found: 599 }]);
    }
    #[test]
    fn swapped_entries() {
        let edit = |log: &mut Log| {
            let octets = log.entries[3].1.clone();
            log.entries[3].1 = std::mem::replace(&mut log.entries[5].1, octets);
        };
        after(edit, &[Finding::Changed(3), Finding::Changed(5)]);
    }
    #[test]
    fn a_cut_tail() {
        after(|log| log.entries.truncate(599), &[Finding::Cut { signed: 600, found: 599 }]);
    }
    #[test]
    fn an_added_entry() {
        let edit = |log: &mut Log| {
            let (_, octets, hash) = log.entries[0].clone();
            log.entries.push((600, octets, hash));
        };
        after(edit, &[Finding::Unsigned(600)]);
    }
    #[test]
    fn a_checkpoint_of_another_key() {
        after(|log| log.key = MemoryKey::generate(x509::KeyType::Ed25519), &[Finding::NoCheckpoint]);
    }
    #[test]
    fn a_log_that_was_cut_and_signed_again_is_found_by_a_kept_checkpoint() {
        let longer = log(600);
        let mut shorter = log(500);
        shorter.own = Checkpoint {
            mode: None,
            origin: "test".into(),
            size: 500,
            root: crate::store::merkle::root_of(&shorter.entries.iter().map(|e| e.2).collect::<Vec<_>>()),
        }
        .sign(&longer.key)
        .unwrap();
        shorter.key = longer.key;
        check(shorter, &[longer.own], Err(&[Finding::Cut { signed: 600, found: 500 }]));
    }
}
