//! What was tampered with never verifies, and no bytes at all make a reader panic.

use proptest::prelude::*;
use provost_protocol::tlog::{
    Checkpoint, Hash, Proof, leaf_hash, verify_consistency, verify_inclusion,
};

use crate::tree::{Tree, leaves};

/// One way to rewrite history at a place.
#[derive(Debug, Clone, Copy)]
enum Rewrite {
    Change,
    Drop,
    Insert,
    Swap,
    MoveToEnd,
}

const REWRITES: [Rewrite; 5] = [
    Rewrite::Change,
    Rewrite::Drop,
    Rewrite::Insert,
    Rewrite::Swap,
    Rewrite::MoveToEnd,
];

impl Rewrite {
    /// The history after it; `at` is not the last place.
    fn of(self, history: &[Vec<u8>], at: usize) -> Vec<Vec<u8>> {
        let mut new = history.to_vec();
        match self {
            Self::Change => new[at].push(1),
            Self::Drop => drop(new.remove(at)),
            Self::Insert => new.insert(at, b"never happened".to_vec()),
            Self::Swap => new.swap(at, at + 1),
            Self::MoveToEnd => {
                let moved = new.remove(at);
                new.push(moved);
            }
        }
        new
    }
}

/// One way to damage a proof.
fn damage(path: &[Hash], pick: &prop::sample::Index, bit: u8) -> Vec<Vec<Hash>> {
    let at = pick.index(path.len());
    let mut flipped = path.to_vec();
    flipped[at][usize::from(bit / 8)] ^= 1 << (bit % 8);
    let mut dropped = path.to_vec();
    dropped.remove(at);
    let mut doubled = path.to_vec();
    doubled.insert(at, path[at]);
    let mut longer = path.to_vec();
    longer.push(path[at]);
    vec![flipped, dropped, doubled, longer]
}

proptest! {
    #[test]
    fn a_rewritten_history_proves_nothing_under_the_old_checkpoint(
        size in 2_u64..70,
        at in any::<prop::sample::Index>(),
        rewrite in prop::sample::select(REWRITES.to_vec()),
        more in 0_u64..20,
    ) {
        let history = leaves(size);
        let honest = Tree::of(&history);
        let at = at.index(history.len() - 1);
        let mut rewritten = rewrite.of(&history, at);
        rewritten.extend(leaves(size + more + 1).into_iter().skip(history.len()));
        let forged = Tree::of(&rewritten);
        let new_size = forged.size();

        // The leaf that now stands at the place is not in the log that was signed.
        let index = u64::try_from(at).unwrap();
        for prover in [&honest, &forged] {
            let path = prover.inclusion(index, size);
            let lie = verify_inclusion((index, forged.leaf(index)), honest.head(size), &path);
            prop_assert!(lie.is_err(), "{rewrite:?} at {at} of {size}");
        }
        // And no later checkpoint of the rewritten log continues the one that was signed.
        for to in size..=new_size {
            let path = forged.consistency(size, to);
            let lie = verify_consistency(honest.head(size), forged.head(to), &path);
            prop_assert!(lie.is_err(), "{rewrite:?} at {at} of {size} to {to}");
        }
    }

    #[test]
    fn a_damaged_inclusion_proof_does_not_verify(
        size in 2_u64..200, index in any::<prop::sample::Index>(),
        pick in any::<prop::sample::Index>(), bit in any::<u8>(),
    ) {
        let tree = Tree::of(&leaves(size));
        let index = u64::try_from(index.index(usize::try_from(size).unwrap())).unwrap();
        let leaf = (index, tree.leaf(index));
        let path = tree.inclusion(index, size);
        prop_assert!(verify_inclusion(leaf, tree.head(size), &path).is_ok());
        for bad in damage(&path, &pick, bit) {
            prop_assert!(verify_inclusion(leaf, tree.head(size), &bad).is_err());
        }
        for elsewhere in (0..size).filter(|&other| other != index) {
            let moved = verify_inclusion((elsewhere, leaf.1), tree.head(size), &path);
            prop_assert!(moved.is_err(), "{index} as {elsewhere} of {size}");
        }
    }

    #[test]
    fn a_damaged_consistency_proof_does_not_verify(
        from in 1_u64..200, more in 1_u64..100,
        pick in any::<prop::sample::Index>(), bit in any::<u8>(),
    ) {
        let tree = Tree::of(&leaves(from + more));
        let (old, new) = (tree.head(from), tree.head(from + more));
        let path = tree.consistency(from, from + more);
        prop_assert!(verify_consistency(old, new, &path).is_ok());
        for bad in damage(&path, &pick, bit) {
            prop_assert!(verify_consistency(old, new, &bad).is_err());
        }
        // A log that is cut back does not continue what it was.
        prop_assert!(verify_consistency(new, old, &path).is_err());
        prop_assert!(verify_consistency(new, old, &[]).is_err());
    }

    #[test]
    fn arbitrary_text_is_a_checkpoint_a_proof_or_an_error_and_never_a_panic(
        head in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z0-9+/=]{0,12}\n)?(index [0-9]{0,21}\n)?",
        rest in "[A-Za-z0-9+/= \n\u{2014}]{0,120}",
        any in "\\PC{0,60}",
    ) {
        for text in [format!("{head}{rest}{any}"), format!("{any}\n{rest}\n")] {
            if let Ok(read) = Checkpoint::parse(&text) {
                prop_assert_eq!(read.to_text(), text.clone());
            }
            if let Ok(read) = Proof::parse(&text) {
                prop_assert_eq!(read.to_text(), text.clone());
                prop_assert!(read.verify(b"", "a", &[1; 32]).is_err());
            }
            prop_assert!(Checkpoint::verify(&text, "a", &[1; 32]).is_err());
        }
    }

    #[test]
    fn arbitrary_sizes_and_paths_are_refused_and_never_a_panic(
        from in any::<u64>(), to in any::<u64>(),
        path in prop::collection::vec(any::<Hash>(), 0..80),
        root in any::<Hash>(),
    ) {
        let leaf = leaf_hash(b"x");
        prop_assert!(verify_inclusion((from, leaf), (to, root), &path).is_err());
        prop_assert!(verify_consistency((from, leaf), (to, root), &path).is_err());
    }
}

#[test]
fn the_largest_numbers_are_no_place_of_any_log() {
    let hash = leaf_hash(b"x");
    for path in [vec![], vec![hash], vec![hash; 64], vec![hash; 65]] {
        for size in [0, 1, u64::MAX - 1, u64::MAX] {
            for index in [0, 1, u64::MAX - 1, u64::MAX] {
                let in_it = verify_inclusion((index, hash), (size, hash), &path);
                // The one leaf of a log of one is its root.
                assert_eq!(in_it.is_ok(), path.is_empty() && (index, size) == (0, 1));
                let grown = verify_consistency((index, hash), (size, hash), &path);
                let same = path.is_empty() && index == size && index != 0;
                assert_eq!(grown.is_ok(), same, "{index} to {size}");
            }
        }
    }
}

#[test]
fn a_log_begins_with_nothing_whatever_comes() {
    let tree = Tree::of(&leaves(9));
    for to in 0..=9 {
        assert!(tree.consistency(0, to).is_empty());
        assert!(verify_consistency(tree.head(0), tree.head(to), &[]).is_ok());
        let wrong = verify_consistency((0, tree.leaf(0)), tree.head(to), &[]);
        assert!(wrong.is_err(), "nothing has one root");
    }
}
