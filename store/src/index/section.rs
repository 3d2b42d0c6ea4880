//! One tenant's section of an index file, read by columns.

use provost_protocol::tlog::{Frontier, Hash};
use roaring::RoaringBitmap;

use super::{
    IndexError, Matching, Span, Table,
    blocks::Blocks,
    layout::{BLOCK_BYTES, HASH, MANY, Section, TERM, bucket_bits, count, stored_levels},
    write::{bucket_at, bucket_of},
};
use crate::convert::{array, to_usize};

/// One tenant's events in the index of a sealed segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedTable<'a> {
    pub(super) blocks: &'a Blocks,
    pub(super) section: Section,
}

impl SealedTable<'_> {
    fn read(&self, column: u64, from: u64, bytes: u64) -> Result<Vec<u8>, IndexError> {
        let at = self.section.at + column + from;
        if from.saturating_add(bytes) > u64::from(self.section.length) {
            return Err(self.damaged("it names bytes beyond its section"));
        }
        self.blocks.read(at, to_usize(bytes))
    }

    /// The tenant's section is not what was written.
    pub(crate) fn damaged(&self, why: &'static str) -> IndexError {
        let at = self.blocks.body_at() + self.section.at;
        IndexError::damaged_part((at, self.section.length.into()), why)
    }

    /// The value of a term, if any event has it.
    fn value(&self, term: u64) -> Result<Option<u32>, IndexError> {
        let columns = self.section.columns();
        let bucket = bucket_at(bucket_of(term, bucket_bits(self.section.terms)));
        let ends = self.read(columns.buckets, bucket, 8)?;
        let [from, until] = [0, 4].map(|at| u64::from(u32::from_le_bytes(array(&ends, at))));
        if from > until || until > u64::from(self.section.terms) {
            return Err(self.damaged("a bucket does not add up"));
        }
        let terms = self.read(columns.terms, from * TERM, (until - from) * TERM)?;
        let mut terms = terms.chunks_exact(to_usize(TERM));
        let found = terms.find(|entry| u64::from_le_bytes(array(entry, 0)) == term);
        Ok(found.map(|entry| u32::from_le_bytes(array(entry, 8))))
    }

    fn bitmap(&self, at: u32) -> Result<RoaringBitmap, IndexError> {
        let (at, column) = (u64::from(at), self.section.columns().bitmaps);
        let all = u64::from(self.section.bitmap_bytes);
        let have = all.saturating_sub(at).min(FIRST_READ);
        if have < 4 {
            return Err(self.damaged("a term names no bitmap"));
        }
        let mut bytes = self.read(column, at, have)?;
        let length = u64::from(u32::from_le_bytes(array(&bytes, 0)));
        if length > all - at - 4 {
            return Err(self.damaged("a bitmap goes beyond the bitmaps"));
        }
        if length + 4 > have {
            bytes.extend(self.read(column, at + have, length + 4 - have)?);
        }
        bytes.truncate(to_usize(length + 4));
        let bitmap = RoaringBitmap::deserialize_from(&bytes[4..]);
        let bitmap = bitmap.map_err(|_| self.damaged("a bitmap is not one"))?;
        let inside = bitmap
            .max()
            .is_none_or(|last| last < self.section.span.entries);
        if inside {
            Ok(bitmap)
        } else {
            Err(self.damaged("a bitmap names events that are not here"))
        }
    }
}

impl Table for SealedTable<'_> {
    fn span(&self) -> Span {
        self.section.span
    }

    fn matching(&self, terms: &[u64]) -> Result<Matching, IndexError> {
        let mut bitmaps = Vec::with_capacity(terms.len());
        for term in terms {
            match self.value(*term)? {
                None => return Ok(Matching::None),
                Some(value) if value & MANY != 0 => bitmaps.push(value & !MANY),
                Some(entry) if entry < self.section.span.entries => {
                    return Ok(Matching::One(entry));
                }
                Some(_) => return Err(self.damaged("a term names an event that is not here")),
            }
        }
        let mut both: Option<RoaringBitmap> = None;
        for at in bitmaps {
            let bitmap = self.bitmap(at)?;
            let next = match both {
                None => bitmap,
                Some(both) => both & bitmap,
            };
            if next.is_empty() {
                return Ok(Matching::None);
            }
            both = Some(next);
        }
        Ok(both.map_or(Matching::None, Matching::Many))
    }

    fn offsets(&self, from: u32, count: u32) -> Result<Vec<u32>, IndexError> {
        let column = self.section.columns().offsets;
        let bytes = self.read(column, u64::from(from) * 4, u64::from(count) * 4)?;
        Ok(bytes
            .chunks_exact(4)
            .map(|four| u32::from_le_bytes(array(four, 0)))
            .collect())
    }

    fn times(&self, from: u32, count: u32) -> Result<Vec<i64>, IndexError> {
        let column = self.section.columns().times;
        let bytes = self.read(column, u64::from(from) * 8, u64::from(count) * 8)?;
        Ok(bytes
            .chunks_exact(8)
            .map(|eight| i64::from_le_bytes(array(eight, 0)))
            .collect())
    }

    fn nodes(&self, level: u8, index: u64, wanted: u32) -> Result<Vec<Hash>, IndexError> {
        let columns = self.section.columns();
        let here = self.section.span.nodes(level);
        let until = index.saturating_add(u64::from(wanted));
        if index < here.start || until > here.end {
            return Err(self.damaged("a node that is asked for is not here"));
        }
        let column = if level == 0 {
            columns.leaves
        } else {
            let below = stored_levels().take_while(|stored| *stored < level);
            let below = below.map(|stored| count(&self.section.span.nodes(stored)));
            columns.nodes + below.sum::<u64>() * HASH
        };
        let from = (index - here.start) * HASH;
        hashes(&self.read(column, from, u64::from(wanted) * HASH)?)
    }

    fn frontier(&self) -> Result<Frontier, IndexError> {
        let size = self.section.span.last_seq();
        let bytes = self.read(0, 0, u64::from(size.count_ones()) * HASH)?;
        let frontier = Frontier::from_subtrees(size, hashes(&bytes)?);
        frontier.ok_or_else(|| self.damaged("the frontier does not add up"))
    }
}

fn hashes(bytes: &[u8]) -> Result<Vec<Hash>, IndexError> {
    Ok(bytes.chunks_exact(32).map(|hash| array(hash, 0)).collect())
}

/// A whole rare bitmap, or the length of a frequent one.
const FIRST_READ: u64 = 2_048;

const _: () = assert!(
    BLOCK_BYTES.is_multiple_of(32),
    "hashes would straddle more blocks than they need"
);
