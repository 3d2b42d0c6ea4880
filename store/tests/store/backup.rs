//! Backups: made beside a running store, refused when a byte is wrong, restored with the same
//! answers in a new epoch.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use provost_journal::{Journal, Record};
use provost_kernel::Command;
use provost_protocol::{
    CorrelationId, InstallId, Timestamp,
    event::{Event, LogRestored},
};
use provost_store::{
    Backend as _, Range, Store,
    backup::{self, Backup, BackupError, Making, Restored, Restoring},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

use crate::{
    answers::{answers, options, wait},
    commands::{audit, grant},
    log::{Log, create, tenant},
    rebuild::{close, filled, put, small},
};

fn install() -> InstallId {
    InstallId::from_parts(Timestamp::EPOCH, [7; 10])
}

fn making(data_dir: &Path, to: &Path) -> Making {
    Making {
        data_dir: data_dir.to_owned(),
        to: to.to_owned(),
        install_id: install(),
        created: Timestamp::from_millis(1_795_325_728_000),
        program: "0.1.0".to_owned(),
    }
}

fn make(data_dir: &Path, to: &Path) -> Result<Backup, BackupError> {
    backup::create(&making(data_dir, to), &mut |_| {})
}

fn open(path: &Path) -> Result<Backup, BackupError> {
    Backup::open(path, &mut |_| {})
}

fn restore(backup: &Backup, to: &Path, now: Timestamp) -> Result<Vec<Restored>, BackupError> {
    let restoring = Restoring {
        backup,
        to: to.to_owned(),
        now,
        correlation_id: CorrelationId::from_parts(now, [9; 10]),
        options: small(),
    };
    backup::restore(&restoring, &mut |_| {})
}

/// Files beside the journal, as an installation has them.
fn private_files(dir: &Path) {
    for (name, mode) in [
        ("install.json", 0o600),
        ("ca.key", 0o600),
        ("root.pem", 0o644),
    ] {
        fs::write(dir.join(name), format!("this is {name}\n")).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A store with a history, closed; and the answers it gave.
fn closed() -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    private_files(dir.path());
    (dir, expected)
}

/// A backup of it.
fn made() -> (tempfile::TempDir, PathBuf, Vec<String>) {
    let (dir, expected) = closed();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("one.backup");
    make(dir.path(), &file).unwrap();
    (place, file, expected)
}

/// What a restore must not change: everything but where the logs end, the tenants' own records of
/// that, and the events of the restore.
fn lasting(answers: &[String]) -> Vec<&String> {
    let changes = |line: &&String| {
        line.contains("TenantRecord") || line.contains("log.restored") || line.contains("Head {")
    };
    answers.iter().filter(|line| !changes(line)).collect()
}

#[test]
fn a_restored_backup_gives_the_same_answers_in_a_new_epoch() {
    let (place, file, expected) = made();
    let backup = open(&file).unwrap();
    assert_eq!(backup.ends().len(), 2);
    let to = place.path().join("restored");
    let now = Timestamp::from_millis(1_795_400_000_123);
    let restored = restore(&backup, &to, now).unwrap();

    let (store, opened) = Store::open(&to, small()).unwrap();
    assert_eq!((opened.rebuilt, opened.replayed), (None, 0));
    let found = answers(&store);
    assert_eq!(lasting(&found), lasting(&expected));
    for (end, restored) in backup.ends().iter().zip(&restored) {
        assert_eq!((&restored.end, restored.epoch), (end, 1_795_400_000));
        assert_eq!(
            wait(store.root_at(end.tenant, end.size)).unwrap(),
            Some(end.root)
        );
        let after = Range {
            after: end.size,
            limit: 9,
            ..Range::default()
        };
        let events = wait(store.read(end.tenant, after)).unwrap();
        let [event] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(
            (event.envelope.epoch, event.envelope.seq),
            (1_795_400_000, end.size + 1)
        );
        let first = LogRestored {
            old_epoch: 1,
            size: end.size,
            root: end.root,
        };
        assert_eq!(event.envelope.event, Event::LogRestored(first));
        assert_eq!(
            wait(store.load(end.tenant, Vec::new()))
                .unwrap()
                .state
                .epoch(),
            1_795_400_000
        );
    }
    close(store);
    for (name, mode) in [
        ("install.json", 0o600),
        ("ca.key", 0o600),
        ("root.pem", 0o644),
    ] {
        let path = to.join(name);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("this is {name}\n")
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            mode
        );
    }
    assert!(!backup::is_incomplete(&to));
}

#[test]
fn two_restores_of_one_backup_never_share_an_epoch() {
    let (place, file, _) = made();
    let backup = open(&file).unwrap();
    let now = || {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    };
    let mut epochs = Vec::new();
    for name in ["a", "b", "c"] {
        let restored = restore(&backup, &place.path().join(name), now()).unwrap();
        epochs.push(restored[0].epoch);
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    // A backup of what was restored, with a clock that went back: the epoch rises all the same.
    let again = place.path().join("again.backup");
    make(&place.path().join("c"), &again).unwrap();
    let again = open(&again).unwrap();
    let restored = restore(&again, &place.path().join("d"), Timestamp::EPOCH).unwrap();
    assert_eq!(restored[0].epoch, epochs[2] + 1);
    assert_eq!(restored[0].end.epoch, epochs[2]);
}

#[test]
fn a_backup_beside_eight_writers_is_a_prefix_that_holds_all_acknowledged_before() {
    let dir = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options(32 * 1024)).unwrap();
    let (store, stop) = (&store, &AtomicBool::new(false));
    let mut logs: Vec<Log> = (0..8).map(|n| Log::new(tenant(n))).collect();
    for log in &mut logs {
        put(store, log, &create());
    }
    thread::scope(|scope| {
        let _stopping = Stopping(stop);
        for log in &mut logs {
            scope.spawn(move || {
                for n in 0..WRITES_MAX {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let command: Command = match n % 2 {
                        0 => grant(&log.clone(), 1, n),
                        _ => audit(&log.clone(), n, 2),
                    };
                    put(store, log, &command);
                }
            });
        }
        for n in 0..3 {
            let heads = |tenant| wait(store.head(tenant)).unwrap().unwrap();
            let before: Vec<u64> = (0..8).map(|n| heads(tenant(n)).seq).collect();
            let file = place.path().join(format!("{n}.backup"));
            let backup = make(dir.path(), &file).unwrap();
            for (end, before) in backup.ends().iter().zip(before) {
                assert!(
                    end.size >= before,
                    "{end:?} lacks what was acknowledged: {before}"
                );
                // The root of the running log at that size: a prefix, byte for byte.
                assert_eq!(
                    wait(store.root_at(end.tenant, end.size)).unwrap(),
                    Some(end.root)
                );
            }
            let restored = restore(&backup, &place.path().join(n.to_string()), Timestamp::EPOCH);
            assert_eq!(restored.unwrap().len(), 8);
        }
    });
}

/// Stops the writers, also where a test fails.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_backup_cut_anywhere_is_refused_by_name() {
    let (place, file, _) = made();
    let whole = fs::read(&file).unwrap();
    let cut = place.path().join("cut.backup");
    let mut random = StdRng::seed_from_u64(1);
    let ends = (0..64).chain(whole.len() - 128..whole.len());
    let sampled: Vec<usize> = (0..150)
        .map(|_| random.random_range(0..whole.len()))
        .collect();
    for length in ends.chain(sampled) {
        fs::write(&cut, &whole[..length]).unwrap();
        let refused = open(&cut).unwrap_err();
        assert!(
            matches!(refused, BackupError::CutShort { .. }),
            "{length}: {refused:?}"
        );
        assert!(
            refused.is_unsound() && refused.to_string().contains("cut short"),
            "{refused}"
        );
    }
    let mut longer = whole;
    longer.push(0);
    fs::write(&cut, longer).unwrap();
    let refused = open(&cut).unwrap_err();
    assert!(refused.to_string().contains("after the end"), "{refused}");
}

#[test]
fn a_backup_with_any_bit_flipped_is_refused() {
    let (place, file, _) = made();
    let whole = fs::read(&file).unwrap();
    let flipped = place.path().join("flipped.backup");
    let mut random = StdRng::seed_from_u64(2);
    let ends = (0..512).chain((whole.len() - 64) * 8..whole.len() * 8);
    let bits = whole.len() * 8;
    let sampled: Vec<usize> = (0..300).map(|_| random.random_range(0..bits)).collect();
    for bit in ends.chain(sampled) {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&flipped, damaged).unwrap();
        let refused = open(&flipped).unwrap_err();
        assert!(
            refused.is_unsound() || refused.is_refusal(),
            "{bit}: {refused:?}"
        );
    }
}

#[test]
fn a_journal_that_does_not_hold_is_refused_even_where_every_digest_was_put_right() {
    let (place, file, _) = made();
    let backup = open(&file).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let in_journal = |name: &str| name.starts_with("journal/");
    let entry = backup
        .entries()
        .iter()
        .find(|entry| in_journal(&entry.name))
        .unwrap();
    let start = usize::try_from(entry.offset).unwrap();
    let end = start + usize::try_from(entry.bytes).unwrap();
    bytes[end - 1] ^= 1;
    let content: [u8; 32] = Sha256::digest(&bytes[start..end]).into();
    bytes[end..end + 32].copy_from_slice(&content);
    let tail = bytes.len() - 40;
    let all: [u8; 32] = Sha256::digest(&bytes[..tail]).into();
    bytes[tail..tail + 32].copy_from_slice(&all);
    let forged = place.path().join("forged.backup");
    fs::write(&forged, bytes).unwrap();
    let refused = open(&forged).unwrap_err();
    assert!(
        matches!(refused, BackupError::Journal { .. }),
        "{refused:?}"
    );
}

#[test]
fn another_file_a_newer_format_and_another_installation_are_told_apart() {
    let (place, file, _) = made();
    let backup = open(&file).unwrap();
    backup.require_install(install()).unwrap();
    let other = InstallId::from_parts(Timestamp::EPOCH, [8; 10]);
    let refused = backup.require_install(other).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains(&install().to_string()) && text.contains(&other.to_string()),
        "{text}"
    );
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 2;
    let newer = place.path().join("newer.backup");
    fs::write(&newer, &bytes).unwrap();
    let refused = open(&newer).unwrap_err();
    assert!(
        matches!(refused, BackupError::Newer { version: 2, .. }),
        "{refused:?}"
    );
    fs::write(&newer, b"something else altogether").unwrap();
    let refused = open(&newer).unwrap_err();
    assert!(
        matches!(refused, BackupError::NoBackup { .. }),
        "{refused:?}"
    );
}

#[test]
fn a_backup_is_private_never_overwritten_and_leaves_nothing_beside_it() {
    let (dir, _) = closed();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("one.backup");
    // What an interrupted attempt left, open to everybody.
    let left = place.path().join("one.backup.new");
    fs::write(&left, vec![b'x'; 1_000_000]).unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
    make(dir.path(), &file).unwrap();
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    let before = fs::read(&file).unwrap();
    let refused = make(dir.path(), &file).unwrap_err();
    assert!(matches!(refused, BackupError::Exists { .. }), "{refused:?}");
    assert!(fs::read(&file).unwrap() == before);
    let refused = make(dir.path(), &dir.path().join("in.backup")).unwrap_err();
    assert!(matches!(refused, BackupError::Inside { .. }), "{refused:?}");
    fs::write(dir.path().join("core"), vec![0; 300_000]).unwrap();
    let refused = make(dir.path(), &place.path().join("two.backup")).unwrap_err();
    assert!(refused.to_string().contains("core"), "{refused}");
}

#[test]
fn a_damaged_journal_is_named_and_no_backup_is_made_of_it() {
    let (dir, _) = closed();
    let files = fs::read_dir(dir.path().join("journal")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let second = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(SECOND) && !name.ends_with(".idx")
    };
    let segment = files.find(second).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("one.backup");
    let refused = make(dir.path(), &file).unwrap_err();
    let BackupError::Source(why) = &refused else {
        panic!("{refused:?}");
    };
    assert!(why.to_string().contains(SECOND), "{why}");
    assert!(!file.exists());
}

#[test]
fn a_folder_that_holds_anything_takes_no_backup() {
    let (place, file, _) = made();
    let backup = open(&file).unwrap();
    let to = place.path().join("taken");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("a.txt"), b"mine").unwrap();
    let refused = restore(&backup, &to, Timestamp::EPOCH).unwrap_err();
    assert!(matches!(&refused, BackupError::NotEmpty { found, .. } if found == "a.txt"));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    fs::write(to.join(backup::INCOMPLETE), b"").unwrap();
    assert!(backup::is_incomplete(&to));
    let refused = restore(&backup, &to, Timestamp::EPOCH).unwrap_err();
    assert!(
        matches!(refused, BackupError::Interrupted { .. }),
        "{refused:?}"
    );
}

#[test]
fn a_restore_that_fails_leaves_a_folder_without_identity_and_with_its_marker() {
    let (place, file, _) = made();
    let backup = open(&file).unwrap();
    // The file changes after it was opened: a disk that fails.
    let entry = backup.entries().last().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(entry.offset).unwrap() + 70] ^= 1;
    fs::write(&file, bytes).unwrap();
    let to = place.path().join("restored");
    let refused = restore(&backup, &to, Timestamp::EPOCH).unwrap_err();
    assert!(refused.to_string().contains("changed"), "{refused}");
    assert!(backup::is_incomplete(&to));
    assert!(!to.join("install.json").exists());
}

#[test]
fn golden_bytes_of_a_backup_do_not_change() {
    let dir = tempfile::tempdir().unwrap();
    private_files(dir.path());
    let mut log = Log::new(tenant(1));
    let append = log.run(&create()).unwrap();
    let (mut journal, _) = Journal::open(dir.path().join("journal"), small().journal).unwrap();
    let records: Vec<Record> = append
        .events
        .iter()
        .map(|event| Record::new(tenant(1), event.envelope.seq, event.bytes.clone()))
        .collect();
    journal.append(&records).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("one.backup");
    make(dir.path(), &file).unwrap();
    assert!(
        fs::read(&file).unwrap() == GOLDEN,
        "see the table in store/src/backup.rs"
    );
}

/// How the file of the second segment is called, in whichever form.
const SECOND: &str = "0000000000000002.seg";

/// So that a slow machine is not drowned in what it must read back.
const WRITES_MAX: u64 = 500;

/// Made from the table in `store/src/backup.rs` by another program.
const GOLDEN: &[u8] = include_bytes!("../../golden/backup-v1.bin");
