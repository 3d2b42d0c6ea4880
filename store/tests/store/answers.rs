//! Everything a store can be asked, as text that two stores can be compared by.

use std::{future::Future, path::Path, sync::Arc};

use provost_journal::Options as JournalOptions;
use provost_kernel::EntityKey;
use provost_protocol::Timestamp;
use provost_store::{Backend, Options, Range, lookup_keys};

/// Asks for everything, in pages of three, and writes the answers down.
pub(crate) fn answers(store: &dyn Backend) -> Vec<String> {
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let page = wait(store.tenants(after, 3)).expect("tenants are listed");
        for tenant in &page {
            lines.extend(of_tenant(store, *tenant));
        }
        let Some(last) = page.last() else { break };
        after = Some(*last);
    }
    let online = wait(store.online(None, usize::MAX)).expect("runtimes are listed");
    lines.extend(online.iter().map(|pair| format!("online {pair:?}")));
    let due = wait(store.due(Timestamp::MAX, usize::MAX)).expect("deadlines are listed");
    lines.extend(due.iter().map(|pair| format!("due {pair:?}")));
    let revoked = wait(store.revoked(Timestamp::EPOCH, None, usize::MAX));
    let revoked = revoked.expect("revoked certificates are listed");
    lines.extend(revoked.iter().map(|row| format!("revoked {row:?}")));
    lines
}

fn of_tenant(store: &dyn Backend, tenant: provost_protocol::TenantId) -> Vec<String> {
    let loaded = wait(store.load(tenant, Vec::new())).expect("the tenant loads");
    let mut lines = vec![format!("{tenant} {:?}", loaded.head)];
    lines.extend(loaded.state.iter().map(|pair| format!("hot {pair:?}")));
    for kind in KINDS {
        let mut after: Option<EntityKey> = None;
        loop {
            let page = store.scan(tenant, kind, after.clone(), 3);
            let page = wait(page).expect("entities are listed");
            for (key, entity) in &page {
                lines.push(format!("{key} {entity:?}"));
                if let EntityKey::Token(token) = key {
                    let issuer = wait(store.token_tenant(*token)).expect("a token is found");
                    lines.push(format!("issued by {issuer:?}"));
                }
            }
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
        }
    }
    let range = Range {
        limit: usize::MAX,
        ..Range::default()
    };
    let events = wait(store.read(tenant, range)).expect("the log is read");
    let keys: Vec<_> = events
        .iter()
        .flat_map(|event| lookup_keys(&event.envelope))
        .collect();
    for event in &events {
        let text = String::from_utf8_lossy(&event.bytes);
        lines.push(format!("event {} {text}", event.envelope.seq));
    }
    let found = wait(store.find(tenant, keys, Timestamp::MIN)).expect("events are found");
    for event in found {
        lines.push(format!("found {:?}", event.map(|event| event.envelope.seq)));
    }
    lines
}

/// Waits for an answer from a store's thread.
pub(crate) fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O needs nothing");
    let deadline = std::time::Duration::from_secs(60);
    runtime
        .block_on(async { tokio::time::timeout(deadline, answer).await })
        .expect("the store answers within a minute")
}

/// Small segments, and a fatal hook that fails the test.
pub(crate) fn options(segment_bytes_max: u64) -> Options {
    Options {
        journal: JournalOptions {
            segment_bytes_max,
            free_bytes_min: 0,
            ..JournalOptions::default()
        },
        ..Options::new(Arc::new(|why| panic!("the store failed: {why}")))
    }
}

/// Copies a folder and all in it.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// What a writer under a crash test fills: several segments within a few rounds.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 128 * 1024;

const KINDS: [&str; 18] = [
    "tenant/",
    "entitlement/",
    "counter/",
    "provider/",
    "attachment/",
    "runtime/",
    "identity/",
    "subject/",
    "token/",
    "enrolment/",
    "admin-key/",
    "license/",
    "individual/",
    "key/",
    "certificates/",
    "rotation/",
    "trust/",
    "revoked-certificate/",
];
