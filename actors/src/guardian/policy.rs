//! How often an actor may fail, and how long its guardian waits before it tries again.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The numbers of supervision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// How many restarts are made within [`window`](Self::window) before the actor is quarantined.
    pub restarts_max: usize,
    /// The time over which failures are counted.
    pub window: Duration,
    /// The wait before the first restart; it doubles with every failure in the window.
    pub backoff_first: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// How long the factory may take.
    pub build_within: Duration,
    /// How long an actor that was let go of may take to end by itself before it is cut off.
    pub stop_within: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            restarts_max: RESTARTS_MAX,
            window: WINDOW,
            backoff_first: BACKOFF_FIRST,
            backoff_max: BACKOFF_MAX,
            build_within: BUILD_WITHIN,
            stop_within: STOP_WITHIN,
        }
    }
}

/// The failures of one actor within the window.
#[derive(Debug, Default)]
pub(super) struct Failures(VecDeque<Instant>);

impl Failures {
    /// Takes in a failure; says how long to wait before the next life, or `None` to give up.
    pub(super) fn record(&mut self, now: Instant, policy: &RestartPolicy) -> Option<Duration> {
        while self
            .0
            .front()
            .is_some_and(|&first| now.duration_since(first) >= policy.window)
        {
            self.0.pop_front();
        }
        if self.0.len() >= policy.restarts_max {
            return None;
        }
        let doublings = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push_back(now);
        let wait = policy
            .backoff_first
            .saturating_mul(2_u32.saturating_pow(doublings));
        Some(wait.min(policy.backoff_max))
    }
}

/// One poisonous command is met at most this often: five tries tell a passing fault (a full disk, a
/// race) from one that comes back with the state.
const RESTARTS_MAX: usize = 5;

/// Longer than five restarts with their waits take (1.6 s) and builds of ten seconds each.
const WINDOW: Duration = Duration::from_secs(120);

/// A caller with the usual deadline of a second does not even notice the first restart.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// Only reached by a policy with more restarts: beyond this, waiting tells us nothing.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Waking a tenant takes milliseconds; ten seconds is a store that is stuck.
const BUILD_WITHIN: Duration = Duration::from_secs(10);

/// Answers in flight leave within one journal group; five seconds is an actor that hangs.
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_until_the_guardian_gives_up() {
        let (policy, mut failures, now) = (
            RestartPolicy::default(),
            Failures::default(),
            Instant::now(),
        );
        let waits: Vec<_> = (0..6).map(|_| failures.record(now, &policy)).collect();
        let millis = |wait| Some(Duration::from_millis(wait));
        assert_eq!(
            waits,
            [
                millis(50),
                millis(100),
                millis(200),
                millis(400),
                millis(800),
                None
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_forgotten_after_the_window() {
        let (policy, mut failures, now) = (
            RestartPolicy::default(),
            Failures::default(),
            Instant::now(),
        );
        for round in 0..50 {
            let wait = failures.record(now + policy.window * round, &policy);
            assert_eq!(wait, Some(policy.backoff_first), "round {round}");
        }
    }
}
