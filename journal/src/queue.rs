//! A bounded queue between many submitters and one writer thread. Both ends can wait with a
//! deadline, which `std::sync::mpsc` cannot do for a sender; and it is bounded in bytes too.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(crate) struct Queue<I> {
    state: Mutex<State<I>>,
    filled: Condvar,
    emptied: Condvar,
    ended: Condvar,
}

#[derive(Debug)]
struct State<I> {
    items: VecDeque<(I, usize)>,
    bytes: usize,
    /// Whoever waits for items is woken when there are so many.
    wake_at: usize,
    closed: bool,
    ended: bool,
}

/// Why an item was not taken; it comes back.
#[derive(Debug)]
pub(crate) enum Unqueued<I> {
    Full(I),
    Closed(I),
}

/// What waiting for an item came to.
#[derive(Debug)]
pub(crate) enum Popped<I> {
    Item(I),
    /// Nothing came in the given time.
    Idle,
    /// Nothing is left, and nothing will come.
    Closed,
}

impl<I> Queue<I> {
    pub(crate) fn new() -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            wake_at: 1,
            closed: false,
            ended: false,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// Puts an item in, waiting for room until `deadline`; without one it does not wait.
    pub(crate) fn push(
        &self,
        item: I,
        bytes: usize,
        deadline: Option<Instant>,
    ) -> Result<(), Unqueued<I>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(Unqueued::Closed(item));
            }
            if state.has_room(bytes) {
                break;
            }
            // Whoever gathers has gathered enough.
            self.filled.notify_one();
            let left = deadline.and_then(|end| end.checked_duration_since(Instant::now()));
            let Some(left) = left.filter(|left| !left.is_zero()) else {
                return Err(Unqueued::Full(item));
            };
            let waited = self.emptied.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.bytes += bytes;
        state.items.push_back((item, bytes));
        let enough = state.items.len() >= state.wake_at;
        drop(state);
        if enough {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes the next item, waiting at most `patience`. Without patience the wait has no deadline:
    /// it ends with the next item or with [`Queue::close`], and nobody waits for the waiter.
    pub(crate) fn pop(&self, patience: Option<Duration>) -> Popped<I> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = self.lock();
        loop {
            if let Some(item) = state.take() {
                drop(state);
                self.emptied.notify_all();
                return Popped::Item(item);
            }
            if state.closed {
                return Popped::Closed;
            }
            state = match deadline {
                None => self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Popped::Idle;
                    }
                    let waited = self.filled.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits until `count` items are in, or no more come in, or it is `until`.
    pub(crate) fn gather(&self, count: usize, until: Instant) {
        let count = count.min(QUEUE_ITEMS_MAX);
        let mut state = self.lock();
        state.wake_at = count;
        while state.items.len() < count && state.bytes < QUEUE_BYTES_MAX && !state.closed {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                break;
            };
            if left.is_zero() {
                break;
            }
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wake_at = 1;
    }

    /// How many items are in.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Takes the next item if there is one and it is `wanted`; never waits.
    pub(crate) fn pop_if(&self, wanted: impl FnOnce(&I) -> bool) -> Option<I> {
        let mut state = self.lock();
        if !state.items.front().is_some_and(|(item, _)| wanted(item)) {
            return None;
        }
        let item = state.take();
        drop(state);
        self.emptied.notify_all();
        item
    }

    /// Takes nothing in any more; what is in can still be taken out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Closes, drops what is left, and says that nobody takes anything out any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.ended = true;
        let left = std::mem::take(&mut state.items);
        drop(state);
        drop(left);
        self.emptied.notify_all();
        self.ended.notify_all();
    }

    /// Waits until [`Queue::end`] was called; says whether it was.
    pub(crate) fn wait_for_end(&self, patience: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .ended
            .wait_timeout_while(state, patience, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn lock(&self) -> MutexGuard<'_, State<I>> {
        // Whoever panicked held a whole state: no caller's code runs under the lock but `wanted`,
        // which only looks.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I> State<I> {
    fn has_room(&self, bytes: usize) -> bool {
        self.items.len() < QUEUE_ITEMS_MAX
            && (self.items.is_empty() || self.bytes.saturating_add(bytes) <= QUEUE_BYTES_MAX)
    }

    fn take(&mut self) -> Option<I> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

/// One full group's worth of single records waits while the one before is being synced; more
/// waiting would only be a longer way to time out.
pub const QUEUE_ITEMS_MAX: usize = 8_192;
/// Four of the largest groups: some hundred milliseconds of a slow disk, and little memory.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn gathering_ends_when_as_many_are_there_as_were_waited_for() {
        let queue = Arc::new(Queue::new());
        let pusher = Arc::clone(&queue);
        let begun = Instant::now();
        let pushing = thread::spawn(move || {
            for item in 0..3 {
                pusher.push(item, 1, None).unwrap();
            }
        });
        queue.gather(3, begun + LONG);
        assert!(begun.elapsed() < LONG);
        assert_eq!(queue.len(), 3);
        pushing.join().unwrap();
    }

    #[test]
    fn gathering_ends_at_its_deadline_and_at_the_end() {
        let queue = Queue::new();
        queue.push((), 1, None).unwrap();
        queue.gather(2, Instant::now() + Duration::from_millis(1));
        assert_eq!(queue.len(), 1);
        queue.close();
        let begun = Instant::now();
        queue.gather(2, begun + LONG);
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn after_gathering_one_item_wakes_whoever_waits_for_one() {
        let queue = Arc::new(Queue::new());
        queue.gather(2, Instant::now());
        let popper = Arc::clone(&queue);
        let popping = thread::spawn(move || matches!(popper.pop(Some(LONG)), Popped::Item(7)));
        queue.push(7, 1, None).unwrap();
        assert!(popping.join().unwrap());
    }

    #[test]
    fn gathering_ends_when_the_queue_holds_no_more() {
        let queue = Queue::new();
        queue.push((), QUEUE_BYTES_MAX, None).unwrap();
        let begun = Instant::now();
        queue.gather(2, begun + LONG);
        assert!(begun.elapsed() < LONG);
    }
}
