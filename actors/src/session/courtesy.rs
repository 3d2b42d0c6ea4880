//! A thread that always finds more to do gives its processor away now and then.
//!
//! Where more threads are busy than there are processors, the system lets each run for a slice, and
//! an unlucky order of slices leaves one waiting for two of them: the kernel's other arbiter, the
//! journal's thread, or whoever asks from the same machine. Giving way once a slice makes the
//! slowest answers come in half the time; where nobody waits it costs one short system call.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

thread_local! {
    /// When this thread gave way last.
    static GAVE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Gives way, if the last time is long enough ago; says whether it did.
pub(super) fn give_way(now: Instant) -> bool {
    let Some(gave) = GAVE.get() else {
        GAVE.set(Some(now));
        return false;
    };
    if now.saturating_duration_since(gave) < EVERY {
        return false;
    }
    std::thread::yield_now();
    GAVE.set(Some(now));
    true
}

/// About a slice of Linux' scheduler. With one millisecond the slowest were twice as fast again, and
/// the usual answer took three times as long.
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
