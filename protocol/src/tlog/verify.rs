//! Verifying proofs (RFC 9162, sections 2.1.3.2 and 2.1.4.2, for the hashing of RFC 6962).

use super::{CONSISTENCY_HASHES_MAX, Hash, PATH_HASHES_MAX, TlogError, empty_root, node_hash};

/// Says whether a leaf (index, hash) is in a tree (size, root).
///
/// # Errors
/// [`TlogError::Path`] when the path does not prove it.
pub fn verify_inclusion(
    (index, leaf): (u64, Hash),
    (size, root): (u64, Hash),
    path: &[Hash],
) -> Result<(), TlogError> {
    if index >= size || path.len() > PATH_HASHES_MAX {
        return Err(TlogError::Path);
    }
    let mut climb = Climb::new(index, size - 1);
    let mut found = leaf;
    for sibling in path {
        found = match climb.step()? {
            Side::Left => node_hash(sibling, &found),
            Side::Right => node_hash(&found, sibling),
        };
    }
    if climb.is_done() && found == root {
        Ok(())
    } else {
        Err(TlogError::Path)
    }
}

/// Says whether a tree (size, root) begins with an earlier one: nothing in between was changed,
/// moved or dropped.
///
/// # Errors
/// [`TlogError::Path`] when the path does not prove it.
pub fn verify_consistency(
    (from, from_root): (u64, Hash),
    (to, to_root): (u64, Hash),
    path: &[Hash],
) -> Result<(), TlogError> {
    let same = |holds: bool| if holds { Ok(()) } else { Err(TlogError::Path) };
    if from > to || path.len() > CONSISTENCY_HASHES_MAX {
        return Err(TlogError::Path);
    }
    if from == 0 {
        return same(path.is_empty() && from_root == empty_root());
    }
    if from == to {
        return same(path.is_empty() && from_root == to_root);
    }
    // An old tree that is one complete subtree is its own first hash.
    let (first, rest) = if from.is_power_of_two() {
        (from_root, path)
    } else {
        let (first, rest) = path.split_first().ok_or(TlogError::Path)?;
        (*first, rest)
    };
    let mut climb = Climb::new(from - 1, to - 1);
    climb.leave_lone_right_edges();
    let (mut old, mut new) = (first, first);
    for sibling in rest {
        match climb.step()? {
            Side::Left => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            Side::Right => new = node_hash(&new, sibling),
        }
    }
    same(climb.is_done() && old == from_root && new == to_root)
}

/// On which side the next hash of a path stands.
enum Side {
    Left,
    Right,
}

/// The way from a node up to the root: `node` and `last` are indexes within the same level, `last`
/// that of the level's last node.
struct Climb {
    node: u64,
    last: u64,
}

impl Climb {
    const fn new(node: u64, last: u64) -> Self {
        Self { node, last }
    }

    /// Goes one hash up.
    const fn step(&mut self) -> Result<Side, TlogError> {
        if self.last == 0 {
            return Err(TlogError::Path);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // The last node of a level has no sibling until it is a right child.
            while self.node & 1 == 0 && self.node != 0 {
                self.up();
            }
            Side::Left
        } else {
            Side::Right
        };
        self.up();
        Ok(side)
    }

    /// Goes up as long as the node is a right child: that subtree belongs to both trees.
    const fn leave_lone_right_edges(&mut self) {
        while self.node & 1 == 1 {
            self.up();
        }
    }

    const fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    const fn is_done(&self) -> bool {
        self.last == 0
    }
}
