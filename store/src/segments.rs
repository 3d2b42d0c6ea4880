//! Every segment's index: of the active one in memory, of sealed ones beside their segments.
//!
//! What is always in memory of a sealed segment is some two bytes for each tenant that its index
//! holds, which tell of nearly every other tenant that it is not there. Everything else is read when
//! it is asked for, and where a tenant's events stand is remembered of those asked for of late.

mod ask;
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
use provost_protocol::{TenantId, Timestamp, tlog::Hash};

pub(crate) use self::check::{Checked, name_closed, name_index};
use self::ids::SealedIds;
use crate::{
    backend::{ReadError, Stamped},
    damage::Alarm,
    index::{Growing, Recent, Sealed, Table as _},
};

/// Every segment's index.
#[derive(Debug)]
pub(crate) struct Segments {
    reader: Reader,
    disk: Arc<dyn Disk>,
    active: RwLock<(u64, Growing)>,
    sealed: RwLock<BTreeMap<u64, Held>>,
    recent: Recent,
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

impl Held {
    /// Whether the tenant may have events in it; reads nothing.
    fn may_hold(&self, tenant: TenantId) -> bool {
        match self {
            Self::Memory(index) => index.tenant(tenant).is_some(),
            Self::File(index) => index.may_hold(tenant),
        }
    }

    /// The latest time of any event in it.
    fn latest(&self) -> Option<Timestamp> {
        match self {
            Self::Memory(index) => index.tenants().map(|(_, table)| table.span().latest).max(),
            Self::File(index) => index.latest(),
        }
    }

    /// Whether it may hold an event of that time or later; reads nothing.
    fn may_reach(&self, since: Option<Timestamp>) -> bool {
        match (self, since) {
            (Self::File(index), Some(since)) => {
                index.latest().is_some_and(|latest| latest >= since)
            }
            (Self::Memory(_), _) | (Self::File(_), None) => true,
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
            recent: Recent::default(),
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
                    segments.hold_file(segment.number, index);
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
            if let Some(latest) = held.latest() {
                segments.ids.found(latest);
            }
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
        // A segment in which there is a seal and no event is one too.
        for skipped in segment + 1..next {
            self.hold(skipped, Held::Memory(Arc::default()));
        }
        Some(segment)
    }

    fn hold(&self, segment: u64, held: Held) {
        let mut sealed = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        sealed.insert(segment, held);
    }

    /// Holds an index that was just opened, and closes it until it is needed.
    fn hold_file(&self, segment: u64, index: Sealed) {
        let index = Arc::new(index);
        self.recent.opened(&index);
        index.close();
        self.hold(segment, Held::File(index));
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

    /// How many tenants have events in it.
    pub(crate) fn tenants(&self) -> usize {
        self.0.1.len()
    }
}

pub(crate) fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}

/// Where the index of a segment stands.
pub(crate) fn index_path(segment: PathBuf) -> PathBuf {
    segment.with_extension("idx")
}
