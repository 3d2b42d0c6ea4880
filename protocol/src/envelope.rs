//! The envelope: one event as it stands in the journal, for ever (architecture.md, section 2).
//!
//! One UTF-8 JSON object, `{v, tenant, epoch, seq, time, kind, kind_version, actor, source,
//! correlation_id, idempotency?, data}`, at most [`ENVELOPE_BYTES_MAX`] bytes. Its exact bytes are
//! the leaf of the tenant's Merkle log; leaf index = seq - 1.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    CorrelationId, TenantId, Timestamp,
    entity::ActorType,
    event::{Event, EventData, EventError},
};

/// One event with all that places it.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Whose log it stands in.
    pub tenant: TenantId,
    /// Rises with every restore from a backup.
    pub epoch: u64,
    /// Position in the tenant's log: 1, 2, 3, … without a gap.
    pub seq: u64,
    /// When the kernel decided it.
    pub time: Timestamp,
    /// Who caused it.
    pub actor: ActorRef,
    /// Through which door it came.
    pub source: Source,
    /// Ties together what one action caused.
    pub correlation_id: CorrelationId,
    /// The caller's idempotency key, if it gave one.
    pub idempotency: Option<Idempotency>,
    /// What happened.
    pub event: Event,
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRef {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ActorType,
    /// Its id, in the sender's own words; at most 256 bytes.
    pub id: String,
}

/// Through which door an event came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The kernel itself: a deadline, a decision.
    #[serde(rename = "kernel")]
    Kernel,
    /// The admin API.
    #[serde(rename = "admin")]
    Admin,
    /// The runtime port, over HTTPS.
    #[serde(rename = "runtime")]
    Runtime,
    /// The runtime port, over frames.
    #[serde(rename = "connector")]
    Connector,
}

/// What makes a repeated request one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Whose key it is: `runtime/<id>` or `admin/<key id>`.
    pub scope: String,
    /// The key as the caller sent it; at most 255 bytes.
    pub key: String,
    /// SHA-256 of what was asked for, hex: the same key with another request is a conflict.
    pub request_sha256: String,
}

/// Why bytes are not an envelope, or an event fits in none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Longer than an envelope may be.
    #[error("{bytes} bytes where at most {ENVELOPE_BYTES_MAX} are allowed")]
    TooLarge {
        /// Length found.
        bytes: usize,
    },
    /// Not a JSON object with the fields of an envelope.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Of an envelope format this build does not know.
    #[error("envelope version {0} is unknown")]
    Version(u16),
    /// The event inside is unknown or damaged.
    #[error(transparent)]
    Event(#[from] EventError),
}

/// The shape on disk. Field order is the order of the bytes and does not change.
#[derive(Serialize)]
struct Written<'a> {
    v: u16,
    tenant: TenantId,
    epoch: u64,
    seq: u64,
    time: Timestamp,
    kind: &'static str,
    kind_version: u16,
    actor: &'a ActorRef,
    source: &'a Source,
    correlation_id: CorrelationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency: Option<&'a Idempotency>,
    data: EventData<'a>,
}

/// The same, read back; the data waits for its kind.
#[derive(Deserialize)]
struct Stored<'a> {
    v: u16,
    tenant: TenantId,
    epoch: u64,
    seq: u64,
    time: Timestamp,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    kind_version: u16,
    actor: ActorRef,
    source: Source,
    correlation_id: CorrelationId,
    #[serde(default)]
    idempotency: Option<Idempotency>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Envelope {
    /// Writes the bytes that are stored, hashed and proved.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLarge`] over [`ENVELOPE_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        let written = Written {
            v: ENVELOPE_VERSION,
            tenant: self.tenant,
            epoch: self.epoch,
            seq: self.seq,
            time: self.time,
            kind: self.event.kind(),
            kind_version: self.event.version(),
            actor: &self.actor,
            source: &self.source,
            correlation_id: self.correlation_id,
            idempotency: self.idempotency.as_ref(),
            data: self.event.data(),
        };
        let mut bytes = Vec::with_capacity(BYTES_TYPICAL);
        serde_json::to_writer(&mut bytes, &written)
            .map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads stored bytes back.
    ///
    /// # Errors
    /// Every variant of [`EnvelopeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes: bytes.len() });
        }
        let stored: Stored<'_> = serde_json::from_slice(bytes)
            .map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        if stored.v != ENVELOPE_VERSION {
            return Err(EnvelopeError::Version(stored.v));
        }
        let event = Event::from_data(&stored.kind, stored.kind_version, stored.data.get())?;
        Ok(Self {
            tenant: stored.tenant,
            epoch: stored.epoch,
            seq: stored.seq,
            time: stored.time,
            actor: stored.actor,
            source: stored.source,
            correlation_id: stored.correlation_id,
            idempotency: stored.idempotency,
            event,
        })
    }
}

impl ActorRef {
    /// The kernel itself.
    #[must_use]
    pub fn system() -> Self {
        Self {
            kind: ActorType::System,
            id: "kernel".to_owned(),
        }
    }

    /// A runtime.
    #[must_use]
    pub fn runtime(id: crate::RuntimeId) -> Self {
        Self {
            kind: ActorType::Runtime,
            id: id.to_string(),
        }
    }

    /// Whoever holds an admin key.
    #[must_use]
    pub fn admin(id: crate::ids::AdminKeyId) -> Self {
        Self {
            kind: ActorType::User,
            id: format!("admin-key/{id}"),
        }
    }
}

/// The only envelope format so far.
pub const ENVELOPE_VERSION: u16 = 1;

/// A leaf of a C2SP tlog-tiles entry bundle carries a 16-bit length.
pub const ENVELOPE_BYTES_MAX: usize = 65_535;

/// Most envelopes fit without growing.
const BYTES_TYPICAL: usize = 1_024;
