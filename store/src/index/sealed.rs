//! An index file: marks of its directory and the checksums in memory, all else read when it is asked
//! for.

use std::{ops::Range, path::Path, sync::Arc};

use provost_journal::disk::{Access, Disk};
use provost_protocol::{TenantId, Timestamp};

use super::{
    IndexError, SealedTable,
    blocks::{Blocks, fill},
    directory::Directory,
    layout::{HEADER_BYTES, Header, Section},
};
use crate::convert::{array, to_usize};

/// The index of a sealed segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    segment: u64,
    directory: Directory,
    blocks: Blocks,
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
        let directory = Directory::read(file.as_ref(), &header)?;
        let mut checksums = vec![0; to_usize(header.blocks()) * 4];
        let checksums_at = header.checksums_at();
        fill(file.as_ref(), checksums_at, &mut checksums)?;
        if crc32c::crc32c(&checksums) != header.checksums_crc {
            return Err(IndexError::damaged(
                checksums_at,
                "the checksums do not match theirs",
            ));
        }
        let checksums = checksums.chunks_exact(4);
        let checksums = checksums.map(|bytes| u32::from_le_bytes(array(bytes, 0)));
        let body = (header.body_at(), header.body_bytes);
        Ok(Self {
            segment,
            directory,
            blocks: Blocks::new((disk, path.to_path_buf()), file, body, checksums.collect()),
        })
    }

    /// The segment it is of.
    pub(super) const fn segment(&self) -> u64 {
        self.segment
    }

    /// Whether one read gives the whole directory.
    pub(super) const fn is_small(&self) -> bool {
        self.directory.is_small()
    }

    /// The latest time of any event here.
    pub(crate) const fn latest(&self) -> Option<Timestamp> {
        self.directory.latest()
    }

    /// Whether the tenant may have events here, as the marks say; reads nothing.
    pub(crate) fn may_hold(&self, tenant: TenantId) -> bool {
        self.directory.block_of(tenant).is_some()
    }

    /// The tenant's table, if it has events here; one read where it may.
    pub(crate) fn tenant(&self, tenant: TenantId) -> Result<Option<SealedTable<'_>>, IndexError> {
        let Some(block) = self.directory.block_of(tenant) else {
            return Ok(None);
        };
        let file = self.blocks.file()?;
        let section = self.directory.section(file.as_ref(), block, tenant)?;
        Ok(section.map(|section| self.table(section)))
    }

    /// Every tenant that has events here, read a stretch at a time; one error stands for a stretch
    /// that cannot be read.
    pub(crate) fn tenants(
        &self,
    ) -> impl Iterator<Item = Result<(TenantId, SealedTable<'_>), IndexError>> {
        let stretches = self.directory.stretches();
        stretches
            .flat_map(|blocks| match self.sections(blocks) {
                Ok(sections) => sections.into_iter().map(Ok).collect(),
                Err(why) => vec![Err(why)],
            })
            .map(|section| section.map(|section| (section.tenant, self.table(section))))
    }

    /// Reads every byte of directory and body, a stretch at a time, and checks it.
    pub(crate) fn check(&self) -> Result<(), IndexError> {
        for blocks in self.directory.stretches() {
            self.sections(blocks)?;
        }
        let mut at = 0;
        while at < self.blocks.body_bytes() {
            let length = (self.blocks.body_bytes() - at).min(CHECK_BYTES);
            self.blocks.read(at, to_usize(length))?;
            at += length;
        }
        Ok(())
    }

    /// The tenants in whose sections the damaged bytes stand; none where it is the tables before.
    pub(crate) fn hit(&self, why: &IndexError) -> Result<Vec<TenantId>, IndexError> {
        let IndexError::Damaged { offset, bytes, .. } = why else {
            return Ok(Vec::new());
        };
        let body_at = self.blocks.body_at();
        let end = offset.saturating_add(*bytes);
        let mut hit = Vec::new();
        if end <= body_at {
            return Ok(hit);
        }
        for item in self.tenants() {
            let (tenant, table) = item?;
            let begin = body_at + table.section.at;
            if begin < end && *offset < begin + u64::from(table.section.length) {
                hit.push(tenant);
            }
        }
        Ok(hit)
    }

    /// Closes the file until it is needed again.
    pub(crate) fn close(&self) {
        self.blocks.close();
    }

    pub(super) const fn table(&self, section: Section) -> SealedTable<'_> {
        SealedTable {
            blocks: &self.blocks,
            section,
        }
    }

    fn sections(&self, blocks: Range<usize>) -> Result<Vec<Section>, IndexError> {
        let file = self.blocks.file()?;
        self.directory.sections(file.as_ref(), blocks)
    }
}

/// Large enough for a disk, small enough to hold.
const CHECK_BYTES: u64 = 256 * 1_024;
