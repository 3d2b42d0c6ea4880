//! How often a runtime may register.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use provost_protocol::RuntimeId;

/// The rate of each runtime that registered of late.
#[derive(Debug)]
pub(super) struct Registrations {
    of_each: DefaultKeyedRateLimiter<RuntimeId>,
    asked: AtomicUsize,
}

impl Registrations {
    pub(super) fn new() -> Self {
        Self {
            of_each: RateLimiter::keyed(Quota::per_minute(A_MINUTE)),
            asked: AtomicUsize::new(0),
        }
    }

    /// Whether the runtime may register now.
    pub(super) fn admit(&self, runtime: RuntimeId) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked % SWEEP_EVERY == SWEEP_EVERY - 1 {
            // Whose rate has recovered says no more than who never registered.
            self.of_each.retain_recent();
            self.of_each.shrink_to_fit();
        }
        self.of_each.check_key(&runtime).is_ok()
    }
}

/// A runtime registers once a start; six starts a minute are a crash loop already.
const A_MINUTE: NonZeroU32 = NonZeroU32::new(6).expect("six is not zero");

/// Ten thousand runtimes of a minute ago are some two megabytes; a look at all of them takes a
/// millisecond.
const SWEEP_EVERY: usize = 10_000;

#[cfg(test)]
mod tests {
    use provost_protocol::Timestamp;

    use super::*;

    #[test]
    fn each_runtime_has_its_own_rate() {
        let registrations = Registrations::new();
        let runtime = |number: u8| RuntimeId::from_parts(Timestamp::EPOCH, [number; 10]);
        for _ in 0..6 {
            assert!(registrations.admit(runtime(1)));
        }
        assert!(!registrations.admit(runtime(1)));
        assert!(registrations.admit(runtime(2)));
    }
}
