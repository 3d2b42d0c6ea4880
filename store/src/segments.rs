//! Finds events in the journal through the indexes of its segments.
//!
//! The active segment's index is in memory; sealed ones are files beside their segments, a few of
//! which are kept loaded. For each sealed segment a summary stays: which tenants it holds.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use provost_journal::{Position, Reader};
use provost_protocol::{TenantId, Timestamp, envelope::Envelope};

use crate::{
    backend::{LookupKey, Range, ReadError, StoredEvent},
    index::{Entry, SegmentIndex, lookup_keys, lookup_posting},
    merkle,
};

/// Every segment's index.
#[derive(Debug)]
pub(crate) struct Segments {
    reader: Reader,
    active: RwLock<(u64, SegmentIndex)>,
    sealed: RwLock<BTreeMap<u64, Summary>>,
    /// Loaded indexes of sealed segments, the one used last at the end.
    loaded: Mutex<Vec<(u64, Arc<SegmentIndex>)>>,
}

/// What is always known of a sealed segment.
#[derive(Debug, Clone)]
struct Summary {
    path: PathBuf,
    last_time: Timestamp,
    /// First and last sequence of each tenant.
    tenants: BTreeMap<TenantId, (u64, u64)>,
}

impl Segments {
    /// Loads the indexes beside the segments; builds those that are missing or damaged.
    pub(crate) fn open(reader: Reader) -> Result<Self, ReadError> {
        let mut sealed = BTreeMap::new();
        let mut active = (reader.end().segment, SegmentIndex::default());
        for segment in reader.segments() {
            if segment.sealed {
                let path = index_path(&segment.path);
                let index = match read_index(&path, segment.number) {
                    Some(index) => index,
                    None => rebuild(&reader, segment.number, &path)?,
                };
                sealed.insert(segment.number, Summary::of(&index, path));
            } else {
                active = (segment.number, scan(&reader, segment.number)?);
            }
        }
        Ok(Self {
            reader,
            active: RwLock::new(active),
            sealed: RwLock::new(sealed),
            loaded: Mutex::new(Vec::new()),
        })
    }

    /// Takes in one durable event of the active segment.
    pub(crate) fn insert(&self, envelope: &Envelope, bytes: &[u8], at: Position) {
        let leaf = merkle::leaf_hash(bytes);
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        active.1.insert(envelope, at.offset, leaf);
    }

    /// The active segment was sealed: its index becomes a file, a new one begins. Returns the work
    /// of writing it, which may be done on another thread.
    pub(crate) fn roll(&self, next: u64) -> Option<SealedIndex> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if active.0 >= next {
            return None;
        }
        let (segment, mut index) = std::mem::replace(&mut *active, (next, SegmentIndex::default()));
        index.seal();
        let path = self
            .reader
            .segments()
            .into_iter()
            .find(|known| known.number == segment)?
            .path;
        let path = index_path(&path);
        let index = Arc::new(index);
        self.keep(segment, Arc::clone(&index));
        let mut sealed = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        sealed.insert(segment, Summary::of(&index, path.clone()));
        Some(SealedIndex {
            segment,
            index,
            path,
        })
    }

    /// Finds for each key the newest event of the tenant that carries it.
    pub(crate) fn find(
        &self,
        tenant: TenantId,
        keys: &[LookupKey],
        since: Timestamp,
    ) -> Result<Vec<Option<StoredEvent>>, ReadError> {
        let mut found: Vec<Option<StoredEvent>> = vec![None; keys.len()];
        for segment in self.holding(tenant) {
            if self.ended_before(segment, since) {
                break;
            }
            for (slot, key) in found
                .iter_mut()
                .zip(keys)
                .filter(|(slot, _)| slot.is_none())
            {
                let posting = lookup_posting(*key);
                let candidates = self.with(segment, |index| {
                    index
                        .tenant(tenant)
                        .map(|table| table.find(posting))
                        .unwrap_or_default()
                })?;
                for entry in candidates {
                    let event = self.event(segment, entry)?;
                    if lookup_keys(&event.envelope).contains(key) {
                        *slot = Some(event);
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Reads a stretch of one tenant's log.
    pub(crate) fn read(
        &self,
        tenant: TenantId,
        range: &Range,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let mut segments = self.holding(tenant);
        if range.newest_before.is_none() {
            segments.reverse();
        }
        let mut events = Vec::new();
        for segment in segments {
            let wanted = range.limit - events.len();
            let entries = self.with(segment, |index| {
                index.tenant(tenant).map_or_else(Vec::new, |table| {
                    let (first, last) = (table.first_seq(), table.last_seq());
                    match range.newest_before {
                        Some(before) => {
                            let last = last.min(before.saturating_sub(1));
                            let first = first.max(range.after + 1);
                            (first..=last)
                                .rev()
                                .take(wanted)
                                .filter_map(|s| table.entry(s))
                                .collect()
                        }
                        None => {
                            let first = first.max(range.after + 1);
                            (first..=last)
                                .take(wanted)
                                .filter_map(|s| table.entry(s))
                                .collect()
                        }
                    }
                })
            })?;
            for entry in entries {
                events.push(self.event(segment, entry)?);
            }
            if events.len() >= range.limit {
                break;
            }
        }
        Ok(events)
    }

    /// Segments that hold events of the tenant, newest first.
    fn holding(&self, tenant: TenantId) -> Vec<u64> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let mut segments = Vec::new();
        if active.1.tenant(tenant).is_some() {
            segments.push(active.0);
        }
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let holds = |(number, summary): (&u64, &Summary)| {
            summary.tenants.contains_key(&tenant).then_some(*number)
        };
        segments.extend(sealed.iter().rev().filter_map(holds));
        segments
    }

    fn ended_before(&self, segment: u64, since: Timestamp) -> bool {
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        sealed
            .get(&segment)
            .is_some_and(|summary| summary.last_time < since)
    }

    fn with<T>(&self, segment: u64, look: impl FnOnce(&SegmentIndex) -> T) -> Result<T, ReadError> {
        {
            let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
            if active.0 == segment {
                return Ok(look(&active.1));
            }
        }
        Ok(look(&*self.loaded(segment)?))
    }

    fn loaded(&self, segment: u64) -> Result<Arc<SegmentIndex>, ReadError> {
        {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = loaded.iter().position(|(number, _)| *number == segment) {
                let found = loaded.remove(place);
                let index = Arc::clone(&found.1);
                loaded.push(found);
                return Ok(index);
            }
        }
        let path = {
            let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
            let summary = sealed.get(&segment);
            summary
                .map(|summary| summary.path.clone())
                .ok_or(ReadError::Closed)?
        };
        let index = match read_index(&path, segment) {
            Some(index) => index,
            None => rebuild(&self.reader, segment, &path)?,
        };
        let index = Arc::new(index);
        self.keep(segment, Arc::clone(&index));
        Ok(index)
    }

    fn keep(&self, segment: u64, index: Arc<SegmentIndex>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.push((segment, index));
        if loaded.len() > LOADED_MAX {
            loaded.remove(0);
        }
    }

    fn event(&self, segment: u64, entry: Entry) -> Result<StoredEvent, ReadError> {
        let record = self
            .reader
            .read_at(Position::new(segment, entry.offset))
            .map_err(damaged)?;
        let envelope = Envelope::from_bytes(&record.payload).map_err(damaged)?;
        Ok(StoredEvent {
            envelope,
            bytes: record.payload,
        })
    }
}

/// An index that waits to become a file.
#[derive(Debug)]
pub(crate) struct SealedIndex {
    segment: u64,
    index: Arc<SegmentIndex>,
    path: PathBuf,
}

impl SealedIndex {
    /// Writes the file. A failure is only logged: the index is rebuilt when it is missed.
    pub(crate) fn write(&self) {
        if let Err(error) = write_index(&self.index, self.segment, &self.path) {
            let file = self.path.display();
            tracing::warn!(%file, %error, "a segment's index could not be written");
        }
    }
}

impl Summary {
    fn of(index: &SegmentIndex, path: PathBuf) -> Self {
        let span = |(tenant, table): (TenantId, &crate::index::TenantTable)| {
            (tenant, (table.first_seq(), table.last_seq()))
        };
        Self {
            path,
            last_time: index.last_time(),
            tenants: index.tenants().map(span).collect(),
        }
    }
}

fn scan(reader: &Reader, segment: u64) -> Result<SegmentIndex, ReadError> {
    let mut index = SegmentIndex::default();
    for item in reader.records_from(Position::new(segment, 0)) {
        let (at, record) = item.map_err(damaged)?;
        if at.segment != segment {
            break;
        }
        let envelope = Envelope::from_bytes(&record.payload).map_err(damaged)?;
        index.insert(&envelope, at.offset, merkle::leaf_hash(&record.payload));
    }
    Ok(index)
}

fn rebuild(reader: &Reader, segment: u64, path: &Path) -> Result<SegmentIndex, ReadError> {
    tracing::warn!(file = %path.display(), "a segment's index is missing or damaged: rebuilding");
    let mut index = scan(reader, segment)?;
    index.seal();
    if let Err(error) = write_index(&index, segment, path) {
        tracing::warn!(file = %path.display(), %error, "a segment's index could not be written");
    }
    Ok(index)
}

fn read_index(path: &Path, segment: u64) -> Option<SegmentIndex> {
    SegmentIndex::from_file(&fs::read(path).ok()?, segment).ok()
}

/// Writes the file whole or not at all; not synced, because it can be rebuilt.
fn write_index(index: &SegmentIndex, segment: u64, path: &Path) -> std::io::Result<()> {
    let bytes = index.to_file(segment).map_err(std::io::Error::other)?;
    let temporary = path.with_extension("idx.new");
    fs::write(&temporary, bytes)?;
    fs::rename(temporary, path)
}

fn index_path(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

pub(crate) fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}

/// Sealed segments whose index is kept loaded: about 10 MiB each at 64 MiB a segment, and the
/// newest few are what idempotency and audit ids look into.
const LOADED_MAX: usize = 4;
