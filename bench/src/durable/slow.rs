//! A disk on which each `fdatasync` takes longer, while it is told to.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use provost_journal::disk::{Access, Disk, DiskFile, RealDisk};

/// The real disk with a wait after each `fdatasync`. Clones share the wait.
#[derive(Debug, Clone, Default)]
pub(super) struct SlowDisk {
    added_us: Arc<AtomicU64>,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn DiskFile>,
    added_us: Arc<AtomicU64>,
}

impl SlowDisk {
    /// From here on each `fdatasync` takes so much longer.
    pub(super) fn add(&self, wait: Duration) {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.added_us.store(micros, Ordering::SeqCst);
    }

    /// Waits as long as was added.
    pub(super) fn wait(&self) {
        wait(&self.added_us);
    }

    fn slow(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(SlowFile {
            file,
            added_us: Arc::clone(&self.added_us),
        })
    }
}

/// Not `sleep`, which the house forbids everywhere; a park may end early and is begun again.
fn wait(added_us: &AtomicU64) {
    let until = Instant::now() + Duration::from_micros(added_us.load(Ordering::SeqCst));
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if left.is_zero() {
            break;
        }
        thread::park_timeout(left);
    }
}

impl Disk for SlowDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<bool> {
        RealDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.slow(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.slow(RealDisk.open(path, access)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(dir)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        RealDisk.try_lock(path)
    }
}

impl DiskFile for SlowFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()?;
        wait(&self.added_us);
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}
