//! An index file: header, directory and checksums in memory, all else read when it is asked for.

use std::{path::Path, sync::Arc};

use provost_journal::disk::{Access, Disk};
use provost_protocol::{
    TenantId,
    tlog::{Frontier, Hash},
};
use roaring::RoaringBitmap;

use super::{
    IndexError, Matching, Span, Table,
    blocks::{Blocks, fill},
    layout::{
        BLOCK_BYTES, HASH, HEADER_BYTES, Header, MANY, SECTION_BYTES, Section, TERM, bucket_bits,
        count, stored_levels,
    },
    write::{bucket_at, bucket_of},
};
use crate::convert::{array, to_u64, to_usize};

/// The index of a sealed segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    directory: Vec<Section>,
    blocks: Blocks,
}

/// One tenant's events in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedTable<'a> {
    blocks: &'a Blocks,
    section: &'a Section,
}

impl Sealed {
    /// Opens the index of a segment; its body is not read.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path, segment: u64) -> Result<Self, IndexError> {
        let file = disk.open(path, Access::Read)?;
        let mut header = [0; HEADER_BYTES];
        fill(file.as_ref(), 0, &mut header)?;
        let header = Header::parse(&header, segment)?;
        let length = file.length()?;
        if header.body_at().checked_add(header.body_bytes) != Some(length) {
            return Err(IndexError::damaged(length, "the file is of another length"));
        }
        let mut tables = vec![0; to_usize(header.body_at()) - HEADER_BYTES];
        fill(file.as_ref(), 64, &mut tables)?;
        let (directory, checksums) =
            tables.split_at(to_usize(header.tenants.into()) * SECTION_BYTES);
        if crc32c::crc32c(directory) != header.directory_crc {
            return Err(IndexError::damaged(
                64,
                "the directory does not match its checksum",
            ));
        }
        if crc32c::crc32c(checksums) != header.checksums_crc {
            return Err(IndexError::damaged(
                to_u64(HEADER_BYTES + directory.len()),
                "the checksums do not match theirs",
            ));
        }
        let entries = directory.chunks_exact(SECTION_BYTES);
        // It is held for as long as the store is open: collecting would reserve up to twice as much.
        let mut directory = Vec::with_capacity(entries.len());
        for bytes in entries {
            directory.extend(Section::read(&array(bytes, 0)));
        }
        let is_whole = directory.len() == to_usize(header.tenants.into());
        if !is_whole || !follow_each_other(&directory, &header) {
            return Err(IndexError::damaged(64, "the directory does not add up"));
        }
        let checksums = checksums.chunks_exact(4);
        let checksums = checksums.map(|bytes| u32::from_le_bytes(array(bytes, 0)));
        let body = (header.body_at(), header.body_bytes);
        Ok(Self {
            directory,
            blocks: Blocks::new((disk, path.to_path_buf()), file, body, checksums.collect()),
        })
    }

    /// The tenant's table, if it has events here.
    pub(crate) fn tenant(&self, tenant: TenantId) -> Option<SealedTable<'_>> {
        let place = self
            .directory
            .binary_search_by_key(&tenant, |section| section.tenant);
        Some(self.table(&self.directory[place.ok()?]))
    }

    /// Every tenant that has events here.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = (TenantId, SealedTable<'_>)> {
        self.directory
            .iter()
            .map(|section| (section.tenant, self.table(section)))
    }

    /// Reads every byte of the body, a stretch at a time, and checks it.
    pub(crate) fn check(&self) -> Result<(), IndexError> {
        let mut at = 0;
        while at < self.blocks.body_bytes() {
            let length = (self.blocks.body_bytes() - at).min(CHECK_BYTES);
            self.blocks.read(at, to_usize(length))?;
            at += length;
        }
        Ok(())
    }

    /// The tenants in whose sections the damaged bytes stand; none where it is the tables before.
    pub(crate) fn hit(&self, why: &IndexError) -> Vec<TenantId> {
        let IndexError::Damaged { offset, bytes, .. } = why else {
            return Vec::new();
        };
        let body_at = self.blocks.body_at();
        let end = offset.saturating_add(*bytes);
        let is_hit = |section: &&Section| {
            let begin = body_at + section.at;
            begin < end && *offset < begin + u64::from(section.length)
        };
        let hit = self.directory.iter().filter(is_hit);
        hit.map(|section| section.tenant).collect()
    }

    /// Closes the file until it is needed again.
    pub(crate) fn close(&self) {
        self.blocks.close();
    }

    const fn table<'a>(&'a self, section: &'a Section) -> SealedTable<'a> {
        SealedTable {
            blocks: &self.blocks,
            section,
        }
    }
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

/// Whether the sections are in order and fill the body.
fn follow_each_other(sections: &[Section], header: &Header) -> bool {
    let mut end = 0;
    for section in sections {
        if section.at != end {
            return false;
        }
        end += u64::from(section.length);
    }
    end == header.body_bytes && sections.is_sorted_by(|one, next| one.tenant < next.tenant)
}

fn hashes(bytes: &[u8]) -> Result<Vec<Hash>, IndexError> {
    Ok(bytes.chunks_exact(32).map(|hash| array(hash, 0)).collect())
}

/// A whole rare bitmap, or the length of a frequent one.
const FIRST_READ: u64 = 2_048;

/// Large enough for a disk, small enough to hold.
const CHECK_BYTES: u64 = 256 * 1_024;

const _: () = assert!(
    BLOCK_BYTES.is_multiple_of(32),
    "hashes would straddle more blocks than they need"
);
