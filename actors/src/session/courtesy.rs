//! A thread that always finds more to do gives its processor away now and then.
//!
//! Where more threads are busy than there are processors, the system lets each run for a slice, and
//! an unlucky order of slices leaves one waiting for two of them: the kernel's other arbiter, the
//! journal's thread, or whoever asks from the same machine. Giving way once a slice makes the
//! slowest answers come in half the time; where nobody waits it costs one short system call.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// How a thread has been busy: since when without giving way, and when that was last seen.
#[derive(Debug, Clone, Copy)]
struct Busy {
    since: Instant,
    seen: Instant,
}

thread_local! {
    static BUSY: Cell<Option<Busy>> = const { Cell::new(None) };
}

/// Gives way where this thread was busy for long; says whether it did, so that whoever looked at a
/// clock before looks again.
pub(super) fn give_way(now: Instant) -> bool {
    let held = BUSY.get().filter(|busy| now < busy.seen + ASLEEP);
    let since = held.map_or(now, |busy| busy.since);
    let gives = now.saturating_duration_since(since) >= EVERY;
    if gives {
        std::thread::yield_now();
    }
    BUSY.set(Some(Busy {
        since: if gives { now } else { since },
        seen: now,
    }));
    gives
}

/// About a slice of Linux' scheduler. With one millisecond the slowest were twice as fast again, and
/// the usual answer took three times as long.
const EVERY: Duration = Duration::from_millis(4);

/// A busy thread comes by every few microseconds; one that did not for so long has slept or waited.
const ASLEEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// When, of these moments in microseconds, the thread gave way.
    fn given(moments: impl Iterator<Item = u64>) -> Vec<u64> {
        let began = Instant::now();
        BUSY.set(None);
        moments
            .filter(|us| give_way(began + Duration::from_micros(*us)))
            .collect()
    }

    #[test]
    fn a_busy_thread_gives_way_once_a_slice() {
        let busy = (0..20_000).step_by(100);
        assert_eq!(given(busy), [4_000, 8_000, 12_000, 16_000]);
    }

    #[test]
    fn a_thread_that_sleeps_between_requests_never_does() {
        assert_eq!(given((0..1_000_000).step_by(1_000)), [0_u64; 0]);
    }
}
