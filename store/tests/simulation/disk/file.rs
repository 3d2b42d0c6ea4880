//! One open file of the simulated disk.

use std::io;

use provost_journal::disk::DiskFile;

use super::{Call, Fault, SimDisk, gone};

/// A file as one process has it open; it stays readable whatever becomes of its name.
#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    number: usize,
    holds_lock: bool,
}

impl SimFile {
    pub(super) const fn new(disk: SimDisk, number: usize, holds_lock: bool) -> Self {
        Self {
            disk,
            number,
            holds_lock,
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut machine = self.disk.look(Call::Read)?;
        let machine = &mut *machine;
        let seen = &machine.contents.files[self.number].seen;
        let from = usize::try_from(offset).map_or(seen.len(), |at| at.min(seen.len()));
        let mut length = buffer.len().min(seen.len() - from);
        if length > 1 && machine.random.one_in(SHORT_READS) {
            // POSIX allows it, and signals too.
            if machine.random.coin() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            length = 1 + machine.random.index(length - 1);
        }
        buffer[..length].copy_from_slice(&seen[from..from + length]);
        Ok(length)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut machine, fault) = self.disk.begin(Call::Write)?;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let Some(fault) = fault else {
            machine.contents.write(self.number, at, bytes);
            return Ok(());
        };
        // What the power cut takes of a write in progress is decided there.
        let written = if fault == Fault::PowerCut {
            bytes.len()
        } else {
            machine.random.index(bytes.len() + 1)
        };
        machine.contents.write(self.number, at, &bytes[..written]);
        Err(machine.fail(fault))
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut machine, fault) = self.disk.begin(Call::Sync)?;
        let machine = &mut *machine;
        match fault {
            None => {
                machine.contents.sync(self.number);
                return Ok(());
            }
            Some(Fault::Eio | Fault::Enospc) => {
                let random = &mut machine.random;
                machine.contents.sync_failed(self.number, random);
            }
            // The disk may have finished what nobody heard of any more.
            Some(Fault::Kill | Fault::PowerCut) if machine.random.coin() => {
                machine.contents.sync(self.number);
            }
            Some(Fault::Kill | Fault::PowerCut) => {}
        }
        Err(fault.map_or_else(gone, |fault| machine.fail(fault)))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.disk.change(Call::Truncate, |contents| {
            contents.truncate(self.number, length);
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        let machine = self.disk.look(Call::Length)?;
        let length = machine.contents.files[self.number].seen.len();
        u64::try_from(length).map_err(io::Error::other)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.holds_lock {
            let mut machine = self.disk.lock();
            if machine.process == self.disk.process {
                machine.locked = false;
            }
        }
    }
}

/// Often enough that every loop that fills a buffer goes round.
const SHORT_READS: u64 = 16;
