//! Once a slice, a thread that has just answered gives its processor away.
//!
//! Where more threads are busy than there are processors, the system lets each run for a slice, and
//! an unlucky order of slices leaves one waiting for two of them: the kernel's other arbiter, the
//! journal's thread, or whoever asks from the same machine. Giving way once a slice makes the
//! slowest answers come in half the time. Who was answered does not wait for it, and where nobody
//! else wants the processor it costs one short system call.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

thread_local! {
    /// When this thread gave way last.
    static GAVE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Gives way, if the last time is long enough ago; says whether it did.
pub(super) fn give_way(now: Instant) -> bool {
    let gave = GAVE.get();
    let gives = gave.is_some_and(|gave| now.saturating_duration_since(gave) >= EVERY);
    if gives {
        std::thread::yield_now();
    }
    if gives || gave.is_none() {
        GAVE.set(Some(now));
    }
    gives
}

/// About a slice of Linux' scheduler. With one millisecond the slowest were twice as fast again, and
/// the usual answer took three times as long.
///
/// That a thread slept meanwhile cannot be told from its having waited for a processor: where those
/// that were gone for a millisecond did not give way, the slowest were as slow as without this.
const EVERY: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_way_once_a_slice() {
        let began = Instant::now();
        let gave: Vec<u64> = (0..20)
            .filter(|ms| give_way(began + Duration::from_millis(*ms)))
            .collect();
        assert_eq!(gave, [4, 8, 12, 16]);
    }
}
