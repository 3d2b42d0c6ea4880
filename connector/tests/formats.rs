//! Whatever a connector of this project ever left on a disk, today's starts on (docs/formats.md).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not know as tests"
)]

#[path = "../../tests/formats/fixture.rs"]
mod fixture;

use std::{fs, path::Path};

use fixture::Fixture;
use provost_connector::{Clock, Config, Connector, Status};
use provost_journal::{Journal, Keep, Options, Position};
use provost_protocol::Timestamp;
use serde_json::{Value, json};

#[tokio::test]
async fn a_connector_of_any_version_is_where_it_was() {
    for fixture in Fixture::all("connector") {
        let folder = tempfile::tempdir().unwrap();
        fixture.unpack(folder.path());
        let connector = start(folder.path()).await;
        let status = connector.status();
        connector.shutdown().await;
        assert_eq!(
            lasting(&status),
            lasting_of(&fixture.expected),
            "{}",
            fixture.version
        );
    }
}

#[tokio::test]
async fn the_spool_of_any_version_still_holds_every_event_that_waits() {
    for fixture in Fixture::all("connector") {
        let folder = tempfile::tempdir().unwrap();
        fixture.unpack(folder.path());
        let place: Value =
            serde_json::from_slice(&fs::read(folder.path().join("spool/delivered.json")).unwrap())
                .unwrap();
        let from = Position::new(
            place["segment"].as_u64().unwrap(),
            place["offset"].as_u64().unwrap(),
        );
        let options = Options {
            free_bytes_min: 0,
            keep: Keep::Recent,
            ..Options::default()
        };
        let (journal, recovery) =
            Journal::open(folder.path().join("spool/journal"), options).unwrap();
        assert_eq!(recovery.cut, None);
        let waiting: Vec<u64> = journal
            .reader()
            .records_from(from)
            .map(|record| record.unwrap().1.seq)
            .collect();
        let first = place["number"].as_u64().unwrap() + 1;
        let count = fixture.expected["spool"]["waiting"].as_u64().unwrap();
        assert_eq!(waiting, (first..first + count).collect::<Vec<_>>());
    }
}

/// On the clock of the fixture's own day, towards a kernel that is not there.
async fn start(folder: &Path) -> Connector {
    let day: Timestamp = "2026-11-22T09:12:00Z".parse().unwrap();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        kernel: Some("127.0.0.1:1".to_owned()),
        disk_free_bytes_min: 0,
        ..Config::new(folder)
    };
    Connector::start_at(config, Clock::of(move || day))
        .await
        .unwrap()
}

fn lasting(status: &Status) -> Value {
    lasting_of(&serde_json::to_value(status).unwrap())
}

/// What of a status a restart may not change.
fn lasting_of(status: &Value) -> Value {
    let tenants = status["tenants"].as_array().unwrap().iter().map(|tenant| {
        let keys = [
            "tenant_id",
            "license_epoch",
            "license_seq",
            "license_expiry",
            "license_locked_from",
            "license_revision",
            "desired_revision",
        ];
        keys.map(|key| tenant[key].clone())
    });
    json!({
        "runtime_id": status["runtime_id"],
        "tenant_id": status["tenant_id"],
        "runtime_status": status["runtime_status"],
        "generation": status["generation"],
        "signed_time": status["signed_time"],
        "waiting": status["spool"]["waiting"],
        "waiting_bytes": status["spool"]["waiting_bytes"],
        "dead_letters": status["spool"]["dead_letters"],
        "tenants": tenants.collect::<Vec<_>>(),
    })
}
