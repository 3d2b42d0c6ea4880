//! Damaged bytes of journal and indexes, from outside: what is found before serving keeps the
//! kernel from it, what is found later is an alarm, and everybody names the same place.

use std::{fs, os::unix::fs::FileExt as _, path::Path, path::PathBuf, sync::Arc, time::Duration};

use provost_protocol::{TenantId, envelope::Envelope, event::DiskRecovered};
use provost_store::{Append, Backend as _, Options, Range, Stamped, Store};
use serde_json::{Value, json};

use crate::world::{Kernel, Runtime, Start, provost, until};

/// How the first segment of a data folder is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    AsWritten,
    Compressed,
}

/// A kernel that has stopped, with a first segment that is sealed and nearly all of whose bytes
/// are one tenant's.
async fn sealed(stored: Stored) -> (Kernel, Runtime) {
    let mut kernel = Kernel::start_as(Start::default()).await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    for n in 0..EVENTS {
        let event = runtime.event(json!({"n": n, "x": "x".repeat(EVENT_BYTES)}));
        runtime.audit(&kernel, &event).await.must(202);
    }
    kernel.stop().await;
    let options = Options {
        journal: provost_journal::Options {
            // Already passed: the next event begins another segment.
            segment_bytes_max: 1_024,
            ..provost_journal::Options::default()
        },
        compress: stored == Stored::Compressed,
        ..Options::new(Arc::new(|why| panic!("the store failed: {why}")))
    };
    let (store, _) = Store::open(&kernel.data(), options).unwrap();
    append_one(&store, internal_tenant(&kernel)).await;
    if stored == Stored::Compressed {
        let plain = first(&kernel, "seg");
        until("the segment is compressed", async || {
            (!plain.exists()).then_some(())
        })
        .await;
    }
    store.close(Duration::from_secs(60)).unwrap();
    drop(store);
    (kernel, runtime)
}

/// Appends one event, as an alarm that is over does.
async fn append_one(store: &Store, tenant: TenantId) {
    let head = store.load(tenant, Vec::new()).await.unwrap().head;
    let newest = Range {
        newest_before: Some(u64::MAX),
        limit: 1,
        ..Range::default()
    };
    let last = store.read(tenant, newest).await.unwrap().remove(0);
    let next = Envelope {
        seq: head.seq + 1,
        epoch: head.epoch,
        event: DiskRecovered { free_bytes: 1 }.into(),
        idempotency: None,
        ..last.envelope
    };
    let append = Append {
        tenant,
        expected: head.seq,
        events: vec![Stamped::new(next).unwrap()],
    };
    store.append(append).await.unwrap();
}

fn internal_tenant(kernel: &Kernel) -> TenantId {
    let install = fs::read(kernel.data().join("install.json")).unwrap();
    let install: Value = serde_json::from_slice(&install).unwrap();
    install["internal_tenant"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// A file of the first segment.
fn first(kernel: &Kernel, extension: &str) -> PathBuf {
    let journal = kernel.data().join("journal");
    journal.join(FIRST).with_extension(extension)
}

/// Changes one byte where it lies, as a disk would forget it.
fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// What `provost audit verify --data` finds: its exit code, and the findings.
fn verify(kernel: &Kernel) -> (i32, Vec<Value>) {
    let data = kernel.data();
    let words = ["audit", "verify", "--output", "json", "--data"];
    let done = provost(&[&words[..], &[data.to_str().unwrap()]].concat());
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    let findings = answer["findings"].as_array().unwrap().clone();
    (done.status.code().unwrap(), findings)
}

/// The lines of a log in JSON with this message.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().map(serde_json::from_str::<Value>);
    let lines = lines.map_while(Result::ok);
    lines.filter(|line| line["message"] == message).collect()
}

/// The alarms of a damaged journal in the internal tenant's log.
async fn alarms(kernel: &Kernel) -> Vec<Value> {
    let events = kernel.events(&internal_tenant(kernel).to_string()).await;
    let alarms = events
        .iter()
        .filter(|event| event["kind"] == "install.journal-damaged");
    alarms.map(|event| event["data"].clone()).collect()
}

/// Whether the kernel has counted so many places.
async fn counted(kernel: &Kernel, count: u64) -> bool {
    let metrics = kernel.get("/metrics").await.must(200).text;
    let line = format!("provost_journal_damages_total {count}");
    metrics.lines().any(|one| one == line)
}

#[tokio::test]
async fn a_damaged_segment_stops_the_start_and_is_named_by_it_and_by_verification() {
    for (stored, extension) in [(Stored::AsWritten, "seg"), (Stored::Compressed, "segz")] {
        let (mut kernel, runtime) = sealed(stored).await;
        let file = first(&kernel, extension);
        let place = length(&file) / 2;
        flip(&file, place);

        let (status, log) = kernel.refuses_to_start().await;

        assert!(!status.success(), "{extension}: {status}");
        let (code, found) = verify(&kernel);
        assert_eq!((code, found.len()), (4, 1), "{extension}: {found:?}");
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(found[0]["file"], name);
        assert_eq!(found[0]["tenants"], json!([runtime.tenant]), "{extension}");
        let offset = found[0]["offset"].as_u64().unwrap();
        assert!(offset > 0 && offset <= place, "{offset} for {place}");
        let named = lines(&log, "the journal is damaged");
        assert_eq!(named.len(), 1, "{log}");
        for field in ["file", "offset", "why"] {
            assert_eq!(named[0][field], found[0][field], "{field}: {log}");
        }
        assert_eq!(named[0]["tenants"], runtime.tenant);
        let said = format!("{name} at byte {offset}");
        assert!(log.contains(&said), "the reason of the end: {log}");

        flip(&file, place);
        assert_eq!(verify(&kernel).0, 0, "mended, it verifies");
        kernel.serve().await;
        runtime.beat(&kernel).await.must(200);
        kernel.stop().await;
    }
}

#[tokio::test]
async fn a_damaged_index_is_named_by_verification_and_by_the_start_and_built_again() {
    let (mut kernel, runtime) = sealed(Stored::Compressed).await;
    let file = first(&kernel, "idx");
    let whole = fs::read(&file).unwrap();
    let place = length(&file) - 1;
    flip(&file, place);
    let (code, found) = verify(&kernel);
    assert_eq!((code, found.len()), (4, 1), "{found:?}");
    let found = &found[0];
    assert_eq!(found["file"], file.file_name().unwrap().to_str().unwrap());
    let hit = found["tenants"].as_array().unwrap();
    assert!(hit.contains(&json!(runtime.tenant)), "{found}");

    kernel.serve().await;

    let log = kernel.log();
    let named = lines(&log, "an index of the journal is damaged");
    assert_eq!(named.len(), 1, "{log}");
    for field in ["file", "offset", "why"] {
        assert_eq!(&named[0][field], &found[field], "{field}: {log}");
    }
    let tenants = named[0]["tenants"].as_str().unwrap();
    assert!(tenants.contains(&runtime.tenant), "{log}");
    let rebuilt = lines(&log, "a segment's index is built again");
    assert_eq!(rebuilt.len(), 1, "{log}");
    assert!(fs::read(&file).unwrap() == whole);
    assert_eq!(verify(&kernel).0, 0);
    assert!(kernel.events(&runtime.tenant).await.len() > EVENTS);
    let alarm = until("the alarm is recorded", async || {
        alarms(&kernel).await.pop()
    });
    assert_eq!(&alarm.await, found);
    assert!(counted(&kernel, 1).await);
    kernel.stop().await;
}

#[tokio::test]
async fn damage_that_a_read_meets_is_an_error_an_alarm_and_a_figure() {
    let (mut kernel, runtime) = sealed(Stored::Compressed).await;
    kernel.serve().await;
    assert_eq!(alarms(&kernel).await, Vec::<Value>::new());
    let file = first(&kernel, "segz");
    flip(&file, length(&file) / 2);

    let tenant = &runtime.tenant;
    let asked = [
        format!("/v1/tenants/{tenant}/audit?limit=100"),
        format!("/v1/tenants/{tenant}/audit?limit=100&after=0"),
        format!("/v1/tenants/{tenant}/audit?limit=100&type=report.opened"),
    ];
    for path in asked {
        let refused = kernel.get(&path).await;
        refused.must_refuse(503, "storage_unavailable");
        assert!(refused.text.contains("damaged"), "{path}: {}", refused.text);
    }

    let (code, found) = verify(&kernel);
    assert_eq!((code, found.len()), (4, 1), "{found:?}");
    assert_eq!(found[0]["tenants"], json!([tenant]));
    let recorded = until("the alarm is recorded", async || {
        let alarms = alarms(&kernel).await;
        (!alarms.is_empty()).then_some(alarms)
    });
    let recorded = recorded.await;
    assert_eq!(recorded.len(), 1, "one place is one alarm: {recorded:?}");
    for field in ["file", "offset", "tenants"] {
        assert_eq!(recorded[0][field], found[0][field], "{field}");
    }
    assert!(counted(&kernel, 1).await);
    assert_eq!(lines(&kernel.log(), "the journal is damaged").len(), 1);
    // What does not stand in the damaged bytes goes on.
    kernel.get("/readyz").await.must(200);
    runtime.beat(&kernel).await.must(200);
    let event = runtime.event(json!({"n": "after"}));
    runtime.audit(&kernel, &event).await.must(202);
}

/// How the files of the first segment are called.
const FIRST: &str = "0000000000000001";

/// Several blocks of a compressed segment, and of an index.
const EVENTS: usize = 12;

/// Longer than a block: each read meets blocks of its own.
const EVENT_BYTES: usize = 40_000;
