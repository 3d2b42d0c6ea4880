//! How often one overridden denial becomes an event.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use provost_protocol::{RuntimeId, TenantId, Timestamp, entity::Feature, verdict::Reason};

/// Overrides already recorded, so that a shadowed check in a loop is not an event each.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<Shadowed, Timestamp>>);

/// What was let through: for whom, by which runtime, what, and why not.
pub(super) type Shadowed = (TenantId, RuntimeId, Feature, Reason);

impl Throttle {
    /// Whether this one would be recorded now.
    pub(super) fn is_due(&self, key: &Shadowed, now: Timestamp) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |at: &Timestamp| now.is_within(OVERRIDE_EVERY_MS, *at);
        !seen.get(key).is_some_and(fresh)
    }

    /// Whether this one is to be recorded now.
    pub(super) fn admits(&self, key: Shadowed, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= OVERRIDES_MAX {
            seen.retain(|_, at| now.is_within(OVERRIDE_EVERY_MS, *at));
        }
        let known = seen
            .get(&key)
            .is_some_and(|at| now.is_within(OVERRIDE_EVERY_MS, *at));
        if known || seen.len() >= OVERRIDES_MAX {
            return false;
        }
        seen.insert(key, now);
        true
    }
}

/// One event a minute for each shadowed question shows what it would have denied.
const OVERRIDE_EVERY_MS: u64 = 60_000;

/// Questions remembered: beyond it a flood of distinct ones is not recorded.
const OVERRIDES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_is_recorded_once_a_minute_and_for_each_tenant_by_itself() {
        let throttle = Throttle::default();
        let (one, other) = (key(1, "a"), key(2, "a"));
        assert!(throttle.admits(one.clone(), at(0)));
        assert!(!throttle.admits(one.clone(), at(59_999)));
        assert!(
            throttle.admits(other, at(0)),
            "another tenant's log says it too"
        );
        assert!(throttle.admits(one.clone(), at(60_000)));
        assert!(throttle.admits(one, at(50_000)), "the clock was set back");
    }

    #[test]
    fn a_flood_of_questions_takes_no_more_room_than_there_is() {
        let throttle = Throttle::default();
        let admitted = (0..10_000)
            .filter(|number| throttle.admits(key(1, &format!("f{number}")), at(0)))
            .count();
        assert_eq!(admitted, OVERRIDES_MAX);
        assert!(throttle.admits(key(1, "later"), at(60_000)));
        assert_eq!(throttle.0.lock().unwrap().len(), 1);
    }

    fn key(tenant: u8, feature: &str) -> Shadowed {
        let tenant = TenantId::from_parts(Timestamp::EPOCH, [tenant; 10]);
        let runtime = RuntimeId::from_parts(Timestamp::EPOCH, [9; 10]);
        let feature = Feature::parse(feature).unwrap();
        (tenant, runtime, feature, Reason::QuotaExhausted)
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}
