//! Waiting for threads to end, with a deadline, which joining them has not.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    time::Instant,
};

/// Held by each thread; the last one dropped ends the wait. Dropped by a panic too.
#[derive(Debug, Clone)]
pub(crate) struct Ends(mpsc::SyncSender<()>);

/// Held by whoever waits.
#[derive(Debug)]
pub(crate) struct Ended(Mutex<mpsc::Receiver<()>>);

impl Ends {
    /// Makes the two ends.
    pub(crate) fn pair() -> (Self, Ended) {
        let (sender, receiver) = mpsc::sync_channel(0);
        (Self(sender), Ended(Mutex::new(receiver)))
    }

    /// Says that the thread has let go of all it held.
    pub(crate) fn here(self) {
        drop(self.0);
    }
}

impl Ended {
    /// Waits until every thread has ended; `false` when that is not before `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let patience = deadline.saturating_duration_since(Instant::now());
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody ever sends: what comes is the hanging up of the last thread, or the deadline.
        ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}
