//! A bounded view of a file that is read mostly forwards: one read serves many small groups, and
//! memory never exceeds one window or one group, whichever is larger.

use std::io;

use crate::{
    convert::{to_u64, to_usize},
    flaw::{Fault, Flaw},
    read::fill_some,
    stored::SegmentFile,
};

#[derive(Debug)]
pub(crate) struct Window {
    file: SegmentFile,
    limit: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Looks at the bytes of `file` before `limit` and at none after.
    pub(crate) const fn new(file: SegmentFile, limit: u64) -> Self {
        Self {
            file,
            limit,
            start: 0,
            bytes: Vec::new(),
        }
    }

    pub(crate) const fn file(&self) -> &SegmentFile {
        &self.file
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Moves the end of what may be seen; bytes already seen never change under it.
    pub(crate) const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Exactly `length` bytes at `offset`.
    pub(crate) fn slice(&mut self, offset: u64, length: usize) -> Result<&[u8], Fault> {
        let have = self.limit.saturating_sub(offset);
        let need = to_u64(length);
        if have < need {
            return Err(Flaw::Short { need, have }.into());
        }
        if !self.holds(offset, length) {
            let wanted = length.max(WINDOW_BYTES).min(to_usize(have));
            self.load(offset, wanted, length)?;
            if self.bytes.len() < length {
                return Err(Flaw::Short {
                    need,
                    have: to_u64(self.bytes.len()),
                }
                .into());
            }
        }
        let from = to_usize(offset - self.start);
        Ok(&self.bytes[from..from + length])
    }

    fn holds(&self, offset: u64, length: usize) -> bool {
        offset >= self.start
            && offset.saturating_add(to_u64(length)) <= self.start + to_u64(self.bytes.len())
    }

    /// Reads `length` bytes ahead; an error after the first `need` of them is left to whoever
    /// comes to its place.
    fn load(&mut self, offset: u64, length: usize, need: usize) -> io::Result<()> {
        self.start = offset;
        self.bytes.resize(length, 0);
        let (filled, outcome) = fill_some(self.file.bytes(), offset, &mut self.bytes);
        self.bytes.truncate(filled);
        if filled < need { outcome } else { Ok(()) }
    }
}

/// Some hundred small groups a read, and little enough to hold for every reader.
const WINDOW_BYTES: usize = 256 * 1024;
