//! Every entry point over its seeds, over arbitrary bytes and over mutated seeds, on stable.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not know as tests"
)]

use std::{fs, path::PathBuf};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use provost_fuzz::{Cost, ENTRIES, Entry};
use rustix::process::{Resource, Rlimit, setrlimit};

#[test]
fn every_entry_point_has_seeds_and_every_folder_of_seeds_an_entry_point() {
    let mut names: Vec<String> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let entries: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    assert_eq!(names, entries);
    for entry in ENTRIES {
        assert!(seeds(entry).len() >= SEEDS_MIN, "{}", entry.name);
    }
}

#[test]
fn every_entry_point_has_a_target_for_the_fuzzer() {
    let folder = corpus().join("../libfuzzer");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for Entry { name, .. } in ENTRIES {
        let text = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(text.contains(&format!("provost_fuzz::{name}::target(data)")));
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}

#[test]
fn every_seed_is_taken_without_a_panic() {
    bounded();
    for entry in ENTRIES {
        for (name, seed) in seeds(entry) {
            eprintln_on_panic(entry, &name, || (entry.target)(&seed));
        }
    }
    assert_small();
}

#[test]
fn the_good_seed_of_a_compressed_segment_is_one_the_journal_reads() {
    let (bytes, records) = provost_fuzz::journal_segz::good();
    assert!(records > 2);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(corpus().join("journal_segz/good"), &bytes).unwrap();
    }
    let seed = fs::read(corpus().join("journal_segz/good")).unwrap();
    // Another release of zstd may find other bytes for the same content.
    assert_eq!(seed[..HEADER_BYTES], bytes[..HEADER_BYTES]);
}

#[test]
fn the_good_seed_of_a_recovery_and_no_other_is_believed() {
    let entry = ENTRIES.iter().find(|entry| entry.name == "recovery");
    let believed = seeds(entry.unwrap())
        .into_iter()
        .filter(|(_, seed)| provost_fuzz::recovery::proven(seed));
    let names: Vec<String> = believed.map(|(name, _)| name).collect();
    assert_eq!(names, ["recovery"]);
}

#[test]
fn arbitrary_bytes_are_taken_without_a_panic() {
    bounded();
    for entry in ENTRIES {
        let bytes = prop::collection::vec(any::<u8>(), 0..BYTES_MAX);
        run(entry, &bytes);
    }
    assert_small();
}

#[test]
fn mutated_seeds_are_taken_without_a_panic() {
    bounded();
    for entry in ENTRIES {
        let seeds: Vec<Vec<u8>> = seeds(entry).into_iter().map(|(_, seed)| seed).collect();
        let seed = prop::sample::select(seeds);
        let changes = prop::collection::vec(any::<(u8, prop::sample::Index, u8)>(), 1..6);
        let mutated = (seed, changes).prop_map(|(seed, changes)| {
            changes.into_iter().fold(seed, |bytes, (kind, at, with)| {
                mutate(bytes, kind, at, with)
            })
        });
        run(entry, &mutated);
    }
    assert_small();
}

fn run(entry: &Entry, input: &impl Strategy<Value = Vec<u8>>) {
    let cases = match entry.cost {
        Cost::Small => 512,
        Cost::Medium => 96,
        Cost::Large => 8,
    };
    // A failing input is printed whole: it becomes a seed, by hand.
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(input, |bytes| {
        (entry.target)(&bytes);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
}

/// One change of those that break readers: a bit, a length, a part left out, doubled or moved.
fn mutate(mut bytes: Vec<u8>, kind: u8, at: prop::sample::Index, with: u8) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![with];
    }
    let at = at.index(bytes.len());
    match kind % 7 {
        0 => bytes[at] ^= 1 << (with % 8),
        1 => bytes[at] = with,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, with),
        4 => {
            let end = (at + usize::from(with)).min(bytes.len());
            bytes.drain(at..end);
        }
        5 => {
            let end = (at + usize::from(with)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        _ => {
            let end = (at + 4).min(bytes.len());
            bytes[at..end].fill(0xff);
        }
    }
    bytes
}

fn seeds(entry: &Entry) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = fs::read_dir(corpus().join(entry.name))
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

fn corpus() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

/// Says which seed it was: the panic alone does not.
fn eprintln_on_panic(entry: &Entry, seed: &str, work: impl FnOnce() + std::panic::UnwindSafe) {
    if std::panic::catch_unwind(work).is_err() {
        panic!("{}/{seed} is not taken", entry.name);
    }
}

/// A length that lies must not be believed: this process may not even ask for so much.
fn bounded() {
    let limit = Rlimit {
        current: Some(ADDRESS_BYTES_MAX),
        maximum: rustix::process::getrlimit(Resource::As).maximum,
    };
    setrlimit(Resource::As, limit).unwrap();
}

/// Nor did it ever use much.
fn assert_small() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .and_then(|text| text.trim().strip_suffix(" kB"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
}

/// Magic, version, flags and number of a compressed segment.
const HEADER_BYTES: usize = 20;

/// Longer inputs are made of the seeds.
const BYTES_MAX: usize = 4_096;

/// At least one good one and one nasty one.
const SEEDS_MIN: usize = 2;

/// Threads and sled reserve some hundred MiB each without using them; a length that is believed
/// asks for far more than this.
const ADDRESS_BYTES_MAX: u64 = 16 * 1_024 * 1_024 * 1_024;

/// A few stores of small caches and the test itself take a tenth of it.
const RESIDENT_KIB_MAX: u64 = 1_024 * 1_024;
