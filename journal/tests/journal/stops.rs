//! Compressing, stopped at every step: by a kill, or by a disk that fails.

use std::sync::{Arc, Mutex};

use provost_journal::{CompressError, Journal, Keep, Position, Record};

use crate::{
    disk::{Fault, FaultyDisk},
    folder::{Folder, contents, fill_until},
};

/// Three segments on a disk that can fail, and what stands in them.
struct World {
    disk: FaultyDisk,
    folder: Folder,
    journal: Journal,
    before: Vec<(Position, Record)>,
}

fn world(keep: Keep) -> World {
    let (disk, mut folder) = (FaultyDisk::default(), Folder::with_segments_of(40 * 1024));
    folder.options.keep = keep;
    let on = Arc::new(disk.clone());
    let mut journal = Journal::open_on(on, folder.path(), folder.options.clone())
        .unwrap()
        .0;
    fill_until(&mut journal, 3);
    let before = contents(&journal.reader());
    disk.calls();
    World {
        disk,
        folder,
        journal,
        before,
    }
}

#[test]
fn the_original_goes_only_after_its_copy_and_the_copys_name_are_durable() {
    let world = world(Keep::Everything);
    world.journal.reader().compress(1).unwrap();
    let (raw, packed) = ("0000000000000001.seg", "0000000000000001.segz.new");
    assert_eq!(
        world.disk.calls(),
        [
            format!("remove {packed}"),
            format!("create {packed}"),
            format!("write {packed}"),
            format!("write {packed}"),
            format!("sync_all {packed}"),
            format!("rename {packed}"),
            "sync_dir journal".to_owned(),
            format!("remove {raw}"),
            "sync_dir journal".to_owned(),
        ]
    );
}

#[test]
fn a_kill_between_any_two_steps_loses_nothing_and_leaves_nothing_behind() {
    for calls in 0..=9 {
        let world = world(Keep::Everything);
        world.disk.die_after(calls);
        let outcome = world.journal.reader().compress(1);
        assert_eq!(outcome.is_ok(), calls == 9, "{calls}: {outcome:?}");
        let folder = world.folder;
        drop(world.journal);
        let (journal, recovery) = folder.open();
        assert_eq!(recovery.cut, None);
        let expected = if calls < 8 { "seg" } else { "segz" };
        assert_eq!(folder.forms(1), [expected], "after {calls} calls");
        assert_eq!(contents(&journal.reader()), world.before);
        assert!(journal.reader().verify_all().all(|item| item.is_ok()));
        journal.reader().compress(1).unwrap();
        drop(journal);
        assert_eq!(contents(&folder.open().0.reader()), world.before);
        assert_eq!(folder.forms(1), ["segz"]);
    }
}

#[test]
fn a_disk_that_refuses_leaves_the_original_and_no_copy() {
    for faults in [
        &[Fault::Create][..],
        &[Fault::Write(0)],
        &[Fault::Write(100)],
        &[Fault::NoWrite, Fault::Write(50)],
        &[Fault::Rename],
    ] {
        let mut world = world(Keep::Everything);
        faults.iter().for_each(|fault| world.disk.fail(*fault));
        let refused = world.journal.reader().compress(1);
        assert!(
            matches!(refused, Err(CompressError::Write(_))),
            "{refused:?}"
        );
        assert_eq!(world.folder.forms(1), ["seg"], "{faults:?}");
        assert_eq!(contents(&world.journal.reader()), world.before);
        // Reads and writes go on, and the same can be tried again.
        fill_until(&mut world.journal, 4);
        world.journal.reader().compress(1).unwrap();
        assert_eq!(world.folder.forms(1), ["segz"]);
    }
}

#[test]
fn an_original_that_cannot_be_removed_still_counts() {
    let world = world(Keep::Everything);
    let reader = world.journal.reader();
    // The first removal is that of an older copy, which is not there.
    let disk = world.disk.clone();
    let hooked = disk.clone();
    disk.before("sync_dir journal", move || hooked.fail(Fault::Remove));
    let refused = reader.compress(1);
    assert!(
        matches!(refused, Err(CompressError::Write(_))),
        "{refused:?}"
    );
    assert_eq!(world.folder.forms(1), ["seg"]);
    assert!(!reader.segments()[0].compressed);
    assert_eq!(contents(&reader), world.before);
    reader.compress(1).unwrap();
    assert_eq!(contents(&reader), world.before);
}

#[test]
fn a_failed_sync_is_fatal_and_the_next_open_finds_everything() {
    for (fault, after_removal) in [
        (Fault::SyncAll, false),
        (Fault::SyncDir, false),
        (Fault::SyncDir, true),
    ] {
        let world = world(Keep::Everything);
        if after_removal {
            let hooked = world.disk.clone();
            world
                .disk
                .before("remove 0000000000000001.seg", move || hooked.fail(fault));
        } else {
            world.disk.fail(fault);
        }
        let fatal = world.journal.reader().compress(1);
        assert!(
            matches!(fatal, Err(CompressError::Fatal { .. })),
            "{fatal:?}"
        );
        assert_eq!(contents(&world.journal.reader()), world.before);
        drop(world.journal);
        assert_eq!(contents(&world.folder.open().0.reader()), world.before);
        assert_eq!(world.folder.forms(1).len(), 1);
    }
}

#[test]
fn a_segment_that_is_forgotten_while_it_is_compressed_does_not_come_back() {
    let World {
        disk,
        folder,
        journal,
        before,
    } = world(Keep::Recent);
    let reader = journal.reader();
    let journal = Arc::new(Mutex::new(Some(journal)));
    let forgetter = Arc::clone(&journal);
    disk.before("sync_all 0000000000000001.segz.new", move || {
        let mut journal = forgetter.lock().unwrap();
        assert_eq!(journal.as_mut().unwrap().forget_before(3).unwrap(), 2);
    });
    let refused = reader.compress(1);
    assert!(
        matches!(refused, Err(CompressError::NotSealed(1))),
        "{refused:?}"
    );
    assert_eq!(folder.forms(1), [""; 0]);
    let left = contents(&reader);
    assert!(before.ends_with(&left));
    drop(journal.lock().unwrap().take());
    assert_eq!(contents(&folder.open().0.reader()), left);
}
