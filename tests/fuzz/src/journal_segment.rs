//! Recovery of a journal, whose only segment holds these bytes.

use provost_journal::Keep;

use crate::{
    memory_disk::MemoryDisk,
    segments::{exercise, path, rolled},
};

/// Opens a journal with the bytes as its first and only segment, then as the sealed one of two.
pub fn target(data: &[u8]) {
    for keep in [Keep::Everything, Keep::Recent] {
        let disk = MemoryDisk::default();
        disk.put(path(1), data);
        exercise(&disk, keep);
    }
    let disk = rolled();
    let sealed = disk.get(path(1));
    disk.put(path(1), data);
    exercise(&disk, Keep::Everything);
    // The chain of hashes tells any other bytes from those that were there.
    if sealed.as_deref() == Some(data) {
        crate::segments::open(&disk, Keep::Everything).expect("the journal as it was opens");
    }
}
