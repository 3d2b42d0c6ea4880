//! Where in an index file what stands: header, directory, and the columns of a section.

use std::ops::Range;

use provost_protocol::{TenantId, Timestamp};

use super::IndexError;
use crate::convert::{array, to_u32, to_u64};

/// Which events of a tenant stand in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Sequence of the first.
    pub(crate) first_seq: u64,
    /// How many, of consecutive sequences; at least one.
    pub(crate) entries: u32,
    /// The earliest time among them.
    pub(crate) earliest: Timestamp,
    /// The latest time among them.
    pub(crate) latest: Timestamp,
}

impl Span {
    /// Sequence of the last.
    pub(crate) const fn last_seq(&self) -> u64 {
        // Widening; `From` is not const.
        self.first_seq
            .saturating_add(widen(self.entries))
            .saturating_sub(1)
    }

    /// The nodes of one level that these events complete, by their index in the level.
    pub(crate) const fn nodes(&self, level: u8) -> Range<u64> {
        let before = self.first_seq.saturating_sub(1);
        before >> level..self.last_seq() >> level
    }
}

/// One tenant's entry in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) tenant: TenantId,
    pub(super) span: Span,
    pub(super) terms: u32,
    pub(super) bitmap_bytes: u32,
    pub(super) length: u32,
    /// Where in the body it begins.
    pub(super) at: u64,
}

/// Where in a section its columns begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) offsets: u64,
    pub(super) times: u64,
    pub(super) leaves: u64,
    pub(super) nodes: u64,
    pub(super) buckets: u64,
    pub(super) terms: u64,
    pub(super) bitmaps: u64,
    pub(super) end: u64,
}

impl Section {
    pub(super) fn columns(&self) -> Columns {
        let entries = u64::from(self.span.entries);
        let nodes: u64 = stored_levels()
            .map(|level| count(&self.span.nodes(level)))
            .sum();
        let offsets = u64::from(self.span.last_seq().count_ones()) * HASH;
        let times = offsets + entries * 4;
        let leaves = times + entries * 8;
        let nodes_at = leaves + entries * HASH;
        let buckets = nodes_at + nodes * HASH;
        let terms = buckets + ((1 << bucket_bits(self.terms)) + 1) * 4;
        let bitmaps = terms + u64::from(self.terms) * TERM;
        Columns {
            offsets,
            times,
            leaves,
            nodes: nodes_at,
            buckets,
            terms,
            bitmaps,
            end: bitmaps + u64::from(self.bitmap_bytes),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(&self.span.first_seq.to_le_bytes());
        out.extend_from_slice(&self.span.earliest.as_millis().to_le_bytes());
        out.extend_from_slice(&self.span.latest.as_millis().to_le_bytes());
        for number in [
            self.span.entries,
            self.terms,
            self.bitmap_bytes,
            self.length,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.at.to_le_bytes());
    }

    /// Reads an entry; `None` where it does not add up. That it is the one written, a checksum says.
    pub(super) fn read(bytes: &[u8; SECTION_BYTES]) -> Option<Self> {
        let time = |at| Timestamp::from_millis(i64::from_le_bytes(array(bytes, at)));
        let number = |at| u32::from_le_bytes(array(bytes, at));
        let section = Self {
            tenant: TenantId::from_bytes(array(bytes, 0)).ok()?,
            span: Span {
                first_seq: u64::from_le_bytes(array(bytes, 16)),
                earliest: time(24),
                latest: time(32),
                entries: number(40),
            },
            terms: number(44),
            bitmap_bytes: number(48),
            length: number(52),
            at: u64::from_le_bytes(array(bytes, 56)),
        };
        let adds_up = section.span.entries > 0
            && section.span.first_seq > 0
            && section.columns().end == u64::from(section.length);
        adds_up.then_some(section)
    }
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: u64,
    pub(super) tenants: u32,
    pub(super) body_bytes: u64,
    pub(super) directory_crc: u32,
    pub(super) checksums_crc: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.segment.to_le_bytes());
        out[16..20].copy_from_slice(&self.tenants.to_le_bytes());
        out[20..24].copy_from_slice(&to_u32(BLOCK_BYTES).to_le_bytes());
        out[24..32].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[32..36].copy_from_slice(&self.directory_crc.to_le_bytes());
        out[36..40].copy_from_slice(&self.checksums_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn parse(bytes: &[u8; HEADER_BYTES], segment: u64) -> Result<Self, IndexError> {
        if bytes[..8] == EARLIER_MAGIC[..] {
            return Err(IndexError::Earlier);
        }
        let header = Self {
            segment: u64::from_le_bytes(array(bytes, 8)),
            tenants: u32::from_le_bytes(array(bytes, 16)),
            body_bytes: u64::from_le_bytes(array(bytes, 24)),
            directory_crc: u32::from_le_bytes(array(bytes, 32)),
            checksums_crc: u32::from_le_bytes(array(bytes, 36)),
        };
        if header.encode() != *bytes {
            return Err(IndexError::damaged(0, "the header is not one"));
        }
        if header.segment != segment {
            return Err(IndexError::damaged(8, "it is of another segment"));
        }
        Ok(header)
    }

    /// How many blocks the body has.
    pub(super) const fn blocks(&self) -> u64 {
        self.body_bytes.div_ceil(BLOCK)
    }

    /// Where the checksums begin.
    pub(super) fn checksums_at(&self) -> u64 {
        to_u64(HEADER_BYTES) + u64::from(self.tenants) * to_u64(SECTION_BYTES)
    }

    /// Where the body begins.
    pub(super) fn body_at(&self) -> u64 {
        self.checksums_at() + self.blocks() * 4
    }
}

/// The levels of inner nodes that are stored, lowest first.
pub(crate) fn stored_levels() -> impl Iterator<Item = u8> {
    (4..DENSE_FROM).step_by(4).chain(DENSE_FROM..64)
}

/// The highest stored level that is not above `level`; 0 for the leaves.
pub(crate) const fn stored_level(level: u8) -> u8 {
    if level >= DENSE_FROM {
        level
    } else {
        level / 4 * 4
    }
}

/// How many upper bits of a term choose its bucket.
pub(super) fn bucket_bits(terms: u32) -> u32 {
    terms
        .div_ceil(BUCKET_TERMS)
        .next_power_of_two()
        .trailing_zeros()
}

pub(super) const fn count(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

const fn widen(number: u32) -> u64 {
    let bytes = number.to_le_bytes();
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], 0, 0, 0, 0])
}

const MAGIC: &[u8; 8] = b"PVSTIDX2";
const EARLIER_MAGIC: &[u8; 8] = b"PVSTIDX1";
/// Fixed by the format.
pub(super) const HEADER_BYTES: usize = 64;
/// Fixed by the format.
pub(super) const SECTION_BYTES: usize = 64;
/// What a disk reads at least; most questions are answered by one or two of them.
pub(super) const BLOCK_BYTES: usize = 4_096;
/// [`BLOCK_BYTES`] as a length in a file.
pub(super) const BLOCK: u64 = 4_096;
/// A node of the tree.
pub(super) const HASH: u64 = 32;
/// A term's hash and value.
pub(super) const TERM: u64 = 12;
/// Marks the value of a term that more than one event carries.
pub(super) const MANY: u32 = 1 << 31;
/// Below, at most eight neighbours make a node, in one read; from here on those would stand in as
/// many segments as there are, and their number is too small to matter: one node in 65,536 events.
const DENSE_FROM: u8 = 16;
/// A bucket is then well under a block: one read.
const BUCKET_TERMS: u32 = 64;
