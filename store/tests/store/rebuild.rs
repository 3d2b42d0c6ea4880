//! Everything but the journal is disposable: what is missing, damaged or in doubt is built again,
//! and every answer stays the same.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use provost_kernel::Command;
use provost_store::{AppendError, Backend, Opened, Options, Range, ReadError, Store, state_folder};

use crate::{
    answers::{answers, copy, options, wait},
    commands::{audit, command, create_token, enroll, grant},
    log::{Log, create, runtime, tenant},
};

pub(crate) fn small() -> Options {
    options(2 * 1024)
}

/// For tests that read the bytes of segments themselves.
pub(crate) fn uncompressed() -> Options {
    Options {
        compress: false,
        ..small()
    }
}

pub(crate) fn close(store: Store) {
    store.close(Duration::from_secs(60)).unwrap();
}

pub(crate) fn put(store: &Store, log: &mut Log, command: &Command) {
    let append = log.run(command).unwrap();
    wait(store.append(append)).unwrap();
}

/// Two tenants with something of every index, over several segments; closed cleanly.
pub(crate) fn filled(dir: &Path) -> (Vec<Log>, Vec<String>) {
    filled_with(dir, small())
}

/// As [`filled`], with these options.
pub(crate) fn filled_with(dir: &Path, options: Options) -> (Vec<Log>, Vec<String>) {
    let (store, _) = Store::open(dir, options).unwrap();
    let mut logs = vec![Log::new(tenant(1)), Log::new(tenant(2))];
    for log in &mut logs {
        put(&store, log, &create());
        put(&store, log, &create_token(&log.clone(), 1));
        put(&store, log, &enroll(&log.clone(), 1, 1));
        let activate = Command::Activate {
            runtime: runtime(1),
        };
        put(&store, log, &activate);
        for n in 0_u8..12 {
            put(&store, log, &grant(&log.clone(), n, u64::from(n)));
            put(&store, log, &audit(&log.clone(), 1, 2));
        }
    }
    let answers = answers(&store);
    close(store);
    (logs, answers)
}

/// Opens, compares, closes.
pub(crate) fn reopened(dir: &Path, expected: &[String]) -> Opened {
    let (store, opened) = Store::open(dir, small()).unwrap();
    assert!(
        answers(&store) == expected,
        "the answers differ: {opened:?}"
    );
    close(store);
    opened
}

fn mark(dir: &Path, phase: &str, boot_id: &str) {
    let marker = format!("{{\"phase\":\"{phase}\",\"boot_id\":\"{boot_id}\"}}");
    fs::write(dir.join("state.marker"), marker).unwrap();
}

fn indexes(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("journal")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "idx"));
    files.sort();
    files
}

/// Damages one index file, differently by its number.
type Damage = dyn Fn(&Path, usize);

#[test]
fn a_clean_stop_leaves_nothing_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    let opened = reopened(dir.path(), &expected);
    assert_eq!((opened.rebuilt, opened.replayed), (None, 0));
    assert_eq!(opened.indexes_rebuilt, 0);
}

#[test]
fn without_its_state_a_store_gives_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, expected) = filled(dir.path());
    fs::remove_dir_all(state_folder(dir.path())).unwrap();
    let opened = reopened(dir.path(), &expected);
    assert_eq!(opened.replayed, logs.iter().map(|log| log.seq).sum::<u64>());
}

#[test]
fn missing_and_damaged_indexes_are_built_again_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    let files = indexes(dir.path());
    assert!(files.len() > 4, "{files:?}");
    let before: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let damages: [&Damage; 3] = [
        &|file, _| fs::remove_file(file).unwrap(),
        &|file, number| {
            let mut bytes = fs::read(file).unwrap();
            let place = (number * 37 + 5) % bytes.len();
            bytes[place] ^= 1;
            fs::write(file, bytes).unwrap();
        },
        &|file, number| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..number * 7]).unwrap();
        },
    ];
    for damage in damages {
        for (number, file) in files.iter().enumerate() {
            damage(file, number);
        }
        let opened = reopened(dir.path(), &expected);
        assert_eq!(opened.indexes_rebuilt, u64::try_from(files.len()).unwrap());
        assert_eq!(opened.rebuilt, None);
        let after: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(before == after);
    }
}

#[test]
fn indexes_that_vanish_under_a_running_store_are_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    let (store, _) = Store::open(dir.path(), small()).unwrap();
    for file in indexes(dir.path()) {
        fs::remove_file(file).unwrap();
    }
    assert!(answers(&store) == expected);
    close(store);
}

#[test]
fn a_torn_snapshot_of_the_state_is_removed_and_the_state_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    let torn = state_folder(dir.path()).join("snap.00000000000F0000.generating");
    fs::write(&torn, b"half").unwrap();
    assert_eq!(reopened(dir.path(), &expected).rebuilt, None);
    assert!(!torn.exists());
}

#[test]
fn a_state_in_doubt_is_rebuilt_and_the_reason_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let cases = [
        ("open", boot.trim(), None),
        ("closed", "another", None),
        ("opening", boot.trim(), Some("while the state opened")),
        ("open", "another", Some("went down")),
        ("damaged", boot.trim(), Some("damaged")),
        ("unheard-of", boot.trim(), Some("while the state opened")),
    ];
    for (phase, boot, reason) in cases {
        mark(dir.path(), phase, boot);
        told(&reopened(dir.path(), &expected), reason);
        // Once is enough.
        told(&reopened(dir.path(), &expected), None);
    }
    fs::remove_file(dir.path().join("state.marker")).unwrap();
    told(&reopened(dir.path(), &expected), Some("no marker"));
    let db = sled::open(state_folder(dir.path())).unwrap();
    db.remove(b"w").unwrap().unwrap();
    db.flush().unwrap();
    drop(db);
    told(&reopened(dir.path(), &expected), Some("no watermark"));
}

pub(crate) fn told(opened: &Opened, reason: Option<&str>) {
    match (&opened.rebuilt, reason) {
        (None, None) => {}
        (Some(why), Some(reason)) => assert!(why.contains(reason), "{why}"),
        (found, wanted) => panic!("{found:?} where {wanted:?} was to be told"),
    }
}

#[test]
fn a_state_ahead_of_its_journal_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let (mut logs, expected) = filled(dir.path());
    let older = tempfile::tempdir().unwrap();
    copy(&dir.path().join("journal"), older.path()).unwrap();
    let (store, _) = Store::open(dir.path(), small()).unwrap();
    let command = grant(&logs[0], 2, 77);
    put(&store, &mut logs[0], &command);
    close(store);
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    copy(older.path(), &dir.path().join("journal")).unwrap();
    told(&reopened(dir.path(), &expected), Some("ahead"));
}

#[test]
fn what_eight_appenders_were_acknowledged_is_there_without_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), uncompressed()).unwrap();
    let store = &store;
    let write = move |number: u8| {
        let mut log = Log::new(tenant(number));
        put(store, &mut log, &create());
        for n in 0..20 {
            let command = command(&log, (20, number, n));
            put(store, &mut log, &command);
        }
        log.seq
    };
    let ends: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || write(n))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, u64>| thread.join().unwrap();
        threads.into_iter().map(join).collect()
    });
    // The segments alone, as they stand: nothing was closed or handed over. Their indexes are still
    // being written and renamed by the running store.
    let copied = tempfile::tempdir().unwrap();
    let journal = copied.path().join("journal");
    fs::create_dir(&journal).unwrap();
    for entry in fs::read_dir(dir.path().join("journal")).unwrap() {
        let from = entry.unwrap().path();
        if from.extension().is_some_and(|extension| extension == "seg") {
            fs::copy(&from, journal.join(from.file_name().unwrap())).unwrap();
        }
    }
    let (copy, _) = Store::open(copied.path(), small()).unwrap();
    for (number, end) in (0_u8..).zip(ends) {
        let range = Range {
            limit: usize::MAX,
            ..Range::default()
        };
        let events = wait(copy.read(tenant(number), range)).unwrap();
        let seqs: Vec<u64> = events.iter().map(|event| event.envelope.seq).collect();
        assert_eq!(seqs, (1..=end).collect::<Vec<_>>());
    }
    assert!(answers(&copy) == answers(store));
}

#[test]
fn a_closed_store_refuses_and_closes_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), small()).unwrap();
    store.close(Duration::from_secs(60)).unwrap();
    store.close(Duration::from_secs(60)).unwrap();
    let append = Log::new(tenant(1)).run(&create()).unwrap();
    let answer = wait(store.append(append));
    assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
    assert_eq!(wait(store.tenants(None, 1)), Err(ReadError::Closed));
}

#[test]
fn a_segment_that_ended_with_a_seal_keeps_its_events_apart_from_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), uncompressed()).unwrap();
    let mut log = Log::new(tenant(1));
    put(&store, &mut log, &create());
    for n in 0..40 {
        // The event's group, and the seal that idleness brings: the first of some segments.
        let deadline = Instant::now() + Duration::from_secs(60);
        while groups(dir.path()) < 2 * (n + 1) {
            assert!(Instant::now() < deadline, "no seal was written");
            thread::yield_now();
        }
        let command = audit(&log, 1, 1);
        put(&store, &mut log, &command);
    }
    let expected = answers(&store);
    assert!(!expected.iter().any(|line| line == "found None"));
    close(store);
    assert_eq!(reopened(dir.path(), &expected).rebuilt, None);
}

/// Counts the groups of a journal by the bytes that each begins with, which no text holds.
fn groups(dir: &Path) -> usize {
    let files = fs::read_dir(dir.join("journal")).unwrap();
    let segments = files.map(|entry| entry.unwrap().path());
    let segments = segments.filter(|path| path.extension().is_some_and(|name| name != "idx"));
    let count = |path: PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        let starts = bytes.windows(4);
        starts
            .filter(|four| *four == [0xff, b'P', b'G', 0xfe])
            .count()
    };
    segments.map(count).sum()
}
