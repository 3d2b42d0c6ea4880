//! The floor: the same bytes, 64 events at a time, appended to a file and synced, and nothing else.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use super::slow::SlowDisk;

/// A file that grows by groups.
#[derive(Debug)]
pub(super) struct Floor {
    file: File,
    length: u64,
    group: Vec<u8>,
    events: u64,
    disk: SlowDisk,
}

impl Floor {
    /// Makes the file; `events` are the bytes of one group.
    pub(super) fn new(
        path: &Path,
        events: &[impl AsRef<[u8]>],
        disk: SlowDisk,
    ) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let bytes: Vec<&[u8]> = events.iter().map(AsRef::as_ref).collect();
        Ok(Self {
            file,
            length: 0,
            group: bytes.concat(),
            events: u64::try_from(events.len()).unwrap_or(u64::MAX),
            disk,
        })
    }

    /// Appends and syncs group after group for so long; says how many events that were, and how
    /// long it took.
    pub(super) fn run(&mut self, slice: Duration) -> io::Result<(u64, Duration)> {
        let begun = Instant::now();
        let mut written = 0;
        while begun.elapsed() < slice {
            self.file.write_all_at(&self.group, self.length)?;
            self.file.sync_data()?;
            self.disk.wait();
            self.length += u64::try_from(self.group.len()).unwrap_or(u64::MAX);
            written += self.events;
        }
        Ok((written, begun.elapsed()))
    }
}
