//! Putting a sealed segment into its compressed form while others read it.
//!
//! | step                                  | what counts if the machine stops here                 |
//! |---------------------------------------|-------------------------------------------------------|
//! | check every byte of `<n>.seg`         | `.seg`                                                |
//! | write `<n>.segz.new`, sync it         | `.seg`; the next open removes the copy                |
//! | read the copy back, compare it whole  | as before                                             |
//! | rename it to `<n>.segz`, sync the folder | `.seg`; the next open removes the copy             |
//! | remove `<n>.seg`, sync the folder     | whichever is there: the `.segz` is durable            |
//!
//! So at every moment one whole form of the segment is durable, and a reader that finds no `.seg`
//! finds the `.segz`. Files that are open stay readable whatever becomes of their names.

use std::io;

use tracing::warn;

use crate::{
    chain::Chain,
    damage::locate,
    disk::Access,
    fail_points,
    flaw::{Fault, Flaw},
    folder::Form,
    packed::{MakeError, Packed, Summary, make},
    reader::{ReadError, Reader},
    segment::Header,
    stored::{SegmentFile, open_failure},
    window::Window,
};

/// A sealed segment that is stored compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// Its number.
    pub segment: u64,
    /// How long the segment is, and its file was.
    pub original_bytes: u64,
    /// How long its file is.
    pub stored_bytes: u64,
}

/// Why a segment was not compressed; but for [`CompressError::Fatal`] it is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// It is the one being written, or there is none of this number (any more).
    #[error("there is no sealed segment {0}")]
    NotSealed(u64),
    /// This is a reader of a [`crate::Snapshot`]: the folder is somebody else's.
    #[error("a snapshot changes nothing")]
    ReadOnly,
    /// The journal was closed: the folder may be somebody else's by now.
    #[error("the journal is closed")]
    Closed,
    /// The segment could not be read, or is damaged: it stays as it is, for whoever repairs it.
    #[error("the segment could not be read")]
    Read(#[source] ReadError),
    /// The copy could not be written; tried again later it may be.
    #[error("the compressed copy could not be written")]
    Write(#[source] io::Error),
    /// The copy, read back, is not the segment: memory, disk or this program is broken.
    #[error("the compressed copy of segment {0} differs from it")]
    Differs(u64),
    /// A sync failed: what stands on the disk is not known. The process must end; nothing is
    /// retried. The next open finds the segment in one form or the other.
    #[error("the journal cannot go on: {what} failed")]
    Fatal {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Reader {
    /// Puts a sealed segment into its compressed form, durably; every position in it and every byte
    /// stays the same, and reads go on meanwhile. One that is compressed already is left alone.
    ///
    /// Takes a while and the disk's time: it reads the segment thrice. It runs on a thread of its
    /// own, for one segment at a time.
    ///
    /// # Errors
    /// [`CompressError`]; after [`CompressError::Fatal`] the caller ends the process.
    pub fn compress(&self, segment: u64) -> Result<Compressed, CompressError> {
        let _one_at_a_time = self.shared.compressing();
        // Held to the end: whoever opens the folder next finds nobody renaming files in it.
        let lock = self.shared.folder_lock().ok_or(CompressError::ReadOnly)?;
        let _folder = lock.upgrade().ok_or(CompressError::Closed)?;
        if !self.shared.is_sealed(segment) {
            return Err(CompressError::NotSealed(segment));
        }
        let original = match self.folder.open_raw(segment, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let before = self.compressed_before(segment);
                let forgotten = before.is_err() && !self.shared.is_sealed(segment);
                return if forgotten {
                    Err(CompressError::NotSealed(segment))
                } else {
                    before
                };
            }
            opened => SegmentFile::raw(segment, opened.map_err(|error| unread(segment, error))?),
        };
        let summary = check(&original).map_err(CompressError::Read)?;
        let compressed = match self.copy(&original, summary) {
            Ok(compressed) => compressed,
            Err(error) => {
                self.discard(segment);
                return Err(error);
            }
        };
        self.replace(&compressed)?;
        Ok(compressed)
    }

    fn compressed_before(&self, segment: u64) -> Result<Compressed, CompressError> {
        let file = self.file(segment).map_err(CompressError::Read)?;
        let Form { bytes, .. } = self.shared.form(segment);
        let length = file.length().map_err(|error| unread(segment, error))?;
        Ok(Compressed {
            segment,
            original_bytes: length,
            stored_bytes: bytes,
        })
    }

    /// Makes a copy, durable and compared, under a name that does not count.
    fn copy(&self, original: &SegmentFile, summary: Summary) -> Result<Compressed, CompressError> {
        let (segment, disk) = (original.number, &self.folder.disk);
        let path = self.folder.partial_path(segment);
        // One is there if an attempt failed and could not be cleaned up.
        self.folder
            .remove_if_there(&path)
            .map_err(CompressError::Write)?;
        let file = disk.create(&path).map_err(CompressError::Write)?;
        let made = make(original.bytes(), segment, summary, file.as_ref());
        let stored_bytes = made.map_err(|error| match error {
            MakeError::Read(source) => unread(segment, source),
            MakeError::Write(source) => CompressError::Write(source),
            MakeError::Length => CompressError::Read(open_failure(segment, Flaw::Layout.into())),
        })?;
        fail_points::reach(fail_points::COMPRESS_WRITTEN);
        file.sync_all().map_err(|source| CompressError::Fatal {
            what: "syncing a compressed segment",
            source,
        })?;
        fail_points::reach(fail_points::COMPRESS_SYNCED);
        let copy = disk.open(&path, Access::Read).map_err(Fault::from);
        let copy = copy.and_then(|file| Packed::open(file, segment));
        let same = copy.and_then(|copy| Ok(copy.holds(original.bytes())?));
        match same {
            Ok(true) => Ok(Compressed {
                segment,
                original_bytes: original.length().map_err(|error| unread(segment, error))?,
                stored_bytes,
            }),
            Ok(false) | Err(Fault::Flaw(_) | Fault::Stored(_)) => {
                Err(CompressError::Differs(segment))
            }
            Err(Fault::Io(source)) => Err(CompressError::Write(source)),
        }
    }

    /// Gives the copy its name and takes the original's away.
    fn replace(&self, compressed: &Compressed) -> Result<(), CompressError> {
        let segment = compressed.segment;
        let folder = &self.folder;
        let _names = self.shared.names();
        if !self.shared.is_sealed(segment) {
            // It was forgotten meanwhile.
            self.discard(segment);
            return Err(CompressError::NotSealed(segment));
        }
        let (partial, packed) = (folder.partial_path(segment), folder.packed_path(segment));
        if let Err(error) = folder.disk.rename(&partial, &packed) {
            self.discard(segment);
            return Err(CompressError::Write(error));
        }
        fail_points::reach(fail_points::COMPRESS_RENAMED);
        folder.sync().map_err(fatal)?;
        fail_points::reach(fail_points::COMPRESS_NAMED);
        if let Err(error) = folder.disk.remove(&folder.raw_path(segment)) {
            self.remove_or_warn(&packed);
            return Err(CompressError::Write(error));
        }
        fail_points::reach(fail_points::COMPRESS_REMOVED);
        self.shared.set_form(
            segment,
            Form {
                compressed: true,
                bytes: compressed.stored_bytes,
            },
        );
        // Whoever opened the original did so before it went; its space is free once it is closed.
        self.shared.close(segment);
        folder.sync().map_err(fatal)
    }

    fn discard(&self, segment: u64) {
        self.remove_or_warn(&self.folder.partial_path(segment));
    }

    /// What is left is removed by the next attempt or the next open.
    fn remove_or_warn(&self, path: &std::path::Path) {
        if let Err(error) = self.folder.remove_if_there(path) {
            warn!(
                error = &error as &dyn std::error::Error,
                journal.file = %path.display(),
                "an unfinished compressed copy could not be removed"
            );
        }
    }
}

/// Checks every byte of a segment and the chain through it.
fn check(original: &SegmentFile) -> Result<Summary, ReadError> {
    let number = original.number;
    let length = original.length();
    let length = length.map_err(|error| open_failure(number, error.into()))?;
    let mut window = Window::new(original.clone(), length);
    let mut chain = Chain::new();
    let entered = Header::read(&mut window, number).and_then(|header| Ok(chain.enter(&header)?));
    entered.map_err(|fault| locate(&mut window, 0, fault))?;
    while chain.offset < length {
        chain
            .take(&mut window)
            .map_err(|fault| locate(&mut window, chain.offset, fault))?;
    }
    Ok(Summary {
        groups: chain.groups,
        records: chain.records,
        hash: chain.hash,
        sealed: chain.sealed,
    })
}

fn unread(segment: u64, error: io::Error) -> CompressError {
    CompressError::Read(open_failure(segment, error.into()))
}

const fn fatal(source: io::Error) -> CompressError {
    CompressError::Fatal {
        what: "syncing the folder",
        source,
    }
}
