//! Many tenants in every segment: where a tenant's events stand is read when somebody asks, once.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use provost_journal::disk::{Access, Disk as _, RealDisk};
use provost_protocol::TenantId;
use provost_store::{Append, Backend, Damage, Options, Range, Stamped, Store};

use crate::{
    answers::wait,
    conformance::all,
    log::tenant,
    queries::event,
    reads::{counted, quiet},
    rebuild::close,
};

/// More than stand in one block of a directory.
const TENANTS: u8 = 80;
/// In each an event of each tenant.
const ROUNDS: u64 = 120;

/// A folder with logs of so many tenants, each with an event in every segment but those at the
/// ends: a segment has room for several rounds, wherever the groups of a round end.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), quiet()).unwrap();
    for seq in 1..=ROUNDS {
        let appends = (1..=TENANTS).map(|number| {
            let event = event(tenant(number), seq, (2, number % 5, number));
            store.append(Append {
                tenant: tenant(number),
                expected: seq - 1,
                events: vec![Stamped::new(event).unwrap()],
            })
        });
        for append in appends.collect::<Vec<_>>() {
            wait(append).unwrap();
        }
    }
    close(store);
    dir
}

/// The indexes of the folder, and how many have more than one block of tenants.
fn indexes(dir: &Path) -> (Vec<PathBuf>, u64) {
    let files = fs::read_dir(dir.join("journal")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "idx"));
    files.sort();
    let large = files.iter().filter(|file| tenants_in(file) > 64).count();
    (files, u64::try_from(large).unwrap())
}

fn tenants_in(index: &Path) -> u32 {
    let bytes = fs::read(index).unwrap();
    u32::from_le_bytes(bytes[16..20].try_into().unwrap())
}

/// The first event of the tenant's log, which every segment is asked for, or the last one.
fn one_of(store: &Store, tenant: TenantId, newest_before: Option<u64>) -> usize {
    let range = Range {
        after: 0,
        limit: 1,
        newest_before,
    };
    wait(store.read(tenant, range)).unwrap().len()
}

const LAST: Option<u64> = Some(u64::MAX);

#[test]
fn a_directory_is_read_once_for_a_tenant_and_not_for_one_that_is_not_there() {
    let dir = filled();
    let (_, large) = indexes(dir.path());
    assert!(large > 8, "{large} large indexes");
    let (store, disk) = counted(dir.path());
    for number in [1, 40, 80] {
        assert_eq!(one_of(&store, tenant(number), LAST), 1);
        let (last, _) = disk.taken();
        // Its record, its offset, and where to look for it; once more where the last segment ends
        // in the midst of a round. No other segment is asked.
        assert!(last <= 8, "{last} reads");
        assert_eq!(one_of(&store, tenant(number), None), 1);
        let (first, _) = disk.taken();
        assert_eq!(one_of(&store, tenant(number), None), 1);
        let (second, _) = disk.taken();
        // The event's own record, perhaps its offset.
        assert!(second <= 3, "{second} reads");
        // The last one, or two, were read before.
        let read = first - second;
        assert!((large - 2..=large).contains(&read), "{read} of {large}");
    }
    assert_eq!(one_of(&store, tenant(200), None), 0);
    assert_eq!(disk.taken().0, 0);
    close(store);
}

#[test]
fn a_directory_that_is_damaged_under_a_running_store_is_told_and_built_again() {
    let dir = filled();
    let (files, _) = indexes(dir.path());
    let index = files.iter().rev().find(|file| tenants_in(file) > 64);
    let index = index.unwrap();
    let whole = fs::read(index).unwrap();
    let told: Arc<Mutex<Vec<Damage>>> = Arc::default();
    let hears = Arc::clone(&told);
    let options = Options {
        damaged: Arc::new(move |damage| hears.lock().unwrap().push(damage.clone())),
        ..quiet()
    };
    let (store, opened) = Store::open(dir.path(), options).unwrap();
    assert_eq!(opened.indexes_rebuilt, 0);
    // In the first block; written in place, as a disk would forget it.
    let open = RealDisk.open(index, Access::Write).unwrap();
    open.write_at(100, &[whole[100] ^ 4]).unwrap();
    for number in 1..=TENANTS {
        let events = wait(store.read(tenant(number), all())).unwrap();
        let seqs = events.iter().map(|event| event.envelope.seq);
        assert!(seqs.eq(1..=ROUNDS), "tenant {number}");
    }
    assert!(fs::read(index).unwrap() == whole);
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].file, index.file_name().unwrap().to_str().unwrap());
    assert_eq!((told[0].offset, told[0].tenants.len()), (64, 0));
    close(store);
}
