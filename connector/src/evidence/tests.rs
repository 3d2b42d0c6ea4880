use provost_certs::BindingKey;
use provost_protocol::{
    sign::Signer,
    tlog::{Frontier, Hash, consistency, leaf_hash},
};

use super::*;
use crate::testing::{install, other_tenant, tenant};

/// A log of a kernel: each leaf a number.
fn shown(key: &BindingKey, epoch: u64, leaves: &[u8], held: u64) -> CheckpointAnswer {
    let hashes: Vec<Hash> = leaves.iter().map(|&leaf| leaf_hash(&[leaf])).collect();
    let root = |from: usize, to: usize| {
        let mut tree = Frontier::default();
        hashes[from..to].iter().for_each(|&leaf| tree.append(leaf));
        tree.root()
    };
    let size = u64::try_from(leaves.len()).unwrap();
    let checkpoint = Checkpoint {
        origin: origin(install(), tenant(), epoch),
        size,
        root: root(0, leaves.len()),
    };
    let consistency = consistency(held, size, &mut |level, index| {
        let from = usize::try_from(index << level).unwrap();
        Ok::<_, std::convert::Infallible>(root(from, from + (1 << level)))
    });
    CheckpointAnswer {
        note: checkpoint.sign(key),
        epoch,
        consistency: consistency.unwrap(),
    }
}

struct World {
    folder: tempfile::TempDir,
    key: BindingKey,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            key: BindingKey::generate().unwrap(),
        }
    }

    fn open(&self) -> Result<Evidence, DurableError> {
        let log = Log {
            install: install(),
            tenant: tenant(),
            key: self.key.public_key(),
        };
        Evidence::open(&self.folder.path().join("checkpoints.json"), log)
    }

    fn judge(&self, evidence: &Evidence, epoch: u64, leaves: &[u8]) -> Judged {
        let held = evidence.highest();
        let size = held.as_ref().map_or(0, |held| held.size);
        let answer = shown(&self.key, epoch, leaves, size);
        evidence.judge(held.as_ref(), &answer).unwrap()
    }

    /// Judges, and keeps what continues or was lost.
    fn take(&self, evidence: &Evidence, epoch: u64, leaves: &[u8]) -> bool {
        let held = evidence.highest().map_or(0, |held| held.size);
        let answer = shown(&self.key, epoch, leaves, held);
        match self.judge(evidence, epoch, leaves) {
            Judged::Continues(shown) | Judged::Lost(shown) => {
                evidence.keep(&answer, &shown, Timestamp::EPOCH).unwrap();
                true
            }
            Judged::Forked(_) => false,
        }
    }
}

#[test]
fn what_continues_is_kept_over_restarts_and_what_does_not_changes_nothing() {
    let world = World::new();
    let evidence = world.open().unwrap();
    assert_eq!(evidence.highest(), None);
    assert!(world.take(&evidence, 1, &[1, 2, 3]));
    assert!(
        world.take(&evidence, 1, &[1, 2, 3]),
        "nothing happened meanwhile"
    );
    assert!(world.take(&evidence, 1, &[1, 2, 3, 4, 5]));
    let held = world.open().unwrap().highest().unwrap();
    assert_eq!((held.epoch, held.size), (1, 5));
    for (epoch, forged) in [
        (1, &[1, 2, 3, 4][..]),
        (1, &[1, 2, 9, 4, 5]),
        (1, &[1, 2, 3, 4, 6, 7, 8]),
        (0, &[1, 2, 3, 4, 5, 6]),
    ] {
        let judged = world.judge(&evidence, epoch, forged);
        assert!(
            matches!(judged, Judged::Forked(_)),
            "{forged:?}: {judged:?}"
        );
    }
    assert_eq!(world.open().unwrap().highest(), Some(held));
}

#[test]
fn a_new_epoch_is_taken_whether_it_lost_something_or_not_and_the_old_one_is_kept() {
    for (leaves, lost) in [(&[1, 2, 3, 4, 5][..], false), (&[1, 2, 9, 9, 9], true)] {
        let world = World::new();
        let evidence = world.open().unwrap();
        world.take(&evidence, 1, &[1, 2, 3]);
        let judged = world.judge(&evidence, 2, leaves);
        assert_eq!(matches!(judged, Judged::Lost(_)), lost, "{judged:?}");
        assert!(world.take(&evidence, 2, leaves));
        let kept = evidence.kept.get().held;
        let places: Vec<_> = kept.iter().map(|held| (held.epoch, held.size)).collect();
        assert_eq!(places, [(1, 3), (2, 5)]);
        // No way back.
        assert!(!world.take(&evidence, 1, &[1, 2, 3, 4]));
    }
}

#[test]
fn what_another_key_signed_or_another_log_is_no_checkpoint() {
    let world = World::new();
    let evidence = world.open().unwrap();
    let other = BindingKey::generate().unwrap();
    assert!(evidence.judge(None, &shown(&other, 1, &[1], 0)).is_err());
    let wrong_epoch = CheckpointAnswer {
        epoch: 2,
        ..shown(&world.key, 1, &[1], 0)
    };
    assert!(evidence.judge(None, &wrong_epoch).is_err());
    let foreign = Checkpoint {
        origin: origin(install(), other_tenant(), 1),
        size: 1,
        root: leaf_hash(&[1]),
    };
    let answer = CheckpointAnswer {
        note: foreign.sign(&world.key),
        epoch: 1,
        consistency: Vec::new(),
    };
    assert!(evidence.judge(None, &answer).is_err());
}

#[test]
fn a_fork_is_remembered_with_what_was_shown_until_a_new_epoch_is_held() {
    let world = World::new();
    let evidence = world.open().unwrap();
    world.take(&evidence, 1, &[1, 2, 3]);
    let held = evidence.highest().unwrap();
    let fork = Fork {
        at: Timestamp::EPOCH,
        held_epoch: held.epoch,
        held_size: held.size,
        why: KERNEL_SAYS.to_owned(),
        shown: Some("note".to_owned()),
    };
    assert!(!evidence.knows_fork(&held));
    evidence.keep_fork(fork.clone()).unwrap();
    let evidence = world.open().unwrap();
    assert!(evidence.knows_fork(&held));
    assert_eq!(evidence.fork(), Some(fork));
    assert_eq!(evidence.highest(), Some(held));
    assert!(world.take(&evidence, 2, &[1, 9]));
    assert_eq!(evidence.fork(), None);
}

#[test]
fn a_file_whose_notes_say_something_else_is_damaged() {
    let world = World::new();
    let evidence = world.open().unwrap();
    world.take(&evidence, 1, &[1, 2, 3]);
    let path = world.folder.path().join("checkpoints.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let forged = text.replace("\"size\": 3", "\"size\": 2");
    assert_ne!(forged, text);
    std::fs::write(&path, forged).unwrap();
    assert!(matches!(world.open(), Err(DurableError::Damaged { .. })));
}
