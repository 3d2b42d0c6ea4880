//! Bugs planted on purpose: a simulation that does not find them would not find real ones.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use provost_journal::disk::{Access, Disk, DiskFile};

use super::disk::folder;

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Syncing a file returns before anything is durable.
    AckBeforeSync,
    /// The writer applies and answers before the journal has the group.
    ApplyBeforeJournal,
    /// Syncing the journal's folder does nothing; syncing the one that holds it does.
    SkipDirSync,
    /// A recovery that cuts at damage in the middle and goes on.
    CutMiddle,
    /// A write that is reported as done is lost now and then.
    LoseGroup,
}

impl Sabotage {
    /// All of them, by the names of the command line.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("ack-before-sync", Self::AckBeforeSync),
        ("apply-before-journal", Self::ApplyBeforeJournal),
        ("skip-dir-sync", Self::SkipDirSync),
        ("cut-middle", Self::CutMiddle),
        ("lose-group", Self::LoseGroup),
    ];

    /// The disk as the journal gets it: with the bug, if it is one of the disk's.
    pub(crate) fn wrap(planted: Option<Self>, disk: impl Disk + 'static) -> Arc<dyn Disk> {
        match planted {
            Some(bug @ (Self::AckBeforeSync | Self::SkipDirSync | Self::LoseGroup)) => {
                Arc::new(BadDisk {
                    bug,
                    disk: Box::new(disk),
                    writes: Arc::default(),
                })
            }
            Some(Self::ApplyBeforeJournal | Self::CutMiddle) | None => Arc::new(disk),
        }
    }
}

/// A disk with a bug between it and the journal.
#[derive(Debug)]
struct BadDisk {
    bug: Sabotage,
    disk: Box<dyn Disk>,
    writes: Arc<AtomicU64>,
}

#[derive(Debug)]
struct BadFile {
    bug: Sabotage,
    file: Arc<dyn DiskFile>,
    writes: Arc<AtomicU64>,
}

impl BadDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(BadFile {
            bug: self.bug,
            file,
            writes: Arc::clone(&self.writes),
        })
    }
}

impl Disk for BadDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<bool> {
        self.disk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(path, access)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.bug == Sabotage::SkipDirSync && dir == folder() {
            return Ok(());
        }
        self.disk.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.disk.try_lock(path)
    }
}

impl DiskFile for BadFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let count = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        if self.bug == Sabotage::LoseGroup && count.is_multiple_of(LOST_WRITES) {
            return Ok(());
        }
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.bug == Sabotage::AckBeforeSync {
            return Ok(());
        }
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        if self.bug == Sabotage::AckBeforeSync {
            return Ok(());
        }
        self.file.sync_all()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

/// Once in so many writes: less often than a process lives, so that not every seed meets it.
const LOST_WRITES: u64 = 40;
