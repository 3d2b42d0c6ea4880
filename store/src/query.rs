//! What people ask of a tenant's log: by time, kind, actor, runtime and correlation id, newest
//! first.
//!
//! Every filter holds together with the others. What an event is found by is said here once, for
//! the indexes that find candidates and for the check of each event that was read.

use provost_protocol::{
    CorrelationId, RuntimeId, Timestamp, entity::ActorType, envelope::Envelope, event::Event,
};
use serde::Deserialize;

use crate::backend::StoredEvent;

/// Which events of one tenant are wanted, newest first; all filters together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Decided at this time or later.
    pub since: Option<Timestamp>,
    /// Decided before this time.
    pub until: Option<Timestamp>,
    /// Of this kind; or, for a recorded audit event, of this type in the sender's words.
    pub kind: Option<String>,
    /// Caused by the actor of this id.
    pub actor: Option<String>,
    /// Caused by this runtime, or about it.
    pub runtime: Option<RuntimeId>,
    /// Part of this story.
    pub correlation: Option<CorrelationId>,
    /// The cursor: sequences below this one.
    pub before: Option<u64>,
    /// At most so many events, and never more than [`QUERY_EVENTS_MAX`].
    pub limit: usize,
}

/// One page of a query.
#[derive(Debug, Clone, Default)]
pub struct QueryPage {
    /// The events, newest first.
    pub events: Vec<StoredEvent>,
    /// `before` of the next page; `None` when there is certainly nothing more.
    pub next: Option<u64>,
}

impl Query {
    /// How many events a page has room for.
    #[must_use]
    pub(crate) fn room(&self) -> usize {
        self.limit.min(QUERY_EVENTS_MAX)
    }

    /// Whether the event is wanted; the cursor is not looked at.
    #[must_use]
    pub(crate) fn matches(&self, envelope: &Envelope) -> bool {
        self.admits(envelope.time)
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| kinds(envelope).any(|found| found == kind))
            && self
                .actor
                .as_ref()
                .is_none_or(|actor| *actor == envelope.actor.id)
            && self
                .correlation
                .is_none_or(|id| id == envelope.correlation_id)
            && self
                .runtime
                .is_none_or(|runtime| runtimes(envelope).contains(&runtime))
    }

    /// Whether an event of this time may be wanted.
    #[must_use]
    pub(crate) fn admits(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Makes the page of what was found.
    #[must_use]
    pub(crate) fn page(&self, events: Vec<StoredEvent>) -> QueryPage {
        let last = events.last().filter(|_| events.len() >= self.room());
        // Sequence 1 is the first: before it stands nothing.
        let next = last.map(|event| event.envelope.seq).filter(|seq| *seq > 1);
        QueryPage { events, next }
    }
}

/// The words an event's kind is asked for by.
pub(crate) fn kinds(envelope: &Envelope) -> impl Iterator<Item = &str> {
    let sent = match &envelope.event {
        Event::AuditRecorded(recorded) => Some(recorded.kind.as_str()),
        _ => None,
    };
    std::iter::once(envelope.event.kind()).chain(sent)
}

/// The runtimes an event is asked for by: the one that caused it, and those its data names.
///
/// The names are taken from the data's JSON and not from each kind's type, so that a kind is found
/// by its runtime from the day it is registered.
pub(crate) fn runtimes(envelope: &Envelope) -> Vec<RuntimeId> {
    let mut found = Vec::new();
    if envelope.actor.kind == ActorType::Runtime {
        found.extend(envelope.actor.id.parse::<RuntimeId>());
    }
    let named = match &envelope.event {
        Event::AuditRecorded(recorded) => serde_json::from_str(recorded.event.as_str()).ok(),
        other => other
            .to_data()
            .ok()
            .and_then(|data| serde_json::from_str(&data).ok()),
    };
    let named: Named = named.unwrap_or_default();
    found.extend(
        [named.runtime, named.runtime_id, named.granted_runtime]
            .iter()
            .flatten(),
    );
    found.extend(named.runtimes);
    found.extend(named.confirmed.iter().map(|confirmed| confirmed.runtime));
    found.sort_unstable();
    found.dedup();
    found
}

/// The fields by which events name runtimes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    runtime: Option<RuntimeId>,
    runtime_id: Option<RuntimeId>,
    granted_runtime: Option<RuntimeId>,
    runtimes: Vec<RuntimeId>,
    confirmed: Vec<NamedOne>,
}

/// One runtime of a list.
#[derive(Debug, Deserialize)]
struct NamedOne {
    runtime: RuntimeId,
}

/// Ten pages as people read them: what one call may hold of a reading thread.
pub const QUERY_EVENTS_MAX: usize = 1_000;
