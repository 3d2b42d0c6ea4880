//! A store with nothing to do writes nothing.
//!
//! One test in a process of its own: it looks at the threads and at the bytes of the whole process.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not know as tests"
)]

use std::{
    fs,
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use provost_kernel::Command;
use provost_store::{Backend, Opened, Options, Store};

#[path = "store/answers.rs"]
#[expect(dead_code, reason = "shared with the other tests, which ask for more")]
mod answers;
#[path = "store/commands.rs"]
#[expect(dead_code, reason = "shared with the other tests, which ask for more")]
mod commands;
#[path = "store/log.rs"]
mod log;

use answers::{copy, options, wait};
use commands::{create_token, enroll};
use log::{Log, create, runtime, tenant};

/// Nothing is sealed meanwhile, so that the state alone may write.
fn large_segments() -> Options {
    Options {
        compress: false,
        ..options(64 * 1024 * 1024)
    }
}

/// Enrolls runtimes round after round; gives the number of events before the last round as well.
fn filled(dir: &Path) -> (Store, Log, u64) {
    let (store, _) = Store::open(dir, large_segments()).unwrap();
    let mut log = Log::new(tenant(1));
    put(&store, &mut log, &create());
    let mut before = 0;
    for round in 0..ROUNDS {
        // The state has taken in all of a round before the next begins.
        let head = wait(store.head(tenant(1))).unwrap().unwrap();
        assert_eq!(head.seq, log.seq);
        before = log.seq;
        let token = create_token(&log.clone(), round);
        put(&store, &mut log, &token);
        for number in 0..RUNTIMES {
            let mut command = enroll(&log.clone(), round, number);
            if let Command::Enroll(enroll) = &mut command {
                enroll.certificate = format!("{round:02x}").repeat(CERTIFICATE_BYTES / 2);
            }
            put(&store, &mut log, &command);
            let runtime = runtime(number);
            put(&store, &mut log, &Command::Activate { runtime });
        }
    }
    let head = wait(store.head(tenant(1))).unwrap().unwrap();
    assert_eq!(head.seq, log.seq);
    (store, log, before)
}

/// What is refused (a token that is used up) changes nothing.
fn put(store: &Store, log: &mut Log, command: &Command) {
    if let Ok(append) = log.run(command) {
        wait(store.append(append)).unwrap();
    }
}

/// What this process has given to `write` and its like so far, in bytes.
fn written() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().parse().unwrap()
}

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let mut names: Vec<String> = tasks
        // One that has just ended has no name.
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort();
    names
}

/// Waits until it holds; panics where it does not in time.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
    }
}

/// Whether nothing was written between two looks.
fn is_quiet() -> bool {
    let before = written();
    // Nobody sends: the receiver waits out its time.
    let (_keep, never) = mpsc::sync_channel::<()>(0);
    let _ = never.recv_timeout(BETWEEN_LOOKS);
    written() == before
}

/// What is left of a killed process: its files as they stand.
fn opened_after_a_kill(dir: &Path) -> Opened {
    let killed = tempfile::tempdir().unwrap();
    copy(dir, killed.path()).unwrap();
    let (store, opened) = Store::open(killed.path(), large_segments()).unwrap();
    store.close(PATIENCE).unwrap();
    opened
}

#[test]
fn a_store_with_nothing_to_do_writes_nothing_and_a_kill_then_leaves_little_to_replay() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log, before_the_last) = filled(dir.path());
    let threads = threads();
    let is_sleds = |name: &String| name.starts_with("sled-io");
    assert!(threads.iter().any(is_sleds), "{threads:?}");
    let tidies = |name: &String| name == "log flusher";
    assert!(!threads.iter().any(tidies), "{threads:?}");
    until("the store is quiet", is_quiet);
    // The last batch is in sled's buffer; what was before it went to the file when it came.
    let opened = opened_after_a_kill(dir.path());
    assert_eq!(opened.rebuilt, None);
    let of_the_last = log.seq - before_the_last;
    assert!(opened.replayed <= of_the_last, "{opened:?} of {}", log.seq);
    assert!(log.seq > 10 * of_the_last, "too few events to tell");
    store.close(PATIENCE).unwrap();
}

/// Each writes some ten kilobytes into sled, whose segments are half a megabyte.
const ROUNDS: u8 = 60;
const RUNTIMES: u8 = 4;

/// As large as a value may nearly be.
const CERTIFICATE_BYTES: usize = 20_000;

/// sled's own thread wrote twice a second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1_200);

/// Far more than a slow disk needs.
const PATIENCE: Duration = Duration::from_secs(60);
