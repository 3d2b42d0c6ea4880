//! How long to wait before dialling again: what the kernel says, then full jitter, doubling, capped.

use std::time::Duration;

use crate::clock::up_to;

/// Counts failures since the last session that stood.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after another failure: anything between nothing and the bound, so that a fleet
    /// that lost its kernel at one moment does not come back at one moment.
    ///
    /// What the kernel asked for goes before it whole: it knows how long its queue is.
    pub(super) fn next(&mut self, told: Option<Duration>) -> Duration {
        let wait = up_to(self.bound());
        self.failures = self.failures.saturating_add(1);
        told.unwrap_or_default().min(TOLD_MAX) + wait
    }

    /// A session ended after so long: one that stood makes the next failure the first of a row.
    pub(super) fn ended(&mut self, stood: Duration) {
        if stood >= STOOD {
            self.failures = 0;
        }
    }

    fn bound(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures.min(DOUBLINGS_MAX));
        BASE.saturating_mul(doubled).min(CAP)
    }
}

/// A kernel that is restarted by systemd is back within a second; half of them wait for less.
const BASE: Duration = Duration::from_millis(500);

/// An hour's outage costs each runtime a hundred attempts, and its end is noticed within a minute.
const CAP: Duration = Duration::from_secs(60);

/// 500 ms doubled seven times is above the cap.
const DOUBLINGS_MAX: u32 = 7;

/// Two beats at the base rhythm. A kernel that welcomes and breaks down a moment later is not well,
/// and a fleet that took each welcome for the end of the trouble would keep it so.
const STOOD: Duration = Duration::from_secs(30);

/// A kernel that asks for more is believed up to ten minutes.
const TOLD_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_within_a_bound_that_doubles_up_to_a_minute() {
        let mut backoff = Backoff::default();
        for bound_ms in [
            500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
        ] {
            assert_eq!(backoff.bound(), Duration::from_millis(bound_ms));
            assert!(backoff.next(None) <= Duration::from_millis(bound_ms));
        }
    }

    #[test]
    fn only_a_session_that_stood_begins_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.next(None);
        }
        backoff.ended(STOOD - Duration::from_millis(1));
        assert_eq!(backoff.bound(), BASE * 32);
        backoff.ended(STOOD);
        assert_eq!(backoff.bound(), BASE);
    }

    #[test]
    fn what_the_kernel_asked_for_is_waited_whole_and_believed_up_to_ten_minutes() {
        let told = Duration::from_secs(7);
        for _ in 0..100 {
            let wait = Backoff::default().next(Some(told));
            assert!((told..=told + BASE).contains(&wait), "{wait:?}");
        }
        let wait = Backoff::default().next(Some(Duration::MAX));
        assert!((TOLD_MAX..=TOLD_MAX + BASE).contains(&wait), "{wait:?}");
    }

    #[test]
    fn a_fleet_comes_back_spread_over_the_whole_bound() {
        // A thousand connectors after their fourth failure: each tenth of the 4 s gets its share.
        let mut tenths = [0_u32; 10];
        for _ in 0..1_000 {
            let mut backoff = Backoff { failures: 3 };
            let tenth = backoff.next(None).as_millis() / 400;
            tenths[usize::try_from(tenth).unwrap().min(9)] += 1;
        }
        assert!(
            tenths.iter().all(|count| (40..=200).contains(count)),
            "{tenths:?}"
        );
    }
}
