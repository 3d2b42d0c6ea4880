//! The directory of an index file: what stays of it in memory, and how the rest is read.
//!
//! Most tenants sleep, and nobody asks for their sections. So of each block of 64 sections its
//! first tenant and its checksum are kept, and of each section a mark, two bytes made of its
//! tenant: 2.3 bytes for each tenant of the segment. Together the marks tell of nearly every tenant
//! that is not here, without a read; any other question reads one block.

use std::ops::Range;

use provost_journal::disk::DiskFile;
use provost_protocol::{TenantId, Timestamp};

use super::{
    IndexError,
    blocks::fill,
    layout::{BLOCK, BLOCK_BYTES, HEADER_BYTES, Header, SECTION_BYTES, Section},
};
use crate::convert::{array, to_u64, to_usize};

/// What is known of a directory without reading it again.
#[derive(Debug)]
pub(super) struct Directory {
    heads: Box<[Head]>,
    /// One for each section, in the order of the file.
    marks: Box<[u16]>,
    latest: Option<Timestamp>,
}

/// What is known of one block.
#[derive(Debug, Clone, Copy)]
struct Head {
    first: TenantId,
    crc: u32,
}

impl Directory {
    /// Reads all of it, a stretch at a time, and checks that it is what was written and that its
    /// sections are in order and fill the body.
    pub(super) fn read(file: &dyn DiskFile, header: &Header) -> Result<Self, IndexError> {
        let mut taken = Taken::new(header);
        let length = u64::from(header.tenants) * to_u64(SECTION_BYTES);
        let mut buffer = vec![0; to_usize(length.min(to_u64(STRETCH_BYTES)))];
        let mut at = 0;
        while at < length {
            let part = to_usize((length - at).min(to_u64(STRETCH_BYTES)));
            fill(file, to_u64(HEADER_BYTES) + at, &mut buffer[..part])?;
            buffer[..part]
                .chunks(BLOCK_BYTES)
                .for_each(|block| taken.block(block));
            at += to_u64(part);
        }
        taken.whole(header)
    }

    /// The latest time of any event here.
    pub(super) const fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// The block in which the tenant's section stands, if it has one; there is a block for one in a
    /// thousand tenants that have none.
    pub(super) fn block_of(&self, tenant: TenantId) -> Option<usize> {
        let after = self.heads.partition_point(|head| head.first <= tenant);
        let block = after.checked_sub(1)?;
        let marks = self.marks.chunks(SECTIONS).nth(block)?;
        marks.contains(&mark(tenant)).then_some(block)
    }

    /// The tenant's section, if this block has it, in one read.
    pub(super) fn section(
        &self,
        file: &dyn DiskFile,
        block: usize,
        tenant: TenantId,
    ) -> Result<Option<Section>, IndexError> {
        let block = self.checked(file, block..block + 1)?;
        let entry = block
            .chunks_exact(SECTION_BYTES)
            .find(|entry| entry[..16] == tenant.as_bytes()[..]);
        entry.map(parsed).transpose()
    }

    /// The blocks, as stretches to be read at once.
    pub(super) fn stretches(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let blocks = self.heads.len();
        (0..blocks)
            .step_by(STRETCH)
            .map(move |first| first..blocks.min(first + STRETCH))
    }

    /// The sections of these blocks, in one read.
    pub(super) fn sections(
        &self,
        file: &dyn DiskFile,
        blocks: Range<usize>,
    ) -> Result<Vec<Section>, IndexError> {
        let bytes = self.checked(file, blocks)?;
        bytes.chunks_exact(SECTION_BYTES).map(parsed).collect()
    }

    /// Bytes that it keeps.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        size_of_val(&*self.heads) + size_of_val(&*self.marks)
    }

    /// Whether all of it is one block.
    pub(super) const fn is_small(&self) -> bool {
        self.heads.len() <= 1
    }

    fn checked(&self, file: &dyn DiskFile, blocks: Range<usize>) -> Result<Vec<u8>, IndexError> {
        let begin = blocks.start * SECTIONS;
        let sections = self.marks.len().min(blocks.end * SECTIONS) - begin;
        let mut bytes = vec![0; sections * SECTION_BYTES];
        let at = to_u64(HEADER_BYTES + begin * SECTION_BYTES);
        fill(file, at, &mut bytes)?;
        let heads = &self.heads[blocks];
        for ((number, head), block) in (0..).zip(heads).zip(bytes.chunks(BLOCK_BYTES)) {
            if crc32c::crc32c(block) != head.crc {
                return Err(IndexError::damaged(
                    at + number * BLOCK,
                    "a block of the directory does not match its checksum",
                ));
            }
        }
        Ok(bytes)
    }
}

/// A directory as far as it was read.
struct Taken {
    heads: Vec<Head>,
    marks: Vec<u16>,
    latest: Option<Timestamp>,
    crc: u32,
    /// The tenant before, and where its section ends.
    last: Option<TenantId>,
    end: u64,
    adds_up: bool,
}

impl Taken {
    fn new(header: &Header) -> Self {
        let tenants = to_usize(header.tenants.into());
        Self {
            heads: Vec::with_capacity(tenants.div_ceil(SECTIONS)),
            marks: Vec::with_capacity(tenants),
            latest: None,
            crc: 0,
            last: None,
            end: 0,
            adds_up: true,
        }
    }

    fn block(&mut self, block: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, block);
        let mut sections = block.chunks_exact(SECTION_BYTES).map(parsed);
        // What does not add up is damaged anyway, and is told as such when all of it was read.
        let follow = sections.all(|section| section.is_ok_and(|section| self.section(&section)));
        self.adds_up &= follow;
        if let (true, Ok(first)) = (self.adds_up, parsed(&block[..SECTION_BYTES])) {
            self.heads.push(Head {
                first: first.tenant,
                crc: crc32c::crc32c(block),
            });
        }
    }

    /// Takes in the next section; says whether it follows the one before.
    fn section(&mut self, section: &Section) -> bool {
        let follows =
            section.at == self.end && self.last.is_none_or(|before| before < section.tenant);
        self.end = self.end.saturating_add(section.length.into());
        self.last = Some(section.tenant);
        self.latest = self.latest.max(Some(section.span.latest));
        self.marks.push(mark(section.tenant));
        follows
    }

    fn whole(self, header: &Header) -> Result<Directory, IndexError> {
        if self.crc != header.directory_crc {
            return Err(IndexError::damaged(
                to_u64(HEADER_BYTES),
                "the directory does not match its checksum",
            ));
        }
        if !self.adds_up || self.end != header.body_bytes {
            return Err(UNSOUND);
        }
        Ok(Directory {
            heads: self.heads.into(),
            marks: self.marks.into(),
            latest: self.latest,
        })
    }
}

fn parsed(entry: &[u8]) -> Result<Section, IndexError> {
    Section::read(&array(entry, 0)).ok_or(UNSOUND)
}

/// Two bytes of a tenant. Ids made at about the same time begin alike, so all of their bytes count.
fn mark(tenant: TenantId) -> u16 {
    let [a, b, c, d] = crc32c::crc32c(tenant.as_bytes()).to_le_bytes();
    u16::from_le_bytes([a ^ c, b ^ d])
}

const UNSOUND: IndexError = IndexError::damaged(64, "the directory does not add up");

/// Sections in one block of the directory, which is what a look-up reads.
const SECTIONS: usize = BLOCK_BYTES / SECTION_BYTES;

/// Blocks read at once where all are: 64 KiB, large enough for a disk and small enough to hold.
const STRETCH: usize = 16;
const STRETCH_BYTES: usize = STRETCH * BLOCK_BYTES;
