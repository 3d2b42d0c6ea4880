//! What becomes of sealed segments: compressed, checked, and damage in them named.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use provost_journal::disk::{Access, Disk as _, RealDisk};
use provost_store::{Backend, Damage, OpenError, Options, ReadError, Store, verify};

use crate::{
    answers::{answers, wait},
    conformance::all,
    log::tenant,
    rebuild::{close, filled, filled_with, reopened, small, uncompressed},
};

fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("journal")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == kind));
    files.sort();
    files
}

fn flip(file: &Path, place: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[place] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Everything that verification says of a folder; nothing may be unsaid.
fn findings(dir: &Path) -> Vec<Damage> {
    verify(dir, &mut |_| ()).unwrap().findings
}

/// Opens the store until every sealed segment is compressed.
fn compressed(dir: &Path) {
    let (store, _) = Store::open(dir, small()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while files(dir, "seg").len() > 1 {
        assert!(Instant::now() < deadline, "nobody compresses");
        thread::yield_now();
    }
    close(store);
}

#[test]
fn sealed_segments_are_compressed_and_every_answer_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    compressed(dir.path());
    assert!(files(dir.path(), "segz").len() > 4);
    assert_eq!(reopened(dir.path(), &expected).indexes_rebuilt, 0);
    assert_eq!(findings(dir.path()), []);
    // Without indexes and state everything is had from the compressed segments.
    for file in files(dir.path(), "idx") {
        fs::remove_file(file).unwrap();
    }
    fs::remove_dir_all(provost_store::state_folder(dir.path())).unwrap();
    reopened(dir.path(), &expected);
}

#[test]
fn a_flipped_bit_in_any_sealed_segment_stops_the_start_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    compressed(dir.path());
    for (number, file) in files(dir.path(), "segz").iter().enumerate() {
        let good = fs::read(file).unwrap();
        // In the header, the table, the last block.
        for place in [20, 70, good.len() - 9 - number] {
            flip(file, place);
            let name = file.file_name().unwrap().to_str().unwrap();
            let opened = Store::open(dir.path(), small());
            let Err(OpenError::Damaged(damage)) = opened else {
                panic!("{name} at {place}: {opened:?}")
            };
            assert_eq!(damage.file, name);
            assert!(damage.offset <= u64::try_from(place).unwrap(), "{damage}");
            assert!(!damage.tenants.is_empty(), "{damage}");
            assert!(
                damage
                    .tenants
                    .iter()
                    .all(|id| [tenant(1), tenant(2)].contains(id))
            );
            let found = findings(dir.path());
            assert!(
                found
                    .iter()
                    .any(|found| found.file == name && !found.tenants.is_empty())
            );
            fs::write(file, &good).unwrap();
        }
    }
    assert_eq!(findings(dir.path()), []);
}

#[test]
fn a_flipped_bit_in_an_index_is_found_by_verification_and_cured_by_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    for (number, file) in files(dir.path(), "idx").iter().enumerate().step_by(3) {
        let length = fs::metadata(file).unwrap().len();
        flip(file, usize::try_from(length).unwrap() - 1 - number * 5);
        let found = findings(dir.path());
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].file, name);
        assert!(!found[0].tenants.is_empty(), "{found:?}");
        assert_eq!(reopened(dir.path(), &expected).indexes_rebuilt, 1);
        assert_eq!(findings(dir.path()), []);
    }
}

#[test]
fn a_start_tells_of_a_damaged_index_what_verification_says_and_builds_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    let file = files(dir.path(), "idx")[1].clone();
    let whole = fs::read(&file).unwrap();
    // In the header, in the directory, in the last block.
    for place in [20, 70, whole.len() - 1] {
        flip(&file, place);
        let found = findings(dir.path());
        let told: Arc<Mutex<Vec<Damage>>> = Arc::default();
        let hears = Arc::clone(&told);
        let options = Options {
            damaged: Arc::new(move |damage| hears.lock().unwrap().push(damage.clone())),
            ..small()
        };
        let (store, opened) = Store::open(dir.path(), options).unwrap();
        assert_eq!(opened.indexes_rebuilt, 1);
        assert!(answers(&store) == expected);
        close(store);
        assert_eq!(*told.lock().unwrap(), found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].tenants.is_empty(), place < 100, "{found:?}");
        assert!(fs::read(&file).unwrap() == whole);
    }
}

#[test]
fn an_index_that_is_whole_but_of_other_events_is_found_by_verification() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let other = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(other.path(), small()).unwrap();
    crate::conformance::filled(&store, 1, 40);
    close(store);
    let [ours, theirs] = [dir.path(), other.path()].map(|dir| files(dir, "idx")[0].clone());
    assert_eq!(ours.file_name(), theirs.file_name());
    fs::copy(theirs, &ours).unwrap();
    let found = findings(dir.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].file.ends_with(".idx") && found[0].why.contains("segment holds"));
}

#[test]
fn damage_that_comes_under_a_running_store_is_told_once_with_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    compressed(dir.path());
    let told: Arc<Mutex<Vec<Damage>>> = Arc::default();
    let hears = Arc::clone(&told);
    let options = Options {
        damaged: Arc::new(move |damage| hears.lock().unwrap().push(damage.clone())),
        ..small()
    };
    let (store, _) = Store::open(dir.path(), options).unwrap();
    let file = files(dir.path(), "segz")[2].clone();
    // In the last block; written in place, as a disk would forget it.
    let mut byte = [0];
    let open = RealDisk.open(&file, Access::Write).unwrap();
    let place = open.length().unwrap() - 9;
    open.read_at(place, &mut byte).unwrap();
    open.write_at(place, &[byte[0] ^ 4]).unwrap();
    for _ in 0..2 {
        let read = [1, 2].map(|number| wait(store.read(tenant(number), all())));
        assert!(
            read.iter()
                .any(|read| matches!(read, Err(ReadError::Damaged(_))))
        );
    }
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].file, file.file_name().unwrap().to_str().unwrap());
    assert!(!told[0].tenants.is_empty());
    close(store);
}

#[test]
fn what_the_start_did_not_check_is_checked_beside_and_told() {
    let dir = tempfile::tempdir().unwrap();
    filled_with(dir.path(), uncompressed());
    let file = files(dir.path(), "seg")[2].clone();
    // In the first record, which no start reads when the state needs no replay.
    flip(&file, 64 + 64 + 32 + 20);
    let told: Arc<Mutex<Vec<Damage>>> = Arc::default();
    let hears = Arc::clone(&told);
    let options = Options {
        start_check: Duration::ZERO,
        damaged: Arc::new(move |damage| hears.lock().unwrap().push(damage.clone())),
        ..small()
    };
    let (store, _) = Store::open(dir.path(), options).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while told.lock().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "nobody was told");
        thread::yield_now();
    }
    close(store);
    let told = told.lock().unwrap();
    assert_eq!(told[0].file, file.file_name().unwrap().to_str().unwrap());
    assert!(!told[0].tenants.is_empty());
}

#[test]
fn verification_runs_beside_a_running_store_and_says_where_each_log_ends() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let (store, _) = Store::open(dir.path(), small()).unwrap();
    let before = answers(&store);
    let mut steps = 0;
    let report = verify(dir.path(), &mut |progress| {
        steps += 1;
        assert_eq!(progress.done, steps);
    })
    .unwrap();
    assert_eq!((report.segments, report.findings.len()), (steps, 0));
    assert!(report.indexes + 1 >= report.segments);
    for number in [1, 2] {
        let head = wait(store.head(tenant(number))).unwrap().unwrap();
        let end = report.tenants[&tenant(number)];
        assert_eq!(end, (head.seq, head.frontier.root()));
    }
    assert!(answers(&store) == before);
    close(store);
}
