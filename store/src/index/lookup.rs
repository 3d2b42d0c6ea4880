//! What an event can be found by, and how that becomes a posting.

use provost_protocol::{
    envelope::{Envelope, Idempotency},
    event::Event,
};
use sha2::{Digest, Sha256};

use crate::backend::LookupKey;

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

/// The posting of a lookup key.
#[must_use]
pub(crate) fn lookup_posting(key: LookupKey) -> u64 {
    posting("find", &key.0)
}

/// Every posting of an event.
pub(super) fn postings(envelope: &Envelope) -> Vec<u64> {
    let mut hashes = vec![
        posting("type", envelope.event.kind().as_bytes()),
        posting("actor", envelope.actor.id.as_bytes()),
        posting("correlation", envelope.correlation_id.as_bytes()),
    ];
    if let Event::AuditRecorded(recorded) = &envelope.event {
        hashes.push(posting("type", recorded.kind.as_bytes()));
    }
    hashes.extend(lookup_keys(envelope).into_iter().map(lookup_posting));
    hashes
}

fn posting(label: &str, value: &[u8]) -> u64 {
    let digest = Sha256::new()
        .chain_update(label)
        .chain_update([0])
        .chain_update(value)
        .finalize();
    let mut hash = [0; 8];
    hash.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(hash)
}
