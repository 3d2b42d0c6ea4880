//! The body of an index file, read by pieces, each of which is checked.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use provost_journal::disk::{Access, Disk, DiskFile};

use super::{
    IndexError,
    layout::{BLOCK, BLOCK_BYTES},
};
use crate::convert::{to_u64, to_usize};

/// A file with a checksum for each block of its body.
#[derive(Debug)]
pub(super) struct Blocks {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Open while it is used; closed again by whoever counts open files.
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    body_at: u64,
    body_bytes: u64,
    checksums: Vec<u32>,
}

impl Blocks {
    pub(super) fn new(
        (disk, path): (Arc<dyn Disk>, PathBuf),
        file: Arc<dyn DiskFile>,
        (body_at, body_bytes): (u64, u64),
        checksums: Vec<u32>,
    ) -> Self {
        Self {
            disk,
            path,
            file: Mutex::new(Some(file)),
            body_at,
            body_bytes,
            checksums,
        }
    }

    /// Where in the file the body begins.
    pub(super) const fn body_at(&self) -> u64 {
        self.body_at
    }

    pub(super) const fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Closes the file until it is needed again.
    pub(super) fn close(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Exactly `length` bytes at `at` of the body, in one read, checked.
    pub(super) fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, IndexError> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let end = at.saturating_add(to_u64(length));
        if end > self.body_bytes {
            return Err(IndexError::damaged(
                self.body_at + at,
                "it names bytes beyond its end",
            ));
        }
        let first = at / BLOCK;
        let begin = first * BLOCK;
        let stop = end.next_multiple_of(BLOCK).min(self.body_bytes);
        let mut bytes = vec![0; to_usize(stop - begin)];
        fill(self.file()?.as_ref(), self.body_at + begin, &mut bytes)?;
        for (number, block) in (first..).zip(bytes.chunks(BLOCK_BYTES)) {
            if self.checksums.get(to_usize(number)) != Some(&crc32c::crc32c(block)) {
                let offset = self.body_at + number * BLOCK;
                return Err(IndexError::damaged_part(
                    (offset, to_u64(block.len())),
                    "a block does not match its checksum",
                ));
            }
        }
        let from = to_usize(at - begin);
        bytes.truncate(from + length);
        bytes.drain(..from);
        Ok(bytes)
    }

    /// The file, opened if it is closed.
    pub(super) fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let opened = self.disk.open(&self.path, Access::Read)?;
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

/// Fills the buffer from `at` on; a file that ends before is damaged.
pub(super) fn fill(file: &dyn DiskFile, at: u64, buffer: &mut [u8]) -> Result<(), IndexError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(at + to_u64(filled), &mut buffer[filled..]) {
            Ok(0) => {
                return Err(IndexError::damaged(
                    at + to_u64(filled),
                    "the file ends here",
                ));
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
