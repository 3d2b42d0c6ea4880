//! Our proofs before `ct-merkle` and `tlog_tiles`, and theirs before us.

use ct_merkle::{
    ConsistencyProof, InclusionProof, RootHash,
    digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update, typenum::U32},
    mem_backed_tree::MemoryBackedTree,
};
use proptest::prelude::*;
use provost_protocol::tlog::{Hash, verify_consistency, verify_inclusion};
use sha2::Digest;
use tlog_tiles::tlog as tiles;

use crate::tree::{Tree, leaves};

/// Our SHA-256 behind the traits that `ct-merkle` asks for, which are a release older.
#[derive(Clone, Default)]
struct Sha256(sha2::Sha256);

impl OutputSizeUser for Sha256 {
    type OutputSize = U32;
}

impl Update for Sha256 {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl FixedOutput for Sha256 {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(&self.0.finalize());
    }
}

impl HashMarker for Sha256 {}

/// One log as all three know it.
struct Three {
    leaves: Vec<Vec<u8>>,
    ours: Tree,
    merkle: MemoryBackedTree<Sha256, Vec<u8>>,
    tiles: Stored,
}

/// The hashes that `tlog_tiles` stores.
struct Stored(Vec<tiles::Hash>);

impl tiles::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tiles::Hash>, tiles::Error> {
        let at = |index: &u64| self.0[usize::try_from(*index).unwrap()];
        Ok(indexes.iter().map(at).collect())
    }
}

impl Three {
    fn of(size: u64) -> Self {
        let leaves = leaves(size);
        let mut merkle = MemoryBackedTree::new();
        let mut stored = Stored(Vec::new());
        for (n, leaf) in (0_u64..).zip(&leaves) {
            merkle.push(leaf.clone());
            let new = tiles::stored_hashes(n, leaf, &stored).unwrap();
            stored.0.extend(new);
        }
        Self {
            ours: Tree::of(&leaves),
            leaves,
            merkle,
            tiles: stored,
        }
    }

    fn agree_on_the_root(&self) {
        let size = self.ours.size();
        let (_, root) = self.ours.head(size);
        assert_eq!(self.ours.root(size), root);
        assert_eq!(&self.merkle.root().as_bytes()[..], root);
        assert_eq!(tiles::tree_hash(size, &self.tiles).unwrap().0, root);
    }

    fn agree_on_inclusion(&self, index: u64) {
        let size = self.ours.size();
        let (_, root) = self.ours.head(size);
        let path = self.ours.inclusion(index, size);
        let theirs = self.merkle.prove_inclusion(usize::try_from(index).unwrap());
        assert_eq!(theirs.as_bytes(), path.concat(), "{index} of {size}");
        let theirs = tiles::prove_record(size, index, &self.tiles).unwrap();
        assert_eq!(plain(&theirs), path, "{index} of {size}");

        let leaf = self.ours.leaf(index);
        verify_inclusion((index, leaf), (size, root), &path).unwrap();
        tiles::check_record(
            &wrap(&path),
            size,
            tiles::Hash(root),
            index,
            tiles::Hash(leaf),
        )
        .unwrap();
        let bytes = &self.leaves[usize::try_from(index).unwrap()];
        let proof = InclusionProof::try_from_bytes(path.concat()).unwrap();
        merkle_root(size, root)
            .verify_inclusion(bytes, index, &proof)
            .unwrap();
    }

    fn agree_on_consistency(&self, from: u64) {
        let to = self.ours.size();
        let ((_, old), (_, new)) = (self.ours.head(from), self.ours.head(to));
        let path = self.ours.consistency(from, to);
        let additions = usize::try_from(to - from).unwrap();
        let theirs = self.merkle.prove_consistency(additions);
        assert_eq!(theirs.as_bytes(), path.concat(), "{from} to {to}");
        let theirs = tiles::prove_tree(to, from, &self.tiles).unwrap();
        assert_eq!(plain(&theirs), path, "{from} to {to}");

        verify_consistency((from, old), (to, new), &path).unwrap();
        tiles::check_tree(&wrap(&path), to, tiles::Hash(new), from, tiles::Hash(old)).unwrap();
        let proof = ConsistencyProof::try_from_bytes(path.concat()).unwrap();
        merkle_root(to, new)
            .verify_consistency(&merkle_root(from, old), &proof)
            .unwrap();
    }
}

#[test]
fn every_inclusion_proof_of_small_logs_is_theirs_and_holds_before_them_and_us() {
    for size in 1..=SMALL {
        let three = Three::of(size);
        three.agree_on_the_root();
        for index in 0..size {
            three.agree_on_inclusion(index);
        }
    }
}

#[test]
fn every_consistency_proof_of_small_logs_is_theirs_and_holds_before_them_and_us() {
    for to in 1..=SMALL {
        let three = Three::of(to);
        for from in 1..=to {
            three.agree_on_consistency(from);
        }
    }
}

#[test]
fn our_checks_and_theirs_agree_on_every_place_and_size_that_a_path_is_said_to_be_of() {
    let three = Three::of(13);
    let (_, root) = three.ours.head(13);
    let (path, leaf) = (three.ours.inclusion(4, 13), three.ours.leaf(4));
    let (from, grown) = (three.ours.head(6), three.ours.consistency(6, 13));
    let (h, th) = (tiles::Hash(leaf), tiles::Hash(root));
    for size in 0..40 {
        for index in 0..40 {
            let theirs = tiles::check_record(&wrap(&path), size, th, index, h);
            let ours = verify_inclusion((index, leaf), (size, root), &path);
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{index} of {size}");
        }
        let theirs = tiles::check_tree(&wrap(&grown), size, th, 6, tiles::Hash(from.1));
        let ours = verify_consistency(from, (size, root), &grown);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "6 to {size}");
    }
}

proptest! {
    // Each case grows three logs; a few hundred sizes are seen over the days.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn proofs_of_logs_of_any_size_are_theirs_and_hold_before_them_and_us(
        size in 131_u64..2_500,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        let three = Three::of(size);
        three.agree_on_the_root();
        for pick in picks {
            let index = u64::try_from(pick.index(usize::try_from(size).unwrap())).unwrap();
            three.agree_on_inclusion(index);
            three.agree_on_consistency(index + 1);
        }
    }
}

fn merkle_root(size: u64, root: Hash) -> RootHash<Sha256> {
    RootHash::new(Output::<Sha256>::from(root), size)
}

fn plain(hashes: &[tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| hash.0).collect()
}

fn wrap(hashes: &[Hash]) -> Vec<tiles::Hash> {
    hashes.iter().copied().map(tiles::Hash).collect()
}

/// Past two complete levels of seven and every shape of a right edge below.
const SMALL: u64 = 130;
