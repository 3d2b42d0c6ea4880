//! sled never decides: whatever happens to its files, the store comes back with the same answers,
//! and says so where it mattered.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command as Process, Stdio},
    time::{Duration, Instant},
};

use provost_kernel::Command;
use provost_store::{Append, Opened, Options, Store, state_folder};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;

use crate::{
    answers::{answers, copy, options, wait},
    commands::{audit, create_token, enroll, grant},
    log::{Log, create, runtime, tenant},
    rebuild::{close, put, told},
};

/// A store with a state of several of sled's segments, as it was closed, as a kill would have left
/// it, and as it was some time before.
struct Filled {
    closed: TempDir,
    killed: TempDir,
    older: TempDir,
    expected: Vec<String>,
}

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(dir, sizes()).unwrap()
}

fn sizes() -> Options {
    options(256 * 1024)
}

/// Two tenants with something of every index; most of the state is certificates.
fn filled() -> Filled {
    let closed = tempfile::tempdir().unwrap();
    let older = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    let (mut store, _) = open(closed.path());
    let mut logs = vec![Log::new(tenant(1)), Log::new(tenant(2))];
    for log in &mut logs {
        put(&store, log, &create());
    }
    for round in 0..ROUNDS {
        for log in &mut logs {
            let append = busy(log, round);
            wait(provost_store::Backend::append(&store, append)).unwrap();
            // Whoever reads has the state take in this round by itself, as sled writes it.
            let tenant = log.state.tenant_id();
            wait(provost_store::Backend::head(&store, tenant)).unwrap();
        }
        if round == ROUNDS / 2 {
            // Opened again, because sled writes a snapshot of its own only then.
            close(store);
            copy(&state_folder(closed.path()), older.path()).unwrap();
            store = open(closed.path()).0;
        }
    }
    let expected = answers(&store);
    copy(closed.path(), killed.path()).unwrap();
    close(store);
    Filled {
        closed,
        killed,
        older,
        expected,
    }
}

/// Everything that one round does in one tenant.
fn busy(log: &mut Log, round: u8) -> Append {
    let expected = log.seq;
    let mut events = Vec::new();
    let mut run = |log: &mut Log, command: &Command| {
        // What is refused (a token that is used up) changes nothing.
        if let Ok(append) = log.run(command) {
            events.extend(append.events);
        }
    };
    run(log, &create_token(&log.clone(), round));
    for n in 0..4 {
        let mut command = enroll(&log.clone(), round, n);
        if let Command::Enroll(enroll) = &mut command {
            enroll.certificate = format!("{round:02x}").repeat(CERTIFICATE_BYTES / 2);
        }
        run(log, &command);
        let runtime = runtime(n);
        run(log, &Command::Activate { runtime });
        run(log, &grant(&log.clone(), n, u64::from(round)));
    }
    run(log, &audit(&log.clone(), 1, 2));
    Append {
        tenant: log.state.tenant_id(),
        expected,
        events,
    }
}

/// What was done to a state.
struct Damage {
    what: String,
    /// Whether sled's own files are no longer what they were.
    changed: bool,
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state_folder(dir)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// Damages one file of sled, or the way it was left.
fn damage(dir: &Path, older: &Path, random: &mut StdRng) -> Damage {
    let files = files(dir);
    let log = state_folder(dir).join("db");
    let path = if random.random_bool(0.6) {
        &log
    } else {
        files.choose(random).unwrap()
    };
    let before = fs::read(path).unwrap();
    let length = before.len().max(1);
    let place = random.random_range(0..length);
    let kind = random.random_range(0..10_u32);
    match kind {
        0 => set_length(path, random.random_range(0..length)),
        1 => {
            let mut bytes = before.clone();
            for _ in 0..random.random_range(1..9) {
                let at = random.random_range(0..length);
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            fs::write(path, bytes).unwrap();
        }
        2 => overwrite(path, place, length, 0, random),
        3 => {
            let byte = random.random_range(1..=255);
            overwrite(path, place, length, byte, random);
        }
        4 => fs::remove_file(path).unwrap(),
        5 => stale(path, older),
        6 => {
            let number = random.random_range(0..u64::from(u32::MAX));
            let torn = state_folder(dir).join(format!("snap.{number:016X}.generating"));
            fs::write(torn, &before[..place]).unwrap();
        }
        7 => {
            // Killed while sled opened: the marker, and half of what it was writing.
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            let marker = format!("{{\"phase\":\"opening\",\"boot_id\":\"{}\"}}", boot.trim());
            fs::write(dir.join("state.marker"), marker).unwrap();
            set_length(path, length / 2);
        }
        8 => {
            // One of sled's segments stands where another belongs.
            let bytes = before[..place.min(SLED_SEGMENT)].to_vec();
            let target = random.random_range(0..=length / SLED_SEGMENT) * SLED_SEGMENT;
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&bytes, u64::try_from(target).unwrap())
                .unwrap();
        }
        _ => {
            let mut bytes = before.clone();
            let more = random.random_range(1..2 * SLED_SEGMENT);
            bytes.extend((0..more).map(|_| random.random::<u8>()));
            fs::write(path, bytes).unwrap();
        }
    }
    Damage {
        what: format!("{kind} at {place} of {} ({length})", path.display()),
        changed: fs::read(path).ok() != Some(before),
    }
}

fn set_length(path: &Path, length: usize) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(u64::try_from(length).unwrap()).unwrap();
}

fn overwrite(path: &Path, place: usize, length: usize, byte: u8, random: &mut StdRng) {
    let count = random.random_range(1..=(length - place).max(1));
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![byte; count], u64::try_from(place).unwrap())
        .unwrap();
}

/// Brings one file back from an earlier moment, or from no moment at all.
fn stale(path: &Path, older: &Path) {
    let same = older.join(path.file_name().unwrap());
    let from = if same.exists() {
        same
    } else {
        let mut others = fs::read_dir(older)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        others.find(|path| path.is_file()).unwrap()
    };
    fs::copy(from, path).unwrap();
}

/// Opens until the store comes up, as a supervisor does; says what the openings told.
fn comes_back(dir: &Path) -> (Store, Opened, u32) {
    for failed in 0..3 {
        match Store::open(dir, sizes()) {
            Ok((store, opened)) => return (store, opened, failed),
            // Only what did not come back in time: the marker makes the next start rebuild.
            Err(error) => assert!(error.to_string().contains("within"), "{error}"),
        }
    }
    panic!("the store does not come back");
}

#[test]
fn a_hundred_damages_to_sleds_files_change_no_answer_and_are_told_where_they_matter() {
    let filled = filled();
    assert!(
        files(filled.closed.path()).iter().any(|path| {
            fs::metadata(path).unwrap().len() > u64::try_from(SLED_SEGMENT).unwrap()
        }),
        "the state is too small to be damaged in interesting places"
    );
    let pasted = std::env::var("PROVOST_SEED").ok();
    let seed = pasted.map_or_else(rand::random, |seed| seed.parse().unwrap());
    let count = std::env::var("PROVOST_DAMAGES").map_or(100, |count| count.parse().unwrap());
    // Shown when the test fails; PROVOST_SEED repeats it.
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut mattered, mut slowest) = (0, Duration::ZERO);
    for round in 0..count {
        let dir = tempfile::tempdir().unwrap();
        let was_closed = random.random();
        let from = if was_closed {
            &filled.closed
        } else {
            &filled.killed
        };
        copy(from.path(), dir.path()).unwrap();
        let damage = damage(dir.path(), filled.older.path(), &mut random);
        println!("{round}: closed {was_closed}, {}", damage.what);
        let begun = Instant::now();
        let (store, opened, failed) = comes_back(dir.path());
        slowest = slowest.max(begun.elapsed());
        assert!(
            answers(&store) == filled.expected,
            "other answers: {opened:?}"
        );
        close(store);
        // A closed state is whole, so what it lacks was taken from it.
        let told_of = opened.rebuilt.is_some() || failed > 0;
        assert!(told_of || !was_closed || opened.replayed == 0, "{opened:?}");
        // No false alarm: a state that is what it was is not rebuilt.
        assert!(damage.changed || !told_of, "{opened:?}");
        println!("  told {:?}, replayed {}", opened.rebuilt, opened.replayed);
        mattered += u32::from(told_of);
        let (store, again) = open(dir.path());
        assert!(
            answers(&store) == filled.expected,
            "other answers: {again:?}"
        );
        // Once is enough. Where sled went on with what it was left, the damage may show only now.
        if told_of {
            told(&again, None);
        }
        close(store);
    }
    println!("{mattered} of {count} mattered; the slowest start took {slowest:?}");
    assert!(mattered > count / 4, "the damages are too harmless");
}

#[test]
fn a_process_killed_while_it_opens_the_store_leaves_one_that_comes_back() {
    let filled = filled();
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().unwrap().parent().unwrap();
    let program = profile.join("examples").join("writer");
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..KILLS {
        fs::remove_dir_all(dir.path()).unwrap();
        fs::create_dir(dir.path()).unwrap();
        copy(filled.killed.path(), dir.path()).unwrap();
        let mut opening = Process::new(&program);
        let mut child = opening
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It says nothing before it has opened the store: any moment until then is one.
        let after = Duration::from_micros(random.random_range(0..KILLED_WITHIN_US));
        let begun = Instant::now();
        while begun.elapsed() < after {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (store, _, _) = comes_back(dir.path());
        let found = answers(&store);
        close(store);
        let mut rebuild = sizes();
        rebuild.rebuild = true;
        let (store, _) = Store::open(dir.path(), rebuild).unwrap();
        assert!(answers(&store) == found, "the state is not its journal's");
        close(store);
    }
}

/// sled's own unit, which it reads and writes as one.
const SLED_SEGMENT: usize = 512 * 1024;

/// As large as a value may nearly be, so that a few of them fill several of sled's segments.
const CERTIFICATE_BYTES: usize = 20_000;

/// Enough for two megabytes of state.
const ROUNDS: u8 = 16;

/// Each takes as long as three starts.
const KILLS: u32 = 20;

/// A start of this store takes some ten milliseconds: about half of the kills are in it.
const KILLED_WITHIN_US: u64 = 60_000;
