//! What a tenant knows of its own log as evidence: restores, ranges lost, forks.

use provost_protocol::tlog::Hash;
use serde::{Deserialize, Serialize};

use crate::limits::{EPOCHS_KEPT_MAX, FORKS_KEPT_MAX};

/// What is known of a log that was restored, or that a runtime holds against it; absent for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRecord {
    /// Restores, oldest first; of more than [`EPOCHS_KEPT_MAX`] the newest.
    pub restores: Vec<Restore>,
    /// Epochs of which events are known to be lost, in the order in which that was found out; of
    /// more than [`EPOCHS_KEPT_MAX`] the newest.
    pub lost: Vec<Lost>,
    /// Forks that were recorded, oldest first; of more than [`FORKS_KEPT_MAX`] the newest.
    pub forks: Vec<Held>,
    /// The highest epoch of which a fork was ever recorded.
    pub forked_epoch: Option<u64>,
}

/// The log went on from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The epoch that began then.
    pub epoch: u64,
    /// The epoch of the backup.
    pub old_epoch: u64,
    /// How many events it held.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

/// Events of an epoch that a restore left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The epoch.
    pub epoch: u64,
    /// The highest place that one of them is known to have had.
    pub to_seq: u64,
}

/// A checkpoint that a runtime holds; its signature was verified by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The epoch of the log it speaks of.
    pub epoch: u64,
    /// How many events it covers.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

/// What one runtime last held against this log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    /// The checkpoint that this log does not continue.
    pub fork: Held,
}

impl HistoryRecord {
    /// The restore at which this log left `epoch` behind: nothing that stood in it after the
    /// restore's size is in this log.
    #[must_use]
    pub fn restore_after(&self, epoch: u64) -> Option<&Restore> {
        self.restores.iter().find(|restore| restore.epoch > epoch)
    }

    /// Whether this log went through an epoch. One that it did not began in a restore that a later
    /// restore of an older backup undid: how much of it is lost is not known here, only that its
    /// own events all are.
    #[must_use]
    pub fn went_through(&self, epoch: u64) -> bool {
        let first = self.restores.first().map(|restore| restore.old_epoch);
        first == Some(epoch) || self.restores.iter().any(|restore| restore.epoch == epoch)
    }

    /// The highest place that an event of an epoch is known to be lost from, 0 for none.
    #[must_use]
    pub fn lost_to(&self, epoch: u64) -> u64 {
        let of_epoch = self.lost.iter().find(|lost| lost.epoch == epoch);
        of_epoch.map_or(0, |lost| lost.to_seq)
    }

    /// Whether nothing more may be signed in an epoch: a checkpoint that was signed in it, or in a
    /// later one, is not continued by this log, so that another one would contradict it.
    #[must_use]
    pub fn is_forked(&self, epoch: u64) -> bool {
        self.forked_epoch.is_some_and(|forked| forked >= epoch)
    }

    pub(crate) fn restored(&mut self, restore: Restore) {
        self.restores.push(restore);
        let surplus = self.restores.len().saturating_sub(EPOCHS_KEPT_MAX);
        self.restores.drain(..surplus);
    }

    pub(crate) fn range_lost(&mut self, epoch: u64, to_seq: u64) {
        match self.lost.iter_mut().find(|lost| lost.epoch == epoch) {
            Some(lost) => lost.to_seq = lost.to_seq.max(to_seq),
            None => self.lost.push(Lost { epoch, to_seq }),
        }
        let surplus = self.lost.len().saturating_sub(EPOCHS_KEPT_MAX);
        self.lost.drain(..surplus);
    }

    pub(crate) fn forked(&mut self, fork: Held) {
        self.forked_epoch = self.forked_epoch.max(Some(fork.epoch));
        self.forks.push(fork);
        let surplus = self.forks.len().saturating_sub(FORKS_KEPT_MAX);
        self.forks.drain(..surplus);
    }
}
