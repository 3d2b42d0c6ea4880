//! How many people may get a tenant of their own in a while: each one is a log of its own.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use provost_protocol::{TenantId, Timestamp};

/// A bucket of admissions for each operator.
#[derive(Debug, Default)]
pub(super) struct Admissions(Mutex<HashMap<TenantId, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// Thousandths of an admission.
    left: u64,
    at: Timestamp,
}

impl Admissions {
    /// Takes one admission, if there is one.
    pub(super) fn admits(&self, operator: TenantId, now: Timestamp) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&operator) {
            // A bucket that is full again says no more than none.
            buckets.retain(|_, bucket| bucket.left_at(now) < BURST * 1_000);
        }
        let bucket = buckets.entry(operator).or_insert(Bucket {
            left: BURST * 1_000,
            at: now,
        });
        bucket.left = bucket.left_at(now);
        // Also where a clock was set back: it is filled from there on.
        bucket.at = now;
        let admitted = bucket.left >= 1_000;
        if admitted {
            bucket.left -= 1_000;
        }
        admitted
    }
}

impl Bucket {
    fn left_at(&self, now: Timestamp) -> u64 {
        let gained = now.millis_since(self.at).saturating_mul(A_SECOND);
        self.left.saturating_add(gained).min(BURST * 1_000)
    }
}

/// Operators that admit within the same ten seconds; more are operators that exist, and few.
const BUCKETS_MAX: usize = 1_024;

/// A class that starts at nine logs in at once.
const BURST: u64 = 200;

/// Twenty new people a second are 1.7 million a day: a flood, not a launch.
const A_SECOND: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out() {
        let admissions = Admissions::default();
        let operator = TenantId::from_parts(Timestamp::EPOCH, [1; 10]);
        let at = |millis: i64| Timestamp::from_millis(3_600_000 + millis);
        let admitted = |at| {
            (0..1_000)
                .filter(|_| admissions.admits(operator, at))
                .count()
        };
        assert_eq!(admitted(at(0)), 200);
        assert_eq!(admitted(at(-3_600_000)), 0);
        assert_eq!(admitted(at(-3_599_000)), 20, "a second later");
    }

    #[test]
    fn a_burst_is_admitted_and_then_twenty_a_second() {
        let admissions = Admissions::default();
        let operator = TenantId::from_parts(Timestamp::EPOCH, [1; 10]);
        let at = |millis| Timestamp::from_millis(millis);
        let admitted = (0..1_000)
            .filter(|_| admissions.admits(operator, at(0)))
            .count();
        assert_eq!(admitted, 200);
        assert!(!admissions.admits(operator, at(49)));
        assert!(admissions.admits(operator, at(50)));
        let later = (0..1_000)
            .filter(|_| admissions.admits(operator, at(1_050)))
            .count();
        assert_eq!(later, 20);
    }

    #[test]
    fn operators_that_admitted_long_ago_take_no_room() {
        let admissions = Admissions::default();
        let at = |number: u64| Timestamp::EPOCH.plus_millis(number * 1_000);
        for number in 0..5_000 {
            let operator = TenantId::from_parts(at(number), [1; 10]);
            assert!(admissions.admits(operator, at(number)));
        }
        assert!(admissions.0.lock().unwrap().len() <= BUCKETS_MAX);
    }
}
