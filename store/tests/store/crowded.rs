//! Many tenants with one event each: their segment ends before it is full.

use std::path::Path;

use provost_protocol::{TenantId, Timestamp};
use provost_store::{Backend, Range, Store};

use crate::{
    answers::{options, wait},
    commands::create_token,
    log::{Log, create},
    rebuild::close,
};

/// As many as a segment holds; see `TENANTS_A_SEGMENT`.
const TENANTS: u64 = 32_768;

fn tenant(number: u64) -> TenantId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    TenantId::from_parts(Timestamp::from_millis(1_795_325_728_000), random)
}

/// Creates those tenants, with as many appends at once as the store takes.
fn created(store: &Store, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(512) {
        let appends = some.iter().map(|number| {
            let append = Log::new(tenant(*number)).run(&create()).unwrap();
            store.append(append)
        });
        let appends: Vec<_> = appends.collect();
        for append in appends {
            wait(append).unwrap();
        }
    }
}

fn segments(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir.join("journal")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".seg")).count()
}

fn events_of(store: &Store, number: u64) -> usize {
    let all = Range {
        limit: 10,
        ..Range::default()
    };
    wait(store.read(tenant(number), all)).unwrap().len()
}

#[test]
fn a_segment_of_very_many_tenants_ends_before_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let options = provost_store::Options {
        compress: false,
        ..options(64 * 1024 * 1024)
    };
    let (store, _) = Store::open(dir.path(), options.clone()).unwrap();
    created(&store, 0..TENANTS);
    assert_eq!(segments(dir.path()), 1);
    created(&store, TENANTS..TENANTS + 2);
    assert_eq!(segments(dir.path()), 2);
    // Nothing of the first is remembered any more but what the state says.
    let mut log = Log::new(tenant(0));
    log.run(&create()).unwrap();
    let second = log.run(&create_token(&log.clone(), 1)).unwrap();
    wait(store.append(second)).unwrap();
    close(store);
    // The first that a crowded segment holds, the last, and the first after it.
    let (store, opened) = Store::open(dir.path(), options).unwrap();
    assert_eq!(opened.indexes_rebuilt, 0);
    assert_eq!(events_of(&store, 0), 2);
    for number in [1, TENANTS - 1, TENANTS, TENANTS + 1] {
        assert_eq!(events_of(&store, number), 1, "of tenant {number}");
    }
    close(store);
}
