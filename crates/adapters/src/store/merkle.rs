//! The Merkle tree over the audit log.
//! Source: RFC 6962 §2.1; tiles as in C2SP tlog-tiles.

use model::Digest;

/// Hashes in a full tile. Source: C2SP tlog-tiles ("Merkle Tree").
pub const TILE: usize = 256;
/// Height of a tile: 2^8 hashes.
pub const TILE_HEIGHT: u32 = 8;

/// The octet before an entry that is hashed.
pub const LEAF: u8 = 0;
/// The octet before two hashes that are hashed.
const NODE: u8 = 1;

/// The hash of an entry.
#[must_use]
pub fn leaf(entry: &[u8]) -> Digest {
    x509::sha256_of_parts([&[LEAF], entry].into_iter())
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let mut octets = [NODE; 1 + 2 * Digest::LEN];
    let halves = left.octets().iter().chain(right.octets());
    octets.iter_mut().skip(1).zip(halves).for_each(|(to, from)| *to = *from);
    x509::sha256(&octets)
}

/// The right edge of a growing tree: the roots of its largest full subtrees, from left to right.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    subtrees: Vec<Digest>,
}

/// The root of a full tile, which is a hash in the tile above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileRoot {
    /// The level of the tile that it is a hash in: 1 for the roots of tiles of leaves.
    pub level: u32,
    /// Counted from the left, in its level.
    pub index: u64,
    /// The hash.
    pub hash: Digest,
}

impl Edge {
    /// Number of entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of an entry. Gives the roots of the tiles that became full.
    pub fn push(&mut self, leaf: Digest) -> Vec<TileRoot> {
        self.push_subtree(0, leaf)
    }

    /// Appends the root of a full tile of `level - 1`, where the tree so far consists of such and larger ones only. So
    /// a tree is put together again from the hashes of its right edge.
    pub fn push_subtree(&mut self, level: u32, root: Digest) -> Vec<TileRoot> {
        let mut roots = Vec::new();
        let (mut hash, mut height) = (root, level * TILE_HEIGHT);
        let leaves = 1_u64 << height;
        // Each bit that is set in the size is a full subtree; a carry merges two of them.
        while self.size >> height & 1 == 1 {
            let Some(left) = self.subtrees.pop() else { unreachable!("a subtree for each bit of the size") };
            hash = node(&left, &hash);
            height += 1;
            if height.is_multiple_of(TILE_HEIGHT) {
                // Before this subtree is counted, the size in units of it is its index.
                roots.push(TileRoot { level: height / TILE_HEIGHT, index: self.size >> height, hash });
            }
        }
        self.subtrees.push(hash);
        self.size += leaves;
        roots
    }

    /// The hash of the whole tree. That of an empty tree is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut from_right = self.subtrees.iter().rev();
        let Some(last) = from_right.next() else { return x509::sha256(&[]) };
        from_right.fold(*last, |right, left| node(left, &right))
    }
}

/// The hash of the tree over these leaves, computed in the other direction: top down. For checking and for proofs.
#[must_use]
pub fn root_of(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => x509::sha256(&[]),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root_of(left), &root_of(right))
        }
    }
}

// The largest power of two below n. Source: RFC 6962 §2.1.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// The hashes that lead from a leaf to the root. Source: RFC 6962 §2.1.1.
#[must_use]
pub fn inclusion(leaves: &[Digest], index: usize) -> Vec<Digest> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut path, other) = if index < at {
        (inclusion(left, index), root_of(right))
    } else {
        (inclusion(right, index - at), root_of(left))
    };
    path.push(other);
    path
}

/// Whether a leaf is in the tree of that size and root. Source: RFC 9162 §2.1.3.2.
#[must_use]
pub fn includes(leaf: Digest, index: u64, size: u64, path: &[Digest], root: &Digest) -> bool {
    let (mut n, mut last) = (index, size.wrapping_sub(1));
    let mut hash = leaf;
    for other in path {
        if last == 0 {
            return false;
        }
        if n & 1 == 1 || n == last {
            hash = node(other, &hash);
            while n & 1 == 0 && n != 0 {
                n >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, other);
        }
        n >>= 1;
        last >>= 1;
    }
    index < size && last == 0 && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: usize) -> Vec<Digest> {
        (0..n).map(|i| leaf(&i.to_be_bytes())).collect()
    }

    #[test]
    fn growing_and_looking_back_give_the_same_root() {
        let leaves = leaves(700);
        let mut edge = Edge::default();
        for (n, leaf) in leaves.iter().enumerate() {
            assert_eq!(edge.root(), root_of(&leaves[..n]), "{n}");
            edge.push(*leaf);
        }
    }
    #[test]
    fn roots_of_tiles_are_given_in_order() {
        let leaves = leaves(TILE * TILE + TILE);
        let mut edge = Edge::default();
        let roots: Vec<_> = leaves.iter().flat_map(|leaf| edge.push(*leaf)).collect();
        let first: Vec<_> = roots.iter().filter(|r| r.level == 1).collect();
        assert_eq!(first.len(), TILE + 1);
        for (n, root) in first.iter().enumerate() {
            assert_eq!(root.index, u64::try_from(n).unwrap());
            assert_eq!(root.hash, root_of(&leaves[n * TILE..(n + 1) * TILE]));
        }
        let second: Vec<_> = roots.iter().filter(|r| r.level == 2).collect();
        assert_eq!(second.len(), 1);
        assert_eq!((second[0].index, second[0].hash), (0, root_of(&leaves[..TILE * TILE])));
    }
    #[test]
    fn a_tree_is_put_together_from_its_edge() {
        let leaves = leaves(TILE * 3 + 5);
        let mut grown = Edge::default();
        let roots: Vec<_> = leaves.iter().flat_map(|leaf| grown.push(*leaf)).collect();
        let mut restored = Edge::default();
        for root in roots {
            restored.push_subtree(1, root.hash);
        }
        for leaf in &leaves[TILE * 3..] {
            restored.push(*leaf);
        }
        assert_eq!((restored.size(), restored.root()), (grown.size(), grown.root()));
    }
    #[test]
    fn every_leaf_is_proved_and_no_other() {
        for size in [1, 2, 3, 5, 8, 13, 64, 65] {
            let leaves = leaves(size);
            let root = root_of(&leaves);
            for index in 0..size {
                let path = inclusion(&leaves, index);
                let (at, of) = (u64::try_from(index).unwrap(), u64::try_from(size).unwrap());
                assert!(includes(leaves[index], at, of, &path, &root));
                assert!(!includes(leaf(b"other"), at, of, &path, &root));
                assert!(!includes(leaves[index], at, of, &path, &leaf(b"other")));
                assert!(size == 1 || !includes(leaves[index], (at + 1) % of, of, &path, &root));
                assert!(!includes(leaves[index], of, of, &path, &root));
            }
        }
    }
    #[test]
    fn the_published_example() {
        // RFC 6962's own test vectors as the Certificate Transparency project publishes them.
        let entries: [&[u8]; 3] = [b"", b"\x00", b"\x10"];
        let leaves: Vec<_> = entries.iter().map(|e| leaf(e)).collect();
        assert_eq!(leaves[0].to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(
            root_of(&leaves[..2]).to_string(),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
        assert_eq!(root_of(&leaves).to_string(), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
    }
}
