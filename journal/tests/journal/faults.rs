//! What the journal does when the disk fails, and in which order it asks for things.

use std::sync::Arc;

use provost_journal::{AppendError, Journal, Keep, OpenError, Options, Position, Record};

use crate::{
    disk::{Fault, FaultyDisk},
    folder::{Folder, record, records, seqs, tenant},
};

fn open_on(disk: &FaultyDisk, folder: &Folder) -> Journal {
    let disk = Arc::new(disk.clone());
    Journal::open_on(disk, folder.path(), folder.options.clone())
        .unwrap()
        .0
}

#[test]
fn a_write_that_fails_after_any_byte_leaves_nothing_and_can_be_tried_again() {
    for written in [0, 1, 63, 64, 65, 110, 200] {
        let (disk, folder) = (FaultyDisk::default(), Folder::new());
        let mut journal = open_on(&disk, &folder);
        journal.append(&[record(1)]).unwrap();
        let (end, before) = (journal.end(), folder.read(1));
        disk.fail(Fault::Write(written));
        let failed = journal.append(&records(2..4));
        assert!(matches!(failed, Err(AppendError::Write(_))), "{failed:?}");
        assert_eq!(journal.end(), end);
        assert_eq!(folder.read(1), before);
        journal.append(&records(2..4)).unwrap();
        assert_eq!(seqs(&journal), [1, 2, 3]);
        drop(journal);
        assert_eq!(folder.seqs(), [1, 2, 3]);
    }
}

#[test]
fn a_refused_group_is_cut_off_durably_before_anything_else_is_written() {
    let (disk, folder) = (FaultyDisk::default(), Folder::new());
    let mut journal = open_on(&disk, &folder);
    disk.calls();
    disk.fail(Fault::Write(10));
    journal.append(&[record(1)]).unwrap_err();
    let name = "0000000000000001.seg";
    let expected = ["write", "truncate", "sync_all"].map(|call| format!("{call} {name}"));
    assert_eq!(disk.calls(), expected);
}

#[test]
fn any_failed_sync_poisons_the_journal_for_good() {
    for (setup, fault) in [
        (None, Fault::SyncData),
        (Some(Fault::Write(10)), Fault::Truncate),
        (Some(Fault::Write(10)), Fault::SyncAll),
    ] {
        let (disk, folder) = (FaultyDisk::default(), Folder::new());
        let mut journal = open_on(&disk, &folder);
        journal.append(&[record(1)]).unwrap();
        let end = journal.end();
        setup.into_iter().for_each(|first| disk.fail(first));
        disk.fail(fault);
        assert!(matches!(
            journal.append(&[record(2)]),
            Err(AppendError::Fatal { .. })
        ));
        disk.calls();
        assert!(matches!(
            journal.append(&[record(2)]),
            Err(AppendError::Poisoned)
        ));
        assert!(matches!(journal.seal(), Err(AppendError::Poisoned)));
        assert_eq!(disk.calls(), [""; 0], "nothing is retried");
        assert_eq!(journal.end(), end, "nothing of it is visible");
    }
}

#[test]
fn a_failed_sync_of_a_new_segment_or_of_the_folder_poisons() {
    for fault in [Fault::SyncAll, Fault::SyncDir] {
        let (disk, folder) = (FaultyDisk::default(), Folder::with_segments_of(1024));
        let mut journal = open_on(&disk, &folder);
        journal.append(&[large()]).unwrap();
        disk.fail(fault);
        assert!(matches!(
            journal.append(&[large()]),
            Err(AppendError::Fatal { .. })
        ));
        assert!(matches!(
            journal.append(&[large()]),
            Err(AppendError::Poisoned)
        ));
    }
}

#[test]
fn a_segment_that_cannot_be_made_is_tried_again_later() {
    for fault in [Fault::Create, Fault::Write(0), Fault::Write(30)] {
        let (disk, folder) = (FaultyDisk::default(), Folder::with_segments_of(1024));
        let mut journal = open_on(&disk, &folder);
        journal.append(&[large()]).unwrap();
        disk.fail(fault);
        assert!(matches!(
            journal.append(&[large()]),
            Err(AppendError::Write(_))
        ));
        assert!(!folder.segment(2).exists());
        assert_eq!(journal.append(&[large()]).unwrap().rolled, Some(1));
        drop(journal);
        assert_eq!(folder.seqs(), [1, 1]);
    }
}

#[test]
fn a_roll_is_reported_even_if_the_first_write_after_it_failed() {
    let (disk, folder) = (FaultyDisk::default(), Folder::with_segments_of(1024));
    let mut journal = open_on(&disk, &folder);
    journal.append(&[large()]).unwrap();
    disk.fail(Fault::NoWrite);
    disk.fail(Fault::Write(100));
    assert!(matches!(
        journal.append(&[large()]),
        Err(AppendError::Write(_))
    ));
    assert_eq!(folder.read(2).len(), 64);
    assert_eq!(journal.append(&[large()]).unwrap().rolled, Some(1));
    assert_eq!(seqs(&journal), [1, 1]);
}

#[test]
fn a_new_segment_and_its_name_are_durable_before_its_first_group() {
    let (disk, folder) = (FaultyDisk::default(), Folder::with_segments_of(1024));
    let mut journal = open_on(&disk, &folder);
    journal.append(&[large()]).unwrap();
    disk.calls();
    journal.append(&[large()]).unwrap();
    let name = "0000000000000002.seg";
    let expected = [
        format!("create {name}"),
        format!("write {name}"),
        format!("sync_all {name}"),
        "sync_dir journal".to_owned(),
        format!("write {name}"),
        format!("sync_data {name}"),
    ];
    assert_eq!(disk.calls(), expected);
}

#[test]
fn what_a_killed_process_left_unsynced_is_synced_before_it_is_reported() {
    let (disk, folder) = (FaultyDisk::default(), Folder::new());
    drop(open_on(&disk, &folder));
    disk.calls();
    open_on(&disk, &folder);
    assert_eq!(disk.calls(), calls_of_an_open(&folder));
}

/// A sync that failed leaves the pages clean: only bytes that are written again are synced again.
#[test]
fn what_a_failed_sync_left_in_the_page_cache_alone_is_written_again_before_it_is_believed() {
    for setup in [0, 1] {
        let (disk, folder) = (FaultyDisk::default(), Folder::new());
        let mut journal = open_on(&disk, &folder);
        for seq in 0..setup {
            journal.append(&[record(seq)]).unwrap();
        }
        let start = journal.end().offset;
        disk.fail(Fault::SyncData);
        let failed = journal.append(&records(7..9));
        assert!(matches!(failed, Err(AppendError::Fatal { .. })));
        drop(journal);
        let end = u64::try_from(folder.read(1).len()).unwrap();
        disk.written();
        disk.calls();
        let journal = open_on(&disk, &folder);
        assert_eq!(disk.calls(), calls_of_an_open(&folder));
        assert_eq!(disk.written(), [(start, end)], "the last group, whole");
        assert_eq!(seqs(&journal).len(), usize::try_from(setup).unwrap() + 2);
    }
}

#[test]
fn a_new_segment_whose_sync_failed_is_written_again_before_it_takes_a_group() {
    let (disk, folder) = (FaultyDisk::default(), Folder::with_segments_of(1024));
    let mut journal = open_on(&disk, &folder);
    journal.append(&[large()]).unwrap();
    disk.fail(Fault::SyncAll);
    assert!(matches!(
        journal.append(&[large()]),
        Err(AppendError::Fatal { .. })
    ));
    drop(journal);
    disk.written();
    assert_eq!(open_on(&disk, &folder).end(), Position::new(2, 64));
    assert_eq!(disk.written(), [(0, 64)], "its header");
}

#[test]
fn a_folder_whose_name_was_not_synced_is_synced_by_the_next_open() {
    let (disk, folder) = (FaultyDisk::default(), Folder::new());
    disk.fail(Fault::SyncDir);
    let failed = Journal::open_on(
        Arc::new(disk.clone()),
        folder.path(),
        folder.options.clone(),
    );
    assert!(matches!(failed, Err(OpenError::Io { .. })), "{failed:?}");
    assert!(folder.path().is_dir());
    disk.calls();
    open_on(&disk, &folder);
    assert_eq!(disk.calls()[0], calls_of_an_open(&folder)[0]);
}

/// What opening a journal of one whole segment asks the disk to do.
fn calls_of_an_open(folder: &Folder) -> [String; 4] {
    let path = folder.path();
    let parent = path.parent().unwrap().file_name().unwrap();
    [
        format!("sync_dir {}", parent.to_string_lossy()),
        "write 0000000000000001.seg".to_owned(),
        "sync_all 0000000000000001.seg".to_owned(),
        "sync_dir journal".to_owned(),
    ]
}

#[test]
fn a_segment_that_cannot_be_removed_stays_the_oldest() {
    let (disk, mut folder) = (FaultyDisk::default(), Folder::with_segments_of(1024));
    folder.options.keep = Keep::Recent;
    let mut journal = open_on(&disk, &folder);
    for _ in 0..4 {
        journal.append(&[large()]).unwrap();
    }
    disk.fail(Fault::Remove);
    assert!(matches!(
        journal.forget_before(4),
        Err(AppendError::Write(_))
    ));
    assert_eq!(seqs(&journal).len(), 4);
    assert_eq!(journal.forget_before(4).unwrap(), 3);
    assert_eq!(seqs(&journal).len(), 1);
}

#[test]
fn a_compressed_segment_that_cannot_be_forgotten_is_not_half_gone() {
    let (disk, mut folder) = (FaultyDisk::default(), Folder::with_segments_of(1024));
    folder.options.keep = Keep::Recent;
    let mut journal = open_on(&disk, &folder);
    for _ in 0..3 {
        journal.append(&[large()]).unwrap();
    }
    journal.reader().compress(1).unwrap();
    let failing = disk.clone();
    disk.before("remove 0000000000000001.seg", move || {
        failing.fail(Fault::Remove);
    });
    let forgotten = journal.forget_before(2);
    let left = if forgotten.is_ok() { 2 } else { 3 };
    assert_eq!(seqs(&journal).len(), left, "{forgotten:?}");
}

#[test]
fn every_acknowledged_group_was_synced_after_its_write() {
    let (disk, folder) = (FaultyDisk::default(), Folder::new());
    let mut journal = open_on(&disk, &folder);
    for seq in 0..3 {
        disk.calls();
        journal.append(&[record(seq)]).unwrap();
        assert_eq!(
            disk.calls(),
            [
                "write 0000000000000001.seg",
                "sync_data 0000000000000001.seg"
            ]
        );
    }
}

#[test]
fn a_nearly_full_disk_refuses_before_writing_and_recovers() {
    let (disk, mut folder) = (FaultyDisk::default(), Folder::new());
    folder.options = Options::default();
    disk.set_free(folder.options.free_bytes_min - 1);
    let mut journal = open_on(&disk, &folder);
    disk.calls();
    for _ in 0..2 {
        assert!(matches!(
            journal.append(&[record(1)]),
            Err(AppendError::NearlyFull { .. })
        ));
    }
    assert_eq!(disk.calls(), [""; 0]);
    disk.set_free(folder.options.free_bytes_min);
    journal.append(&[record(1)]).unwrap();
    assert_eq!(seqs(&journal), [1]);
}

#[test]
fn free_space_is_looked_at_again_after_some_megabytes() {
    let (disk, mut folder) = (FaultyDisk::default(), Folder::new());
    folder.options.free_bytes_min = 1000;
    disk.set_free(1000);
    let mut journal = open_on(&disk, &folder);
    let group: Vec<Record> = (0..60).map(|_| huge()).collect();
    journal.append(&group).unwrap();
    disk.set_free(0);
    let outcomes: Vec<bool> = (0..6).map(|_| journal.append(&group).is_ok()).collect();
    assert_eq!(outcomes, [true, true, true, true, false, false]);
}

#[test]
fn what_no_group_can_hold_is_refused_and_nothing_is_written() {
    let (disk, folder) = (FaultyDisk::default(), Folder::new());
    let mut journal = open_on(&disk, &folder);
    disk.calls();
    assert!(matches!(journal.append(&[]), Err(AppendError::Empty)));
    let over = Record::new(tenant(1), 1, vec![0; 65_536]);
    assert!(matches!(
        journal.append(&[over]),
        Err(AppendError::PayloadTooLarge { .. })
    ));
    let many: Vec<Record> = (0..65).map(|_| huge()).collect();
    assert!(matches!(
        journal.append(&many),
        Err(AppendError::TooLarge { .. })
    ));
    assert!(matches!(
        journal.append(&records(0..8_193)),
        Err(AppendError::TooLarge { .. })
    ));
    assert_eq!(disk.calls(), [""; 0]);
    journal.append(&records(0..8_192)).unwrap();
}

fn large() -> Record {
    Record::new(tenant(1), 1, vec![b'x'; 800])
}

fn huge() -> Record {
    Record::new(tenant(1), 1, vec![b'x'; 65_535])
}
