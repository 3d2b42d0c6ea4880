//! The Merkle frontier of one tenant's log (RFC 6962, section 2.1).
//!
//! A leaf is exactly an envelope's bytes, its index is seq - 1. State keeps only the frontier: the
//! roots of the complete subtrees, largest first, at most 64 of them; leaf hashes stand in the
//! segments' indexes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 node of the tree.
pub type Hash = [u8; 32];

/// Hashes one leaf: SHA-256(0x00 ‖ bytes).
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([LEAF])
        .chain_update(bytes)
        .finalize()
        .into()
}

/// Hashes two subtrees: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([NODE])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The right edge of a growing tree: enough to append and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes in the next leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each trailing one-bit of the size is a complete subtree that the new leaf closes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.subtrees.push(node);
        self.size += 1;
    }

    /// The root hash; of an empty tree, SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut right_to_left = self.subtrees.iter().rev();
        let Some(&last) = right_to_left.next() else {
            return Sha256::digest([]).into();
        };
        right_to_left.fold(last, |right, left| node_hash(left, &right))
    }
}

/// The root of the first `size` leaves, from complete subtrees: `node(level, index)` is the root of
/// the leaves `index << level ..(index + 1) << level`.
///
/// # Errors
/// Whatever `node` says.
pub fn root<E>(size: u64, node: &mut impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    if size == 0 {
        return Ok(Sha256::digest([]).into());
    }
    subtree(0, size, node)
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves (RFC 6962, section 2.1.1);
/// `index` is less than `size`.
///
/// # Errors
/// Whatever `node` says.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut begin, mut end) = (0, size);
    let mut path = Vec::new();
    while end - begin > 1 {
        let split = begin + split(end - begin);
        if index < split {
            path.push(subtree(split, end, node)?);
            end = split;
        } else {
            path.push(subtree(begin, split, node)?);
            begin = split;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `from` leaves is a beginning of the tree of `to` (RFC 6962, section
/// 2.1.2); `from` is not more than `to`.
///
/// # Errors
/// Whatever `node` says.
pub fn consistency<E>(
    from: u64,
    to: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    if from == 0 || from == to {
        return Ok(proof);
    }
    let (mut begin, mut end) = (0, to);
    // The old tree is known to whoever asks, unless it is only the left part of what is left.
    while end != from {
        let split = begin + split(end - begin);
        if from <= split {
            proof.push(subtree(split, end, node)?);
            end = split;
        } else {
            proof.push(subtree(begin, split, node)?);
            begin = split;
        }
    }
    if begin > 0 {
        proof.push(subtree(begin, end, node)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root of the leaves `begin..end`, which begin where a subtree of that size does.
fn subtree<E>(
    begin: u64,
    end: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let leaves = end - begin;
    if leaves.is_power_of_two() {
        let level = u8::try_from(leaves.trailing_zeros()).unwrap_or(u8::MAX);
        return node(level, begin / leaves);
    }
    let split = begin + split(leaves);
    let left = subtree(begin, split, node)?;
    Ok(node_hash(&left, &subtree(split, end, node)?))
}

/// The largest power of two below `leaves`, which is at least 2.
const fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// Domain separation of leaves (RFC 6962, section 2.1).
const LEAF: u8 = 0;

/// Domain separation of inner nodes (RFC 6962, section 2.1).
const NODE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, section 2.1, word by word.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
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
}
