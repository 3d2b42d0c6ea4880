//! A whole log in memory: its leaves and every complete subtree.

use std::{collections::BTreeMap, convert::Infallible};

use provost_protocol::tlog::{self, Frontier, Hash, leaf_hash};

/// A log of any leaves.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    subtrees: BTreeMap<(u8, u64), Hash>,
    /// The root at each size, from 0 on.
    roots: Vec<Hash>,
    frontier: Frontier,
}

impl Tree {
    /// Grows a log out of leaves.
    pub(crate) fn of<'a>(leaves: impl IntoIterator<Item = &'a Vec<u8>>) -> Self {
        let mut tree = Self::default();
        tree.roots.push(tree.frontier.root());
        for leaf in leaves {
            let leaf = leaf_hash(leaf);
            tree.subtrees.insert((0, tree.frontier.size()), leaf);
            let subtrees = &mut tree.subtrees;
            tree.frontier.append_each(leaf, |level, index, hash| {
                subtrees.insert((level, index), *hash);
            });
            tree.roots.push(tree.frontier.root());
        }
        tree
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn leaf(&self, index: u64) -> Hash {
        self.subtrees[&(0, index)]
    }

    pub(crate) fn head(&self, size: u64) -> (u64, Hash) {
        (size, self.roots[usize::try_from(size).unwrap()])
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        let Ok(path) = tlog::inclusion(index, size, &mut self.source());
        path
    }

    pub(crate) fn consistency(&self, from: u64, to: u64) -> Vec<Hash> {
        let Ok(path) = tlog::consistency(from, to, &mut self.source());
        path
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        let Ok(root) = tlog::root(size, &mut self.source());
        root
    }

    /// Answers complete subtrees only; any other question ends the test.
    pub(crate) fn source(&self) -> impl FnMut(u8, u64) -> Result<Hash, Infallible> {
        |level, index| Ok(self.subtrees[&(level, index)])
    }
}

/// Leaves that all differ, of lengths around the block size of the hash too.
pub(crate) fn leaves(count: u64) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| {
            let length = usize::try_from(n % 130).unwrap();
            let mut leaf = n.to_be_bytes().to_vec();
            leaf.resize(leaf.len() + length, 0x5a);
            leaf
        })
        .collect()
}
