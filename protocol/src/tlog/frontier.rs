//! The Merkle frontier of one tenant's log (RFC 6962, section 2.1).

use serde::{Deserialize, Serialize};

use super::{Hash, empty_root, node_hash};

/// The right edge of a growing tree: enough to append and to know the root.
///
/// It holds the roots of the complete subtrees, largest first, at most 64 of them: one for each
/// one-bit of the size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// Builds the frontier of a size from its complete subtrees, largest first; `None` unless
    /// there is one for each one-bit of the size.
    #[must_use]
    pub fn from_subtrees(size: u64, subtrees: Vec<Hash>) -> Option<Self> {
        let wanted = usize::try_from(size.count_ones()).ok()?;
        (subtrees.len() == wanted).then_some(Self { size, subtrees })
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    #[must_use]
    pub fn subtrees(&self) -> &[Hash] {
        &self.subtrees
    }

    /// Takes in the next leaf.
    pub fn append(&mut self, leaf: Hash) {
        self.append_each(leaf, |_, _, _| {});
    }

    /// Takes in the next leaf, and tells of each inner node that it completes: level (leaves are
    /// level 0), index within the level, hash; lowest first.
    pub fn append_each(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, &Hash)) {
        let mut node = leaf;
        let mut index = self.size;
        // Each trailing one-bit of the size is a complete subtree that the new leaf closes.
        for level in 1..=self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                node = node_hash(&left, &node);
            }
            index >>= 1;
            // At most 64 bits can be ones.
            completed(u8::try_from(level).unwrap_or(u8::MAX), index, &node);
        }
        self.subtrees.push(node);
        self.size += 1;
    }

    /// The root hash; of an empty tree, SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut right_to_left = self.subtrees.iter().rev();
        let Some(&last) = right_to_left.next() else {
            return empty_root();
        };
        right_to_left.fold(last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::leaf_hash;

    /// The definition of RFC 6962, section 2.1, word by word.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                node_hash(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    #[test]
    fn the_frontier_has_the_root_that_the_rfc_defines() {
        let leaves: Vec<Hash> = (0_u32..70).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        for size in 0..leaves.len() {
            assert_eq!(
                frontier.root(),
                root_by_definition(&leaves[..size]),
                "size {size}"
            );
            frontier.append(leaves[size]);
        }
    }

    #[test]
    fn the_roots_of_the_certificate_transparency_test_vectors_hold() {
        // Test vectors of RFC 6962 implementations: leaves "", 00, 10, 2021, 3031, …
        let leaves: [&[u8]; 3] = [&[], &[0x00], &[0x10]];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        ];
        let mut frontier = Frontier::default();
        for (leaf, root) in leaves.iter().zip(roots) {
            frontier.append(leaf_hash(leaf));
            assert_eq!(hex::encode(frontier.root()), root);
        }
    }

    #[test]
    fn a_frontier_tells_of_every_inner_node_once_and_is_rebuilt_from_its_subtrees() {
        let leaves: Vec<Hash> = (0_u32..40).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        let mut seen = std::collections::BTreeMap::new();
        for &leaf in &leaves {
            frontier.append_each(leaf, |level, index, hash| {
                assert!(seen.insert((level, index), *hash).is_none());
            });
            let subtrees = frontier.subtrees().to_vec();
            let again = Frontier::from_subtrees(frontier.size(), subtrees.clone());
            assert_eq!(again.as_ref(), Some(&frontier));
            let fewer = subtrees[1..].to_vec();
            assert_eq!(Frontier::from_subtrees(frontier.size(), fewer), None);
        }
        for ((level, index), hash) in &seen {
            let width = 1_usize << level;
            let from = usize::try_from(*index).unwrap() * width;
            assert_eq!(*hash, root_by_definition(&leaves[from..from + width]));
        }
        assert_eq!(seen.len(), 20 + 10 + 5 + 2 + 1);
    }
}
