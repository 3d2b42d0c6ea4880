//! The double's log: what it is, and what it signs.

use std::sync::Mutex;

use provost_protocol::{
    Code, Problem,
    sign::Signer,
    tlog::{self, Checkpoint, Frontier, Hash, leaf_hash, origin},
    wire::{CheckpointAnswer, HeldCheckpoint, Outcome},
};

use crate::world::{World, tenant};

/// A log that tests rewrite.
#[derive(Debug, Default)]
pub(crate) struct KernelLog(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    epoch: u64,
    leaves: Vec<u8>,
    /// An honest kernel that found out first.
    says_forked: bool,
}

impl KernelLog {
    /// From here on this is the log.
    pub(crate) fn write(&self, epoch: u64, leaves: &[u8]) {
        *self.0.lock().unwrap() = Written {
            epoch,
            leaves: leaves.to_vec(),
            says_forked: false,
        };
    }

    /// From here on the kernel says that it forked.
    pub(crate) fn says_forked(&self) {
        self.0.lock().unwrap().says_forked = true;
    }

    pub(crate) fn answer(&self, world: &World, held: Option<HeldCheckpoint>) -> Outcome {
        let written = self.0.lock().unwrap();
        let install = world.authority.install();
        let held = held.map_or(0, |held| {
            let origin = origin(install, tenant(), held.epoch);
            let key = world.key.public_key();
            Checkpoint::verify(&held.note, &origin, &key).unwrap().size
        });
        if written.says_forked {
            return Outcome::Refused(Problem::new(Code::LogForked, "another log was shown"));
        }
        let hashes: Vec<Hash> = written
            .leaves
            .iter()
            .map(|&leaf| leaf_hash(&[leaf]))
            .collect();
        let size = u64::try_from(hashes.len()).unwrap();
        let subtree = |level: u8, index: u64| {
            let from = usize::try_from(index << level).unwrap();
            Ok::<_, std::convert::Infallible>(root(&hashes[from..from + (1 << level)]))
        };
        let checkpoint = Checkpoint {
            origin: origin(install, tenant(), written.epoch),
            size,
            root: root(&hashes),
        };
        Outcome::Checkpoint(CheckpointAnswer {
            note: checkpoint.sign(&world.key),
            epoch: written.epoch,
            consistency: tlog::consistency(held, size, &mut { subtree }).unwrap(),
        })
    }
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    leaves.iter().for_each(|&leaf| tree.append(leaf));
    tree.root()
}
