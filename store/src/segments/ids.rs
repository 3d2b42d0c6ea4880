//! Which audit event ids are certainly new, said from memory: on the way of every event a runtime
//! sends, where two hops to a reading thread cost more than the event itself.
//!
//! An id carries the millisecond it was made in (RFC 9562, version 7). What is in the active segment
//! is in its index; of the segments sealed since the start the newest id of each tenant is kept, and
//! an id made later is in none of them. Of segments that were there at the start only the time of
//! their last event is known. Where this is not enough the answer is no, and somebody reads.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use provost_protocol::{EventId, TenantId, Timestamp};

use super::Segments;
use crate::index::{Growing, event_lookup, lookup_term};

/// What is known of the ids in sealed segments. One number for each tenant that sent events since
/// the start.
#[derive(Debug, Default)]
pub(super) struct SealedIds(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When the newest id of each tenant was made.
    newest: HashMap<TenantId, Timestamp>,
    /// When the last event was decided that a segment found at the start holds.
    found: Option<Timestamp>,
}

impl SealedIds {
    /// A segment that was there at the start holds events up to this time.
    pub(super) fn found(&self, latest: Timestamp) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.found = known.found.max(Some(latest));
    }

    /// The active segment is sealed.
    pub(super) fn sealed(&self, index: &Growing) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (tenant, table) in index.tenants() {
            if let Some(newest) = table.newest_id() {
                let held = known.newest.entry(tenant).or_insert(newest);
                *held = newest.max(*held);
            }
        }
    }

    fn may_hold(&self, tenant: TenantId, made: Timestamp, since: Timestamp) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let newest = known.newest.get(&tenant);
        known.found.is_some_and(|latest| latest >= since)
            || newest.is_some_and(|newest| *newest >= made)
    }
}

impl Segments {
    /// Whether certainly no event of the tenant that was decided at `since` or later carries the id.
    pub(crate) fn is_surely_new(&self, tenant: TenantId, id: EventId, since: Timestamp) -> bool {
        // Held to the end: what is sealed meanwhile would be looked for on neither side.
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let here = active.1.tenant(tenant);
        !here.is_some_and(|table| table.carries(lookup_term(event_lookup(id))))
            && !self.ids.may_hold(tenant, made(id), since)
    }
}

/// When an id was made, as it says itself.
pub(crate) fn made(id: EventId) -> Timestamp {
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&id.as_bytes()[..6]);
    Timestamp::from_millis(i64::from_be_bytes(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(n: u8) -> TenantId {
        TenantId::from_parts(Timestamp::EPOCH, [n; 10])
    }

    #[test]
    fn an_id_says_when_it_was_made() {
        let at = Timestamp::from_millis(1_795_340_000_123);
        assert_eq!(made(EventId::from_parts(at, [0xff; 10])), at);
    }

    #[test]
    fn an_id_as_old_as_the_newest_of_a_sealed_segment_may_be_there() {
        let at = Timestamp::from_millis;
        let ids = SealedIds::default();
        ids.0.write().unwrap().newest.insert(tenant(1), at(1_000));
        assert!(ids.may_hold(tenant(1), at(999), at(0)));
        assert!(ids.may_hold(tenant(1), at(1_000), at(0)));
        assert!(!ids.may_hold(tenant(1), at(1_001), at(0)));
        assert!(!ids.may_hold(tenant(2), at(999), at(0)));
    }

    #[test]
    fn of_segments_found_at_the_start_only_the_time_excludes() {
        let at = Timestamp::from_millis;
        let ids = SealedIds::default();
        ids.found(at(500));
        ids.found(at(400));
        assert!(ids.may_hold(tenant(1), at(9_000), at(500)));
        assert!(!ids.may_hold(tenant(1), at(9_000), at(501)));
    }
}
