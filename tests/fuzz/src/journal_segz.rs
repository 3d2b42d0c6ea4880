//! A sealed segment in its compressed form.

use provost_journal::Keep;

use crate::segments::{FOLDER, exercise, rolled};

/// Opens a journal with the bytes in place of its sealed segment.
pub fn target(data: &[u8]) {
    let disk = rolled();
    let sealed = crate::segments::path(1);
    provost_journal::disk::Disk::remove(&disk, sealed.as_ref()).expect("it was there");
    disk.put(format!("{FOLDER}/0000000000000001.segz"), data);
    exercise(&disk, Keep::Everything);
}
