//! Reading until a buffer is full, as `read_at` alone does not promise.

use std::io;

use crate::{convert::to_u64, disk::DiskFile};

/// Fills `buffer` from `offset` on; less than its length means that the file ends there.
pub(crate) fn fill(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let (filled, outcome) = fill_some(file, offset, buffer);
    outcome.map(|()| filled)
}

/// As [`fill`], but says also how far it came before an error.
pub(crate) fn fill_some(
    file: &dyn DiskFile,
    offset: u64,
    buffer: &mut [u8],
) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(offset + to_u64(filled), &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}
