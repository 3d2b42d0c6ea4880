//! The reading end: usable from any thread while the journal is written, and blind to everything
//! that is not durable yet.

use std::{io, ops::Range, path::PathBuf, sync::Arc};

use crate::{
    convert::{array, to_u64},
    damage::Damage,
    disk::DiskFile,
    flaw::{Fault, Flaw},
    folder::{Folder, Form},
    group,
    groups::{Groups, Records},
    read::fill,
    record::{Position, Record},
    shared::Shared,
    stored::{SegmentFile, open_failure},
    verify::Verification,
};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No record starts there, or it is not durable, or its segment was forgotten.
    #[error("there is no durable record at {0}")]
    NotFound(Position),
    /// What stands there is not what was written.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
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

/// One segment of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// Whether no byte of it ever changes again (how it is stored may).
    pub sealed: bool,
    /// Its file; a rebuildable index may stand beside it under another extension. A sealed segment
    /// may be compressed at any moment, and this file be gone: its successor has the same number
    /// and another extension, and whoever asks again is told.
    pub path: PathBuf,
    /// Whether the file is the compressed form.
    pub compressed: bool,
    /// How long the file is; of the segment being written, as far as it is durable.
    pub stored_bytes: u64,
}

/// A reading end of a journal. Cheap to clone; all of one journal share their open files.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) folder: Folder,
    pub(crate) shared: Arc<Shared>,
}

impl Reader {
    pub(crate) const fn new(folder: Folder, shared: Arc<Shared>) -> Self {
        Self { folder, shared }
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
            .map(|number| self.describe(number, self.shared.form(number)))
            .collect()
    }

    /// Opens the file that a segment is stored in, as it is, for whoever copies files. It stays
    /// readable if the segment is compressed or forgotten meanwhile.
    ///
    /// The last segment of a snapshot may have gone on and been compressed since: then this file
    /// holds more than the snapshot, and [`Reader::open_bytes`] is what to copy from.
    ///
    /// # Errors
    /// [`ReadError`]: there is no such segment, or the disk failed.
    pub fn open_stored(&self, number: u64) -> Result<(Segment, Arc<dyn DiskFile>), ReadError> {
        self.refuse_unknown(number)?;
        let failed = |error: io::Error| self.open_failure(number, error.into());
        let (compressed, file) = self.folder.open_file(number).map_err(failed)?;
        let bytes = if compressed || self.shared.is_sealed(number) {
            file.length().map_err(failed)?
        } else {
            self.end().offset
        };
        let form = Form { compressed, bytes };
        Ok((self.describe(number, form), file))
    }

    /// Opens the bytes of a segment behind the offsets that positions count in, in whichever form
    /// they are stored; says how many of them there are up to the durable end. They stay readable
    /// as those of [`Reader::open_stored`] do, and cannot be written.
    ///
    /// # Errors
    /// [`ReadError`]: there is no such segment, it is damaged, or the disk failed.
    pub fn open_bytes(&self, number: u64) -> Result<(u64, Arc<dyn DiskFile>), ReadError> {
        self.refuse_unknown(number)?;
        let failed = |fault: Fault| self.open_failure(number, fault);
        let end = self.end();
        let file = self.folder.open(number).map_err(failed)?;
        let length = if number == end.segment {
            end.offset
        } else {
            file.length().map_err(|error| failed(error.into()))?
        };
        Ok((length, file.into_bytes()))
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
        let offset = position.offset;
        let file = self.file(position.segment)?;
        let limit = if position.segment == end.segment {
            Ok(end.offset)
        } else {
            file.length()
        };
        let limit = limit.map_err(|error| open_failure(position.segment, error.into()))?;
        read_record(file.bytes(), offset, limit)
            .map_err(|fault| file.failure(offset, fault, || span(file.bytes(), offset, limit)))
    }

    /// Checks every byte up to the durable end, one segment a step, and the chain across them.
    #[must_use]
    pub fn verify_all(&self) -> Verification {
        Verification::new(self.clone())
    }

    /// A segment's file, kept open for the next read.
    pub(crate) fn file(&self, number: u64) -> Result<SegmentFile, ReadError> {
        let opened = self.shared.file(&self.folder, number);
        opened.map_err(|fault| self.open_failure(number, fault))
    }

    /// What it is called that a segment could not be opened: one that was forgotten meanwhile is
    /// no damage.
    pub(crate) fn open_failure(&self, number: u64, fault: Fault) -> ReadError {
        match self.refuse_unknown(number) {
            Ok(()) => open_failure(number, fault),
            Err(forgotten) => forgotten,
        }
    }

    pub(crate) fn refuse_unknown(&self, number: u64) -> Result<(), ReadError> {
        if (self.shared.first_segment()..=self.end().segment).contains(&number) {
            Ok(())
        } else {
            Err(ReadError::NotFound(Position::new(number, 0)))
        }
    }

    fn describe(&self, number: u64, form: Form) -> Segment {
        Segment {
            number,
            sealed: number < self.end().segment,
            path: self.folder.path(number, form.compressed),
            compressed: form.compressed,
            stored_bytes: form.bytes,
        }
    }
}

fn read_record(file: &dyn DiskFile, offset: u64, limit: u64) -> Result<Record, Fault> {
    let mut header = [0; group::RECORD_HEADER_BYTES];
    read_exactly(file, offset, limit, &mut header)?;
    let mut bytes = vec![0; group::RECORD_HEADER_BYTES + group::payload_bytes(&header)?];
    read_exactly(file, offset, limit, &mut bytes)?;
    debug_assert_eq!(
        array::<32>(&bytes, 0),
        header,
        "durable bytes do not change"
    );
    Ok(group::record(&bytes)?)
}

/// How far a record that is damaged may reach, as far as its header can be believed.
fn span(file: &dyn DiskFile, offset: u64, limit: u64) -> Range<u64> {
    let mut header = [0; group::RECORD_HEADER_BYTES];
    let payload = match read_exactly(file, offset, limit, &mut header) {
        Ok(()) => group::payload_bytes(&header).unwrap_or(0),
        Err(_) => 0,
    };
    let end = offset.saturating_add(to_u64(group::RECORD_HEADER_BYTES + payload));
    offset..end.min(limit).max(offset)
}

fn read_exactly(
    file: &dyn DiskFile,
    offset: u64,
    limit: u64,
    buffer: &mut [u8],
) -> Result<(), Fault> {
    let need = to_u64(buffer.len());
    let have = limit.saturating_sub(offset).min(need);
    if have == need && fill(file, offset, buffer)? == buffer.len() {
        return Ok(());
    }
    Err(Flaw::Short { need, have }.into())
}
