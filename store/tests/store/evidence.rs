//! Heads, roots and proofs, checked against the definitions of RFC 6962.

use provost_store::{
    Backend,
    merkle::{Hash, leaf_hash, node_hash},
};
use sha2::{Digest as _, Sha256};

use crate::{
    answers::wait,
    conformance::{all, filled, on_each},
    log::tenant,
};

/// MTH of RFC 6962, section 2.1, word by word.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// PATH of RFC 6962, section 2.1.1, word by word.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = if index < left.len() {
        (path(index, left), root(right))
    } else {
        (path(index - left.len(), right), root(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 6962, section 2.1.2, word by word.
fn subproof(from: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if from == leaves.len() {
        return if known {
            Vec::new()
        } else {
            vec![root(leaves)]
        };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, sibling) = if from <= left.len() {
        (subproof(from, left, known), root(right))
    } else {
        (subproof(from - left.len(), right, false), root(left))
    };
    proof.push(sibling);
    proof
}

fn leaves(store: &dyn Backend, number: u8) -> Vec<Hash> {
    let events = wait(store.read(tenant(number), all())).unwrap();
    events.iter().map(|event| leaf_hash(&event.bytes)).collect()
}

#[test]
fn a_head_is_known_of_a_tenant_with_events_and_of_no_other() {
    on_each(|store| {
        let log = filled(store, 1, 37);
        let head = wait(store.head(tenant(1))).unwrap().unwrap();
        assert_eq!(
            (head.epoch, head.seq, head.frontier.size()),
            (1, log.seq, log.seq)
        );
        assert_eq!(head.frontier.root(), root(&leaves(store, 1)));
        assert_eq!(wait(store.head(tenant(2))).unwrap(), None);
    });
}

#[test]
fn the_root_at_every_earlier_size_is_the_one_the_rfc_defines() {
    on_each(|store| {
        filled(store, 1, 70);
        let leaves = leaves(store, 1);
        for size in 0..=70 {
            let at = wait(store.root_at(tenant(1), size)).unwrap();
            let first = &leaves[..usize::try_from(size).unwrap()];
            assert_eq!(at, Some(root(first)), "size {size}");
        }
        assert_eq!(wait(store.root_at(tenant(1), 71)).unwrap(), None);
        assert_eq!(wait(store.root_at(tenant(2), 1)).unwrap(), None);
    });
}

#[test]
fn the_inclusion_proof_of_every_leaf_is_the_one_the_rfc_defines() {
    on_each(|store| {
        filled(store, 1, 41);
        let leaves = leaves(store, 1);
        for size in [1, 2, 7, 16, 17, 32, 41] {
            let whole = &leaves[..usize::try_from(size).unwrap()];
            for seq in (1..=size).step_by(3).chain([size]) {
                let proof = wait(store.inclusion(tenant(1), seq, size)).unwrap();
                let (leaf, found) = proof.unwrap();
                let index = usize::try_from(seq - 1).unwrap();
                assert_eq!(leaf_hash(&leaf.bytes), leaves[index]);
                assert_eq!(found, path(index, whole), "{seq} of {size}");
            }
            let beyond = wait(store.inclusion(tenant(1), size + 1, size)).unwrap();
            assert!(beyond.is_none());
        }
        assert!(wait(store.inclusion(tenant(1), 1, 42)).unwrap().is_none());
        assert!(wait(store.inclusion(tenant(1), 0, 41)).unwrap().is_none());
        assert!(wait(store.inclusion(tenant(2), 1, 1)).unwrap().is_none());
    });
}

#[test]
fn the_consistency_proof_of_any_two_sizes_is_the_one_the_rfc_defines() {
    on_each(|store| {
        filled(store, 1, 41);
        let leaves = leaves(store, 1);
        for to in [1, 2, 8, 17, 32, 41] {
            let whole = &leaves[..usize::try_from(to).unwrap()];
            for from in (1..=to).step_by(3).chain([to]) {
                let proof = wait(store.consistency(tenant(1), from, to)).unwrap();
                let expected = subproof(usize::try_from(from).unwrap(), whole, true);
                assert_eq!(proof, Some(expected), "{from} in {to}");
            }
        }
        let ask = |number, from, to| wait(store.consistency(tenant(number), from, to)).unwrap();
        assert_eq!(ask(1, 0, 41), Some(Vec::new()));
        assert_eq!(ask(1, 40, 42), None);
        assert_eq!(ask(1, 9, 8), None);
        assert_eq!(ask(2, 1, 1), None);
    });
}
