//! The index of revoked certificates: what a start refuses before any tenant is awake.

use provost_kernel::Command;
use provost_protocol::Timestamp;
use provost_store::{Backend, Store};

use crate::{
    answers::{options, wait},
    commands::{create_token, enroll},
    conformance::{filled, on_each, put},
    log::{Log, runtime},
};

/// A tenant with one runtime; gives the runtime's serial number and when its certificate ends.
fn enrolled(store: &dyn Backend, number: u8) -> (Log, (Timestamp, String)) {
    let mut log = filled(store, number, 1);
    put(store, log.run(&create_token(&log.clone(), 1)).unwrap());
    put(store, log.run(&enroll(&log.clone(), 1, 1)).unwrap());
    let record = log.state.runtime(runtime(1)).unwrap();
    let row = (record.certificate_not_after, record.serials[0].clone());
    (log, row)
}

fn revoked(store: &dyn Backend, from: Timestamp) -> Vec<(Timestamp, String)> {
    wait(store.revoked(from, None, usize::MAX)).unwrap()
}

#[test]
fn a_revoked_runtimes_certificate_is_listed_until_it_ends() {
    on_each(|store| {
        let (mut log, row) = enrolled(store, 1);
        assert_eq!(revoked(store, Timestamp::EPOCH), []);
        let revoke = Command::RevokeRuntime {
            runtime: runtime(1),
            reason: String::new(),
        };
        put(store, log.run(&revoke).unwrap());
        assert_eq!(revoked(store, Timestamp::EPOCH), std::slice::from_ref(&row));
        assert_eq!(revoked(store, row.0), std::slice::from_ref(&row));
        assert_eq!(revoked(store, row.0.plus_millis(1)), []);
        let after = wait(store.revoked(Timestamp::EPOCH, Some(row), 9)).unwrap();
        assert_eq!(after, [], "the page after the last");
    });
}

#[test]
fn a_single_revoked_certificate_is_listed_though_its_runtime_goes_on() {
    on_each(|store| {
        let (mut log, row) = enrolled(store, 1);
        let revoke = Command::RevokeCertificate {
            runtime: runtime(1),
            serial: row.1.clone(),
            reason: String::new(),
        };
        put(store, log.run(&revoke).unwrap());
        assert_eq!(revoked(store, Timestamp::EPOCH), [row]);
    });
}

#[test]
fn what_is_revoked_is_still_listed_after_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options(2 * 1024)).unwrap();
    let (mut log, row) = enrolled(&store, 1);
    let revoke = Command::RevokeCertificate {
        runtime: runtime(1),
        serial: row.1.clone(),
        reason: String::new(),
    };
    put(&store, log.run(&revoke).unwrap());
    store.close(std::time::Duration::from_secs(60)).unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let (store, _) = Store::open(dir.path(), options(2 * 1024)).unwrap();
    assert_eq!(revoked(&store, Timestamp::EPOCH), [row]);
}
