//! Backups that earlier builds made.

use provost_protocol::{CorrelationId, TenantId, Timestamp};
use provost_store::{
    Backend as _, Range, Store,
    backup::{Backup, Restoring, restore},
    merkle::{Frontier, leaf_hash},
};
use serde_json::{Value, json};

use crate::{
    answers::{options, wait},
    fixture::Fixture,
    written::{PATIENCE, SEGMENT_BYTES},
};

#[test]
fn a_backup_of_any_version_says_what_it_said_then_and_is_restored() {
    for fixture in Fixture::all("backup") {
        let (place, version) = (tempfile::tempdir().unwrap(), &fixture.version);
        fixture.unpack(place.path());
        let file = place.path().join("installation.backup");
        let backup = Backup::open(&file, &mut |_| ()).unwrap();
        assert_eq!(said(&backup), fixture.expected, "{version}");

        let (to, now) = (place.path().join("restored"), last_of_a_second());
        let restoring = Restoring {
            backup: &backup,
            to: to.clone(),
            now,
            correlation_id: CorrelationId::from_parts(now, [9; 10]),
            options: options(SEGMENT_BYTES),
        };
        let restored = restore(&restoring, &mut |_| ()).unwrap();
        assert_eq!(restored.len(), backup.ends().len(), "{version}");
        let (store, _) = Store::open(&to, options(SEGMENT_BYTES)).unwrap();
        for tenant in fixture.expected["tenants"].as_array().unwrap() {
            goes_on(&store, tenant);
        }
        store.close(PATIENCE).unwrap();
    }
}

/// What the command line says of a backup.
fn said(backup: &Backup) -> Value {
    let header = backup.header();
    let tenants = backup.ends().iter().map(|end| {
        json!({
            "tenant_id": end.tenant,
            "epoch": end.epoch,
            "size": end.size,
            "root": hex::encode(end.root),
        })
    });
    json!({
        "holds": true,
        "bytes": backup.bytes(),
        "format": header.format,
        "install_id": header.install_id,
        "created": header.created,
        "program": header.program,
        "journal_end": header.end().to_string(),
        "groups": header.groups,
        "events": header.records,
        "tenants": tenants.collect::<Vec<_>>(),
    })
}

/// A log that was restored is the one of then, and one event of a new epoch.
fn goes_on(store: &Store, tenant: &Value) {
    let id: TenantId = tenant["tenant_id"].as_str().unwrap().parse().unwrap();
    let range = Range {
        limit: 100_000,
        ..Range::default()
    };
    let mut events = wait(store.read(id, range)).unwrap();
    let added = events.pop().unwrap().envelope;
    assert_eq!(added.event.kind().to_string(), "log.restored");
    assert!(added.epoch > tenant["epoch"].as_u64().unwrap());
    let mut log = Frontier::default();
    for event in &events {
        log.append(leaf_hash(&event.bytes));
    }
    assert_eq!(tenant["size"], log.size());
    assert_eq!(tenant["root"], hex::encode(log.root()));
}

/// A restore outlasts the second that names its epoch.
fn last_of_a_second() -> Timestamp {
    Timestamp::from_millis(1_795_400_000_999)
}
