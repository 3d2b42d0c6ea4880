//! The indexes' files: read, written, and built again from the segments.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_journal::{Position, Reader};
use provost_protocol::{TenantId, Timestamp, envelope::Envelope};

use super::damaged;
use crate::{
    backend::ReadError,
    fail_points,
    index::{SegmentIndex, TenantTable},
    merkle,
};

/// What is always known of a sealed segment.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    pub(super) path: PathBuf,
    pub(super) last_time: Timestamp,
    /// First and last sequence of each tenant.
    pub(super) tenants: BTreeMap<TenantId, (u64, u64)>,
}

/// An index that waits to become a file.
#[derive(Debug)]
pub(crate) struct SealedIndex {
    pub(super) segment: u64,
    pub(super) index: Arc<SegmentIndex>,
    pub(super) path: PathBuf,
}

impl SealedIndex {
    /// Writes the file. A failure is only logged: the index is rebuilt when it is missed.
    pub(crate) fn write(&self) {
        if let Err(error) = write_index(&self.index, self.segment, &self.path) {
            let file = self.path.display();
            tracing::warn!(%file, %error, "a segment's index could not be written");
        }
    }
}

impl Summary {
    pub(super) fn of(index: &SegmentIndex, path: PathBuf) -> Self {
        let span = |(tenant, table): (TenantId, &TenantTable)| {
            (tenant, (table.first_seq(), table.last_seq()))
        };
        Self {
            path,
            last_time: index.last_time(),
            tenants: index.tenants().map(span).collect(),
        }
    }
}

/// Builds the index of a segment from its durable records.
pub(super) fn scan(reader: &Reader, segment: u64) -> Result<SegmentIndex, ReadError> {
    let mut index = SegmentIndex::default();
    for item in reader.records_from(Position::new(segment, 0)) {
        let (at, record) = item.map_err(damaged)?;
        if at.segment != segment {
            break;
        }
        let envelope = Envelope::from_bytes(&record.payload).map_err(damaged)?;
        index.insert(&envelope, at.offset, merkle::leaf_hash(&record.payload));
    }
    Ok(index)
}

/// Builds the index of a sealed segment again, loudly, and puts its file back.
pub(super) fn rebuild(
    reader: &Reader,
    segment: u64,
    path: &Path,
) -> Result<SegmentIndex, ReadError> {
    tracing::warn!(file = %path.display(), "a segment's index is missing or damaged: rebuilding");
    let mut index = scan(reader, segment)?;
    index.seal();
    if let Err(error) = write_index(&index, segment, path) {
        tracing::warn!(file = %path.display(), %error, "a segment's index could not be written");
    }
    Ok(index)
}

/// Reads the file; `None` where it is missing, damaged or of another segment.
pub(super) fn read_index(path: &Path, segment: u64) -> Option<SegmentIndex> {
    SegmentIndex::from_file(&fs::read(path).ok()?, segment).ok()
}

/// Writes the file whole or not at all; not synced, because it can be rebuilt.
fn write_index(index: &SegmentIndex, segment: u64, path: &Path) -> std::io::Result<()> {
    let bytes = index.to_file(segment).map_err(std::io::Error::other)?;
    let temporary = path.with_extension("idx.new");
    fail_points::reach(fail_points::BEFORE_INDEX);
    fs::write(&temporary, bytes)?;
    fail_points::reach(fail_points::INDEX_WRITTEN);
    fs::rename(temporary, path)?;
    fail_points::reach(fail_points::INDEX_NAMED);
    Ok(())
}

/// Where the index of a segment stands.
pub(super) fn index_path(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}
