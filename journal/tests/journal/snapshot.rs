//! Reading a journal that somebody else writes.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use provost_journal::{CompressError, Flaw, OpenError, Position, Snapshot, file_name};

use crate::folder::{Folder, contents, fill_until, record, records, usize_of};

#[test]
fn a_snapshot_sees_what_was_there_and_nothing_after() {
    let folder = Folder::with_segments_of(40 * 1024);
    let (mut journal, _) = folder.open();
    fill_until(&mut journal, 3);
    journal.append(&[record(1)]).unwrap();
    let (before, end) = (contents(&journal.reader()), journal.end());
    let snapshot = Snapshot::open(folder.path()).unwrap();
    let reader = snapshot.reader();
    assert_eq!((reader.end(), snapshot.unfinished_bytes()), (end, 0));
    journal.append(&[record(2)]).unwrap();
    fill_until(&mut journal, 5);
    for segment in 1..5 {
        journal.reader().compress(segment).unwrap();
    }
    assert_eq!(contents(reader), before);
    assert!(reader.verify_all().all(|item| item.is_ok()));
    assert_eq!(reader.segments().len(), 3);
    let (stored, _) = reader.open_stored(1).unwrap();
    assert!(stored.compressed && stored.path == folder.packed(1));
    let refused = reader.compress(1);
    assert!(
        matches!(refused, Err(CompressError::ReadOnly)),
        "{refused:?}"
    );
}

#[test]
fn snapshots_beside_a_busy_writer_are_whole_prefixes() {
    let folder = Folder::with_segments_of(8 * 1024);
    let (mut journal, _) = folder.open();
    let (path, done) = (folder.path(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            let (path, done) = (&path, &done);
            scope.spawn(move || {
                let mut last = Position::START;
                while !done.load(Ordering::Acquire) {
                    let snapshot = Snapshot::open(path).unwrap();
                    let reader = snapshot.reader();
                    assert!(reader.end() >= last);
                    last = reader.end();
                    let seqs = reader.records_from(Position::START);
                    let seqs: Vec<u64> = seqs.map(|item| item.unwrap().1.seq).collect();
                    assert_eq!(seqs.len() % 3, 0, "a group is there whole or not at all");
                    assert!(
                        seqs.iter()
                            .copied()
                            .eq(0..u64::try_from(seqs.len()).unwrap())
                    );
                }
            });
        }
        for start in (0..1_500).step_by(3) {
            let rolled = journal.append(&records(start..start + 3)).unwrap().rolled;
            if let Some(segment) = rolled {
                journal.reader().compress(segment).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(journal.end().segment > 5);
}

#[test]
fn a_group_torn_at_any_byte_is_after_the_end_of_a_snapshot_and_stays() {
    let folder = Folder::new();
    let (mut journal, _) = folder.open();
    let whole = journal.append(&records(0..3)).unwrap().end;
    let torn = journal.append(&records(3..6)).unwrap().end;
    drop(journal);
    let bytes = folder.read(1);
    for length in whole.offset..torn.offset {
        folder.write(1, &bytes[..usize_of(length)]);
        let snapshot = Snapshot::open(folder.path()).unwrap();
        assert_eq!(snapshot.reader().end(), whole);
        assert_eq!(snapshot.unfinished_bytes(), length - whole.offset);
        assert_eq!(contents(snapshot.reader()).len(), 3);
        assert_eq!(folder.read(1).len(), usize_of(length));
    }
}

#[test]
fn a_segment_that_is_only_being_made_is_not_seen() {
    let folder = Folder::with_segments_of(40 * 1024);
    let (mut journal, _) = folder.open();
    fill_until(&mut journal, 3);
    let end = journal.end();
    let bytes = folder.read(3);
    for length in 0..64 {
        folder.write(4, &bytes[..length]);
        let snapshot = Snapshot::open(folder.path()).unwrap();
        assert_eq!(snapshot.reader().end(), end);
    }
    // The one before must be whole then.
    folder.write(3, &bytes[..bytes.len() - 1]);
    let refused = Snapshot::open(folder.path());
    assert!(
        matches!(refused, Err(OpenError::Damaged { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_snapshot_of_a_damaged_journal_is_refused_with_the_place() {
    let folder = Folder::with_segments_of(40 * 1024);
    let (mut journal, _) = folder.open();
    fill_until(&mut journal, 3);
    let first = journal.append(&[record(1)]).unwrap();
    journal.append(&[record(2)]).unwrap();
    let mut bytes = folder.read(3);
    bytes[usize_of(first.positions[0].offset) + 33] ^= 1;
    folder.write(3, &bytes);
    let start = first.positions[0].offset - 64;
    assert_eq!(refused(&folder), (file_name(3), start, Flaw::BodyChecksum));
    fs::remove_file(folder.segment(2)).unwrap();
    assert_eq!(refused(&folder), (file_name(2), 0, Flaw::Missing));
    fs::remove_file(folder.segment(1)).unwrap();
    assert_eq!(refused(&folder), (file_name(1), 0, Flaw::Missing));
}

#[test]
fn a_snapshot_misses_the_segment_after_a_compressed_one() {
    let folder = Folder::with_segments_of(40 * 1024);
    let (mut journal, _) = folder.open();
    fill_until(&mut journal, 3);
    journal.reader().compress(2).unwrap();
    fs::remove_file(folder.segment(3)).unwrap();
    assert_eq!(refused(&folder), (file_name(3), 0, Flaw::Missing));
    folder.write(3, b"");
    assert_eq!(refused(&folder).0, file_name(3));
}

#[test]
fn a_folder_without_a_journal_has_no_snapshot() {
    let folder = Folder::new();
    let nowhere = Snapshot::open(folder.path());
    assert!(matches!(nowhere, Err(OpenError::Io { .. })), "{nowhere:?}");
    fs::create_dir(folder.path()).unwrap();
    assert_eq!(refused(&folder), (file_name(1), 0, Flaw::Missing));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is made"
    );
}

fn refused(folder: &Folder) -> (String, u64, Flaw) {
    match Snapshot::open(folder.path()) {
        Err(OpenError::Damaged { damage, .. }) => (damage.file, damage.offset, damage.why),
        other => panic!("{other:?}"),
    }
}
