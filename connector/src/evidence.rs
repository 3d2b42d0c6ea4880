//! What the kernel signed of the tenant's log, kept in `checkpoints.json`: a history that was shown
//! once cannot be replaced unseen.
//!
//! What survives a crash: the highest checkpoint of each epoch, with the note that the kernel
//! signed, and the fork that was found last. A checkpoint counts only once it is on disk; one that
//! does not continue what is held changes nothing but the alarm.

use std::path::Path;

use provost_protocol::{
    InstallId, TenantId, Timestamp,
    tlog::{Checkpoint, TlogError, origin, verify_consistency},
    wire::{CheckpointAnswer, HeldCheckpoint},
};
use serde::{Deserialize, Serialize};

use crate::durable::{DurableError, Kept};

/// The checkpoints of the runtime's own tenant's log.
#[derive(Debug)]
pub(crate) struct Evidence {
    kept: Kept<Checkpoints>,
    log: Log,
}

/// Which log, and the key that signs it: pinned at enrolment, as the keys of licenses are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    pub(crate) install: InstallId,
    pub(crate) tenant: TenantId,
    pub(crate) key: [u8; 32],
}

/// The file. A field is added with a default, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Checkpoints {
    /// The highest of each epoch, oldest epoch first.
    held: Vec<Held>,
    fork: Option<Fork>,
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The log's epoch.
    pub(crate) epoch: u64,
    /// How many events it covers.
    pub(crate) size: u64,
    /// The root of their tree, hex.
    pub(crate) root: String,
    /// What the kernel signed.
    pub(crate) note: String,
    /// When it was kept.
    pub(crate) at: Timestamp,
}

/// A history that contradicts the checkpoint held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fork {
    /// When it was found.
    pub(crate) at: Timestamp,
    /// The epoch of the checkpoint held then.
    pub(crate) held_epoch: u64,
    /// Its size.
    pub(crate) held_size: u64,
    /// What is wrong, in words.
    pub(crate) why: String,
    /// What the kernel showed instead, where it signed anything: with the note held, the proof.
    pub(crate) shown: Option<String>,
}

/// What an answer of the kernel is, beside what is held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It continues what is held, or is the first.
    Continues(Checkpoint),
    /// A new epoch that does not hold all that was shown before: a restore lost events.
    Lost(Checkpoint),
    /// It contradicts what is held.
    Forked(&'static str),
}

impl Evidence {
    /// Opens the file; the notes in it are verified again.
    pub(crate) fn open(path: &Path, log: Log) -> Result<Self, DurableError> {
        let kept = Kept::<Checkpoints>::open(path.to_owned())?;
        let whole = kept.get().held.iter().all(|held| {
            log.verify(held.epoch, &held.note)
                .is_ok_and(|said| said.size == held.size && hex::encode(said.root) == held.root)
        });
        if whole {
            Ok(Self { kept, log })
        } else {
            Err(DurableError::Damaged {
                path: path.to_owned(),
            })
        }
    }

    /// The checkpoint of the highest epoch, if there is any.
    pub(crate) fn highest(&self) -> Option<Held> {
        self.kept.get().held.pop()
    }

    /// The fork that stands: found in the epoch that is still the highest one held.
    pub(crate) fn fork(&self) -> Option<Fork> {
        let kept = self.kept.get();
        let highest = kept.held.last().map_or(0, |held| held.epoch);
        kept.fork.filter(|fork| fork.held_epoch >= highest)
    }

    /// Judges what the kernel answered to who showed `held`.
    ///
    /// # Errors
    /// [`TlogError`] where it is no checkpoint of this log, signed with the key of the enrolment.
    pub(crate) fn judge(
        &self,
        held: Option<&Held>,
        answer: &CheckpointAnswer,
    ) -> Result<Judged, TlogError> {
        let shown = self.log.verify(answer.epoch, &answer.note)?;
        let Some(held) = held else {
            return Ok(Judged::Continues(shown));
        };
        let before = self.log.verify(held.epoch, &held.note)?;
        let (old, new) = ((before.size, before.root), (shown.size, shown.root));
        let continues = verify_consistency(old, new, &answer.consistency).is_ok();
        Ok(match (answer.epoch.cmp(&held.epoch), continues) {
            (std::cmp::Ordering::Less, _) => Judged::Forked(OLDER_EPOCH),
            (_, true) => Judged::Continues(shown),
            (std::cmp::Ordering::Equal, false) => Judged::Forked(NOT_CONTINUED),
            (std::cmp::Ordering::Greater, false) => Judged::Lost(shown),
        })
    }

    /// Keeps a checkpoint that was judged, unless a higher one of its epoch is held. Blocks on the
    /// disk; it counts from when this returns.
    pub(crate) fn keep(
        &self,
        answer: &CheckpointAnswer,
        checkpoint: &Checkpoint,
        at: Timestamp,
    ) -> Result<(), DurableError> {
        let new = Held {
            epoch: answer.epoch,
            size: checkpoint.size,
            root: hex::encode(checkpoint.root),
            note: answer.note.clone(),
            at,
        };
        self.kept.update(|kept| {
            match kept.held.iter_mut().find(|held| held.epoch == new.epoch) {
                Some(held) if held.size <= new.size => *held = new,
                Some(_) => {}
                None => kept.held.push(new),
            }
            kept.held.sort_by_key(|held| held.epoch);
            let surplus = kept.held.len().saturating_sub(EPOCHS_MAX);
            kept.held.drain(..surplus);
        })?;
        Ok(())
    }

    /// Whether a fork against this checkpoint is known already.
    pub(crate) fn knows_fork(&self, held: &Held) -> bool {
        let same = |fork: &Fork| (fork.held_epoch, fork.held_size) == (held.epoch, held.size);
        self.kept.get().fork.as_ref().is_some_and(same)
    }

    /// Keeps a fork; the checkpoint that it contradicts stays. Blocks on the disk.
    pub(crate) fn keep_fork(&self, fork: Fork) -> Result<(), DurableError> {
        self.kept.update(|kept| kept.fork = Some(fork))?;
        Ok(())
    }
}

impl Held {
    /// As it is shown to the kernel.
    pub(crate) fn to_wire(&self) -> HeldCheckpoint {
        HeldCheckpoint {
            epoch: self.epoch,
            note: self.note.clone(),
        }
    }
}

impl Log {
    fn verify(&self, epoch: u64, note: &str) -> Result<Checkpoint, TlogError> {
        let origin = origin(self.install, self.tenant, epoch);
        Checkpoint::verify(note, &origin, &self.key)
    }
}

/// Within one epoch a log only grows.
const NOT_CONTINUED: &str = "the kernel's checkpoint does not continue the one held";

/// No restore goes back to an epoch that was left.
const OLDER_EPOCH: &str = "the kernel's checkpoint is of an older epoch than the one held";

/// What the kernel itself says when it finds out first.
pub(crate) const KERNEL_SAYS: &str = "the kernel's log does not continue the checkpoint held";

/// Epochs of which a checkpoint is kept, at 600 bytes each: one restore a month for ten years.
const EPOCHS_MAX: usize = 120;

#[cfg(test)]
mod tests;
