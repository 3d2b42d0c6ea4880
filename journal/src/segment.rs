//! Segment files: their name and their header.
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
//! group only after its own header and its name in the folder are. Once the next one is durable, it
//! never changes again, but may be put into its compressed form (`packed`).

use crate::{
    convert::{array, to_u64},
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
}
