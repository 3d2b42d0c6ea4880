//! Which runtimes said that they trust a bundle of roots, gathered into at most one event a second.

use std::collections::BTreeSet;

use provost_protocol::{RuntimeId, Timestamp};

use crate::{
    command::ConfirmTrust,
    desired::{CONFIRMATIONS_MAX, due_at, is_due},
};

/// Gathers the words of one tenant's runtimes. Volatile: after a crash, connectors say it again
/// with their next session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustWords {
    bundle: String,
    waiting: BTreeSet<RuntimeId>,
    due: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl TrustWords {
    /// Takes in a runtime's word. Words on another bundle than the newest are forgotten; past
    /// [`CONFIRMATIONS_MAX`] waiting runtimes one is dropped.
    pub fn add(&mut self, runtime: RuntimeId, bundle: &str, now: Timestamp) {
        if self.bundle != bundle {
            bundle.clone_into(&mut self.bundle);
            self.waiting.clear();
        }
        if self.waiting.len() >= CONFIRMATIONS_MAX {
            return;
        }
        self.waiting.insert(runtime);
        self.due = Some(due_at(self.due, self.last, now));
    }

    /// When [`take`](Self::take) is next worth calling.
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    /// Gives what has gathered, once it is due.
    pub fn take(&mut self, now: Timestamp) -> Option<ConfirmTrust> {
        if !is_due(self.due, now) {
            return None;
        }
        (self.due, self.last) = (None, Some(now));
        let runtimes: Vec<_> = std::mem::take(&mut self.waiting).into_iter().collect();
        (!runtimes.is_empty()).then(|| ConfirmTrust {
            bundle: self.bundle.clone(),
            runtimes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::CONFIRM_EVERY_MS;

    fn runtime(number: u8) -> RuntimeId {
        RuntimeId::from_parts(Timestamp::EPOCH, [number; 10])
    }

    #[test]
    fn words_of_one_second_are_taken_together_and_the_next_wait() {
        let mut words = TrustWords::default();
        let now = Timestamp::from_millis(10_000);
        words.add(runtime(1), "a", now);
        words.add(runtime(2), "a", now);
        words.add(runtime(1), "a", now);
        assert_eq!(words.take(now.minus_millis(1)), None);
        let taken = words.take(now).unwrap();
        assert_eq!(taken.runtimes, [runtime(1), runtime(2)]);
        words.add(runtime(3), "a", now.plus_millis(1));
        assert_eq!(words.deadline(), Some(now.plus_millis(CONFIRM_EVERY_MS)));
        assert_eq!(words.take(now.plus_millis(CONFIRM_EVERY_MS - 1)), None);
        let taken = words.take(now.plus_millis(CONFIRM_EVERY_MS)).unwrap();
        assert_eq!(taken.runtimes, [runtime(3)]);
    }

    #[test]
    fn a_word_on_another_bundle_replaces_those_on_the_one_before() {
        let mut words = TrustWords::default();
        words.add(runtime(1), "a", Timestamp::EPOCH);
        words.add(runtime(2), "b", Timestamp::EPOCH);
        let taken = words.take(Timestamp::EPOCH).unwrap();
        assert_eq!(
            (taken.bundle.as_str(), taken.runtimes),
            ("b", vec![runtime(2)])
        );
    }
}
