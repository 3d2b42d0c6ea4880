//! Every segment's index: of the active one in memory, of sealed ones beside their segments.
//!
//! What is always in memory of a sealed segment is its index's directory: which tenants it holds,
//! from which sequence, of what times. Everything else is read when it is asked for.

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
use provost_protocol::{TenantId, tlog::Hash};

pub(crate) use self::check::{Checked, name_closed, name_index};
use self::ids::SealedIds;
use crate::{
    backend::{ReadError, Stamped},
    damage::Alarm,
    index::{Growing, Sealed, Span, Table as _},
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

impl Held {
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

    fn hold(&self, segment: u64, held: Held) {
        let mut sealed = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        sealed.insert(segment, held);
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
