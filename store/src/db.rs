//! The only file that knows sled (ADR 0001): the state, disposable, rebuilt from the journal
//! whenever in doubt.
//!
//! # Keys
//!
//! | key | value |
//! |---|---|
//! | `t/<tenant>/<kind>/<id>` | one entity |
//! | `h/<tenant>` | where the tenant's log ends, and its Merkle frontier |
//! | `d/<deadline, 8 bytes big endian><tenant>/<entity key>` | empty: the due index |
//! | `o/<tenant>/<runtime>` | empty: the runtime is active and not lost |
//! | `k/<token>` | the tenant that issued the enrolment token |
//! | `r/<end, 8 bytes big endian><serial>` | empty: the certificate is revoked and over then |
//! | `w` | the watermark: the journal's position after the last applied group, and the sum below |
//!
//! # What survives what
//!
//! Each journal group is one batch that carries the watermark, so the state is always the effect
//! of a prefix of the journal. After a process was killed that prefix is trusted and the rest is
//! replayed. After a power cut (another boot id) it is not: sled 0.34.7 syncs no file on Linux.
//!
//! # sled writes when it is written to
//!
//! sled has a thread that wakes twice a second, writes out its buffer, moves pages so that segments
//! get free, and syncs the file; it never finds an end (ADR 0011), and is not started. Of all this
//! the next batch does what is needed: it begins by writing the buffer out, and moves a page for
//! each one that it replaces. What a killed process had in buffers is the end of what was applied,
//! in rest the last batch, and is replayed.
//!
//! # sled decides nothing
//!
//! sled takes a damaged file for a torn one and opens with what it can read: keys are missing then,
//! or stand as they were, and nothing says so. The watermark therefore carries a sum over all other
//! keys and values (see [`sum`]), kept with each batch. [`Db::open`] reads everything there is and
//! compares: a state that is not exactly what some prefix of the journal left is rebuilt. sled may
//! also hang on what it reads, so all of that has a deadline.

mod batch;
mod keys;
mod sum;
mod watch;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_journal::Position;
use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::{RuntimeId, TenantId, Timestamp, TokenId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use self::{
    batch::Batch,
    keys::{deadline, is_online, revoked},
};
use self::{
    keys::{
        DUE, HEADS, ONLINE, REVOKED, WATERMARK, entity_key, head_key, online_key, revoked_from,
        revoked_key, token_key,
    },
    sum::Sum,
};
use crate::{
    backend::Head,
    value::{self, ValueError},
};

/// The state on disk.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    db: sled::Db,
}

/// What stands under the watermark's key.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    segment: u64,
    offset: u64,
    sum: Sum,
}

impl Mark {
    const fn position(&self) -> Position {
        Position::new(self.segment, self.offset)
    }
}

/// Why the state cannot be used. It is then rebuilt, never repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DbError {
    /// sled refuses or panics.
    #[error("the state does not open or answer: {0}")]
    Sled(String),
    /// A value is damaged.
    #[error("the value of {key} is damaged")]
    Value {
        /// Its key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: ValueError,
    },
    /// What is there is not what was written.
    #[error("the state does not add up: {0}")]
    Sum(&'static str),
    /// sled did not come back. Its thread may still run, so the process must end.
    #[error("the state did not open within {0} s")]
    Late(u64),
    /// The folder cannot be prepared.
    #[error("the state folder cannot be prepared")]
    Io(#[from] std::io::Error),
}

impl Db {
    /// Opens or creates the state in `dir` and reads all of it: see *sled decides nothing* above.
    /// Panics inside sled are caught here.
    pub(crate) fn open(dir: &Path) -> Result<Self, DbError> {
        fs::create_dir_all(dir)?;
        remove_torn_snapshots(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        watch::within(watch::patience(dir)?, move || {
            let opened = catch_unwind(AssertUnwindSafe(|| {
                let db = config.open().map_err(sled_error)?;
                let db = Self { db };
                db.check()?;
                Ok(db)
            }));
            opened.map_err(|_| DbError::Sled("panicked while opening".to_owned()))?
        })
    }

    /// Compares all there is with the sum that was written with it.
    fn check(&self) -> Result<(), DbError> {
        let mut found = Sum::default();
        for item in self.db.iter() {
            let (key, bytes) = item.map_err(sled_error)?;
            if *key != *WATERMARK {
                found.add(&key, &bytes);
            }
        }
        match self.mark()? {
            None if found == Sum::default() => Ok(()),
            None => Err(DbError::Sum("it has no watermark")),
            Some(mark) if mark.sum == found => Ok(()),
            Some(_) => Err(DbError::Sum("its content is not what was written")),
        }
    }

    pub(crate) fn watermark(&self) -> Result<Option<Position>, DbError> {
        Ok(self.mark()?.map(|mark| mark.position()))
    }

    fn mark(&self) -> Result<Option<Mark>, DbError> {
        self.value(WATERMARK)
    }

    /// Whether nothing was ever applied.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.db.is_empty()
    }

    pub(crate) fn head(&self, tenant: TenantId) -> Result<Option<Head>, DbError> {
        self.value(head_key(tenant).as_bytes())
    }

    pub(crate) fn token_tenant(&self, token: TokenId) -> Result<Option<TenantId>, DbError> {
        self.value(token_key(token).as_bytes())
    }

    pub(crate) fn entity(
        &self,
        tenant: TenantId,
        key: &EntityKey,
    ) -> Result<Option<Arc<Entity>>, DbError> {
        self.value(entity_key(tenant, key).as_bytes())
    }

    /// Entities of one tenant whose key text begins with `prefix`, after `after`.
    pub(crate) fn entities(
        &self,
        tenant: TenantId,
        prefix: &str,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<Vec<(EntityKey, Arc<Entity>)>, DbError> {
        let base = format!("t/{tenant}/");
        let prefix = format!("{base}{prefix}");
        // A key before the prefix begins nothing earlier than the prefix does.
        let start = after.map_or_else(
            || prefix.clone(),
            |key| format!("{base}{key}\0").max(prefix.clone()),
        );
        let mut found = Vec::new();
        for item in self.db.range(start.into_bytes()..).take(limit) {
            let (key, bytes) = item.map_err(sled_error)?;
            if !key.starts_with(prefix.as_bytes()) {
                break;
            }
            let damaged = |source| DbError::Value {
                key: String::from_utf8_lossy(&key).into_owned(),
                source,
            };
            let text = key.get(base.len()..).map(std::str::from_utf8);
            let Some(Ok(Ok(entity_key))) = text.map(|text| text.map(str::parse::<EntityKey>))
            else {
                return Err(damaged(ValueError::Checksum));
            };
            let entity = value::decode(&bytes).map_err(damaged)?;
            found.push((entity_key, Arc::new(entity)));
        }
        Ok(found)
    }

    pub(crate) fn tenants(
        &self,
        after: Option<TenantId>,
        limit: usize,
    ) -> Result<Vec<TenantId>, DbError> {
        let start = after.map_or_else(|| HEADS.to_owned(), |id| format!("{}\0", head_key(id)));
        let mut found = Vec::new();
        for item in self.db.range(start.into_bytes()..).take(limit) {
            let (key, _) = item.map_err(sled_error)?;
            let Some(id) = key.strip_prefix(HEADS.as_bytes()) else {
                break;
            };
            if let Ok(tenant) = String::from_utf8_lossy(id).parse() {
                found.push(tenant);
            }
        }
        Ok(found)
    }

    pub(crate) fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, TenantId)>, DbError> {
        let mut found = Vec::new();
        for item in self.db.scan_prefix(DUE).take(limit) {
            let (key, _) = item.map_err(sled_error)?;
            let rest = &key[DUE.len()..];
            let (Some(at), Some(tenant)) = (
                rest.first_chunk::<8>(),
                rest.get(8..).and_then(<[u8]>::first_chunk::<16>),
            ) else {
                continue;
            };
            let millis = i64::try_from(u64::from_be_bytes(*at)).unwrap_or(i64::MAX);
            let at = Timestamp::from_millis(millis);
            if at > now {
                break;
            }
            if let Ok(tenant) = TenantId::from_bytes(*tenant) {
                found.push((at, tenant));
            }
        }
        Ok(found)
    }

    pub(crate) fn online(
        &self,
        after: Option<(TenantId, RuntimeId)>,
        limit: usize,
    ) -> Result<Vec<(TenantId, RuntimeId)>, DbError> {
        let start = after.map_or_else(
            || ONLINE.to_owned(),
            |(tenant, runtime)| format!("{}\0", online_key(tenant, runtime)),
        );
        let mut found = Vec::new();
        for item in self.db.range(start.into_bytes()..).take(limit) {
            let (key, _) = item.map_err(sled_error)?;
            let Some(rest) = key.strip_prefix(ONLINE.as_bytes()) else {
                break;
            };
            let text = String::from_utf8_lossy(rest);
            let ids = text
                .split_once('/')
                .map(|(tenant, runtime)| (tenant.parse(), runtime.parse()));
            if let Some((Ok(tenant), Ok(runtime))) = ids {
                found.push((tenant, runtime));
            }
        }
        Ok(found)
    }

    /// Revoked certificates that are over at `from` or later, in that order, after `after`.
    pub(crate) fn revoked(
        &self,
        from: Timestamp,
        after: Option<&(Timestamp, String)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, String)>, DbError> {
        let mut start = revoked_from(from);
        if let Some(after) = after {
            let mut next = revoked_key(after);
            next.push(0);
            start = start.max(next);
        }
        let mut found = Vec::new();
        for item in self.db.range(start..).take(limit) {
            let (key, _) = item.map_err(sled_error)?;
            let Some(rest) = key.strip_prefix(REVOKED) else {
                break;
            };
            let Some((ends, serial)) = rest.split_first_chunk::<8>() else {
                continue;
            };
            let millis = i64::try_from(u64::from_be_bytes(*ends)).unwrap_or(i64::MAX);
            let serial = String::from_utf8_lossy(serial).into_owned();
            found.push((Timestamp::from_millis(millis), serial));
        }
        Ok(found)
    }

    /// Applies a batch, whole or not at all. There is one caller at a time.
    pub(crate) fn apply(&self, batch: Batch) -> Result<(), DbError> {
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let ready = self.sled_batch(batch)?;
            self.db.apply_batch(ready).map_err(sled_error)
        }));
        applied.map_err(|_| DbError::Sled("panicked while applying".to_owned()))?
    }

    /// The batch with its watermark: what it replaces leaves the sum, what it brings enters it.
    fn sled_batch(&self, batch: Batch) -> Result<sled::Batch, DbError> {
        let mut sum = self.mark()?.map(|mark| mark.sum).unwrap_or_default();
        let mut ready = sled::Batch::default();
        for (key, after) in batch.changes {
            if let Some(before) = self.db.get(&key).map_err(sled_error)? {
                sum.remove(&key, &before);
            }
            match after {
                Some(bytes) => {
                    sum.add(&key, &bytes);
                    ready.insert(key, bytes);
                }
                None => ready.remove(key),
            }
        }
        let mark = Mark {
            segment: batch.next.segment,
            offset: batch.next.offset,
            sum,
        };
        let bytes = value::encode(&mark).map_err(|source| DbError::Value {
            key: String::from_utf8_lossy(WATERMARK).into_owned(),
            source,
        })?;
        ready.insert(WATERMARK, bytes);
        Ok(ready)
    }

    /// Puts other bytes under a key, past the sum.
    #[cfg(test)]
    pub(crate) fn damage(&self, key: &str, bytes: &[u8]) {
        self.db.insert(key, bytes).unwrap();
    }

    /// Writes out what sled holds back, for a clean stop. No device flush: see [`crate::marker`].
    pub(crate) fn flush(&self) -> Result<(), DbError> {
        let flushed = catch_unwind(AssertUnwindSafe(|| self.db.flush()));
        flushed
            .map_err(|_| DbError::Sled("panicked while flushing".to_owned()))?
            .map(|_| ())
            .map_err(sled_error)
    }

    fn value<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, DbError> {
        let Some(bytes) = self.db.get(key).map_err(sled_error)? else {
            return Ok(None);
        };
        value::decode(&bytes)
            .map(Some)
            .map_err(|source| DbError::Value {
                key: String::from_utf8_lossy(key).into_owned(),
                source,
            })
    }
}

/// A crash during an open can leave a snapshot that the next open refuses (sled issue 1527). The
/// older snapshot is removed only after the rename, so the torn one may go.
fn remove_torn_snapshots(dir: &Path) -> std::io::Result<()> {
    let mut torn: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "generating")
        {
            torn.push(path);
        }
    }
    for path in torn {
        tracing::warn!(file = %path.display(), "a torn snapshot of the state is removed");
        fs::remove_file(path)?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is a map_err target")]
fn sled_error(error: sled::Error) -> DbError {
    DbError::Sled(error.to_string())
}

/// sled's default is 1 GiB. The hot tenants live in their actors, and the system keeps the file's
/// pages: 16 MiB hold the state of ten thousand runtimes. With 64, a million tenants that sleep took
/// 88 MiB more, and the first answer of one came no sooner.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
