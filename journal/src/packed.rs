//! The compressed form of a sealed segment: the same bytes behind the same offsets in less room.
//!
//! A compressed segment is `<number, 16 digits>.segz`. All numbers are little-endian. It is a header
//! of 96 bytes, a table of blocks, and the blocks themselves, with nothing between or after them.
//!
//! | at | bytes | header field                                                                 |
//! |---:|------:|------------------------------------------------------------------------------|
//! |  0 |     8 | magic `PVSTSEGZ`                                                             |
//! |  8 |     2 | format version, 1                                                            |
//! | 10 |     2 | flags, 0; reserved for encryption, unknown ones are refused                  |
//! | 12 |     4 | block size, 32,768                                                           |
//! | 16 |     8 | segment number                                                               |
//! | 24 |     8 | length of the original                                                       |
//! | 32 |     4 | block count: length by block size, rounded up                                |
//! | 36 |     4 | 1 if the segment's last group is a seal, else 0                              |
//! | 40 |     8 | group count                                                                  |
//! | 48 |     8 | record count                                                                 |
//! | 56 |    32 | SHA-256 of the last group                                                    |
//! | 88 |     4 | CRC32C over the table                                                        |
//! | 92 |     4 | CRC32C over the 92 bytes before                                              |
//!
//! | at | bytes | table entry, one for each block                                              |
//! |---:|------:|------------------------------------------------------------------------------|
//! |  0 |     4 | length of the compressed block                                               |
//! |  4 |     4 | CRC32C over the compressed block                                             |
//!
//! A block is one zstd frame (RFC 8878) of the next 32,768 bytes of the original, the last one of
//! what is left; no block needs another. What the header says of the groups was true of every byte
//! when the file was made, so that a start can follow the chain through it without decompressing.
//!
//! Every byte of the file is under one of the three checksums. Any later version keeps the place of
//! magic, version, flags and header checksum.

mod file;
mod make;

pub(crate) use self::{
    file::Packed,
    make::{MakeError, make},
};
use crate::{
    convert::{array, to_u64, to_usize},
    flaw::Flaw,
    group::{self, Digest},
    options::SEGMENT_BYTES_RANGE,
    segment::SEGMENT_HEADER_BYTES,
};

/// What following all groups of a segment comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) groups: u64,
    pub(crate) records: u64,
    /// The hash of the last group.
    pub(crate) hash: Digest,
    /// Whether the last group is a seal.
    pub(crate) sealed: bool,
}

/// What a compressed segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    /// How long the original is.
    pub(crate) length: u64,
    pub(crate) summary: Summary,
    pub(crate) table_crc: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let blocks = u32::try_from(self.blocks()).expect("LENGTH_MAX bounds the blocks");
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&BLOCK.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.length.to_le_bytes());
        out[32..36].copy_from_slice(&blocks.to_le_bytes());
        out[36..40].copy_from_slice(&u32::from(self.summary.sealed).to_le_bytes());
        out[40..48].copy_from_slice(&self.summary.groups.to_le_bytes());
        out[48..56].copy_from_slice(&self.summary.records.to_le_bytes());
        out[56..88].copy_from_slice(&self.summary.hash);
        out[88..92].copy_from_slice(&self.table_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[..92]);
        out[92..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Takes a whole header of a version and with flags this program knows, of segment `expected`.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES], expected: u64) -> Result<Self, Flaw> {
        if bytes[..8] != MAGIC[..] {
            return Err(Flaw::Magic);
        }
        if crc32c::crc32c(&bytes[..92]) != u32::from_le_bytes(array(bytes, 92)) {
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
        let found = u64::from_le_bytes(array(bytes, 16));
        if found != expected {
            return Err(Flaw::Number { expected, found });
        }
        let last = u32::from_le_bytes(array(bytes, 36));
        let header = Self {
            number: found,
            length: u64::from_le_bytes(array(bytes, 24)),
            summary: Summary {
                groups: u64::from_le_bytes(array(bytes, 40)),
                records: u64::from_le_bytes(array(bytes, 48)),
                hash: array(bytes, 56),
                sealed: last == 1,
            },
            table_crc: u32::from_le_bytes(array(bytes, 88)),
        };
        let block = u32::from_le_bytes(array(bytes, 12));
        let blocks = u32::from_le_bytes(array(bytes, 32));
        if block != BLOCK || last > 1 || !header.adds_up(blocks) {
            return Err(Flaw::Layout);
        }
        Ok(header)
    }

    fn adds_up(&self, blocks: u32) -> bool {
        let groups_max = self.length / to_u64(group::HEADER_BYTES);
        let records_max = self.length / to_u64(group::RECORD_HEADER_BYTES);
        (LENGTH_MIN..=LENGTH_MAX).contains(&self.length)
            && to_usize(blocks.into()) == self.blocks()
            && (1..=groups_max).contains(&self.summary.groups)
            && self.summary.records <= records_max
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        to_usize(self.length.div_ceil(u64::from(BLOCK)))
    }

    /// How long block `index` is in the original.
    pub(crate) fn block_bytes(&self, index: usize) -> usize {
        let left = self.length.saturating_sub(block_start(index));
        to_usize(left.min(u64::from(BLOCK)))
    }

    /// Where the first block stands in the file.
    pub(crate) fn blocks_at(&self) -> u64 {
        to_u64(HEADER_BYTES + self.blocks() * ENTRY_BYTES)
    }
}

/// Where block `index` starts in the original.
pub(crate) fn block_start(index: usize) -> u64 {
    to_u64(index).saturating_mul(u64::from(BLOCK))
}

const MAGIC: &[u8; 8] = b"PVSTSEGZ";
const VERSION: u16 = 1;
/// Fixed by the format: some 60 envelopes, so that a context of their common text is learned and a
/// read of one decompresses in some 20 µs.
pub(crate) const BLOCK: u32 = 32 * 1024;
/// [`BLOCK`] as a length in memory.
pub(crate) const BLOCK_BYTES: usize = 32 * 1024;
/// What zstd makes at most of a block that does not compress (its own `ZSTD_compressBound`).
pub(crate) const PACKED_BLOCK_MAX: usize = BLOCK_BYTES + 176;
/// Fixed by the format.
pub(crate) const HEADER_BYTES: usize = 96;
/// Fixed by the format.
pub(crate) const ENTRY_BYTES: usize = 8;
/// A sealed segment has a header and at least one group.
const LENGTH_MIN: u64 = 128;
/// The largest segment is one that was full but for a byte when the largest group came; so nobody's
/// table is longer than 258 KiB, whatever a file says.
const LENGTH_MAX: u64 = *SEGMENT_BYTES_RANGE.end() + 5 * 1024 * 1024;

const _: () = assert!(
    LENGTH_MAX >= *SEGMENT_BYTES_RANGE.end() + 64 + 64 + 4 * 1024 * 1024
        && SEGMENT_HEADER_BYTES + group::HEADER_BYTES == 128
        && group::GROUP_BYTES_MAX == 4 * 1024 * 1024
);

#[cfg(test)]
mod tests;
