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
        let bucket = buckets.entry(operator).or_insert(Bucket {
            left: BURST * 1_000,
            at: now,
        });
        let gained = now.millis_since(bucket.at).saturating_mul(A_SECOND);
        bucket.left = bucket.left.saturating_add(gained).min(BURST * 1_000);
        bucket.at = bucket.at.max(now);
        let admitted = bucket.left >= 1_000;
        if admitted {
            bucket.left -= 1_000;
        }
        admitted
    }
}

/// A class that starts at nine logs in at once.
const BURST: u64 = 200;

/// Twenty new people a second are 1.7 million a day: a flood, not a launch.
const A_SECOND: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

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
}
