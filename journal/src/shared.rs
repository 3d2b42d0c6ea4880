//! What a journal's writing end and all its reading ends know together.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    disk::DiskFile,
    flaw::Fault,
    folder::{Folder, Form},
    record::Position,
    stored::SegmentFile,
};

/// The durable end, the oldest segment, how the sealed ones are stored, and the open files.
#[derive(Debug)]
pub(crate) struct Shared {
    // Segment above, offset below, 32 bits each: one atomic, so that no reader sees half a roll.
    // Segments are at most 1 GiB and one group; 2^32 of them are never made.
    end: AtomicU64,
    first_segment: AtomicU64,
    sealed: Mutex<BTreeMap<u64, Form>>,
    files: Mutex<OpenFiles>,
    // Where the folder is this journal's to change: its lock, which the writing end holds.
    folder_lock: Option<Weak<dyn DiskFile>>,
    compressing: Mutex<()>,
    names: Mutex<()>,
}

/// The files that were read last.
#[derive(Debug, Default)]
struct OpenFiles {
    by_number: BTreeMap<u64, (u64, SegmentFile)>,
    // Rises with every use.
    uses: u64,
}

impl Shared {
    pub(crate) fn new(
        first_segment: u64,
        end: Position,
        sealed: BTreeMap<u64, Form>,
        folder_lock: Option<Weak<dyn DiskFile>>,
    ) -> Self {
        let shared = Self {
            end: AtomicU64::new(0),
            first_segment: AtomicU64::new(first_segment),
            sealed: Mutex::new(sealed),
            files: Mutex::default(),
            folder_lock,
            compressing: Mutex::default(),
            names: Mutex::default(),
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

    /// Whether the segment is there and never changes again.
    pub(crate) fn is_sealed(&self, number: u64) -> bool {
        (self.first_segment()..self.end().segment).contains(&number)
    }

    /// The folder's lock, as long as the writing end holds it; `None` where the folder never was
    /// this journal's to change.
    pub(crate) const fn folder_lock(&self) -> Option<&Weak<dyn DiskFile>> {
        self.folder_lock.as_ref()
    }

    /// How a segment is stored; the one being written as far as it is durable.
    pub(crate) fn form(&self, number: u64) -> Form {
        let end = self.end();
        let known = lock(&self.sealed).get(&number).copied();
        known.filter(|_| number < end.segment).unwrap_or(Form {
            compressed: false,
            bytes: end.offset,
        })
    }

    pub(crate) fn set_form(&self, number: u64, form: Form) {
        let first = self.first_segment();
        let mut sealed = lock(&self.sealed);
        sealed.insert(number, form);
        sealed.retain(|&known, _| known >= first);
    }

    /// A segment's file, kept open for the next read.
    pub(crate) fn file(&self, folder: &Folder, number: u64) -> Result<SegmentFile, Fault> {
        let mut files = lock(&self.files);
        if let Some(file) = files.used(number) {
            return Ok(file);
        }
        let file = folder.open(number)?;
        // A forgotten segment's space is free only once nobody has it open.
        let first = self.first_segment();
        files.by_number.retain(|&known, _| known >= first);
        files.keep(number, file.clone());
        Ok(file)
    }

    /// Closes a segment's file: another one has its name, or none has.
    pub(crate) fn close(&self, number: u64) {
        lock(&self.files).by_number.remove(&number);
    }

    /// One segment is compressed at a time: memory and disk have other things to do.
    pub(crate) fn compressing(&self) -> MutexGuard<'_, ()> {
        lock(&self.compressing)
    }

    /// Names of sealed segments change under this: none gets a new one while it is forgotten.
    pub(crate) fn names(&self) -> MutexGuard<'_, ()> {
        lock(&self.names)
    }
}

impl OpenFiles {
    fn used(&mut self, number: u64) -> Option<SegmentFile> {
        let (last, file) = self.by_number.get_mut(&number)?;
        self.uses += 1;
        *last = self.uses;
        Some(file.clone())
    }

    /// Keeps one more; the one that nobody used for longest makes room.
    fn keep(&mut self, number: u64, file: SegmentFile) {
        if self.by_number.len() >= OPEN_FILES_MAX {
            let oldest = self.by_number.iter().min_by_key(|(_, (last, _))| *last);
            if let Some(oldest) = oldest.map(|(&oldest, _)| oldest) {
                self.by_number.remove(&oldest);
            }
        }
        self.uses += 1;
        self.by_number.insert(number, (self.uses, file));
    }
}

/// What is behind these locks is whole whatever panicked: it is changed by single inserts and
/// removals.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question about a tenant walks through all segments: 256 of them are 16 GiB of events, a quarter
/// of the files a process may open by default, and at most 40 MiB of tables and blocks.
const OPEN_FILES_MAX: usize = 256;
