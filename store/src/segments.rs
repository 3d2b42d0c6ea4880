//! Finds events in the journal through the indexes of its segments.
//!
//! The active segment's index is in memory; sealed ones are files beside their segments, a few of
//! which are kept loaded. For each sealed segment a summary stays: which tenants it holds.

mod files;
mod proofs;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use provost_journal::{Position, Reader};
use provost_protocol::{TenantId, Timestamp, envelope::Envelope};

pub(crate) use self::files::SealedIndex;
use self::files::{Summary, index_path, read_index, rebuild, scan};
use crate::{
    backend::{LookupKey, Range, ReadError, StoredEvent},
    index::{Entry, SegmentIndex, TenantTable, lookup_keys, lookup_posting},
    merkle,
    query::{QUERY_EVENTS_MAX, Query, QueryPage},
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

impl Segments {
    /// Loads the indexes beside the segments; builds those that are missing or damaged, and says
    /// how many.
    pub(crate) fn open(reader: Reader) -> Result<(Self, u64), ReadError> {
        let mut rebuilt = 0;
        let mut sealed = BTreeMap::new();
        let mut active = (reader.end().segment, SegmentIndex::default());
        for segment in reader.segments() {
            if segment.sealed {
                let path = index_path(&segment.path);
                let index = match read_index(&path, segment.number) {
                    Some(index) => index,
                    None => {
                        rebuilt += 1;
                        rebuild(&reader, segment.number, &path)?
                    }
                };
                sealed.insert(segment.number, Summary::of(&index, path));
            } else {
                active = (segment.number, scan(&reader, segment.number)?);
            }
        }
        let segments = Self {
            reader,
            active: RwLock::new(active),
            sealed: RwLock::new(sealed),
            loaded: Mutex::new(Vec::new()),
        };
        Ok((segments, rebuilt))
    }

    /// Takes in one durable event of the active segment.
    pub(crate) fn insert(&self, envelope: &Envelope, bytes: &[u8], at: Position) {
        let leaf = merkle::leaf_hash(bytes);
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        active.1.insert(envelope, at.offset, leaf);
    }

    /// The journal writes into segment `next`: if the active index is of an earlier one, it becomes
    /// a file, and a new one begins. Returns the work of writing it, which may be done on another
    /// thread.
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
            // Not the end of the search: a clock that was set back leaves older segments younger.
            if self.ended_before(segment, since) {
                continue;
            }
            let missing = found.iter_mut().zip(keys);
            for (slot, key) in missing.filter(|(slot, _)| slot.is_none()) {
                *slot = self.find_in(segment, tenant, *key, since)?;
            }
        }
        Ok(found)
    }

    fn find_in(
        &self,
        segment: u64,
        tenant: TenantId,
        key: LookupKey,
        since: Timestamp,
    ) -> Result<Option<StoredEvent>, ReadError> {
        let posting = lookup_posting(key);
        let candidates = self.with(segment, |index| {
            let table = index.tenant(tenant);
            table.map_or_else(Vec::new, |table| table.find(posting))
        })?;
        for entry in candidates {
            let event = self.event(segment, tenant, entry)?;
            if event.envelope.time >= since && lookup_keys(&event.envelope).contains(&key) {
                return Ok(Some(event));
            }
        }
        Ok(None)
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
                let table = index.tenant(tenant);
                table.map_or_else(Vec::new, |table| stretch(table, range, wanted))
            })?;
            for entry in entries {
                events.push(self.event(segment, tenant, entry)?);
            }
            if events.len() >= range.limit {
                break;
            }
        }
        Ok(events)
    }

    /// One page of one tenant's events that match.
    pub(crate) fn query(&self, tenant: TenantId, query: &Query) -> Result<QueryPage, ReadError> {
        let mut events = Vec::new();
        let mut before = query.before.unwrap_or(u64::MAX);
        while events.len() < query.room() {
            let range = Range {
                newest_before: Some(before),
                limit: QUERY_EVENTS_MAX,
                after: 0,
            };
            let stretch = self.read(tenant, &range)?;
            let Some(last) = stretch.last() else { break };
            before = last.envelope.seq;
            let wanted = stretch
                .into_iter()
                .filter(|event| query.matches(&event.envelope));
            events.extend(wanted.take(query.room() - events.len()));
        }
        Ok(query.page(events))
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
        // Two readers may have missed it at the same time.
        loaded.retain(|(number, _)| *number != segment);
        loaded.push((segment, index));
        if loaded.len() > LOADED_MAX {
            loaded.remove(0);
        }
    }

    /// Reads one event; that it is the one meant is checked, because the index is a file apart.
    fn event(
        &self,
        segment: u64,
        tenant: TenantId,
        entry: Entry,
    ) -> Result<StoredEvent, ReadError> {
        let at = Position::new(segment, entry.offset);
        let record = self.reader.read_at(at).map_err(damaged)?;
        let (found, leaf) = (
            (record.tenant, record.seq),
            merkle::leaf_hash(&record.payload),
        );
        if found != (tenant, entry.seq) || leaf != entry.leaf {
            return Err(damaged(format!("the index names another event at {at}")));
        }
        let envelope = Envelope::from_bytes(&record.payload).map_err(damaged)?;
        Ok(StoredEvent {
            envelope,
            bytes: record.payload,
        })
    }
}

/// The entries of one table that a range asks for, in its order.
fn stretch(table: &TenantTable, range: &Range, wanted: usize) -> Vec<Entry> {
    let first = table.first_seq().max(range.after.saturating_add(1));
    let last = table.last_seq();
    match range.newest_before {
        Some(before) => (first..=last.min(before.saturating_sub(1)))
            .rev()
            .take(wanted)
            .filter_map(|seq| table.entry(seq))
            .collect(),
        None => (first..=last)
            .take(wanted)
            .filter_map(|seq| table.entry(seq))
            .collect(),
    }
}

pub(crate) fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}

/// Sealed segments whose index is kept loaded: about 10 MiB each at 64 MiB a segment, and the
/// newest few are what idempotency and audit ids look into.
const LOADED_MAX: usize = 4;
