//! The index beside a sealed segment: disposable, so whatever stands in it changes no answer.

use std::{path::Path, sync::Arc, time::Duration};

use provost_protocol::TenantId;
use provost_store::{Backend, Options, Range, Store};

/// Opens a store with the bytes as the index of its first segment, and reads everything through
/// it: the answers are those of the journal, or the file is refused by name.
pub fn target(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = folder.path().join("journal");
    std::fs::create_dir(&journal).expect("a new folder");
    for (name, bytes) in SEGMENTS {
        std::fs::write(journal.join(name), bytes).expect("room for a segment");
    }
    let intact = sizes(folder.path()).expect("without an index it is built again");
    std::fs::write(journal.join("0000000000000001.idx"), data).expect("room for an index");
    if let Some(found) = sizes(folder.path()) {
        assert_eq!(found, intact);
    }
}

/// How many events each tenant has, each read through the index.
fn sizes(dir: &Path) -> Option<Vec<(TenantId, u64, usize)>> {
    let options = Options {
        journal: provost_journal::Options {
            free_bytes_min: 0,
            ..provost_journal::Options::default()
        },
        compress: false,
        ..Options::new(Arc::new(|why| panic!("the store failed: {why}")))
    };
    let (store, _) = Store::open(dir, options).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let found = runtime.expect("a runtime of its own").block_on(async {
        let mut found = Vec::new();
        for tenant in store.tenants(None, 100).await.ok()? {
            let range = Range {
                limit: 1_000,
                ..Range::default()
            };
            let head = store.load(tenant, Vec::new()).await.ok()?.head;
            let events = store.read(tenant, range).await.ok()?;
            found.push((tenant, head.seq, events.len()));
        }
        Some(found)
    });
    store.close(Duration::from_secs(20)).ok()?;
    found
}

/// The first two segments that this project ever wrote, of its oldest fixture.
const SEGMENTS: [(&str, &[u8]); 2] = [
    (
        "0000000000000001.seg",
        include_bytes!("../../formats/fixtures/v0.1.0/store/journal/0000000000000001.seg"),
    ),
    (
        "0000000000000002.seg",
        include_bytes!("../../formats/fixtures/v0.1.0/store/journal/0000000000000002.seg"),
    ),
];
