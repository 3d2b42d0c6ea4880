//! How long to wait before dialling again: full jitter, doubling, capped.

use std::time::Duration;

use crate::clock::up_to;

/// Counts failures since the last session that lasted.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after another failure: anything between nothing and the bound, so that a fleet
    /// that lost its kernel at one moment does not come back at one moment.
    pub(super) fn next(&mut self) -> Duration {
        let wait = up_to(self.bound());
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// A session lasted.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    fn bound(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures.min(DOUBLINGS_MAX));
        BASE.saturating_mul(doubled).min(CAP)
    }
}

/// A kernel that is restarted by systemd is back within a second.
const BASE: Duration = Duration::from_millis(250);

/// An hour's outage costs each runtime sixty attempts, and its end is noticed within a minute.
const CAP: Duration = Duration::from_secs(60);

/// 250 ms doubled eight times is above the cap.
const DOUBLINGS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_within_a_bound_that_doubles_up_to_a_minute() {
        let mut backoff = Backoff::default();
        for bound_ms in [
            250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
        ] {
            assert_eq!(backoff.bound(), Duration::from_millis(bound_ms));
            assert!(backoff.next() <= Duration::from_millis(bound_ms));
        }
        backoff.reset();
        assert_eq!(backoff.bound(), BASE);
    }
}
