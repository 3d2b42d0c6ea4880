//! Where the time comes from: the system, a test's hand, or the async runtime.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use provost_protocol::Timestamp;
use tokio::time::Instant;

/// Tells what time it is; the only clock that shells read.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

/// A clock that follows the async runtime, so that paused time moves timers and clock as one.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeClock {
    start: Timestamp,
    since: Instant,
}

impl ManualClock {
    /// Makes a clock that shows `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().plus_millis(millis(span)));
    }
}

impl RuntimeClock {
    /// Makes a clock that shows `start` now and goes on with the runtime's time.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self {
            start,
            since: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    /// A clock set before 1970 shows 1970: every deadline then lies ahead, and nothing expires.
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::EPOCH.plus_millis(millis(since))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.start.plus_millis(millis(self.since.elapsed()))
    }
}

/// Whole milliseconds of a span, held at the largest number.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written() {
        let written: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let now = SystemClock.now();
        assert!(now > written && now < Timestamp::MAX, "{now}");
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp::from_millis(5_000));
        clock.advance(Duration::from_millis(250));
        assert_eq!(clock.now(), Timestamp::from_millis(5_250));
        clock.set(Timestamp::from_millis(1));
        assert_eq!(clock.now(), Timestamp::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_clock_goes_with_paused_time() {
        let clock = RuntimeClock::starting_at(Timestamp::from_millis(1_000));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), Timestamp::from_millis(3_000));
    }
}
