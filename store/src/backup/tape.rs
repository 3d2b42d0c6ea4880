//! Reading and writing a backup from its first byte to its last, with the digest of all of it.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::BackupError;

/// A backup being written.
#[derive(Debug)]
pub(super) struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    digest: Sha256,
    written: u64,
}

impl Writer {
    pub(super) fn new(file: File, path: &Path) -> Self {
        Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            path: path.to_owned(),
            digest: Sha256::new(),
            written: 0,
        }
    }

    /// How much was written.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// The digest of all that was written.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let wrote = self.file.write_all(bytes);
        wrote.map_err(BackupError::io("write", &self.path))?;
        self.digest.update(bytes);
        self.written += length(bytes);
        Ok(())
    }

    /// Makes everything durable. The file stays open, and locked, until it is dropped.
    pub(super) fn finish(self) -> Result<File, BackupError> {
        let file = self
            .file
            .into_inner()
            .map_err(|error| BackupError::io("write", &self.path)(error.into_error()))?;
        file.sync_all()
            .map_err(BackupError::io("sync", &self.path))?;
        Ok(file)
    }
}

/// A backup being read.
#[derive(Debug)]
pub(super) struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    digest: Sha256,
    at: u64,
    length: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(BackupError::io("open", path))?;
        let metadata = file.metadata().map_err(BackupError::io("examine", path))?;
        Ok(Self {
            file: BufReader::with_capacity(BUFFER_BYTES, file),
            path: path.to_owned(),
            digest: Sha256::new(),
            at: 0,
            length: metadata.len(),
        })
    }

    /// How much was read.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// How long the file is.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The digest of all that was read.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// Exactly these many bytes.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BackupError> {
        self.expect(length(buffer))?;
        let read = self.file.read_exact(buffer);
        read.map_err(BackupError::io("read", &self.path))?;
        self.digest.update(&*buffer);
        self.at += length(buffer);
        Ok(())
    }

    /// Says that the file goes on for so long.
    pub(super) fn expect(&self, bytes: u64) -> Result<(), BackupError> {
        if self.length - self.at < bytes {
            return Err(BackupError::CutShort {
                path: self.path.clone(),
                bytes: self.length,
            });
        }
        Ok(())
    }

    /// The damage that begins at `offset`.
    pub(super) fn damaged(&self, offset: u64, why: impl Into<String>) -> BackupError {
        BackupError::Damaged {
            path: self.path.clone(),
            offset,
            why: why.into(),
        }
    }
}

/// Pieces of `total` bytes, each at most [`PIECE_BYTES`] long.
pub(super) fn pieces(total: u64) -> impl Iterator<Item = usize> {
    let mut left = total;
    std::iter::from_fn(move || {
        let next = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        left -= u64::try_from(next).unwrap_or(left);
        (next > 0).then_some(next)
    })
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// What is moved at once: long reads for the disk, nothing for the memory.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// As a piece.
const BUFFER_BYTES: usize = PIECE_BYTES;
