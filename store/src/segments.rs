//! Every segment's index: of the active one in memory, of sealed ones beside their segments.
//!
//! What is always in memory of a sealed segment is its index's directory: which tenants it holds,
//! from which sequence, of what times. Everything else is read when it is asked for.

mod build;
mod check;
mod ids;
mod proofs;
mod read;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use provost_journal::{Position, Reader, disk::Disk};
use provost_protocol::{TenantId, tlog::Hash};

pub(crate) use self::check::{Checked, name_closed, name_index};
use self::ids::SealedIds;
use crate::{
    backend::{ReadError, Stamped},
    damage::Alarm,
    index::{Growing, GrowingTable, IndexError, Sealed, SealedTable, Span, Table},
};

/// Every segment's index.
#[derive(Debug)]
pub(crate) struct Segments {
    reader: Reader,
    disk: Arc<dyn Disk>,
    active: RwLock<(u64, Growing)>,
    sealed: RwLock<BTreeMap<u64, Held>>,
    ids: SealedIds,
    /// Segments whose index is open, the one opened first at the front.
    open: Mutex<VecDeque<u64>>,
    /// Held while an index file is written: two readers may miss the same one.
    writing: Mutex<()>,
    nodes: Mutex<HashMap<(TenantId, u8, u64), Hash>>,
    rebuilt: AtomicU64,
    alarm: Alarm,
}

/// The index of a sealed segment.
#[derive(Debug, Clone)]
enum Held {
    /// In memory, until its file is written.
    Memory(Arc<Growing>),
    File(Arc<Sealed>),
}

/// One tenant's events in it.
enum HeldTable<'a> {
    Memory(&'a GrowingTable),
    File(SealedTable<'a>),
}

impl HeldTable<'_> {
    fn table(&self) -> &dyn Table {
        match self {
            Self::Memory(table) => *table,
            Self::File(table) => table,
        }
    }
}

impl Held {
    fn tenant(&self, tenant: TenantId) -> Option<HeldTable<'_>> {
        match self {
            Self::Memory(index) => index.tenant(tenant).map(HeldTable::Memory),
            Self::File(index) => index.tenant(tenant).map(HeldTable::File),
        }
    }

    fn spans(&self) -> Box<dyn Iterator<Item = Span> + '_> {
        match self {
            Self::Memory(index) => Box::new(index.tenants().map(|(_, table)| table.span())),
            Self::File(index) => Box::new(index.tenants().map(|(_, table)| table.span())),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(one), Self::Memory(other)) => Arc::ptr_eq(one, other),
            (Self::File(one), Self::File(other)) => Arc::ptr_eq(one, other),
            (Self::Memory(_), Self::File(_)) | (Self::File(_), Self::Memory(_)) => false,
        }
    }
}

impl Segments {
    /// Opens the indexes beside the segments; builds those that are missing, damaged or of an
    /// earlier format.
    pub(crate) fn open(
        reader: Reader,
        disk: Arc<dyn Disk>,
        alarm: Alarm,
    ) -> Result<Self, ReadError> {
        let active = reader.end().segment;
        let segments = Self {
            reader,
            disk,
            active: RwLock::new((active, Growing::default())),
            sealed: RwLock::default(),
            ids: SealedIds::default(),
            open: Mutex::default(),
            writing: Mutex::default(),
            nodes: Mutex::default(),
            rebuilt: AtomicU64::default(),
            alarm,
        };
        // Oldest first: what is built again goes on with the trees of the segments before.
        for segment in segments.reader.segments() {
            if !segment.sealed {
                let scanned = segments.scan(segment.number)?;
                *segments
                    .active
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = (segment.number, scanned);
                continue;
            }
            let path = index_path(segment.path);
            match Sealed::open(Arc::clone(&segments.disk), &path, segment.number) {
                Ok(index) => {
                    index.close();
                    segments.hold(segment.number, Held::File(Arc::new(index)));
                }
                Err(why) => {
                    segments.rebuild(segment.number, None, &why)?;
                }
            }
        }
        for held in segments
            .sealed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            held.spans()
                .for_each(|span| segments.ids.found(span.latest));
        }
        Ok(segments)
    }

    /// How many indexes were built again since the start began.
    pub(crate) fn rebuilt(&self) -> u64 {
        self.rebuilt.load(Ordering::Relaxed)
    }

    /// Takes in the events of a durable group of the active segment. Whoever reads from now on
    /// waits until they are in, so those who wait for the group may be told at once.
    pub(crate) fn taking(&self) -> Taking<'_> {
        Taking(self.active.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The journal writes into segment `next`: if the active index is of an earlier one, a new one
    /// begins, and the number of the sealed one is returned, whose index waits to be written.
    pub(crate) fn roll(&self, next: u64) -> Option<u64> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if active.0 >= next {
            return None;
        }
        let (segment, index) = std::mem::replace(&mut *active, (next, Growing::default()));
        self.ids.sealed(&index);
        self.hold(segment, Held::Memory(Arc::new(index)));
        Some(segment)
    }

    /// Segments that hold events of the tenant, and which, newest first.
    fn holding(&self, tenant: TenantId) -> Vec<(u64, Span)> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let here = active
            .1
            .tenant(tenant)
            .map(|table| (active.0, table.span()));
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let spans = sealed.iter().rev().filter_map(|(segment, held)| {
            let here = held.tenant(tenant)?;
            Some((*segment, here.table().span()))
        });
        here.into_iter().chain(spans).collect()
    }

    /// Looks into the tenant's table of one segment; an index that fails is built again, once.
    fn look<T>(
        &self,
        (segment, tenant): (u64, TenantId),
        work: impl Fn(&dyn Table) -> Result<T, IndexError>,
    ) -> Result<T, ReadError> {
        let absent = || {
            damaged(format!(
                "segment {segment} holds no event of tenant {tenant}"
            ))
        };
        {
            let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
            if active.0 == segment {
                let table = active.1.tenant(tenant).ok_or_else(absent)?;
                return work(table).map_err(damaged);
            }
        }
        let held = self.held(segment)?;
        let why = match work(held.tenant(tenant).ok_or_else(absent)?.table()) {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        self.rebuild(segment, Some(&held), &why)?;
        let held = self.held(segment)?;
        let here = held.tenant(tenant).ok_or_else(absent)?;
        work(here.table()).map_err(damaged)
    }

    /// The index of a sealed segment.
    fn held(&self, segment: u64) -> Result<Held, ReadError> {
        let held = {
            let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
            sealed.get(&segment).cloned()
        };
        let held = held.ok_or_else(|| damaged(format!("segment {segment} has no index")))?;
        if matches!(held, Held::File(_)) {
            self.count_open(segment);
        }
        Ok(held)
    }

    fn hold(&self, segment: u64, held: Held) {
        let mut sealed = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        sealed.insert(segment, held);
    }

    /// Closes the file that was opened first where more would be open than may.
    fn count_open(&self, segment: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains(&segment) {
            return;
        }
        open.push_back(segment);
        if open.len() <= OPEN_INDEXES_MAX {
            return;
        }
        if let Some(first) = open.pop_front() {
            let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(Held::File(index)) = sealed.get(&first) {
                index.close();
            }
        }
    }
}

/// The active segment's index, while a group is taken in.
pub(crate) struct Taking<'a>(RwLockWriteGuard<'a, (u64, Growing)>);

impl Taking<'_> {
    /// Takes in one event.
    pub(crate) fn insert(&mut self, stamped: &Stamped, at: Position) {
        let index = &mut self.0.1;
        index.insert(&stamped.envelope, at.offset, &stamped.marks);
    }
}

pub(crate) fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}

/// Where the index of a segment stands.
pub(crate) fn index_path(segment: PathBuf) -> PathBuf {
    segment.with_extension("idx")
}

/// Twice what ten million events need, and few of the 1,024 files that a process has at least.
const OPEN_INDEXES_MAX: usize = 160;
