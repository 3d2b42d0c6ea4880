//! The journal in a backup, as a disk that the journal's own readers read.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use provost_journal::disk::{Access, Disk, DiskFile};

use super::{BackupEntry, JOURNAL_PREFIX};

/// The segments of a backup. Nothing can be changed through it.
#[derive(Debug)]
pub(super) struct BackupDisk {
    file: Arc<File>,
    /// Where each file stands, by its name in the journal's folder.
    places: BTreeMap<String, (u64, u64)>,
}

impl BackupDisk {
    pub(super) fn new(file: Arc<File>, entries: &[BackupEntry]) -> Self {
        let places = entries.iter().filter_map(|entry| {
            let name = entry.name.strip_prefix(JOURNAL_PREFIX)?;
            Some((name.to_owned(), (entry.offset, entry.bytes)))
        });
        Self {
            file,
            places: places.collect(),
        }
    }
}

impl Disk for BackupDisk {
    fn create_dir(&self, _: &Path) -> io::Result<bool> {
        Err(read_only())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.places.keys().cloned().collect())
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Err(read_only())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        if access != Access::Read {
            return Err(read_only());
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let place = name.and_then(|name| self.places.get(name));
        let &(offset, length) = place.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Part {
            file: Arc::clone(&self.file),
            offset,
            length,
        }))
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(0)
    }

    fn try_lock(&self, _: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        Err(read_only())
    }
}

/// One file inside the backup.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    offset: u64,
    length: u64,
}

impl DiskFile for Part {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        self.file
            .read_at(&mut buffer[..wanted], self.offset.saturating_add(offset))
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }
}

fn read_only() -> io::Error {
    io::ErrorKind::ReadOnlyFilesystem.into()
}
