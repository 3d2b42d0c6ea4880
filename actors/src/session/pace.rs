//! How fast a session is read: within its budget, and in turns with its neighbours.
//!
//! Who asks for more than its budget hears so, and is not read again until there is something left:
//! what it sends meanwhile waits in its own buffers, and its refusals cost others nothing.

use std::{num::NonZeroU32, time::Duration};

use provost_protocol::Problem;
use tokio::time::Instant;

use crate::Budget;

/// The pace of one session.
#[derive(Debug)]
pub(super) struct Pace {
    budget: Budget,
    rests_until: Option<Instant>,
}

impl Pace {
    pub(super) const fn new(budget: Budget) -> Self {
        Self {
            budget,
            rests_until: None,
        }
    }

    /// Takes the price of what was asked; beyond the budget, reading rests.
    pub(super) fn admit(&mut self, cost: NonZeroU32) -> Result<(), Problem> {
        let taken = self.budget.take(cost);
        if let Err(problem) = &taken {
            let rest = Duration::from_millis(problem.retry_after_ms.unwrap_or_default());
            self.rests_until = Some(Instant::now() + rest.min(REST_MAX));
        }
        taken
    }

    /// For how long nothing is read still.
    pub(super) fn rest(&mut self) -> Option<Duration> {
        let left = self.rests_until?.checked_duration_since(Instant::now());
        let left = left.filter(|left| !left.is_zero());
        if left.is_none() {
            self.rests_until = None;
        }
        left
    }

    /// A frame was taken in; says whether others are to get their turn now.
    pub(super) fn is_turn_over(&self) -> bool {
        self.budget.take_frame()
    }

    /// Waits until it is the turn of the tenant's sessions.
    pub(super) async fn turn(&self) {
        self.budget.turn().await;
    }

    /// When to come back, where the kernel is about to close.
    pub(super) fn come_back_ms(&self) -> u64 {
        self.budget.come_back_ms()
    }
}

/// Heartbeats must go on being heard: no rest is longer than a moment.
const REST_MAX: Duration = Duration::from_secs(1);
