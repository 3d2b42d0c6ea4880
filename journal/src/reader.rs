//! The reading end: usable from any thread while the journal is written, and blind to everything
//! that is not durable yet.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    convert::{array, to_u64},
    disk::{Access, DiskFile},
    flaw::{Fault, Flaw},
    group,
    groups::{Groups, Records},
    record::{Position, Record},
    segment::{Folder, file_name},
    verify::Verification,
};

/// What the writing end tells all reading ends.
#[derive(Debug)]
pub(crate) struct Shared {
    // Segment above, offset below, 32 bits each: one atomic, so that no reader sees half a roll.
    // Segments are at most 1 GiB and one group; 2^32 of them are never made.
    end: AtomicU64,
    first_segment: AtomicU64,
}

impl Shared {
    pub(crate) fn new(first_segment: u64, end: Position) -> Self {
        let shared = Self {
            end: AtomicU64::new(0),
            first_segment: AtomicU64::new(first_segment),
        };
        shared.publish(end);
        shared
    }

    pub(crate) fn publish(&self, end: Position) {
        self.end
            .store((end.segment << 32) | end.offset, Ordering::Release);
    }

    pub(crate) fn end(&self) -> Position {
        let end = self.end.load(Ordering::Acquire);
        Position::new(end >> 32, end & u64::from(u32::MAX))
    }

    pub(crate) fn first_segment(&self) -> u64 {
        self.first_segment.load(Ordering::Acquire)
    }

    pub(crate) fn forget_before(&self, segment: u64) {
        self.first_segment.store(segment, Ordering::Release);
    }
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No record starts there, or it is not durable, or its segment was forgotten.
    #[error("there is no durable record at {0}")]
    NotFound(Position),
    /// What stands there is not what was written.
    #[error("the journal is damaged: {segment} at byte {offset}: {why}")]
    Damaged {
        /// The name of the segment's file.
        segment: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        why: Flaw,
    },
    /// The disk failed.
    #[error("reading {segment} failed")]
    Io {
        /// The name of the segment's file.
        segment: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ReadError {
    pub(crate) fn at(place: Position, fault: impl Into<Fault>) -> Self {
        let segment = file_name(place.segment);
        match fault.into() {
            Fault::Io(source) => Self::Io { segment, source },
            Fault::Flaw(why) => Self::Damaged {
                segment,
                offset: place.offset,
                why,
            },
        }
    }
}

/// One segment of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// Whether it never changes again.
    pub sealed: bool,
    /// Its file; a rebuildable index may stand beside it under another extension.
    pub path: PathBuf,
}

/// A reading end of a journal. Cheap to clone; clones share their open files.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) folder: Folder,
    pub(crate) shared: Arc<Shared>,
    files: Arc<Mutex<BTreeMap<u64, Arc<dyn DiskFile>>>>,
}

impl Reader {
    pub(crate) fn new(folder: Folder, shared: Arc<Shared>) -> Self {
        Self {
            folder,
            shared,
            files: Arc::default(),
        }
    }

    /// Where the last durable group ends; nothing at or after it is ever returned.
    #[must_use]
    pub fn end(&self) -> Position {
        self.shared.end()
    }

    /// All segments, oldest first; the last is the one being written.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        let last = self.end().segment;
        (self.shared.first_segment()..=last)
            .map(|number| Segment {
                number,
                sealed: number < last,
                path: self.folder.path(number),
            })
            .collect()
    }

    /// The groups from the one that holds `from` on, or, if `from` is the end of a group (a
    /// watermark), from the next one on; seals too.
    ///
    /// `None` means the durable end was reached; asked again later, the iterator goes on with what
    /// became durable since. After an error it yields nothing more.
    #[must_use]
    pub fn groups_from(&self, from: Position) -> Groups {
        Groups::new(self.clone(), from)
    }

    /// The records at or after `from`, which need not be the place of one. Behaves at the end as
    /// [`Reader::groups_from`].
    #[must_use]
    pub fn records_from(&self, from: Position) -> Records {
        Records::new(self.groups_from(from), from)
    }

    /// The record that stands exactly at `position`, guarded by its own checksum.
    ///
    /// # Errors
    /// [`ReadError`]: nothing durable there, or no record, or a damaged one.
    pub fn read_at(&self, position: Position) -> Result<Record, ReadError> {
        let end = self.end();
        if position >= end || position.segment < self.shared.first_segment() {
            return Err(ReadError::NotFound(position));
        }
        let place = |fault: Fault| ReadError::at(position, fault);
        let file = self
            .file(position.segment)
            .map_err(|error| place(error.into()))?;
        let limit = if position.segment == end.segment {
            end.offset
        } else {
            file.length().map_err(|error| place(error.into()))?
        };
        read_record(file.as_ref(), position.offset, limit).map_err(place)
    }

    /// Checks every byte up to the durable end, one segment a step, and the chain across them.
    #[must_use]
    pub fn verify_all(&self) -> Verification {
        Verification::new(self.clone())
    }

    /// A segment's file, kept open for the next read.
    pub(crate) fn file(&self, number: u64) -> io::Result<Arc<dyn DiskFile>> {
        // The map is whole whatever panicked: it is changed by single inserts and removals.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = self.folder.open(number, Access::Read)?;
        // A forgotten segment's space is free only once nobody has it open.
        let first = self.shared.first_segment();
        files.retain(|&known, _| known >= first);
        while files.len() >= OPEN_FILES_MAX {
            files.pop_first();
        }
        files.insert(number, Arc::clone(&file));
        Ok(file)
    }
}

fn read_record(file: &dyn DiskFile, offset: u64, limit: u64) -> Result<Record, Fault> {
    let mut header = [0; group::RECORD_HEADER_BYTES];
    fill(file, offset, limit, &mut header)?;
    let mut bytes = vec![0; group::RECORD_HEADER_BYTES + group::payload_bytes(&header)?];
    fill(file, offset, limit, &mut bytes)?;
    debug_assert_eq!(
        array::<32>(&bytes, 0),
        header,
        "durable bytes do not change"
    );
    Ok(group::record(&bytes)?)
}

fn fill(file: &dyn DiskFile, offset: u64, limit: u64, buffer: &mut [u8]) -> Result<(), Fault> {
    let need = to_u64(buffer.len());
    let mut filled = 0;
    while filled < buffer.len() && offset + need <= limit {
        match file.read_at(offset + to_u64(filled), &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    if filled < buffer.len() {
        return Err(Flaw::Short {
            need,
            have: limit.saturating_sub(offset).min(need),
        }
        .into());
    }
    Ok(())
}

/// Reads go to the newest segments; 32 of them are 2 GiB, and few of the process's files.
const OPEN_FILES_MAX: usize = 32;
