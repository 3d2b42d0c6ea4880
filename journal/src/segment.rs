//! Segment files: their names, their header, and how one is made so that a crash leaves either
//! nothing or something that recovery knows.
//!
//! A segment is `<number, 16 digits>.seg`: a header of 64 bytes, little-endian, then groups.
//!
//! | at | bytes | header field                                                                  |
//! |---:|------:|-------------------------------------------------------------------------------|
//! |  0 |     8 | magic `PVSTSEG` and `FF`                                                      |
//! |  8 |     2 | format version, 1                                                             |
//! | 10 |     2 | flags, 0; unknown ones are refused                                            |
//! | 12 |     8 | segment number; the first is 1                                                |
//! | 20 |     8 | number of its first group                                                     |
//! | 28 |    32 | SHA-256 of the last group of the segment before; zeros in the first           |
//! | 60 |     4 | CRC32C over the 60 bytes before                                               |
//!
//! A segment is made only after the last group of the one before is durable, and takes its first
//! group only after its own header and its name in the folder are.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    convert::{array, to_u64},
    disk::{Access, Disk, DiskFile},
    fail_points,
    flaw::{Fault, Flaw},
    group::Digest,
    window::Window,
};

/// What a segment says about itself and the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) first_group: u64,
    pub(crate) previous: Digest,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[12..20].copy_from_slice(&self.number.to_le_bytes());
        out[20..28].copy_from_slice(&self.first_group.to_le_bytes());
        out[28..60].copy_from_slice(&self.previous);
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn parse(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, Flaw> {
        if bytes[..8] != MAGIC[..] {
            return Err(Flaw::Magic);
        }
        if crc32c::crc32c(&bytes[..60]) != u32::from_le_bytes(array(bytes, 60)) {
            return Err(Flaw::HeaderChecksum);
        }
        let version = u16::from_le_bytes(array(bytes, 8));
        if version != VERSION {
            return Err(Flaw::Version(version));
        }
        let flags = u16::from_le_bytes(array(bytes, 10));
        if flags != 0 {
            return Err(Flaw::Flags(flags));
        }
        Ok(Self {
            number: u64::from_le_bytes(array(bytes, 12)),
            first_group: u64::from_le_bytes(array(bytes, 20)),
            previous: array(bytes, 28),
        })
    }

    /// Reads the header of the segment that should be number `expected`.
    pub(crate) fn read(window: &mut Window, expected: u64) -> Result<Self, Fault> {
        let header = Self::parse(&array(window.slice(0, SEGMENT_HEADER_BYTES)?, 0))?;
        if header.number != expected {
            return Err(Flaw::Number {
                expected,
                found: header.number,
            }
            .into());
        }
        Ok(header)
    }
}

/// The name of a segment's file.
#[must_use]
pub fn file_name(number: u64) -> String {
    format!("{number:016}.seg")
}

/// The number of the segment that a file's name says it is; `None` for any other file.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let number = digits.parse().ok()?;
    (number > 0 && file_name(number) == name).then_some(number)
}

/// Why a segment could not be made.
#[derive(Debug)]
pub(crate) enum CreateError {
    /// Nothing is left of the attempt; it can be made again.
    Write(io::Error),
    /// What stands on the disk is not known.
    Sync(io::Error),
}

/// The journal's folder on its disk.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: Arc<Path>,
}

impl Folder {
    pub(crate) fn path(&self, number: u64) -> PathBuf {
        self.dir.join(file_name(number))
    }

    /// The numbers of all segments, ascending.
    pub(crate) fn numbers(&self) -> io::Result<Vec<u64>> {
        let names = self.disk.list(&self.dir)?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(crate) fn open(&self, number: u64, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(number), access)
    }

    /// A window on all of a segment that no longer grows, or that nobody writes yet.
    pub(crate) fn window(&self, number: u64) -> io::Result<Window> {
        let file = self.open(number, Access::Read)?;
        let length = file.length()?;
        Ok(Window::new(file, length))
    }

    /// Removes a segment, durably.
    pub(crate) fn remove(&self, number: u64) -> io::Result<()> {
        self.disk.remove(&self.path(number))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Makes a segment, durably: header, file, name in the folder, in this order.
    pub(crate) fn create(&self, header: &Header) -> Result<Arc<dyn DiskFile>, CreateError> {
        let path = self.path(header.number);
        let file = self.disk.create(&path).map_err(CreateError::Write)?;
        fail_points::reach(fail_points::SEGMENT_CREATED);
        if let Err(error) = file.write_at(0, &header.encode()) {
            self.remove(header.number).map_err(CreateError::Sync)?;
            return Err(CreateError::Write(error));
        }
        file.sync_all().map_err(CreateError::Sync)?;
        fail_points::reach(fail_points::SEGMENT_SYNCED);
        self.disk.sync_dir(&self.dir).map_err(CreateError::Sync)?;
        fail_points::reach(fail_points::SEGMENT_NAMED);
        Ok(file)
    }
}

/// Where the first group of a segment starts.
pub(crate) fn first_offset() -> u64 {
    to_u64(SEGMENT_HEADER_BYTES)
}

const MAGIC: &[u8; 8] = b"PVSTSEG\xff";
const VERSION: u16 = 1;
/// Fixed by the format.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Made from the table above by another program.
    const GOLDEN: &[u8] = include_bytes!("../golden/segment-v1.bin");

    fn golden() -> Header {
        Header {
            number: 7,
            first_group: 1_000,
            previous: [0xab; 32],
        }
    }

    #[test]
    fn the_header_of_version_1_keeps_its_bytes() {
        assert_eq!(golden().encode()[..], *GOLDEN);
        assert_eq!(Header::parse(GOLDEN.try_into().unwrap()), Ok(golden()));
    }

    #[test]
    fn a_header_with_any_bit_flipped_is_refused() {
        for at in 0..SEGMENT_HEADER_BYTES * 8 {
            let mut bytes = golden().encode();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(Header::parse(&bytes).is_err(), "bit {at}");
        }
    }

    #[test]
    fn only_a_full_segment_name_is_a_segment() {
        assert_eq!(parse_name("0000000000000012.seg"), Some(12));
        for name in [
            "12.seg",
            "0000000000000000.seg",
            "0000000000000012.idx",
            "+000000000000012.seg",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
