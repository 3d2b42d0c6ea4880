//! A disk of one file, which counts reads and may be damaged while it is open.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use provost_journal::disk::{Access, Disk, DiskFile};

use crate::convert::{to_u64, to_usize};

/// One file in memory: a thousand of them are opened in a moment.
#[derive(Debug, Clone)]
pub(super) struct Bytes {
    bytes: Arc<Mutex<Vec<u8>>>,
    reads: Arc<AtomicU64>,
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self {
            bytes: Arc::new(Mutex::new(bytes.to_vec())),
            reads: Arc::default(),
        }
    }
}

impl Bytes {
    /// Reads since the last call.
    pub(super) fn taken(&self) -> u64 {
        self.reads.swap(0, Ordering::SeqCst)
    }

    /// Turns over one bit.
    pub(super) fn flip(&self, place: usize) {
        self.bytes.lock().unwrap()[place] ^= 1;
    }
}

impl DiskFile for Bytes {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let bytes = self.bytes.lock().unwrap();
        let rest = bytes.get(to_usize(offset)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(to_u64(self.bytes.lock().unwrap().len()))
    }
}

impl Disk for Bytes {
    fn open(&self, _: &Path, _: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.clone()))
    }

    fn create_dir(&self, _: &Path) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn try_lock(&self, _: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
