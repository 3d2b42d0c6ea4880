//! What an event can be found by, and how that becomes a term.

use provost_protocol::{
    RuntimeId,
    envelope::{Envelope, Idempotency},
    event::Event,
    tlog::{Hash, leaf_hash},
};
use sha2::{Digest, Sha256};

use crate::{
    backend::LookupKey,
    query::{Query, kinds, runtimes},
};

/// What the index keeps of an event. It takes some ten hashes, and is made by whoever decided the
/// event, so that the journal's one thread does not spend them.
#[derive(Debug)]
pub(crate) struct Marks {
    /// The leaf in its tenant's tree.
    pub(crate) leaf: Hash,
    /// Every term of the event, each once.
    pub(super) terms: Box<[u64]>,
}

impl Marks {
    /// Those of an event and its exact bytes.
    pub(crate) fn of(envelope: &Envelope, bytes: &[u8]) -> Self {
        Self {
            leaf: leaf_hash(bytes),
            terms: terms(envelope).into(),
        }
    }
}

/// What an event can be found by exactly: its audit event id, its idempotency key.
#[must_use]
pub fn lookup_keys(envelope: &Envelope) -> Vec<LookupKey> {
    let mut keys = Vec::new();
    if let Event::AuditRecorded(recorded) = &envelope.event {
        keys.push(event_lookup(recorded.event_id));
    }
    if let Some(idempotency) = &envelope.idempotency {
        keys.push(idempotency_lookup(idempotency));
    }
    keys
}

/// The lookup key of an audit event's id.
#[must_use]
pub const fn event_lookup(id: provost_protocol::EventId) -> LookupKey {
    LookupKey(*id.as_bytes())
}

/// The lookup key of an idempotency key: the first half of SHA-256(scope ‖ 0 ‖ key).
#[must_use]
pub fn idempotency_lookup(idempotency: &Idempotency) -> LookupKey {
    let digest = Sha256::new()
        .chain_update(&idempotency.scope)
        .chain_update([0])
        .chain_update(&idempotency.key)
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    LookupKey(key)
}

/// The term of a lookup key.
#[must_use]
pub(crate) fn lookup_term(key: LookupKey) -> u64 {
    term("find", &key.0)
}

/// The terms of the events that a query wants.
#[must_use]
pub(crate) fn query_terms(query: &Query) -> Vec<u64> {
    let mut terms = Vec::new();
    terms.extend(query.kind.iter().map(|kind| kind_term(kind)));
    terms.extend(
        query
            .actor
            .iter()
            .map(|actor| term("actor", actor.as_bytes())),
    );
    terms.extend(query.runtime.iter().map(runtime_term));
    let story = query.correlation.iter();
    terms.extend(story.map(|id| term("correlation", id.as_bytes())));
    terms
}

/// Every term of an event, each once.
pub(super) fn terms(envelope: &Envelope) -> Vec<u64> {
    let mut terms = vec![
        term("actor", envelope.actor.id.as_bytes()),
        term("correlation", envelope.correlation_id.as_bytes()),
    ];
    terms.extend(kinds(envelope).map(kind_term));
    terms.extend(runtimes(envelope).iter().map(runtime_term));
    terms.extend(lookup_keys(envelope).into_iter().map(lookup_term));
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn kind_term(kind: &str) -> u64 {
    term("type", kind.as_bytes())
}

fn runtime_term(runtime: &RuntimeId) -> u64 {
    term("runtime", runtime.as_bytes())
}

/// The first eight bytes of SHA-256(label ‖ 0 ‖ value).
fn term(label: &str, value: &[u8]) -> u64 {
    let digest = Sha256::new()
        .chain_update(label)
        .chain_update([0])
        .chain_update(value)
        .finalize();
    let mut hash = [0; 8];
    hash.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(hash)
}
