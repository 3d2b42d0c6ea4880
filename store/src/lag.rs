//! How far the state is behind the journal, for those who read it.
//!
//! An append is answered when it is durable and in the segment's index; the state follows on its own
//! thread, several groups at once where it must. Whoever reads the state waits until it holds every
//! group that was durable when he asked, so that nobody misses what he was told.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::backend::ReadError;

/// Counts of groups. The journal's thread raises one, the state's thread the other.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    counts: Mutex<Counts>,
    caught_up: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    durable: u64,
    applied: u64,
    ended: bool,
}

impl Lag {
    /// One more group is durable. Called before anybody is told.
    pub(crate) fn durable(&self) {
        self.lock().durable += 1;
    }

    /// So many more groups are in the state.
    pub(crate) fn applied(&self, groups: u64) {
        self.lock().applied += groups;
        self.caught_up.notify_all();
    }

    /// Nothing more will be applied.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.caught_up.notify_all();
    }

    /// How many groups are durable.
    pub(crate) fn now(&self) -> u64 {
        self.lock().durable
    }

    /// Waits until the state holds so many groups.
    ///
    /// # Errors
    /// [`ReadError::Overloaded`] at the deadline; [`ReadError::Closed`] where it never will.
    pub(crate) fn wait(&self, groups: u64, deadline: Instant) -> Result<(), ReadError> {
        let mut counts = self.lock();
        while counts.applied < groups {
            if counts.ended {
                return Err(ReadError::Closed);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ReadError::Overloaded);
            }
            let waited = self.caught_up.wait_timeout(counts, left);
            counts = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// What is behind the lock is whole whatever panicked: each count is changed alone.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread, time::Duration};

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn whoever_asks_waits_for_what_was_durable_then_and_no_more() {
        let lag = Arc::new(Lag::default());
        assert_eq!(lag.wait(lag.now(), Instant::now()), Ok(()));
        lag.durable();
        let asked = lag.now();
        lag.durable();
        assert_eq!(lag.wait(asked, Instant::now()), Err(ReadError::Overloaded));
        let state = Arc::clone(&lag);
        let applying = thread::spawn(move || state.applied(1));
        assert_eq!(lag.wait(asked, later()), Ok(()));
        applying.join().unwrap();
        assert_eq!(
            lag.wait(lag.now(), Instant::now()),
            Err(ReadError::Overloaded)
        );
    }

    #[test]
    fn when_nothing_more_is_applied_nobody_waits() {
        let lag = Lag::default();
        lag.durable();
        lag.end();
        assert_eq!(lag.wait(1, later()), Err(ReadError::Closed));
    }
}
