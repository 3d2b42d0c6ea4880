//! A real disk that fails on demand and writes down what it was asked, in order.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use provost_journal::disk::{Access, Disk, DiskFile, RealDisk};

/// What goes wrong, once, at the next call of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The write stops after so many bytes.
    Write(usize),
    /// Nothing: the write goes through, and the next planned fault is for the one after.
    NoWrite,
    Remove,
    Rename,
    SyncData,
    SyncAll,
    SyncDir,
    Truncate,
    Create,
}

/// What happens in the middle of a call.
type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Inner {
    faults: Vec<Fault>,
    calls: Vec<String>,
    written: Vec<(u64, u64)>,
    free: Option<u64>,
    calls_left: Option<usize>,
    hook: Option<(String, Hook)>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Inner>>);

impl FaultyDisk {
    pub(crate) fn fail(&self, fault: Fault) {
        self.0.lock().unwrap().faults.push(fault);
    }

    pub(crate) fn set_free(&self, bytes: u64) {
        self.0.lock().unwrap().free = Some(bytes);
    }

    /// The process dies after so many more calls: none that would change anything does.
    pub(crate) fn die_after(&self, calls: usize) {
        self.0.lock().unwrap().calls_left = Some(calls);
    }

    /// Does something of its own just before the call of this name, once.
    pub(crate) fn before(&self, call: &str, hook: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().hook = Some((call.to_owned(), Box::new(hook)));
    }

    /// What was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// From where to where was written since the last time, whole writes only.
    pub(crate) fn written(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.0.lock().unwrap().written)
    }

    fn call(&self, what: &str, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap().to_string_lossy();
        let call = format!("{what} {name}");
        let hook = self
            .0
            .lock()
            .unwrap()
            .hook
            .take_if(|(wanted, _)| *wanted == call);
        if let Some((_, hook)) = hook {
            hook();
        }
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(call);
        match &mut inner.calls_left {
            Some(0) => Err(io::Error::other("dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn check(&self, fault: Fault) -> io::Result<()> {
        match self.take(|planned| planned == fault) {
            Some(_) => Err(io::Error::other("planned")),
            None => Ok(()),
        }
    }

    fn take(&self, wanted: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut inner = self.0.lock().unwrap();
        let at = inner.faults.iter().position(|fault| wanted(*fault))?;
        Some(inner.faults.remove(at))
    }

    fn wrap(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile {
            disk: self.clone(),
            path: path.to_path_buf(),
            file,
        })
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<bool> {
        RealDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call("create", path)?;
        self.check(Fault::Create)?;
        Ok(self.wrap(path, RealDisk.create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, RealDisk.open(path, access)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call("remove", path)?;
        self.check(Fault::Remove)?;
        RealDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", from)?;
        self.check(Fault::Rename)?;
        RealDisk.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call("sync_dir", dir)?;
        self.check(Fault::SyncDir)?;
        RealDisk.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let free = self.0.lock().unwrap().free;
        free.map_or_else(|| RealDisk.free_bytes(dir), Ok)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        RealDisk.try_lock(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.call("write", &self.path)?;
        let of_writes = |fault| matches!(fault, Fault::Write(_) | Fault::NoWrite);
        if let Some(Fault::Write(count)) = self.disk.take(of_writes) {
            self.file
                .write_at(offset, &bytes[..count.min(bytes.len())])?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.file.write_at(offset, bytes)?;
        let length = u64::try_from(bytes.len()).unwrap();
        let mut inner = self.disk.0.lock().unwrap();
        inner.written.push((offset, offset + length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call("sync_data", &self.path)?;
        self.disk.check(Fault::SyncData)?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.disk.call("sync_all", &self.path)?;
        self.disk.check(Fault::SyncAll)?;
        self.file.sync_all()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.call("truncate", &self.path)?;
        self.disk.check(Fault::Truncate)?;
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}
