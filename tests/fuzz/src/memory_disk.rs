//! A folder in memory: what a journal of a few KiB needs of a disk, without its latency.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use provost_journal::disk::{Access, Disk, DiskFile};

type Content = Arc<Mutex<Vec<u8>>>;

/// The disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<PathBuf, Content>>>,
}

#[derive(Debug)]
struct MemoryFile(Content);

impl MemoryDisk {
    /// Puts a file there.
    pub(crate) fn put(&self, path: impl Into<PathBuf>, bytes: &[u8]) {
        let content = Arc::new(Mutex::new(bytes.to_vec()));
        lock(&self.files).insert(path.into(), content);
    }

    /// What stands in a file.
    pub(crate) fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let content = lock(&self.files).get(path.as_ref()).cloned()?;
        Some(lock(&content).clone())
    }

    fn file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let content = lock(&self.files).get(path).cloned();
        let content = content.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile(content)))
    }
}

impl Disk for MemoryDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = lock(&self.files);
        let here = files.keys().filter(|path| path.parent() == Some(dir));
        let names = here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        Ok(names.collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if lock(&self.files).contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(path, &[]);
        self.file(path)
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.file(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = lock(&self.files).remove(path);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = lock(&self.files);
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn try_lock(&self, _path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        // A folder of one owner.
        Ok(Some(Arc::new(MemoryFile(Content::default()))))
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = lock(&self.0);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(rest) = content.get(from..) else {
            return Ok(0);
        };
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut content = lock(&self.0);
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::StorageFull)?;
        let end = from.checked_add(bytes.len());
        let end = end.filter(|end| *end <= FILE_BYTES_MAX);
        let end = end.ok_or(io::ErrorKind::StorageFull)?;
        if content.len() < end {
            content.resize(end, 0);
        }
        content[from..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        lock(&self.0).truncate(length);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(u64::try_from(lock(&self.0).len()).unwrap_or(u64::MAX))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Far above any seed: a write beyond it is a defect that must not take the machine with it.
const FILE_BYTES_MAX: usize = 64 * 1_024 * 1_024;
