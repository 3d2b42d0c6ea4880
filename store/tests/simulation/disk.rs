//! A disk in memory that keeps its promises to the letter and none beyond: what was not synced may
//! be lost, torn or reordered at a power cut, and any call may fail, or be the process's last.

mod contents;
mod crash;
mod file;
mod plan;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use provost_journal::disk::{Access, Disk, DiskFile};

pub(crate) use self::plan::{Call, Fault, When};
use self::{
    contents::{Contents, FolderState},
    file::SimFile,
    plan::Plan,
};
use super::{
    random::Random,
    tally::{Count, Tally},
};

/// How a process ended that did not choose to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process is gone, the machine is not: what was written is still in the page cache.
    Kill,
    /// The machine went down.
    PowerCut,
}

/// The disk as one process has it; [`SimDisk::restart`] gives the next process its own.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk {
    machine: Arc<Mutex<Machine>>,
    /// Which process this handle belongs to.
    process: u64,
}

#[derive(Debug)]
struct Machine {
    contents: Contents,
    plan: Plan,
    random: Random,
    process: u64,
    down: Option<End>,
    locked: bool,
    nearly_full: bool,
    calls: u64,
    fired: u64,
    tally: Tally,
}

impl SimDisk {
    pub(crate) fn new(random: Random) -> Self {
        let machine = Machine {
            contents: Contents::default(),
            plan: Plan::default(),
            random,
            process: 0,
            down: None,
            locked: false,
            nearly_full: false,
            calls: 0,
            fired: 0,
            tally: Tally::default(),
        };
        Self {
            machine: Arc::new(Mutex::new(machine)),
            process: 0,
        }
    }

    /// Plans a fault.
    pub(crate) fn arm(&self, when: When, fault: Fault) {
        self.lock().plan.arm(when, fault);
    }

    /// Takes back the faults that were counted in calls.
    pub(crate) fn disarm(&self) {
        self.lock().plan.disarm();
    }

    /// Whether the process was ended by a planned fault.
    pub(crate) fn down(&self) -> Option<End> {
        self.lock().down
    }

    /// How many faults struck, ever.
    pub(crate) fn fired(&self) -> u64 {
        self.lock().fired
    }

    /// How many calls were made, ever.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }

    pub(crate) fn set_nearly_full(&self, full: bool) {
        self.lock().nearly_full = full;
    }

    /// Ends the process, and starts the next one. Nothing is planned for it yet.
    pub(crate) fn restart(&self, end: End) -> Self {
        let mut machine = self.lock();
        let machine = &mut *machine;
        if end == End::PowerCut {
            crash::power_cut(
                &mut machine.contents,
                &mut machine.random,
                &mut machine.tally,
            );
        }
        machine.plan.clear();
        machine.down = None;
        machine.locked = false;
        machine.process += 1;
        Self {
            machine: Arc::clone(&self.machine),
            process: machine.process,
        }
    }

    /// Turns one bit over, on the medium and in the cache; says whether there is such a byte.
    pub(crate) fn flip(&self, name: &str, at: usize, bit: u8) -> bool {
        self.lock().contents.flip(name, at, bit)
    }

    /// The names of all files and how long each is.
    pub(crate) fn files(&self) -> Vec<(String, usize)> {
        let machine = self.lock();
        let length = |number: usize| machine.contents.files[number].seen.len();
        let names = machine.contents.names.iter();
        names
            .map(|(name, number)| (name.clone(), length(*number)))
            .collect()
    }

    /// A checksum of all names and bytes, the lock file apart.
    pub(crate) fn digest(&self) -> u32 {
        let machine = self.lock();
        let names = machine.contents.names.iter();
        names
            .filter(|(name, _)| name.as_str() != "LOCK")
            .fold(0, |digest, (name, number)| {
                let digest = crc32c::crc32c_append(digest, name.as_bytes());
                crc32c::crc32c_append(digest, &machine.contents.files[*number].seen)
            })
    }

    /// What the disk did, since the last time.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.lock().tally)
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        // One thread runs a machine; a panic of it fails the seed.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call: the machine, and what goes wrong.
    fn begin(&self, call: Call) -> io::Result<(MutexGuard<'_, Machine>, Option<Fault>)> {
        let mut machine = self.lock();
        if machine.process != self.process || machine.down.is_some() {
            return Err(gone());
        }
        machine.calls += 1;
        let fault = machine.plan.strike(call);
        Ok((machine, fault))
    }

    /// A call that only looks: it fails, or it does not.
    fn look(&self, call: Call) -> io::Result<MutexGuard<'_, Machine>> {
        let (mut machine, fault) = self.begin(call)?;
        match fault {
            None => Ok(machine),
            Some(fault) => Err(machine.fail(fault)),
        }
    }

    /// A call that changes a name or a length. One that fails did nothing; one in which the
    /// process ended did it or did not.
    fn change(
        &self,
        call: Call,
        change: impl FnOnce(&mut Contents) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut machine, fault) = self.begin(call)?;
        let Some(fault) = fault else {
            return change(&mut machine.contents);
        };
        let done = matches!(fault, Fault::Kill | Fault::PowerCut) && machine.random.coin();
        if done {
            change(&mut machine.contents)?;
        }
        Err(machine.fail(fault))
    }

    fn file(&self, number: usize, holds_lock: bool) -> Arc<dyn DiskFile> {
        Arc::new(SimFile::new(self.clone(), number, holds_lock))
    }
}

impl Machine {
    /// Lets a planned fault happen.
    fn fail(&mut self, fault: Fault) -> io::Error {
        self.fired += 1;
        match fault {
            Fault::Eio => {
                self.tally.hit(Count::Eio);
                io::Error::from_raw_os_error(EIO)
            }
            Fault::Enospc => {
                self.tally.hit(Count::Enospc);
                io::Error::from_raw_os_error(ENOSPC)
            }
            Fault::Kill => {
                self.down = Some(End::Kill);
                gone()
            }
            Fault::PowerCut => {
                self.down = Some(End::PowerCut);
                gone()
            }
        }
    }

    fn number(&self, path: &Path) -> io::Result<usize> {
        let known = self.contents.names.get(&name(path)?).copied();
        known.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<bool> {
        check_folder(dir)?;
        let mut made = false;
        self.change(Call::Folder, |contents| {
            made = contents.folder == FolderState::Missing;
            if made {
                contents.folder = FolderState::Made;
            }
            Ok(())
        })?;
        Ok(made)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        check_folder(dir)?;
        let machine = self.look(Call::List)?;
        Ok(machine.contents.names.keys().cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let name = name(path)?;
        let mut number = None;
        self.change(Call::Create, |contents| {
            if contents.names.contains_key(&name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            number = Some(contents.create(&name));
            Ok(())
        })?;
        let number = number.ok_or_else(gone)?;
        Ok(self.file(number, false))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.look(Call::Open)?.number(path)?;
        Ok(self.file(number, false))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let name = name(path)?;
        self.change(Call::Remove, |contents| found(contents.remove(&name)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (name(from)?, name(to)?);
        self.change(Call::Rename, |contents| found(contents.rename(&from, &to)))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let parent = Path::new(FOLDER).parent() == Some(dir);
        if !parent {
            check_folder(dir)?;
        }
        self.change(Call::SyncDir, |contents| {
            if parent {
                contents.folder = FolderState::Durable;
            } else {
                contents.sync_names();
            }
            Ok(())
        })
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        check_folder(dir)?;
        let machine = self.look(Call::Free)?;
        Ok(if machine.nearly_full { 0 } else { u64::MAX })
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let name = name(path)?;
        let mut number = None;
        self.change(Call::Lock, |contents| {
            let known = contents.names.get(&name).copied();
            number = Some(known.unwrap_or_else(|| contents.create(&name)));
            Ok(())
        })?;
        let number = number.ok_or_else(gone)?;
        if std::mem::replace(&mut self.lock().locked, true) {
            return Ok(None);
        }
        Ok(Some(self.file(number, true)))
    }
}

fn found(known: bool) -> io::Result<()> {
    if known {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn gone() -> io::Error {
    io::Error::other("the process has ended")
}

fn check_folder(dir: &Path) -> io::Result<()> {
    found(dir == Path::new(FOLDER))
}

fn name(path: &Path) -> io::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let inside = path.parent() == Some(Path::new(FOLDER));
    let name = name.filter(|_| inside).map(str::to_owned);
    name.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Where the journal stands on the disk.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(FOLDER)
}

const FOLDER: &str = "/disk/journal";
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
