//! What earlier builds left.

use std::{fs, path::Path};

use provost_journal::{Journal, Options};
use provost_protocol::TenantId;
use provost_store::{Backend, Options as StoreOptions, Range, Store, merkle::Frontier};
use serde_json::Value;

use crate::{
    answers::{answers, options, wait},
    commands::grant,
    fixture::Fixture,
    log::Log,
    written::{PATIENCE, SEGMENT_BYTES, of_spool, of_store},
};

#[test]
fn a_store_of_any_version_says_what_it_said_then() {
    for fixture in stores() {
        let folder = unpacked(&fixture);
        let (store, opened) = open(folder.path());
        assert_eq!(opened.recovery.cut, None, "{}", fixture.version);
        assert_eq!(of_store(&store), fixture.expected, "{}", fixture.version);
        store.close(PATIENCE).unwrap();
    }
}

#[test]
fn the_roots_of_any_version_follow_from_the_bytes_alone() {
    for fixture in stores() {
        let folder = unpacked(&fixture);
        let (store, _) = open(folder.path());
        for tenant in fixture.expected["tenants"].as_array().unwrap() {
            let mut frontier = Frontier::default();
            let range = Range {
                limit: 100_000,
                ..Range::default()
            };
            for event in wait(store.read(id(tenant), range)).unwrap() {
                frontier.append(provost_store::merkle::leaf_hash(&event.bytes));
            }
            assert_eq!(tenant["root"], hex::encode(frontier.root()));
        }
    }
}

#[test]
fn a_store_of_any_version_without_its_state_and_indexes_says_the_same() {
    for fixture in stores() {
        let (kept, bare) = (unpacked(&fixture), unpacked(&fixture));
        fs::remove_dir_all(bare.path().join("state")).unwrap();
        for entry in fs::read_dir(bare.path().join("journal")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "idx") {
                fs::remove_file(path).unwrap();
            }
        }
        let (kept, _) = open(kept.path());
        let (bare, opened) = open(bare.path());
        assert!(opened.replayed > 0, "{}", fixture.version);
        assert_eq!(answers(&kept), answers(&bare), "{}", fixture.version);
    }
}

#[test]
fn a_journal_of_any_version_verifies_whole() {
    for fixture in stores() {
        let folder = unpacked(&fixture);
        let options = Options {
            free_bytes_min: 0,
            ..Options::default()
        };
        let (journal, recovery) = Journal::open(folder.path().join("journal"), options).unwrap();
        let segments = journal.reader().verify_all().map(Result::unwrap).count();
        assert_eq!(u64::try_from(segments).unwrap(), recovery.segments);
    }
}

#[test]
fn a_store_of_any_version_goes_on() {
    for fixture in stores() {
        let folder = unpacked(&fixture);
        let tenants = fixture.expected["tenants"].as_array().unwrap();
        let (tenant, size) = (id(&tenants[0]), tenants[0]["size"].as_u64().unwrap());
        let (store, _) = open(folder.path());
        let mut log = Log::new(tenant);
        let loaded = wait(store.load(tenant, Vec::new())).unwrap();
        (log.state, log.seq) = (loaded.state, loaded.head.seq);
        let append = log.run(&grant(&log, 1, 7)).unwrap();
        wait(store.append(append)).unwrap();
        store.close(PATIENCE).unwrap();
        drop(store);
        let (store, opened) = open(folder.path());
        assert_eq!(opened.recovery.cut, None);
        assert_eq!(
            wait(store.load(tenant, Vec::new())).unwrap().head.seq,
            size + 1
        );
    }
}

#[test]
fn a_spool_of_any_version_says_what_it_said_then() {
    for fixture in Fixture::all("spool") {
        let folder = unpacked(&fixture);
        assert_eq!(of_spool(folder.path()), fixture.expected);
    }
}

/// Every store, those of whole installations too.
fn stores() -> Vec<Fixture> {
    let mut all = Fixture::all("store");
    all.extend(Fixture::all("kernel"));
    all
}

fn unpacked(fixture: &Fixture) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fixture.unpack(folder.path());
    folder
}

fn open(dir: &Path) -> (Store, provost_store::Opened) {
    let options: StoreOptions = options(SEGMENT_BYTES);
    Store::open(dir, options).unwrap()
}

fn id(tenant: &Value) -> TenantId {
    tenant["tenant"].as_str().unwrap().parse().unwrap()
}
