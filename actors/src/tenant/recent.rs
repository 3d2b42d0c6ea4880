//! What was decided lately under an idempotency key or an audit event's id: so that a repetition
//! that comes before the first answer is durable waits for it instead of happening twice.
//!
//! Older ones are found in the store. An entry is dropped only when its group is durable.

use std::{collections::HashMap, sync::Arc};

use lru::LruCache;
use provost_protocol::{EventId, Timestamp, envelope::Envelope, event::Event};
use provost_store::{Ids, LookupKey, lookup_keys};

/// Decisions by what they can be found by.
#[derive(Debug)]
pub(super) struct Recent {
    in_flight: HashMap<LookupKey, Arc<Envelope>>,
    durable: LruCache<LookupKey, Option<Arc<Envelope>>>,
    /// What is known of the ids that are not held here any more.
    ids: Ids,
}

impl Recent {
    pub(super) fn new(ids: Ids) -> Self {
        Self {
            in_flight: HashMap::new(),
            // Bounded in `keep`: the bounded kind takes all its room at once, for every tenant awake.
            durable: LruCache::unbounded(),
            ids,
        }
    }

    /// `None` where only the store knows; `Some(None)` where the store has none.
    pub(super) fn find(&mut self, key: LookupKey) -> Option<Option<Arc<Envelope>>> {
        if let Some(envelope) = self.in_flight.get(&key) {
            return Some(Some(Arc::clone(envelope)));
        }
        self.durable.get(&key).cloned()
    }

    /// What an audit event's id was recorded as, among events decided at `since` or later; of one
    /// that is certainly new `Some(None)`, without asking the store.
    pub(super) fn find_id(
        &mut self,
        (id, key): (EventId, LookupKey),
        since: Timestamp,
    ) -> Option<Option<Arc<Envelope>>> {
        let found = self.find(key);
        found.or_else(|| self.ids.lack(id, since).then_some(None))
    }

    /// What the store said; it knows nothing of what was decided since it was asked.
    pub(super) fn learn(&mut self, key: LookupKey, found: Option<Arc<Envelope>>) {
        if !self.in_flight.contains_key(&key) && !self.durable.contains(&key) {
            self.keep(key, found);
        }
    }

    pub(super) fn decided(&mut self, envelope: &Arc<Envelope>) {
        for key in lookup_keys(envelope) {
            self.in_flight.insert(key, Arc::clone(envelope));
        }
    }

    pub(super) fn committed(&mut self, envelope: &Arc<Envelope>) {
        for key in lookup_keys(envelope) {
            self.in_flight.remove(&key);
            self.keep(key, Some(Arc::clone(envelope)));
        }
    }

    fn keep(&mut self, key: LookupKey, found: Option<Arc<Envelope>>) {
        self.durable.put(key, found);
        if self.durable.len() <= DURABLE_MAX {
            return;
        }
        if let Some((_, Some(dropped))) = self.durable.pop_lru()
            && let Event::AuditRecorded(recorded) = &dropped.event
        {
            self.ids.note(recorded.event_id);
        }
    }

    pub(super) fn aborted(&mut self) {
        self.in_flight.clear();
    }
}

/// More than one call of audit events asks for, so that what is read for a call is there when it is
/// judged. Most are a few hundred bytes; a tenant that sends only the largest holds its own 48 MiB
/// until it sleeps.
const DURABLE_MAX: usize = 1_024;

const _: () = assert!(DURABLE_MAX > provost_protocol::v01::AUDIT_EVENTS_MAX);

#[cfg(test)]
mod tests {
    use provost_protocol::{
        CorrelationId, TenantId,
        envelope::{ActorRef, Source},
        event::AuditRecorded,
        json::RawJson,
    };
    use provost_store::event_lookup;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::EPOCH.plus_millis(millis)
    }

    fn id(millis: u64) -> EventId {
        EventId::from_parts(at(millis), [7; 10])
    }

    fn recorded(millis: u64) -> Arc<Envelope> {
        let event = AuditRecorded {
            event_id: id(millis),
            kind: "document.opened".to_owned(),
            received_at: at(millis),
            event: RawJson::parse("{}").unwrap(),
        };
        Arc::new(Envelope {
            tenant: TenantId::from_parts(at(0), [1; 10]),
            epoch: 1,
            seq: millis,
            time: at(millis),
            actor: ActorRef::system(),
            source: Source::Runtime,
            correlation_id: CorrelationId::from_parts(at(0), [2; 10]),
            idempotency: None,
            event: event.into(),
        })
    }

    #[test]
    fn an_id_that_fell_out_of_memory_is_asked_for_and_never_called_new() {
        let mut recent = Recent::new(Ids::default());
        let find = |recent: &mut Recent, millis| {
            let (id, since) = (id(millis), at(0));
            recent.find_id((id, event_lookup(id)), since)
        };
        let first = u64::try_from(DURABLE_MAX).unwrap() + 10;
        for millis in 1..=first {
            let envelope = recorded(millis);
            assert_eq!(find(&mut recent, millis), Some(None), "{millis} is new");
            recent.decided(&envelope);
            recent.committed(&envelope);
        }
        for fallen in 1..=10 {
            assert_eq!(find(&mut recent, fallen), None, "{fallen} may be there");
        }
        let held = find(&mut recent, 11).flatten();
        assert_eq!(held.map(|envelope| envelope.seq), Some(11));
        assert_eq!(find(&mut recent, first + 1), Some(None));
    }

    #[test]
    fn an_id_is_not_called_new_where_what_was_there_at_the_start_is_young_enough() {
        let ids = Ids {
            newest: None,
            found: Some(at(100)),
        };
        let mut recent = Recent::new(ids);
        let key = (id(500), event_lookup(id(500)));
        assert_eq!(recent.find_id(key, at(100)), None);
        assert_eq!(recent.find_id(key, at(101)), Some(None));
    }
}
