//! A sealed segment in its compressed form.

use provost_journal::{Keep, Position, disk::Disk as _};

use crate::segments::{FOLDER, exercise, open, path, rolled};

/// Opens a journal with the bytes in place of its sealed segment.
pub fn target(data: &[u8]) {
    let disk = rolled();
    disk.remove(path(1).as_ref()).expect("it was there");
    disk.put(packed(), data);
    exercise(&disk, Keep::Everything);
}

/// What the journal itself makes of the segment that [`target`] replaces: the good seed, and the
/// records that are read from it.
///
/// # Panics
/// When the journal does not read what it has compressed.
#[must_use]
pub fn good() -> (Vec<u8>, usize) {
    let disk = rolled();
    let (journal, _) = open(&disk, Keep::Everything).expect("it opened before");
    journal.reader().compress(1).expect("memory takes it");
    let bytes = disk.get(packed()).expect("it was compressed");
    assert_eq!(disk.get(path(1)), None);
    let records = journal.reader().records_from(Position::START);
    let whole = records.inspect(|record| assert!(record.is_ok(), "{record:?}"));
    let count = whole.count();
    (bytes, count)
}

fn packed() -> String {
    format!("{FOLDER}/0000000000000001.segz")
}
