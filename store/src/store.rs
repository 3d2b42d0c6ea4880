//! The store on one machine's disk: a [`Backend`] over journal and sled.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use provost_journal::{GroupWriter, Record, SubmitError, Submitter};
use provost_kernel::state::{EntityKey, State};
use provost_protocol::{RuntimeId, TenantId, Timestamp, TokenId, tlog::Hash};
use tokio::sync::oneshot;

use crate::{
    backend::{
        Append, AppendError, Backend, Found, Head, Ids, Included, Keyed, Loaded, LookupKey,
        Pending, Range, ReadError, Stamped, StoredEvent,
    },
    db::Db,
    doubt::Doubt,
    ended::Ended,
    keeper::Keeper,
    marker::{Marker, Phase, sync_folder},
    open::STATE,
    query::{Query, QueryPage},
    readers::{Failed, Readers},
    segments::Segments,
    writer::Ticket,
};

/// A store on disk. Dropped without [`close`](Self::close), it is as after a kill: the next start
/// replays what the state has not seen.
#[derive(Debug)]
pub struct Store {
    submitter: Submitter<Ticket>,
    segments: Arc<Segments>,
    readers: Readers,
    closing: Mutex<Option<Closing>>,
}

/// What a store is made of.
pub(crate) struct Parts {
    pub(crate) writer: GroupWriter<Ticket>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) readers: Readers,
    pub(crate) closing: Closing,
}

/// What is needed to close a store cleanly.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) dir: PathBuf,
    pub(crate) db: Db,
    pub(crate) doubt: Doubt,
    pub(crate) applier: Ended,
    pub(crate) keeper: Keeper,
    pub(crate) writer: Option<GroupWriter<Ticket>>,
}

/// Why a store did not close cleanly. Nothing acknowledged is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// There was still work after the patience.
    #[error("the store's threads did not finish in time")]
    Late,
    /// The state could not be written out; the next start rebuilds it.
    #[error("the state could not be written out: {0}")]
    State(String),
    /// The state's files could not be synced.
    #[error("the state's files could not be synced")]
    Io(#[from] std::io::Error),
}

impl Store {
    pub(crate) fn new(parts: Parts) -> Self {
        let submitter = parts.writer.submitter();
        let closing = Closing {
            writer: Some(parts.writer),
            ..parts.closing
        };
        Self {
            submitter,
            segments: parts.segments,
            readers: parts.readers,
            closing: Mutex::new(Some(closing)),
        }
    }

    /// Writes everything out, seals the journal and marks the state as closed. Blocks; what is
    /// asked for afterwards is refused. A second call does nothing.
    ///
    /// # Errors
    /// [`CloseError`]; the next start copes with each.
    pub fn close(&self, patience: Duration) -> Result<(), CloseError> {
        let closing = self
            .closing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(closing) = closing else {
            return Ok(());
        };
        let deadline = Instant::now() + patience;
        let readers_ended = self.readers.stop(deadline);
        if let Some(writer) = closing.writer {
            let left = deadline.saturating_duration_since(Instant::now());
            writer.shutdown(left).map_err(|_| CloseError::Late)?;
        }
        // The writer's sink held the other end: the thread ends after the last group.
        let applied = closing.applier.wait(deadline);
        // With the state's thread went the keeper's last bell.
        if !applied || !closing.keeper.stop(deadline) || !readers_ended {
            return Err(CloseError::Late);
        }
        if closing.doubt.is_raised() {
            return Err(CloseError::State("it failed before".to_owned()));
        }
        let flushed = closing.db.flush();
        flushed.map_err(|error| CloseError::State(error.to_string()))?;
        // The last handle: what sled does at its end comes before the sync, and that before the
        // marker.
        drop(closing.db);
        sync_folder(&closing.dir.join(STATE))?;
        Marker::of(Phase::Closed).write(&closing.dir)?;
        Ok(())
    }
}

impl Backend for Store {
    fn append(&self, append: Append) -> Pending<Result<(), AppendError>> {
        if let Err(refused) = append.check() {
            return Box::pin(std::future::ready(Err(refused)));
        }
        let record = |stamped: &Stamped| {
            let bytes = Arc::clone(&stamped.bytes);
            Record::new(append.tenant, stamped.envelope.seq, bytes)
        };
        let records: Vec<Record> = append.events.iter().map(record).collect();
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket {
            tenant: append.tenant,
            expected: append.expected,
            events: append.events,
            reply,
        };
        let submitted =
            self.submitter
                .try_submit(records, ticket)
                .map_err(|rejected| match rejected.why {
                    SubmitError::Full => AppendError::Overloaded,
                    why => AppendError::Refused(why.to_string()),
                });
        Box::pin(async move {
            submitted?;
            answer.await.unwrap_or(Err(AppendError::Unknown))
        })
    }

    fn load(&self, tenant: TenantId, cold: Vec<EntityKey>) -> Pending<Result<Loaded, ReadError>> {
        self.readers.read(move |db, _| load(db, tenant, &cold))
    }

    fn entities(
        &self,
        tenant: TenantId,
        keys: Vec<EntityKey>,
    ) -> Pending<Result<Vec<Found>, ReadError>> {
        self.readers.read(move |db, _| {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                let entity = db.entity(tenant, &key)?;
                found.push((key, entity));
            }
            Ok(found)
        })
    }

    fn scan(
        &self,
        tenant: TenantId,
        kind: &'static str,
        after: Option<EntityKey>,
        limit: usize,
    ) -> Pending<Result<Vec<Keyed>, ReadError>> {
        self.readers
            .read(move |db, _| Ok(db.entities(tenant, kind, after.as_ref(), limit)?))
    }

    fn find(
        &self,
        tenant: TenantId,
        keys: Vec<LookupKey>,
        since: Timestamp,
    ) -> Pending<Result<Vec<Option<StoredEvent>>, ReadError>> {
        self.readers
            .read_log(move |_, segments| Ok(segments.find(tenant, &keys, since)?))
    }

    fn ids(&self, tenant: TenantId) -> Ids {
        self.segments.ids(tenant)
    }

    fn read(&self, tenant: TenantId, range: Range) -> Pending<Result<Vec<StoredEvent>, ReadError>> {
        self.readers
            .read_log(move |_, segments| Ok(segments.read(tenant, &range)?))
    }

    fn query(&self, tenant: TenantId, query: Query) -> Pending<Result<QueryPage, ReadError>> {
        self.readers
            .read_log(move |_, segments| Ok(segments.query(tenant, &query)?))
    }

    fn head(&self, tenant: TenantId) -> Pending<Result<Option<Head>, ReadError>> {
        self.readers
            .read(move |db, _| Ok(db.head(tenant)?.filter(|head| head.seq > 0)))
    }

    fn root_at(&self, tenant: TenantId, size: u64) -> Pending<Result<Option<Hash>, ReadError>> {
        self.readers
            .read_log(move |_, segments| Ok(segments.root_at(tenant, size)?))
    }

    fn inclusion(
        &self,
        tenant: TenantId,
        seq: u64,
        size: u64,
    ) -> Pending<Result<Option<Included>, ReadError>> {
        self.readers
            .read_log(move |_, segments| Ok(segments.inclusion(tenant, seq, size)?))
    }

    fn consistency(
        &self,
        tenant: TenantId,
        from: u64,
        to: u64,
    ) -> Pending<Result<Option<Vec<Hash>>, ReadError>> {
        self.readers
            .read_log(move |_, segments| Ok(segments.consistency(tenant, from, to)?))
    }

    fn tenants(
        &self,
        after: Option<TenantId>,
        limit: usize,
    ) -> Pending<Result<Vec<TenantId>, ReadError>> {
        self.readers
            .read(move |db, _| Ok(db.tenants(after, limit)?))
    }

    fn online(
        &self,
        after: Option<(TenantId, RuntimeId)>,
        limit: usize,
    ) -> Pending<Result<Vec<(TenantId, RuntimeId)>, ReadError>> {
        self.readers.read(move |db, _| Ok(db.online(after, limit)?))
    }

    fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, TenantId)>, ReadError>> {
        self.readers.read(move |db, _| Ok(db.due(now, limit)?))
    }

    fn revoked(
        &self,
        from: Timestamp,
        after: Option<(Timestamp, String)>,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, String)>, ReadError>> {
        self.readers
            .read(move |db, _| Ok(db.revoked(from, after.as_ref(), limit)?))
    }

    fn token_tenant(&self, token: TokenId) -> Pending<Result<Option<TenantId>, ReadError>> {
        self.readers.read(move |db, _| Ok(db.token_tenant(token)?))
    }
}

/// Reads head, hot entities and the cold ones asked for as they stand together: an append whose
/// outcome nobody waited for may be applied in between.
fn load(db: &Db, tenant: TenantId, cold: &[EntityKey]) -> Result<Loaded, Failed> {
    for _ in 0..LOAD_TRIES_MAX {
        let found = db.head(tenant)?;
        let head = found.clone().unwrap_or_default();
        let mut state = State::new(tenant, head.epoch);
        // Before its first event a tenant has nothing.
        if found.is_some() {
            for prefix in HOT_PREFIXES {
                for (key, entity) in db.entities(tenant, prefix, None, usize::MAX)? {
                    state.load(key, entity);
                }
            }
            for key in cold {
                if let Some(entity) = db.entity(tenant, key)? {
                    state.load(key.clone(), entity);
                }
            }
        }
        if db.head(tenant)? == found {
            return Ok(Loaded { head, state });
        }
    }
    Err(Failed::Log(ReadError::Overloaded))
}

/// The kinds of [`EntityKey::is_hot`], as sled's keys begin.
const HOT_PREFIXES: [&str; 6] = [
    "tenant/",
    "entitlement/",
    "counter/",
    "provider/",
    "attachment/",
    "directives/",
];

/// A tenant has one appender, and whoever loads is about to be it: one retry is the rule, more
/// means that somebody else keeps writing.
const LOAD_TRIES_MAX: usize = 8;
