//! An index file: header, directory and checksums in memory, all else read when it is asked for.

use std::{path::Path, sync::Arc};

use provost_journal::disk::{Access, Disk};
use provost_protocol::TenantId;

use super::{
    IndexError, SealedTable,
    blocks::{Blocks, fill},
    layout::{HEADER_BYTES, Header, SECTION_BYTES, Section},
};
use crate::convert::{array, to_u64, to_usize};

/// The index of a sealed segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    directory: Vec<Section>,
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

/// Large enough for a disk, small enough to hold.
const CHECK_BYTES: u64 = 256 * 1_024;
