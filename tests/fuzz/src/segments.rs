//! Small journals in memory, for the entry points that damage them.

use std::{path::Path, sync::Arc};

use provost_journal::{Journal, Keep, OpenError, Options, Position, Record, Recovery, file_name};
use provost_protocol::TenantId;

use crate::memory_disk::MemoryDisk;

/// Where every journal here lies.
pub(crate) const FOLDER: &str = "/journal";

/// Opens what stands on the disk.
pub(crate) fn open(disk: &MemoryDisk, keep: Keep) -> Result<(Journal, Recovery), OpenError> {
    let options = Options {
        segment_bytes_max: SEGMENT_BYTES,
        free_bytes_min: 0,
        keep,
    };
    Journal::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options)
}

/// The path of a segment.
pub(crate) fn path(number: u64) -> String {
    format!("{FOLDER}/{}", file_name(number))
}

/// A journal whose first segment is sealed: 2 KiB of events, then a second segment.
pub(crate) fn rolled() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (mut journal, _) = open(&disk, Keep::Everything).expect("an empty folder opens");
    let mut seq = 0;
    while journal.end().segment < 2 {
        seq += 1;
        let payload = format!(
            "{{\"v\":1,\"n\":{seq},\"text\":\"{}\"}}",
            "word ".repeat(40)
        );
        let record = Record::new(tenant(), seq, payload.into_bytes());
        journal.append(&[record]).expect("memory takes it");
    }
    disk
}

/// Opens what stands on the disk; if it opens, everything in it must be readable and must go on.
pub(crate) fn exercise(disk: &MemoryDisk, keep: Keep) {
    let Ok((mut journal, recovery)) = open(disk, keep) else {
        return;
    };
    let reader = journal.reader();
    let readable = reader.records_from(Position::START).all(|record| {
        record.is_ok_and(|(position, record)| {
            reader.read_at(position).is_ok_and(|again| again == record)
        })
    });
    let verified = reader.verify_all().all(|segment| segment.is_ok());
    // A sealed segment's records are looked at when they are read, not at every start.
    if recovery.segments == 1 {
        assert!(readable && verified, "what recovery took is readable");
    }
    let record = Record::new(tenant(), 1, &b"{\"v\":1}"[..]);
    let appended = journal.append(std::slice::from_ref(&record));
    let appended = appended.expect("a journal that opened goes on");
    assert_eq!(
        journal.reader().read_at(appended.positions[0]).ok(),
        Some(record)
    );
    let last = recovery.last_group.unwrap_or(0) + 1;
    drop(journal);
    let (_, again) = open(disk, keep).expect("what was written opens again");
    assert_eq!((again.cut, again.last_group), (None, Some(last)));
}

fn tenant() -> TenantId {
    "01890a5d-ac96-774b-bcce-b302099a8057"
        .parse()
        .expect("an id")
}

/// A few groups fill one.
const SEGMENT_BYTES: u64 = 2_048;
