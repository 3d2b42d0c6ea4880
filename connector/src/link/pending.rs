//! Requests that wait for their answers.

use std::{collections::BTreeMap, time::Duration};

use provost_protocol::wire::Outcome;
use tokio::{sync::oneshot, time::Instant};

use super::CallError;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Waiter {
    /// The session itself: a heartbeat.
    Beat,
    /// A caller; it may have given up.
    Call(oneshot::Sender<Result<Outcome, CallError>>),
}

/// Open requests by their number. Numbers rise, and all have the same patience: the first is the
/// first to be missed.
#[derive(Debug, Default)]
pub(super) struct Pending {
    last: u64,
    open: BTreeMap<u64, (Instant, Waiter)>,
}

impl Pending {
    /// Opens a request; gives its number.
    pub(super) fn open(&mut self, waiter: Waiter) -> u64 {
        self.last += 1;
        self.open
            .insert(self.last, (Instant::now() + ANSWER_MAX, waiter));
        self.last
    }

    /// Closes a request that is answered.
    pub(super) fn close(&mut self, id: u64) -> Option<Waiter> {
        self.open.remove(&id).map(|(_, waiter)| waiter)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// When the kernel is late with an answer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open
            .first_key_value()
            .map(|(_, (deadline, _))| *deadline)
    }

    /// Tells everybody who waits that no answer will come.
    pub(super) fn fail(&mut self) {
        for (_, waiter) in std::mem::take(&mut self.open).into_values() {
            if let Waiter::Call(reply) = waiter {
                drop(reply.send(Err(CallError::Lost)));
            }
        }
    }
}

/// A group commit under load takes a second; a kernel that needs ten is not there.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
