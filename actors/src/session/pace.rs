//! How fast a session is read: within its budget, and in turns with its neighbours.
//!
//! Who asks for more than its budget hears so, and is not read again until there is something left:
//! what it sends meanwhile waits in its own buffers, and its refusals cost others nothing. A heartbeat
//! is taken all the same, once in a while: who asks too much is not lost.

use std::{num::NonZeroU32, time::Duration};

use provost_protocol::{Problem, wire::Operation};
use tokio::time::Instant;

use crate::{
    Budget,
    budget::{CHECK, cost},
};

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
    pub(super) fn admit(&mut self, operation: &Operation, now: Instant) -> Result<(), Problem> {
        let taken = self.take(cost(operation), now);
        let beats = matches!(operation, Operation::Heartbeat(_));
        if taken.is_err() && beats && self.budget.may_beat(now) {
            return Ok(());
        }
        taken
    }

    /// Takes the price of a word that has no answer: beyond the budget it is what makes reading
    /// rest.
    pub(super) fn hear(&mut self) {
        let _ = self.affords();
    }

    /// Takes the price of looking one thing up that nobody asked for by a request; says whether
    /// there was enough for it.
    pub(super) fn affords(&mut self) -> bool {
        self.take(CHECK, Instant::now()).is_ok()
    }

    fn take(&mut self, cost: NonZeroU32, now: Instant) -> Result<(), Problem> {
        let taken = self.budget.take_at(cost, now);
        if let Err(problem) = &taken {
            let rest = Duration::from_millis(problem.retry_after_ms.unwrap_or_default());
            self.rests_until = Some(now + rest.min(REST_MAX));
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
