//! Making proofs out of complete subtrees (RFC 6962, sections 2.1.1 and 2.1.2).
//!
//! The source is asked for complete subtrees only: level and index name the leaves
//! `index << level` up to `(index + 1) << level`. Nothing complete is asked for twice, and a tree
//! of 2^n leaves costs at most 2n questions.

use super::{Hash, empty_root, node_hash};

/// The root of the first `size` leaves.
///
/// # Errors
/// Only what the source refuses.
pub fn root<E>(size: u64, subtree: &mut impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    range_root(0, size, subtree)
}

/// The inclusion proof of the leaf `index` in the tree of `size`, the leaf's sibling first.
///
/// Empty for an index outside the tree: such a proof verifies nothing.
///
/// # Errors
/// Only what the source refuses.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    subtree: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    if index >= size {
        return Ok(path);
    }
    let (mut from, mut len) = (0, size);
    while len > 1 {
        let left = split(len);
        if index < from + left {
            path.push(range_root(from + left, len - left, subtree)?);
            len = left;
        } else {
            path.push(range_root(from, left, subtree)?);
            from += left;
            len -= left;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `to` leaves begins with the tree of `from` leaves.
///
/// Empty where there is nothing to prove (`from` is 0 or `to`) or nothing that could be (`from` is
/// larger).
///
/// # Errors
/// Only what the source refuses.
pub fn consistency<E>(
    from: u64,
    to: u64,
    subtree: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    if from == 0 || from >= to {
        return Ok(path);
    }
    let (mut start, mut len, mut old) = (0, to, from);
    while old < len {
        let left = split(len);
        if old <= left {
            path.push(range_root(start + left, len - left, subtree)?);
            len = left;
        } else {
            path.push(range_root(start, left, subtree)?);
            start += left;
            len -= left;
            old -= left;
        }
    }
    // A verifier knows the old root; it needs the shared subtree only where that is not the root.
    if start > 0 {
        path.push(range_root(start, len, subtree)?);
    }
    path.reverse();
    Ok(path)
}

/// The root of `len` leaves beginning at `from`, which is a multiple of a power of two that is not
/// less than `len`.
fn range_root<E>(
    from: u64,
    len: u64,
    subtree: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let mut rest = len;
    let mut root = None;
    while rest > 0 {
        // The smallest complete subtree stands at the right edge.
        let level = rest.trailing_zeros();
        rest &= rest - 1;
        // Trailing zeros of a number that is not 0 are fewer than 64.
        let left = subtree(
            u8::try_from(level).unwrap_or(u8::MAX),
            (from + rest) >> level,
        )?;
        root = Some(match root {
            None => left,
            Some(right) => node_hash(&left, &right),
        });
    }
    Ok(root.unwrap_or_else(empty_root))
}

/// The largest power of two below `len`, which is at least 2.
const fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}
