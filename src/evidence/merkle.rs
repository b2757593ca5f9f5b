//! The Merkle tree over the log (RFC 6962).
//!
//! Only hashes and counts: where leaves and nodes are kept is somebody else's business. A tree of any size is a list of perfect subtrees,
//! largest first; a proof is a list of ranges of leaves, each the hash of one subtree.

use sha2::{Digest, Sha256};

/// A SHA-256 hash (FIPS 180-4).
pub type Hash = [u8; 32];

/// The hash of a leaf's bytes (RFC 6962 §2.1).
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// The hash of a node with these two below it (RFC 6962 §2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves (RFC 6962 §2.1).
pub fn empty_root() -> Hash {
    Sha256::new().finalize().into()
}

/// A perfect subtree: `2^level` leaves, the `index`th of them counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// How far above the leaves, 0 to 63.
    pub level: u32,
    /// Which of its level, counted from 0.
    pub index: u64,
}

/// How many leaves there are, and the roots of the perfect subtrees that they make, largest first: all that appending needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// How many leaves.
    pub size: u64,
    /// One hash for each bit set in `size`, the highest bit's first.
    pub hashes: Vec<Hash>,
}

impl Edge {
    /// The edge of a tree kept somewhere; none when the number of hashes does not fit the size.
    pub fn of(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        (hashes.len() == size.count_ones() as usize).then_some(Self { size, hashes })
    }

    /// Appends a leaf. `grown` is told of every perfect subtree that it completes, the leaf itself first.
    pub fn push(&mut self, leaf: Hash, mut grown: impl FnMut(Node, Hash)) {
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        grown(node, hash);
        // As in adding 1 to a binary number: each bit that is set carries.
        while self.size >> node.level & 1 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            node = Node { level: node.level + 1, index: node.index / 2 };
            grown(node, hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root (RFC 6962 §2.1).
    pub fn root(&self) -> Hash {
        folded(&self.hashes).unwrap_or_else(empty_root)
    }
}

/// The hash over neighbouring perfect subtrees, largest first; none of nothing.
pub fn folded(hashes: &[Hash]) -> Option<Hash> {
    let mut hashes = hashes.iter().rev();
    let last = *hashes.next()?;
    Some(hashes.fold(last, |right, left| node_hash(left, &right)))
}

/// The perfect subtrees that `from..to` is made of, left to right; `from` must be a multiple of the largest of them, as in every subtree
/// of a proof.
pub fn parts(from: u64, to: u64) -> Vec<Node> {
    let mut parts = Vec::new();
    let mut at = from;
    while at < to {
        let level = (to - at).ilog2().min(if at == 0 { 63 } else { at.trailing_zeros() });
        parts.push(Node { level, index: at >> level });
        at += 1 << level;
    }
    parts
}

/// The leaf ranges whose hashes prove that leaf `index` is in the tree of `size` leaves, from the leaf up (RFC 6962 §2.1.1). Empty when it
/// is not.
pub fn inclusion(index: u64, size: u64) -> Vec<(u64, u64)> {
    if index >= size {
        return Vec::new();
    }
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push((middle, to));
            to = middle;
        } else {
            path.push((from, middle));
            from = middle;
        }
    }
    path.reverse();
    path
}

/// The leaf ranges whose hashes prove that the tree of `old` leaves is the beginning of the one of `new` leaves (RFC 6962 §2.1.2).
pub fn consistency(old: u64, new: u64) -> Vec<(u64, u64)> {
    if old == 0 || old >= new {
        return Vec::new();
    }
    let (mut from, mut to, mut left, mut whole) = (0, new, old, true);
    let mut path = Vec::new();
    loop {
        let size = to - from;
        if left == size {
            if !whole {
                path.push((from, to));
            }
            path.reverse();
            return path;
        }
        let k = split(size);
        if left <= k {
            path.push((from + k, to));
            to = from + k;
        } else {
            path.push((from, from + k));
            from += k;
            left -= k;
            whole = false;
        }
    }
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root that `path` leads to from `leaf` at `index` in a tree of `size` leaves (RFC 9162 §2.1.3.2); none when the path does not fit.
pub fn root_by_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    let ranges = inclusion(index, size);
    if index >= size || ranges.len() != path.len() {
        return None;
    }
    Some(ranges.iter().zip(path).fold(leaf, |hash, ((from, _), other)| if *from > index { node_hash(&hash, other) } else { node_hash(other, &hash) }))
}

/// Whether `path` proves that the tree of `old` leaves with `old_root` is the beginning of the one of `new` leaves with `new_root`
/// (RFC 9162 §2.1.4.2).
pub fn is_consistent(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new || old == 0 {
        return path.is_empty() && (old == 0 && *old_root == empty_root() || old == new && old_root == new_root);
    }
    let ranges = consistency(old, new);
    if ranges.len() != path.len() {
        return false;
    }
    // The subtree that ends where the old tree ends: told when it is not the old tree whole.
    let mut steps = ranges.iter().zip(path);
    let (mut start, mut older, mut newer) = if old.is_power_of_two() {
        (0, *old_root, *old_root)
    } else {
        let Some(((from, _), seed)) = steps.next() else { return false };
        (*from, *seed, *seed)
    };
    for ((from, _), hash) in steps {
        if *from < start {
            older = node_hash(hash, &older);
            newer = node_hash(hash, &newer);
            start = *from;
        } else {
            newer = node_hash(&newer, hash);
        }
    }
    older == *old_root && newer == *new_root
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evidence::canonical::hex;

    /// MTH as RFC 6962 §2.1 writes it down, slowly.
    fn slowly(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let k = split(many.len() as u64) as usize;
                node_hash(&slowly(&many[..k]), &slowly(&many[k..]))
            }
        }
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// The leaves of the test vectors that certificate-transparency's own reference tree uses.
    const REFERENCE: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    #[test]
    fn roots_are_those_of_the_published_reference_tree() {
        let mut edge = Edge::default();
        assert_eq!(hex(&edge.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let mut roots = Vec::new();
        for bytes in REFERENCE {
            edge.push(leaf_hash(bytes), |_, _| {});
            roots.push(hex(&edge.root()));
        }
        assert_eq!(roots[0], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(roots[1], "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        assert_eq!(roots[7], "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn a_growing_edge_has_the_root_of_all_its_leaves_and_finds_it_again() {
        let all = leaves(130);
        let mut edge = Edge::default();
        for (n, leaf) in all.iter().enumerate() {
            edge.push(*leaf, |_, _| {});
            assert_eq!(edge.root(), slowly(&all[..=n]));
            assert_eq!(Edge::of(edge.size, edge.hashes.clone()), Some(edge.clone()));
        }
        assert_eq!(Edge::of(3, vec![]), None);
    }

    #[test]
    fn every_leaf_is_proved_and_no_other_one() {
        for size in 1..=33 {
            let all = leaves(size);
            let root = slowly(&all);
            for index in 0..size {
                let path: Vec<Hash> = inclusion(index, size).iter().map(|(from, to)| slowly(&all[*from as usize..*to as usize])).collect();
                assert_eq!(root_by_inclusion(all[index as usize], index, size, &path), Some(root));
                assert_ne!(root_by_inclusion(all[index as usize], (index + 1) % size, size, &path), Some(root).filter(|_| size > 1));
                assert_ne!(root_by_inclusion(leaf_hash(b"another"), index, size, &path), Some(root));
                assert_eq!(root_by_inclusion(all[0], index, size, &[path.clone(), vec![root]].concat()), None);
            }
            assert_eq!(inclusion(size, size), []);
        }
    }

    #[test]
    fn growth_is_proved_and_a_rewritten_beginning_is_not() {
        for new in 0..=33 {
            let all = leaves(new);
            for old in 0..=new {
                let path: Vec<Hash> = consistency(old, new).iter().map(|(from, to)| slowly(&all[*from as usize..*to as usize])).collect();
                let (old_root, new_root) = (slowly(&all[..old as usize]), slowly(&all));
                assert!(is_consistent(old, &old_root, new, &new_root, &path), "{old} {new}");
                if old > 0 {
                    assert!(!is_consistent(old, &leaf_hash(b"rewritten"), new, &new_root, &path), "{old} {new}");
                    assert!(!is_consistent(old, &old_root, new, &leaf_hash(b"rewritten"), &path), "{old} {new}");
                    assert!(!is_consistent(old, &old_root, new, &new_root, &[path.clone(), vec![old_root]].concat()));
                }
                assert!(!is_consistent(new + 1, &old_root, new, &new_root, &path));
            }
        }
    }

    #[test]
    fn parts_make_their_range() {
        for to in 0..70u64 {
            for from in [0, 32, 64].into_iter().filter(|from| *from <= to) {
                let mut at = from;
                for part in parts(from, to) {
                    assert_eq!(part.index << part.level, at);
                    at += 1 << part.level;
                }
                assert_eq!(at, to);
            }
        }
    }
}
