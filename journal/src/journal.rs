//! The writing end: one group at a time, durable before it is reported.

use std::{io, path::Path, sync::Arc};

use crate::{
    append::{AppendError, Appended, check_limits},
    chain::Chain,
    convert::to_u64,
    disk::{Disk, DiskFile, RealDisk},
    fail_points,
    folder::{CreateError, Folder, Form},
    group,
    opening::{OpenError, Recovery},
    options::{Keep, Options, SEGMENT_BYTES_RANGE},
    reader::Reader,
    record::{Position, Record},
    recover::recover,
    segment,
    shared::Shared,
};

/// The writing end of a journal, one for each folder.
///
/// What survives a crash: every group whose [`Journal::append`] returned, and at most one more.
#[derive(Debug)]
pub struct Journal {
    folder: Folder,
    options: Options,
    shared: Arc<Shared>,
    active: u64,
    file: Arc<dyn DiskFile>,
    chain: Chain,
    buffer: Vec<u8>,
    rolled: Option<u64>,
    /// The next append begins a new segment, if there is a group in this one.
    ends_segment: bool,
    unchecked_bytes: u64,
    poisoned: bool,
    // Held, never looked at: the folder is released when this is dropped, and when the segment that
    // is being compressed at that moment is.
    _lock: Arc<dyn DiskFile>,
}

impl Journal {
    /// Opens the journal in a folder of the real disk; makes it if there is none (the folder too,
    /// if its parent exists).
    ///
    /// # Errors
    /// [`OpenError`]: in use, damaged, of a newer format, or the disk failed.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(Arc::new(RealDisk), dir, options)
    }

    /// As [`Journal::open`], on any disk.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<(Self, Recovery), OpenError> {
        if !SEGMENT_BYTES_RANGE.contains(&options.segment_bytes_max) {
            return Err(OpenError::Options("segment_bytes_max"));
        }
        let dir = dir.as_ref();
        let lock = prepare(disk.as_ref(), dir)
            .map_err(|source| OpenError::Io {
                what: "preparing the folder",
                source,
            })?
            .ok_or_else(|| OpenError::Locked {
                dir: dir.to_path_buf(),
            })?;
        let folder = Folder {
            disk,
            dir: Arc::from(dir),
        };
        let found = recover(&folder, &options)?;
        let end = found.recovery.end;
        let shared = Shared::new(
            found.first_segment,
            end,
            found.sealed,
            Some(Arc::downgrade(&lock)),
        );
        let journal = Self {
            folder,
            options,
            shared: Arc::new(shared),
            active: found.active,
            file: found.file,
            chain: found.chain,
            buffer: Vec::new(),
            rolled: None,
            ends_segment: false,
            unchecked_bytes: FREE_CHECK_BYTES,
            poisoned: false,
            _lock: lock,
        };
        Ok((journal, found.recovery))
    }

    /// Writes one group and returns once it is durable.
    ///
    /// # Errors
    /// [`AppendError`]: after [`AppendError::Fatal`] the caller ends the process; after any other
    /// nothing of the group is on the disk or visible to a reader.
    pub fn append(&mut self, records: &[Record]) -> Result<Appended, AppendError> {
        self.refuse_if_poisoned()?;
        check_limits(records)?;
        self.refuse_if_nearly_full()?;
        self.roll_if_due(to_u64(group::HEADER_BYTES + group::body_bytes(records)))?;
        self.write(records)
    }

    /// Writes an empty group, which attests the last one, and returns once it is durable.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn seal(&mut self) -> Result<Appended, AppendError> {
        self.refuse_if_poisoned()?;
        fail_points::reach(fail_points::BEFORE_SEAL);
        self.write(&[])
    }

    /// The number of the active segment.
    #[must_use]
    pub const fn active_segment(&self) -> u64 {
        self.active
    }

    /// Has the next append, and no later one, begin a new segment, if there is a group in this one.
    pub const fn end_segment(&mut self) {
        self.ends_segment = true;
    }

    /// Whether the last group is one that no later group attests yet.
    #[must_use]
    pub const fn needs_seal(&self) -> bool {
        !self.chain.sealed
    }

    /// The number of the last group, 0 before the first.
    #[must_use]
    pub const fn last_group(&self) -> u64 {
        self.chain.next_group - 1
    }

    /// Where the last durable group ends.
    #[must_use]
    pub fn end(&self) -> Position {
        self.shared.end()
    }

    /// A reading end; any number of them may be used, from any thread, while this one writes.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.folder.clone(), Arc::clone(&self.shared))
    }

    /// Removes the segments before number `segment`, oldest first, never the last one; says how
    /// many went. Needs [`Keep::Recent`].
    ///
    /// # Errors
    /// [`AppendError::Write`] when a file could not be removed (the rest stays),
    /// [`AppendError::Fatal`] when the folder could not be synced.
    pub fn forget_before(&mut self, segment: u64) -> Result<u64, AppendError> {
        self.refuse_if_poisoned()?;
        if self.options.keep == Keep::Everything {
            return Err(AppendError::KeepsEverything);
        }
        let mut forgotten = 0;
        let shared = Arc::clone(&self.shared);
        let _names = shared.names();
        for number in self.shared.first_segment()..segment.min(self.active) {
            // No reader starts there any more, before the file goes.
            self.shared.forget_before(number + 1);
            if let Err(error) = self.folder.remove(number) {
                // It is still the oldest; one left behind a gap would be damage.
                self.shared.forget_before(number);
                return Err(AppendError::Write(error));
            }
            // One by one, so that a crash never leaves a gap.
            if let Err(source) = self.folder.sync() {
                return Err(self.poison("syncing the folder", source));
            }
            forgotten += 1;
        }
        Ok(forgotten)
    }

    fn write(&mut self, records: &[Record]) -> Result<Appended, AppendError> {
        let start = self.chain.offset;
        let number = self.chain.next_group;
        let encoded = group::encode(number, &self.chain.hash, records, &mut self.buffer);
        fail_points::reach(fail_points::BEFORE_WRITE);
        fail_points::reach_after(fail_points::HALF_WRITTEN, || {
            let _ = self
                .file
                .write_at(start, &self.buffer[..self.buffer.len() / 2]);
        });
        if let Err(error) = self.file.write_at(start, &self.buffer) {
            self.undo(start)?;
            return Err(AppendError::Write(error));
        }
        fail_points::reach(fail_points::BEFORE_SYNC);
        if let Err(source) = self.file.sync_data() {
            return Err(self.poison("syncing a group", source));
        }
        fail_points::reach(fail_points::AFTER_SYNC);
        let bytes = to_u64(self.buffer.len());
        self.chain.offset += bytes;
        self.chain.next_group += 1;
        self.chain.hash = encoded.hash;
        self.chain.sealed = records.is_empty();
        self.unchecked_bytes = self.unchecked_bytes.saturating_add(bytes);
        let end = Position::new(self.active, self.chain.offset);
        self.shared.publish(end);
        let place = |offset| Position::new(self.active, start + offset);
        let positions = encoded.offsets.into_iter().map(place).collect();
        Ok(Appended {
            group: number,
            positions,
            end,
            rolled: self.rolled.take(),
        })
    }

    /// Cuts a half-written group off, durably: it was refused, so no crash may bring it back.
    fn undo(&mut self, end: u64) -> Result<(), AppendError> {
        self.unchecked_bytes = FREE_CHECK_BYTES;
        let undone = self.file.truncate(end).and_then(|()| self.file.sync_all());
        undone.map_err(|source| self.poison("undoing a failed write", source))
    }

    fn roll_if_due(&mut self, bytes: u64) -> Result<(), AppendError> {
        let has_groups = self.chain.offset > segment::first_offset();
        let fits = self.chain.offset + bytes <= self.options.segment_bytes_max;
        let ends = std::mem::take(&mut self.ends_segment);
        if !has_groups || (fits && !ends) {
            return Ok(());
        }
        let header = segment::Header {
            number: self.active + 1,
            first_group: self.chain.next_group,
            previous: self.chain.hash,
        };
        self.file = match self.folder.create(&header) {
            Ok(file) => file,
            // It was to end early: there is room, and the next append may try again.
            Err(CreateError::Write(_)) if fits => return Ok(()),
            Err(CreateError::Write(source)) => return Err(AppendError::Write(source)),
            Err(CreateError::Sync(source)) => return Err(self.poison("making a segment", source)),
        };
        let form = Form {
            compressed: false,
            bytes: self.chain.offset,
        };
        self.shared.set_form(self.active, form);
        self.rolled = Some(self.active);
        self.active = header.number;
        self.chain.offset = segment::first_offset();
        self.shared
            .publish(Position::new(self.active, self.chain.offset));
        Ok(())
    }

    fn refuse_if_nearly_full(&mut self) -> Result<(), AppendError> {
        if self.unchecked_bytes < FREE_CHECK_BYTES {
            return Ok(());
        }
        let free = self
            .folder
            .disk
            .free_bytes(&self.folder.dir)
            .map_err(AppendError::Write)?;
        let min = self.options.free_bytes_min;
        if free < min {
            return Err(AppendError::NearlyFull { free, min });
        }
        self.unchecked_bytes = 0;
        Ok(())
    }

    const fn refuse_if_poisoned(&self) -> Result<(), AppendError> {
        if self.poisoned {
            Err(AppendError::Poisoned)
        } else {
            Ok(())
        }
    }

    const fn poison(&mut self, what: &'static str, source: io::Error) -> AppendError {
        self.poisoned = true;
        AppendError::Fatal { what, source }
    }
}

/// Makes the folder if needed, durably, and takes its lock; `None` when somebody has it.
fn prepare(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
    disk.create_dir(dir)?;
    // Also if it was there: whoever made it may have ended before its name was durable, and with
    // the name a power cut would take everything in it.
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk.sync_dir(parent)?,
        Some(_) | None => disk.sync_dir(Path::new("."))?,
    }
    disk.try_lock(&dir.join(LOCK_NAME))
}

/// A sixteenth of the reserve: others write too, so one check a reserve would be too late.
const FREE_CHECK_BYTES: u64 = 16 * 1024 * 1024;
const LOCK_NAME: &str = "LOCK";
