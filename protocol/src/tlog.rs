//! Transparency logs: the tree over one tenant's events, its proofs, its signed checkpoints.
//!
//! Every tenant's log is a Merkle tree as RFC 6962, section 2.1 defines it. A leaf is exactly an
//! envelope's bytes, its index is seq - 1, and the tree goes on over epochs. What is written is
//! what C2SP specifies (tlog-checkpoint, signed-note v1.0.0, tlog-proof@v1), so that anybody can
//! check it offline with tools that are not ours.
//!
//! [`verify_inclusion`] says that an event is in the log a checkpoint speaks of,
//! [`verify_consistency`] that a later checkpoint only appended to an earlier one:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use provost_protocol::tlog::{self, Frontier, leaf_hash};
//!
//! let leaves = [b"one", b"two", b"six"].map(|bytes| leaf_hash(bytes));
//! let mut tree = Frontier::default();
//! leaves.iter().for_each(|&leaf| tree.append(leaf));
//!
//! // A source of complete subtrees; here it holds the leaves alone and hashes two on demand.
//! let mut subtree = |level: u8, index: u64| -> Result<tlog::Hash, Infallible> {
//!     let at = usize::try_from(index << level).unwrap_or(usize::MAX);
//!     Ok(match level {
//!         0 => leaves[at],
//!         _ => tlog::node_hash(&leaves[at], &leaves[at + 1]),
//!     })
//! };
//! let path = tlog::inclusion(2, 3, &mut subtree)?;
//! tlog::verify_inclusion((2, leaves[2]), (3, tree.root()), &path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod frontier;
mod generate;
mod proof;
mod verify;

use sha2::{Digest, Sha256};

pub use self::{
    checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, ORIGIN_BYTES_MAX, origin},
    frontier::Frontier,
    generate::{consistency, inclusion, root},
    proof::{EXTRA_BYTES_MAX, PROOF_BYTES_MAX, Proof},
    verify::{verify_consistency, verify_inclusion},
};

use crate::note::NoteError;

/// A SHA-256 node of the tree.
pub type Hash = [u8; 32];

/// Why evidence is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogError {
    /// Longer than any evidence of ours.
    #[error("evidence of this kind is shorter")]
    TooLarge,
    /// Not origin, size and root, one a line.
    #[error("not a checkpoint")]
    NotCheckpoint,
    /// Not the text of a proof.
    #[error("not a tlog-proof of version 1")]
    NotProof,
    /// The checkpoint is another log's.
    #[error("a checkpoint of another log")]
    Origin,
    /// The note around the checkpoint does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    Path,
}

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

/// The root of a tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A tree of 2^64 leaves has paths of 64 hashes; a longer one leads nowhere.
pub const PATH_HASHES_MAX: usize = 64;

/// A consistency proof may name one more than a path: the subtree that both trees share.
pub const CONSISTENCY_HASHES_MAX: usize = PATH_HASHES_MAX + 1;

/// Domain separation of leaves (RFC 6962, section 2.1).
const LEAF: u8 = 0;

/// Domain separation of inner nodes (RFC 6962, section 2.1).
const NODE: u8 = 1;
