//! What the rest of the house may ask of a store, whichever engine is behind it.
//!
//! The meaning holds on one machine and on many: append to *one tenant's* log with the expected
//! sequence; read one tenant's log; get within one tenant. No call exists without a tenant, except
//! the walk over tenants that the admin API and the due index need, the serial numbers that are
//! refused at a handshake ([`Backend::revoked`]), and
//! [`Backend::token_tenant`]: who enrolls proves itself by a token and knows no tenant yet. One
//! conformance suite (`store/tests/store/conformance.rs`) runs against every implementation.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use provost_kernel::state::{Entity, EntityKey, State};
use provost_protocol::{
    EventId, RuntimeId, TenantId, Timestamp, TokenId,
    envelope::{Envelope, EnvelopeError},
    tlog::{Frontier, Hash},
};

use crate::{
    index::Marks,
    query::{Query, QueryPage},
};

/// An answer that comes from another thread.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Events to be appended to one tenant's log, all or none.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose log.
    pub tenant: TenantId,
    /// Sequence of the last event there is; the first one appended is the next.
    pub expected: u64,
    /// The events, each with the bytes that are stored.
    pub events: Vec<Stamped>,
}

/// One event with its place in the log, its exact bytes, and what it will be found by.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// The event.
    pub envelope: Arc<Envelope>,
    /// Exactly what [`Envelope::to_bytes`] gave.
    pub bytes: Arc<[u8]>,
    pub(crate) marks: Arc<Marks>,
}

impl Append {
    /// Refuses what would not be this tenant's next events: the journal takes any bytes, and what
    /// is durable there must be replayable for ever.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        let mut before = Some(self.expected);
        for stamped in &self.events {
            let event = &stamped.envelope;
            let next = before.and_then(|seq| seq.checked_add(1));
            if event.tenant != self.tenant || Some(event.seq) != next {
                return Err(AppendError::Refused(format!(
                    "event {}/{} does not follow {}/{}",
                    event.tenant, event.seq, self.tenant, self.expected
                )));
            }
            before = next;
        }
        Ok(())
    }
}

impl Stamped {
    /// Writes an event's bytes.
    ///
    /// # Errors
    /// [`EnvelopeError`] for an event that fits in no envelope.
    pub fn new(envelope: Envelope) -> Result<Self, EnvelopeError> {
        let bytes = envelope.to_bytes()?.into();
        Ok(Self::stored(envelope, bytes))
    }

    /// An event as it was read from a log, with the bytes it was read from.
    #[must_use]
    pub fn stored(envelope: Envelope, bytes: Arc<[u8]>) -> Self {
        let marks = Arc::new(Marks::of(&envelope, &bytes));
        Self {
            envelope: Arc::new(envelope),
            bytes,
            marks,
        }
    }
}

/// Why an append was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Certainly not written: the queue is full.
    #[error("the journal's queue is full")]
    Overloaded,
    /// Certainly not written: another writer was first.
    #[error("expected sequence {expected}, found {found}")]
    Conflict {
        /// What the caller believed.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// Certainly not written: the disk refuses or is nearly full. Reads go on.
    #[error("storage refuses writes: {0}")]
    Refused(String),
    /// May be written or not; the actor must be rebuilt from the store.
    #[error("the outcome is unknown")]
    Unknown,
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Too much is being read at once.
    #[error("the readers' queue is full")]
    Overloaded,
    /// Stored bytes are damaged.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Where one tenant's log ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// Rises with every restore.
    pub epoch: u64,
    /// Sequence of the last event, 0 for none.
    pub seq: u64,
    /// The log's Merkle tree up to there.
    pub frontier: Frontier,
}

/// What a tenant actor needs at wake.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Where the log ends.
    pub head: Head,
    /// The hot entities; an empty state where the tenant does not exist.
    pub state: State,
}

/// Finds one event by what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupKey(pub [u8; 16]);

/// An event read back, with its exact bytes.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// The event.
    pub envelope: Envelope,
    /// Exactly what is stored: the leaf of the tenant's Merkle log.
    pub bytes: Arc<[u8]>,
}

/// Which events of one tenant are wanted.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Sequences after this one.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
    /// Newest first, from the end of the log, before this sequence.
    pub newest_before: Option<u64>,
}

/// What is known, without reading, of the ids of a tenant's audit events. An id carries the
/// millisecond it was made in (RFC 9562, version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ids {
    /// When the newest was made, of those in what was written since the start.
    pub newest: Option<Timestamp>,
    /// When the last event was decided that was there at the start: which ids those have is not
    /// known.
    pub found: Option<Timestamp>,
}

impl Ids {
    /// Whether certainly no event decided at `since` or later carries this id. `false` also where
    /// only [`Backend::find`] can tell.
    #[must_use]
    pub fn lack(&self, id: EventId, since: Timestamp) -> bool {
        self.found.is_none_or(|found| found < since)
            && self.newest.is_none_or(|newest| newest < made(id))
    }

    /// One more is there.
    pub fn note(&mut self, id: EventId) {
        self.newest = self.newest.max(Some(made(id)));
    }
}

/// When an id was made, as it says itself.
pub(crate) fn made(id: EventId) -> Timestamp {
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&id.as_bytes()[..6]);
    Timestamp::from_millis(i64::from_be_bytes(millis))
}

/// An entity with its key, or that there is none.
pub type Found = (EntityKey, Option<Arc<Entity>>);

/// An entity with its key.
pub type Keyed = (EntityKey, Arc<Entity>);

/// One leaf of a tenant's log with its inclusion proof, the lowest sibling first.
pub type Included = (StoredEvent, Vec<Hash>);

/// A store.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Appends to one tenant's log; the answer comes when the events are durable. Every read that
    /// begins after it sees them.
    fn append(&self, append: Append) -> Pending<Result<(), AppendError>>;

    /// Loads what a tenant's actor needs at wake, and what else is asked for, as it all stands
    /// together.
    fn load(&self, tenant: TenantId, cold: Vec<EntityKey>) -> Pending<Result<Loaded, ReadError>>;

    /// Reads entities of one tenant by key; absent ones are `None`.
    fn entities(
        &self,
        tenant: TenantId,
        keys: Vec<EntityKey>,
    ) -> Pending<Result<Vec<Found>, ReadError>>;

    /// Reads all entities of one tenant whose key begins so, after `after`, at most `limit`.
    fn scan(
        &self,
        tenant: TenantId,
        kind: &'static str,
        after: Option<EntityKey>,
        limit: usize,
    ) -> Pending<Result<Vec<Keyed>, ReadError>>;

    /// Finds for each key the newest event of the tenant that carries it (see
    /// [`crate::lookup_keys`]), among events decided since `since`.
    fn find(
        &self,
        tenant: TenantId,
        keys: Vec<LookupKey>,
        since: Timestamp,
    ) -> Pending<Result<Vec<Option<StoredEvent>>, ReadError>>;

    /// What is known from memory of the ids of the tenant's audit events; said at once, of all that
    /// was durable when the tenant was last loaded.
    fn ids(&self, tenant: TenantId) -> Ids;

    /// Reads a stretch of one tenant's log.
    fn read(&self, tenant: TenantId, range: Range) -> Pending<Result<Vec<StoredEvent>, ReadError>>;

    /// One page of one tenant's events that match, newest first.
    fn query(&self, tenant: TenantId, query: Query) -> Pending<Result<QueryPage, ReadError>>;

    /// Where one tenant's log ends; `None` for an unknown tenant.
    fn head(&self, tenant: TenantId) -> Pending<Result<Option<Head>, ReadError>>;

    /// Root of the tenant's tree at an earlier size; `None` when the log is shorter.
    fn root_at(&self, tenant: TenantId, size: u64) -> Pending<Result<Option<Hash>, ReadError>>;

    /// Inclusion proof (RFC 6962, section 2.1.1) of `seq` in the tree of `size`, with the leaf's
    /// bytes; `None` where there is no such leaf or size.
    fn inclusion(
        &self,
        tenant: TenantId,
        seq: u64,
        size: u64,
    ) -> Pending<Result<Option<Included>, ReadError>>;

    /// Consistency proof (RFC 6962, section 2.1.2) of two sizes of the tenant's tree; `None` when
    /// the log is shorter than `to`, or `from` is the larger one.
    fn consistency(
        &self,
        tenant: TenantId,
        from: u64,
        to: u64,
    ) -> Pending<Result<Option<Vec<Hash>>, ReadError>>;

    /// Every tenant after `after`, in order of id, at most `limit`.
    fn tenants(
        &self,
        after: Option<TenantId>,
        limit: usize,
    ) -> Pending<Result<Vec<TenantId>, ReadError>>;

    /// Runtimes that have beaten and, as the log says, were not lost since nor revoked, in order of
    /// tenant, after `after`.
    fn online(
        &self,
        after: Option<(TenantId, RuntimeId)>,
        limit: usize,
    ) -> Pending<Result<Vec<(TenantId, RuntimeId)>, ReadError>>;

    /// Tenants whose deadline is not later than `now`, earliest first, at most `limit`.
    fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, TenantId)>, ReadError>>;

    /// Serial numbers of revoked certificates that are over at `from` or later, each with that
    /// moment and in its order, after `after`, at most `limit`: of every tenant, for whoever judges
    /// a handshake before any tenant is known.
    fn revoked(
        &self,
        from: Timestamp,
        after: Option<(Timestamp, String)>,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, String)>, ReadError>>;

    /// Finds the tenant whose log issued an enrolment token, revoked or used up ones included.
    ///
    /// The one lookup without a tenant: whoever presents a token is about to learn which tenant it
    /// belongs to. The answer names the tenant only; whether the token admits anybody is decided
    /// by that tenant.
    fn token_tenant(&self, token: TokenId) -> Pending<Result<Option<TenantId>, ReadError>>;
}
