//! What a caller puts in and gets out: a record, and where it stands.

use std::{fmt, sync::Arc};

use provost_protocol::TenantId;

/// One entry of one tenant's log. The journal looks at tenant and seq for indexing only, and never
/// into the payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose log the entry belongs to.
    pub tenant: TenantId,
    /// Its number in that log, as the caller counts.
    pub seq: u64,
    /// The entry itself, at most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: Arc<[u8]>,
}

impl Record {
    /// Puts a record together.
    #[must_use]
    pub fn new(tenant: TenantId, seq: u64, payload: impl Into<Arc<[u8]>>) -> Self {
        Self {
            tenant,
            seq,
            payload: payload.into(),
        }
    }
}

impl fmt::Debug for Record {
    /// The payload is somebody's data: its length is enough for a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("tenant", &self.tenant)
            .field("seq", &self.seq)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

/// A place in the journal: a segment and a byte offset in its file. Later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment's number; the first is 1.
    pub segment: u64,
    /// Bytes from the start of the segment's file.
    pub offset: u64,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self {
        segment: 0,
        offset: 0,
    };

    /// Names a place.
    #[must_use]
    pub const fn new(segment: u64, offset: u64) -> Self {
        Self { segment, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// The envelope's own limit (architecture, section 2); larger things are referenced, not stored.
pub const PAYLOAD_BYTES_MAX: usize = 65_535;
