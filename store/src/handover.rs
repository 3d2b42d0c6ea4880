//! Durable groups on their way from the journal's thread into the state, and who waits for them.
//!
//! An append is answered when it is durable and in the segment's index; the state follows on its own
//! thread. It takes in several groups at once: tenants that write all the time are in each of them,
//! and their heads are written once. Whoever reads the state waits until it holds every group that
//! was durable when he asked, and does not let it linger; so nobody misses what he was told.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use provost_journal::Position;

use crate::backend::{ReadError, Stamped};

/// A durable group on its way into the state.
#[derive(Debug)]
pub(crate) struct Group {
    /// Where the journal stood after it.
    pub(crate) end: Position,
    /// Its events.
    pub(crate) events: Vec<Stamped>,
    /// Whether a segment was sealed, whose index waits to be written.
    pub(crate) rolled: bool,
}

/// What the journal's thread, the state's thread and the readers know together.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    caught_up: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Group>,
    bytes: usize,
    /// When the oldest that waits came.
    since: Option<Instant>,
    /// Groups that are durable, and those of them that the state holds.
    durable: u64,
    applied: u64,
    /// So many a reader waits for.
    wanted: u64,
    closed: bool,
    ended: bool,
}

/// The journal's end; dropped, nothing more comes.
#[derive(Debug)]
pub(crate) struct Giver(Arc<Handover>);

impl Giver {
    pub(crate) const fn new(handover: Arc<Handover>) -> Self {
        Self(handover)
    }

    /// One more group is durable. Called before anybody is told.
    pub(crate) fn durable(&self) {
        self.0.lock().durable += 1;
    }

    /// How many groups are durable, and how many of them the state holds.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.durable, state.applied)
    }

    /// Hands a group over; waits while too much is on the way. Without a taker it is dropped: the
    /// process ends, and the next start replays it.
    pub(crate) fn give(&self, group: Group) {
        let mut state = self.0.lock();
        while state.is_full() && !state.ended {
            let waited = self.0.emptied.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += bytes(&group);
        state.since.get_or_insert_with(Instant::now);
        state.waiting.push_back(group);
        let first = state.waiting.len() == 1;
        if first || state.is_due(Instant::now()) {
            drop(state);
            self.0.filled.notify_one();
        }
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_all();
    }
}

impl Handover {
    /// Takes everything that waits, once it lingered or somebody wants it; `None` when nothing is
    /// left and nothing comes.
    pub(crate) fn take(&self) -> Option<Vec<Group>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.is_due(now) {
                break;
            }
            state = match state.since {
                None if state.closed => return None,
                None => self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(since) => {
                    let left = (since + LINGER).saturating_duration_since(now);
                    let waited = self.filled.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        (state.bytes, state.since) = (0, None);
        let groups = std::mem::take(&mut state.waiting);
        drop(state);
        self.emptied.notify_all();
        Some(groups.into())
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
        self.emptied.notify_all();
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
        let mut state = self.lock();
        while state.applied < groups {
            if state.ended {
                return Err(ReadError::Closed);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ReadError::Overloaded);
            }
            if state.wanted < groups {
                state.wanted = groups;
                self.filled.notify_all();
            }
            let waited = self.caught_up.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// What is behind the lock is whole whatever panicked: nothing is called while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.waiting.len() >= GROUPS_MAX || self.bytes >= BYTES_MAX
    }

    /// Whether what waits is to be taken now.
    fn is_due(&self, now: Instant) -> bool {
        let Some(since) = self.since else {
            return false;
        };
        self.closed
            || self.wanted > self.applied
            || self.waiting.len() >= GROUPS_MAX / 2
            || self.bytes >= BYTES_MAX / 2
            || now >= since + LINGER
    }
}

fn bytes(group: &Group) -> usize {
    group.events.iter().map(|event| event.bytes.len()).sum()
}

/// A state so far behind costs a start nothing, and a reader no more than he costs it; in it a fast
/// disk makes some twenty groups, of mostly the same tenants.
const LINGER: Duration = Duration::from_millis(20);

/// More groups than a disk makes durable while the state takes in half as many.
const GROUPS_MAX: usize = 128;

/// Four of the largest groups, as many as wait before the disk.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn group(offset: u64) -> Group {
        Group {
            end: Position::new(1, offset),
            events: Vec::new(),
            rolled: false,
        }
    }

    fn pair() -> (Giver, Arc<Handover>) {
        let handover = Arc::new(Handover::default());
        (Giver::new(Arc::clone(&handover)), handover)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn whoever_asks_waits_for_what_was_durable_then_and_no_more() {
        let (giver, handover) = pair();
        assert_eq!(handover.wait(handover.now(), Instant::now()), Ok(()));
        giver.durable();
        let asked = handover.now();
        giver.durable();
        assert_eq!(
            handover.wait(asked, Instant::now()),
            Err(ReadError::Overloaded)
        );
        let state = Arc::clone(&handover);
        let applying = thread::spawn(move || state.applied(1));
        assert_eq!(handover.wait(asked, later()), Ok(()));
        applying.join().unwrap();
        assert_eq!(
            handover.wait(handover.now(), Instant::now()),
            Err(ReadError::Overloaded)
        );
    }

    #[test]
    fn when_nothing_more_is_applied_nobody_waits() {
        let (giver, handover) = pair();
        giver.durable();
        handover.end();
        assert_eq!(handover.wait(1, later()), Err(ReadError::Closed));
        for offset in 0..1_000 {
            giver.give(group(offset));
        }
    }

    #[test]
    fn what_waits_is_taken_together_and_in_order() {
        let (giver, handover) = pair();
        for offset in 0..10 {
            giver.give(group(offset));
        }
        let taken = handover.take().unwrap();
        let ends: Vec<u64> = taken.iter().map(|group| group.end.offset).collect();
        assert_eq!(ends, (0..10).collect::<Vec<_>>());
        drop(giver);
        assert!(handover.take().is_none());
    }

    #[test]
    fn what_a_reader_wants_does_not_linger() {
        let (giver, handover) = pair();
        giver.durable();
        giver.give(group(0));
        let reader = Arc::clone(&handover);
        let reading = thread::spawn(move || reader.wait(1, later()));
        let taken = handover.take().unwrap();
        handover.applied(u64::try_from(taken.len()).unwrap());
        assert_eq!(reading.join().unwrap(), Ok(()));
    }

    #[test]
    fn what_is_given_before_the_end_is_taken_after_it() {
        let (giver, handover) = pair();
        giver.give(group(0));
        drop(giver);
        assert_eq!(handover.take().unwrap().len(), 1);
        assert!(handover.take().is_none());
    }
}
